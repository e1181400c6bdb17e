"""`local/espeak`: espeak-ng, robotic and very clear, in more than a hundred languages.

espeak-ng is free software under the GNU GPL, version 3 or later. It runs in a process of its own and is spoken to
through a pipe, so this package and the programs built on it stay separate works under their own licences; whoever ships
both together must still meet the GPL for espeak-ng itself. The library and its data come from the package
`espeakng-loader` in the extra `local`; nothing of it is part of this package.
"""

import difflib
import re
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from agent_runtime.errors import UsageError
from agent_runtime.providers.local.info import EXTRA, EngineInfo, distribution_version
from agent_runtime.providers.local.speaking import ChildTTS

SAMPLE_RATE = 22_050
_DEFAULT_VOICE = "en-us"


class EspeakTTS(ChildTTS):
    """The default synthesiser. It streams, times every word to the sample, and stops within a millisecond or two.

    Args:
        voice: a language ("en-us", "de", "pt-br"), with a variant if wanted ("en-us+f2").
        rate: words a minute, 80 to 450.
        pitch: 0 to 100.
        deadline: seconds of machine time within which each piece must come.
    """

    label = "local/espeak"
    word_times = True

    def __init__(self, *, voice: str = _DEFAULT_VOICE, rate: int = 175, pitch: int = 50, deadline: float = 2.0) -> None:
        if not 80 <= rate <= 450:
            raise UsageError(f"local/espeak cannot speak {rate} words a minute; rate must lie between 80 and 450.")
        if not 0 <= pitch <= 100:
            raise UsageError(f"local/espeak has no pitch {pitch}; it must lie between 0 and 100.")
        super().__init__(
            "agent_runtime.providers.local.espeak_engine:Engine",
            {"voice": _resolve(voice), "rate": rate, "pitch": pitch},
            deadline=deadline,
        )

    @property
    def sample_rate(self) -> int:
        return SAMPLE_RATE

    def describe(self) -> EngineInfo:
        version = distribution_version("espeakng-loader")
        return EngineInfo(
            descriptor=self.label,
            licence="GPL-3.0-or-later (in a process of its own)",
            installed=version is not None,
            version=version,
            missing=None if version else f"local/espeak needs the package espeakng-loader; install it with: {EXTRA}",
        )


def _resolve(voice: str) -> str:
    """The name under which the library knows a voice.

    The library looks a voice up by its file alone, and British English, for one, stands in a file named "en"; the
    languages that a file speaks are written in it. Where nothing is installed there is nothing to look up.

    Raises:
        UsageError: the installed data has no such voice.
    """
    spec = find_spec("espeakng_loader")
    if voice == _DEFAULT_VOICE or spec is None or spec.origin is None:
        return voice
    data = Path(spec.origin).parent / "espeak-ng-data"
    language, plus, variant = voice.partition("+")
    files = _files_by_language(data / "lang")
    if language.lower() not in files:
        raise UsageError(f"local/espeak has no voice {language!r}{_near(language.lower(), files)}")
    variants = [path.name for path in (data / "voices" / "!v").iterdir()]
    if plus and variant not in variants:
        raise UsageError(f"local/espeak has no variant {variant!r} of a voice{_near(variant, variants)}")
    return files[language.lower()] + plus + variant


def _files_by_language(folder: Path) -> dict[str, str]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    files: dict[str, str] = {}
    for path in paths:
        for language in re.findall(r"^language\s+(\S+)", path.read_text("utf-8"), re.MULTILINE):
            files.setdefault(language.lower(), path.name)
    # A file's own name wins over what another file says it also speaks.
    return files | {path.name.lower(): path.name for path in paths}


def _near(wanted: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(wanted, sorted(names), n=3, cutoff=0.4)
    return f"; did you mean {' or '.join(near)}?" if near else "."

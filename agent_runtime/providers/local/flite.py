"""`local/flite`: CMU Flite, the most human of the small voices, in English, where its program is installed (BSD-like).

Flite makes a phrase as a whole, in a process for each: 30 ms for a short one, 0.3 s for a paragraph. Such a process is
not tied to the parent's life as a `ChildEngine` is, but ends by itself within those times.
"""

import shutil
import subprocess
import tempfile
import threading
import unicodedata
import wave
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

from agent_runtime import clock
from agent_runtime.audio.frame import AudioFrame
from agent_runtime.errors import EngineDied, EngineStalled, ProviderError, UsageError
from agent_runtime.providers.local.info import EngineInfo
from agent_runtime.providers.local.word_times import is_speakable
from agent_runtime.tts import TTS

SAMPLE_RATE = 16_000
VOICES = ("slt", "rms", "awb", "kal16")
"""The voices of 16 kHz that the program has inside. (It speaks with its worst one where a name is unknown to it.)"""

MAX_CHARACTERS = 500
"""What one run of the program speaks: the first sound of a longer text need not wait for all of it, nor the disk hold it."""

_FRAME_S = 0.1
_INSTALL = "apt-get install flite (Debian, Ubuntu) or brew install flite (macOS)"
_ASCII = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2013": "-", "\u2014": "-"})


class FliteTTS(TTS):
    """Speech by a subprocess a phrase, without word times.

    Args:
        voice: slt (a woman), rms, awb (men), or kal16 (a man, buzzy, three times as fast to make).
        deadline: seconds of machine time for a phrase.
    """

    label = "local/flite"

    def __init__(self, *, voice: str = "slt", deadline: float = 30.0) -> None:
        if voice not in VOICES:
            raise UsageError(f"local/flite has no voice {voice!r}; choose one of {', '.join(VOICES)}.")
        self.watch = clock.Stopwatch()
        """Machine time the subprocesses took."""
        self._voice = voice
        self._deadline = deadline
        self._open: set[_Phrase] = set()

    @property
    def sample_rate(self) -> int:
        return SAMPLE_RATE

    def describe(self) -> EngineInfo:
        program = shutil.which("flite")
        return EngineInfo(
            descriptor=self.label,
            licence="BSD-like (Carnegie Mellon)",
            installed=program is not None,
            missing=None if program else f"local/flite needs the program flite; install it with: {_INSTALL}",
        )

    async def synthesize(self, text: str) -> AsyncGenerator[AudioFrame, None]:
        """See `TTS.synthesize`. Flite reads ASCII: accents are taken off, other alphabets are left out.

        Raises:
            UsageError: the program is not installed.
            EngineDied, EngineStalled: it failed, or did not end within the deadline.
        """
        readable = to_ascii(text)
        if not is_speakable(readable):
            return
        missing = self.describe().missing
        if missing is not None:
            raise UsageError(missing)
        for part in split(readable):
            phrase = _Phrase(self._voice, part, self._deadline)
            self._open.add(phrase)
            try:
                sound = await clock.offload(phrase.make)
                while pcm := sound.readframes(int(_FRAME_S * SAMPLE_RATE)):
                    yield AudioFrame(data=pcm, sample_rate=SAMPLE_RATE)
            finally:
                phrase.close()
                self._open.discard(phrase)
                self.watch.seconds += phrase.watch.seconds
                self.watch.spans += phrase.watch.spans

    async def aclose(self) -> None:
        for phrase in list(self._open):
            phrase.close()


def to_ascii(text: str) -> str:
    """What of `text` flite can read: it takes bytes beyond ASCII for Latin-1 and speaks nonsense."""
    plain = unicodedata.normalize("NFKD", text.translate(_ASCII)).encode("ascii", "ignore").decode()
    return plain.replace("\0", " ")


def split(text: str, most: int = MAX_CHARACTERS) -> Iterator[str]:
    """Pieces of at most `most` characters, cut after a sentence, else at a space, else anywhere."""
    while len(text) > most:
        cut = max(text.rfind(end, 0, most) for end in (". ", "? ", "! ", ".\n", "\n\n")) + 1
        cut = cut or text.rfind(" ", 0, most) + 1 or most
        yield text[:cut]
        text = text[cut:]
    yield text


class _Phrase:
    """One run of the program. `make` works in a thread; `close` may come at any time, from the loop."""

    def __init__(self, voice: str, text: str, deadline: float) -> None:
        self.watch = clock.Stopwatch()
        self._voice = voice
        self._text = text
        self._deadline = deadline
        self._lock = threading.Lock()
        self._closed = False
        self._process: subprocess.Popen[bytes] | None = None
        self._sound: wave.Wave_read | None = None

    def make(self) -> wave.Wave_read:
        with self.watch, tempfile.TemporaryDirectory(prefix="flite-") as folder:
            text, sound = Path(folder, "text"), Path(folder, "sound.wav")
            text.write_text(self._text, "ascii")
            # Through files: an argument is too short for a long text, and from a pipe to a pipe flite hangs.
            code = self._run(["flite", "-voice", self._voice, "-f", str(text), "-o", str(sound)])
            return self._opened(sound, code)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            if self._process is not None:
                self._process.kill()
            if self._sound is not None:
                self._sound.close()
                self._sound = None

    def _run(self, command: list[str]) -> int:
        with self._lock:
            if self._closed:
                raise EngineDied("local/flite was closed.", provider=FliteTTS.label)
            process = self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
        try:
            return process.wait(self._deadline)
        except subprocess.TimeoutExpired as error:
            process.kill()
            process.wait()
            raise EngineStalled(
                f"local/flite did not end within {self._deadline:g} s and was stopped.",
                provider=FliteTTS.label,
                retryable=True,
            ) from error

    def _opened(self, path: Path, code: int) -> wave.Wave_read:
        with self._lock:
            self._process = None
            if self._closed or code != 0:
                raise EngineDied(f"local/flite ended with code {code}.", provider=FliteTTS.label, retryable=True)
            try:
                sound = wave.open(str(path), "rb")  # noqa: SIM115  # `close` closes it
            except (OSError, EOFError, wave.Error) as error:
                raise ProviderError(f"local/flite made no sound file: {error}", provider=FliteTTS.label) from error
            if sound.getframerate() != SAMPLE_RATE or sound.getnchannels() != 1:
                rate = sound.getframerate()
                sound.close()
                raise ProviderError(
                    f"local/flite spoke at {rate} Hz with voice {self._voice}, not at {SAMPLE_RATE}.",
                    provider=FliteTTS.label,
                )
            self._sound = sound
            return sound

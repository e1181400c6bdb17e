"""What a string like ``local/espeak:en-gb`` or ``local/piper?model=voice.onnx`` names.

A descriptor is ``provider/model[:suffix][?name=value&...]``. The suffix is a language for a recogniser and a voice for a
synthesiser. Strings are resolved when the session is built, so a wrong one fails before anybody is called.
"""

import contextlib
import difflib
import importlib
import inspect
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qsl

from agent_runtime.errors import UsageError

Kind = Literal["vad", "stt", "llm", "tts", "turn_detection"]

LOCAL: dict[Kind, dict[str, str]] = {
    "vad": {
        "local/silero": "agent_runtime.providers.local.silero:SileroVAD",
        "local/webrtc": "agent_runtime.providers.local.webrtc:WebRTCVAD",
    },
    "stt": {
        "local/pocketsphinx": "agent_runtime.providers.local.pocketsphinx:PocketsphinxSTT",
        "local/sherpa": "agent_runtime.providers.local.sherpa:SherpaSTT",
        "local/whisper": "agent_runtime.providers.local.whisper:WhisperSTT",
    },
    "llm": {"local/rules": "agent_runtime.providers.local.rules:RulesLLM"},
    "tts": {
        "local/espeak": "agent_runtime.providers.local.espeak:EspeakTTS",
        "local/flite": "agent_runtime.providers.local.flite:FliteTTS",
        "local/piper": "agent_runtime.providers.local.piper:PiperTTS",
    },
    "turn_detection": {
        "local/text": "agent_runtime.turns.detectors:TextDetector",
        "local/smart-turn": "agent_runtime.providers.local.smart_turn:SmartTurn",
    },
}
"""The engines on this machine: descriptor to class."""

DEFAULTS: dict[Kind, str] = {kind: next(iter(names)) for kind, names in LOCAL.items()}

SUFFIX_OPTION: dict[Kind, str] = {"stt": "language", "tts": "voice", "turn_detection": "model"}

KEYS: dict[str, tuple[str, ...]] = {
    "anthropic": ("ANTHROPIC_API_KEY",),
    "assemblyai": ("ASSEMBLYAI_API_KEY",),
    "cartesia": ("CARTESIA_API_KEY",),
    "cerebras": ("CEREBRAS_API_KEY",),
    "deepgram": ("DEEPGRAM_API_KEY",),
    "deepseek": ("DEEPSEEK_API_KEY",),
    "elevenlabs": ("ELEVEN_API_KEY",),
    "fireworks": ("FIREWORKS_API_KEY",),
    "gemini": ("GEMINI_API_KEY",),
    "google": ("LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"),
    "groq": ("GROQ_API_KEY",),
    "litellm": (),
    "mistralai": ("MISTRAL_API_KEY",),
    "ollama": (),
    "openai": ("OPENAI_API_KEY",),
    "openrouter": ("OPENROUTER_API_KEY",),
    "perplexity": ("PERPLEXITY_API_KEY",),
    "together": ("TOGETHER_API_KEY",),
    "vertex_ai": (),
    "xai": ("XAI_API_KEY",),
}
"""Services whose names are known, and the variables their keys stand in: none where the name says too little."""

_ALIKE = 0.8
"""How like a known name an unknown one must be, from 0 to 1, to be taken for a slip of the fingers."""

WHAT: dict[Kind, str] = {"vad": "VAD", "stt": "STT", "llm": "LLM", "tts": "TTS", "turn_detection": "turn detector"}


@dataclass(frozen=True, slots=True)
class Descriptor:
    """The parts of a descriptor. `name` is ``provider/model``."""

    kind: Kind
    name: str
    suffix: str | None = None
    options: dict[str, str] = field(default_factory=dict)

    @property
    def provider(self) -> str:
        return self.name.partition("/")[0]


def parse(kind: Kind, text: str) -> Descriptor:
    """Take a descriptor apart.

    Raises:
        UsageError: it has no provider or no model.
    """
    name, _, query = text.partition("?")
    name, _, suffix = name.partition(":")
    provider, _, model = name.partition("/")
    if not provider or not model:
        raise UsageError(
            f"The {WHAT[kind]} {text!r} is no descriptor: write 'provider/model', for example {DEFAULTS[kind]!r}."
        )
    return Descriptor(kind, name, suffix or None, dict(parse_qsl(query, keep_blank_values=True)))


def missing_keys(descriptor: Descriptor) -> list[str]:
    """The variables that a known service wants and that are not set."""
    return [name for name in KEYS.get(descriptor.provider, ()) if not os.environ.get(name)]


def check_name(descriptor: Descriptor) -> None:
    """Refuse a name that means nothing, with what was near."""
    kind, name = descriptor.kind, descriptor.name
    if "|" in name:
        raise UsageError(
            f"The {WHAT[kind]} {name!r} names a fallback, which comes in a later version; take one of them."
        )
    if name not in LOCAL[kind] and descriptor.provider not in KEYS:
        raise UsageError(f"Unknown {WHAT[kind]} {name!r}. {_hint(kind, name)}")


def check(descriptor: Descriptor) -> None:
    """Refuse what cannot be made here.

    Raises:
        UsageError: the name is unknown (with what was near), a key is missing (with its variable), or the service is
            not there yet.
    """
    kind, name = descriptor.kind, descriptor.name
    check_name(descriptor)
    if name in LOCAL[kind]:
        return
    what, local = WHAT[kind], DEFAULTS[kind]
    missing = missing_keys(descriptor)
    if missing:
        raise UsageError(
            f"The {what} {name!r} needs {' and '.join(missing)} in the environment; {local!r} needs no key."
        )
    raise UsageError(f"The {what} {name!r} cannot be reached by this version yet; {local!r} runs on this machine.")


def resolve(kind: Kind, given: Any) -> Any:
    """The node that `given` names; an object is taken as it is, None stays None.

    Raises:
        UsageError: see `check`; also an option that the engine does not take, an engine that is not installed here, and
            an object that is no node.
    """
    if given is None:
        return None
    try:
        return _made(kind, given) if isinstance(given, str) else _node(kind, given)
    except Exception as error:
        if not _planning.get():
            raise
        return Unresolved(kind, given if isinstance(given, str) else repr(given), str(error) or type(error).__name__)


def _hint(kind: Kind, name: str) -> str:
    here = f"Here there are {', '.join(LOCAL[kind])}."
    for other, names in LOCAL.items():
        if other != kind and name.casefold() in names:
            return f"It is a kind of {WHAT[other]}. {here}"
    near = _near(kind, name)
    if near is not None:
        return f"Did you mean {near!r}?"
    if name.casefold().startswith("local/"):
        return here
    return f"Known are local, {', '.join(KEYS)}. {here}"


def _near(kind: Kind, name: str) -> str | None:
    """A name that was probably meant. The parts are compared one by one: names that share one are all alike."""
    provider, _, model = name.partition("/")
    engines = {local.removeprefix("local/"): local for local in LOCAL[kind]}
    services = {service: f"{service}/{model}" for service in KEYS}
    meant = _nearest(provider, ["local", *services, *engines])
    if meant == "local":
        meant = _nearest(model, engines)
    return None if meant is None else engines.get(meant) or services.get(meant)


def _nearest(name: str, known: Iterable[str]) -> str | None:
    return next(iter(difflib.get_close_matches(name.casefold(), known, n=1, cutoff=_ALIKE)), None)


@dataclass(frozen=True, slots=True)
class Unresolved:
    """What `resolve` gives under `planning` for a string that names nothing usable. `label` is the string."""

    kind: Kind
    label: str
    reason: str
    needs_vad: bool = False


_planning: ContextVar[bool] = ContextVar("planning", default=False)


@contextlib.contextmanager
def planning() -> Iterator[None]:
    """Let a session be built although some of its nodes cannot be, to say of each what is wrong; it must not start."""
    token = _planning.set(True)
    try:
        yield
    finally:
        _planning.reset(token)


def _node(kind: Kind, given: Any) -> Any:
    wanted: type = getattr(importlib.import_module(f"agent_runtime.{kind}"), WHAT[kind])
    if isinstance(given, wanted):
        return given
    what, example = WHAT[kind], DEFAULTS[kind]
    if isinstance(given, type):
        raise UsageError(f"The {what} is the class {given.__name__}; give an object of it: {given.__name__}(...).")
    raise UsageError(
        f"The {what} is {given!r}; give a descriptor such as {example!r}, an object of class {what}, or None."
    )


def _made(kind: Kind, given: str) -> Any:
    descriptor = parse(kind, given)
    check(descriptor)
    module, _, name = LOCAL[kind][descriptor.name].partition(":")
    factory = getattr(importlib.import_module(module), name)
    node = factory(**_options(descriptor, given, _parameters(factory)))
    if not _planning.get():
        _check_installed(node)
    return node


def _check_installed(node: Any) -> None:
    info = node.describe() if hasattr(node, "describe") else None
    if info is not None and (info.missing is not None or not info.installed):  # a model folder may be wrong, too
        missing = info.missing or f"{info.descriptor} is not installed."
        sentence = f"{info.descriptor} is not installed; install it with: {missing}"
        raise UsageError(sentence if missing.startswith("pip ") else missing)


def _parameters(factory: Any) -> dict[str, inspect.Parameter]:
    """What an engine takes: the arguments of its class, and those it hands on to its `further_options`."""
    found: dict[str, inspect.Parameter] = {}
    for name, parameter in inspect.signature(factory).parameters.items():
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD:
            found[name] = parameter
        elif hasattr(factory, "further_options"):
            found |= _parameters(factory.further_options)
    return found


def _options(descriptor: Descriptor, given: str, takes: Mapping[str, inspect.Parameter]) -> dict[str, Any]:
    what = f"The {WHAT[descriptor.kind]} {given!r}"
    options: dict[str, str] = dict(descriptor.options)
    if descriptor.suffix is not None:
        option = SUFFIX_OPTION.get(descriptor.kind)
        if option is None or option not in takes:
            raise UsageError(f"{what} has a ':{descriptor.suffix}', which it knows nothing to do with; take it away.")
        if option in options:
            raise UsageError(f"{what} names its {option} twice, ':{descriptor.suffix}' and {option}=; take one away.")
        options[option] = descriptor.suffix
    for name in options:
        if name not in takes:
            near = difflib.get_close_matches(name, takes, n=1, cutoff=0.6)
            hint = f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(takes) or 'none'}."
            raise UsageError(f"{what} has the unknown option {name!r}; {hint}")
    for name, parameter in takes.items():
        if parameter.default is inspect.Parameter.empty and not options.get(name):
            raise UsageError(f"{what} needs {name}=; write '{descriptor.name}?{name}=...'.")
    return {name: _value(what, name, text, takes[name].annotation) for name, text in options.items()}


def _value(what: str, name: str, text: str, wanted: Any) -> str | int | float:
    kind = {int: "a whole number", float: "a number"}.get(wanted)
    if kind is None:
        return text
    try:
        value: int | float = wanted(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UsageError(f"{what} has {name}={text!r}; {name} is {kind}.")
    return value

"""What a string like ``local/espeak:en-gb``, ``openai/gpt-4.1?temperature=0.2`` or ``groq/qwen3 | local/rules`` names.

A descriptor is ``provider/model[:suffix][?name=value&...]``. The suffix is a language for a recogniser and a voice for a
synthesiser; the name of a language model may itself have slashes and colons. Several descriptors make a `chain`. Strings
are resolved when the session is built, so a wrong one fails before anybody is called. Where a model is asked: `routes`.
"""

import contextlib
import difflib
import importlib
import importlib.util
import inspect
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from agent_runtime.errors import UsageError
from agent_runtime.inference import chain, routes
from agent_runtime.inference.chain import Link
from agent_runtime.inference.chain import shown as shown
from agent_runtime.inference.routes import KEYS as KEYS
from agent_runtime.inference.routes import Key, Way
from agent_runtime.inference.routes import Kind as Kind

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

FALLBACKS: dict[Kind, str] = {"llm": "agent_runtime.inference.fallback:FallbackLLM"}
"""What asks several nodes of a kind in turn: a class that takes them, and `hedges`."""

_ALIKE = 0.75
"""How like a known name an unknown one must be, from 0 to 1, to be taken for a slip of the fingers: one
wrong letter in four."""

_SLIP = 0.87
"""The same where another name is no error: ``top_k`` is not meant for ``top_p``."""

PASSED_ON = "extra_kwargs"
"""The argument of a class that sends what it does not know to its service."""

WHAT: dict[Kind, str] = {"vad": "VAD", "stt": "STT", "llm": "LLM", "tts": "TTS", "turn_detection": "turn detector"}


@dataclass(frozen=True, slots=True)
class Descriptor:
    """The parts of a descriptor. `name` is ``provider/model``; a chain stays whole in it."""

    kind: Kind
    name: str
    suffix: str | None = None
    options: dict[str, str] = field(default_factory=dict)

    @property
    def provider(self) -> str:
        return self.name.partition("/")[0]

    @property
    def model(self) -> str:
        return self.name.partition("/")[2]

    @property
    def ways(self) -> list[Way]:
        return routes.ways(self.kind, self.provider, self.model, self.options)


def parse(kind: Kind, text: str) -> Descriptor:
    """Take a descriptor apart.

    Raises:
        UsageError: it has no provider or no model, a space in its name, or an option twice; or it is a chain that cannot
            be read.
    """
    links = chain.parse(text, what=WHAT[kind])
    if len(links) > 1:
        return Descriptor(kind, text)
    name, _, query = links[0].descriptor.partition("?")
    provider = name.partition("/")[0]
    suffix = ""
    if provider.casefold() == "local":
        name, _, suffix = name.partition(":")
    elif kind in SUFFIX_OPTION:
        name, _, suffix = _parted(name)
    if not provider or not name.partition("/")[2]:
        raise UsageError(
            f"The {WHAT[kind]} {shown(text)!r} is no descriptor: write 'provider/model', for example {DEFAULTS[kind]!r}."
        )
    return Descriptor(kind, name, suffix or None, _once(f"The {WHAT[kind]} {shown(text)!r}", query))


def _once(what: str, query: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name in options:
            raise UsageError(f"{what} gives {name}= twice; take one away.")
        options[name] = value
    return options


def _parted(name: str) -> tuple[str, str, str]:
    """Before the last colon, and behind it; a name without one is whole."""
    before, colon, after = name.rpartition(":")
    return (before, colon, after) if colon else (name, "", "")


def keys_of(kind: Kind, text: str) -> dict[str, bool]:
    """The variables that `text` needs, on the way that it would take, and whether each is set. Never raises."""
    try:
        links = chain.parse(text, what=WHAT[kind])
        found: dict[str, bool] = {}
        for link in links:
            descriptor = parse(kind, link.descriptor)
            if descriptor.name not in LOCAL[kind]:
                found |= {routes.name_of(key): routes.is_set(key) for key in _wanted(descriptor)}
    except UsageError:
        return {}
    return found


def _wanted(descriptor: Descriptor) -> tuple[Key, ...]:
    ways = descriptor.ways
    if not ways:
        return routes.keys_of(descriptor.provider)
    return (_open(ways) or _begun(ways) or ways[-1]).keys


def _open(ways: list[Way]) -> Way | None:
    return next((way for way in ways if not way.missing), None)


def _begun(ways: list[Way]) -> Way | None:
    return next((way for way in ways if way.begun), None)


def check_name(descriptor: Descriptor) -> None:
    """Refuse a name that means nothing, with what was near."""
    kind, name = descriptor.kind, descriptor.name
    if "|" in name:
        for link in chain.parse(name, what=WHAT[kind]):
            check_name(parse(kind, link.descriptor))
    elif name not in LOCAL[kind] and (descriptor.provider == "local" or not routes.is_known(descriptor.provider)):
        raise UsageError(f"Unknown {WHAT[kind]} {name!r}. {_hint(kind, name)}")


def check(descriptor: Descriptor) -> Way | None:
    """Refuse what cannot be made here; give the way to what can, None for an engine on this machine.

    Raises:
        UsageError: the name is unknown (with what was near), keys are missing (with their variables), or the service is
            not there yet.
    """
    kind, name = descriptor.kind, descriptor.name
    check_name(descriptor)
    if name in LOCAL[kind]:
        return None
    what, local, ways = WHAT[kind], DEFAULTS[kind], descriptor.ways
    if not ways and (kind == "llm") == (descriptor.provider in routes.WITHOUT_LLM):
        raise UsageError(
            f"The {what} {name!r} cannot be: no {what} of {descriptor.provider} is known; {local!r} runs on this machine."
        )
    way = _open(ways)
    if way is not None and importlib.util.find_spec(way.factory.partition(":")[0]) is not None:
        return way
    if way is None:
        needs = _needs(descriptor)
        if needs:
            raise UsageError(f"The {what} {name!r} needs {needs} in the environment; {local!r} needs no key.")
    raise UsageError(f"The {what} {name!r} cannot be reached by this version yet; {local!r} runs on this machine.")


def _needs(descriptor: Descriptor) -> str:
    """The variables that are missing: what a way that was begun still wants, else what each wants. Empty: none is."""
    begun = _begun(descriptor.ways)
    if begun is not None:
        return _names(begun.missing)
    ways = [way.keys for way in descriptor.ways] or [_wanted(descriptor)]
    lacking = [keys for keys in ways if not all(map(routes.is_set, keys))]
    return ", or ".join(" or ".join(keys[0]) if len(keys) == 1 else _names(keys) for keys in lacking)


def _names(keys: tuple[Key, ...]) -> str:
    return " and ".join(key[0] for key in keys)


def resolve(kind: Kind, given: Any) -> Any:
    """The node that `given` names; an object is taken as it is, None stays None.

    Raises:
        UsageError: see `check`; also an option that the engine does not take, an engine that is not installed here, and
            an object that is no node. Of a chain all that is wrong is said at once.
    """
    if given is None:
        return None
    try:
        return _made(kind, given) if isinstance(given, str) else _node(kind, given)
    except Exception as error:
        if not _planning.get():
            raise
        return Unresolved(kind, given if isinstance(given, str) else repr(given), str(error) or type(error).__name__)


def make(kind: Kind, links: Sequence[Link]) -> Any:
    """The one node that asks the links of a chain in turn.

    Raises:
        UsageError: what is wrong with each of them, or there are no chains of this kind.
    """
    if kind not in FALLBACKS:
        raise UsageError(f"A {WHAT[kind]} has no fallback yet; name one {WHAT[kind]}, as {DEFAULTS[kind]!r}.")
    nodes, wrong = [], []
    for link in links:
        try:
            nodes.append(_made(kind, link.descriptor))
        except UsageError as error:
            wrong.append(str(error))
    if wrong:
        raise UsageError(" ".join(wrong))
    module, _, name = FALLBACKS[kind].partition(":")
    return getattr(importlib.import_module(module), name)(nodes, hedges=[link.hedge for link in links])


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
    links = chain.parse(given, what=WHAT[kind])
    if len(links) > 1:
        return make(kind, links)
    descriptor = parse(kind, given)
    way = check(descriptor)
    module, _, name = (LOCAL[kind][descriptor.name] if way is None else way.factory).partition(":")
    factory = getattr(importlib.import_module(module), name)
    fixed = {} if way is None else way.arguments
    takes = {name: parameter for name, parameter in _parameters(factory).items() if name not in fixed}
    node = factory(**fixed, **_options(descriptor, given, takes))
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
    what = f"The {WHAT[descriptor.kind]} {shown(given)!r}"
    options: dict[str, str] = dict(descriptor.options)
    if descriptor.suffix is not None:
        option = SUFFIX_OPTION.get(descriptor.kind)
        if option is None or option not in takes:
            raise UsageError(f"{what} has a ':{descriptor.suffix}', which it knows nothing to do with; take it away.")
        if option in options:
            raise UsageError(f"{what} names its {option} twice, ':{descriptor.suffix}' and {option}=; take one away.")
        options[option] = descriptor.suffix
    passed_on = _passed_on(what, options, takes)
    for name, parameter in takes.items():
        if parameter.default is inspect.Parameter.empty and not options.get(name):
            raise UsageError(f"{what} needs {name}=; write '{descriptor.name}?{name}=...'.")
    values = {name: _value(what, name, text, takes[name].annotation) for name, text in options.items() if name in takes}
    return values | ({PASSED_ON: passed_on} if passed_on else {})


def _passed_on(what: str, options: Mapping[str, str], takes: Mapping[str, inspect.Parameter]) -> dict[str, Any]:
    """The options that the class does not know, where it sends such to its service as they are."""
    passed_on: dict[str, Any] = {}
    for name, text in options.items():
        if name in takes:
            continue
        near = difflib.get_close_matches(name, takes, n=1, cutoff=0.6 if PASSED_ON not in takes else _SLIP)
        if near or PASSED_ON not in takes:
            hint = f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(takes) or 'none'}."
            raise UsageError(f"{what} has the unknown option {name!r}; {hint}")
        passed_on[name] = _json_or_text(text)
    return passed_on


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _value(what: str, name: str, text: str, wanted: Any) -> Any:
    """An option's text as what the class's annotation wants: a number, true or false, JSON, else the text."""
    words = set(re.findall(r"\w+", str(wanted)))
    if text[:1] in ("[", "{") and words & {"dict", "list", "Mapping", "Sequence"}:
        return _json_or_text(text)
    if "bool" in words:
        if text not in ("true", "false"):
            raise UsageError(f"{what} has {name}={text!r}; {name} is true or false.")
        return text == "true"
    if not words & {"int", "float"} or "str" in words:
        return text
    number, kind = (float, "a number") if "float" in words else (int, "a whole number")
    try:
        value: int | float = number(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UsageError(f"{what} has {name}={text!r}; {name} is {kind}.")
    return value

"""A scenario: a call written down, with what is to come of it. The format is on the page docs/scenario-format.md.

Reading is strict: an unknown key, a value of the wrong kind, or a sentence that is none is a `UsageError` that names file,
line and key, and what was near.
"""

import inspect
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_args, get_type_hints, is_typeddict

from agent_runtime.errors import UsageError
from agent_runtime.inference.spending import Budget
from agent_runtime.testing import sounds
from agent_runtime.testing.caller import Caller
from agent_runtime.testing.expect import Expectation, parse
from agent_runtime.testing.scripted import Answer, Call, Fail, Part, Pause
from agent_runtime.testing.shapes import (
    Anything,
    Choice,
    Either,
    Fields,
    Flag,
    Items,
    Key,
    Number,
    OrNone,
    OrObject,
    Place,
    Shape,
    Table,
    Text,
    Verbs,
    compose,
    node_of,
    read_text,
)
from agent_runtime.testing.steps import Step, trigger
from agent_runtime.turns.options import TurnHandling, TurnHandlingOptions

SCHEMA = Path(__file__).with_name("scenario.schema.json")
"""The format as JSON schema, for editors."""

SUFFIXES = (".yaml", ".yml")

_SECONDS = Number(minimum=0, maximum=86_400)
_SOME_SECONDS = Number(above=0, maximum=86_400)


@dataclass(frozen=True)
class Scenario:
    """A call to be made.

    Attributes:
        name: of the call; by default that of its file.
        session: what `AgentSession` is given besides the nodes.
        instructions: the agent's.
        greeting: what the agent says of itself when the call begins; None: nothing.
        tools: what the agent's tools do, by name.
        models: for each node its settings, a descriptor, an object, or None for no such node. What is left out is
            scripted, with its defaults; with a script of the user's it is what that script names.
        caller: what the caller does.
        until: s after which the call is ended; None: when the caller has hung up, or 10 s after all that is planned.
        expect: what is to come of it.
        folder: where the sound files it names lie.
    """

    name: str
    session: Mapping[str, Any] = field(default_factory=dict)
    instructions: str = ""
    greeting: str | None = None
    tools: Mapping[str, "ScriptedTool"] = field(default_factory=dict)
    models: Mapping[str, Any] = field(default_factory=dict)
    caller: tuple[Mapping[str, Any], ...] = ()
    until: float | None = None
    expect: tuple[Expectation, ...] = ()
    folder: Path = field(default_factory=Path)

    @classmethod
    def of(cls, given: Mapping[str, Any], *, name: str = "a call") -> "Scenario":
        """From plain values, as they would stand in a file; for a node, and in `session`, also the objects themselves.

        Raises:
            UsageError: it is no scenario.
        """
        return _scenario(node_of(given), Place(name), name, Path())

    @classmethod
    def read(cls, text: str, *, name: str = "a call", file: str = "scenario", folder: Path | None = None) -> "Scenario":
        """From a YAML text."""
        return _scenario(compose(text, file), Place(file), name, folder or Path())

    @classmethod
    def load(cls, path: str | Path) -> "Scenario":
        """From a file."""
        path = Path(path)
        return cls.read(read_text(path), name=path.stem, file=str(path), folder=path.parent)

    def plan(self) -> Caller:
        """A new caller, who is to do what the scenario says."""
        caller = Caller()
        for spec in self.caller:
            caller.add(_step(spec, self.folder))
        return caller


def files_of(folder: Path) -> list[Path]:
    """The scenario files in a folder and in those below it (but hidden ones), by path.

    Raises:
        UsageError: there are none.
    """
    paths = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix in SUFFIXES and path.is_file() and not _is_hidden(path.relative_to(folder))
    )
    if not paths:
        raise UsageError(f"The folder '{folder}' holds no scenario; name one with files in it that end in .yaml.")
    return paths


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def scenario_text(given: Mapping[str, Any]) -> str:
    """Plain values as the text of a scenario file: for calls that were made up by a program and are to be kept.

    Raises:
        UsageError: it is no scenario, or one with an object that cannot be written down.
    """
    import yaml

    Scenario.of(given)
    try:
        return str(yaml.safe_dump(dict(given), sort_keys=False, allow_unicode=True, width=120))
    except yaml.representer.RepresenterError as error:
        raise UsageError(f"A scenario file cannot hold {error.args[-1]!r}; name it by a text.") from error


@dataclass(frozen=True)
class ScriptedTool:
    """A tool of the agent that does nothing for `takes` seconds, and then returns a text or fails."""

    returns: str = ""
    takes: float = 0.0
    error: str | None = None


# The shape of a file


def _settings(**keys: Key) -> Either:
    """A node: scripted with these settings, a descriptor, or an object; ``null`` for no such node."""
    return Either(scalar=OrObject(OrNone(Text())), mapping=Fields(keys))


_PART = Either(
    scalar=Text(),
    mapping=Verbs(
        {
            "say": Fields({"say": Key(Text())}),
            "call": Fields(
                {
                    "call": Key(Text(), "the name of a tool that the model calls"),
                    "arguments": Key(Table(Anything()), "what it is called with"),
                }
            ),
            "pause": Fields({"pause": Key(_SECONDS, "s in which no token comes")}),
            "never_ends": Fields({"never_ends": Key(Flag(only_true=True), "nothing comes any more")}),
            "error": Fields({"error": Key(Text(), "the model fails with this message")}),
        },
        "what the model does",
    ),
)
_ANSWER = Either(scalar=Text(), items=Items(_PART, at_least=1), mapping=_PART.mapping)

_MODELS = Fields(
    {
        "vad": Key(_settings(min_silence=Key(_SECONDS, "s of silence before it says that the voice has stopped"))),
        "stt": Key(
            _settings(
                delay=Key(_SECONDS, "s from the end of the voice to the final transcript"),
                interim_every=Key(OrNone(_SECONDS), "s between two interim transcripts; 0 or null: none come"),
                finals=Key(Choice(("once", "never", "twice", "late")), "what becomes of final transcripts"),
                late_by=Key(_SECONDS, "s by which they are late"),
                shrinking=Key(Flag(), "every second interim lacks a word that the one before had"),
            )
        ),
        "llm": Key(
            _settings(
                ttft=Key(_SECONDS, "s from the request to the first token"),
                tokens_per_second=Key(Number(above=0), "a token is a word with what follows it"),
                replies=Key(
                    Either(scalar=Text(), items=Items(_ANSWER), mapping=Table(_ANSWER)),
                    'by what was said last ("*": anything else), or one after another, or the same to everything',
                ),
            )
        ),
        "tts": Key(
            _settings(
                ttfb=Key(_SECONDS, "s from a phrase to its first sound"),
                words_per_second=Key(Number(above=0, maximum=100), "how fast it speaks"),
                real_time_factor=Key(Number(minimum=0), "s it takes to make a second of sound"),
                word_times=Key(Flag(), "whether it tells when each word sounds"),
                dies_after_samples=Key(Number(minimum=0, whole=True), "it fails when it has made so much, at 24 kHz"),
            )
        ),
    }
)

_WHEN = {
    "at": Key(_SECONDS, "s since the call began"),
    "after": Key(Text(), "what it waits for: agent speaks, agent stops, ..., or the name of an event"),
    "wait": Key(_SECONDS, "s after that, or after the step before"),
}
_SOUNDS = {
    "for": Key(_SOME_SECONDS, "s; the words are spread evenly over it"),
    "level": Key(Number(minimum=-90, maximum=20), "dB against the voice as it is"),
    "confidence": Key(Number(minimum=0, maximum=1), "what the recogniser gives its readings"),
    "heard_as": Key(Text(may_be_empty=True), "what the recogniser reads instead"),
    "sound": Key(Text(), "a WAV file that is played"),
}
_VOICE = _SOUNDS | _WHEN | {"with": Key(Text(), "a synthesiser that says it, for example local/flite")}

_NOISE = _SOUNDS | _WHEN
_TRUE = Key(Flag(only_true=True))

_STEP = Verbs(
    {
        **{
            verb: Fields({verb: Key(Text())} | _VOICE)
            for verb in ("say", "interrupt", "backchannel", "murmur", "aside")
        },
        "hesitate": Fields(
            {
                "hesitate": Key(Text(), "words with ... where the caller pauses"),
                "pause": Key(Either(scalar=_SECONDS, items=Items(_SECONDS, at_least=1)), "s of silence at each ..."),
                "for": _SOUNDS["for"],
                "level": _SOUNDS["level"],
                "confidence": _SOUNDS["confidence"],
            }
            | _WHEN
        ),
        **{verb: Fields({verb: _TRUE} | _NOISE) for verb in ("cough", "noise", "phone")},
        "keys": Fields({"keys": Key(Text(), "telephone keys; their tones are on the line")} | _WHEN),
        "silence": Fields({"silence": _TRUE, "for": _SOUNDS["for"]} | _WHEN),
        "hang_up": Fields({"hang_up": _TRUE} | _WHEN),
    },
    "what the caller does",
)

_TOOL = Fields(
    {
        "returns": Key(Text(may_be_empty=True), "what the tool tells the model"),
        "takes": Key(_SECONDS, "s until it is done"),
        "error": Key(Text(), "it fails with this message"),
    }
)


def _session() -> Fields:
    """What `AgentSession` takes besides the nodes, and what the agent of a scenario has."""
    from agent_runtime.session import AgentSession

    known: dict[str, Shape] = {
        "turn_handling": Anything(_keys_of(TurnHandlingOptions)),
        "max_tool_steps": Number(minimum=0, whole=True),
        "user_away_timeout": OrNone(_SOME_SECONDS),
        "tts_text_transforms": Items(OrObject(Text())),
        "on_error": OrNone(Text()),
        "budget": Anything({each.name: {} for each in fields(Budget)}),
    }
    taken = [name for name in inspect.signature(AgentSession.__init__).parameters if name != "self"]
    options = {
        name: Key(known.get(name, Anything()), "see AgentSession")
        for name in taken
        if name not in ("vad", "stt", "llm", "tts", "userdata")
    }
    return Fields(
        {
            "instructions": Key(Text(may_be_empty=True), "the agent's"),
            "greeting": Key(Text(), "what the agent says when the call begins"),
            "tools": Key(Table(_TOOL), "what the agent's tools do"),
            **options,
        }
    )


def _keys_of(kind: Any) -> dict[str, Any]:
    """The keys of a `TypedDict` of `TypedDict`s."""
    found: dict[str, Any] = {}
    for name, hint in get_type_hints(kind).items():
        inner = [each for each in (hint, *get_args(hint)) if is_typeddict(each)]
        found[name] = _keys_of(inner[0]) if inner else {}
    return found


def _file() -> Fields:
    return Fields(
        {
            "name": Key(Text(), "of the call"),
            "session": Key(_session(), "the session, and its agent"),
            "models": Key(_MODELS, "the nodes: settings of scripted ones, or descriptors"),
            "caller": Key(Items(_STEP), "what the caller does"),
            "until": Key(_SOME_SECONDS, "s after which the call is ended"),
            "expect": Key(Items(Text()), "sentences that are to be true of the call"),
        }
    )


def schema() -> dict[str, Any]:
    """The format as JSON schema: what stands in `SCHEMA`."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A scenario of agent-runtime",
        **_file().schema(),
    }


def schema_text() -> str:
    return json.dumps(schema(), indent=2) + "\n"


# From a file's values to a scenario


def _scenario(node: Any, place: Place, name: str, folder: Path) -> Scenario:
    given = _file().read(node, place)
    session = dict(given.get("session", {}))
    scenario = Scenario(
        name=given.get("name", name),
        instructions=session.pop("instructions", ""),
        greeting=session.pop("greeting", None),
        tools={tool: ScriptedTool(**spec) for tool, spec in session.pop("tools", {}).items()},
        session=session,
        models=given.get("models", {}),
        caller=tuple(given.get("caller", ())),
        until=given.get("until"),
        expect=tuple(_expectations(node, place, given.get("expect", ()))),
        folder=folder,
    )
    _check_session(scenario, _under(node, "session"), place / "session")
    _check_caller(scenario, _under(node, "caller"), place / "caller")
    return scenario


def _under(node: Any, key: str) -> Any:
    return next((value for name, value in node.value if name.value == key), node)


def _expectations(node: Any, place: Place, sentences: Any) -> Iterator[Expectation]:
    nodes = _under(node, "expect").value
    for number, sentence in enumerate(sentences):
        try:
            yield parse(sentence)
        except UsageError as error:
            raise (place / "expect" / (number + 1)).wrong(nodes[number], str(error)) from error


def _check_session(scenario: Scenario, node: Any, place: Place) -> None:
    try:
        if "turn_handling" in scenario.session:
            TurnHandling.of(scenario.session["turn_handling"])
    except UsageError as error:
        raise place.wrong(node, str(error)) from error


def _check_caller(scenario: Scenario, node: Any, place: Place) -> None:
    stt = scenario.models.get("stt")
    caller = Caller()
    for number, spec in enumerate(scenario.caller):
        here, at = place / (number + 1), node.value[number]
        if "sound" in spec and ("with" in spec or "for" in spec):
            raise here.wrong(at, "has a sound of its own, which is as long as it is; take 'for' and 'with' away.")
        if "with" in spec and "for" in spec:
            raise here.wrong(at, "is as long as the synthesiser makes it; take 'for' away.")
        if isinstance(stt, str) and _verb(spec) in WORDS and "sound" not in spec and "with" not in spec:
            raise here.wrong(
                at, f"has no sound that {stt!r} could understand; add 'with: local/flite' or 'sound: FILE.wav'."
            )
        try:
            if "after" in spec:
                trigger(spec["after"])
            sounds.key_tones(spec.get("keys", ""))
            caller.add(_step(spec, scenario.folder))
        except UsageError as error:
            raise here.wrong(at, str(error)) from error


WORDS = ("say", "hesitate", "interrupt", "backchannel", "murmur", "aside")

_VERBS = frozenset(_STEP.verbs)


def _verb(spec: Mapping[str, Any]) -> str:
    return next(key for key in spec if key in _VERBS)


def _step(spec: Mapping[str, Any], folder: Path) -> Step:
    verb: Any = _verb(spec)
    pause = spec.get("pause", 1.0)
    after, wait = spec.get("after"), spec.get("wait")
    if verb == "interrupt" and after is None and "at" not in spec:
        after, wait = "agent speaks", 1.0 if wait is None else wait
    return Step(
        verb,
        "" if spec[verb] is True else spec[verb],
        at=spec.get("at"),
        after=after,
        wait=wait or 0.0,
        lasting=spec.get("for"),
        pauses=pause if isinstance(pause, list) else [pause],
        level=spec.get("level", -12.0 if verb == "aside" else 0.0),
        confidence=spec.get("confidence"),
        heard_as=spec.get("heard_as"),
        sound=folder / spec["sound"] if "sound" in spec else None,
        voice=spec.get("with"),
    )


def answers(given: Any) -> Any:
    """The scripted model's replies, as `ScriptedLLM` takes them."""
    if isinstance(given, str):
        return {"*": given}
    if isinstance(given, list):
        return [_answer(each) for each in given]
    return {" ".join(said.split()): _answer(each) for said, each in given.items()}


def _answer(given: Any) -> Answer:
    parts = [_part(each) for each in (given if isinstance(given, list) else [given])]
    last = max((index for index, part in enumerate(parts) if isinstance(part, str)), default=-1)
    return [f"{part} " if isinstance(part, str) and index < last else part for index, part in enumerate(parts)]


def _part(given: Any) -> Part:
    if isinstance(given, str):
        return given
    if "say" in given:
        return str(given["say"])
    if "call" in given:
        return Call(given["call"], json.dumps(given.get("arguments") or {}, ensure_ascii=False))
    if "pause" in given:
        return Pause(given["pause"])
    return Pause(None) if "never_ends" in given else Fail(RuntimeError(given["error"]))

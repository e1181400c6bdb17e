"""Scenario files: what is read, what is refused and how that is said, and the JSON schema that says the same."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent_runtime.errors import UsageError
from agent_runtime.testing import Scenario, ScriptedLLM, ScriptedTTS, scenario_text, simulate
from agent_runtime.testing.scenario import SCHEMA, schema, schema_text
from agent_runtime.turns.detectors import TurnSoFar
from agent_runtime.turns.options import TurnHandling

ROOT = Path(__file__).parents[2]

PIZZA = re.search(r"```yaml\n(.*?)```", (ROOT / "docs/scenario-format.md").read_text("utf-8"), re.DOTALL)[1]  # type: ignore[index]


def test_the_example_of_the_page_is_read_as_it_stands() -> None:
    scenario = Scenario.read(PIZZA)
    assert scenario.name == "order a pizza"
    assert scenario.instructions == "You take orders."
    assert scenario.session == {"turn_handling": {"endpointing": {"min_delay": 0.5, "max_delay": 3.0}}}
    assert scenario.models["llm"]["replies"] == {"What is open?": "The bakery, until nine.", "*": "Certainly."}
    assert scenario.caller[0] == {"at": 0.5, "say": "What is open?", "for": 1.2}
    assert scenario.until == 14.0
    assert [each.text for each in scenario.expect] == [
        "agent starts speaking within 1.0 s of 1.7",
        'history user 1 is "What is open?"',
    ]
    assert simulate(scenario).ok


def test_a_text_is_what_is_written() -> None:
    written = "caller: [{say: no}, {say: 12:30}, {say: 42}, {say: 2024-01-01}, {say: 'on'}, {say: Who? Me?}]"
    assert [step["say"] for step in Scenario.read(written).caller] == [
        *("no", "12:30", "42", "2024-01-01", "on", "Who? Me?"),
    ]
    replies = Scenario.read("models: {llm: {replies: {yes: no, 7: seven}}}").models["llm"]["replies"]
    assert replies == {"yes": "no", "7": "seven"}


def test_every_key_may_be_left_out() -> None:
    assert Scenario.read("{}", name="x") == Scenario(name="x")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("caler: []", "f.yaml, line 1: has the unknown key 'caler'; did you mean 'caller'?"),
        (
            "name: x\nmodels:\n  stt:\n    dealy: 1",
            "f.yaml, line 4: models.stt has the unknown key 'dealy'; did you mean",
        ),
        ("models: {sst: {}}", "f.yaml, line 1: models has the unknown key 'sst'; did you mean 'stt'?"),
        ("models: {llm: {ttft: soon}}", "f.yaml, line 1: models.llm.ttft is 'soon'; it takes a number from 0 on"),
        ("models: {llm: {ttft: -1}}", "f.yaml, line 1: models.llm.ttft is -1; it takes a number from 0 on"),
        (
            "models: {tts: {words_per_second: 0}}",
            "models.tts.words_per_second is 0; it takes a number above 0 up to 100.",
        ),
        ("models: {stt: {finals: twise}}", "models.stt.finals is 'twise'; did you mean 'twice'?"),
        ("models: {vad: [1]}", "models.vad is a list; it takes a text or a mapping."),
        (
            "models: {llm: {replies: {a: [{cal: x}]}}}",
            "models.llm.replies.'a'.1 has the unknown key 'cal'; did you mean",
        ),
        ("caller:\n - {at: 1, sya: hello}", "f.yaml, line 2: caller.1 has the unknown key 'sya'; did you mean 'say'?"),
        ("caller: [{at: 1}]", "caller.1 does not say what the caller does; it takes one of say, interrupt,"),
        ("caller: [{say: a, cough: true}]", "caller.1 has both 'say' and 'cough'; make two of it."),
        ("caller: [{cough: yes please}]", "caller.1.cough is 'yes please'; it takes true."),
        ("caller: [{say: a, foor: 1}]", "caller.1 has the unknown key 'foor'; did you mean 'for'?"),
        ("caller: [{hang_up: true, for: 1}]", "caller.1 has the unknown key 'for'"),
        ("caller: [{say: a, at: 1, after: agent speaks}]", "caller.1 The caller's \"say 'a'"),
        (
            "caller: [{say: a, after: agent talks}]",
            "caller.1 after='agent talks' is nothing that can happen; did you mean",
        ),
        ("caller: [{keys: 12x}]", "caller.1 There is no telephone key 'x'"),
        ("caller: [{hesitate: a b}]", "caller.1 The hesitation 'a b' has no pause in it"),
        ("caller: [{say: a, with: local/espeak, for: 1}]", "caller.1 is as long as the synthesiser makes it"),
        ("caller: [{say: a, sound: a.wav, for: 1}]", "caller.1 has a sound of its own"),
        ("caller: {say: a}", "caller is a mapping; it takes a list."),
        ("caller:", "caller is nothing; it takes a list."),
        ("until: 0", "until is 0; it takes a number above 0 up to 86400."),
        ("until: 1\nuntil: 2", "f.yaml, line 2: has the key 'until' twice; take one away."),
        (
            "expect:\n  - agent sings at 3",
            "f.yaml, line 2: expect.1 'agent sings at 3' is no expectation that is known",
        ),
        ("expect: [event turn_comitted]", "expect.1 There is no event 'turn_comitted'; did you mean 'turn_committed'?"),
        ('expect:\n  - history user 1 is "He said: no"', "expect.1 is a mapping; it takes a text. Put the whole"),
        ("session: {instruction: x}", "session has the unknown key 'instruction'; did you mean 'instructions'?"),
        (
            "session: {turn_handling: {endpoint: {}}}",
            "session.turn_handling has the unknown key 'endpoint'; did you mean",
        ),
        (
            "session: {turn_handling: {endpointing: {min_dealy: 1}}}",
            "session.turn_handling.endpointing has the unknown key",
        ),
        (
            "session: {turn_handling: {endpointing: {min_delay: 9}}}",
            "session turn_handling endpointing has min_delay 9",
        ),
        (
            "session: {tools: {a: {return: b}}}",
            "session.tools.'a' has the unknown key 'return'; did you mean 'returns'?",
        ),
        ("- a", "f.yaml, line 1: is a list; it takes a mapping."),
        ("", "f.yaml: the file is empty"),
        ("a: [", "f.yaml, line 1: this is no YAML"),
        (
            "models: {stt: local/pocketsphinx}\ncaller: [{say: hello}]",
            "f.yaml, line 2: caller.1 has no sound that 'local/pocketsphinx' could understand; add 'with: local/flite'",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        Scenario.read(text, file="f.yaml")
    assert sentence in str(caught.value)
    assert str(caught.value).startswith("f.yaml")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"Cannot read .*none\.yaml: No such file"):
        Scenario.load(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes("name: Müller".encode("latin-1"))
    with pytest.raises(UsageError, match="no text in UTF-8"):
        Scenario.load(tmp_path / "latin.yaml")


def test_plain_values_are_the_same_as_a_file() -> None:
    values = yaml.safe_load(PIZZA.replace("say: What is open?", "say: 'What is open?'"))
    assert Scenario.of(values) == Scenario.read(PIZZA)
    with pytest.raises(UsageError, match=r"a call: models has the unknown key 'sst'"):
        Scenario.of({"models": {"sst": {}}})


def test_what_a_program_made_up_can_be_kept_as_a_file() -> None:
    values = {"caller": [{"at": 1, "say": "no"}, {"say": "a: b"}, {"wait": 0.5, "say": "12:30"}], "until": 4}
    text = scenario_text(values)
    assert Scenario.read(text) == Scenario.of(values)
    assert [step["say"] for step in Scenario.read(text).caller] == ["no", "a: b", "12:30"]
    with pytest.raises(UsageError):
        scenario_text({"x": 1})


# The schema


def test_the_schema_beside_the_reader_is_that_of_the_reader() -> None:
    assert SCHEMA.read_text("utf-8") == schema_text(), (
        "write it again: python -c 'from agent_runtime.testing.scenario import *; SCHEMA.write_text(schema_text())'"
    )


def fits(value: Any, rule: Mapping[str, Any]) -> bool:
    """Whether a value is what a JSON schema says, as far as ours go."""
    kinds: dict[str, Any] = {
        "object": dict,
        "array": list,
        "string": str,
        "boolean": bool,
        "null": type(None),
        "integer": int,
        "number": (int, float),
    }
    for name, given in rule.items():
        match name:
            case "type":
                allowed = tuple(kinds[each] for each in ([given] if isinstance(given, str) else given))
                flat = tuple(kind for each in allowed for kind in (each if isinstance(each, tuple) else (each,)))
                if not isinstance(value, flat) or (isinstance(value, bool) and bool not in flat):
                    return False
            case "const" | "enum":
                if value not in (given if name == "enum" else [given]):
                    return False
            case "minimum" | "exclusiveMinimum" | "maximum":
                if not {"minimum": value >= given, "exclusiveMinimum": value > given, "maximum": value <= given}[name]:
                    return False
            case "required":
                if not set(given) <= set(value):
                    return False
            case "additionalProperties":
                rest = value.keys() - rule.get("properties", {}).keys()
                if rest and (given is False or not all(fits(value[each], given) for each in rest)):
                    return False
            case "properties":
                if not all(fits(value[each], inner) for each, inner in given.items() if each in value):
                    return False
            case "items":
                if not all(fits(each, given) for each in value):
                    return False
            case "minItems":
                if len(value) < given:
                    return False
            case "anyOf" | "oneOf":
                count = sum(fits(value, each) for each in given)
                if count == 0 or (name == "oneOf" and count > 1):
                    return False
            case "$schema" | "title" | "description":
                pass
            case _:
                raise AssertionError(f"this test does not know {name!r}")
    return True


GOOD: list[dict[str, Any]] = [
    {},
    yaml.safe_load(PIZZA.replace("say: What is open?", "say: 'What is open?'")),
    {"caller": [{"say": "a"}, {"hesitate": "a ... b", "pause": [1.0]}, {"silence": True, "for": 1}, {"keys": "12"}]},
    {"caller": [{"cough": True, "level": -3, "heard_as": "", "confidence": 0.5, "after": "agent speaks", "wait": 0}]},
    {"models": {"vad": None, "stt": "local/pocketsphinx", "llm": {"replies": "x"}, "tts": {"word_times": False}}},
    {"models": {"llm": {"replies": ["a", ["b", {"pause": 1}, {"call": "t", "arguments": {"x": 1}}], {"error": "e"}]}}},
    {"models": {"llm": {"replies": {"a": {"never_ends": True}}}, "stt": {"interim_every": None, "finals": "late"}}},
    {"session": {"tools": {"t": {"returns": "x", "takes": 1, "error": "e"}}, "user_away_timeout": None}},
    {"session": {"max_tool_steps": 2, "greeting": "hi", "tts_text_transforms": ["filter_emoji"]}},
]

BAD: list[dict[str, Any]] = [
    {"x": 1},
    {"until": 0},
    {"until": "soon"},
    {"models": {"llm": {"ttft": -1}}},
    {"models": {"llm": {"replies": []}, "tts": {"dies_after_samples": 1.5}}},
    {"models": {"stt": {"finals": "sometimes"}}},
    {"models": {"llm": {"replies": {"a": []}}}},
    {"models": {"llm": {"replies": {"a": {"call": "t", "pause": 1}}}}},
    {"models": {"vad": []}},
    {"caller": [{}]},
    {"caller": [{"at": 1}]},
    {"caller": [{"say": "a", "cough": True}]},
    {"caller": [{"cough": False}]},
    {"caller": [{"hang_up": True, "for": 1}]},
    {"caller": {"say": "a"}},
    {"caller": [{"say": ["a"]}]},
    {"session": {"turn_handling": {"endpoint": {}}}},
    {"session": {"tools": {"t": {"gives": 1}}}},
    {"session": {"max_tool_steps": -1}},
    {"expect": "agent speaks once"},
]


@pytest.mark.parametrize("values", GOOD)
def test_reader_and_schema_take_the_same(values: dict[str, Any]) -> None:
    assert fits(values, schema())
    Scenario.of(values)


@pytest.mark.parametrize("values", BAD)
def test_reader_and_schema_refuse_the_same(values: dict[str, Any]) -> None:
    assert not fits(values, schema())
    with pytest.raises(UsageError):
        Scenario.of(values)


def test_the_schema_is_json_that_editors_read() -> None:
    assert json.loads(SCHEMA.read_text("utf-8"))["$schema"].endswith("2020-12/schema")


# Objects, from Python


class Hasty:
    """A turn detector of the user's own."""

    label = "hasty"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def predict(self, turn: TurnSoFar) -> float:
        self.asked.append(turn.text)
        return 1.0


OPEN: dict[str, Any] = {
    "models": {"llm": {"replies": "Which one?"}},
    "caller": [{"at": 0.5, "say": "I would like to order a", "for": 1.2}],
    "until": 8,
}


@pytest.mark.parametrize("whole", [False, True])
def test_a_turn_detector_may_be_an_object(whole: bool) -> None:
    detector = Hasty()
    given: Any = {"turn_detection": detector, "endpointing": {"min_delay": 0.4}}
    handling = TurnHandling.of(given) if whole else given
    call = simulate({**OPEN, "session": {"turn_handling": handling}})
    call.expect("user turn 1 is committed within 0.01 s of 2.1")
    assert detector.asked[-1] == "I would like to order a"
    simulate(OPEN).expect("user turn 1 is committed within 0.01 s of 4.7")


def test_nodes_and_transforms_may_be_objects() -> None:
    model = ScriptedLLM({"*": "Which one?"})
    call = simulate(
        {
            **OPEN,
            "models": {"llm": model, "tts": ScriptedTTS(ttfb=0.5)},
            "session": {"tts_text_transforms": [str.upper, "filter_emoji"]},
        }
    )
    call.expect('history agent 1 is "Which one?"')
    assert call.turns[0].first_sample == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (
            {"session": {"turn_handling": {"turn_detection": object}}},
            "turn_handling turn_detection is <class 'object'>",
        ),
        ({"session": {"turn_handling": {"endpointing": Hasty()}}}, "it takes a dict"),
        ({"name": Hasty()}, "name is <"),
        ({"until": Hasty()}, "until is <"),
        ({"caller": Hasty()}, "caller is a single value; it takes a list."),
    ],
)
def test_an_object_in_a_wrong_place_is_refused(given: Any, sentence: str) -> None:
    with pytest.raises(UsageError, match=re.escape(sentence)):
        Scenario.of(given)


def test_an_object_cannot_be_written_down() -> None:
    with pytest.raises(UsageError, match=r"A scenario file cannot hold <.*Hasty.*>; name it by a text\."):
        scenario_text({"session": {"turn_handling": {"turn_detection": Hasty()}}})

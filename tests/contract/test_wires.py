"""What we send for a call is, field by field, what the official SDKs send for it; what we do not is in `allowed`, with why.

The other way round, the SDKs have understood our scripted server as it was meant, so it may stand for the services in other
tests. No SDK is needed here: what they did stands in golden/, which `make golden` writes. The rows of the documents that a
comparison proves are in the id of its test.
"""

import functools
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from agent_runtime.errors import APIError, JSONSchemaValidationError
from agent_runtime.llm import CollectedResponse
from tests.contract import ours
from tests.contract.allowed import ALLOWED
from tests.contract.calls import CALLS, HISTORIES, Call
from tests.contract.golden import ENVIRONMENTS, GOLDEN, ROOT, SDKS, digest_of_answer, digest_of_script
from tests.contract.material import COOKIES, SAID, SEEN
from tests.contract.normal import ABSENT, differences, gemini, said_of

JSON = Any
Found = tuple[str, str, str, JSON, JSON]
"""SDK, call, field, ours, theirs."""

READERS = tuple(sdk for sdk in SDKS if sdk != "services")
FORMS = ("anthropic", "anthropic-strict", "aws")
EMBEDDINGS = {"google": {"dimensions": 256, "task_type": "RETRIEVAL_QUERY"}, "litellm": {}}


@pytest.fixture(autouse=True)
def nothing_of_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "AGENT_RUNTIME_SERVICES"):
        monkeypatch.delenv(name, raising=False)


@functools.cache
def golden(name: str) -> JSON:
    return json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))


def theirs(sdk: str, call: str) -> JSON:
    told = golden(sdk)
    return {"refused": told["refused"][call]} if call in told["refused"] else ours.one(told["calls"][call])


def compared(sdk: str, call: str, mine: JSON, other: JSON) -> Iterator[Found]:
    """The differences. That both refuse is none, whatever they say of it."""
    if "refused" in mine or "refused" in other:
        mine, other = mine.get("refused", ABSENT), other.get("refused", ABSENT)
        if mine is ABSENT or other is ABSENT:
            yield sdk, call, "refused", mine, other
        return
    for field, one, another in differences(mine, other):
        yield sdk, call, field, one, another


@functools.cache
def of_call(sdk: str, call: Call) -> list[Found]:
    return list(compared(sdk, call.name, ours.sent(sdk, call), theirs(sdk, call.name)))


@functools.cache
def of_embedding(sdk: str) -> list[Found]:
    return list(compared(sdk, "embed_many", ours.embedded(sdk, **EMBEDDINGS[sdk]), theirs(sdk, "embed_many")))


@functools.cache
def of_conversion(form: str, history: str) -> list[Found]:
    told = golden("livekit")["converted"][form][history]
    if form == "google" and "refused" not in told:
        told = {**told, "messages": gemini(told["messages"])}
    return list(compared(f"livekit-{form}", history, ours.converted(form, history), told))


@functools.cache
def of_tools(form: str) -> list[Found]:
    told = {str(number): tool for number, tool in enumerate(golden("livekit")["tools"][form])}
    mine = ours.declared(form)
    mine = mine if isinstance(mine, dict) else {str(number): tool for number, tool in enumerate(mine)}
    return list(compared(f"livekit-{form}", "tools", mine, told))


def told_of(found: list[Found]) -> list[str]:
    """Those that are not allowed, for people."""
    return [
        f"{field}: ours {one!r:.200}, theirs {another!r:.200}"
        for sdk, call, field, one, another in found
        if not any(each.covers(sdk, call, field, one, another) for each in ALLOWED)
    ]


JUDGED = [(sdk, call) for sdk in SDKS for call in CALLS if sdk in call.judges]
CONVERTED = [(form, history) for form in ours.CONVERTED for history in HISTORIES]


def _id(sdk: str, call: Call) -> str:
    return "-".join([sdk, call.name, *call.judges[sdk].split()])


# What we send


@pytest.mark.parametrize(("sdk", "call"), [pytest.param(*each, id=_id(*each)) for each in JUDGED])
def test_what_we_send_is_what_the_sdk_sends(sdk: str, call: Call) -> None:
    assert told_of(of_call(sdk, call)) == []


@pytest.mark.parametrize("sdk", [pytest.param(sdk, id=f"{sdk}-embed_many-D3") for sdk in EMBEDDINGS])
def test_what_we_send_for_vectors_is_what_the_sdk_sends(sdk: str) -> None:
    assert told_of(of_embedding(sdk)) == []


@pytest.mark.parametrize(("form", "history"), CONVERTED)
def test_a_conversation_is_told_as_livekit_agents_tells_it(form: str, history: str) -> None:
    assert told_of(of_conversion(form, history)) == []


@pytest.mark.parametrize("form", FORMS)
def test_tools_are_told_as_livekit_agents_tells_them(form: str) -> None:
    assert told_of(of_tools(form)) == []


def everything() -> Iterator[Found]:
    for sdk, call in JUDGED:
        yield from of_call(sdk, call)
    for sdk in EMBEDDINGS:
        yield from of_embedding(sdk)
    for form, history in CONVERTED:
        yield from of_conversion(form, history)
    for form in FORMS:
        yield from of_tools(form)


def test_every_difference_that_is_allowed_is_there() -> None:
    found = list(everything())
    stale = [each for each in ALLOWED if not any(each.covers(*difference) for difference in found)]
    assert stale == []


# What the golden files hold


@pytest.mark.parametrize("sdk", SDKS)
def test_every_call_of_an_sdk_is_compared(sdk: str) -> None:
    told = golden(sdk)
    ours_of_it = {call.name for call in CALLS if sdk in call.judges} | ({"embed_many"} if sdk in EMBEDDINGS else set())
    assert {*told["calls"], *told["refused"]} == ours_of_it
    assert len(ours_of_it) >= 12


def test_every_conversation_is_compared() -> None:
    assert {form: {*told} for form, told in golden("livekit")["converted"].items()} == {
        form: {*HISTORIES} for form in ours.CONVERTED
    }


@pytest.mark.parametrize("sdk", SDKS)
def test_the_golden_files_are_of_the_pinned_version(sdk: str) -> None:
    name = ENVIRONMENTS.get(sdk, sdk)
    packages = {"google": "google-genai", "livekit": "livekit-agents"}
    pins = (ROOT / "requirements" / f"env-{name}.txt").read_text(encoding="utf-8")
    pinned = re.search(rf"^{packages.get(name, name)}==(\S+)", pins, re.MULTILINE)
    assert pinned is not None
    assert golden(sdk)["version"] == pinned[1]
    if sdk in READERS:
        assert golden(f"{sdk}-read")["version"] == pinned[1]


@pytest.mark.parametrize("sdk", SDKS)
def test_the_golden_files_are_of_these_scripts_and_answers(sdk: str) -> None:
    assert golden(sdk)["script"] == digest_of_script(sdk), "the calls are others now: make golden"
    if sdk not in READERS:
        return
    read = golden(f"{sdk}-read")
    assert read["answers"] == {name: digest_of_answer(sdk, name) for name in read["read"]}, (
        "the scripted server says something else than the SDK has read: make golden"
    )


def test_the_rows_are_proved() -> None:
    """D6 and D9 are about what comes; see below."""
    proved = {row for call in CALLS for rows in call.judges.values() for row in rows.split()} | {"D6", "D9"}
    wanted = {"A2", "A7", *(f"B{number}" for number in range(1, 17)), "D1", "D30"}
    wanted |= {f"D{number}" for number in range(4, 18)} | {f"D{number}" for number in range(21, 29)}
    assert wanted <= proved


# What they read

FINISHES = {
    "openai": ("stop", "tool_calls", "length"),
    "litellm": ("stop", "tool_calls", "length"),
    "anthropic": ("end_turn", "tool_use", "max_tokens"),
    "boto3": ("end_turn", "tool_use", "max_tokens"),
    "google": ("STOP", "STOP", "MAX_TOKENS"),
}
ROWS = {"reasoning": "D6", "whole-fit": "D9", "whole-unfit": "D9", "whole-picture": "D30", "whole-sound": "D28"}
READ = [(sdk, name) for sdk in READERS for name in golden(f"{sdk}-read")["read"]]


def _with_row(*names: str) -> str:
    return "-".join([*names, *([ROWS[names[-1]]] if names[-1] in ROWS else [])])


def finish_of(sdk: str, told: JSON) -> str:
    return FINISHES[sdk][2 if told.get("cut") else 1 if told.get("calls") else 0]


@pytest.mark.parametrize(("sdk", "name"), [pytest.param(*each, id=_with_row(*each)) for each in READ])
def test_the_sdk_understands_what_the_scripted_server_says(sdk: str, name: str) -> None:
    read = dict(golden(f"{sdk}-read")["read"][name])
    told = {**SAID, **SEEN}[name.removeprefix("whole-")]
    if "error" in told:
        assert read["error"][1] == told["error"]
        assert read.get("text", "Well, ") == told["text"], "what came before"
        return
    if "unfit" in read:
        assert read["unfit"] == told["text"]
        return
    expected = {"text": told.get("text", ""), "reasoning": told.get("reasoning", ""), "audio": told.get("audio", "")}
    expected |= {"images": told.get("images", []), "calls": calls_of(told.get("calls", []))}
    read["calls"] = calls_of([[call["name"], call["arguments"]] for call in read.get("calls", [])])
    assert {key: read[key] for key in expected if key in read} == {
        key: expected[key] for key in expected if key in read
    }
    if "finish" in read:
        assert read["finish"] == finish_of(sdk, told)
    said = said_of(told)
    for key, value in read.get("usage", {}).items():
        assert value == getattr(said, key), key


def calls_of(calls: JSON) -> list[tuple[str, JSON]]:
    return [(name, json.loads(each) if isinstance(each, str) else each) for name, each in calls]


# What we read


@pytest.mark.parametrize("sdk", READERS)
@pytest.mark.parametrize("name", [pytest.param(name, id=_with_row(name)) for name in SAID])
def test_we_understand_the_same(sdk: str, name: str) -> None:
    told = SAID[name]
    said = said_of(told)
    read = ours.read(sdk, said)
    if said.error:
        assert isinstance(read, APIError)
        assert said.error in str(read)
        return
    assert isinstance(read, CollectedResponse)
    assert read.text == said.text
    assert [(call.name, json.loads(call.arguments)) for call in read.tool_calls] == calls_of(told.get("calls", []))
    assert read.extra.get("reasoning", "") == said.reasoning
    assert read.extra["finish_reason"] == ("length" if said.cut else "tool_calls" if said.calls else "stop")
    usage = read.usage
    assert usage is not None
    counts = (usage.prompt_tokens, usage.completion_tokens, usage.prompt_cached_tokens)
    assert counts == (said.prompt_tokens, said.completion_tokens, said.cached_tokens)
    if sdk not in ("anthropic", "boto3"):  # which do not count apart what was thought
        assert usage.reasoning_tokens == said.reasoning_tokens


@pytest.mark.parametrize("name", [pytest.param("picture", id="picture-D30"), pytest.param("sound", id="sound-D28")])
def test_we_understand_pictures_and_sound(name: str) -> None:
    told = SEEN[name]
    asked = {"modalities": ["audio"]} if name == "sound" else {"modalities": ["image", "text"]}
    read = ours.read("google", said_of(told), **asked)
    assert isinstance(read, CollectedResponse)
    assert [uri.partition(",")[2] for uri in read.extra.get("images", [])] == told.get("images", [])
    assert read.extra.get("audio", {}).get("data", "") == told.get("audio", "")


@pytest.mark.parametrize("name", ["fit", "unfit"])
def test_d9_what_does_not_fit_its_schema_is_an_error(name: str) -> None:
    """As LiteLLM has it, with the answer in the error."""
    wanted = {"type": "json_object", "response_schema": COOKIES, "enforce_validation": True}
    told = golden("litellm-read")["read"][f"whole-{name}"]
    read = ours.read("litellm", said_of(SEEN[name]), response_format=wanted)
    if isinstance(read, APIError):
        assert isinstance(read, JSONSchemaValidationError)
        assert told == {"unfit": read.raw_response}
    else:
        assert told == {"text": read.text}

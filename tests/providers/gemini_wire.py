"""What Gemini says, for tests: messages of a stream, and the rules that it checks a conversation by."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from agent_runtime.providers.gemini.llm import GeminiLLM
from tests.providers.wires import Scripted

JSON = dict[str, Any]


def parts(*given: JSON, finish: str | None = None, index: int = 0, **candidate: Any) -> JSON:
    """A message with these parts."""
    made: JSON = {"content": {"role": "model", "parts": list(given)}, **candidate}
    if index:
        made["index"] = index
    if finish:
        made["finishReason"] = finish
    return {"candidates": [made], "responseId": "r-1"}


def says(*pieces: str, finish: str = "STOP", **usage: int) -> list[JSON]:
    """A spoken answer: its pieces, and the tokens with the last of them."""
    messages = [parts({"text": piece}) for piece in pieces]
    messages[-1]["candidates"][0]["finishReason"] = finish
    counts = {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15, **usage}
    messages[-1]["usageMetadata"] = counts
    return messages


def stream(messages: Sequence[JSON]) -> bytes:
    """The bytes of a stream, as Google frames it."""
    return b"".join(b"data: " + json.dumps(each).encode() + b"\r\n\r\n" for each in messages)


def refusal(code: int, status: str, message: str, *details: JSON) -> httpx.Response:
    error = {"code": code, "message": message, "status": status, "details": list(details)}
    return httpx.Response(code, json={"error": error})


SAID = stream(says("Hello ", "there."))


def gemini(
    *answers: bytes | httpx.Response, model: str = "gemini-2.5-flash", **options: Any
) -> tuple[GeminiLLM, Scripted]:
    """A model, and the service that it asks."""
    service = Scripted(*(answers or (SAID,)))
    return GeminiLLM(model, **{"api_key": "key-1234567", **options}, transport=service), service


def turns(body: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """``contents`` to compare: who speaks, and the texts or kinds of the parts."""
    return [
        (turn["role"], [part["text"] if "text" in part else next(iter(part)) for part in turn["parts"]])
        for turn in body["contents"]
    ]


def check(body: Mapping[str, Any], *, signed: bool = False) -> None:
    """Gemini's rules for a conversation; AssertionError where it would answer 400."""
    contents = body["contents"]
    assert contents[0]["role"] == "user", "the user has the first word"
    assert contents[-1]["role"] == "user", "and the last"
    before: JSON | None = None
    for turn in contents:
        _check_parts(turn)
        results = [part["functionResponse"] for part in turn["parts"] if "functionResponse" in part]
        called = _calls(before) if before is not None else []
        if results:
            assert len(results) == len(turn["parts"]), "results stand by themselves"
            assert [each["name"] for each in results] == [each["name"] for each in called], "as they were called"
            assert [each.get("id") for each in results] == [each.get("id") for each in called]
        else:
            assert not called, "calls are followed by their results"
            after_results = before is not None and any("functionResponse" in part for part in before["parts"])
            assert before is None or before["role"] != turn["role"] or after_results, "they take turns"
        if signed and _calls(turn):
            first = next(part for part in turn["parts"] if "functionCall" in part)
            assert first["thoughtSignature"], "the third generation wants the first call signed"
        before = turn
    for part in body.get("systemInstruction", {"parts": []})["parts"]:
        assert part["text"].strip()


def _check_parts(turn: JSON) -> None:
    assert turn["role"] in ("user", "model")
    assert turn["parts"], "no turn is empty"
    for part in turn["parts"]:
        kinds = part.keys() - {"thoughtSignature"}
        assert len(kinds) == 1, part
        assert "text" not in part or part["text"].strip(), "no part is empty"
        if "functionCall" in part:
            assert isinstance(part["functionCall"]["args"], dict)
            assert turn["role"] == "model"


def _calls(turn: JSON) -> list[JSON]:
    return [part["functionCall"] for part in turn["parts"] if "functionCall" in part]

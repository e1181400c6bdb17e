"""Answers of models broken in every way, at every place, on every wire; and what each client is to make of it."""

import asyncio
import json
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from agent_runtime import clock, inference
from agent_runtime.errors import APIConnectionError, APIError, APIStatusError, APITimeoutError
from agent_runtime.llm import LLM, FunctionToolCall
from agent_runtime.providers.anthropic.llm import AnthropicLLM
from agent_runtime.providers.bedrock.llm import BedrockLLM
from agent_runtime.providers.gemini.llm import GeminiLLM
from agent_runtime.providers.openai.llm import OpenAILLM
from agent_runtime.testing.faults import Cut, Drip, Drop, Fault, FaultProxy, Insert, Latency, Reset, Stall, Status
from agent_runtime.testing.model_server import ModelServer, Received, Said, aws_message, told
from agent_runtime.types import APIConnectOptions
from tests.providers.wires import HELLO, conversation, get_weather

TIMEOUT_S = 0.8
FIRST_TOKEN_S = 1.6
PATIENT = APIConnectOptions(max_retry=1, retry_interval=0.1, timeout=TIMEOUT_S, first_token_timeout=FIRST_TOKEN_S)
SLACK_S = 1.5
"""For a machine that does something else besides."""

LONGEST = 262_144
"""What the tests put in the place of the bound of a line, and of a frame: the real ones are tens of megabytes."""

ARGUMENTS = {"city": "Düsseldörf äußerst süd"}
CALLS = [("get_weather", ARGUMENTS)]
SAID = Said("Grüße übern Rhein für Jürgen und Käthe.", calls=CALLS)
ALONE = Said(calls=CALLS)


# Who is asked


@dataclass(frozen=True)
class Client:
    """A client, and how its wire is written."""

    make: Callable[[str], LLM]
    path: str
    finish: bytes
    """Stands in the message that says why the answer ended, in the text that it is cut in."""
    error: Callable[[int], tuple[bytes, int]]
    """A message that says that the service failed with a status, and the status that it is then taken for."""

    def body(self, said: Said) -> bytes:
        return told(Received("POST", self.path, {}, b'{"stream": true}'), said)[1]

    @property
    def is_binary(self) -> bool:
        return self.path.endswith("converse-stream")


def _openai_error(status: int) -> tuple[bytes, int]:
    return _event({"error": {"message": "injected", "type": "injected", "code": status}}), status


def _gemini_error(status: int) -> tuple[bytes, int]:
    return _event({"error": {"code": status, "message": "injected", "status": "INJECTED"}}), status


def _anthropic_error(status: int) -> tuple[bytes, int]:
    named = {
        401: ("authentication_error", 401),
        403: ("permission_error", 403),
        404: ("not_found_error", 404),
        408: ("timeout_error", 504),
        413: ("request_too_large", 413),
        429: ("rate_limit_error", 429),
        500: ("api_error", 500),
    }
    kind, taken_for = named.get(status, ("overloaded_error", 529))
    return _event({"type": "error", "error": {"type": kind, "message": "injected"}}), taken_for


def _bedrock_error(status: int) -> tuple[bytes, int]:
    named = {
        401: ("accessDeniedException", 403),
        403: ("accessDeniedException", 403),
        404: ("resourceNotFoundException", 404),
        408: ("modelTimeoutException", 408),
        413: ("validationException", 400),
        429: ("throttlingException", 429),
        500: ("internalServerException", 500),
    }
    kind, taken_for = named.get(status, ("serviceUnavailableException", 503))
    return aws_message(kind, {"message": "injected"}, message_type="exception"), taken_for


def _event(message: object) -> bytes:
    return b"data: " + json.dumps(message).encode() + b"\n\n"


_OPENAI_FINISH = b'"finish_reason": "tool_'
_OPENAI_PATH = "/v1/chat/completions"
_GEMINI_PATH = "/v1beta/models/m:streamGenerateContent?alt=sse"

CLIENTS: dict[str, Client] = {
    "openai": Client(
        lambda url: OpenAILLM("m", base_url=f"{url}/v1", api_key="key-1", conn_options=PATIENT),
        *(_OPENAI_PATH, _OPENAI_FINISH, _openai_error),
    ),
    "inference": Client(
        lambda url: inference.LLM("m", base_url=f"{url}/v1", api_key="key", api_secret="s" * 32, conn_options=PATIENT),
        *(_OPENAI_PATH, _OPENAI_FINISH, _openai_error),
    ),
    "anthropic": Client(
        lambda url: AnthropicLLM("m", base_url=url, api_key="key-1", conn_options=PATIENT),
        *("/v1/messages", b'"stop_reason": "tool_', _anthropic_error),
    ),
    "gemini": Client(
        lambda url: GeminiLLM("m", base_url=url, api_key="key-1", conn_options=PATIENT),
        *(_GEMINI_PATH, b'"finishReason": "ST', _gemini_error),
    ),
    "bedrock": Client(
        lambda url: BedrockLLM("m", base_url=url, bearer_token="key-1", conn_options=PATIENT),
        *("/model/m/converse-stream", b'"stopReason": "tool_', _bedrock_error),
    ),
}


# Where


PLACES = ("unanswered", "before", "between", "arguments", "alone", "end", "after")
"""Before the answer's head; before the first token; between tokens; in the arguments of a call, behind text; in those of
a call that is all of the answer; before the finish reason; behind it, where the end mark, the usage and the connection's end
are to come.
"""

_TARGETS = {"before": "Grüße", "between": "für", "arguments": "ldörf", "alone": "ldörf"}


@dataclass(frozen=True)
class Spot:
    """A place in an answer, in bytes: where the message in question begins, what is in it."""

    start: int
    message: bytes
    text: int
    """Where in the message the text is that makes it the one."""

    @property
    def character(self) -> int | None:
        """In the middle of the first character that has two bytes."""
        return next((self.start + at + 1 for at, byte in enumerate(self.message) if byte & 0xE0 == 0xC0), None)

    @property
    def line(self) -> int | None:
        return self.start + 9 if self.message else None

    @property
    def string(self) -> int | None:
        return self.start + self.text if self.message else None


def spot(client: Client, place: str) -> Spot:
    messages = list(_messages(client, client.body(said_at(place))))
    finish = next(index for index, message in enumerate(messages) if client.finish in message)
    if place == "after":
        start = sum(map(len, messages[: finish + 1]))
        message = messages[finish + 1] if finish + 1 < len(messages) else b""
        return Spot(start, message, len(message) // 2)
    target = client.finish if place == "end" else _TARGETS[place].encode()
    number = next(index for index, message in enumerate(messages) if target in message)
    message = messages[number]
    within = message.index(target) + (len(target) if place == "end" else 1)
    return Spot(sum(map(len, messages[:number])), message, within)


def said_at(place: str) -> Said:
    return ALONE if place == "alone" else SAID


def _messages(client: Client, body: bytes) -> Iterator[bytes]:
    if not client.is_binary:
        yield from re.findall(rb".+?\r?\n\r?\n", body, re.DOTALL)
        return
    while body:
        (length,) = struct.unpack_from("!I", body)
        yield body[:length]
        body = body[length:]


# What


@dataclass(frozen=True)
class Case:
    """A fault at a place, and what is to come of it."""

    faults: tuple[Fault, ...]
    outcome: str
    """``whole``, ``silent``, ``broke`` (the connection), ``unusable``, ``refused``."""
    status: int | None = None
    retryable: bool = True
    times: int | None = None
    """How often it may be asked, where that is not as the outcome says."""


def _case(outcome: str, *faults: Fault) -> Case:
    return Case(faults, outcome)


STATUSES = (401, 403, 404, 408, 413, 429, 500, 503, 529)
RETRYABLE = (408, 429, 500, 503, 504, 529)


def case(client: Client, fault: str, place: str) -> Case | None:
    """None where there is no such thing."""
    if place == "unanswered":
        unanswered = {
            "stall": _case("silent", Stall(after=None)),
            "reset": _case("broke", Reset(after=None)),
            "drop": _case("broke", Drop(after=None)),
            "latency": _case("whole", Latency(seconds=0.2)),
            "jitter": _case("whole", Latency(seconds=0.2, jitter=0.15, seed=len(client.path))),
            "too late": _case("silent", Latency(seconds=FIRST_TOKEN_S + 0.4)),
        }
        if fault == "429, again in a minute":
            return Case((Status(code=429, headers={"retry-after": "60"}),), "refused", 429, times=1)
        if fault.isdecimal():
            return Case((Status(code=int(fault)),), "refused", int(fault), int(fault) in RETRYABLE)
        return unanswered.get(fault)
    at = spot(client, place)
    if fault.isdecimal():
        data, taken_for = client.error(int(fault))
        return Case((Insert(after=at.start, data=data),), "refused", taken_for, taken_for in RETRYABLE)
    inside = at.string if place in ("arguments", "alone") and at.string else at.start
    filler = b"\0" if client.is_binary else b":"
    placed: dict[str, tuple[str, Fault | None]] = {
        "stall": ("silent", Stall(after=inside)),
        "reset": ("broke", Reset(after=inside)),
        "drop": ("broke", Drop(after=inside)),
        "slow drip": ("silent", Drip(after=inside, every=0.2, filler=filler)),
        "no end": ("unusable", Cut(after=at.start)),
        "cut in a character": ("unusable", Cut(after=at.character) if at.character else None),
        "cut in a line": ("unusable", Cut(after=at.line) if at.line else None),
        "cut in a string": ("unusable", Cut(after=at.string) if at.string else None),
        "garbage": ("unusable", Insert(after=at.start, data=_garbage(client))),
        "garbage in a string": ("unusable", Insert(after=at.string, data=b'"}]}\xff') if at.string else None),
        "huge line": ("unusable", Insert(after=at.start, data=_huge(client))),
        "noise": ("whole", None if client.is_binary else Insert(after=at.start, data=b"\x80\xff{]: noise\n")),
        "long comment": (
            "whole",
            None if client.is_binary else Insert(after=at.start, data=b":" + b"x" * (LONGEST // 2) + b"\n"),
        ),
    }
    outcome, made = placed.get(fault, ("", None))
    return _case(outcome, made) if made is not None else None


def _garbage(client: Client) -> bytes:
    return b"\x00\x01\x02\x80\xff{]garbage" if client.is_binary else b"data: \xff\xfe{]\n\n"


def _huge(client: Client) -> bytes:
    if not client.is_binary:
        return b"data: " + b"x" * (LONGEST + LONGEST // 8)
    prelude = struct.pack("!II", LONGEST + 1, 0)
    return prelude + struct.pack("!I", zlib.crc32(prelude))


FAULTS = (
    *("latency", "jitter", "too late", "stall", "slow drip", "reset", "drop", "no end"),
    *("cut in a character", "cut in a line", "cut in a string"),
    *("garbage", "garbage in a string", "huge line", "noise", "long comment"),
    *map(str, STATUSES),
    "429, again in a minute",
)


# What comes of it


@dataclass
class Outcome:
    text: str = ""
    calls: list[FunctionToolCall] = field(default_factory=list)
    error: BaseException | None = None
    went_on: bool = False
    """Whether there was anything behind the error."""
    seconds: float = 0.0
    requests: int = 0
    left_open: int = 0
    """Connections that the client kept although it was done with them."""

    @property
    def kind(self) -> str:
        match self.error:
            case None:
                return "whole"
            case APITimeoutError():
                return "silent"
            case APIConnectionError():
                return "broke"
            case APIStatusError():
                return "refused"
            case APIError(fault="answer"):
                return "unusable"
        return repr(self.error)


async def until(so: Callable[[], object]) -> None:
    """Wait for what has no event."""
    async with asyncio.timeout(5):
        while not so():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def ask(client: Client, upstream: ModelServer, faults: tuple[Fault, ...]) -> Outcome:
    """One question through a proxy with these faults."""
    found = Outcome()
    async with FaultProxy(upstream.url, *faults) as proxy:
        llm = client.make(proxy.url)
        started = clock.now()
        stream = llm.chat(chat_ctx=conversation(*HELLO), tools=[get_weather])
        async with stream:
            chunks = aiter(stream)
            try:
                async for chunk in chunks:
                    if chunk.delta is not None:
                        found.text += chunk.delta.content or ""
                        found.calls += chunk.delta.tool_calls
            except Exception as error:  # whatever it is, the test judges it
                found.error = error
            found.seconds = clock.now() - started
            found.went_on = await anext(chunks, None) is not None
        await llm.aclose()
        found.requests = proxy.requests
        held = sum(isinstance(each, Stall | Drip) for each in faults) * proxy.requests
        for _ in range(40):
            if len(proxy.closed_at) >= held or found.kind == "whole":
                break
            await asyncio.sleep(0.05)
        else:
            found.left_open = held - len(proxy.closed_at)
    return found

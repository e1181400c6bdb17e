"""Every fault at every place on every wire: one typed error or the whole answer, in time, and nothing left behind.

All of them are played once, many at a time, on one loop and real sockets; each test looks at what came of its own.
"""

import asyncio
import dataclasses
import gc
import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest

from agent_runtime import clock
from agent_runtime.providers.bedrock import event_stream
from agent_runtime.providers.gemini import answer as gemini_answer
from agent_runtime.providers.http import sse
from agent_runtime.providers.http.transport import _pools
from agent_runtime.testing.faults import FaultProxy, Stall, Status
from agent_runtime.testing.model_server import ModelServer
from tests.contract import broken
from tests.contract.broken import ALONE, ARGUMENTS, CLIENTS, FAULTS, PLACES, SAID, Case, Outcome
from tests.providers.wires import HELLO, conversation

pytestmark = [pytest.mark.sockets, pytest.mark.real_time]

AT_ONCE = 32
"""So many at a time: more would wait for the processor, and be late for that."""

Key = tuple[str, str, str]


def _cases() -> dict[Key, Case]:
    found = {
        (name, fault, place): broken.case(client, fault, place)
        for name, client in CLIENTS.items()
        for fault in FAULTS
        for place in PLACES
    }
    return {key: case for key, case in found.items() if case is not None}


CASES = _cases()


@pytest.fixture(scope="module")
def outcomes() -> Iterator[dict[Key, Outcome]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sse, "LONGEST_LINE", broken.LONGEST)
        patch.setattr(gemini_answer, "LONGEST_LINE", broken.LONGEST)
        patch.setattr(event_stream, "LONGEST_FRAME", broken.LONGEST)
        yield asyncio.run(_play(CASES))


async def _play(cases: dict[Key, Case]) -> dict[Key, Outcome]:
    found: dict[Key, Outcome] = {}
    gate = asyncio.Semaphore(AT_ONCE)
    before = _open_files()
    async with ModelServer(SAID) as server, ModelServer(ALONE) as alone:
        keeper = CLIENTS["openai"].make(server.url)  # keeps the connections of all open, as a session's model does
        pool = (await keeper.connections.client())._transport._pool  # type: ignore[attr-defined]

        async def play(key: Key) -> None:
            async with gate:
                upstream = alone if key[2] == "alone" else server
                found[key] = await broken.ask(CLIENTS[key[0]], upstream, cases[key].faults)

        keys = list(cases)
        random.Random(7).shuffle(keys)  # those that wait among those that compute
        await asyncio.gather(*map(play, keys))
        busy = [each for each in pool.connections if not each.is_idle() and not each.is_closed()]
        assert busy == [], f"connections in use that nobody uses: {busy}"
        await keeper.aclose()
    assert not _pools, "the connections were not given back"
    await asyncio.sleep(0.1)  # sockets close in the loop's next round
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left, f"tasks left behind: {left}"
    gc.collect()
    assert _open_files() <= before, f"open files: {before} before, {_open_files()} after"
    return found


def _open_files() -> int:
    folder = Path("/proc/self/fd")
    return len(os.listdir(folder)) if folder.exists() else 0  # noqa: PTH208


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("client", CLIENTS)
def test_fault(client: str, fault: str, outcomes: dict[Key, Outcome]) -> None:
    wrong = []
    for place in PLACES:
        case = CASES.get((client, fault, place))
        if case is not None:
            found = outcomes[client, fault, place]
            wrong += [f"{place}: {each} ({found})" for each in _wrong((client, fault, place), case, found)]
    assert not wrong, "\n".join(wrong)


def _wrong(key: Key, case: Case, found: Outcome) -> Iterator[str]:
    """What is not as it should be."""
    client, _, place = key
    said = broken.said_at(place)
    expected = "whole" if place == "after" else case.outcome  # it has said that it is over
    if found.kind != expected:
        yield f"{expected} was to come"
    if found.kind == "whole" and (found.text, len(found.calls)) != (said.text, 1):
        yield "the answer is not whole"
    if not said.text.startswith(found.text) or (place == "between" and found.error and not found.text):
        yield "the text is another"
    if any(json.loads(call.arguments) != ARGUMENTS for call in found.calls):
        yield "a call with other arguments was delivered"
    if found.calls and found.error is not None and place in ("before", "between", "arguments", "alone"):
        yield "a call was delivered that had not come"
    if found.went_on:
        yield "it went on behind its error"
    if found.left_open:
        yield "a connection was kept"
    if expected == "refused" and getattr(found.error, "status_code", None) != case.status:
        yield f"the status is {case.status}"
    retries = expected != "whole" and case.retryable and not found.text and not found.calls
    # Gemini's call comes whole or not at all: before it is there, the answer has not begun.
    begun = place not in ("unanswered", "before") and (client, place) != ("gemini", "alone")
    retries = retries and (begun or case.outcome != "silent")  # else there is no time left
    times = case.times or (2 if retries else 1)
    if found.requests != times:
        yield f"it was to be asked {times} times"
    most = broken.FIRST_TOKEN_S + broken.TIMEOUT_S if expected == "silent" else broken.TIMEOUT_S
    if found.seconds > most + broken.SLACK_S:
        yield f"it took longer than {most} s"
    least = broken.TIMEOUT_S if begun else broken.FIRST_TOKEN_S
    if expected == "silent" and found.seconds < 0.95 * least:
        yield f"it was given up before {least} s"


# What passes


def test_what_passes_is_asked_again() -> None:
    """A fault that strikes once, before anything was delivered, is not seen."""
    once = {
        key: dataclasses.replace(case, faults=tuple(dataclasses.replace(fault, times=1) for fault in case.faults))
        for key, case in CASES.items()
        if key[2] in ("unanswered", "before", "alone") and case.outcome in ("broke", "unusable", "refused")
        if case.retryable and case.times is None
    }
    assert len(once) > 100
    found = asyncio.run(_play(once))
    wrong = {key: each for key, each in found.items() if (each.kind, each.requests, len(each.calls)) != ("whole", 2, 1)}
    assert wrong == {}


@pytest.mark.parametrize("header", [{"retry-after": "0.4"}, {"retry-after-ms": "400"}])
def test_it_is_asked_again_when_the_service_says(header: dict[str, str]) -> None:
    case = Case((Status(code=429, headers=header, times=1),), "whole")
    found = asyncio.run(_play({(name, "429", "before"): case for name in CLIENTS}))
    assert {(each.kind, each.requests) for each in found.values()} == {("whole", 2)}
    assert all(0.4 <= each.seconds < 0.4 + broken.SLACK_S for each in found.values())


# What is given up


async def _left(name: str, upstream: str, after: str | int | None, *, by_cancel: bool) -> float:
    """Seconds from leaving an answer to the server's seeing the connection closed."""
    async with FaultProxy(upstream, Stall(after=after)) as proxy:
        llm = CLIENTS[name].make(proxy.url)
        came, left_at = asyncio.Event(), []

        async def read() -> None:
            async with llm.chat(chat_ctx=conversation(*HELLO)) as stream:
                async for chunk in stream:
                    if chunk.delta is not None and chunk.delta.content:
                        came.set()
                        if not by_cancel:
                            break
                left_at.append(clock.now())

        task = asyncio.ensure_future(read())
        if after:
            await came.wait()
        else:
            await broken.until(lambda: proxy.requests)
            await asyncio.sleep(0.02)
        if by_cancel:
            left_at.append(clock.now())
            task.cancel()
        await asyncio.wait([task])
        assert task.cancelled() == by_cancel
        await broken.until(lambda: proxy.closed_at)
        await llm.aclose()
    return proxy.closed_at[0] - left_at[0]


@pytest.mark.parametrize("client", CLIENTS)
def test_who_leaves_closes_the_connection_at_once(client: str) -> None:
    async def main() -> list[float]:
        async with ModelServer(SAID) as server:
            ways: tuple[tuple[str | int | None, bool], ...] = ((None, True), (0, True), ("für", True), ("für", False))
            return [
                await _left(client, server.url, after, by_cancel=cancel) for after, cancel in ways for _ in range(3)
            ]

    seconds = asyncio.run(main())
    assert median(seconds) < 0.1, seconds  # benchmarks/llm has the figure

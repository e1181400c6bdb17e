"""One client, one measurement, one process: what it measured, as JSON on stdout.

    python -m benchmarks.llm.run SYSTEM MEASUREMENT URL [--quick]

runs under the Python of the environment that has the system. Units are in the names.
"""

import argparse
import asyncio
import gc
import importlib
import json
import os
import sys
import time
import warnings
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

Ask = Callable[[str], AsyncGenerator[str, None]]
"""What the server is to say in (see `server`), its answer out, piece by piece. Closing it leaves the answer."""

Open = Callable[[str], Awaitable[Ask]]
"""The address of the server in, with whatever is made once."""


# The clients


async def raw_httpx(url: str) -> Ask:
    """What is left of a client when everything is taken away: a pool, lines, JSON."""
    import httpx

    client = httpx.AsyncClient(timeout=httpx.Timeout(None, connect=5.0))
    headers = {"authorization": "Bearer key"}

    async def ask(script: str) -> AsyncGenerator[str, None]:
        body = {"model": "m", "messages": [{"role": "user", "content": script}], "stream": True}
        async with client.stream("POST", f"{url}/v1/chat/completions", headers=headers, json=body) as response:
            async for line in response.aiter_lines():
                if not line.startswith("data: ") or line == "data: [DONE]":
                    continue
                for choice in json.loads(line[6:])["choices"]:
                    if choice["delta"].get("content"):
                        yield choice["delta"]["content"]

    return ask


async def ours(url: str) -> Ask:
    from agent_runtime.chat import ChatContext
    from agent_runtime.providers.openai.llm import OpenAILLM

    llm = OpenAILLM("m", base_url=f"{url}/v1", api_key="key")

    async def ask(script: str) -> AsyncGenerator[str, None]:
        ctx = ChatContext()
        ctx.add_message(role="user", content=script)
        async with llm.chat(chat_ctx=ctx) as stream:
            async for chunk in stream:
                if chunk.delta is not None and chunk.delta.content:
                    yield chunk.delta.content

    return ask


async def openai_sdk(url: str) -> Ask:
    openai = importlib.import_module("openai")
    client = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="key", max_retries=0)

    async def ask(script: str) -> AsyncGenerator[str, None]:
        messages = [{"role": "user", "content": script}]
        async with await client.chat.completions.create(model="m", messages=messages, stream=True) as stream:
            async for chunk in stream:
                for choice in chunk.choices:
                    if choice.delta.content:
                        yield choice.delta.content

    return ask


async def livekit(url: str) -> Ask:
    agents = importlib.import_module("livekit.agents")
    llm = agents.inference.LLM("m", base_url=f"{url}/v1", api_key="key", api_secret="s" * 32)

    async def ask(script: str) -> AsyncGenerator[str, None]:
        ctx = agents.ChatContext.empty()
        ctx.add_message(role="user", content=script)
        async with llm.chat(chat_ctx=ctx) as stream:
            async for chunk in stream:
                if chunk.delta is not None and chunk.delta.content:
                    yield chunk.delta.content

    return ask


async def litellm(url: str) -> Ask:
    library = importlib.import_module("litellm")

    async def ask(script: str) -> AsyncGenerator[str, None]:
        messages = [{"role": "user", "content": script}]
        given = {"model": "openai/m", "messages": messages, "stream": True, "num_retries": 0}
        stream = await library.acompletion(**given, api_base=f"{url}/v1", api_key="key")
        try:
            async for chunk in stream:
                for choice in chunk.choices:
                    if choice.delta.content:
                        yield choice.delta.content
        finally:
            await stream.aclose()

    return ask


SYSTEMS: dict[str, Open] = {
    "httpx": raw_httpx,
    "ours": ours,
    "openai": openai_sdk,
    "livekit": livekit,
    "litellm": litellm,
}


# What is measured


@dataclass(frozen=True, slots=True)
class Size:
    """How much."""

    chunks: int = 4000
    streams: int = 3
    seconds: float = 3.0
    requests: int = 60
    cancels: int = 20


QUICK = Size(chunks=300, streams=1, seconds=0.3, requests=5, cancels=3)

FAST = "chunks={},every=0,first=0"
CROWD = 16
HEDGE_S = 0.03


async def _read(ask: Ask, model: str) -> int:
    count = 0
    async with aclosing(ask(model)) as pieces:
        async for _ in pieces:
            count += 1
    return count


async def back_to_back(ask: Ask, url: str, size: Size) -> dict[str, float]:
    """CPU of this process a chunk, of one stream that is never waited for."""
    await _read(ask, FAST.format(200))
    found = []
    for _ in range(size.streams):
        gc.collect()
        cpu = time.process_time()
        count = await _read(ask, FAST.format(size.chunks))
        found.append(1e6 * (time.process_time() - cpu) / count)
        assert count == size.chunks, (count, size.chunks)
    return {"cpu_us": median(found)}


async def crowd(ask: Ask, url: str, size: Size) -> dict[str, float]:
    """CPU of this process a chunk, of 16 streams of 100 chunks a second each, and how late the last of them is over."""
    await asyncio.gather(*(_read(ask, FAST.format(5)) for _ in range(CROWD)))
    each = int(size.seconds * 100)
    gc.collect()
    cpu, at = time.process_time(), time.monotonic()
    counts = await asyncio.gather(*(_read(ask, f"chunks={each},every=10,first=0") for _ in range(CROWD)))
    cpu, seconds = time.process_time() - cpu, time.monotonic() - at
    assert counts == [each] * CROWD, counts
    return {"cpu_us": 1e6 * cpu / sum(counts), "late_ms": 1e3 * (seconds - each / 100)}


async def first_token(ask: Ask, url: str, size: Size) -> dict[str, float]:
    """From asking to the first text, the connection being there."""
    found = []
    for _ in range(size.requests + 3):
        at = time.perf_counter()
        async with aclosing(ask(FAST.format(1))) as pieces:
            await anext(pieces)
            found.append(1e3 * (time.perf_counter() - at))
            async for _ in pieces:
                pass
        await asyncio.sleep(0.002)
    found = sorted(found[3:])
    return {"p50_ms": median(found), "p95_ms": found[int(0.95 * (len(found) - 1))]}


async def cancel(ask: Ask, url: str, size: Size) -> dict[str, float]:
    """From leaving an answer to the server's seeing the connection closed."""
    found = []
    for _ in range(size.cancels):
        before = len((await _of_server(url))["left"])
        async with aclosing(ask("chunks=500,every=10,first=0")) as pieces:
            for _ in range(3):
                await anext(pieces)
            at = time.monotonic()
        found.append(1e3 * (await _closed(url, before) - at))
    return {"p50_ms": median(found), "max_ms": max(found)}


async def _closed(url: str, before: int) -> float:
    """When the server saw the next connection closed behind so many."""
    async with asyncio.timeout(10):
        while True:
            left: list[float] = (await _of_server(url))["left"]
            if len(left) > before:
                return left[before]
            await asyncio.sleep(0.005)


async def _of_server(url: str) -> dict[str, Any]:
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /left HTTP/1.1\r\nhost: x\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length:")[1].split()[0])
    found: dict[str, Any] = json.loads(await reader.readexactly(length))
    writer.close()
    return found


async def first_call(ask: Ask, url: str, size: Size) -> dict[str, float]:
    """From the first question of the process to its first text; the client is made, and a session would be."""
    at = time.perf_counter()
    async with aclosing(ask(FAST.format(5))) as pieces:
        await anext(pieces)
        found = 1e3 * (time.perf_counter() - at)
        async for _ in pieces:
            pass
    return {"ms": found, "peak_mb": resident_mb()}


async def hedge(ask: Ask, url: str, size: Size) -> dict[str, float]:
    """From the first text of the model that won to the server's seeing the loser's connection closed."""
    from agent_runtime.chat import ChatContext
    from agent_runtime.inference.fallback import FallbackLLM
    from agent_runtime.providers.openai.llm import OpenAILLM

    slow, fast = (
        OpenAILLM(model, base_url=f"{url}/v1", api_key="key")
        for model in ("chunks=500,every=10,first=2000", "chunks=5,every=5,first=0")
    )
    chain = FallbackLLM([slow, fast], hedges=[None, HEDGE_S])
    ctx = ChatContext()
    ctx.add_message(role="user", content="Hello")
    found = []
    for _ in range(size.cancels):
        before = len((await _of_server(url))["left"])
        won = 0.0
        async with chain.chat(chat_ctx=ctx) as stream:
            async for chunk in stream:
                if not won and chunk.delta is not None and chunk.delta.content:
                    won = time.monotonic()
        found.append(1e3 * (await _closed(url, before) - won))
    await chain.aclose()
    return {"p50_ms": median(found), "max_ms": max(found)}


Measurement = Callable[[Ask, str, Size], Coroutine[Any, Any, dict[str, float]]]

MEASUREMENTS: dict[str, tuple[Measurement, tuple[str, ...]]] = {
    "back-to-back": (back_to_back, tuple(SYSTEMS)),
    "crowd": (crowd, tuple(SYSTEMS)),
    "first-token": (first_token, tuple(SYSTEMS)),
    "first-call": (first_call, tuple(SYSTEMS)),
    "cancel": (cancel, tuple(SYSTEMS)),
    "hedge": (hedge, ("ours",)),
    "memory": (first_call, ("bare", "bare-httpx", "ours", "all")),  # see `memory`
}


# Memory


def memory(stage: str, url: str) -> dict[str, float]:
    """Resident memory of this process, when as much is there as `stage` says.

    httpx imports a command line of its own where click and rich are installed, as they are for our checks; a user's
    environment need not have them, and here they are not.

    ``bare``: the package and a session without nodes. ``bare-httpx``: besides, httpx and an answer through it. ``ours``: the
    session with our client, and an answer through it. ``all``: the same, with the plugins of all services imported.
    """
    sys.modules["click"] = None  # type: ignore[assignment]
    from agent_runtime import AgentSession

    sessions: list[Any] = []

    async def main() -> None:
        if stage == "all":
            folder = Path(sys.modules["agent_runtime"].__file__ or "").parent / "plugins"
            for each in sorted(folder.iterdir()):
                if not each.name.startswith("_"):
                    importlib.import_module(f"agent_runtime.plugins.{each.stem}")
        sessions.append(AgentSession(vad=None, stt=None, llm=None, tts=None))
        if stage != "bare":
            ask = await (raw_httpx if stage == "bare-httpx" else ours)(url)
            for _ in range(3):
                await _read(ask, FAST.format(200))

    asyncio.run(main())
    gc.collect()
    return {"mb": resident_mb()}


def resident_mb() -> float:
    """0 where the system does not tell."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6 if statm.exists() else 0.0


async def _measure(system: str, measurement: str, url: str, size: Size) -> dict[str, float]:
    at = time.perf_counter()
    ask = await SYSTEMS[system](url)
    made_ms = 1e3 * (time.perf_counter() - at)
    found = await MEASUREMENTS[measurement][0](ask, url, size)
    return {**found, "made_ms": made_ms}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.llm.run")
    parser.add_argument("system")
    parser.add_argument("measurement", choices=MEASUREMENTS)
    parser.add_argument("url")
    parser.add_argument("--quick", action="store_true", help="as little as shows that it works")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # what others deprecate is not measured here
    if options.measurement == "memory":
        found = memory(options.system, options.url)
    else:
        size = QUICK if options.quick else Size()
        found = asyncio.run(_measure(options.system, options.measurement, options.url, size))
    json.dump(found, sys.stdout)
    sys.stdout.write("\n")
    sys.stdout.flush()
    os._exit(0)  # what a system leaves behind is not measured


if __name__ == "__main__":
    main()

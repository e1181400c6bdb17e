"""The conversation as a bare asyncio program: a task and a queue hop per stage, and nothing else.

No history, no log, no turn-taking, no pacing, no failures: what is left when a runtime is taken away.
"""

import asyncio
from typing import Any

from benchmarks.peers.call import FRAME_S, SILENT, Close, Line

Queue = asyncio.Queue[Any]


async def call(line: Line) -> Close:
    sound, heard, text, speech = Queue(), Queue(), Queue(), Queue()
    script = line.script
    answers: list[asyncio.Task[None]] = []
    silent_since = 0.0

    async def understand() -> None:
        nonlocal silent_since
        while True:
            voiced = (await sound.get()) != SILENT
            if (change := line.voice(voiced)) is not None:
                silent_since = asyncio.get_running_loop().time() - FRAME_S
                await heard.put("voice" if change else "silence")
            if (told := line.word(voiced)) is not None:
                await heard.put(told)

    async def take_turns() -> None:
        while True:
            event = await heard.get()
            if event == "final":
                answers.append(asyncio.create_task(think()))
            elif event == "voice":
                line.clear()
                for answer in answers:
                    answer.cancel()
                answers.clear()

    async def think() -> None:
        if script.delay:
            await asyncio.sleep(max(0.0, silent_since + script.delay - asyncio.get_running_loop().time()))
        for number, token in enumerate(script.words):
            if number and script.every:
                await asyncio.sleep(script.every)
            await text.put(token)
        await text.put(None)

    async def speak() -> None:
        phrase = ""
        while True:
            token = await text.get()
            phrase += token or ""
            if phrase and (token is None or not script.per_sentence):
                for frame in script.sound(phrase):
                    await speech.put(frame)
                phrase = ""

    async def play() -> None:
        while True:
            line.write(await speech.get())

    tasks = [asyncio.create_task(stage()) for stage in (understand, take_turns, speak, play)]
    line.feed = sound.put

    async def close() -> None:
        for task in (*tasks, *answers):
            task.cancel()
        await asyncio.gather(*tasks, *answers, return_exceptions=True)

    return close


async def nobody(line: Line) -> Close:
    """The harness alone: frames go nowhere. What it costs is taken off the others' CPU time."""

    async def feed(pcm: bytes) -> None: ...

    async def close() -> None: ...

    line.feed = feed
    return close

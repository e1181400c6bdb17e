"""The same conversation as a bare asyncio program: a task and a queue hop per stage, and nothing else.

No history, no log, no turn-taking, no pacing, no failures: what is left when a runtime is taken away.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from agent_runtime import clock
from benchmarks.talk import Caller, Ear, Script, Sink

Queue = asyncio.Queue[Any]


async def converse(caller: Caller, ear: Ear, script: Script, sink: Sink) -> None:
    """Answer until the caller is gone."""
    sound, heard, text, speech = Queue(), Queue(), Queue(), Queue()
    answers: list[asyncio.Task[None]] = []

    async def hear() -> None:
        async for frame in caller.frames():
            await sound.put(frame)

    async def understand() -> None:
        while True:
            frame = await sound.get()
            if ear.voice(frame):
                await heard.put("voice")
            if (told := ear.word(frame)) is not None:
                await heard.put(told)

    async def take_turns() -> None:
        while True:
            event = await heard.get()
            if event == "final":
                answers.append(tasks.create_task(think()))
            else:
                if event == "words":
                    ear.cuts.append(clock.now())
                sink.clear()
            if event == "words" and answers:
                answers.pop().cancel()

    async def think() -> None:
        if script.delay:
            await clock.sleep_until(caller.ended[-1] + script.delay)
        for number, token in enumerate(script.words):
            if number and script.every:
                await clock.sleep(script.every)
            await text.put(token)
        await text.put(None)

    async def speak() -> None:
        async for _ in _phrases(text, script.per_token):
            for frame in script.sound():
                await speech.put(frame)

    async def play() -> None:
        while True:
            sink.write((await speech.get()).data)
            if script.barge_in:
                caller.go_on()
            elif speech.empty():
                rest = sink.queued_samples / sink.sample_rate
                asyncio.get_running_loop().call_later(rest, lambda: None if sink.queued_samples else caller.go_on())

    async with asyncio.TaskGroup() as tasks:
        stages = [tasks.create_task(stage()) for stage in (understand, take_turns, speak, play)]
        await hear()
        for stage in stages:
            stage.cancel()


async def _phrases(text: Queue, per_token: bool) -> AsyncIterator[str]:
    phrase = ""
    while True:
        token = await text.get()
        phrase += token or ""
        if phrase and (per_token or token is None):
            yield phrase
            phrase = ""

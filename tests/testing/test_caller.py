"""The caller does what is planned, when it is planned, and can be heard doing it."""

import asyncio
import re
import wave
from pathlib import Path
from typing import Any

import pytest

from agent_runtime import virtual
from agent_runtime.audio.frame import INPUT_RATE, AudioFrame
from agent_runtime.errors import UsageError
from agent_runtime.testing import Caller, SimulatedCall, simulate, sounds
from agent_runtime.testing.result import CallResult, Track


def listen(caller: Caller, *, most: float = 30.0) -> list[tuple[float, float]]:
    """When the caller is audible, alone on the line."""
    track = Track(INPUT_RATE)

    async def main() -> None:
        with_frames = caller.frames()
        async for frame in with_frames:
            assert frame.at is not None
            track.add(frame.at, frame.data)
            if frame.at >= most:
                break
        await with_frames.aclose()  # type: ignore[attr-defined]

    virtual.run(main())
    return track.audible(0.0)


def talk(*steps: dict[str, Any], until: float = 12.0, **more: Any) -> CallResult:
    models = {"llm": {"replies": "One two three four five six seven eight nine."}}
    return simulate({"caller": list(steps), "models": models, "until": until, **more})


# When


def test_lines_are_where_they_were_put() -> None:
    caller = Caller(until=4)
    caller.says("hello there", at=0.5, lasting=1.2)
    caller.coughs(at=2.0, lasting=0.3)
    caller.backchannels(at=3.013, lasting=0.35)
    assert listen(caller) == [(0.5, 1.7), (2.0, 2.3), (3.013, 3.363)]


def test_a_step_with_no_time_follows_the_one_before() -> None:
    caller = Caller()
    caller.says("one two", lasting=0.5)
    caller.says("three", wait=0.2, lasting=0.5)
    caller.is_silent(1.0)
    caller.phone_rings(lasting=0.5)
    caller.hangs_up(wait=0.3)
    assert listen(caller) == [(0.0, 0.5), (0.7, 1.2), (2.2, 2.7)]
    assert caller.gone.is_set()
    assert caller.last_over == 3.0


def test_words_take_their_time_where_nothing_is_said_of_it() -> None:
    caller = Caller(until=5)
    caller.says("one two three", at=1.0)
    assert listen(caller) == [(1.0, 2.2)]


@pytest.mark.parametrize(
    ("after", "wait", "begins"),
    [("agent speaks", 1.2, 3.2), ("agent stops", 0.5, 5.5), ("turn_committed", 0.1, 1.8), ("turn ends", 0.1, 1.8)],
)
def test_what_happens_sets_the_time(after: str, wait: float, begins: float) -> None:
    models = {"llm": {"ttft": 0, "replies": "One two three four five six seven eight nine."}, "tts": {"ttfb": 0.3}}
    first = {"at": 0.2, "say": "hello", "for": 1.0}
    then = {"after": after, "wait": wait, "noise": True, "for": 0.04}
    call = simulate({"caller": [first, then], "models": models, "until": 12})
    assert call.audible["caller"][1][0] == pytest.approx(begins, abs=0.2)
    name = {"agent speaks": "playback_started", "agent stops": "playback_finished"}.get(after, "turn_committed")
    at = next(event["t"] for event in call.events if event["type"] == name)
    assert call.lines[1].at == pytest.approx(at + wait, abs=1e-6)


def test_a_step_that_waits_counts_what_happens_during_the_step_before_but_never_talks_into_it() -> None:
    call = talk(
        {"at": 0.2, "say": "hello", "for": 1.0},
        {"after": "agent speaks", "wait": 1.0, "interrupt": "stop it right now please", "for": 2.5},
        {"after": "agent stops", "cough": True, "for": 0.3},
    )
    interruption, cough = call.lines[1], call.lines[2]
    stopped = call.audible["agent"][0][1]
    assert interruption.at < stopped < interruption.end
    assert cough.at == pytest.approx(interruption.end)


def test_an_interruption_comes_a_second_into_the_reply() -> None:
    call = talk({"at": 0.2, "say": "hello", "for": 1.0}, {"interrupt": "stop", "for": 0.5})
    assert call.lines[1].at == pytest.approx(call.audible["agent"][0][0] + 1.0, abs=1e-4)


def test_what_never_happens_fails_the_call() -> None:
    call = talk({"after": "tool starts", "say": "hello"}, until=2)
    assert not call.ok
    assert call.failure == "What the caller waited for never happened: say 'hello' after 'tool starts'."
    assert call.to_dict()["expectations"][-1]["met"] is False


def test_a_name_that_nothing_has_is_refused_with_what_is_near() -> None:
    with pytest.raises(
        UsageError, match=r"after='agent speak' is nothing that can happen; did you mean 'agent speaks'"
    ):
        Caller().says("x", after="agent speak")
    with pytest.raises(UsageError, match="begins both 'at' and 'after'"):
        Caller().says("x", at=1.0, after="agent speaks")


@pytest.mark.parametrize(
    ("do", "given", "sentence"),
    [
        (
            "says",
            {"att": 1.0},
            "The caller's 'say' has no option 'att'; did you mean 'at'? It takes at, after, wait, las",
        ),
        ("hesitates", {"pauses": 1.0}, "The caller's 'hesitate' has no option 'pauses'; did you mean 'pause'?"),
        (
            "coughs",
            {"duration": 1.0},
            "The caller's 'cough' has no option 'duration'. It takes at, after, wait, lasting",
        ),
        ("hangs_up", {"lasting": 1.0}, "The caller's 'hang_up' has no option 'lasting'. It takes at, after, wait."),
        ("presses", {"begun": 1.0}, "The caller's 'keys' has no option 'begun'"),
    ],
)
def test_an_option_that_is_not_known_is_refused_with_what_is_near(
    do: str, given: dict[str, Any], sentence: str
) -> None:
    text = {"says": ["x"], "hesitates": ["x ... y"], "presses": ["1"]}.get(do, [])
    with pytest.raises(UsageError, match=re.escape(sentence)):
        getattr(Caller(), do)(*text, **given)


# What


def test_a_hesitation_is_two_stretches_of_voice() -> None:
    caller = Caller(until=8)
    caller.hesitates("I would like ... a pizza", at=1.0, lasting=2.5, pause=0.8)
    assert listen(caller) == [(1.0, 2.5), (3.3, 4.3)]
    assert [line.text for line in caller.lines] == ["I would like", "a pizza"]


def test_each_pause_of_a_hesitation_may_have_its_own_length() -> None:
    caller = Caller(until=9)
    caller.hesitates("one ... two… three", lasting=1.5, pause=[0.5, 1.0])
    assert listen(caller) == [(0.0, 0.5), (1.0, 1.5), (2.5, 3.0)]
    with pytest.raises(UsageError, match="has no pause in it"):
        caller.hesitates("one two")
    with pytest.raises(UsageError, match="one pause for all"):
        caller.hesitates("one ... two", pause=[1.0, 2.0])


@pytest.mark.parametrize("kind", ["voice", "other", "agent", "cough", "noise", "phone"])
def test_a_sound_is_never_silent(kind: str) -> None:
    import numpy as np

    samples = np.abs(np.frombuffer(sounds.sound(kind, 40_000), dtype="<i2").astype(int))
    assert len(samples) == 40_000
    assert samples.min() >= sounds.FLOOR
    assert samples.max() < 30_000


def test_the_tones_of_keys_are_on_the_line() -> None:
    import numpy as np

    caller = Caller(until=3)
    caller.presses("5#", at=1.0)
    assert listen(caller) == [(1.0, 1.1), (1.2, 1.3)]
    tone = np.frombuffer(sounds.key_tones("5"), dtype="<i2").astype(float)
    loudest = np.argsort(np.abs(np.fft.rfft(tone)))[-2:] * INPUT_RATE / len(tone)
    assert sorted(loudest) == pytest.approx([770, 1336], abs=10)
    with pytest.raises(UsageError, match="no telephone key 'x'"):
        caller.presses("12x")


def test_sounds_at_the_same_time_are_added() -> None:
    caller = Caller(until=2)
    caller.says("hello", at=0.5, lasting=1.0)
    caller.makes_noise(at=1.0, lasting=0.7)
    assert listen(caller) == [(0.5, 1.7)]


def test_an_aside_is_softer() -> None:
    def loudness(kind: str) -> int:
        heard: list[AudioFrame] = []
        call = SimulatedCall()

        async def main() -> None:
            await call.start()
            call.caller.on_frame = heard.append
            step = call.caller.says if kind == "say" else call.caller.says_aside
            await step("hello", at=0.1, **({"level": -12.0} if kind == "aside" else {}))  # type: ignore[arg-type]
            await call.end()

        virtual.run(main())
        return max(max(map(abs, memoryview(frame.data).cast("h"))) for frame in heard)

    assert loudness("aside") == pytest.approx(loudness("say") / 4, rel=0.1)


def test_a_whisper_is_read_by_the_recogniser_and_not_heard_by_the_detector() -> None:
    call = talk({"at": 0.5, "say": "hello", "for": 1.0, "level": -60})
    types = [event["type"] for event in call.events]
    assert "voice_started" not in types
    assert "user_input_transcribed" in types


def test_sound_from_a_file_is_as_long_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "hello.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(bytes(3200) + b"\x00\x10" * 8000 + bytes(6400))  # silence, half a second, silence
    call = talk({"at": 1.0, "say": "hello", "sound": str(path)}, until=3)
    assert call.audible["caller"] == [(1.0, 1.5)]


def test_sound_must_be_there_before_the_call(tmp_path: Path) -> None:
    async def main() -> None:
        call = SimulatedCall()
        await call.start()
        try:
            with pytest.raises(UsageError, match="plan it before start"):
                call.caller.says("hello", voice="local/espeak")
        finally:
            await call.end()

    virtual.run(main())


# Hanging up


@pytest.mark.parametrize("at", [3.0, 3.007])
def test_hanging_up_ends_the_call_to_the_millisecond(at: float) -> None:
    call = talk({"at": 0.2, "say": "hello", "for": 1.0}, {"at": at, "hang_up": True}, until=9)
    assert call.length == pytest.approx(at)
    assert call.audible["agent"][-1][1] == pytest.approx(at, abs=1e-4)
    close = call.events[-1]
    assert (close["type"], close["reason"]) == ("close", "participant_disconnected")
    assert call.history[-1].interrupted


# In a running call


def test_steps_in_a_running_call_can_be_awaited() -> None:
    async def main() -> None:
        call = SimulatedCall()
        call.llm.replies = {"*": "Yes."}
        await call.start()
        await call.caller.says("hello", wait=0.5, lasting=1.0)
        assert call.now == pytest.approx(1.5)
        await call.caller.coughs(wait=0.2, lasting=0.3)
        assert call.now == pytest.approx(2.0)
        waits = call.caller.says("again", after="agent stops", wait=0.4, lasting=0.5)
        await call.wait_for("agent stops")
        stopped = call.now - 0.02
        await waits
        assert call.now == pytest.approx(stopped + 0.4 + 0.5)
        await call.end()
        assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []

    virtual.run(main())


def test_waiting_for_what_does_not_happen_says_so() -> None:
    async def main() -> None:
        call = SimulatedCall()
        await call.start()
        with pytest.raises(AssertionError, match=r"'agent speaks' did not happen within 2 s"):
            await call.wait_for("agent speaks", within=2)
        await call.end()

    virtual.run(main())

"""A speech of ten seconds, interrupted at every frame of it: the history against the recording."""

from collections.abc import AsyncIterator

import pytest

from agent_runtime import clock, virtual
from agent_runtime.agent import Agent
from agent_runtime.chat import ChatMessage
from agent_runtime.io.memory import ClockSink
from agent_runtime.session import AgentSession
from agent_runtime.testing.result import Track
from tests.sim.signed import NAME, SignedTTS, heard_words, played_of, read

SPEECH = (
    "a0 a1 a2 a3, a4 a5 a6 a7 a8 a9. a10 a11 a12 a13 a14 a15 a16 a17. "
    "a18 a19 a20, a21 a22 a23 a24, a25 a26. a27 a28 a29 a30."
)
LENGTH_S = 10.4
EVERY_S = 0.02
POINTS = range(500)


async def _interrupted(at: float, *, word_times: bool) -> tuple[list[str], list[str], float]:
    """(words in the history, words whose middle was played, s of sound after the interruption)."""
    track = Track(24_000)
    voice = SignedTTS(ttfb=0.1, words_per_second=3.0, real_time_factor=0.02, word_times=word_times)
    session: AgentSession[None] = AgentSession(vad=None, tts=voice)
    await session.start(Agent(instructions=""), output=ClockSink(on_played=track.add))
    begun = clock.now()
    speech = session.say(SPEECH)
    await clock.sleep_until(begun + 0.1 + at)
    over = clock.now()
    speech.interrupt()
    await speech.wait_for_playout()
    await session.aclose()
    played = read(track)
    messages = [item for item in session.history.items if isinstance(item, ChatMessage)]
    for message in messages:
        assert message.interrupted == (message.text_content != SPEECH), "it is marked where words are missing"
    assert speech.interrupted == (over < begun + 0.1 + LENGTH_S)
    told = [word for message in messages for word in NAME.findall(message.text_content or "")]
    heard = [word for phrase in voice.phrases for word in heard_words(phrase, played_of(phrase, played))]
    return told, heard, max((stretch.end for stretch in played), default=over) - over


@pytest.mark.parametrize("word_times", [True, False], ids=["with word times", "without"])
@pytest.mark.parametrize("block", range(10))
def test_the_history_is_what_was_played(block: int, word_times: bool) -> None:
    each = len(POINTS) // 10
    for point in POINTS[block * each : (block + 1) * each]:
        at = point * EVERY_S
        told, heard, after_s = virtual.run(_interrupted(at, word_times=word_times))
        off = set(told) ^ set(heard)
        assert len(off) <= (0 if word_times else 1), f"interrupted after {at:.2f} s: {sorted(off)} off"
        assert told == sorted(told, key=lambda word: int(word[1:])), "in the order in which they were said"
        assert after_s <= 1 / 24_000, f"{after_s:.4f} s of sound after the interruption at {at:.2f} s"


def test_the_points_cover_the_speech() -> None:
    told, heard, _ = virtual.run(_interrupted(LENGTH_S, word_times=True))
    assert told == heard == NAME.findall(SPEECH)
    assert len(POINTS) * EVERY_S == 10.0
    half = virtual.run(_interrupted(5.0, word_times=True))[0]
    assert 0 < len(half) < len(told)


def test_a_cut_behind_the_last_word_leaves_a_whole_message() -> None:
    """`_interrupted` looks at the mark."""
    assert len(virtual.run(_interrupted(10.2, word_times=True))[0]) == len(NAME.findall(SPEECH))


def test_but_not_where_more_was_to_be_said() -> None:
    async def unfinished() -> AsyncIterator[str]:
        yield "a0 a1 a2. "
        await clock.sleep(60)
        yield "a3."

    async def main() -> ChatMessage:
        session: AgentSession[None] = AgentSession(vad=None, tts=SignedTTS(ttfb=0.1))
        await session.start(Agent(instructions=""), output=ClockSink())
        speech = session.say(unfinished())
        await clock.sleep(3.0)
        speech.interrupt()
        await speech.wait_for_playout()
        await session.aclose()
        return session.history.messages()[-1]

    message = virtual.run(main())
    assert message.text_content == "a0 a1 a2."
    assert message.interrupted

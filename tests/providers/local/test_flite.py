import array
import asyncio
import os
import shutil
import stat
from pathlib import Path

import pytest

from agent_runtime import virtual
from agent_runtime.audio.frame import AudioFrame
from agent_runtime.errors import EngineDied, EngineStalled, UsageError
from agent_runtime.providers.local.flite import MAX_CHARACTERS, SAMPLE_RATE, VOICES, FliteTTS, split, to_ascii

needs_flite = pytest.mark.skipif(shutil.which("flite") is None, reason="apt-get install flite")


def speak(text: str, tts: FliteTTS | None = None) -> list[AudioFrame]:
    async def main() -> list[AudioFrame]:
        return [frame async for frame in (tts or FliteTTS()).synthesize(text)]

    return virtual.run(main())


@needs_flite
@pytest.mark.parametrize("voice", VOICES)
def test_each_voice_speaks_in_frames_of_a_tenth_of_a_second(voice: str) -> None:
    frames = speak("What time is it?", FliteTTS(voice=voice))
    assert {(frame.sample_rate, frame.num_channels) for frame in frames} == {(SAMPLE_RATE, 1)}
    assert all(frame.duration == 0.1 for frame in frames[:-1])
    assert 0.5 < sum(frame.duration for frame in frames) < 3.0
    assert max(map(abs, array.array("h", b"".join(frame.data for frame in frames)))) > 5000


@needs_flite
@pytest.mark.parametrize("text", ["", "  ", "...", "\U0001f600", "Привет", "你好"])
def test_nothing_it_can_read_makes_no_frames(text: str) -> None:
    assert speak(text) == []


@needs_flite
@pytest.mark.parametrize("text", ["-o /dev/null", "a\0b", '$(ls) "it\'s" café', "word " * 20_000])
def test_odd_text_is_spoken(text: str) -> None:
    async def main() -> AudioFrame:
        phrase = FliteTTS(voice="kal16").synthesize(text)
        frame = await anext(phrase)
        await phrase.aclose()
        return frame

    assert virtual.run(main()).duration == 0.1


def test_what_it_can_read() -> None:
    assert to_ascii("Café “naïve” — it’s ﬁne 你好") == 'Cafe "naive" - it\'s fine '


def test_long_text_is_cut_after_sentences_then_at_spaces_then_anywhere() -> None:
    assert list(split("One two. Three four five", 20)) == ["One two.", " Three four five"]
    assert list(split("one two three", 9)) == ["one two ", "three"]
    assert list(split("x" * 25, 10)) == ["x" * 10, "x" * 10, "x" * 5]
    text = "Is it? " * 300
    assert "".join(split(text)) == text
    assert max(map(len, split(text))) <= MAX_CHARACTERS


@needs_flite
def test_machine_time_is_counted() -> None:
    tts = FliteTTS()
    speak("one", tts)
    speak("two", tts)
    assert tts.watch.spans == 2
    assert tts.watch.seconds > 0


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program named flite that a test writes."""
    path = tmp_path / "flite"
    path.write_text("#!/bin/sh\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return path


@pytest.mark.real_time
def test_cancelling_kills_the_program(stand_in: Path, tmp_path: Path) -> None:
    # The child-process fence in conftest.py fails this test if the program outlives it.
    pipe = tmp_path / "started"
    os.mkfifo(pipe)
    stand_in.write_text(f"#!/bin/sh\necho $$ >{pipe}\nexec sleep 600\n")

    async def main() -> int:
        phrase = FliteTTS().synthesize("hello")
        speaking = asyncio.ensure_future(anext(phrase))
        pid = int(await asyncio.get_running_loop().run_in_executor(None, pipe.read_text))
        speaking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await speaking
        await phrase.aclose()
        return pid

    # On a virtual loop the news of the pipe would wait for the older work, the program itself.
    pid = asyncio.run(main())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.real_time
def test_closing_ends_what_is_being_made(stand_in: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "started"
    os.mkfifo(pipe)
    stand_in.write_text(f"#!/bin/sh\necho $$ >{pipe}\nexec sleep 600\n")

    async def main() -> None:
        tts = FliteTTS()
        speaking = asyncio.ensure_future(anext(tts.synthesize("hello")))
        await asyncio.get_running_loop().run_in_executor(None, pipe.read_text)
        await tts.aclose()
        with pytest.raises(EngineDied):
            await speaking

    asyncio.run(main())


def test_a_program_that_hangs_is_stopped(stand_in: Path) -> None:
    stand_in.write_text("#!/bin/sh\nexec sleep 600\n")
    with pytest.raises(EngineStalled, match=r"did not end within 0\.2 s"):
        speak("hello", FliteTTS(deadline=0.2))


def test_a_program_that_fails_is_named(stand_in: Path) -> None:
    stand_in.write_text("#!/bin/sh\nexit 3\n")
    with pytest.raises(EngineDied, match="ended with code 3"):
        speak("hello")


def test_without_the_program_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="apt-get install flite"):
        speak("hello")
    info = FliteTTS().describe()
    assert not info.installed
    assert info.missing is not None


def test_an_unknown_voice_is_refused() -> None:
    with pytest.raises(UsageError, match="no voice 'nope'; choose one of slt"):
        FliteTTS(voice="nope")

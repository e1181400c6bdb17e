"""The recogniser with its real engine, over sentences that flite speaks."""

import itertools
import os
import signal

import pytest

pytest.importorskip("pocketsphinx", reason="pip install 'agent-runtime[local]'")

from agent_runtime import virtual
from agent_runtime.audio.frame import FRAME_S, INPUT_RATE, AudioFrame
from agent_runtime.errors import EngineDied, UsageError
from agent_runtime.providers import voiced
from agent_runtime.providers.local import spans
from agent_runtime.providers.local.pocketsphinx import PocketsphinxSTT
from agent_runtime.providers.local.spans import SpanStream
from agent_runtime.stt import MIN_CONFIDENCE, SpeechData, SpeechEvent, SpeechEventType, STTContext, ToolHint
from tests.providers.local.spoken import FRAME_BYTES, finals, flite, frames, needs_flite, play, silence, transcribe

CONTEXT = STTContext(
    keyterms=["milk", "eggs", "bread"],
    tools=[ToolHint("add_item", "Add an item to the shopping list.", {"item": ()})],
)
TYPES = SpeechEventType


def recognise(call: list[AudioFrame], context: STTContext = CONTEXT) -> list[SpeechEvent]:
    async def main() -> list[SpeechEvent]:
        return await transcribe(PocketsphinxSTT().stream(context=context), call)

    return virtual.run(main())


@needs_flite
def test_each_span_gives_one_final_transcript() -> None:
    events = recognise(frames(flite("what time is it"), flite("please add milk to the shopping list", "rms")))
    assert finals(events) == ["what time is it", "please add milk to the shopping list"]
    kinds = [event.type for event in events if event.type is not TYPES.INTERIM_TRANSCRIPT]
    assert kinds == 2 * [TYPES.START_OF_SPEECH, TYPES.FINAL_TRANSCRIPT, TYPES.END_OF_SPEECH]
    assert all(_sure(data) for data in _data(events, final=True))


@needs_flite
def test_interim_transcripts_come_while_one_speaks_and_each_says_something_new() -> None:
    call = frames(flite("what time is it"))
    events = recognise(call)
    interims = [(data.text, _sure(data)) for data in _data(events, final=False)]
    assert len(interims) >= 2
    assert all(one != next_ for one, next_ in itertools.pairwise(interims))
    voiced = [frame for frame in call if frame.voiced]
    (final,) = _data(events, final=True)
    assert final.start_time == voiced[0].at
    assert final.end_time == pytest.approx((voiced[-1].at or 0.0) + FRAME_S)


@needs_flite
def test_what_no_phrase_fits_is_not_sure() -> None:
    events = recognise(frames(flite("unless to be rather cold hearted", "rms")))
    (final,) = _data(events, final=True)
    assert final.text
    assert _sure(final) is False


def test_voice_without_words_is_an_empty_final_transcript() -> None:
    (final,) = _data(recognise(frames(silence(0.4))), final=True)
    assert (final.text, final.confidence) == ("", 0.0)


@needs_flite
def test_speech_that_is_not_marked_is_not_heard() -> None:
    unmarked = [AudioFrame(frame.data, 16_000, at=frame.at, voiced=False) for frame in frames(flite("stop"))]
    assert recognise(unmarked) == []


@needs_flite
def test_the_input_may_end_in_the_middle_of_a_span() -> None:
    call = frames(flite("what time is it"))
    last = max(i for i, frame in enumerate(call) if frame.voiced)
    assert finals(recognise(call[:last])) == ["what time is it"]


@needs_flite
def test_the_same_sound_gives_the_same_events() -> None:
    call = frames(flite("what is your name", "kal16"), flite("say that again", "awb"))
    assert recognise(call) == recognise(call)


@needs_flite
def test_a_long_span_is_read_in_pieces_and_stays_one_transcript(monkeypatch: pytest.MonkeyPatch) -> None:
    one = flite("what time is it") + silence(0.4)
    monkeypatch.setattr(spans, "MAX_UTTERANCE_S", len(one) / 2 / INPUT_RATE + voiced.PRE_ROLL_S)
    (final,) = _data(recognise(frames(one * 3)), final=True)
    assert final.text == "what time is it what time is it what time is it"


@needs_flite
@pytest.mark.parametrize(("blow", "reason"), [(signal.SIGKILL, "died"), (signal.SIGSTOP, "stalled")])
def test_no_word_is_lost_with_a_child(blow: signal.Signals, reason: str) -> None:
    restarts: list[str] = []

    async def main() -> list[SpeechEvent]:
        stream = PocketsphinxSTT(deadline=2.0).stream(context=CONTEXT)
        stream.on_restart = restarts.append
        return await _struck(stream, frames(flite("please add milk to the shopping list")), blow)

    assert finals(virtual.run(main())) == ["please add milk to the shopping list"]
    assert restarts == [reason]


@needs_flite
def test_three_children_lost_in_one_utterance_are_the_end() -> None:
    restarts: list[str] = []

    async def main() -> None:
        stream = PocketsphinxSTT().stream(context=CONTEXT)
        stream.on_restart = restarts.append
        await _struck(stream, frames(flite("what time is it")), signal.SIGKILL, times=3)

    with pytest.raises(EngineDied):
        virtual.run(main())
    assert restarts == ["died", "died"]


@needs_flite
def test_closing_in_the_middle_of_a_span_ends_child_and_iteration() -> None:
    async def main() -> int:
        stream = PocketsphinxSTT().stream(context=CONTEXT)
        pid = 0
        async for event in play(stream, frames(flite("what time is it"))):
            if event.type is TYPES.INTERIM_TRANSCRIPT:
                pid = stream.pid or 0
                await stream.aclose()
        return pid

    pid = virtual.run(main())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_what_cannot_be_listened_for_is_said(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> SpanStream:
        stream = PocketsphinxSTT().stream(context=STTContext(keyterms=["milk", "zwieback"]))
        await transcribe(stream, frames())
        return stream

    stream = virtual.run(main())
    assert stream.skipped == ("'zwieback': 'zwieback' is not in the dictionary",)
    assert "zwieback" in caplog.text


def test_another_language_is_refused() -> None:
    with pytest.raises(UsageError, match="'de'"):
        PocketsphinxSTT().stream(language="de")
    with pytest.raises(UsageError, match="8000 Hz"):
        recognise([AudioFrame(bytes(FRAME_BYTES), 8_000, voiced=False)])


def test_it_describes_itself() -> None:
    info = PocketsphinxSTT().describe()
    assert (info.descriptor, info.installed, info.missing, info.leaves_machine) == (
        "local/pocketsphinx",
        True,
        None,
        False,
    )
    assert info.version


def _sure(data: SpeechData) -> bool:
    assert data.confidence is not None
    return data.confidence >= MIN_CONFIDENCE


def _data(events: list[SpeechEvent], *, final: bool) -> list[SpeechData]:
    kind = TYPES.FINAL_TRANSCRIPT if final else TYPES.INTERIM_TRANSCRIPT
    return [event.alternatives[0] for event in events if event.type is kind]


async def _struck(
    stream: SpanStream, call: list[AudioFrame], blow: signal.Signals, times: int = 1
) -> list[SpeechEvent]:
    """Play a call; at each of the first `times` interim transcripts the child is hit."""
    events = []
    async for event in play(stream, call):
        events.append(event)
        if event.type is TYPES.INTERIM_TRANSCRIPT and times and event.alternatives[0].text:
            times -= 1
            assert stream.pid is not None
            os.kill(stream.pid, blow)
    return events

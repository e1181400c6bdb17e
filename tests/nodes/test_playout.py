"""How the sink's queue is filled, while nobody interrupts; what interruptions do is in `tests/test_conversation.py`."""

import asyncio

import pytest

from agent_runtime import clock, virtual
from agent_runtime.audio.frame import FRAME_S, OUTPUT_RATE, AudioFrame
from agent_runtime.io.memory import ClockSink
from agent_runtime.nodes.playout import LEAD_S, STUCK_AFTER_S, Playout, Utterance
from agent_runtime.turns.ledger import Heard

FRAME = AudioFrame(bytes(2 * int(FRAME_S * OUTPUT_RATE)), OUTPUT_RATE)


class Sink(ClockSink):
    """Notes when it was given how much, and how full it was then."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[tuple[float, float]] = []
        self.stands_still = False

    def write(self, pcm: bytes) -> None:
        super().write(pcm)
        self.writes.append((round(clock.now(), 6), self.queued_samples / self.sample_rate))

    def _consume(self) -> None:
        if not self.stands_still:
            super()._consume()


class Floor:
    def __init__(self) -> None:
        self.utterance: Utterance | None = None
        self.over: list[float] = []
        self.stuck: list[float] = []
        self.playout: Playout | None = None

    def next_utterance(self) -> Utterance | None:
        return self.utterance if self.utterance is not None and not self.utterance.over.is_set() else None

    def may_start(self) -> bool:
        return True

    def utterance_started(self, utterance: Utterance) -> None: ...

    def utterance_over(self, utterance: Utterance, position_s: float, heard: Heard, *, cut: bool) -> None:
        self.over.append(position_s)
        assert self.playout is not None
        self.playout.wake()  # as a conversation does after every signal

    def playout_stuck(self, after_s: float) -> None:
        self.stuck.append(clock.now())


def fail(error: BaseException) -> None:
    raise error


def playing() -> tuple[Sink, Floor, Playout]:
    sink, floor = Sink(), Floor()
    playout = floor.playout = Playout(sink, floor, fail)
    return sink, floor, playout


async def say(floor: Floor, playout: Playout, frames: int) -> Utterance:
    utterance = floor.utterance = Utterance(OUTPUT_RATE)
    playout.expect(utterance)
    for _ in range(frames):
        await utterance.feed(FRAME)
    utterance.finish()
    return utterance


def test_the_queue_is_filled_two_frames_at_a_time_and_is_never_longer_than_the_lead() -> None:
    async def main() -> None:
        sink, floor, playout = playing()
        for _ in range(2):  # the second time nothing is left of the first: no timer of it fills beside
            del sink.writes[:]
            began = clock.now()
            await say(floor, playout, 50)
            await clock.sleep(1.5)
            assert max(queued for _, queued in sink.writes) == pytest.approx(LEAD_S)
            later = [at - began for at, _ in sink.writes if at > began]
            assert later == pytest.approx([0.04 * (number + 1) for number in range(23)])
        assert floor.over == [1.0, 1.0]

    virtual.run(main())


def test_sound_that_comes_late_is_handed_on_before_the_sink_has_run_empty() -> None:
    async def main() -> None:
        sink, floor, playout = playing()
        utterance = floor.utterance = Utterance(OUTPUT_RATE)
        playout.expect(utterance)
        for _ in range(10):
            await utterance.feed(FRAME)
            await clock.sleep(FRAME_S / 2)
        utterance.finish()
        await clock.sleep(1.0)
        assert sink.writes[1][0] == pytest.approx(FRAME_S / 2)
        assert sink.played_samples == 10 * FRAME.samples_per_channel
        assert floor.over == [0.2]

    virtual.run(main())


def test_a_sink_that_consumes_nothing_is_told_of_once_and_goes_on() -> None:
    async def main() -> None:
        sink, floor, playout = playing()
        await say(floor, playout, 10)
        await clock.sleep(0.03)
        sink.stands_still = True
        await clock.sleep(STUCK_AFTER_S + 2.0)
        assert floor.stuck == [pytest.approx(STUCK_AFTER_S, abs=0.05)]
        sink.stands_still = False
        await clock.sleep(1.0)
        assert floor.over == [0.2]

    virtual.run(main())


def test_nothing_runs_when_all_was_said() -> None:
    async def main() -> None:
        _, floor, playout = playing()
        await (await say(floor, playout, 5)).over.wait()
        await asyncio.get_running_loop().create_future()

    with pytest.raises(virtual.Deadlock):
        virtual.run(main())

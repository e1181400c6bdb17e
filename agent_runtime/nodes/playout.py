"""What sounds: utterances, one after another, into the sink.

An `Utterance` is the sound of one stretch of the agent's speech and the account of it. The `Playout` keeps the sink's queue
at `LEAD_S`: short, so that ducking and stopping act at once, long enough to cover a late loop. All that can be done to the
sound (duck, hold, release, cut) happens in the call itself, without a task switch; the playout's task only refills.

A hold takes back what the sink had not yet consumed, so the sound goes on from the very sample at which it stopped.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from agent_runtime import clock
from agent_runtime.audio.endpoints import AudioSink
from agent_runtime.audio.frame import FRAME_S, AudioFrame
from agent_runtime.audio.resample import Resampler, scale
from agent_runtime.turns.ledger import Heard, PlayoutLedger

LEAD_S = 0.06
"""Three frames: a device takes 10 ms blocks, and a busy loop may be late by two frames before the sound breaks."""

DUCKED_GAIN = 0.2
"""-14 dB: soft enough to yield the floor, loud enough to be heard going on."""

AHEAD_S = 6.0
"""How much sound may be made before it can be played. It bounds memory, and what an interruption throws away."""

STUCK_AFTER_S = 1.0
"""A sink that has sound and consumes none for so long is stuck."""


class Floor(Protocol):
    """Who owns the conversation, as the playout sees it."""

    def next_utterance(self) -> "Utterance | None":
        """What is to be played next, whether or not it has any sound yet."""

    def may_start(self) -> bool:
        """Whether the agent may take the floor: asked before an utterance's first sample."""

    def utterance_started(self, utterance: "Utterance") -> None:
        """Its first sample went to the sink."""

    def utterance_over(self, utterance: "Utterance", position_s: float, heard: Heard, *, cut: bool) -> None:
        """It was played to its end, or cut at `position_s`."""

    def playout_stuck(self, after_s: float) -> None:
        """The sink has sound and consumes none."""


class Utterance:
    """One stretch of the agent's speech: what one answer of the model says before it is done or calls a tool.

    One task feeds it, the playout plays it. `over` is set when it has been played to the end, or cut.
    """

    def __init__(self, sample_rate: int) -> None:
        self._ledger = PlayoutLedger(sample_rate)
        self._told = False  # whether frames say what they say
        self._given: list[str] = []
        self.over = asyncio.Event()
        self.cut = False
        self.empty = True
        self._rate = sample_rate
        self._resampler: Resampler | None = None
        self._pcm = bytearray()  # from sample `_kept_from` on: what is not known to have been played
        self._kept_from = 0
        self._cursor = 0  # the next sample to hand to the sink
        self._finished = False
        self._broken = False
        self._room: asyncio.Event | None = None  # there while somebody waits for it
        self.on_sound: Callable[[], None] = _nobody
        self.on_finished: Callable[[], None] = _nobody

    # The side that makes it.

    async def feed(self, frame: AudioFrame) -> None:
        """Add sound, waiting while `AHEAD_S` of it is unplayed."""
        if self.cut:
            return
        if frame.text is not None:
            self._told = True
            self._ledger.phrase_done()
            self._ledger.said(frame.text, frame.text if frame.spoken is None else frame.spoken)
        if frame.data:
            self.empty = False
            if self._resampler is None:
                self._resampler = Resampler(frame.sample_rate, self._rate)
            elif self._resampler.in_rate != frame.sample_rate:
                self._pcm += self._resampler.flush()
                self._resampler = Resampler(frame.sample_rate, self._rate)
            self._ledger.samples(round(frame.samples_per_channel * self._rate / frame.sample_rate), frame.words)
            self._pcm += self._resampler.push(frame.data)
            self.on_sound()
        if self._unplayed > AHEAD_S * self._rate:
            self._room = asyncio.Event()
            await self._room.wait()

    @property
    def tells(self) -> bool:
        """Whether its frames say which words they are."""
        return self._told

    @property
    def is_mute(self) -> bool:
        """Whether text was given for it, and neither sound nor a word about it has come."""
        return self.empty and not self._told and not self.cut and bool("".join(self._given).strip())

    @property
    def made_s(self) -> float:
        """Seconds of sound that were made so far."""
        return (self._kept_from + len(self._pcm) // 2) / self._rate

    def finish(self, *, broken: bool = False) -> None:
        """No more sound will come; `broken`: though not all is there that was to be said."""
        if self._resampler is not None and not self.cut:
            self._pcm += self._resampler.flush()
            self._resampler = None
        self._broken = broken
        if not broken:
            if self._told:
                self._ledger.phrase_done()
            self._ledger.finish()
        self._finished = True
        self.on_finished()

    def given(self, text: str) -> None:
        """`text` was given to whatever makes the sound. It stands for what is said where the frames do not tell."""
        self._given.append(text)

    # What was heard.

    def heard(self, played_samples: int) -> Heard:
        """The text on both sides of a played position."""
        if not self._told and self._given:
            text = "".join(self._given)
            self._given.clear()
            self._ledger.said(text, text)
        return self._ledger.heard(played_samples)

    def all_heard(self) -> Heard:
        """The text, all of it heard, as far as there was sound for it."""
        if self._broken or (self.empty and not self._told):
            return self.heard(self._cursor)
        text = self.heard(0).cut
        return Heard(text, "", len(text.split()))

    # The side that plays it.

    @property
    def _unplayed(self) -> int:
        return self._kept_from + len(self._pcm) // 2 - self._cursor

    @property
    def starved(self) -> bool:
        return self._unplayed == 0 and not self._finished

    @property
    def has_sound(self) -> bool:
        return self._unplayed > 0

    @property
    def spent(self) -> bool:
        return self._unplayed == 0 and self._finished

    def take(self, samples: int) -> bytes:
        """The next samples for the sink, `samples` of them where there are so many."""
        start = 2 * (self._cursor - self._kept_from)
        pcm = bytes(self._pcm[start : start + 2 * samples])
        self._cursor += len(pcm) // 2
        return pcm

    def give_back(self, samples: int) -> None:
        """The last `samples` that were taken did not sound."""
        self._cursor -= samples

    def forget(self, played: int) -> None:
        """Samples up to `played` need not be kept: they have sounded."""
        surplus = played - self._kept_from
        if surplus > self._rate:  # by whole seconds, not by every frame
            del self._pcm[: 2 * surplus]
            self._kept_from = played
        if self._room is not None and self._unplayed <= AHEAD_S * self._rate:
            self._room.set()
            self._room = None

    def end(self, *, cut: bool) -> None:
        self.cut = cut
        self._pcm.clear()
        if self._room is not None:
            self._room.set()
        self.over.set()


class Playout:
    """Plays what the floor's owner gives it into `sink`, and says what was heard."""

    def __init__(self, sink: AudioSink, floor: Floor) -> None:
        self.sink = sink
        self._floor = floor
        self._current: Utterance | None = None
        self._base = 0  # the sink's played samples at the current utterance's first
        self._held = False
        self._seamless = False
        self._gain = self._last_gain = 1.0
        self._wakeup: asyncio.Future[None] | None = None

    @property
    def current(self) -> Utterance | None:
        """The utterance of which something was handed to the sink, until it is over."""
        return self._current

    @property
    def sounding(self) -> bool:
        """Whether the agent can be heard now; also in the moment between two utterances that follow seamlessly."""
        return (self._current is not None or self._seamless) and not self._held

    @property
    def heard_now(self) -> str:
        """The text of the current utterance, up to what was heard."""
        utterance = self._current
        return utterance.heard(self._played()).text if utterance is not None and utterance.tells else ""

    @property
    def position_s(self) -> float:
        """Seconds of the current utterance that were heard."""
        return self._played() / self.sink.sample_rate if self._current is not None else 0.0

    def expect(self, utterance: Utterance) -> None:
        """It will be played. Where the floor is free it starts to sound in the very call that feeds it its first sound."""
        utterance.on_sound = self.sound_came
        utterance.on_finished = self.wake

    def wake(self) -> None:
        """Something changed: an utterance was queued, the floor is free."""
        if self._wakeup is not None and not self._wakeup.done() and self._has_work:
            self._wakeup.set_result(None)

    @property
    def _has_work(self) -> bool:
        # Most of what wakes the playout finds nothing to play, and a task switch costs more than this look.
        utterance = self._current or self._floor.next_utterance()
        return not self._held and utterance is not None and not utterance.starved

    def sound_came(self) -> None:
        """An utterance has sound: where the floor is free, it starts now."""
        if self._current is None:
            self._begin()
        self.wake()

    def duck(self) -> None:
        """From now on softly; what the sink has is taken back and handed out again softly."""
        self._set_gain(DUCKED_GAIN)

    def hold(self) -> None:
        """Nothing sounds from now on."""
        self._held = True
        self._take_back()

    def release(self) -> None:
        """On from where it was held, at full level."""
        self._held = False
        self._set_gain(1.0)
        self.wake()

    def cut(self, utterance: Utterance) -> None:
        """End `utterance` where it is, and account for what of it was heard."""
        if utterance.over.is_set():
            return
        if utterance is self._current:
            self._take_back()
            self._finish(utterance, cut=True)
        else:
            utterance.end(cut=True)
            self._floor.utterance_over(utterance, 0.0, utterance.heard(0), cut=True)

    def open(self) -> None:
        """The floor's suspicions are over: the next utterance starts at full level."""
        self._held = False
        self._seamless = False
        self._gain = self._last_gain = 1.0
        self.wake()

    async def run(self) -> None:
        """Play for as long as the session lives."""
        while True:
            if self._current is None:
                self._begin()
            utterance = self._current
            if utterance is None or self._held:
                await self._woken()
                continue
            self._fill()
            utterance.forget(self._played())
            queued = self.sink.queued_samples / self.sink.sample_rate
            if utterance.spent and queued <= 0:
                self._finish(utterance, cut=False)
            elif utterance.starved and queued <= 0:
                await self._woken()
            elif utterance.spent or utterance.starved:
                await self._pause(queued)
            else:
                await self._pause(max(queued - LEAD_S + FRAME_S, FRAME_S / 4))

    async def _pause(self, seconds: float) -> None:
        before, since = self.sink.played_samples, clock.now()
        await clock.sleep(seconds)
        while self.sink.played_samples == before and self._current is not None and not self._held:
            if clock.now() - since >= STUCK_AFTER_S:
                self._floor.playout_stuck(STUCK_AFTER_S)
                while self.sink.played_samples == before and self._current is not None and not self._held:
                    await clock.sleep(0.1)
                return
            await clock.sleep(FRAME_S / 2)

    async def _woken(self) -> None:
        self._wakeup = asyncio.get_running_loop().create_future()
        try:
            await self._wakeup
        finally:
            self._wakeup = None

    def _begin(self) -> None:
        self._seamless = False
        utterance = self._floor.next_utterance()
        if utterance is None or self._held:
            return
        self.expect(utterance)
        if utterance.spent:  # it never had any sound
            utterance.end(cut=False)
            self._floor.utterance_over(utterance, 0.0, utterance.all_heard(), cut=False)
            self._begin()
        elif not utterance.starved and self._floor.may_start():
            self._current = utterance
            self._base = self.sink.played_samples + self.sink.queued_samples
            self._gain = self._last_gain = 1.0
            self._fill()
            self._floor.utterance_started(utterance)

    def _fill(self) -> None:
        utterance, sink = self._current, self.sink
        if utterance is None or self._held:
            return
        frame = int(FRAME_S * sink.sample_rate)
        room = int(LEAD_S * sink.sample_rate) - sink.queued_samples
        while room >= frame:
            pcm = utterance.take(frame)
            if not pcm:
                return
            room -= len(pcm) // 2
            if self._gain != 1.0 or self._last_gain != 1.0:
                pcm = scale(pcm, self._last_gain, self._gain)
                self._last_gain = self._gain
            sink.write(pcm)

    def _set_gain(self, gain: float) -> None:
        if self._current is not None and gain != self._gain:
            self._take_back()
            self._gain = gain
            self._fill()

    def _take_back(self) -> None:
        dropped = self.sink.clear()
        if self._current is not None:
            self._current.give_back(dropped)

    def _played(self) -> int:
        return max(0, self.sink.played_samples - self._base)

    def _finish(self, utterance: Utterance, *, cut: bool) -> None:
        played = self._played()
        self._current = None
        utterance.end(cut=cut)
        following = None if cut else self._floor.next_utterance()
        self._seamless = following is not None and following.has_sound and self._floor.may_start()
        heard = utterance.heard(played) if cut else utterance.all_heard()
        self._floor.utterance_over(utterance, played / self.sink.sample_rate, heard, cut=cut)


def _nobody() -> None:
    """What an utterance calls when it gets sound that no playout is waiting for."""

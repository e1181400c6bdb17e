"""What sounds: utterances, one after another, into the sink.

An `Utterance` is the sound of one stretch of the agent's speech and the account of it. The `Playout` fills the sink's queue
up to `LEAD_S` whenever half of that is played. All that can be done to the sound (duck, hold, release, cut) happens in the
call itself; there is no task, only a timer that refills.

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

LEAD_S = 0.08
"""Four frames, two at a time: a busy loop may be late by two before the sound breaks. What is queued is taken back where
the sound changes, so ducking and stopping do not wait for it."""

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
            if self._told:
                self._ledger.phrase_done()
            self._told = True
            self._ledger.said(frame.text, frame.text if frame.spoken is None else frame.spoken)
        if frame.data:
            self.empty = False
            samples, rate = frame.samples_per_channel, frame.sample_rate
            self._ledger.samples(samples if rate == self._rate else round(samples * self._rate / rate), frame.words)
            self._pcm += self._at_our_rate(frame)
            self.on_sound()
        if self._unplayed > AHEAD_S * self._rate:
            self._room = asyncio.Event()
            await self._room.wait()

    def _at_our_rate(self, frame: AudioFrame) -> bytes:
        if self._resampler is None:
            if frame.sample_rate == self._rate and not len(frame.data) % 2:
                return frame.data
            self._resampler = Resampler(frame.sample_rate, self._rate)
        elif self._resampler.in_rate != frame.sample_rate:
            held_back = self._resampler.flush()
            self._resampler = Resampler(frame.sample_rate, self._rate)
            return held_back + self._resampler.push(frame.data)
        return self._resampler.push(frame.data)

    @property
    def tells(self) -> bool:
        """Whether its frames say which words they are."""
        return self._told

    @property
    def is_mute(self) -> bool:
        """Whether text was given for it, and neither sound nor a word about it has come."""
        return self.empty and not self._told and not self.cut and bool("".join(self._given).strip())

    @property
    def is_whole(self) -> bool:
        """Whether all of it was made."""
        return self._finished and not self._broken

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
        return not self._finished and self._unplayed == 0

    @property
    def has_sound(self) -> bool:
        return self._unplayed > 0

    @property
    def spent(self) -> bool:
        return self._finished and self._unplayed == 0

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
    """Plays what the floor's owner gives it into `sink`, and says what was heard.

    Args:
        failed: told what the sink, or the floor's owner, raised where nobody else has called.
    """

    def __init__(self, sink: AudioSink, floor: Floor, failed: Callable[[BaseException], None]) -> None:
        self.sink = sink
        self._floor = floor
        self._failed = failed
        self._current: Utterance | None = None
        self._base = 0  # the sink's played samples at the current utterance's first
        self._known = 0  # samples of it that were played, when that was asked last
        self._held = False
        self._seamless = False
        self._gain = self._last_gain = 1.0
        self._timer: asyncio.Handle | None = None
        self._moved: tuple[int, float] | None = None  # what was played when that last grew, and when it did
        self._stuck = False

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
        # Most of what wakes the playout finds nothing to play, and a turn of the loop costs more than this look.
        if self._timer is None and not self._held:
            utterance = self._current or self._floor.next_utterance()
            if utterance is not None and not utterance.starved:
                self._timer = asyncio.get_running_loop().call_soon(self._look)

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
        self._stop_timer()
        self._moved = None

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
            self._stop_timer()
            try:
                self._take_back()
                self._played()
            except Exception as error:  # the sink is gone: what it said last stands
                self._failed(error)
            self._finish(utterance, cut=True)
            self.wake()
        else:
            utterance.end(cut=True)
            self._floor.utterance_over(utterance, 0.0, utterance.heard(0), cut=True)

    def open(self) -> None:
        """The floor's suspicions are over: the next utterance starts at full level."""
        self._held = False
        self._seamless = False
        self._gain = self._last_gain = 1.0
        self.wake()

    def close(self) -> None:
        """Nothing is played any more."""
        self._stop_timer()

    # Refilling

    def _look(self) -> None:
        """Do what there is to do now, and come again when there will be more."""
        self._timer = None
        try:
            wait_s = self._play()
        except Exception as error:
            self._failed(error)
            return
        if wait_s is not None:
            self._stop_timer()  # what was done may have woken us
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._look)

    def _play(self) -> float | None:
        """Hand over what the sink has room for. Returns in how many seconds to look again, None: when woken."""
        while True:
            if self._current is None:
                self._begin()
            utterance = self._current
            if utterance is None or self._held:
                return None
            played, queued = self.sink.played_samples, self.sink.queued_samples
            queued += self._fill(queued)
            self._known = max(0, played - self._base)
            utterance.forget(self._known)
            if utterance.starved:
                return None
            if utterance.spent and not queued:
                self._finish(utterance, cut=False)
            elif self._stands_still(played):
                return FRAME_S / 2
            else:
                left_s = queued / self.sink.sample_rate
                return left_s if utterance.spent else max(left_s - LEAD_S / 2, FRAME_S / 4)

    def _stands_still(self, played: int) -> bool:
        """Whether the sink consumes nothing of what it has. Where that lasts, the floor's owner is told, once."""
        now = clock.now()
        if self._moved is None or self._moved[0] != played:
            self._moved, self._stuck = (played, now), False
        since_s = now - self._moved[1]
        if since_s >= STUCK_AFTER_S and not self._stuck:
            self._stuck = True
            self._floor.playout_stuck(STUCK_AFTER_S)
        return since_s >= FRAME_S / 2

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _begin(self) -> None:
        self._seamless = False
        utterance = self._floor.next_utterance()
        if utterance is None or self._held:
            return
        if not utterance.has_sound:
            if utterance.spent:  # it never had any
                utterance.end(cut=False)
                self._floor.utterance_over(utterance, 0.0, utterance.all_heard(), cut=False)
                self._begin()
        elif self._floor.may_start():
            self._current = utterance
            queued = self.sink.queued_samples
            self._base = self.sink.played_samples + queued
            self._known = 0
            self._gain = self._last_gain = 1.0
            self._fill(queued)
            self._floor.utterance_started(utterance)

    def _fill(self, queued: int) -> int:
        """Give the sink, which has `queued` samples, as many frames as it has room for. Returns how many samples."""
        utterance, sink = self._current, self.sink
        if utterance is None or self._held:
            return 0
        frame = int(FRAME_S * sink.sample_rate)
        room = int(LEAD_S * sink.sample_rate) - queued
        pcm = utterance.take(room // frame * frame) if room >= frame else b""
        if not pcm:
            return 0
        samples = len(pcm) // 2
        if self._gain != 1.0 or self._last_gain != 1.0:
            first, more = pcm[: 2 * frame], pcm[2 * frame :]
            pcm = scale(first, self._last_gain, self._gain) + scale(more, self._gain, self._gain)
            self._last_gain = self._gain
        sink.write(pcm)
        return samples

    def _set_gain(self, gain: float) -> None:
        if self._current is not None and gain != self._gain:
            self._take_back()
            self._gain = gain
            self._fill(0)

    def _take_back(self) -> None:
        dropped = self.sink.clear()
        if self._current is not None:
            self._current.give_back(dropped)

    def _played(self) -> int:
        self._known = max(0, self.sink.played_samples - self._base)
        return self._known

    def _finish(self, utterance: Utterance, *, cut: bool) -> None:
        played = self._known if cut else self._played()
        self._current = None
        utterance.end(cut=cut)
        following = None if cut else self._floor.next_utterance()
        self._seamless = following is not None and following.has_sound and self._floor.may_start()
        heard = utterance.heard(played) if cut else utterance.all_heard()
        self._floor.utterance_over(utterance, played / self.sink.sample_rate, heard, cut=cut)


def _nobody() -> None:
    """What an utterance calls when it gets sound that no playout is waiting for."""

"""The microphone and the speaker of this machine, as one thing that opens, watches and closes them.

Theory of operation. Two streams, one each way, because that works at every rate and each can fail alone. PortAudio
calls back every 10 ms in threads of its own; a callback moves bytes between the device and a ring and does nothing
else. Everything that computes runs on the loop when 20 ms of microphone have come in (0.5 ms of work with echo
cancellation): rates are changed, the echo is taken out, frames are cut and dated.

The echo canceller must know what was *played*, not what was handed over, so the speaker's callback copies each block
that it gives to the device, its silence included, into a second ring. Both rings fill at the pace of the device, and
the two are taken from in step.

A device is lost when its stream ends unasked, or when it has not called for half a second (a suspended card says
nothing). The session never notices more than silence: the microphone goes on yielding frames, the speaker keeps its
queue. Every second the device is looked for again.
"""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from agent_runtime import clock
from agent_runtime.audio.echo import EchoCanceller
from agent_runtime.audio.frame import INPUT_RATE, OUTPUT_RATE
from agent_runtime.errors import DeviceError
from agent_runtime.io.microphone import Microphone
from agent_runtime.io.portaudio import BLOCK_S, Kind, Stream, Wanted, find, list_devices, rescan, stderr_to
from agent_runtime.io.speaker import Speaker

__all__ = ["EchoMode", "Microphone", "SoundDevices", "Speaker", "find", "list_devices", "stderr_to"]

EchoMode = Literal["aec", "half-duplex", "headphones"]
"""What keeps the agent from hearing itself: echo cancellation; a microphone that is deaf while the agent speaks (nobody
can interrupt then); or nothing, since the caller wears headphones."""

_ECHO_TAIL_S = 0.3
"""How long a room goes on sounding after the speaker: half-duplex opens the microphone after it."""


class SoundDevices:
    """A microphone and a speaker, found again when they are lost.

    Args:
        input_device, output_device: number, name or a part of it; None: the system's default.
        echo: see `EchoMode`. Where 'aec' cannot be had it becomes 'half-duplex', and `note` says why.
        on_lost: called with ("input" or "output", a sentence for the user) when a device is gone.
        on_returned: called with the same when it delivers again.

    `async with` opens and closes. Needs a loop that runs in real time.
    """

    WATCH_S = 0.1
    SILENT_S = 0.5
    """A device that has not called for so long is lost; it should call every 10 ms."""
    START_S = 2.0
    """The same for one that has just been opened."""
    RETRY_S = 1.0
    PROOF_S = 0.2
    """A lost device is back when it has called for so long beyond the length of its buffers."""

    def __init__(
        self,
        input_device: Wanted = None,
        output_device: Wanted = None,
        *,
        echo: EchoMode = "aec",
        on_lost: Callable[[Kind, str], None] | None = None,
        on_returned: Callable[[Kind, str], None] | None = None,
    ) -> None:
        self.note: str | None = None
        if echo == "aec" and (missing := EchoCanceller.available()) is not None:
            echo = "half-duplex"
            self.note = f"{missing} Until then the microphone is off while the agent speaks."
        self.echo: EchoMode = echo
        self.microphone = Microphone()
        self.speaker = Speaker()
        self.on_lost = on_lost
        self.on_returned = on_returned
        native = [48_000] if echo == "aec" else []
        self._sides = (
            _Side("input", input_device, [*native, INPUT_RATE, 48_000], self.microphone),
            _Side("output", output_device, [*native, OUTPUT_RATE, 48_000], self.speaker),
        )
        self._portaudio = threading.Lock()
        self._closed = False
        self._watching: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Start both devices.

        Raises:
            DeviceError: one of them is not there or does not open; neither is then held.
        """
        if self.echo == "aec":
            self.microphone.cancel_echo(await clock.offload(EchoCanceller, INPUT_RATE), self.speaker.far_end())
        elif self.echo == "half-duplex":
            self.microphone.deafen(_AgentSpeaks(self.speaker))
        try:
            for side in self._sides:
                await self._begin(side)
                side.endpoint.present()
        except BaseException:
            await self.aclose()
            raise
        self._watching = asyncio.create_task(self._watch(), name="sound devices")

    async def aclose(self) -> None:
        """Let go of both devices; `frames` ends."""
        self._closed = True
        watching, self._watching = self._watching, None
        if watching is not None:
            watching.cancel()
            await asyncio.wait([watching])
        for side in self._sides:
            await clock.offload(self._stop, side)
        await self.microphone.aclose()
        await self.speaker.aclose()
        if watching is not None and not watching.cancelled():
            watching.result()  # what a listener raised; it must not be lost

    async def __aenter__(self) -> "SoundDevices":
        await self.open()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def _begin(self, side: "_Side") -> None:
        rate = await clock.offload(self._open, side)
        side.endpoint.attach(rate)
        side.blocks, side.called_at = 0, clock.now()
        latencies = [each.stream.latency_s for each in self._sides if each.stream is not None]
        self.microphone.echo_delay(sum(latencies))
        if side.stream is not None and side.kind == "output":
            self.speaker.latency_s = side.stream.latency_s
        await clock.offload(self._start, side)

    # The watch.

    async def _watch(self) -> None:
        while True:
            await clock.sleep(self.WATCH_S)
            for side in self._sides:
                if side.stream is not None:
                    await self._check(side, side.stream)
                elif clock.now() >= side.retry_at:
                    await self._retry(side)

    async def _check(self, side: "_Side", stream: Stream) -> None:
        if stream.blocks != side.blocks:
            side.blocks, side.called_at = stream.blocks, clock.now()
            # A hung device still fills its buffers once.
            if side.lost and stream.blocks * BLOCK_S > stream.latency_s + self.PROOF_S:
                side.lost = False
                side.endpoint.present()
                self._tell(self.on_returned, side, f"The {side.noun} is back: '{stream.name}'.")
        patience = self.SILENT_S if side.blocks else self.START_S
        if stream.ended or clock.now() - side.called_at > patience:
            await self._lose(side, stream.name)

    async def _lose(self, side: "_Side", name: str) -> None:
        await clock.offload(self._stop, side)
        side.endpoint.detach()
        side.retry_at = clock.now() + self.RETRY_S
        if not side.lost:
            side.lost = True
            side.attempts = 0
            self._tell(self.on_lost, side, f"The {side.noun} '{name}' is gone; the call goes on when one is back.")

    async def _retry(self, side: "_Side") -> None:
        """Open a lost device again.

        A device that was plugged in meanwhile is seen only after a rescan, which interrupts the other direction for
        some 50 ms; while that one works it is done at every third attempt.
        """
        side.attempts += 1
        alone = all(each.stream is None for each in self._sides)
        try:
            if alone or side.attempts % 3 == 0:
                await self._look_again()
            await self._begin(side)
        except DeviceError:
            side.retry_at = clock.now() + self.RETRY_S

    async def _look_again(self) -> None:
        healthy = [(side, side.stream.name) for side in self._sides if side.stream is not None]
        for side, _ in healthy:
            await clock.offload(self._stop, side)
        try:
            await clock.offload(self._rescan)
        finally:
            for side, name in healthy:
                try:
                    await self._begin(side)
                except DeviceError:
                    await self._lose(side, name)

    def _tell(self, listener: Callable[[Kind, str], None] | None, side: "_Side", sentence: str) -> None:
        if listener is not None:
            listener(side.kind, sentence)

    # In a thread, for PortAudio takes its time; one at a time, for it has one list of devices.

    def _open(self, side: "_Side") -> int:
        with self._portaudio:
            if self._closed:
                raise DeviceError(f"The {side.noun} was closed while it was being opened; open it again.")
            side.stream = Stream(side.kind, side.wanted, side.rates, side.endpoint.move)
            return side.stream.rate

    def _start(self, side: "_Side") -> None:
        with self._portaudio:
            if side.stream is not None:
                try:
                    side.stream.start()
                except DeviceError:
                    side.stream = None
                    raise

    def _stop(self, side: "_Side") -> None:
        with self._portaudio:
            stream, side.stream = side.stream, None
            if stream is not None:
                stream.close()

    def _rescan(self) -> None:
        with self._portaudio:
            if not self._closed:
                rescan()


@dataclass(slots=True)
class _Side:
    """One direction, as the watch sees it."""

    kind: Kind
    wanted: Wanted
    rates: list[int]
    endpoint: Microphone | Speaker
    stream: Stream | None = None
    blocks: int = 0
    called_at: float = 0.0
    lost: bool = False
    attempts: int = 0
    retry_at: float = 0.0

    @property
    def noun(self) -> str:
        return "microphone" if self.kind == "input" else "speaker"


class _AgentSpeaks:
    """Whether the speaker sounds, or its room still does."""

    def __init__(self, speaker: Speaker) -> None:
        self._speaker = speaker
        self._played = 0
        self._until = 0.0

    def __call__(self) -> bool:
        if (played := self._speaker.played_samples) != self._played:
            self._played = played
            self._until = clock.now() + self._speaker.latency_s + _ECHO_TAIL_S
        return clock.now() < self._until

"""PortAudio, made safe: what there is, how to open it, and every failure as one sentence.

What PortAudio was seen to do on Linux, and what is done about it here:

* Without its library `import sounddevice` raises `OSError`. It is imported when first needed, and the error translated.
* `stop()` hangs on a device that has stopped asking for samples (a suspended USB card); `abort()` returns in a
  millisecond. A stream is always aborted.
* It writes to file descriptor 2, which tears a terminal's screen: `stderr_to`.
* It lists the devices once; `rescan` makes it look again, which closes every open stream.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from agent_runtime.errors import DeviceError

Kind = Literal["input", "output"]
Wanted = str | int | None
"""A device as a user names it: its number, a part of its name, or None for the system's default."""

_NOUN = {"input": "microphone", "output": "speaker"}
_FLAG = {"input": "--input-device", "output": "--output-device"}
BLOCK_S = 0.01
"""How much a device moves at a time, in seconds."""


def load() -> Any:
    """The module `sounddevice`.

    Raises:
        DeviceError: it is not installed, or there is no PortAudio library for it.
    """
    try:
        import sounddevice
    except ModuleNotFoundError as error:
        raise DeviceError(
            "Sound needs the package 'sounddevice'; run `pip install 'agent-runtime[sound]'`, or use --text."
        ) from error
    except OSError as error:
        raise DeviceError(
            "The PortAudio library is missing; install it with `apt-get install libportaudio2` (Debian, Ubuntu), "
            "`dnf install portaudio` (Fedora) or `brew install portaudio` (macOS), or use --text."
        ) from error
    return sounddevice


def rescan() -> None:
    """Look for devices again. Every open stream must have been closed before.

    Raises:
        DeviceError: the system's sound does not answer; it may be tried again.
    """
    sounddevice = load()
    try:
        if sounddevice._initialized:
            sounddevice._terminate()
        sounddevice._initialize()
    except sounddevice.PortAudioError as error:
        raise DeviceError(f"The sound system does not answer ({_reason(error)}); start it, or use --text.") from error


def list_devices() -> str:
    """The devices as lines of text, for a user to choose from; `*` marks the default."""
    sounddevice = load()
    lines = []
    for kind in ("input", "output"):
        lines.append(f"{_NOUN[kind].capitalize()}s ({_FLAG[kind]}):")
        default = _default(sounddevice, kind)
        for number, name in _devices(sounddevice, kind).items():
            lines.append(f" {'*' if number == default else ' '} {number:2d}  {name}")
        if lines[-1].endswith(":"):
            lines.append("    none")
    return "\n".join(lines)


def find(wanted: Wanted, kind: Kind) -> int:
    """The number of the device that `wanted` means: a number, a whole name, or a part that only one name has.

    Raises:
        DeviceError: there is none, or more than one.
    """
    sounddevice = load()
    noun, devices = _NOUN[kind], _devices(sounddevice, kind)
    if not devices:
        raise DeviceError(f"No {noun} was found; connect one, use --text, or play a recording with --input FILE.wav.")
    if wanted is None or wanted == "":
        default = _default(sounddevice, kind)
        return default if default in devices else next(iter(devices))
    if isinstance(wanted, int) or wanted.isdecimal():
        if int(wanted) in devices:
            return int(wanted)
        raise DeviceError(f"There is no {noun} number {wanted}; choose from {_choice(devices)}.")
    return _by_name(wanted, noun, devices)


def _by_name(wanted: str, noun: str, devices: dict[int, str]) -> int:
    sought = wanted.casefold()
    for matches in (
        [number for number, name in devices.items() if name.casefold() == sought],
        [number for number, name in devices.items() if sought in name.casefold()],
    ):
        if len(matches) == 1:
            return matches[0]
        if matches:
            several = _choice({number: devices[number] for number in matches})
            raise DeviceError(f"More than one {noun} is called '{wanted}'; name its number: {several}.")
    raise DeviceError(f"There is no {noun} '{wanted}'; choose from {_choice(devices)}.")


def _devices(sounddevice: Any, kind: str) -> dict[int, str]:
    return {
        number: str(device["name"])
        for number, device in enumerate(sounddevice.query_devices())
        if device[f"max_{kind}_channels"] > 0
    }


def _default(sounddevice: Any, kind: str) -> int:
    return int(sounddevice.default.device[0 if kind == "input" else 1])


def _choice(devices: dict[int, str]) -> str:
    return ", ".join(f"{number} '{name}'" for number, name in devices.items())


class Stream:
    """One direction of a device, open: mono int16 in blocks of 10 ms from `start` on.

    Args:
        kind: which direction.
        wanted: the device, as for `find`.
        rates: sample rates to try, the best first; after them the device's own.
        move: called for each block, in the sound card's thread, with the memory of its samples: full for a microphone,
            to be filled for a speaker. It must only move bytes.

    Raises:
        DeviceError: there is no such device, or it will not open.
    """

    def __init__(self, kind: Kind, wanted: Wanted, rates: Sequence[int], move: Callable[[memoryview], None]) -> None:
        sounddevice = load()
        number = find(wanted, kind)
        about = sounddevice.query_devices(number)
        self.kind = kind
        self.name = str(about["name"])
        self.blocks = 0
        """How often the device has called; a device that is there goes on calling."""
        self.ended = False
        """The device ended the stream itself: it is gone."""
        self._move = move
        try:
            self.rate, self._channels = _format(sounddevice, kind, number, [*rates, int(about["default_samplerate"])])
            self._scratch = memoryview(bytearray(2 * round(self.rate * BLOCK_S)))
            make = sounddevice.RawInputStream if kind == "input" else sounddevice.RawOutputStream
            self._stream = make(
                samplerate=self.rate,
                blocksize=round(self.rate * BLOCK_S),
                device=number,
                channels=self._channels,
                dtype="int16",
                latency="low",
                callback=self._callback,
                finished_callback=self._finished,
            )
        except (sounddevice.PortAudioError, ValueError) as error:
            raise self._refused(error) from error
        self._failure = sounddevice.PortAudioError
        self.latency_s = float(self._stream.latency)

    def start(self) -> None:
        """Let the device call.

        Raises:
            DeviceError: it does not start; the stream is closed.
        """
        try:
            self._stream.start()
        except self._failure as error:
            self.close()
            raise self._refused(error) from error

    def close(self) -> None:
        """Let go of the device at once, whatever state it is in."""
        self._stream.abort(ignore_errors=True)
        self._stream.close(ignore_errors=True)

    def _refused(self, error: Exception) -> DeviceError:
        return DeviceError(
            f"The {_NOUN[self.kind]} '{self.name}' cannot be opened ({_reason(error)}); close the program that uses "
            f"it, or name another with {_FLAG[self.kind]}."
        )

    # In the sound card's thread.

    def _callback(self, data: Any, frames: int, time: object, status: object) -> None:
        block = memoryview(data).cast("B")
        if self._channels == 1:
            self._move(block)
        elif self.kind == "input":
            self._move(first_channel(block, self._channels))
        else:
            mono = self._scratch[: 2 * frames]
            self._move(mono)
            to_all_channels(mono, block, self._channels)
        self.blocks += 1

    def _finished(self) -> None:
        self.ended = True


def first_channel(block: memoryview, channels: int) -> memoryview:
    """The first channel of interleaved int16 samples."""
    return memoryview(block.cast("h")[::channels].tobytes())


def to_all_channels(mono: memoryview, block: memoryview, channels: int) -> None:
    """Write int16 samples into each channel of an interleaved block."""
    samples, target = mono.cast("h"), block.cast("h")
    for channel in range(channels):
        target[channel::channels] = samples


def _format(sounddevice: Any, kind: Kind, number: int, rates: Sequence[int]) -> tuple[int, int]:
    """The first rate that the device takes, with one channel, or two where it knows no mono."""
    check = sounddevice.check_input_settings if kind == "input" else sounddevice.check_output_settings
    refused: Exception = ValueError("no rate to try")
    for rate in rates:
        for channels in (1, 2):
            try:
                check(device=number, channels=channels, dtype="int16", samplerate=rate)
            except (sounddevice.PortAudioError, ValueError) as error:
                refused = error
            else:
                return rate, channels
    raise refused


def _reason(error: Exception) -> str:
    return str(error.args[0] if error.args else error).strip().rstrip(".")


@contextlib.contextmanager
def stderr_to(path: str | Path) -> Iterator[None]:
    """Point file descriptor 2 at the end of file `path` for a while, for the libraries that write there past Python.

    What Python writes to `sys.stderr` meanwhile lands there too, so keep what a user must read for standard output.
    """
    with Path(path).open("ab") as file:
        try:
            saved = os.dup(2)
        except OSError:  # there is no descriptor 2 to be protected
            yield
            return
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)

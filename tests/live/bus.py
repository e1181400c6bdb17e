"""A room without hardware: a sound server whose microphone and speaker are two channels of one bus.

The left channel is what the caller says (and, with an echo path, the echo), the right one what the agent plays, so a
single recording holds both sides on one clock.

    vmic_in  (sink, left)   what is played here is heard by `vmic`, the default microphone
    vspk     (sink, right)  the default speaker
    bus.monitor (source)    both

`norewinds=1` on the null sink matters: without it the sink sleeps for up to 2 s, and streams at other rates than 48 kHz
die.
"""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RATE = 48_000

_SCRIPT = """
load-module module-native-protocol-unix socket={runtime}/native auth-anonymous=1
load-module module-null-sink norewinds=1 sink_name=bus rate=48000 channels=2 channel_map=front-left,front-right
load-module module-remap-sink sink_name=vmic_in master=bus channels=1 channel_map=mono \
master_channel_map=front-left remix=no
load-module module-remap-sink sink_name=vspk master=bus channels=1 channel_map=mono \
master_channel_map=front-right remix=no
load-module module-remap-source source_name=vmic master=bus.monitor channels=1 channel_map=mono \
master_channel_map=front-left remix=no
set-default-source vmic
set-default-sink vspk
"""
_SERVER = (
    "pulseaudio -n --daemonize=no --use-pid-file=no --exit-idle-time=-1 --high-priority=no --realtime=no "
    "--disable-shm=no -F"
)


def missing() -> str | None:
    """None, or why there can be no bus here and what brings it."""
    absent = [tool for tool in ("pulseaudio", "pactl", "paplay", "parec", "flite") if shutil.which(tool) is None]
    if absent:
        return f"no {' and no '.join(absent)}: `make sound-bus` installs what the virtual sound bus needs"
    return None


class Bus:
    """The sound server, and what happens in its room.

    Attributes:
        env: what a process needs in its environment to use this room as its sound devices.
        has_echo: whether the microphone hears the speaker now.
    """

    def __init__(self, runtime: Path) -> None:
        self._runtime = runtime
        self._server: subprocess.Popen[bytes] | None = None
        self._players: list[subprocess.Popen[bytes]] = []
        self._recordings: list[Recording] = []
        self.has_echo = False
        self.env = {"PULSE_SERVER": f"unix:{runtime}/native", "PULSE_RUNTIME_PATH": str(runtime)}

    def start(self) -> None:
        """Start the server and wait until it answers (some 80 ms). After `stop` this is the device's return."""
        script = self._runtime / "bus.pa"
        script.write_text(_SCRIPT.format(runtime=self._runtime))
        places = ("XDG_RUNTIME_DIR", "PULSE_RUNTIME_PATH", "PULSE_STATE_PATH", "HOME")
        home = dict.fromkeys(places, str(self._runtime))
        with (self._runtime / "pulse.log").open("ab") as log:
            self._server = subprocess.Popen(
                [*_dying_with_us(), *_SERVER.split(), str(script)],
                env={"PATH": os.environ["PATH"], **home},
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + 5
        while self._pactl("info", check=False) is None:
            if self._server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"pulseaudio did not start: {(self._runtime / 'pulse.log').read_text()}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Kill the server: every device is gone at once."""
        if self._server is not None:
            self._server.kill()
            self._server.wait()
            self._server = None

    def close(self) -> None:
        """End everything that was started here."""
        for recording in self._recordings:
            recording.abandon()
        for player in self._players:
            player.kill()
            player.wait()
        self.stop()

    # The caller.

    def say(self, wav: Path) -> "subprocess.Popen[bytes]":
        """Play a WAV file into the microphone; `wait()` for it or not."""
        # At 20 ms ahead it ran dry where the machine was busy, and damaged what was said.
        player = self._tool("paplay", "--device=vmic_in", "--latency-msec=500", str(wav))
        self._players.append(player)
        return player

    def speech(self, text: str, voice: str = "slt") -> Path:
        """A WAV file (16 kHz mono) in which flite speaks `text`."""
        wav = Path(tempfile.mkstemp(suffix=".wav", dir=self._runtime)[1])
        subprocess.run(["flite", "-voice", voice, "-t", text, "-o", str(wav)], check=True)
        return wav

    # The room.

    @contextlib.contextmanager
    def echo(self, latency_ms: int, gain_db: float = 0.0) -> Iterator[None]:
        """Let the microphone hear the speaker, about `latency_ms` late and as loud as it is, or less so."""
        module = self._pactl(
            *f"load-module module-loopback source=vspk.monitor sink=vmic_in latency_msec={latency_ms} remix=no".split()
        )
        assert module is not None
        try:
            # By its index, for the two sinks are streams of the bus too.
            self._pactl("set-sink-input-volume", self._stream_of(module), f"{gain_db}dB")
            self.has_echo = True
            yield
        finally:
            self.has_echo = False
            self._pactl("unload-module", module, check=False)

    def suspend(self, kind: str, suspended: bool) -> None:
        """Stop the microphone ('source') or speaker ('sink') without a word, as a hung card does; or let it go on."""
        device = "vmic" if kind == "source" else "vspk"
        self._pactl(f"suspend-{kind}", device, "1" if suspended else "0")

    def record(self) -> "Recording":
        """Record both sides from now on; returns when the first samples have come."""
        recording = Recording(
            self._tool(
                *"parec --device=bus.monitor --format=s16le --rate=48000 --channels=2 --latency-msec=10 --raw".split(),
                stdout=subprocess.PIPE,
            )
        )
        self._recordings.append(recording)
        recording.wait_for(0.02)
        return recording

    def _stream_of(self, module: str) -> str:
        listing = self._pactl("--format=json", "list", "sink-inputs")
        assert listing is not None
        return next(str(each["index"]) for each in json.loads(listing) if str(each["owner_module"]) == module)

    def _tool(self, *command: str, stdout: int = subprocess.DEVNULL) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [*_dying_with_us(), *command], env={**os.environ, **self.env}, stdout=stdout, stderr=subprocess.DEVNULL
        )

    def _pactl(self, *command: str, check: bool = True) -> str | None:
        done = subprocess.run(["pactl", *command], env={**os.environ, **self.env}, capture_output=True, text=True)
        if done.returncode:
            if check:
                raise RuntimeError(f"pactl {' '.join(command)}: {done.stderr.strip()}")
            return None
        return done.stdout.strip()


class Recording:
    """Both sides of the room while they sound: left is the caller, right the agent."""

    def __init__(self, recorder: "subprocess.Popen[bytes]") -> None:
        self._recorder = recorder
        self._raw = bytearray()
        self._arrived = threading.Condition()
        self._start = float("inf")
        self._reader = threading.Thread(target=self._read, name="recorder")
        self._reader.start()

    @property
    def started_at(self) -> float:
        """The moment of the first sample, on the clock of `time.monotonic()` (a real asyncio loop's clock).

        It is worked out from when samples arrived, the earliest of which were some 10 to 20 ms late; so what is dated
        with it happened that much earlier.
        """
        return self._start

    def wait_for(self, seconds: float) -> None:
        """Return when so much has been recorded."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self._raw) >= seconds * RATE * 4, timeout=seconds + 5)

    def so_far(self) -> NDArray[np.int16]:
        """Samples up to now, shape (n, 2)."""
        with self._arrived:
            return np.frombuffer(bytes(self._raw[: len(self._raw) // 4 * 4]), dtype="<i2").reshape(-1, 2)

    def stop(self) -> NDArray[np.int16]:
        """End the recording; int16 samples of shape (n, 2) at 48 kHz."""
        self.abandon()
        return self.so_far()

    def abandon(self) -> None:
        self._recorder.kill()
        self._reader.join()
        self._recorder.wait()

    def _read(self) -> None:
        pipe = self._recorder.stdout
        assert pipe is not None
        with pipe:
            while data := os.read(pipe.fileno(), 1 << 16):
                with self._arrived:
                    self._raw += data
                    self._start = min(self._start, time.monotonic() - len(self._raw) / 4 / RATE)
                    self._arrived.notify_all()


@contextlib.contextmanager
def sound_bus() -> Iterator[Bus]:
    """A running bus in a directory of its own (short, for a socket's path may have 107 characters)."""
    with tempfile.TemporaryDirectory(prefix="bus") as directory:
        bus = Bus(Path(directory))
        try:
            bus.start()
            yield bus
        finally:
            bus.close()


def _dying_with_us() -> list[str]:
    """So that a test run that is killed leaves no sound server behind."""
    return ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []

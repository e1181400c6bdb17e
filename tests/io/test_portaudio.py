import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent_runtime.io.portaudio import first_channel, stderr_to, to_all_channels

ATTEMPT = """
import asyncio
{before}
from agent_runtime.errors import DeviceError
from agent_runtime.io.sound import SoundDevices, find, list_devices
async def open_and_close():
    async with SoundDevices(echo="headphones"):
        pass
try:
    print({action})
except DeviceError as error:
    print("DeviceError:", error)
"""


def attempt(action: str, tmp_path: Path, before: str = "") -> str:
    """What a program prints on a machine without a sound card and without a sound server."""
    program = ATTEMPT.format(action=action, before=before)
    env = {**os.environ, "PULSE_SERVER": f"unix:{tmp_path}/nothing", "XDG_RUNTIME_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=env)
    assert "Traceback" not in done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("action", ["list_devices()", "asyncio.run(open_and_close())", "find(None, 'input')"])
def test_without_the_library_the_message_names_what_brings_it(action: str, tmp_path: Path) -> None:
    # What sounddevice asks the system for its library with.
    hide = "import ctypes.util; ctypes.util.find_library = lambda name: None"
    message = attempt(action, tmp_path, hide)
    assert message.startswith("DeviceError: The PortAudio library is missing; install it with `apt-get install libpo")
    assert "\n" not in message


def test_without_the_package_the_message_names_what_brings_it(tmp_path: Path) -> None:
    message = attempt("list_devices()", tmp_path, "import sys; sys.modules['sounddevice'] = None")
    assert message == (
        "DeviceError: Sound needs the package 'sounddevice'; run `pip install 'agent-runtime[sound]'`, or use --text."
    )


def without_cards() -> bool:
    return not Path("/proc/asound/cards").exists()


@pytest.mark.skipif(not without_cards(), reason="this machine has a sound card")
@pytest.mark.parametrize(
    ("action", "noun"),
    [
        ("asyncio.run(open_and_close())", "microphone"),
        ("find('Jabra', 'output')", "speaker"),
        ("find(3, 'input')", "microphone"),
    ],
)
def test_without_a_device_the_message_says_what_works_instead(action: str, noun: str, tmp_path: Path) -> None:
    assert attempt(action, tmp_path) == (
        f"DeviceError: No {noun} was found; connect one, use --text, or play a recording with --input FILE.wav."
    )


@pytest.mark.skipif(not without_cards(), reason="this machine has a sound card")
def test_without_a_device_the_list_says_none(tmp_path: Path) -> None:
    assert attempt("list_devices()", tmp_path) == (
        "Microphones (--input-device):\n    none\nSpeakers (--output-device):\n    none"
    )


def test_a_device_that_knows_no_mono_gets_both_channels_and_gives_its_first() -> None:
    mono = memoryview(b"a1b2c3")
    block = memoryview(bytearray(12))
    to_all_channels(mono, block, 2)
    assert bytes(block) == b"a1a1b2b2c3c3"
    assert bytes(first_channel(memoryview(b"a1X2b2Y3"), 2)) == b"a1b2"


def test_descriptor_2_goes_into_a_file_and_comes_back(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "console.log"
    log.write_text("before\n")
    with contextlib.suppress(KeyError), stderr_to(log):
        os.write(2, b"ALSA lib pcm.c: underrun\n")
        raise KeyError
    os.write(2, b"after\n")
    assert log.read_text() == "before\nALSA lib pcm.c: underrun\n"
    assert capfd.readouterr().err == "after\n"

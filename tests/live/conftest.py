from collections.abc import Iterator

import pytest

from tests.live import bus as bus_module
from tests.live.bus import Bus


@pytest.fixture
def bus() -> Iterator[Bus]:
    """A room without hardware, for child processes (give them `bus.env`)."""
    if reason := bus_module.missing():
        pytest.skip(reason)
    with bus_module.sound_bus() as running:
        yield running


@pytest.fixture
def room(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> Bus:
    """The same for this process: its sound devices are the bus."""
    from agent_runtime.io import portaudio

    for name, value in bus.env.items():
        monkeypatch.setenv(name, value)
    portaudio.rescan()
    return bus

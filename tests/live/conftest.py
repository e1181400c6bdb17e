import sys
from collections.abc import Iterator

import pytest
from _pytest.runner import runtestprotocol

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


def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Give what is judged by real sound in real time a second chance: the machine may have been busy with other things.

    A test that fails both times has failed; the first failure is on the screen either way.
    """
    if item.get_closest_marker("real_time") is None:
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    reports = runtestprotocol(item, nextitem=nextitem, log=False)
    if failed := [report for report in reports if report.failed]:
        print(
            f"\n{item.nodeid} failed and is run again: {failed[0].longreprtext.splitlines()[-1]}", file=sys.__stdout__
        )
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True

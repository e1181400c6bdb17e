"""The command: what it prints and writes, and what it refuses."""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import pytest

from agent_runtime import cli
from agent_runtime.errors import UsageError
from agent_runtime.testing.battery.bench import add_bench, bench_command
from agent_runtime.testing.battery.intervals import Label
from agent_runtime.testing.battery.measures import TARGETS
from agent_runtime.testing.battery.panel import read, summarise

CLOCK = str(Path(__file__).parents[3] / "agents" / "clock.py")


def bench(*argv: str) -> int:
    parser = argparse.ArgumentParser()
    add_bench(parser.add_subparsers(dest="command"))
    return bench_command(parser.parse_args(["bench", "turns", *argv]), cli.load_server)


def test_it_prints_every_target_with_its_verdict_and_ends_accordingly(capsys: pytest.CaptureFixture[str]) -> None:
    status = bench("--calls", "2", "--no-sweep", "--processes", "1")
    printed = capsys.readouterr().out
    for target in TARGETS:
        (line,) = [line for line in printed.splitlines() if line.startswith(target.name + " ")]
        assert (" OK " in line) != (" MISSED " in line)
    missed = sum(" MISSED " in line for line in printed.splitlines() if line.startswith(tuple(t.name for t in TARGETS)))
    assert status == (1 if missed else 0)
    assert f"{len(TARGETS) - missed} of {len(TARGETS)} targets met" in printed


def test_its_figures_can_be_worked_out_again_from_what_it_writes(tmp_path: Path) -> None:
    out = tmp_path / "turns.json"
    bench("--calls", "2", "--seed", "4", "--no-sweep", "--processes", "1", "--json", str(out))
    kept = json.loads(out.read_text())["scripted"]
    found = [
        each
        for call in kept["held"]
        for each in read(call["audible"]["caller"], call["audible"]["agent"], [Label(**x) for x in call["labels"]])
    ]
    panel = summarise(found)
    assert kept["panel"]["response_latency"] == panel.response_latency
    assert kept["panel"]["backchannels_ignored"] == [panel.backchannels_ignored.count, panel.backchannels_ignored.total]
    assert kept["panel"]["agent_interrupts"] == [panel.agent_interrupts.count, panel.agent_interrupts.total]


def test_the_same_command_writes_the_same_bytes_however_many_processes_there_are(tmp_path: Path) -> None:
    # A process of its own, as a pool leaves a helper of Python's behind that lives as long as its parent.
    for count in ("1", "2"):
        argv = ["bench", "turns", "--calls", "2", "--no-sweep", "--processes", count, "--json", str(tmp_path / count)]
        done = subprocess.run(
            [sys.executable, "-W", "error", "-m", "agent_runtime.cli", *argv],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode in (0, 1), done.stderr
        assert "EVA turn taking" in done.stdout
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def test_a_script_is_measured_with_its_own_settings(capsys: pytest.CaptureFixture[str]) -> None:
    bench("--calls", "1", "--script", CLOCK, "--processes", "1")
    printed = capsys.readouterr().out
    assert f"Scripted speech, {CLOCK}" in printed
    assert "Sweep" not in printed


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        (["--svg", "x.svg", "--no-sweep"], "leave out --no-sweep"),
        (["--svg", "x.svg", "--script", CLOCK], "leave out one"),
        (["--json", "no/such/folder/x.json"], "in no folder that exists"),
    ],
)
def test_what_cannot_be_is_refused_before_any_call_is_held(argv: list[str], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        bench(*argv)


def test_a_count_is_a_whole_number(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        bench("--calls", "0")
    assert "'0' is no count" in capsys.readouterr().err

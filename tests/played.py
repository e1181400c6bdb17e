"""Played calls for tests: a caller put together of recorded sentences, and what the call left behind."""

import contextlib
import io
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from agent_runtime import cli
from agent_runtime.trace.log import read_jsonl

ROOT = Path(__file__).parents[1]
CLOCK = ROOT / "agents" / "clock.py"
CALLER = ROOT / "agents" / "clock.wav"
RATE = 16_000

Samples = NDArray[np.int16]


def caller() -> Samples:
    """The recorded caller of the example."""
    return read(CALLER)


def read(path: Path) -> Samples:
    samples, rate = soundfile.read(path, dtype="int16")
    assert rate == RATE
    return np.asarray(samples, np.int16)


def spoken(name: str) -> Samples:
    """A question from tests/data."""
    return read(ROOT / "tests" / "data" / f"{name}.wav")


def room(seconds: float) -> Samples:
    """A silent room, which is not digital silence."""
    return np.random.default_rng(1).normal(0, 12, round(seconds * RATE)).astype(np.int16)


def asking(question: Samples, *, at: float = 2.2, length: float = 6.0) -> Samples:
    """A caller who listens to the greeting, asks one thing and stays on the line."""
    call = room(length)
    start = round(at * RATE)
    call[start : start + len(question)] += question
    return call


def first_question() -> Samples:
    """ "What time is it", as the recorded caller asks it."""
    return caller()[round(2.2 * RATE) : round(3.5 * RATE)]


@dataclass(frozen=True)
class Played:
    """What a played call printed and wrote."""

    status: int
    out: str
    err: str
    folder: Path

    @property
    def log(self) -> list[dict[str, Any]]:
        return read_jsonl(self.folder / "call.jsonl")

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.log if event["type"] == kind]

    @property
    def said(self) -> list[str]:
        """What the agent said, as it stands in the history."""
        return [text for role, text in self.messages if role == "assistant"]

    @property
    def understood(self) -> list[str]:
        return [text for role, text in self.messages if role == "user"]

    @property
    def messages(self) -> list[tuple[str, str]]:
        items = [event["item"] for event in self.of("conversation_item_added")]
        return [(item["role"], item["content"][0]) for item in items if item["type"] == "message"]

    @property
    def tools(self) -> list[str]:
        return [event["name"] for event in self.of("tool_started")]

    def lanes(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Caller and agent, at 24 kHz."""
        sound, rate = soundfile.read(self.folder / "call.wav", dtype="int16")
        assert rate == 24_000
        return sound[:, 0].astype(float), sound[:, 1].astype(float)


def run(*argv: object) -> tuple[int, str, str]:
    """The command line in this process: status, and what it wrote."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = cli.main([str(word) for word in argv])
        except SystemExit as end:  # --help and --version
            status = end.code if isinstance(end.code, int) else 0
    return status, out.getvalue(), err.getvalue()


def play(folder: Path, wav: Path | Samples, script: Path = CLOCK, *options: object) -> Played:
    """Play a recording to a script; `folder` gets the call, and the recording too where it is given as samples."""
    folder.mkdir(parents=True, exist_ok=True)
    if not isinstance(wav, Path):
        samples, wav = wav, folder / "caller.wav"
        soundfile.write(wav, samples, RATE, subtype="PCM_16")
    return Played(*run("console", script, "--input", wav, "--out", folder, *options), folder)


def command(*argv: object) -> list[str]:
    """The same as a process of its own."""
    return [sys.executable, "-m", "agent_runtime.cli", *map(str, argv)]


def environment(**changes: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), **changes}

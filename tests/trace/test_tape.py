"""The file of a tape: what was written is read, whatever became of the end; anything else is named."""

import os
import signal
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from agent_runtime.errors import UsageError
from agent_runtime.testing.sounds import sound
from agent_runtime.trace.tape import TapeWriter, is_tape, pack, read_tape, unpack


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "call.tape"


def _written(path: Path, count: int = 3) -> list[int]:
    """Write a call and some records; the size of the file after each."""
    sizes = []
    tape = TapeWriter(path)
    tape.write({"r": "call"})
    for number in range(count):
        tape.write({"r": "played", "number": number}, b"\x01" * number)
        sizes.append(path.stat().st_size)
    tape.close()
    return sizes


def test_what_was_written_is_read(path: Path) -> None:
    _written(path)
    tape = read_tape(path)
    assert is_tape(path)
    assert [record for _, record in tape.of("played")] == [{"r": "played", "number": n} for n in range(3)]
    assert [tape.sound(number) for number, _ in tape.of("played")] == [b"", b"\x01", b"\x01\x01"]
    assert tape.cut is None


def test_cut_anywhere_it_is_read_up_to_the_last_whole_record(path: Path) -> None:
    first, second, third = _written(path)
    whole = path.read_bytes()
    for size in range(first, third):
        path.write_bytes(whole[:size])
        tape = read_tape(path)
        assert len(list(tape.of("played"))) == (1 if size < second else 2)
        assert (tape.cut is None) == (size in (first, second))


def test_a_process_that_is_killed_leaves_a_tape(path: Path) -> None:
    script = f"""
import os, signal
from agent_runtime.trace.tape import TapeWriter
tape = TapeWriter({str(path)!r})
tape.write({{"r": "call"}})
for number in range(100):
    tape.write({{"r": "played", "number": number}}, bytes(1000))
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", script], check=False, env=os.environ)
    assert done.returncode == -signal.SIGKILL
    assert len(list(read_tape(path).of("played"))) == 100


def test_a_damaged_tape_says_where(path: Path) -> None:
    first, _, _ = _written(path)
    whole = bytearray(path.read_bytes())
    whole[first - 2] ^= 0xFF
    path.write_bytes(whole)
    with pytest.raises(UsageError, match=r"is damaged at byte \d+ of \d+"):
        read_tape(path)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty"),
        (b"RIFF\x10\x00\x00\x00WAVE", "is no tape: it is a WAV recording"),
        (b'{"seq":0}\n', "is no tape: it is JSON, perhaps a call.jsonl"),
        (b"#!/usr/bin/env python\n", "is no tape: it is something that begins"),
        (b"agent-runtime tape 0\n", "is of format 0, an older one; this version of agent-runtime reads format 1"),
        (b"agent-runtime tape 7\nxyz", "is of format 7, a newer one"),
        (b"agent-runtime ta", "is no tape"),
        (b"agent-runtime tape 1", "is cut short in its first line"),
        (b"agent-runtime tape 1\n", "ends before its call began"),
        (b"agent-runtime tape 1\n" + struct.pack("<I", 12) + b"abc", "ends before its call began"),
    ],
)
def test_what_is_no_tape_is_named(path: Path, content: bytes, told: str) -> None:
    path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        read_tape(path)
    assert told in str(caught.value)


def test_there_is_no_such_file(path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        read_tape(path)


def test_a_secret_is_struck_out(path: Path) -> None:
    tape = TapeWriter(path, secrets=("sk-123456789",))
    tape.write({"r": "call", "text": "my key is sk-123456789, keep it"})
    tape.close()
    assert read_tape(path).first("call")["text"] == "my key is ***, keep it"


@pytest.mark.parametrize("samples", [0, 480, 16_000, 50_001])
def test_sound_is_kept_without_loss(samples: int) -> None:
    pcm = sound("voice", samples)
    codec, packed = pack(pcm, 16_000)
    assert unpack(codec, packed) == pcm
    assert len(packed) <= len(pcm)

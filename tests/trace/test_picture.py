import re
import wave
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from agent_runtime.errors import UsageError
from agent_runtime.events import (
    Event,
    PlaybackFinished,
    PlaybackStarted,
    SessionStarted,
    TurnCommitted,
    VoiceStarted,
    VoiceStopped,
)
from agent_runtime.trace.envelope import envelope
from agent_runtime.trace.log import JsonlWriter, read_events
from agent_runtime.trace.picture import draw_call
from agent_runtime.trace.svg import text_width
from tests.trace.sample_call import events as sample_call
from tests.trace.sample_call import spans

SVG = "{http://www.w3.org/2000/svg}"


def sound() -> "np.ndarray[tuple[int, int], np.dtype[np.int16]]":
    result = np.zeros((42 * 24_000, 2), dtype=np.int16)
    caller, agent = spans()
    for lane, stretches in enumerate([[s[:2] for s in caller], [s[:2] for s in agent]]):
        for start, end in stretches:
            first, last = int(start * 24_000), int(end * 24_000)
            result[first:last, lane] = 8000 * np.sin(np.arange(last - first) * 0.05)
    return result


def drawn(events: list[Event], tmp_path: Path, recording: object = None) -> ElementTree.Element:
    draw_call(events, recording, tmp_path / "call.svg")  # type: ignore[arg-type]
    return ElementTree.parse(tmp_path / "call.svg").getroot()


def texts(root: ElementTree.Element) -> list[str]:
    return ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]


def test_everything_said_and_decided_is_on_it(tmp_path: Path) -> None:
    root = drawn(sample_call(), tmp_path, sound())
    told = " ".join(texts(root))
    for expected in (
        "what time is it",
        "It is half past nine.",
        "(no words)",
        "turn 2 reopened",
        "suspected",
        "paused",
        "resumed: no words",
        "interrupted: words",
        "tool set_light(room: kitchen, on: true)",
        "closed: task_completed",
        "turn 2: 1.34 s",
        "tool 420",
        "speaking",
        "vad local/silero",
    ):
        assert expected in told
    struck = [t.text for t in root.iter(f"{SVG}tspan") if t.get("text-decoration") == "line-through"]
    assert " ".join(filter(None, struck[1:])) == "I can do longer sums too, one after the other."
    strokes = [path.get("d", "").count("M") for path in root.iter(f"{SVG}path")]
    assert len(strokes) == 4  # two rows of two lanes
    assert min(strokes) > 50


def test_nothing_in_it_runs_or_is_fetched(tmp_path: Path) -> None:
    draw_call(sample_call(), sound(), tmp_path / "call.svg")
    text = (tmp_path / "call.svg").read_text()
    assert not re.search(r"<script|href|url\(|@import|<image|<foreignObject", text)
    assert len(text) < 200_000


def test_the_same_call_gives_the_same_bytes_from_memory_and_from_files(tmp_path: Path) -> None:
    draw_call(sample_call(), sound(), tmp_path / "a.svg")
    writer = JsonlWriter(tmp_path / "call.jsonl")
    for event in sample_call():
        writer(event)
    writer.close()
    with wave.open(str(tmp_path / "call.wav"), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(24_000)
        file.writeframes(sound().tobytes())
    draw_call(read_events(tmp_path / "call.jsonl"), tmp_path / "call.wav", tmp_path / "b.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_no_text_lies_on_another(tmp_path: Path) -> None:
    root = drawn(sample_call(), tmp_path, sound())
    boxes = []
    for text in root.iter(f"{SVG}text"):
        size, x, y = (float(text.get(name, "0")) for name in ("font-size", "x", "y"))
        # 0.9: what `text_width` allows for the widest font
        width = 0.9 * text_width("".join(text.itertext()), size)
        x -= {"middle": width / 2, "end": width}.get(text.get("text-anchor", ""), 0)
        boxes.append((x, y - 0.7 * size, x + width, y, "".join(text.itertext())))
    for i, one in enumerate(boxes):
        assert one[2] < 1100, one
        assert one[0] > 0, one
        for other in boxes[i + 1 :]:
            apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
            assert apart, (one, other)


def test_what_xml_cannot_hold_is_escaped_or_replaced(tmp_path: Path) -> None:
    log = [
        SessionStarted(at=0.0, nodes={"llm": "<&>"}),
        TurnCommitted(
            at=2.0, turn=1, transcript='a < b & "c" \x00 \ud800', reason="<i>", last_voiced=1.5, transcribed_at=1.8
        ),
        PlaybackStarted(at=2.5, speech_id="s"),
        PlaybackFinished(at=4.0, speech_id="s", position=1.5, interrupted=True, heard="]]>", cut="</svg>"),
    ]
    told = texts(drawn(log, tmp_path))
    assert 'a < b & "c" \ufffd \ufffd' in told
    assert "]]> </svg>" in told
    assert "turn 1 committed: <i>" in told


@pytest.mark.parametrize("log", [[], [SessionStarted(at=3.0, nodes={})]])
def test_a_call_in_which_nothing_happened(tmp_path: Path, log: list[Event]) -> None:
    assert drawn(log, tmp_path, np.zeros((0, 2), dtype=np.int16)).tag == f"{SVG}svg"


def test_a_long_call_wraps_into_rows_that_end_in_silence(tmp_path: Path) -> None:
    log: list[Event] = [SessionStarted(at=0.0, nodes={})]
    for turn in range(1, 61):
        at = turn * 10.0
        log += [
            VoiceStarted(at=at, onset=at),
            VoiceStopped(at=at + 2.2, last_voiced=at + 2.0),
            TurnCommitted(
                at=at + 2.5, turn=turn, transcript=f"question number {turn}", reason="silence",
                last_voiced=at + 2.0, transcribed_at=at + 2.2,
            ),
            PlaybackStarted(at=at + 3.0, speech_id=f"s{turn}"),
            PlaybackFinished(
                at=at + 7.0, speech_id=f"s{turn}", position=4.0, interrupted=False, heard=f"Answer {turn}.", cut=""
            ),
        ]  # fmt: skip
    root = drawn(log, tmp_path)
    told = texts(root)
    assert told.count("caller") == 31  # 607 s
    for turn in range(1, 61):
        assert f"question number {turn}" in told
        assert f"Answer {turn}." in told


def test_speech_over_the_end_of_a_row_goes_on_in_the_next(tmp_path: Path) -> None:
    words = [f"w{i}" for i in range(120)]
    log = [
        SessionStarted(at=0.0, nodes={}),
        PlaybackStarted(at=1.0, speech_id="s"),
        PlaybackFinished(
            at=59.0, speech_id="s", position=58.0, interrupted=True, heard=" ".join(words), cut="and no more"
        ),
    ]
    told = " ".join(text for text in texts(drawn(log, tmp_path)) if text.startswith(("w", "and")))
    assert told.split() == [*words, "and", "no", "more"]


def test_a_very_long_text_is_shortened(tmp_path: Path) -> None:
    log = [
        SessionStarted(at=0.0, nodes={}),
        PlaybackStarted(at=1.0, speech_id="s"),
        PlaybackFinished(at=3.0, speech_id="s", position=2.0, interrupted=True, heard="Well", cut="never heard " * 500),
    ]
    draw_call(log, None, tmp_path / "call.svg")
    assert (tmp_path / "call.svg").stat().st_size < 20_000
    assert "\u2026" in (tmp_path / "call.svg").read_text()


def test_an_outline_is_the_lowest_and_highest_sample() -> None:
    samples = np.zeros((24_000, 2), dtype=np.int16)
    samples[12_000, 0] = 16_000
    samples[12_001, 0] = -8_000
    samples[500, 1] = 160  # hiss is not blown up
    outline = envelope(samples)
    columns = outline.columns(0, 0.0, 1.0, 10)
    assert columns[5] == (-0.5, 1.0)
    assert columns[4] == (0.0, 0.0)
    assert outline.columns(1, 0.0, 1.0, 1)[0][1] == pytest.approx(0.1)
    assert outline.columns(1, 5.0, 6.0, 2) == [(0.0, 0.0), (0.0, 0.0)]


def test_what_is_no_recording_is_named(tmp_path: Path) -> None:
    (tmp_path / "call.wav").write_bytes(b"no wave")
    with pytest.raises(UsageError, match=r"call\.wav is no recording of a call .*; give the call\.wav"):
        envelope(tmp_path / "call.wav")
    with pytest.raises(UsageError, match=r"Cannot read .*none\.wav: No such file"):
        envelope(tmp_path / "none.wav")
    with pytest.raises(UsageError, match=r"shape \(samples, 2\), not \(5,\)"):
        envelope(np.zeros(5, dtype=np.int16))

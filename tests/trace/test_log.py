import json
import logging
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent_runtime.chat import ChatMessage, FunctionCall, FunctionCallOutput
from agent_runtime.errors import UsageError
from agent_runtime.events import (
    Close,
    ConversationItemAdded,
    Error,
    Event,
    FirstSample,
    FunctionToolsExecuted,
    InputEnded,
    SessionStarted,
    TurnCommitted,
    UserInputTranscribed,
    VoiceStopped,
)
from agent_runtime.trace.log import EventLog, JsonlWriter, read_events, read_jsonl, record
from tests.trace.sample_call import events as sample_call


def test_subscribers_get_every_event_in_order() -> None:
    log, first, second = EventLog(), list[Event](), list[Event]()
    log.subscribe(first.append)
    stop = log.subscribe(second.append)
    a, b = InputEnded(at=1.0), FirstSample(at=2.0, speech_id="s")
    log.append(a)
    stop()
    stop()
    log.append(b)
    assert first == [a, b]
    assert second == [a]
    assert len(log) == 2


def test_an_event_appended_by_a_subscriber_comes_after_the_present_one_for_everybody() -> None:
    log, seen = EventLog(), list[str]()

    def answers(event: Event) -> None:
        if isinstance(event, InputEnded):
            log.append(Close(at=event.at, reason="task_completed"))

    log.subscribe(answers)
    log.subscribe(lambda event: seen.append(event.type))
    log.append(InputEnded(at=1.0))
    assert seen == ["input_ended", "close"]


def test_a_subscriber_that_raises_takes_nothing_from_the_others(caplog: pytest.LogCaptureFixture) -> None:
    log, seen = EventLog(), list[Event]()

    def breaks(event: Event) -> None:
        raise RuntimeError("broken screen")

    log.subscribe(breaks)
    log.subscribe(seen.append)
    with caplog.at_level(logging.ERROR):
        log.append(InputEnded(at=1.0))
        log.append(InputEnded(at=2.0))
    assert [event.at for event in seen] == [1.0, 2.0]
    assert [r.getMessage() for r in caplog.records] == ["A subscriber to the event log failed on input_ended"] * 2


def test_a_subscriber_that_is_cancelled_leaves_the_log_usable() -> None:
    log, seen = EventLog(), list[Event]()

    def interrupted(event: Event) -> None:
        if event.at == 1.0:
            raise KeyboardInterrupt

    log.subscribe(interrupted)
    log.subscribe(seen.append)
    with pytest.raises(KeyboardInterrupt):
        log.append(InputEnded(at=1.0))
    log.append(InputEnded(at=2.0))
    assert [event.at for event in seen] == [2.0]


def test_only_the_last_event_is_kept() -> None:
    log = EventLog()
    assert log.last is None
    for i in range(10):
        log.append(InputEnded(at=float(i)))
    assert log.last == InputEnded(at=9.0)
    assert len(log) == 10


def test_lines_are_exact(tmp_path: Path) -> None:
    writer = JsonlWriter(tmp_path / "call.jsonl")
    writer(SessionStarted(at=100.0, nodes={"vad": "local/silero", "tts": None}))
    writer(VoiceStopped(at=101.84, last_voiced=101.3200000004))
    writer(UserInputTranscribed(at=102.1, transcript='"für" \ud800', is_final=True, confidence=0.1234567))
    writer(TurnCommitted(at=102.3, turn=1, transcript="a", reason="silence", last_voiced=None, transcribed_at=102.1))
    writer.close()
    lines = (tmp_path / "call.jsonl").read_bytes().decode().splitlines()
    assert lines[0] == '{"seq":0,"t":0.0,"type":"session_started","nodes":{"vad":"local/silero","tts":null}}'
    assert lines[1] == '{"seq":1,"t":1.84,"type":"voice_stopped","last_voiced":1.32}'
    assert lines[2] == (
        '{"seq":2,"t":2.1,"type":"user_input_transcribed","transcript":"\\"für\\" \\ud800","is_final":true,'
        '"language":"en","confidence":0.123457,"ignored":null}'
    )
    assert lines[3] == (
        '{"seq":3,"t":2.3,"type":"turn_committed","turn":1,"transcript":"a","reason":"silence","last_voiced":null,'
        '"transcribed_at":2.1}'
    )
    assert len(lines) == 4


def test_items_are_written_as_objects_without_the_time_they_were_made() -> None:
    @dataclass
    class Own:
        room: str
        created_at: float

    class Dictable:
        def to_dict(self) -> dict[str, object]:
            return {"id": "x", "list": (1, 2.00000049)}

    message = ChatMessage(role="user", content=["hello"], id="item_1")
    told = record(ConversationItemAdded(at=1.0, item=message), seq=0, started=0.0)["item"]
    assert told["type"] == "message"
    assert (told["role"], told["content"], told["id"]) == ("user", ["hello"], "item_1")
    assert "created_at" not in told
    assert record(ConversationItemAdded(at=1.0, item=Own("attic", 5.0)), seq=0, started=0.0)["item"] == {
        "room": "attic"
    }
    assert record(ConversationItemAdded(at=1.0, item=Dictable()), seq=0, started=0.0)["item"] == {
        "id": "x",
        "list": [1, 2.0],
    }
    assert record(ConversationItemAdded(at=1.0, item=object()), seq=0, started=0.0)["item"] == "<object>"


def test_tool_pairs_are_written() -> None:
    call = FunctionCall(call_id="c", name="add", arguments="{}", id="item_1")
    output = FunctionCallOutput(call_id="c", output="3", is_error=False, id="item_2")
    told = record(
        FunctionToolsExecuted(at=1.0, function_calls=[call], function_call_outputs=[output]), seq=0, started=0.0
    )
    assert told["function_calls"][0]["name"] == "add"
    assert told["function_call_outputs"][0]["output"] == "3"
    json.dumps(told)


def test_a_number_that_json_has_not_is_null() -> None:
    event = UserInputTranscribed(at=1.0, transcript="a", is_final=True, confidence=float("nan"))
    assert record(event, seq=0, started=0.0)["confidence"] is None


def test_the_same_call_at_another_loop_time_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        writer = JsonlWriter(tmp_path / name)
        for event in sample_call():
            writer(event)
        writer.close()
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_log_reads_back_as_events(tmp_path: Path) -> None:
    writer = JsonlWriter(tmp_path / "call.jsonl")
    for event in sample_call():
        writer(event)
    writer.close()
    read = read_events(tmp_path / "call.jsonl")
    assert [event.type for event in read] == [event.type for event in sample_call()]
    committed = next(event for event in read if isinstance(event, TurnCommitted))
    assert (committed.at, committed.last_voiced) == (6.1, 5.6)
    # Read and written again, nothing changes.
    again = JsonlWriter(tmp_path / "again.jsonl", started=0.0)
    for event in read:
        again(event)
    again.close()
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "call.jsonl").read_bytes()


@pytest.mark.parametrize("line", ['{"seq": 1, "t', "[1]", "", '{"seq":1,"t":1.0,"type":"no_such_event"}'])
def test_a_broken_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "call.jsonl"
    path.write_text('{"seq":0,"t":0.0,"type":"input_ended"}\n' + line + "\n")
    with pytest.raises(UsageError, match=r"^Line 2 of .*call\.jsonl is no .*; delete that line to read the others\.$"):
        read_events(path)


def test_a_log_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"Cannot read .*nothing\.jsonl: No such file or directory; "):
        read_jsonl(tmp_path / "nothing.jsonl")


def test_a_folder_that_is_not_there_is_told_before_the_call(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"Cannot write .*call\.jsonl: No such file or directory; name a folder"):
        JsonlWriter(tmp_path / "no" / "call.jsonl")


def test_a_full_disk_is_told_once_and_ends_the_writing_only() -> None:
    log, told = EventLog(), list[OSError]()

    def say(error: OSError) -> None:
        told.append(error)
        log.append(Error(at=1.0, source="log", message="the disk is full", recoverable=True))

    writer = JsonlWriter("/dev/full", on_error=say)
    seen: list[str] = []
    log.subscribe(writer)
    log.subscribe(lambda event: seen.append(event.type))
    for i in range(3):
        log.append(InputEnded(at=float(i)))
    writer.close()
    assert [error.strerror for error in told] == ["No space left on device"]
    assert writer.error is told[0]
    assert seen == ["input_ended", "error", "input_ended", "input_ended"]


@contextmanager
def small_disk() -> Iterator[None]:
    """No file of this process grows beyond 1000 bytes: the write that would gets an error half-way.

    Not a fixture: the test runner writes its progress before fixtures end, perhaps into a longer file.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_what_was_written_before_the_disk_was_full_is_whole(tmp_path: Path) -> None:
    writer = JsonlWriter(tmp_path / "call.jsonl")
    with small_disk():
        for i in range(40):
            writer(FirstSample(at=float(i), speech_id=f"speech_{i}"))
    assert writer.error is not None
    records = read_jsonl(tmp_path / "call.jsonl")
    assert [record["seq"] for record in records] == list(range(writer.lines))
    assert 10 < writer.lines < 30

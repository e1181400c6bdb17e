"""The same call again from its tape, and the call with one thing changed."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agent_runtime import Agent, AgentSession, ChatContext, ModelSettings, RunContext, clock, function_tool, virtual
from agent_runtime.audio.frame import AudioFrame
from agent_runtime.chat import ChatMessage
from agent_runtime.errors import UsageError
from agent_runtime.io.memory import ClockSink
from agent_runtime.tape.changes import Changes
from agent_runtime.tape.replay import Replay, replay
from agent_runtime.testing.call import SimulatedCall
from agent_runtime.testing.scenario import Scenario
from agent_runtime.testing.scripted import (
    Fail,
    Line,
    ScriptedCaller,
    ScriptedLLM,
    ScriptedSTT,
    ScriptedTTS,
    ScriptedVAD,
)
from agent_runtime.trace.tape import read_tape
from agent_runtime.turns.detectors import TurnSoFar
from tests.tape.recorded import PIZZA, record

SCENARIOS = sorted((Path(__file__).parent.parent / "sim" / "scenarios").glob("*.yaml"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "call.tape"


def _again(path: Path, *changes: str) -> Replay:
    return replay(read_tape(path), Changes.of(changes))


def _times(result: Replay, kind: str) -> list[float]:
    return [line["t"] for line in result.lines if line["type"] == kind]


# The same again


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.stem)
def test_a_scenario_gives_the_same_log_sound_and_tape(scenario: Path, path: Path, tmp_path: Path) -> None:
    call = record(path, Scenario.load(scenario))
    assert read_tape(path).log == call.events
    first = replay(read_tape(path), record=tmp_path / "again.tape")
    assert first.identical
    assert first.call.played.runs == call.played.runs
    assert first.call.audible == call.audible
    assert [(said.role, said.content) for said in first.call.history] == [
        (said.role, said.content) for said in call.history
    ]
    again = replay(read_tape(tmp_path / "again.tape"))
    assert again.identical
    assert again.lines == first.lines


class Busy(Agent):
    """Does everything that an application can do of itself."""

    def __init__(self) -> None:
        super().__init__(instructions="You are busy.")

    async def on_enter(self) -> None:
        self.session.say("Hello.")
        await clock.sleep(0.3)

    async def on_user_turn_completed(self, turn_ctx: ChatContext, new_message: ChatMessage) -> None:
        await clock.sleep(0.05)
        new_message.content = [f"{new_message.text_content} (heard)"]

    @function_tool
    async def work(self, context: RunContext[Any]) -> tuple[Agent, str]:
        """Work."""
        context.disallow_interruptions()
        await clock.sleep(0.7)
        self.session.say("I am handing over.")
        return Quiet(), "worked"

    @function_tool
    async def fail(self) -> str:
        """Fail."""
        await clock.sleep(0.2)
        raise ValueError("it broke")


class Quiet(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You are quiet.", id="quiet")

    async def tts_node(self, text: AsyncIterable[str], model_settings: ModelSettings) -> AsyncIterator[AudioFrame]:
        async def slowly() -> AsyncIterator[str]:
            async for piece in text:
                await clock.sleep(0.01)
                yield piece.replace("quiet", "silent")

        async for frame in Agent.default.tts_node(self, slowly(), model_settings):
            yield frame

    async def llm_node(
        self, chat_ctx: ChatContext, tools: list[Any], model_settings: ModelSettings
    ) -> AsyncIterator[str]:
        await clock.sleep(0.15)
        yield "It is quiet "
        await clock.sleep(0.4)
        yield "here."


BUSY: dict[str, Any] = {
    **PIZZA,
    "models": {
        "llm": {
            "replies": {
                "What is open? (heard)": ["Let me see.", {"call": "fail"}],
                "Thank you. (heard)": [{"call": "work"}],
                "*": "I see.",
            }
        }
    },
    "caller": [*PIZZA["caller"], {"at": 12.0, "interrupt": "Hold it there", "for": 1.0}, {"at": 15.0, "cough": True}],
    "until": 22.0,
}


async def _meddle(call: SimulatedCall, session: AgentSession[Any]) -> None:
    session.on("turn_committed", lambda event: session.say("One moment.") if event.turn == 2 else None)

    async def pieces() -> AsyncIterator[str]:
        yield "This comes "
        await clock.sleep(0.3)
        yield "in pieces."

    async def later() -> None:
        await clock.sleep(9.0)
        handle = session.say(pieces())
        await clock.sleep(1.2)
        handle.interrupt()
        session.generate_reply(user_input="and now?")
        await clock.sleep(6.0)
        session.update_options(turn_detection="vad")
        session.interrupt()

    tasks.append(asyncio.ensure_future(later()))


tasks: list["asyncio.Future[None]"] = []


def test_whatever_the_application_does_is_done_again(path: Path, tmp_path: Path) -> None:
    call = record(path, BUSY, Busy(), _meddle)
    kinds = {event["type"] for event in call.events}
    assert {"tool_ended", "error", "interruption_confirmed", "playout_paused"} <= kinds
    assert {"quiet", "busy"} == {
        event["item"]["new_agent_id"] for event in call.events if event.get("item", {}).get("type") == "agent_handoff"
    }
    first = replay(read_tape(path), record=tmp_path / "again.tape")
    assert first.first_difference() is None
    assert first.identical
    assert first.notes == []
    assert replay(read_tape(tmp_path / "again.tape")).identical


class Slow:
    """A turn detector of the application's own, which thinks for a while."""

    label = "slow"

    async def predict(self, turn: TurnSoFar) -> float | None:
        await clock.sleep(0.03)
        return 0.1 if turn.text.endswith("open?") else 0.9


def test_code_of_the_application_is_not_run_again(path: Path) -> None:
    asked: list[float] = []

    def muted() -> bool:
        asked.append(clock.now())
        return len(asked) == 1

    given = {**PIZZA, "session": {}}

    async def main() -> None:
        call = SimulatedCall(Scenario.of(given).plan())
        call.llm, call.record = ScriptedLLM({"*": "Certainly."}), str(path)  # type: ignore[attr-defined]
        await call.start(
            Agent(instructions=""),
            turn_handling={"turn_detection": Slow(), "mute": [muted]},
            tts_text_transforms=[str.upper],
        )
        await call.run(9.0)
        await call.end()

    virtual.run(main())
    count = len(asked)
    result = _again(path)
    assert result.identical
    assert any(line["type"] == "turn_predicted" and line["detector"] == "slow" for line in result.lines)
    assert len(asked) == count > 1


def test_a_typed_call(path: Path) -> None:
    async def main() -> None:
        session: AgentSession[Any] = AgentSession(llm=ScriptedLLM({"hi": "Hello!", "bye": "Good-bye!"}))
        await session.start(Agent(instructions=""), record=path)
        await session.run(user_input="hi")
        await clock.sleep(1.0)
        await session.run(user_input="bye")
        await session.aclose()

    virtual.run(main())
    assert _again(path).identical


def test_a_sink_that_raises_raises_again(path: Path) -> None:
    class Broken(ClockSink):
        def write(self, pcm: bytes) -> None:
            if clock.now() > 1.0:
                raise OSError("the speaker is gone")
            super().write(pcm)

    async def main() -> None:
        session: AgentSession[Any] = AgentSession(llm=ScriptedLLM({}), tts=ScriptedTTS())
        await session.start(Agent(instructions=""), output=Broken(), record=path)
        session.say("one two three four five six seven")
        with pytest.raises(OSError, match="is gone"):
            await session.wait_closed()

    virtual.run(main())
    assert _again(path).identical


@pytest.mark.real_time
def test_in_real_time_the_decisions_are_the_same(path: Path, tmp_path: Path) -> None:
    async def main() -> None:
        caller = ScriptedCaller([Line(0.2, "hello there", 0.4)], until=5.0)
        session: AgentSession[Any] = AgentSession(
            vad=ScriptedVAD(),
            stt=ScriptedSTT(caller),
            llm=ScriptedLLM({"*": "One two."}),
            tts=ScriptedTTS(ttfb=0.05),
            turn_handling={"turn_detection": None},
        )
        await session.start(Agent(instructions=""), input=caller, output=ClockSink(), record=path)
        await clock.sleep(2.2)
        await session.aclose()

    asyncio.run(main())
    first = replay(read_tape(path), record=tmp_path / "again.tape")
    assert first.same_decisions
    assert not first.virtual
    assert replay(read_tape(tmp_path / "again.tape")).identical


def test_a_call_whose_process_died_goes_as_far_as_it_went(path: Path) -> None:
    record(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])
    tape = read_tape(path)
    result = replay(tape)
    assert tape.cut is not None
    assert result.cut == tape.cut
    count = len(tape.log)
    assert result.lines[:count] == tape.log
    assert result.lines[-1]["type"] == "close"


# With one thing changed


def test_a_shorter_delay_moves_the_commits_by_that_much(path: Path) -> None:
    record(path, {**PIZZA, "session": {"turn_handling": {"turn_detection": None}}})
    before, after = _again(path), _again(path, "turn_handling.endpointing.min_delay=0.3")
    for kind in ("turn_committed", "playback_started"):
        moved = [b - a for a, b in zip(_times(before, kind), _times(after, kind), strict=True)]
        assert moved == pytest.approx([-0.2] * 2)
    assert after.notes == []


def test_a_node_that_is_named_really_runs(path: Path) -> None:
    record(path)
    result = _again(path, "tts=local/espeak")
    assert result.lines[0]["nodes"]["tts"] == "local/espeak"
    assert [said.content for said in result.call.history] == [
        "What is open?",
        "The bakery, until nine.",
        "Thank you.",
        "Certainly.",
    ]
    assert _times(result, "playback_finished") != _times(_again(path), "playback_finished")


def test_what_the_tape_has_no_answer_to_is_said(path: Path) -> None:
    record(path)
    result = _again(path, "llm=local/rules")
    assert result.notes
    assert all("The tape has no answer of the synthesiser to" in note for note in result.notes)
    told = [line for line in result.lines if line["type"] == "error"]
    assert {line["source"] for line in told} == {"tape"}
    assert [line["message"] for line in told] == result.notes


def test_when_nothing_is_left_the_node_fails_by_name(path: Path) -> None:
    record(path, {**PIZZA, "caller": [], "until": 3.0}, then=_say_hello)
    result = _again(path, "llm=local/rules", "tts=null")
    assert result.changed
    assert result.call.history[0].content == "Hello."


async def _say_hello(call: SimulatedCall, session: AgentSession[Any]) -> None:
    session.say("Hello.")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("turn_handling.endpointing.mindelay=0.3", "Did you mean 'turn_handling.endpointing.min_delay'?"),
        ("min_delay=0.3", "Did you mean 'turn_handling.endpointing.min_delay'?"),
        ("sst=local/sherpa", "Did you mean 'stt'?"),
        ("colour=blue", "There are vad, stt, llm, tts, max_tool_steps"),
        ("min_delay", "--set takes key=value, not 'min_delay'"),
        (
            "turn_handling.interruption.min_words=many",
            "turn_handling interruption min_words is 'many'; it takes a whole number from 0 on.",
        ),
        ("turn_handling.interruption.min_words=2.5", "min_words is 2.5; it takes a whole number from 0 on."),
        ("turn_handling.interruption.min_words=true", "min_words is True; it takes a whole number from 0 on."),
        ("turn_handling.interruption.enabled=1", "enabled is 1; it takes True or False."),
        ("turn_handling.endpointing.min_delay=.nan", "min_delay is nan; it takes a number from 0 on."),
        ("turn_handling.endpointing.max_delay=.inf", "max_delay is inf; it takes a number from 0 on."),
        ("turn_handling.endpointing.min_delay=-1", "min_delay is -1; it takes a number from 0 on."),
        ("turn_handling.mute=5", "turn_handling mute has 5; it takes"),
        ("max_tool_steps=2.5", "max_tool_steps is 2.5; it takes a whole number from 0 on."),
        ("user_away_timeout=.nan", "user_away_timeout is nan; it takes a number from 0 on."),
    ],
)
def test_a_change_that_cannot_be_is_refused(given: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        Changes.of([given])
    assert told in str(caught.value)


def test_delays_are_checked_with_those_of_the_tape(path: Path) -> None:
    record(path)
    with pytest.raises(UsageError, match=r"it needs 0 <= min_delay <= max_delay"):
        _again(path, "turn_handling.endpointing.min_delay=5")


# What does not enter


def test_keys_do_not_enter_a_tape(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret-key")

    class Keyed(ScriptedLLM):
        api_key = "another-secret"

    async def main() -> None:
        failure = Fail(RuntimeError("the key sk-very-secret-key was refused"))
        session: AgentSession[Any] = AgentSession(llm=Keyed({"*": failure}), userdata={"token": "another-secret"})
        await session.start(Agent(instructions="Use sk-very-secret-key."), record=path)
        await session.run(user_input="hi")
        await session.aclose()

    virtual.run(main())
    assert b"was refused" in path.read_bytes()
    assert b"secret" not in path.read_bytes()


def test_a_path_that_cannot_be_written_is_said_before_the_call(tmp_path: Path) -> None:
    (tmp_path / "old.tape").write_text("a recording")

    async def main() -> None:
        session: AgentSession[Any] = AgentSession()
        for name, sentence in (
            ("no/call.tape", "Cannot write"),
            (
                "old.tape",
                r"old\.tape' exists, and what was recorded is not replaced; remove it or choose another name\.",
            ),
            (".", "is a folder; name a file in it"),
        ):
            with pytest.raises(UsageError, match=sentence):
                await session.start(Agent(instructions=""), record=tmp_path / name)
        assert not session.log, "the call has not begun"
        await session.start(Agent(instructions=""), record=tmp_path / "new.tape")
        await session.aclose()

    virtual.run(main())
    assert (tmp_path / "old.tape").read_text() == "a recording"
    assert read_tape(tmp_path / "new.tape").cut is None

"""A simulated call: a session between an agent and a `Caller`, in virtual time, and what came of it."""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any, ClassVar

from agent_runtime import clock, virtual
from agent_runtime.agent import Agent
from agent_runtime.audio.frame import FRAME_S, AudioFrame
from agent_runtime.errors import UsageError
from agent_runtime.events import Close, Event, SessionStarted
from agent_runtime.io.memory import ClockSink
from agent_runtime.session import AgentSession
from agent_runtime.testing.caller import Caller
from agent_runtime.testing.result import CallResult, Said, new_tracks
from agent_runtime.testing.scenario import Scenario, ScriptedTool, answers
from agent_runtime.testing.scripted import OutOfScript, ScriptedLLM, ScriptedSTT, ScriptedTTS, ScriptedVAD
from agent_runtime.testing.steps import trigger
from agent_runtime.tools import FunctionTool, ToolError, function_tool

AFTERWARDS_S = 10.0
"""A call without an end of its own goes on for so long when all that is planned of the caller is over."""

LONGEST_S = 3600.0
"""And no longer than this."""


class SimulatedCall:
    """One call: `start` it, let the caller talk and time pass, and `end` it.

    `start` makes the session; or give this as the room to a session of your own: `session.start(agent, room=call)`.

    Attributes:
        vad, stt, llm, tts: the nodes: scripted ones, until something else is put in their place before the call begins
            (a node, a descriptor, or None for no such node).
        result: what came of it, when it has been ended.
        begun: how many calls have begun in this process.
    """

    begun: ClassVar[int] = 0

    def __init__(self, caller: Caller | None = None, *, name: str = "a call") -> None:
        self.caller = caller or Caller()
        self.name = name
        self.vad: Any = ScriptedVAD()
        self.stt: Any = ScriptedSTT(self.caller)
        self.llm: Any = ScriptedLLM({})
        self.tts: Any = ScriptedTTS()
        self.sink = ClockSink(on_played=self._hear_agent)
        self.session: AgentSession[Any] | None = None
        self.failure: str | None = None
        """What of the script did not suffice, a sentence."""
        self._over = asyncio.Event()
        self._log: list[Event] = []
        self._heard, self._played = new_tracks()
        self._started = 0.0
        self.result: CallResult | None = None

    # Beginning

    async def start(self, agent: Agent | None = None, **options: Any) -> AgentSession[Any]:
        """Make a session of the nodes and begin the call.

        Args:
            agent: who is called; by default an agent without instructions.
            options: what `AgentSession` takes besides the nodes.
        """
        session: AgentSession[Any] = AgentSession(vad=self.vad, stt=self.stt, llm=self.llm, tts=self.tts, **options)
        await self.caller.prepare()
        await session.start(agent or Agent(instructions=""), room=self)
        return session

    def attach(self, session: AgentSession[Any], agent: Agent, given_input: Any, given_output: Any) -> tuple[Any, Any]:
        """Called by the session that starts in this room."""
        self.meet(session)
        return self.caller, self.sink

    def meet(self, session: AgentSession[Any]) -> None:
        """Follow this session, which is about to start."""
        if self.session is not None:
            raise UsageError("A simulated call has one session; give it other agents with session.update_agent(...).")
        self.session = session
        SimulatedCall.begun += 1
        session.log.subscribe(self._take)
        session.log.subscribe(self.caller.take)
        self.caller.on_frame = self._hear_caller
        self.caller.on_gone = lambda: session.shutdown(drain=False, reason="participant_disconnected")
        if isinstance(self.llm, ScriptedLLM):
            self.llm.on_out_of_script = self._out_of_script

    def _take(self, event: Event) -> None:
        self._log.append(event)
        if isinstance(event, SessionStarted):
            self._started = event.at
        elif isinstance(event, Close):
            self._over.set()

    def _hear_caller(self, frame: AudioFrame) -> None:
        assert frame.at is not None
        self._heard.add(frame.at, frame.data)

    def _hear_agent(self, at: float, pcm: bytes) -> None:
        self._played.add(at, pcm)

    def _out_of_script(self, error: OutOfScript) -> None:
        self.failure = self.failure or f"OutOfScript: {error}"
        self._over.set()

    # The call

    @property
    def now(self) -> float:
        """Seconds since the call began."""
        return clock.now() - self._started

    async def run(self, until: float | None = None) -> None:
        """Let the call go on until then (seconds since it began), until the caller hangs up or the session ends.

        Without a time: until `AFTERWARDS_S` after all that is planned of the caller is over.
        """
        while not self._over.is_set():
            end = until if until is not None else min(self.caller.last_over + AFTERWARDS_S, LONGEST_S)
            if end - self.now <= clock.GRAIN_S:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(end - self.now):
                    await self._over.wait()

    async def wait_for(self, what: str, *, within: float = 60.0) -> Event:
        """Wait until this happens: one of `steps.TRIGGERS` ("agent speaks"), or the name of an event.

        It returns a frame later, when what begins with it can be heard.

        Raises:
            UsageError: nothing has that name.
            NotAsExpected: it does not happen within so many seconds.
        """
        from agent_runtime.testing.expect import NotAsExpected
        from agent_runtime.testing.timeline import timeline

        happened: asyncio.Future[Event] = asyncio.get_running_loop().create_future()
        fits = trigger(what)

        def look(event: Event) -> None:
            if not happened.done() and fits(event):
                happened.set_result(event)

        unsubscribe = self._running.log.subscribe(look)
        try:
            async with asyncio.timeout(within):
                event = await happened
        except TimeoutError:
            so_far = self.so_far()
            told = timeline(so_far, so_far.length)
            raise NotAsExpected(f"{self.name}: {what!r} did not happen within {within:g} s\n{told}") from None
        finally:
            unsubscribe()
        await clock.sleep(FRAME_S)
        return event

    def expect(self, sentence: str) -> None:
        """Check that this is so in what has happened until now.

        Raises:
            NotAsExpected: it is not; with the timeline round the place.
            UsageError: it is no sentence that is known.
        """
        __tracebackhide__ = True  # pytest shows the line in the test
        self.so_far().expect(sentence)

    def so_far(self) -> CallResult:
        """The call until now; once it has ended, the whole."""
        if self.result is not None:
            return self.result
        session = self._running
        _ = self.sink.played_samples  # it tells us of the sound that has been played meanwhile
        length = next((event.at for event in self._log if isinstance(event, Close)), clock.now()) - self._started
        return CallResult(
            name=self.name,
            log=list(self._log),
            started=self._started,
            lines=[line for line in self.caller.lines if line.at < length],
            heard=self._heard,
            played=self._played,
            history=Said.all_of(session.history),
            length=length,
            failure=self.failure,
        )

    @property
    def _running(self) -> AgentSession[Any]:
        if self.session is None:
            raise UsageError("This call has not begun; `await call.start(agent)` first.")
        return self.session

    # End

    async def end(self) -> CallResult:
        """End the call, and say what came of it. Again: the same."""
        if self.result is None:
            session = self._running
            unsaid = "; ".join(step.said() for step in self.caller.unsaid)
            if unsaid:
                self.failure = self.failure or f"What the caller waited for never happened: {unsaid}."
            await session.aclose()
            self.result = self.so_far()
        return self.result


def simulate(scenario: Scenario | Mapping[str, Any], *, agent: Agent | None = None) -> CallResult:
    """Make the call of a scenario, in virtual time.

    Args:
        scenario: or its plain values, in which nodes and what `AgentSession` takes (a turn detector) may be objects.
        agent: who is called, instead of one that has nothing but the scenario's instructions, greeting and tools.

    Raises:
        UsageError: the mapping is no scenario, or an engine it names is not there.
    """
    checked = scenario if isinstance(scenario, Scenario) else Scenario.of(scenario)
    return virtual.run(perform(checked, agent=agent))


async def perform(scenario: Scenario, *, agent: Agent | None = None) -> CallResult:
    """The same on the loop that runs."""
    call = call_of(scenario)
    await call.start(agent or ScenarioAgent(scenario), **scenario.session)
    await call.run(scenario.until)
    return judged(await call.end(), scenario)


def call_of(scenario: Scenario) -> SimulatedCall:
    """The call of a scenario, not begun."""
    call = SimulatedCall(scenario.plan(), name=scenario.name)
    for kind, settings in scenario.models.items():
        setattr(call, kind, _node(kind, settings, call.caller))
    return call


def judged(result: CallResult, scenario: Scenario) -> CallResult:
    """The result with what the scenario expects of it."""
    result.expectations = [expectation.look(result) for expectation in scenario.expect]
    return result


def _node(kind: str, settings: Any, caller: Caller) -> Any:
    if not isinstance(settings, Mapping):
        return settings
    match kind:
        case "vad":
            return ScriptedVAD(**settings)
        case "stt":
            return ScriptedSTT(caller, **settings)
        case "llm":
            return ScriptedLLM(**{**settings, "replies": answers(settings.get("replies", {}))})
        case _:
            return ScriptedTTS(**settings)


class ScenarioAgent(Agent):
    """The agent of a scenario: instructions, tools that do as they are told, and a greeting if there is one."""

    def __init__(self, scenario: Scenario) -> None:
        tools = [_tool(name, tool) for name, tool in scenario.tools.items()]
        super().__init__(instructions=scenario.instructions, tools=tools, id="scenario")
        self._greeting = scenario.greeting

    async def on_enter(self) -> None:
        if self._greeting is not None:
            self.session.say(self._greeting)


def _tool(name: str, tool: ScriptedTool) -> FunctionTool:
    async def work(raw_arguments: dict[str, object]) -> str:
        await clock.sleep(tool.takes)
        if tool.error is not None:
            raise ToolError(tool.error)
        return tool.returns

    schema = {"name": name, "description": "", "parameters": {"type": "object", "properties": {}}}
    return function_tool(work, raw_schema=schema)

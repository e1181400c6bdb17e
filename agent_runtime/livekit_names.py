"""Names that livekit-agents has at its top and this package has not: what to write instead.

Looked at only where an import fails.
"""

_SERVER = "write server = AgentServer(), @server.rtc_session() above the entrypoint, and cli.run_app(server)"
_ROOM = "rooms come in a later version; leave it out, session.start(agent=..., room=ctx.room) is enough"
_LATER = "there is nothing like it yet; leave it out"
_LOG = "the event log has the times of every turn; session.log.subscribe(callback) gets each event"

_EVENTS = (
    "AgentFalseInterruption AgentStateChanged Close ConversationItemAdded Error FunctionToolsExecuted SpeechCreated "
    "UserInputTranscribed UserStateChanged"
).split()
_HOMES = {
    "errors": ("APIConnectionError", "APIError", "APIStatusError", "APITimeoutError"),
    "run_result": ("RunResult",),
    "tools": ("ToolContext",),
    "types": ("APIConnectOptions", "NotGiven", "NotGivenOr"),
}
_OPTIONS = ("EndpointingOptions", "InterruptionOptions", "PreemptiveGenerationOptions", "TurnHandlingOptions")
_OF_ROOMS = (
    "AutoSubscribe JobExecutorType JobRequest RoomIO RoomInputOptions RoomOptions RoomOutputOptions WorkerPermissions "
    "WorkerType room_io"
).split()
_MISSING = (
    "AMD AgentTask AudioConfig BackgroundAudioPlayer BuiltinAudioClip ExpressiveOptions Plugin UserTurnExceededEvent avatar "
    "mcp"
).split()

INSTEAD: dict[str, str] = {
    **{f"{name}Event": f"write from agent_runtime.events import {name}" for name in _EVENTS},
    **{name: f"write from agent_runtime.{home} import {name}" for home, names in _HOMES.items() for name in names},
    **{name: f"AgentSession(turn_handling={{...}}) takes a plain dictionary, without {name}" for name in _OPTIONS},
    **dict.fromkeys(("ServerOptions", "Worker", "WorkerOptions"), _SERVER),
    **dict.fromkeys(_OF_ROOMS, _ROOM),
    **dict.fromkeys(_MISSING, _LATER),
    **dict.fromkeys(("MetricsCollectedEvent", "metrics"), _LOG),
    "CloseReason": "the reason of a 'close' event is a string, such as 'user_initiated'",
    "get_job_context": "the entrypoint is given it, 'async def entrypoint(ctx)'; hand it on from there",
    "mock_tools": "give the agent other tools with await agent.update_tools([...])",
    "text_transforms": "AgentSession(tts_text_transforms=[...]) takes names and functions",
    "voice": "write from agent_runtime import Agent, AgentSession",
}
"""Name -> what to do instead."""

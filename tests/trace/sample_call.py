"""A call of 41 seconds, written by hand: two tools, one interruption, one cough, one turn reopened, good-bye.

`events()` is the log and `spans()` says when which side sounds, so that a test (or whoever works on the picture) can
make a recording that fits.
"""

from agent_runtime.events import (
    AgentFalseInterruption,
    AgentStateChanged,
    Close,
    Event,
    FirstSample,
    FirstToken,
    InterruptionConfirmed,
    InterruptionSuspected,
    LlmRequested,
    PhraseReady,
    PlaybackFinished,
    PlaybackStarted,
    PlayoutPaused,
    SessionStarted,
    SpeechCreated,
    ToolEnded,
    ToolStarted,
    TurnCommitted,
    TurnReopened,
    UserInputTranscribed,
    UserStateChanged,
    VoiceStarted,
    VoiceStopped,
)

CALLER = [
    (4.10, 5.60, "what time is it"),
    (9.20, 10.10, "turn on the light"),
    (10.75, 11.60, "in the kitchen"),
    (16.20, 16.50, None),
    (20.30, 22.00, "what is nine times seven"),
    (24.30, 25.70, "stop what is the date"),
    (31.00, 32.70, "put milk on my shopping list"),
    (37.40, 38.30, "thank you good bye"),
]
"""Voice: first and last voiced second, and what it says; None is the cough."""


class _Call:
    def __init__(self) -> None:
        self.log: list[Event] = []
        self.agent: list[tuple[float, float, str]] = []
        self.user = "listening"
        self.state = "initializing"
        self.speeches = 0

    def add(self, *events: Event) -> None:
        self.log += events

    def agent_is(self, at: float, state: str) -> None:
        self.add(AgentStateChanged(at=at, old_state=self.state, new_state=state))  # type: ignore[arg-type]
        self.state = state

    def voice(self, onset: float, end: float, text: str | None) -> None:
        self.add(
            VoiceStarted(at=onset + 0.07, onset=onset),
            UserStateChanged(at=onset + 0.07, old_state="listening", new_state="speaking"),
        )
        if text:
            words = text.split()
            self.add(UserInputTranscribed(at=onset + 0.6, transcript=words[0], is_final=False))
        self.add(
            VoiceStopped(at=end + 0.2, last_voiced=end),
            UserStateChanged(at=end + 0.2, old_state="speaking", new_state="listening"),
            UserInputTranscribed(at=end + 0.28, transcript=text or "", is_final=True, confidence=0.9 if text else 0.1),
        )

    def commit(self, turn: int, end: float, text: str, reason: str = "silence", delay: float = 0.5) -> float:
        at = end + delay
        self.add(
            TurnCommitted(at=at, turn=turn, transcript=text, reason=reason, last_voiced=end, transcribed_at=end + 0.28)
        )
        return at

    def reply(
        self,
        at: float,
        turn: int | None,
        text: str,
        lasts: float,
        *,
        tool: tuple[str, str, str, float] | None = None,
        cut: str = "",
        pause: float = 0.0,
        delays: tuple[float, float, float, float] = (0.14, 0.06, 0.05, 0.02),
    ) -> tuple[str, float]:
        self.speeches += 1
        speech = f"speech_{self.speeches}"
        source = "say" if turn is None else "generate_reply"
        self.add(SpeechCreated(at=at, speech_id=speech, source=source, user_initiated=False, turn=turn))
        if turn is not None:
            self.agent_is(at, "thinking")
            self.add(LlmRequested(at=at, speech_id=speech, step=0))
            at += delays[0]
            self.add(FirstToken(at=at, speech_id=speech, step=0))
        if tool is not None:
            name, arguments, output, took = tool
            self.add(
                ToolStarted(at=at + 0.01, speech_id=speech, call_id=f"call_{speech}", name=name, arguments=arguments)
            )
            at += 0.01 + took
            self.add(
                ToolEnded(at=at, speech_id=speech, call_id=f"call_{speech}", name=name, output=output, is_error=False),
                LlmRequested(at=at, speech_id=speech, step=1),
                FirstToken(at=at + delays[0], speech_id=speech, step=1),
            )
            at += delays[0]
        at += delays[1]
        self.add(PhraseReady(at=at, speech_id=speech, index=0, text=text))
        at += delays[2]
        self.add(FirstSample(at=at, speech_id=speech))
        at += delays[3]
        self.add(PlaybackStarted(at=at, speech_id=speech))
        self.agent_is(at, "speaking")
        if not cut:
            finished = at + lasts + pause
            self.add(
                PlaybackFinished(at=finished, speech_id=speech, position=lasts, interrupted=False, heard=text, cut="")
            )
            self.agent_is(finished, "listening")
        return speech, at


def _call() -> _Call:
    call = _Call()
    nodes: dict[str, str | None] = {
        "vad": "local/silero", "stt": "local/pocketsphinx", "llm": "local/rules", "tts": "local/espeak"
    }  # fmt: skip
    call.add(SessionStarted(at=100.0, nodes=nodes))
    voices = [(100.0 + start, 100.0 + end, text) for start, end, text in CALLER]
    greeting = "Hello. I tell the time and keep a shopping list. What can I do for you?"
    _, at = call.reply(100.0, None, greeting, 3.4)
    call.agent.append((at, at + 3.4, greeting))

    call.voice(*voices[0])
    text = "It is half past nine."
    _, at = call.reply(call.commit(1, voices[0][1], "what time is it"), 1, text, 1.5)
    call.agent.append((at, at + 1.5, text))

    call.voice(*voices[1])
    committed = call.commit(2, voices[1][1], "turn on the light")
    call.add(SpeechCreated(at=committed, speech_id="speech_x", source="generate_reply", user_initiated=False, turn=2))
    call.agent_is(committed, "thinking")
    call.add(LlmRequested(at=committed, speech_id="speech_x", step=0))
    call.voice(*voices[2])
    call.add(TurnReopened(at=voices[2][0] + 0.07, turn=2))
    call.agent_is(voices[2][0] + 0.07, "listening")
    text = "The light in the kitchen is on. I can also dim it, or turn it off again at an hour that you tell me."
    tool = ("set_light", '{"room": "kitchen", "on": true}', "the kitchen light is on", 0.42)
    speech, at = call.reply(
        call.commit(2, voices[2][1], "turn on the light in the kitchen"), 2, text, 5.0, tool=tool, pause=0.85
    )
    cough, end, _ = voices[3]
    call.add(InterruptionSuspected(at=cough + 0.07, speech_id=speech))
    call.add(PlayoutPaused(at=cough + 0.25, speech_id=speech, position=cough + 0.25 - at))
    call.voice(cough, end, None)
    call.add(
        AgentFalseInterruption(
            at=cough + 1.10, speech_id=speech, resumed=True, position=cough + 0.25 - at, reason="no words"
        )
    )
    call.agent += [(at, cough + 0.25, text[:44]), (cough + 1.10, at + 5.85, text[44:])]

    call.voice(*voices[4])
    heard, cut = "Nine times seven is sixty three. If you like", "I can do longer sums too, one after the other."
    speech, at = call.reply(call.commit(3, voices[4][1], "what is nine times seven"), 3, heard, 2.0, cut=cut)
    onset = voices[5][0]
    call.add(InterruptionSuspected(at=onset + 0.07, speech_id=speech))
    call.add(PlayoutPaused(at=onset + 0.25, speech_id=speech, position=onset + 0.25 - at))
    call.agent.append((at, onset + 0.25, heard))
    call.add(
        InterruptionConfirmed(at=onset + 0.62, speech_id=speech, reason="words", position=onset + 0.25 - at),
        PlaybackFinished(
            at=onset + 0.62, speech_id=speech, position=onset + 0.25 - at, interrupted=True, heard=heard, cut=cut
        ),
    )
    call.agent_is(onset + 0.62, "listening")
    call.voice(*voices[5])
    text = "It is Monday, the fifth of January."
    _, at = call.reply(call.commit(4, voices[5][1], "stop what is the date", delay=0.62), 4, text, 2.4)
    call.agent.append((at, at + 2.4, text))

    call.voice(*voices[6])
    text = "Milk is on the list. That makes three items."
    tool = ("add_item", '{"item": "milk"}', "3 items", 0.0)
    _, at = call.reply(
        call.commit(5, voices[6][1], "put milk on my shopping list"), 5, text, 2.7, tool=tool,
    )  # fmt: skip
    call.agent.append((at, at + 2.7, text))

    call.voice(*voices[7])
    text = "Good-bye."
    _, at = call.reply(call.commit(6, voices[7][1], "thank you good bye"), 6, text, 0.9)
    call.agent.append((at, at + 0.9, text))
    call.add(Close(at=at + 1.0, reason="task_completed"))
    call.log.sort(key=lambda event: event.at)
    return call


def events() -> list[Event]:
    """The log. The session starts at loop time 100."""
    return _call().log


def spans() -> tuple[list[tuple[float, float, str | None]], list[tuple[float, float, str]]]:
    """When the caller and the agent sound, in seconds since the start, and what they say."""
    return CALLER, [(start - 100.0, end - 100.0, text) for start, end, text in _call().agent]

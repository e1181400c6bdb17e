"""What must hold of every call, told from its recording and its log; each function bears its number in DESIGN.md.

None of them asks the session: the recording says what was heard, the plan what was said, the log what was told of it.
"""

import math
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import TypeVar

from agent_runtime.audio.frame import FRAME_S
from agent_runtime.chat import ChatMessage, FunctionCall, FunctionCallOutput
from agent_runtime.events import (
    AgentStateChanged,
    Close,
    Event,
    InterruptionConfirmed,
    PhraseReady,
    PlaybackFinished,
    Stalled,
    ToolEnded,
    ToolStarted,
    TurnCommitted,
    TurnReopened,
    UserInputTranscribed,
)
from agent_runtime.turns.options import TurnHandling
from tests.sim.calls import Made
from tests.sim.signed import NAME, gaps, heard_words, played_of

E = TypeVar("E", bound=Event)
EPS = 1e-6
SAMPLE_S = 1 / 24_000
SLACK = 40
"""Samples: what follows a cut may look like what was cut for a few on either side, and less than `SURE` are not read."""

LONGEST_CLOSE_S = 5.0


def of(made: Made, kind: type[E]) -> list[E]:
    return [event for event in made.result.log if isinstance(event, kind)]


def failed(made: Made) -> bool:
    """Whether a node of it failed in such a way that the session had to end, and said so."""
    return any(close.reason == "error" for close in of(made, Close))


def _words(made: Made, role: str) -> list[str]:
    messages = [item for item in made.history.items if isinstance(item, ChatMessage) and item.role == role]
    return [word for message in messages for word in NAME.findall(message.text_content or "")]


# 2


def c2_nothing_interrupted_sounds(made: Made) -> str | None:
    """After an interruption no sample of the speech that was interrupted is played."""
    speech_of = {event.text.strip(): event.speech_id for event in of(made, PhraseReady)}
    ended = {event.speech_id: event.at for event in of(made, InterruptionConfirmed)}
    for phrase in made.tts.phrases:
        over = ended.get(speech_of.get(phrase.text.strip(), ""))
        for at, first, end in played_of(phrase, made.stretches):
            last = at + (end - first) / 24_000
            if over is not None and last > over + SLACK * SAMPLE_S:
                return f"{phrase.text!r} sounds until {last:.4f}, and was interrupted at {over:.4f}"
    return None


def c2_it_goes_on_at_the_very_sample(made: Made) -> str | None:
    """Of what is played of a phrase no sample is skipped or played twice, from the first one on."""
    for phrase in made.tts.phrases:
        parts = played_of(phrase, made.stretches)
        if parts and parts[0][1] > SLACK:
            return f"{phrase.text!r} begins at its sample {parts[0][1]}"
        skipped = [gap for gap in gaps(parts) if abs(gap) > SLACK]
        if skipped:
            return f"{phrase.text!r} skips {skipped} samples"
    return None


# 3


def c3_history_is_what_was_played(made: Made) -> str | None:
    """0 words off with word times, at most 1 for each speech that was cut without.

    Words for which the synthesiser gave no sound at all may be told or not: nobody can know.
    """
    heard = Counter(
        word for phrase in made.tts.phrases for word in heard_words(phrase, played_of(phrase, made.stretches))
    )
    told = Counter(_words(made, "assistant"))
    if made.plan.faults.get("tts") == "is mute":
        for phrase in made.tts.mute:
            for word in NAME.findall(phrase):
                del told[word]
    off = sorted(((heard - told) + (told - heard)).elements())
    cut = [event for event in of(made, PlaybackFinished) if event.interrupted or event.cut]
    allowed = 0 if made.plan.word_times else len(cut)
    if len(off) > allowed:
        return f"{len(off)} words off, {allowed} allowed: {off}"
    return None


def c3_no_word_of_the_agent_is_told_twice(made: Made) -> str | None:
    twice = [word for word, times in Counter(_words(made, "assistant")).items() if times > 1]
    return f"twice: {twice}" if twice else None


def said_by(made: Made, until: float = math.inf) -> list[str]:
    return [word for line in made.result.lines if line.end <= until for word in NAME.findall(line.text)]


def _runs_together(made: Made) -> bool:
    """Whether the caller goes on before the recogniser is done with what was said: one final may be taken for another."""
    delay = made.plan.scenario["models"]["stt"]["delay"]
    worded = [line for line in made.result.lines if NAME.search(line.text)]
    return any(later.at < earlier.end + delay + 0.1 for earlier, later in pairwise(worded))


def c3_each_word_of_the_user_is_in_the_history_once(made: Made) -> str | None:
    """In the order in which they were said; all of them, where every node works and nobody throws any away."""
    told, said = _words(made, "user"), said_by(made)
    strange = [word for word in told if word not in said]
    if strange:
        return f"never said: {strange}"
    plan, stt = made.plan, made.plan.scenario["models"]["stt"]
    twice = [word for word, times in Counter(told).items() if times > 1]
    if twice and stt["finals"] in ("once", "never") and not plan.faults:
        return f"told twice: {twice}"
    acts = {what for _, what in plan.acts}
    hung_up = any("hang_up" in step for step in plan.scenario["caller"])
    whole = stt["finals"] == "once" and not {"vad", "stt"} & set(plan.faults) and not acts & {"clear", "commit"}
    if not whole or hung_up or failed(made) or _runs_together(made):
        return None
    # What is told of is what the recogniser was read as having said, before the call ended.
    if told != said:
        lost = [word for word in said if word not in told]
        return f"lost: {lost}" if lost else f"in another order: {told}"
    return None


def c3_each_tool_call_has_one_outcome(made: Made) -> str | None:
    calls = Counter(item.call_id for item in made.history.items if isinstance(item, FunctionCall))
    outcomes = Counter(item.call_id for item in made.history.items if isinstance(item, FunctionCallOutput))
    started = Counter(event.call_id for event in of(made, ToolStarted))
    ended = Counter(event.call_id for event in of(made, ToolEnded))
    if started != ended:
        return f"started {started}, ended {ended}"
    if calls != outcomes or any(times > 1 for times in calls.values()):
        return f"calls {calls}, outcomes {outcomes}"
    missing = [call for call in started if call not in calls]
    return f"run, and not in the history: {missing}" if missing else None


# 4, 7


def c7_it_comes_to_rest(made: Made) -> str | None:
    """Whatever fails: in the end nothing is thought about any more."""
    if made.at_rest or failed(made) or any(close.reason != "user_initiated" for close in of(made, Close)):
        return None
    states = [(event.at, event.new_state) for event in of(made, AgentStateChanged)]
    return f"the agent is not at rest: {states[-3:]}"


def c4_a_turn_is_answered(made: Made) -> str | None:
    """After each turn there is sound, another turn, an interruption by the application, or an end of the call."""
    if failed(made) or made.plan.faults.get("tts") or made.plan.scenario["models"]["tts"].get("dies_after_samples"):
        return None
    turns = of(made, TurnCommitted)
    reopened = {event.turn: event.at for event in of(made, TurnReopened)}
    for number, turn in enumerate(turns):
        until = turns[number + 1].at if number + 1 < len(turns) else math.inf
        until = min(until, reopened.get(turn.turn, math.inf))
        end = next((close.at for close in of(made, Close)), math.inf)
        if until < math.inf or end < turn.at + 20.0:
            continue
        acted = any(at + 0.01 >= turn.at for at, _ in made.plan.acts)
        interrupted = any(event.at >= turn.at for event in of(made, InterruptionConfirmed))
        if not acted and not interrupted and not any(stretch.end > turn.at for stretch in made.stretches):
            if any(event.at >= turn.at for event in of(made, ToolStarted)):
                continue
            heard = any(
                event.at >= turn.at and event.heard for event in of(made, PlaybackFinished)
            )  # an apology has no signs
            if not heard:
                return f"turn {turn.turn} at {turn.at:.2f} is met by silence"
    return None


# 5


def c5_a_commit_is_in_time(made: Made) -> str | None:
    """At most `max_delay` after the caller's last sound, or when the agent's speech that was not to be interrupted ends."""
    plan, given = made.plan, made.plan.turn_handling
    handling = TurnHandling.of(given)
    if "vad" in plan.faults or any(what in ("commit", "clear", "say through") for _, what in plan.acts):
        return None
    longest = handling.endpointing.max_delay
    started = made.result.started
    # A final without a voice is a sign of life of its own.
    late = plan.scenario["models"]["stt"]["finals"] in ("late", "twice") or "stt" in plan.faults
    if late or not handling.interruption.enabled or handling.interruption.min_words:
        return None
    silence = plan.scenario["models"]["vad"]["min_silence"]
    for turn in of(made, TurnCommitted):
        ends = [line.end for line in made.result.lines if line.at + started < turn.at]
        if not ends:
            return f"a turn before anybody spoke, at {turn.at:.2f}"
        spoken = [stretch.end for stretch in made.stretches if stretch.at < turn.at]
        last = max([min(max(ends) + started, turn.at), *spoken])
        if turn.at > last + max(longest, silence + 2 * FRAME_S) + FRAME_S + EPS:
            return f"turn {turn.turn} is committed {turn.at - last:.3f} s after the last sound; {longest} is the most"
    return None


def c5_the_last_voiced_sample_is_one(made: Made) -> str | None:
    """What a turn is reckoned from is the end of a sound of the caller."""
    plan = made.plan
    if "vad" in plan.faults or "stt" in plan.faults or any(what == "commit" for _, what in plan.acts):
        return None
    ends = [end + made.result.started for _, end in made.result.audible["caller"]]
    for turn in of(made, TurnCommitted):
        at = turn.last_voiced
        if at is None:
            return f"turn {turn.turn} has no last voiced sample"
        heard = [event.at for event in of(made, UserInputTranscribed) if event.transcript]
        if min((abs(at - end) for end in [*ends, *heard]), default=math.inf) > 0.06:
            return f"turn {turn.turn}: nobody's voice ended at {at:.3f}"
    return None


# 8


def c8_it_ends_in_time_and_leaves_nothing(made: Made) -> str | None:
    if made.tasks_left:
        return f"tasks left: {made.tasks_left}"
    if made.close_s > LONGEST_CLOSE_S:
        return f"aclose() took {made.close_s:.2f} s"
    return None if len(of(made, Close)) == 1 else f"{len(of(made, Close))} ends"


# 9


def c9_the_parts_of_a_turn_are_what_was_heard(made: Made) -> str | None:
    """They sum to the gap, and the gap ends with the first sample of the reply."""
    for turn in made.result.turns:
        if turn.gap is None:
            continue
        if abs(turn.total - turn.gap) > EPS:
            return f"turn {turn.turn}: the parts are {turn.total - turn.gap:+.4f} s off"
        if any(part is not None and part < -EPS for _, part in turn.parts):
            return f"turn {turn.turn} has a part below 0: {turn.parts}"
        played = turn.began + turn.gap
        if any(event.position == 0.0 and event.at - played < FRAME_S for event in of(made, PlaybackFinished)):
            continue  # it was interrupted with its first sample
        begins = [start + made.result.started for start, _ in made.result.audible["agent"]]
        begins += [stretch.at for stretch in made.stretches]
        begins += [
            at for phrase in made.tts.phrases for at, first, _ in played_of(phrase, made.stretches) if first <= SLACK
        ]
        near = min((abs(played - at) for at in begins), default=math.inf)
        if near > FRAME_S + EPS:
            return f"turn {turn.turn}: no sound begins within {near:.3f} s of {played:.3f}"
    return None


def c9_what_stalls_is_told(made: Made) -> str | None:
    """Every stall has a name, an action, and a time that is not 0."""
    for event in of(made, Stalled):
        if event.after is not None and event.after <= 0:
            return f"{event}"
    return None


Check = Callable[[Made], str | None]

CHECKS: tuple[Check, ...] = tuple(
    check for name, check in list(globals().items()) if name[0] == "c" and name[1].isdigit() and callable(check)
)


def broken(made: Made) -> list[str]:
    """What does not hold of this call."""
    found = ((check.__name__, check(made)) for check in CHECKS)
    return [f"{name}: {why}" for name, why in found if why is not None]

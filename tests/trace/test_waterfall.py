import random
import tracemalloc
from collections.abc import Iterator

import pytest

from agent_runtime.events import (
    Event,
    FirstSample,
    FirstToken,
    InterruptionConfirmed,
    LlmRequested,
    PhraseReady,
    PlaybackFinished,
    PlaybackStarted,
    SpeechCreated,
    ToolEnded,
    ToolStarted,
    TurnCommitted,
    TurnReopened,
)
from agent_runtime.trace.waterfall import Waterfall, WaterfallBuilder, waterfalls
from tests.trace.sample_call import events as sample_call


def commit(at: float, turn: int = 1, *, last_voiced: float | None = 10.0, transcribed: float | None = 10.3) -> Event:
    return TurnCommitted(
        at=at, turn=turn, transcript="x", reason="silence", last_voiced=last_voiced, transcribed_at=transcribed
    )


def created(at: float, speech: str = "s1", turn: int | None = 1, source: str = "generate_reply") -> Event:
    return SpeechCreated(at=at, speech_id=speech, source=source, user_initiated=False, turn=turn)


def reply(at: float, speech: str = "s1") -> list[Event]:
    """Request at `at`, token after 0.2, clause 0.1, sample 0.05, sound 0.02."""
    return [
        LlmRequested(at=at, speech_id=speech, step=0),
        FirstToken(at=at + 0.2, speech_id=speech, step=0),
        PhraseReady(at=at + 0.3, speech_id=speech, index=0, text="Yes."),
        PhraseReady(at=at + 0.32, speech_id=speech, index=1, text="No."),
        FirstSample(at=at + 0.35, speech_id=speech),
        PlaybackStarted(at=at + 0.37, speech_id=speech),
    ]


def rounded(waterfall: Waterfall) -> dict[str, float | None]:
    return {name: None if seconds is None else round(seconds, 9) for name, seconds in waterfall.parts}


def test_a_turn_is_told_at_its_first_sound() -> None:
    builder = WaterfallBuilder()
    told = [builder.feed(event) for event in [commit(10.5), created(10.5), *reply(10.5)]]
    assert told[:-1] == [None] * (len(told) - 1)
    waterfall = told[-1]
    assert waterfall is not None
    assert rounded(waterfall) == {
        "commit": 0.5,
        "transcript": 0.0,
        "first_token": 0.2,
        "tool": None,
        "first_clause": 0.1,
        "first_sample": 0.05,
        "played": 0.02,
    }
    assert (waterfall.turn, waterfall.speech_id, waterfall.began, waterfall.tags) == (1, "s1", 10.0, ())
    assert waterfall.gap == pytest.approx(0.87)
    assert builder.close() == []


def test_a_transcript_after_the_commit_is_a_part_of_its_own() -> None:
    [waterfall] = waterfalls([commit(10.5, transcribed=10.9), created(10.9), *reply(10.9)])
    assert rounded(waterfall)["commit"] == 0.5
    assert rounded(waterfall)["transcript"] == 0.4
    assert waterfall.gap == pytest.approx(1.27)


def test_a_token_before_the_commit_costs_nothing() -> None:
    [waterfall] = waterfalls([created(10.1), *reply(10.1)[:3], commit(10.5), *reply(10.2)[4:]])
    assert rounded(waterfall) | {"tool": 0} == {
        "commit": 0.5,
        "transcript": 0.0,
        "first_token": 0.0,
        "tool": 0,
        "first_clause": 0.0,
        "first_sample": 0.05,
        "played": 0.02,
    }
    assert waterfall.tags == ("preemptive",)
    assert waterfall.gap == pytest.approx(0.57)


def test_say_has_no_token() -> None:
    said = [event for event in reply(10.5) if not isinstance(event, LlmRequested | FirstToken)]
    [waterfall] = waterfalls([commit(10.5), created(10.5, source="say"), *said])
    assert waterfall.first_token is None
    assert rounded(waterfall)["first_clause"] == 0.3
    assert waterfall.tags == ("say",)


def test_a_typed_turn_has_no_gap() -> None:
    [waterfall] = waterfalls([commit(10.5, last_voiced=None, transcribed=None), created(10.5), *reply(10.5)])
    assert (waterfall.commit, waterfall.transcript, waterfall.gap) == (None, None, None)
    assert waterfall.total == pytest.approx(0.37)
    assert waterfall.began == 10.5
    assert waterfall.tags == ("typed",)


def test_tools_have_a_part_of_their_own() -> None:
    events = [
        commit(10.5),
        created(10.5),
        LlmRequested(at=10.5, speech_id="s1", step=0),
        FirstToken(at=10.6, speech_id="s1", step=0),
        ToolStarted(at=10.65, speech_id="s1", call_id="a", name="weather", arguments="{}"),
        ToolStarted(at=10.7, speech_id="s1", call_id="b", name="traffic", arguments="{}"),
        ToolEnded(at=11.0, speech_id="s1", call_id="a", name="weather", output="", is_error=False),
        ToolEnded(at=11.15, speech_id="s1", call_id="b", name="traffic", output="", is_error=False),
        *reply(11.15)[:1],
        *reply(11.15)[1:],
    ]
    [waterfall] = waterfalls(events)
    parts = rounded(waterfall)
    assert parts["first_token"] == 0.1
    assert parts["tool"] == 0.5  # both at once count once
    assert parts["first_clause"] == 0.35  # 0.05 before the tools, 0.3 after
    assert waterfall.gap == pytest.approx(11.52 - 10.0)
    assert waterfall.tools == ("weather", "traffic")
    assert waterfall.tags == ("tool",)


def test_a_reply_cancelled_before_its_sound_is_tagged() -> None:
    confirmed = InterruptionConfirmed(at=10.75, speech_id="s1", reason="words", position=0.0)
    [waterfall] = waterfalls([commit(10.5), created(10.5), *reply(10.5)[:2], confirmed])
    assert waterfall.tags == ("interrupted",)
    assert (waterfall.played, waterfall.first_clause, waterfall.gap) == (None, None, None)
    assert rounded(waterfall)["first_token"] == 0.2


def test_an_interruption_after_the_sound_changes_nothing() -> None:
    after = [
        InterruptionConfirmed(at=12.0, speech_id="s1", reason="words", position=1.0),
        PlaybackFinished(at=12.0, speech_id="s1", position=1.0, interrupted=True, heard="", cut=""),
        created(12.1, speech="s2"),
        *reply(12.1, speech="s2"),
    ]
    assert [w.tags for w in waterfalls([commit(10.5), created(10.5), *reply(10.5), *after])] == [()]


def test_a_reopened_turn_counts_from_its_second_half() -> None:
    events = [
        commit(10.5),
        created(10.5),
        *reply(10.5)[:3],
        TurnReopened(at=10.8, turn=1),
        PlaybackFinished(at=10.8, speech_id="s1", position=0.0, interrupted=True, heard="", cut="Yes."),
        commit(12.5, last_voiced=12.0, transcribed=12.2),
        created(12.5, speech="s2"),
        *reply(12.5, speech="s2"),
    ]
    [waterfall] = waterfalls(events)
    assert waterfall.tags == ("reopened",)
    assert (waterfall.speech_id, waterfall.began) == ("s2", 12.0)
    assert waterfall.gap == pytest.approx(0.87)


def test_a_turn_without_an_answer_is_told_when_the_next_begins_or_the_call_ends() -> None:
    builder = WaterfallBuilder()
    assert builder.feed(commit(10.5)) is None
    first = builder.feed(commit(20.5, turn=2, last_voiced=20.0, transcribed=20.2))
    assert first is not None
    assert (first.turn, first.tags, first.gap) == (1, ("no_reply",), None)
    assert [(w.turn, w.tags) for w in builder.close()] == [(2, ("no_reply",))]


def test_the_sound_that_comes_first_ends_the_wait() -> None:
    """The agent says "one moment" of itself while it thinks; both are speeches of turn 1."""
    said = [created(10.6, speech="s2", source="say"), PlaybackStarted(at=10.7, speech_id="s2")]
    [waterfall] = waterfalls([commit(10.5), created(10.5), *said, *reply(10.5)])
    assert waterfall.speech_id == "s2"
    assert waterfall.gap == pytest.approx(0.7)


def test_sounds_that_answer_no_turn_are_none_of_its_business() -> None:
    greeting = [created(1.0, speech="g", turn=None, source="say"), PlaybackStarted(at=1.1, speech_id="g")]
    assert waterfalls(greeting) == []


def test_the_sample_call() -> None:
    told = waterfalls(sample_call())
    assert [w.turn for w in told] == [1, 2, 3, 4, 5, 6]
    assert [w.tags for w in told] == [(), ("tool", "reopened"), (), (), ("tool",), ()]


def mangled(seed: int) -> Iterator[list[Event]]:
    """Turns whose marks come in any order and any number, as no session should emit them."""
    rng = random.Random(seed)
    at = 0.0
    for turn in range(1, 9):
        at += rng.uniform(1, 3)
        speech = f"s{turn}"
        events: list[Event] = [
            LlmRequested(at=0, speech_id=speech, step=0),
            FirstToken(at=0, speech_id=speech, step=0),
            ToolStarted(at=0, speech_id=speech, call_id="a", name="t", arguments=""),
            ToolStarted(at=0, speech_id=speech, call_id="b", name="t", arguments=""),
            ToolEnded(at=0, speech_id=speech, call_id="a", name="t", output="", is_error=False),
            ToolEnded(at=0, speech_id=speech, call_id="b", name="t", output="", is_error=False),
            PhraseReady(at=0, speech_id=speech, index=0, text=""),
            FirstSample(at=0, speech_id=speech),
            TurnReopened(at=0, turn=turn),
        ]
        chosen = rng.sample(events, rng.randrange(len(events)))
        last_voiced = at - rng.uniform(0, 1) if rng.random() < 0.8 else None
        body = [
            commit(at, turn, last_voiced=last_voiced, transcribed=at + rng.uniform(-1, 1)),
            created(at, speech, turn),
            *chosen,
            PlaybackStarted(at=0, speech_id=speech),
        ]
        if rng.random() < 0.3:
            rng.shuffle(body)
        for i, event in enumerate(body):
            at += rng.choice([0.0, rng.uniform(0, 0.3)])
            body[i] = type(event)(**{**{f: getattr(event, f) for f in _fields(event)}, "at": at})
        yield body


def _fields(event: Event) -> list[str]:
    return [name for kind in type(event).__mro__ for name in getattr(kind, "__slots__", ())]


@pytest.mark.parametrize("seed", range(150))
def test_the_parts_sum_to_the_heard_gap(seed: int) -> None:
    log = [event for turn in mangled(seed) for event in turn]
    played = {event.speech_id: event.at for event in log if isinstance(event, PlaybackStarted)}
    for waterfall in waterfalls(log):
        parts = [seconds for _, seconds in waterfall.parts if seconds is not None]
        assert all(seconds >= 0 for seconds in parts)
        assert sum(parts) == pytest.approx(waterfall.total)
        if waterfall.gap is not None:
            assert waterfall.speech_id is not None
            heard = played[waterfall.speech_id] - waterfall.began
            assert sum(parts) == pytest.approx(max(0.0, heard), abs=1e-9)


def test_five_hundred_turns_leave_no_more_than_one() -> None:
    builder = WaterfallBuilder()

    def turn(number: int) -> None:
        at, speech = number * 10.0, f"s{number}"
        events = [commit(at + 0.5, number, last_voiced=at), created(at + 0.5, speech, number)]
        if number % 7 == 0:  # nothing is ever heard of this one
            events += reply(at + 0.5, speech)[:2]
        elif number % 5 == 0:
            events += [TurnReopened(at=at + 0.6, turn=number), commit(at + 1.5, number, last_voiced=at + 1.0)]
        else:
            events += reply(at + 0.5, speech)
        for event in events:
            builder.feed(event)

    tracemalloc.start()
    for number in range(1, 106):
        turn(number)
    before = tracemalloc.get_traced_memory()[0]
    for number in range(106, 631):  # 15 rounds of 35: as many turns are open as before
        turn(number)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 2000
    assert builder.open_turns <= 8
    assert len(builder.close()) <= 8

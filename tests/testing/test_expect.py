"""Every sentence that can be expected: met and not met, by a call that is known."""

import contextlib
import dataclasses
import re
from pathlib import Path

import pytest

from agent_runtime import events
from agent_runtime.errors import UsageError
from agent_runtime.testing import CallResult, NotAsExpected, Scenario, simulate
from agent_runtime.testing.expect import SENTENCES, parse
from agent_runtime.testing.fields import fields_of, value_of

PAGE = Path(__file__).parents[2] / "docs/scenario-format.md"


@pytest.fixture(scope="module")
def known() -> CallResult:
    """A greeting, a question, an answer with a tool, and the caller hanging up in the middle of the last words.

    Caller 3.0 to 4.2; agent 0.2 to 1.533, 5.0 to 6.0 and on from 6.0 to 7.0.
    """
    call = simulate(
        {
            "session": {
                "greeting": "Good morning my friend.",
                "tools": {"look": {"takes": 0.2, "returns": "nine"}},
            },
            "models": {
                "llm": {
                    "ttft": 0.1,
                    "tokens_per_second": 1000,
                    "replies": {
                        "What is open?": ["Let me see.", {"call": "look", "arguments": {"shop": "bakery"}}],
                        "nine": "It is open until nine in the evening.",
                    },
                },
            },
            "caller": [{"at": 3.0, "say": "What is open?", "for": 1.2}, {"at": 7.0, "hang_up": True}],
        }
    )
    assert call.audible["caller"] == [(3.0, 4.2)]
    return call


MET = [
    "agent starts speaking within 0.1 s of 0.25",
    "agent starts speaking within 100 ms of 0.25 s",
    "agent starts speaking within 1.0 s after 4.2",
    "agent stops speaking within 0.1 of 1.5",
    "agent stops speaking within 0.1 s of 7.0",
    "caller stops speaking within 0.1 s after 4.2",
    "user starts speaking within 0 s of 3",
    "agent is speaking at 1.0",
    "agent is silent at 2",
    "caller is speaking from 3.0 to 4.2",
    "agent is silent from 1.6 to 4.9",
    "agent speaks between 4 and 6",
    "agent speaks twice",
    "caller speaks once",
    "caller speaks 1 time",
    "caller and agent overlap for at most 0 s",
    'history user 1 is "What is open?"',
    "history user 1 is 'What is open?'",
    "history user last is “What is open?”",
    'history agent 2 contains "me"',
    'history assistant 3 does not contain "evening"',
    'history agent 1 starts with "Good"',
    'history agent 1 ends with "friend."',
    "history agent last is interrupted",
    "history agent 1 is not interrupted",
    "history has 3 agent messages",
    "history has 1 user message",
    "history has 4 messages",
    'history contains "open?"',
    'history does not contain "butcher"',
    'agent says "Let me see."',
    'agent never says "evening"',
    "user turn 1 is answered",
    "user turn 1 is answered within 0.9 s",
    "user turn 1 is committed within 0.01 s of 4.7",
    "tool look is called",
    "tool look is called once",
    'tool look is called with "bakery"',
    "tool find is never called",
    "event tool_ended",
    "event tool_ended within 0.1 s of 5.0",
    "event tool_ended where output is nine",
    'event tool_ended where output is "nine" within 0.1 s of 5.0',
    "event tool_ended where is_error is false",
    "event tool_ended where is_error is false within 0.1 s of 5.0",
    "event turn_committed where turn is 1",
    "no event turn_committed where seq is 1",
    "event user_state_changed where new_state is “speaking”",
    "event speech_created where turn is null",
    "event tool_ended where name is look",
    "no event tool_ended where output is 9",
    "agent is silent at 2.0",
    "caller is silent from 5 to 7",
    "no event error from 5 to 7",
    "no event error",
    "no event tool_ended from 0 to 4",
    "no event tool_ended where output is ten",
    "1 events of turn_committed",
    "at least 2 events of llm_requested",
    "at most 2 events of llm_requested",
    "call ends within 0 s of 7.0",
    "  call ends within 0 s of 7.0.",
]

UNMET = [
    ("agent starts speaking within 0.1 s of 3.0", "the nearest is that it starts at"),
    ("agent starts speaking within 0.1 s after 0.25", "the nearest is that it starts at 0.200 (-0.050 s)"),
    ("agent stops speaking within 0.1 s of 3.0", "the nearest is that it stops at 1.533 (-1.467 s)"),
    ("agent stops speaking within 1 s after 2", "the nearest is that it stops at 1.533"),
    ("agent is speaking at 2", "0.200 to 1.533"),
    ("agent is silent at 1.0", "0.200 to 1.533"),
    ("agent is silent from 1.0 to 4.0", "0.200 to 1.533"),
    ("agent is speaking from 1.0 to 4.0", "0.200 to 1.533"),
    ("agent speaks between 2 and 4", "never"),
    ("agent speaks 3 times", "0.200 to 1.533, "),
    ("caller never speaks", "3.000 to 4.200"),
    ('history user 1 is "what is open?"', "it is 'What is open?'"),
    ('history user 2 is "What is open?"', "there are 1 messages of that side: 'What is open?'"),
    ('history user 0 is "What is open?"', "there are 1 messages"),
    ('history user 1 contains "butcher"', "it is 'What is open?'"),
    ('history user 1 does not contain "open"', "it is 'What is open?'"),
    ('history user 1 starts with "open"', "it is 'What is open?'"),
    ('history user 1 ends with "What"', "it is 'What is open?'"),
    ("history agent 1 is interrupted", "it is 'Good morning my friend.'"),
    ("history agent last is not interrupted", "interrupted"),
    ("history has 2 agent messages", "it has 3"),
    ("history has 3 messages", "it has 4"),
    ('history contains "butcher"', "'What is open?'"),
    ('history does not contain "open?"', "'What is open?'"),
    ('agent says "butcher"', "it said 'Good morning my friend.'"),
    ('agent never says "morning"', "it said 'Good morning my friend.'"),
    ("user turn 1 is answered within 0.5 s", "the agent is heard 0."),
    ("user turn 2 is answered", "there are 1 turns"),
    ("user turn 1 is never answered", "the agent is heard 0."),
    ("user turn 1 is committed within 0.01 s of 4.0", "it happens at 4.700"),
    ("tool look is never called", "it happens at"),
    ("tool look is called twice", "it happens at"),
    ('tool look is called with "butcher"', 'it is called with {"shop": "bakery"}'),
    ("tool find is called", "it never happens"),
    ("event error", "it never happens"),
    ("event tool_ended within 0.1 s of 3.0", "it happens at"),
    ("event tool_ended where output is ten", "it never happens"),
    ("event tool_ended where output is nine within 0.1 s of 3.0", "it happens at"),
    ("no event tool_ended", "it happens at"),
    ("no event tool_ended from 4 to 6", "it happens at"),
    ("no event tool_ended where output is nine", "it happens at"),
    ("2 events of turn_committed", "it happens at 4.700"),
    ("at least 2 events of turn_committed", "it happens at 4.700"),
    ("at most 0 events of turn_committed", "it happens at 4.700"),
    ("call ends within 1 s of 9", "it ends at 7.000"),
    ("agent is silent at 7.1", "the call goes to 7.000 only, and nothing is known of what comes later"),
    ("caller is silent from 8 to 9", "the call goes to 7.000 only, and nothing is known of what comes later"),
    ("caller is silent from 5 to 7.001", "the call goes to 7.000 only"),
    ("agent is silent from 5.5 to 9", "5.003 to 7.000"),
    ("no event error from 5 to 8", "the call goes to 7.000 only"),
    ("no event tool_ended from 4 to 8", "it happens at"),
    ("agent speaks between 8 and 9", "never"),
    ("user turn 2 is never answered", "there are 1 turns"),
]


@pytest.mark.parametrize("sentence", MET)
def test_what_is_so_is_met(known: CallResult, sentence: str) -> None:
    outcome = parse(sentence).look(known)
    assert outcome.met, outcome.detail
    assert outcome.text == sentence
    known.expect(sentence)


@pytest.mark.parametrize(("sentence", "detail"), UNMET)
def test_what_is_not_so_is_not_met_and_says_what_is(known: CallResult, sentence: str, detail: str) -> None:
    outcome = parse(sentence).look(known)
    assert not outcome.met
    assert detail in outcome.detail


def test_every_sentence_was_tried() -> None:
    used = {parse(sentence)._look for sentence in [*MET, *(sentence for sentence, _ in UNMET)]}
    assert used == set(SENTENCES.values())


def test_the_page_lists_every_sentence_and_no_other() -> None:
    table = PAGE.read_text("utf-8").partition("<!-- sentences -->")[2].partition("`who` is")[0]
    assert re.findall(r"^\| `(.+?)` \|", table, re.MULTILINE) == list(SENTENCES)


@pytest.mark.parametrize(
    ("sentence", "near"),
    [
        ("agent start speaking within 1 s of 2", "{who} starts speaking within {seconds} of {time}"),
        ('history user 1 was "a"', "history {role} {which} is {text}"),
        ("agent is quiet from 1 to 2", "{who} is silent from {time} to {time}"),
    ],
)
def test_what_is_no_sentence_is_refused_with_what_is_near(sentence: str, near: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(sentence)
    assert str(caught.value) == f"{sentence!r} is no expectation that is known; near it is: {near}."


@pytest.mark.parametrize(
    ("sentence", "told"),
    [
        ("no event turn_comitted", "There is no event 'turn_comitted'; did you mean 'turn_committed'?"),
        (
            "no event turn_committed where reasn is silence",
            (
                "The event 'turn_committed' has no field 'reasn'; did you mean 'reason'? "
                "It has seq, t, turn, transcript, reason, last_voiced, transcribed_at."
            ),
        ),
        ("event input_ended where why is x", "The event 'input_ended' has no field 'why'; it has seq, t."),
        (
            "event turn_comitted where reason is silence within 1 s of 2",
            "There is no event 'turn_comitted'; did you mean 'turn_committed'?",
        ),
        ("event tool_ended where outptu is nine within 1 s of 5", "The event 'tool_ended' has no field 'outptu'; did"),
        (
            "no event turn_committed where turn is first",
            "The field 'turn' of turn_committed is a whole number, and never first.",
        ),
        (
            'no event turn_committed where turn is "1"',
            "The field 'turn' of turn_committed is a whole number, and never \"1\".",
        ),
        (
            "no event turn_committed where turn is 1.5",
            "The field 'turn' of turn_committed is a whole number, and never",
        ),
        (
            "no event turn_predicted where delay is NaN",
            "The field 'delay' of turn_predicted is a number, and never NaN.",
        ),
        (
            "no event turn_predicted where probability is high",
            "The field 'probability' of turn_predicted is a number or null, and never high.",
        ),
        (
            "no event tool_ended where is_error is no",
            "The field 'is_error' of tool_ended is true or false, and never no.",
        ),
        (
            "no event agent_state_changed where new_state is speeking",
            (
                "The field 'new_state' of agent_state_changed is one of initializing, idle, listening, thinking, "
                "speaking, and never speeking; did you mean 'speaking'?"
            ),
        ),
        (
            "no event conversation_item_added where item is hello",
            "The field 'item' of conversation_item_added is a list or an object, which no sentence can name; leave it",
        ),
        (
            "no event session_started where nodes is hello",
            "The field 'nodes' of session_started is a list or an object",
        ),
        ("agent is silent from 9 to 8", "From 9 to 8 is no stretch of time; write the earlier one first."),
        ("no event error from 2 s to 900 ms", "From 2 to 0.9 is no stretch of time; write the earlier one first."),
        ("caller speaks between 4 and 3", "From 4 to 3 is no stretch of time; write the earlier one first."),
        ('history contains ""', "A text that is empty is part of every other; write what is to be in it."),
        ('history agent 1 starts with ""', "A text that is empty is part of every other"),
        ('tool look is called with ""', "A text that is empty is part of every other"),
        ("user turn 0 is never answered", "There is no turn 0; the first is user turn 1."),
        (
            "at least 0 events of error",
            "At least 0 are there in every call; write 'at least 1 events of error', or more.",
        ),
    ],
)
def test_what_would_be_so_of_every_call_is_refused(sentence: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(sentence)
    assert str(caught.value).startswith(told)


def test_a_file_with_such_a_sentence_is_refused_with_its_line() -> None:
    with pytest.raises(UsageError) as caught:
        Scenario.read("until: 3\nexpect:\n  - agent never speaks\n  - no event close where reasn is error\n")
    assert str(caught.value).startswith(
        "scenario, line 4: expect.2 The event 'close' has no field 'reasn'; did you mean"
    )


@pytest.mark.parametrize("event", events.BY_NAME.values())
def test_the_fields_of_an_event_are_those_of_the_log(event: type[events.Event]) -> None:
    own = [each.name for each in dataclasses.fields(event) if each.name != "at"]
    assert list(fields_of(event.type)) == ["seq", "t", *own]
    for field in own:
        with contextlib.suppress(UsageError):  # a kind of field that is not known is an error of another class
            value_of(event.type, field, "1")


def test_nothing_is_known_of_the_time_behind_the_end() -> None:
    call = simulate({"until": 3, "expect": ["agent is silent from 8 to 9", "agent is silent from 1 to 3"]})
    assert [outcome.met for outcome in call.expectations] == [False, True]
    hung_up = simulate({"caller": [{"at": 2.0, "hang_up": True}], "until": 9})
    assert not parse("agent is silent from 3 to 9").look(hung_up).met
    assert parse("agent is silent from 1 to 2").look(hung_up).met


def test_an_empty_message_is_one() -> None:
    assert parse('history agent 1 is ""').text


def test_a_failure_shows_the_timeline_round_it(known: CallResult) -> None:
    with pytest.raises(NotAsExpected) as caught:
        known.expect("agent is silent from 1.0 to 2.0")
    told = str(caught.value).splitlines()
    assert told[0] == "a call: not met: agent is silent from 1.0 to 2.0"
    assert told[1].strip() == "0.200 to 1.533"
    caller, agent = (line for line in told if line.startswith((" caller |", "  agent |")))
    assert caller.partition("|")[2].index("#") == 30
    assert agent.partition("|")[2].startswith("  #############")
    assert any("playback_finished" in line and "Good morning my friend." in line for line in told)


def test_two_talking_at_once_is_counted() -> None:
    call = simulate(
        {
            "session": {"greeting": "Good morning my friend."},
            "models": {"tts": {"ttfb": 0.2}},
            "caller": [{"at": 0.1, "noise": True, "for": 0.2}],
            "until": 3,
        }
    )
    both = sum(
        min(b, d) - max(a, c)
        for a, b in call.audible["caller"]
        for c, d in call.audible["agent"]
        if max(a, c) < min(b, d)
    )
    call.expect(f"caller and agent overlap for at most {both + 0.001:.3f} s")
    if both > 0.01:
        with pytest.raises(NotAsExpected):
            call.expect(f"caller and agent overlap for at most {both - 0.005:.3f} s")

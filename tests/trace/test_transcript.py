from agent_runtime.events import (
    PlaybackFinished,
    PlaybackStarted,
    SessionStarted,
    ToolEnded,
    ToolStarted,
    TurnCommitted,
)
from agent_runtime.trace.transcript import Segment, arguments_text, utterances
from tests.trace.sample_call import events as sample_call


def test_who_said_what_when() -> None:
    told = [(round(u.start, 2), round(u.end, 2), u.who, u.heard) for u in utterances(sample_call())]
    assert told[:7] == [
        (0.13, 3.53, "agent", "Hello. I tell the time and keep a shopping list. What can I do for you?"),
        (4.1, 5.6, "caller", "what time is it"),
        (6.37, 7.87, "agent", "It is half past nine."),
        (9.2, 11.6, "caller", "turn on the light in the kitchen"),  # two halves, one turn, from its first voice on
        (12.25, 12.67, "tool", "set_light(room: kitchen, on: true) -> the kitchen light is on"),
        (
            12.94,
            18.79,
            "agent",
            "The light in the kitchen is on. I can also dim it, or turn it off again at an hour that you tell me.",
        ),
        (16.2, 16.5, "caller", ""),
    ]


def test_a_turn_begins_at_its_own_voice_not_at_the_cough_before_it() -> None:
    turn = next(u for u in utterances(sample_call()) if u.turn == 3)
    assert (round(turn.start, 2), round(turn.end, 2)) == (20.3, 22.0)


def test_cut_text_is_a_segment_of_its_own() -> None:
    cut = [u for u in utterances(sample_call()) if any(segment.cut for segment in u.segments)]
    assert [u.segments for u in cut] == [
        (
            Segment("Nine times seven is sixty three. If you like"),
            Segment("I can do longer sums too, one after the other.", cut=True),
        )
    ]
    assert cut[0].heard == "Nine times seven is sixty three. If you like"


def test_what_never_began_to_play_is_not_told() -> None:
    log = [
        SessionStarted(at=5.0, nodes={}),
        PlaybackFinished(at=6.0, speech_id="s", position=0.0, interrupted=True, heard="", cut="Never."),
    ]
    assert utterances(log) == []


def test_a_typed_turn_and_a_failed_tool() -> None:
    log = [
        SessionStarted(at=5.0, nodes={}),
        TurnCommitted(at=7.0, turn=1, transcript="hi", reason="typed", last_voiced=None, transcribed_at=None),
        ToolStarted(at=7.5, speech_id="s", call_id="c", name="add", arguments="[broken"),
        ToolEnded(at=7.6, speech_id="s", call_id="c", name="add", output="no such thing", is_error=True),
        PlaybackStarted(at=8.0, speech_id="s"),
        PlaybackFinished(at=9.0, speech_id="s", position=1.0, interrupted=False, heard=" Sorry. ", cut=" "),
    ]
    assert [(u.start, u.who, [s.text for s in u.segments]) for u in utterances(log)] == [
        (2.0, "caller", ["hi"]),
        (2.5, "tool", ["add([broken) ! no such thing"]),
        (3.0, "agent", ["Sorry."]),
    ]


def test_arguments_as_people_read_them() -> None:
    assert (
        arguments_text('{"room": "kitchen", "on": true, "levels": [1, 2]}') == "room: kitchen, on: true, levels: [1, 2]"
    )
    assert arguments_text("") == ""
    assert arguments_text("[1]") == "[1]"

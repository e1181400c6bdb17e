import random

from agent_runtime.events import Error, SessionStarted, Stalled, ToolEnded, ToolStarted
from agent_runtime.trace.flags import Place, flags, place
from tests.trace.sample_call import events as sample_call


def test_every_decision_has_its_flag() -> None:
    assert [flag.text for flag in flags(sample_call())] == [
        "turn 1 committed: silence",
        "turn 2 committed: silence",
        "turn 2 reopened",
        "turn 2 committed: silence",
        "tool set_light(room: kitchen, on: true)",
        "tool set_light \u2192 the kitchen light is on",
        "suspected",
        "paused",
        "resumed: no words",
        "turn 3 committed: silence",
        "suspected",
        "paused",
        "interrupted: words",
        "turn 4 committed: silence",
        "turn 5 committed: silence",
        "tool add_item(item: milk) \u2192 3 items",
        "turn 6 committed: silence",
        "closed: task_completed",
    ]


def test_faults_say_what_and_why() -> None:
    log = [
        SessionStarted(at=10.0, nodes={}),
        Stalled(at=11.0, what="stt", after=2.5, action="restarted"),
        Error(at=12.0, source="tts", message="it died", recoverable=True),
        ToolStarted(at=13.0, speech_id="s", call_id="c", name="add", arguments="{}"),
        ToolEnded(at=13.2, speech_id="s", call_id="c", name="add", output="no", is_error=True),
    ]
    assert [(flag.at, flag.text) for flag in flags(log)] == [
        (1.0, "stt stalled for 2.5 s: restarted"),
        (2.0, "tts failed: it died"),
        (3.0, "tool add()"),
        (3.1999999999999993, "tool add failed: no"),
    ]


def test_no_text_overlaps_another_and_no_pole_crosses_one() -> None:
    rng = random.Random(2)
    for _ in range(60):
        count = rng.randrange(1, 8)
        poles = sorted(rng.uniform(200, 700) for _ in range(count))
        widths = [rng.uniform(40, 250) for _ in poles]
        places = place(poles, widths, 0, 1000)
        for i, one in enumerate(places):
            assert one.left >= 0
            assert one.right <= 1000
            for other in places[i + 1 :]:
                if one.level == other.level:
                    assert one.right <= other.left or other.right <= one.left
                assert not _crosses(one, other)
                assert not _crosses(other, one)


def _crosses(pole_of: Place, text_of: Place) -> bool:
    return pole_of.level > text_of.level and text_of.left < pole_of.pole < text_of.right


def test_a_crowd_is_split_to_both_sides() -> None:
    places = place([500, 505, 510, 515, 520, 525], [100.0] * 6, 0, 1000)
    assert max(p.level for p in places) == 2


def test_very_many_are_packed() -> None:
    rng = random.Random(4)
    poles = sorted(rng.uniform(100, 1000) for _ in range(60))
    places = place(poles, [100.0] * 60, 88, 1078)
    assert max(p.level for p in places) < 16
    for i, one in enumerate(places):
        assert one.right <= 1078
        for other in places[i + 1 :]:
            assert one.level != other.level or one.right <= other.left or other.right <= one.left

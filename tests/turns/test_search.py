"""The turn machine under a hundred thousand random calls, and that the search would find what is wrong.

`python -m tests.turns.search` is the same by hand. SEARCH_SEQUENCES sets how many, SEARCH_TABLE names a file for the counts.
"""

import dataclasses
import os
import random
from pathlib import Path
from typing import Any, ClassVar

import pytest

from agent_runtime.turns.machine import State, TurnMachine
from agent_runtime.turns.signals import (
    AskAgain,
    Cancel,
    Command,
    Commit,
    Duck,
    Heard,
    Hold,
    Release,
    Reopen,
    Tick,
    TurnEvent,
    VoiceStarted,
    VoiceStopped,
)
from tests.turns import search
from tests.turns.invariants import INVARIANTS
from tests.turns.worlds import SIGNALS, Case, Make, any_signal

SEQUENCES = int(os.environ.get("SEARCH_SEQUENCES", "100000"))
EACH_ROW = 100
"""How often each row of the table is to be taken, in so many sequences."""


def test_a_hundred_thousand_calls(capsys: pytest.CaptureFixture[str]) -> None:
    counts = search.in_parallel(SEQUENCES)
    table = counts.table()
    with capsys.disabled():
        print(f"\n{table}")
    if "SEARCH_TABLE" in os.environ:
        Path(os.environ["SEARCH_TABLE"]).write_text(table)
    written = search.keep(counts)
    stories = [f"{path}:\n{search.told(Case.of_json(path.read_text()))}" for path in written]
    assert not counts.violations, "\n\n".join([str(dict(counts.violations)), *stories])
    assert counts.sequences == SEQUENCES
    assert counts.mean_length >= 40
    assert counts.ignored <= counts.unchanged <= counts.events / 2, "most of what happens means nothing"
    least = EACH_ROW * SEQUENCES / 100_000
    rare = {row: counts.rows[row] for row in search.rows() if counts.rows[row] < least}
    assert not rare, f"rows that the search hardly meets; teach tests/turns/worlds.py to go there: {rare}"


@pytest.mark.parametrize("path", sorted(search.FOUND.glob("*.json")), ids=lambda path: path.stem)
def test_what_was_found_once_is_found_no_more(path: Path) -> None:
    case = Case.of_json(path.read_text())
    violation = search.breaks(case)
    assert violation is None, search.told(case)


# The search can fail


class Broken(TurnMachine):
    """A machine with one fault, which stands in `answer`."""

    def handle(self, event: TurnEvent) -> list[Command]:
        return self.answer(event, super().handle(event))

    def answer(self, event: TurnEvent, commands: list[Command]) -> list[Command]:
        return commands


class Forgetful(Broken):
    """What it says depends on what other machines were told."""

    told: ClassVar[int] = 0

    def answer(self, event: TurnEvent, commands: list[Command]) -> list[Command]:
        Forgetful.told += 1
        return [AskAgain(Forgetful.told)]


class NeverReleases(Broken):
    def answer(self, event: TurnEvent, commands: list[Command]) -> list[Command]:
        return [command for command in commands if not isinstance(command, Release)]


class HoldsTwice(Broken):
    def answer(self, event: TurnEvent, commands: list[Command]) -> list[Command]:
        return [each for command in commands for each in ([command] * 2 if isinstance(command, Hold) else [command])]


class SpeaksOn(Broken):
    def answer(self, event: TurnEvent, commands: list[Command]) -> list[Command]:
        if any(isinstance(command, Cancel) for command in commands):
            self.state = State.AGENT_SPEAKING
        return commands


class NeverDucks(Broken):
    def handle(self, event: TurnEvent) -> list[Command]:
        if isinstance(event, VoiceStarted) and self.state is State.AGENT_SPEAKING:
            return []
        return super().handle(event)


class CommitsNothing(Broken):
    def answer(self, event: TurnEvent, commands: list[Command]) -> list[Command]:
        return [_with(command, transcript="") for command in commands]


class LosesAWord(Broken):
    def answer(self, event: TurnEvent, commands: list[Command]) -> list[Command]:
        return [
            _with(command, transcript=command.transcript.rpartition(" ")[0]) if isinstance(command, Commit) else command
            for command in commands
        ]


class HearsNoRest(Broken):
    """What comes after a turn is its own."""

    def handle(self, event: TurnEvent) -> list[Command]:
        if isinstance(event, Heard) and self.state is State.REPLY_PENDING:
            self.ignored += 1
            return []
        return super().handle(event)


class SaysItTwice(Broken):
    def answer(self, event: TurnEvent, commands: list[Command]) -> list[Command]:
        return [
            _with(command, transcript=f"{command.transcript} {command.transcript}")
            if isinstance(command, Commit)
            else command
            for command in commands
        ]


class ReopensWhatWasHeard(Broken):
    def answer(self, event: TurnEvent, commands: list[Command]) -> list[Command]:
        return [Reopen() if isinstance(command, Cancel) else command for command in commands]


class AsksNobody(Broken):
    def answer(self, event: TurnEvent, commands: list[Command]) -> list[Command]:
        if any(isinstance(command, AskAgain) for command in commands):
            self.state = State.LISTENING
            return []
        return commands


class Sluggish(Broken):
    """Everything is due a second later than it should be."""

    @property
    def deadline(self) -> float | None:
        due = super().deadline
        return None if due is None else due + 1.0


class Hasty(Broken):
    def answer(self, event: TurnEvent, commands: list[Command]) -> list[Command]:
        if isinstance(event, VoiceStopped) and self.pending_transcript:
            return [*commands, Commit(self.pending_transcript, "silence", event.last_voiced, event.at, True)]
        return commands


class Restless(Broken):
    """What was due stays due."""

    @property
    def deadline(self) -> float | None:
        return 0.5


class Sleepy(Broken):
    """Nothing is ever due."""

    @property
    def deadline(self) -> float | None:
        return None


class KnowsNoTime(Broken):
    def answer(self, event: TurnEvent, commands: list[Command]) -> list[Command]:
        return [_with(command, transcribed_at=None) for command in commands]


class KeepsEverything(Broken):
    @property
    def pending_transcript(self) -> str:
        return "all that was ever said"


def _with(command: Command, **changes: Any) -> Command:
    return dataclasses.replace(command, **changes) if isinstance(command, Commit) else command


FAULTS: dict[str, Make] = {
    "i2_a_suspicion_ends_once": NeverReleases,
    "i2_hold_follows_duck": HoldsTwice,
    "i2_after_a_cancel_the_agent_has_no_floor": SpeaksOn,
    "i2_a_voice_over_the_agent_is_met_at_once": NeverDucks,
    "i3_no_commit_without_words": CommitsNothing,
    "i3_no_word_lost": LosesAWord,
    "i3_no_new_word_is_ignored": HearsNoRest,
    "i3_no_word_twice": SaysItTwice,
    "i3_only_the_unheard_is_reopened": ReopensWhatWasHeard,
    "i4_no_silence_after_a_voice": AsksNobody,
    "i5_the_commit_is_due_in_time": Sluggish,
    "i5_a_commit_is_in_time": Sluggish,
    "i5_a_commit_is_not_early": Hasty,
    "i7_the_deadline_is_ahead": Restless,
    "i7_no_state_without_progress": Sleepy,
    "i7_a_suspicion_is_short": Sluggish,
    "i7_what_is_ducked_is_held_in_time": Sluggish,
    "i9_times_are_true": KnowsNoTime,
    "i10_nothing_piles_up": KeepsEverything,
}


@pytest.mark.parametrize("invariant", [check.__name__ for check in INVARIANTS])
def test_each_invariant_can_be_broken(invariant: str) -> None:
    alone = tuple(check for check in INVARIANTS if check.__name__ == invariant)
    assert search.search(range(200), FAULTS[invariant], alone).violations[invariant]


def test_and_so_can_the_first() -> None:
    """Invariant 1 is looked at over whole sequences."""
    assert search.search(range(0, 2 * search.EACH_AGAIN, search.EACH_AGAIN), Forgetful, (INVARIANTS[0],)).violations[
        "i1_same_events_same_commands"
    ]


def test_a_counter_example_is_shrunk_to_what_it_takes() -> None:
    seed = next(seed for seed in range(500) if search.play(seed, NeverDucks, INVARIANTS)[2] is not None)
    case, _, violation = search.play(seed, NeverDucks)
    assert violation is not None
    small = search.shrunk(case, violation.invariant, NeverDucks)
    assert [type(event).__name__ for event in small.events] == ["AgentStarted", "VoiceStarted"]
    again = Case.of_json(small.to_json())
    assert again == small
    assert "Duck" in search.told(again, NeverDucks)


# The search is what it says


def test_a_seed_is_a_sequence() -> None:
    assert search.play(7)[0] == search.play(7)[0]
    assert search.play(7)[0] != search.play(8)[0]


def test_a_row_that_is_never_met_is_named() -> None:
    counts = search.search(range(40))
    first = search.rows()[0]
    del counts.rows[first]
    assert first in counts.never_hit


@pytest.mark.parametrize("kind", list(SIGNALS.values()), ids=lambda kind: kind.__name__)
def test_every_signal_can_be_made_from_its_annotations(kind: type[TurnEvent]) -> None:
    dice = random.Random(1)
    assert {any_signal(dice, kind, 2.0).at for _ in range(20)} == {2.0}


def test_commands_and_ticks_are_met() -> None:
    counts = search.search(range(300))
    assert {Duck.__name__, Hold.__name__, Release.__name__, Cancel.__name__, Commit.__name__} <= set(counts.commands)
    assert any(row.endswith(Tick.__name__) for row in counts.rows)

"""The search over the pure turn machine: `python -m tests.turns.search --sequences 100000`.

Sequence n is that of the seed n, on every machine. A counter-example is shrunk and written as a small JSON of signals, in
`tests/turns/found/`; every file in it is run by the tests for ever after. A sequence of signals has no form as a
scenario: it says what the machine was told, not what was said in a call.
"""

import argparse
import json
import random
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent_runtime.turns.machine import TurnMachine
from tests import processes
from tests.turns.invariants import INVARIANTS, Check, Violation, Watch
from tests.turns.worlds import Case, Make, World, run

FOUND = Path(__file__).with_name("found")
EACH_AGAIN = 20
"""Every so manieth sequence is run a second time, for invariant 1."""


def row_name(state: Any, kind: type) -> str:
    return f"{state.name} {kind.__name__}"


def rows() -> list[str]:
    """Those of the table, in its order."""
    return [row_name(*row) for row in TurnMachine._TABLE]


@dataclass
class Counts:
    sequences: int = 0
    events: int = 0
    ignored: int = 0
    unchanged: int = 0
    rows: Counter[str] = field(default_factory=Counter)
    commands: Counter[str] = field(default_factory=Counter)
    violations: Counter[str] = field(default_factory=Counter)
    examples: dict[str, tuple[int, str]] = field(default_factory=dict)
    """By invariant: the first seed that broke it, and how."""

    def add(self, watch: Watch) -> None:
        self.sequences += 1
        self.events += watch.events
        self.ignored += watch.ignored
        self.unchanged += watch.unchanged
        for row, times in watch.rows.items():
            self.rows[row_name(*row)] += times
        self.commands.update(watch.commands_seen)

    def __iadd__(self, other: "Counts") -> "Counts":
        for name in ("sequences", "events", "ignored", "unchanged"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("rows", "commands", "violations"):
            getattr(self, name).update(getattr(other, name))
        for invariant, example in other.examples.items():
            self.examples[invariant] = min(example, self.examples.get(invariant, example))
        return self

    @property
    def mean_length(self) -> float:
        return self.events / max(1, self.sequences)

    @property
    def never_hit(self) -> list[str]:
        return [row for row in rows() if not self.rows[row]]

    def table(self) -> str:
        """All of it, to be read."""
        share = (
            f"{self.ignored / max(1, self.events):.1%} ignored, {self.unchanged / max(1, self.events):.1%} unchanged"
        )
        lines = [
            f"{self.sequences} sequences, {self.events} events, {self.mean_length:.1f} a sequence; {share}",
            f"{len(INVARIANTS)} invariants after every event; violations: {sum(self.violations.values())}",
            "",
            *(f"{self.rows[row]:>9}  {row}" for row in rows()),
            "",
            *(f"{times:>9}  {command}" for command, times in sorted(self.commands.items())),
        ]
        for invariant, (seed, why) in sorted(self.examples.items()):
            lines.append(f"{self.violations[invariant]:>9}  {why} (seed {seed})")
        return "\n".join(lines) + "\n"

    def to_json(self) -> str:
        return json.dumps(vars(self))

    @classmethod
    def of_json(cls, text: str) -> "Counts":
        given = json.loads(text)
        for name in ("rows", "commands", "violations"):
            given[name] = Counter(given[name])
        given["examples"] = {name: (seed, why) for name, (seed, why) in given["examples"].items()}
        return cls(**given)


def length_of(dice: random.Random) -> int:
    return dice.randrange(30, 71)


def play(
    seed: int, make: Make = TurnMachine, checks: tuple[Check, ...] = INVARIANTS
) -> tuple[Case, Watch, Violation | None]:
    """The sequence of this seed, on a machine that is watched; with the violation at which it ended, if it did."""
    dice = random.Random(seed)
    world = World(dice, events=length_of(dice))
    case = world.case
    watch = Watch(case.machine(make), case.late_s, case.wild, checks)
    try:
        world.play(watch.machine, watch.take)
    except Violation as violation:
        return case, watch, violation
    return case, watch, None


def search(seeds: Iterable[int], make: Make = TurnMachine, checks: tuple[Check, ...] = INVARIANTS) -> Counts:
    counts = Counts()
    for seed in seeds:
        case, watch, violation = play(seed, make, checks)
        if violation is None and seed % EACH_AGAIN == 0:
            violation = i1_same_events_same_commands(case, watch)
        counts.add(watch)
        if violation is not None:
            counts.violations[violation.invariant] += 1
            counts.examples.setdefault(violation.invariant, (seed, str(violation)))
    return counts


def i1_same_events_same_commands(case: Case, watch: Watch) -> Violation | None:
    """1. Same tape, same timeline: the events again, to two new machines, and both answer the same."""
    make: Any = type(watch.machine)
    answers: list[list[Any]] = []
    for _ in range(2):
        machine = case.machine(make)
        said: list[Any] = []

        def take(event: Any, machine: TurnMachine = machine, said: list[Any] = said) -> Any:
            commands = machine.handle(event)
            said.append((event.at, commands, machine.state))
            return commands

        run(case, take, machine)
        answers.append(said)
    if answers[0] != answers[1]:
        return Violation("i1_same_events_same_commands", "two machines differ")
    return None


def breaks(case: Case, make: Make = TurnMachine) -> Violation | None:
    """The case again, watched."""
    watch = Watch(case.machine(make), case.late_s, case.wild)
    try:
        run(case, watch.take, watch.machine)
    except Violation as violation:
        return violation
    return None


def shrunk(case: Case, invariant: str, make: Make = TurnMachine) -> Case:
    """A shortest part of the case that breaks the same invariant; Hypothesis looks for it.

    Every event has a number that is 0 with a small chance, and is left out where it is: the first tries are nearly the
    whole, and smaller numbers are what Hypothesis strives for.
    """
    from hypothesis import HealthCheck, Phase, find, strategies
    from hypothesis import settings as hypothesis_settings
    from hypothesis.errors import NoSuchExample

    def part(kept: Sequence[int]) -> Case:
        events = [event for event, keep in zip(case.events, kept, strict=True) if keep]
        return Case(case.options, case.has, case.late_s, events, case.wild)

    def fails(kept: Sequence[int]) -> bool:
        found = breaks(part(kept), make)
        return found is not None and found.invariant == invariant

    whole = [1] * len(case.events)
    if not fails(whole):
        return case
    numbers = strategies.tuples(*[strategies.sampled_from([0] + [1] * 30) for _ in case.events])
    rules = hypothesis_settings(
        max_examples=2000,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )
    try:
        smaller = find(numbers, fails, settings=rules)
    except NoSuchExample:
        smaller = tuple(whole)
    return _without_each(part(smaller), invariant, make)


def _without_each(case: Case, invariant: str, make: Make) -> Case:
    """No single event can be left out any more."""
    number = 0
    while number < len(case.events):
        less = Case(case.options, case.has, case.late_s, case.events[:number] + case.events[number + 1 :], case.wild)
        found = breaks(less, make)
        if found is not None and found.invariant == invariant:
            case = less
        else:
            number += 1
    return case


def told(case: Case, make: Make = TurnMachine) -> str:
    """A case as one reads it: every event with what the machine answered."""
    watch = Watch(case.machine(make), case.late_s, case.wild)
    lines = []

    def take(event: Any) -> Any:
        before = watch.machine.state.name
        try:
            commands = watch.take(event)
        except Violation:
            commands = watch.commands
            raise
        finally:
            lines.append(f"{before:>14}  {event}  ->  {watch.commands}  {watch.machine.state.name}")
        return commands

    try:
        run(case, take, watch.machine)
    except Violation as violation:
        lines.append(str(violation))
    return "\n".join(lines)


# In parallel


def in_parallel(sequences: int, first: int = 0) -> Counts:
    """The seeds from `first` on, in as many processes as there are processors."""
    counts = Counts()
    for part in processes.in_parallel("tests.turns.search", "--first", str(first), "--sequences", str(sequences)):
        counts += Counts.of_json(part)
    return counts


def keep(counts: Counts, folder: Path = FOUND) -> list[Path]:
    """Shrink one example of each invariant that was broken, and write it down."""
    written = []
    for invariant, (seed, _) in counts.examples.items():
        case, _, violation = play(seed)
        if violation is None:
            continue
        folder.mkdir(exist_ok=True)
        path = folder / f"{invariant}_{seed}.json"
        path.write_text(shrunk(case, invariant).to_json())
        written.append(path)
    return written


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.turns.search", description=__doc__)
    parser.add_argument("--sequences", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--table", type=Path, help="write the counts to this file")
    parser.add_argument("--keep", type=Path, default=FOUND, help="where counter-examples are written")
    parser.add_argument("--part", type=int, nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.part:
        number, of = given.part
        print(search(range(given.first + number, given.first + given.sequences, of)).to_json())
        return 0
    counts = in_parallel(given.sequences, given.first)
    print(counts.table(), end="")
    if given.table:
        given.table.write_text(counts.table())
    for path in keep(counts, given.keep):
        print(f"\n{path}\n{told(Case.of_json(path.read_text()))}")
    return 1 if counts.violations or counts.never_hit else 0


if __name__ == "__main__":
    sys.exit(main())

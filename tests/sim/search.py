"""The search over whole calls: `python -m tests.sim.search --calls 50000`.

A call that breaks something is shrunk, step by step and setting by setting, and written down in `tests/sim/found/`: as a
scenario file where there is no more to it, else as JSON, with the nodes that fail and what the application did.
"""

import argparse
import copy
import dataclasses
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests import processes
from tests.sim.calls import Made, Plan, make, plan
from tests.sim.checks import CHECKS, broken

FOUND = Path(__file__).with_name("found")
EACH_AGAIN = 50
"""Every so manieth call is made a second time, for invariant 1."""


@dataclass
class Counts:
    calls: int = 0
    events: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    broken: dict[int, list[str]] = field(default_factory=dict)
    """By seed."""

    def __iadd__(self, other: "Counts") -> "Counts":
        self.calls += other.calls
        self.events.update(other.events)
        self.faults.update(other.faults)
        self.broken.update(other.broken)
        return self

    def table(self) -> str:
        """All of it, to be read."""
        lines = [
            f"{self.calls} calls, {sum(self.events.values())} events; {len(CHECKS) + 1} checks of each",
            f"{len(self.broken)} calls break one",
            "",
            *(f"{times:>9}  {name}" for name, times in sorted(self.events.items())),
            "",
            *(f"{times:>9}  {name}" for name, times in sorted(self.faults.items())),
            *(f"seed {seed}: {'; '.join(why)}" for seed, why in sorted(self.broken.items())),
        ]
        return "\n".join(lines) + "\n"

    def to_json(self) -> str:
        return json.dumps(vars(self))

    @classmethod
    def of_json(cls, text: str) -> "Counts":
        given = json.loads(text)
        broken = {int(seed): why for seed, why in given["broken"].items()}
        return cls(given["calls"], Counter(given["events"]), Counter(given["faults"]), broken)


def look(what: Plan) -> tuple[Made | None, list[str]]:
    """Make the call and say what does not hold of it."""
    try:
        made = make(what)
    except Exception as error:  # a call that cannot be made to its end is the worst that can be found
        return None, [f"c8_it_ends: {type(error).__name__}: {error}"]
    return made, broken(made)


def search(seeds: Iterable[int]) -> Counts:
    counts = Counts()
    for seed in seeds:
        what = plan(seed)
        made, why = look(what)
        if made is not None and seed % EACH_AGAIN == 0:
            why += c1_the_same_call_twice(made, make(what))
        counts.calls += 1
        if made is not None:
            counts.events.update(event.type for event in made.result.log)
        counts.faults.update(f"{node} {fault}" for node, fault in what.faults.items())
        counts.faults.update(f"the application: {act}" for _, act in what.acts)
        if why:
            counts.broken[seed] = why
    return counts


def c1_the_same_call_twice(one: Made, other: Made) -> list[str]:
    """1. Same tape, same timeline: the log and the recording, byte for byte."""
    if [repr(event) for event in one.result.log] != [repr(event) for event in other.result.log]:
        return ["c1_the_same_call_twice: the logs differ"]
    if one.result.played.runs != other.result.played.runs:
        return ["c1_the_same_call_twice: the recordings differ"]
    return []


# Shrinking


def shrunk(what: Plan, check: str) -> Plan:
    """The plan without whatever can be left out so that the same check still fails."""
    smaller = True
    while smaller:
        smaller = False
        for less in _less(what):
            if any(why.startswith(check) for why in look(less)[1]):
                what, smaller = less, True
                break
    return what


def _less(what: Plan) -> Iterator[Plan]:
    for node in what.faults:
        yield dataclasses.replace(what, faults={key: fault for key, fault in what.faults.items() if key != node})
    for number in range(len(what.acts)):
        yield dataclasses.replace(what, acts=what.acts[:number] + what.acts[number + 1 :])
    steps = what.scenario["caller"]
    for number in range(len(steps) if len(steps) > 1 else 0):
        yield _with(what, lambda scenario, number=number: scenario["caller"].pop(number))
    replies = what.scenario["models"]["llm"]["replies"]
    if len(replies) > 8:
        yield _with(
            what, lambda scenario: scenario["models"]["llm"]["replies"].__delitem__(slice(len(replies) // 2, None))
        )
    for key in ("turn_detection", "endpointing", "interruption"):
        if key in what.turn_handling:
            yield _with(what, lambda scenario, key=key: scenario["session"]["turn_handling"].pop(key))


def _with(what: Plan, change: Any) -> Plan:
    scenario = copy.deepcopy(what.scenario)
    change(scenario)
    return dataclasses.replace(what, scenario=scenario)


def write(what: Plan, check: str, folder: Path = FOUND) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{check}_{what.seed}.{'yaml' if what.is_scenario else 'json'}"
    if what.is_scenario:
        path.write_text(yaml.safe_dump(what.scenario, sort_keys=False, allow_unicode=True))
    else:
        path.write_text(json.dumps(dataclasses.asdict(what), indent=1) + "\n")
    return path


def found(path: Path) -> Plan:
    if path.suffix == ".yaml":
        return Plan(0, yaml.safe_load(path.read_text()))
    given = json.loads(path.read_text())
    given["acts"] = [(at, what) for at, what in given["acts"]]
    return Plan(**given)


def keep(counts: Counts, most: int = 5, folder: Path = FOUND) -> list[Path]:
    """Shrink the first call that broke each check, and write it down."""
    written: list[Path] = []
    seen: set[str] = set()
    for seed, why in sorted(counts.broken.items()):
        check = why[0].partition(":")[0]
        if check not in seen and len(seen) < most:
            seen.add(check)
            written.append(write(shrunk(plan(seed), check), check, folder))
    return written


# In parallel


def in_parallel(calls: int, first: int = 0) -> Counts:
    """The seeds from `first` on, in as many processes as there are processors."""
    counts = Counts()
    for part in processes.in_parallel("tests.sim.search", "--first", str(first), "--calls", str(calls)):
        counts += Counts.of_json(part)
    return counts


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sim.search", description=__doc__)
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--table", type=Path, help="write the counts to this file")
    parser.add_argument("--keep", type=Path, default=FOUND, help="where counter-examples are written")
    parser.add_argument("--part", type=int, nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.part:
        number, of = given.part
        print(search(range(given.first + number, given.first + given.calls, of)).to_json())
        return 0
    counts = in_parallel(given.calls, given.first)
    print(counts.table(), end="")
    if given.table:
        given.table.write_text(counts.table())
    for path in keep(counts, folder=given.keep):
        print(path)
    return 1 if counts.broken else 0


if __name__ == "__main__":
    sys.exit(main())

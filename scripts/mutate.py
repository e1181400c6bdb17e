"""Breaks the turn machine in every way there is, once each, and counts what the tests notice: `make mutation`.

A mutant is a module with one change: a row of the table removed, or led to another row's function; a guard negated; a
number doubled or halved, a truth swapped; a statement removed. It is killed if a test fails on it. A short search over random
sequences comes first, then the tests of the machine, then whatever `--more` names; each mutant ends at the first failure.

    python scripts/mutate.py                          all mutants of MODULES; the survivors by name
    python scripts/mutate.py --only 'table|_commit'   those whose name matches
    python scripts/mutate.py --list                   their names, and nothing is run
    python scripts/mutate.py facts --out FILE         all of one module; FILE keeps the scores of the others it has

A survivor that changes nothing anybody could see is named in `tests/turns/unnoticed.txt`, with the reason.
"""

import argparse
import ast
import copy
import importlib.abc
import importlib.util
import os
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path

ROOT = Path(__file__).parents[1]
TURNS = Path("agent_runtime/turns")

MODULES = ("machine", "facts", "last_turn", "endpoint", "endpointing", "quantiles")
"""Of `agent_runtime/turns`: who has the floor, and when a turn ends."""

TESTS = (
    "facts",
    "last_turn",
    "disagreement",
    "corners",
    "requested",
    "murmurs",
    "machine",
    "endpoint",
    "endpointing",
    "quantiles",
)
"""Of `tests/turns`, in the order in which they run."""

SEARCH = 600
"""Random sequences that a mutant has to pass first: most break an invariant within a few, which is quick to find out."""

UNNOTICED = ROOT / "tests/turns/unnoticed.txt"
"""A line for each: the mutant without its line number, two colons, and why no test can notice it."""

LONGEST_S = 120.0
"""A mutant that makes a test run for longer hangs, which is noticed."""


@dataclass(frozen=True)
class Mutant:
    module: str
    name: str
    source: str


# Making


def mutants(module: str) -> Iterator[Mutant]:
    source = (ROOT / TURNS / f"{module}.py").read_text()
    tree = ast.parse(source)
    seen: Counter[str] = Counter()
    for change in _changes(tree):
        mutated = copy.deepcopy(tree)
        name = f"{module}.py:{change(mutated)}"
        seen[name] += 1
        if seen[name] > 1:
            name += f" ({seen[name]})"
        yield Mutant(module, name, ast.unparse(ast.fix_missing_locations(mutated)))


Change = Callable[[ast.AST], str]


def _changes(tree: ast.AST) -> Iterator[Change]:
    """Each finds its node by its place in the order of `ast.walk`, which a copy keeps."""
    for place, node in enumerate(ast.walk(tree)):
        match node:
            case ast.AnnAssign(target=ast.Name(id="_TABLE"), value=ast.Dict(keys=keys)):
                for number in range(len(keys)):
                    yield _at(place, _row_removed(number))
                    yield _at(place, _row_led_astray(number))
            case ast.If() | ast.IfExp() | ast.While():
                yield _at(place, _negated)
            case ast.BoolOp(values=values):
                for number in range(len(values)):
                    yield _at(place, _operand_negated(number))
            case ast.Constant(value=bool()):
                yield _at(place, _swapped)
            case ast.Constant(value=int() | float()):
                yield _at(place, _times(2.0))
                yield _at(place, _times(0.5))
        yield from (
            _at(place, _removed(attribute, number), statement.lineno)
            for attribute in ("body", "orelse")
            for number, statement in enumerate(_statements(node, attribute))
            if _is_action(node, statement)
        )
        if isinstance(node, ast.match_case):
            yield _at(place, _case_removed)


def _at(place: int, change: Callable[[ast.AST], str], line: int = 0) -> Change:
    def apply(tree: ast.AST) -> str:
        node = next(node for number, node in enumerate(ast.walk(tree)) if number == place)
        where = _function(tree, node)
        return f"{line or _line(node)} {where}: {change(node)}"

    return apply


def _line(node: ast.AST) -> int:
    return next((inner.lineno for inner in ast.walk(node) if hasattr(inner, "lineno")), 0)


def _function(tree: ast.AST, wanted: ast.AST) -> str:
    """The name of the function or class in which a node stands."""
    names = [
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and any(inner is wanted for inner in ast.walk(node))
    ]
    return names[-1] if names else "module"


def _statements(node: ast.AST, attribute: str) -> list[ast.stmt]:
    found = getattr(node, attribute, [])
    return found if isinstance(found, list) else []


def _is_action(parent: ast.AST, statement: ast.stmt) -> bool:
    """Whether it does something: no docstring, no definition, no import, no raise of what cannot be."""
    if isinstance(parent, ast.Module | ast.ClassDef):
        return False
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        return False
    return isinstance(statement, ast.Expr | ast.Assign | ast.AugAssign | ast.AnnAssign | ast.Return | ast.Delete)


def _text(node: ast.AST) -> str:
    line = " ".join(ast.unparse(node).split())
    return line if len(line) <= 90 else f"{line[:87]}..."


def _row_removed(number: int) -> Callable[[ast.AST], str]:
    def change(node: ast.AST) -> str:
        assert isinstance(node, ast.AnnAssign)
        assert isinstance(node.value, ast.Dict)
        key = node.value.keys.pop(number)
        node.value.values.pop(number)
        assert key is not None
        return f"table, row {_text(key)} removed"

    return change


def _row_led_astray(number: int) -> Callable[[ast.AST], str]:
    """To the function of another row for the same event; to that of any other, where there is none."""

    def change(node: ast.AST) -> str:
        assert isinstance(node, ast.AnnAssign)
        assert isinstance(node.value, ast.Dict)
        rows = [(_text(key), value) for key, value in zip(node.value.keys, node.value.values, strict=True) if key]
        name, own = rows[number]
        event = name.rpartition(",")[2]
        others = [value for key, value in rows if _text(value) != _text(own) and key.endswith(event)]
        others = others or [value for _, value in rows if _text(value) != _text(own)]
        other = others[number % len(others)]
        node.value.values[number] = copy.deepcopy(other)
        return f"table, row {name} leads to {_text(other)}"

    return change


def _negated(node: ast.AST) -> str:
    assert isinstance(node, ast.If | ast.IfExp | ast.While)
    name = f"guard negated: {_text(node.test)}"
    node.test = ast.UnaryOp(ast.Not(), node.test)
    return name


def _operand_negated(number: int) -> Callable[[ast.AST], str]:
    def change(node: ast.AST) -> str:
        assert isinstance(node, ast.BoolOp)
        name = f"negated: {_text(node.values[number])} in {_text(node)}"
        node.values[number] = ast.UnaryOp(ast.Not(), node.values[number])
        return name

    return change


def _swapped(node: ast.AST) -> str:
    assert isinstance(node, ast.Constant)
    node.value = not node.value
    return f"{node.value} for {not node.value}"


def _times(factor: float) -> Callable[[ast.AST], str]:
    def change(node: ast.AST) -> str:
        assert isinstance(node, ast.Constant)
        was = node.value
        assert isinstance(was, int | float)
        more = was * factor if was else factor - 1.25  # nothing twice is nothing
        node.value = int(more) if isinstance(was, int) and (was or factor > 1) else more
        if node.value == was:
            node.value = was + 1
        return f"{node.value} for {was}"

    return change


def _removed(attribute: str, number: int) -> Callable[[ast.AST], str]:
    def change(node: ast.AST) -> str:
        statements = _statements(node, attribute)
        name = f"removed: {_text(statements[number])}"
        statements[number] = ast.Pass()
        return name

    return change


def _case_removed(node: ast.AST) -> str:
    assert isinstance(node, ast.match_case)
    name = f"removed: case {_text(node.pattern)}"
    node.guard = ast.Constant(False)
    return name


# Running


class Mutated(importlib.abc.InspectLoader):
    """Gives a module that is broken in place of the one on disk."""

    def __init__(self, mutant: Mutant) -> None:
        self.name = f"agent_runtime.turns.{mutant.module}"
        self.mutant = mutant

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        return importlib.util.spec_from_loader(name, self) if name == self.name else None

    def get_source(self, fullname: str) -> str:
        return self.mutant.source


def stages(more: list[str]) -> list[list[str]]:
    """What pytest is given, one after the other."""
    tests = [f"tests/turns/test_{name}.py" for name in TESTS]
    slow = "whatever_happens or max_delay_whatever"
    return [
        [*tests, "-k", f"not ({slow})"],
        [*tests, "tests/turns/test_search.py", "-k", f"{slow} or found_no_more"],
        *([more] if more else []),
    ]


def verdict(more: list[str]) -> int:
    """In a process of its own: 0 if nothing notices, else the number of the stage that does."""
    import pytest

    from tests.turns import search

    if any(search.play(seed)[2] is not None for seed in range(SEARCH)):
        return 1
    quiet = ["-x", "-q", "--assert=plain", "-p", "no:cacheprovider", "--no-header", "--tb=no"]
    for number, tests in enumerate(stages(more), start=2):
        if pytest.main([*quiet, *tests]) not in (0, 5):  # 5: this stage has no tests
            return number
    return 0


def begin(mutant: Mutant | None, more: list[str]) -> int:
    """Fork, which is much quicker than to start Python anew. The process id of the child, which ends with its verdict."""
    child = os.fork()
    if child:
        return child
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    status = 1  # what cannot even be imported is noticed
    try:
        if mutant is not None:
            sys.meta_path.insert(0, Mutated(mutant))
        status = verdict(more)
    finally:
        os._exit(status)


def ends(found: Sequence[Mutant | None], jobs: int, more: list[str]) -> Iterator[tuple[Mutant | None, str | None]]:
    """Try them all, so many at a time; for each, what noticed it, None where nothing did."""
    waiting = list(reversed(found))
    running: dict[int, tuple[Mutant | None, float]] = {}
    while waiting or running:
        while waiting and len(running) < jobs:
            mutant = waiting.pop()
            running[begin(mutant, more)] = mutant, time.monotonic()
        time.sleep(0.02)
        for child, (mutant, since) in list(running.items()):
            over, status = os.waitpid(child, os.WNOHANG)
            if over:
                del running[child]
                code = os.waitstatus_to_exitcode(status)
                yield mutant, f"stage {code}" if code else None
            elif time.monotonic() - since > LONGEST_S:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                del running[child]
                yield mutant, "hangs"


def run(found: list[Mutant], jobs: int, more: list[str]) -> list[Mutant]:
    """Try them all; the survivors."""
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    import pytest  # noqa: F401 - the children have it then

    ((_, stage),) = ends([None], 1, more)
    if stage is not None:
        raise SystemExit(f"The tests fail without a mutant, at {stage}; mend that first.")
    survivors: list[Mutant] = []
    noticed: Counter[str] = Counter()
    for number, (mutant, end) in enumerate(ends(found, jobs, more), start=1):
        noticed[end or "survived"] += 1
        if end is None and mutant is not None:
            survivors.append(mutant)
            print(f"{number}/{len(found)} survived  {mutant.name}", flush=True)
        elif number % 50 == 0:
            print(f"{number}/{len(found)}", flush=True)
    print(", ".join(f"{end}: {times}" for end, times in sorted(noticed.items())))
    order = [mutant.name for mutant in found]
    return sorted(survivors, key=lambda mutant: order.index(mutant.name))


@dataclass
class Score:
    """How many mutants of a module there are, and which nobody noticed."""

    tried: int
    survivors: list[str]

    @property
    def percent(self) -> float:
        return 100 * (1 - len(self.survivors) / max(1, self.tried))


def unnoticed() -> dict[str, str]:
    """Why a mutant cannot be noticed, by its name without the line."""
    lines = UNNOTICED.read_text().splitlines() if UNNOTICED.exists() else []
    return {name.strip(): why.strip() for name, _, why in (line.partition(" :: ") for line in lines) if why}


def table(scores: dict[str, Score]) -> str:
    """What is kept: a line for each module, the whole, and the survivors with the reasons that are known."""
    whole = Score(
        sum(each.tried for each in scores.values()), [name for each in scores.values() for name in each.survivors]
    )
    lines = [f"{module}: {score.percent:.1f} % of {score.tried}" for module, score in scores.items()]
    lines += [f"whole: {whole.percent:.1f} % of {whole.tried}", "", "Not noticed:"]
    reasons = unnoticed()
    for name in whole.survivors:
        why = reasons.get(_without_line(name))
        lines.append(f"  {name}" + (f"\n      {why}" if why else ""))
    return "\n".join(lines) + "\n"


def _without_line(name: str) -> str:
    return re.sub(r":\d+ ", ": ", name, count=1)


def kept(path: Path) -> dict[str, Score]:
    """The scores in a file that `table` wrote."""
    scores: dict[str, Score] = {}
    for line in path.read_text().splitlines() if path.exists() else []:
        if found := re.fullmatch(r"(\w+): [\d.]+ % of (\d+)", line):
            scores[found[1]] = Score(int(found[2]), [])
        elif found := re.fullmatch(r"  ((\w+)\.py:.*)", line):
            scores[found[2]].survivors.append(found[1])
    scores.pop("whole", None)
    return scores


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/mutate.py", description=__doc__.partition("\n")[0])
    parser.add_argument("modules", nargs="*", default=list(MODULES), help="of agent_runtime/turns")
    parser.add_argument("--only", default="", help="mutants whose name matches this expression")
    parser.add_argument("--list", action="store_true", help="name the mutants, run nothing")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--more", nargs="*", default=[], help="more tests for what survives the others")
    parser.add_argument("--out", type=Path, help="write the scores to this file; with --only they are not whole")
    parser.add_argument("--least", type=float, default=95.0, help="%% that is to be noticed")
    given = parser.parse_args()
    there = [module for module in given.modules if (ROOT / TURNS / f"{module}.py").exists()]
    found = [mutant for module in there for mutant in mutants(module) if re.search(given.only, mutant.name)]
    if given.list:
        print(*(mutant.name for mutant in found), sep="\n")
        return 0
    survivors = run(found, given.jobs, given.more)
    scores = {
        module: Score(
            sum(mutant.module == module for mutant in found),
            [mutant.name for mutant in survivors if mutant.module == module],
        )
        for module in there
    }
    if given.out is not None:
        earlier = kept(given.out)
        scores = {module: score for module in MODULES if (score := scores.get(module) or earlier.get(module))}
        given.out.write_text(table(scores))
    print(f"\n{table(scores)}{given.least:g} % is wanted")
    return 0 if all(score.percent >= given.least for score in scores.values()) else 1


if __name__ == "__main__":
    sys.exit(main())

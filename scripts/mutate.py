"""Breaks the turn machine in every way there is, once each, and counts what the tests notice: `make mutation`.

A mutant is a module with one change: a row of the table removed, or led to another row's function; a guard negated; a
number doubled or halved, a truth swapped; a statement removed. It is killed if a test fails on it. A short search over random
sequences comes first, then the tests of the machine, then whatever `--more` names; each mutant ends at the first failure.

    python scripts/mutate.py                          all mutants of MODULES; the survivors by name
    python scripts/mutate.py --only 'table|_commit'   those whose name matches
    python scripts/mutate.py --list                   their names, and nothing is run
"""

import argparse
import ast
import copy
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
TURNS = Path("agent_runtime/turns")

MODULES = ("machine", "facts", "endpoint", "endpointing", "quantiles")
"""Of `agent_runtime/turns`: who has the floor, and when a turn ends."""

TESTS = ("machine", "endpoint", "requested", "murmurs", "corners", "endpointing", "quantiles")
"""Of `tests/turns`, in the order in which they run."""

SEARCH = 600
"""Random sequences that a mutant has to pass first: most break an invariant within a few, which is quick to find out."""

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
    return f"{not node.value} for {node.value}"


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


class Bench:
    """A copy of what the tests need, in which one module at a time is broken."""

    def __init__(self, folder: Path, more: list[str]) -> None:
        self.folder = folder
        kept = shutil.ignore_patterns("__pycache__", ".*")
        for name in ("agent_runtime", "tests"):
            shutil.copytree(ROOT / name, folder / name, ignore=kept)
        shutil.copy(ROOT / "pyproject.toml", folder)
        tests = [f"tests/turns/test_{name}.py" for name in TESTS]
        there = [path for path in tests if (folder / path).exists()]
        pytest = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--no-header", "--tb=no"]
        search = f"raise SystemExit(any(search.play(seed)[2] is not None for seed in range({SEARCH})))"
        self.stages = [
            [sys.executable, "-c", f"from tests.turns import search; {search}"],
            [*pytest, *there, "-k", "not whatever_happens and not max_delay_whatever"],
            [*pytest, *there, "tests/turns/test_search.py", "-k", "whatever or found_no_more"],
            *([[*pytest, *more]] if more else []),
        ]
        self.environment = {**os.environ, "PYTHONPATH": str(folder)}
        self.writes = 0

    def killed(self) -> str | None:
        """At which stage the tests fail."""
        for number, command in enumerate(self.stages):
            try:
                done = subprocess.run(
                    command,
                    cwd=self.folder,
                    env=self.environment,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    timeout=LONGEST_S,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                return "hangs"
            if done.returncode not in (0, 5):  # 5: this stage has no tests
                return f"stage {number + 1}"
        return None

    def try_out(self, mutant: Mutant) -> str | None:
        path = self.folder / TURNS / f"{mutant.module}.py"
        was = path.read_text()
        self.write(path, mutant.source)
        try:
            return self.killed()
        finally:
            self.write(path, was)

    def write(self, path: Path, source: str) -> None:
        """With a time of its own: by that Python tells whether what it compiled before still stands."""
        self.writes += 1
        path.write_text(source)
        os.utime(path, (self.writes * 10, self.writes * 10))


def run(found: list[Mutant], jobs: int, more: list[str]) -> list[Mutant]:
    """Try them all; the survivors."""
    own = threading.local()
    survivors: list[Mutant] = []
    ends: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder, ThreadPoolExecutor(jobs) as threads:

        def start() -> None:
            own.bench = Bench(Path(tempfile.mkdtemp(dir=folder)), more)

        def attempt(mutant: Mutant) -> tuple[Mutant, str | None]:
            if not hasattr(own, "bench"):
                start()
                if (stage := own.bench.killed()) is not None:
                    raise SystemExit(f"The tests fail without a mutant, at {stage}; mend that first.")
            return mutant, own.bench.try_out(mutant)

        for number, (mutant, end) in enumerate(threads.map(attempt, found), start=1):
            ends[end or "survived"] += 1
            if end is None:
                survivors.append(mutant)
                print(f"{number}/{len(found)} survived  {mutant.name}", flush=True)
            elif number % 50 == 0:
                print(f"{number}/{len(found)}", flush=True)
    print(", ".join(f"{end}: {times}" for end, times in sorted(ends.items())))
    return survivors


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/mutate.py", description=__doc__.partition("\n")[0])
    parser.add_argument("modules", nargs="*", default=list(MODULES), help="of agent_runtime/turns")
    parser.add_argument("--only", default="", help="mutants whose name matches this expression")
    parser.add_argument("--list", action="store_true", help="name the mutants, run nothing")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--more", nargs="*", default=[], help="more tests for what survives the others")
    parser.add_argument("--least", type=float, default=95.0, help="%% that is to be noticed")
    given = parser.parse_args()
    there = [module for module in given.modules if (ROOT / TURNS / f"{module}.py").exists()]
    found = [mutant for module in there for mutant in mutants(module) if re.search(given.only, mutant.name)]
    if given.list:
        print(*(mutant.name for mutant in found), sep="\n")
        return 0
    survivors = run(found, given.jobs, given.more)
    print(f"\n{len(survivors)} of {len(found)} mutants were not noticed:")
    print(*(f"  {mutant.name}" for mutant in survivors), sep="\n")
    alive, all_of = Counter(mutant.module for mutant in survivors), Counter(mutant.module for mutant in found)
    for module in there:
        print(f"{module:>12}: {100 * (1 - alive[module] / max(1, all_of[module])):.1f} % of {all_of[module]}")
    score = 100 * (1 - len(survivors) / max(1, len(found)))
    print(f"mutation score: {score:.1f} % of {len(found)}; {given.least:g} % is wanted")
    return 0 if score >= given.least else 1


if __name__ == "__main__":
    sys.exit(main())

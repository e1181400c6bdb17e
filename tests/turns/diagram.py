"""The diagram of the turn machine in docs/turn-taking.md, drawn from its table.

The rows are those of the table; where a row leads is what it did in a few thousand seeded calls. `python -m
tests.turns.diagram` writes both into the page, and a test holds the page to them.
"""

import random
from collections import Counter, defaultdict
from pathlib import Path

from agent_runtime.turns.machine import State, TurnMachine
from agent_runtime.turns.options import TurnHandling
from agent_runtime.turns.signals import Command, TurnEvent
from tests.turns.worlds import World, settings

PAGE = Path(__file__).parents[2] / "docs" / "turn-taking.md"
BEGIN, END = "<!-- from the table: begin -->\n", "<!-- from the table: end -->\n"
CALLS = 3000

Leads = dict[tuple[State, type], Counter[State]]


def leads() -> Leads:
    """To which states each row of the table was seen to lead."""
    seen: Leads = defaultdict(Counter)
    for seed in range(CALLS):
        dice = random.Random(seed)
        machine = TurnMachine(TurnHandling.of(settings(dice)), has_detector=dice.random() < 0.7)  # type: ignore[arg-type]

        def take(event: TurnEvent, machine: TurnMachine = machine) -> list[Command]:
            before = machine.state
            commands = machine.handle(event)
            if (before, type(event)) in TurnMachine._TABLE:
                seen[before, type(event)][machine.state] += 1
            return commands

        World(dice, events=60).play(machine, take)
    return seen


def drawn() -> str:
    """A diagram in Mermaid, and the rows as a table in Markdown."""
    seen = leads()
    arrows: dict[tuple[State, State], list[str]] = defaultdict(list)
    lines = ["| in | when | it may go to |", "|---|---|---|"]
    for (state, kind), targets in seen.items():
        for target in targets:
            if target is not state:
                arrows[state, target].append(kind.__name__)
    for state, kind in TurnMachine._TABLE:
        there = [each for each in State if each in seen[state, kind]]
        lines.append(f"| {state.value} | `{kind.__name__}` | {', '.join(each.value for each in there)} |")
    order = list(State)
    diagram = ["```mermaid", "stateDiagram-v2", "    [*] --> LISTENING"]
    for (state, target), kinds in sorted(arrows.items(), key=lambda each: [order.index(end) for end in each[0]]):
        diagram.append(f"    {state.name} --> {target.name}: {', '.join(sorted(set(kinds)))}")
    return "\n".join([*diagram, "```", "", *lines]) + "\n"


def main() -> None:
    before, rest = PAGE.read_text("utf-8").split(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{drawn()}\n{END}{rest.split(END)[1]}", "utf-8")


if __name__ == "__main__":
    main()

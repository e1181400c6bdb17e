"""What a session would be made of, without starting it: `agent-runtime explain SCRIPT`.

The plan is read off an `AgentSession` and an `Agent` that were built and not started. Build them under
`agent_runtime.inference.descriptor.planning`, and a node that cannot be had becomes a line here instead of an error.
No value of a key is ever read into the text; only whether it is set.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from agent_runtime.advice import MODES
from agent_runtime.agent import Agent
from agent_runtime.errors import UsageError
from agent_runtime.inference.descriptor import WHAT, Kind, Unresolved, keys_of, planning, resolve, shown
from agent_runtime.providers.local.info import EngineInfo
from agent_runtime.session import AgentSession
from agent_runtime.tools import FunctionTool, ProviderTool, Tool
from agent_runtime.turns.machine import RELEASE_AFTER_S
from agent_runtime.turns.options import TurnHandling
from agent_runtime.types import NOT_GIVEN

KINDS: tuple[Kind, ...] = ("vad", "stt", "llm", "tts")

LEAVES: dict[Kind, str] = {
    "vad": "the caller's voice",
    "stt": "the caller's voice",
    "llm": "the conversation as text",
    "tts": "what the agent says, as text",
}
"""What a node on another machine is sent."""

WITHOUT: dict[Kind, str] = {
    "vad": "voice is found by the recogniser's words alone",
    "stt": "the caller is not understood; typed input works",
    "llm": "only say() and what the agent overrides speak",
    "tts": "the agent writes instead of speaking",
}


@dataclass(frozen=True, slots=True)
class Explanation:
    """`ok`: nothing is missing, the session could start now."""

    text: str
    ok: bool


@dataclass(frozen=True, slots=True)
class NodePlan:
    """One node as it would run.

    Attributes:
        given: what stands in the script; ``""`` where nothing does.
        made: the class, with the engine's version where it is known; ``""`` where there is none.
        licence: of the engine; None: not known here.
        leaves: whether what the node is given goes over a network; None: not known here.
        keys: the variables it needs, and whether each is set.
        missing: what keeps it from running, with the fix; None: nothing.
        remark: what else is to be known.
    """

    kind: Kind
    given: str
    made: str = ""
    licence: str | None = None
    leaves: bool | None = False
    keys: tuple[tuple[str, bool], ...] = ()
    missing: str | None = None
    remark: str = ""


def explain(session: AgentSession[Any], agent: Agent | None = None, *, title: str | None = None) -> Explanation:
    """The plan of a session that was built and not started, and of the agent that it would start with."""
    nodes = [_node(session, agent, kind) for kind in KINDS]
    detector = _detector(session)
    tools, wrong = _tools(agent.tools if agent is not None else ())
    missing = [*(_fix(node) for node in [*nodes, *detector] if node.missing is not None), *wrong]
    sections = [
        ("Nodes", _nodes(nodes)),
        ("Keys", _keys(nodes)),
        ("Leaves this machine", _leaving(nodes)),
        (f"Tools of '{agent.id}'" if agent is not None else "Tools", tools or ["none"]),
        ("Turns", _turns(session, detector)),
        ("Missing", _numbered(missing) or ["nothing; it can start"]),
    ]
    head = [title, ""] if title else []
    text = "\n\n".join("\n".join([name, *(f"  {line}" for line in lines)]) for name, lines in sections)
    return Explanation("\n".join([*head, text]), ok=not missing)


def explain_descriptor(kind: Kind, text: str) -> list[str]:
    """The same for one string. Never raises."""
    plan = plan_node(kind, text)
    lines = _nodes([plan])
    lines += [f"key  {name} {'is set' if there else 'is missing'}" for name, there in plan.keys]
    return [*lines, *_numbered([_fix(plan)])] if plan.missing is not None else lines


def plan_node(kind: Kind, given: object, node: object = None) -> NodePlan:
    """What `given` (a string, an object, None) stands for. `node` is what it was resolved to, where that was done.

    Never raises: what is wrong with a node is in its plan.
    """
    if given is None:
        return NodePlan(kind, "", remark=WITHOUT[kind])
    text = given if isinstance(given, str) else ""
    if node is None:
        with planning():
            node = resolve(kind, given)
    keys = tuple(keys_of(kind, text).items())
    if isinstance(node, Unresolved):
        absent = [name for name, there in keys if not there]
        command = "\n" + " ".join(["export", *(f"{name}=..." for name in absent)]) if absent else ""
        reason = node.reason.replace(text, shown(text)) if text else node.reason
        leaves = True if keys else None
        return NodePlan(kind, shown(text), leaves=leaves, keys=keys, missing=reason + command)
    return _described(kind, shown(text), node, keys)


def _described(kind: Kind, text: str, node: object, keys: tuple[tuple[str, bool], ...]) -> NodePlan:
    name = type(node).__name__
    text = text or getattr(node, "label", "") or "an object"
    describe = getattr(node, "describe", None)
    if describe is not None:
        try:
            info = describe()
        except Exception as error:  # a plug-in's; what it says of itself is no reason to say nothing of the others
            return NodePlan(kind, text, name, None, None, keys, missing=f"{name}.describe() failed: {error}")
        if isinstance(info, EngineInfo):
            made = f"{name} {info.version}" if info.version else name
            missing = None if info.installed and info.missing is None else _with_command(info)
            return NodePlan(kind, text, made, info.licence, info.leaves_machine, keys, missing)
    ours = type(node).__module__.startswith("agent_runtime.")
    leaves = getattr(node, "leaves_machine", False if ours else None)
    return NodePlan(kind, text, _who(node), "Apache-2.0" if ours else None, leaves, keys)


def _who(node: object) -> str:
    """A node's class, and who serves it; of a chain, of each."""
    models, provider = getattr(node, "models", None), getattr(node, "provider", "")
    if isinstance(models, list):
        return f"{type(node).__name__}: {', else '.join(map(_who, models))}"
    return f"{type(node).__name__} at {provider}" if provider else type(node).__name__


def _node(session: AgentSession[Any], agent: Agent | None, kind: Kind) -> NodePlan:
    given: object = session.models.given[kind]
    node: object = getattr(session, kind)
    remark = ""
    own = getattr(agent, f"_given_{kind}", NOT_GIVEN)
    if own is not NOT_GIVEN:
        given, node, remark = own, own if own is None or not isinstance(own, str) else None, f"of '{_id(agent)}'"
    elif given is NOT_GIVEN:
        given, remark = (getattr(node, "label", None), "by default") if node is not None else (None, "")
    plan = plan_node(kind, given, node)
    override = f"{kind}_node"
    if (
        agent is not None
        and hasattr(Agent, override)
        and getattr(type(agent), override) is not getattr(Agent, override)
    ):
        remark = f"{remark}; " * bool(remark) + f"overridden by {type(agent).__name__}.{override}"
    return NodePlan(
        kind, plan.given, plan.made, plan.licence, plan.leaves, plan.keys, plan.missing, remark or plan.remark
    )


def _id(agent: Agent | None) -> str:
    return agent.id if agent is not None else ""


def _with_command(info: EngineInfo) -> str:
    """What an engine that is not installed says is missing: a sentence, and the command on a line of its own."""
    told = info.missing or f"{info.descriptor} is not installed"
    sentence, _, command = told.rpartition("install it with: ")
    if sentence:
        return f"{sentence.rstrip(' ;,:')}; install it with:\n{command}"
    return f"{info.descriptor} is not installed; install it with:\n{told}" if told.startswith("pip ") else told


def _fix(node: NodePlan) -> str:
    text = node.missing or ""
    named = text.startswith(f"The {WHAT[node.kind]} ") or node.given.partition("?")[0].partition(":")[0] in text
    return text if named else f"The {WHAT[node.kind]} {node.given}: {text}"


def _numbered(fixes: Iterable[str]) -> list[str]:
    """Each with its number; the command that goes with it is indented below."""
    lines: list[str] = []
    for number, fix in enumerate(fixes, 1):
        sentence, *commands = fix.split("\n")
        lines += [f"{number}. {sentence}", *(f"   {command}" for command in commands)]
    return lines


# Sections


def _nodes(nodes: Iterable[NodePlan]) -> list[str]:
    return _aligned([[node.kind, *_cells(node)] for node in nodes])


def _cells(node: NodePlan) -> list[str]:
    if not node.given:
        return ["none", f"({node.remark})"]
    state = "ready" if node.missing is None else "missing"
    unknown = "licence not known here" if node.made else "-"
    where = {True: "over the network", False: "on this machine", None: "where not known" if node.made else "-"}
    remark = f"({node.remark})" if node.remark else ""
    return [node.given, state, node.made or "-", where[node.leaves], node.licence or unknown, remark]


def _keys(nodes: Sequence[NodePlan]) -> list[str]:
    wanted = {name: (there, node) for node in nodes for name, there in node.keys}
    rows = [
        [name, "set" if there else "missing", f"for the {WHAT[node.kind]} {node.given}"]
        for name, (there, node) in wanted.items()
    ]
    return _aligned(rows) or ["none needed"]


def _leaving(nodes: Sequence[NodePlan]) -> list[str]:
    rows = [
        [LEAVES[node.kind], f"to {node.given}" if node.leaves else f"perhaps, by {node.given}: it does not say"]
        for node in nodes
        if (node.made and node.leaves is not False) or node.leaves
    ]
    return _aligned(rows) or ["nothing"]


def _tools(tools: Iterable[Tool]) -> tuple[list[str], list[str]]:
    rows, wrong = [], []
    for tool in tools:
        if isinstance(tool, ProviderTool):
            rows.append([tool.name, f"run by {tool.provider}"])
            continue
        try:
            rows.append([tool_signature(tool), _first_sentence(tool.description)])
        except UsageError as error:
            rows.append([f"{tool.name}(?)", "cannot be described to a model"])
            wrong.append(str(error))
    return _aligned(rows), wrong


def tool_signature(tool: FunctionTool) -> str:
    """A tool as a model is told of it, in one line: ``add_item(item: string, count?: integer)``.

    Raises:
        UsageError: it cannot be described to a model.
    """
    schema = tool.parameters
    required = schema.get("required", ())
    arguments = (
        f"{name}{'' if name in required else '?'}: {_type(part)}" for name, part in schema.get("properties", {}).items()
    )
    return f"{tool.name}({', '.join(arguments)})"


def _type(schema: Any) -> str:
    if not isinstance(schema, dict):
        return "any"
    if "enum" in schema:
        return " | ".join(repr(value) for value in schema["enum"])
    if "const" in schema:
        return repr(schema["const"])
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return " | ".join(map(_type, schema[key]))
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    kind = schema.get("type", "any")
    if kind == "array":
        return f"list of {_type(schema.get('items'))}"
    return " | ".join(kind) if isinstance(kind, list) else str(kind)


def _first_sentence(text: str) -> str:
    line = " ".join(text.partition("\n\n")[0].split())
    sentence, stop, _ = line.partition(". ")
    return sentence + stop.strip()


def _detector(session: AgentSession[Any]) -> list[NodePlan]:
    """The turn detector, where it is an engine."""
    wanted = session.turn_handling.turn_detection
    if wanted is None or wanted in MODES:
        return []
    return [plan_node("turn_detection", wanted, None if isinstance(wanted, str) else wanted)]


def _detection(handling: TurnHandling, detector: Sequence[NodePlan]) -> str:
    wanted = handling.turn_detection
    if wanted is None or wanted in MODES:
        return str(wanted or "none")
    (plan,) = detector
    return "  ".join(cell for cell in _cells(plan) if cell)


def _turns(session: AgentSession[Any], detector: Sequence[NodePlan]) -> list[str]:
    handling = session.turn_handling
    away = session.user_away_timeout
    return _aligned(
        [
            ["turn detection", _detection(handling, detector)],
            ["the caller's turn ends", _endpointing(handling)],
            ["the agent is interrupted", _interruption(handling, words=session.stt is not None)],
            ["after a false interruption", _false_interruption(handling)],
            ["tool steps in a row", f"at most {session.max_tool_steps}"],
            ["the caller counts as away", "never" if away is None else f"after {away:g} s of silence on both sides"],
        ]
    )


def _endpointing(handling: TurnHandling) -> str:
    if handling.turn_detection == "manual":
        return "when commit_user_turn() is called"
    delays = handling.endpointing
    return (
        f"{delays.min_delay:g} s after the last voiced sample, once the words are there; {delays.max_delay:g} s at most"
    )


def _interruption(handling: TurnHandling, *, words: bool) -> str:
    options = handling.interruption
    if not options.enabled:
        return "never"
    if words:
        count = max(1, options.min_words)
        return f"by {count} word{'s' * (count > 1)}; a voice alone pauses it"
    return f"by {options.min_duration:g} s of voice (there is no recogniser)"


def _false_interruption(handling: TurnHandling) -> str:
    options = handling.interruption
    if not options.enabled:
        return "-"
    if not options.resume_false_interruption:
        return "the agent says no more"
    timeout = options.false_interruption_timeout
    wait = RELEASE_AFTER_S if timeout is None else min(RELEASE_AFTER_S, timeout)
    return f"it goes on from the same sample, at most {wait:g} s after the voice"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns two blanks apart; a short row's last cell takes the rest of its line."""
    width: dict[int, int] = {}
    for row in rows:
        for number, cell in enumerate(row[:-1]):
            width[number] = max(width.get(number, 0), len(cell))
    return ["  ".join([*(cell.ljust(width[n]) for n, cell in enumerate(row[:-1])), row[-1]]).rstrip() for row in rows]

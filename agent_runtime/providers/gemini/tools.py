"""Tools as Gemini is told of them: functions of ours, and what Google itself runs (search, addresses, code). Pure."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from agent_runtime.errors import UsageError
from agent_runtime.providers.gemini.options import camel, cameled
from agent_runtime.providers.schemas import for_gemini
from agent_runtime.tools import FunctionTool, ProviderTool

JSON = dict[str, Any]

PROVIDERS = ("google", "gemini", "vertex_ai")
"""What `ProviderTool.provider` may be to be Google's."""

log = logging.getLogger("agent_runtime.llm")


@dataclass(slots=True)
class Tools:
    """What stands under ``tools``.

    Attributes:
        declarations: of functions, by name.
        googles: tools that Google runs.
    """

    declarations: dict[str, JSON] = field(default_factory=dict)
    googles: list[JSON] = field(default_factory=list)

    def add(self, given: Iterable[Any]) -> None:
        """Take tools of any form in which they are given.

        Raises:
            UsageError: something is no tool, or one of another service, or cannot be told to Gemini.
        """
        for tool in given:
            if isinstance(tool, FunctionTool):
                self._declare(tool.name, declaration(tool.name, tool.description, tool.parameters))
            elif isinstance(tool, ProviderTool):
                self._add_googles(tool)
            elif isinstance(tool, Mapping):
                self._add_dictionary(tool)
            else:
                raise UsageError(
                    f"{tool!r} is no tool; give a function with @function_tool, or {{'googleSearch': {{}}}}."
                )

    def _declare(self, name: str, made: JSON) -> None:
        if name in self.declarations:
            raise UsageError(
                f"There are two tools '{name}'; give one of them another name, as in @function_tool(name=...)."
            )
        self.declarations[name] = made

    def _add_googles(self, tool: ProviderTool) -> None:
        if tool.provider not in PROVIDERS:
            raise UsageError(
                f"The tool '{tool.name}' is run by {tool.provider}, which Gemini cannot ask; take it away, or use "
                "another model."
            )
        self.googles.append({camel(tool.name): cameled(dict(tool.options))})

    def _add_dictionary(self, tool: Mapping[str, Any]) -> None:
        function = tool.get("function", tool if "name" in tool else None)
        if isinstance(function, Mapping):
            name = function.get("name")
            if not isinstance(name, str) or not name:
                raise UsageError(f"A tool has no name: {str(dict(tool))[:80]}")
            self._declare(name, declaration(name, function.get("description") or "", function.get("parameters")))
            return
        declared = tool.get("functionDeclarations") or tool.get("function_declarations")
        if declared is not None:  # in Gemini's own words
            for each in declared:
                self._declare(str(each["name"]), dict(each))
        elif len(tool) == 1 and "type" not in tool:
            ((name, told),) = tool.items()
            self.googles.append({camel(str(name)): cameled(told or {})})
        else:
            raise UsageError(
                f"The tool {str(dict(tool))[:80]} is of no form that Gemini takes; give {{'type': 'function', 'function': "
                "{...}}, or one of Google's as {'googleSearch': {}}."
            )

    def wire(self, *, model: str, mixed: bool) -> list[JSON]:
        """``tools``.

        Args:
            model: for the warning.
            mixed: functions and Google's tools may stand together; else Google's are left out where both are.
        """
        if self.declarations and self.googles and not mixed:
            names = ", ".join(name for tool in self.googles for name in tool)
            log.warning(
                "%s takes no functions together with %s, which is left out; Gemini 3 in AI Studio takes both",
                model,
                names,
            )
            self.googles.clear()
        functions = [{"functionDeclarations": list(self.declarations.values())}] if self.declarations else []
        return [*functions, *self.googles]

    def choice(self, wanted: Any) -> JSON | None:
        """``functionCallingConfig``; None where there is nothing to choose.

        Raises:
            UsageError: the one that is wanted is not among them. What else it may be, `options` has seen to.
        """
        if wanted is None or not self.declarations:
            return None
        modes = {"auto": "AUTO", "required": "ANY", "none": "NONE"}
        if isinstance(wanted, str) and wanted in modes:
            return {"mode": modes[wanted]}
        name = wanted["function"]["name"]
        if name not in self.declarations:
            raise UsageError(f"tool_choice names the tool '{name}'; there are {', '.join(self.declarations)}.")
        return {"mode": "ANY", "allowedFunctionNames": [name]}


def declaration(name: str, description: str, parameters: Mapping[str, Any] | None) -> JSON:
    """A function, without parameters where it takes none: an empty object is refused."""
    made: JSON = {"name": name}
    if description:
        made["description"] = description
    if parameters and (not isinstance(parameters, Mapping) or parameters.get("properties")):
        made["parameters"] = for_gemini(parameters, what=f"The tool '{name}'")
    return made

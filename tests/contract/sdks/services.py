"""One call to all services of row C3 that speak OpenAI's wire, as users of LiteLLM write it: what it leaves out for whom."""

import logging
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import litellm  # type: ignore[import-not-found,import-untyped,attr-defined,unused-ignore]

from tests.contract.material import EVERYTHING, HELLO, KEY, SERVICES, WEATHER_TOOL
from tests.contract.sdks.running import run

PREFIXES = {"fireworks": "fireworks_ai", "mistralai": "mistral", "together": "together_ai"}
"""LiteLLM's names of services, where they are not ours."""

PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {
    "type": "function",
    "function": {"name": "get_weather", "description": WEATHER_TOOL, "parameters": PARAMETERS},
}
KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "tools": {"tools": [WEATHER], "tool_choice": "required", "parallel_tool_calls": False},
    "everything": EVERYTHING,
}


def calling(service: str, told: dict[str, Any]) -> Callable[[str], object]:
    def call(url: str) -> object:
        answer = litellm.completion(
            model=f"{PREFIXES.get(service, service)}/{SERVICES[service]}",
            api_base=f"{url}/v1",
            api_key=KEY,
            messages=[{"role": "user", "content": HELLO}],
            stream=True,
            stream_options={"include_usage": True},
            drop_params=True,
            num_retries=0,
            max_retries=0,
            _skip_mcp_handler=True,
            **told,
        )
        return list(answer)

    return call


if __name__ == "__main__":
    litellm.suppress_debug_info = True
    logging.disable(logging.CRITICAL)
    calls = {f"{service}_{kind}": calling(service, told) for service in SERVICES for kind, told in KINDS.items()}
    run(version("litellm"), calls, {})

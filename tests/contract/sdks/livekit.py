"""The calls as users of livekit-agents' `inference.LLM` write them, and what it makes of conversations for others."""

import asyncio
import base64
import dataclasses
import logging
from collections.abc import Callable
from typing import Any

import livekit.agents  # type: ignore[import-not-found,import-untyped,attr-defined,unused-ignore]
from livekit.agents import inference, llm  # type: ignore[import-not-found,import-untyped,attr-defined,unused-ignore]
from livekit.agents.types import APIConnectOptions  # type: ignore[import-not-found,import-untyped,attr-defined,unused-ignore]
from pydantic import BaseModel

from tests.contract.histories import histories, tools
from tests.contract.material import KEY, SAID, SECRET
from tests.contract.sdks.running import run

HISTORIES = histories(llm)
TOOLS = tools(llm)
BOTH = [TOOLS["get_weather"], TOOLS["book"]]
ASKED = {"chat_ctx": HISTORIES["question"], "tools": BOTH}
ONCE = APIConnectOptions(max_retry=0)


class Forecast(BaseModel):
    city: str
    degrees: int


def using(model: str = "openai/gpt-4.1", **extra: Any) -> dict[str, Any]:
    return {"made": {"model": model, "extra_kwargs": extra}}


CALLS: dict[str, dict[str, Any]] = {
    **{name: {"chat_ctx": chat_ctx} for name, chat_ctx in HISTORIES.items() if name != "question"},
    "tool_turn": {"chat_ctx": HISTORIES["tool_turn"], "tools": BOTH[:1]},
    "parallel_calls": {"chat_ctx": HISTORIES["parallel_calls"], "tools": BOTH[:1]},
    "spoken_call": {"chat_ctx": HISTORIES["spoken_call"], "tools": BOTH[:1]},
    "provider": {"made": {"model": "openai/gpt-4.1-mini", "provider": "azure"}},
    "low": {"made": {"model": "google/gemini-2.5-flash-lite", "inference_class": "low"}},
    "priority": {"inference_class": "priority"},
    "tools": ASKED,
    "rich_tools": {"chat_ctx": HISTORIES["question"], "tools": [TOOLS["order"], TOOLS["hang_up"]]},
    "free_keys": {"chat_ctx": HISTORIES["question"], "tools": [TOOLS["mark"]]},
    "choice_auto": {**ASKED, "tool_choice": "auto"},
    "choice_required": {**ASKED, "tool_choice": "required"},
    "choice_none": {**ASKED, "tool_choice": "none"},
    "choice_named": {**ASKED, "tool_choice": {"type": "function", "function": {"name": "book"}}},
    "choice_made": {**ASKED, **using(tool_choice="required", parallel_tool_calls=False)},
    "choice_alone": {"tool_choice": "required"},
    "one_call": {**ASKED, "parallel_tool_calls": False},
    "sampling": using(temperature=0.7, top_p=0.9, max_completion_tokens=100),
    "max_tokens": using(max_tokens=100),
    "penalties": using(frequency_penalty=0.5, presence_penalty=-0.5),
    "seed": using(seed=7),
    "stop": using(stop=["\n", "END"]),
    "stop_text": using(stop="END"),
    "n": using(n=2),
    "logprobs": using(logprobs=True, top_logprobs=3),
    "logit_bias": using(logit_bias={"50256": -100}),
    "json_schema": {"response_format": Forecast},
    "effort": using("openai/gpt-5-mini", reasoning_effort="low"),
    "template": using("google/gemma-4-31b-it", extra_body={"add_generation_prompt": False}),
    "prefill": {
        "chat_ctx": HISTORIES["agent_last"],
        **using("google/gemma-4-31b-it", extra_body={"continue_final_message": True, "add_generation_prompt": False}),
    },
    "user": using(user="caller-7", metadata={"line": "2"}, store=True, service_tier="flex"),
    "extra": using(extra_headers={"X-Trace": "t1"}, extra_query={"beta": "1"}, extra_body={"top_k": 5}),
    "call_extra": {"extra_kwargs": {"temperature": 0.2}},
    **{
        f"drops_{name}": using(
            model,
            temperature=0.7,
            top_p=0.9,
            frequency_penalty=0.5,
            presence_penalty=0.5,
            logit_bias={"50256": -100},
            logprobs=True,
            top_logprobs=3,
            n=2,
            stop="END",
            seed=7,
            max_completion_tokens=100,
            **more,
        )
        for name, model, more in (
            ("o3", "openai/o3", {}),
            ("gpt_5", "openai/gpt-5", {}),
            ("gpt_5_1_none", "openai/gpt-5.1", {"reasoning_effort": "none"}),
            ("gpt_6", "openai/gpt-6-sol", {}),
            ("gpt_6_none", "openai/gpt-6-sol", {"reasoning_effort": "none"}),
            ("grok", "xai/grok-4-1-fast-reasoning", {}),
            ("grok_plain", "xai/grok-4-1-fast-non-reasoning", {}),
            ("gemini", "google/gemini-2.5-pro", {}),
        )
    },
    "effort_with_tools": {**ASKED, **using("openai/gpt-5.2", reasoning_effort="low")},
}


def chatting(told: dict[str, Any]) -> Callable[[str], object]:
    async def ask(url: str) -> None:
        asked = {"chat_ctx": HISTORIES["plain"], **told}
        made = {"model": "openai/gpt-4.1", **asked.pop("made", {})}
        model = inference.LLM(**made, base_url=f"{url}/v1", api_key=KEY, api_secret=SECRET)
        async with model.chat(**asked, conn_options=ONCE) as stream:
            async for _ in stream:
                pass
        await model.aclose()

    return lambda url: asyncio.run(ask(url))


def read(url: str) -> dict[str, Any]:
    async def ask() -> dict[str, Any]:
        found: dict[str, Any] = {"text": "", "calls": []}
        model = inference.LLM("openai/gpt-4.1", base_url=f"{url}/v1", api_key=KEY, api_secret=SECRET)
        try:
            async with model.chat(chat_ctx=HISTORIES["plain"], conn_options=ONCE) as stream:
                async for chunk in stream:
                    if chunk.delta is not None:
                        found["text"] += chunk.delta.content or ""
                        found["calls"] += [
                            {"id": call.call_id, "name": call.name, "arguments": call.arguments}
                            for call in chunk.delta.tool_calls
                        ]
                    if chunk.usage is not None:
                        found["usage"] = {
                            "prompt_tokens": chunk.usage.prompt_tokens,
                            "completion_tokens": chunk.usage.completion_tokens,
                            "cached_tokens": chunk.usage.prompt_cached_tokens,
                            "reasoning_tokens": chunk.usage.reasoning_tokens,
                        }
        except livekit.agents.APIError as error:
            found["error"] = [type(error).__name__, str(error.__cause__ or error)]
        await model.aclose()
        return found

    return asyncio.run(ask())


def converted() -> dict[str, dict[str, Any]]:
    """What its own conversions make of the conversations, for the services of others."""
    made: dict[str, dict[str, Any]] = {}
    for form in ("google", "anthropic", "aws"):
        made[form] = {}
        for name, chat_ctx in HISTORIES.items():
            try:
                messages, more = chat_ctx.to_provider_format(form)
            except ValueError as error:
                made[form][name] = {"refused": str(error)}
                continue
            told = {"messages": plain(messages), "system": dataclasses.asdict(more)["system_messages"]}
            made[form][name] = told
    return made


def declared() -> dict[str, Any]:
    """What its own conversions make of the tools."""
    kit = llm.ToolContext([tool for name, tool in TOOLS.items() if name != "mark"])
    return {
        "anthropic": kit.parse_function_tools("anthropic", strict=False),
        "anthropic-strict": kit.parse_function_tools("anthropic", strict=True),
        "aws": kit.parse_function_tools("aws"),
    }


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    calls = {name: chatting(told) for name, told in CALLS.items()}
    run(livekit.agents.__version__, calls, dict.fromkeys(SAID, read), converted=converted(), tools=declared())

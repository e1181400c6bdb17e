"""Anthropic's own SDK judges what we send: its types, checked by pydantic, take every body. Needs .venv-anthropic."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from agent_runtime.chat import ChatContext, ChatMessage
from agent_runtime.content import FileContent, ImageContent
from agent_runtime.tools import ProviderTool
from tests.environments import skip_without
from tests.providers.anthropic_events import OLD, body
from tests.providers.wires import PNG, book, called, conversation, get_weather

ROOT = Path(__file__).parents[3]
PYTHON = ROOT / ".venv-anthropic/bin/python"

JUDGE = """
import json, sys
from pydantic import TypeAdapter, ValidationError
from anthropic.types import message_create_params

adapter, found = TypeAdapter(message_create_params.MessageCreateParamsStreaming), []
for body in json.load(sys.stdin):
    try:
        read = adapter.validate_python(body)
        for message in read["messages"]:
            list(message["content"])  # these are looked at as they are read
        list(read.get("tools", ())), list(read.get("system", ()))
        found.append("")
    except ValidationError as error:
        found.append(str(error))
print(json.dumps(found))
"""

THOUGHTS = {"anthropic": {"thoughts": [{"text": "Hm", "signature": "s"}, {"redacted": "d"}]}}
CTX = conversation(
    ("system", "Be brief."),
    ("user", "Weather?"),
    *called("c1", "get_weather", '{"city": "Rome"}', "sunny", is_error=True, extra=THOUGHTS),
    ("assistant", "It is sunny."),
    ("user", "Thanks"),
)
PARTS: list[Any] = [
    "Look",
    ImageContent(image=PNG),
    ImageContent(image="https://example.com/a.png"),
    FileContent(data=b"%PDF-1.4"),
    FileContent(data=b"x", mime_type="text/plain"),
]
FORM = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "title": "Form"}
SEARCH = ProviderTool("anthropic", "web_search_20250305", {"max_uses": 2})


def bodies() -> list[dict[str, Any]]:
    caching = {"type": "ephemeral", "ttl": "1h"}
    most = {"caching": caching, "reasoning_effort": "low", "user": "u", "stop": "x", "max_tokens": 50}
    return [
        body(CTX, tools=[get_weather, SEARCH], parallel_tool_calls=False, options=most),
        body(CTX, options={"model": OLD, "thinking": {"type": "enabled", "budget_tokens": 1024}}),
        body(CTX),
        body(ChatContext([ChatMessage(role="user", content=PARTS)])),
        body(tools=[book], tool_choice="none"),
        body(tools=[book], tool_choice="required", options={"strict_tools": True, "temperature": 0.5}),
        body(tools=[book], tool_choice={"type": "function", "function": {"name": "book"}}),
        body(response_format=FORM),
        body(response_format=FORM, options={"structured_output": "tool"}),
    ]


@pytest.mark.real_time
def test_row_2_the_sdks_types_take_every_body() -> None:
    skip_without(PYTHON)
    wrong = {**body(), "messages": [{"role": "tool", "content": "x"}]}
    given = json.dumps([*bodies(), wrong])
    done = subprocess.run([PYTHON, "-c", JUDGE], input=given, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    *ours, of_the_wrong_one = json.loads(done.stdout)
    assert ours == [""] * len(bodies())
    assert of_the_wrong_one, "the judge would not see anything"

"""What stands between the bars of ``A | B ~600ms``."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_runtime.errors import UsageError
from agent_runtime.inference.chain import Link, parse

A, B, C = "google/gemini-2.5-flash", "groq/openai/gpt-oss-120b", "ollama/llama3.1:8b?temperature=0.2"


@pytest.mark.parametrize(
    ("text", "links"),
    [
        (A, [Link(A)]),
        (f"  {A} ", [Link(A)]),
        (f"{A} | {B}", [Link(A), Link(B)]),
        (f"{A}|{B}|{C}", [Link(A), Link(B), Link(C)]),
        (f"{A} | {B} ~600ms", [Link(A), Link(B, 0.6)]),
        (f"{A} | {B} ~0.6s", [Link(A), Link(B, 0.6)]),
        (f"{A} | {B}  ~p90 | {C} ~2s", [Link(A), Link(B, "p90"), Link(C, 2.0)]),
        (f"{A} | {C} ~1.5s", [Link(A), Link(C, 1.5)]),
        (
            "local/rules | local/piper?model=~/voices/alba.onnx",
            [Link("local/rules"), Link("local/piper?model=~/voices/alba.onnx")],
        ),
        ("local/piper?model=/my voices/alba.onnx", [Link("local/piper?model=/my voices/alba.onnx")]),
    ],
)
def test_links_and_hedges(text: str, links: list[Link]) -> None:
    assert parse(text) == tuple(links)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("| groq/x", "The LLM '| groq/x' has nothing on side 1 of its '|'; name a model there"),
        ("groq/x |", "has nothing on side 2"),
        ("groq/x | | groq/y", "has nothing on side 2"),
        ("|", "has nothing on side 1"),
        ("groq/x | groq/y ~0ms", "has the hedge '~0ms', which would ask both at once; give the first some time"),
        ("groq/x | groq/y ~0.0s", "which would ask both at once"),
        ("groq/x | groq/y ~", "has a '~' without a time; a hedge is '~600ms', '~0.6s' or '~p90'."),
        ("groq/x | groq/y ~fast", "has '~fast'; a hedge is"),
        ("groq/x | groq/y ~600", "has '~600'; a hedge is"),
        ("groq/x | groq/y ~-5ms", "has '~-5ms'; a hedge is"),
        ("groq/x | groq/y ~p95", "has '~p95'; a hedge is"),
        ("groq/x ~600ms | groq/y", "has a hedge behind its first model, which is asked at once"),
        ("groq/x ~600ms", "'groq/x | provider/model ~600ms'"),
        ("groq/x | groq/y~600ms", "has a '~' in its name; before a hedge is a space: 'groq/y ~600ms'."),
        ("groq/llama 3", "The LLM 'groq/llama 3' has a space in its name; write it without, perhaps 'groq/llama-3'."),
        ("local /rules", "has a space in its name; write it without, perhaps 'local/rules'."),
        ("groq / llama 3 : x", "perhaps 'groq/llama-3:x'."),
        ("groq/x | groq/x ~600ms", "names 'groq/x' twice; take one away."),
    ],
)
def test_what_is_wrong_is_named_with_the_fix(text: str, told: str) -> None:
    with pytest.raises(UsageError, match=re.escape(told)):
        parse(text)


def test_a_message_names_the_kind_of_node() -> None:
    with pytest.raises(UsageError, match=r"^The TTS 'openai/tts-1 \|' has nothing on side 2"):
        parse("openai/tts-1 |", what="TTS")


@given(st.text(alphabet="ab/|~. :?=&0msp9\n", max_size=30))
def test_any_text_is_a_chain_or_a_usage_error(text: str) -> None:
    try:
        links = parse(text)
    except UsageError:
        return
    assert links[0].hedge is None
    for link in links[1:]:
        assert link.hedge is None or link.hedge == "p90" or link.hedge > 0
    again = " | ".join(link.descriptor + ("" if link.hedge is None else _written(link)) for link in links)
    assert parse(again) == links


def _written(link: Link) -> str:
    return " ~p90" if link.hedge == "p90" else f" ~{link.hedge:.9f}s"

"""Thoughts between tags are taken out of a text, however it is cut (row A9)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_runtime.providers.thinking import ThinkTags

GEMMA = ("<|channel>thought", "<channel|>")


def parted(pieces: list[str], tags: ThinkTags) -> tuple[str, str]:
    fed = [tags.feed(piece) for piece in pieces] + [tags.end()]
    return "".join(spoken for spoken, _ in fed), "".join(thought for _, thought in fed)


@pytest.mark.parametrize(
    ("text", "spoken", "thought"),
    [
        ("Hello.", "Hello.", ""),
        ("<think>Hm.</think>\n\nHello.", "Hello.", "Hm."),
        ("<think>a</think> b <think>c</think> d", "b  d", "ac"),
        ("1 < 2 and 2 <thin", "1 < 2 and 2 <thin", ""),
        ("<think>never closed </thin", "", "never closed </thin"),
        ("<think></think>", "", ""),
        ("a</think>b", "a</think>b", ""),
    ],
)
def test_a_text_in_one_piece(text: str, spoken: str, thought: str) -> None:
    assert parted([text], ThinkTags()) == (spoken, thought)


def test_a9_gemma_has_tags_of_its_own() -> None:
    assert parted(["<|channel>thought Hm. <chan", "nel|>Hi."], ThinkTags(*GEMMA)) == ("Hi.", " Hm. ")


def test_a_text_that_begins_within_a_thought() -> None:
    assert parted(["Hm.</think>", "Hi."], ThinkTags(inside=True)) == ("Hi.", "Hm.")


PIECES = st.lists(st.sampled_from(["<think>", "</think>", "<", "think", ">", " ", "\n", "a", "</", "é"]), max_size=12)


@given(PIECES, st.data())
def test_any_cut_gives_the_same(pieces: list[str], data: st.DataObject) -> None:
    text = "".join(pieces)
    places = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    cut = [text[start:end] for start, end in zip([0, *places], [*places, len(text)], strict=True)]
    assert parted(cut, ThinkTags()) == parted([text], ThinkTags())

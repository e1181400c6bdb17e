import random
import sys

import pytest

from agent_runtime.text.phrases import Phrase, PhraseSplitter


def split(text: str, step: int | None = None) -> list[str]:
    """The raw phrases of `text`, pushed `step` characters at a time, or in one piece."""
    splitter = PhraseSplitter()
    step = step or max(len(text), 1)
    phrases = [phrase for i in range(0, len(text), step) for phrase in splitter.push(text[i : i + step])]
    return [phrase.raw for phrase in phrases + splitter.flush()]


# What is cut where


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        # the first clause first
        (
            "If you like, I can do it now, or later. Just say.",
            ["If you like, ", "I can do it now, or later. ", "Just say."],
        ),
        ("Let me see; one moment please.", ["Let me see; ", "one moment please."]),
        ("There are two: red and blue.", ["There are two: ", "red and blue."]),
        ("Let me see - one moment.", ["Let me see - ", "one moment."]),
        ("Let me see \u2013 one moment.", ["Let me see \u2013 ", "one moment."]),
        ("Let me see\u2014one moment.", ["Let me see\u2014", "one moment."]),
        # a single word waits for its sentence, unless it is one
        ("Sure, I can help. With what?", ["Sure, I can help. ", "With what?"]),
        ("Hello! How are you?", ["Hello! ", "How are you?"]),
        ("Yes. It is.", ["Yes. ", "It is."]),
        # no clause end in sight
        (
            "I would really like to know whether you could come over to my house tomorrow.",
            ["I would really like to know whether you could come ", "over to my house tomorrow."],
        ),
        # later phrases end with their sentence
        ("One two. Red, green, and blue. Done?", ["One two. ", "Red, green, and blue. ", "Done?"]),
        # abbreviations and initials
        ("Mr. Smith and Mrs. J. Doe met. Fine.", ["Mr. Smith and Mrs. J. Doe met. ", "Fine."]),
        ("Use fruit (e.g. figs) in the U.S. today. Fine.", ["Use fruit (e.g. figs) in the U.S. today. ", "Fine."]),
        ("At 5 p.m. Dr. Who vs. Prof. X etc. and so on.", ["At 5 p.m. Dr. Who vs. Prof. X etc. and ", "so on."]),
        ("Das ist z.B. gut bzw. besser. Ja.", ["Das ist z.B. gut bzw. besser. ", "Ja."]),
        ("No. That is room No. 5. Right.", ["No. ", "That is room No. 5. Right."]),
        ("So do I. Really.", ["So do I. ", "Really."]),
        # numbers, times, ordinals
        ("It is 3.5 at 11:57 for 1,000 people. Ok.", ["It is 3.5 at 11:57 for 1,000 people. ", "Ok."]),
        ("Wir treffen uns am 3. Oktober. Gut.", ["Wir treffen uns am 3. Oktober. ", "Gut."]),
        ("It was in 2024. Then it ended.", ["It was in 2024. ", "Then it ended."]),
        ("It costs $42. Is that fine?", ["It costs $42. ", "Is that fine?"]),
        ("What is 5 - 3 then? Two.", ["What is 5 - 3 then? ", "Two."]),
        # addresses
        (
            "See https://a.bc/d?e=f,g;h. Or mail bob.x@y.org. Ok.",
            ["See https://a.bc/d?e=f,g;h. ", "Or mail bob.x@y.org. ", "Ok."],
        ),
        # an ellipsis is no end
        ("Well... I do not\u2026 know. Ok.", ["Well... I do not\u2026 know. ", "Ok."]),
        # what closes stays with what it closes
        ('"Stop it!" She left. (Really.) Yes.', ['"Stop it!" ', "She left. ", "(Really.) ", "Yes."]),
        ("That is **bold.** And *this!* Ok.", ["That is **bold.** ", "And *this!* ", "Ok."]),
        ("Good!\U0001f389 And now? Ok.", ["Good!\U0001f389 ", "And now? ", "Ok."]),
        ("What?! No!! Ok.", ["What?! ", "No!! ", "Ok."]),
        # other scripts
        ("你好。我是助手，很高兴。谢谢！！再见", ["你好。", "我是助手，很高兴。", "谢谢！！", "再见"]),
        ("我可以帮你，请说。", ["我可以帮你，", "请说。"]),
        ("「好的。」他说。", ["「好的。」", "他说。"]),
        ("नमस्ते। आप कैसे हैं? ठीक है।", ["नमस्ते। ", "आप कैसे हैं? ", "ठीक है।"]),
        ("کیا حال ہے؟ میں ٹھیک ہوں۔ شکریہ۔", ["کیا حال ہے؟ ", "میں ٹھیک ہوں۔ ", "شکریہ۔"]),
        ("حسنا يا صديقي، سأفعل. شكرا", ["حسنا يا صديقي، ", "سأفعل. ", "شكرا"]),
        # lines
        ("You need:\n- eggs, fresh\n- milk\nBye", ["You need:\n", "- eggs, fresh\n", "- milk\n", "Bye"]),
        ("It is so. Do this:\n1. Sit.\n2. Wait.", ["It is so. ", "Do this:\n", "1. Sit.\n", "2. Wait."]),
        ("# A title\nIt is a text\nin two lines. Ok.", ["# A title\n", "It is a text\nin two lines. ", "Ok."]),
        ("Be it so. One\n\nTwo", ["Be it so. ", "One\n\n", "Two"]),
        ("", []),
        (" \n", [" \n"]),
    ],
)
def test_phrases(text: str, phrases: list[str]) -> None:
    assert split(text) == phrases


def test_a_phrase_is_there_with_the_space_behind_its_mark() -> None:
    splitter = PhraseSplitter()
    assert splitter.push("Let me see,") == []
    assert [phrase.raw for phrase in splitter.push(" ")] == ["Let me see, "]
    assert splitter.push("it is so.") == []
    assert [phrase.raw for phrase in splitter.push(" And")] == ["it is so. "]


def test_each_utterance_starts_with_a_first_clause() -> None:
    splitter = PhraseSplitter()
    splitter.push("It is done. ")
    assert splitter.push("Well then, that was it") == []
    splitter.flush()
    assert [phrase.raw for phrase in splitter.push("Well then, that was it")] == ["Well then, "]


def test_long_sentences_are_cut_at_a_clause_end_and_at_last_anywhere() -> None:
    clauses = "It is so. " + "word " * 24 + "and, " + "word " * 80 + "end."
    first, second, *rest = split(clauses)
    assert first == "It is so. "
    assert second == "word " * 24 + "and, "
    assert max(len(phrase.split()) for phrase in rest) == 30
    assert max(map(len, split("It is so. " + "extraordinarily " * 100))) <= 216


def test_spoken_is_made_of_raw_by_the_transform_in_order() -> None:
    seen = []

    def transform(raw: str) -> str:
        seen.append(raw)
        return raw.strip().upper()

    splitter = PhraseSplitter(transform)
    phrases = splitter.push("One two. Three. ") + splitter.flush()
    assert phrases == [Phrase("One two. ", "ONE TWO."), Phrase("Three. ", "THREE.")]
    assert seen == ["One two. ", "Three. "]


# Whatever comes in

ALPHABET = [
    *"ab1.,;:!?-\u2014 \n\n\t",
    "Mr.",
    "e.g. ",
    "你好",
    "。",
    "，",
    "」",
    '"',
    "**",
    "```",
    "- ",
    "1. ",
    "\U0001f44d\U0001f3fd",
    "\u200d",
    "۔",
    "a" * 90,
]


@pytest.mark.parametrize("seed", range(40))
def test_nothing_is_lost_and_the_tokens_do_not_matter(seed: int) -> None:
    draw = random.Random(seed)
    text = "".join(draw.choices(ALPHABET, k=400))
    whole = split(text)
    assert "".join(whole) == text
    assert all(whole)
    assert max(map(len, whole)) <= 401
    for step in (1, 2, 3, 7):
        assert split(text, step) == whole


@pytest.mark.parametrize(
    "unit", ["a", "word ", "Well then, it is. ", " ", "\n", "。", "你", "\u2014", ". ", "\U0001f600\u200d"]
)
@pytest.mark.parametrize("step", [None, 1])
def test_time_is_linear(unit: str, step: int | None) -> None:
    """Counted in lines of Python run, so that no slow machine fails it: eight times the text, about eight times the work."""

    def work(characters: int) -> int:
        lines = 0

        def count(frame: object, event: str, arg: object) -> object:
            nonlocal lines
            lines += event == "line"
            return count

        text = unit * (characters // len(unit))
        before = sys.gettrace()
        sys.settrace(count)  # type: ignore[arg-type]
        try:
            split(text, step)
        finally:
            sys.settrace(before)
        return lines

    assert work(8000) < 10 * work(1000) + 1000


def test_a_hundred_thousand_characters() -> None:
    for text in ("a" * 100_000, "Well then, it is. " * 5555, " " * 100_000):
        assert "".join(split(text)) == "".join(split(text, 1)) == text


def test_an_unbroken_text_is_not_cut_inside_of_an_emoji() -> None:
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
    for phrase in split("x" + family * 300):
        assert not phrase.startswith("\u200d")
        assert not phrase.endswith("\u200d")

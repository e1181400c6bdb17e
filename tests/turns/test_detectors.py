import random
import sys
from collections.abc import Callable

import pytest

from agent_runtime.turns.detectors import TextDetector, TurnDetector, TurnSoFar
from tests.turns import unseen
from tests.turns.utterances import ELSEWHERE, FINISHED, UNFINISHED, WAIT, table


def turn(text: str, language: str | None = "en", agent_said: str = "") -> TurnSoFar:
    return TurnSoFar(text, language, last_voiced=0.0, agent_said=agent_said)


def judged(said: TurnSoFar) -> str:
    detector = TextDetector()
    if detector.wants_time(said):
        return "wait"
    likelihood = detector.predict(said)
    assert likelihood is not None
    return "finished" if likelihood >= 0.5 else "unfinished"


TABLES = {"finished": table(FINISHED), "unfinished": table(UNFINISHED), "wait": table(WAIT)}


def test_english_accuracy() -> None:
    wrong = [
        (kind, asked, text)
        for kind, rows in TABLES.items()
        for asked, text in rows
        if judged(turn(text, agent_said=asked)) != kind
    ]
    count = sum(map(len, TABLES.values()))
    print(f"local/text: {1 - len(wrong) / count:.3f} of {count} English turns; wrong: {wrong}", file=sys.stderr)
    assert count >= 150
    assert len(wrong) / count <= 0.03
    for kind, rows in TABLES.items():
        assert sum(each[0] == kind for each in wrong) / len(rows) <= 0.05


def test_accuracy_on_turns_that_no_rule_was_made_for() -> None:
    scores = {}
    for name, written, kind, least in (
        ("FINISHED", unseen.FINISHED, "finished", 92),
        ("UNFINISHED", unseen.UNFINISHED, "unfinished", 90),
        ("LATER_FINISHED", unseen.LATER_FINISHED, "finished", 68),
        ("LATER_UNFINISHED", unseen.LATER_UNFINISHED, "unfinished", 73),
    ):
        rows = table(written)
        wrong = [text for asked, text in rows if judged(turn(text, agent_said=asked)) != kind]
        scores[name] = f"{len(rows) - len(wrong)} of {len(rows)}"
        print(f"local/text, unseen: {name} {scores[name]}; wrong: {wrong}", file=sys.stderr)
        assert len(rows) - len(wrong) >= least, wrong


@pytest.mark.parametrize(("asked", "text"), table(unseen.WHOLE))
def test_what_ends_in_a_preposition_may_be_whole(asked: str, text: str) -> None:
    assert judged(turn(text, agent_said=asked)) == "finished"


@pytest.mark.parametrize(("asked", "text"), table(unseen.OPEN))
def test_and_it_may_not(asked: str, text: str) -> None:
    assert judged(turn(text, agent_said=asked)) == "unfinished"


def test_who_is_about_to_leave_does_not_ask_to_wait() -> None:
    assert judged(turn("let me think about it")) == "wait"
    assert judged(turn("let me think about it and call you back")) == "finished"


@pytest.mark.parametrize("language", ELSEWHERE)
def test_accuracy_elsewhere(language: str) -> None:
    rows = [(kind, text) for kind, texts in ELSEWHERE[language].items() for text in texts.split(" | ")]
    wrong = [(kind, text) for kind, text in rows if judged(turn(text, language)) != kind]
    assert len(wrong) / len(rows) <= 0.07, wrong


@pytest.mark.parametrize("write", [str.upper, lambda text: text.rstrip(".?") + ".", lambda text: text + "..."])
def test_case_and_punctuation_change_nothing(write: Callable[[str], str]) -> None:
    for rows in TABLES.values():
        for asked, text in rows:
            if "@" not in text:
                assert judged(turn(write(text), agent_said=asked)) == judged(turn(text, agent_said=asked))


def test_what_was_asked_makes_an_answer() -> None:
    detector = TextDetector()
    for text in ("large", "the address", "five"):
        alone = detector.predict(turn(text))
        answer = detector.predict(turn(text, agent_said="What would you like?"))
        assert alone is not None
        assert answer is not None
        assert answer > alone
    assert detector.predict(turn("five five", agent_said="What is your phone number?")) == pytest.approx(0.05)


def test_a_number_is_whole_when_it_is_long_enough() -> None:
    digits = "five five five one two three four five six seven".split()
    detector = TextDetector()
    for count in range(1, 11):
        likelihood = detector.predict(turn("my phone number is " + " ".join(digits[:count])))
        assert likelihood is not None
        assert (likelihood >= 0.9) == (count == 10)
        assert count == 7 or likelihood in (0.05, 0.95)  # seven digits may be a number without its area code


@pytest.mark.parametrize("language", ["multi", "zh", None, "", "klingon"])
def test_no_opinion_in_a_language_without_words(language: str | None) -> None:
    detector = TextDetector()
    assert detector.predict(turn("I would like a", language)) is None
    assert not detector.wants_time(turn("hold on", language))


def test_no_opinion_without_words() -> None:
    assert TextDetector().predict(turn("")) is None
    assert TextDetector().predict(turn("[cough] ...")) is None


def test_a_turn_without_language_has_the_detectors() -> None:
    detector = TextDetector("en")
    assert detector.predict(turn("I would like a", None)) == detector.predict(turn("I would like a", "en"))
    assert detector.predict(turn("I would like a", "multi")) is None
    assert detector.complaint(None) is None


def test_one_complaint_a_language_and_detector() -> None:
    detector = TextDetector()
    assert detector.complaint("en-GB") is None
    assert "'multi'" in (detector.complaint("multi") or "")
    assert detector.complaint("multi") is None
    assert detector.complaint("zh") is not None
    assert TextDetector().complaint("multi") is not None


def test_it_is_a_turn_detector() -> None:
    detector: TurnDetector = TextDetector()
    assert isinstance(detector, TurnDetector)
    assert detector.label == "local/text"


def test_any_text_has_an_answer_between_0_and_1() -> None:
    dice = random.Random(5)
    words = [word for rows in TABLES.values() for _, text in rows for word in text.split()]
    detector = TextDetector()
    for _ in range(1500):
        text = " ".join(dice.choices(words, k=dice.randrange(1, 12)))
        if dice.random() < 0.5:
            characters = [chr(dice.choice([dice.randrange(128), dice.randrange(0x3000), dice.randrange(0x110000)]))] * 3
            place = dice.randrange(len(text))
            text = text[:place] + "".join(characters) + text[place:]
        language = dice.choice(["en", "de", "fr", "es", "it", "pt", "nl", "pl", "ja", None])
        said = turn(text, language, dice.choice(["", "Which one?", text[::-1]]))
        likelihood = detector.predict(said)
        assert likelihood is None or 0 <= likelihood <= 1
        assert detector.wants_time(said) in (True, False)
        assert detector.predict(said) == likelihood

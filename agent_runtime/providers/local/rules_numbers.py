"""Numbers in words, both ways, and sums of them."""

import re
from collections.abc import Sequence
from fractions import Fraction

from agent_runtime.providers.local.phrases import NUMBERS

_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9}
_ONES = {word: value for word, value in NUMBERS.items() if value < 20}
_TENS = {word: value for word, value in NUMBERS.items() if 20 <= value < 100 and " " not in word}
_HYPHENED = {word.replace(" ", "-"): value for word, value in NUMBERS.items() if 20 < value < 100 and " " in word}
_WORDS = {value: word for word, value in (_ONES | _TENS).items()}
_LARGEST_SPELLED = 10**6
_LARGEST = 10**15
"""What is larger is no sum for a conversation, and a power could fill the memory."""


def read_number(words: Sequence[str], at: int = 0) -> tuple[Fraction, int] | None:
    """The number that begins at `words[at]`, and the index behind it; None where none begins.

    Reads digits (``"12"``, ``"3.5"``) and words (``["twenty", "one"]``, ``["a", "hundred", "and", "five"]``,
    ``["three", "point", "five"]``, ``["twenty-five"]``).
    """
    if at < len(words) and re.fullmatch(r"\d+(\.\d+)?", words[at]):
        return Fraction(words[at]), at + 1
    total = group = 0
    room = 100  # what may still be added to the group must be below this: no "seven six", no "twenty forty"
    begin = at
    while at < len(words):
        word = words[at]
        follows = words[at + 1] if at + 1 < len(words) else ""
        if word == "a" and at == begin and (follows == "hundred" or follows in _SCALES):
            group, room = 1, 1
        elif word in _TENS and room > 20:
            group, room = group + _TENS[word], 10
        elif word in _ONES and (_ONES[word] < room or room == 100):
            group, room = group + _ONES[word], 1
        elif word in _HYPHENED and room > 20:
            group, room = group + _HYPHENED[word], 1
        elif word == "hundred" and 0 < group < 10:
            group, room = group * 100, 100
        elif word in _SCALES and group:
            total, group, room = total + group * _SCALES[word], 0, 100
        elif not (word == "and" and room == 100 and at > begin and (follows in _ONES or follows in _TENS)):
            break
        at += 1
    if at == begin:
        return None
    if at + 1 < len(words) and words[at] == "point" and words[at + 1] in _ONES:
        return _with_decimals(total + group, words, at + 1)
    return Fraction(total + group), at


def _with_decimals(whole: int, words: Sequence[str], at: int) -> tuple[Fraction, int]:
    digits = ""
    while at < len(words) and _ONES.get(words[at], 10) < 10:
        digits += str(_ONES[words[at]])
        at += 1
    return Fraction(f"{whole}.{digits}"), at


def spell(value: Fraction | int) -> str:
    """A number as it is said: ``"forty-two"``, ``"minus three point five"``; a hundredth is as fine as it gets."""
    value = Fraction(value)
    if value < 0:
        return f"minus {spell(-value)}"
    if value.denominator != 1:
        rounded = Fraction(round(value, 2))
        whole, decimals = divmod(rounded * 100, 100)
        if decimals == 0:
            return f"about {spell(whole)}"
        digits = f"{int(decimals):02d}".rstrip("0")
        said = f"{spell(whole)} point {' '.join(_WORDS[int(digit)] for digit in digits)}"
        return said if rounded == value else f"about {said}"
    return _spell_whole(int(value))


def _spell_whole(value: int) -> str:
    if value >= _LARGEST_SPELLED:
        return f"{value:,}"
    if value >= 1000:
        thousands, rest = divmod(value, 1000)
        joint = " and " if 0 < rest < 100 else " "
        return f"{_spell_whole(thousands)} thousand" + (joint + _spell_whole(rest) if rest else "")
    if value >= 100:
        hundreds, rest = divmod(value, 100)
        return f"{_WORDS[hundreds]} hundred" + (f" and {_spell_whole(rest)}" if rest else "")
    if value in _WORDS:
        return _WORDS[value]
    return f"{_WORDS[value // 10 * 10]}-{_WORDS[value % 10]}"


_ORDINALS = {1: "first", 2: "second", 3: "third", 5: "fifth", 8: "eighth", 9: "ninth", 12: "twelfth"}


def ordinal(value: int) -> str:
    """1 to 31 as the day of a month is said: ``"twenty-first"``."""
    if value in _ORDINALS:
        return _ORDINALS[value]
    if value > 20 and value % 10:
        return f"{_WORDS[value // 10 * 10]}-{ordinal(value % 10)}"
    word = _WORDS[value]
    return f"{word[:-1]}ieth" if word.endswith("y") else f"{word}th"


# Sums

_BEFORE = re.compile(
    r"^(?:(?:please|can you|could you|would you|tell me|and|so|then|ok|okay) )*"
    r"(?:what is|what's|whats|how much is|how much are|what does|what do|calculate|compute|work out|what about)? ?"
)
_AFTER = re.compile(r"(?: (?:make|makes|equal|equals|give|please)| =)+$")
_SPOKEN = (
    (r"multiplied by|×", "*"),
    (r"divided by|÷", "/"),
    (r"to the power of|\*\*", "^"),
    (r"percent of|% of", "%"),
    (r"(?:the )?square root of", "√"),
    (r"squared", "^ 2"),
    (r"cubed", "^ 3"),
    (r"plus", "+"),
    (r"minus|less", "-"),
    (r"times|(?<=\d )x(?= \d)", "*"),
    (r"over", "/"),
)
_SAID = {"+": "plus", "-": "minus", "*": "times", "/": "divided by", "^": "to the power of", "%": "percent of"}
_PRECEDENCE = {"+": 1, "-": 1, "*": 2, "/": 2, "%": 2, "^": 3}


class _NoSum(Exception):
    """The text is something else."""


def arithmetic(text: str) -> str | None:
    """The answer to a sum, as a sentence: ``"Seven times six is forty-two."``; None where the text is no sum."""
    tokens = _tokens(text)
    if not any(token in _PRECEDENCE or token == "√" for token in tokens):
        return None
    sum_ = _Sum(tokens)
    try:
        value = sum_.whole()
    except _NoSum:
        return None
    except ZeroDivisionError:
        return "I cannot divide by zero."
    said = " ".join(sum_.said)
    return f"{said[:1].upper()}{said[1:]} is {spell(value)}."


def _tokens(text: str) -> list[str]:
    text = re.sub(r"(?<=\d),(?=\d{3})", "", text.lower().replace("’", "'"))
    text = re.sub(r"(?<=[a-z])-(?=[a-z])", " ", text)
    text = re.sub(r"(\*\*|[+*/×÷^%=-])", r" \1 ", text)
    text = re.sub(r"(?<=\d)x(?=\d)", " x ", text)
    text = re.sub(r"(?<!\d)\.|\.(?!\d)|[?!,;:]", " ", text)
    text = _AFTER.sub("", _BEFORE.sub("", " ".join(text.split())))
    for spoken, symbol in _SPOKEN:
        text = re.sub(rf"(?<![a-z])(?:{spoken})(?![a-z])", symbol, text)
    return text.split()


class _Sum:
    """A recursive descent over the tokens; `said` is what was read, in words."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._at = 0
        self.said: list[str] = []

    def whole(self) -> Fraction:
        value = self._terms(1)
        if self._at != len(self._tokens):
            raise _NoSum
        return value

    def _terms(self, level: int) -> Fraction:
        if level > 3:
            return self._number()
        left = self._terms(level + 1)
        while self._at < len(self._tokens) and _PRECEDENCE.get(operator := self._tokens[self._at]) == level:
            self._at += 1
            self.said.append(_SAID[operator])
            left = _apply(operator, left, self._terms(level + 1))
        return left

    def _number(self) -> Fraction:
        token = self._tokens[self._at] if self._at < len(self._tokens) else ""
        if token in ("-", "negative"):
            self._at += 1
            self.said.append("minus")
            return -self._number()
        if token == "√":
            self._at += 1
            self.said.append("the square root of")
            return _root(self._number())
        read = read_number(self._tokens, self._at)
        if read is None:
            raise _NoSum
        value, self._at = read
        self.said.append(spell(value))
        return value


def _apply(operator: str, left: Fraction, right: Fraction) -> Fraction:
    match operator:
        case "+":
            value = left + right
        case "-":
            value = left - right
        case "*":
            value = left * right
        case "/":
            value = left / right
        case "%":
            value = left * right / 100
        case _:
            if right.denominator != 1 or abs(right) > 50 or abs(left) > 10**6:
                raise _NoSum
            value = Fraction(left**right)
    if abs(value) > _LARGEST:
        raise _NoSum
    return value


def _root(value: Fraction) -> Fraction:
    if value < 0:
        raise _NoSum
    return Fraction(float(value) ** 0.5).limit_denominator(10**6)

"""From what the model wrote to what the synthesiser says: markup and emoji are not for reading aloud.

`compose(["filter_markdown", "filter_emoji", replace({"SQL": "sequel"}), shout])` checks the list once; what it returns is
called for each utterance and gives the function that makes a phrase's `spoken` of its `raw`. That function remembers
from phrase to phrase what is open, which is why the next utterance needs a new one.
"""

import re
from collections.abc import Callable, Mapping, Sequence

from agent_runtime.errors import UsageError
from agent_runtime.text.words import speakable

TextTransform = Callable[[str], str]
"""Takes one phrase with its white space, returns what to say. It is called for each phrase of an utterance in order."""


def compose(
    transforms: Sequence[str | TextTransform] = ("filter_markdown", "filter_emoji"),
) -> Callable[[], TextTransform]:
    """All of `transforms` in order, started afresh by each call. A phrase in which nothing can be said becomes ''.

    Raises UsageError for a name that is not known and for what is no function; and, when a phrase comes, for a function
    that returns no text.
    """
    makers = [(_name(transform), _maker(transform)) for transform in transforms]

    def start() -> TextTransform:
        steps = [(name, make()) for name, make in makers]

        def spoken(raw: str) -> str:
            text = raw
            for name, step in steps:
                text = step(text)
                if not isinstance(text, str):
                    raise _no_text(text, name)
            return text.strip() if speakable(text) else ""

        return spoken

    return start


def _maker(transform: object) -> Callable[[], TextTransform]:
    if callable(transform):
        return lambda: transform
    if isinstance(transform, str) and transform in _BY_NAME:
        return _BY_NAME[transform]
    from difflib import get_close_matches

    near = get_close_matches(str(transform), _BY_NAME, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else f"Use {', '.join(map(repr, _BY_NAME))} or a function."
    raise UsageError(f"Unknown text transform {transform!r}. {hint}")


def _no_text(text: object, name: str) -> UsageError:
    return UsageError(
        f"The text transform {name} returned {type(text).__name__}; it must take a str, one phrase, and return a str."
    )


def _name(transform: object) -> str:
    return transform if isinstance(transform, str) else getattr(transform, "__name__", type(transform).__name__)


def filter_markdown(text: str) -> str:
    """`text` without Markdown and HTML tags: see `MarkdownFilter`."""
    return MarkdownFilter()(text)


def replace(replacements: Mapping[str, str], case_sensitive: bool = False) -> TextTransform:
    """Say other words: `replace({"SQL": "sequel", "kubectl": "kube control"})`.

    A term is replaced where it stands as a word, so "API" leaves "capital" alone; of two that fit, the longer one is
    taken, and what was put in is not looked at again.
    """
    said = {term if case_sensitive else term.casefold(): value for term, value in replacements.items() if term}
    if not said:
        return str
    longest_first = sorted(said, key=len, reverse=True)
    terms = re.compile("|".join(map(_as_word, longest_first)), 0 if case_sensitive else re.IGNORECASE)

    def replaced(text: str) -> str:
        return terms.sub(lambda found: said.get(found[0] if case_sensitive else found[0].casefold(), found[0]), text)

    return replaced


def _as_word(term: str) -> str:
    before = r"(?<!\w)" if term[0].isalnum() else ""
    after = r"(?!\w)" if term[-1].isalnum() else ""
    return before + re.escape(term) + after


# Emoji


_PICTURE = (
    "\U0001f000-\U0001f0ff\U0001f10d-\U0001f10f\U0001f16c-\U0001f171\U0001f17e\U0001f17f\U0001f18e\U0001f191-\U0001faff"
    "\u231a-\u231b\u2328\u23cf\u23e9-\u23fa\u25fb-\u25fe\u2600-\u266c\u2670-\u2775\u2795-\u2797\u27b0\u27bf"
    "\u2b1b\u2b1c\u2b50\u2b55\u303d\u3030"
)
"""What is a picture whichever way it is written. The musical sharp and flat, and plain arrows, are not."""
_TEXTUAL = (
    "\u00a9\u00ae\u203c\u2049\u2122\u2139\u2190-\u21ff\u24c2\u25aa-\u25b6\u25c0\u2794-\u27be\u2934\u2935\u2b05-\u2b07"
    "\u3297\u3299"
)
"""What is a picture only with a variation selector behind it: © and → are text."""

_ONE = rf"(?:[{_PICTURE}]\uFE0E?|[{_TEXTUAL}](?=\uFE0F))\uFE0F?[\U0001F3FB-\U0001F3FF]?[\U000E0020-\U000E007F]*"
_EMOJI = re.compile(rf"( *)(?:{_ONE}(?:\u200D{_ONE})*[\uFE0F\u200D]* *)+")
_KEYCAP = re.compile(r"([0-9#*])\uFE0F?\u20E3")
_NO_SPACE_BEFORE = tuple(".,!?;:…)]}\n。，！？")


def filter_emoji(text: str) -> str:
    """`text` without emoji, and without the spaces that they leave.

    Families, flags, tones of skin and variation selectors go as a whole. Digits and letters stay, a keycap becomes its
    digit ("press 1"), and so do ©, ® and arrows where they are not asked for as a picture.
    """
    if text.isascii():
        return text
    return _EMOJI.sub(_gap, _KEYCAP.sub(r"\1", text)).replace("\ufe0f", "")


def _gap(emoji: re.Match[str]) -> str:
    text, (start, end) = emoji.string, emoji.span()
    if start == 0 or text[start - 1].isspace() or text.startswith(_NO_SPACE_BEFORE, end):
        return ""
    return " "


# Markdown


_TAGS = (
    "a|abbr|b|big|blockquote|body|br|center|code|dd|del|details|div|dl|dt|em|figure|font|h[1-6]|hr|html|i|img|ins|kbd|li|"
    "mark|ol|p|pre|q|s|samp|section|small|span|strike|strong|sub|summary|sup|table|tbody|td|tfoot|th|thead|tr|tt|u|ul|var"
)
"""HTML only: a synthesiser's own tags (``<break time="1s"/>``, ``<emotion .../>``) are for the synthesiser."""

_ENTITIES = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'", "#39": "'", "nbsp": " ", "mdash": "—"}

_INLINE = re.compile(
    r"\\(?P<escaped>[\\`*_{}\[\]()#+.!|~<>-])"
    r"|(?P<ticks>`+)(?:(?P<code>[^`\n]+)(?P=ticks)(?!`))?"
    r"|!?\[(?P<label>[^\[\]\n]*)\](?:\((?:[^()\n]|\([^()\n]*\))*\)|\[[^\[\]\n]*\])"
    r"|\]\((?:https?:|mailto:|tel:|[/#.])[^()\s]*\)"  # the end of a link that began in the phrase before
    r"|<(?P<address>(?:https?://|mailto:)[^<>\s]+|[^<>\s@]+@[^<>\s@]+)>"
    rf"|</?(?P<tag>{_TAGS})(?:\s[^<>]*)?/?>"
    r"|<!--.*?(?:-->|$)"
    rf"|&(?P<entity>{'|'.join(_ENTITIES)});"
    r"|(?P<mark>\*{1,3}|(?<!_)_{1,3}(?!_)|~~)",
    re.IGNORECASE,
)
_MARKS = frozenset("\\`*_~[]<&\n")
"""What everything in `_INLINE` has at least one of, and the end of a line."""
_BOLD_INSIDE = re.compile(
    r"(?<=[^\W\d_])(\*\*)(?=[^\s*\d])([^*\n]+)(?<=\S)\1|(\*\*)(?=[^\s*\d])([^*\n]+)(?<=\S)\3(?=[^\W\d_])"
)
_FENCE = re.compile(r"\s*(?:```|~~~)")
_HEADING = re.compile(r"\s*#{1,6}\s+(?=\S)")
_HEADING_END = re.compile(r"\s+#+\s*$")
_MARKER = re.compile(r"(?:\s*>)*\s*(?:[-*+•‣◦]\s+(?:\[[ xX]\]\s+)?)?")
_RULE = re.compile(r"\s*(?:(?:[-*_]\s*){3,}|=+|\|?(?:\s*:?-+:?\s*\|)+\s*(?::?-+:?)?)\s*$")
_REFERENCE = re.compile(r"\s*\[[^\]]+\]:\s*\S+")


class MarkdownFilter:
    """Takes the phrases of an utterance in order and returns each without its markup.

    Of a link or a picture the text stays, of code the code, of a table row its cells with commas between them, of a
    numbered list the number. Code between fences stays as it is written. A star or an underscore is markup only at the
    edge of a word, and one behind a word only where another was open: ``2*3``, ``a * b``, ``snake_case`` and
    ``A* search`` stay.
    """

    def __init__(self) -> None:
        self._in_fence = False
        self._line_start = True
        self._open: dict[str, int] = {}  # emphasis: how many of each mark wait for their end

    def __call__(self, text: str) -> str:
        if (text[:1].isalpha() or not self._line_start) and _MARKS.isdisjoint(text):  # most phrases
            self._line_start = False
            return text
        first, *lines = text.split("\n")
        whole = self._line_start  # whether what comes next is a line from its start
        kept = [self._line(first) if whole else self._rest_of_line(first)]
        for line in lines:
            if whole and not first.strip():
                self._open.clear()  # emphasis ends with its paragraph
            kept.append(self._line(line))
            first, whole = line, True
        self._line_start = whole and not first.strip()
        return "\n".join(kept)

    def _rest_of_line(self, text: str) -> str:
        return text if self._in_fence else self._inline(text)

    def _line(self, line: str) -> str:
        """A line that is here from its start."""
        if line[:1].isalpha():  # none of what a line may begin with
            return self._rest_of_line(line)
        if _FENCE.match(line):
            self._in_fence = not self._in_fence
            return ""
        if self._in_fence:
            return line
        if _RULE.match(line) or _REFERENCE.match(line):
            return ""
        if line.lstrip().startswith("|"):
            return self._inline(_cells(line))
        if heading := _HEADING.match(line):
            return self._inline(_HEADING_END.sub("", line[heading.end() :]))
        marker = _MARKER.match(line)
        return self._inline(line[marker.end() :] if marker else line)

    def _inline(self, text: str) -> str:
        if _MARKS.isdisjoint(text):  # most phrases; the search below looks at every place in them
            return text
        return _INLINE.sub(self._without, _BOLD_INSIDE.sub(r"\2\4", text))

    def _without(self, found: re.Match[str]) -> str:
        if found["mark"]:
            return self._emphasis(found)
        if found["label"] is not None:
            return self._inline(found["label"])
        if found["entity"]:
            return _ENTITIES[found["entity"].lower()]
        if found["tag"]:
            return " " if found["tag"].lower() in ("br", "p", "li", "td", "tr", "div") else ""
        return found["escaped"] or found["code"] or found["address"] or ""

    def _emphasis(self, found: re.Match[str]) -> str:
        mark, text = found["mark"], found.string
        before, after = text[found.start() - 1 : found.start()], text[found.end() : found.end() + 1]
        kind, length = mark[0], len(mark)
        closes = bool(before) and not before.isspace() and not after.isalnum()
        if closes and (waiting := self._open.get(kind, 0)):
            self._open[kind] = max(waiting - length, 0)
            return ""
        opens = not before.isalnum() and after and not after.isspace() and after not in ".,;:!?/)]}="
        if opens:
            self._open[kind] = self._open.get(kind, 0) + length
            return ""
        return mark


def _cells(row: str) -> str:
    return ", ".join(cell.strip() for cell in row.strip().strip("|").split("|") if cell.strip()) + " "


_BY_NAME: dict[str, Callable[[], TextTransform]] = {
    "filter_markdown": MarkdownFilter,
    "filter_emoji": lambda: filter_emoji,
}

"""What a model thinks aloud between tags, kept apart from what it says."""

OPENING, CLOSING = "<think>", "</think>"


class ThinkTags:
    """Takes thoughts out of a text that comes in pieces, whatever the cuts. Pure.

    Blank space between a thought and what is said first is dropped. A thought that is never closed stays a thought.

    Args:
        opening: what begins a thought.
        closing: what ends it.
        inside: the text begins within a thought, its opening tag being part of the model's template.
    """

    __slots__ = ("_closing", "_first", "_held", "_inside", "_opening", "_said", "_trim")

    def __init__(self, opening: str = OPENING, closing: str = CLOSING, *, inside: bool = False) -> None:
        self._opening = opening
        self._closing = closing
        self._first = opening[0]
        self._inside = inside
        self._held = ""  # may become a tag
        self._said = False
        self._trim = False

    def feed(self, text: str) -> tuple[str, str]:
        """What of `text` is spoken, and what is thought."""
        if not self._inside and not self._held and not self._trim and self._first not in text:
            self._said = self._said or not (text.isspace() or not text)
            return text, ""
        return self._parted(self._held + text, last=False)

    def end(self) -> tuple[str, str]:
        """What was held back, because a tag could have become of it."""
        return self._parted(self._held, last=True)

    def _parted(self, text: str, *, last: bool) -> tuple[str, str]:
        spoken, thought = "", ""
        while text:
            tag = self._closing if self._inside else self._opening
            before, found, after = text.partition(tag)
            if not found:
                keep = 0 if last else _begun(text, tag)
                before, after = text[: len(text) - keep], text[len(text) - keep :]
            if self._inside:
                thought += before
            else:
                spoken += self._trimmed(before)
            text = after
            if not found:
                break
            self._inside = not self._inside
            self._trim = not self._inside and not self._said
        self._held = text
        return spoken, thought

    def _trimmed(self, text: str) -> str:
        if self._trim:
            text = text.lstrip()
            self._trim = not text
        self._said = self._said or bool(text.strip())
        return text


def _begun(text: str, tag: str) -> int:
    """How many characters at the end of `text` are a beginning of `tag`."""
    for length in range(min(len(text), len(tag) - 1), 0, -1):
        if tag.startswith(text[-length:]):
            return length
    return 0

"""Several models behind one name: ``A | B``, ``A | B ~600ms``, ``A | B ~p90``. Pure: text in, links out.

The first is asked; each that follows is there for when the one before it fails. A hedge, ``~`` and a time behind a
link, does not wait for that: the link is asked as well when the one before it has given nothing usable in that time.
``~p90`` learns the time: it is what nine in ten answers of the one before took to begin.
"""

import re
from dataclasses import dataclass
from typing import Literal

from agent_runtime.errors import UsageError

Hedge = float | Literal["p90"]

_HEDGE = re.compile(r"(?P<model>.*?)\s+~\s*(?P<after>\S*)", re.DOTALL)
SECRET = "(?:key|secret|token(?!s)|pass|pwd|auth|credential|header)"
"""What stands in the name of an option that may hold a secret; a regular expression."""

_SECRET = re.compile(rf"([?&][^=&|]*{SECRET}[^=&|]*=)[^&|]*?(?=\s*(?:[&|]|\s~|$))", re.IGNORECASE)
_LOGIN = re.compile(r"(://|%3a%2f%2f)[^&|\s]*(@|%40)", re.IGNORECASE)
_TIME = re.compile(r"(?P<number>\d+(?:\.\d+)?)(?P<unit>ms|s)")


@dataclass(frozen=True, slots=True)
class Link:
    """One model of a chain.

    Attributes:
        descriptor: as it would stand alone.
        hedge: seconds after which it is asked beside the one before it, or ``"p90"``; None: only when that has failed.
    """

    descriptor: str
    hedge: Hedge | None = None


def shown(text: str) -> str:
    """A descriptor or a chain without the secrets that its options may hold, for messages and labels."""
    return _LOGIN.sub(r"\1***\2", _SECRET.sub(r"\1***", text))


def parse(text: str, *, what: str = "LLM") -> tuple[Link, ...]:
    """Take a text apart at its ``|``: the models in the order in which they are asked. A descriptor alone is a chain of one.

    Args:
        what: the kind of node, for messages.

    Raises:
        UsageError: a side of a ``|`` is empty, a model stands twice, a hedge is no time above 0 or stands behind the
            first, or a descriptor has a space in it.
    """
    sides = text.split("|")
    if len(sides) > 1:
        for number, side in enumerate(sides, 1):
            if not side.strip():
                raise UsageError(
                    f"The {what} {shown(text)!r} has nothing on side {number} of its '|'; "
                    "name a model there or take the '|' away."
                )
    links = tuple(_link(side.strip(), text, what) for side in sides)
    if links[0].hedge is not None:
        raise UsageError(
            f"The {what} {shown(text)!r} has a hedge behind its first model, which is asked at once; "
            f"put it behind another: '{shown(links[0].descriptor)} | provider/model ~600ms'."
        )
    seen = set[str]()
    for link in links:
        if link.descriptor in seen:
            raise UsageError(f"The {what} {shown(text)!r} names {shown(link.descriptor)!r} twice; take one away.")
        seen.add(link.descriptor)
    return links


def _link(side: str, text: str, what: str) -> Link:
    match = _HEDGE.fullmatch(side)
    descriptor = match["model"] if match is not None else side
    hedge = _hedge(match["after"], text, what) if match is not None else None
    name = descriptor.partition("?")[0]
    if re.search(r"\s", name):
        whole = re.sub(r"\s+", "-", re.sub(r"\s*([/:])\s*", r"\1", name))
        raise UsageError(
            f"The {what} {shown(descriptor)!r} has a space in its name; write it without, perhaps {whole!r}."
        )
    if "~" in name:
        model, _, after = name.partition("~")
        raise UsageError(
            f"The {what} {shown(descriptor)!r} has a '~' in its name; before a hedge is a space: '{model} ~{after}'."
        )
    return Link(descriptor, hedge)


def _hedge(after: str, text: str, what: str) -> Hedge:
    if after == "p90":
        return "p90"
    match = _TIME.fullmatch(after)
    if match is None:
        given = f"'~{after}'" if after else "a '~' without a time"
        raise UsageError(f"The {what} {shown(text)!r} has {given}; a hedge is '~600ms', '~0.6s' or '~p90'.")
    seconds = float(match["number"]) / (1000 if match["unit"] == "ms" else 1)
    if not seconds:
        raise UsageError(
            f"The {what} {shown(text)!r} has the hedge '~{after}', which would ask both at once; "
            "give the first some time, for example '~600ms'."
        )
    return seconds

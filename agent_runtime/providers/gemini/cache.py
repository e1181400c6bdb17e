"""What Gemini keeps of a prompt between requests (`cachedContents`), by LiteLLM's rule.

Messages with the mark ``cache_control: {"type": "ephemeral"}`` are kept, the first unbroken run of them: later ones are
sent as ever. A cache is the beginning of a prompt, so what stands before the run is kept with it, and so are the
instructions and the tools, which no request may carry besides. Keeping takes two calls where it is not known yet whether
there is one: a list, then a new one. Its name is remembered until shortly before it ends.

That it cannot be kept is no reason not to answer: the request is then made without.
"""

import asyncio
import hashlib
import json
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from agent_runtime import clock
from agent_runtime.chat import AgentHandoff, ChatItem, ChatMessage
from agent_runtime.errors import APIError, UsageError
from agent_runtime.providers.http.exchange import Request

JSON = dict[str, Any]
Ask = Callable[[str, str, JSON | None], Awaitable[JSON]]
"""Method, path behind the service's address, body; the answer."""

LEAST_TOKENS = 1024
"""Less is refused."""

CHARACTERS_A_TOKEN = 4
TOKENS_A_PICTURE = 258

MARGIN = timedelta(seconds=30)
"""How long before its end a cache is no longer relied on."""

MOST_REMEMBERED = 1000
MOST_PAGES = 100

_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smh]?)")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}

log = logging.getLogger("agent_runtime.llm")


@dataclass(frozen=True, slots=True)
class Block:
    """What is to be kept.

    Attributes:
        until: the place of its last item in the history.
        ttl: for how long, as Gemini writes it (``300s``); None leaves it to Gemini.
    """

    until: int
    ttl: str | None = None


def first_block(items: Sequence[ChatItem]) -> Block | None:
    """The first unbroken run of marked messages; None where there is none.

    Raises:
        UsageError: a mark asks for a time that is none.
    """
    until, ttl = None, None
    for index, item in enumerate(items):
        if isinstance(item, AgentHandoff):
            continue
        mark = _mark(item)
        if mark is None:
            if until is not None:
                break
            continue
        until = index
        ttl = ttl or (duration(mark["ttl"]) if mark.get("ttl") is not None else None)
    return None if until is None else Block(until, ttl)


def _mark(item: ChatItem) -> Mapping[str, Any] | None:
    if not isinstance(item, ChatMessage) or (not item.extra and all(map(_is_text, item.content))):
        return None
    marks = [item.extra.get("cache_control") or item.extra.get("cache")]
    marks += [
        part.get("cache_control") if isinstance(part, Mapping) else getattr(part, "cache_control", None)
        for part in item.content
        if not isinstance(part, str)
    ]
    for mark in marks:
        if mark == "ephemeral":
            return {}
        if isinstance(mark, Mapping) and mark.get("type") == "ephemeral":
            return mark
    return None


def _is_text(part: Any) -> bool:
    return part.__class__ is str


def duration(text: Any) -> str:
    """``5m`` as ``300s``.

    Raises:
        UsageError: it is no length of time.
    """
    match = _DURATION.fullmatch(str(text))
    seconds = float(match[1]) * _SECONDS[match[2]] if match else 0
    if seconds <= 0:
        raise UsageError(f"cache_control has the ttl {text!r}; write it like '300s', '5m' or '1h'.")
    return f"{seconds:g}s"


def tokens(kept: Mapping[str, Any]) -> int:
    """About how many tokens a cache would have. Pictures and files are counted low."""
    parts = [part for content in kept.get("contents", ()) for part in content["parts"]]
    parts += (kept.get("systemInstruction") or {}).get("parts", ())
    texts = sum(len(part.get("text") or "") for part in parts) + len(json.dumps(kept.get("tools") or ""))
    others = sum("text" not in part for part in parts)
    return texts // CHARACTERS_A_TOKEN + others * TOKENS_A_PICTURE


class Caches:
    """The caches that one model knows of."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, datetime]] = {}
        self._refused: set[str] = set()
        self._lock: asyncio.Lock | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def name(self, kept: JSON, ttl: str | None, ask: Ask) -> str | None:
        """The name of the cache that holds `kept`, made where there is none; None where it cannot be had."""
        if tokens(kept) < LEAST_TOKENS:
            log.debug("about %d tokens are too few for a cache, which takes %d", tokens(kept), LEAST_TOKENS)
            return None
        key = _key(kept)
        if key in self._refused:
            return None
        async with self._alone():  # two turns at once must not make two
            known = self._remembered(key)
            if known is not None:
                return known
            try:
                found = await self._listed(key, ask)
                return self._remember(key, found or await ask("POST", "cachedContents", _wanted(kept, key, ttl)))
            except APIError as error:
                if not error.retryable:
                    self._note(key)
                log.warning("the prompt is sent without a cache: %s", error)
                return None

    def forget(self) -> None:
        """A cache that was named was not there any more."""
        self._known.clear()

    def _alone(self) -> asyncio.Lock:
        loop = asyncio.get_running_loop()
        if self._lock is None or self._loop is not loop:
            self._lock, self._loop = asyncio.Lock(), loop
        return self._lock

    def _note(self, key: str) -> None:
        if len(self._refused) >= MOST_REMEMBERED:
            self._refused.clear()
        self._refused.add(key)

    def _remembered(self, key: str) -> str | None:
        name, ends = self._known.get(key, ("", None))
        if ends is None or clock.wall() + MARGIN >= ends:
            self._known.pop(key, None)
            return None
        return name

    async def _listed(self, key: str, ask: Ask) -> JSON | None:
        page = ""
        for _ in range(MOST_PAGES):
            answer = await ask("GET", f"cachedContents?pageSize=1000{page}", None)
            for entry in answer.get("cachedContents") or ():
                if entry.get("displayName") == key:
                    return dict(entry)
            if not answer.get("nextPageToken"):
                return None
            page = f"&pageToken={quote(str(answer['nextPageToken']), safe='')}"
        return None

    def _remember(self, key: str, entry: JSON) -> str | None:
        name, ends = entry.get("name"), _moment(entry.get("expireTime"))
        if not isinstance(name, str):
            return None
        if ends is not None:
            if len(self._known) >= MOST_REMEMBERED:
                self._known.clear()
            self._known[key] = (name, ends)
        return name


def _wanted(kept: JSON, key: str, ttl: str | None) -> JSON:
    wanted = {**kept, "displayName": key}
    return {**wanted, "ttl": ttl} if ttl else wanted


def _key(kept: JSON) -> str:
    """The name under which it is found again: the same for the same beginning, in every process."""
    return hashlib.sha256(Request.of_json("", {}, kept, in_order=True).content).hexdigest()


def _moment(text: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None

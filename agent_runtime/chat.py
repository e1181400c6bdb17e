"""What was said and done in a conversation: the items of a chat, in order.

The names are those of livekit-agents, so that hooks and scripts written for it read the same here.

Ids are counted, never drawn: on an event loop they start at ``item_1`` with the loop, so a call that is played twice
names its items alike both times. What is made before a loop runs is ``early_1`` and on, by the process. What is loaded
(`ChatContext.from_dict`) keeps its ids, and counting goes on behind those. `created_at` is loop time, 0.0 before there is
a loop: it orders items and means nothing outside the run.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any, ClassVar, Literal, Self, get_args
from weakref import WeakKeyDictionary, ref

from agent_runtime.content import CONTENT_TYPES, AudioContent, FileContent, ImageContent, TextContent
from agent_runtime.content import from_dict as part_from_dict
from agent_runtime.errors import UsageError

ChatRole = Literal["developer", "system", "user", "assistant"]

ROLES: tuple[ChatRole, ...] = get_args(ChatRole)

ChatContent = str | TextContent | ImageContent | AudioContent | FileContent | dict[str, Any]
"""Text, or a part of another kind: an object of `content`, or a dictionary in OpenAI's form (``{"type": "image_url", ...}``).

A path in such a part is read, an address in it is fetched: they are the application's. What a caller or a model
wrote is text.
"""

_IMAGES = frozenset({"image_content", "image_url", "input_image"})
_AUDIO = frozenset({"audio_content", "input_audio"})
_FILES = frozenset({"file_content", "file", "input_file"})

INSTRUCTION_ROLES = ("system", "developer")


class _Count:
    __slots__ = ("last",)

    def __init__(self, last: int = 0) -> None:
        self.last = last

    def skip(self, to: int) -> None:
        self.last = max(self.last, to)


_counts: "WeakKeyDictionary[asyncio.AbstractEventLoop, _Count]" = WeakKeyDictionary()
_recent: "tuple[Callable[[], asyncio.AbstractEventLoop | None], _Count]" = (lambda: None), _Count()
"""The loop that counted last, and its count."""
_early = _Count()
_loaded = 0
"""The highest number of an item that was loaded before a loop: every later loop counts on from there."""


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _new_id() -> str:
    loop = _running_loop()
    count = _early if loop is None else _recent[1] if _recent[0]() is loop else _of_loop(loop)
    count.last += 1
    return f"{'early' if loop is None else 'item'}_{count.last}"


def _of_loop(loop: asyncio.AbstractEventLoop) -> _Count:
    global _recent
    count = _counts.get(loop)
    if count is None:
        count = _counts[loop] = _Count(_loaded)
    _recent = ref(loop), count
    return count


def _keep_clear_of(item_id: str) -> None:
    """An item with this id was loaded: count on behind it."""
    global _loaded
    kind, _, number = item_id.partition("_")
    if not number.isdecimal():
        return
    loop = _running_loop()
    if kind == "early":
        _early.skip(int(number))
    elif kind == "item" and loop is not None:
        _of_loop(loop).skip(int(number))
    elif kind == "item":
        _loaded = max(_loaded, int(number))


def _present() -> float:
    loop = _running_loop()
    return 0.0 if loop is None else loop.time()


@dataclass(slots=True, kw_only=True)
class ChatMessage:
    """Something said, by either side, or an instruction.

    Not frozen: `on_user_turn_completed` may rewrite `content` before the model reads it.

    Attributes:
        role: one of `ROLES`; `UsageError` for any other.
        content: the parts, in order; a plain string is taken for one part.
        interrupted: the rest of it was not heard, so it is not here.
        transcript_confidence: of a spoken user turn, between 0 and 1, where the recogniser gives it.
        metrics: latencies of this turn in seconds, by name; what is not known is absent.
        extra: whatever the application wants to keep with it.
    """

    type: ClassVar[Literal["message"]] = "message"

    role: ChatRole
    content: list[ChatContent]
    id: str = field(default_factory=_new_id)
    interrupted: bool = False
    transcript_confidence: float | None = None
    metrics: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    created_at: float = field(default_factory=_present)

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise UsageError(f"A message has the role {self.role!r}; a role is one of {', '.join(ROLES)}.")
        self.content = [*self.content] if type(self.content) is list else _parts(self.content)

    @property
    def text_content(self) -> str | None:
        """The text parts, a line each; None where there is no text part."""
        texts = [text for part in self.content if (text := _text_of(part)) is not None]
        return "\n".join(texts) if texts else None


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionCall:
    """A tool that the model called. `arguments` is the JSON text it wrote, whether or not that parses."""

    type: ClassVar[Literal["function_call"]] = "function_call"

    call_id: str
    name: str
    arguments: str
    id: str = field(default_factory=_new_id)
    extra: dict[str, Any] = field(default_factory=dict)
    created_at: float = field(default_factory=_present)


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionCallOutput:
    """What came of the call with the same `call_id`, as the model is told."""

    type: ClassVar[Literal["function_call_output"]] = "function_call_output"

    call_id: str
    output: str
    is_error: bool
    name: str = ""
    id: str = field(default_factory=_new_id)
    created_at: float = field(default_factory=_present)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentHandoff:
    """From here on another agent speaks. `old_agent_id` is None for the first."""

    type: ClassVar[Literal["agent_handoff"]] = "agent_handoff"

    new_agent_id: str
    old_agent_id: str | None = None
    id: str = field(default_factory=_new_id)
    created_at: float = field(default_factory=_present)


ChatItem = ChatMessage | FunctionCall | FunctionCallOutput | AgentHandoff

_KINDS: dict[str, type[ChatItem]] = {
    kind.type: kind for kind in (ChatMessage, FunctionCall, FunctionCallOutput, AgentHandoff)
}
_created_at = attrgetter("created_at")
_SEVERAL = (list, tuple)


class ChatContext:
    """A conversation: items sorted by `created_at`, those of one moment in the order in which they came.

    Copies share their items, not their list.
    """

    __slots__ = ("_items",)

    def __init__(self, items: Iterable[ChatItem] = ()) -> None:
        self._items: list[ChatItem] = list(items)

    @classmethod
    def empty(cls) -> Self:
        return cls()

    def __repr__(self) -> str:
        return f"ChatContext({self._items!r})"

    @property
    def items(self) -> list[ChatItem]:
        """The items themselves: what is done to this list is done to the conversation."""
        return self._items

    @items.setter
    def items(self, items: list[ChatItem]) -> None:
        self._items = items

    def messages(self) -> list[ChatMessage]:
        return [item for item in self._items if isinstance(item, ChatMessage)]

    # Putting in and taking out

    def add_message(
        self,
        *,
        role: ChatRole,
        content: list[ChatContent] | ChatContent,
        id: str | None = None,  # noqa: A002  # the name that its users know
        interrupted: bool = False,
        transcript_confidence: float | None = None,
        created_at: float | None = None,
        metrics: dict[str, Any] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> ChatMessage:
        """Make a message and insert it."""
        message = ChatMessage(
            role=role,
            content=_parts(content),
            id=_new_id() if id is None else id,
            interrupted=interrupted,
            transcript_confidence=transcript_confidence,
            metrics=metrics or {},
            extra=extra or {},
            created_at=_present() if created_at is None else created_at,
        )
        self.insert(message)
        return message

    def insert(self, item: ChatItem | Sequence[ChatItem]) -> None:
        """Put each item behind all that are not younger."""
        for each in item if isinstance(item, _SEVERAL) else (item,):
            if not self._items or self._items[-1].created_at <= each.created_at:  # almost always
                self._items.append(each)
            else:
                self._items.insert(self.find_insertion_index(created_at=each.created_at), each)

    def find_insertion_index(self, *, created_at: float) -> int:
        """Where an item of that age belongs."""
        return bisect_right(self._items, created_at, key=_created_at)

    def get_by_id(self, item_id: str) -> ChatItem | None:
        index = self.index_by_id(item_id)
        return None if index is None else self._items[index]

    def index_by_id(self, item_id: str) -> int | None:
        # From the end: what is asked for is mostly young.
        for index in range(len(self._items) - 1, -1, -1):
            if self._items[index].id == item_id:
                return index
        return None

    def remove(self, item: ChatItem | str) -> None:
        """Take out an item, or the one with this id; `UsageError` where it is not there."""
        item_id = item if isinstance(item, str) else item.id
        index = self.index_by_id(item_id)
        if index is None:
            raise UsageError(f"There is no item '{item_id}' in this chat context; see the ids in its items.")
        del self._items[index]

    # Whole conversations

    def copy(
        self,
        *,
        exclude_function_call: bool = False,
        exclude_instructions: bool = False,
        exclude_empty_message: bool = False,
        exclude_handoff: bool = False,
        tools: Sequence[Any] | None = None,
    ) -> "ChatContext":
        """A context of its own with the same items, less those excluded.

        Args:
            exclude_function_call: leave out calls of tools and their outputs.
            exclude_instructions: leave out messages of the system and the developer.
            exclude_empty_message: leave out messages without any content.
            exclude_handoff: leave out changes of the agent.
            tools: keep only calls of these tools (objects with a `name`, or names), with their outputs.
        """
        if tools is None and not (
            exclude_function_call or exclude_instructions or exclude_empty_message or exclude_handoff
        ):
            return ChatContext(self._items)
        names = None if tools is None else {str(getattr(tool, "name", tool)) for tool in tools}
        kept = {item.call_id for item in self._items if isinstance(item, FunctionCall) and names and item.name in names}

        def wanted(item: ChatItem) -> bool:
            if isinstance(item, ChatMessage):
                if exclude_instructions and item.role in INSTRUCTION_ROLES:
                    return False
                return not (exclude_empty_message and not any(item.content))
            if isinstance(item, AgentHandoff):
                return not exclude_handoff
            return not exclude_function_call and (names is None or item.call_id in kept)

        return ChatContext(filter(wanted, self._items))

    def truncate(self, *, max_items: int) -> Self:
        """Keep the last `max_items` items, in place, and the first instructions besides.

        An output at the new beginning whose call is gone goes too: services refuse it.
        """
        if max_items < 0:
            raise UsageError(f"max_items must be 0 or more, not {max_items}.")
        if len(self._items) <= max_items:
            return self
        kept = self._items[len(self._items) - max_items :]
        while kept and isinstance(kept[0], FunctionCall | FunctionCallOutput):
            del kept[0]
        first = next((message for message in self.messages() if message.role in INSTRUCTION_ROLES), None)
        if first is not None and not any(item is first for item in kept):
            kept.insert(0, first)
        self._items[:] = kept
        return self

    def merge(
        self, other: "ChatContext", *, exclude_function_call: bool = False, exclude_instructions: bool = False
    ) -> Self:
        """Insert what `other` has and this has not (by id), in place."""
        known = {item.id for item in self._items}
        extra = other.copy(exclude_function_call=exclude_function_call, exclude_instructions=exclude_instructions)
        for item in extra.items:
            if item.id not in known:
                known.add(item.id)
                self.insert(item)
        return self

    def is_equivalent(self, other: "ChatContext") -> bool:
        """Whether a model would be told the same: same items in the same order, whatever their times and metrics."""
        return len(self._items) == len(other._items) and all(
            _fields(mine) == _fields(theirs) for mine, theirs in zip(self._items, other._items, strict=True)
        )

    # As plain data

    def to_dict(
        self,
        *,
        exclude_image: bool = True,
        exclude_audio: bool = True,
        exclude_file: bool = True,
        exclude_timestamp: bool = True,
        exclude_function_call: bool = False,
        exclude_metrics: bool = True,
    ) -> dict[str, Any]:
        """``{"items": [...]}`` of JSON types, which `from_dict` reads. What is not excluded is written with its bytes."""
        kinds = (_IMAGES if exclude_image else frozenset()) | (_AUDIO if exclude_audio else frozenset())
        kinds |= _FILES if exclude_file else frozenset()
        items = self.copy(exclude_function_call=exclude_function_call).items
        return {
            "items": [
                _to_dict(item, kinds=kinds, times=not exclude_timestamp, metrics=not exclude_metrics) for item in items
            ]
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "ChatContext":
        """Read what `to_dict` wrote. `UsageError` names what is not understood."""
        entries = data.get("items")
        if not isinstance(entries, list):
            raise UsageError("A chat context is a dictionary with a list under 'items'; see ChatContext.to_dict().")
        return cls([_from_dict(entry) for entry in entries])


def _parts(content: Any) -> list[ChatContent]:
    return [content] if isinstance(content, (str, dict, *CONTENT_TYPES)) else list(content)


def _text_of(part: Any) -> str | None:
    if isinstance(part, TextContent):
        return part.text
    text = part.get("text") if isinstance(part, dict) and part.get("type") == "text" else part
    return text if isinstance(text, str) else None


def _kind(part: Any) -> str:
    return str(part.get("type") if isinstance(part, dict) else part.type)


def _to_dict(
    item: ChatItem, *, kinds: frozenset[str] = frozenset(), times: bool = False, metrics: bool = False
) -> dict[str, Any]:
    entry = _fields(item, times=times, metrics=metrics)
    if isinstance(item, ChatMessage):
        wanted = [part for part in item.content if isinstance(part, str) or _kind(part) not in kinds]
        entry["content"] = [part if isinstance(part, str | dict) else part.to_dict() for part in wanted]
    return entry


def _fields(item: ChatItem, *, times: bool = False, metrics: bool = False) -> dict[str, Any]:
    """What an item holds; parts of its content as they are."""
    entry: dict[str, Any] = {"id": item.id, "type": item.type}
    for each in fields(item):
        value = getattr(item, each.name)
        if each.name == "id" or value is None or value == {}:
            continue
        if (each.name == "created_at" and not times) or (each.name == "metrics" and not metrics):
            continue
        entry[each.name] = value
    return entry


def _from_dict(entry: Any) -> ChatItem:
    kind = _KINDS.get(str(entry.get("type"))) if isinstance(entry, dict) else None
    if kind is None:
        raise UsageError(f"A chat item has a 'type' of {', '.join(_KINDS)}; this has not: {str(entry)[:80]}")
    _keep_clear_of(str(entry.get("id", "")))
    known = {each.name for each in fields(kind)}
    given = {name: value for name, value in entry.items() if name in known}
    if isinstance(given.get("content"), list):
        given["content"] = [_part(part) for part in given["content"]]
    try:
        return kind(**given)
    except TypeError as error:
        raise UsageError(f"The chat item {entry.get('id')!r} of type '{kind.type}' lacks a field: {error}.") from None


def _part(part: Any) -> ChatContent:
    """A part as `to_dict` wrote it; dictionaries in other forms stay what they are."""
    if isinstance(part, Mapping) and str(part.get("type")).endswith("_content"):
        return part_from_dict(part)
    return part  # type: ignore[no-any-return]

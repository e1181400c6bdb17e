"""Context caching: rows D25 (mark, two calls), D26 (first unbroken run), D27 (bounds, tools, names)."""

import asyncio
import json
import logging
from datetime import timedelta
from typing import Any

import httpx
import pytest

from agent_runtime import clock, virtual
from agent_runtime.chat import AgentHandoff, ChatContext, ChatMessage
from agent_runtime.content import TextContent
from agent_runtime.errors import UsageError
from agent_runtime.providers.gemini.cache import duration, first_block
from agent_runtime.providers.gemini.llm import GeminiLLM
from agent_runtime.types import APIConnectOptions
from tests.providers.gemini_wire import SAID, refusal, turns
from tests.providers.wires import called, get_weather

JSON = dict[str, Any]
LONG = "Here is the full text of a complex legal agreement. " * 100
MARK = {"type": "ephemeral"}


class Google(httpx.AsyncBaseTransport):
    """AI Studio with its caches: it refuses what it refuses."""

    def __init__(self, *, lives_s: float = 3600, pages: int = 1) -> None:
        self.entries: list[JSON] = []
        self.asked: list[tuple[str, str]] = []
        self.bodies: list[JSON] = []
        self.lives_s = lives_s
        self.pages = pages
        self.refuses: httpx.Response | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        path = request.url.path.removeprefix("/v1beta/")
        self.asked.append((request.method, path))
        if path == "cachedContents":
            await clock.sleep(0.05)
            if self.refuses is not None and request.method == "POST":
                return self.refuses
            return self._list(request) if request.method == "GET" else self._create(json.loads(request.content))
        body = json.loads(request.content)
        self.bodies.append(body)
        return self._generate(body)

    def _list(self, request: httpx.Request) -> httpx.Response:
        page = int(request.url.params.get("pageToken", "0"))
        more = {"nextPageToken": str(page + 1)} if page + 1 < self.pages else {}
        entries = self.entries if not more else []
        return httpx.Response(200, json={**({"cachedContents": entries} if entries else {}), **more})

    def _create(self, body: JSON) -> httpx.Response:
        if any("text" in part and not part["text"] for turn in body.get("contents", ()) for part in turn["parts"]):
            return refusal(400, "INVALID_ARGUMENT", "empty")
        ends = (clock.wall() + timedelta(seconds=self.lives_s)).isoformat()
        entry = {**body, "name": f"cachedContents/{len(self.entries) + 1}", "expireTime": ends}
        self.entries.append(entry)
        return httpx.Response(200, json=entry)

    def _generate(self, body: JSON) -> httpx.Response:
        name = body.get("cachedContent")
        if name is not None:
            if body.keys() & {"systemInstruction", "tools", "toolConfig"}:
                return refusal(400, "INVALID_ARGUMENT", "CachedContent can not be used with these")
            if name not in [entry["name"] for entry in self.entries]:
                return refusal(403, "PERMISSION_DENIED", "CachedContent not found (or permission denied)")
        return httpx.Response(200, stream=httpx.ByteStream(SAID))


def marked(role: Any, text: str, **mark: str) -> ChatMessage:
    """As the seed writes it."""
    part = {"type": "text", "text": text, "cache_control": {**MARK, **mark}}
    return ChatMessage(role=role, content=[part])


def plain(role: Any, text: str) -> ChatMessage:
    return ChatMessage(role=role, content=[text])


def ask(google: Google, *contexts: ChatContext, wait_s: float = 0, **asked: Any) -> None:
    async def all_of_them() -> None:
        llm = GeminiLLM(api_key="k-123", transport=google, conn_options=APIConnectOptions(first_token_timeout=9))
        for chat_ctx in contexts:
            await llm.chat(chat_ctx=chat_ctx, **asked).collect()
            await clock.sleep(wait_s)
        await llm.aclose()

    virtual.run(all_of_them())


def seed() -> ChatContext:
    return ChatContext([marked("system", LONG), marked("user", "What are the key terms and conditions?")])


CREATE = [("GET", "cachedContents"), ("POST", "cachedContents")]
CHAT = [("POST", "models/gemini-2.5-flash:streamGenerateContent")]


def test_d25_what_is_marked_is_kept_by_two_calls_and_named_in_the_third() -> None:
    google = Google()
    ask(google, seed())
    assert google.asked == [*CREATE, *CHAT]
    kept = google.entries[0]
    assert kept["model"] == "models/gemini-2.5-flash"
    assert kept["systemInstruction"] == {"parts": [{"text": LONG}]}
    assert turns(kept) == [("user", ["What are the key terms and conditions?"])]
    assert google.bodies == [
        {"contents": [{"role": "user", "parts": [{"text": "."}]}], "cachedContent": "cachedContents/1"}
    ]


def test_d25_the_seeds_loop_makes_one_cache() -> None:
    google = Google()
    ask(google, seed(), seed())
    assert google.asked == [*CREATE, *CHAT, *CHAT]
    assert {body["cachedContent"] for body in google.bodies} == {"cachedContents/1"}


def test_d25_another_process_finds_it_by_its_name_on_any_page() -> None:
    google = Google(pages=3)
    ask(google, seed())
    google.asked.clear()
    ask(google, seed())
    assert google.asked == [*[("GET", "cachedContents")] * 3, *CHAT]
    assert len(google.entries) == 1


@pytest.mark.parametrize(
    "message",
    [
        ChatMessage(role="system", content=[LONG], extra={"cache": "ephemeral"}),
        ChatMessage(role="system", content=[LONG], extra={"cache_control": MARK}),
        ChatMessage(role="system", content=[TextContent(LONG, MARK)]),
    ],
)
def test_d25_a_mark_may_stand_on_the_message_or_on_a_part(message: ChatMessage) -> None:
    google = Google()
    ask(google, ChatContext([message, plain("user", "Hi")]))
    assert google.entries[0]["systemInstruction"] == {"parts": [{"text": LONG}]}
    assert turns(google.bodies[0]) == [("user", ["Hi"])]


def block(*items: Any) -> int | None:
    found = first_block(items)
    return None if found is None else found.until


def test_d26_the_first_unbroken_run_counts() -> None:
    a, b, c = marked("system", "a"), marked("user", "b"), plain("user", "c")
    assert block(c, c) is None
    assert block(a) == 0
    assert block(a, b, c) == 1
    assert block(a, c, b) == 0
    assert block(a, c, a, b) == 0
    assert block(c, a, b) == 2
    assert block(a, AgentHandoff(new_agent_id="x"), b, c) == 2


def test_d26_what_is_marked_later_is_sent_as_ever() -> None:
    google = Google()
    ask(google, ChatContext([marked("user", LONG), plain("assistant", "Yes."), marked("user", "So?")]))
    assert turns(google.entries[0]) == [("user", [LONG])]
    assert turns(google.bodies[0]) == [("model", ["Yes."]), ("user", ["So?"])]


def test_d26_a_cache_is_a_beginning_so_the_order_stays() -> None:
    google = Google()
    ask(google, ChatContext([plain("user", "First."), marked("user", LONG), plain("user", "Last.")]))
    assert turns(google.entries[0]) == [("user", ["First.", LONG])]
    assert turns(google.bodies[0]) == [("user", ["Last."])]


def test_d27_too_little_is_not_kept() -> None:
    google = Google()
    ask(google, ChatContext([marked("system", "Short."), plain("user", "Hi")]))
    assert google.asked == CHAT
    assert google.bodies[0]["systemInstruction"] == {"parts": [{"text": "Short."}]}


def test_d27_what_ends_with_the_models_words_is_not_kept() -> None:
    for last in ([marked("assistant", "Yes.")], [*called("c", "f", "{}", "x"), marked("assistant", "Yes.")]):
        google = Google()
        ask(google, ChatContext([marked("user", LONG), *last, plain("user", "Go on")]))
        # With calls between them the run ends before them.
        assert google.asked == (CHAT if len(last) == 1 else [*CREATE, *CHAT])


def test_d27_tools_and_their_choice_move_into_the_cache() -> None:
    google = Google()
    ask(google, ChatContext([marked("system", LONG), plain("user", "Hi")]), tools=[get_weather], tool_choice="auto")
    kept = google.entries[0]
    assert kept["tools"][0]["functionDeclarations"][0]["name"] == "get_weather"
    assert kept["toolConfig"] == {"functionCallingConfig": {"mode": "AUTO"}}
    assert google.bodies[0].keys() == {"contents", "cachedContent"}


def test_d27_instructions_that_come_later_are_not_lost() -> None:
    google = Google()
    ask(google, ChatContext([marked("system", LONG), plain("user", "Hi"), plain("system", "Say goodbye.")]))
    assert turns(google.bodies[0]) == [("user", ["Hi", "Say goodbye."])]


@pytest.mark.parametrize(
    ("text", "wire"), [("300s", "300s"), ("5m", "300s"), ("1h", "3600s"), ("1.5s", "1.5s"), (60, "60s")]
)
def test_d27_how_long_it_is_kept(text: Any, wire: str) -> None:
    assert duration(text) == wire
    google = Google()
    ask(google, ChatContext([marked("system", LONG, ttl=text), plain("user", "Hi")]))
    assert google.entries[0]["ttl"] == wire


@pytest.mark.parametrize("text", ["soon", "0s", "-5m", ""])
def test_d27_a_time_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="ttl"):
        ask(Google(), ChatContext([marked("system", LONG, ttl=text)]))


def test_d27_it_is_made_again_when_it_has_ended() -> None:
    google = Google(lives_s=60)
    ask(google, seed(), seed(), wait_s=40)
    assert google.asked == [*CREATE, *CHAT, ("GET", "cachedContents"), *CHAT]


def test_d27_one_that_somebody_took_away_is_made_again_within_the_turn() -> None:
    google = Google()

    async def two_turns() -> None:
        llm = GeminiLLM(api_key="k-123", transport=google)
        await llm.chat(chat_ctx=seed()).collect()
        google.entries.clear()
        await llm.chat(chat_ctx=seed()).collect()
        await llm.aclose()

    virtual.run(two_turns())
    assert google.asked == [*CREATE, *CHAT, *CHAT, *CREATE, *CHAT]


def test_d27_two_turns_at_once_make_one() -> None:
    google = Google()

    async def at_once() -> None:
        llm = GeminiLLM(api_key="k-123", transport=google)
        await asyncio.gather(*(llm.chat(chat_ctx=seed()).collect() for _ in range(3)))
        await llm.aclose()

    virtual.run(at_once())
    assert len(google.entries) == 1


def test_d27_where_it_cannot_be_kept_the_answer_comes_without(caplog: pytest.LogCaptureFixture) -> None:
    google = Google()
    google.refuses = refusal(400, "INVALID_ARGUMENT", "Model does not support caching")
    with caplog.at_level(logging.WARNING):
        ask(google, seed(), seed())
    assert google.asked == [*CREATE, *CHAT, *CHAT]  # and it is not tried again
    assert google.bodies[1]["systemInstruction"] == {"parts": [{"text": LONG}]}
    assert "without a cache" in caplog.text
    assert "does not support caching" in caplog.text


def test_d25_a_cache_of_ones_own_takes_no_instructions_and_no_tools(caplog: pytest.LogCaptureFixture) -> None:
    google = Google()
    google.entries.append({"name": "cachedContents/mine"})
    chat_ctx = ChatContext([plain("system", "Be brief."), plain("user", "Hi")])
    with caplog.at_level(logging.WARNING):
        ask(google, chat_ctx, chat_ctx, tools=[get_weather], tool_choice="auto", cached_content="cachedContents/mine")
    assert google.bodies[0] == {
        "contents": [{"role": "user", "parts": [{"text": "Hi"}]}],
        "cachedContent": "cachedContents/mine",
    }
    assert caplog.text.count("are not sent with it") == 1

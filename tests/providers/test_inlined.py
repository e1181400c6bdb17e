"""Large parts: written in slices, kept, and put into a body as they stand. What is sent is the same as of small ones."""

import asyncio
import base64
import json
from typing import Any

import httpx
import pytest

from agent_runtime import clock, media, virtual
from agent_runtime.audio.frame import AudioFrame
from agent_runtime.chat import ChatContext, ChatMessage
from agent_runtime.content import AudioContent, FileContent, ImageContent, Loaded, TextContent
from agent_runtime.errors import UsageError
from agent_runtime.media import START
from agent_runtime.providers import inlined
from agent_runtime.providers.anthropic.llm import AnthropicLLM
from agent_runtime.providers.bedrock.llm import BedrockLLM
from agent_runtime.providers.gemini.llm import GeminiLLM
from agent_runtime.providers.http.exchange import Request, Verbatim
from agent_runtime.providers.inlined import LARGE, SLICE, Inlined
from agent_runtime.providers.openai.llm import OpenAILLM
from agent_runtime.providers.parts import MOST_KEPT, Typed
from agent_runtime.providers.remote import Asked, RemoteLLM

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * (LARGE // 64)
"""1 MB."""
SOUND = AudioContent([AudioFrame(bytes(range(256)) * (LARGE // 128), 16_000)])


def nobody(request: httpx.Request) -> httpx.Response:
    raise AssertionError("nothing is asked")


def models() -> list[RemoteLLM]:
    options: dict[str, Any] = {"api_key": "key-1234567", "transport": httpx.MockTransport(nobody)}
    return [
        OpenAILLM("gpt-4.1", **options),
        AnthropicLLM(**options),
        GeminiLLM(**options),
        BedrockLLM(api_secret="very-secret", **options),
    ]


def contents(*parts: Any) -> ChatContext:
    return ChatContext([ChatMessage(role="user", content=["What is it?", *parts])])


def sent(llm: RemoteLLM, chat_ctx: ChatContext) -> bytes:
    async def main() -> bytes:
        request = await llm.request(Asked(chat_ctx))
        await llm.aclose()
        return request.content

    return virtual.run(main())


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize(
    "part",
    [
        lambda: ImageContent(PICTURE),
        lambda: ImageContent(f"data:image/png;base64,{base64.b64encode(PICTURE).decode()}"),
        lambda: FileContent(data=b"%PDF-1" + PICTURE, filename='my "file".pdf'),
    ],
    ids=["bytes", "uri", "file"],
)
def test_a_large_part_is_sent_as_a_small_one_is(number: int, part: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    large = sent(models()[number], contents(part()))
    monkeypatch.setattr(inlined, "LARGE", len(PICTURE) * 2)
    small = sent(models()[number], contents(part()))
    assert large == small
    assert len(json.dumps(json.loads(large), ensure_ascii=False, separators=(",", ":"))) == len(large)


def test_large_sound_too(monkeypatch: pytest.MonkeyPatch) -> None:
    for number in (0, 2):
        large = sent(models()[number], contents(SOUND))
        with monkeypatch.context() as patch:
            patch.setattr(inlined, "LARGE", len(PICTURE) * 2)
            assert large == sent(models()[number], contents(SOUND))


def test_it_is_written_in_slices_between_which_the_loop_goes_on() -> None:
    rounds = 0

    async def count() -> None:
        nonlocal rounds
        while True:
            rounds += 1
            await clock.sleep(0)

    async def main() -> Loaded:
        counting = asyncio.ensure_future(count())
        made = await inlined.inlined(Loaded("image/png", PICTURE))
        counting.cancel()
        return made

    made = virtual.run(main())
    assert rounds >= len(PICTURE) // SLICE
    assert isinstance(made, Inlined)
    assert made.base64 == base64.b64encode(PICTURE)


def test_a_small_one_is_left_as_it_is() -> None:
    small = Loaded("image/png", bytes(LARGE))
    assert virtual.run(inlined.inlined(small)) is small
    assert inlined.base64_of(small) == base64.b64encode(small.data).decode()


def test_it_is_kept_with_its_part() -> None:
    part = ImageContent(PICTURE)
    llm = models()[0]
    sent(llm, contents(part))
    first = part.loaded
    assert isinstance(first, Inlined)
    sent(models()[1], contents(part))
    assert part.loaded is first


def test_texts_stand_where_they_belong_whatever_stands_beside_them() -> None:
    one, two = Verbatim((b"data:,", b"1")), Verbatim((b"2",))
    body = {"a": ["verbatim 1", one, {"b": two, "c": one}], "verbatim": '"verbatim 1"', "\u20ac": "\ud800"}
    content = Request.of_json("", {}, body).content
    assert json.loads(content) == {
        "a": ["verbatim 1", "data:,1", {"b": "2", "c": "data:,1"}],
        "verbatim": '"verbatim 1"',
        "\u20ac": "?",
    }


def test_what_is_no_json_is_still_refused() -> None:
    with pytest.raises(UsageError, match=r"cannot be written as JSON \(Object of type set is not JSON serializable\)"):
        Request.of_json("", {}, {"a": {1}})


def test_the_type_of_a_part_cannot_break_the_body() -> None:
    odd = Inlined('image/"},{"x', b"", b"eHg=")
    content = Request.of_json("", {}, {"url": inlined.data_uri(odd)}).content
    assert json.loads(content) == {"url": 'data:image/"},{"x;base64,eHg='}


def as_a_dictionary(uri: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": uri}}


URI = f"data:image/png;base64,{base64.b64encode(PICTURE).decode()}"
SHORT_URI = f"data:image/png;base64,{base64.b64encode(PICTURE[:600]).decode()}"


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("uri", [URI, SHORT_URI], ids=["large", "small"])
@pytest.mark.parametrize("wrong", ["!!!!", '"},{', "====", "a"])
def test_what_is_no_base64_far_behind_is_not_sent(number: int, uri: str, wrong: str) -> None:
    half = len(uri) // 2
    with pytest.raises(UsageError, match="is no base64"):
        sent(models()[number], contents(as_a_dictionary(uri[:half] + wrong + uri[half:])))


def test_of_a_large_data_uri_only_the_beginning_is_read_to_know_it() -> None:
    beginning = URI[: URI.index(",") + 1 + START]
    assert media.data_uri_start(URI) == media.parse_data_uri(beginning)
    assert media.data_uri_start(SHORT_URI) == media.parse_data_uri(SHORT_URI)
    assert ImageContent(URI[:-8] + "!!!!!!!!").image, "it is looked at when it is loaded"


def test_a_data_uri_is_read_in_slices_between_which_the_loop_goes_on() -> None:
    rounds = 0

    async def count() -> None:
        nonlocal rounds
        while True:
            rounds += 1
            await clock.sleep(0)

    async def main() -> tuple[str | None, bytes]:
        counting = asyncio.ensure_future(count())
        found = await inlined.read(URI)
        counting.cancel()
        return found

    assert virtual.run(main()) == media.parse_data_uri(URI) == ("image/png", PICTURE)
    assert rounds >= len(PICTURE) // SLICE


@pytest.mark.parametrize("number", range(4))
def test_what_was_made_of_a_dictionary_is_kept_until_that_changes(number: int) -> None:
    llm, part = models()[number], as_a_dictionary(URI)

    async def main() -> list[Any]:
        found: list[Any] = []
        for _ in range(2):
            await llm.request(Asked(contents(part)))
            found.append(llm.typed(part))
        part["image_url"]["url"] = SHORT_URI
        await llm.request(Asked(contents(part)))
        found.append(llm.typed(part))
        await llm.aclose()
        return found

    first, second, third = virtual.run(main())
    assert first is second
    assert isinstance(first.loaded, Inlined)
    assert third.image == SHORT_URI


def test_not_more_is_kept_than_a_conversation_has() -> None:
    known = Typed()
    parts = [as_a_dictionary(f"https://host.test/{number}.png") for number in range(MOST_KEPT + 1)]
    made = [known(part) for part in parts]
    assert known(parts[-1]) is made[-1]
    assert known(parts[0]) is not made[0]
    assert known("text") == TextContent("text")

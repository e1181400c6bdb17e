"""Conversations as messages: what OpenAI's rules want, for every history there can be."""

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_runtime import virtual
from agent_runtime.audio.frame import AudioFrame
from agent_runtime.chat import AgentHandoff, ChatContext, ChatItem, ChatMessage, FunctionCall, FunctionCallOutput
from agent_runtime.content import AudioContent, FileContent, ImageContent, TextContent
from agent_runtime.errors import UsageError
from agent_runtime.providers.http.transport import Transport
from agent_runtime.providers.openai.messages import load_parts, messages
from agent_runtime.providers.openai.services import ServiceRow, row, rows

PLAIN = ServiceRow(provider="plain", developer_role=True)
PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
PNG_URI = "data:image/png;base64,iVBORw0KGgoAAAAAAAAAAAAAAAAAAAAAAAAAAA=="


def user(text: str, **rest: Any) -> ChatMessage:
    return ChatMessage(role="user", content=[text], **rest)


def assistant(text: str, **rest: Any) -> ChatMessage:
    return ChatMessage(role="assistant", content=[text], **rest)


def system(text: str) -> ChatMessage:
    return ChatMessage(role="system", content=[text])


def call(call_id: str, arguments: str = "{}", **rest: Any) -> FunctionCall:
    return FunctionCall(call_id=call_id, name="book", arguments=arguments, **rest)


def output(call_id: str, text: str = "done") -> FunctionCallOutput:
    return FunctionCallOutput(call_id=call_id, output=text, is_error=False)


def told(*items: ChatItem, row: ServiceRow = PLAIN) -> list[dict[str, Any]]:
    return messages(ChatContext(items), row=row)


def roles(made: Sequence[dict[str, Any]]) -> str:
    return " ".join(message["role"] for message in made)


def loaded(part: Any, row: ServiceRow, *, role: Any = "user") -> Any:
    """The content of a message with this one part, its bytes had before."""
    chat_ctx = ChatContext([ChatMessage(role=role, content=[part, "What is it?"])])

    async def load() -> Any:
        return messages(chat_ctx, row=row, loaded=await load_parts(chat_ctx, row=row, connections=Transport()))

    return virtual.run(load())[0]["content"]


# Roles and text


def test_text_is_a_string_and_texts_are_joined() -> None:
    assert told(ChatMessage(role="user", content=["Hello", "", "there"])) == [
        {"role": "user", "content": "Hello\nthere"}
    ]


def test_rule_8_the_developer_is_the_system_where_he_is_not_known() -> None:
    developer = ChatMessage(role="developer", content=["Be brief."])
    assert roles(told(developer)) == "developer"
    assert roles(told(developer, row=row("groq"))) == "system"


def test_empty_messages_and_handoffs_are_not_told() -> None:
    assert told(user(""), assistant(" "), AgentHandoff(new_agent_id="b"), user("Hi")) == [
        {"role": "user", "content": "Hi"}
    ]


def test_an_interrupted_message_is_told_as_it_was_heard() -> None:
    assert told(assistant("It is", interrupted=True), user("Stop"))[0] == {"role": "assistant", "content": "It is"}


def test_nothing_at_all_is_still_a_message() -> None:
    assert told() == [{"role": "user", "content": "(empty)"}]


def test_names_are_sent_where_they_are_taken() -> None:
    named = user("Hi", extra={"name": "ada"})
    assert told(named) == [{"role": "user", "content": "Hi", "name": "ada"}]
    assert told(named, row=row("groq")) == [{"role": "user", "content": "Hi"}]


# Calls


def test_calls_together_are_one_message_with_what_was_said_before() -> None:
    made = told(user("Hi"), assistant("One moment."), call("a", '{"x":1}'), call("b"), output("b"), output("a"))
    assert roles(made) == "user assistant tool tool"
    assert made[1] == {
        "role": "assistant",
        "content": "One moment.",
        "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "book", "arguments": '{"x":1}'}},
            {"id": "b", "type": "function", "function": {"name": "book", "arguments": "{}"}},
        ],
    }
    assert [message["tool_call_id"] for message in made[2:]] == ["a", "b"]


def test_calls_one_after_the_other_are_two_messages() -> None:
    assert roles(told(call("a"), output("a"), call("b"), output("b"))) == "assistant tool assistant tool"


def test_outputs_follow_their_calls_at_once() -> None:
    assert roles(told(call("a"), user("Hurry"), output("a"), assistant("Done."))) == "assistant tool user assistant"


def test_calls_without_output_and_outputs_without_call_are_left_out() -> None:
    assert told(output("x"), user("Hi"), call("a"), output("b")) == [{"role": "user", "content": "Hi"}]


def test_an_id_that_comes_again_is_that_of_the_latest_call() -> None:
    made = told(call("a"), output("a", "first"), call("a"), output("a", "second"))
    assert [message["content"] for message in made if message["role"] == "tool"] == ["first", "second"]


def test_ids_are_unique_in_a_message() -> None:
    made = told(call(""), call("call"), output(""), output("call"))
    assert [each["id"] for each in made[0]["tool_calls"]] == ["call", "call_2"]
    assert [message["tool_call_id"] for message in made[1:]] == ["call", "call_2"]


@pytest.mark.parametrize("arguments", ["", "{", "[1]", '"x"'])
def test_arguments_are_an_object(arguments: str) -> None:
    made = told(call("a", arguments), output("a"))
    assert made[0]["tool_calls"][0]["function"]["arguments"] == "{}"


def test_mistral_wants_ids_of_nine_characters() -> None:
    made = told(call("call_1"), call("abcdefghi"), output("call_1"), output("abcdefghi"), row=row("mistralai"))
    ids = [each["id"] for each in made[0]["tool_calls"]]
    assert ids[1] == "abcdefghi"
    assert len(ids[0]) == 9
    assert ids[0].isalnum()
    assert [message["tool_call_id"] for message in made[1:]] == ids
    assert told(call("call_1"), output("call_1"), row=row("mistralai"))[0]["tool_calls"][0]["id"] == ids[0]


def test_services_without_tools_are_told_of_none() -> None:
    assert roles(told(user("Hi"), call("a"), output("a"), row=row("perplexity"))) == "user"


# What goes back


def test_rule_10_signatures_go_back_to_who_made_them() -> None:
    signed = {"google": {"thought_signature": "s"}, "own": 1}
    history = (user("Hi"), assistant("Hm", extra=signed), call("a", extra=signed), output("a"))
    made = told(*history, row=row("livekit"))
    assert made[1]["extra_content"] == {"google": {"thought_signature": "s"}}
    assert made[1]["tool_calls"][0]["extra_content"] == {"google": {"thought_signature": "s"}}
    assert "extra_content" not in json.dumps(told(*history, row=row("groq")))


def test_deepseek_gets_its_thoughts_back_with_the_calls() -> None:
    history = (call("a", extra={"reasoning_content": "Hm."}), output("a"))
    assert told(*history, row=row("deepseek"))[0]["reasoning_content"] == "Hm."
    assert "reasoning_content" not in told(*history, row=row("openai"))[0]


# Pictures, sound and files


def test_c6_pictures_come_before_the_text() -> None:
    url = ImageContent("https://a.test/a.png", inference_detail="low")
    made = told(ChatMessage(role="user", content=["What is", url, "it?"]))[0]["content"]
    assert made == [
        {"type": "image_url", "image_url": {"url": "https://a.test/a.png", "detail": "low"}},
        {"type": "text", "text": "What is\nit?"},
    ]


def test_pictures_of_the_assistant_are_shown_by_the_user() -> None:
    made = told(
        ChatMessage(role="assistant", content=["Look", ImageContent("https://a.test/a.png")]), call("a"), output("a")
    )
    assert roles(made) == "user assistant tool"
    assert made[1]["content"] == "Look"


def test_c6_bytes_are_sent_as_a_data_uri() -> None:
    assert loaded(ImageContent(PNG), PLAIN)[0]["image_url"]["url"] == PNG_URI
    assert loaded(ImageContent(PNG_URI), PLAIN)[0]["image_url"]["url"] == PNG_URI


def test_d20_a_picture_on_this_machine_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    assert loaded(ImageContent(tmp_path / "a.png"), PLAIN)[0]["image_url"]["url"] == PNG_URI
    with pytest.raises(UsageError, match="not there"):
        loaded(ImageContent(tmp_path / "b.png"), PLAIN)


def test_d19_a_private_address_is_not_fetched_for_services_that_do_not_fetch() -> None:
    with pytest.raises(UsageError, match="169"):
        loaded(ImageContent("http://169.254.169.254/a.png"), row("ollama"))


def test_sound_is_sent_where_it_is_heard_and_else_told() -> None:
    sound = AudioContent([AudioFrame(b"\0\0" * 160, 16000, 1)], transcript="Hello?")
    heard = loaded(sound, row("openai"))[0]
    assert heard["type"] == "input_audio"
    assert heard["input_audio"]["format"] == "wav"
    assert loaded(sound, row("groq")) == "Hello?\nWhat is it?"


def test_d21_d23_files_by_data_and_by_address() -> None:
    proxy = row("litellm_proxy")
    mp3 = FileContent(data="data:audio/mp3;base64,AAAA")
    assert loaded(mp3, proxy)[0] == {"type": "file", "file": {"file_data": "data:audio/mp3;base64,AAAA"}}
    stored = FileContent(uri="gs://bucket/a.pdf")
    assert loaded(stored, proxy)[0]["file"] == {"file_id": "gs://bucket/a.pdf", "format": "application/pdf"}
    with pytest.raises(UsageError, match="only Gemini"):
        loaded(stored, row("openai"))
    pdf = FileContent(data=b"%PDF-1", filename="a.pdf")
    assert loaded(pdf, row("openai"))[0]["file"]["filename"] == "a.pdf"


def test_d25_marks_for_the_cache_are_kept_where_they_are_known() -> None:
    message = ChatMessage(role="system", content=[TextContent("Long.", {"type": "ephemeral"}), "Short."])
    assert told(message, row=row("openrouter"))[0]["content"] == [
        {"type": "text", "text": "Long.", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": "Short."},
    ]
    assert told(message)[0]["content"] == "Long.\nShort."


# Services with a will of their own


def test_letta_is_told_what_is_new() -> None:
    made = told(system("Be brief."), user("Hi"), assistant("Hello."), user("And?"), row=row("letta"))
    assert made == [{"role": "user", "content": "And?"}]


def test_perplexity_wants_turns() -> None:
    made = told(system("A."), assistant("Hello."), user("Hi"), user("there"), system("Hurry."), row=row("perplexity"))
    assert roles(made) == "system user assistant user"
    assert made[-1]["content"] == "Hi\nthere\n<instructions>\nHurry.\n</instructions>"
    assert roles(told(user("Hi"), assistant("Yes?"), row=row("perplexity"))) == "user assistant user"


def test_mistral_wants_an_answer_behind_an_output() -> None:
    made = told(
        user("Hi"), call("abcdefghi"), output("abcdefghi"), user("Wait"), assistant("Yes?"), row=row("mistralai")
    )
    assert roles(made) == "user assistant tool assistant user assistant user"
    assert made[3]["content"] == "(interrupted)"
    assert roles(told(assistant("Hi"), system("Be brief."), row=row("mistralai"))) == "assistant user"
    assert roles(told(system("Be brief."), row=row("mistralai"))) == "system user"


# Every history

IDS = st.sampled_from(["", "call", "a", "b"])
TEXTS = st.sampled_from(["", " ", "Hello", "naïve\n日本"]) | st.text(max_size=5)
MESSAGES = st.builds(
    lambda role, parts: ChatMessage(role=role, content=parts),
    st.sampled_from(["developer", "system", "user", "assistant"]),
    st.lists(TEXTS | st.builds(TextContent, TEXTS) | st.just(ImageContent("https://a.test/a.png")), max_size=3),
)
CALLS = st.builds(call, IDS, st.sampled_from(["", "{}", '{"x":1}', "{", "7"]))
HISTORIES = st.lists(
    MESSAGES | CALLS | st.builds(output, IDS) | st.just(AgentHandoff(new_agent_id="b")), max_size=14
).map(ChatContext)


def check_openai(made: list[dict[str, Any]]) -> None:
    """The rules that OpenAI's service has for messages; it answers 400 to whoever breaks them."""
    assert made
    waiting: list[str] = []
    for message in made:
        role, content = message["role"], message.get("content")
        assert role in ("developer", "system", "user", "assistant", "tool")
        if role == "tool":
            assert isinstance(content, str)
            waiting.remove(message["tool_call_id"])  # fails where nobody asked
            continue
        assert not waiting, "a call was not answered at once"
        calls = message.get("tool_calls", [])
        assert content or (role == "assistant" and calls)
        assert content is None or isinstance(content, str | list)
        for part in content if isinstance(content, list) else ():
            assert part["type"] in ("text", "image_url")
            assert role == "user" or part["type"] == "text"
        waiting = [each["id"] for each in calls]
        assert all(waiting)
        assert len(set(waiting)) == len(waiting)
        for each in calls:
            assert isinstance(json.loads(each["function"]["arguments"]), dict)
    assert not waiting
    json.dumps(made).encode()


@settings(max_examples=200)
@given(HISTORIES)
def test_any_history_gives_messages_that_openai_takes(chat_ctx: ChatContext) -> None:
    check_openai(messages(chat_ctx, row=PLAIN))


@settings(max_examples=60)
@given(HISTORIES, st.sampled_from(sorted(rows())))
def test_any_history_gives_messages_that_every_service_takes(chat_ctx: ChatContext, provider: str) -> None:
    made = messages(chat_ctx, row=replace(rows()[provider], image_urls=True))
    check_openai(made)
    if not rows()[provider].developer_role:
        assert not any(message["role"] == "developer" for message in made)


@settings(max_examples=100)
@given(HISTORIES)
def test_any_history_gives_turns_where_they_are_wanted(chat_ctx: ChatContext) -> None:
    made = messages(chat_ctx, row=row("perplexity"))
    spoken = [message["role"] for message in made if message["role"] != "system"]
    assert spoken == ["user", "assistant"] * (len(spoken) // 2) + ["user"]
    assert [message["role"] for message in made[:1]] in (["system"], ["user"])


AFTER = {
    "system": {"user", "assistant", "system"},
    "user": {"assistant", "system", "user"},
    "assistant": {"assistant", "user", "tool"},
    "tool": {"assistant", "tool"},
}
"""The roles that Mistral's own validator allows behind each."""


@settings(max_examples=100)
@given(HISTORIES)
def test_any_history_gives_an_order_that_mistral_takes(chat_ctx: ChatContext) -> None:
    made = messages(chat_ctx, row=row("mistralai"))
    for before, after in pairwise(made):
        assert after["role"] in AFTER[before["role"]]
    assert made[-1]["role"] in ("user", "tool")
    for message in made:
        for each in message.get("tool_calls", ()):
            assert len(each["id"]) == 9
            assert each["id"].isalnum()


@settings(max_examples=60)
@given(HISTORIES)
def test_nothing_that_was_said_is_lost(chat_ctx: ChatContext) -> None:
    made = json.dumps(messages(chat_ctx, row=PLAIN), ensure_ascii=False)
    for message in chat_ctx.messages():
        for part in message.content:
            if isinstance(part, str) and part.strip():
                assert json.dumps(part, ensure_ascii=False)[1:-1] in made


@pytest.mark.parametrize("part", [{}, {"type": "bogus"}, {"type": None, "text": "a"}, {"text": "a"}])
def test_a_part_that_is_none_is_refused(part: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as caught:
        told(ChatMessage(role="user", content=[part, "What is it?"]))
    assert str(part) in str(caught.value)


def test_a_part_of_a_kind_that_only_the_service_knows_is_sent() -> None:
    video = {"type": "video_url", "video_url": {"url": "https://x.test/a.mp4"}}
    assert video in told(ChatMessage(role="user", content=[video, "What is it?"]))[0]["content"]

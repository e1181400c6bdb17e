"""Histories as Gemini takes them: rows D13 (signatures, ids) and section 3D (roles), by examples and by any history."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from agent_runtime.chat import ChatContext, ChatMessage, FunctionCall, FunctionCallOutput
from agent_runtime.providers.gemini.contents import NO_SIGNATURE, Dialect, contents, history
from tests.providers.gemini_wire import check, turns
from tests.providers.wires import called, conversation, histories

JSON = dict[str, Any]


def body(chat_ctx: ChatContext, *, ids: bool = True, signed: bool = False, parts: Any = None) -> JSON:
    made = history(chat_ctx.items, parts or {}, Dialect(ids=ids, signed=signed))
    system = made.system
    return {"contents": contents(made.turns), **({"systemInstruction": system} if system else {})}


def test_3d_all_instructions_stand_apart_wherever_they_came() -> None:
    made = body(
        conversation(("system", "Be brief."), ("user", "Hi"), ("developer", "He is a guest."), ("user", "You?"))
    )
    assert made["systemInstruction"] == {"parts": [{"text": "Be brief."}, {"text": "He is a guest."}]}
    assert turns(made) == [("user", ["Hi", "You?"])]


def test_3d_with_instructions_alone_the_user_says_something() -> None:
    assert turns(body(conversation(("system", "Greet.")))) == [("user", ["."])]
    assert turns(body(conversation())) == [("user", ["."])]


def test_3d_the_user_begins_and_ends() -> None:
    made = body(conversation(("assistant", "Hello, I am Kim."), ("user", "Hi"), ("assistant", "So?")))
    assert turns(made) == [
        ("user", ["."]),
        ("model", ["Hello, I am Kim."]),
        ("user", ["Hi"]),
        ("model", ["So?"]),
        ("user", ["."]),
    ]


def test_3d_one_side_twice_is_one_turn_and_blank_words_are_none() -> None:
    made = body(
        conversation(("user", "A"), ("user", " "), ("user", "B"), ("assistant", ""), ("assistant", "C"), ("user", "D"))
    )
    assert turns(made) == [("user", ["A", "B"]), ("model", ["C"]), ("user", ["D"])]


def test_d13_calls_and_their_results() -> None:
    chat_ctx = conversation(
        ("user", "Weather?"), *called("c1", "get_weather", '{"city": "Rome"}', "sunny"), ("user", "Thanks")
    )
    made = body(chat_ctx)["contents"]
    assert made[1:3] == [
        {"role": "model", "parts": [{"functionCall": {"name": "get_weather", "args": {"city": "Rome"}, "id": "c1"}}]},
        {
            "role": "user",
            "parts": [{"functionResponse": {"id": "c1", "name": "get_weather", "response": {"output": "sunny"}}}],
        },
    ]
    assert made[3] == {"role": "user", "parts": [{"text": "Thanks"}]}  # results stay by themselves


def test_d13_vertex_has_no_ids() -> None:
    made = body(conversation(("user", "?"), *called("c1", "f", "{}", "broken", is_error=True)), ids=False)["contents"]
    assert made[1]["parts"] == [{"functionCall": {"name": "f", "args": {}}}]
    assert made[2]["parts"] == [{"functionResponse": {"name": "f", "response": {"error": "broken"}}}]


def signed(call_id: str, signature: str | None = None) -> FunctionCall:
    extra = {"google": {"thought_signature": signature}} if signature else {}
    return FunctionCall(call_id=call_id, name="f", arguments="{}", extra=extra)


def result(call_id: str) -> FunctionCallOutput:
    return FunctionCallOutput(call_id=call_id, output=call_id, is_error=False)


def test_d13_signatures_go_back_where_they_stood() -> None:
    chat_ctx = conversation(("user", "?"), signed("a", "c2lnLWE="), result("a"), signed("b", "c2lnLWI="), result("b"))
    made = body(chat_ctx, signed=True)["contents"]
    assert [turn["parts"][0].get("thoughtSignature") for turn in made] == [None, "c2lnLWE=", None, "c2lnLWI=", None]


def test_d13_of_calls_made_together_the_first_alone_is_signed() -> None:
    # In a session's history each call stands with its result.
    chat_ctx = conversation(("user", "?"), signed("a", "c2ln"), result("a"), signed("b"), result("b"))
    made = body(chat_ctx, signed=True)
    assert turns(made)[1:] == [
        ("model", ["functionCall", "functionCall"]),
        ("user", ["functionResponse", "functionResponse"]),
    ]
    calls = made["contents"][1]["parts"]
    assert [call.get("thoughtSignature") for call in calls] == ["c2ln", None]


def test_d13_the_third_generation_gets_a_stand_in_for_a_signature_that_there_is_not() -> None:
    chat_ctx = conversation(("user", "?"), signed("a"), signed("b"), result("a"), result("b"))
    calls = body(chat_ctx, signed=True)["contents"][1]["parts"]
    assert [call.get("thoughtSignature") for call in calls] == [NO_SIGNATURE, None]
    assert "thoughtSignature" not in body(chat_ctx)["contents"][1]["parts"][0]


def test_d13_a_signed_text_goes_back_signed() -> None:
    message = ChatMessage(role="assistant", content=["Yes", "."], extra={"google": {"thought_signature": "c2ln"}})
    made = body(ChatContext([ChatMessage(role="user", content=["Hi"]), message]))
    assert made["contents"][1]["parts"] == [{"text": "Yes"}, {"text": ".", "thoughtSignature": "c2ln"}]


def test_d18_what_googles_own_tools_did_goes_back_before_the_call() -> None:
    server_parts = [{"toolCall": {"id": "t"}}, {"toolResponse": {"id": "t"}}]
    extra = {"google": {"thought_signature": "c2ln", "before": server_parts}}
    chat_ctx = conversation(("user", "?"), *called("a", "f", "{}", "", extra=extra))
    assert [next(iter(part)) for part in body(chat_ctx)["contents"][1]["parts"]] == [
        "toolCall",
        "toolResponse",
        "functionCall",
    ]


def test_d13_a_call_without_a_result_and_a_result_without_a_call_are_left_out() -> None:
    made = body(conversation(("user", "A"), signed("lost"), result("unknown"), ("user", "B")))
    assert turns(made) == [("user", ["A", "B"])]


def test_d13_a_late_result_stands_with_its_call() -> None:
    made = body(conversation(("user", "A"), signed("a"), ("user", "B"), result("a"), ("assistant", "C")))
    assert turns(made) == [
        ("user", ["A"]),
        ("model", ["functionCall"]),
        ("user", ["functionResponse"]),
        ("user", ["B"]),
        ("model", ["C"]),
        ("user", ["."]),
    ]


def test_arguments_that_are_no_json_object_are_none() -> None:
    for arguments in ('{"city": "Ro', "[1]", '{"a": NaN}', ""):
        call = FunctionCall(call_id="a", name="f", arguments=arguments)
        made = body(ChatContext([call, result("a")]))
        assert made["contents"][1]["parts"][0]["functionCall"]["args"] == {}


_signed_calls = st.builds(signed, st.sampled_from(["a", "b", "c", "d"]), st.sampled_from([None, "c2ln"]))
_results = st.builds(result, st.sampled_from(["a", "b", "c", "d", "e"]))
_messages = st.builds(
    lambda role, content: ChatMessage(role=role, content=content),
    st.sampled_from(["system", "user", "assistant"]),
    st.lists(st.text(max_size=3), max_size=2),
)
_signed_histories = st.builds(ChatContext, st.lists(st.one_of(_signed_calls, _results, _messages), max_size=12))


@settings(max_examples=300, deadline=None)
@given(st.one_of(histories, _signed_histories), st.booleans(), st.booleans())
def test_any_history_is_one_that_gemini_accepts(chat_ctx: ChatContext, ids: bool, third: bool) -> None:
    check(body(chat_ctx, ids=ids, signed=third), signed=third)


@settings(max_examples=150, deadline=None)
@given(st.one_of(histories, _signed_histories), st.integers(0, 12))
def test_d26_any_history_cut_for_a_cache_is_the_same_conversation(chat_ctx: ChatContext, cut: int) -> None:
    made = history(chat_ctx.items, {}, Dialect(), cut=cut)
    kept = [turn for turn in made.turns if turn.until <= cut]
    assert made.turns[: len(kept)] == kept  # a cache is a beginning
    whole = history(chat_ctx.items, {}, Dialect())
    late = {text for item in chat_ctx.items[cut + 1 :] if isinstance(item, ChatMessage) for text in item.content}
    said = [part for turn in made.turns for part in turn.parts]
    for part in (part for turn in whole.turns for part in turn.parts):
        assert part in said
    assert {text for text in whole.instructions if text not in late} <= set(made.instructions)

import json
from typing import Any

import pytest

from agent_runtime import clock, virtual
from agent_runtime.chat import AgentHandoff, ChatContext, ChatMessage, FunctionCall, FunctionCallOutput
from agent_runtime.errors import UsageError


def conversation() -> ChatContext:
    """Instructions, a question, a tool, an answer, a hand-over; a second apart."""
    ctx = ChatContext.empty()
    ctx.add_message(role="system", content="Be brief.", created_at=0.0)
    ctx.add_message(role="user", content="Add milk.", created_at=1.0)
    ctx.insert(FunctionCall(call_id="c1", name="add_item", arguments='{"item": "milk"}', created_at=2.0))
    ctx.insert(FunctionCallOutput(call_id="c1", name="add_item", output="ok", is_error=False, created_at=3.0))
    ctx.add_message(role="assistant", content="Done.", created_at=4.0)
    ctx.insert(AgentHandoff(new_agent_id="b", old_agent_id="a", created_at=5.0))
    return ctx


def kinds(ctx: ChatContext) -> list[str]:
    return [item.type for item in ctx.items]


class TestMessages:
    def test_the_text_is_that_of_the_text_parts(self) -> None:
        message = ChatMessage(role="user", content=["one", {"type": "image_content", "image": "x"}, "two"])
        assert message.text_content == "one\ntwo"

    def test_no_text_is_not_an_empty_text(self) -> None:
        assert ChatMessage(role="user", content=[{"type": "image_content"}]).text_content is None
        assert ChatMessage(role="user", content=[""]).text_content == ""

    def test_a_string_is_one_part_not_many_letters(self) -> None:
        assert ChatMessage(role="user", content="abc").content == ["abc"]  # type: ignore[arg-type]

    def test_a_hook_can_rewrite_what_was_said(self) -> None:
        ctx = ChatContext.empty()
        message = ctx.add_message(role="user", content="my number is 12")
        message.content = ["my number is [hidden]"]
        assert ctx.messages()[0].text_content == "my number is [hidden]"

    @pytest.mark.parametrize("role", ["bogus", "", "User", "tool", None, ["user"]])
    def test_an_unknown_role_is_refused_with_the_known_ones(self, role: Any) -> None:
        ctx = ChatContext.empty()
        told = "role.* is one of developer, system, user, assistant"
        with pytest.raises(UsageError, match=told):
            ctx.add_message(role=role, content="hello")
        with pytest.raises(UsageError, match=told):
            ChatMessage(role=role, content=["hello"])
        with pytest.raises(UsageError, match=told):
            ChatContext.from_dict({"items": [{"id": "x", "type": "message", "role": role, "content": ["hello"]}]})
        assert ctx.items == []

    @pytest.mark.parametrize("role", ["developer", "system", "user", "assistant"])
    def test_every_known_role_is_taken(self, role: Any) -> None:
        assert ChatContext.empty().add_message(role=role, content="hello").role == role


class TestIds:
    def test_two_runs_name_their_items_alike(self) -> None:
        async def call() -> list[str]:
            ctx = ChatContext.empty()
            for text in ("one", "two"):
                ctx.add_message(role="user", content=text)
                await clock.sleep(1)
            ctx.insert(FunctionCall(call_id="c", name="f", arguments="{}"))
            return [item.id for item in ctx.items]

        assert virtual.run(call()) == virtual.run(call())

    def test_an_item_added_to_a_copy_has_an_id_of_its_own(self) -> None:
        async def call() -> None:
            ctx = ChatContext.empty()
            ctx.add_message(role="user", content="one")
            copy = ctx.copy()
            added = copy.add_message(role="system", content="two")
            assert added.id != ctx.add_message(role="user", content="three").id

        virtual.run(call())

    def test_counting_goes_on_behind_what_was_made_before_the_loop(self) -> None:
        before = ChatMessage(role="user", content=["early"])

        async def call() -> str:
            return ChatMessage(role="user", content=["late"]).id

        assert virtual.run(call()) != before.id

    def test_counting_goes_on_behind_what_was_loaded(self) -> None:
        async def call() -> list[str]:
            ctx = ChatContext.from_dict(
                {"items": [{"id": "item_7000", "type": "message", "role": "user", "content": ["x"]}]}
            )
            return [ctx.items[0].id, ctx.add_message(role="user", content="y").id]

        assert virtual.run(call()) == ["item_7000", "item_7001"]

    def test_a_given_id_is_kept(self) -> None:
        assert ChatContext.empty().add_message(role="user", content="x", id="mine").id == "mine"


class TestOrder:
    def test_items_are_sorted_by_age(self) -> None:
        ctx = ChatContext.empty()
        for at in (3.0, 1.0, 2.0):
            ctx.add_message(role="user", content=str(at), created_at=at)
        assert [message.text_content for message in ctx.messages()] == ["1.0", "2.0", "3.0"]

    def test_items_of_one_moment_keep_the_order_in_which_they_came(self) -> None:
        async def call() -> list[str | None]:
            ctx = ChatContext.empty()
            for text in "abc":
                ctx.add_message(role="user", content=text)
            return [message.text_content for message in ctx.messages()]

        assert virtual.run(call()) == ["a", "b", "c"]

    def test_age_is_loop_time(self) -> None:
        async def call() -> float:
            await clock.sleep(2.5)
            return ChatMessage(role="user", content=["x"]).created_at

        assert virtual.run(call()) == 2.5

    def test_several_are_inserted_each_in_its_place(self) -> None:
        ctx = conversation()
        ctx.insert(
            [
                ChatMessage(role="user", content=["late"], created_at=9.0),
                ChatMessage(role="user", content=["early"], created_at=1.5),
            ]
        )
        texts = [message.text_content for message in ctx.messages()]
        assert texts == ["Be brief.", "Add milk.", "early", "Done.", "late"]


class TestFinding:
    def test_by_id(self) -> None:
        ctx = conversation()
        item = ctx.items[3]
        assert ctx.get_by_id(item.id) is item
        assert ctx.index_by_id(item.id) == 3
        assert ctx.get_by_id("nobody") is None
        assert ctx.index_by_id("nobody") is None

    def test_removing(self) -> None:
        ctx = conversation()
        ctx.remove(ctx.items[5])
        ctx.remove(ctx.items[0].id)
        assert kinds(ctx) == ["message", "function_call", "function_call_output", "message"]

    def test_removing_what_is_not_there_is_an_error_that_names_it(self) -> None:
        with pytest.raises(UsageError, match="item 'nobody'"):
            conversation().remove("nobody")


class TestCopies:
    def test_a_copy_is_a_list_of_its_own(self) -> None:
        ctx = conversation()
        ctx.copy().items.clear()
        assert len(ctx.items) == 6

    def test_tools_can_be_left_out(self) -> None:
        assert kinds(conversation().copy(exclude_function_call=True)) == ["message"] * 3 + ["agent_handoff"]

    def test_instructions_can_be_left_out(self) -> None:
        ctx = conversation()
        ctx.add_message(role="developer", content="Really brief.")
        assert {message.role for message in ctx.copy(exclude_instructions=True).messages()} == {"user", "assistant"}

    def test_empty_messages_can_be_left_out(self) -> None:
        ctx = ChatContext.empty()
        ctx.add_message(role="user", content="")
        ctx.add_message(role="user", content=[])
        ctx.add_message(role="user", content="x")
        assert len(ctx.copy(exclude_empty_message=True).items) == 1
        assert len(ctx.copy().items) == 3

    def test_hand_overs_can_be_left_out(self) -> None:
        assert "agent_handoff" not in kinds(conversation().copy(exclude_handoff=True))

    def test_only_calls_of_the_tools_at_hand_can_be_kept(self) -> None:
        assert "function_call" in kinds(conversation().copy(tools=["add_item"]))
        other = kinds(conversation().copy(tools=["other"]))
        assert "function_call" not in other
        assert "function_call_output" not in other
        assert "function_call_output" not in kinds(conversation().copy(tools=[]))


class TestTruncating:
    def test_the_last_stay_and_the_instructions_besides(self) -> None:
        ctx = conversation()
        assert ctx.truncate(max_items=2) is ctx
        assert [message.text_content for message in ctx.messages()] == ["Be brief.", "Done."]
        assert kinds(ctx) == ["message", "message", "agent_handoff"]

    def test_no_output_is_left_without_its_call(self) -> None:
        assert "function_call_output" not in kinds(conversation().truncate(max_items=3))

    def test_a_short_conversation_stays_whole(self) -> None:
        assert len(conversation().truncate(max_items=6).items) == 6

    def test_nothing_can_be_kept(self) -> None:
        assert kinds(conversation().truncate(max_items=0)) == ["message"]

    def test_less_than_nothing_cannot(self) -> None:
        with pytest.raises(UsageError, match="-1"):
            conversation().truncate(max_items=-1)


class TestMerging:
    def test_what_is_new_goes_to_its_place_and_what_is_known_does_not_double(self) -> None:
        ctx = conversation()
        other = ctx.copy()
        other.add_message(role="user", content="between", created_at=1.5)
        ctx.merge(other)
        assert [message.text_content for message in ctx.messages()] == ["Be brief.", "Add milk.", "between", "Done."]
        assert len(ctx.items) == 7

    def test_parts_can_be_left_out(self) -> None:
        ctx = ChatContext.empty().merge(conversation(), exclude_function_call=True, exclude_instructions=True)
        assert kinds(ctx) == ["message", "message", "agent_handoff"]


class TestEquivalence:
    def test_a_copy_is_equivalent(self) -> None:
        ctx = conversation()
        assert ctx.is_equivalent(ctx.copy())

    def test_times_and_metrics_do_not_count(self) -> None:
        first, second = ChatContext.empty(), ChatContext.empty()
        first.add_message(role="user", content="x", id="1", created_at=1.0)
        second.add_message(role="user", content="x", id="1", created_at=2.0, metrics={"e2e_latency": 1.0})
        assert first.is_equivalent(second)

    def test_content_does(self) -> None:
        first, second = ChatContext.empty(), ChatContext.empty()
        first.add_message(role="user", content="x", id="1")
        second.add_message(role="user", content="y", id="1")
        assert not first.is_equivalent(second)

    def test_length_does(self) -> None:
        ctx = conversation()
        assert not ctx.is_equivalent(ctx.copy(exclude_handoff=True))


class TestPlainData:
    def test_it_comes_back_as_it_was(self) -> None:
        ctx = conversation()
        ctx.messages()[1].interrupted = True
        ctx.messages()[1].metrics["e2e_latency"] = 0.5
        data = ctx.to_dict(exclude_timestamp=False, exclude_metrics=False)
        again = ChatContext.from_dict(json.loads(json.dumps(data)))
        assert again.items == ctx.items

    def test_times_and_metrics_are_left_out_unless_wanted(self) -> None:
        ctx = ChatContext.empty()
        ctx.add_message(role="user", content="x", metrics={"e2e_latency": 1.0})
        (entry,) = ctx.to_dict()["items"]
        assert "created_at" not in entry
        assert "metrics" not in entry

    def test_pictures_and_sound_are_left_out_unless_wanted(self) -> None:
        ctx = ChatContext.empty()
        ctx.add_message(role="user", content=["look", {"type": "image_content"}, {"type": "audio_content"}])
        assert ctx.to_dict()["items"][0]["content"] == ["look"]
        assert len(ctx.to_dict(exclude_image=False, exclude_audio=False)["items"][0]["content"]) == 3

    def test_tools_can_be_left_out(self) -> None:
        assert len(conversation().to_dict(exclude_function_call=True)["items"]) == 4

    def test_what_is_no_chat_is_refused(self) -> None:
        with pytest.raises(UsageError, match="'items'"):
            ChatContext.from_dict({"messages": []})

    def test_an_unknown_kind_of_item_is_named(self) -> None:
        with pytest.raises(UsageError, match="telegram"):
            ChatContext.from_dict({"items": [{"type": "telegram"}]})

    def test_a_missing_field_is_named(self) -> None:
        with pytest.raises(UsageError, match="role"):
            ChatContext.from_dict({"items": [{"type": "message", "id": "m", "content": []}]})


def test_what_was_made_before_a_loop_does_not_change_the_ids_in_it() -> None:
    async def call() -> list[str]:
        ctx = ChatContext.empty()
        return [ctx.add_message(role="user", content="x").id for _ in range(2)]

    before = virtual.run(call())
    early = [ChatContext.empty().add_message(role="user", content="x").id for _ in range(3)]
    assert len(set(early)) == 3
    assert not set(early) & set(before)
    assert virtual.run(call()) == before

"""A language model made of rules: it talks, does sums and calls tools, with no key, no network and no model file.

It is there so that a first call works at once, and so that calls can be played again and tested: what it answers is a
function of the conversation and the wall clock alone. It streams word by word, as a model does. What it does not know it
says, and how to have a real model instead.
"""

import contextlib
import itertools
import json
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent_runtime import clock
from agent_runtime.chat import INSTRUCTION_ROLES, ChatContext, ChatMessage, FunctionCall, FunctionCallOutput
from agent_runtime.errors import UsageError
from agent_runtime.llm import LLM, ChatChunk, ChoiceDelta, FunctionToolCall, LLMStream
from agent_runtime.providers.local import rules_calls, rules_commands, rules_questions, rules_talk
from agent_runtime.providers.local.rules_calls import Call
from agent_runtime.providers.local.rules_tools import ToolWords
from agent_runtime.providers.local.rules_words import name_words
from agent_runtime.stt import MIN_CONFIDENCE
from agent_runtime.tool_runs import STILL_RUNNING
from agent_runtime.tools import INTERNAL_ERROR, FunctionTool, Tool, ToolChoice

NO_MODEL = "No language model is set, only a few rules"
"""Stands in the long form of "I did not understand", which is said once in a conversation."""

HOW_TO_SET_ONE = "give the AgentSession one with llm=, or override llm_node"

_FAREWELL_NAMES = frozenset(
    "end_call hang_up hangup end_conversation end_session finish_call close_call goodbye".split()
)
_FAREWELL = re.compile(
    r"(?:^|[.;,:] +|\b(?:and|then|to|this|it|politely|tool) )"
    r"(?:(?:end|finish|close)(?:s|es)? (?:the|this) (?:call|conversation)\b"
    r"|(?:hangs?|hanging) up(?= *(?:$|[.;,:!\n]|(?:the|this) (?:call|phone|line|conversation)\b"
    r"|(?:on|when|if|after|once|as|and|politely|now|because)\b)))"
)
"""A description that says that the tool ends the call. To hang up something else is not to hang up."""

_HANGS_SOMETHING = re.compile(r"\bhangs? up (?:the|a|an|your|my|our|their)\b")
_MAX_QUOTED_WORDS = 12
_SURE_WITHOUT_CONFIDENCE = frozenset({"time", "date", "name", "arithmetic", "repeat", "help"})
"""Intents of several words that do no harm: a cough that was read as "yes" or "bye" must not be answered."""


@dataclass(frozen=True)
class Answer:
    """What to say, and then the calls to make."""

    text: str = ""
    calls: list[Call] = field(default_factory=list)


class RulesLLM(LLM):
    """The descriptor ``local/rules``."""

    label = "local/rules"
    leaves_machine = False

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def chat(
        self,
        *,
        chat_ctx: ChatContext,
        tools: Sequence[Tool] = (),
        tool_choice: ToolChoice | None = None,
    ) -> LLMStream:
        # It has no service that could run a provider's tool; an agent made for one may still be tried with it.
        functions = [tool for tool in tools if isinstance(tool, FunctionTool)]
        return _RulesStream(self._numbers, chat_ctx, functions, tool_choice)


class _RulesStream(LLMStream):
    def __init__(
        self,
        numbers: Iterator[int],
        chat_ctx: ChatContext,
        tools: Sequence[FunctionTool],
        tool_choice: ToolChoice | None,
    ) -> None:
        self._numbers = numbers
        self._chat_ctx = chat_ctx
        self._tools = tools
        self._tool_choice = tool_choice

    async def generate(self) -> AsyncIterator[ChatChunk]:
        for tool in self._tools:
            if not tool.worked_out:
                await clock.offload(tool.work_out)
        answer = Conversation(self._chat_ctx, self._tools, self._tool_choice).answer()
        number = next(self._numbers)
        chunk_id = f"rules_{number}"
        for word in re.findall(r"\S+\s*", answer.text):
            yield ChatChunk(chunk_id, ChoiceDelta(role="assistant", content=word))
            await clock.sleep(0)
        if answer.calls:
            calls = [
                FunctionToolCall(
                    call.tool.name, json.dumps(call.arguments, ensure_ascii=False), f"call_{number}_{index}"
                )
                for index, call in enumerate(answer.calls, start=1)
            ]
            yield ChatChunk(chunk_id, ChoiceDelta(role="assistant", tool_calls=calls))


class Conversation:
    """One request: the answer to a conversation. Pure but for the wall clock."""

    def __init__(
        self, chat_ctx: ChatContext, tools: Sequence[FunctionTool] = (), tool_choice: ToolChoice | None = None
    ) -> None:
        self._chat_ctx = chat_ctx
        self._all_tools = tools
        self._tools = [] if tool_choice == "none" else list(tools)
        self._words = [ToolWords(tool) for tool in self._tools]
        self._messages = chat_ctx.messages()
        self._named = _named_tool(tools, tool_choice)
        self._must = tool_choice == "required" or self._named is not None

    def answer(self) -> Answer:
        outputs = self._fresh_outputs()
        done = [each for each in outputs if each.output != STILL_RUNNING]  # that is for the model, not for the caller
        if done:
            return Answer(_outcome(done))
        if outputs:
            return Answer(self._quoted() or "One moment, please.")
        user = self._open_turn()
        if user is None:
            return Answer(self._quoted() or "Hello! What can I do for you?")
        text = (user.text_content or "").strip()
        if self._must:
            return self._forced(text)
        pending = rules_questions.pending(self._messages, self._words)
        if not text:
            return _with_question("I did not catch that, please say it again.", pending)
        if user.transcript_confidence is not None and user.transcript_confidence < MIN_CONFIDENCE:
            intent = rules_talk.intent(text)
            if intent in _SURE_WITHOUT_CONFIDENCE:
                return self._talk(intent, text)
            return _with_question(self._not_understood(text), pending)
        return self._reply(text, pending)

    # What there is to answer

    def _fresh_outputs(self) -> list[FunctionCallOutput]:
        """The outcomes of tools that nothing was said about yet.

        One that came, or is still to come, of a call from before the user's last words does not go before these.
        """
        fresh: list[FunctionCallOutput] = []
        calls: set[str] = set()
        for item in reversed(self._chat_ctx.items):
            if isinstance(item, FunctionCallOutput):
                fresh.insert(0, item)
            elif isinstance(item, FunctionCall):
                calls.add(item.call_id)
            elif isinstance(item, ChatMessage) and item.role not in INSTRUCTION_ROLES:
                return fresh if item.role == "assistant" else [each for each in fresh if each.call_id in calls]
        return fresh

    def _open_turn(self) -> ChatMessage | None:
        """The user's last words, unless they were answered and the application asks for something on its own."""
        messages = self._messages
        user = next((at for at in range(len(messages) - 1, -1, -1) if messages[at].role == "user"), None)
        if user is None:
            return None
        after = [message.role for message in messages[user + 1 :]]
        return None if "assistant" in after and after[-1] in INSTRUCTION_ROLES else messages[user]

    def _quoted(self) -> str | None:
        """What to say unasked, where the last instructions put it in quotes."""
        last = next((m for m in reversed(self._messages) if m.role in INSTRUCTION_ROLES), None)
        quoted = re.search(r"\b[Ss]ay:? +[\"“']([^\"”]+?)[\"”'](?!\w)", (last.text_content or "") if last else "")
        return quoted[1] if quoted else None

    # Answers to what the user said

    def _reply(self, text: str, pending: Call | None) -> Answer:
        if pending is not None and (answer := self._answer_to_question(pending, text)) is not None:
            return answer
        answers = [self._single(part) for part in rules_commands.commands(text, self._words)]
        if any(answer is None for answer in answers):
            whole = self._single(text)
            return whole if whole is not None else _with_question(self._unknown(text), pending)
        found = [answer for answer in answers if answer is not None]
        if any(answer.calls for answer in found) and rules_commands.taken_back(text):
            return Answer("Okay, I will not do that.")
        if len(found) > 1:
            # "No, that is all": what is only polite is not worth an answer of its own.
            found = [a for a in found if a.calls or a.text not in ("Okay.", "You are welcome.")] or found[:1]
        return Answer(
            " ".join(dict.fromkeys(answer.text for answer in found if answer.text)),
            [call for answer in found for call in answer.calls],
        )

    def _single(self, text: str) -> Answer | None:
        """The answer to one command; None where it is not known."""
        intent = rules_talk.intent(text)
        choice = rules_calls.choose(text, self._words)
        if intent is not None and not (choice.calls and _comes_before(choice.calls[0], intent)):
            return self._talk(intent, text)
        if choice.calls:
            return self._call(choice.calls)
        refusal = rules_commands.refusal(text, self._words)
        return None if refusal is None else Answer(refusal)

    def _talk(self, intent: str, text: str) -> Answer:
        said = rules_talk.reply(intent, text, self._chat_ctx, clock.wall(), self._abilities())
        farewell = self._farewell_tool() if intent == "goodbye" else None
        return Answer(said, [Call(farewell, {})] if farewell else [])

    def _call(self, calls: list[Call]) -> Answer:
        incomplete = next((call for call in calls if call.missing), None)
        if incomplete is not None:
            return Answer(rules_questions.ask(incomplete))
        return Answer("Good-bye!" if calls[0].tool == self._farewell_tool() else "", calls)

    def _forced(self, text: str) -> Answer:
        tools = [tool for tool in self._words if self._named in (None, tool.tool)]
        calls = rules_calls.choose(text, tools, must=True).calls
        if not calls:
            raise UsageError("tool_choice='required' needs at least one tool; give the agent one, or leave it out.")
        # A real model would make something up; the user's words are the best guess there is.
        return Answer("", [Call(call.tool, call.arguments | dict.fromkeys(call.missing, text)) for call in calls])

    def _unknown(self, text: str) -> str:
        unsure = rules_calls.choose(text, self._words).unsure
        if len(unsure) > 1:
            names = [f'"{" ".join(name_words(tool.name))}"' for tool in unsure[:3]]
            return f"Did you mean {rules_talk.joined(names, 'or')}? Please say it again."
        return self._not_understood(text)

    def _not_understood(self, text: str) -> str:
        words = text.strip(" .?!").split()
        quoted = " ".join(words[:_MAX_QUOTED_WORDS]) + (" and so on" if len(words) > _MAX_QUOTED_WORDS else "")
        said_before = any(
            message.role == "assistant" and NO_MODEL in (message.text_content or "") for message in self._messages
        )
        advice = 'Say "help" to hear what I can do.' if said_before else f"{NO_MODEL}: {HOW_TO_SET_ONE}."
        return f'I did not understand "{quoted}". {advice}'

    def _answer_to_question(self, pending: Call, text: str) -> Answer | None:
        """The call with its argument, or the question once more; None where the user went on to something else."""
        if not rules_questions.is_answer(pending, text, self._words):
            return None
        calls = rules_questions.complete(pending, text)
        if calls == [pending] and rules_talk.intent(text) == "no":
            return None
        return self._call(calls)

    # The agent's tools

    def _farewell_tool(self) -> FunctionTool | None:
        """The tool that ends the call: by its name, or because its description says so."""
        for tool in self._tools:
            told = tool.description.strip().lower()
            ends = _FAREWELL.search(told) or (tool.name in _FAREWELL_NAMES and not _HANGS_SOMETHING.search(told))
            if ends and not tool.parameters.get("required"):
                return tool
        return None

    def _abilities(self) -> list[str]:
        farewell = self._farewell_tool()
        return [_ability(tool) for tool in self._all_tools if tool != farewell]


def _named_tool(tools: Sequence[FunctionTool], tool_choice: ToolChoice | None) -> FunctionTool | None:
    if tool_choice is None or isinstance(tool_choice, str):
        return None
    name = tool_choice["function"]["name"]
    tool = next((tool for tool in tools if tool.name == name), None)
    if tool is None:
        known = ", ".join(tool.name for tool in tools) or "none"
        raise UsageError(f"tool_choice names '{name}', which is not among the tools ({known}).")
    return tool


def _with_question(said: str, pending: Call | None) -> Answer:
    return Answer(said if pending is None else f"{said} {rules_questions.ask(pending)}")


def _comes_before(call: Call, intent: str) -> bool:
    """Whether the application's tool is meant, and not what the rules know themselves by the same words."""
    return not call.missing and (intent in ("time", "date", "name") or (intent == "repeat" and not call.arguments))


def _ability(tool: FunctionTool) -> str:
    """What a tool does, as it follows "I can": the first clause of its description, else its name."""
    first = re.split(r"[.!?;\n]|, (?:as|such|like|for)\b|[\"“(]", tool.description.strip(), maxsplit=1)[0].strip(" ,")
    if not first:
        return " ".join(name_words(tool.name))
    return first[0].lower() + first[1:]


# What came of the calls, in words


def _outcome(outputs: list[FunctionCallOutput]) -> str:
    """The outputs as sentences, each once."""
    return " ".join(dict.fromkeys(_sentence(output) for output in outputs))


def _sentence(output: FunctionCallOutput) -> str:
    said = output.output.strip()
    if output.is_error:
        what = " ".join(name_words(output.name)) or "that"
        return f"Sorry, {what} failed." if said in ("", INTERNAL_ERROR) else f"Sorry, that did not work: {_ended(said)}"
    if not said:
        return "Done."
    with contextlib.suppress(ValueError):  # plain text is said as it is
        said = _value(json.loads(said))
    return _ended(said)


def _value(value: Any) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case None:
            return "nothing"
        case list() | dict() if not value:
            return "nothing"
        case list():
            return rules_talk.joined([_value(each) for each in value])
        case dict():
            named = [f"{' '.join(name_words(str(key)))} is {_value(each)}" for key, each in value.items()]
            return rules_talk.joined(named)
        case _:
            return str(value)


def _ended(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text[-1:] in ".!?" else f"{text}."

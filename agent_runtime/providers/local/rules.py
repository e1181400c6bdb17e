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
from agent_runtime.providers.local import rules_calls, rules_talk
from agent_runtime.providers.local.rules_calls import Call
from agent_runtime.providers.local.rules_tools import ToolWords
from agent_runtime.providers.local.rules_words import name_words
from agent_runtime.stt import MIN_CONFIDENCE
from agent_runtime.tools import INTERNAL_ERROR, FunctionTool, ToolChoice

NO_MODEL = "No language model is set, only a few rules"
"""Stands in the long form of "I did not understand", which is said once in a conversation."""

HOW_TO_SET_ONE = "give the AgentSession one with llm=, or override llm_node"

_FAREWELL_NAMES = frozenset(
    "end_call hang_up hangup end_conversation end_session finish_call close_call goodbye".split()
)
_FAREWELL = re.compile(
    r"\b(?:end|ends|hang|hangs|finish|finishes|close|closes) (?:up\b|(?:the|this) (?:call|conversation))"
)
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
        tools: Sequence[FunctionTool] = (),
        tool_choice: ToolChoice | None = None,
    ) -> LLMStream:
        return _RulesStream(self._numbers, chat_ctx, tools, tool_choice)


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
        if outputs:
            return Answer(_outcome(outputs))
        user = self._open_turn()
        if user is None:
            return Answer(self._opening())
        text = (user.text_content or "").strip()
        if self._must:
            return self._forced(text)
        if not text:
            return Answer("I did not catch that, please say it again.")
        if user.transcript_confidence is not None and user.transcript_confidence < MIN_CONFIDENCE:
            intent = rules_talk.intent(text)
            return self._talk(intent, text) if intent in _SURE_WITHOUT_CONFIDENCE else self._not_understood(text)
        return self._reply(text)

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

    def _opening(self) -> str:
        """What to say unasked: what the instructions put in quotes, else a greeting."""
        last = next((m for m in reversed(self._messages) if m.role in INSTRUCTION_ROLES), None)
        quoted = re.search(r"\b[Ss]ay:? +[\"“']([^\"”]+?)[\"”'](?!\w)", (last.text_content or "") if last else "")
        return quoted[1] if quoted else "Hello! What can I do for you?"

    # Answers to what the user said

    def _reply(self, text: str) -> Answer:
        pending = self._pending()
        if pending is not None:
            answer = self._answer_to_question(pending, text)
            if answer is not None:
                return answer
        answers = [self._single(part) for part in self._parts(text)]
        if any(answer is None for answer in answers):
            whole = self._single(text)
            return whole if whole is not None else self._unknown(text)
        found = [answer for answer in answers if answer is not None]
        if len(found) > 1:
            # "No, that is all": what is only polite is not worth an answer of its own.
            found = [a for a in found if a.calls or a.text not in ("Okay.", "You are welcome.")] or found[:1]
        return Answer(
            " ".join(dict.fromkeys(answer.text for answer in found if answer.text)),
            [call for answer in found for call in answer.calls],
        )

    def _parts(self, text: str) -> list[str]:
        """The commands in a sentence: "add milk and eggs and read my list" is two."""
        if rules_talk.intent(text) is not None:
            return [text]
        commands: list[str] = []
        for part in re.split(r"[,.;?!]\s+|[.;?!]$|\s+(?:and then|and also|and|then)\s+", text):
            if not part or not part.strip():
                continue
            if commands and not (rules_talk.intent(part) or rules_calls.begins_command(part, self._words)):
                commands[-1] += f" and {part}"
            else:
                commands.append(part)
        return commands or [text]

    def _single(self, text: str) -> Answer | None:
        """The answer to one command; None where it is not known."""
        intent = rules_talk.intent(text)
        choice = rules_calls.choose(text, self._words)
        if intent is not None and not (
            choice.calls and not choice.calls[0].missing and intent in ("time", "date", "name")
        ):
            return self._talk(intent, text)
        if choice.calls:
            return self._call(choice.calls)
        return None

    def _talk(self, intent: str, text: str) -> Answer:
        said = rules_talk.reply(intent, text, self._chat_ctx, clock.wall(), self._abilities())
        farewell = self._farewell_tool() if intent == "goodbye" else None
        return Answer(said, [Call(farewell, {})] if farewell else [])

    def _call(self, calls: list[Call]) -> Answer:
        incomplete = next((call for call in calls if call.missing), None)
        if incomplete is not None:
            return Answer(rules_calls.ask(incomplete))
        return Answer("Good-bye!" if calls[0].tool == self._farewell_tool() else "", calls)

    def _forced(self, text: str) -> Answer:
        tools = [tool for tool in self._words if self._named in (None, tool.tool)]
        calls = rules_calls.choose(text, tools, must=True).calls
        if not calls:
            raise UsageError("tool_choice='required' needs at least one tool; give the agent one, or leave it out.")
        # A real model would make something up; the user's words are the best guess there is.
        return Answer("", [Call(call.tool, call.arguments | dict.fromkeys(call.missing, text)) for call in calls])

    def _unknown(self, text: str) -> Answer:
        unsure = rules_calls.choose(text, self._words).unsure
        if len(unsure) > 1:
            names = [f'"{" ".join(name_words(tool.name))}"' for tool in unsure[:3]]
            return Answer(f"Did you mean {rules_talk.joined(names, 'or')}? Please say it again.")
        return self._not_understood(text)

    def _not_understood(self, text: str) -> Answer:
        words = text.strip(" .?!").split()
        quoted = " ".join(words[:_MAX_QUOTED_WORDS]) + (" and so on" if len(words) > _MAX_QUOTED_WORDS else "")
        said_before = any(
            message.role == "assistant" and NO_MODEL in (message.text_content or "") for message in self._messages
        )
        advice = 'Say "help" to hear what I can do.' if said_before else f"{NO_MODEL}: {HOW_TO_SET_ONE}."
        return Answer(f'I did not understand "{quoted}". {advice}')

    # A question of ours that is still open

    def _pending(self) -> Call | None:
        """The call whose missing argument we asked for last.

        Nothing is remembered between requests: what was asked is found by asking it again.
        """
        spoken = [message for message in self._messages if message.role not in INSTRUCTION_ROLES]
        if len(spoken) < 3 or spoken[-2].role != "assistant":
            return None
        asked = (spoken[-2].text_content or "").strip()
        if not (asked.endswith("?") or spoken[-2].interrupted):
            return None
        before = next((message.text_content for message in reversed(spoken[:-2]) if message.role == "user"), None)
        for part in self._parts(before) if before else ():
            for call in rules_calls.choose(part, self._words).calls:
                if call.missing and _is_said(rules_calls.ask(call), asked, cut=spoken[-2].interrupted):
                    return call
        return None

    def _answer_to_question(self, pending: Call, text: str) -> Answer | None:
        """The call with its argument, or the question once more; None where the user went on to something else."""
        if rules_talk.intent(text) not in (None, "yes", "no") or rules_calls.choose(text, self._words).calls:
            return None
        return self._call(rules_calls.complete(pending, text))

    # The agent's tools

    def _farewell_tool(self) -> FunctionTool | None:
        """The tool that ends the call: by its name, or because its description says so."""
        for tool in self._tools:
            ends = tool.name in _FAREWELL_NAMES or _FAREWELL.search(tool.description.lower())
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


def _is_said(question: str, said: str, *, cut: bool) -> bool:
    return said.endswith(question) or (cut and bool(said) and question.startswith(said.rstrip(" .?!,:")))


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

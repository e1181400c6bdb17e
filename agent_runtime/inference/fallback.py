"""Several models as one: the next one answers when one fails (`A | B`), or is too slow (`A | B ~600ms`).

Each model that is asked runs in a task of its own and hands its chunks over through a channel. The first *usable* token
decides: text that is not blank, or a tool call. An answer that ends without one is given up for the next model's, as long
as there is a next one. From the first usable token on the answer is that model's; the others are cancelled at
once, which closes their connections. After the first usable token there is no other model, unless `continue_answers` says
so: then the next one is given what was said, and goes on from there.
"""

import asyncio
import dataclasses
import math
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from agent_runtime import clock
from agent_runtime.channels import Channel
from agent_runtime.errors import APIError, Fault, ProviderError, UsageError
from agent_runtime.inference.availability import Availability, Hedge
from agent_runtime.inference.chain import shown
from agent_runtime.llm import FIRST_TOKEN_TIMEOUT_S, LLM, CallOutcome, ChatChunk, LLMStream, ModelCall, reporting
from agent_runtime.types import APIConnectOptions

if TYPE_CHECKING:
    from agent_runtime.chat import ChatContext
    from agent_runtime.tools import FunctionTool, ProviderTool, ToolChoice

ATTEMPT_S = 5.0
"""To the first usable token of a model behind which there is another. One that asks for longer than most gets it."""

AHEAD = 256
"""Chunks that a model may be ahead of who reads them."""

GO_ON = "Your answer broke off after these words. Go on from there, and repeat nothing."


class NoModelAnswered(APIError):
    """Every model of a chain failed.

    Attributes:
        errors: what each said, by its label; of models with one label each has its number in the chain behind it.
    """

    def __init__(self, errors: Mapping[str, Exception]) -> None:
        told = " ".join(f"{label}: {error}" for label, error in errors.items())
        last = list(errors.values())[-1]
        fault: Fault = last.fault if isinstance(last, APIError) else "service"
        super().__init__(f"None of {len(errors)} models answered. {told}", provider="|".join(errors), fault=fault)
        self.errors = dict(errors)


class FallbackLLM(LLM):
    """A chain of models.

    Args:
        llm: the models, the preferred one first.
        hedges: for each, when it is asked besides the one before it; see `Hedge`.
        attempt_timeout: seconds to the first usable token of one, before the next is asked; by itself 5 s, and more for
            one that says that it needs more (a reasoning model).
        max_retry_per_llm: how often one is asked again before the next one is; the last one as often as it says itself.
        continue_answers: whether an answer that breaks off after its first word is gone on with by the next model. Its
            words are in the request as the beginning of the answer.

    Raises:
        UsageError: there are fewer than two models, or an argument is not of its form.
    """

    watches_itself = True

    def __init__(
        self,
        llm: Sequence[LLM],
        *,
        hedges: Sequence[Hedge] = (),
        attempt_timeout: float | None = None,
        max_retry_per_llm: int = 0,
        continue_answers: bool = False,
    ) -> None:
        _check_models(llm)
        _check_hedges(hedges, len(llm))
        if attempt_timeout is not None and not _is_seconds(attempt_timeout):
            raise UsageError(
                f"FallbackLLM has attempt_timeout={attempt_timeout!r}; it is a number of seconds above 0, or None."
            )
        if isinstance(max_retry_per_llm, bool) or not isinstance(max_retry_per_llm, int) or max_retry_per_llm < 0:
            raise UsageError(
                f"FallbackLLM has max_retry_per_llm={max_retry_per_llm!r}; it is a whole number from 0 on."
            )
        self.models = list(llm)
        self.attempt_timeout = attempt_timeout
        self.max_retry_per_llm = max_retry_per_llm
        self.continue_answers = continue_answers
        self.availability = Availability(hedges or [None] * len(llm))
        self.label = " | ".join(each.label or type(each).__name__ for each in llm)
        self.leaves_machine = any(each.leaves_machine for each in llm)
        self.first_token_timeout = sum(map(self.patience, llm))
        self.probes: set[asyncio.Task[None]] = set()

    def patience(self, llm: LLM) -> float:
        """Seconds that this one may take to its first usable token."""
        if self.attempt_timeout is not None:
            return self.attempt_timeout
        return ATTEMPT_S if llm.first_token_timeout <= FIRST_TOKEN_TIMEOUT_S else llm.first_token_timeout

    def chat(
        self,
        *,
        chat_ctx: "ChatContext",
        tools: "Sequence[FunctionTool | ProviderTool]" = (),
        tool_choice: "ToolChoice | None" = None,
        **further: Any,
    ) -> "FallbackStream":
        """Ask the chain. `further` goes to each model as it is."""

        def ask(place: int, ctx: "ChatContext", last: bool) -> LLMStream:
            llm, given = self.models[place], further
            patience = getattr(llm, "conn_options", None)
            if not last and isinstance(patience, APIConnectOptions) and "conn_options" not in further:
                given = {**further, "conn_options": dataclasses.replace(patience, max_retry=self.max_retry_per_llm)}
            return llm.chat(chat_ctx=ctx, tools=tools, tool_choice=tool_choice, **given)

        return FallbackStream(self, chat_ctx, ask)

    def prewarm(self) -> None:
        for each in self.models:
            prewarm = getattr(each, "prewarm", None)
            if prewarm is not None:
                prewarm()

    async def aclose(self) -> None:
        for probe in self.probes:
            probe.cancel()
        if self.probes:
            await asyncio.wait(self.probes)
        ends = await asyncio.gather(*(each.aclose() for each in self.models), return_exceptions=True)
        for error in ends:  # only now: each of them had its turn
            if error is not None:
                raise error


def _check_models(llm: Sequence[LLM]) -> None:
    if isinstance(llm, str):
        raise UsageError(
            f"FallbackLLM has the string {shown(llm)!r}; give a list of models, or the string to the session."
        )
    if len(llm) < 2:
        raise UsageError(f"A chain has two models or more, not {len(llm)}; give the one as it is.")
    for number, each in enumerate(llm, 1):
        if isinstance(each, str):
            raise UsageError(
                f"Model {number} of FallbackLLM is the string {shown(each)!r}; give an object of class LLM, "
                "or a chain to the session: AgentSession(llm='a/x | b/y')."
            )
        if not isinstance(each, LLM):
            raise UsageError(f"Model {number} of FallbackLLM is {each!r}; give an object of class LLM.")


def _check_hedges(hedges: Sequence[Hedge], models: int) -> None:
    if isinstance(hedges, str) or not isinstance(hedges, Sequence):
        raise UsageError(f"FallbackLLM has hedges={hedges!r}; give a list such as [None, 0.6].")
    if hedges and (len(hedges) != models or hedges[0] is not None):
        raise UsageError("hedges has one entry for each model, and None for the first, which is asked at once.")
    for number, hedge in enumerate(hedges, 1):
        if hedge is not None and hedge != "p90" and not _is_seconds(hedge):
            raise UsageError(
                f"FallbackLLM has the hedge {hedge!r} for model {number}; "
                "it is a number of seconds above 0, 'p90' or None."
            )


def _is_seconds(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


class FallbackStream(LLMStream):
    """An answer of whichever model gives one."""

    def __init__(
        self, chain: FallbackLLM, chat_ctx: "ChatContext", ask: "Callable[[int, ChatContext, bool], LLMStream]"
    ) -> None:
        self._chain = chain
        self._given = self._ctx = chat_ctx
        self._ask = ask
        self._errors: dict[int, Exception] = {}

    async def generate(self) -> AsyncIterator[ChatChunk]:
        chain = self._chain
        waiting = chain.availability.order()
        self._probe_those_due()
        said = ""
        while True:
            race = _Race(self, waiting)
            try:
                winner = await race.decided()
                called = False
                async for chunk in winner:
                    if chunk.delta is not None:
                        said += chunk.delta.content or ""
                        called = called or bool(chunk.delta.tool_calls)
                    yield chunk
                if winner.error is None:
                    return
                self.failed(winner)
                if called or not waiting or not chain.continue_answers:
                    raise winner.error
                self._ctx = _continued(self._given, said)
            finally:
                await race.over()

    def start(self, place: int, wake: asyncio.Event, *, last: bool) -> "_Contender":
        llm = self._chain.models[place]
        ask = partial(self._ask, place, self._ctx, last)
        return _Contender(place, llm, ask, self._chain.patience(llm), wake, last=last)

    def failed(self, contender: "_Contender") -> None:
        assert contender.error is not None
        self._errors[contender.place] = contender.error
        if not _is_of_the_request(contender.error):
            self._chain.availability.failed(contender.place, clock.now())

    def answered(self, contender: "_Contender") -> None:
        self._chain.availability.answered(contender.place, contender.usable_at - contender.started_at)

    def nobody(self) -> Exception:
        labels = [each.label or type(each).__name__ for each in self._chain.models]
        return NoModelAnswered(
            {
                labels[place] if labels.count(labels[place]) == 1 else f"{labels[place]} ({place + 1})": error
                for place, error in self._errors.items()
            }
        )

    def hedge_at(self, place: int, before: "_Contender") -> float | None:
        after = self._chain.availability.hedge_after(place, before.place)
        return None if after is None else before.started_at + after

    def _probe_those_due(self) -> None:
        """Ask those that were down, besides; what they answer is thrown away."""
        chain = self._chain
        for place in chain.availability.due(clock.now()):
            chain.availability.failed(place, clock.now())  # until it has answered
            probe = asyncio.ensure_future(self._probe(place))
            chain.probes.add(probe)
            probe.add_done_callback(chain.probes.discard)

    async def _probe(self, place: int) -> None:
        wake = asyncio.Event()
        contender = self.start(place, wake, last=False)
        contender.outcome = "probe"
        try:
            await wake.wait()
            if contender.is_usable or contender.is_empty:
                self.answered(contender)
        finally:
            contender.lose("probe")
            await asyncio.wait([contender.task])


class _Race:
    """Those that were asked for one answer, and those that wait to be."""

    def __init__(self, stream: FallbackStream, waiting: list[int]) -> None:
        self._stream = stream
        self._waiting = waiting  # what is started is taken from it
        self._wake = asyncio.Event()
        self._asked: list[_Contender] = []
        self._empty: _Contender | None = None

    async def decided(self) -> "_Contender":
        """The one with the first usable token; where there is none, the last one whose answer was empty.

        Raises:
            NoModelAnswered: none has answered, and nobody is left to ask.
        """
        self._start()
        while True:
            self._wake.clear()
            for contender in self._asked:
                if contender.is_usable:
                    self._stream.answered(contender)
                    for other in self._asked:
                        if other is not contender:
                            other.lose("lost")
                    return contender
            for contender in [each for each in self._asked if each.error is not None]:
                if isinstance(contender.error, UsageError):  # a mistake of the application's, not of the service
                    raise contender.error
                self._stream.failed(contender)
                self._asked.remove(contender)
            for contender in [each for each in self._asked if each.is_empty]:
                self._asked.remove(contender)
                self._empty = contender
            if not self._asked and not self._waiting:
                if self._empty is None:
                    raise self._stream.nobody()
                self._stream.answered(self._empty)
                return self._empty
            if not self._asked or self._is_hedge_due():
                self._start()
                continue
            await self._next_wake()

    def _start(self) -> None:
        place = self._waiting.pop(0)
        self._asked.append(self._stream.start(place, self._wake, last=not self._waiting))

    def _hedge_at(self) -> float | None:
        return self._stream.hedge_at(self._waiting[0], self._asked[-1]) if self._waiting and self._asked else None

    def _is_hedge_due(self) -> bool:
        at = self._hedge_at()
        return at is not None and clock.now() >= at - clock.GRAIN_S

    async def _next_wake(self) -> None:
        at = self._hedge_at()
        timer = None if at is None else asyncio.get_running_loop().call_at(at, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            if timer is not None:
                timer.cancel()

    async def over(self) -> None:
        """Nobody runs any more."""
        for contender in self._asked:
            contender.task.cancel()
        if self._asked:
            await asyncio.wait([contender.task for contender in self._asked])


class _Contender:
    """One model that was asked."""

    def __init__(
        self,
        place: int,
        llm: LLM,
        ask: Callable[[], LLMStream],
        patience: float,
        wake: asyncio.Event,
        *,
        last: bool,
    ) -> None:
        self.place = place
        self.is_last = last
        self.label = llm.label or type(llm).__name__
        self._thoughts: deque[ChatChunk] = deque()
        self.chunks: Channel[ChatChunk] = Channel(AHEAD)
        self.error: Exception | None = None
        self.is_usable = self.is_empty = False
        self.started_at = self.usable_at = clock.now()
        self.outcome: CallOutcome | None = None
        self._ask = ask
        self._patience = patience
        self._wake = wake
        self.task = asyncio.ensure_future(self._run())

    def lose(self, outcome: CallOutcome) -> None:
        self.outcome = outcome
        self.task.cancel()

    def __aiter__(self) -> AsyncIterator[ChatChunk]:
        return self

    async def __anext__(self) -> ChatChunk:
        """All chunks: those from before the first usable token, and those from it on. For once it is decided."""
        return self._thoughts.popleft() if self._thoughts else await anext(self.chunks)

    async def _run(self) -> None:
        report = reporting.get()
        if report is not None:
            reporting.set(lambda call: report(self._as_it_was(call)))
        try:
            async with clock.Deadline(self._patience) as deadline:
                deadline.restart()
                async with self._ask() as stream:
                    async for chunk in stream:
                        if not self.is_usable and _is_usable(chunk):
                            deadline.pause()
                            self._usable()
                        if not self.is_usable:
                            self._thoughts.append(chunk)  # nobody reads before there is something usable
                        elif not self.chunks.offer(chunk):
                            await self.chunks.send(chunk)
            if not self.is_usable:
                self.is_empty = True
                self.usable_at = clock.now()
        except TimeoutError:
            self.error = ProviderError(
                f"{self.label} gave nothing usable within {self._patience:g} s.", provider=self.label, retryable=True
            )
        except Exception as error:
            self.error = error
        finally:
            self.chunks.close()
            self._wake.set()

    def _usable(self) -> None:
        if not self.is_usable:
            self.is_usable = True
            self.usable_at = clock.now()
            self._wake.set()

    def _as_it_was(self, call: ModelCall) -> ModelCall:
        if call.outcome == "failed":
            return call
        if self.outcome is not None:
            return dataclasses.replace(call, outcome=self.outcome)
        if call.outcome == "answered" and not self.is_usable and not self.is_last:  # the next one answers in its place
            return dataclasses.replace(call, outcome="failed", error=f"{self.label} gave an empty answer.")
        return call


def _is_of_the_request(error: Exception) -> bool:
    """Whether it says nothing of the model: a context that is too long for it, an answer that its filter kept back."""
    if not isinstance(error, APIError):
        return False
    return error.fault == "request" or (error.fault == "answer" and not error.retryable)


def _is_usable(chunk: ChatChunk) -> bool:
    delta = chunk.delta
    return delta is not None and bool((delta.content or "").strip() or delta.tool_calls)


def _continued(ctx: "ChatContext", said: str) -> "ChatContext":
    """What is asked of the one that goes on."""
    ctx = ctx.copy()
    ctx.add_message(role="assistant", content=said)
    ctx.add_message(role="system", content=GO_ON)
    return ctx

"""What a session's models used and cost, and where that ends. Pure: a function of the events of the log.

Tokens are kept as the services counted them. A cost is known where the service told the tokens and the table of prices
knows the model; what is not known stays unknown, is counted as such, and is never taken for nothing.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

from agent_runtime.errors import UsageError
from agent_runtime.events import Event, GenerationDiscarded, ModelCalled
from agent_runtime.llm import CompletionUsage

if TYPE_CHECKING:
    from agent_runtime.inference.prices import Price

TOKENS = (
    "prompt_tokens",
    "prompt_cached_tokens",
    "cache_creation_tokens",
    "completion_tokens",
    "reasoning_tokens",
)
"""What is counted, by its name in `CompletionUsage`, in `ModelCalled` and in `ModelUsage`."""

GOODBYE = "I am sorry, our time is up. Good-bye."

Per = Literal["session", "turn"]
OnExceed = Literal["say_goodbye", "stop"] | Callable[..., Any]


@dataclass(slots=True)
class ModelUsage:
    """What one model was used for, in its own units.

    Attributes:
        calls: requests, of any outcome.
        wasted: those of them of which nothing was used: failed, given up, lost to a faster model, probes, and answers
            made ahead for a turn that came out otherwise.
        unmetered: those of which no token count is known.
        usd: dollars; None where the cost of any call is not known: it was not metered, or the model is unpriced.
        known_usd: dollars of those calls whose cost is known.
    """

    provider: str
    model: str
    calls: int = 0
    wasted: int = 0
    unmetered: int = 0
    prompt_tokens: int = 0
    prompt_cached_tokens: int = 0
    cache_creation_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    usd: float | None = 0.0
    known_usd: float = 0.0


def of_the_table(provider: str, model: str) -> "Price | None":
    """The price in the dated table, which is read when something is to be paid for."""
    from agent_runtime.inference.prices import price_of

    return price_of(provider, model)


class Spending:
    """The sum of what was noted.

    Args:
        price_of: dollars for the tokens of a model; by itself the dated table of prices.
    """

    def __init__(self, price_of: "Callable[[str, str], Price | None]" = of_the_table) -> None:
        self._price_of = price_of
        self._models: dict[tuple[str, str], ModelUsage] = {}
        self._of_speech: dict[str, float] = {}
        self._used: dict[str, list[ModelUsage]] = {}

    @classmethod
    def of(cls, events: Iterable[Event]) -> "Spending":
        """Of a whole log."""
        spending = cls()
        for event in events:
            spending.note(event)
        return spending

    def note(self, event: Event) -> None:
        """Take in an event; most say nothing here."""
        if isinstance(event, ModelCalled):
            self._note_call(event)
        elif isinstance(event, GenerationDiscarded):
            for used in self._used.pop(event.speech_id, ()):
                used.wasted += 1

    def _note_call(self, call: ModelCalled) -> None:
        model = call.model.removeprefix(f"{call.provider}/")
        used = self._models.setdefault((call.provider, model), ModelUsage(call.provider, model))
        used.calls += 1
        if call.outcome != "answered":
            used.wasted += 1
        elif call.speech_id is not None:
            self._used.setdefault(call.speech_id, []).append(used)
        usage = _usage(call)
        if usage is None:
            used.unmetered += 1
        else:
            for name in TOKENS:
                setattr(used, name, getattr(used, name) + getattr(usage, name))
        usd = _usd(self._price_of(call.provider, model), usage)
        if usd is None:
            used.usd = None
            return
        used.known_usd += usd
        if used.usd is not None:
            used.usd = used.known_usd
        if call.speech_id is not None:
            self._of_speech[call.speech_id] = self._of_speech.get(call.speech_id, 0.0) + usd

    @property
    def models(self) -> list[ModelUsage]:
        """Each model that was asked, in the order of its first request."""
        return list(self._models.values())

    @property
    def usd(self) -> float:
        """Dollars of all calls whose cost is known: at least so much was spent, and all of it where `unknown` is empty."""
        return sum(used.known_usd for used in self._models.values())

    def usd_of(self, speech_id: str) -> float:
        """Dollars of one speech, as far as they are known."""
        return self._of_speech.get(speech_id, 0.0)

    @property
    def unknown(self) -> list[str]:
        """The models of which the cost of some call is not known: unpriced, or with requests that were not metered."""
        return [f"{used.provider}/{used.model}" for used in self._models.values() if used.usd is None]


def _usd(price: "Price | None", usage: CompletionUsage | None) -> float | None:
    """What a call cost; None: not known. On this machine it is free, whatever it used."""
    if price is None or (usage is None and not price.is_free):
        return None
    return 0.0 if usage is None else price.of_tokens(usage)


def _usage(call: ModelCalled) -> CompletionUsage | None:
    if call.prompt_tokens is None or call.completion_tokens is None:
        return None
    counted: dict[str, Any] = {name: getattr(call, name) or 0 for name in TOKENS}
    return CompletionUsage(total_tokens=call.prompt_tokens + call.completion_tokens, **counted)


@dataclass(frozen=True, slots=True)
class Budget:
    """What a session may cost: `AgentSession(budget=Budget(usd=0.25))`. It acts between turns, never in an answer.

    Attributes:
        usd: US dollars.
        per: what they are for, a ``session`` or a ``turn``.
        on_exceed: ``say_goodbye`` (say `goodbye`, then end the session), ``stop`` (end it), or a function that is called
            with the session; what it does is its own.
        goodbye: the last words.
    """

    usd: float
    per: Per = "session"
    on_exceed: OnExceed = "say_goodbye"
    goodbye: str = GOODBYE

    def __post_init__(self) -> None:
        if isinstance(self.usd, bool) or not isinstance(self.usd, int | float):
            raise UsageError(f"A budget has usd={self.usd!r}; it takes a number of dollars, for example 0.25.")
        if not 0 < self.usd < float("inf"):
            raise UsageError(f"A budget of {self.usd!r} dollars would end the first call; give a number above 0.")
        if self.per not in ("session", "turn"):
            raise UsageError(f"A budget is per 'session' or per 'turn', not per {self.per!r}.")
        if self.on_exceed not in ("say_goodbye", "stop") and not callable(self.on_exceed):
            raise UsageError(
                f"on_exceed is {self.on_exceed!r}; it is 'say_goodbye', 'stop' or a function of the session."
            )

    @classmethod
    def of(cls, given: "Budget | Mapping[str, Any] | None") -> "Budget | None":
        """The budget that stands in a profile.

        Raises:
            UsageError: it is none, or has a key that a budget does not take.
        """
        if given is None or isinstance(given, Budget):
            return given
        names = [each.name for each in fields(cls)]
        if not isinstance(given, Mapping) or "usd" not in given:
            raise UsageError(
                f"The budget is {given!r}; write Budget(usd=0.25), or 'budget: {{usd: 0.25}}' in a profile."
            )
        for key in given:
            if key not in names:
                raise UsageError(f"A budget has no {key!r}; it takes {', '.join(names)}.")
        return cls(**given)

    def spent(self, spending: Spending, speech_id: str) -> float:
        """What counts against it, after the speech `speech_id`."""
        return spending.usd if self.per == "session" else spending.usd_of(speech_id)

"""What models cost: dated data, and a lookup in it. Pure but for reading its files once.

What is not in the table is unpriced, which is not free: `price_of` gives None, and a cost made with it is None. Engines
on this machine are free by right.
"""

import functools
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from agent_runtime.errors import UsageError
from agent_runtime.inference import routes
from agent_runtime.llm import CompletionUsage

VARIABLE = "AGENT_RUNTIME_PRICES"
OVERRIDES = Path("config/prices.toml")
"""Looked for in the folder that a program is started in, where the variable names no other file."""

MILLION = 1_000_000

HERE = "it runs on this machine"

FORWARDS = "litellm_proxy"
"""A proxy on this machine that asks others; what they cost is theirs."""

_DATE = re.compile(r"\d{4}-\d{2}(-\d{2})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What one model costs at one provider, in US dollars. None: not billed by this, or not known.

    Attributes:
        provider: who bills it.
        model: as that provider calls it.
        input, cached_input, cache_write, output: a million tokens of text; what was thought is output.
        audio_input, audio_output: a million tokens of sound.
        minute: a minute of sound.
        million_characters: a million characters of text.
        prompt_limit: tokens of a prompt up to which it holds; longer ones are unpriced.
        as_of: the day or the month in which it was true.
        source: where that stands.
    """

    provider: str
    model: str
    input: float | None = None
    cached_input: float | None = None
    cache_write: float | None = None
    output: float | None = None
    audio_input: float | None = None
    audio_output: float | None = None
    minute: float | None = None
    million_characters: float | None = None
    prompt_limit: float | None = None
    as_of: str
    source: str

    @property
    def is_free(self) -> bool:
        return self.provider == "local"

    def of_tokens(self, usage: CompletionUsage) -> float | None:
        """Dollars for a call of a language model; None: not known.

        What came from a cache whose price is not known is counted as if it had not: more than it cost, not less.
        """
        if self.is_free:
            return 0.0
        if self.input is None or self.output is None:
            return None
        if self.prompt_limit is not None and usage.prompt_tokens > self.prompt_limit:
            return None
        cached, written = usage.prompt_cached_tokens, usage.cache_creation_tokens
        fresh = usage.prompt_tokens - cached - written
        cost = fresh * self.input + usage.completion_tokens * self.output
        cost += cached * (self.input if self.cached_input is None else self.cached_input)
        cost += written * (self.input if self.cache_write is None else self.cache_write)
        return cost / MILLION


def price_of(provider: str, model: str) -> Price | None:
    """What a model costs at a provider; None: unpriced."""
    provider = routes.OTHER_NAMES.get(provider, provider)
    if provider == "local" or (provider != FORWARDS and routes.is_at_home(provider)):
        return Price(provider="local", model=model, as_of="always", source=HERE)
    return prices().get((provider, model))


@functools.cache
def prices() -> Mapping[tuple[str, str], Price]:
    """All prices: prices.toml, and over it the file of overrides. Read once."""
    named = os.environ.get(VARIABLE)
    return load(Path(named) if named else OVERRIDES if OVERRIDES.is_file() else None)


def load(path: Path | None = None) -> dict[tuple[str, str], Price]:
    """The prices, with the file `path` laid over them.

    Raises:
        UsageError: the file cannot be read, or a row of it is wrong.
    """
    found = _read(Path(__file__).with_name("prices.toml"))
    return found | _read(path) if path is not None else found


_NUMBERS = [each.name for each in fields(Price) if each.type not in (str, "str")]
_NEEDED = [each.name for each in fields(Price) if each.default is MISSING]


def _read(path: Path) -> dict[tuple[str, str], Price]:
    try:
        rows = tomllib.loads(path.read_text("utf-8")).get("price", [])
    except OSError as error:
        raise UsageError(
            f"The prices in '{path}' cannot be read: {error.strerror}; correct {VARIABLE} or unset it."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"The prices in '{path}' are no TOML: {error}; compare it with prices.toml.") from error
    if not isinstance(rows, list):
        raise UsageError(f"The prices in '{path}' are no list; write [[price]] over each.")
    found = {}
    for row in rows:
        price = _price(row, path)
        found[price.provider, price.model] = price
    return found


def _price(row: Mapping[str, Any], path: Path) -> Price:
    what = f"'{path}' has a price of {row.get('provider', '?')}/{row.get('model', '?')}"
    for key in _NEEDED:
        if not isinstance(row.get(key), str) or not row[key]:
            raise UsageError(f'{what} without its {key}; write {key} = "...".')
    if not _DATE.fullmatch(row["as_of"]):
        raise UsageError(f'{what} with as_of = {row["as_of"]!r}; write a date such as "2026-11-20".')
    for key, value in row.items():
        if key in _NEEDED:
            continue
        if key not in _NUMBERS:
            raise UsageError(f"{what} with the unknown key '{key}'; it takes {', '.join(_NUMBERS)}.")
        if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
            raise UsageError(f"{what} with {key} = {value!r}; it is a number above 0, and what is unknown is left out.")
    values: dict[str, Any] = {key: float(value) if key in _NUMBERS else value for key, value in row.items()}
    return Price(**values)

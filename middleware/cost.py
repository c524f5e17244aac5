"""Cost: every reply says what it cost, with all attempts that led to it.

The layer only says by which prices the call is counted; the counting itself is done where attempts are counted. A cost
that the provider reports itself goes before every price list.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ..pipeline import Layer, PriceTable, Request, Scope, Usage
from ..pipeline.around import Around
from . import options

__all__ = ["Cost", "KnownPrices", "Price", "Prices"]

_MILLION = 1_000_000
_DATE = re.compile(r"[-@](\d{4}-\d{2}-\d{2}|\d{8})$")


@dataclass(frozen=True)
class Price:
    """What a model costs, in US dollars for a million tokens, each 0 or more.

    Args:
        input: tokens of the prompt.
        output: tokens of the answer, reasoning included.
        cached: tokens of the prompt that came from the provider's cache; the price of `input` unless given.

    Raises:
        ValueError: if one is no such number.
    """

    input: float
    output: float
    cached: float | None = None

    def __post_init__(self) -> None:
        for name in ("input", "output", "cached"):
            value = getattr(self, name)
            if value is None and name == "cached":
                continue
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
                raise ValueError(f"Price({name}=...) must be dollars per million tokens, 0 or more, not {value!r}")

    def cost(self, usage: Usage) -> float | None:
        """What the usage costs in US dollars; None if the provider did not tell all that is needed."""
        if usage.prompt_tokens is None or usage.completion_tokens is None:
            return None
        cached = usage.cached_tokens or 0
        rate = self.input if self.cached is None else self.cached
        return (
            (usage.prompt_tokens - cached) * self.input + cached * rate + usage.completion_tokens * self.output
        ) / _MILLION


class Prices:
    """Prices of your own: from a model's name to its Price.

        Prices({"gpt-4o": Price(2.5, 10.0, cached=1.25), "claude-sonnet-4-5": Price(3.0, 15.0)})

    A model whose name ends with a date (`gpt-4o-2024-08-06`) has the price of the name without it, and one behind a
    vendor's name (`openai/gpt-4o`) that of the name itself, unless they stand in the table.

    Args:
        table: the prices.

    Raises:
        TypeError: if something in it is no Price.
    """

    def __init__(self, table: Mapping[str, Price]) -> None:
        for model, price in table.items():
            if not isinstance(model, str) or not isinstance(price, Price):
                raise TypeError(f"Prices(...) maps names of models to a Price, not {model!r} to {type(price).__name__}")
        self._table = dict(table)

    def of(self, model: str) -> Price | None:
        """The price of a model, or None if it is not known."""
        tail = model.rpartition("/")[2]
        for name in (model, _DATE.sub("", model), tail, _DATE.sub("", tail)):
            if name in self._table:
                return self._table[name]
        return None

    def cost(self, usage: Usage, model: str, provider: str = "") -> float | None:
        """What this usage costs in US dollars, or None if that is not known."""
        price = self.of(model)
        return None if price is None else price.cost(usage)

    def __repr__(self) -> str:
        return f"Prices({', '.join(self._table)})"


# What this project calls a provider, and how the price list knows it.
_LISTED = {"claude": "anthropic"}


class KnownPrices:
    """The public price list of the `genai-prices` package (`pip install 'mainstay[prices]'`).

    What runs on one's own machine is not in it, and therefore not known. The package is loaded when it is first asked.
    """

    def cost(self, usage: Usage, model: str, provider: str = "") -> float | None:
        """What this usage costs in US dollars, or None if that is not known.

        Raises:
            ImportError: if the package is not there.
        """
        try:
            import genai_prices
        except ImportError as error:
            raise ImportError("KnownPrices needs one more package: pip install 'mainstay[prices]'") from error
        if usage.prompt_tokens is None or usage.completion_tokens is None:
            return None
        counted = genai_prices.Usage(
            input_tokens=usage.prompt_tokens,
            output_tokens=usage.completion_tokens,
            cache_read_tokens=usage.cached_tokens or 0,
        )
        try:
            found = genai_prices.calc_price(counted, model, provider_id=_LISTED.get(provider, provider) or None)
        except LookupError:
            return None
        return float(found.total_price)

    def __repr__(self) -> str:
        return "KnownPrices()"


@dataclass(frozen=True)
class Cost(Around, Layer):
    """Says by which prices a call is counted: `reply.usage.cost`, `reply.spent.cost`, and `error.spent.cost`.

    Args:
        prices: a `Prices` table, `KnownPrices()`, or anything with their `cost` method.

    Raises:
        TypeError: if it has none.
    """

    prices: PriceTable
    name: str = "cost"
    scope: Scope = "call"
    kind: ClassVar[str] = "cost"

    def __post_init__(self) -> None:
        if not callable(getattr(self.prices, "cost", None)):
            raise TypeError(f"Cost(prices=...) needs Prices or KnownPrices, not {type(self.prices).__name__}")
        options.identity(self)

    def before(self, request: Request) -> None:
        """Writes the prices into the ledger, and steps aside."""
        request.call.prices = self.prices

"""Spending: what all attempts of a call came to, the failed and abandoned ones included."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any, Protocol

from .call import Attempt
from .chunk import Usage

__all__ = ["PriceTable", "spent"]

# What never reached a provider cost nothing.
_NEVER_SENT = frozenset({"connect", "connection_refused", "dns", "tls", "proxy", "binary_missing"})
_NOTHING = Usage(0, 0, 0, 0, 0, 0.0)


class PriceTable(Protocol):
    """What knows prices: see `Prices` in the middleware."""

    def cost(self, usage: Usage, model: str, provider: str) -> float | None:
        """What this usage costs in US dollars, or None if that is not known."""


def spent(attempts: Iterable[Attempt]) -> Usage:
    """Tokens and cost of all these attempts together.

    What one of them does not tell is not known of all of them: it is None, never a sum with a part missing. An attempt
    that the provider refused, or that never reached it, came to nothing.
    """
    usages = [_of(attempt) for attempt in attempts]
    sums: Any = (_sum([getattr(usage, item.name) for usage in usages]) for item in dataclasses.fields(Usage))
    return Usage(*sums)


def _of(attempt: Attempt) -> Usage:
    if attempt.usage is not None:
        return attempt.usage
    refused = attempt.outcome == "error" and attempt.first_event is None
    if refused and ((attempt.status or 0) >= 400 or attempt.reason in _NEVER_SENT):
        return _NOTHING
    return Usage()


def _sum(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None

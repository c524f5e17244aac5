"""Backoff: how long to wait before the next try, by how many there were.

Jitter is not decoration: clients that failed together come back together unless chance parts them. The formulas are
those of AWS's "Exponential Backoff And Jitter": with t = min(longest, first * growth^n),

    none            t
    full            U(0, t)
    equal           t/2 + U(0, t/2)
    decorrelated    min(longest, U(first, 3 * the wait before))
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from ..pipeline import Clock
from . import options

__all__ = ["Backoff", "Jitter"]

Jitter = Literal["none", "full", "equal", "decorrelated"]


@dataclass(frozen=True)
class Backoff:
    """A series of waits. Immutable.

    Args:
        first: the first wait in seconds; 0.5 s, as the official clients.
        longest: no wait is longer, in seconds; 8 s, as the official clients.
        growth: each wait is so many times the one before, 1 or more; 1 is a constant wait.
        jitter: "full", "equal", "decorrelated" or "none".

    Raises:
        ValueError: if an option is out of its range.
    """

    first: float = 0.5
    longest: float = 8.0
    growth: float = 2.0
    jitter: Jitter = "full"

    def __post_init__(self) -> None:
        options.seconds(self, "first", self.first)
        options.seconds(self, "longest", self.longest)
        if isinstance(self.growth, bool) or not isinstance(self.growth, (int, float)) or not 1 <= self.growth <= 1000:
            raise ValueError(f"Backoff(growth=...) must be from 1 to 1000, not {self.growth!r}")
        if self.jitter not in get_args(Jitter):
            raise ValueError(f"Backoff(jitter=...) must be one of {', '.join(get_args(Jitter))}, not {self.jitter!r}")
        if self.first > self.longest:
            raise ValueError(f"Backoff(first={self.first:g}) is longer than longest={self.longest:g}")

    @classmethod
    def constant(cls, seconds: float, jitter: Jitter = "none") -> Backoff:
        """The same wait every time."""
        return cls(seconds, seconds, 1.0, jitter)

    def wait(self, number: int, before: float, clock: Clock) -> float:
        """One wait of the series, in seconds.

        Args:
            number: 0 for the first.
            before: the wait before it, in seconds; 0.0 if there was none, which counts as `first`.
            clock: whose chance is drawn on.
        """
        if self.jitter == "decorrelated":
            return min(self.longest, clock.uniform(self.first, 3 * max(before, self.first)))
        try:
            ceiling = min(self.longest, self.first * self.growth**number)
        except OverflowError:
            ceiling = self.longest
        if self.jitter == "none":
            return ceiling
        sure = ceiling / 2 if self.jitter == "equal" else 0.0
        return sure + clock.uniform(0.0, ceiling - sure)

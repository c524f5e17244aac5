"""Longest: the most that a call can cost, in requests and in seconds, worked out from the leaf outwards.

One number per request that may be made: the seconds that it may take, waits before it included; the largest first, so
that if only so many requests are allowed, the sum of the first ones is a bound whichever of them it will be.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import zip_longest

__all__ = ["Longest"]


@dataclass(frozen=True, slots=True)
class Longest:
    """The worst case of a handler. Immutable: each layer makes a worse, or a better, one of it.

    Args:
        requests: seconds of each request that may be made; `inf` where nothing ends it.
        cap: how many the call may make in all, 1 or more; those beyond it are left out.
        tries: how many there may be as far as the layers are concerned, the cap aside; `inf` if no layer ends them.
        refuses: whether something further in may refuse a try at once, without a request.
        because: what ends it before its requests do, in words; "" if nothing does.
    """

    requests: tuple[float, ...]
    cap: int
    tries: float = 1
    refuses: bool = False
    because: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "requests", tuple(sorted(self.requests, reverse=True)[: self.cap]))

    @property
    def seconds(self) -> float:
        """Of all requests together."""
        return sum(self.requests)

    def then(self, other: Longest) -> Longest:
        """This, and after it the other."""
        refuses = self.refuses or other.refuses
        return Longest(self.requests + other.requests, self.cap, self.tries + other.tries, refuses)

    def either(self, other: Longest) -> Longest:
        """This or the other, whichever is worse."""
        pairs = zip_longest(self.requests, other.requests, fillvalue=0.0)
        refuses = self.refuses or other.refuses
        return Longest(tuple(map(max, pairs)), self.cap, max(self.tries, other.tries), refuses)

    def repeated(self, times: int, wait: float) -> Longest:
        """This so many times.

        Args:
            times: 1 or more.
            wait: seconds before each repetition, at most. Refusals are waited for as long again, all together.
        """
        if not self.requests:
            return self
        first, *rest = self.requests
        again = (first + wait, *rest) * (min(times, self.cap) - 1)
        refused = wait if self.refuses and times > 1 else 0.0
        return Longest((first + refused, *rest, *again), self.cap, times * self.tries, self.refuses)

    def endless(self) -> Longest:
        """This, and then more that take no time here until only the cap ends it."""
        if not self.requests:
            return self
        return replace(self, requests=self.requests + (0.0,) * self.cap, tries=math.inf)

    def within(self, seconds: float) -> Longest:
        """This, but no longer than so many seconds in all."""
        if self.seconds <= seconds:
            return self
        left, requests = seconds, []
        for request in self.requests:
            requests.append(min(request, left))
            left -= requests[-1]
        return replace(self, requests=tuple(requests), because=f"the deadline of {seconds:g} s")

    def refusing(self) -> Longest:
        """This, where a try may be refused as well."""
        return replace(self, refuses=True)

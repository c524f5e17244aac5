"""Strategies: in which order a Fallback tries its routes.

A strategy orders, it never leaves a route out: what comes first is tried first, and the rest stays in reserve. Those
that learn do it without a lock, because a reply may end in a garbage collection: each writes one whole value, so that
of two threads at the same moment one sample is lost, and nothing worse.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from itertools import count
from typing import Any

from ..pipeline import PriceTable, ProviderError, Request, Route, Trip, Usage
from ..pipeline.through import told_by
from . import options

__all__ = [
    "Cheapest",
    "Fastest",
    "Healthiest",
    "InOrder",
    "RoundRobin",
    "Sticky",
    "Strategy",
    "Weighted",
    "strategy_named",
]

_CHARACTERS, _ANSWER = 4, 500


class Strategy:
    """In which order routes are tried. Subclasses say it in `order`; they may be told how the tries went.

    One object may be shared by several stacks on purpose; what it has learnt is then shared too.

    Attributes:
        manner: what `print(stack)` calls it.
        learns: whether it wants to be told how the tries went.
    """

    manner = ""
    learns = False

    def order(self, routes: Sequence[Route], request: Request) -> Sequence[Route]:
        """All the routes, first what is to be tried first.

        Args:
            routes: those of the router, as they were given.
            request: what is asked; its call has the clock.
        """
        raise TypeError(f"{type(self).__name__} needs an order()")

    def preview(self, routes: Sequence[Route], request: Request) -> Sequence[Route]:
        """What `order` would say now. A strategy whose `order` changes something must say it here without that."""
        return self.order(routes, request)

    def check(self, names: Sequence[str]) -> None:
        """Refuses routes that it is not made for.

        Args:
            names: of the router's routes.

        Raises:
            ValueError: if it speaks of a route that is not there.
        """

    def began(self, route: Route) -> Callable[[], object] | None:
        """Told when a try of a route begins; what it returns is called once when that is over, streams included."""
        return None

    def answered(self, route: Route, seconds: float, request: Request) -> None:
        """Told when a route has answered: seconds to the first token of a stream, or to a complete reply."""

    def failed(self, route: Route, error: ProviderError, request: Request) -> None:
        """Told when a route has failed, before its first token or after. May run in a garbage collection.

        After the first token the request has no messages any more: a stream does not keep the prompt.
        """

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class InOrder(Strategy):
    """As they were given."""

    manner = "in order"

    def order(self, routes: Sequence[Route], request: Request) -> Sequence[Route]:
        return routes


class RoundRobin(Strategy):
    """Each call begins with the next route; the others follow in their order."""

    manner = "round robin"

    def __init__(self) -> None:
        self._turns = count()  # next() on it is atomic
        self._turn = -1

    def order(self, routes: Sequence[Route], request: Request) -> Sequence[Route]:
        self._turn = turn = next(self._turns)
        return _from(turn, routes)

    def preview(self, routes: Sequence[Route], request: Request) -> Sequence[Route]:
        return _from(self._turn + 1, routes)


def _from(turn: int, routes: Sequence[Route]) -> Sequence[Route]:
    first = turn % len(routes)
    return (*routes[first:], *routes[:first])


class Weighted(Strategy):
    """By chance, in proportion to weights; also for those that follow.

    Args:
        weights: from the route's name to its weight, a number of 0 or more; 0 comes only after all others. A route
            that is not named has the weight 1.

    Raises:
        ValueError: if a weight is no such number.
    """

    manner = "weighted"

    def __init__(self, weights: Mapping[str, float]) -> None:
        for name, weight in weights.items():
            good = isinstance(weight, (int, float)) and not isinstance(weight, bool) and 0 <= weight < math.inf
            if not good:
                raise ValueError(f"Weighted({{{name!r}: ...}}) must be a number of 0 or more, not {weight!r}")
        self._weights = dict(weights)

    def check(self, names: Sequence[str]) -> None:
        if strange := sorted(self._weights.keys() - set(names)):
            raise ValueError(f"Weighted(...) names {', '.join(strange)}, but the routes are {', '.join(names)}")

    def order(self, routes: Sequence[Route], request: Request) -> Sequence[Route]:
        clock = request.call.clock

        def rank(route: Route) -> float:
            # The logarithm of u^(1/w), largest first: Efraimidis and Spirakis, "Weighted random sampling".
            weight = self._weights.get(route.name, 1.0)
            return -math.inf if weight == 0 else math.log(1.0 - clock.uniform(0.0, 1.0)) / weight

        return sorted(routes, key=rank, reverse=True)


class Sticky(Strategy):
    """The same key goes to the same route, as long as that one answers: a provider's prompt cache then helps.

    Keys are spread evenly over the routes, and one route more or less moves only its share of them (rendezvous
    hashing). A request without a key is tried in order.

    Args:
        key: gives the key of a request; None or "" if it has none. By default its `user` parameter, or
            `prompt_cache_key`, or `session_id`.
    """

    manner = "sticky"

    def __init__(self, key: Callable[[Request], Any] | None = None) -> None:
        self._key = key or _named_key

    def order(self, routes: Sequence[Route], request: Request) -> Sequence[Route]:
        key = self._key(request)
        if key is None or key == "":
            return routes

        def rank(route: Route) -> bytes:
            return blake2b(f"{route.name}\0{key}".encode("utf-8", "surrogatepass"), digest_size=8).digest()

        return sorted(routes, key=rank)


def _named_key(request: Request) -> Any:
    for name in ("prompt_cache_key", "session_id", "user"):
        if key := request.params.get(name):
            return key
    return None


class Cheapest(Strategy):
    """What this request is likely to cost least with; a route whose price is not known comes after all others.

    The prompt is counted as a token for four characters, as the providers' own rule of thumb has it, and the answer as
    `max_tokens`, or 500 tokens where the request sets none.

    Args:
        prices: `Prices`, `KnownPrices()`, or anything with their `cost` method.

    Raises:
        TypeError: if it has none.
    """

    manner = "cheapest"

    def __init__(self, prices: PriceTable) -> None:
        if not callable(getattr(prices, "cost", None)):
            raise TypeError(f"Cheapest(prices) needs Prices or KnownPrices, not {type(prices).__name__}")
        self._prices = prices

    def order(self, routes: Sequence[Route], request: Request) -> Sequence[Route]:
        longest = request.params.get("max_tokens")
        answer = longest if isinstance(longest, int) and longest > 0 else _ANSWER
        usage = Usage(sum(map(_size, request.messages)) // _CHARACTERS, answer)

        def rank(route: Route) -> float:
            model = route.adapt(request).model
            cost = self._prices.cost(usage, model, told_by(route.handler, "provider", ""))
            return math.inf if cost is None else cost

        return sorted(routes, key=rank)


def _size(message: Mapping[str, Any]) -> int:
    """Characters of a message's texts."""
    content = message.get("content")
    if isinstance(content, str):
        return len(content)
    parts = content if isinstance(content, (list, tuple)) else ()
    return sum(len(text) for part in parts if isinstance(part, Mapping) and isinstance(text := part.get("text"), str))


class Fastest(Strategy):
    """Whose first token came soonest of late. For complete replies, which depend on their length, whose reply did.

    A moving average for each route, which fades while nothing new is known: a route that was slow is tried again in
    time, and one that nobody has measured comes first.

    Args:
        weight: of a new measurement in the average, above 0 and at most 1.
        fade: seconds after which a measurement that nothing follows counts for about a third.

    Raises:
        ValueError: if an option is out of its range.
    """

    manner = "fastest"
    learns = True

    def __init__(self, weight: float = 0.3, fade: float = 60.0) -> None:
        options.fraction(self, "weight", weight)
        options.seconds(self, "fade", fade)
        self._weight, self._fade = weight, fade
        self._known: dict[tuple[str, bool], tuple[float, float]] = {}  # seconds, and when that was

    def order(self, routes: Sequence[Route], request: Request) -> Sequence[Route]:
        return sorted(routes, key=lambda route: self.seconds(route, request))

    def seconds(self, route: Route, request: Request) -> float:
        """What is to be expected of a route, in seconds; 0 if nothing is known."""
        now = request.call.clock.now()
        seconds, moment = self._known.get((route.name, request.stream), (0.0, now))
        return seconds * math.exp((moment - now) / self._fade)

    def answered(self, route: Route, seconds: float, request: Request) -> None:
        place, now = (route.name, request.stream), request.call.clock.now()
        known = self._known.get(place)
        # A slow answer counts at once, a quick one bit by bit (Finagle's peak EWMA): trouble shows early.
        if known is not None and seconds < known[0]:
            seconds = known[0] + self._weight * (seconds - known[0])
        self._known[place] = (seconds, now)


class Healthiest(Strategy):
    """Whose tries went best of late; those that are equally well stay in their order.

    Args:
        weight: of a new outcome in the average, above 0 and at most 1.
        fade: seconds after which an outcome that nothing follows counts for about a third.

    Raises:
        ValueError: if an option is out of its range.
    """

    manner = "healthiest"
    learns = True

    def __init__(self, weight: float = 0.2, fade: float = 60.0) -> None:
        options.fraction(self, "weight", weight)
        options.seconds(self, "fade", fade)
        self._weight, self._fade = weight, fade
        self._known: dict[str, tuple[float, float]] = {}  # share of failures, and when that was

    def order(self, routes: Sequence[Route], request: Request) -> Sequence[Route]:
        now = request.call.clock.now()
        # In steps of a tenth: one failure in a hundred is no reason to leave the preferred route.
        return sorted(routes, key=lambda route: round(self._failing(route.name, now), 1))

    def answered(self, route: Route, seconds: float, request: Request) -> None:
        self._count(route.name, 0.0, request.call.clock.now())

    def failed(self, route: Route, error: ProviderError, request: Request) -> None:
        if error.guidance.trip in (Trip.FAILURE, Trip.OPEN):
            self._count(route.name, 1.0, request.call.clock.now())

    def _failing(self, name: str, now: float) -> float:
        share, moment = self._known.get(name, (0.0, now))
        return share * math.exp((moment - now) / self._fade)

    def _count(self, name: str, outcome: float, now: float) -> None:
        share = self._failing(name, now)
        self._known[name] = (share + self._weight * (outcome - share), now)


_NAMED: Mapping[str, Callable[[], Strategy]] = {
    "in_order": InOrder,
    "round_robin": RoundRobin,
    "fastest": Fastest,
    "healthiest": Healthiest,
    "sticky": Sticky,
}


def strategy_named(strategy: str | Strategy) -> Strategy:
    """The strategy itself, or a new one by its name.

    Args:
        strategy: "in_order", "round_robin", "fastest", "healthiest", "sticky", or an object.

    Raises:
        ValueError: if there is none of that name.
    """
    if isinstance(strategy, str):
        if strategy not in _NAMED:
            known = ", ".join(_NAMED)
            raise ValueError(f"strategy must be one of {known}, or an object such as Weighted(...), not {strategy!r}")
        return _NAMED[strategy]()
    if not isinstance(strategy, Strategy):
        raise TypeError(f"strategy must be a name or a Strategy, not {type(strategy).__name__}")
    return strategy

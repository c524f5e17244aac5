"""Explain: what would happen to a request, and what each layer would do with an error. Nothing is sent or changed.

Every number comes from the layers themselves: states from their snapshots, worst cases from `longest`, and what is done
with an error from a rehearsal in which the layers' own code decides.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from .errors import AllRoutesFailed, ProviderError
from .explained import ErrorExplained, RequestExplained, RouteExplained
from .layer import AsyncBound, Bound
from .longest import Longest
from .needs import needs_of
from .plain import Nested
from .rehearsal import Rehearsal, supposed
from .request import Request
from .router import Router
from .through import inward
from .timeouts import Timeouts

if TYPE_CHECKING:
    from .stack import _Folded

__all__ = ["error_explained", "request_explained"]


def error_explained(stack: _Folded, error: ProviderError, route: str | None) -> ErrorExplained:
    """What the stack would do with the error.

    Args:
        stack: whose layers are asked.
        error: what every route fails with.
        route: the path of the one that is tried first; the error's own if it is one of the stack's, or else the
            one that would be first now, unless given.

    Raises:
        LookupError: if the stack has no such route.
    """
    known = [one.route for one in _Walk(stack, Request("any", "?")).routes()]
    if route is not None and route not in known:
        raise LookupError(f"there is no route {route!r} here: there is {', '.join(map(repr, known))}")
    told = error.errors[0].route if isinstance(error, AllRoutesFailed) else error.route
    first = route or (told if told in known else known[0])
    rehearsal = Rehearsal(stack._entry, error, first, now=stack.clock.now(), cap=stack.cap, off=stack._off)
    shown = error.detached()
    shown.provider, shown.route = "", first
    return ErrorExplained(
        error=str(shown),
        route=first,
        steps=tuple(rehearsal.steps),
        tries=dict(Counter(attempt.route for attempt in rehearsal.call.attempts)),
        waited=rehearsal.waited,
        raised="" if rehearsal.raised is None else type(rehearsal.raised).__name__,
    )


def request_explained(stack: _Folded, request: Request) -> RequestExplained:
    """What would happen to the request now."""
    walk = _Walk(stack, request)
    routes = tuple(walk.routes())
    longest = walk.whole()
    tried = [route for route in routes if not route.lacks]
    each = max((route.seconds for route in tried if route.seconds is not None), default=0.0)
    unclocked = [route.route for route in tried if route.seconds is None]
    # On the event loop a deadline cancels whatever it is; a thread cannot be interrupted.
    endless = bool(unclocked) and (type(stack)._bound is Bound or math.isinf(longest.seconds))
    if endless:
        why = f"{', '.join(unclocked)} has no timeouts that would be known"
    else:
        why = longest.because or f"tries of up to {each:g} s each, and the waits between them"
    allowed = "the tries of all routes together"
    if math.isinf(longest.tries):
        allowed = "the cap of the call: a stream that breaks off may go again"
    elif longest.tries > stack.cap:
        allowed = f"the cap of the call; without it there would be {longest.tries}"
    return RequestExplained(
        model=request.model,
        problems=stack.check(request),
        routes=routes,
        requests=len(longest.requests),
        seconds=None if endless else longest.seconds,
        requests_because=allowed,
        seconds_because=why,
    )


class _Walk:
    """Goes through a stack with a request that is not sent."""

    def __init__(self, stack: _Folded, request: Request) -> None:
        self._stack = stack
        self._cap = stack.cap
        self._now = stack.clock.now()
        self._request = supposed(request, self._now, stack.cap)
        self._off = stack._off | request.off

    # -- worst case ----------------------------------------------------------------------------------------

    def whole(self) -> Longest:
        """The worst case of the whole stack."""
        return self.longest(self._stack._entry, self._off, False)

    def longest(self, handler: Any, off: frozenset[str], others: bool) -> Longest:
        """The worst case of a handler; `others`: whether other routes are left."""
        if isinstance(handler, Router):
            routes = self._of_routes(handler, off, others)
            again: Any = getattr(handler, "longest", None)
            return routes if again is None else again(routes, self._request.stream)
        if isinstance(handler, Nested):
            return self.longest(handler.handler._entry, off | handler.handler._off, others)
        if isinstance(handler, (Bound, AsyncBound)) and handler.layer.kind == "count":
            return Longest((self._seconds(handler),), self._cap)
        inner = self.longest(handler.handler, off, others)
        asked: Any = getattr(getattr(handler, "running", None), "longest", None)
        return inner if asked is None or handler.name in off else asked(inner, others)

    def _of_routes(self, router: Router, off: frozenset[str], others: bool) -> Longest:
        plan = router.plan(self._request)
        left = [self.longest(route.handler, off, True) for route in plan]
        if others:
            return self._together(left)
        # One of them is the last that is tried, and nobody knows which: a route may be chosen for its window.
        worst = self._together([])
        for number, route in enumerate(plan):
            last = self.longest(route.handler, off, False)
            worst = worst.either(self._together([*left[:number], last, *left[number + 1 :]]))
        return worst

    def _together(self, parts: list[Longest]) -> Longest:
        whole = Longest((), self._cap, 0)
        for part in parts:
            whole = whole.then(part)
        return whole

    def _seconds(self, count: Any) -> float:
        timeouts: Timeouts | None = count.timeouts
        return math.inf if timeouts is None else timeouts.first(self._request.stream)

    # -- routes --------------------------------------------------------------------------------------------

    def routes(self) -> Iterator[RouteExplained]:
        """All leaf routes, first those that would be tried, in that order."""
        return self._leaves(self._stack._entry, self._request, _Place(self._off))

    def _leaves(self, handler: Any, request: Request, place: _Place) -> Iterator[RouteExplained]:
        around = list(place.around)
        for item in inward(handler):
            if isinstance(item, (Bound, AsyncBound)) and item.layer.kind == "count":
                place = replace(place, around=tuple(around))
                yield self._route(handler, place.path(item.route), request.model, item, place)
                return  # what is further in is not ours
            if isinstance(item, (Bound, AsyncBound)) and item.name not in place.off:
                around.append(item.running)
            elif isinstance(item, Nested):
                stack = item.handler
                off = place.off | stack._off
                yield from self._leaves(
                    stack._entry, request, replace(place, off=off, prefix=place.path(item.route), around=tuple(around))
                )
                return
            elif isinstance(item, Router):
                plan = item.plan(request)
                names = {route.name for route in plan}
                for route in (*plan, *(one for one in item.routes if one.name not in names)):
                    lacks = () if route.name in names else tuple(sorted(needs_of(request) & set(route.lacks)))
                    yield from self._leaves(
                        route.handler,
                        route.adapt(request),
                        replace(place, around=tuple(around), lacks=place.lacks or lacks),
                    )
                return

    def _route(self, handler: Any, path: str, model: str, count: Any, place: _Place) -> RouteExplained:
        shots = [item.snapshot(self._now) for item in place.around if hasattr(item, "snapshot")]
        none: dict[str, Any] = {"state": ""}
        shot = next((one for one in shots if one["state"] != "closed"), shots[0] if shots else none)
        until = shot.get("until")
        seconds = self._seconds(count)
        return RouteExplained(
            route=path,
            model=model,
            state=shot["state"],
            admits_in=None if until is None or until <= self._now else until - self._now,
            lacks=place.lacks,
            tries=int(self.longest(handler, place.off, True).tries),
            tries_last=int(self.longest(handler, place.off, False).tries),
            seconds=None if math.isinf(seconds) else seconds,
        )


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in the stack the walk is: what is switched off, in which stack, and what stands around."""

    off: frozenset[str]
    prefix: str = ""
    around: tuple[Any, ...] = ()
    lacks: tuple[str, ...] = ()

    def path(self, route: str) -> str:
        return f"{self.prefix}/{route}" if self.prefix else route

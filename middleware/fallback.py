"""Fallback: when a route fails, the next one answers.

What it decides stands in three places: the strategy says which route goes first, the guidance table says whether
another one can help, and `Route.lacks` and `Route.window` say which ones can do what is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any

from ..pipeline import (
    AllRoutesFailed,
    Call,
    CircuitOpen,
    ErrorClass,
    FellBack,
    InvalidRequest,
    Problem,
    ProviderError,
    Reply,
    Request,
    Route,
    Router,
    RouteRefused,
    Steps,
    Via,
)
from ..pipeline.layer import drive
from ..pipeline.longest import Longest
from ..pipeline.needs import check_needs, needs_of
from ..pipeline.router import found_by
from .resuming import Answer, MidStream, Walk, check_mid_stream, resumable
from .strategies import InOrder, Strategy, strategy_named

__all__ = ["Fallback"]

# What may have passed since the breaker opened; a bad key has not become a good one.
_PASSING = frozenset({ErrorClass.UNAVAILABLE, ErrorClass.TIMEOUT})


class Fallback(Router):
    """Tries its routes one after the other, and moves on at once, without sleeping, when one fails.

    Whether another route can help is said by the guidance table. A request that is wrong here is wrong
    everywhere and is not sent on, with two exceptions: one that is too long for a model may go to routes with
    a larger `window`, and one that a content filter refused may go on if that was asked for.

    A route whose breaker is open refuses at once and costs no attempt; one that lacks what the request needs is
    passed by.

    Args:
        routes: Routes, or handlers that become routes under their own name, in order of preference.
        strategy: which goes first: "in_order", "round_robin", "fastest", "healthiest", "sticky", or an object of
            `strategies.py` such as `Weighted({"a": 3, "b": 1})`.
        content_filter: True to try other routes where a content filter refused. A refusal is no outage: by
            default it is the answer.
        panic: True to try, where the breakers of all routes are open, the one that would admit first: better a
            small chance than none. By default the call fails at once and says when to come again.
        needs: what every request needs, of "tools", "images" and "json_schema": a route that lacks it is refused here
            and now, and not on the day on which all others are down.
        window: tokens that every route must have room for, as far as its own `window` is known.
        mid_stream: what to do when a stream breaks off after its first token: "raise" the error, "restart" the answer,
            or "continue" it on a route that `continues`. Other routes go first; then, as long as the call has attempts,
            that which broke off goes again. See `resuming.py` for what that means, and when the error is raised all
            the same.

    Raises:
        ValueError: if there is no route, two have the same name, the strategy does not fit them, one of them lacks
            what is needed, or none of them could continue what breaks off.
    """

    kind = "fallback"

    def __init__(
        self,
        *routes: Any,
        strategy: str | Strategy = "in_order",
        content_filter: bool = False,
        panic: bool = False,
        needs: Collection[str] = (),
        window: int | None = None,
        mid_stream: MidStream = "raise",
    ) -> None:
        super().__init__(*routes)
        self.strategy = strategy_named(strategy)
        self.strategy.check([route.name for route in self.routes])
        self.content_filter = content_filter
        self.panic = panic
        self.mid_stream = check_mid_stream(mid_stream, self.routes)
        needed = check_needs(f"{type(self).__name__}(needs=...)", needs)
        for path, route in self.leaves():
            if missing := needed.intersection(route.lacks):
                raise ValueError(f"route {path!r} lacks {', '.join(sorted(missing))}, which every request needs")
            if window is not None and route.window is not None and route.window < window:
                raise ValueError(f"route {path!r} has a window of {route.window} tokens, but {window} are needed")
        self._own_way = type(self).handle is not Fallback.handle
        self._choosy = any(route.lacks for route in self.routes)

    @property
    def manner(self) -> str:
        """How it chooses."""
        return self.strategy.manner

    def handle(self, request: Request) -> Steps:
        """Sends the request along one route after another until one answers."""
        walk = self._walk(request, self._ordered(request))
        if self.mid_stream == "raise":
            return walk  # type: ignore[return-value]  # then it hands over nothing, and returns its reply
        return resumable(walk, request, self.mid_stream)

    def __call__(self, request: Request) -> Reply:
        """Runs the router for one request in the calling thread; the walk begins only if the first route fails."""
        if self.mid_stream != "raise" or self._own_way or request._call is None:
            return super().__call__(request)
        call, waiting = request.call, self._ordered(request)
        outside, route = call.routes_left, waiting[0]
        over = steps = None
        try:  # as in the walk
            for other in waiting[1:]:
                call.routes_left += other.leaf_count
            over = self.strategy.began(route)
            reply: Reply = route(request)
            self._answered(route, request, reply, over)
            over = None
            return reply
        except ProviderError as error:
            steps = self._walk(request, waiting, error)
        finally:
            call.routes_left, call.forced = outside, call.forced and steps is not None
            if over is not None:
                over()
        return drive(steps, None, request)  # type: ignore[arg-type]

    def _ordered(self, request: Request) -> list[Route]:
        waiting = list(self.strategy.order(self._able(request), request))
        if not waiting:
            raise InvalidRequest(self._unable(request), reason="unsupported_feature")
        return waiting

    def _walk(self, request: Request, waiting: list[Route], lost: ProviderError | None = None) -> Walk:
        """Walks along the routes that wait; `lost` is what the first of them has failed with already, if it has."""
        call = request.call
        outside = call.routes_left
        failed: dict[str, ProviderError] = {}
        reply: Any
        try:
            while True:
                route, reply = waiting.pop(0), None
                call.routes_left = outside
                for other in waiting:
                    call.routes_left += other.leaf_count
                over = None
                try:
                    if lost is not None:
                        raise lost
                    over = self.strategy.began(route)
                    reply = yield Via(route, request)
                    self._answered(route, request, reply, over)
                    over = None
                    if self.mid_stream != "raise":
                        call.routes_left, call.forced = outside, False
                        # Kept as long as the stream: their tracebacks would keep every frame that led to it.
                        failed = {name: error.detached() for name, error in failed.items()}
                        yield Answer(self._place(route, request), reply)  # what it breaks off with is raised here
                    return reply  # type: ignore[no-any-return]
                except ProviderError as error:
                    lost = None
                    if reply is None and self.strategy.learns and not isinstance(error, RouteRefused):
                        self.strategy.failed(route, error, request)
                    elif reply is not None:
                        if not outside and _may_begin_anew(error):
                            waiting.append(route)  # it had answered; others go first, here and further out
                        if self.mid_stream == "continue":
                            waiting = [other for other in waiting if other.continues]
                    reply = None  # it has the error, whose traceback has this frame
                    waiting = self._after(route, request, error, waiting, failed)
                    if not waiting:
                        raise failed[route.name]  # noqa: B904 - the error itself, or what a refusal came after
                finally:
                    call.routes_left = outside
                    if over is not None:
                        over()
        finally:
            call.forced = False
            failed.clear()  # through their tracebacks the errors would keep this frame, and the prompt, alive

    def check(self, request: Request) -> tuple[Problem, ...]:
        """What the routes that can do what is asked would refuse."""
        able = self._able(request)
        return found_by(able, request) if able else (Problem("messages", self._unable(request)),)

    def plan(self, request: Request) -> tuple[Route, ...]:
        """The routes that can do what is asked, in the order in which they would be tried now."""
        able = self._able(request)
        return tuple(self.strategy.preview(able, request)) if able else ()

    def rehearsal(self, routes: Sequence[Route]) -> Fallback:
        """The same rules over these routes, in their order."""
        twin = super().rehearsal(routes)
        twin.strategy = InOrder()
        return twin

    def longest(self, inner: Longest, stream: bool) -> Longest:
        """A stream that broke off may go again as long as the call has attempts; all that is after its first event."""
        return inner.endless() if stream and self.mid_stream != "raise" else inner

    def why_not(self, error: ProviderError, call: Call) -> str:
        """Why an error does not make it move on."""
        if call.is_over(error):
            return "the time of the call is up"
        if not self._may_help(error):
            filtered = error.reason == "content_filter"
            return "a refusal is the answer, unless content_filter=True" if filtered else "it is wrong on every route"
        return "no route with a larger window is left" if error.reason == "context_length" else "no route is left"

    def _able(self, request: Request) -> tuple[Route, ...]:
        if not self._choosy:
            return self.routes
        needs = needs_of(request)
        return tuple(route for route in self.routes if needs.isdisjoint(route.lacks))

    def _unable(self, request: Request) -> str:
        needs = needs_of(request)
        lacking = [f"{route.name} lacks {', '.join(sorted(needs.intersection(route.lacks)))}" for route in self.routes]
        return f"no route can do what the request needs: {'; '.join(lacking)}"

    def _answered(self, route: Route, request: Request, reply: Reply, over: Callable[[], object] | None) -> None:
        """Tells the strategy of a reply; when that is over, it hears so by `over`."""
        strategy, attempts = self.strategy, request.call.attempts
        if strategy.learns:
            if attempts and (first := attempts[-1].first_event) is not None:
                strategy.answered(route, first - attempts[-1].started, request)
            if reply.outcome is None:
                reply.on_end(partial(_broke, strategy, route, request.without_prompt()))
        if over is not None:
            reply.on_end(partial(_ignoring, over))

    def _place(self, route: Route, request: Request) -> str:
        """What events call a route."""
        return request.path_of(self.path_of(route))

    def _after(
        self,
        route: Route,
        request: Request,
        error: ProviderError,
        waiting: list[Route],
        failed: dict[str, ProviderError],
    ) -> list[Route]:
        """The routes worth trying after `error`; none if the caller must see it as it is.

        Raises:
            ProviderError: what the caller must see in its place.
        """
        call, here = request.call, self._place(route, request)
        error.route = error.route or here
        if not (isinstance(error, RouteRefused) and route.name in failed):  # that with which it had failed says more
            failed[route.name] = error
        if call.is_over(error):
            return []
        eligible = self._eligible(route, error, waiting)
        if eligible:
            if not call.fits(0):
                raise call.too_late() from error
            if call.attempts_left > 0:
                if eligible[0] is not route:
                    call.emit(FellBack(here, self._place(eligible[0], request), error))
                return eligible
            call.spent = True
            originals = [one for one in failed.values() if not isinstance(one, RouteRefused)]
            if not originals or error in originals:
                return []
            raise originals.pop()
        if self.panic and not (waiting or call.forced) and (last := self._last_resort(call, failed)) is not None:
            call.forced = True
            call.emit(FellBack(here, self._place(last, request), error))
            return [last]
        if len(failed) == 1 or call.spent or not self._may_help(error):
            return []
        untried = [other.name for other in waiting]
        raise AllRoutesFailed(list(failed.values()), untried, attempts=call.attempts) from error

    def _last_resort(self, call: Call, failed: dict[str, ProviderError]) -> Route | None:
        """The route that would admit first, if nothing but open breakers stands in the way of all of them."""
        waits = {
            name: error.retry_after
            for name, error in failed.items()
            if isinstance(error, CircuitOpen) and error.retry_after is not None and error.error_class in _PASSING
        }
        if len(waits) < len(failed) or call.attempts_left <= 0 or not call.fits(0):
            return None
        soonest = min(waits, key=lambda name: waits[name])
        return next(route for route in self.routes if route.name == soonest)

    def _may_help(self, error: ProviderError) -> bool:
        if error.reason == "content_filter":
            return self.content_filter
        return error.guidance.elsewhere or error.reason == "context_length"

    def _eligible(self, route: Route, error: ProviderError, waiting: list[Route]) -> list[Route]:
        if not self._may_help(error):
            return []
        if error.reason == "context_length":
            window = route.window
            return [other for other in waiting if window and other.window and other.window > window]
        return waiting


def _may_begin_anew(error: ProviderError) -> bool:
    """Whether a route whose stream broke off with it may be asked again at once: nobody waits in mid-stream."""
    passing = error.error_class is ErrorClass.UNAVAILABLE and not error.retry_after
    return passing and error.retry is not False


def _broke(strategy: Strategy, route: Route, request: Request, reply: Reply) -> None:
    if isinstance(reply.error, ProviderError):
        strategy.failed(route, reply.error, request)


def _ignoring(over: Callable[[], object], reply: Reply) -> None:
    over()

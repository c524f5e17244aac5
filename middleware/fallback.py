"""Fallback: when a route fails, the next one answers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ..pipeline import (
    AllRoutesFailed,
    Call,
    FellBack,
    ProviderError,
    Reply,
    Request,
    Route,
    Router,
    RouteRefused,
    RouteSkipped,
    Steps,
    Via,
)
from .strategies import Strategy, strategy_named

__all__ = ["Fallback"]


class Fallback(Router):
    """Tries its routes one after the other, and moves on at once, without sleeping, when one fails.

    Whether another route can help is said by the guidance table. A request that is wrong here is wrong
    everywhere and is not sent on, with two exceptions: one that is too long for a model may go to routes with
    a larger `window`, and one that a content filter refused may go on if that was asked for.

    A route whose breaker is open refuses at once and costs no attempt.

    Args:
        routes: Routes, or handlers that become routes under their own name, in order of preference.
        strategy: which goes first: "in_order", "round_robin", "fastest", "healthiest", "sticky", or an object of
            `strategies.py` such as `Weighted({"a": 3, "b": 1})`.
        content_filter: True to try other routes where a content filter refused. A refusal is no outage: by
            default it is the answer.

    Raises:
        ValueError: if there is no route, two have the same name, or the strategy does not fit them.
    """

    kind = "fallback"

    def __init__(self, *routes: Any, strategy: str | Strategy = "in_order", content_filter: bool = False) -> None:
        super().__init__(*routes)
        self.strategy = strategy_named(strategy)
        self.strategy.check([route.name for route in self.routes])
        self.content_filter = content_filter

    @property
    def manner(self) -> str:
        """How it chooses."""
        return self.strategy.manner

    def handle(self, request: Request) -> Steps:
        """Sends the request along one route after another until one answers."""
        call = request.call
        outside = call.routes_left
        failed: list[ProviderError] = []
        waiting = list(self.strategy.order(self.routes, request))
        try:
            while True:
                route = waiting.pop(0)
                call.routes_left = outside + sum(other.leaf_count for other in waiting)
                over = self.strategy.began(route)
                try:
                    reply: Reply = yield Via(route, request)
                except ProviderError as error:
                    if self.strategy.learns and not isinstance(error, RouteRefused):
                        self.strategy.failed(route, error, request)
                    waiting = self._after(call, route, error, waiting, failed)
                    if not waiting:
                        raise
                else:
                    self._learn(route, request, reply)
                    if over is not None:
                        reply.on_end(partial(_ignoring, over))
                        over = None
                    return reply
                finally:
                    call.routes_left = outside
                    if over is not None:
                        over()
        finally:
            failed.clear()  # through their tracebacks the errors would keep this frame, and the prompt, alive

    def _learn(self, route: Route, request: Request, reply: Reply) -> None:
        strategy, attempts = self.strategy, request.call.attempts
        if not strategy.learns:
            return
        if attempts and (first := attempts[-1].first_event) is not None:
            strategy.answered(route, first - attempts[-1].started, request)
        if reply.outcome is None:
            reply.on_end(partial(_broke, strategy, route, request))

    def _after(
        self, call: Call, route: Route, error: ProviderError, waiting: list[Route], failed: list[ProviderError]
    ) -> list[Route]:
        """The routes worth trying after `error`; none if the caller must see it as it is.

        Raises:
            ProviderError: what the caller must see in its place.
        """
        error.route = error.route or route.name
        failed.append(error)
        if isinstance(error, RouteRefused) and route.is_leaf:
            call.emit(RouteSkipped(error.route, error))
        if call.is_over(error):
            return []
        eligible = self._eligible(route, error, waiting)
        if eligible:
            if not call.fits(0):
                raise call.too_late() from error
            if call.attempts_left > 0:
                call.emit(FellBack(route.name, eligible[0].name, error))
                return eligible
            call.spent = True
            originals = [one for one in failed if not isinstance(one, RouteRefused)]
            if not originals or originals[-1] is error:
                return []
            raise originals.pop()
        if len(failed) == 1 or call.spent or not self._may_help(error):
            return []
        untried = [other.name for other in waiting]
        raise AllRoutesFailed(failed, untried, attempts=call.attempts) from error

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


def _broke(strategy: Strategy, route: Route, request: Request, reply: Reply) -> None:
    if isinstance(reply.error, ProviderError):
        strategy.failed(route, reply.error, request)


def _ignoring(over: Callable[[], object], reply: Reply) -> None:
    over()

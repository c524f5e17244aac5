"""Rehearsal: a call that is only supposed, driven through the very layers that would decide about a real one.

Every route fails with the error in question, nothing is sent, time is virtual, and each running half is replaced by
what its `rehearsal()` gives: the same rules, sharing nothing that changes. So what is told is what would happen, and
there is no second copy of the rules.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from .call import Call
from .clock import Clock, VirtualClock
from .errors import AllRoutesFailed, DeadlineExceeded, ProviderError, RouteRefused
from .layer import AsyncBound, Bound, Effect, Sleep, Steps, Via, Within, drive
from .plain import Nested
from .reply import Reply
from .request import Request
from .router import Router
from .through import Through

__all__ = ["Rehearsal", "Step", "supposed"]

# As late as chance can have it, so that every wait is told at its longest.
_LATEST = math.nextafter(1.0, 0.0)


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """What one layer, or router, would do with an error that reaches it.

    Attributes:
        layer: its name; of a router, its kind.
        says: what it would do, in words.
        tries: how often it would have sent the request on when it is done.
        waits: the seconds, at most, before each further time.
        to: the route that a router would move on to; "" if to none.
    """

    layer: str
    says: str
    tries: int = 1
    waits: tuple[float, ...] = ()
    to: str = ""


def supposed(request: Request, now: float, cap: int) -> Request:
    """The request in a call that will not be made, to ask routers about; it uses up no chance of the real clock."""
    return request.under(Call(Clock(lambda: now, random=lambda: 0.5), cap))


class Rehearsal:
    """One supposed call in which every route fails alike.

    Attributes:
        call: its ledger.
        steps: what was done with the error on its way from the first route's leaf outwards.
        raised: what came out at the end; None if a layer answered in its place.
        waited: seconds that were waited in all.
    """

    def __init__(
        self, entry: Any, error: ProviderError, route: str, *, now: float, cap: int, off: frozenset[str]
    ) -> None:
        """Rehearses.

        Args:
            entry: the outermost handler of a stack.
            error: what every attempt comes to; of an AllRoutesFailed, what it has of that route.
            route: the path of the route that is tried first; "" for the one that would be.
            now: the moment at which the call begins.
            cap: how many attempts it may make.
            off: names of the layers that are switched off.
        """
        clock = VirtualClock(now, lambda: _LATEST)
        self.call = Call(clock, cap)
        self.steps: list[Step] = []
        self.raised: ProviderError | None = None
        self._error = error = error.detached()  # what is left behind here must not keep the caller's frames
        request = Request(error.model or "any", "?")
        acting = self._acting(entry, supposed(request, now, cap), off, route, True)
        try:
            acting(request.under(self.call))
        except ProviderError as raised:
            self.raised = raised.detached()
        self.waited = round(sum(clock.slept), 6)

    def _acting(self, handler: Any, request: Request, off: frozenset[str], route: str, first: bool) -> Any:
        """What stands in for a handler; `first`: whether it is on the way to the route that is tried first."""
        if isinstance(handler, (Bound, AsyncBound)) and handler.layer.kind == "count":
            return self._leaf(handler)
        if isinstance(handler, Router):
            return self._router(handler, request, off, route, first)
        if isinstance(handler, Nested):
            stack = handler.handler
            return Nested(self._acting(stack._entry, request, off | stack._off, route, first), route=handler.route)
        inner = self._acting(handler.handler, request, off, route, first)
        if not handler.name or handler.name in off:  # a router's driver, or a layer that is switched off
            return inner
        running = getattr(handler, "running", None)
        rehearsal = getattr(running, "rehearsal", None)
        return _Acting(inner, handler.name, rehearsal and rehearsal(), self if first else None)

    def _leaf(self, count: Bound | AsyncBound) -> Any:
        def leaf(request: Request) -> Reply:
            raise self._failure(request.path_of(count.route))

        # A refusal comes from further out, and leaves no attempt behind.
        return leaf if isinstance(self._error, RouteRefused) else Bound(count.layer, leaf)

    def _router(self, router: Router, request: Request, off: frozenset[str], route: str, first: bool) -> Router:
        routes = router.plan(request)
        named = next((number for number, one in enumerate(routes) if _leads(one.name, route)), 0) if first else 0
        routes = routes[named:]
        acting = []
        for number, one in enumerate(routes):
            leading = first and number == 0
            rest = route[len(one.name) + 1 :] if leading and _leads(one.name, route) else ""
            acting.append(dataclasses.replace(one, handler=self._acting(one.handler, request, off, rest, leading)))
        return _ActingRouter(router.rehearsal(acting), self if first else None)

    def _failure(self, route: str) -> ProviderError:
        """A new error each time, as if it came from that route."""
        error = self._error
        if isinstance(error, AllRoutesFailed):
            error = next((one for one in error.errors if one.route == route), error.errors[0])
        error = error.detached()
        error.route = error.provider = error.model = ""
        error.attempts = ()
        if isinstance(error, DeadlineExceeded):
            error.deadline = None  # a moment of another call
        return error


def _leads(name: str, path: str) -> bool:
    return path == name or path.startswith(f"{name}/")


class _Watch:
    """Sees what a generator does: where it sends the request, how long it waits, which error it hears first."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.waits: list[float] = []
        self.heard: ProviderError | None = None
        self._waited = 0.0

    def over(self, steps: Steps) -> Steps:
        """The same generator, watched."""
        try:
            effect = next(steps)
            while True:
                self._note(effect)
                try:
                    result = yield effect
                except BaseException as error:  # noqa: BLE001 - whatever it is, it is for the generator
                    if self.heard is None and isinstance(error, ProviderError):
                        self.heard = error.detached()
                    effect = steps.throw(error)
                else:
                    effect = steps.send(result)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]

    def _note(self, effect: Effect) -> None:
        if isinstance(effect, Sleep):
            self._waited += effect.seconds
        elif isinstance(effect, (Request, Via, Within)):
            if self.sent:
                self.waits.append(round(self._waited, 6))
            self._waited = 0.0
            self.sent.append(effect.route.name if isinstance(effect, Via) else "")

    def words(self, raised: type[ProviderError] | None, why: str) -> str:
        """What was seen.

        Args:
            raised: the class of what came out of the generator; None if that was an answer.
            why: why it did no more; "" if unknown.
        """
        reason = f": {why}" if why else ""
        if raised is None:
            return "answers in its place"
        if len(self.sent) > 1:
            waits = ", then ".join(f"after up to {wait:.3g} s" if wait else "at once" for wait in self.waits)
            return f"repeats it {waits}; then raises it{reason}"
        if why:
            return f"raises it{reason}"
        return "passes it on" if raised is type(self.heard) else f"raises {raised.__name__} in its place"


class _Acting(Through):
    """A layer, or a plain middleware, in a rehearsal."""

    __slots__ = ("_rehearsal", "_running")

    def __init__(self, handler: Any, name: str, running: Any, rehearsal: Rehearsal | None) -> None:
        """Keeps what is driven; `running` is None if it passes everything on, `rehearsal` if nothing is to be told."""
        super().__init__(handler, name)
        self._running = running
        self._rehearsal = rehearsal

    def __call__(self, request: Request) -> Any:
        """Drives it, and tells what the first time came to."""
        watch = _Watch()
        raised: type[ProviderError] | None = None  # not the error, whose traceback has this frame
        try:
            if self._running is None:
                return self.handler(request)
            return drive(watch.over(self._running.handle(request)), self.handler, request)
        except ProviderError as error:
            raised = type(error)
            raise
        finally:
            if self._rehearsal is not None:
                self._rehearsal.steps.append(self._step(watch, raised))
                self._rehearsal = None

    def _step(self, watch: _Watch, raised: type[ProviderError] | None) -> Step:
        if self._running is None:
            return Step(self.name, "passes it on")
        said = getattr(self._running, "said", "") or watch.words(raised, getattr(self._running, "why", ""))
        return Step(self.name, said, len(watch.sent), tuple(watch.waits))


class _ActingRouter(Router):
    """A router in a rehearsal."""

    def __init__(self, router: Router, rehearsal: Rehearsal | None) -> None:
        super().__init__(*router.routes)
        self._router = router
        self._rehearsal = rehearsal

    def handle(self, request: Request) -> Steps:
        """Drives it, and tells what the first time came to."""
        watch = _Watch()
        raised: type[ProviderError] | None = None  # not the error, whose traceback has this frame
        try:
            return (yield from watch.over(self._router.handle(request)))
        except ProviderError as error:
            raised = type(error)
            raise
        finally:
            if self._rehearsal is not None:
                self._rehearsal.steps.append(self._step(watch, raised, request.call))
                self._rehearsal = None

    def _step(self, watch: _Watch, raised: type[ProviderError] | None, call: Call) -> Step:
        if len(watch.sent) > 1:
            to = watch.sent[1]
            return Step(self._router.kind, f"moves on to {to}", len(watch.sent), tuple(watch.waits), to)
        why = self._router.why_not(watch.heard, call) if watch.heard is not None else ""
        return Step(self._router.kind, watch.words(raised, why), len(watch.sent))

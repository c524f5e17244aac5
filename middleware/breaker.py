"""CircuitBreaker: a route that is down is left alone, and asked again in time.

The layer here takes permits and brings them back with a verdict; what follows from a verdict is in
`circuit.py`. What an error means for a breaker is in the guidance table, so there is no status code here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, TypeAlias

from ..pipeline import (
    BreakerChanged,
    Call,
    CircuitOpen,
    Clock,
    DeadlineExceeded,
    Layer,
    Outcome,
    ProviderError,
    Reply,
    Request,
    RouteDoubted,
    RouteRefused,
    RouteResting,
    RouteRests,
    RouteSkipped,
    Run,
    Scope,
    Steps,
    TimedOut,
    Timeouts,
    Trip,
)
from ..pipeline.around import Around
from ..pipeline.longest import Longest
from ..pipeline.through import told_by
from . import options
from .circuit import Circuit, Circuits
from .fleet import FleetCircuit
from .permit import RESTING, Change, Permit, Refusal, Rules, Verdict

__all__ = ["Breaker", "CircuitBreaker"]

Tell: TypeAlias = Callable[[Change], None]
Kept: TypeAlias = tuple[int, float, Request]  # of a try of the usual kind: its permit's generation, when it was sent

_VERDICTS = {
    Trip.FAILURE: Verdict.BAD,
    Trip.OPEN: Verdict.FATAL,
    Trip.REST: Verdict.REST,
    Trip.IGNORE: Verdict.NONE,
}
_OK = Outcome.OK
# An attempt that was given less than this says little about its route when the call's deadline cuts it.
_FAIR_CHANCE = 5.0


@dataclass(frozen=True)
class CircuitBreaker(Layer):
    """Refuses at once, without an attempt, while a route is known to be down.

    It opens after so many failures in a row, or when so large a share of recent tries failed; at once and for
    long when the key is bad or the credit is gone; and never for what is the caller's own fault. A rate limit
    with Retry-After makes the route rest until then. Streams are judged at their end, not when they begin.

    Args:
        failures: failures in a row that open it, 1 or more; 5, as Finagle and Envoy.
        ratio: share of failures that opens it, above 0 and at most 1; 0.5, as resilience4j.
        minimum: tries in the window before the share counts, 1 or more; 10 (Polly's 100 would never be reached
            at an LLM's rates).
        window: seconds that count as recent; max(60 s, twice the time an attempt may take) unless given, so
            that slow failures still meet in one window.
        break_min: first break in seconds; 5 s, as Finagle. Each further break is twice as long; half of it is
            sure and half by chance.
        break_max: longest break in seconds; 300 s, as Finagle.
        long_break: longest break after a fatal error in seconds, half of it by chance; the date given, if one was.
        probes: tries let through at once when the break is over, 1 or more.
        slow: seconds to the first token of a stream beyond which it counts as slow; None counts none. Complete
            replies are never slow: how long they take depends on their length.
        slow_ratio: share of slow ones among recent tries that opens it, above 0 and at most 1.
        observe: True refuses nothing and only tells what it would do, to try its numbers out in production.
        circuits: shared with the breakers of other stacks by being passed in, and with other processes if they are
            `RedisCircuits`; None keeps them apart.

    Raises:
        ValueError: if an option is out of its range.
    """

    failures: int = 5
    ratio: float = 0.5
    minimum: int = 10
    window: float | None = None
    break_min: float = 5.0
    break_max: float = 300.0
    long_break: float = 300.0
    probes: int = 1
    slow: float | None = None
    slow_ratio: float = 0.8
    observe: bool = False
    circuits: Circuits | None = None
    name: str = "breaker"
    scope: Scope = "route"
    kind: ClassVar[str] = "breaker"
    not_outside: ClassVar[dict[str, str]] = {
        "retry": "each try needs an admission of its own; outside it, three failures would count as one and an "
        "open breaker would not stop the tries"
    }

    def __post_init__(self) -> None:
        for name in ("failures", "minimum", "probes"):
            options.count(self, name, getattr(self, name))
        for name in ("break_min", "break_max", "long_break"):
            options.seconds(self, name, getattr(self, name))
        options.fraction(self, "ratio", self.ratio)
        options.fraction(self, "slow_ratio", self.slow_ratio)
        options.identity(self)
        for name in ("window", "slow"):
            if getattr(self, name) is not None:
                options.seconds(self, name, getattr(self, name))
        if self.break_min > self.break_max:
            raise ValueError(
                f"CircuitBreaker(break_min={self.break_min:g}) is longer than break_max={self.break_max:g}"
            )

    def verify(self, route: str, handler: Any) -> None:
        """Refuses a window in which slow failures never meet, and a slowness that no answer can have.

        Raises:
            ValueError: with the numbers.
        """
        timeouts = told_by(handler, "timeouts", None, Timeouts)
        if timeouts is None:
            return
        first = timeouts.first_event
        if self.window is not None and self.window < 2 * first:
            raise ValueError(
                f"{self.name}: window={self.window:g} is shorter than twice Timeouts(first_event={first:g}) of route "
                f"{route!r}, so attempts that hang would never count together: make it {2 * first:g} or more, or "
                f"shorten the timeout"
            )
        if self.slow is not None and self.slow >= first:
            raise ValueError(
                f"{self.name}: slow={self.slow:g} is no less than Timeouts(first_event={first:g}) of route {route!r}, "
                f"after which an attempt is cut, so no answer would ever count as slow: make it shorter"
            )

    def bind(self, handler: Any) -> Breaker:
        """Makes the breaker of one route."""
        return Breaker(self, told_by(handler, "route", ""), told_by(handler, "timeouts", Timeouts()))


class Breaker(Around):
    """The running breaker of one route. `stack.part("breaker", route="openai")` gives it."""

    def __init__(self, layer: CircuitBreaker, route: str, timeouts: Timeouts) -> None:
        """Starts closed; `route` is the route's name and `timeouts` what its attempts may take."""
        self._route = route
        self._timeouts = timeouts
        self._now = Clock().now  # of the latest call, for what is done by hand
        self._rules = rules = Rules(
            layer.failures,
            layer.ratio,
            layer.minimum,
            layer.window or max(60.0, 2 * timeouts.total),
            layer.break_min,
            layer.break_max,
            layer.long_break,
            layer.probes,
            layer.slow_ratio,
        )
        self._slow = layer.slow
        self._observe = layer.observe
        self._layer = layer
        self._circuit = Circuit(rules, route) if layer.circuits is None else layer.circuits.of(route, rules)
        self._fleet = self._circuit if isinstance(self._circuit, FleetCircuit) else None

    def before(self, request: Request) -> Kept | Steps:
        """Admits one try, at once if the circuit is closed."""
        call = request.call
        self._now = now = call.clock.now
        if self._fleet is None and (generation := self._circuit.admit_closed()) is not None:
            return generation, now(), request
        return self._asked(request)

    def after(self, kept: Kept, reply: Reply) -> None:
        """Judges the try by its reply."""
        generation, sent, request = kept
        if reply.outcome is not _OK or not self._circuit.settle_good(generation, sent, request.call.clock.now):
            self._answered(Permit(generation, sent), request, reply)

    def failed(self, kept: Kept, error: BaseException) -> None:
        """Judges the try by its error."""
        generation, sent, request = kept
        call = request.call
        self._settle(Permit(generation, sent), call, self._tell(request), self._verdict(error, call), error)

    def _asked(self, request: Request) -> Steps:
        """Admits one try, or refuses it, where it takes more to say so; judges it at its end."""
        call = request.call
        now = call.clock.now
        lease = self._timeouts.first(request.stream)
        tell = self._tell(request)
        if self._fleet is not None and self._fleet.due(moment := now()):
            change: Change | None = yield Run(partial(self._fleet.ask, moment, lease))
            if change is not None:
                tell(change)
        permit = self._circuit.admit(now(), lease, tell)
        if isinstance(permit, Refusal):
            where = self._place(request)
            if self._observe:
                call.emit(RouteDoubted(where, self._refusal(permit, where)))
            elif not call.forced:
                raise self._refused(permit, where, call)  # in no variable of this frame, which it would keep alive
            return (yield request)  # type: ignore[no-any-return]
        try:
            reply: Reply = yield request
        except BaseException as error:
            self._settle(permit, call, tell, self._verdict(error, call), error)
            raise
        self._answered(permit, request, reply)
        return reply

    def _answered(self, permit: Permit, request: Request, reply: Reply) -> None:
        """Judges the try when its reply is over; until then a stream has begun to arrive."""
        call, tell = request.call, self._tell(request)  # a stream must not keep the request, and so its prompt
        if reply.outcome is not None:
            self._ended(permit, call, tell, False, reply)
            return
        now = call.clock.now()
        if permit.lease is not None:
            self._circuit.arriving(permit, reply, now, self._timeouts.gap)
        slow = self._slow is not None and request.stream and now - permit.sent > self._slow
        reply.on_end(partial(self._ended, permit, call, tell, slow))

    def _place(self, request: Request) -> str:
        # In a stack that is a route of another, it is told under that route's path, as attempts are.
        return request.path_of(self._route) if request.path else self._route

    def _tell(self, request: Request) -> Tell:
        return partial(_emit, request.call, self._place(request))

    def isolate(self) -> None:
        """Refuses everything from now on, until `close()`."""
        self._circuit.isolate(self._now())

    def close(self) -> None:
        """Closes the breaker by hand and forgets what led to its state."""
        self._circuit.close(self._now())

    def snapshot(self, now: float) -> dict[str, Any]:
        """The breaker's state at the moment `now` on the calls' clock; see `Circuit.snapshot`."""
        return self._circuit.snapshot(now)

    def longest(self, inner: Longest, others: bool) -> Longest:
        """Nothing more than without it, except that a try may be refused."""
        return inner.refusing()

    def rehearsal(self) -> Breaker:
        """One of its own that stands where this one does."""
        from .trial import TrialBreaker

        return TrialBreaker(self._layer, self._route, self._timeouts, self.snapshot(self._now()))

    def _refused(self, refusal: Refusal, route: str, call: Call) -> RouteRefused:
        error = self._refusal(refusal, route)
        call.emit(RouteSkipped(route, error))
        return error

    def _refusal(self, refusal: Refusal, route: str) -> RouteRefused:
        because = refusal.because
        fields: dict[str, Any] = {"because": because, "route": route, "retry_after": refusal.wait}
        if refusal.state == RESTING:
            return RouteResting("resting, as it asked to", **fields)
        if refusal.state == "isolated":
            return CircuitOpen("isolated by hand", **fields)
        reason = f": {because.guidance.label}" if because is not None else ""
        return CircuitOpen(f"circuit {refusal.state}{reason}", **fields)

    def _ended(self, permit: Permit, call: Call, tell: Tell, slow: bool, reply: Reply) -> None:
        if reply.outcome is _OK and not slow:
            usual = permit.lease is None
            if usual and self._circuit.settle_good(permit.generation, permit.sent, call.clock.now):
                return
            self._settle(permit, call, tell, Verdict.GOOD)
        elif reply.outcome is _OK:
            self._settle(permit, call, tell, Verdict.SLOW, TimedOut(reason="slow"))
        elif reply.error is not None:
            self._settle(permit, call, tell, self._verdict(reply.error, call), reply.error)
        else:
            self._settle(permit, call, tell, Verdict.NONE)

    def _settle(
        self, permit: Permit, call: Call, tell: Tell, verdict: Verdict, error: BaseException | None = None
    ) -> None:
        known = error if isinstance(error, ProviderError) else None
        clock = call.clock
        self._circuit.settle(permit, verdict, known, clock.now(), clock.random, tell)

    def _verdict(self, error: BaseException, call: Call) -> Verdict:
        # A refusal from further in never left; an exception that is no ProviderError is a bug or the caller's.
        if not isinstance(error, ProviderError) or isinstance(error, RouteRefused):
            return Verdict.NONE
        if isinstance(error, DeadlineExceeded) and not self._had_its_chance(call):
            return Verdict.NONE
        return _VERDICTS[error.guidance.trip]

    def _had_its_chance(self, call: Call) -> bool:
        # In a stack that is a route of another, attempts are told under that route's path.
        inside = f"/{self._route}"
        mine = [one for one in call.attempts if one.route == self._route or one.route.endswith(inside)]
        duration = mine[-1].duration if mine else None
        return duration is not None and duration >= min(_FAIR_CHANCE, self._timeouts.first_event)


def _emit(call: Call, route: str, change: Change) -> None:
    if change.after == RESTING and change.until is not None:
        call.emit(RouteRests(route, change.error, change.until))
        return
    call.emit(BreakerChanged(route, change.before, change.after, change.error, change.until, change.number))

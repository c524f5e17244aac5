"""Metrics: how often, how long, how much, as OpenTelemetry metrics.

Only OpenTelemetry's API is used here: where numbers go is the application's choice, and without an SDK the layer steps
aside. All names, units and labels stand in one table (`semconv.py`).

Labels come from closed sets only, so that no number of series can pile up: routes and providers as they were built,
classes of errors, the reasons that are known, and models up to a limit. No prompt, answer or key is recorded.

A chunk costs nothing: a stream is measured at its end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, NamedTuple

from opentelemetry import context as contexts
from opentelemetry import metrics
from opentelemetry.context import Context
from opentelemetry.metrics import MeterProvider

from ..pipeline import (
    AttemptEnded,
    BreakerChanged,
    Call,
    Clock,
    Event,
    FellBack,
    Layer,
    Outcome,
    ProviderError,
    Reply,
    Request,
    RetryScheduled,
    RouteDoubted,
    Router,
    RouteResting,
    RouteRests,
    RouteSkipped,
    Running,
    Scope,
    StreamResumed,
)
from ..pipeline.around import Around
from ..pipeline.through import inward, told_by
from . import options
from . import semconv as names
from .meters import Meters, Taken, current_provider, meters_of
from .traced import context_of

__all__ = ["Metrics"]


@dataclass(frozen=True)
class Metrics(Layer):
    """Measures calls and attempts: durations, tokens, cost, retries, fallbacks, refusals, and breakers.

    Args:
        provider: the MeterProvider to use; the global one, as it is when a call is made, unless given.
        reasons: words of your own adapters' errors (`error.reason`) that may be labels, beside those of this library;
            any other is told as "_OTHER".

    Raises:
        TypeError: if it is no MeterProvider, or the reasons are no set of words.
    """

    provider: MeterProvider | None = None
    reasons: frozenset[str] = frozenset()
    name: str = "metrics"
    scope: Scope = "call"
    kind: ClassVar[str] = "metrics"
    not_inside: ClassVar[dict[str, str]] = {"retry": "a call is measured once, with all its tries"}

    def __post_init__(self) -> None:
        options.identity(self)
        if self.scope != "call":
            raise ValueError("Metrics(scope=...) must be 'call': attempts are told apart by their route")
        if self.provider is not None and not isinstance(self.provider, MeterProvider):
            raise TypeError(f"Metrics(provider=...) must be a MeterProvider, not {self.provider!r}")
        if isinstance(self.reasons, str) or not all(isinstance(word, str) for word in self.reasons):
            raise TypeError(f"Metrics(reasons=...) must be a set of words, not {self.reasons!r}")

    def bind(self, handler: Any) -> Running:
        """Makes the running half, which knows the breakers further in."""
        return _Measuring(self, handler)


class _Measured(NamedTuple):
    """What is kept of a call that is measured: since when, and the context around it."""

    meters: Meters
    call: Call
    around: Context
    started: float


class _Measuring(Around):
    """The running half. `breakers` are those further in, by route."""

    def __init__(self, layer: Metrics, handler: Any) -> None:
        self._given = layer.provider
        self._current: Any = self  # no provider, so that the first call looks
        self._reasons = names.REASONS | frozenset(layer.reasons)
        self._meters: Meters | None = None
        self._shown = False  # whether the state of the breakers is told
        self.breakers = list(_breakers(handler))
        self.now = Clock().now  # of the latest call, for whoever looks at the breakers

    def before(self, request: Request) -> _Measured | None:
        if self._current is not current_provider(self._given):
            self._meet()
        meters = self._meters
        if meters is None:  # nobody records
            return None
        call = request.call
        if meters in call.slots:  # a stack further out does
            return None
        if not self._shown:
            self._shown = True
            meters.look_at(self)
        call.slots[meters] = True  # until its end is told
        self.now = call.clock.now
        kept = _Measured(meters, call, contexts.get_current(), call.clock.now())
        call.observe(partial(self._hear, kept))
        return kept

    def after(self, kept: _Measured, reply: Reply) -> None:
        reply.on_end(partial(_over, kept))
        kept.meters.record()

    def failed(self, kept: _Measured, error: BaseException) -> None:
        if isinstance(error, Exception):
            _ended(kept, error, Outcome.ERROR)
            kept.meters.record()
        else:  # it may be the end of a generator in a garbage collection
            _ended(kept, error, Outcome.CLOSED)

    def _hear(self, kept: _Measured, event: Event) -> None:
        measure = _MEASURES.get(type(event))
        if measure is not None:
            kept.meters.keep(context_of(kept.call) or kept.around, measure(event, kept.meters, self._reasons))

    def _meet(self) -> None:
        self._meters = meters_of(self._given or metrics.get_meter_provider())
        self._shown = False
        self._current = current_provider(self._given)


def _over(kept: _Measured, reply: Reply) -> None:
    _ended(kept, reply.error, reply.outcome or Outcome.CLOSED)


def _ended(kept: _Measured, error: BaseException | None, outcome: Outcome) -> None:
    meters, call, around, started = kept
    if not call.slots.get(meters):  # its end was told, and that was interrupted
        return
    call.slots[meters] = False
    taken = _call(call.clock.now() - started, error, outcome)
    meters.keep(context_of(call) or around, [taken])


# -- one happening each: what it comes to ------------------------------------------------------------------------


def _call(seconds: float, error: BaseException | None, outcome: Outcome) -> Taken:
    labels = {names.OUTCOME: outcome.value}
    if outcome is Outcome.ERROR:
        labels[names.ERROR_TYPE] = error.error_class.value if isinstance(error, ProviderError) else names.OTHER
    return Taken(names.CALL_DURATION, seconds, labels)


def _attempt(event: AttemptEnded, meters: Meters, reasons: frozenset[str]) -> Iterator[Taken]:
    attempt = event.attempt
    kind = attempt.error_class
    who = {names.ROUTE: attempt.route, names.PROVIDER_NAME: names.PROVIDERS.get(attempt.provider, attempt.provider)}
    what = {**who, names.REQUEST_MODEL: meters.model(attempt.model, kind)}
    where = {**what, names.OPERATION_NAME: "chat"}
    failed: dict[str, str] = {}
    if attempt.outcome == "error":
        failed = {names.ERROR_TYPE: kind.value if kind is not None else names.OTHER}
    why = {**failed, names.REASON: _known(attempt.reason, reasons)} if failed else failed
    yield Taken(names.DURATION, attempt.duration or 0.0, {**where, **failed})
    yield Taken(names.ATTEMPT_COUNT, 1, {**who, names.OUTCOME: attempt.outcome, **why})
    if attempt.events and attempt.first_event is not None and attempt.ended is not None:
        yield Taken(names.FIRST_CHUNK, attempt.first_event - attempt.started, where)
        if attempt.events > 1:
            yield Taken(names.PER_CHUNK, (attempt.ended - attempt.first_event) / (attempt.events - 1), where)
    usage = attempt.usage
    if usage is not None:
        for word, tokens in (("input", usage.prompt_tokens), ("output", usage.completion_tokens)):
            if tokens is not None:
                yield Taken(names.TOKEN_USAGE, tokens, {**where, names.TOKEN_TYPE: word})
        if usage.cost is not None:
            yield Taken(names.COST, usage.cost, what)


def _retry(event: RetryScheduled, meters: Meters, reasons: frozenset[str]) -> Iterator[Taken]:
    yield Taken(names.RETRIES, 1, _why(event.route, event.error, reasons))


def _fallback(event: FellBack, meters: Meters, reasons: frozenset[str]) -> Iterator[Taken]:
    yield Taken(names.FALLBACKS, 1, {**_why(event.origin, event.error, reasons), names.TARGET: event.target})


def _refusal(event: RouteSkipped, meters: Meters, reasons: frozenset[str]) -> Iterator[Taken]:
    word = "resting" if isinstance(event.error, RouteResting) else "circuit_open"
    yield Taken(names.REFUSALS, 1, {**_why(event.route, event.error, reasons), names.REFUSAL: word})


def _doubt(event: RouteDoubted, meters: Meters, reasons: frozenset[str]) -> Iterator[Taken]:
    yield Taken(names.DOUBTS, 1, _why(event.route, event.error, reasons))


def _rest(event: RouteRests, meters: Meters, reasons: frozenset[str]) -> Iterator[Taken]:
    labels = {names.ROUTE: event.route} if event.error is None else _why(event.route, event.error, reasons)
    yield Taken(names.RESTS, 1, labels)


def _resume(event: StreamResumed, meters: Meters, reasons: frozenset[str]) -> Iterator[Taken]:
    labels = {names.ROUTE: event.origin, names.TARGET: event.target, names.MODE: event.mode}
    yield Taken(names.RESUMES, 1, labels)


def _change(event: BreakerChanged, meters: Meters, reasons: frozenset[str]) -> Iterator[Taken]:
    labels = {names.ROUTE: event.route, names.BEFORE: event.before, names.AFTER: event.after}
    yield Taken(names.TRANSITIONS, 1, labels)


_MEASURES: dict[type, Callable[[Any, Meters, frozenset[str]], Iterator[Taken]]] = {
    AttemptEnded: _attempt,
    BreakerChanged: _change,
    FellBack: _fallback,
    RetryScheduled: _retry,
    RouteDoubted: _doubt,
    RouteRests: _rest,
    RouteSkipped: _refusal,
    StreamResumed: _resume,
}


def _why(route: str, error: ProviderError, reasons: frozenset[str]) -> dict[str, str]:
    return {
        names.ROUTE: route,
        names.ERROR_TYPE: error.error_class.value,
        names.REASON: _known(error.reason, reasons),
    }


def _known(reason: str, reasons: frozenset[str]) -> str:
    """The word, if it may be a label. None at all is one of them."""
    return reason if not reason or reason in reasons else names.OTHER


def _breakers(handler: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    """The running breakers around and below a handler, each with the path of its route."""
    for item in inward(handler):
        if getattr(getattr(item, "layer", None), "kind", "") == "breaker":
            yield (above + item.route).removesuffix("/"), item.running
        if isinstance(item, Router):
            for _, route in item.leaves():
                yield from _breakers(route.handler, above)
        inside = getattr(item, "_entry", None)  # a stack that is a route of another
        if inside is not None:
            yield from _breakers(inside, f"{above}{told_by(handler, 'route', '')}/")

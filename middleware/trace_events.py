"""What was decided during a call, as the events of its span."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeAlias

from ..pipeline import (
    BreakerChanged,
    Event,
    FellBack,
    ParametersDoubted,
    ProviderError,
    RetryScheduled,
    RouteDoubted,
    RouteRests,
    RouteSkipped,
    StreamBroke,
    StreamResumed,
)
from . import semconv as names

__all__ = ["Noted", "note"]

Noted: TypeAlias = tuple[str, dict[str, Any], int]
"""Name, attributes and moment of one event of a span."""

_Told: TypeAlias = tuple[str, dict[str, Any]]


def note(noted: list[Noted], event: Event) -> None:
    """Writes an event down, for the end of the span.

    Not into the span itself: that takes the span's lock, and some events come in the middle of a garbage collection,
    in a thread that may hold this very lock.
    """
    tell = _TELLERS.get(type(event))
    if tell is not None:
        noted.append((*tell(event), time.time_ns()))


def _retry(event: RetryScheduled) -> _Told:
    return names.RETRY_EVENT, {**_where(event.route, event.error), names.DELAY: event.delay}


def _skipped(event: RouteSkipped) -> _Told:
    return names.SKIPPED_EVENT, _where(event.route, event.error, wait=True)


def _doubted(event: RouteDoubted) -> _Told:
    return names.DOUBTED_EVENT, _where(event.route, event.error, wait=True)


def _rests(event: RouteRests) -> _Told:
    return names.RESTS_EVENT, _where(event.route, event.error, wait=True)


def _fell_back(event: FellBack) -> _Told:
    return names.FALLBACK_EVENT, {**_where(event.origin, event.error), names.TARGET: event.target}


def _breaker(event: BreakerChanged) -> _Told:
    states = {names.BEFORE: event.before, names.AFTER: event.after}
    return names.BREAKER_EVENT, {**_where(event.route, event.error), **states}


def _broke(event: StreamBroke) -> _Told:
    attempt = event.attempt
    found: dict[str, Any] = {names.ROUTE: attempt.route, names.ATTEMPT: attempt.number, names.REASON: attempt.reason}
    if attempt.error_class is not None:
        found[names.ERROR_TYPE] = attempt.error_class.value
    return names.BROKE_EVENT, found


def _resumed(event: StreamResumed) -> _Told:
    return names.RESUMED_EVENT, {names.ROUTE: event.origin, names.TARGET: event.target, names.MODE: event.mode}


def _parameters(event: ParametersDoubted) -> _Told:
    return names.PARAMETERS_EVENT, {names.PARAMETERS: sorted({problem.parameter for problem in event.problems})}


def _where(route: str, error: ProviderError | None, wait: bool = False) -> dict[str, Any]:
    found: dict[str, Any] = {names.ROUTE: route}
    if error is not None:
        found[names.ERROR_TYPE] = error.error_class.value
        if error.reason:
            found[names.REASON] = error.reason
        if wait and error.retry_after is not None:
            found[names.RETRY_AFTER] = error.retry_after
    return found


# Attempts are not among them: they have spans of their own, and TraceCall does not hear of them.
_TELLERS: dict[type, Callable[[Any], _Told]] = {
    RetryScheduled: _retry,
    RouteSkipped: _skipped,
    RouteDoubted: _doubted,
    RouteRests: _rests,
    FellBack: _fell_back,
    BreakerChanged: _breaker,
    StreamBroke: _broke,
    StreamResumed: _resumed,
    ParametersDoubted: _parameters,
}

"""Health: which route is sick, since when, and why.

An observer: it only listens, so it can be given to any stack (`Stack(observers=[health])`). It never waits: an
attempt may end in a garbage collection, in a thread that is reading the status at that moment; so what it hears
goes through a queue, and whoever gets the lock takes it in.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

from ..pipeline import AsyncStack, Attempt, AttemptEnded, DeadlineExceeded, Event, Stack, Trip
from ..pipeline.errors import GUIDANCE

__all__ = ["Health"]

# Enough for a 95th percentile, and few enough to sort on each look.
_RECENT = 200


class _Route:
    """What is known of one route. `recent` holds good or bad, and seconds, of the latest judged attempts."""

    __slots__ = ("attempts", "errors", "last_class", "last_reason", "recent", "sick_since")

    def __init__(self) -> None:
        self.attempts = 0
        self.errors = 0
        self.last_class = self.last_reason = ""
        self.sick_since: float | None = None
        self.recent: deque[tuple[bool, float]] = deque(maxlen=_RECENT)

    @staticmethod
    def together(routes: list[_Route]) -> _Route:
        """Several routes as one."""
        if len(routes) == 1:
            return routes[0]
        sum_ = _Route()
        for route in routes:
            sum_.attempts += route.attempts
            sum_.errors += route.errors
            sum_.last_class, sum_.last_reason = route.last_class or sum_.last_class, route.last_reason
            sum_.recent.extend(route.recent)
            sick = [moment for moment in (sum_.sick_since, route.sick_since) if moment is not None]
            sum_.sick_since = min(sick, default=None)
        return sum_

    def take(self, attempt: Attempt) -> None:
        self.attempts += 1
        if attempt.outcome == "closed":
            return  # the caller gave up; it says nothing about the route
        good = attempt.outcome == "ok"
        if not good:
            if attempt.error_class is None:
                return  # no ProviderError, so a bug of somebody else's
            self.errors += 1
            self.last_class, self.last_reason = attempt.error_class.value, attempt.reason
            if GUIDANCE[attempt.error_class].trip is Trip.IGNORE or attempt.reason == DeadlineExceeded.default_reason:
                return  # the caller's own fault, or the caller's own haste
        self.recent.append((good, attempt.duration or 0.0))
        if good:
            self.sick_since = None
        elif self.sick_since is None:
            self.sick_since = attempt.ended


class Health:
    """Keeps score of every route. Thread-safe.

    Args:
        wall: gives the time of day as UNIX seconds; moments in the status are told on this clock.
    """

    def __init__(self, wall: Callable[[], float] = time.time) -> None:
        self._wall = wall
        self._lock = threading.Lock()
        self._heard: SimpleQueue[Attempt] = SimpleQueue()
        self._routes: dict[str, _Route] = {}

    def __call__(self, event: Event) -> None:
        """Listens to one event."""
        if isinstance(event, AttemptEnded):
            self._heard.put(event.attempt)
            if self._lock.acquire(blocking=False):
                try:
                    self._drain()
                finally:
                    self._lock.release()

    def status(self, stack: Stack | AsyncStack) -> dict[str, dict[str, Any]]:
        """How each route of `stack` is doing, by its path.

        Returns:
            A dict per route:
            `healthy`: whether it is worth sending to; `state`: "closed", "open", "half-open", "isolated" or
            "resting" (a route without a breaker is always "closed"); `reason`: what closed the route, or its
            last error; `attempts` and `errors`: so far; `since`: UNIX time in seconds since when it is not
            well, or None; `reopens_at`: UNIX time at which it admits again, or None; `success_rate`: of the
            latest 200 judged attempts, from 0 to 1, or None without any; `p50` and `p95`: their seconds;
            `last_error`: the class of the last error, or None.
        """
        now = stack.clock.now()
        # Without the lock: a breaker may have news to tell, and an observer may ask for the status in turn.
        circuits = {path: _circuit(stack, path, now) for path in stack.routes()}
        with self._lock:
            self._drain()
            return {path: self._one(self._known(path), circuit, now) for path, circuit in circuits.items()}

    def _known(self, path: str) -> _Route:
        """What is known of a route; of one that is a stack itself, of all its routes together."""
        inside = [route for name, route in self._routes.items() if name.startswith(f"{path}/")]
        own = self._routes.get(path)
        return _Route.together([own, *inside] if own is not None else inside)

    def _one(self, route: _Route, circuit: dict[str, Any], now: float) -> dict[str, Any]:
        times = sorted(seconds for _, seconds in route.recent)
        good = sum(well for well, _ in route.recent)
        rate = good / len(times) if times else None
        because = circuit["because"]
        state = circuit["state"]
        since = circuit["since"] if state not in ("closed", "resting") else route.sick_since
        return {
            "healthy": state == "closed" and (rate is None or route.sick_since is None or rate >= 0.5),
            "state": state,
            "reason": because.reason if because is not None else route.last_reason,
            "attempts": route.attempts,
            "errors": route.errors,
            "since": self._told(since, now),
            "reopens_at": self._told(circuit["until"], now),
            "success_rate": rate,
            "p50": _quantile(times, 0.5),
            "p95": _quantile(times, 0.95),
            "last_error": route.last_class or None,
        }

    def _told(self, moment: float | None, now: float) -> float | None:
        return None if moment is None else self._wall() + moment - now

    def _drain(self) -> None:
        while True:
            try:
                attempt = self._heard.get_nowait()
            except Empty:
                return
            self._routes.setdefault(attempt.route, _Route()).take(attempt)


def _circuit(stack: Stack | AsyncStack, path: str, now: float) -> dict[str, Any]:
    """The state of the route's breaker; of several, of the first one that is not closed."""
    shots = [
        stack.part(layer.name, route=path).snapshot(now)
        for layer in stack.layers
        if getattr(layer, "kind", "") == "breaker"  # whatever it is called
    ]
    closed: dict[str, Any] = {"state": "closed", "since": None, "until": None, "because": None}
    return next((shot for shot in shots if shot["state"] != "closed"), shots[0] if shots else closed)


def _quantile(times: list[float], share: float) -> float | None:
    return times[min(len(times) - 1, int(share * len(times)))] if times else None

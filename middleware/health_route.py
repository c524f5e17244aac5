"""RouteHealth: what is known of one route's health, and how that becomes sick or well; HealthChange tells of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..pipeline import Attempt, DeadlineExceeded, ErrorClass, ProviderError, Trip
from ..pipeline.errors import GUIDANCE
from .rolling import Rolling

__all__ = ["HealthChange", "RouteHealth"]

# Without a breaker, the failures in a row after which one would open; see CircuitBreaker.
_FAILURES = 5
# One failed probe may be chance.
_PROBES = 2


@dataclass(frozen=True, slots=True)
class HealthChange:
    """A route has become sick or well, or its breaker has changed state. Holds neither keys nor prompts.

    Attributes:
        route: its path.
        healthy, was_healthy: whether it is worth sending to, now and before.
        state, was_state: of its breaker, now and before; see `Health.status`.
        reason: the finer word for it, such as "connection_refused"; "by_hand" if it was isolated; "" if there is none.
        error: the class of the error that made it so, or was its last; None if there is none.
        since: UNIX time in seconds since when it has been sick; None if it is well, or nobody knows.
        reopens_at: UNIX time at which its breaker admits again, or None.
        at: UNIX time of the change.
    """

    route: str
    healthy: bool
    was_healthy: bool
    state: str
    was_state: str
    reason: str
    error: str | None
    since: float | None
    reopens_at: float | None
    at: float

    @property
    def turned(self) -> bool:
        """Whether it has become sick or well, and not only gone from one state of sickness to another."""
        return self.healthy != self.was_healthy

    def __str__(self) -> str:
        if self.healthy:
            return f"{self.route} is well again" if self.turned else f"{self.route} is well"
        why = f"{self.error} ({self.reason})" if self.error and self.reason else self.error or self.reason or "unknown"
        breaker = f", its breaker is {self.state}" if self.state != "closed" else ""
        return f"{self.route} is sick: {why}{breaker}"


class RouteHealth:
    """What is known of one route. Not thread-safe: its owner holds a lock. Moments on the calls' clock, if not UNIX.

    Attributes:
        attempts, errors: so far.
        last_class: of its last error, or "".
        recent: the tries of the window that say something about it.
        ended: the moment at which the last attempt ended.
        guarded: whether it has a breaker, whose word it then is.
        state, until, because, number: of the breaker's last change, as far as it was told.
        told: whether it was healthy, and the state, when that was last told.
        probe: what the last probe found, or None.
    """

    def __init__(self, window: float) -> None:
        """Knows nothing, and is well."""
        self.attempts = self.errors = 0
        self.last_class = self._last_reason = ""
        self.recent = Rolling(window)
        self.ended = 0.0
        self.guarded = False
        self.state = "closed"
        self.until: float | None = None
        self.because: ProviderError | None = None
        self.number = 0
        self.told = (True, "closed")
        self.probe: dict[str, Any] | None = None
        self._bad_probes = 0
        self._bad_probes_since = 0.0
        self.well()

    def well(self) -> None:
        """Takes back what tries have said against it."""
        self._in_a_row = 0
        self._fatal = False
        self._since: float | None = None

    def take(self, attempt: Attempt) -> None:
        """Counts an attempt that is over."""
        self.attempts += 1
        self.ended = ended = attempt.ended or 0.0
        if attempt.outcome == "closed":
            return  # the caller gave up; it says nothing about the route
        if attempt.outcome == "ok":
            self.recent.add(True, attempt.duration or 0.0, ended)
            self._bad_probes = 0
            self.well()
            return
        if attempt.error_class is None:
            return  # no ProviderError, so a bug of somebody else's
        self.errors += 1
        self.last_class, self._last_reason = attempt.error_class.value, attempt.reason
        trip = GUIDANCE[attempt.error_class].trip
        if trip is Trip.IGNORE or attempt.reason == DeadlineExceeded.default_reason:
            return  # the caller's own fault, or the caller's own haste
        self.recent.add(False, attempt.duration or 0.0, ended)
        self._in_a_row += 1
        self._fatal = self._fatal or trip is Trip.OPEN
        if self._since is None:
            self._since = ended

    def probed(self, seconds: float, error: ProviderError | None, at: float) -> None:
        """Takes in what a probe found at that UNIX time."""
        if error is None:
            self._bad_probes = 0
        elif _sickens(error.error_class):
            self._bad_probes_since = self._bad_probes_since if self._bad_probes else at
            self._bad_probes += 1
        self.probe = {
            "ok": error is None,
            "at": at,
            "seconds": seconds,
            "error": None if error is None else error.error_class.value,
            "reason": "" if error is None else error.reason,
        }

    def healthy(self, state: str) -> bool:
        """Whether it is worth sending to, its breaker being in that state and the window turned to the present."""
        if state != "closed" or self._bad_probes >= _PROBES:
            return False
        tried = self.recent.good + self.recent.bad
        return self.guarded or not tried or not (self._fatal or self._in_a_row >= _FAILURES)

    def move(self, state: str, until: float | None, because: ProviderError | None, number: int) -> None:
        """Takes in what its breaker does, and why."""
        self.state, self.until, self.because, self.number = state, until, because, number

    def why(self, state: str, because: ProviderError | None) -> tuple[str, str]:
        """Class and reason of what is wrong with it in that state of its breaker, or was last; "" if nothing was."""
        if state == "isolated":
            return "", "by_hand"
        if state != "closed" and because is not None:
            return because.error_class.value, because.reason
        if state == "closed" and self._bad_probes >= _PROBES and self.probe is not None:
            return self.probe["error"], self.probe["reason"]
        return self.last_class, self._last_reason

    def since(self, opened: float | None, now: float, wall: float) -> float | None:
        """Since when it is sick, in UNIX time; None if nobody knows.

        Args:
            opened: the moment at which its breaker last left the state "closed", or None. The failure that began it all
                was before that, if it was here: a breaker that opens again after a probe has not begun to be sick.
            now, wall: the present, on the calls' clock and in UNIX time.
        """
        moments = [wall + moment - now for moment in (opened, self._since) if moment is not None]
        if self._bad_probes >= _PROBES:
            moments.append(self._bad_probes_since)
        return min(moments, default=None)


def _sickens(kind: ErrorClass) -> bool:
    """Whether a probe's error says that the route would not answer a request either; a rate limit does not."""
    return kind is ErrorClass.MODEL_NOT_FOUND or GUIDANCE[kind].trip in (Trip.FAILURE, Trip.OPEN)

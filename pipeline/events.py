"""What happens during a call: one frozen dataclass per happening.

Layers tell, observers listen (`Call.observe`, `Stack(observers=...)`). No event carries a prompt, an answer or
a key, so that whatever an observer does with one is safe. Routes are told by their path, such as "openai/key-1"; "" is
the whole of a stack.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from .call import Attempt
from .errors import Problem, ProviderError

__all__ = [
    "AttemptEnded",
    "AttemptStarted",
    "BreakerChanged",
    "Event",
    "FellBack",
    "ParametersDoubted",
    "RetryScheduled",
    "RouteDoubted",
    "RouteRests",
    "RouteSkipped",
    "StreamBroke",
    "StreamResumed",
]


@dataclass(frozen=True, slots=True)
class AttemptStarted:
    """A request is about to leave for a provider."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """An attempt is over; of a stream, when the stream is over. `attempt.outcome` says how."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class RetryScheduled:
    """The same route will be tried again after `delay` seconds."""

    route: str
    error: ProviderError
    delay: float


@dataclass(frozen=True, slots=True)
class RouteSkipped:
    """A route's breaker refused without an attempt: it is open, or the route rests."""

    route: str
    error: ProviderError


@dataclass(frozen=True, slots=True)
class RouteDoubted:
    """A breaker that only observes would have refused; the request went on."""

    route: str
    error: ProviderError


@dataclass(frozen=True, slots=True)
class RouteRests:
    """A route asked to be left alone, by a rate limit with Retry-After, and nobody is sent there until then.

    `error` is that rate limit, detached; `until` the moment on the call's clock at which the route admits again.
    """

    route: str
    error: ProviderError | None
    until: float


@dataclass(frozen=True, slots=True)
class FellBack:
    """A router moves on from one route to another."""

    origin: str
    target: str
    error: ProviderError


@dataclass(frozen=True, slots=True)
class BreakerChanged:
    """A route's breaker changed state: "closed", "open", "half-open" or "isolated".

    `error` is the error that moved it, detached, or None; `until` the moment on the call's clock at which the
    route admits again, or None. `number` grows with each change of any breaker in this process: threads may tell
    theirs in another order.
    """

    route: str
    before: str
    after: str
    error: ProviderError | None = None
    until: float | None = None
    number: int = 0


@dataclass(frozen=True, slots=True)
class StreamBroke:
    """A stream ended without its good end after its first event; `attempt` says where and why. It is over by now."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class StreamResumed:
    """What broke off on one route goes on on another, or on the same again; `mode` is "restart" or "continue"."""

    origin: str
    target: str
    mode: str


@dataclass(frozen=True, slots=True)
class ParametersDoubted:
    """Validate found problems and was told to warn only; the request went on as it was."""

    problems: tuple[Problem, ...]


Event: TypeAlias = (
    AttemptStarted
    | AttemptEnded
    | RetryScheduled
    | RouteSkipped
    | RouteDoubted
    | RouteRests
    | FellBack
    | BreakerChanged
    | StreamBroke
    | StreamResumed
    | ParametersDoubted
)
"""Any of the happenings above."""

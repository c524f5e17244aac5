"""Permit: the right to one try on a route, and the words that a circuit and its breaker have in common."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from ..pipeline import ProviderError, Reply

__all__ = ["CLOSED", "HALF_OPEN", "ISOLATED", "OPEN", "RESTING", "Change", "Permit", "Refusal", "Rules", "Verdict"]

CLOSED, OPEN, HALF_OPEN, ISOLATED = "closed", "open", "half-open", "isolated"
RESTING = "resting"  # no state of its own: it lies over the others


class Verdict(Enum):
    """What a try says about its route."""

    GOOD = "good"
    SLOW = "slow"
    BAD = "bad"
    FATAL = "fatal"
    REST = "rest"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Rules:
    """The numbers a circuit goes by; times in seconds. `CircuitBreaker` says what each is for."""

    failures: int
    ratio: float
    minimum: int
    window: float
    break_min: float
    break_max: float
    long_break: float
    probes: int
    slow_ratio: float = 1.0


@dataclass(slots=True, eq=False)
class Permit:
    """The right to one try, given at the moment `sent`. `lease` is when a probe's right ends; None for others."""

    generation: int
    sent: float
    lease: float | None = None
    # A probe whose stream is arriving: each event renews the lease by `gap`.
    reply: weakref.ref[Reply] | None = None
    seen: int = 0
    gap: float = 0.0


class Refusal(NamedTuple):
    """Why nobody is admitted: `state` is "open", "half-open", "isolated" or "resting"; `wait` in seconds."""

    state: str
    wait: float | None
    because: ProviderError | None


class Change(NamedTuple):
    """One change of state, for observers; to RESTING where a rest begins, and the state stays as it is."""

    before: str
    after: str
    error: ProviderError | None
    until: float | None
    number: int = 0

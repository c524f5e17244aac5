"""Retry: try the same route again, when the error's class says that this can help.

The policy stands here; how the tries of one call go is in `course.py`. No course is begun before a first try has
failed: a call that succeeds never pays for it.

    error's class      again                       wait
    TIMEOUT            once                        none
    UNAVAILABLE        while tries are left        full jitter: U(0, min(8 s, 0.5 s * 2^n))
    RATE_LIMIT         while tries are left        Retry-After, never less; else full jitter
    all others         no

A `Policy` replaces one row, for a class or for a finer reason; `x-should-retry` overrides the first column. Any error
may bring a Retry-After; it is honoured if it fits the patience and the deadline, otherwise the error is raised at once,
with the number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from ..pipeline import (
    Again,
    Layer,
    ProviderError,
    Reply,
    Request,
    RetryScheduled,
    Running,
    Scope,
    Sleep,
    Steps,
)
from ..pipeline.around import Around
from ..pipeline.longest import Longest
from ..pipeline.through import told_by
from . import options
from .backoff import Backoff
from .budget import RetryBudget
from .course import Course

__all__ = ["Policy", "Retry"]


@dataclass(frozen=True)
class Policy:
    """What to do about one kind of failure.

    Args:
        attempts: tries of a route that may end in it before it is enough, 1 or more; 1 never repeats, 2 repeats once.
        backoff: the waits before a repetition; None repeats at once. A Retry-After comes first.

    Raises:
        ValueError: if an option is out of its range.
    """

    attempts: int
    backoff: Backoff | None = field(default_factory=Backoff)

    def __post_init__(self) -> None:
        options.count(self, "attempts", self.attempts)
        if self.backoff is not None and not isinstance(self.backoff, Backoff):
            raise TypeError(f"Policy(backoff=...) must be a Backoff or None, not {type(self.backoff).__name__}")


_NEVER = Policy(1)
_ONCE = Policy(2, None)


@dataclass(frozen=True)
class Retry(Layer):
    """Repeats a failed try on the same route. It never sees a stream that has begun: nothing is repeated then.

    Args:
        attempts: tries on the last or only route, 1 or more; 3, as the official clients.
        attempts_before_others: tries on a route while others are still untried, 1 or more; never more than `attempts`.
        backoff: the waits between tries; from 0.5 s to 8 s with full jitter, as the official clients.
        policies: what differs for an error class or a reason, by name: `{"loading": Policy(30, Backoff.constant(2.0)),
            "timeout": Policy(1)}`. A reason goes before its class; all tries of a route stay within `attempts`,
            unless a policy says more, and those of a call within the stack's `cap`.
        patience: seconds that are worth waiting while another route is there.
        max_wait: seconds that are worth waiting while none is; 120 s, as the official OpenAI client.
        budget: a RetryBudget, shared by being passed in; None sets no limit.
        scope: "route" repeats one route; "call" walks all routes again.

    Raises:
        ValueError: if an option is out of its range.
    """

    attempts: int = 3
    attempts_before_others: int = 2
    backoff: Backoff = field(default_factory=Backoff)
    policies: Mapping[str, Policy] = field(default_factory=dict)
    patience: float = 2.0
    max_wait: float = 120.0
    budget: RetryBudget | None = None
    name: str = "retry"
    scope: Scope = "route"
    kind: ClassVar[str] = "retry"

    def __post_init__(self) -> None:
        options.count(self, "attempts", self.attempts)
        options.count(self, "attempts_before_others", self.attempts_before_others)
        options.seconds(self, "patience", self.patience, zero=True)
        options.seconds(self, "max_wait", self.max_wait, zero=True)
        options.identity(self)
        if not isinstance(self.backoff, Backoff):
            raise TypeError(f"Retry(backoff=...) must be a Backoff, such as Backoff(0.5, 8.0), not {self.backoff!r}")
        if not isinstance(self.policies, Mapping):
            raise TypeError(f"Retry(policies=...) must be a mapping, not {type(self.policies).__name__}")
        for kind, policy in self.policies.items():
            if not isinstance(kind, str) or not isinstance(policy, Policy):
                raise TypeError(
                    f"Retry(policies=...) must map error classes and reasons to a Policy, not {kind!r} to {policy!r}"
                )
        if self.patience > self.max_wait:
            raise ValueError(
                f"Retry(patience={self.patience:g}) is longer than max_wait={self.max_wait:g}: a wait is worth no more "
                f"while another route is there than while none is"
            )
        if self.budget is not None and not isinstance(self.budget, RetryBudget):
            raise TypeError(f"Retry(budget=...) must be a RetryBudget, not {type(self.budget).__name__}")

    def bind(self, handler: Any) -> Running:
        """Makes the running half for one route, or for the whole call."""
        return _Retrying(self, told_by(handler, "route", ""))

    # -- the rules, one by one -----------------------------------------------------------------------------

    def kind_of(self, error: ProviderError) -> str:
        """Under which name the error's policy stands, and its tries are counted."""
        return error.reason if error.reason in self.policies else error.error_class.value

    def policy_for(self, error: ProviderError) -> Policy | None:
        """The policy for an error; None is the layer's own: its attempts, its backoff."""
        given = self.policies.get(self.kind_of(error))
        return given or {Again.ONCE: _ONCE, Again.NO: _NEVER}.get(error.guidance.again)

    def allowed(self, given: Policy | None, others: bool) -> int:
        """How many tries of a route there may be.

        Args:
            given: what `policies` says of the last failure, if it says anything.
            others: whether other routes are left.
        """
        allowed = self.attempts if given is None else max(self.attempts, given.attempts)
        return min(allowed, self.attempts_before_others) if others else allowed

    def limit(self, others: bool) -> float:
        """Seconds that are worth waiting, by whether other routes are left."""
        return self.patience if others else self.max_wait


class _Retrying(Around):
    def __init__(self, layer: Retry, route: str) -> None:
        self._layer = layer
        self._route = route

    def before(self, request: Request) -> Request:
        budget = self._layer.budget
        if budget is not None:
            budget.deposit(request.call.clock.now())
        return request

    def failed(self, request: Request, error: BaseException) -> Steps | None:
        if not isinstance(error, ProviderError):
            return None
        return self._again(request, Course(self._layer, request.call, error))

    def _again(self, request: Request, course: Course) -> Steps:
        call = request.call
        try:
            while True:
                delay = course.next_wait()
                if delay is None:
                    self._ended(course)
                    raise course.error
                call.emit(RetryScheduled(request.path_of(self._route), course.error, delay))
                if delay > 0:
                    yield Sleep(delay)
                try:
                    reply: Reply = yield request
                except ProviderError as error:
                    course.note(error)
                else:
                    return reply
        finally:
            course.forget()

    def _ended(self, course: Course) -> None:
        """Hears that it is enough."""

    # -- what `stack.explain` asks -------------------------------------------------------------------------

    def longest(self, inner: Longest, others: bool) -> Longest:
        """Any kind of failure may come, and with it a Retry-After that is just worth waiting for."""
        layer = self._layer
        times = max(layer.allowed(policy, others) for policy in (None, *layer.policies.values()))
        return inner.repeated(times, layer.limit(others))

    def rehearsal(self) -> Running:
        """The same rules."""
        return _Rehearsing(self._layer, self._route)


class _Rehearsing(_Retrying):
    """Uses up no real budget, and remembers why it was enough."""

    def __init__(self, layer: Retry, route: str) -> None:
        super().__init__(layer, route)
        self._budget = layer.budget
        self.why = ""

    def before(self, request: Request) -> Request:
        if self._budget is not None:  # one copy for all that share it
            copy = request.call.slots.setdefault(self._budget, self._budget.copy())
            self._layer = replace(self._layer, budget=copy)
        return super().before(request)

    def _ended(self, course: Course) -> None:
        self.why = course.why

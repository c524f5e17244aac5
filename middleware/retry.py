"""Retry: try the same route again, when the error's class says that this can help.

The engine is tenacity's state machine; the policy is ours. The engine asks three questions after each failure
(again? how long? enough?) and `_Policy` answers them from the guidance table, the ledger of the call, and the
clock. It is not started before a first try has failed: a call that succeeds never pays for it.

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

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from tenacity import DoSleep, RetryCallState, Retrying

from ..pipeline import (
    Again,
    AttemptsSpent,
    Call,
    CircuitOpen,
    Layer,
    ProviderError,
    Reply,
    Request,
    RetryScheduled,
    RouteRefused,
    Running,
    Scope,
    Sleep,
    Steps,
)
from ..pipeline.through import told_by
from . import options
from .backoff import Backoff
from .budget import RetryBudget

__all__ = ["Policy", "Retry"]

# Jitter on top of a Retry-After, so that all who were told the same number do not come back together.
_SPREAD = 0.1


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
            unless a policy says more.
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
        if self.budget is not None and not isinstance(self.budget, RetryBudget):
            raise TypeError(f"Retry(budget=...) must be a RetryBudget, not {type(self.budget).__name__}")

    def bind(self, handler: Any) -> Running:
        """Makes the running half for one route, or for the whole call."""
        return _Retrying(self, told_by(handler, "route", ""))


class _Retrying:
    def __init__(self, layer: Retry, route: str) -> None:
        self._layer = layer
        self._route = route

    def handle(self, request: Request) -> Steps:
        call = request.call
        budget = self._layer.budget
        if budget is not None:
            budget.deposit(call.clock.now())
        try:
            reply: Reply = yield request
        except ProviderError as error:
            course = _Course(self._layer, call, error)
        else:
            return reply
        try:
            while True:
                delay = course.next_wait()
                if delay is None:
                    raise course.error
                call.emit(RetryScheduled(self._route, course.error, delay))
                if delay > 0:
                    yield Sleep(delay)
                try:
                    reply = yield request
                except ProviderError as error:
                    course.note(error)
                else:
                    return reply
        finally:
            course.forget()


class _Course:
    """How the tries of one call go: its answers to tenacity's three questions: `again`, `wait`, `stop`."""

    def __init__(self, layer: Retry, call: Call, error: ProviderError) -> None:
        self._layer = layer
        self._call = call
        self._tries = self._refusals = 0
        self._kinds: Counter[str] = Counter()  # how many tries ended in each kind of failure
        self._before = 0.0
        self._engine = Retrying(
            retry=self._again, wait=self._wait, stop=self._stop, retry_error_callback=lambda state: None
        )
        self._engine.begin()
        self._state = RetryCallState(self._engine, None, (), {})
        self.error = error
        self.note(error)

    def note(self, error: ProviderError) -> None:
        """Takes in how the last try failed."""
        # A refusal that is not waited for: nothing more can be tried here, and the error before it says more.
        self._final = isinstance(error, AttemptsSpent) or (
            isinstance(error, CircuitOpen) and (self._layer.scope == "route" or error.retry_after is None)
        )
        if self._final:
            return
        self.error = error
        if isinstance(error, RouteRefused):
            self._refusals += 1
        else:
            self._tries += 1
            self._kinds[self._kind(error)] += 1

    def next_wait(self) -> float | None:
        """Seconds to wait before the next try; None if it is enough, and `error` is to be raised."""
        # A result, not an exception: the engine would raise it, and its frames, which hold the error, would
        # become part of the error's traceback: a cycle, with the prompt in it.
        self._state.set_result(self.error)
        self._chosen: float | None = None
        delay = self._engine.iter(self._state)
        if not isinstance(delay, DoSleep):  # which is a float
            return None
        self._state.prepare_for_next_attempt()
        self._before = delay
        return delay

    def forget(self) -> None:
        """Lets go of the errors: through their tracebacks they would keep this frame, and the prompt, alive."""
        vars(self._engine).clear()  # it holds methods of ours and of its own: a cycle, with the ledger in it
        del self.error, self._state, self._engine

    # -- tenacity's three questions ------------------------------------------------------------------------

    def _again(self, state: RetryCallState) -> bool:
        error = self.error
        if self._final or self._call.is_over(error):
            return False
        if isinstance(error, CircuitOpen):
            return True
        if error.retry is not None:
            return error.retry
        policy = self._policy(error)
        return policy is None or self._kinds[self._kind(error)] < policy.attempts

    def _kind(self, error: ProviderError) -> str:
        """Under which name the error's policy stands, and its tries are counted."""
        return error.reason if error.reason in self._layer.policies else error.error_class

    def _policy(self, error: ProviderError) -> Policy | None:
        """The policy for an error; None is the layer's own: its attempts, its backoff."""
        given = self._layer.policies.get(self._kind(error))
        return given or {Again.ONCE: _ONCE, Again.NO: _NEVER}.get(error.guidance.again)

    def _wait(self, state: RetryCallState) -> float:
        # Chosen once for each try, because `_stop` asks too: before the engine does, or after, by its version.
        if self._chosen is None:
            self._chosen = self._choose(state)
        return self._chosen

    def _choose(self, state: RetryCallState) -> float:
        clock, error, layer = self._call.clock, self.error, self._layer
        if error.retry_after:
            spread = min(_SPREAD * error.retry_after, self._limit - error.retry_after)
            return error.retry_after + clock.uniform(0.0, max(0.0, spread))
        policy = self._policy(error)
        backoff = layer.backoff if policy is None else policy.backoff
        if backoff is None:
            if self._kinds[self._kind(error)] == 1:
                return 0.0
            backoff = layer.backoff  # the provider wants it repeated more often than the policy does
        return backoff.wait(state.attempt_number - 1, self._before, clock)

    def _stop(self, state: RetryCallState) -> bool:
        call, layer = self._call, self._layer
        allowed = layer.attempts
        given = layer.policies.get(self._kind(self.error))
        if given is not None:
            allowed = max(allowed, given.attempts)
        if call.routes_left > 0:
            allowed = min(allowed, layer.attempts_before_others)
        if self._tries >= allowed or self._refusals >= allowed:
            return True
        # Every untried route keeps one attempt.
        if call.attempts_left <= call.routes_left:
            return True
        wait = self._wait(state)
        if wait > self._limit or not call.fits(wait):
            return True
        return layer.budget is not None and not layer.budget.withdraw(call.clock.now())

    @property
    def _limit(self) -> float:
        return self._layer.patience if self._call.routes_left > 0 else self._layer.max_wait

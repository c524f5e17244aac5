"""Retry: try the same route again, when the error's class says that this can help.

The engine is tenacity's state machine; the policy is ours. The engine asks three questions after each failure
(again? how long? enough?) and `_Policy` answers them from the guidance table, the ledger of the call, and the
clock. It is not started before a first try has failed: a call that succeeds never pays for it.

    error's class      again                       wait
    TIMEOUT            once                        none
    UNAVAILABLE        while tries are left        full jitter: U(0, min(8 s, 0.5 s * 2^n))
    RATE_LIMIT         while tries are left        Retry-After, never less; else full jitter
    all others         no

`x-should-retry` overrides the first column. Any error may bring a Retry-After; it is honoured if it fits the
patience and the deadline, otherwise the error is raised at once, with the number.
"""

from __future__ import annotations

from dataclasses import dataclass
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
from .budget import RetryBudget

__all__ = ["Retry"]

# Jitter on top of a Retry-After, so that all who were told the same number do not come back together.
_SPREAD = 0.1


@dataclass(frozen=True)
class Retry(Layer):
    """Repeats a failed try on the same route. It never sees a stream that has begun: nothing is repeated then.

    Args:
        attempts: tries on the last or only route, 1 or more; 3, as the official clients.
        attempts_before_others: tries on a route while others are still untried, 1 or more; never more than `attempts`.
        backoff: first backoff in seconds; it doubles with each try; 0.5 s, as the official clients.
        backoff_max: longest backoff in seconds; 8 s, as the official clients.
        patience: seconds that are worth waiting while another route is there.
        max_wait: seconds that are worth waiting while none is; 120 s, as the official OpenAI client.
        budget: a RetryBudget, shared by being passed in; None sets no limit.
        scope: "route" repeats one route; "call" walks all routes again.

    Raises:
        ValueError: if an option is out of its range.
    """

    attempts: int = 3
    attempts_before_others: int = 2
    backoff: float = 0.5
    backoff_max: float = 8.0
    patience: float = 2.0
    max_wait: float = 120.0
    budget: RetryBudget | None = None
    name: str = "retry"
    scope: Scope = "route"
    kind: ClassVar[str] = "retry"

    def __post_init__(self) -> None:
        options.count(self, "attempts", self.attempts)
        options.count(self, "attempts_before_others", self.attempts_before_others)
        options.seconds(self, "backoff", self.backoff)
        options.seconds(self, "backoff_max", self.backoff_max)
        options.seconds(self, "patience", self.patience, zero=True)
        options.seconds(self, "max_wait", self.max_wait, zero=True)
        options.identity(self)
        if self.backoff > self.backoff_max:
            raise ValueError(f"Retry(backoff={self.backoff:g}) is longer than backoff_max={self.backoff_max:g}")
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
            policy = _Policy(self._layer, call, error)
        else:
            return reply
        try:
            while True:
                delay = policy.next_wait()
                if delay is None:
                    raise policy.error
                call.emit(RetryScheduled(self._route, policy.error, delay))
                if delay > 0:
                    yield Sleep(delay)
                try:
                    reply = yield request
                except ProviderError as error:
                    policy.note(error)
                else:
                    return reply
        finally:
            policy.forget()


class _Policy:
    """One call's answers to tenacity's three questions: `again`, `wait`, `stop`."""

    def __init__(self, layer: Retry, call: Call, error: ProviderError) -> None:
        self._layer = layer
        self._call = call
        self._tries = self._refusals = self._timeouts = 0
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
            self._timeouts += error.guidance.again is Again.ONCE

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
        again = error.guidance.again
        return again is Again.BACKOFF or (again is Again.ONCE and self._timeouts == 1)

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
        if error.guidance.again is Again.ONCE and self._timeouts == 1:
            return 0.0
        # 2.0 ** 1023 is the largest power that a float holds.
        ceiling = min(layer.backoff_max, layer.backoff * 2.0 ** min(state.attempt_number - 1, 1000))
        return clock.uniform(0.0, ceiling)

    def _stop(self, state: RetryCallState) -> bool:
        call, layer = self._call, self._layer
        allowed = layer.attempts
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

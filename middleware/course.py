"""Course: how the tries of one call on one route go, and why they end.

The engine is tenacity's state machine. It asks three questions after each failure (again? how long? enough?), and the
answers come from the layer's options, the guidance table, the ledger of the call, and the clock. Where the answer is no
more, it is given in words, for whoever wants to know why.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from tenacity import DoSleep, RetryCallState, Retrying

from ..pipeline import AttemptsSpent, Call, CircuitOpen, ProviderError, RouteRefused

if TYPE_CHECKING:
    from .retry import Retry

__all__ = ["Course"]

# Jitter on top of a Retry-After, so that all who were told the same number do not come back together.
_SPREAD = 0.1
# Seconds that a refusal counts for at least, so that those end too that ask for no time.
_LEAST = 0.1


class Course:
    """The tries of one call, from the first that failed.

    Attributes:
        error: what is to be raised if it is enough.
        why: once it is enough, the reason in words; "" before.
    """

    def __init__(self, layer: Retry, call: Call, error: ProviderError) -> None:
        """Begins with the error of the first try."""
        self._layer = layer
        self._call = call
        self._tries = 0
        self._refused = 0.0  # seconds that were waited because of refusals
        self._kinds: Counter[str] = Counter()  # how many tries ended in each kind of failure
        self._before = 0.0
        self._engine = Retrying(
            retry=self._again, wait=self._wait, stop=self._stop, retry_error_callback=lambda state: None
        )
        self._engine.begin()
        self._state = RetryCallState(self._engine, None, (), {})
        self.why = ""
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
        if not isinstance(error, RouteRefused):
            self._tries += 1
            self._kinds[self._layer.kind_of(error)] += 1

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
        if isinstance(self.error, RouteRefused):
            self._refused += max(delay, _LEAST)
        return delay

    def forget(self) -> None:
        """Lets go of the errors: through their tracebacks they would keep this frame, and the prompt, alive."""
        vars(self._engine).clear()  # it holds methods of ours and of its own: a cycle, with the ledger in it
        del self.error, self._state, self._engine

    # -- tenacity's three questions ------------------------------------------------------------------------

    def _again(self, state: RetryCallState) -> bool:
        self.why = self._useless()
        return not self.why

    def _wait(self, state: RetryCallState) -> float:
        # Chosen once for each try, because `_stop` asks too: before the engine does, or after, by its version.
        if self._chosen is None:
            self._chosen = self._choose(state)
        return self._chosen

    def _stop(self, state: RetryCallState) -> bool:
        self.why = self._enough(self._wait(state))
        return bool(self.why)

    # -- our answers ---------------------------------------------------------------------------------------

    def _useless(self) -> str:
        """Why a further try cannot help; "" if it can."""
        error, layer = self.error, self._layer
        if self._final:
            return "the route admits nobody"
        if self._call.is_over(error):
            return "the time of the call is up"
        if isinstance(error, CircuitOpen) or error.retry:
            return ""
        if error.retry is not None:
            return "the provider says that it should not be repeated"
        policy, kind = layer.policy_for(error), layer.kind_of(error)
        if policy is None or self._kinds[kind] < policy.attempts:
            return ""
        return f"{kind!r} is tried {policy.attempts} times" if policy.attempts > 1 else f"{kind!r} is never repeated"

    def _choose(self, state: RetryCallState) -> float:
        clock, error, layer = self._call.clock, self.error, self._layer
        if error.retry_after:
            spread = min(_SPREAD * error.retry_after, layer.limit(self._others) - error.retry_after)
            return error.retry_after + clock.uniform(0.0, max(0.0, spread))
        policy = layer.policy_for(error)
        backoff = layer.backoff if policy is None else policy.backoff
        if backoff is None:
            if self._kinds[layer.kind_of(error)] == 1:
                return 0.0
            backoff = layer.backoff  # the provider wants it repeated more often than the policy does
        return backoff.wait(state.attempt_number - 1, self._before, clock)

    def _enough(self, wait: float) -> str:
        """Why no further try is made although it might help; "" if one is."""
        call, layer, others = self._call, self._layer, self._others
        allowed = layer.allowed(layer.policies.get(layer.kind_of(self.error)), others)
        if self._tries >= allowed or allowed == 1:
            return f"tries are limited to {allowed}{' while other routes are left' if others else ''}"
        # Every untried route keeps one attempt.
        if call.attempts_left <= call.routes_left:
            kept = "what is left of them is kept for other routes" if others else "none is left"
            return f"the call may make {call.cap} attempts, and {kept}"
        limit = layer.limit(others)
        # A refusal costs nothing but time: of many that wait for a route that rests, some find it resting again.
        waited = wait + (self._refused if isinstance(self.error, RouteRefused) else 0.0)
        if waited > limit:
            name = "patience" if others else "max_wait"
            return f"a wait of {waited:.3g} s is longer than {name}={limit:.3g}"
        if not call.fits(wait):
            return f"a wait of {wait:.3g} s would end after the deadline"
        if layer.budget is not None and not layer.budget.withdraw(call.clock.now()):
            return "the retry budget is used up"
        return ""

    @property
    def _others(self) -> bool:
        return self._call.routes_left > 0

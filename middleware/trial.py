"""TrialBreaker: a breaker on which an error can be tried out, so that `stack.explain` tells what a real one would do.

It decides by the same rules and has seen the same failures in a row, but nobody else asks it, and what it learns is
thrown away. Of the share of failures in the window it knows nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..pipeline import Call, Request, Timeouts
from .breaker import Breaker, Tell
from .permit import HALF_OPEN, ISOLATED, OPEN, Permit, Verdict

if TYPE_CHECKING:
    from .breaker import CircuitBreaker

__all__ = ["TrialBreaker"]


class TrialBreaker(Breaker):
    """Stands in for a breaker during one rehearsal.

    Attributes:
        said: what the first error meant to it, in words; "" before.
    """

    def __init__(self, layer: CircuitBreaker, route: str, timeouts: Timeouts, shot: dict[str, Any]) -> None:
        """Starts where the real one stands; of one that is open, where its next probe is out.

        Args:
            layer, route, timeouts: as for the real one.
            shot: the real one's `snapshot`.
        """
        super().__init__(replace(layer, circuits=None), route, timeouts)
        past = {OPEN: layer.failures, HALF_OPEN: layer.failures, ISOLATED: 0}
        self._past = past.get(shot["state"], shot["failures"])
        self.said = ""

    def before(self, request: Request) -> Any:
        """As the real one, after what that one has seen."""
        self._relive(request.call)
        return super().before(request)

    def _relive(self, call: Call) -> None:
        # Each so long before the next that the window forgets it and a break is over: only the count is left.
        apart = 2 * (self._rules.window + self._rules.break_max)
        for ago in range(self._past, 0, -1):
            then = call.clock.now() - ago * apart
            permit = self._circuit.admit(then, apart, _unheard)
            assert isinstance(permit, Permit)
            self._circuit.settle(permit, Verdict.BAD, None, then, call.clock.random, _unheard)
        self._past = 0

    def _settle(
        self, permit: Permit, call: Call, tell: Tell, verdict: Verdict, error: BaseException | None = None
    ) -> None:
        super()._settle(permit, call, tell, verdict, error)
        self.said = self.said or self._words(permit, call, verdict)

    def _words(self, permit: Permit, call: Call, verdict: Verdict) -> str:
        shot = self.snapshot(call.clock.now())
        wait = 0.0 if shot["until"] is None else shot["until"] - call.clock.now()
        if verdict is Verdict.NONE:
            words = "ignores it: it says nothing about the route"
        elif shot["state"] == "resting":
            words = f"rests for {wait:.3g} s, as it was asked to"
        elif shot["state"] == OPEN:
            because = {Verdict.FATAL: " at once", Verdict.BAD: " again" if permit.lease is not None else ""}
            words = f"opens{because[verdict]} for up to {wait:.3g} s"
        elif verdict is Verdict.BAD:
            words = f"counts it as failure {shot['failures']} of {self._rules.failures} in a row that open it"
        else:
            words = "ignores it: without a Retry-After it is no failure"
        return f"{words} (but it only observes)" if self._observe else words


def _unheard(change: object) -> None:
    """Nobody listens to what is long past."""

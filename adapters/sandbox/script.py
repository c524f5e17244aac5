"""Which step the next request gets: the script, then chance, then the default."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Mapping

from .answer import Answer
from .dialect import Dialect
from .fault import NAMED, Fault
from .seen import Seen

Step = Answer | Fault | Callable[[Seen], "Answer | Fault"]


class Script:
    """The steps of one server. Not safe between threads by itself: the server asks it under its lock, which
    also makes the order of the steps the order of arrival.

    Args:
        dialect: the protocol, which must be able to play each fault.
    """

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._steps: deque[Step] = deque()
        self._default: Step = Answer()
        self._odds: tuple[tuple[float, Fault], ...] = ()
        self._random = random.Random(0)

    @property
    def default(self) -> Step:
        """The step for requests that neither the script nor chance has one for."""
        return self._default

    @default.setter
    def default(self, step: Step) -> None:
        self._default = self._checked(step)

    @property
    def left(self) -> int:
        """How many scripted steps are still to come."""
        return len(self._steps)

    def set(self, steps: tuple[Step, ...]) -> None:
        """Replace what is left of the script."""
        self._steps = deque([self._checked(step) for step in steps])

    def clear(self) -> None:
        """Forget the script and the odds."""
        self._steps.clear()
        self._odds = ()

    def set_odds(self, odds: Mapping[Fault, float], seed: int) -> None:
        """Let chance decide once the script is empty."""
        total = 0.0
        bounds: list[tuple[float, Fault]] = []
        for fault, chance in odds.items():
            if not isinstance(fault, Fault):
                raise TypeError(f"chaos: the keys must be faults, not {fault!r}")
            if isinstance(chance, bool) or not isinstance(chance, int | float):
                raise TypeError(f"chaos: the probability of {fault!r} must be a number, not {chance!r}")
            if not 0 <= chance <= 1:
                raise ValueError(f"chaos: the probability of {fault!r} must be from 0 to 1, not {chance!r}")
            self._checked(fault)
            total += chance
            bounds.append((total, fault))
        if total > 1 + 1e-9:
            raise ValueError(f"chaos: the probabilities must not add up to more than 1, but they make {total:g}")
        self._odds = tuple(bounds)
        self._random = random.Random(seed)

    def next(self) -> Step:
        """Take the step for the next request."""
        if self._steps:
            return self._steps.popleft()
        if self._odds:
            draw = self._random.random()
            for bound, fault in self._odds:
                if draw < bound:
                    return fault
        return self._default

    def resolve(self, step: Step, seen: Seen) -> Answer | Fault:
        """Call the step if it is a function of the request.

        Args:
            step: a step of the script.
            seen: the request it is for.

        Returns:
            The answer or the fault.

        Raises:
            TypeError: if the function returned anything else.
            ValueError: if the dialect has no such fault.
        """
        if isinstance(step, Answer | Fault):
            return step
        made = step(seen)
        if not isinstance(made, Answer | Fault):
            raise TypeError(f"an answer function must return an Answer or a Fault, not {made!r}")
        self._checked(made)
        return made

    def _checked(self, step: Step) -> Step:
        if isinstance(step, Fault):
            fault: Fault | None = step
            while fault is not None:
                if fault.kind in NAMED:
                    self._dialect.named(fault.kind, "")  # a dialect refuses what its provider never says
                fault = fault.error or (fault.then if isinstance(fault.then, Fault) else None)
        elif not isinstance(step, Answer) and not callable(step):
            raise TypeError(f"a step must be an Answer, a Fault or a function of the request, not {step!r}")
        return step

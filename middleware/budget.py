"""RetryBudget: what keeps retries from becoming a storm.

When a provider is down, every caller retries, and the retries alone can keep it down. A budget allows retries in
proportion to calls: a fifth, and a few more so that a quiet application may retry at all.
"""

from __future__ import annotations

import threading
from copy import deepcopy

from . import options
from .window import Window

__all__ = ["RetryBudget"]


class RetryBudget:
    """Allows retries up to a share of the recent calls. Shared by all layers that it is passed to; thread-safe.

    Args:
        ratio: retries per call, above 0 and at most 1; 0.2, as Finagle and Envoy.
        floor: retries that are allowed in any window, however few calls there were; 3, as Envoy. (Finagle's and
            Tower's ten per second were made for thousands of calls per second; at an LLM's rates they are no
            limit at all.)
        window: how far back "recent" reaches, in seconds; 60 s.

    Raises:
        ValueError: if an option is out of its range.
    """

    def __init__(self, ratio: float = 0.2, floor: int = 3, window: float = 60.0) -> None:
        options.fraction(self, "ratio", ratio)
        options.count(self, "floor", floor)
        options.seconds(self, "window", window)
        self._ratio = ratio
        self._floor = floor
        self._window = window
        self._lock = threading.Lock()
        self._recent = Window(window)  # good: calls; bad: retries

    def deposit(self, now: float) -> None:
        """Notes one call."""
        with self._lock:
            self._recent.add(True, now)

    def withdraw(self, now: float) -> bool:
        """Takes one retry; False if there is none left."""
        with self._lock:
            calls, retries = self._recent.counts(now)
            if retries + 1 > self._floor + self._ratio * calls:
                return False
            self._recent.add(False, now)
            return True

    def copy(self) -> RetryBudget:
        """A budget of the same size that has seen the same calls, to try out what it would allow."""
        twin = RetryBudget(self._ratio, self._floor, self._window)
        with self._lock:
            twin._recent = deepcopy(self._recent)
        return twin

    # Layers pickle; what arrives elsewhere is a budget of the same size with nothing used, shared with nobody here.
    def __reduce__(self) -> tuple[type[RetryBudget], tuple[float, int, float]]:
        return type(self), (self._ratio, self._floor, self._window)

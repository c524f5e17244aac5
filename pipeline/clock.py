"""Time, sleep and chance in one injectable place, so that no rule about time needs a real wait to be tested.

Layers never touch `time` or `random`: they read `request.call.clock`, which a Stack sets.
"""

from __future__ import annotations

import random as _random
import time as _time
from collections.abc import Callable

__all__ = ["Clock", "VirtualClock"]


class Clock:
    """The real clock: monotonic time, real sleep, real chance.

    The three parts are plain attributes, looked up once, because the hot path reads them.
    """

    __slots__ = ("now", "random", "sleep")

    def __init__(
        self,
        now: Callable[[], float] = _time.monotonic,
        sleep: Callable[[float], None] = _time.sleep,
        random: Callable[[], float] = _random.random,
    ) -> None:
        """Builds a clock.

        Args:
            now: seconds on a clock that never goes back.
            sleep: waits that many seconds in the calling thread.
            random: a float in [0, 1).
        """
        self.now = now
        self.sleep = sleep
        self.random = random

    async def asleep(self, seconds: float) -> None:
        """Waits that many seconds without holding the event loop."""
        import asyncio

        await asyncio.sleep(seconds)

    def uniform(self, low: float, high: float) -> float:
        """A number in [low, high), drawn from this clock's `random`."""
        return low + (high - low) * self.random()


class VirtualClock(Clock):
    """A clock that stands still until it is told to move; sleeping moves it. For tests of anything that waits.

    `slept` lists every sleep in order, in seconds.
    """

    __slots__ = ("_time", "slept")

    def __init__(self, start: float = 1000.0, random: Callable[[], float] = lambda: 0.5) -> None:
        """Builds a clock that shows `start` seconds and draws from `random` (always 0.5 unless given)."""
        self._time = start
        self.slept: list[float] = []
        super().__init__(now=lambda: self._time, sleep=self._sleep, random=random)

    def advance(self, seconds: float) -> None:
        """Moves time on by that many seconds, 0 or more."""
        if not seconds >= 0:
            raise ValueError(f"a clock cannot be advanced by {seconds!r} seconds: 0 or more is expected")
        self._time += seconds

    def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self._time += seconds

    async def asleep(self, seconds: float) -> None:
        """Moves time on by that many seconds, at once."""
        self._sleep(seconds)

"""Window: how many of the recent calls went well, and how many were slow, in a ring of ten buckets.

A call counts for the moment at which it was sent, not for the one at which it ended: a long call says how the route was
when it began, and the failures of one bad minute stay together whatever time they took.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Window"]

# Ten buckets, as Polly and others: the window's edge is then at most a tenth of it out.
_BUCKETS = 10


class Window:
    """Counts the outcomes of the calls sent in the last `length` seconds. Not thread-safe: its owner holds a lock."""

    __slots__ = ("_at", "_bad", "_good", "_since", "_slot", "_slow", "_until", "_width", "length")

    def __init__(self, length: float) -> None:
        """Opens a window of `length` seconds, more than 0."""
        self.length = length
        self._width = length / _BUCKETS
        self.clear()

    def clear(self) -> None:
        """Forgets everything."""
        self._good = [0] * _BUCKETS
        self._bad = [0] * _BUCKETS
        self._slow = [0] * _BUCKETS
        self._slot: int | None = None
        # Of the latest bucket: its place in the ring, and the moments between which it counts.
        self._at, self._since, self._until = 0, 0.0, 0.0

    def add(self, good: bool, now: float, sent: float | None = None, slow: bool = False) -> None:
        """Counts one outcome.

        Args:
            good: whether it went well.
            now: the moment.
            sent: the moment at which the call began, `now` unless given; what has left the window counts for nothing.
            slow: whether it let itself be waited for.
        """
        last = self._turn(now)
        slot = last if sent is None else min(int(sent // self._width), last)
        if slot > last - _BUCKETS:
            (self._good if good else self._bad)[slot % _BUCKETS] += 1
            self._slow[slot % _BUCKETS] += slow

    def add_good(self, sent: float, now: Callable[[], float]) -> None:
        """Counts a call that went well; `now` tells the moment, and is asked only if the window may have turned."""
        if self._since <= sent < self._until:
            self._good[self._at] += 1
        else:
            self.add(True, now(), sent)

    def counts(self, now: float) -> tuple[int, int]:
        """Good and bad outcomes in the window that ends `now`."""
        self._turn(now)
        return sum(self._good), sum(self._bad)

    def slow(self, now: float) -> int:
        """How many of them were slow."""
        self._turn(now)
        return sum(self._slow)

    def _turn(self, now: float) -> int:
        slot = int(now // self._width)
        if slot == self._slot:
            return slot
        if self._slot is None:
            self._slot = slot
        for old in range(self._slot + 1, min(slot, self._slot + _BUCKETS) + 1):
            self._good[old % _BUCKETS] = self._bad[old % _BUCKETS] = self._slow[old % _BUCKETS] = 0
        self._slot = slot = max(self._slot, slot)
        self._at, self._since, self._until = slot % _BUCKETS, slot * self._width, (slot + 1) * self._width
        return slot

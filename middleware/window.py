"""Window: how many of the recent calls went well, in a ring of ten buckets."""

from __future__ import annotations

__all__ = ["Window"]

# Ten buckets, as Polly and others: the window's edge is then at most a tenth of it out.
_BUCKETS = 10


class Window:
    """Counts good and bad outcomes of the last `length` seconds. Not thread-safe: its owner holds a lock."""

    __slots__ = ("_bad", "_good", "_slot", "_width", "length")

    def __init__(self, length: float) -> None:
        """Opens a window of `length` seconds, more than 0."""
        self.length = length
        self._width = length / _BUCKETS
        self.clear()

    def clear(self) -> None:
        """Forgets everything."""
        self._good = [0] * _BUCKETS
        self._bad = [0] * _BUCKETS
        self._slot: int | None = None

    def add(self, good: bool, now: float) -> None:
        """Counts one outcome at the moment `now`."""
        slot = self._turn(now)
        (self._good if good else self._bad)[slot % _BUCKETS] += 1

    def counts(self, now: float) -> tuple[int, int]:
        """Good and bad outcomes in the window that ends `now`."""
        self._turn(now)
        return sum(self._good), sum(self._bad)

    def _turn(self, now: float) -> int:
        slot = int(now // self._width)
        if self._slot is None:
            self._slot = slot
        for old in range(self._slot + 1, min(slot, self._slot + _BUCKETS) + 1):
            self._good[old % _BUCKETS] = self._bad[old % _BUCKETS] = 0
        self._slot = max(self._slot, slot)
        return self._slot

"""Rolling: how the tries of the last minutes went and how long they took, in bounded memory.

A ring of ten buckets of time, each with its counts and a histogram of seconds whose bins are 5 % wide; and the sum of
all of them, so that adding costs the same at any rate. Counts are exact, quantiles right to 2.5 %. The window's edge
is at most a tenth of it out.
"""

from __future__ import annotations

import math

__all__ = ["Rolling"]

_BUCKETS = 10
_STEP = math.log(1.05)
# Less is told as 0, and more as this: with it there are no more than 400 bins.
_LEAST, _MOST = 1e-4, 1e4
_NONE = round(math.log(_LEAST) / _STEP) - 1


class _Bucket:
    __slots__ = ("bad", "bins", "good")

    def __init__(self) -> None:
        self.good = self.bad = 0
        self.bins: dict[int, int] = {}


class Rolling:
    """Outcomes and seconds of the tries of the last `length` seconds. Not thread-safe: its owner holds a lock."""

    __slots__ = ("_bins", "_buckets", "_slot", "_width", "bad", "good")

    def __init__(self, length: float) -> None:
        """Opens a window of `length` seconds, more than 0."""
        self._width = length / _BUCKETS
        self._buckets = [_Bucket() for _ in range(_BUCKETS)]
        self._bins: dict[int, int] = {}
        self._slot: int | None = None
        self.good = self.bad = 0

    def add(self, good: bool, seconds: float, moment: float) -> None:
        """Counts a try that ended at that moment and took so many seconds; one that has left the window is let go."""
        slot = int(moment // self._width)
        last = self.turn(moment)
        if slot <= last - _BUCKETS:
            return
        bucket = self._buckets[slot % _BUCKETS]
        if good:
            bucket.good += 1
            self.good += 1
        else:
            bucket.bad += 1
            self.bad += 1
        bin_ = _NONE if seconds < _LEAST else round(math.log(min(seconds, _MOST)) / _STEP)
        bucket.bins[bin_] = bucket.bins.get(bin_, 0) + 1
        self._bins[bin_] = self._bins.get(bin_, 0) + 1

    def turn(self, now: float) -> int:
        """Lets go of what has left the window that ends `now`, so that `good` and `bad` count what is in it."""
        slot = int(now // self._width)
        if self._slot is None or slot == self._slot:
            self._slot = slot
            return slot
        for old in range(self._slot + 1, min(slot, self._slot + _BUCKETS) + 1):
            self._drop(old % _BUCKETS)
        self._slot = max(self._slot, slot)
        return self._slot

    def _drop(self, index: int) -> None:
        bucket = self._buckets[index]
        if not bucket.bins:
            return
        self._buckets[index] = _Bucket()
        self.good -= bucket.good
        self.bad -= bucket.bad
        for bin_, count in bucket.bins.items():
            left = self._bins[bin_] - count
            if left:
                self._bins[bin_] = left
            else:
                del self._bins[bin_]

    def quantiles(self, *shares: float) -> list[float | None]:
        """The seconds that these shares of the tries did not exceed, the shares growing; None without any try."""
        count = self.good + self.bad
        if not count:
            return [None] * len(shares)
        ranks = [min(count - 1, int(share * count)) for share in shares]
        found: list[float | None] = []
        passed = 0
        for bin_ in sorted(self._bins):
            passed += self._bins[bin_]
            while len(found) < len(ranks) and ranks[len(found)] < passed:
                found.append(0.0 if bin_ == _NONE else math.exp(bin_ * _STEP))
        return found

"""Dropping: whether this thread is closing a reply that nobody held any more.

It may do so in the middle of a garbage collection, and that in the middle of anything, with any lock held. Who hears of
it (`Reply.on_end`, an observer) must not wait for a lock or do I/O then, and may ask here.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["dropping", "is_dropping"]


class _Here(threading.local):
    deep = 0


_here = _Here()


@contextmanager
def dropping() -> Iterator[None]:
    """Marks this thread, as long as the block runs."""
    _here.deep += 1
    try:
        yield
    finally:
        _here.deep -= 1


def is_dropping() -> bool:
    """Whether this thread is in such a block."""
    return _here.deep > 0

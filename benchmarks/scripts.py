"""What the fake provider does with request after request: one small class for each script.

A script answers with bytes, which are written at once, or with steps: bytes to write, seconds to wait (less than 0 is
for ever), and None to close the connection.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from functools import lru_cache
from random import Random

from .wire import CHUNKED, CLOSING, LAST, TEXT, WORDS, Dialect, chunk

__all__ = ["Script", "Steps", "script_named"]

Steps = Iterable[bytes | float | None]

_SEED = 7


class Script:
    """The good provider: every answer at once. Others say in `next` where they differ.

    Attributes:
        requests: how many have come.
    """

    def __init__(self, option: float = 0, more: str = "") -> None:
        self.requests = 0
        self.option = option
        self.more = more
        self.chance = Random(_SEED)

    def next(self, dialect: Dialect, stream: bool, now: float) -> bytes | Steps:
        """What to do with one request."""
        return self.good(dialect, stream)

    def good(self, dialect: Dialect, stream: bool) -> bytes:
        """The good answer."""
        return streamed(dialect, len(WORDS)) if stream else dialect.answer(TEXT)


class Burst(Script):
    """A stream of so many words, each in an HTTP chunk of its own, all at once."""

    def next(self, dialect: Dialect, stream: bool, now: float) -> bytes | Steps:
        return streamed(dialect, int(self.option))


class Size(Script):
    """A complete answer whose text has so many bytes."""

    def next(self, dialect: Dialect, stream: bool, now: float) -> bytes | Steps:
        return dialect.answer("x" * int(self.option))


class Delay(Script):
    """An answer after so many milliseconds."""

    def next(self, dialect: Dialect, stream: bool, now: float) -> bytes | Steps:
        return [self.option / 1000, self.good(dialect, stream)]


class Paced(Script):
    """A stream of so many words, 10 ms apart, each of which says when it was written."""

    def next(self, dialect: Dialect, stream: bool, now: float) -> bytes | Steps:
        return self._steps(dialect, self.more == "close")

    def _steps(self, dialect: Dialect, close: bool) -> Iterator[bytes | float | None]:
        wrap = bytes if close else chunk
        yield CLOSING if close else CHUNKED
        yield wrap(dialect.begin())
        for _ in range(int(self.option)):
            yield wrap(dialect.word(f"{time.monotonic_ns()} "))
            yield 0.01
        yield wrap(dialect.finish())
        yield None if close else LAST


class Open(Script):
    """A stream that has begun and stays open."""

    def next(self, dialect: Dialect, stream: bool, now: float) -> bytes | Steps:
        return [CHUNKED + chunk(dialect.begin()) + chunk(dialect.word("word ")), -1.0]


# -- faults ----------------------------------------------------------------------------------------------------


class Errors(Script):
    """So many of a hundred requests are answered with a 500."""

    def next(self, dialect: Dialect, stream: bool, now: float) -> bytes | Steps:
        bad = self.chance.random() * 100 < self.option
        return dialect.error("500 Internal Server Error") if bad else self.good(dialect, stream)


class Rate(Script):
    """Every tenth answer is followed by a second of 429 with `Retry-After: 1`."""

    _until = 0.0
    _good = 0

    def next(self, dialect: Dialect, stream: bool, now: float) -> bytes | Steps:
        if now < self._until:
            return dialect.error("429 Too Many Requests", "Retry-After: 1\r\n")
        self._good += 1
        if self._good % 10 == 0:
            self._until = now + 1.0
        return self.good(dialect, stream)


class Hang(Script):
    """So many of a hundred requests are never answered."""

    def next(self, dialect: Dialect, stream: bool, now: float) -> bytes | Steps:
        return [-1.0] if self.chance.random() * 100 < self.option else self.good(dialect, stream)


class Cut(Script):
    """So many of a hundred streams end in the middle, each time in another way."""

    _cuts = 0

    def next(self, dialect: Dialect, stream: bool, now: float) -> bytes | Steps:
        if not stream or self.chance.random() * 100 >= self.option:
            return self.good(dialect, stream)
        self._cuts += 1
        half = [dialect.begin(), *map(dialect.word, WORDS[:10])]
        chunks = b"".join(map(chunk, half))
        ways: list[list[bytes | float | None]] = [
            [CHUNKED + chunks, 0.001, None],  # the connection breaks
            [CHUNKED + chunks + LAST],  # the body ends properly, the answer does not
            [CLOSING + b"".join(half), 0.001, None],  # the same without chunks
            [CLOSING + b"".join(half)[:-20], 0.001, None],  # in the middle of an event
            [CHUNKED + chunks + chunk(dialect.broken()) + LAST],  # an error as an event
        ]
        return ways[self._cuts % len(ways)]


class Pings(Script):
    """So many of a hundred streams are nothing but comments, ten in a second, until the server gives up after ten."""

    def next(self, dialect: Dialect, stream: bool, now: float) -> bytes | Steps:
        return self._steps() if self.chance.random() * 100 < self.option else self.good(dialect, stream)

    def _steps(self) -> Iterator[bytes | float | None]:
        yield CHUNKED
        for _ in range(100):
            yield chunk(b": ping\n\n")
            yield 0.1
        yield None


class Storm(Script):
    """Good for a second; then for a second nine of ten requests get a 503; then good again."""

    _began = 0.0

    def next(self, dialect: Dialect, stream: bool, now: float) -> bytes | Steps:
        self._began = self._began or now
        stormy = 1.0 <= now - self._began < 2.0 and self.chance.random() < 0.9
        return dialect.error("503 Service Unavailable") if stormy else self.good(dialect, stream)


_SCRIPTS: dict[str, type[Script]] = {
    "good": Script, "burst": Burst, "size": Size, "delay": Delay, "paced": Paced, "open": Open,
    "errors": Errors, "rate": Rate, "hang": Hang, "cut": Cut, "pings": Pings, "storm": Storm,
}  # fmt: skip


def script_named(name: str) -> Script:
    """The script for a name such as "burst-3000" or "paced-30-close"."""
    kind, _, option = name.partition("-")
    number, _, more = option.partition("-")
    return _SCRIPTS[kind](float(number or 0), more)


@lru_cache(maxsize=16)
def streamed(dialect: Dialect, words: int) -> bytes:
    """A whole stream with one event in each chunk."""
    some = [dialect.word(word) for word in WORDS]
    events = (some[number % len(some)] for number in range(words))
    return b"".join((CHUNKED, chunk(dialect.begin()), *map(chunk, events), chunk(dialect.finish()), LAST))

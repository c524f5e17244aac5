"""Layers whose state is wrong: held across calls, shared, mixed, lost, or never let go of."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

from mainstay.pipeline import CircuitOpen, Layer, Outcome, ProviderError, RateLimited, Request, Unavailable


def where() -> str:
    """Which task it is, or "a thread"."""
    try:
        return str(id(asyncio.current_task()))
    except RuntimeError:
        return "a thread"


class Stateful(Layer):
    """A layer whose running half is made by `half`."""

    half: Callable[..., Any]

    def bind(self, handler: Any) -> Any:
        return type(self).half(handler)


class OneAtATime(Stateful):
    """Holds a lock across the call."""

    class half:
        def __init__(self, handler: Any) -> None:
            self._lock = threading.RLock()

        def handle(self, request: Request) -> Any:
            with self._lock:
                return (yield request)


class Polite(Stateful):
    """Refuses when others are under way."""

    class half:
        def __init__(self, handler: Any) -> None:
            self._under_way = 0

        def handle(self, request: Request) -> Any:
            if self._under_way >= 3:
                raise Unavailable("busy")
            self._under_way += 1
            try:
                return (yield request)
            finally:
                self._under_way -= 1


class Mixing(Stateful):
    """Keeps the call's reply where all calls can reach it."""

    class half:
        def __init__(self, handler: Any) -> None:
            self._id = ""

        def handle(self, request: Request) -> Any:
            self._id = str(request.messages[-1]["content"])
            reply = yield request
            if reply.outcome is not None:
                reply.id = self._id
            return reply


class NotReentrant(Stateful):
    """Waits, for ever, until the call in whose middle it is called is over."""

    class half:
        def __init__(self, handler: Any) -> None:
            self._lock = threading.local()

        def handle(self, request: Request) -> Any:
            lock = self._lock.__dict__.setdefault(where(), threading.Lock())
            with lock:
                return (yield request)


class Places(Stateful):
    """Lets some calls in at once, and gives a place back at the end of the reply."""

    class half:
        def __init__(self, handler: Any) -> None:
            self._free = threading.Semaphore(4)

        def handle(self, request: Request) -> Any:
            if not self._free.acquire(blocking=False):
                raise RateLimited("no place is free")
            try:
                reply = yield request
                reply.on_end(lambda reply: self._free.release())
            except BaseException:
                self._free.release()
                raise
            return reply


class PlacesTwice(Stateful):
    """As Places, and gives a place back twice when a stream breaks."""

    class half(Places.half):
        def handle(self, request: Request) -> Any:
            reply = yield from super().handle(request)
            reply.on_end(lambda reply: self._free.release() if reply.outcome is Outcome.ERROR else None)
            return reply


class PlacesLost(Stateful):
    """As Places, and never gives the place of a dropped, closed or left stream back."""

    class half(Places.half):
        def handle(self, request: Request) -> Any:
            if not self._free.acquire(blocking=False):
                raise RateLimited("no place is free")
            try:
                reply = yield request
                reply.on_end(lambda reply: self._free.release() if reply.outcome is not Outcome.CLOSED else None)
            except BaseException:
                self._free.release()
                raise
            return reply


class PlacesLostToInterrupts(Stateful):
    """As Places, and forgets that not every exception is an Exception."""

    class half(Places.half):
        def handle(self, request: Request) -> Any:
            if not self._free.acquire(blocking=False):
                raise RateLimited("no place is free")
            try:
                reply = yield request
                reply.on_end(lambda reply: self._free.release())
            except (Exception, GeneratorExit):
                self._free.release()
                raise
            return reply


class FailsAtTheEnd(Layer):
    """Raises in a callback, where nobody but the log sees it."""

    def handle(self, request: Request) -> Any:
        reply = yield request
        reply.on_end(lambda reply: 1 / reply.events_seen)
        return reply


class Keeping(Stateful):
    """Keeps the last request that failed."""

    class half:
        def handle(self, request: Request) -> Any:
            try:
                return (yield request)
            except ProviderError:
                self._last = request
                raise

        def __init__(self, handler: Any) -> None:
            self._last: Any = None


class Listening(Stateful):
    """A breaker that listens to whatever is said, whenever it was asked."""

    def __init__(self, opens: bool = False, closes: bool = False) -> None:
        self.opens, self.closes = opens, closes

    def bind(self, handler: Any) -> Any:
        return _Breaker(self.opens, self.closes)


class _Breaker:
    def __init__(self, opens: bool, closes: bool) -> None:
        self._opens, self._closes = opens, closes
        self._bad, self._until = 0, 0.0

    def handle(self, request: Request) -> Any:
        now = request.call.clock.now
        if now() < self._until:
            raise CircuitOpen("open")
        try:
            reply = yield request
        except ProviderError as error:
            self._bad += error.error_class == "unavailable"
            if self._bad >= 3:
                self._until = now() + 30.0
            raise
        if reply.outcome is Outcome.OK:
            self._bad = 0
        else:
            reply.on_end(lambda reply: self._late(reply.outcome, now()))
        return reply

    def _late(self, outcome: Outcome, now: float) -> None:
        if self._opens and outcome is Outcome.ERROR:
            self._until = now + 30.0
        if self._closes and outcome is Outcome.OK:
            self._until = 0.0


class Sharing(Stateful):
    """Holds the failures of one stack against another."""

    class half:
        every: weakref.WeakSet[Any] = weakref.WeakSet()

        def __init__(self, handler: Any) -> None:
            self.bad = 0
            self.every.add(self)

        def handle(self, request: Request) -> Any:
            if self._somebody_is_down() and gc.collect() >= 0 and self._somebody_is_down():  # and still there
                raise Unavailable("somebody else is down")
            try:
                reply = yield request
            except ProviderError:
                self.bad += 1
                raise
            self.bad = 0
            return reply

        def _somebody_is_down(self) -> bool:
            return any(other.bad > 16 for other in self.every if other is not self)

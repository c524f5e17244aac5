"""Layers that get in the way: of other layers, of errors, of streams; and such a router."""

from __future__ import annotations

import time
from contextlib import suppress
from time import sleep as slumber
from typing import Any

from mainstay.pipeline import (
    AsyncReply,
    Call,
    Chunk,
    Layer,
    ProviderError,
    RateLimited,
    Reply,
    Request,
    Router,
    Unavailable,
    Via,
)
from support.broken_state import where


class Capping(Layer):
    """Leaves nothing for other routes."""

    def handle(self, request: Request) -> Any:
        request.call.cap = len(request.call.attempts) + 1
        return (yield request)


class Aside(Layer):
    """Sends the request on as another call, of which nobody knows."""

    def handle(self, request: Request) -> Any:
        return (yield request.under(Call()))


class Asleep(Layer):
    """Sleeps for real."""

    def handle(self, request: Request) -> Any:
        try:
            return (yield request)
        except RateLimited:
            time.sleep(0.01)
            raise


class Slumbering(Layer):
    """The same, by another name, and says nothing of it."""

    def handle(self, request: Request) -> Any:
        try:
            return (yield request)
        except RateLimited:
            with suppress(Exception):
                slumber(0.01)
            raise


class SleepsOnTheClock(Layer):
    """Has the clock sleep, instead of asking for it."""

    def handle(self, request: Request) -> Any:
        try:
            return (yield request)
        except RateLimited:
            if where() != "a thread":
                request.call.clock.sleep(1.0)
            raise


class Unnameable(Layer):
    """Cannot be told from two layers in MAINSTAY_DISABLE."""

    name = "mine, v2"

    def handle(self, request: Request) -> Any:
        return (yield request)


class Meddling(Layer):
    """Changes the handler when it is bound, where no switch can reach it."""

    scope = "route"

    def bind(self, handler: Any) -> Any:
        leaf = getattr(handler, "handler", None)
        if getattr(leaf, "entries", None) == ["from b"]:
            leaf.entries = ["from me"]
        return self

    def handle(self, request: Request) -> Any:
        return (yield request)


class Wrapping(Layer):
    """Raises something of its own."""

    def handle(self, request: Request) -> Any:
        try:
            return (yield request)
        except ValueError as error:
            raise KeyError("wrapped") from error


class Swallowing(Layer):
    """Answers where the handler failed."""

    def handle(self, request: Request) -> Any:
        try:
            return (yield request)
        except ValueError:
            return AsyncReply("sorry") if where() != "a thread" else Reply("sorry")


class LosingTheCause(Layer):
    """Raises the same error without its cause."""

    def handle(self, request: Request) -> Any:
        try:
            return (yield request)
        except ValueError as error:
            raise error from None


class Stubborn(Layer):
    """Tries a bug again."""

    def handle(self, request: Request) -> Any:
        try:
            return (yield request)
        except ValueError:
            return (yield request)


class Shouting(Layer):
    """Tells observers by itself."""

    def handle(self, request: Request) -> Any:
        for observer in request.call.observers:
            if getattr(observer, "__name__", "") == "broken":
                observer(None)  # type: ignore[arg-type]
        return (yield request)


class Buffering(Layer):
    """Reads the stream to its end before it hands it on."""

    def handle(self, request: Request) -> Any:
        reply = yield request
        if reply.outcome is not None or isinstance(reply, AsyncReply):
            return reply
        whole = Reply.stream(self._again(list(self._taken(reply))))
        whole.attempts = reply.attempts
        return whole

    def _taken(self, reply: Any) -> Any:
        try:
            yield from reply
        except ProviderError as error:
            yield error

    def _again(self, taken: list[Any]) -> Any:
        for chunk in taken:
            if isinstance(chunk, ProviderError):
                raise chunk
            yield chunk


class Unclosing(Layer):
    """Puts something between the caller and the source that cannot be closed."""

    def handle(self, request: Request) -> Any:
        reply = yield request
        if reply.outcome is None and reply._events is not None:
            reply._events = _Wrapped(reply._events)
        return reply


class _Wrapped:
    kept: list[Any] = []

    def __init__(self, events: Any) -> None:
        self._events = events
        self.kept.append(events)

    def __iter__(self) -> Any:
        return self

    __aiter__ = __iter__

    def __next__(self) -> Chunk:
        return next(self._events)  # type: ignore[no-any-return]

    def __anext__(self) -> Any:
        return anext(self._events)


class Forgetting(Layer):
    """Throws away what had arrived when the stream broke."""

    def handle(self, request: Request) -> Any:
        reply = yield request
        reply.on_end(lambda reply: setattr(reply.error, "partial", None) if reply.error is not None else None)
        return reply


class TwoTexts(Layer):
    """Behaves otherwise on an event loop."""

    def handle(self, request: Request) -> Any:
        try:
            return (yield request)
        except Unavailable:
            if where() == "a thread" or request.stream:
                raise
            return (yield request)


class OutOfOrder(Router):
    """A router that never comes to the last route."""

    def handle(self, request: Request) -> Any:
        for route in self.routes[:2]:
            try:
                return (yield Via(route, request))
            except ProviderError as error:
                last = error
        raise last

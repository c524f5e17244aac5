"""Answers as the caller of a protected client sees them: the client's own types, whoever answered.

A stream of the client's own is the very object that the client made, of a class that reads through the reply: so it
is settled by its protocol's end, and a layer hears of it.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import AsyncIterator, Iterator
from functools import cache
from typing import Any, get_origin

from ...pipeline import AsyncReply, ProviderError, Reply
from .call import NativeCall
from .route import AsyncNativeEvents, NativeEvents, NativeResult
from .surfaced import surfaced

__all__ = ["AsyncFeed", "Feed", "ashown_stream", "shown", "shown_stream"]


def shown(reply: Reply, native: NativeCall) -> Any:
    """A whole answer."""
    if isinstance(reply._raw, NativeResult):
        return native.parsed(reply._raw.value)
    assert native.method.writer is not None  # the other routes of such a method are of the same shape
    return native.parsed(native.build(native.method.writer(native.body).whole(reply)))


class _Pulling:
    """Native events out of a reply: its own, or ones that are written of its chunks."""

    __slots__ = ("_native", "_ready", "_reply", "_writer")

    def __init__(self, reply: Any, native: NativeCall) -> None:
        self._reply = reply
        self._native = native
        events = reply._events
        self._writer = None
        if isinstance(events, (NativeEvents, AsyncNativeEvents)):
            self._ready: deque[Any] = events.natives
        else:
            assert native.method.writer is not None
            self._writer = native.method.writer(native.body)
            self._ready = deque()

    def _write(self, chunk: Any) -> None:
        if self._writer is not None:
            self._ready.extend(map(self._native.build_event, self._writer.chunk(chunk, self._reply)))

    def _end(self) -> None:
        if self._writer is not None:
            self._ready.extend(map(self._native.build_event, self._writer.end(self._reply)))
            self._writer = None


class Feed(_Pulling, Iterator[Any]):
    """Events for a stream."""

    __slots__ = ()

    def __next__(self) -> Any:
        while not self._ready:
            failure = None
            try:
                self._write(next(self._reply))
            except StopIteration:
                if self._reply.outcome.value != "ok" or self._writer is None:
                    raise
                self._end()
            except ProviderError as error:
                failure = surfaced(error, self._native)
            if failure is not None:
                try:
                    raise failure
                finally:
                    del failure  # whose traceback holds this frame
        return self._ready.popleft()

    def close(self) -> None:
        """Gives the rest up."""
        self._ready.clear()
        self._reply.close()


class AsyncFeed(_Pulling, AsyncIterator[Any]):
    """Events for a stream, for asyncio."""

    __slots__ = ()

    async def __anext__(self) -> Any:
        while not self._ready:
            failure = None
            try:
                self._write(await anext(self._reply))
            except StopAsyncIteration:
                if self._reply.outcome.value != "ok" or self._writer is None:
                    raise
                self._end()
            except ProviderError as error:
                failure = surfaced(error, self._native)
            if failure is not None:
                try:
                    raise failure
                finally:
                    del failure  # as above
        return self._ready.popleft()

    async def aclose(self) -> None:
        """Gives the rest up."""
        self._ready.clear()
        await self._reply.aclose()


class _Shown:
    """Before a client's Stream: reads through the reply."""

    _feed: Feed

    def __next__(self) -> Any:
        return next(self._feed)

    def __iter__(self) -> Iterator[Any]:
        return self._feed

    def close(self) -> None:
        """Closes the response and releases the connection."""
        self._feed.close()


class _AsyncShown:
    """Before a client's AsyncStream."""

    _feed: AsyncFeed

    async def __anext__(self) -> Any:
        return await anext(self._feed)

    def __aiter__(self) -> AsyncIterator[Any]:
        return self._feed

    async def close(self) -> None:
        """Closes the response and releases the connection."""
        await self._feed.aclose()

    async def aclose(self) -> None:
        """The same; some of the clients have it."""
        await self._feed.aclose()


@cache
def _class(mixin: Any, stream: Any) -> Any:
    return type(stream.__name__, (mixin, stream), {"__module__": stream.__module__})


def shown_stream(reply: Reply, native: Any) -> Any:
    """A stream of OpenAI's or Anthropic's client."""
    return _stream(_Shown, Feed(reply, native), reply, native)


def ashown_stream(reply: AsyncReply, native: Any) -> Any:
    """The same, for asyncio."""
    return _stream(_AsyncShown, AsyncFeed(reply, native), reply, native)


def _stream(mixin: type, feed: Feed | AsyncFeed, reply: Reply, native: Any) -> Any:
    events = reply._events
    if isinstance(events, (NativeEvents, AsyncNativeEvents)):
        own = events.native
        cls: Any = type(own)
        known = vars(own)
    else:  # another protocol's: a response as its server would have sent it
        wanted = native.kwargs["stream_cls"]
        cls = get_origin(wanted) or wanted
        headers = {"content-type": "text/event-stream"}
        known = {"response": native.response(200, headers), "_client": native.client, "_options": None}
    made = _class(mixin, cls)
    stream = made.__new__(made)
    stream.__dict__.update(known)
    stream._feed = feed
    _close_with(stream.response, reply)
    return stream


def _close_with(response: Any, reply: Reply) -> None:
    """Lets the reply end with its response, which the helpers of OpenAI's client close themselves."""
    kind: Any = type(response)
    response.__class__ = _closing(kind)
    response._reply = weakref.ref(reply)


@cache
def _closing(base: Any) -> Any:
    def over(response: Any) -> None:
        reply = response._reply()
        # At its end a stream closes its response itself: what that end means, the reply says.
        if reply is not None and not getattr(reply._events, "reading", False):
            reply.close()

    def close(response: Any) -> None:
        over(response)
        base.close(response)

    async def aclose(response: Any) -> None:
        over(response)
        await base.aclose(response)

    names = {"__module__": base.__module__, "__qualname__": base.__qualname__, "close": close, "aclose": aclose}
    return type(base.__name__, (base,), names)

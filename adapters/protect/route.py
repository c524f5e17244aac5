"""NativeRoute: calls a client as it was called, once, and tells the layers what came of it."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from ...pipeline import AsyncReply, Call, Chunk, ProviderError, Reply, Request, Secret, TimedOut
from ..classify import classify_response
from ..cleaning import clean
from ..clients import classify_native, is_failure, kind_of, without_retries
from ..clients.seam import Watch, twin_of
from ..clients.speech import written
from ..links import asked
from ..redact import spelled
from .call import NativeCall
from .methods import PROVIDERS, methods_of
from .read import ReadEvent

__all__ = ["AsyncNativeEvents", "Limits", "NativeEvents", "NativeResult", "NativeRoute"]

_SHORTEST = 0.001  # seconds: httpx takes 0 for "do not wait at all"

Tell = Callable[[Exception, bool], BaseException]


class NativeResult:
    """What a client returned, as the `raw` of its reply."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __call__(self) -> Any:
        """Gives it."""
        return self.value


class NativeRoute:
    """A handler for requests that have a native call.

    Args:
        client: the client that is protected, or another one of the same shape.
        again: whether it is another one; the protected one sends through its own door, with its own options.
    """

    def __init__(self, client: Any, again: bool = False) -> None:
        kind = kind_of(client)
        self._family = kind.family
        self._client: Any = None
        if again:
            self._client = without_retries(client)
            self._client._client = twin_of(self._client._client)
        self.provider = PROVIDERS[kind.family]
        self.codec = next(iter(methods_of(kind.family).values())).codec
        self.address = _address(client)
        self.__name__ = f"{kind.family}.{type(client).__name__}"  # as `print(stack)` shows it
        key = getattr(client, "api_key", None)
        self._secrets = spelled((Secret(key),)) if isinstance(key, str) else ()
        self._is_async = kind.is_async

    def __call__(self, request: Request) -> Any:
        """Makes one attempt.

        Raises:
            ProviderError: of the class that the client's error means, with that error as its cause.
        """
        if not isinstance(request.native, NativeCall):
            raise TypeError("this route only answers what a protected client was called with")
        answer = self._aanswer if self._is_async else self._answer
        return answer(request, request.native)

    def _answer(self, request: Request, native: NativeCall) -> Any:
        limits = Limits(request.call)
        tell = self._teller(request, limits)
        try:
            with limits.on():
                result = native.send(self._client, native.body_for(request))
                if not request.stream:
                    return self._read(result, native)
                events = NativeEvents(result, native.method.reader(), tell, limits)
                return Reply.stream(events, provider=self.provider, model=request.model)
        except Exception as error:  # noqa: BLE001 - what is no failure is raised as it is
            failure = tell(error, False)
        try:
            raise failure  # out here, so that what was raised is no context either, unless it is the cause
        finally:
            del failure  # whose traceback holds this frame

    async def _aanswer(self, request: Request, native: NativeCall) -> Any:
        limits = Limits(request.call)
        tell = self._teller(request, limits)
        limit = asyncio.timeout(limits.seconds)
        try:
            with limits.on():
                async with limit:
                    result = await native.send(self._client, native.body_for(request))
                    if not request.stream:
                        return self._read(result, native)
                    events = AsyncNativeEvents(result, native.method.reader(), tell, limits)
                    return await AsyncReply.stream(events, provider=self.provider, model=request.model)
        except Exception as error:  # noqa: BLE001 - as above
            failure = tell(TimedOut(reason="first_event") if limit.expired() else error, False)
        try:
            raise failure
        finally:
            del failure  # as above

    def _read(self, result: Any, native: NativeCall) -> Reply:
        reply = native.method.reply(written(result))
        reply.provider = self.provider
        reply._raw = NativeResult(result)
        return reply

    def _teller(self, request: Request, limits: Limits) -> Tell:
        """Makes what says what an exception means; one that is none of the provider's is left as it is."""

        def tell(error: Exception, streaming: bool) -> BaseException:
            if limits.response is None and not is_failure(error):
                return error  # a bug: nothing was answered, and nothing about it failed
            meant = limits.meaning(self.provider) or classify_native(error, provider=self.provider, streaming=streaming)
            # It is the client's own, whatever it says.
            cause = error.__cause__ if isinstance(error, ProviderError) else error
            call = request.call
            if isinstance(meant, TimedOut) and not call.fits(0.001):
                meant = call.too_late()
            meant.provider = meant.provider or self.provider
            meant.model = meant.model or request.model
            meant.with_traceback(None)  # whose frames hold what was sent and answered
            meant.__cause__ = meant.__context__ = None
            clean(meant, self._secrets, request)
            meant.__cause__ = cause
            return meant

        return tell

    def __repr__(self) -> str:
        return f"<{self._family} as it is>"


def _address(client: Any) -> tuple[str, int] | None:
    url = getattr(client, "base_url", None) or getattr(getattr(client, "_client", None), "base_url", None)
    host, port = getattr(url, "host", None), getattr(url, "port", None)
    if not isinstance(host, str) or not host:
        return None
    return host, port or (443 if getattr(url, "scheme", "") == "https" else 80)


class Limits(Watch):
    """The client's own timeouts, but none of them longer than what is left of the call's deadline.

    Attributes:
        seconds: until the first event must be in hand: what is left, or half of it while other routes are left; None if
            there is no deadline.
    """

    __slots__ = ("_call", "seconds")

    def __init__(self, call: Call) -> None:
        left = call.time_left
        self.seconds = None if left is None else max(left / 2 if call.routes_left > 0 else left, _SHORTEST)
        until = math.inf if self.seconds is None else call.clock.now() + self.seconds
        super().__init__(call.clock.now, until, {})
        self._call = call

    def meaning(self, provider: str) -> ProviderError | None:
        """The error in an answer of a good status, which some clients do not find in it."""
        body = asked(self.response, "_content")  # what was read of it; to ask for `content` might read on
        if not isinstance(body, bytes) or not 200 <= self.response.status_code < 300:
            return None
        return classify_response(provider, self.response.status_code, self.headers, body)

    def begun(self) -> None:
        """The first event is in hand: the rest has until the deadline."""
        self.until = math.inf if self._call.deadline is None else self._call.deadline

    def send(self, request: Any) -> None:
        """Bounds the timeouts of a request."""
        if self.seconds is None:
            return
        own = request.extensions.get("timeout") or {}
        bounded = {
            name: self.seconds if own.get(name) is None else min(own[name], self.seconds)
            for name in ("connect", "read", "write", "pool")
        }
        request.extensions = {**request.extensions, "timeout": bounded}


class _Reading:
    """What both kinds of streams share.

    Attributes:
        native: the client's stream.
        natives: its events that were read and not yet handed to the caller.
        reading: whether it is being read now: it closes its response itself when it ends.
    """

    __slots__ = ("_chunks", "_limits", "_read", "_source", "_tell", "native", "natives", "reading")

    def __init__(self, native: Any, source: Any, read: ReadEvent, tell: Tell, limits: Limits) -> None:
        self.native = native
        self.natives: deque[Any] = deque()
        self._source = source
        self._read = read
        self._tell = tell
        self._limits = limits
        self._chunks: deque[Chunk] = deque()
        self.reading = False

    def _take(self, event: Any) -> None:
        chunks = self._read(event)
        self.natives.append(event)
        self._chunks.extend(chunks or (Chunk(),))
        if any(chunk.meaningful for chunk in chunks):
            self._limits.begun()


class NativeEvents(_Reading, Iterator[Chunk]):
    """The chunks of a native stream."""

    __slots__ = ()

    def __init__(self, native: Any, read: ReadEvent, tell: Tell, limits: Limits) -> None:
        super().__init__(native, iter(native), read, tell, limits)

    def __next__(self) -> Chunk:
        while not self._chunks:
            failure = None
            self.reading = True
            try:
                self._take(next(self._source))
            except StopIteration:
                raise
            except Exception as error:  # noqa: BLE001 - what is no failure is raised as it is
                failure = self._tell(error, True)
            finally:
                self.reading = False
            if failure is not None:
                try:
                    raise failure
                finally:
                    del failure  # whose traceback holds this frame
        return self._chunks.popleft()

    def close(self) -> None:
        """Closes the native stream, and with it the connection."""
        self._limits.closed = True  # for a thread that reads it now
        self.native.close()
        self._limits.release()


class AsyncNativeEvents(_Reading, AsyncIterator[Chunk]):
    """The chunks of a native stream, for asyncio."""

    __slots__ = ()

    def __init__(self, native: Any, read: ReadEvent, tell: Tell, limits: Limits) -> None:
        super().__init__(native, aiter(native), read, tell, limits)

    async def __anext__(self) -> Chunk:
        while not self._chunks:
            failure = None
            self.reading = True
            try:
                self._take(await anext(self._source))
            except StopAsyncIteration:
                raise
            except Exception as error:  # noqa: BLE001 - as above
                failure = self._tell(error, True)
            finally:
                self.reading = False
            if failure is not None:
                try:
                    raise failure
                finally:
                    del failure  # whose traceback holds this frame
        return self._chunks.popleft()

    async def aclose(self) -> None:
        """Closes the native stream, and with it the connection."""
        await (self.native.aclose() if hasattr(self.native, "aclose") else self.native.close())

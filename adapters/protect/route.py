"""NativeRoute: calls a client as it was called, once, and tells the layers what came of it."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, NoReturn

from ...pipeline import AsyncReply, Call, Chunk, Reply, Request, Secret, TimedOut
from ..cleaning import clean
from ..clients import classify_native, is_failure, kind_of
from ..redact import spelled
from .call import NativeCall
from .methods import PROVIDERS, methods_of
from .read import ReadEvent, json_of

__all__ = ["AsyncNativeEvents", "NativeEvents", "NativeResult", "NativeRoute"]

Tell = Callable[[Exception, bool], BaseException]
# What JSON and pydantic raise about an answer that makes no sense.
_UNREADABLE = ("json", "pydantic", "pydantic_core", "msgspec")


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
        self._client = client if again else None
        self.provider = PROVIDERS[kind.family]
        self.codec = next(iter(methods_of(kind.family).values())).codec
        self.address = _address(client)
        key = getattr(client, "api_key", None)
        self._secrets = spelled((Secret(key),)) if isinstance(key, str) else ()
        if kind.is_async:
            self._answer = self._aanswer

    def __call__(self, request: Request) -> Any:
        """Makes one attempt.

        Raises:
            ProviderError: of the class that the client's error means, with that error as its cause.
        """
        if not isinstance(request.native, NativeCall):
            raise TypeError("this route only answers what a protected client was called with")
        return self._answer(request, request.native)

    def _answer(self, request: Request, native: NativeCall) -> Any:
        tell = self._teller(request, native)
        failure = None
        try:
            result = native.send(self._client, native.body_for(request), _seconds(request.call))
            if not request.stream:
                return self._read(result, native)
        except Exception as error:  # noqa: BLE001 - what is no failure is raised as it is
            failure = tell(error, False)
        if failure is not None:
            _raise(failure)
        events = NativeEvents(result, native.method.reader(), tell, request.call)
        return Reply.stream(events, provider=self.provider, model=request.model)

    async def _aanswer(self, request: Request, native: NativeCall) -> Any:
        tell = self._teller(request, native)
        failure = None
        try:
            # The driver keeps the deadline: it cancels.
            result = await native.send(self._client, native.body_for(request), None)
            if not request.stream:
                return self._read(result, native)
        except Exception as error:  # noqa: BLE001 - as above
            failure = tell(error, False)
        if failure is not None:
            _raise(failure)
        events = AsyncNativeEvents(result, native.method.reader(), tell, request.call)
        return await AsyncReply.stream(events, provider=self.provider, model=request.model)

    def _read(self, result: Any, native: NativeCall) -> Reply:
        reply = native.method.reply(json_of(result))
        reply.provider = self.provider
        reply._raw = NativeResult(result)
        return reply

    def _teller(self, request: Request, native: NativeCall) -> Tell:
        """Makes what says what an exception means; one that is none of the provider's is left as it is."""

        def tell(error: Exception, streaming: bool) -> BaseException:
            if not is_failure(error) and type(error).__module__.partition(".")[0] not in _UNREADABLE:
                return error
            meant = classify_native(error, provider=self.provider, streaming=streaming)
            call = request.call
            if isinstance(meant, TimedOut) and not call.fits(0.001):
                meant = call.too_late()
                meant.__cause__ = error
            if meant is not error:
                native.raised.append((meant, error))
            meant.model = meant.model or request.model
            clean(meant, self._secrets, request)
            return meant

        return tell

    def __repr__(self) -> str:
        return f"<{self._family} as it is>"


def _raise(error: BaseException) -> NoReturn:
    """Raises it outside of the handler of what it was made of, which would become its context."""
    try:
        raise error
    finally:
        del error  # whose traceback holds this frame


def _address(client: Any) -> tuple[str, int] | None:
    url = getattr(client, "base_url", None) or getattr(getattr(client, "_client", None), "base_url", None)
    host, port = getattr(url, "host", None), getattr(url, "port", None)
    if not isinstance(host, str) or not host:
        return None
    return host, port or (443 if getattr(url, "scheme", "") == "https" else 80)


def _seconds(call: Call) -> float | None:
    """How long a wait may take: what is left of the deadline, or half of it while other routes are left."""
    left = call.time_left
    if left is None:
        return None
    return max(left / 2 if call.routes_left > 0 else left, 0.001)


class _Reading:
    """What both kinds of streams share.

    Attributes:
        native: the client's stream.
        natives: its events that were read and not yet handed to the caller.
        reading: whether it is being read now: it closes its response itself when it ends.
    """

    __slots__ = ("_call", "_chunks", "_read", "_source", "_tell", "native", "natives", "reading")

    def __init__(self, native: Any, source: Any, read: ReadEvent, tell: Tell, call: Call) -> None:
        self.native = native
        self.natives: deque[Any] = deque()
        self._source = source
        self._read = read
        self._tell = tell
        self._call = call
        self._chunks: deque[Chunk] = deque()
        self.reading = False

    def _take(self, event: Any) -> None:
        if self._call.deadline is not None and not self._call.fits(0):
            raise self._call.too_late()
        chunks = self._read(event)
        self.natives.append(event)
        self._chunks.extend(chunks or (Chunk(),))


class NativeEvents(_Reading, Iterator[Chunk]):
    """The chunks of a native stream."""

    __slots__ = ()

    def __init__(self, native: Any, read: ReadEvent, tell: Tell, call: Call) -> None:
        super().__init__(native, iter(native), read, tell, call)

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
                _raise(failure)
        return self._chunks.popleft()

    def close(self) -> None:
        """Closes the native stream, and with it the connection."""
        self.native.close()


class AsyncNativeEvents(_Reading, AsyncIterator[Chunk]):
    """The chunks of a native stream, for asyncio."""

    __slots__ = ()

    def __init__(self, native: Any, read: ReadEvent, tell: Tell, call: Call) -> None:
        super().__init__(native, aiter(native), read, tell, call)

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
                _raise(failure)
        return self._chunks.popleft()

    async def aclose(self) -> None:
        """Closes the native stream, and with it the connection."""
        await (self.native.aclose() if hasattr(self.native, "aclose") else self.native.close())

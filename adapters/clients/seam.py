"""The seam between a client and its HTTP library: there the clocks of an attempt reach what is sent and what arrives.

A client takes a timeout, but means by it the silence between two bytes: a server that drips can hold it for ever. And
Ollama's takes none for one call. So the copy of a client sends through a twin of its HTTP client: another object over
the same connections, of a subclass made here, which looks at the clock whenever something comes in.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache
from typing import Any

__all__ = ["Watch", "twin_of"]

_CLIENTS = ("Client", "AsyncClient")


class Watch:
    """One attempt, as its HTTP library sees it.

    Attributes:
        timeout: seconds by "connect", "read", "write" and "pool", as httpx has them.
        until: the moment on the clock at which waiting ends; may be moved.
        body: the JSON text to send in place of what the client has made of it; None leaves that.
        response: the response, once its headers are here.
        closed: set to stop the one who reads, as soon as something comes in.
    """

    __slots__ = ("body", "closed", "now", "response", "timeout", "until")

    def __init__(self, now: Callable[[], float], until: float, timeout: dict[str, float]) -> None:
        self.now = now
        self.until = until
        self.timeout = timeout
        self.body: bytes | None = None
        self.response: Any = None
        self.closed = False

    @contextmanager
    def on(self) -> Iterator[None]:
        """Inside, what this thread or task sends through a twin belongs to this attempt."""
        token = _WATCH.set(self)
        try:
            yield
        finally:
            with suppress(ValueError):  # a task that was dropped is closed in another context, where it is not set
                _WATCH.reset(token)

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the response, in lower case; none as long as there is none."""
        headers = {} if self.response is None else self.response.headers
        return {str(name).lower(): str(value) for name, value in headers.items()}

    def send(self, request: Any) -> None:
        """Sets the timeouts of a request."""
        request.extensions = {**request.extensions, "timeout": dict(self.timeout)}

    def over(self, response: Any, late: Callable[[], Exception]) -> None:
        """Looks at the clock whenever a piece of the response's body comes in."""
        pieces = response.iter_raw

        def timed(chunk_size: int | None = None) -> Iterator[bytes]:
            for piece in pieces(chunk_size):
                if self.closed or self.now() >= self.until:
                    raise late()
                yield piece

        response.iter_raw = timed
        self.response = response

    def release(self) -> None:
        """Lets go of the response, which holds what holds it."""
        if self.response is not None:
            vars(self.response).pop("iter_raw", None)


_WATCH: ContextVar[Watch | None] = ContextVar("mainstay_watch", default=None)


def twin_of(http: Any) -> Any:
    """Another object over the connections of an httpx or httpx2 client, which keeps to the clocks of a Watch.

    A twin is its own.

    Raises:
        TypeError: if it is no such client.
    """
    if isinstance(http, _Half):
        return http
    kind: Any = type(http)
    twin: Any = object.__new__(_class_for(kind))
    twin._original = http  # which would close the connections if nobody held it
    twin.__dict__ = http.__dict__
    return twin


@cache
def _class_for(kind: type[Any]) -> type[Any]:
    for base in kind.__mro__:
        library: Any = sys.modules.get(base.__module__.partition(".")[0])
        if base.__name__ in _CLIENTS and hasattr(library, "ReadTimeout"):
            half = _AsyncTwin if base.__name__ == "AsyncClient" else _Twin
            return type(kind.__name__, (half, kind), {"_library": library, "__module__": __name__})
    raise TypeError(f"the client sends through a {kind.__name__}, which is no client of httpx or httpx2")


class _Half:
    __slots__ = ("_original",)

    _library: Any

    def __del__(self) -> None:
        """Closes nothing, whatever the class does: the original closes what both have."""

    def build_request(self, *place: Any, **options: Any) -> Any:
        watch = _WATCH.get()
        if watch is not None and watch.body is not None and options.pop("json", None) is not None:
            options["content"] = watch.body
        return super().build_request(*place, **options)  # type: ignore[misc]  # of the client's own class


class _Twin(_Half):
    __slots__ = ()

    def send(self, request: Any, *, stream: bool = False, **options: Any) -> Any:
        sender: Any = super()
        watch = _WATCH.get()
        if watch is None:
            return sender.send(request, stream=stream, **options)
        watch.send(request)
        response = sender.send(request, stream=True, **options)
        watch.over(response, lambda: self._library.ReadTimeout("the time of the attempt is up", request=request))
        if not stream:
            try:
                response.read()
            except BaseException:
                response.close()
                raise
            finally:
                watch.release()
        return response


class _AsyncTwin(_Half):
    """On an event loop, waiting is cancelled when the moment comes; there is nothing to look at in between."""

    __slots__ = ()

    async def send(self, request: Any, *, stream: bool = False, **options: Any) -> Any:
        sender: Any = super()
        watch = _WATCH.get()
        if watch is None:
            return await sender.send(request, stream=stream, **options)
        watch.send(request)
        response = watch.response = await sender.send(request, stream=True, **options)
        if not stream:
            try:
                await response.aread()
            except BaseException:
                await response.aclose()
                raise
        return response

"""Protected clients: a copy of a client, of a class of its own that sends through a stack.

The class has a door of its own: the method through which all resources send. What they build around it (`stream`
helpers, `parse`) is the client's own code, and is protected with it. Calls that ask for the raw response, and all that
go elsewhere than to a protected method, take the client's own door, with the client's own retries.
"""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Iterator, Mapping
from functools import cache, partial
from typing import Any

from ...pipeline import AsyncReply, ProviderError, Reply
from ..clients import kind_of
from ..clients.seam import twin_of
from .call import NativeCall, OllamaCall, PostCall
from .methods import Method, methods_of
from .shown import AsyncFeed, Feed, ashown_stream, shown, shown_stream
from .surfaced import surfaced

__all__ = ["protected"]

_RAW = "x-stainless-raw-response"


def protected(client: Any, stack: Any) -> Any:
    """The client with a stack beneath: a copy, of a subclass of its class. The client itself stays as it is.

    Args:
        client: one that `kind_of` knows.
        stack: a Stack, or for an async client an AsyncStack, whose own route is a NativeRoute of the client.

    Raises:
        TypeError: if it is no client that is known, or one of a class of its own that cannot be copied.
    """
    kind = kind_of(client)
    if kind.family == "ollama":
        made = copy.copy(client)
    else:
        try:
            made = client.copy()
        except TypeError as error:
            raise TypeError(
                f"{type(client).__name__} cannot be copied: copy() said {error}. A class of your own needs an __init__ "
                f"that takes what its base takes"
            ) from error
    base: Any = type(client)
    made.__class__ = _class(base, kind.family, kind.is_async)
    made._client = twin_of(made._client)
    made.mainstay = stack
    return made


@cache
def _class(base: Any, family: str, is_async: bool) -> Any:
    door = {
        ("ollama", False): _Asking,
        ("ollama", True): _AsyncAsking,
    }.get((family, is_async), _AsyncPosting if is_async else _Posting)
    own = {"__module__": base.__module__, "__qualname__": base.__qualname__, "_family": family, "_base": base,
           "_protected": True}  # fmt: skip
    # Not as a second base: an object can only become one of a class that adds nothing to the client's layout.
    doors = {name: part for one in reversed(door.__mro__[:-1]) for name, part in vars(one).items() if callable(part)}
    return type(base.__name__, (base,), {**doors, **own})


class _Protected:
    """What all of them share.

    Attributes:
        mainstay: the stack beneath; `print` it, ask it, switch its layers.
    """

    mainstay: Any
    _family: str
    _base: Any  # the client's class

    def _ask(self, native: NativeCall) -> Reply:
        """Sends a call through the stack; what it raises is what the caller is to see."""
        failure = None
        try:
            reply: Reply = self.mainstay(native.request())
        except ProviderError as error:
            failure = surfaced(error, native)
        if failure is None:
            return reply
        try:
            raise failure
        finally:
            del failure  # whose traceback holds this frame

    async def _aask(self, native: NativeCall) -> AsyncReply:
        failure = None
        try:
            reply: AsyncReply = await self.mainstay(native.request())
        except ProviderError as error:
            failure = surfaced(error, native)
        if failure is None:
            return reply
        try:
            raise failure
        finally:
            del failure  # whose traceback holds this frame


# -- OpenAI and Anthropic --------------------------------------------------------------------------------------


def _posted(client: Any, own: Any, path: str, kwargs: Mapping[str, Any]) -> PostCall | None:
    """The call, if it is one of a protected method that wants the client's own types back."""
    method = methods_of(client._family).get(path)
    body, options = kwargs.get("body"), kwargs.get("options") or {}
    if method is None or not isinstance(body, Mapping) or not hasattr(kwargs.get("cast_to"), "model_fields"):
        return None
    headers = options.get("headers")
    if isinstance(headers, Mapping) and any(str(name).lower() == _RAW for name in headers):
        return None
    if kwargs.get("files") or kwargs.get("content") is not None:
        return None
    kept = {**kwargs, "path": path, "options": options}
    return PostCall(method, client, own, client._family, body, bool(kwargs.get("stream")), kept)


class _Copied(_Protected):
    def copy(self, **options: Any) -> Any:
        """As the client's; the copy is protected by the same stack."""
        made = self._base.copy(self, **options)
        made._client = twin_of(made._client)  # which may be another HTTP client now
        made.mainstay = self.mainstay
        return made

    with_options = copy


class _Posting(_Copied):
    def post(self, path: str, **kwargs: Any) -> Any:
        """As the client's."""
        native = _posted(self, partial(self._base.post, self), path, kwargs)
        if native is None:
            return self._base.post(self, path, **kwargs)
        reply = self._ask(native)
        return shown_stream(reply, native) if native.stream else shown(reply, native)

    def close(self) -> None:
        """As the client's; the other routes are closed too."""
        self._base.close(self)
        self.mainstay.close()


class _AsyncPosting(_Copied):
    async def post(self, path: str, **kwargs: Any) -> Any:
        """As the client's."""
        native = _posted(self, partial(self._base.post, self), path, kwargs)
        if native is None:
            return await self._base.post(self, path, **kwargs)
        reply = await self._aask(native)
        return ashown_stream(reply, native) if native.stream else shown(reply, native)

    async def close(self) -> None:
        """As the client's; the other routes are closed too."""
        await self._base.close(self)
        await self.mainstay.aclose()


# -- Ollama ----------------------------------------------------------------------------------------------------


def _asked(client: Any, own: Any, cls: Any, args: tuple[Any, ...], stream: bool, kwargs: Any) -> OllamaCall | None:
    method: Method | None = methods_of("ollama").get(args[1]) if args[:1] == ("POST",) and len(args) == 2 else None
    body = kwargs.get("json")
    if method is None or not isinstance(body, Mapping):
        return None
    more = {name: value for name, value in kwargs.items() if name != "json"}
    return OllamaCall(method, client, own, "ollama", body, stream, {"cls": cls, "path": args[1], "more": more})


class _Asking(_Protected):
    def _request(self, cls: Any, *args: Any, stream: bool = False, **kwargs: Any) -> Any:
        native = _asked(self, partial(self._base._request, self), cls, args, stream, kwargs)
        if native is None:
            return self._base._request(self, cls, *args, stream=stream, **kwargs)
        return self._stream(native) if stream else shown(self._ask(native), native)

    def _stream(self, native: OllamaCall) -> Iterator[Any]:
        reply = self._ask(native)  # when it is first asked for, as the client does
        try:
            yield from Feed(reply, native)
        finally:
            reply.close()

    def close(self) -> None:
        """As the client's; the other routes are closed too."""
        self._base.close(self)
        self.mainstay.close()


class _AsyncAsking(_Protected):
    async def _request(self, cls: Any, *args: Any, stream: bool = False, **kwargs: Any) -> Any:
        native = _asked(self, partial(self._base._request, self), cls, args, stream, kwargs)
        if native is None:
            return await self._base._request(self, cls, *args, stream=stream, **kwargs)
        return self._stream(native) if stream else shown(await self._aask(native), native)

    async def _stream(self, native: OllamaCall) -> AsyncIterator[Any]:
        reply = await self._aask(native)  # as above
        try:
            async for event in AsyncFeed(reply, native):
                yield event
        finally:
            await reply.aclose()

    async def close(self) -> None:
        """As the client's; the other routes are closed too."""
        await self._base.close(self)
        await self.mainstay.aclose()

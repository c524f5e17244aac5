"""from_client: an existing client becomes a handler, which a Stack takes like any adapter.

The request is said by the codec that our own adapter has for that protocol, and the answer is read by it; in between
stands the client, with its keys, its proxies, its HTTP library and its own idea of authentication. It tries once.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from ...pipeline import AsyncReply, Call, Problem, ProviderError, Reply, Request, Secret, TimedOut, Timeouts
from ..arriving import Clocks
from ..classify import classify_response
from ..cleaning import clean
from ..incoming import WAITED
from ..links import asked
from ..redact import spelled
from ..verdict import REQUEST_IDS
from .copies import Kind, kind_of, without_retries
from .failures import classify_native, is_failure
from .hearing import AsyncEvents, Events, Hearing
from .seam import Watch, twin_of
from .speech import Speech, written

__all__ = ["AsyncClientHandler", "ClientHandler", "from_client"]

R = TypeVar("R", bound=Reply)

_SHORTEST = 0.001  # seconds: httpx takes 0 for "do not wait at all"
_KEYS = ("authorization", "x-api-key", "api-key")
_SECRETS = ("api_key", "auth_token", "admin_api_key", "access_token", "aws_secret_key", "aws_session_token")


def from_client(
    client: Any,
    *,
    model: str | None = None,
    timeouts: Timeouts | None = None,
    provider: str | None = None,
    compatible: bool = False,
    max_tokens: int = 4096,
) -> ClientHandler | AsyncClientHandler:
    """Makes a handler of a client that you have: an OpenAI(), Anthropic() or ollama.Client(), or one of their kin.

        openai = from_client(OpenAI())
        claude = from_client(Anthropic(), model="claude-sonnet-4-5")
        stack = Stack(standard(), Fallback(openai, claude))

    What is called is a copy that tries once, over the client's own connections. Your client stays as it is, and
    yours to close: the handler closes nothing.

    Args:
        client: the client, in its form for threads or, for an AsyncStack, for asyncio.
        model: the model for callers that name none.
        timeouts: the four clocks; they take the place of the client's own timeout. Without them the usual ones rule,
            and of the client's own those that are shorter.
        provider: the name in replies and errors; "openai", "claude" or "ollama" unless given. For an OpenAI client it
            also says whose parameters and errors they are: "openrouter" and "llama_cpp" have their own.
        compatible: True for an OpenAI client whose `base_url` is somebody else's server: it may take parameters that
            OpenAI does not have, and is called "openai-compatible" unless `provider` says better.
        max_tokens: what an Anthropic client is asked for if the caller sets none, because its protocol requires it.

    Returns:
        A handler for a Stack, or, of an async client, one for an AsyncStack.

    Raises:
        TypeError: if it is no client that is known, or one that cannot be copied.
        ValueError: if an option is for another kind of client.
    """
    kind = kind_of(client)
    if compatible and kind.family != "openai":
        raise ValueError(f"compatible=True is for OpenAI's client; this is {kind.family}'s")
    if max_tokens != 4096 and kind.family != "anthropic":
        raise ValueError(f"max_tokens={max_tokens!r} is for Anthropic's client: ask for it in the request")
    copied: Any = without_retries(client)
    copied._client = twin_of(copied._client)
    if kind.family == "openai":
        from .openai import speech as of_openai

        name = provider or ("openai-compatible" if compatible else "openai")
        speech = of_openai(copied, name, compatible)
    elif kind.family == "anthropic":
        from .anthropic import speech as of_anthropic

        speech = of_anthropic(copied, max_tokens)
    else:
        from .ollama import speech as of_ollama

        speech = of_ollama(copied)
    handler = AsyncClientHandler if kind.is_async else ClientHandler
    return handler(copied, kind, speech, model, timeouts, provider or speech.codec.provider)


class _Wrapped:
    """What the handlers for threads and for asyncio have in common; `from_client` makes them.

    Attributes:
        codec: the protocol.
        model: the model for callers that name none, or None.
        timeouts: the four clocks.
        provider: the name in replies and errors.
        label: whose protocol it is, for people.
        address: host and port of the provider, for traces.
    """

    def __init__(
        self, client: Any, kind: Kind, speech: Speech, model: str | None, timeouts: Timeouts | None, provider: str
    ) -> None:
        self._client = client  # held, so that its connections stay open
        self._speech = speech
        self.codec = speech.codec
        self.model = model
        self.timeouts = timeouts or Timeouts()
        self._limits = _limits_of(client) if timeouts is None else {}
        self.provider = provider
        self.label = speech.codec.label
        self.address = _address_of(client)
        self._secrets = spelled(_secrets_of(client))
        self.__name__ = f"{kind.family}.{type(client).__name__}"  # as `print(stack)` shows it

    def check(self, request: Request) -> tuple[Problem, ...]:
        """Everything that is wrong with the request, found without sending it; empty if it may be sent."""
        return self.codec.check(request)

    def __repr__(self) -> str:
        model = f", model={self.model!r}" if self.model else ""
        return f"<{self.__name__} as a handler, provider={self.provider!r}{model}>"


class _Attempt:
    """One attempt at a client: its clocks, what is sent, what came back, and what an exception of it means."""

    __slots__ = ("_changes", "_wrapped", "clocks", "request", "watch")

    def __init__(self, wrapped: _Wrapped, request: Request) -> None:
        self._wrapped = wrapped
        self.request = request
        self.clocks = Clocks(wrapped.timeouts, request.call if request.under_way else Call(), request.stream)
        self.watch = Watch(self.clocks.now, self.clocks.until(), self._timeout())
        self._changes: Mapping[str, str] = {}

    def _timeout(self) -> dict[str, float]:
        """Seconds in the words of httpx, whose "read" is the silence between two bytes, everywhere in an answer."""
        timeouts, stream = self._wrapped.timeouts, self.request.stream
        first, end = self.left(), self.left(math.inf)
        # A first event that must come sooner than it usually may: the deadline is near, or other routes are left.
        read = first if first < timeouts.first(stream) else max(first, timeouts.gap if stream else first)
        connect = max(min(self.clocks.connect, end), _SHORTEST)
        seconds = {"connect": connect, "read": min(read, end), "write": first, "pool": connect}
        return {name: min(value, self._wrapped._limits.get(name, value)) for name, value in seconds.items()}

    def left(self, moment: float | None = None) -> float:
        """Seconds until the moment, by default that of the first event, or an earlier end of all."""
        return max(self.clocks.until(moment) - self.clocks.now(), _SHORTEST)

    def arguments(self) -> dict[str, Any]:
        """What the client's method is called with."""
        speech = self._wrapped._speech
        call = speech.codec.encode(self.request)
        self._changes = call.changes
        if not speech.extra:
            self.watch.body = call.body
        return speech.arguments(call.body, self.left(math.inf))

    def unstreamed(self) -> bool:
        """Whether the server answers without a stream although one was asked for."""
        watch = self.watch
        return self.request.stream and watch.response is not None and not self._wrapped.codec.streams(watch.headers)

    def hearing(self) -> Hearing:
        """What hears the stream."""
        return Hearing(self._wrapped._speech, self.clocks, self.told)

    def whole(self, body: bytes, native: object = None) -> Reply:
        """The reply in a whole answer."""
        reply = self._wrapped.codec.decode(200, self.watch.headers, body)
        reply.provider = self._wrapped.provider
        reply.model = reply.model or self.request.model
        if native is not None:
            reply._raw = lambda: native
        return reply

    def done(self, reply: R) -> R:
        """The reply, with what the codec did to the caller's parameters."""
        if self._changes:
            reply.changes = {**self._changes, **reply.changes}
        return reply

    def is_bug(self, raised: Exception) -> bool:
        """Whether an exception is none of the provider's doing: nothing was answered, and nothing about it failed."""
        return self.watch.response is None and not is_failure(raised)

    def told(self, raised: BaseException | None, moment: float | None = None) -> ProviderError:
        """The error to raise for what was raised, or with None for the moment that came."""
        wrapped = self._wrapped
        error = self.clocks.too_late(moment) if raised is None else self._meaning(raised)
        native = error.__cause__
        if isinstance(error, TimedOut) and error.reason == WAITED and error.status is None:
            error = self.clocks.too_late(moment)
        error.provider = wrapped.provider
        error.model = error.model or self.request.model
        if error.request_id is None:
            headers = self.watch.headers
            error.request_id = next((headers[name] for name in REQUEST_IDS if headers.get(name)), None)
        error.with_traceback(None)  # whose frames hold what was sent and answered
        error.__cause__ = error.__context__ = None
        clean(error, wrapped._secrets, self.request)
        error.__cause__ = native  # it is the client's own, whatever it says
        return error

    def _meaning(self, raised: BaseException) -> ProviderError:
        provider, watch = self._wrapped.codec.provider, self.watch
        body = asked(watch.response, "_content")  # what httpx has read, if it has read it all
        if (
            isinstance(body, bytes)
            and not isinstance(raised, ProviderError)
            and 200 <= watch.response.status_code < 300
        ):
            # The client could not understand it; the classifier may.
            meant = classify_response(provider, watch.response.status_code, watch.headers, body)
            if meant is not None:
                meant.__cause__ = raised
                return meant
        return classify_native(raised, provider=provider, streaming=watch.response is not None)


class ClientHandler(_Wrapped):
    """A client for threads as a handler; thread-safe as the client is."""

    def __call__(self, request: Request) -> Reply:
        """Makes one attempt, as an Adapter does.

        Raises:
            InvalidParameters: if the protocol has no words for the request; nothing was sent.
            ProviderError: of the class that the client's exception means; that one is its `__cause__`.
        """
        attempt = _Attempt(self, request)
        name = {"provider": self.provider, "model": request.model}
        try:
            arguments = attempt.arguments()
            with attempt.watch.on():
                native = self._speech.create(**arguments)
                if attempt.unstreamed():
                    reply = Reply.stream(iter(attempt.whole(attempt.watch.response.read())), **name)
                elif request.stream:
                    reply = Reply.stream(Events(native, attempt.hearing(), attempt.watch), **name)
                else:
                    reply = attempt.whole(written(native), native)
            return attempt.done(reply)
        except Exception as raised:
            if attempt.is_bug(raised):
                raise
            failure = attempt.told(raised)
        try:
            raise failure  # out here, so that what was raised is no context either, unless it is the cause
        finally:
            del failure  # whose traceback holds this frame


class AsyncClientHandler(_Wrapped):
    """A client for asyncio as a handler, for an AsyncStack. Waiting is cancelled exactly when its time is up."""

    async def __call__(self, request: Request) -> AsyncReply:
        """Makes one attempt, as an Adapter does.

        Raises:
            InvalidParameters: if the protocol has no words for the request; nothing was sent.
            ProviderError: of the class that the client's exception means; that one is its `__cause__`.
        """
        attempt = _Attempt(self, request)
        name = {"provider": self.provider, "model": request.model}
        limit = asyncio.timeout(attempt.left())
        try:
            arguments = attempt.arguments()
            with attempt.watch.on():
                async with limit:
                    native = await self._speech.create(**arguments)
                    body = await attempt.watch.response.aread() if attempt.unstreamed() else None
                if body is not None:
                    reply = await AsyncReply.stream(aiter(AsyncReply.of(attempt.whole(body))), **name)
                elif request.stream:
                    reply = await AsyncReply.stream(AsyncEvents(native, attempt.hearing()), **name)
                else:
                    reply = AsyncReply.of(attempt.whole(written(native), native))
            return attempt.done(reply)
        except Exception as raised:
            if attempt.is_bug(raised):
                raise
            failure = attempt.told(None if limit.expired() else raised)
        try:
            raise failure
        finally:
            del failure  # as in ClientHandler


def _address_of(client: Any) -> tuple[str, int] | None:
    url: Any = (client if hasattr(client, "base_url") else client._client).base_url
    return (url.host, url.port or (443 if url.scheme == "https" else 80)) if url.host else None


def _limits_of(client: Any) -> dict[str, float]:
    """The seconds of a client's own timeout, by the words of httpx; what is not limited is left out."""
    timeout: Any = (client if hasattr(client, "timeout") else client._client).timeout
    names = ("connect", "read", "write", "pool")
    found = {name: timeout if isinstance(timeout, (int, float)) else getattr(timeout, name, None) for name in names}
    return {name: seconds for name, seconds in found.items() if seconds is not None}


def _secrets_of(client: Any) -> Iterator[Secret]:
    """The keys that a client has, by the names that they have in one client or another, and in its headers."""
    headers = client.default_headers if hasattr(client, "default_headers") else client._client.headers
    known = [getattr(client, name, None) for name in _SECRETS]
    known += [value for name, value in headers.items() if str(name).lower() in _KEYS]
    for value in known:
        if isinstance(value, str) and value:
            yield Secret(value)
            yield Secret(value.rpartition(" ")[2])  # without its scheme

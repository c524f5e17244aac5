"""from_client: an existing client becomes a handler, which a Stack takes like any adapter.

The request is said by the codec that our own adapter has for that protocol, and the answer is read by it; in between
stands the client, with its keys, its proxies, its HTTP library and its own idea of authentication. It tries once.
"""

from __future__ import annotations

import asyncio
from typing import Any

from ...pipeline import AsyncReply, Reply, Request, Timeouts
from .attempt import Attempt
from .copies import kind_of, without_retries
from .hearing import AsyncEvents, Events
from .seam import twin_of
from .speech import written
from .wrapped import Wrapped

__all__ = ["AsyncClientHandler", "ClientHandler", "from_client"]


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
        TypeError: if it is no client that is known, is protected, or cannot be copied; or `timeouts` is no Timeouts.
        ValueError: if an option is for another kind of client.
    """
    kind = kind_of(client)
    if timeouts is not None and not isinstance(timeouts, Timeouts):
        raise TypeError(f"timeouts={timeouts!r} must be the four clocks, such as Timeouts(total=60)")
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


class ClientHandler(Wrapped):
    """A client for threads as a handler; thread-safe as the client is."""

    blocking = True  # an event loop is not to wait for it

    def __call__(self, request: Request) -> Reply:
        """Makes one attempt, as an Adapter does.

        Raises:
            InvalidParameters: if the protocol has no words for the request; nothing was sent.
            ProviderError: of the class that the client's exception means; that one is its `__cause__`.
        """
        attempt = Attempt(self, request)
        name = {"provider": self.provider, "model": request.model}
        try:
            arguments = attempt.arguments()
            with attempt.watch.on():
                native = self.speech.create(**arguments)
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


class AsyncClientHandler(Wrapped):
    """A client for asyncio as a handler, for an AsyncStack. Waiting is cancelled exactly when its time is up."""

    async def __call__(self, request: Request) -> AsyncReply:
        """Makes one attempt, as an Adapter does.

        Raises:
            InvalidParameters: if the protocol has no words for the request; nothing was sent.
            ProviderError: of the class that the client's exception means; that one is its `__cause__`.
        """
        attempt = Attempt(self, request)
        name = {"provider": self.provider, "model": request.model}
        limit = asyncio.timeout(attempt.left())
        try:
            arguments = attempt.arguments()
            with attempt.watch.on():
                async with limit:
                    native = await self.speech.create(**arguments)
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

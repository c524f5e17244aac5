"""from_callable: any other way to an answer becomes a handler: a function over somebody's client, a queue, a cache."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from typing import Any, TypeVar

from ...pipeline import AsyncReply, Chunk, ErrorClass, ProviderError, Reply, Request
from .failures import classify_native, is_failure

__all__ = ["AsyncCallableHandler", "CallableHandler", "Classify", "from_callable"]

R = TypeVar("R", bound=Reply)

Classify = Callable[[Exception], ProviderError | ErrorClass | None]
"""Says what an exception means: the error, its class, or None for a bug, which passes as it is."""


def from_callable(
    function: Callable[[Request], Any],
    *,
    classify: Classify | None = None,
    provider: str | None = None,
    model: str | None = None,
) -> CallableHandler | AsyncCallableHandler:
    """Makes a handler of a function that takes a Request.

        def ask(request):
            return my_client.complete(request.messages[-1]["content"])

        stack = Stack(standard(), Fallback(openai, from_callable(ask, provider="mine")))

    It returns the text, a Reply, or an iterator of texts or Chunks; an async one, or one that gives an async iterator,
    is a handler for an AsyncStack. Where nobody asked for a stream, an iterator is read to its end. An iterator of
    texts is whole when it ends; of Chunks, one must have a `finish_reason`, or the answer is a TruncatedStream.

    A function without clocks of its own cannot be interrupted in a thread: give your client a timeout. On an event
    loop it is cancelled at the call's deadline.

    Args:
        function: called once for each attempt; it must not retry by itself.
        classify: says what an exception means. Unless given, those of connections and HTTP clients are classified, and
            anything else is a bug. What it returns None for, passes as it is: nobody retries it or moves on.
        provider: the name in replies and errors; the function's own unless given.
        model: the model for callers that name none.

    Raises:
        TypeError: if it is no function, or `classify` is none that says what an exception means.
    """
    if not callable(function):
        raise TypeError(f"from_callable needs a function that takes a Request, not {type(function).__name__}")
    if classify is not None and (isinstance(classify, type) or not callable(classify)):
        raise TypeError(
            f"classify={classify!r} must be a function that takes an exception, and returns a ProviderError, an "
            f"ErrorClass, or None for a bug"
        )
    called = function if inspect.isroutine(function) else type(function).__call__
    is_async = inspect.iscoroutinefunction(called) or inspect.isasyncgenfunction(called)
    name = getattr(function, "__name__", type(function).__name__)
    provider = provider or ("" if name == "<lambda>" else name)
    handler = AsyncCallableHandler if is_async else CallableHandler
    return handler(function, classify or _usual, provider, model)


def _usual(error: Exception) -> ProviderError | None:
    return classify_native(error) if is_failure(error) else None


class _Called:
    """What the handlers for threads and for asyncio have in common; `from_callable` makes them.

    Attributes:
        provider: the name in replies and errors.
        model: the model for callers that name none, or None.
    """

    def __init__(
        self, function: Callable[[Request], Any], classify: Classify, provider: str, model: str | None
    ) -> None:
        self._function = function
        self._classify = classify
        self.provider = provider
        self.model = model
        self.__name__ = provider or "function"

    def _meaning(self, raised: Exception, request: Request) -> ProviderError | None:
        """The error to raise for an exception; None for a bug."""
        meant = raised if isinstance(raised, ProviderError) else self._classify(raised)
        if meant is None:
            return None
        if isinstance(meant, ErrorClass):
            meant = ProviderError.of(meant)
        if not isinstance(meant, ProviderError):
            raise TypeError(
                f"classify must return a ProviderError, an ErrorClass or None, not {type(meant).__name__}"
            ) from raised
        meant.provider = meant.provider or self.provider
        meant.model = meant.model or request.model
        if meant is not raised:
            meant.__cause__ = raised
        return meant

    def _named(self, reply: R) -> R:
        reply.provider = reply.provider or self.provider
        return reply

    def _no_answer(self, answer: object) -> TypeError:
        advice = ""
        if isinstance(answer, (Awaitable, AsyncIterator, AsyncReply)) and isinstance(self, CallableHandler):
            advice = "; what answers asynchronously must be an `async def` itself"
            if isinstance(answer, Coroutine):
                answer.close()  # nobody will await it
        return TypeError(
            f"{self.__name__} returned {type(answer).__name__}: it must return a text, a Reply, or an iterator of "
            f"texts or Chunks{advice}"
        )

    def __repr__(self) -> str:
        return f"<{self.__name__} as a handler>"


class CallableHandler(_Called):
    """A function for threads as a handler."""

    def __call__(self, request: Request) -> Reply:
        """Makes one attempt: calls the function.

        Raises:
            ProviderError: what the function raised, or what its exception means.
        """
        try:
            answer = self._function(request)
        except Exception as raised:
            meant = self._meaning(raised, request)
            if meant is None or meant is raised:
                raise
            raise meant from raised
        if isinstance(answer, str):
            answer = Reply(answer)
        elif isinstance(answer, Iterator) and not isinstance(answer, Reply):
            answer = Reply.stream(_Texts(answer, lambda raised: self._meaning(raised, request)))
        elif not isinstance(answer, Reply) or isinstance(answer, AsyncReply):
            raise self._no_answer(answer)
        if not request.stream and answer.outcome is None:
            answer = finished(answer.read())
        return self._named(answer)


class AsyncCallableHandler(_Called):
    """A function for asyncio as a handler, for an AsyncStack."""

    async def __call__(self, request: Request) -> AsyncReply:
        """Makes one attempt: calls the function.

        Raises:
            ProviderError: what the function raised, or what its exception means.
        """
        try:
            answer = self._function(request)
            if isinstance(answer, Awaitable):
                answer = await answer
        except Exception as raised:
            meant = self._meaning(raised, request)
            if meant is None or meant is raised:
                raise
            raise meant from raised
        if isinstance(answer, str):
            answer = AsyncReply(answer)
        elif isinstance(answer, Reply):
            answer = AsyncReply.of(answer)
        elif isinstance(answer, AsyncIterator):
            answer = await AsyncReply.stream(_AsyncTexts(answer, lambda raised: self._meaning(raised, request)))
        else:
            raise self._no_answer(answer)
        if not request.stream and answer.outcome is None:
            answer = AsyncReply.of(finished(await answer.read()))
        return self._named(answer)


class _Pieces:
    """The pieces that a function yields, as chunks."""

    __slots__ = ("_chunks", "_meaning", "_over", "_pieces")

    def __init__(self, pieces: Any, meaning: Callable[[Exception], ProviderError | None]) -> None:
        self._pieces = pieces
        self._meaning = meaning
        self._chunks = False  # whether there were any: they say by themselves when the answer is whole
        self._over = False

    def _chunk(self, piece: object) -> Chunk:
        if isinstance(piece, Chunk):
            self._chunks = True
            return piece
        if isinstance(piece, str):
            return Chunk(piece)
        raise TypeError(f"a function that streams must yield texts or Chunks, not {type(piece).__name__}")

    def _last(self) -> Chunk | None:
        """What stands for the end of the pieces."""
        last = None if self._over or self._chunks else Chunk(finish_reason="stop")
        self._over = True
        return last


class _Texts(_Pieces, Iterator[Chunk]):
    __slots__ = ()

    def __next__(self) -> Chunk:
        try:
            return self._chunk(next(self._pieces))
        except StopIteration:
            last = self._last()
            if last is None:
                raise
            return last
        except Exception as raised:
            meant = self._meaning(raised)
            if meant is None or meant is raised:
                raise
            raise meant from raised

    def close(self) -> None:
        close = getattr(self._pieces, "close", None)
        if close is not None:
            close()


class _AsyncTexts(_Pieces, AsyncIterator[Chunk]):
    __slots__ = ()

    async def __anext__(self) -> Chunk:
        try:
            return self._chunk(await anext(self._pieces))
        except StopAsyncIteration:
            last = self._last()
            if last is None:
                raise
            return last
        except Exception as raised:
            meant = self._meaning(raised)
            if meant is None or meant is raised:
                raise
            raise meant from raised

    async def aclose(self) -> None:
        close = getattr(self._pieces, "aclose", None)
        if close is not None:
            await close()


def finished(reply: Reply) -> Reply:
    """A stream that was read to its good end, as the finished reply that was asked for."""
    whole = Reply(
        reply.text,
        reasoning=reply.reasoning,
        tool_calls=reply.tool_calls,
        finish_reason=reply.finish_reason,
        native_finish_reason=reply.native_finish_reason,
        usage=reply.usage,
        provider=reply.provider,
        model=reply.model,
        id=reply.id,
        changes=reply.changes,
        refusal=reply.refusal,
        logprobs=reply.logprobs,
        reasoning_details=reply.reasoning_details,
    )
    whole.attempts = reply.attempts
    return whole

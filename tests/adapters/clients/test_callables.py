"""Functions as handlers: what they may return, and what their exceptions mean."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest

from mainstay.adapters.clients import from_callable
from mainstay.middleware import Deadline, Fallback, standard
from mainstay.pipeline import (
    AsyncReply,
    AsyncStack,
    Chunk,
    Clock,
    DeadlineExceeded,
    ErrorClass,
    ModelNotFound,
    ProviderError,
    RateLimited,
    Reply,
    Request,
    Route,
    Stack,
    TruncatedStream,
    Unavailable,
)

ASKED = Request("m", "How are you?")
STREAMED = Request("m", "How are you?", stream=True)
CHUNKS = (Chunk("Very "), Chunk("well."), Chunk(finish_reason="length"))


class Odd(Exception):
    pass


def yielding(*pieces: Any, then: Exception | None = None) -> Callable[[Request], Iterator[Any]]:
    def answer(request: Request) -> Iterator[Any]:
        yield from pieces
        if then is not None:
            raise then

    return answer


def ayielding(*pieces: Any, then: Exception | None = None) -> Callable[[Request], AsyncIterator[Any]]:
    async def answer(request: Request) -> AsyncIterator[Any]:
        for piece in pieces:
            yield piece
        if then is not None:
            raise then

    return answer


def returning(answer: Any) -> Callable[[Request], Any]:
    def respond(request: Request) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    return respond


def areturning(answer: Any) -> Callable[[Request], Any]:
    async def respond(request: Request) -> Any:
        await asyncio.sleep(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return respond


def asked(function: Any, request: Request, **options: Any) -> Reply:
    """The reply, read to its end, in whichever world the function lives."""
    handler = from_callable(function, **options)
    if type(handler).__name__ == "CallableHandler":
        return handler(request).read()  # type: ignore[union-attr,no-any-return]

    async def ask() -> Reply:
        return await (await handler(request)).read()  # type: ignore[misc,no-any-return]

    return asyncio.run(ask())


BOTH = pytest.mark.parametrize("made", [returning, areturning], ids=["thread", "loop"])
BOTH_YIELD = pytest.mark.parametrize("made", [yielding, ayielding], ids=["thread", "loop"])
MODES = pytest.mark.parametrize("request_", [ASKED, STREAMED], ids=["complete", "stream"])


@BOTH
@MODES
@pytest.mark.parametrize("answer", ["Very well.", Reply("Very well.")], ids=["text", "reply"])
def test_whole_answers(made: Any, request_: Request, answer: Any) -> None:
    assert asked(made(answer), request_).text == "Very well."


@BOTH_YIELD
@MODES
@pytest.mark.parametrize(("pieces", "finish"), [(("Very ", "", "well."), "stop"), (CHUNKS, "length")])
def test_pieces(made: Any, request_: Request, pieces: Any, finish: str) -> None:
    reply = asked(made(*pieces), request_)
    assert (reply.text, reply.finish_reason) == ("Very well.", finish)
    if not request_.stream:
        assert isinstance(reply.tool_calls, tuple)
        assert reply._events is None  # it can be read again


@BOTH_YIELD
@MODES
def test_chunks_without_an_end_are_a_cut_stream(made: Any, request_: Request) -> None:
    with pytest.raises(TruncatedStream) as caught:
        asked(made(Chunk("Very ")), request_)
    assert caught.value.partial is not None
    assert caught.value.partial.text == "Very "


@BOTH
@pytest.mark.parametrize(
    ("raised", "classify", "meaning"),
    [
        (Odd("no"), lambda error: ErrorClass.RATE_LIMIT, ErrorClass.RATE_LIMIT),
        (Odd("no"), lambda error: ModelNotFound("gone", model="x"), ErrorClass.MODEL_NOT_FOUND),
        (ConnectionResetError(), None, ErrorClass.UNAVAILABLE),
        (TimeoutError(), None, ErrorClass.TIMEOUT),
        (httpx.ReadTimeout(""), None, ErrorClass.TIMEOUT),
        (RateLimited(), None, ErrorClass.RATE_LIMIT),
        (RateLimited(), lambda error: ErrorClass.TIMEOUT, ErrorClass.RATE_LIMIT),
    ],
)
def test_exceptions(made: Any, raised: Exception, classify: Any, meaning: ErrorClass) -> None:
    with pytest.raises(ProviderError) as caught:
        asked(made(raised), ASKED, classify=classify, provider="mine")
    assert (caught.value.error_class, caught.value.provider) == (meaning, "mine")
    assert caught.value is raised or caught.value.__cause__ is raised


@BOTH
@pytest.mark.parametrize("classify", [None, lambda error: None])
def test_a_bug_passes_as_it_is(made: Any, classify: Any) -> None:
    bug = KeyError("choices")
    with pytest.raises(KeyError) as caught:
        asked(made(bug), ASKED, classify=classify)
    assert caught.value is bug


@BOTH_YIELD
def test_an_exception_in_the_middle_keeps_what_had_come(made: Any) -> None:
    with pytest.raises(Unavailable) as caught:
        asked(made("Very ", then=ConnectionResetError()), STREAMED)
    assert caught.value.partial is not None
    assert caught.value.partial.text == "Very "
    with pytest.raises(Odd):
        asked(made("Very ", then=Odd()), STREAMED)


@BOTH
@pytest.mark.parametrize(("answer", "words"), [({"text": "x"}, "returned dict"), (None, "returned NoneType")])
def test_other_answers_are_refused_with_what_is_expected(made: Any, answer: Any, words: str) -> None:
    with pytest.raises(TypeError, match=f"respond {words}: it must return a text, a Reply, or an iterator"):
        asked(made(answer), ASKED)


@pytest.mark.parametrize("classify", [ValueError, {ValueError: ErrorClass.TIMEOUT}])
def test_what_cannot_classify_is_refused(classify: Any) -> None:
    with pytest.raises(TypeError, match="must be a function that takes an exception"):
        from_callable(lambda request: "", classify=classify)


@BOTH_YIELD
def test_other_pieces_are_refused(made: Any) -> None:
    with pytest.raises(TypeError, match="must yield texts or Chunks, not int"):
        asked(made(7), STREAMED)


def test_what_answers_asynchronously_must_say_so() -> None:
    with pytest.raises(TypeError, match=r"returned coroutine.*must be an `async def` itself"):
        from_callable(lambda request: areturning("x")(request))(ASKED)


def test_what_classify_may_return() -> None:
    with pytest.raises(TypeError, match="classify must return a ProviderError, an ErrorClass or None, not str"):
        asked(returning(Odd()), ASKED, classify=lambda error: "rate_limit")


def test_what_is_no_function() -> None:
    with pytest.raises(TypeError, match="needs a function that takes a Request, not str"):
        from_callable("ask")  # type: ignore[arg-type]


def test_an_object_that_can_be_called_is_a_function() -> None:
    class Asks:
        async def __call__(self, request: Request) -> str:
            return "Very well."

    assert asked(Asks(), ASKED).text == "Very well."
    assert from_callable(Asks()).provider == "Asks"


@pytest.mark.parametrize("request_", [ASKED, STREAMED], ids=["complete", "stream"])
def test_closing_closes_what_was_iterated(request_: Request) -> None:
    closed = []

    def answer(request: Request) -> Iterator[str]:
        try:
            yield "Very "
            yield "well."
        finally:
            closed.append(True)

    with from_callable(answer)(request_):
        assert closed == ([] if request_.stream else [True])
    assert closed == [True]


def test_in_a_stack_it_is_a_route_like_any() -> None:
    def broken(request: Request) -> str:
        raise ConnectionRefusedError

    routes = Fallback(Route("first", from_callable(broken)), from_callable(returning("Well.")))
    stack = Stack(standard(), routes, clock=Clock(sleep=lambda seconds: None))
    reply = stack(ASKED)
    assert (reply.text, reply.provider) == ("Well.", "respond")
    assert [attempt.route for attempt in reply.attempts] == ["first", "first", "respond"]
    assert "broken (unchecked)" in str(stack)


def test_on_a_loop_it_is_cancelled_at_the_deadline() -> None:
    async def hang(request: Request) -> str:
        await asyncio.Event().wait()
        return ""

    async def ask() -> AsyncReply:
        return await AsyncStack([Deadline(0.05)], from_callable(hang))(ASKED)

    with pytest.raises(DeadlineExceeded):
        asyncio.run(ask())

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from mainstay.pipeline import (
    AsyncReply,
    Chunk,
    Outcome,
    Partial,
    RateLimited,
    Reply,
    TruncatedStream,
    Unavailable,
    Usage,
)

END = Chunk(finish_reason="stop")


class Source:
    """An asynchronous generator of steps, and whether it was closed."""

    def __init__(self, *steps: Any) -> None:
        self.steps = steps
        self.closed = 0
        self.waiting = asyncio.Event()

    async def events(self) -> AsyncIterator[Chunk]:
        try:
            for number in range(len(self.steps)):
                if isinstance(self.steps[number], BaseException):
                    raise self.steps[number]
                if self.steps[number] is None:
                    self.waiting.set()
                    await asyncio.Event().wait()
                await asyncio.sleep(0)
                yield self.steps[number]
        finally:
            self.closed += 1


def on_the_loop(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    def run() -> None:
        asyncio.run(test())  # type: ignore[arg-type]

    return run


async def arriving(*steps: Any) -> AsyncReply:
    return await AsyncReply.stream(Source(*(steps or (Chunk("a"), Chunk("b"), END))).events())


@on_the_loop
async def test_a_stream_hands_on_its_chunks_and_has_the_answer_at_the_end() -> None:
    source = Source(Chunk(id="x"), Chunk("a"), Chunk("b"), END)
    reply = await AsyncReply.stream(source.events(), provider="p", model="m")
    assert (reply.provider, reply.model, reply.id, reply.outcome) == ("p", "m", "x", None)
    assert [chunk.text async for chunk in reply] == ["a", "b", ""]
    assert (reply.text, reply.outcome, source.closed) == ("ab", Outcome.OK, 1)
    assert [chunk async for chunk in reply] == []


@on_the_loop
async def test_the_text_of_a_stream_that_is_still_arriving_is_refused_and_await_read_is_named() -> None:
    reply = await arriving()
    with pytest.raises(RuntimeError, match=r"call await read\(\) first"):
        _ = reply.text
    assert (await reply.read()).text == "ab"
    assert (await reply.read()) is reply


@on_the_loop
async def test_iterating_a_finished_reply_gives_one_chunk_each_time() -> None:
    reply = AsyncReply("text")
    for _ in range(2):
        assert [chunk.text async for chunk in reply] == ["text"]
    assert (await reply.read()).text == "text"
    await reply.aclose()
    reply.close()
    assert reply.outcome is Outcome.OK
    with pytest.raises(TypeError, match="complete"):
        await anext(reply)  # type: ignore[arg-type]


@on_the_loop
async def test_the_other_world_s_iteration_is_refused_by_name() -> None:
    reply = await arriving()
    for wrong in (iter, next, lambda reply: reply.__enter__()):
        with pytest.raises(TypeError, match="use `async for`"):
            wrong(reply)
    await reply.aclose()


@on_the_loop
async def test_a_truncated_stream_carries_what_came() -> None:
    reply = await arriving(Chunk("so "), Chunk("far"))
    with pytest.raises(TruncatedStream) as caught:
        await reply.read()
    assert caught.value.partial == Partial("so far")
    assert (reply.outcome, reply.error) == (Outcome.ERROR, caught.value)


@on_the_loop
async def test_a_stream_that_ends_before_anything_came_is_truncated_inside_the_call() -> None:
    source = Source(Chunk(id="x"))
    with pytest.raises(TruncatedStream) as caught:
        await AsyncReply.stream(source.events(), provider="p")
    assert (caught.value.provider, source.closed) == ("p", 1)


@on_the_loop
async def test_an_error_in_the_preamble_is_raised_inside_the_call() -> None:
    error = RateLimited()
    source = Source(Chunk(id="x"), error)
    with pytest.raises(RateLimited) as caught:
        await AsyncReply.stream(source.events())
    assert caught.value is error
    assert source.closed == 1


@on_the_loop
async def test_what_goes_wrong_after_the_finish_reason_is_accepted() -> None:
    reply = await (await arriving(Chunk("a"), END, Unavailable(reason="connection_reset"))).read()
    assert (reply.text, reply.outcome, reply.error) == ("a", Outcome.OK, None)


@on_the_loop
async def test_leaving_an_async_with_closes_and_frees_the_events() -> None:
    source = Source(Chunk("a"), Chunk("b"), END)
    ended: list[Any] = []
    async with await AsyncReply.stream(source.events()) as reply:
        reply.on_end(lambda reply: ended.append(reply.outcome))
        await anext(reply)  # type: ignore[arg-type]
    await reply.aclose()
    assert (ended, source.closed) == ([Outcome.CLOSED], 1)


@on_the_loop
async def test_whoever_stops_at_the_finish_reason_has_the_whole_answer() -> None:
    async with await arriving(Chunk("a"), END, Chunk("never read")) as reply:
        async for chunk in reply:
            if chunk.finish_reason:
                break
    assert (reply.outcome, reply.text) == (Outcome.OK, "a")


@pytest.mark.parametrize("steps", [(None,), (Chunk("a"), None)], ids=["preamble", "stream"])
def test_cancelling_while_reading_closes_the_stream_and_is_nobody_s_failure(steps: tuple[Any, ...]) -> None:
    ended: list[Any] = []
    replies: list[AsyncReply] = []

    async def main() -> None:
        source = Source(*steps)

        async def consume() -> None:
            reply = await AsyncReply.stream(source.events())
            replies.append(reply)
            reply.on_end(lambda reply: ended.append((reply.outcome, reply.error)))
            await reply.read()

        task = asyncio.create_task(consume())
        await source.waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert source.closed == 1

    asyncio.run(main())
    assert ended == [(Outcome.CLOSED, None)] * len(replies)


@on_the_loop
async def test_events_that_are_no_generator_are_closed_by_aclose_on_cancellation() -> None:
    class Events:
        closed = 0
        waiting = asyncio.Event()

        def __aiter__(self) -> Any:
            return self

        async def __anext__(self) -> Chunk:
            if not self.waiting.is_set():
                self.waiting.set()
                return Chunk("a")
            await asyncio.Event().wait()
            raise AssertionError

        async def aclose(self) -> None:
            self.closed += 1

    events = Events()
    reply = await AsyncReply.stream(events)  # type: ignore[arg-type]
    task = asyncio.create_task(reply.read())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (reply.outcome, events.closed) == (Outcome.CLOSED, 1)


@on_the_loop
async def test_closing_from_another_task_raises_nothing_and_the_reader_frees_the_events() -> None:
    go_on, reading, freed = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def events() -> AsyncIterator[Chunk]:
        try:
            yield Chunk("a")
            reading.set()
            await go_on.wait()
            yield Chunk("b")
            yield END
        finally:
            freed.set()

    reply = await AsyncReply.stream(events())
    reader = asyncio.create_task(reply.read())
    await reading.wait()
    await reply.aclose()
    assert (reply.outcome, freed.is_set()) == (Outcome.CLOSED, False)
    go_on.set()
    await reader
    assert freed.is_set()
    assert reply.partial.text in ("a", "ab")


@on_the_loop
async def test_events_without_aclose_and_events_that_cannot_be_closed_are_borne() -> None:
    class Events:
        def __init__(self) -> None:
            self.steps = [Chunk("a"), END]

        def __aiter__(self) -> Any:
            return self

        async def __anext__(self) -> Chunk:
            if not self.steps:
                raise StopAsyncIteration
            return self.steps.pop(0)

    class Stuck(Events):
        async def aclose(self) -> None:
            raise OSError("the socket is gone already")

    for events in (Events(), Stuck()):
        assert (await (await AsyncReply.stream(events)).read()).text == "a"  # type: ignore[arg-type]
        await (await AsyncReply.stream(type(events)())).aclose()  # type: ignore[arg-type]


@on_the_loop
async def test_the_last_reference_settles_as_closed() -> None:
    ended: list[Any] = []
    reply = await arriving()
    reply.on_end(lambda reply: ended.append(reply.outcome))
    del reply
    gc.collect()
    assert ended == [Outcome.CLOSED]
    await asyncio.sleep(0)


@on_the_loop
async def test_a_collection_in_a_cycle_settles_as_closed() -> None:
    ended: list[Any] = []
    ring: list[Any] = [await arriving()]
    ring.append(ring)
    ring[0].on_end(lambda reply: ended.append(reply.outcome))
    del ring
    gc.collect()
    assert ended == [Outcome.CLOSED]
    await asyncio.sleep(0)


@on_the_loop
async def test_closing_from_two_threads_at_once_settles_once() -> None:
    for _ in range(100):
        settled: list[int] = []
        reply = await arriving()
        for number in range(3):
            reply.on_end(partial(note, settled, number))
        barrier = threading.Barrier(2)
        closers = [threading.Thread(target=close, args=(barrier, reply)) for _ in range(2)]
        for closer in closers:
            closer.start()
        for closer in closers:
            closer.join()
        assert settled == [0, 1, 2]
        await reply.aclose()


def close(barrier: threading.Barrier, reply: Reply) -> None:
    barrier.wait()
    reply.close()


def note(settled: list[int], number: int, reply: Reply) -> None:
    settled.append(number)


@on_the_loop
async def test_a_failed_stream_is_freed_without_a_collection() -> None:
    async def fail(*steps: Any) -> weakref.ref[Any]:
        class Events:
            left = [*steps]

            def __aiter__(self) -> Any:
                return self

            async def __anext__(self) -> Chunk:
                if self.left:
                    return self.left.pop(0)
                raise Unavailable("down")

        try:
            async for _ in await AsyncReply.stream(Events()):  # type: ignore[arg-type]
                pass
        except Unavailable as error:
            return weakref.ref(error)
        raise AssertionError

    gc.collect()
    gc.disable()
    try:
        assert (await fail())() is None
        assert (await fail(Chunk("a")))() is None
    finally:
        gc.enable()


def test_a_whole_reply_becomes_one_for_asyncio_with_all_that_it_has() -> None:
    reply = Reply("hello", usage=Usage(1, 2, 3), provider="p", model="m", id="i", changes={"seed": "left out"})
    twin = AsyncReply.of(reply)
    assert (twin.text, twin.usage, twin.provider, twin.model, twin.id) == ("hello", Usage(1, 2, 3), "p", "m", "i")
    assert (twin.changes, twin.outcome) == ({"seed": "left out"}, Outcome.OK)
    assert AsyncReply.of(twin) is twin


def test_a_stream_that_would_hold_the_loop_is_refused_and_closed() -> None:
    freed: list[bool] = []

    def chunks() -> Any:
        try:
            yield Chunk("one")
            yield Chunk("two", finish_reason="stop")
        finally:
            freed.append(True)

    with pytest.raises(TypeError, match=r"use AsyncReply\.stream"):
        AsyncReply.of(Reply.stream(chunks()))
    assert freed == [True]

"""A stream of several answers: what settles when, and that nothing stays open, whoever ends it and where."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest

from mainstay.pipeline import (
    AsyncReply,
    AsyncStack,
    Chunk,
    Outcome,
    Reply,
    Request,
    Stack,
    Unavailable,
    middleware,
)
from support.resuming import broken, give_up, routes, watch

MODES = ["restart", "continue"]


def noting(scope: Any, log: list[Any]) -> Any:
    """A layer that notes each end it is told of."""

    def handle(request: Request) -> Any:
        reply = yield request
        reply.on_end(lambda reply: log.append((scope, reply.provider, reply.outcome)))
        return reply

    return middleware(name=f"noting_{scope}", scope=scope)(handle)


# -- settlement ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_each_answer_settles_its_route_and_the_whole_settles_the_call_once_at_the_real_end(
    either_world: Any, ask_stream: Request, kit: Any, mode: str
) -> None:
    log: list[Any] = []
    fallback, _ = routes(either_world, mid_stream=mode, a=broken(kit, "one"), b=broken(kit, "two"), c=kit.Flow(("3",)))
    watch(either_world, either_world.stack([noting("call", log), noting("route", log)], fallback), ask_stream)
    assert log == [
        ("route", "a", Outcome.ERROR),
        ("route", "b", Outcome.ERROR),
        ("route", "c", Outcome.OK),
        ("call", "c", Outcome.OK),
    ]


def test_the_last_loss_settles_the_call_as_an_error(either_world: Any, ask_stream: Request, kit: Any) -> None:
    log: list[Any] = []
    fallback, _ = routes(either_world, a=(broken(kit, "one"), Unavailable()), b=Unavailable())
    seen = watch(either_world, either_world.stack([noting("call", log), noting("route", log)], fallback), ask_stream)
    assert log == [("route", "a", Outcome.ERROR), ("call", "a", Outcome.ERROR)]
    assert seen.reply.error is seen.error


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("taken", [0, 1, 2])
@pytest.mark.parametrize("end", ["close", "leave", "drop"])
def test_whoever_gives_up_closes_the_answer_under_way_first_and_leaves_nothing_open(
    either_world: Any, ask_stream: Request, kit: Any, mode: str, taken: int, end: str
) -> None:
    log: list[Any] = []
    flows = broken(kit, "one"), kit.Flow(("two", "three"))
    fallback, leaves = routes(either_world, mid_stream=mode, a=flows[0], b=flows[1])
    stack = either_world.stack([noting("call", log), noting("route", log)], fallback)
    reply = give_up(either_world, stack, ask_stream, taken, end)
    begun = "ab"[: max(1, taken)]
    assert log[-2:] == [("route", begun[-1], Outcome.CLOSED), ("call", begun[-1], Outcome.CLOSED)]
    assert len(log) == 1 + len(begun)
    assert [leaf.calls for leaf in leaves.values()] == [1, len(begun) - 1]
    assert [flow.seen[-1:] for flow in flows] == [["freed"], ["freed"] if len(begun) == 2 else []]
    if reply is not None:
        assert (reply.outcome, reply.error) == (Outcome.CLOSED, None)
        assert [attempt.outcome for attempt in reply.attempts][-1] == "closed"


# -- between threads, and between tasks ------------------------------------------------------------------------


def test_a_stream_that_is_closed_while_the_next_route_is_asked_ends_there(kit: Any, ask_stream: Request) -> None:
    asked, go_on = threading.Event(), threading.Event()
    flow = kit.Flow(("two", "three"))

    def slow(request: Request) -> Any:
        asked.set()
        assert go_on.wait(10)
        return flow

    log: list[Any] = []
    fallback, _ = routes(kit.Threads, a=broken(kit, "one"), b=slow)
    reply = Stack([noting("call", log), noting("route", log)], fallback)(ask_stream)
    texts: list[str] = []
    reader = threading.Thread(target=lambda: texts.extend(chunk.text for chunk in reply))
    reader.start()
    assert asked.wait(10)
    reply.close()
    go_on.set()
    reader.join(10)
    assert not reader.is_alive()
    assert (reply.outcome, reply.error, texts[:1]) == (Outcome.CLOSED, None, ["one"])
    assert flow.seen == ["two", "freed"]
    assert sorted(log) == [("call", "a", Outcome.CLOSED), ("route", "a", Outcome.ERROR), ("route", "b", Outcome.CLOSED)]


@pytest.mark.parametrize("by", ["cancelling", "closing"])
@pytest.mark.parametrize("where", ["the next route is asked", "it answers"])
def test_a_task_that_waits_for_the_next_route_can_be_stopped(
    kit: Any, ask_stream: Request, where: str, by: str
) -> None:
    async def main() -> None:
        waiting, freed = asyncio.Event(), asyncio.Event()

        async def chunks() -> AsyncIterator[Chunk]:
            try:
                yield Chunk("two")
                waiting.set()
                await asyncio.Event().wait()
            finally:
                freed.set()

        async def slow(request: Request) -> Any:
            if where == "the next route is asked":
                try:
                    waiting.set()
                    await asyncio.sleep(0.01 if by == "closing" else 60.0)
                finally:
                    freed.set()
            return await AsyncReply.stream(chunks())

        log: list[Any] = []
        fallback, _ = routes(kit.Loop, a=broken(kit, "one"), b="replaced")
        object.__setattr__(fallback.routes[1], "handler", slow)
        reply = await AsyncStack([noting("call", log), noting("route", log)], fallback)(ask_stream)
        task = asyncio.create_task(reply.read())
        await waiting.wait()
        if by == "closing":
            await reply.aclose()
            if where == "it answers":
                task.cancel()  # what waits for a chunk is not woken by it
        else:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await freed.wait()
        assert (reply.outcome, reply.error) == (Outcome.CLOSED, None)
        assert [kind for kind, _, _ in log].count("call") == 1
        assert [attempt.outcome for attempt in reply.attempts] == ["error", "closed"]

    asyncio.run(asyncio.wait_for(main(), 20.0))


class Events:
    """A stream that is no generator, so that nobody but its reply closes it."""

    closed = 0

    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> Chunk:
        return Chunk("two")

    async def aclose(self) -> None:
        self.closed += 1


def test_closing_frees_the_connection_of_the_answer_under_way(kit: Any, ask_stream: Request) -> None:
    events = Events()

    async def endless(request: Request) -> Any:
        return await AsyncReply.stream(events)

    async def main() -> None:
        fallback, _ = routes(kit.Loop, a=broken(kit, "one"), b="replaced")
        object.__setattr__(fallback.routes[1], "handler", endless)
        reply = await AsyncStack([], fallback)(ask_stream)
        assert [(await anext(reply)).text, (await anext(reply)).text] == ["one", "two"]
        await reply.aclose()
        assert events.closed == 1

    asyncio.run(main())


def test_a_stream_of_the_other_world_is_refused_and_closed(kit: Any, ask_stream: Request) -> None:
    flow = kit.Flow(("two",))
    fallback, _ = routes(kit.Loop, a=broken(kit, "one"), b=lambda request: Reply.stream(flow.chunks()))
    with pytest.raises(TypeError, match="use AsyncReply"):
        kit.Loop.run(AsyncStack([], fallback), ask_stream, "read")
    assert flow.seen == ["two", "freed"]

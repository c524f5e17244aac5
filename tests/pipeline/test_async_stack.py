"""What only AsyncStack does; the rest is tested in both worlds beside Stack."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from mainstay.pipeline import AsyncStack, DeadlineExceeded, Reply, Request, Route, middleware


@middleware
def hurry(request: Request) -> Any:
    request.call.deadline = request.call.clock.now() + 0.01
    return (yield request)


async def never(request: Request) -> Reply:
    await asyncio.Event().wait()
    raise AssertionError


def test_the_deadline_cancels_a_leaf_and_its_attempt_is_a_timeout(in_order: Any, mark: Any, ask: Request) -> None:
    stack = AsyncStack([hurry, mark("m", "route")], in_order(Route("a", never)))
    with pytest.raises(DeadlineExceeded) as caught:
        asyncio.run(stack(ask))
    (attempt,) = caught.value.attempts
    assert (attempt.outcome, attempt.reason, attempt.route) == ("error", "deadline", "a")


def test_the_deadline_cancels_plain_middleware_that_waits_by_itself(script: Any, ask: Request) -> None:
    def dawdles(handler: Any) -> Any:
        return never

    with pytest.raises(DeadlineExceeded):
        asyncio.run(AsyncStack([hurry, dawdles], script())(ask))


def test_the_deadline_cancels_a_leaf_of_a_nested_stack(in_order: Any, ask: Request) -> None:
    inner = AsyncStack([], in_order(Route("x", never)))
    with pytest.raises(DeadlineExceeded) as caught:
        asyncio.run(AsyncStack([hurry], in_order(Route("team", inner)))(ask))
    assert [one.reason for one in caught.value.attempts] == ["deadline"]


def test_plain_async_middleware_wraps_as_it_is(script: Any, mark: Any, in_order: Any, ask: Request) -> None:
    def outer(handler: Any) -> Any:
        async def inner(request: Request) -> Reply:
            reply: Reply = await handler(request.replace(model="wrapped"))
            reply.id = "seen"
            return reply

        return inner

    leaf = script()
    reply = asyncio.run(AsyncStack([mark("a"), outer, mark("b")], in_order(Route("r", leaf)))(ask))
    assert (reply.id, leaf.seen[0].model) == ("seen", "wrapped")


def test_cancelling_a_call_is_nobody_s_failure(ask: Request) -> None:
    told: list[Any] = []

    async def main() -> None:
        task = asyncio.ensure_future(AsyncStack([], never, observers=[told.append])(ask))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert (told[-1].attempt.outcome, told[-1].attempt.error_class) == ("closed", None)


def test_a_stack_whose_outermost_is_a_plain_function_of_the_other_world_still_answers(ask: Request) -> None:
    stack = AsyncStack([lambda handler: lambda request: Reply("at once")], never)
    assert asyncio.run(stack(ask)).text == "at once"


class Client:
    """Something that holds a connection, closed in one of three ways."""

    def __init__(self) -> None:
        self.closed: list[str] = []

    def __call__(self, request: Request) -> Reply:
        return Reply("text")


class Modern(Client):
    async def aclose(self) -> None:
        self.closed.append("aclose")

    def close(self) -> None:
        self.closed.append("close")


class Sync(Client):
    def close(self) -> None:
        self.closed.append("close")


class Coroutine(Client):
    async def close(self) -> None:
        self.closed.append("await close")


def test_leaving_an_async_with_closes_every_client_in_its_own_way(in_order: Any, ask: Request) -> None:
    clients = [Modern(), Sync(), Coroutine()]

    async def main() -> None:
        router = in_order(*(Route(f"r{number}", client) for number, client in enumerate(clients)))
        async with AsyncStack([], in_order(Route("n", router))) as stack:
            assert (await stack(ask)).text == "text"

    asyncio.run(main())
    assert [client.closed for client in clients] == [["aclose"], ["close"], ["await close"]]


def test_a_stack_for_threads_leaves_alone_what_can_only_be_closed_on_a_loop() -> None:
    from mainstay.pipeline import Stack

    class OnlyAsync(Client):
        async def aclose(self) -> None:
            raise AssertionError

    client = OnlyAsync()
    Stack([], client).close()
    assert client.closed == []

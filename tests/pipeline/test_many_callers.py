"""Many threads, or many tasks, through one stack at once."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from mainstay.pipeline import AsyncStack, Reply, Request, Route, Stack, Unavailable

CALLERS = 64


def check(replies: list[Any], told: list[Any], stack: Any) -> None:
    assert sorted(reply.text for reply in replies) == sorted(f"m{number}" for number in range(CALLERS))
    for reply in replies:
        assert [(one.route, one.model, one.outcome) for one in reply.attempts] == [
            ("a", reply.text, "error"),
            ("b", reply.text, "ok"),
        ]
    assert len({id(reply.attempts) for reply in replies}) == CALLERS
    assert len(told) == 4 * CALLERS


def test_sixty_four_threads_are_inside_at_once_and_each_has_its_own_ledger(in_order: Any, mark: Any) -> None:
    barrier = threading.Barrier(CALLERS)
    told: list[Any] = []
    replies: list[Any] = []

    def fails(request: Request) -> Reply:
        barrier.wait(30)
        raise Unavailable

    def answers(request: Request) -> Reply:
        barrier.wait(30)  # all are inside at once, or this breaks
        return Reply(request.model)

    layers = [mark("call"), mark("route", "route")]
    stack = Stack(layers, in_order(Route("a", fails), Route("b", answers)), observers=[told.append])

    def call(number: int) -> None:
        replies.append(stack(Request(f"m{number}", "p")))

    threads = [threading.Thread(target=call, args=(number,)) for number in range(CALLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check(replies, told, stack)


def test_sixty_four_tasks_are_inside_at_once_and_each_has_its_own_ledger(in_order: Any, mark: Any) -> None:
    told: list[Any] = []

    async def main() -> list[Any]:
        inside = 0
        full = asyncio.Event()

        async def fails(request: Request) -> Reply:
            nonlocal inside
            inside += 1
            if inside == CALLERS:
                full.set()
            await full.wait()
            raise Unavailable

        async def answers(request: Request) -> Reply:
            await asyncio.sleep(0)
            return Reply(request.model)

        layers = [mark("call"), mark("route", "route")]
        stack = AsyncStack(layers, in_order(Route("a", fails), Route("b", answers)), observers=[told.append])
        return await asyncio.gather(*(stack(Request(f"m{number}", "p")) for number in range(CALLERS)))

    replies = asyncio.run(main())
    check(replies, told, None)

"""The two worlds that a layer lives in: threads, and asyncio.

A clause is a generator that yields what it waits for, so that one text of it serves both worlds too: in threads what it
yields is the result, on the event loop it is awaited.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Generator, Sequence
from typing import Any, TypeAlias

from ..async_reply import AsyncReply
from ..reply import Reply
from ..request import Request
from ..stack import AsyncStack, Stack
from .leaves import AsyncLeaf, Leaf

__all__ = ["Loop", "Script", "Threads", "World", "within_patience"]

Script: TypeAlias = Generator[Any, Any, Any]
"""What a clause is: yields what it waits for."""

PATIENCE = 10.0
"""Seconds after which something that waits for ever is given up. Only what is broken ever waits that long."""


class Threads:
    """The world where a handler is a function."""

    name = "threads"
    stack = Stack
    leaf = Leaf
    stop: type[BaseException] = KeyboardInterrupt

    def drive(self, script: Script) -> Any:
        """Runs a clause to its end."""
        try:
            value = next(script)
            while True:
                value = script.send(value)
        except StopIteration as over:
            return over.value

    def call(self, stack: Any, request: Request) -> Any:
        return stack(request)

    def next(self, reply: Any) -> Any:
        return next(reply)

    def read(self, reply: Any) -> Any:
        return reply.read()

    def close(self, reply: Any) -> Any:
        return reply.close()

    def leave(self, reply: Any) -> Any:
        return reply.__exit__(None, None, None)

    def pause(self) -> Any:
        return None

    def interrupted(self) -> Any:
        """What a handler does when its caller is interrupted."""
        raise KeyboardInterrupt

    def crowd(self, build: Callable[[Any], Any], asks: Sequence[Request]) -> tuple[int, list[Any]]:
        """Sends all requests at once to a stack over a leaf that lets nobody go before all are there or refused.

        Returns:
            How many were in the leaf together, and what each call came to; None for one that never came back.
        """
        came, go = threading.Semaphore(0), threading.Event()
        inside: list[Request] = []
        results: list[Any] = [None] * len(asks)

        def leaf(request: Request) -> Reply:
            inside.append(request)
            came.release()
            go.wait(2 * PATIENCE)
            return Reply("answer", id=_token(request))

        stack = build(leaf)

        def ask(number: int) -> None:
            try:
                results[number] = stack(asks[number])
            except BaseException as error:  # noqa: BLE001 - the clause judges it
                results[number] = error
            came.release()

        threads = [threading.Thread(target=ask, args=(number,), daemon=True) for number in range(len(asks))]
        for thread in threads:
            thread.start()
        all(came.acquire(timeout=PATIENCE) for _ in asks)
        together = len(inside)
        go.set()
        for thread in threads:
            thread.join(PATIENCE)
        return together, results

    def nested(self, build: Callable[[Any], Any], outer: Request, inner: Request) -> list[Any] | None:
        """Makes a call in the middle of another one, in the same thread.

        Returns:
            What the inner and the outer one came to; None if they never came back.
        """
        results: list[Any] = []

        def leaf(request: Request) -> Reply:
            if not results:
                results.append("under way")
                results[0] = stack(inner)
            return Reply("answer", id=_token(request))

        stack = build(leaf)

        def main() -> list[Any]:
            results.append(stack(outer))
            return results

        found: list[Any] | None = within_patience(main)
        return found


class Loop:
    """The world where a handler is a coroutine function."""

    name = "asyncio"
    stack = AsyncStack
    leaf = AsyncLeaf
    stop: type[BaseException] = asyncio.CancelledError

    def drive(self, script: Script) -> Any:
        """Runs a clause to its end, on an event loop of its own."""

        async def main() -> Any:
            try:
                awaited = next(script)
                while True:
                    try:
                        result = await awaited if hasattr(awaited, "__await__") else awaited
                    except BaseException as error:  # noqa: BLE001 - the clause judges it
                        awaited = script.throw(error)
                    else:
                        awaited = script.send(result)
                        del result
            except StopIteration as over:
                return over.value

        return asyncio.run(main())

    def call(self, stack: Any, request: Request) -> Any:
        return asyncio.ensure_future(stack(request))  # a task, so that it can be cancelled alone

    def next(self, reply: Any) -> Any:
        return anext(reply)

    def read(self, reply: Any) -> Any:
        return reply.read() if isinstance(reply, AsyncReply) else reply

    def close(self, reply: Any) -> Any:
        return reply.aclose()

    def leave(self, reply: Any) -> Any:
        return reply.__aexit__(None, None, None)

    def pause(self) -> Any:
        return asyncio.sleep(0)

    def interrupted(self) -> Any:
        """What a handler does when its caller is cancelled: at its next wait, it ends."""
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        return "never"

    def crowd(self, build: Callable[[Any], Any], asks: Sequence[Request]) -> tuple[int, list[Any]]:
        """As in threads. On a thread of its own, for a layer that waits for a lock holds the whole loop."""
        return within_patience(lambda: asyncio.run(self._crowd(build, asks))) or (0, [None] * len(asks))

    async def _crowd(self, build: Callable[[Any], Any], asks: Sequence[Request]) -> tuple[int, list[Any]]:
        came, go = asyncio.Semaphore(0), asyncio.Event()
        inside: list[Request] = []

        async def leaf(request: Request) -> Reply:
            inside.append(request)
            came.release()
            await go.wait()
            return Reply("answer", id=_token(request))

        stack = build(leaf)

        async def ask(request: Request) -> Any:
            try:
                return await stack(request)
            except Exception as error:  # noqa: BLE001 - the clause judges it
                return error
            finally:
                came.release()

        tasks = [asyncio.create_task(ask(request)) for request in asks]
        try:
            async with asyncio.timeout(PATIENCE):
                for _ in asks:
                    await came.acquire()
        except TimeoutError:
            pass
        together = len(inside)
        go.set()
        return together, await asyncio.gather(*tasks)

    def nested(self, build: Callable[[Any], Any], outer: Request, inner: Request) -> list[Any] | None:
        """As in threads, in one task."""
        results: list[Any] = []

        async def leaf(request: Request) -> Reply:
            if not results:
                results.append("under way")
                results[0] = await stack(inner)
            return Reply("answer", id=_token(request))

        stack = build(leaf)

        async def main() -> list[Any]:
            results.append(await stack(outer))
            return results

        found: list[Any] | None = within_patience(lambda: asyncio.run(main()))
        return found


World: TypeAlias = Threads | Loop


def within_patience(function: Callable[[], Any]) -> Any:
    """What the function gives; None if it has not come back in time, which leaves its thread behind."""
    results: list[Any] = []

    def run() -> None:
        try:
            results.append((function(), None))
        except BaseException as error:  # noqa: BLE001 - raised again below, in the caller's thread
            results.append((None, error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(2 * PATIENCE)
    if not results:
        return None
    result, error = results.pop()
    if error is not None:
        raise error
    return result


def _token(request: Request) -> str:
    """What tells this call from others: its first message."""
    return str(request.messages[-1].get("content"))

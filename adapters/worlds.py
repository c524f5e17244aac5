"""One text for threads and asyncio, in what waits for a provider.

What waits is written as a generator that yields what it waits for. In threads that is a result already: the call that
gave it has waited. On an event loop it is an awaitable, and its result, or its error, comes back at the `yield`:

    incoming = yield transport.send(call, ...)
    body = yield incoming.read_all(until)
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeAlias, TypeVar

__all__ = ["Waits", "arun", "run"]

T = TypeVar("T")
Waits: TypeAlias = Generator[Any, Any, T]
"""A generator that yields what it waits for, and returns a T."""


def run(steps: Waits[T]) -> T:
    """Runs it in the calling thread."""
    # In a list, which is empty when an error passes: tools that show errors show the variables of frames.
    given: list[Any] = [None]
    try:
        while True:
            given.append(steps.send(given.pop()))
    except StopIteration as over:
        result: T = over.value
        return result
    finally:
        del steps


async def arun(steps: Waits[T]) -> T:
    """Runs it on the running event loop."""
    given: list[Any] = [None]
    try:
        awaited = steps.send(None)
        while True:
            try:
                given[0] = await awaited
            except BaseException as error:  # noqa: BLE001 - what waits must see everything, to free what it holds
                awaited = steps.throw(error)
            else:
                awaited = steps.send(given.pop())
                given.append(None)
    except StopIteration as over:
        result: T = over.value
        return result
    finally:
        del steps

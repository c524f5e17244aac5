"""Streams that break off where a test wants it, and what a caller sees of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from mainstay.middleware import Fallback
from mainstay.pipeline import Chunk, Partial, ProviderError, Request, Route

__all__ = ["Seen", "broken", "give_up", "pieces", "routes", "watch"]


def pieces(kit: Any, *steps: Chunk | BaseException) -> Any:
    """A script entry: a stream of these chunks, or an error among them."""
    flow = kit.Flow()

    def chunks() -> Iterator[Chunk]:
        try:
            for step in steps:
                if isinstance(step, BaseException):
                    raise step
                yield step
        finally:
            flow.seen.append("freed")

    flow.chunks = chunks
    return flow


def broken(kit: Any, *texts: str, error: BaseException | None = None) -> Any:
    """A stream that breaks off after these texts: with the error, or without any."""
    return kit.Flow(texts, error, whole=False)


def routes(world: Any, *, mid_stream: str = "restart", **scripts: Any) -> tuple[Fallback, dict[str, Any]]:
    """A Fallback whose routes have these names and do these things, and its leaves; all of them can continue."""
    leaves = {
        name: world.leaf(*(entries if isinstance(entries, tuple) else (entries,)), name=name)
        for name, entries in scripts.items()
    }
    made = [Route(name, leaf, continues=True) for name, leaf in leaves.items()]
    return Fallback(*made, mid_stream=mid_stream), leaves  # type: ignore[arg-type]


@dataclass
class Seen:
    """What a caller has seen of a call."""

    chunks: list[Chunk] = field(default_factory=list)
    reply: Any = None
    error: BaseException | None = None

    @property
    def text(self) -> str:
        """What stands on the screen of somebody who heeds the marks."""
        screen = ""
        for chunk in self.chunks:
            screen = chunk.text if chunk.restarted else screen + chunk.text
        return screen

    @property
    def marks(self) -> list[str]:
        return [mark for chunk in self.chunks if (mark := chunk.restarted or chunk.continued)]

    @property
    def partial(self) -> Partial:
        assert isinstance(self.error, ProviderError)
        assert self.error.partial is not None
        return self.error.partial


def watch(world: Any, stack: Any, request: Request) -> Seen:
    """Makes the call and reads it to its end, in its world."""
    seen = Seen()

    async def read() -> None:
        seen.reply = await stack(request)
        async for chunk in seen.reply:
            seen.chunks.append(chunk)

    try:
        if world.name == "asyncio":
            asyncio.run(read())
        else:
            seen.reply = stack(request)
            for chunk in seen.reply:
                seen.chunks.append(chunk)
    except ProviderError as error:
        seen.error = error
    return seen


def give_up(world: Any, stack: Any, request: Request, taken: int, end: str) -> Any:
    """Takes so many chunks of a stream and has enough of it: by "close", "leave" or "drop"; then there is no reply."""

    async def on_the_loop() -> Any:
        reply = await stack(request)
        if end == "leave":
            async with reply:
                for _ in range(taken):
                    await anext(reply)
            return reply
        for _ in range(taken):
            await anext(reply)
        if end == "close":
            await reply.aclose()
            return reply
        del reply
        await asyncio.sleep(0)  # the loop closes what was dropped
        return None

    if world.name == "asyncio":
        return asyncio.run(on_the_loop())
    reply = stack(request)
    if end == "leave":
        with reply:
            for _ in range(taken):
                next(reply)
        return reply
    for _ in range(taken):
        next(reply)
    if end == "close":
        reply.close()
        return reply
    return None

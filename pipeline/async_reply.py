"""AsyncReply: a Reply for asyncio."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NoReturn, Self

from .chunk import Chunk
from .closing import AsyncClosing
from .complaints import remark
from .reply import Reply

__all__ = ["AsyncReply"]


class AsyncReply(Reply, AsyncClosing):
    """A reply for asyncio: `async for`, `async with`, `await reply.read()`; otherwise as Reply.

    Attributes:
        within: what each wait for a chunk goes through, or None; the driver bounds by the call's deadline the
            waits of a stream that knows no clock of its own.
    """

    __slots__ = ("within",)
    _read_hint = "await read()"

    within: Callable[[Awaitable[Chunk]], Awaitable[Chunk]] | None

    @classmethod
    def _arriving(cls, events: Any, provider: str, model: str) -> Self:
        self = super()._arriving(events, provider, model)
        self.within = None
        return self

    @classmethod
    def of(cls, reply: Reply) -> AsyncReply:
        """The same answer as an AsyncReply.

        Raises:
            TypeError: if it is a stream that arrives synchronously: waiting for it would hold the event loop.
        """
        if isinstance(reply, AsyncReply):
            return reply
        if reply.outcome is None:
            reply.close()
            raise TypeError("a synchronous handler answered with a stream: on an event loop, use AsyncReply.stream")
        twin = cls()
        for name in Reply.__slots__:
            if name != "__weakref__" and hasattr(reply, name):
                setattr(twin, name, getattr(reply, name))
        return twin

    @classmethod
    async def stream(  # type: ignore[override]  # the same duty in the other world, so the same name
        cls, events: AsyncIterator[Chunk], *, provider: str = "", model: str = ""
    ) -> Self:
        """As `Reply.stream`, for chunks that arrive asynchronously."""
        self = cls._arriving(aiter(events), provider, model)
        try:
            while True:
                chunk = await anext(self._events)
                self._absorb(chunk)
                if chunk.meaningful:
                    self._held.append(chunk)
                    return self
        except StopAsyncIteration:
            error = self._over(None)
        except BaseException as raised:  # noqa: BLE001 - every exit must close the connection; it is raised again
            error = self._over(raised)
        await self._aclose_events()
        assert error is not None  # as in Reply.stream
        try:
            raise error
        finally:
            del self, error

    def __aiter__(self) -> AsyncIterator[Chunk]:
        return self if self._events is not None else _one(self._as_chunk())

    async def __anext__(self) -> Chunk:
        if self._events is None:
            raise TypeError("this reply is complete: iterate it with `async for`, or read `.text`")
        if self.outcome is not None:
            raise StopAsyncIteration
        if self._held:
            return self._held.popleft()
        try:
            wait = anext(self._events)
            chunk: Chunk = await (wait if self.within is None else self.within(wait))
        except StopAsyncIteration:
            error = self._over(None)
        except BaseException as raised:  # noqa: BLE001 - every exit must settle; it is raised again below
            error = self._over(raised)
        else:
            self._absorb(chunk)
            if self.outcome is not None:  # closed by another task, which could not close what was being read
                await self._aclose_events()
            return chunk
        await self._aclose_events()
        if error is None:
            raise StopAsyncIteration
        try:
            raise error
        finally:  # as in `stream`
            del self, error

    async def read(self) -> Self:  # type: ignore[override]  # awaited, as every wait in this world
        """Waits for the rest of the answer; returns the reply."""
        async for _ in self:
            pass
        return self

    async def aclose(self) -> None:
        """Gives up the rest of the answer and frees the connection. Does nothing on a reply that is over."""
        if self._events is not None and self._settle(self._given_up()):
            await self._aclose_events()

    def __iter__(self) -> NoReturn:
        raise TypeError("this reply arrives asynchronously: use `async for`")

    __next__ = __iter__
    __enter__ = __iter__

    def close(self) -> None:
        """Settles the reply as closed, without waiting for the connection; `aclose()` does both."""
        if self._events is not None:
            self._settle(self._given_up())

    async def _aclose_events(self) -> None:
        close = getattr(self._events, "aclose", None)
        if close is not None:
            try:
                await close()
            except Exception:  # noqa: BLE001 - as in Reply
                remark("the end of a stream could not be closed")


async def _one(chunk: Chunk) -> AsyncIterator[Chunk]:
    yield chunk

"""Programs on this machine, for asyncio: the loop watches the pipes, and no thread is needed. POSIX only.

Starting and killing a program are not waited for elsewhere: they take a millisecond or two, as in asyncio's own
subprocesses.
"""

from __future__ import annotations

import asyncio

from .codec import ProcessCall
from .incoming import MAX_BODY, Now
from .process import Programs, Writing
from .worlds import arun

__all__ = ["AsyncProcessIncoming", "AsyncProcessTransport"]

_FIRST_LOOK, _LAST_LOOK = (
    0.001,
    0.05,
)  # seconds between two looks at a program that writes nothing more and has not ended


class AsyncProcessIncoming(Writing):
    """What a running program writes, for asyncio. One task reads; any may close."""

    __slots__ = ()

    async def read(self, until: float) -> bytes:
        """As `ProcessIncoming.read`; cancelling it kills the program."""
        try:
            return await arun(self._piece(until))
        except asyncio.CancelledError:
            self.close()
            raise

    async def read_all(self, until: float, limit: int = MAX_BODY) -> bytes:
        """As `Incoming.read_all`."""
        return await arun(self._all(until, limit))

    async def _readable(self, seconds: float) -> list[tuple[int, int]]:
        loop = asyncio.get_running_loop()
        woken = loop.create_future()

        def wake() -> None:
            if not woken.done():
                woken.set_result(None)

        pipes = tuple(self._open)
        timer = loop.call_later(seconds, wake)
        for pipe in pipes:
            loop.add_reader(pipe, wake)
        try:
            await woken
        finally:
            timer.cancel()
            for pipe in pipes:
                loop.remove_reader(pipe)
        return self._poll.poll(0)

    async def _ended(self, seconds: float) -> int | None:
        loop = asyncio.get_running_loop()
        end, pause = loop.time() + seconds, _FIRST_LOOK
        while (code := self._program.exit_code(0)) is None and loop.time() < end:
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LAST_LOOK)
        return code

    def __del__(self) -> None:
        if not self._closed:
            self.close()


class AsyncProcessTransport(Programs):
    """Runs one program, once for each call, for asyncio; arguments as Programs has them."""

    _writing = AsyncProcessIncoming

    async def send(self, call: ProcessCall, *, connect: float, until: float, now: Now) -> AsyncProcessIncoming:
        """As `ProcessTransport.send`."""
        incoming: AsyncProcessIncoming = self._start(call, until, now)
        return incoming

    async def aclose(self) -> None:
        """Does nothing: between calls nothing is held, and a program that runs ends with its reply."""

"""A client's stream as chunks: each event goes through the codec's decoder, and the clocks rule as over our own.

What hearing is, is said once, in Hearing; Events pulls in a thread, AsyncEvents on an event loop.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from ...pipeline import Chunk, ProviderError
from ..arriving import Clocks
from .seam import Watch
from .speech import Speech

__all__ = ["AsyncEvents", "Events"]

# After the finish reason only usage and a farewell can follow, at once; a server that forgets them is not waited for.
_FAREWELL = 5.0
# After the farewell only the end of the HTTP body can follow; with it, the connection can be used again.
_LINGER = 0.1

Tell = Callable[[BaseException | None, float | None], ProviderError]
"""Makes the error to raise of what a client raised, or of None: the moment came that is the second argument."""


class Hearing:
    """What has been heard of a stream, and until when the next may take.

    Attributes:
        ready: chunks that have arrived and were not handed out.
        over: nothing more is to be read.
    """

    __slots__ = ("_clocks", "_decoder", "_finished", "_moment", "_speech", "_tell", "over", "ready")

    def __init__(self, speech: Speech, clocks: Clocks, tell: Tell) -> None:
        self._speech = speech
        self._decoder = speech.codec.decoder()
        self._clocks = clocks
        self._tell = tell
        self._moment: float | None = clocks.first_at
        self._finished = False
        self.ready: deque[Chunk] = deque()
        self.over = False

    def broken(self) -> ProviderError | None:
        """The error that the decoder has found, behind the chunks that came before it."""
        error, self._decoder.error = self._decoder.error, None
        return None if error is None else self._tell(error, None)

    def until(self) -> float:
        """The moment at which waiting for the next event ends."""
        clocks = self._clocks
        if self._decoder.done:
            return clocks.until(clocks.now() + _LINGER)
        if self._moment is None:  # something meaningful was handed out; the gap is the time that its reader then waits
            self._moment = clocks.now() + _FAREWELL if self._finished else clocks.gap_at()
        return clocks.until(self._moment)

    def left(self) -> float:
        """Seconds until that moment."""
        return max(0.0, self.until() - self._clocks.now())

    def take(self, event: Any) -> None:
        """Takes the next event."""
        if not self._decoder.done:  # the answer is over: nothing that follows belongs to it
            self._hold(self._decoder.feed(self._speech.frame(event)))

    def end(self) -> None:
        """The stream has ended."""
        self.over = True
        self._hold(self._decoder.end())

    def failed(self, error: BaseException | None) -> ProviderError | None:
        """The stream has failed, or with None its moment came: gives the error to raise, or None if it was over."""
        self.over = True
        if self._decoder.done:
            return None
        moment = self._moment
        return self._tell(error, None if moment == self._clocks.first_at else moment)

    def _hold(self, chunks: list[Chunk]) -> None:
        self.ready.extend(chunks)
        for chunk in chunks:
            if chunk.meaningful:
                self._moment = None
                self._finished = self._finished or chunk.finish_reason is not None


class Events(Iterator[Chunk]):
    """The chunks of one stream. One thread iterates; any thread may close it."""

    __slots__ = ("_closed", "_hearing", "_reading", "_stream", "_watch")

    def __init__(self, stream: Any, hearing: Hearing, watch: Watch) -> None:
        self._stream = stream
        self._hearing = hearing
        self._watch = watch
        self._reading = threading.Lock()
        self._closed = False

    def __next__(self) -> Chunk:
        hearing = self._hearing
        while not hearing.ready:
            error = hearing.broken()
            if error is None and not hearing.over and not self._closed:
                error = self._pull()
                if error is None:
                    continue
            self.close()
            if error is None:
                raise StopIteration
            try:
                raise error
            finally:
                del self, error  # the traceback holds this frame, and it would hold the traceback
        return hearing.ready.popleft()

    def _pull(self) -> ProviderError | None:
        hearing = self._hearing
        self._watch.until = hearing.until()
        try:
            with self._reading:
                hearing.take(next(self._stream))
        except StopIteration:
            hearing.end()
        except Exception as raised:  # noqa: BLE001 - a client lets through what its HTTP library raises
            return None if self._closed else hearing.failed(raised)
        return None

    def close(self) -> None:
        """Gives the rest up and closes the client's stream. Can be repeated.

        Another thread that waits for it lets go as soon as something comes in, or its time is up.
        """
        self._closed = self._watch.closed = True
        if self._reading.acquire(blocking=False):
            try:
                self._stream.close()
                self._watch.release()
            finally:
                self._reading.release()


class AsyncEvents(AsyncIterator[Chunk]):
    """The chunks of one stream on an event loop. One task iterates; whoever closes it awaits that."""

    __slots__ = ("_closed", "_hearing", "_stream")

    def __init__(self, stream: Any, hearing: Hearing) -> None:
        self._stream = stream
        self._hearing = hearing
        self._closed = False

    async def __anext__(self) -> Chunk:
        hearing = self._hearing
        while not hearing.ready:
            error = hearing.broken()
            if error is None and not hearing.over and not self._closed:
                error = await self._pull()
                if error is None:
                    continue
            await self.aclose()
            if error is None:
                raise StopAsyncIteration
            try:
                raise error
            finally:
                del self, error  # as in Events
        return hearing.ready.popleft()

    async def _pull(self) -> ProviderError | None:
        hearing = self._hearing
        limit = asyncio.timeout(hearing.left())
        try:
            async with limit:
                hearing.take(await anext(self._stream))
        except StopAsyncIteration:
            hearing.end()
        except Exception as raised:  # noqa: BLE001 - as in Events
            return None if self._closed else hearing.failed(None if limit.expired() else raised)
        return None

    async def aclose(self) -> None:
        """Gives the rest up and closes the client's stream. Can be repeated."""
        self._closed = True
        close = getattr(self._stream, "aclose", None) or self._stream.close
        await close()

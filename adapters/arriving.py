"""An answer that is arriving over a connection: a stream decoder, a response, and the clocks that rule both.

One text for both worlds: `Arriving` is iterated with `for`, `AsyncArriving` with `async for`.

The clocks are moments, not durations, so that nothing a server sends can stretch them: comments, pings and empty
changes arrive, and the moment stays where it was. Only a chunk that moves the answer on moves the moment.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import NoReturn, TypeAlias

from ..pipeline import Call, Chunk, ProviderError, TimedOut, Timeouts
from .codec import StreamDecoder
from .incoming import WAITED, Arrival
from .worlds import Waits, arun, run

__all__ = ["Arriving", "AsyncArriving", "Clocks", "Tell", "Unfolding"]

Tell: TypeAlias = Callable[[ProviderError, BaseException | None], ProviderError]
"""Completes an error, and gives it its cause."""

# After the finish reason only usage and a farewell can follow, at once; a server that forgets them is not waited for.
_FAREWELL = 5.0
# After the farewell only the end of the HTTP body can follow; with it, the connection can be used again.
_LINGER = 0.1


class Clocks:
    """The four clocks of one attempt, and the deadline of its call.

    Attributes:
        connect: seconds for a connection.
        first_at: the moment at which something meaningful must be in hand.
    """

    __slots__ = ("_call", "_end_at", "_first", "_gap", "connect", "first_at", "now")

    def __init__(self, timeouts: Timeouts, call: Call, stream: bool) -> None:
        """Starts the clocks.

        Args:
            timeouts: how long each may run.
            call: its clock is read; its deadline is kept, and while other routes are left, half of what is left
                of it is kept for them.
            stream: whether a stream is expected; a complete reply has only the clock for the whole.
        """
        self._call = call
        self.now = call.clock.now
        self.connect = timeouts.connect
        start = self.now()
        first = timeouts.first(stream)
        self._first = "first_event" if stream else "total"
        self._end_at = start + timeouts.total
        if call.deadline is not None:
            self._end_at = min(self._end_at, call.deadline)
            half = (call.deadline - start) / 2
            if call.routes_left > 0 and half < first:
                first, self._first = half, "first_event"
        self._gap = timeouts.gap
        self.first_at = start + first

    def until(self, moment: float | None = None) -> float:
        """The moment at which waiting ends: `moment` (by default that of the first event), or an earlier end of all."""
        return min(self.first_at if moment is None else moment, self._end_at)

    def gap_at(self) -> float:
        """The moment at which the next meaningful event must be there, counted from now."""
        return self.now() + self._gap

    def too_late(self, moment: float | None = None) -> ProviderError:
        """The error for having waited until `until(moment)`: which of the clocks it was."""
        if self.until(moment) < self._end_at:
            return TimedOut(reason=self._first if moment is None else "gap")
        if self._end_at == self._call.deadline:
            return self._call.too_late()
        return TimedOut(reason="total")


class Unfolding:
    """The chunks of one stream, as both worlds have them.

    It ends without an error when the connection does: whether the answer is whole, its reader knows by the finish
    reason.
    """

    __slots__ = ("_clocks", "_decoder", "_finished", "_incoming", "_moment", "_over", "_ready", "_tell")

    def __init__(
        self,
        incoming: Arrival,
        decoder: StreamDecoder,
        clocks: Clocks,
        tell: Tell,
    ) -> None:
        """Builds the iterator; nothing is read yet.

        Args:
            incoming: the response.
            decoder: a fresh decoder.
            clocks: those of the attempt.
            tell: completes an error, and gives it its cause.
        """
        self._incoming = incoming
        self._decoder = decoder
        self._clocks = clocks
        self._tell = tell
        self._ready: deque[Chunk] = deque()
        self._moment: float | None = clocks.first_at
        self._finished = False
        self._over = False

    def _fill(self) -> Waits[bool]:
        """Waits once; False at the end."""
        decoder = self._decoder
        if decoder.error is not None:  # first: the end of the connection may have brought it
            error, decoder.error = decoder.error.with_traceback(None), None  # frames of a decoder hold the error
            self.close()
            try:
                self._raise(error, error.__cause__)
            finally:
                del error  # whose traceback holds this frame
        if self._over or decoder.done:
            yield from self._part()
            return False
        clocks = self._clocks
        moment = self._moment
        if moment is None:  # something meaningful was handed out; the gap is the time that its reader then waits
            self._moment = moment = clocks.now() + _FAREWELL if self._finished else clocks.gap_at()
        failure, cause, data = None, None, b""
        try:
            data = yield self._incoming.read(clocks.until(moment))
        except ProviderError as raised:
            self._over = True
            failure, cause = raised, raised.__cause__
        if failure is not None:
            if isinstance(failure, TimedOut) and failure.reason == WAITED:
                failure = clocks.too_late(None if moment == clocks.first_at else moment)
            try:
                self._raise(failure, cause)
            finally:
                del failure, cause  # whose tracebacks hold this frame
        if data:
            chunks = decoder.feed(data)
        else:
            self._over = True
            chunks = decoder.end()
        self._ready.extend(chunks)
        for chunk in chunks:
            if chunk.meaningful:
                self._moment = None
                self._finished = self._finished or chunk.finish_reason is not None
        return True

    def _raise(self, error: ProviderError, cause: BaseException | None) -> NoReturn:
        try:
            raise self._tell(error, cause)
        finally:
            del self, error, cause  # the traceback holds this frame, and it would hold the traceback

    def _part(self) -> Waits[None]:
        """Reads the end of the body behind the protocol's own end, so that the connection can be used again."""
        if not self._over:
            self._over = True
            with suppress(ProviderError):  # the answer is whole; only the connection is lost
                yield self._incoming.read(self._clocks.until(self._clocks.now() + _LINGER))
        self._incoming.close()

    def close(self) -> None:
        """Gives the rest up and closes the connection. Can be repeated, from any thread."""
        self._over = True
        self._incoming.close()


class Arriving(Unfolding, Iterator[Chunk]):
    """The chunks of one stream. One thread iterates; any thread may close it, which wakes the one that waits."""

    __slots__ = ()

    def __next__(self) -> Chunk:
        ready = self._ready
        while not ready:
            if not run(self._fill()):
                raise StopIteration
        return ready.popleft()


class AsyncArriving(Unfolding, AsyncIterator[Chunk]):
    """The chunks of one stream. One task iterates; any task may close it, which wakes the one that waits."""

    __slots__ = ()

    async def __anext__(self) -> Chunk:
        ready = self._ready
        while not ready:
            if not await arun(self._fill()):
                raise StopAsyncIteration
        return ready.popleft()

    async def aclose(self) -> None:
        """As `close`, which does not wait."""
        self.close()

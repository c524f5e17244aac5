"""The moment until which a thread's request may take, and the receiving half of a socket that keeps to it."""

from __future__ import annotations

import io
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPResponse
from time import monotonic
from typing import Any

__all__ = ["MOMENT", "Wire"]

_BUFFER = 65536


class _Moment(threading.local):
    """Until when the request that this thread is sending may take.

    urllib3 has no way to hand a moment to the connection that it picks; it picks and uses it in the thread that
    calls, so the moment waits there.
    """

    def __init__(self) -> None:
        self.until = float("inf")
        self.connect = float("inf")
        self.now: Callable[[], float] = monotonic
        self.target: str | None = None  # what urllib3 must not know: it would write it into its log
        self.head: bytes | None = b""  # of the request, as it was sent; None while that is awaited

    def set(self, until: float, connect: float, now: Callable[[], float]) -> None:
        """Sets the moment for what this thread sends next, and the seconds that a connection for it may take."""
        self.until, self.connect, self.now, self.target, self.head = until, connect, now, None, b""

    @contextmanager
    def connecting(self) -> Iterator[None]:
        """Inside, the moment is that of the connection: proxies, tunnels and TLS send and receive too."""
        until = self.until
        self.until = min(until, self.now() + self.connect)
        try:
            yield
        finally:
            self.until = until

    def left(self) -> float:
        """Seconds until the moment.

        Raises:
            TimeoutError: if it has passed.
        """
        left = self.until - self.now()
        if left <= 0:
            raise TimeoutError("timed out")
        return min(left, threading.TIMEOUT_MAX)


MOMENT = _Moment()


class Wire(io.RawIOBase):
    """The receiving half of a socket for one response, with a moment until which it may wait.

    Attributes:
        until: that moment, on the clock `now`; may be moved between two reads.
    """

    def __init__(self, sock: Any, until: float, now: Callable[[], float]) -> None:
        self.until = until
        self._now = now
        self._sock = sock
        self._lock = threading.Lock()
        self._process = os.getpid()
        # A share in the socket: http.client closes its own when the server says "Connection: close".
        self._share = sock.makefile("rb", buffering=0)
        self._dry = False
        self._reader: io.BufferedReader | None = None
        self.response: HTTPResponse | None = None

    def makefile(self, *_: Any) -> io.BufferedReader:
        """What http.client asks a socket for."""
        self._reader = io.BufferedReader(self, _BUFFER)
        return self._reader

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        """One receive, not a moment longer than allowed.

        Raises:
            TimeoutError: if the moment comes first, or has passed.
        """
        if self._dry:
            return None  # as a socket says that would have to wait
        left = self.until - self._now()
        sock = self._sock
        if sock is None:
            return 0
        if left <= 0:
            raise TimeoutError("timed out")
        sock.settimeout(min(left, threading.TIMEOUT_MAX))
        received: int = sock.recv_into(buffer)
        return received

    def at_hand(self) -> bytes:
        """The data of the HTTP chunks that have arrived whole behind the last one that was read; never waits.

        A server that sends a chunk for each token is otherwise read one token at a time through all of urllib3,
        even if a hundred are there. What is taken here ends where http.client left off: before the CRLF that
        ends a chunk (RFC 9112, section 7.1), so that it goes on as if nothing had happened. Anything unusual is
        left to it, and so is the last chunk.
        """
        response, reader = self.response, self._reader
        if response is None or reader is None or self.closed or not response.chunked or response.chunk_left != 0:
            return b""
        self._dry = True
        try:
            buffered = reader.peek()
        finally:
            self._dry = False
        found: list[bytes] = []
        end = 0
        while (head := buffered.find(b"\r\n", end + 2)) > 0:
            try:
                size = int(buffered[end:head].partition(b";")[0], 16)  # the CRLF before it counts as a blank
            except ValueError:
                break
            start = head + 2
            if size <= 0 or start + size > len(buffered):
                break
            end = start + size
            found.append(buffered[start:end])
        if end:
            reader.read(end)
        return b"".join(found)

    def wake(self) -> None:
        """Ends the connection, so that a thread that waits in it returns; does nothing once the response is over."""
        if os.getpid() != self._process:  # a fork inherited it: to shut it down would end the parent's stream
            return
        # Under the lock, the socket cannot go back to the pool, and to another request, in between.
        with self._lock:
            if self._sock is not None:
                with suppress(OSError):
                    self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Gives the socket up: the response is over, and the pool may have it back."""
        if not self.closed:
            with self._lock:
                self._sock = None
            self._share.close()
            self._reader = self.response = None  # which hold this in turn
        super().close()

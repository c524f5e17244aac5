"""Sockets that obey a clock: every single receive and send is clamped to what is left until a moment.

`requests` knows a timeout for one receive, and none for all of them: a server that sends a byte now and then keeps
a caller for ever. Here the connections that `requests` pools read through a `Wire`, which knows the moment at which
waiting ends, in the status line, in headers, between chunks and in the body alike. A Wire also gives another thread
a way to wake one that waits, which is what closing a stream needs.

Only public hooks are used: `PoolManager.pool_classes_by_scheme` and `HTTPConnectionPool.ConnectionCls` of urllib3,
`connect`, `send` and `response_class` of http.client, `HTTPAdapter` of requests. This module imports them all, so it
is itself imported on first use.
"""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.client import HTTPResponse
from time import monotonic
from typing import TYPE_CHECKING, Any

from requests import PreparedRequest
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError
from urllib3.poolmanager import ProxyManager

__all__ = ["MOMENT", "ClockedAdapter", "Wire", "prepared"]

_BUFFER = 65536


class _Moment(threading.local):
    """Until when the request that this thread is sending may take.

    urllib3 has no way to hand a moment to the connection that it picks; it picks and uses it in the thread that
    calls, so the moment waits there.
    """

    def __init__(self) -> None:
        self.until = float("inf")
        self.now: Callable[[], float] = monotonic

    def set(self, until: float, now: Callable[[], float]) -> None:
        """Sets the moment for what this thread sends next."""
        self.until, self.now = until, now

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


def prepared(method: str, url: str, headers: Mapping[str, str], body: bytes) -> PreparedRequest:
    """A request filled by hand: preparing it as requests does would look for cookies, hooks and `.netrc`."""
    request = PreparedRequest()
    request.method, request.url, request.body = method, url, body
    request.headers = CaseInsensitiveDict(headers)
    return request


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


class _Clocked:
    """What is added to urllib3's connections."""

    wire: Wire | None = None

    if TYPE_CHECKING:
        sock: Any

    def connect(self) -> None:
        try:
            super().connect()  # type: ignore[misc]
        except TimeoutError as error:  # in the TLS handshake; urllib3 would call that a read
            raise ConnectTimeoutError(self, "the connection was not ready in time") from error
        self.sock.settimeout(MOMENT.left())

    def send(self, data: Any) -> None:
        # urllib3 would send under the connect timeout, which is too short for a prompt full of images.
        if self.sock is not None:
            self.sock.settimeout(MOMENT.left())
        super().send(data)  # type: ignore[misc]

    def response_class(self, sock: Any, *args: Any, **kwargs: Any) -> HTTPResponse:
        self.wire = wire = Wire(sock, MOMENT.until, MOMENT.now)
        wire.response = HTTPResponse(wire, *args, **kwargs)  # type: ignore[arg-type]  # it asks only for makefile
        return wire.response


class _Connection(_Clocked, HTTPConnection):  # type: ignore[misc]  # response_class: a maker in place of the class
    pass


class _TLSConnection(_Clocked, HTTPSConnection):  # type: ignore[misc]
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = _TLSConnection


_POOLS = {"http": _Pool, "https": _TLSPool}


class ClockedAdapter(HTTPAdapter):
    """An HTTPAdapter whose connections obey `MOMENT`, directly and through HTTP proxies (not through SOCKS)."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        if type(manager) is ProxyManager:  # the one for SOCKS has pools of its own
            manager.pool_classes_by_scheme = _POOLS
        return manager

    def close(self) -> None:
        # urllib3 leaves this to the garbage collection, which an error that somebody keeps can put off for ever.
        for manager in (self.poolmanager, *self.proxy_manager.values()):
            keys = manager.pools.keys()  # a container that cannot be iterated
            for key in keys:
                pool = manager.pools.get(key)
                if pool is not None:
                    pool.close()
        super().close()

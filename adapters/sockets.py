"""Sockets that obey a clock: every single receive and send is clamped to what is left until a moment.

`requests` knows a timeout for one receive, and none for all of them: a server that sends a byte now and then keeps
a caller for ever. Here the connections that `requests` pools read through a `Wire`, which knows the moment at which
waiting ends, in the status line, in headers, between chunks and in the body alike. A Wire also gives another thread
a way to wake one that waits, which is what closing a stream needs.

The hooks are public: `PoolManager.pool_classes_by_scheme` and `HTTPConnectionPool.ConnectionCls` of urllib3,
`connect`, `send` and `response_class` of http.client, `HTTPAdapter` of requests; but for `_new_conn` and `_dns_host`
of urllib3, which its own SOCKS connection replaces and reads as well. This module imports them all, so it is itself
imported on first use.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Mapping
from http.client import HTTPResponse
from typing import TYPE_CHECKING, Any

from requests import PreparedRequest
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, LocationParseError, NameResolutionError, NewConnectionError
from urllib3.poolmanager import ProxyManager
from urllib3.util.connection import allowed_gai_family

from .warm import Head
from .wire import MOMENT, Wire

__all__ = ["MOMENT", "ClockedAdapter", "Head", "Wire", "prepared"]

# Of several addresses each has its part of the time, so that a dead one does not use up what a live one needs; but
# not less than this, because no handshake is quicker for having many alternatives. So Go's dialer does it.
_LEAST_PART = 2.0
_MOST_POOLS = 8
_INFORMATIONAL = range(102, 200)  # 100 http.client knows; 101 would be the end of HTTP on this connection


def prepared(method: str, url: str, headers: Mapping[str, str], body: bytes) -> PreparedRequest:
    """A request filled by hand: preparing it as requests does would look for cookies, hooks and `.netrc`."""
    request = PreparedRequest()
    request.method, request.url, request.body = method, url, body
    request.headers = CaseInsensitiveDict(headers)
    return request


class _Response(HTTPResponse):
    """A response that begins where the answer does."""

    def begin(self) -> None:
        super().begin()
        while self.status in _INFORMATIONAL:
            self.headers = self.msg = None  # type: ignore[assignment]  # it begins only once otherwise
            super().begin()
        if self.headers.defects:
            # urllib3 would log them, with what the server sent, and that may be the key that it was sent.
            self.headers.defects.clear()
            self.headers.set_payload("")


class _Clocked:
    """What is added to urllib3's connections."""

    wire: Wire | None = None

    if TYPE_CHECKING:
        sock: Any
        host: str
        port: int
        source_address: tuple[str, int] | None
        socket_options: Any
        _dns_host: str

    def connect(self) -> None:
        with MOMENT.connecting():
            try:
                super().connect()  # type: ignore[misc]
                MOMENT.left()
            except TimeoutError as error:  # in a tunnel or the TLS handshake; urllib3 would call that a read
                raise ConnectTimeoutError(self, "the connection was not ready in time") from error
        self.sock.settimeout(MOMENT.left())

    def _new_conn(self) -> socket.socket:
        try:
            addresses = socket.getaddrinfo(self._dns_host, self.port, allowed_gai_family(), socket.SOCK_STREAM)
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error  # type: ignore[arg-type]
        except UnicodeError:
            raise LocationParseError(f"{self.host!r}, label empty or too long") from None
        failure: OSError | None = None
        try:
            for number, (family, kind, protocol, _, address) in enumerate(addresses):
                left = MOMENT.left()  # resolving the name cannot be interrupted, and may have used it all up
                part = min(left, max(left / (len(addresses) - number), _LEAST_PART))
                try:
                    sock = self._reach(family, kind, protocol, address, part)
                except OSError as error:
                    failure = error
                else:
                    sys.audit("http.client.connect", self, self.host, self.port)
                    return sock
            if isinstance(failure, TimeoutError):
                raise failure
            raise NewConnectionError(self, f"Failed to establish a new connection: {failure}") from failure  # type: ignore[arg-type]
        finally:
            failure = None  # whose traceback holds this frame

    def _reach(self, family: int, kind: int, protocol: int, address: Any, seconds: float) -> socket.socket:
        sock = socket.socket(family, kind, protocol)
        try:
            for option in self.socket_options or ():
                sock.setsockopt(*option)
            sock.settimeout(seconds)
            if self.source_address:
                sock.bind(self.source_address)
            sock.connect(address)
        except BaseException:
            sock.close()
            raise
        return sock

    def putrequest(self, method: str, url: str, *args: Any, **kwargs: Any) -> None:
        target, MOMENT.target = MOMENT.target, None
        MOMENT.head = None
        super().putrequest(method, target or url, *args, **kwargs)  # type: ignore[misc]

    def send(self, data: Any) -> None:
        # urllib3 would send under the connect timeout, which is too short for a prompt full of images.
        if self.sock is not None:
            self.sock.settimeout(MOMENT.left())
        if MOMENT.head is None:
            MOMENT.head = data
        super().send(data)  # type: ignore[misc]

    def response_class(self, sock: Any, *args: Any, **kwargs: Any) -> HTTPResponse:
        self.wire = wire = Wire(sock, MOMENT.until, MOMENT.now)
        wire.response = _Response(wire, *args, **kwargs)  # type: ignore[arg-type]  # it asks only for makefile
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

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._found: dict[Any, HTTPConnectionPool] = {}
        super().__init__(*args, **kwargs)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        if type(manager) is ProxyManager:  # the one for SOCKS has pools of its own
            manager.pool_classes_by_scheme = _POOLS
        return manager

    def get_connection_with_tls_context(
        self, request: PreparedRequest, verify: Any, proxies: Any = None, cert: Any = None
    ) -> HTTPConnectionPool:
        # One transport has one origin, and its settings do not change: looking the pool up anew, through three
        # parsed URLs and a key of thirty fields, would take a tenth of a whole call.
        key = _origin(request.url or ""), verify, cert, tuple(proxies.items()) if proxies else ()
        pool: Any = self._found.get(key)
        if pool is None or pool.pool is None:  # closed, by another thread
            pool = super().get_connection_with_tls_context(request, verify, proxies=proxies, cert=cert)
            if len(self._found) >= _MOST_POOLS:
                self._found.clear()
            self._found[key] = pool
        found: HTTPConnectionPool = pool
        return found

    def request_url(self, request: PreparedRequest, proxies: Any) -> str:
        whole = request.url or ""
        url = super().request_url(request, proxies) if proxies else whole[len(_origin(whole)) :]
        path, mark, _ = url.partition("?")
        if not mark:
            return url
        MOMENT.target = url  # a query may hold a key, and urllib3 logs what it is given
        return f"{path}?***"

    def close(self) -> None:
        # urllib3 leaves this to the garbage collection, which an error that somebody keeps can put off for ever.
        self._found.clear()
        for manager in (self.poolmanager, *self.proxy_manager.values()):
            keys = manager.pools.keys()  # a container that cannot be iterated
            for key in keys:
                pool = manager.pools.get(key)
                if pool is not None:
                    pool.close()
        super().close()

    def abandon(self) -> None:
        """Closes the copies that a forked process has of its parent's idle connections.

        Takes no lock, because a thread that the fork left behind may have held it; nobody else runs here yet.
        """
        for pool in list(self._found.values()):
            waiting = getattr(pool.pool, "queue", ())
            for connection in list(waiting):
                if connection is not None:
                    connection.close()


def _origin(url: str) -> str:
    """Scheme, host and port of a URL that has a path."""
    return url[: url.find("/", len("https://"))]

"""One client's connection: reads requests, carries out plans.

The parsing of HTTP is the standard library's. What is written here is what a well-behaved server would never
do: waiting in the middle of a response, leaving it unfinished, resetting.
"""

from __future__ import annotations

import json
import selectors
import socket
import struct
from collections.abc import Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler
from typing import Any, Protocol

from .dialect import phrase
from .plan import Action, Body, End, Head, Pause
from .seen import Seen

# poll() has no limit on file descriptors, select() has; epoll would cost a descriptor for each wait.
_Selector: type[selectors.BaseSelector] = getattr(selectors, "PollSelector", selectors.SelectSelector)


class Gone(Exception):
    """The client went away, or the server is closing: nobody waits for the rest of the response."""


class Core(Protocol):
    """What a connection needs from its server."""

    close_delimited: bool

    @property
    def closing(self) -> bool:
        """Whether the server is being closed."""

    @property
    def wake(self) -> socket.socket:
        """Becomes readable when the server is being closed."""

    @property
    def winding_down(self) -> bool:
        """Whether connections should not be kept for another request."""

    def busy(self, sock: socket.socket, is_busy: bool) -> None:
        """Take note whether a request is being answered on this connection."""

    def answer(self, seen: Seen, connection: Connection) -> Iterator[Action]:
        """Count the request and say what to do."""

    def settle(self, connection: Connection) -> None:
        """Take note that the answer is over; called once or more, just before its last bytes leave."""


class Connection(BaseHTTPRequestHandler):
    """Handles one connection from its first request to its end.

    Args:
        sock: the connected socket; its owner closes it afterwards.
        address: the client's address.
        core: the server.
    """

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # each event leaves when it is written

    def __init__(self, sock: socket.socket, address: tuple[str, int], core: Core) -> None:
        self._core = core
        self.in_chat = False
        super().__init__(sock, address, None)  # type: ignore[arg-type]  # no socketserver behind it

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Say nothing: a test server's log helps nobody."""

    def respond(self) -> None:
        """Answer the request whose headers were just read."""
        sock: socket.socket = self.connection
        self._core.busy(sock, True)
        try:
            path, _, query = self.path.partition("?")
            raw = self._read_body()
            headers: dict[str, str] = {}
            for name, value in self.headers.items():
                name = name.lower()
                headers[name] = f"{headers[name]}, {value}" if name in headers else value
            seen = Seen(0, self.command, path, query, headers, _parsed(raw), raw)
            self._perform(self._core.answer(seen, self))
        except (Gone, OSError):
            self.close_connection = True
        finally:
            self._core.settle(self)
            self._core.busy(sock, False)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = respond  # noqa: N815

    def gone(self) -> bool:
        """Whether there is nobody to answer any more."""
        if self._core.closing:
            return True
        try:
            self.connection.setblocking(False)
            try:
                return not self.connection.recv(1, socket.MSG_PEEK)
            finally:
                self.connection.setblocking(True)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def wait(self, seconds: float | None) -> None:
        """Let time pass.

        Args:
            seconds: how long; None is for ever.

        Raises:
            Gone: as soon as the client closes its side or the server is being closed.
        """
        if self._core.closing:
            raise Gone
        with _Selector() as selector:
            selector.register(self._core.wake, selectors.EVENT_READ)
            selector.register(self.connection, selectors.EVENT_READ)
            ready = {key.fileobj for key, _ in selector.select(seconds)}
            if self._core.wake in ready:
                raise Gone
            if self.connection in ready:
                if self.gone():
                    raise Gone
                # Bytes of a next request make the socket readable for good: count the time without it.
                selector.unregister(self.connection)
                if selector.select(seconds):
                    raise Gone

    def _read_body(self) -> bytes:
        if "chunked" in self.headers.get("transfer-encoding", "").lower():
            parts = []
            try:
                while size := int(self.rfile.readline().split(b";")[0], 16):
                    parts.append(self.rfile.read(size))
                    self.rfile.readline()
            except ValueError:  # not chunked after all, or cut off: there is no telling where it ends
                raise Gone from None
            while self.rfile.readline().strip():
                pass  # trailers
            return b"".join(parts)
        length = self.headers.get("content-length", "0")
        return self.rfile.read(int(length)) if length.isdecimal() else b""

    def _perform(self, actions: Iterator[Action]) -> None:
        pending = b""
        chunked = False
        silent = self.command == "HEAD"
        started = False  # whether `pending` holds an event already: one write for each
        for action in actions:
            match action:
                case Head():
                    chunked = action.length is None and self._chunks
                    silent = silent or action.status in (204, 304)
                    pending += self._head(action, chunked)
                case Body(data):
                    if started:
                        self.connection.sendall(pending)
                        pending = b""
                    started = True
                    if data and not silent:
                        pending += b"%x\r\n%b\r\n" % (len(data), data) if chunked else data
                case Pause(seconds):
                    self.connection.sendall(pending)
                    pending, started = b"", False
                    self.wait(seconds)
                case End("clean", keep):
                    # Settled before the last bytes leave: a client that has its answer finds it counted.
                    self._core.settle(self)
                    self.connection.sendall(pending + (b"0\r\n\r\n" if chunked and not silent else b""))
                    if not keep or self._core.winding_down:
                        self.close_connection = True
                case End(how):
                    if pending:
                        self.connection.sendall(pending)
                    self._core.settle(self)
                    self.close_connection = True
                    if how == "reset":
                        # No lingering: the close that follows sends RST in place of FIN.
                        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    @property
    def _chunks(self) -> bool:
        return not self._core.close_delimited and self.request_version != "HTTP/1.0"

    def _head(self, head: Head, chunked: bool) -> bytes:
        lines = [f"HTTP/1.1 {head.status} {phrase(head.status)}", f"date: {formatdate(usegmt=True)}"]
        lines.extend(f"{name}: {value}" for name, value in head.headers)
        if head.length is not None:
            if head.status not in (204, 304):
                lines.append(f"content-length: {head.length}")
        elif chunked:
            lines.append("transfer-encoding: chunked")
        else:
            self.close_connection = True  # its end is the only sign of the end
        if self.close_connection or self._core.winding_down:
            self.close_connection = True
            lines.append("connection: close")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


def _parsed(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return raw

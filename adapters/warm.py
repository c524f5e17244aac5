"""A request over a warm connection: the head of one that was sent before, with another body behind it.

urllib3 and http.client make every head anew, look at each of its fields several times, and parse the head of the
answer as an e-mail; with what requests adds, that is two thirds of what a call costs its client. The first request of
a kind goes that way, and is checked on it. Here its head, byte for byte as it was sent, is sent again with another
`Content-Length`, over a connection that urllib3's pool has ready; and the head of the answer is read in one piece, if
it came in one piece and is plain. All else goes the usual way: a first connection, a session or a transport adapter
of the caller's, and everything where somebody has put himself in between, as tests and instrumentation do.

Only public parts are used: `HTTPConnectionPool.pool`, `HTTPConnection.is_connected`, `send` and `response_class`, and
`HTTPResponse` of urllib3 and of http.client.
"""

from __future__ import annotations

import re
from errno import ECONNRESET, EPROTOTYPE
from http.client import HTTPMessage, IncompleteRead
from queue import Empty, Full
from typing import Any

import urllib3
from requests import Session
from requests.adapters import HTTPAdapter
from urllib3.connectionpool import HTTPConnectionPool

__all__ = ["Answer", "Fields", "Head", "begin"]

_LENGTH = re.compile(rb"(?<=\r\nContent-Length: )(\d+)(?=\r\n)")
_STATUS = re.compile(rb"HTTP/1\.([01]) ([2-9]\d\d) ?([^\r\n]*)\r\n")
_FIELD = re.compile(r"[^\s:]+:[^\r\n\0]*")
_FOLD = re.compile(r"\r?\n[ \t]+")
_TOGETHER = 64 * 1024  # bytes of a body that are worth copying to send it in one piece with its head
_NO_BODY = frozenset({204, 304})


def _way() -> tuple[Any, ...]:
    """What a request usually goes through, and what is put in the place of it by those who want to see requests."""
    return Session.get_adapter, HTTPAdapter.send, HTTPConnectionPool.urlopen


_USUAL = _way()
_FREE = not any(hasattr(function, "__wrapped__") for function in _USUAL)


class Fields(dict[str, str]):
    """The fields of a head, by name in whatever case; several of one name are one, with commas in between."""

    __slots__ = ()

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and super().__contains__(name.lower())

    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name.lower(), default)

    def add(self, name: str, value: str) -> None:
        """Adds one field."""
        name = name.lower()
        known = super().get(name)
        super().__setitem__(name, value if known is None else f"{known}, {value}")


class Head:
    """The head of a request that was sent, for others that differ in the body only. Thread-safe; never shown."""

    __slots__ = ("_after", "_before", "_method", "_pool")

    def __init__(self, pool: HTTPConnectionPool, method: str, before: bytes, after: bytes) -> None:
        """Keeps the parts of the head before and after the length, and the pool whose connections it is for."""
        self._pool: Any = pool
        self._method = method
        self._before = before
        self._after = after

    @classmethod
    def of(cls, pool: HTTPConnectionPool, method: str, sent: bytes) -> Head | None:
        """The head that was sent, or None if there is no length in it to be replaced."""
        found = list(_LENGTH.finditer(sent)) if _FREE else []
        if len(found) != 1:
            return None
        return cls(pool, method, sent[: found[0].start()], sent[found[0].end() :])

    def send(self, body: bytes) -> Answer | None:
        """Sends it with that body; None, and nothing was sent, if no connection is warm or somebody is in between.

        Raises:
            OSError: if the connection breaks.
            HTTPException: if what comes is no answer.
        """
        connection = self._connection() if _way() == _USUAL else None
        if connection is None:
            return None
        head = b"%b%d%b" % (self._before, len(body), self._after)
        try:
            try:
                if len(body) <= _TOGETHER:
                    connection.send(head + body)
                else:
                    connection.send(head)
                    connection.send(body)
            except BrokenPipeError:
                pass  # as urllib3: the server may have answered already, without reading all of it
            except OSError as error:
                if error.errno not in (ECONNRESET, EPROTOTYPE):
                    raise
            response = connection.response_class(connection.sock, method=self._method)
            try:
                return Answer(response, begin(response), connection, self._pool)
            except BaseException:
                response.close()
                raise
        except BaseException:
            connection.close()
            raise

    def _connection(self) -> Any:
        """A connection of the pool that is open and idle, or None."""
        try:
            connection = self._pool.pool.get_nowait()
        except (Empty, AttributeError):  # in use, all of them; or closed, by another thread
            return None
        if connection is not None and connection.is_connected:
            return connection
        _back(self._pool, connection)  # which opens it, or another one in its place
        return None


def _back(pool: Any, connection: Any) -> None:
    try:
        pool.pool.put_nowait(connection)
    except (Full, AttributeError):
        if connection is not None:
            connection.close()


def begin(response: Any) -> Fields:
    """Reads the head of a response of http.client, and gives its fields.

    http.client does it, unless all of it is there and plain.
    """
    buffered: bytes = response.fp.peek()
    end = buffered.find(b"\r\n\r\n")
    status = _STATUS.match(buffered) if end > 0 else None
    lines = [] if status is None else buffered[status.end() : end].decode("latin-1").split("\r\n")
    fields = Fields()
    if status is not None and all(map(_FIELD.fullmatch, lines)):
        for line in lines:
            name, _, value = line.partition(":")
            fields.add(name, value.strip(" \t"))
    if not fields or "," in fields.get("content-length", ""):
        response.begin()
        fields = Fields()
        for name, value in response.headers.items():
            fields.add(name, _FOLD.sub(" ", value))  # a line might once be folded
        return fields
    assert status is not None
    response.fp.read(end + 4)
    response.status = response.code = int(status[2])
    response.reason = status[3].decode("latin-1").strip()
    response.version = 10 + int(status[1])
    response.headers = response.msg = HTTPMessage()  # which says that it has begun
    _frame(response, fields)
    return fields


def _frame(response: Any, fields: Fields) -> None:
    """Says how long the body is, and whether the connection outlives it, as http.client does (RFC 9112, section 6)."""
    kept = fields.get("connection", "").lower()
    response.chunked = fields.get("transfer-encoding", "").lower() == "chunked"
    response.chunk_left = None
    length = fields.get("content-length", "")
    response.length = int(length) if length.isdecimal() and length.isascii() and not response.chunked else None
    if response.status in _NO_BODY:
        response.length = 0
    if response.version == 11:
        response.will_close = "close" in kept
    else:
        response.will_close = not ("keep-alive" in fields or "keep-alive" in kept)
    if not response.chunked and response.length is None:
        response.will_close = True


class Answer:
    """An answer whose head is here, as far as it is asked for of what requests would have made of it.

    Attributes:
        status_code, headers: of its head.
        raw: what its body is read from: itself, or urllib3's response if the body is encoded.
        connection: what it arrives on; None once it is over.
    """

    __slots__ = ("_left", "_pool", "_response", "connection", "headers", "raw", "status_code")

    def __init__(self, response: Any, fields: Fields, connection: Any, pool: Any) -> None:
        self.status_code = response.status
        self.headers = fields
        self.connection = connection
        self._response = response
        self._pool = pool
        self._left: int | None = response.length
        self.raw: Any = self
        if "content-encoding" in fields:
            self.raw = urllib3.HTTPResponse(
                body=response,
                headers=fields,
                status=response.status,
                preload_content=False,
                original_response=response,
                pool=pool,
                connection=connection,
            )
        elif self._left == 0:
            self._over()

    def read1(self, size: int, decode_content: bool = False) -> bytes:
        """What is there of the body, at most `size` bytes; waits if nothing is; b"" at its end.

        Raises:
            OSError: if the connection breaks.
            HTTPException: if the body ends before its length, or its chunks make no sense.
        """
        response = self._response
        if self.connection is None:
            return b""
        if self._left is None:
            data: bytes = response.read1(size)  # which knows when chunks end
        else:
            data = response.fp.read1(min(size, self._left))
            if not data:
                raise IncompleteRead(b"", self._left)
            self._left -= len(data)
        if not data or self._left == 0:
            self._over()
        return data

    def _over(self) -> None:
        connection, self.connection = self.connection, None
        keep = not self._response.will_close
        self._response.close()
        if keep:
            _back(self._pool, connection)
        else:
            connection.close()

    def close(self) -> None:
        """Ends the answer; unless it is over, its connection cannot be used again."""
        connection, self.connection = self.connection, None
        if connection is not None:
            self._response.close()
            connection.close()

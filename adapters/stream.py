"""Framing: cuts a stream of bytes into the messages that a provider sent. The only place that knows how.

Two framings cover all providers: server-sent events (OpenAI, Claude and whoever speaks like them) and one JSON
object per line (Ollama). Both are push parsers without I/O: bytes go in as they arrive, in pieces of any size, and
whole messages come out as soon as their last byte is there. How the bytes were cut on the way never shows.

Lines are found before text is decoded. That is safe, because the bytes CR and LF never occur inside a UTF-8
character, and it spares the hot path a decoder: data stays bytes, which is what the JSON decoder wants.
"""

from __future__ import annotations

from ..pipeline import Unavailable

__all__ = ["MAX_EVENT", "SSE", "Event", "Lines"]

MAX_EVENT = 16 * 1024 * 1024
"""The longest event or line that is accepted, in bytes. The standard has no limit; memory has."""

Event = tuple[str, bytes]
"""An event's type ("message" if the server named none) and its data, valid UTF-8."""

_BOM = b"\xef\xbb\xbf"


def _clean(data: bytes) -> bytes:
    """The same text as valid UTF-8: what is invalid becomes U+FFFD, as the WHATWG decoder does it."""
    if data.isascii():
        return data
    try:
        data.decode()
    except UnicodeDecodeError:
        return data.decode("utf-8", "replace").encode()
    return data


class _Cutter:
    """Cuts bytes at LF and keeps the unfinished line, in time that is linear in the bytes."""

    __slots__ = ("_limit", "_start", "_tail")

    def __init__(self, limit: int = MAX_EVENT) -> None:
        """Builds a parser for one stream.

        Args:
            limit: the longest event or line that is accepted, in bytes, 1 or more.
        """
        self._limit = limit
        self._tail = bytearray()  # grows in place, so that a long line in tiny pieces is not copied for each
        self._start: bytes | None = b""  # what came before it is known whether a BOM begins the stream

    def _unmarked(self, data: bytes) -> bytes:
        """Drops one BOM from the very start, even if it comes byte by byte; b"" while that is undecided."""
        data = (self._start or b"") + data
        if len(data) < len(_BOM) and _BOM.startswith(data):
            self._start = data
            return b""
        self._start = None
        return data[len(_BOM) :] if data.startswith(_BOM) else data

    def _cut(self, data: bytes) -> list[bytes]:
        """The lines that `data` completes, without their ends."""
        lines = data.split(b"\n")
        tail = self._tail
        if len(lines) == 1:
            tail += data
        else:
            if tail:
                tail += lines[0]
                lines[0] = bytes(tail)
                tail.clear()
            tail += lines[-1]
        del lines[-1]
        return lines

    def _rest(self) -> bytes:
        """The last line, which has no end."""
        rest = (self._start or b"") + bytes(self._tail)
        self._start = None
        self._tail.clear()
        return rest

    def _too_long(self) -> Unavailable:
        return Unavailable(f"the stream has an event of more than {self._limit} bytes", reason="malformed_response")


class SSE(_Cutter):
    """Server-sent events, by the parsing rules of the WHATWG HTML standard, section "Server-sent events".

    `id` and `retry` serve to reconnect, which the answer to a POST cannot: they are skipped like unknown fields.
    """

    __slots__ = ("_after_cr", "_data", "_size", "_type")

    def __init__(self, limit: int = MAX_EVENT) -> None:
        super().__init__(limit)
        self._after_cr = False
        self._data: list[bytes] = []  # the data lines of the event that is arriving
        self._size = 0  # of these, with one byte for each line's end
        self._type = ""

    def feed(self, data: bytes) -> list[Event]:
        """Takes the next bytes of the stream, any number of them.

        Returns:
            The events that became complete, in order.

        Raises:
            Unavailable: with reason "malformed_response", if an event is longer than the limit.
        """
        if self._start is not None:
            data = self._unmarked(data)
        if not data:
            return []
        if self._after_cr:  # the CR ended its line when it came; a LF that comes now belongs to it
            self._after_cr = False
            if data[0] == 10:
                data = data[1:]
        if b"\r" in data:
            self._after_cr = data[-1] == 13
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

        parts = self._data
        if (  # a whole event of one line, as most servers send one at a time: nothing to cut, nothing to keep
            data.startswith(b"data: ")
            and data.find(b"\n") == len(data) - 2
            and data.endswith(b"\n")
            and not (self._tail or parts or self._type)
        ):
            return [self._dispatch([data[6:-2]])]
        events: list[Event] = []
        for line in self._cut(data):
            if not line:
                if parts:
                    events.append(self._dispatch(parts))
                    parts.clear()
                    self._size = 0
                self._type = ""
            elif line.startswith(b"data: "):  # what nearly every line is
                parts.append(line[6:])
                self._size += len(line)
            else:
                self._field(line)
        if self._size + len(self._tail) > self._limit:
            raise self._too_long()
        return events

    def flush(self) -> list[Event]:
        """Ends the stream and gives the event that has no blank line behind it, if there is one.

        The standard throws it away. A decoder may take it if it proves the end of the answer: some servers close
        the connection without the last line end.
        """
        line = self._rest()
        if line:
            self._field(line)
        parts, self._data = self._data, []
        return [self._dispatch(parts)] if parts else []

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")  # a comment has an empty name
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
            self._size += len(line)
        elif name == b"event":
            self._type = value.removeprefix(b" ").decode("utf-8", "replace")

    def _dispatch(self, parts: list[bytes]) -> Event:
        data = parts[0] if len(parts) == 1 else b"\n".join(parts)
        if len(data) > self._limit:
            raise self._too_long()
        return self._type or "message", _clean(data)


class Lines(_Cutter):
    """One JSON document per line (NDJSON). Only LF ends a line; a CR before it, and blank lines, are dropped."""

    __slots__ = ()

    def feed(self, data: bytes) -> list[bytes]:
        """Takes the next bytes of the stream, any number of them.

        Returns:
            The lines that became complete, in order, as valid UTF-8.

        Raises:
            Unavailable: with reason "malformed_response", if a line is longer than the limit.
        """
        if self._start is not None:
            data = self._unmarked(data)
        if not data:
            return []
        lines = [_clean(line) for raw in self._cut(data) if (line := raw.removesuffix(b"\r")) and not line.isspace()]
        if len(self._tail) > self._limit or any(len(line) > self._limit for line in lines):
            raise self._too_long()
        return lines

    def flush(self) -> list[bytes]:
        """Ends the stream and gives the last line if it lacked its end; it may be cut."""
        rest = self._rest().removesuffix(b"\r")
        return [_clean(rest)] if rest and not rest.isspace() else []

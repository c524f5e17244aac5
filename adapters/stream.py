"""Framing: cuts a stream of bytes into the messages that a provider sent. The only place that knows how.

Two framings cover all servers: server-sent events (OpenAI, Claude and whoever speaks like them) and one JSON
object per line (Ollama). A third is for programs, which write plain text: `Spoken` adds to the text how it ended, and
`Output` reads both. All are push parsers without I/O: bytes go in as they arrive, in pieces of any size, and
whole messages come out as soon as their last byte is there. How the bytes were cut on the way never shows.

Lines are found before text is decoded. That is safe, because the bytes CR and LF never occur inside a UTF-8
character, and it spares the hot path a decoder: data stays bytes, which is what the JSON decoder wants.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from typing import AnyStr

from ..pipeline import Unavailable

__all__ = ["MAX_EVENT", "SSE", "Event", "Lines", "Output", "Spoken", "begun"]

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


def begun(text: AnyStr, words: Sequence[AnyStr]) -> int:
    """How much of the end of the text may be the beginning of one of the words, the longest of them."""
    sizes = (size for word in words for size in range(1, len(word)) if text.endswith(word[:size]))
    return max(sizes, default=0)


# Between a program's text and the word on how it ended, and behind that. No text has it: C writes none.
_NUL = b"\0"
_UNKNOWN = "\ufffd".encode()


class Spoken:
    """What a program writes, up to the first of some words, and then how it ended: see `Output`.

    Attributes:
        found: one of the words has come; nothing that follows belongs to the text.
    """

    __slots__ = ("_held", "_words", "found")

    def __init__(self, words: Sequence[bytes] = ()) -> None:
        self._words = words
        self._held = b""
        self.found = False

    def feed(self, data: bytes) -> bytes:
        """Takes the next bytes of the text; returns what is sure to stand before each of the words."""
        if self.found:
            return b""
        data = self._held + data.replace(_NUL, _UNKNOWN)
        ends = [(start + len(word), start) for word in self._words if (start := data.find(word)) >= 0]
        self.found = bool(ends)
        # The word that is complete first; of two that are, the longer one.
        sure = min(ends)[1] if ends else len(data) - begun(data, self._words)
        self._held = b"" if ends else data[sure:]
        return data[:sure]

    def end(self, how: str, told: bytes) -> bytes:
        """What was held back, and the proof that the text is whole.

        Args:
            how: why the text ends, in one word.
            told: what the program had to say about it.
        """
        return b"".join((self._held, _NUL, how.encode(), b"\n", told.replace(_NUL, _UNKNOWN), _NUL))


class Output:
    """The text of a program as it arrives, and how it ended.

    A frame is a pair: "text" and the next characters; or, as the last one, the reason that `Spoken.end` was given
    and what the program told. A character that was cut is held back; what is not UTF-8 becomes U+FFFD.
    """

    __slots__ = ("_decoder", "_limit", "_told")

    def __init__(self, limit: int = MAX_EVENT) -> None:
        """Builds a parser for one program.

        Args:
            limit: the longest word on the end that is accepted, in bytes.
        """
        self._limit = limit
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._told: bytearray | None = None

    def feed(self, data: bytes) -> list[tuple[str, str]]:
        """Takes the next bytes, any number of them; returns the frames that became complete.

        Raises:
            Unavailable: with reason "malformed_response", if the word on the end is longer than the limit.
        """
        frames = []
        if self._told is None:
            text, mark, data = data.partition(_NUL)
            if characters := self._decoder.decode(text, final=bool(mark)):
                frames.append(("text", characters))
            if not mark:
                return frames
            self._told = bytearray()
        self._told += data
        if len(self._told) > self._limit:
            raise Unavailable(f"a program told more than {self._limit} bytes", reason="malformed_response")
        if self._told.endswith(_NUL):
            how, _, told = self._told[:-1].decode("utf-8", "replace").partition("\n")
            frames.append((how, told))
        return frames

    def flush(self) -> list[tuple[str, str]]:
        """Ends the stream: without the word on how it ended, what was held back proves nothing."""
        return []

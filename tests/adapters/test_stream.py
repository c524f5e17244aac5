"""Framing: the standard's rules, any cut of the bytes, and bounds on time and memory."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mainstay.adapters.stream import MAX_EVENT, SSE, Event, Lines
from mainstay.pipeline import Unavailable

A = ("message", b"a")

# The WHATWG standard's rules, one vector each.
VECTORS: list[tuple[bytes, list[Event]]] = [
    (b"data: a\n\n", [A]),
    (b"data:a\n\n", [A]),
    (b"data:  a\n\n", [("message", b" a")]),
    (b"data:\ta\n\n", [("message", b"\ta")]),
    (b"data: a\ndata: b\n\n", [("message", b"a\nb")]),
    (b"data\n\n", [("message", b"")]),
    (b"data:\n\n", [("message", b"")]),
    (b"data\ndata\n\n", [("message", b"\n")]),
    (b"data: a\r\n\r\ndata: b\r\rdata: c\n\n", [A, ("message", b"b"), ("message", b"c")]),
    (b"data: a\r\n\r\n", [A]),
    (b"data: a\n\r\n", [A]),
    (b"data: a\r\n\r\ndata: b\r\n\r\n", [A, ("message", b"b")]),
    (b": ping\n\n", []),
    (b":\n\n:\n\n", []),
    (b"event: x\n\n", []),
    (b"event: x\n\ndata: a\n\n", [A]),
    (b"event: x\ndata: 1\n\ndata: 2\n\n", [("x", b"1"), ("message", b"2")]),
    (b"event: x\nevent: y\ndata: 1\n\n", [("y", b"1")]),
    (b"event: x\nevent:\ndata: 1\n\n", [("message", b"1")]),
    (b"data: 1\nevent: x\n\n", [("x", b"1")]),
    (b"id: 1\ndata: a\n\ndata: b\n\n", [A, ("message", b"b")]),
    (b"id: 1\x002\ndata: a\n\n", [A]),
    (b"retry: 10x\n\n", []),
    (b"retry: 10\ndata: a\n\n", [A]),
    (b"foo: bar\ndata: a\n\n", [A]),
    (b'data: {"a": "x: y"}\n\n', [("message", b'{"a": "x: y"}')]),
    (b"\xef\xbb\xbfdata: a\n\n", [A]),
    (b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n", []),
    (b"data: \xef\xbb\xbfa\n\n", [("message", b"\xef\xbb\xbfa")]),
    (b"data: a\n\n\n\n", [A]),
    (b"\n\n\ndata: a\n\n", [A]),
    (b"data: a", []),
    (b"data: a\n", []),
    (b"data: \xe2\x80\xa8\n\n", [("message", b"\xe2\x80\xa8")]),
    (b"data: a\x0bb\x0cc\x1cd\xc2\x85e\n\n", [("message", b"a\x0bb\x0cc\x1cd\xc2\x85e")]),
    (b"data: \xff\n\n", [("message", "�".encode())]),
    (b"data: \xe2\x82\n\n", [("message", "�".encode())]),
    (b"data: \xf0\x9f\x98\x80\n\n", [("message", "😀".encode())]),
    (b"Data: a\n\n", []),
    (b" data: a\n\n", []),
    (b"data : a\n\n", []),
]


def frames(pieces: list[bytes]) -> list[Event]:
    parser = SSE()
    return [event for piece in pieces for event in parser.feed(piece)]


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


@pytest.mark.parametrize(("data", "events"), VECTORS, ids=[repr(vector[0]) for vector in VECTORS])
class TestTheStandard:
    def test_at_once(self, data: bytes, events: list[Event]) -> None:
        assert frames([data]) == events

    def test_byte_by_byte(self, data: bytes, events: list[Event]) -> None:
        assert frames([bytes([byte]) for byte in data]) == events

    def test_cut_anywhere(self, data: bytes, events: list[Event]) -> None:
        for place in range(len(data) + 1):
            assert frames([data[:place], b"", data[place:]]) == events


def reference(data: bytes) -> list[Event]:
    """The standard, word by word, over the whole text at once."""
    text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
    lines = re.split("\r\n|\n|\r", text)[:-1]
    events: list[Event] = []
    kind, buffer = "", ""
    for line in lines:
        if line == "":
            if buffer:
                events.append((kind or "message", buffer[:-1].encode()))
            kind, buffer = "", ""
        elif not line.startswith(":"):
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "event":
                kind = value
            elif name == "data":
                buffer += value + "\n"
    return events


pieces_of_streams = st.lists(
    st.sampled_from(
        [
            b"data: ",
            b"data:",
            b"data",
            b"event: x",
            b"event",
            b":",
            b" ",
            b"a",
            b'{"b": "c: d"}',
            b"\n",
            b"\n\n",
            b"\r",
            b"\r\n",
            b"id: 1",
            b"\xef\xbb\xbf",
            "é".encode(),
            "😀".encode(),
            b"\xff",
            b"\xe2\x82",
            b"data: a\n\n",
            b"\x00",
        ]
    ),
    max_size=25,
).map(b"".join)


@given(pieces_of_streams, st.lists(st.integers(0, 10_000), max_size=12))
@example(b"data: a\n\ndata: b\n\n", [8])
@example(b"event: x\ndata: a\n\n", [9])
@example(b"data: a\r\n\r\n", [8, 9, 10])
def test_no_cut_of_the_bytes_shows(data: bytes, places: list[int]) -> None:
    assert frames(cut(data, places)) == frames([data]) == reference(data)


def test_an_event_comes_with_the_byte_that_completes_it() -> None:
    parser = SSE()
    assert parser.feed(b"data: a\r") == []
    assert parser.feed(b"\r") == [A]  # a lone CR ends a line now, not with the next byte
    assert parser.feed(b"\n") == []
    assert parser.feed(b"data: b\n\ndata: c\n\nda") == [("message", b"b"), ("message", b"c")]


@pytest.mark.parametrize(
    ("data", "event"),
    [
        (b"data: a", [A]),
        (b"data: a\n", [A]),
        (b"data: a\r", [A]),
        (b"event: x\ndata: a", [("x", b"a")]),
        (b"data: a\n\n", []),
        (b"event: x\n", []),
        (b": ping", []),
        (b"\xef\xbb", []),
        (b"", []),
    ],
)
def test_flush_offers_what_lacks_its_end(data: bytes, event: list[Event]) -> None:
    parser = SSE()
    parser.feed(data)
    assert parser.flush() == event
    assert parser.flush() == []


@pytest.mark.parametrize(
    "data",
    [b"data: " + b"x" * 200, b"data: " + b"x" * 200 + b"\n\n", b"data: xxxxxxxxxx\n" * 20, b"data\n" * 200, b":" * 200],
    ids=["line without end", "event", "lines of an event", "empty lines", "comment"],
)
def test_an_event_has_a_longest_size(data: bytes) -> None:
    for pieces in ([data], [bytes([byte]) for byte in data]):
        parser = SSE(limit=100)
        with pytest.raises(Unavailable) as caught:
            for piece in pieces:
                parser.feed(piece)
        assert caught.value.reason == "malformed_response"


def test_the_limit_is_for_one_event_not_for_all() -> None:
    parser = SSE(limit=100)
    assert len(parser.feed(b"data: 123456789012345678901234567890\n\n" * 50)) == 50


def in_pieces(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


@pytest.mark.timeout(60)  # seconds; if it took quadratic time, it would take many minutes
@pytest.mark.parametrize("parser", [SSE, Lines])
def test_a_long_line_in_single_bytes_takes_linear_time(parser: type[SSE | Lines]) -> None:
    line = b"data: " + b"x" * 1_000_000 + b"\n\n"
    cutter = parser()
    assert len([frame for piece in in_pieces(line, 1) for frame in cutter.feed(piece)]) == 1


@pytest.mark.timeout(60)
@pytest.mark.parametrize("size", [1, 1000, 65536])
def test_an_event_of_many_lines_takes_linear_time(size: int) -> None:
    lines = [b"data: " + b"x" * 10] * 50_000
    data = b"\n".join([*lines, b"", b""])
    cutter = SSE()
    (event,) = [event for piece in in_pieces(data, size) for event in cutter.feed(piece)]
    assert event == ("message", b"\n".join([b"x" * 10] * 50_000))


@pytest.mark.timeout(60)
@pytest.mark.parametrize("size", [1000, 65536, 3_999_999])
def test_events_of_megabytes_come_whole(size: int) -> None:
    text = ("é€😀x" * 400_000).encode()  # 4 MB, and pieces end inside characters
    assert frames(in_pieces(b"data: " + text + b"\r\n\r\n" + b"data: a\n\n", size)) == [("message", text), A]
    cutter = Lines()
    assert [line for piece in in_pieces(text + b"\r\n{}\n", size) for line in cutter.feed(piece)] == [text, b"{}"]


@pytest.mark.parametrize("parser", [SSE, Lines])
def test_the_longest_event_passes_and_a_longer_one_does_not(parser: type[SSE | Lines]) -> None:
    # A line counts with the name of its field, an event without.
    longest, longer = (b"data:" + b"x" * (MAX_EVENT - 5), b"data:" + b"x" * (MAX_EVENT + 1))
    cutter = parser()
    assert len([frame for piece in in_pieces(longest + b"\n\n", 65536) for frame in cutter.feed(piece)]) == 1
    cutter = parser()
    with pytest.raises(Unavailable, match=f"the stream has an event of more than {MAX_EVENT} bytes") as caught:
        [cutter.feed(piece) for piece in in_pieces(longer + b"\n\n", 65536)]
    assert caught.value.reason == "malformed_response"


class TestLines:
    @pytest.mark.parametrize(
        ("data", "lines", "rest"),
        [
            (b'{"a":1}\n{"b":2}\n', [b'{"a":1}', b'{"b":2}'], []),
            (b'{"a":1}\r\n', [b'{"a":1}'], []),
            (b'\n \n\r\n{"a":1}\n', [b'{"a":1}'], []),
            (b'{"a":1}\n{"b"', [b'{"a":1}'], [b'{"b"']),
            (b'{"a":1}\r', [], [b'{"a":1}']),
            ('{"a":"\u2028\x85"}\n'.encode(), ['{"a":"\u2028\x85"}'.encode()], []),
            (b'{"a":1}\r{"b":2}\n', [b'{"a":1}\r{"b":2}'], []),
            (b'\xef\xbb\xbf{"a":1}\n', [b'{"a":1}'], []),
            (b"\xff\n", ["�".encode()], []),
            (b"", [], []),
        ],
    )
    def test_only_line_feeds_end_a_line(self, data: bytes, lines: list[bytes], rest: list[bytes]) -> None:
        for pieces in ([data], [bytes([byte]) for byte in data]):
            parser = Lines()
            assert [line for piece in pieces for line in parser.feed(piece)] == lines
            assert parser.flush() == rest

    @given(
        st.lists(st.sampled_from([b"{}", b"\n", b"\r", b" ", b"a", "é".encode(), b"\xff"])),
        st.lists(st.integers(0, 99)),
    )
    def test_no_cut_of_the_bytes_shows(self, parts: list[bytes], places: list[int]) -> None:
        data = b"".join(parts)
        whole, cuts = Lines(), Lines()
        assert [line for piece in cut(data, places) for line in cuts.feed(piece)] == whole.feed(data)
        assert cuts.flush() == whole.flush()

    def test_a_line_has_a_longest_size(self) -> None:
        for data in (b"x" * 101, b"x" * 101 + b"\n"):
            with pytest.raises(Unavailable, match="more than 100 bytes"):
                Lines(limit=100).feed(data)

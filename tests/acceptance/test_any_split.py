"""Streams of all providers, cut anywhere, ended anywhere, damaged anywhere: one answer, or one honest error.

The transcripts are what each server writes, with everything that it may hold: text, tool calls in fragments, reasoning
with signatures, refusals, log probabilities, usage, comments and pings, errors half-way, and text that was cut inside
a character.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import pairwise, repeat
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainstay.adapters import Adapter
from mainstay.adapters.stream import MAX_EVENT
from mainstay.pipeline import ProviderError, Reply, Request, TruncatedStream
from support.raw_server import READY, RawServer, chunked, head
from support.transcripts import CODECS, Pieces, Transcript, failed, transcripts

ALL = transcripts()
ANY = st.sampled_from(ALL)
each = pytest.mark.parametrize("transcript", ALL, ids=lambda transcript: transcript.name)
within = settings(deadline=2000)  # milliseconds for one example
FINISH = {"stop", "length", "tool_calls", "content_filter", "unknown"}


def line_ends(transcript: Transcript) -> Iterator[bytes]:
    """The same stream with each line end that its framing allows: a gateway may have written them anew."""
    yield transcript.data
    yield transcript.data.replace(b"\n", b"\r\n")
    if transcript.server != "ollama":
        yield transcript.data.replace(b"\n", b"\r")


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """The pieces between these places; some may have no byte."""
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


# -- any split -------------------------------------------------------------------------------------------------


@each
def test_what_each_says(transcript: Transcript) -> None:
    for data in line_ends(transcript):
        assert transcript.outcome([data]) == transcript.expected
        assert transcript.outcome([b"\xef\xbb\xbf", data]) == transcript.expected


@each
def test_byte_by_byte_it_says_the_same(transcript: Transcript) -> None:
    for data in line_ends(transcript):
        pieces = [bytes([byte]) for byte in data]
        assert transcript.outcome(pieces) == transcript.expected
        assert transcript.chunks(pieces) == transcript.chunks([data])


@within
@given(ANY, st.integers(0, 2), st.lists(st.integers(0, 10_000), max_size=30))
def test_no_cut_of_the_bytes_shows(transcript: Transcript, ends: int, places: list[int]) -> None:
    variants = list(line_ends(transcript))
    pieces = cut(variants[ends % len(variants)], places)
    assert transcript.chunks(pieces) == transcript.chunks([transcript.data])
    assert transcript.outcome(pieces) == transcript.expected


# -- any prefix ------------------------------------------------------------------------------------------------


def assert_honest(transcript: Transcript, outcome: Mapping[str, Any]) -> None:
    """It is the whole answer, or says that it is not and gives nothing that was not said."""
    if "error" not in outcome:
        # What may come behind the proof of the end is usage.
        assert outcome["usage"] in (None, transcript.expected.get("usage"))
        assert {**outcome, "usage": None} == {**transcript.expected, "usage": None}
        return
    assert outcome["error"] in (["unavailable", "truncated_stream"], transcript.expected.get("error"))
    text = transcript.expected["text" if transcript.whole else "partial"]
    assert text.removesuffix("\ufffd").startswith(outcome["partial"]) or text == outcome["partial"]


@each
def test_a_part_is_never_taken_for_the_whole(transcript: Transcript) -> None:
    for end in range(len(transcript.data)):
        assert_honest(transcript, transcript.outcome([transcript.data[:end]]))


@within
@given(ANY, st.integers(0, 2), st.integers(0, 10_000), st.lists(st.integers(0, 10_000), max_size=9))
def test_nor_is_a_part_in_pieces(transcript: Transcript, ends: int, end: int, places: list[int]) -> None:
    variants = list(line_ends(transcript))
    data = variants[ends % len(variants)]
    assert_honest(transcript, transcript.outcome(cut(data[: end % len(data)], places)))


# -- damage ----------------------------------------------------------------------------------------------------


def assert_sane(transcript: Transcript, pieces: list[bytes]) -> None:
    """Whatever was read: a reply that can be shown and sent back, or a ProviderError."""
    try:
        reply = transcript.read(pieces)
    except ProviderError as error:
        shown: Any = [failed(error), str(error), repr(error.partial and error.partial.tool_calls)]
    else:
        assert reply.finish_reason in FINISH
        shown = [transcript.told(reply), reply.message, repr(reply)]
    json.dumps(shown, allow_nan=False, ensure_ascii=False).encode()


@st.composite
def damaged(draw: st.DrawFn) -> tuple[Transcript, bytes]:
    """A transcript with bytes changed, put in, taken out and repeated."""
    transcript = draw(ANY)
    data = transcript.data
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 300)))
        kind = draw(st.sampled_from(["change", "insert", "delete", "repeat"]))
        if kind == "change" and start < len(data):
            data = data[:start] + bytes([data[start] ^ draw(st.integers(1, 255))]) + data[start + 1 :]
        elif kind == "insert":
            data = data[:start] + draw(st.binary(max_size=9)) + data[start:]
        elif kind == "delete":
            data = data[:start] + data[end:]
        elif kind == "repeat":
            data = data[:end] + data[start:]
    return transcript, data


@settings(within, max_examples=400)
@given(damaged(), st.lists(st.integers(0, 10_000), max_size=5))
def test_damage_gives_a_reply_or_an_error(found: tuple[Transcript, bytes], places: list[int]) -> None:
    transcript, data = found
    assert_sane(transcript, cut(data, places))


@within
@given(ANY, st.lists(st.binary(max_size=50)))
def test_noise_gives_an_error(transcript: Transcript, pieces: list[bytes]) -> None:
    assert_sane(transcript, pieces)


SCALARS = st.sampled_from(
    [None, True, False, 0, -1, 3, 1.5, 10**30, 1e308, "", "x", "\ud83d", "\ude00", "é\u2028", "error", "[DONE]", "{"]
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "text", "index", "error", "message", "content"]), inner, max_size=3)
    ),
    max_leaves=6,
)


def places_in(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in a JSON value, with every key or index of it."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        yield value, key
        if isinstance(inner, (dict, list)):
            yield from places_in(inner)


@st.composite
def misshapen(draw: st.DrawFn) -> tuple[Transcript, bytes]:
    """A transcript in whose events some values are of another kind, or missing."""
    transcript = draw(ANY)
    lines = transcript.data.split(b"\n")
    at = [number for number, line in enumerate(lines) if b"{" in line]
    for number in draw(st.lists(st.sampled_from(at), min_size=1, max_size=3)):
        label, _, text = lines[number].partition(b"{")
        event = json.loads(b"{" + text)
        places = list(places_in(event))
        if not places:
            continue
        container, key = draw(st.sampled_from(places))
        if draw(st.booleans()):
            container[key] = draw(VALUES)
        else:
            del container[key]
        lines[number] = label + json.dumps(event).encode()
    return transcript, b"\n".join(lines)


@settings(within, max_examples=1000)
@given(misshapen())
def test_values_of_another_kind_give_a_reply_or_an_error(found: tuple[Transcript, bytes]) -> None:
    transcript, data = found
    assert_sane(transcript, [data])


@pytest.mark.parametrize("server", CODECS)
@pytest.mark.parametrize("beginning", [b"", b"data: ", b'{"message":{"content":"', b": ", b"event: "])
def test_an_endless_line_has_an_end(server: str, beginning: bytes) -> None:
    piece = b"x" * 65536
    seen = 0

    def endless() -> Iterator[bytes]:
        nonlocal seen
        yield beginning
        for piece_ in repeat(piece):
            seen += len(piece_)
            yield piece_

    with pytest.raises(ProviderError, match=f"more than {MAX_EVENT} bytes") as caught:
        Adapter(CODECS[server](), Pieces(endless(), server))(Request("m", "Hi", stream=True)).read()
    assert (caught.value.error_class.value, caught.value.reason) == ("unavailable", "malformed_response")
    assert seen <= MAX_EVENT + 2 * len(piece)


@pytest.mark.parametrize("server", CODECS)
@pytest.mark.parametrize("size", [1000, 65536])
def test_an_event_of_megabytes(server: str, size: int) -> None:
    transcript = next(transcript for transcript in ALL if transcript.name.startswith(f"{server}/text."))
    word = next(chunk.text for chunk in transcript.chunks([transcript.data]) if chunk.text).strip().encode()
    long = "é€😀x".encode() * 400_000  # 4 MB
    data = transcript.data.replace(word, long, 1)
    assert len(data) > 4_000_000
    text = transcript.read(data[start : start + size] for start in range(0, len(data), size)).text
    assert long.decode() in text


# -- over real sockets -----------------------------------------------------------------------------------------


def ask(transcript: Transcript, url: str) -> Reply:
    with READY[transcript.server](url) as adapter:
        return adapter(Request("m", "Hi", stream=True)).read()


def said(transcript: Transcript, server: RawServer) -> Mapping[str, Any]:
    try:
        return transcript.told(ask(transcript, server.url))
    except ProviderError as error:
        return failed(error)


def kind_of(transcript: Transcript) -> str:
    return "application/x-ndjson" if transcript.server == "ollama" else "text/event-stream"


@each
def test_over_a_socket_it_says_the_same(transcript: Transcript) -> None:
    pieces = [transcript.data[start : start + 7] for start in range(0, len(transcript.data), 7)]
    in_chunks = [head(kind_of(transcript), "Transfer-Encoding: chunked"), *chunked(pieces)]
    until_the_end = [head(kind_of(transcript), "Connection: close"), *pieces]
    with RawServer() as server:
        for steps in (in_chunks, until_the_end):
            server.play = lambda heard, steps=steps: steps
            assert said(transcript, server) == transcript.expected


@each
def test_over_a_socket_a_part_is_truncated(transcript: Transcript) -> None:
    """Cut by a lost connection, by the end of a connection that delimits the body, and by a proper end of chunks."""
    half = transcript.data[: len(transcript.data) // 2]
    chunk = b"%x\r\n%b\r\n" % (len(half), half)
    kind = kind_of(transcript)
    with RawServer() as server:
        for steps in (
            [head(kind, "Transfer-Encoding: chunked"), chunk],
            [head(kind, "Transfer-Encoding: chunked"), chunk[:-9]],
            [head(kind, "Transfer-Encoding: chunked"), chunk + b"0\r\n\r\n"],
            [head(kind, "Connection: close"), half],
            [head(kind, f"Content-Length: {len(transcript.data)}"), half],
        ):
            server.play = lambda heard, steps=steps: steps
            with pytest.raises(TruncatedStream):
                ask(transcript, server.url)

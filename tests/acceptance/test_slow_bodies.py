"""Answers that take their time, over real sockets and in real time: every clock holds, whatever trickles in.

A timeout for one receive, which is all that a socket has, would wait for ever here: something always comes in time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest

from mainstay.middleware import Deadline
from mainstay.pipeline import (
    DeadlineExceeded,
    ProviderError,
    Request,
    TimedOut,
    Timeouts,
)
from support.raw_server import RawServer, chunked, head, ready
from support.transcripts import transcripts

Steps = Iterable[bytes | float]

TEXTS = {transcript.server: transcript for transcript in transcripts() if "/text." in transcript.name}
LINES = {"ollama": "application/x-ndjson"}
CHAT_PINGS = (
    b"data: {}\n\n",
    b'data: {"choices":[]}\n\n',
    b'data: {"choices":[{"index":0,"delta":{"content":""}}]}\n\n',
)
CLAUDE_PINGS = (
    b'event: ping\ndata: {"type":"ping"}\n\n',
    b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":""}}\n\n',
    b'data: {"type":"of_the_future","text":"new"}\n\n',
)
# Each server's own way to say that it is still there, and events that move nothing on.
PINGS = {
    "openai": (b": keep-alive\n\n", *CHAT_PINGS),
    "openrouter": (b": OPENROUTER PROCESSING\n\n", *CHAT_PINGS),
    "claude": (b": keep-alive\n\n", *CLAUDE_PINGS),
    "ollama": (b"\n", b'{"message":{"role":"assistant","content":""},"done":false}\n', b"{}\n"),
    "llama_cpp": (b":\n\n", *CHAT_PINGS),
    "llama_cpp_messages": (b":\n\n", *CLAUDE_PINGS),
}
WORDS = {
    **dict.fromkeys(
        ("openai", "openrouter", "llama_cpp"), b'data: {"choices":[{"index":0,"delta":{"content":"on "}}]}\n\n'
    ),
    **dict.fromkeys(
        ("claude", "llama_cpp_messages"),
        b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"on "}}\n\n',
    ),
    "ollama": b'{"message":{"content":"on "},"done":false}\n',
}


class Outcome(NamedTuple):
    """What became of one call."""

    came: Any  # the reply, or the error
    seconds: float


@pytest.fixture
def world(either: Any) -> Any:
    """Every test of this file is run in both worlds."""
    return either


@pytest.fixture(autouse=True)
def no_thread_is_left(world: Any) -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) == before


def each(
    world: Any,
    play: Callable[[str], Steps],
    timeouts: Timeouts,
    stream: bool,
    around: Callable[[Any], Any] = lambda h: h,
) -> dict[str, Outcome]:
    """Asks every server at the same time; none of the connections may be left open."""

    makers = ready(world)

    def ask(server: str) -> Outcome:
        with RawServer(lambda heard: play(server)) as raw, makers[server](raw.url, timeouts=timeouts) as adapter:
            start = time.monotonic()
            came: Any
            try:
                came = around(adapter)(Request("m", "Hi there", stream=stream)).read()
            except ProviderError as error:
                came = error
                assert raw.wait_until_left(1)  # before the adapter is closed
            return Outcome(came, time.monotonic() - start)

    with ThreadPoolExecutor(len(makers)) as pool:
        return dict(zip(makers, pool.map(ask, makers), strict=True))


def drip(data: bytes, every: float) -> Steps:
    for byte in data:
        yield bytes([byte])
        yield every


def forever(pieces: Iterable[bytes], every: float) -> Steps:
    while True:
        for piece in pieces:
            yield piece
            yield every


def streamed(server: str, body: Steps) -> Steps:
    yield head(LINES.get(server, "text/event-stream"), "Transfer-Encoding: chunked")
    yield from chunked(body)


def complete(body: Steps) -> Steps:
    yield head("application/json", "Content-Length: 100000")
    yield from body


def assert_in_time(outcome: Outcome, seconds: float) -> None:
    """Within ten per cent, and what a busy machine may need to say so."""
    assert seconds - 0.05 < outcome.seconds < 1.1 * seconds + 0.4


def dripping(stream: bool, every: float) -> Callable[[str], Steps]:
    if stream:
        return lambda server: streamed(server, drip(TEXTS[server].data, every))
    return lambda server: complete(drip(b'{"model":"' + b"m" * 99_000, every))


@pytest.mark.parametrize("every", [0.1, 1.0])
@pytest.mark.parametrize("stream", [False, True], ids=["complete", "stream"])
def test_a_body_that_drips_meets_the_total(stream: bool, every: float, world: Any) -> None:
    total = 1.0 if every < 1 else 4.0
    for outcome in each(world, dripping(stream, every), Timeouts(total=total), stream).values():
        assert isinstance(outcome.came, TimedOut)
        assert outcome.came.reason == "total"
        assert_in_time(outcome, total)
        if every == 1:  # long enough for ten per cent to be more than what a busy machine needs
            assert outcome.seconds < 1.1 * total


@pytest.mark.parametrize("stream", [False, True], ids=["complete", "stream"])
def test_a_body_that_drips_meets_the_deadline_of_its_call(stream: bool, world: Any) -> None:
    def around(adapter: Any) -> Any:
        return world.Stack([Deadline(1)], world.own(adapter))

    for outcome in each(world, dripping(stream, 0.1), Timeouts(), stream, around).values():
        assert isinstance(outcome.came, DeadlineExceeded)
        assert_in_time(outcome, 1)


def test_a_stream_that_goes_on_for_ever_meets_the_total(world: Any) -> None:
    timeouts = Timeouts(first_event=0.8, gap=0.8, total=1)
    outcomes = each(world, lambda server: streamed(server, forever([WORDS[server]], 0.05)), timeouts, stream=True)
    for outcome in outcomes.values():
        assert isinstance(outcome.came, TimedOut)
        assert outcome.came.reason == "total"
        assert outcome.came.partial is not None
        assert outcome.came.partial.text.startswith("on on on ")
        assert_in_time(outcome, 1)


@pytest.mark.parametrize("number", range(4))
def test_pings_only_meet_the_clock_of_the_first_event(number: int, world: Any) -> None:
    timeouts = Timeouts(first_event=0.7, gap=0.2, total=20)
    outcomes = each(
        world,
        lambda server: streamed(server, forever([PINGS[server][number % len(PINGS[server])]], 0.03)),
        timeouts,
        stream=True,
    )
    for outcome in outcomes.values():
        assert isinstance(outcome.came, TimedOut)
        assert outcome.came.reason == "first_event"
        assert_in_time(outcome, 0.7)


def test_after_the_first_word_pings_meet_the_clock_of_the_gap(world: Any) -> None:
    def play(server: str) -> Steps:
        yield from streamed(server, then_pings(server))

    def then_pings(server: str) -> Steps:
        yield WORDS[server]
        yield from forever(PINGS[server], 0.03)

    for outcome in each(world, play, Timeouts(first_event=5, gap=0.7, total=20), stream=True).values():
        assert isinstance(outcome.came, TimedOut)
        assert outcome.came.reason == "gap"
        assert outcome.came.partial is not None
        assert outcome.came.partial.text == "on "
        assert_in_time(outcome, 0.7)


@pytest.mark.parametrize(
    "begin",
    [
        b"HTTP/1.1 200 OK, and what follows from that is a rather long phrase",
        b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 99,
    ],
    ids=["status line", "headers"],
)
@pytest.mark.parametrize("stream", [False, True], ids=["complete", "stream"])
def test_a_head_that_drips(stream: bool, begin: bytes, world: Any) -> None:
    timeouts = Timeouts(first_event=0.7, total=20) if stream else Timeouts(total=0.7)
    for outcome in each(world, lambda server: drip(begin, 0.1), timeouts, stream).values():
        assert isinstance(outcome.came, TimedOut)
        assert outcome.came.reason == ("first_event" if stream else "total")
        assert_in_time(outcome, 0.7)


def test_what_is_slow_but_in_time_arrives_whole(world: Any) -> None:
    def play(server: str) -> Steps:
        data = TEXTS[server].data
        pieces = (data[start : start + 40] for start in range(0, len(data), 40))
        yield from streamed(server, (step for piece in pieces for step in (piece, 0.01)))

    for server, outcome in each(world, play, Timeouts(total=20), stream=True).items():
        assert not isinstance(outcome.came, ProviderError)
        assert TEXTS[server].told(outcome.came) == TEXTS[server].expected


def test_a_server_that_says_nothing_more_after_the_end_is_not_waited_for(world: Any) -> None:
    """Only the usage may follow the finish reason, and only the end of the body what ends the protocol."""

    def play(server: str) -> Steps:
        yield from streamed(server, [TEXTS[server].data, 60.0])

    for server, outcome in each(world, play, Timeouts(), stream=True).items():
        assert not isinstance(outcome.came, ProviderError)
        assert TEXTS[server].told(outcome.came) == TEXTS[server].expected
        assert outcome.seconds < 5

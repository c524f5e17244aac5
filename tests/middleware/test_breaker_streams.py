"""CircuitBreaker and streams, leases, deadlines; its window and its options."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from mainstay.middleware import CircuitBreaker, Deadline
from mainstay.pipeline import (
    Call,
    Chunk,
    DeadlineExceeded,
    Reply,
    Timeouts,
    TruncatedStream,
    Unavailable,
)
from support.breakers import ASK, STREAM, Bench


def chunks(*texts: str, finish: bool = True) -> Any:
    yield from (Chunk(text) for text in texts)
    if finish:
        yield Chunk(finish_reason="stop")


@pytest.mark.parametrize("give_up", [lambda reply: reply.close(), lambda reply: None], ids=["closed", "dropped"])
def test_a_stream_that_the_caller_gives_up_moves_nothing_and_frees_the_probe(give_up) -> None:
    bench = Bench()
    bench.half_open()
    reply = bench.ask(Reply.stream(chunks("a", "b")), STREAM)
    bench.next = None
    give_up(reply)
    del reply
    gc.collect()
    assert bench.state == "half-open"
    bench.ask()
    assert bench.state == "closed"


def test_a_stream_is_judged_at_its_end_and_not_when_it_begins() -> None:
    bench = Bench()
    bench.half_open()
    reply = bench.ask(Reply.stream(chunks("a", "b")), STREAM)
    assert [next(reply).text, next(reply).text, bench.state] == ["a", "b", "half-open"]
    reply.read()
    assert bench.state == "closed"
    cut = bench.ask(Reply.stream(chunks("a", finish=False)), STREAM)
    with pytest.raises(TruncatedStream):
        cut.read()
    assert bench.state == "open"
    assert isinstance(bench.ask().__cause__, TruncatedStream)


def test_a_bug_in_the_middle_of_a_stream_moves_nothing() -> None:
    def broken() -> Any:
        yield Chunk("a")
        raise ValueError("a bug")

    bench = Bench()
    with pytest.raises(ValueError, match="a bug"):
        bench.ask(Reply.stream(broken()), STREAM).read()
    assert bench.state == "closed"


def test_the_lease_of_a_probe_is_the_first_event_clock_and_then_the_gap_clock() -> None:
    bench = Bench(timeouts=Timeouts(first_event=30.0, gap=7.0, total=100.0))
    bench.half_open()
    steps = bench.breaker.handle(STREAM.under(Call(bench.clock)))
    next(steps)
    bench.clock.advance(29)
    assert bench.ask().retry_after == 1
    with pytest.raises(StopIteration) as returned:
        steps.send(Reply.stream(chunks("a", "b", "c")))
    further = bench.breaker.handle(ASK.under(Call(bench.clock)))
    next(further)  # one further probe, which has the whole attempt to answer
    assert bench.ask().retry_after == 5
    bench.clock.advance(6)
    assert bench.ask().retry_after == 1
    assert next(returned.value.value).text == "a"
    assert next(returned.value.value).text == "b"
    assert bench.ask().retry_after == 5  # the events have renewed its lease
    bench.clock.advance(94)
    assert isinstance(bench.ask(), Reply)  # both have fallen silent
    assert bench.state == "closed"
    further.close()
    assert bench.state == "closed"


@pytest.mark.parametrize(
    ("timeouts", "seconds", "state"),
    [
        (None, 4.9, "closed"),
        (None, 5.0, "open"),
        (Timeouts(first_event=2.0), 1.9, "closed"),
        (Timeouts(first_event=2.0), 2.0, "open"),
    ],
)
def test_the_deadline_of_the_call_counts_only_if_the_attempt_had_a_fair_chance(timeouts, seconds, state) -> None:
    bench = Bench(timeouts=timeouts, outside=[Deadline(1000)])

    def slow() -> BaseException:
        bench.clock.advance(seconds)
        return DeadlineExceeded()

    assert isinstance(bench.ask(slow), DeadlineExceeded)
    assert bench.state == state


def test_a_deadline_that_passed_before_any_attempt_says_nothing() -> None:
    bench = Bench()
    steps = bench.breaker.handle(ASK.under(Call(bench.clock)))
    next(steps)
    with pytest.raises(DeadlineExceeded):
        steps.throw(DeadlineExceeded())
    assert bench.state == "closed"


@pytest.mark.parametrize(("timeouts", "window"), [(None, 1200.0), (Timeouts(total=20.0, first_event=5.0, gap=5.0), 60)])
def test_the_window_is_a_minute_or_twice_the_longest_attempt_unless_given(timeouts, window) -> None:
    for given, expected in ((None, window), (10.0, 10.0)):
        bench = Bench(failures=100, ratio=1.0, minimum=2, timeouts=timeouts, window=given)
        bench.ask(Unavailable())
        bench.clock.advance(0.85 * expected)
        bench.ask(Unavailable())
        assert bench.state == "open"
        bench.breaker.close()
        bench.ask(Unavailable())
        bench.clock.advance(expected)
        bench.ask(Unavailable())
        assert bench.state == "closed"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"failures": 0}, r"CircuitBreaker\(failures=\.\.\.\) must be a whole number from 1 on, not 0"),
        ({"minimum": 1.5}, r"minimum.*from 1 on"),
        ({"probes": 0}, r"probes.*from 1 on"),
        ({"ratio": 1.1}, r"ratio.*above 0 and at most 1, not 1\.1"),
        ({"window": 0}, r"window.*positive number of seconds"),
        ({"break_min": float("nan")}, r"break_min.*positive"),
        ({"break_max": -1}, r"break_max.*positive"),
        ({"long_break": "long"}, r"long_break.*positive.*not 'long'"),
        ({"break_min": 400.0}, r"break_min=400\) is longer than break_max=300"),
        ({"scope": "path"}, r"CircuitBreaker\(scope=\.\.\.\) must be 'route' or 'call'"),
    ],
)
def test_a_wrong_option_names_the_field_and_the_range(options, message) -> None:
    with pytest.raises(ValueError, match=message):
        CircuitBreaker(**options)

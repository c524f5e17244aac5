"""CircuitBreaker: slow answers as a second axis, and a breaker that only observes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mainstay.middleware import CircuitBreaker, Log, Retry
from mainstay.pipeline import (
    BreakerChanged,
    Chunk,
    CircuitOpen,
    ErrorClass,
    Event,
    Reply,
    Request,
    RouteDoubted,
    Stack,
    Unavailable,
    VirtualClock,
)

STREAM = Request("m", "Hi", stream=True)
WHOLE = Request("m", "Hi")


class Leaf:
    """Answers with a first token after `first` seconds and the rest after `rest` more; fails if told to."""

    def __init__(self, clock: VirtualClock, first: float = 0.0, rest: float = 0.0) -> None:
        self.clock, self.first, self.rest, self.down, self.calls = clock, first, rest, False, 0

    def __call__(self, request: Request) -> Reply:
        self.calls += 1
        if self.down:
            raise Unavailable()
        self.clock.advance(self.first)
        if not request.stream:
            self.clock.advance(self.rest)
            return Reply("x")
        return Reply.stream(self.chunks())

    def chunks(self) -> Iterator[Chunk]:
        yield Chunk("x")
        self.clock.advance(self.rest)
        yield Chunk(finish_reason="stop")


def bench(first: float, rest: float = 0.0, **options: object) -> tuple[Stack, Leaf, list[Event]]:
    clock = VirtualClock()
    leaf = Leaf(clock, first, rest)
    told: list[Event] = []
    breaker = CircuitBreaker(**{"slow": 2.0, "minimum": 4, **options})  # type: ignore[arg-type]
    return Stack([breaker], leaf, clock=clock, observers=[told.append]), leaf, told


def test_slow_first_tokens_open_it() -> None:
    stack, leaf, _ = bench(first=3.0)
    for _ in range(4):
        stack(STREAM).read()
    with pytest.raises(CircuitOpen) as caught:
        stack(STREAM)
    assert (caught.value.error_class, caught.value.reason) == (ErrorClass.TIMEOUT, "slow")
    assert leaf.calls == 4


def test_neither_long_answers_nor_complete_ones_are_slow() -> None:
    stack, leaf, _ = bench(first=1.0, rest=60.0)
    for _ in range(10):
        stack(STREAM).read()
        stack(WHOLE)
    assert leaf.calls == 20


def test_a_complete_reply_is_never_slow_even_where_a_stream_was_asked_for() -> None:
    clock = VirtualClock()

    def leaf(request: Request) -> Reply:
        clock.advance(9.0)
        return Reply("x")

    stack = Stack([CircuitBreaker(slow=2.0, minimum=2)], leaf, clock=clock)
    assert [stack(STREAM).text for _ in range(10)] == ["x"] * 10


def test_some_slow_ones_among_quick_ones_do_not_open_it() -> None:
    stack, leaf, _ = bench(first=0.1)
    for number in range(20):
        leaf.first = 3.0 if number % 2 else 0.1
        stack(STREAM).read()
    assert leaf.calls == 20


def test_a_slow_probe_is_no_recovery_and_a_quick_one_is() -> None:
    stack, leaf, told = bench(first=3.0)
    for _ in range(4):
        stack(STREAM).read()
    stack.clock.sleep(6.0)
    stack(STREAM).read()
    with pytest.raises(CircuitOpen):
        stack(STREAM)
    leaf.first = 0.1
    stack.clock.sleep(20.0)
    stack(STREAM).read()
    stack(STREAM).read()
    changes = [event.after for event in told if isinstance(event, BreakerChanged)]
    assert changes == ["open", "half-open", "open", "half-open", "closed"]


def test_without_the_option_nothing_is_slow() -> None:
    stack, leaf, _ = bench(first=500.0, slow=None)
    for _ in range(20):
        stack(STREAM).read()
    assert leaf.calls == 20


def test_a_slow_answer_is_no_failure_in_a_row() -> None:
    stack, leaf, _ = bench(first=3.0, failures=2, minimum=1000)
    for number in range(10):
        leaf.down = number % 2 == 0
        if leaf.down:
            with pytest.raises(Unavailable):
                stack(STREAM)
        else:
            stack(STREAM).read()
    assert leaf.calls == 10


def test_who_only_observes_refuses_nothing_and_tells_what_it_would_do() -> None:
    stack, leaf, told = bench(first=0.0, observe=True)
    leaf.down = True
    for _ in range(10):
        with pytest.raises(Unavailable) as caught:
            stack(WHOLE)
        assert not isinstance(caught.value, CircuitOpen)
    assert leaf.calls == 10
    doubted = [event for event in told if isinstance(event, RouteDoubted)]
    assert len(doubted) == 6  # four failures of four are enough to open it
    assert all(isinstance(event.error, CircuitOpen) and event.error.retry_after for event in doubted)
    assert [event.after for event in told if isinstance(event, BreakerChanged)] == ["open"]


def test_its_state_goes_on_as_if_it_refused() -> None:
    stack, leaf, told = bench(first=0.0, observe=True)
    leaf.down = True
    for _ in range(5):
        with pytest.raises(Unavailable):
            stack(WHOLE)
    leaf.down = False
    stack.clock.sleep(6.0)
    stack(WHOLE)
    assert [event.after for event in told if isinstance(event, BreakerChanged)] == ["open", "half-open", "closed"]


def test_a_retry_outside_it_sees_only_what_happened() -> None:
    clock = VirtualClock()
    leaf = Leaf(clock)
    leaf.down = True
    stack = Stack([Retry(), Log(), CircuitBreaker(failures=1, observe=True)], leaf, clock=clock)
    with pytest.raises(Unavailable) as caught:
        stack(WHOLE)
    assert len(caught.value.attempts) == leaf.calls == 3

from __future__ import annotations

import asyncio
import pickle
from typing import Any

import pytest

from mainstay.middleware import CircuitBreaker, Deadline, Fallback, Retry, TraceCall
from mainstay.pipeline import (
    Call,
    Chunk,
    DeadlineExceeded,
    RateLimited,
    Reply,
    Request,
    Route,
    Sleep,
    Stack,
    TimedOut,
    Unavailable,
    VirtualClock,
    middleware,
)


def seen_by(stack: Any, world: Any, ask: Request, call: Call) -> Any:
    return world.run(stack, ask.under(call))


def noting(notes: list[Any], answer: Any = "answer") -> Any:
    def leaf(request: Request) -> Any:
        notes.append(request.call.deadline)
        return answer

    return leaf


@pytest.mark.parametrize(("outer", "inner"), [(None, 1030.0), (1010.0, 1010.0), (1090.0, 1030.0)])
def test_the_deadline_is_never_later_than_an_outer_one_and_that_one_is_given_back(
    either_world: Any, ask: Request, outer: float | None, inner: float
) -> None:
    notes: list[Any] = []
    call = Call(VirtualClock())
    call.deadline = outer
    stack = either_world.stack([Deadline(30.0)], either_world.leaf(noting(notes)))
    either_world.run(stack, ask.under(call))
    assert notes == [inner]
    assert call.deadline == outer


@pytest.mark.parametrize("error", [Unavailable(), ValueError("a bug"), KeyboardInterrupt()])
def test_the_outer_deadline_is_given_back_after_an_error_as_well(
    either_world: Any, ask: Request, error: BaseException
) -> None:
    call = Call(VirtualClock())
    call.deadline = 1090.0
    with pytest.raises(type(error)) as raised:
        either_world.run(either_world.stack([Deadline(5.0)], either_world.leaf(error)), ask.under(call))
    assert raised.value is error
    assert call.deadline == 1090.0


def test_a_deadline_inside_another_one_counts_from_where_it_stands(kit: Any, ask: Request) -> None:
    notes: list[Any] = []
    layers = [Deadline(100.0, name="outer"), Deadline(5.0)]
    Stack(layers, kit.Leaf(noting(notes)), clock=VirtualClock())(ask)
    assert notes == [1005.0]


def test_a_stream_keeps_to_the_deadline_that_it_was_begun_under(kit: Any, ask_stream: Request) -> None:
    clock = VirtualClock()

    def transport(request: Request) -> Reply:
        until = request.call.deadline  # as a transport reads it: when it sends
        assert until is not None

        def chunks() -> Any:
            for _ in range(5):
                if clock.now() >= until:
                    raise TimedOut(reason="read")
                yield Chunk(text="x")
                clock.advance(1.0)

        return Reply.stream(chunks())

    reply = Stack([Deadline(2.5)], transport, clock=clock)(ask_stream)
    with pytest.raises(TimedOut) as raised:
        reply.read()
    assert raised.value.partial is not None
    assert raised.value.partial.text == "xxx"
    assert clock.now() == 1003.0


def test_the_deadline_is_the_call_s_until_the_stream_is_over_and_then_given_back(
    either_world: Any, kit: Any, ask_stream: Request
) -> None:
    call = Call(VirtualClock())
    call.deadline = 1090.0
    notes: list[Any] = []

    class Noting(kit.Flow):  # type: ignore[misc, name-defined]
        def chunks(self) -> Any:
            for chunk in super().chunks():
                notes.append(call.deadline)
                yield chunk

    stack = either_world.stack([Deadline(5.0)], either_world.leaf(Noting(("one", "two"))))
    either_world.run(stack, ask_stream.under(call), "read")
    assert notes == [1005.0] * 3
    assert call.deadline == 1090.0


@pytest.mark.parametrize("end", ["close", "leave", "drop"])
def test_a_stream_that_is_given_up_gives_the_outer_deadline_back(
    either_world: Any, kit: Any, ask_stream: Request, end: str
) -> None:
    call = Call(VirtualClock())
    either_world.run(either_world.stack([Deadline(5.0)], either_world.leaf(kit.Flow())), ask_stream.under(call), end)
    assert call.deadline is None


def test_a_stream_that_meets_the_deadline_says_so_and_is_no_failure_of_its_route(
    either_world: Any, kit: Any, ask_stream: Request
) -> None:
    clock = VirtualClock()

    class Slow(kit.Flow):  # type: ignore[misc, name-defined]
        def chunks(self) -> Any:
            yield Chunk(text="one")
            clock.advance(3.0)
            raise calls[0].too_late()  # as a transport does whose read was clamped to what is left

    calls: list[Call] = []
    leaf = either_world.leaf(lambda request: calls.append(request.call) or Slow())
    stack = either_world.stack([Deadline(3.0), CircuitBreaker(failures=1)], leaf, clock=clock)
    with pytest.raises(DeadlineExceeded) as raised:
        either_world.run(stack, ask_stream, "read")
    assert raised.value.deadline == 1003.0
    assert stack.part("breaker").snapshot(clock.now())["state"] == "closed"


def test_a_middleware_that_answers_nonsense_gives_the_outer_deadline_back(kit: Any, ask: Request) -> None:
    call = Call(VirtualClock())
    with pytest.raises(AttributeError):
        Stack([Deadline(5.0), lambda handler: lambda request: "no reply"], kit.Leaf())(ask.under(call))
    assert call.deadline is None


# -- sleeps ----------------------------------------------------------------------------------------------------


@middleware
def drowsy(request: Request) -> Any:
    yield Sleep(3.0)
    return (yield request)


@pytest.mark.parametrize(("seconds", "fits"), [(3.0, False), (2.0, False), (3.5, True)])
def test_a_sleep_that_does_not_fit_is_not_begun(either_world: Any, ask: Request, seconds: float, fits: bool) -> None:
    clock = VirtualClock()
    leaf = either_world.leaf()
    stack = either_world.stack([Deadline(seconds), drowsy], leaf, clock=clock)
    if fits:
        assert either_world.run(stack, ask).text == "answer"
    else:
        with pytest.raises(DeadlineExceeded) as raised:
            either_world.run(stack, ask)
        assert raised.value.reason == "deadline"
        assert raised.value.deadline == 1000.0 + seconds
    assert clock.slept == ([3.0] if fits else [])
    assert leaf.calls == fits


def test_a_retry_whose_wait_does_not_fit_raises_the_original_error_at_once(either_world: Any, ask: Request) -> None:
    clock = VirtualClock()
    error = RateLimited(retry_after=6.0)
    leaf = either_world.leaf(error)
    stack = either_world.stack([Deadline(5.0), Retry()], leaf, clock=clock)
    with pytest.raises(RateLimited) as raised:
        either_world.run(stack, ask)
    assert raised.value is error
    assert (clock.slept, leaf.calls) == ([], 1)


def test_nobody_retries_or_moves_on_after_the_call_s_deadline(either_world: Any, ask: Request) -> None:
    clock = VirtualClock()

    def late(request: Request) -> Any:
        clock.advance(5.0)
        return request.call.too_late()

    leaves = either_world.leaf(late), either_world.leaf()
    fallback = Fallback(Route("a", leaves[0]), Route("b", leaves[1]))
    stack = either_world.stack([Deadline(5.0), Retry(scope="call", name="again"), Retry()], fallback, clock=clock)
    with pytest.raises(DeadlineExceeded):
        either_world.run(stack, ask)
    assert [leaf.calls for leaf in leaves] == [1, 0]


def test_asyncio_cancels_a_handler_of_the_user_s_when_time_is_up(kit: Any, ask: Request) -> None:
    freed: list[str] = []

    async def hangs(request: Request) -> Reply:
        try:
            await asyncio.Event().wait()
        finally:
            freed.append("freed")
        return Reply("never")

    stack = kit.Loop.stack([Deadline(1e-6)], hangs, clock=VirtualClock())
    with pytest.raises(DeadlineExceeded) as raised:
        kit.Loop.run(stack, ask)
    assert freed == ["freed"]
    assert raised.value.attempts[0].reason == "deadline"


# -- options and order -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), True, "5", None])
def test_what_is_no_positive_number_of_seconds_is_refused(seconds: Any) -> None:
    with pytest.raises(ValueError, match=r"Deadline\(seconds=\.\.\.\) must be a positive number of seconds"):
        Deadline(seconds)


def test_unless_told_otherwise_it_is_that_of_the_official_clients() -> None:
    assert Deadline().seconds == 600.0


@pytest.mark.parametrize("outside", [Retry(scope="call"), middleware(lambda request: (yield request), name="own")])
def test_only_tracing_may_be_outside_it(kit: Any, outside: Any) -> None:
    with pytest.raises(ValueError, match=r"deadline must not stand inside (retry|own): a deadline bounds everything"):
        Stack([outside, Deadline()], kit.Leaf())
    Stack([TraceCall(), Deadline()], kit.Leaf())
    Stack([outside, Deadline()], kit.Leaf(), check=False)


def test_switched_off_there_is_no_deadline(either_world: Any, ask: Request) -> None:
    notes: list[Any] = []
    stack = either_world.stack([Deadline(1.0)], either_world.leaf(noting(notes)))
    stack.disable("deadline")
    either_world.run(stack, ask)
    assert notes == [None]


def test_it_pickles() -> None:
    assert pickle.loads(pickle.dumps(Deadline(3.0))) == Deadline(3.0)

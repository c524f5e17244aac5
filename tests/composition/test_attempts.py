"""Retries times routes: who may try how often, counted exactly."""

from __future__ import annotations

from typing import Any

import pytest

from mainstay.middleware import CircuitBreaker, Deadline, Fallback, Retry, standard
from mainstay.pipeline import (
    AllRoutesFailed,
    CircuitOpen,
    DeadlineExceeded,
    InvalidRequest,
    ProviderError,
    RateLimited,
    Reply,
    Request,
    Route,
    TimedOut,
    Unavailable,
    VirtualClock,
)


def routes_of(*leaves: Any) -> Fallback:
    return Fallback(*(Route(f"r{number}", leaf) for number, leaf in enumerate(leaves)))


def fail(world: Any, stack: Any, ask: Request) -> ProviderError:
    with pytest.raises(ProviderError) as raised:
        world.run(stack, ask)
    return raised.value


# -- retries and routes ----------------------------------------------------------------------------------------

# Two tries while others are untried, three on the last; the cap is max(6, routes + 2); every untried route keeps one.
EXPECTED = {
    1: [3],
    2: [2, 3],
    3: [2, 2, 2],
    4: [2, 2, 1, 1],
    5: [2, 2, 1, 1, 1],
    10: [2, 2, 1, 1, 1, 1, 1, 1, 1, 1],
}


@pytest.mark.parametrize(("count", "expected"), EXPECTED.items())
def test_retries_and_routes_together_stay_within_the_cap_and_every_route_is_tried(
    either_world: Any, ask: Request, count: int, expected: list[int]
) -> None:
    leaves = [either_world.leaf(Unavailable()) for _ in range(count)]
    error = fail(either_world, either_world.stack([Retry()], routes_of(*leaves), clock=VirtualClock()), ask)
    assert [leaf.calls for leaf in leaves] == expected
    assert sum(expected) == len(error.attempts) <= max(6, count + 2)
    assert isinstance(error, AllRoutesFailed) == (count > 1)


@pytest.mark.parametrize("cap", range(1, 7))
def test_a_cap_of_one_s_own_is_never_exceeded(either_world: Any, ask: Request, cap: int) -> None:
    leaves = [either_world.leaf(Unavailable()) for _ in range(3)]
    stack = either_world.stack([Retry()], routes_of(*leaves), clock=VirtualClock(), cap=cap, check=False)
    error = fail(either_world, stack, ask)
    assert sum(leaf.calls for leaf in leaves) == cap == len(error.attempts)
    if cap < 3:  # not every route could be tried, so the last original error speaks
        assert not isinstance(error, AllRoutesFailed)
        assert error.route == f"r{cap - 1}"


def test_a_timeout_is_tried_again_once_on_each_route(either_world: Any, ask: Request) -> None:
    leaves = [either_world.leaf(TimedOut()) for _ in range(2)]
    clock = VirtualClock()
    fail(either_world, either_world.stack([Retry()], routes_of(*leaves), clock=clock), ask)
    assert [leaf.calls for leaf in leaves] == [2, 2]
    assert clock.slept == []


def test_nested_routers_share_the_cap(either_world: Any, ask: Request) -> None:
    leaves = [either_world.leaf(Unavailable()) for _ in range(4)]
    fallback = Fallback(Route("a", routes_of(*leaves[:2])), Route("b", routes_of(*leaves[2:])))
    fail(either_world, either_world.stack([Retry()], fallback, clock=VirtualClock()), ask)
    assert [leaf.calls for leaf in leaves] == [2, 2, 1, 1]


def test_a_stack_as_a_route_shares_the_cap_of_the_call_that_it_joins(either_world: Any, ask: Request) -> None:
    leaves = [either_world.leaf(Unavailable()) for _ in range(3)]
    inner = either_world.stack([Retry()], routes_of(*leaves[:2]), cap=100)
    outer = either_world.stack([], Fallback(Route("in", inner), Route("out", leaves[2])), clock=VirtualClock(), cap=4)
    error = fail(either_world, outer, ask)
    assert sum(leaf.calls for leaf in leaves) == len(error.attempts) == 4
    assert [leaf.calls for leaf in leaves] == [2, 1, 1]


def test_walking_all_routes_again_stays_within_the_cap(either_world: Any, ask: Request) -> None:
    leaves = [either_world.leaf(Unavailable()) for _ in range(2)]
    clock = VirtualClock()
    error = fail(either_world, either_world.stack([Retry(scope="call")], routes_of(*leaves), clock=clock), ask)
    assert [leaf.calls for leaf in leaves] == [3, 3]
    assert clock.slept == [0.25, 0.5]
    assert isinstance(error, AllRoutesFailed)


def test_walking_again_with_retries_inside_is_still_one_cap(either_world: Any, ask: Request) -> None:
    leaves = [either_world.leaf(Unavailable()) for _ in range(2)]
    layers = [Retry(scope="call", name="again"), Retry()]
    fail(either_world, either_world.stack(layers, routes_of(*leaves), clock=VirtualClock()), ask)
    assert [leaf.calls for leaf in leaves] == [3, 3]
    assert sum(leaf.calls for leaf in leaves) == 6


def test_walking_again_finds_a_route_that_has_recovered(either_world: Any, ask: Request) -> None:
    leaves = either_world.leaf(Unavailable(), "back"), either_world.leaf(Unavailable())
    stack = either_world.stack([Retry(scope="call")], routes_of(*leaves), clock=VirtualClock())
    assert either_world.run(stack, ask).text == "back"
    assert [leaf.calls for leaf in leaves] == [2, 1]


def test_a_wrong_request_is_tried_once_however_many_layers_could_repeat_it(either_world: Any, ask: Request) -> None:
    leaves = [either_world.leaf(InvalidRequest()) for _ in range(3)]
    layers = [Retry(scope="call", name="again"), Retry(), CircuitBreaker()]
    fail(either_world, either_world.stack(layers, routes_of(*leaves), clock=VirtualClock()), ask)
    assert [leaf.calls for leaf in leaves] == [1, 0, 0]


# -- waits -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("wait", "waited"), [(2.0, True), (2.1, False), (60.0, False)])
def test_a_wait_beyond_the_patience_moves_on_at_once(
    either_world: Any, ask: Request, wait: float, waited: bool
) -> None:
    leaves = either_world.leaf(RateLimited(retry_after=wait), "from a"), either_world.leaf("from b")
    clock = VirtualClock()
    reply = either_world.run(either_world.stack([Retry()], routes_of(*leaves), clock=clock), ask)
    assert reply.text == ("from a" if waited else "from b")
    assert len(clock.slept) == waited
    assert [leaf.calls for leaf in leaves] == ([2, 0] if waited else [1, 1])


def test_a_rate_limit_on_the_last_route_is_waited_for(either_world: Any, ask: Request) -> None:
    leaves = (
        either_world.leaf(RateLimited(retry_after=60.0)),
        either_world.leaf(RateLimited(retry_after=30.0), "from b"),
    )
    clock = VirtualClock()
    stack = either_world.stack([Retry(), CircuitBreaker()], routes_of(*leaves), clock=clock)
    assert either_world.run(stack, ask).text == "from b"
    assert len(clock.slept) == 1
    assert 30.0 <= clock.slept[0] <= 33.0


def test_a_deadline_cuts_the_sleeps_of_all_retries_together(either_world: Any, ask: Request) -> None:
    leaf = either_world.leaf(Unavailable())
    clock = VirtualClock()
    layers = [Deadline(1.0), Retry(attempts=10)]
    error = fail(either_world, either_world.stack(layers, leaf, clock=clock, cap=100), ask)
    # 0.25 + 0.5 s are waited; the next 1 s would end after the deadline, so it is not begun.
    assert clock.slept == [0.25, 0.5]
    assert leaf.calls == 3
    assert isinstance(error, Unavailable)


def test_routes_that_eat_the_time_leave_none_to_the_others(either_world: Any, ask: Request) -> None:
    clock = VirtualClock()

    def slow(request: Request) -> Any:
        clock.advance(4.0)
        return TimedOut()

    leaves = [either_world.leaf(slow) for _ in range(4)]
    error = fail(either_world, either_world.stack([Deadline(10.0), Retry()], routes_of(*leaves), clock=clock), ask)
    assert isinstance(error, DeadlineExceeded)
    assert [leaf.calls for leaf in leaves] == [2, 1, 0, 0]


# -- breakers --------------------------------------------------------------------------------------------------


def test_an_open_breaker_costs_no_attempt_and_no_sleep(either_world: Any, ask: Request) -> None:
    leaves = either_world.leaf("never"), either_world.leaf(Unavailable(), Unavailable(), "from b")
    clock = VirtualClock()
    stack = either_world.stack([Retry(), CircuitBreaker()], routes_of(*leaves), clock=clock)
    stack.part("breaker", route="r0").isolate()
    reply = either_world.run(stack, ask)
    assert (reply.text, leaves[0].calls, leaves[1].calls) == ("from b", 0, 3)
    assert [attempt.route for attempt in reply.attempts] == ["r1"] * 3
    assert len(clock.slept) == 2


def test_one_dead_provider_never_opens_the_breaker_of_another(either_world: Any, ask: Request) -> None:
    leaves = either_world.leaf(Unavailable()), either_world.leaf("fine")
    stack = either_world.stack([Retry(), CircuitBreaker()], routes_of(*leaves), clock=VirtualClock())
    for _ in range(20):
        assert either_world.run(stack, ask).text == "fine"
    states = {route: stack.part("breaker", route=route).snapshot(1000.0)["state"] for route in stack.routes()}
    assert states == {"r0": "open", "r1": "closed"}


def test_a_thousand_calls_leave_a_dead_route_alone(either_world: Any) -> None:
    dead = either_world.leaf(lambda request: Unavailable(reason="connection_refused"))
    well = either_world.leaf("fine")
    stack = either_world.stack(standard(), routes_of(dead, well), clock=VirtualClock())
    texts = [_one(either_world, stack) for _ in range(1000)]
    assert texts == ["fine"] * 1000
    assert well.calls == 1000
    assert 5 <= dead.calls <= 6


def _one(world: Any, stack: Any) -> str:
    return world.run(stack, Request("m", "Why?")).text


def test_when_every_breaker_is_open_the_call_fails_at_once_and_says_when(either_world: Any, ask: Request) -> None:
    leaves = [either_world.leaf(Unavailable()) for _ in range(2)]
    clock = VirtualClock()
    stack = either_world.stack([CircuitBreaker(failures=1)], routes_of(*leaves), clock=clock)
    fail(either_world, stack, ask)
    error = fail(either_world, stack, ask)
    assert isinstance(error, AllRoutesFailed)
    assert [type(one) for one in error.errors] == [CircuitOpen] * 2
    assert error.retry_after == 3.75
    assert list(error.attempts) == []
    assert [leaf.calls for leaf in leaves] == [1, 1]


@pytest.mark.parametrize("end", ["drop", "close", "leave"])
def test_streams_that_are_given_up_leave_the_breaker_unmoved(
    either_world: Any, kit: Any, ask_stream: Request, end: str
) -> None:
    leaf = either_world.leaf(*[Unavailable() for _ in range(4)], lambda request: kit.Flow())
    stack = either_world.stack([CircuitBreaker()], leaf, clock=VirtualClock())
    for _ in range(4):
        fail(either_world, stack, ask_stream)
    before = stack.part("breaker").snapshot(1000.0)
    for _ in range(20):
        either_world.run(stack, ask_stream, end)
    assert stack.part("breaker").snapshot(1000.0) == before
    assert before["failures"] == 4


def test_a_stream_that_was_dropped_as_a_probe_gives_its_place_back(kit: Any, ask_stream: Request) -> None:
    leaf = kit.Leaf(Unavailable(), lambda request: kit.Flow())
    clock = VirtualClock()
    stack = kit.Threads.stack([CircuitBreaker(failures=1)], leaf, clock=clock)
    fail(kit.Threads, stack, ask_stream)
    clock.advance(1000.0)
    kit.Threads.run(stack, ask_stream, "drop")
    assert stack.part("breaker").snapshot(clock.now())["state"] == "half-open"
    assert isinstance(kit.Threads.run(stack, ask_stream, "read"), Reply)
    assert stack.part("breaker").snapshot(clock.now())["state"] == "closed"

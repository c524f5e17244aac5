"""What `explain` says of a request: its routes, and the worst case, which no call may exceed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainstay.middleware import (
    CircuitBreaker,
    Deadline,
    Fallback,
    Retry,
    standard,
)
from mainstay.pipeline import (
    AllRoutesFailed,
    AsyncStack,
    AuthenticationFailed,
    ProviderError,
    RateLimited,
    Reply,
    Request,
    Route,
    Stack,
    Timeouts,
    TruncatedStream,
    Unavailable,
    VirtualClock,
)
from support.explaining import Leaf, errors, stacks
from support.resuming import broken

ASK = Request("gpt-4o", "hello")


def quiet(name: str) -> Any:
    """A leaf that nobody may ask."""

    def leaf(request: Request) -> Reply:
        raise AssertionError(f"{name} was asked")

    return leaf


@given(data=st.data(), stream=st.booleans(), takes=st.lists(st.sampled_from([1.0, 10.0, 60.0]), min_size=4, max_size=4))
@settings(max_examples=300, deadline=None)
def test_no_call_costs_more_than_the_worst_case(data: Any, stream: bool, takes: list[float]) -> None:
    chance = data.draw(st.floats(0.0, 0.999))
    clock = VirtualClock(random=lambda: chance)
    every = st.lists(errors(), min_size=1, max_size=6)

    def leaf(name: str) -> Leaf:
        return Leaf(name, clock, *data.draw(every), takes=takes["abcd".index(name)])

    stack = data.draw(stacks(leaf, clock))
    ask = Request("gpt-4o", "hello", stream=stream)
    for _ in range(data.draw(st.integers(1, 3))):  # the later ones find breakers that have seen something
        worst = stack.explain(ask)
        begun = clock.now()
        with pytest.raises(ProviderError) as caught:
            stack(ask)
        assert len(caught.value.attempts) <= worst.requests
        assert worst.seconds is not None
        assert clock.now() - begun <= worst.seconds + 1e-6


@pytest.mark.parametrize("count", range(1, 8))
def test_the_worst_case_is_reached(count: int) -> None:
    clock = VirtualClock()
    leaves = [Leaf(f"r{n}", clock, Unavailable(retry_after=2.0), takes=10.0) for n in range(count - 1)]
    leaves.append(Leaf("last", clock, Unavailable(retry_after=120.0), takes=10.0))
    stack = Stack([Retry()], Fallback(*leaves), clock=clock)
    worst = stack.explain(ASK)
    begun = clock.now()
    with pytest.raises(ProviderError) as caught:
        stack(ASK)
    assert len(caught.value.attempts) == worst.requests
    assert worst.requests_because.startswith("the cap" if count > 2 else "the tries")
    if count < 3:  # beyond, the routes share the cap, and the last one gets a single try
        assert clock.now() - begun == worst.seconds


@pytest.mark.parametrize("mode", ["restart", "continue"])
@pytest.mark.parametrize("count", [1, 2])
def test_a_stream_that_may_go_again_may_do_so_until_the_cap(kit: Any, mode: Any, count: int) -> None:
    leaves = [kit.Leaf(broken(kit, "one")) for _ in range(count)]
    routes = [Route(f"r{number}", leaf, continues=True) for number, leaf in enumerate(leaves)]
    stack = Stack([Retry(attempts=1, attempts_before_others=1)], Fallback(*routes, mid_stream=mode), cap=5)
    once, again = stack.explain(ASK), stack.explain(ASK.replace(stream=True))
    assert (once.requests, once.requests_because) == (count, "the tries of all routes together")
    assert (again.requests, again.seconds) == (5, once.seconds)
    assert again.requests_because == "the cap of the call: a stream that breaks off may go again"
    assert [route.tries_last for route in again.routes] == [1] * count
    with pytest.raises(TruncatedStream) as caught:
        stack(ASK.replace(stream=True)).read()
    assert len(caught.value.attempts) == again.requests


def clocked(name: str, **clocks: float) -> Any:
    leaf = Leaf(name, VirtualClock(), Unavailable())
    leaf.timeouts = Timeouts(**clocks)
    return leaf


def test_a_request_is_told_its_routes_and_its_worst_case() -> None:
    clock = VirtualClock()
    router = Fallback(
        Route("openai", clocked("openai"), model="gpt-4o"),
        Route("claude", clocked("claude"), model="claude-sonnet"),
        Route("ollama", clocked("ollama"), model="llama3.2", lacks={"tools"}),
    )
    stack = Stack(standard(), router, clock=clock)
    breaker = stack.part("breaker", route="claude")
    breaker.isolate()
    told = stack.explain(Request("gpt-4o", "hello", {"tools": [{}]}, stream=True))
    assert str(told).splitlines() == [
        "1. openai  gpt-4o         closed; 2 tries, 3 as the last; up to 60 s each",
        "2. claude  claude-sonnet  isolated; 2 tries, 3 as the last; up to 60 s each",
        "3. ollama  llama3.2       passed by: lacks tools",
        "at most 5 requests: the tries of all routes together",
        "at most 600 s: the deadline of 600 s",
    ]
    assert (told.requests, told.seconds, told.problems) == (5, 600.0, ())


def test_an_open_or_resting_route_says_when_it_admits() -> None:
    clock = VirtualClock()
    leaves = [Leaf("a", clock, AuthenticationFailed()), Leaf("b", clock, RateLimited(retry_after=12.0))]
    stack = Stack([CircuitBreaker()], Fallback(*leaves), clock=clock)
    with pytest.raises(AllRoutesFailed):
        stack(ASK)
    clock.advance(2.0)
    a, b = stack.explain(ASK).routes
    assert (a.state, a.admits_in, b.state, b.admits_in) == ("open", 223.0, "resting", 10.0)
    assert "open, admits in 223 s" in str(a)
    clock.advance(500.0)
    a, b = stack.explain(ASK).routes
    assert (a.state, a.admits_in, b.state, b.admits_in) == ("open", None, "closed", None)


def test_a_route_without_timeouts_has_no_limit_in_threads_and_says_so() -> None:
    told = Stack([Deadline(10.0), Retry()], quiet("plain")).explain(ASK)
    assert told.seconds is None
    assert told.seconds_because == "leaf has no timeouts that would be known"
    assert "no limit in time: leaf has no" in str(told)


def test_on_the_event_loop_a_deadline_cancels_whatever_it_is() -> None:
    assert AsyncStack([Deadline(10.0), Retry()], quiet("plain")).explain(ASK).seconds == 10.0
    assert AsyncStack([Retry()], quiet("plain")).explain(ASK).seconds is None


def test_where_no_route_can_do_what_is_asked_nothing_would_leave() -> None:
    router = Fallback(*(Route(name, clocked(name), lacks={"tools"}) for name in "ab"))
    told = Stack(standard(), router).explain(Request("m", "hello", {"tools": [{}]}))
    assert (told.requests, told.seconds) == (0, 0.0)
    assert "no route can do what the request needs" in str(told.problems[0])
    assert [str(route) for route in told.routes] == ["passed by: lacks tools"] * 2


def test_waits_are_part_of_the_worst_case_also_those_for_a_breaker() -> None:
    leaf = clocked("a", total=10.0)
    assert Stack([Retry()], leaf).explain(ASK).seconds == 3 * 10.0 + 2 * 120.0
    assert Stack([Retry(), CircuitBreaker()], leaf).explain(ASK).seconds == 3 * 10.0 + 3 * 120.0
    assert Stack([Retry(attempts=1)], leaf).explain(ASK).seconds == 10.0
    stack = Stack([Retry()], leaf)
    stack.disable("retry")
    assert (stack.explain(ASK).requests, stack.explain(ASK).seconds) == (1, 10.0)
    assert stack.explain(Unavailable()).tries == {"a": 1}


def test_huge_numbers_are_no_trouble() -> None:
    stack = Stack([Retry(attempts=10**9, attempts_before_others=10**9)], Fallback(clocked("a"), clocked("b")))
    told = stack.explain(ASK)
    assert told.requests == 6
    assert "without it there would be 2000000000" in told.requests_because

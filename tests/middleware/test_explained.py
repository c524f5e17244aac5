"""What `explain` says of an error, held against what the layers really do with it."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainstay.middleware import (
    Balance,
    CircuitBreaker,
    Deadline,
    Fallback,
    Policy,
    Retry,
    RetryBudget,
    RoundRobin,
    Weighted,
)
from mainstay.pipeline import (
    AllRoutesFailed,
    AuthenticationFailed,
    CircuitOpen,
    DeadlineExceeded,
    FellBack,
    InvalidRequest,
    ProviderError,
    RateLimited,
    Reply,
    Request,
    Route,
    RouteResting,
    Stack,
    TimedOut,
    Unavailable,
    VirtualClock,
)
from support.explaining import Leaf, errors, stacks

ASK = Request("gpt-4o", "hello")


def quiet(name: str) -> Any:
    """A leaf that nobody may ask."""

    def leaf(request: Request) -> Reply:
        raise AssertionError(f"{name} was asked")

    return leaf


def two(*layers: Any, **fields: Any) -> Stack:
    router = Fallback(Route("a", quiet("a")), Route("b", quiet("b")), **fields)
    return Stack(list(layers), router, clock=VirtualClock())


def said(stack: Stack, error: ProviderError, layer: str, route: str | None = None) -> str:
    return next(step.says for step in stack.explain(error, route=route).steps if step.layer == layer)


# -- what is said is what happens ------------------------------------------------------------------------------


@given(data=st.data(), error=errors())
@settings(max_examples=300, deadline=None)
def test_what_is_said_of_an_error_is_what_happens_when_every_route_fails_with_it(data: Any, error: Any) -> None:
    # As late as chance can have it: explain tells every wait at its longest.
    clock = VirtualClock(random=lambda: math.nextafter(1.0, 0.0))
    events: list[Any] = []
    leaves: dict[str, Leaf] = {}

    def leaf(name: str) -> Leaf:
        return leaves.setdefault(name, Leaf(name, clock, error))

    stack = data.draw(stacks(leaf, clock))
    stack.observers = (events.append,)
    told = stack.explain(error)
    assert not events
    assert not any(leaf.calls for leaf in leaves.values())
    with pytest.raises(ProviderError) as caught:
        stack(ASK)
    assert told.raised == type(caught.value).__name__
    assert told.tries == dict(Counter(attempt.route for attempt in caught.value.attempts))
    assert told.waited == pytest.approx(sum(clock.slept), abs=1e-5)
    router = next(step for step in told.steps if step.layer == "fallback")
    moved = [event.target for event in events if isinstance(event, FellBack) and event.origin == "a"]
    if "again" not in stack.names:  # which would walk all routes once more; what is told is the first time
        assert [router.to] == (moved or [""])


# -- nothing changes -------------------------------------------------------------------------------------------


def test_explaining_advances_no_strategy() -> None:
    leaves = {name: Leaf(name, VirtualClock(), Unavailable()) for name in "abc"}
    stack = Stack([], Fallback(*leaves.values(), strategy=RoundRobin()), clock=VirtualClock())
    for first in "abcab":
        for _ in range(3):
            assert stack.explain(ASK).routes[0].route == first
            assert stack.explain(Unavailable()).route == first
        with pytest.raises(AllRoutesFailed) as caught:
            stack(ASK)
        assert caught.value.attempts[0].route == first


def test_explaining_takes_no_probe_no_retry_budget_and_no_chance() -> None:
    drawn: list[float] = []

    def chance() -> float:
        drawn.append(0.5)
        return 0.5

    clock = VirtualClock(random=chance)
    leaf = Leaf("leaf", clock, Unavailable())
    budget = RetryBudget(floor=1)
    stack = Stack(
        [Retry(budget=budget), CircuitBreaker(failures=2)], Fallback(leaf, strategy=Weighted({})), clock=clock
    )
    for _ in range(2):
        with pytest.raises(ProviderError):
            stack(ASK)
    breaker = stack.part("breaker")
    clock.advance(1000.0)
    before, seen = breaker.snapshot(clock.now()), len(drawn)
    assert before["state"] == "open"
    for _ in range(5):
        stack.explain(ASK)
        stack.explain(Unavailable())
        stack.explain(AuthenticationFailed())
    assert breaker.snapshot(clock.now()) == before
    assert len(drawn) == seen
    assert budget.withdraw(clock.now())  # the one that the window has
    assert not budget.withdraw(clock.now())


def test_the_error_stays_as_it_was() -> None:
    error = AllRoutesFailed([Unavailable(route="a", provider="p"), RateLimited(route="b", retry_after=9.0)])
    before = dict(vars(error)), [dict(vars(one)) for one in error.errors]
    two(Retry(), CircuitBreaker()).explain(error)
    assert (dict(vars(error)), [dict(vars(one)) for one in error.errors]) == before


# -- the words -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "error", "words"),
    [
        (Retry(), Unavailable(), "repeats it after up to 0.5 s; then raises it: tries are limited to 2 while other"),
        (Retry(), TimedOut(), "repeats it at once; then raises it: 'timeout' is tried 2 times"),
        (Retry(), InvalidRequest(), "raises it: 'invalid_request' is never repeated"),
        (Retry(), RateLimited(retry_after=60.0), "raises it: a wait of 60 s is longer than patience=2"),
        (Retry(), Unavailable(retry=False), "raises it: the provider says that it should not be repeated"),
        (Retry(), InvalidRequest(retry=True), "repeats it after up to 0.5 s; then raises it: tries are limited to 2"),
        (Retry(), CircuitOpen(retry_after=1.0), "raises it: the route admits nobody"),
        (
            Retry(),
            RouteResting(retry_after=1.0),
            "repeats it after up to 1.1 s; then raises it: a wait of 2.2 s is longer than patience=2",
        ),
        (
            Retry(policies={"loading": Policy(1)}),
            Unavailable(reason="loading"),
            "raises it: 'loading' is never repeated",
        ),
        (Retry(attempts=1), Unavailable(), "raises it: tries are limited to 1 while other routes are left"),
    ],
)
def test_what_is_said_of_a_retry(layer: Retry, error: ProviderError, words: str) -> None:
    assert said(two(layer), error, "retry").startswith(words)


def test_on_the_last_route_there_is_more_time() -> None:
    stack = two(Retry())
    error = RateLimited(retry_after=60.0)
    assert said(stack, error, "retry", "b") == (
        "repeats it after up to 66 s, then after up to 66 s; then raises it: tries are limited to 3"
    )
    assert "longer than max_wait=120" in said(stack, RateLimited(retry_after=121.0), "retry", "b")
    assert "would end after the deadline" in said(two(Deadline(30.0), Retry()), error, "retry", "b")
    budget = RetryBudget(floor=1, ratio=0.01)
    assert said(two(Retry(budget=budget)), Unavailable(), "retry", "b").endswith("the retry budget is used up")
    assert "time of the call is up" in said(two(Deadline(), Retry()), DeadlineExceeded(), "retry", "b")


def test_the_cap_is_named_where_it_is_what_ends_the_tries() -> None:
    router = Fallback(Route("a", quiet("a")), Route("b", quiet("b")))
    stack = Stack([Retry()], router, cap=2, clock=VirtualClock())
    reason = "raises it: the call may make 2 attempts, and "
    assert said(stack, Unavailable(), "retry") == f"{reason}what is left of them is kept for other routes"
    stack = Stack([Retry()], quiet("a"), cap=1)
    assert said(stack, Unavailable(), "retry") == f"{reason.replace('2', '1')}none is left"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (Unavailable(), "counts it as failure 1 of 5 in a row that open it"),
        (AuthenticationFailed(), "opens at once for up to 300 s"),
        (RateLimited(retry_after=60.0), "rests for 60 s, as it was asked to"),
        (RateLimited(), "ignores it: without a Retry-After it is no failure"),
        (InvalidRequest(), "ignores it: it says nothing about the route"),
        (CircuitOpen(), "ignores it: it says nothing about the route"),
        (DeadlineExceeded(), "ignores it: it says nothing about the route"),
    ],
)
def test_what_is_said_of_a_breaker(error: ProviderError, words: str) -> None:
    assert said(two(CircuitBreaker()), error, "breaker") == words
    assert said(two(CircuitBreaker(observe=True)), error, "breaker") == f"{words} (but it only observes)"


def test_a_breaker_tells_where_it_stands() -> None:
    clock = VirtualClock()
    stack = Stack([CircuitBreaker(failures=3)], Leaf("leaf", clock, Unavailable()), clock=clock)
    words = []
    for _ in range(3):
        words.append(said(stack, Unavailable(), "breaker"))
        with pytest.raises(Unavailable):
            stack(ASK)
    assert words == [
        "counts it as failure 1 of 3 in a row that open it",
        "counts it as failure 2 of 3 in a row that open it",
        "opens for up to 5 s",
    ]
    assert said(stack, Unavailable(), "breaker") == "opens again for up to 10 s"  # the error of its next probe
    stack.part("breaker").isolate()
    assert said(stack, Unavailable(), "breaker") == "counts it as failure 1 of 3 in a row that open it"


@pytest.mark.parametrize(
    ("fields", "error", "words"),
    [
        ({}, Unavailable(), "moves on to b"),
        ({}, InvalidRequest(), "raises it: it is wrong on every route"),
        ({}, InvalidRequest(reason="context_length"), "raises it: no route with a larger window is left"),
        ({}, InvalidRequest(reason="content_filter"), "raises it: a refusal is the answer, unless content_filter=True"),
        ({"content_filter": True}, InvalidRequest(reason="content_filter"), "moves on to b"),
        ({"mid_stream": "restart"}, Unavailable(), "moves on to b"),
    ],
)
def test_what_is_said_of_a_fallback(fields: Any, error: ProviderError, words: str) -> None:
    assert said(two(**fields), error, "fallback") == words


def test_a_larger_window_is_named_and_the_last_route_has_none_after_it() -> None:
    router = Fallback(*(Route(name, quiet(name), window=size) for name, size in [("a", 9), ("b", 5), ("c", 99)]))
    stack = Stack([], router)
    assert said(stack, InvalidRequest(reason="context_length"), "fallback") == "moves on to c"
    assert said(stack, Unavailable(), "fallback", "c") == "raises it: no route is left"
    assert said(Stack([Deadline()], router), DeadlineExceeded(), "fallback") == "raises it: the time of the call is up"


def test_the_keys_of_a_balance_are_explained_like_any_routes() -> None:
    balance = Balance(Route("k1", quiet("k1")), Route("k2", quiet("k2")))
    stack = Stack([Retry(), CircuitBreaker()], Fallback(Route("one", balance), Route("two", quiet("two"))))
    told = stack.explain(AuthenticationFailed(), route="one/k2")
    assert told.route == "one/k2"
    assert [step.layer for step in told.steps] == ["breaker", "retry", "balance", "fallback"]
    assert told.tries["one/k2"] == 1
    assert {route.route for route in stack.explain(ASK).routes} == {"one/k1", "one/k2", "two"}

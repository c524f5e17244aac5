"""Strategies of Fallback: which route goes first, and what they learn."""

from __future__ import annotations

import random
import threading
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.middleware import Fallback
from mainstay.middleware.strategies import Fastest, Healthiest, RoundRobin, Sticky, Strategy, Weighted
from mainstay.pipeline import Call, Chunk, ProviderError, Reply, Request, Route, Stack, Unavailable, VirtualClock

NAMES = ("a", "b", "c")


def routes() -> list[Route]:
    return [Route(name, lambda request: Reply("x")) for name in NAMES]


def asked(clock: VirtualClock, stream: bool = False, **params: Any) -> Request:
    return Request("m", "Hi", params, stream).under(Call(clock))


def order(strategy: Strategy, clock: VirtualClock | None = None, stream: bool = False, **params: Any) -> str:
    return "".join(r.name for r in strategy.order(routes(), asked(clock or VirtualClock(), stream, **params)))


class Leaf:
    """Answers after so many seconds of the stack's clock, or fails."""

    def __init__(self, clock: VirtualClock, seconds: float = 0.0, error: ProviderError | None = None) -> None:
        self.clock, self.seconds, self.error, self.calls = clock, seconds, error, 0

    def __call__(self, request: Request) -> Reply:
        self.calls += 1
        self.clock.advance(self.seconds)
        if self.error is not None:
            raise self.error
        return Reply("x")


def test_round_robin_begins_with_the_next_one_each_time() -> None:
    strategy = RoundRobin()
    assert [order(strategy) for _ in range(4)] == ["abc", "bca", "cab", "abc"]


def test_round_robin_is_even_among_threads() -> None:
    strategy, firsts, gate = RoundRobin(), Counter[str](), threading.Barrier(8)
    lock = threading.Lock()

    def work() -> None:
        gate.wait()
        mine = Counter(order(strategy)[0] for _ in range(300))
        with lock:
            firsts.update(mine)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert firsts == Counter(dict.fromkeys(NAMES, 800))


def test_weights_are_met_in_the_long_run() -> None:
    clock = VirtualClock(random=random.Random(7).random)
    strategy = Weighted({"a": 6, "b": 3})
    firsts = Counter(order(strategy, clock)[0] for _ in range(3000))
    assert firsts["a"] / 3000 == pytest.approx(0.6, abs=0.05)
    assert firsts["b"] / 3000 == pytest.approx(0.3, abs=0.05)
    assert firsts["c"] / 3000 == pytest.approx(0.1, abs=0.05)


def test_a_weight_of_zero_is_a_last_resort() -> None:
    clock = VirtualClock(random=random.Random(7).random)
    assert {order(Weighted({"a": 0}), clock)[-1] for _ in range(20)} == {"a"}


@pytest.mark.parametrize("weight", [-1, float("nan"), float("inf"), "1", True])
def test_a_wrong_weight(weight: Any) -> None:
    with pytest.raises(ValueError, match="must be a number of 0 or more"):
        Weighted({"a": weight})


def test_weights_for_routes_that_are_not_there() -> None:
    with pytest.raises(ValueError, match=r"names d, but the routes are a, b, c"):
        Fallback(*routes(), strategy=Weighted({"d": 1}))


def test_a_key_sticks_to_a_route_and_the_others_stay_in_reserve() -> None:
    strategy = Sticky()
    orders = {user: order(strategy, user=user) for user in map(str, range(300))}
    assert all(order(strategy, user=user) == first for user, first in orders.items())
    assert all(sorted(first) == list(NAMES) for first in orders.values())
    assert all(count > 60 for count in Counter(first[0] for first in orders.values()).values())


def test_one_route_less_moves_only_its_own_keys() -> None:
    strategy = Sticky(lambda request: request.params["user"])
    for user in map(str, range(100)):
        request = asked(VirtualClock(), user=user)
        before = [route.name for route in strategy.order(routes(), request)]
        after = [route.name for route in strategy.order(routes()[1:], request)]
        assert after == [name for name in before if name != "a"]


def test_without_a_key_the_order_stays() -> None:
    assert order(Sticky()) == "abc"


def test_the_fastest_goes_first_and_who_was_never_measured_before_all() -> None:
    clock = VirtualClock()
    strategy = Fastest()
    request = asked(clock)
    a, b, _ = routes()
    strategy.answered(a, 0.9, request)
    strategy.answered(b, 0.2, request)
    assert order(strategy, clock) == "cba"


def test_streams_and_complete_replies_are_not_compared() -> None:
    clock = VirtualClock()
    strategy = Fastest()
    for route, streamed, whole in zip(routes(), (1.0, 0.5, 0.1), (5.0, 9.0, 7.0), strict=True):
        strategy.answered(route, streamed, asked(clock, stream=True))
        strategy.answered(route, whole, asked(clock))
    assert (order(strategy, clock, stream=True), order(strategy, clock)) == ("cba", "acb")


def test_trouble_shows_at_once_and_is_forgiven_bit_by_bit() -> None:
    clock = VirtualClock()
    strategy = Fastest(weight=0.5)
    a, b, c = routes()
    for route in (a, b, c):
        strategy.answered(route, 1.0, asked(clock))
    strategy.answered(a, 9.0, asked(clock))
    assert order(strategy, clock) == "bca"
    strategy.answered(a, 0.5, asked(clock))  # 4.75
    assert order(strategy, clock) == "bca"
    for _ in range(5):
        strategy.answered(a, 0.5, asked(clock))
    assert order(strategy, clock) == "abc"


def test_what_was_slow_is_tried_again_in_time() -> None:
    clock = VirtualClock()
    strategy = Fastest(fade=60.0)
    a, b, c = routes()
    strategy.answered(a, 5.0, asked(clock))
    for _ in range(20):
        clock.advance(10.0)
        strategy.answered(b, 1.0, asked(clock))
        strategy.answered(c, 1.0, asked(clock))
    assert order(strategy, clock)[0] == "a"


def test_failures_make_a_route_come_later_until_they_fade() -> None:
    clock = VirtualClock()
    strategy = Healthiest()
    a, *_ = routes()
    strategy.failed(a, Unavailable(), asked(clock))
    assert order(strategy, clock) == "bca"
    clock.advance(600.0)
    assert order(strategy, clock) == "abc"


def test_what_is_the_callers_fault_counts_for_nothing() -> None:
    clock = VirtualClock()
    strategy = Healthiest()
    from mainstay.pipeline import InvalidRequest, RateLimited

    for error in (InvalidRequest(), RateLimited()):
        strategy.failed(routes()[0], error, asked(clock))
    assert order(strategy, clock) == "abc"


def test_in_a_stack_the_fallback_learns_and_the_slow_route_is_left() -> None:
    clock = VirtualClock()
    slow, quick = Leaf(clock, 3.0), Leaf(clock, 0.5)
    stack = Stack([], Fallback(Route("slow", slow), Route("quick", quick), strategy="fastest"), clock=clock)
    for _ in range(5):
        stack(Request("m", "Hi"))
    assert (slow.calls, quick.calls) == (1, 4)
    assert "fastest" in str(stack)


def test_in_a_stack_the_failing_route_is_left_by_the_healthiest() -> None:
    clock = VirtualClock()
    bad, good = Leaf(clock, error=Unavailable()), Leaf(clock)
    stack = Stack([], Fallback(Route("bad", bad), Route("good", good), strategy="healthiest"), clock=clock)
    for _ in range(5):
        assert stack(Request("m", "Hi")).text == "x"
    assert (bad.calls, good.calls) == (1, 5)


def test_a_stream_that_breaks_after_its_first_token_counts() -> None:
    clock = VirtualClock()

    def cut(request: Request) -> Reply:
        return Reply.stream(iter([Chunk("Hal")]))

    strategy = Healthiest()
    stack = Stack([], Fallback(Route("a", cut), Route("b", Leaf(clock)), strategy=strategy), clock=clock)
    reply = stack(Request("m", "Hi", stream=True))
    assert order(strategy, clock) == "abc"
    with pytest.raises(ProviderError):
        reply.read()
    assert order(strategy, clock) == "bca"


@given(st.sampled_from(["in_order", "round_robin", "fastest", "healthiest", "sticky"]), st.text(max_size=3))
def test_no_strategy_leaves_a_route_out(name: str, user: str) -> None:
    fallback = Fallback(*routes(), strategy=name)
    assert sorted(order(fallback.strategy, user=user)) == list(NAMES)


@pytest.mark.parametrize("strategy", ["fast", "", None, 5])
def test_a_wrong_strategy(strategy: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="strategy must be"):
        Fallback(*routes(), strategy=strategy)

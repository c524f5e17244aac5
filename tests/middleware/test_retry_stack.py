"""Retry in a stack: budgets, streams, the engine, what is left behind; and its options."""

from __future__ import annotations

import asyncio
import gc
import pickle
import traceback
import weakref
from contextlib import suppress
from typing import Any

import pytest

from mainstay.middleware import Fallback, Retry, RetryBudget
from mainstay.middleware import course as module
from mainstay.pipeline import (
    AllRoutesFailed,
    AsyncStack,
    AttemptsSpent,
    Chunk,
    DeadlineExceeded,
    RateLimited,
    Reply,
    Request,
    Route,
    Stack,
    TruncatedStream,
    Unavailable,
    VirtualClock,
)

ASK = Request("gpt-4o", "hello")


class Leaf:
    """A handler that fails so many times, always with a new error."""

    def __init__(self, failures: int = 1000, make: Any = Unavailable) -> None:
        self.failures, self.make = failures, make
        self.seen = 0

    def __call__(self, request: Request) -> Reply:
        self.seen += 1
        if self.seen <= self.failures:
            raise self.make()
        return Reply("hi")


def test_sleeps_and_attempts_are_exact_through_a_stack() -> None:
    clock, leaf = VirtualClock(), Leaf(2)
    reply = Stack([Retry()], leaf, clock=clock)(ASK)
    assert clock.slept == [0.25, 0.5]
    assert [attempt.number for attempt in reply.attempts] == [1, 2, 3]
    assert [attempt.resend for attempt in reply.attempts] == [0, 1, 2]
    assert leaf.seen == 3


def test_chance_is_drawn_once_for_each_wait() -> None:
    drawn = iter([0.1, 0.2, 0.3, 0.4])
    clock = VirtualClock(random=lambda: next(drawn))
    Stack([Retry()], Leaf(2), clock=clock)(ASK)
    assert clock.slept == pytest.approx([0.05, 0.2])
    assert next(drawn) == 0.3


def test_each_route_gets_two_tries_and_the_last_one_three() -> None:
    clock, leaves = VirtualClock(), [Leaf(), Leaf(), Leaf()]
    routes = [Route(name, leaf) for name, leaf in zip("abc", leaves, strict=True)]
    with pytest.raises(AllRoutesFailed):
        Stack([Retry()], Fallback(*routes), clock=clock, cap=20)(ASK)
    assert [leaf.seen for leaf in leaves] == [2, 2, 3]
    assert clock.slept == [0.25, 0.25, 0.25, 0.5]


def test_the_cap_bounds_a_retry_of_the_call_around_a_retry_of_each_route() -> None:
    leaves = [Leaf(), Leaf()]
    routes = [Route("a", leaves[0]), Route("b", leaves[1])]
    layers = [Retry(name="outer", scope="call"), Retry()]
    with pytest.raises(Unavailable) as caught:
        Stack(layers, Fallback(*routes), clock=VirtualClock())(ASK)
    assert not isinstance(caught.value, AttemptsSpent)
    assert sum(leaf.seen for leaf in leaves) == 6


def test_a_walk_of_all_routes_is_repeated_by_its_class_and_shortest_wait() -> None:
    clock = VirtualClock(random=lambda: 0.0)
    one, two = Leaf(1, lambda: RateLimited(retry_after=40.0)), Leaf(1, lambda: RateLimited(retry_after=8.0))
    stack = Stack([Retry(scope="call")], Fallback(Route("a", one), Route("b", two)), clock=clock)
    assert stack(ASK).text == "hi"
    assert (clock.slept, one.seen, two.seen) == ([8.0], 2, 1)


def test_the_same_text_serves_asyncio() -> None:
    clock, leaf = VirtualClock(), Leaf(2)

    async def handler(request: Request) -> Reply:
        return leaf(request)

    reply = asyncio.run(AsyncStack([Retry()], handler, clock=clock)(ASK))
    assert (reply.text, clock.slept) == ("hi", [0.25, 0.5])


def test_nothing_is_repeated_after_a_stream_has_begun() -> None:
    opened = []

    def handler(request: Request) -> Reply:
        opened.append(request)
        return Reply.stream(iter([Chunk("one"), Chunk("two")]))

    reply = Stack([Retry()], handler, clock=VirtualClock())(Request("gpt-4o", "hello", stream=True))
    with pytest.raises(TruncatedStream):
        list(reply)
    assert len(opened) == 1


def test_a_stream_that_fails_before_its_first_event_is_repeated() -> None:
    streams = [[Chunk()], [Chunk("one", finish_reason="stop")]]
    stack = Stack([Retry()], lambda request: Reply.stream(iter(streams.pop(0))), clock=VirtualClock())
    assert stack(Request("gpt-4o", "hello", stream=True)).read().text == "one"


def test_the_engine_is_not_started_by_a_call_that_goes_well(monkeypatch) -> None:
    def explode(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("tenacity was started")

    monkeypatch.setattr(module, "Retrying", explode)
    assert Stack([Retry()], Leaf(0))(ASK).text == "hi"


def test_the_engine_is_tenacity_and_its_own_error_never_comes_out() -> None:
    with pytest.raises(Unavailable) as caught:
        Stack([Retry()], Leaf(), clock=VirtualClock())(ASK)
    files = [frame.filename for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert not [file for file in files if "tenacity" in file.rpartition("/site-packages/")[2]]
    assert module.Retrying.__module__ == "tenacity"


def test_the_cause_of_an_error_is_kept() -> None:
    cause = ConnectionResetError("reset by peer")

    def handler(request: Request) -> Reply:
        raise Unavailable from cause

    with pytest.raises(Unavailable) as caught:
        Stack([Retry()], handler, clock=VirtualClock())(ASK)
    assert caught.value.__cause__ is cause


class Prompt(dict[str, str]):
    """A message that can be watched."""


@pytest.mark.parametrize("failures", [1, 2, 1000])
def test_no_cycle_keeps_the_prompt_or_the_ledger_alive(failures) -> None:
    class Observer:
        def __call__(self, event: object) -> None:
            pass

    gc.collect()
    gc.disable()
    try:
        prompt, observer = Prompt(role="user", content="hello"), Observer()
        watched = weakref.ref(prompt), weakref.ref(observer)
        stack = Stack([Retry()], Leaf(failures), clock=VirtualClock(), observers=[observer])
        with suppress(Unavailable):
            stack(Request("gpt-4o", [prompt]))
        del prompt, observer, stack
        assert [ref() for ref in watched] == [None, None]
    finally:
        gc.enable()


def test_a_budget_allows_the_floor_and_a_share_of_the_calls() -> None:
    leaf = Leaf()
    stack = Stack([Retry(budget=RetryBudget(ratio=0.5, floor=1))], leaf, clock=VirtualClock())
    seen = []
    for _ in range(6):
        before = leaf.seen
        with pytest.raises(Unavailable):
            stack(ASK)
        seen.append(leaf.seen - before)
    # Retries allowed so far, 1 + half of the calls: 1.5, 2, 2.5, 3, 3.5, 4.
    assert seen == [2, 2, 1, 2, 1, 2]


def test_a_budget_that_is_used_up_raises_the_original_error_without_a_sleep() -> None:
    clock, error = VirtualClock(), Unavailable()
    budget = RetryBudget(ratio=0.1, floor=1)
    assert budget.withdraw(clock.now())
    stack = Stack([Retry(budget=budget)], Leaf(make=lambda: error), clock=clock)
    with pytest.raises(Unavailable) as caught:
        stack(ASK)
    assert caught.value is error
    assert clock.slept == []


def test_a_budget_is_shared_by_the_layers_that_it_is_passed_to_and_refills_with_time() -> None:
    clock, budget = VirtualClock(), RetryBudget(ratio=0.01, floor=2)
    one, two = Leaf(), Leaf()
    first = Stack([Retry(budget=budget)], one, clock=clock)
    second = Stack([Retry(budget=budget)], two, clock=clock)
    for stack in (first, second):
        with pytest.raises(Unavailable):
            stack(ASK)
    assert (one.seen, two.seen) == (3, 1)
    clock.advance(61)
    with pytest.raises(Unavailable):
        second(ASK)
    assert two.seen == 1 + 3


def test_a_hop_to_another_route_is_not_charged_to_the_budget() -> None:
    clock, budget = VirtualClock(), RetryBudget(ratio=0.01, floor=1)
    assert budget.withdraw(clock.now())
    routes = Fallback(Route("a", Leaf()), Route("b", Leaf()))
    with pytest.raises(AllRoutesFailed) as caught:
        Stack([Retry(budget=budget)], routes, clock=clock)(ASK)
    assert [attempt.route for attempt in caught.value.attempts] == ["a", "b"]


def test_a_budget_takes_nothing_for_a_retry_that_is_not_made() -> None:
    clock, budget = VirtualClock(), RetryBudget(ratio=0.01, floor=1)
    hopeless = Stack([Retry(budget=budget)], Leaf(make=lambda: Unavailable(retry_after=900.0)), clock=clock)
    with pytest.raises(Unavailable):
        hopeless(ASK)
    assert budget.withdraw(clock.now())


def test_a_sleep_that_stops_fitting_after_it_was_chosen_ends_in_the_deadline() -> None:
    clock = VirtualClock()
    request = ASK.under(Stack([], Leaf(), clock=clock)._begin(ASK).call)
    steps = Retry().bind(Leaf()).handle(request)
    next(steps)
    steps.throw(Unavailable())
    late = DeadlineExceeded()
    with pytest.raises(DeadlineExceeded) as caught:
        steps.throw(late)
    assert caught.value is late


def test_a_layer_is_plain_data_that_survives_a_pickle() -> None:
    layer = Retry(attempts=4, patience=1.0, name="again", scope="call")
    assert pickle.loads(pickle.dumps(layer)) == layer
    copied = pickle.loads(pickle.dumps(Retry(budget=RetryBudget(floor=1))))
    assert isinstance(copied.budget, RetryBudget)
    leaf = Leaf()
    with pytest.raises(Unavailable):
        Stack([copied], leaf, clock=VirtualClock())(ASK)
    assert leaf.seen == 2


BAD_OPTIONS = [
    ({"attempts": 0}, r"Retry\(attempts=\.\.\.\) must be a whole number from 1 on, not 0"),
    ({"attempts": 2.0}, r"attempts.*from 1 on"),
    ({"attempts_before_others": True}, r"attempts_before_others.*from 1 on"),
    ({"patience": -1}, r"patience.*0 or more seconds"),
    ({"max_wait": "soon"}, r"max_wait.*0 or more seconds, not 'soon'"),
    ({"scope": "rout"}, r"Retry\(scope=\.\.\.\) must be 'route' or 'call', not 'rout'"),
]


@pytest.mark.parametrize(("options", "message"), BAD_OPTIONS)
def test_a_wrong_option_names_the_field_and_the_range(options, message) -> None:
    with pytest.raises(ValueError, match=message):
        Retry(**options)


def test_a_budget_must_be_a_budget() -> None:
    with pytest.raises(TypeError, match=r"budget.*must be a RetryBudget, not float"):
        Retry(budget=0.2)


def test_no_patience_at_all_is_allowed() -> None:
    clock, leaf = VirtualClock(), Leaf()
    with pytest.raises(Unavailable):
        Stack([Retry(max_wait=0, patience=0)], leaf, clock=clock)(ASK)
    assert (leaf.seen, clock.slept) == (1, [])

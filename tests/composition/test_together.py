"""Layers together, where a table of single calls says too little: keys, strategies, spans, cost, what is not spent."""

from __future__ import annotations

from typing import Any

import pytest

from mainstay.adapters.arriving import Clocks
from mainstay.middleware import (
    Balance,
    CircuitBreaker,
    Cost,
    Deadline,
    Fallback,
    Price,
    Prices,
    Retry,
    RetryBudget,
    Trace,
    TraceCall,
    Validate,
    Weighted,
)
from mainstay.pipeline import (
    AllRoutesFailed,
    AuthenticationFailed,
    DeadlineExceeded,
    InvalidParameters,
    Problem,
    ProviderError,
    Reply,
    Request,
    Route,
    TimedOut,
    Timeouts,
    Unavailable,
    Usage,
    VirtualClock,
)

TOOLS = {"tools": [{"type": "function", "function": {"name": "f"}}]}


def routes_of(*leaves: Any) -> list[Route]:
    return [Route(f"r{number}", leaf) for number, leaf in enumerate(leaves)]


def fail(world: Any, stack: Any, ask: Request) -> ProviderError:
    with pytest.raises(ProviderError) as raised:
        world.run(stack, ask)
    return raised.value


# -- retries, routes and keys ----------------------------------------------------------------------------------


@pytest.mark.parametrize("cap", [None, 9, 10, 12, 30])
def test_retries_times_routes_times_keys_never_exceed_the_cap(either_world: Any, ask: Request, cap: int | None) -> None:
    leaves = [either_world.leaf(Unavailable()) for _ in range(9)]
    providers = [Balance(*routes_of(*leaves[first : first + 3])) for first in (0, 3, 6)]
    router = Fallback(*routes_of(*providers))
    stack = either_world.stack([Retry()], router, clock=VirtualClock(), cap=cap)
    error = fail(either_world, stack, ask)
    calls = [leaf.calls for leaf in leaves]
    # 9 routes and 2 more by default. With 30: two tries on each route, and a third one on the last; each route that
    # is still untried keeps one attempt.
    assert sum(calls) == len(error.attempts) == {None: 11, 30: 19}.get(cap, cap)
    assert 1 <= min(calls) <= max(calls) <= 3


def test_one_key_s_401_opens_that_key_s_breaker_alone(either_world: Any, ask: Request) -> None:
    good, bad = either_world.leaf("fine"), either_world.leaf(lambda request: AuthenticationFailed(status=401))
    # Of two that are alike, a chance that is always one half draws the second one.
    stack = either_world.stack([Retry(), CircuitBreaker()], Balance(*routes_of(good, bad)), clock=VirtualClock())
    assert [either_world.run(stack, ask).text for _ in range(20)] == ["fine"] * 20
    assert (bad.calls, good.calls) == (1, 20)


@pytest.mark.parametrize(
    "strategy", ["in_order", "round_robin", "fastest", "healthiest", "sticky", Weighted({"r0": 1000.0})]
)
def test_whatever_the_strategy_an_open_route_costs_nothing(either_world: Any, ask: Request, strategy: Any) -> None:
    leaves = [either_world.leaf("fine") for _ in range(3)]
    stack = either_world.stack(
        [Retry(), CircuitBreaker()], Fallback(*routes_of(*leaves), strategy=strategy), clock=VirtualClock()
    )
    stack.part("breaker", route="r0").isolate()
    replies = [either_world.run(stack, ask) for _ in range(6)]
    assert leaves[0].calls == 0
    assert [len(reply.attempts) for reply in replies] == [1] * 6
    assert stack.clock.slept == []


def test_a_budget_that_is_used_up_stops_retries_and_not_routes(either_world: Any, ask: Request) -> None:
    leaves = [either_world.leaf(Unavailable()) for _ in range(3)]
    budget = RetryBudget(ratio=0.001, floor=1)
    stack = either_world.stack([Retry(budget=budget)], Fallback(*routes_of(*leaves)), clock=VirtualClock())
    fail(either_world, stack, ask)
    assert [leaf.calls for leaf in leaves] == [2, 1, 1]
    fail(either_world, stack, ask)
    assert [leaf.calls for leaf in leaves] == [3, 2, 2]


# -- deadline and routes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "seconds"), [(1, [60.0]), (2, [30.0, 30.0]), (3, [30.0, 15.0, 15.0])])
def test_a_route_may_wait_for_half_of_what_is_left_while_others_are_there(
    either_world: Any, ask_stream: Request, count: int, seconds: list[float]
) -> None:
    clock = VirtualClock()
    waited: list[float] = []

    def silent(request: Request) -> ProviderError:
        clocks = Clocks(Timeouts(first_event=600.0, total=600.0), request.call, stream=True)
        waited.append(clocks.until() - clock.now())
        clock.advance(waited[-1])
        return clocks.too_late()

    leaves = [either_world.leaf(silent) for _ in range(count)]
    stack = either_world.stack([Deadline(60.0)], Fallback(*routes_of(*leaves)), clock=clock)
    error = fail(either_world, stack, ask_stream)
    assert waited == seconds
    assert isinstance(error, DeadlineExceeded)
    assert [attempt.reason for attempt in error.attempts] == [*["first_event"] * (count - 1), "deadline"]


# -- what is never spent ---------------------------------------------------------------------------------------

AROUND = [Retry(scope="call", name="again"), Retry(), CircuitBreaker(failures=1)]


class Picky:
    """A handler that would take no `seed`."""

    def check(self, request: Request) -> tuple[Problem, ...]:
        return (Problem("seed", "seed is unknown"),) if "seed" in request.params else ()


def picky(world: Any, *entries: Any) -> Any:
    return type("PickyLeaf", (Picky, world.leaf), {})(*entries)


def test_what_one_route_would_refuse_is_sent_to_none(either_world: Any) -> None:
    leaves = either_world.leaf("never"), picky(either_world, "never")
    heard: list[Any] = []
    budget = RetryBudget(ratio=0.001, floor=1)
    layers = [Validate(), Retry(budget=budget), CircuitBreaker(failures=1)]
    clock = VirtualClock()
    stack = either_world.stack(layers, Fallback(*routes_of(*leaves)), clock=clock, observers=[heard.append])
    error = fail(either_world, stack, Request("m", "Hi", {"seed": 1}))
    assert isinstance(error, InvalidParameters)
    assert [problem.route for problem in error.problems] == ["r1"]
    assert ([leaf.calls for leaf in leaves], list(error.attempts), heard, clock.slept) == ([0, 0], [], [], [])
    assert stack.part("breaker", route="r1").snapshot(clock.now())["failures"] == 0
    assert budget.withdraw(clock.now())
    assert not budget.withdraw(clock.now())  # the one that the floor allows: no call was counted


@pytest.mark.parametrize("layers", [AROUND, [Validate(), *AROUND]], ids=["unchecked", "checked"])
def test_a_route_that_lacks_what_is_needed_is_neither_asked_nor_tried(either_world: Any, layers: list[Any]) -> None:
    lacking, able = picky(either_world, "never"), either_world.leaf(Unavailable(), "fine")
    routes = Route("plain", lacking, lacks={"tools"}), Route("able", able)
    stack = either_world.stack(layers, Fallback(*routes), clock=VirtualClock())
    reply = either_world.run(stack, Request("m", "Hi", {**TOOLS, "seed": 1}))
    assert reply.text == "fine"
    assert {attempt.route for attempt in reply.attempts} == {"able"}
    assert (lacking.calls, able.calls) == (0, 2)


def test_what_no_route_can_do_is_said_before_anything_is_spent(either_world: Any) -> None:
    leaves = either_world.leaf("never"), either_world.leaf("never")
    routes = [Route(f"r{number}", leaf, lacks={"tools"}) for number, leaf in enumerate(leaves)]
    clock = VirtualClock()
    for layers, kind in ((AROUND, ProviderError), ([Validate(), *AROUND], InvalidParameters)):
        stack = either_world.stack(layers, Fallback(*routes), clock=clock)
        error = fail(either_world, stack, Request("m", "Hi", TOOLS))
        assert isinstance(error, kind)
        assert (error.error_class, list(error.attempts), clock.slept) == ("invalid_request", [], [])
    assert [leaf.calls for leaf in leaves] == [0, 0]


# -- what is written down --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scripts", "spans"),
    [
        ([["fine"]], ["r0"]),
        ([[Unavailable(), TimedOut(), "fine"]], ["r0"] * 3),
        ([[Unavailable()], ["fine"]], ["r0", "r0", "r1"]),
        ([[AuthenticationFailed()], [Unavailable()]], ["r0", "r1", "r1", "r1"]),
    ],
)
def test_each_attempt_is_a_span_and_nothing_else_is(
    either_world: Any, tracing: Any, ask: Request, scripts: Any, spans: list[str]
) -> None:
    leaves = [either_world.leaf(*script) for script in scripts]
    layers = [TraceCall(tracing.provider), Retry(), CircuitBreaker(), Trace(tracing.provider)]
    stack = either_world.stack(layers, Fallback(*routes_of(*leaves)), clock=VirtualClock())
    try:
        attempts = either_world.run(stack, ask).attempts
    except AllRoutesFailed as error:
        attempts = error.attempts
    assert [span.attributes["mainstay.route"] for span in tracing.attempts] == spans
    assert len(attempts) == sum(leaf.calls for leaf in leaves) == len(spans)
    (call,) = tracing.calls
    assert {span.parent.span_id for span in tracing.attempts} == {call.context.span_id}
    retries = [event for event in call.events if event.name == "mainstay.retry"]
    assert len(retries) == len(spans) - len(set(spans))


def test_an_open_breaker_has_no_span(either_world: Any, tracing: Any, ask: Request) -> None:
    layers = [TraceCall(tracing.provider), Retry(), CircuitBreaker(), Trace(tracing.provider)]
    leaves = either_world.leaf("never"), either_world.leaf("fine")
    stack = either_world.stack(layers, Fallback(*routes_of(*leaves)), clock=VirtualClock())
    stack.part("breaker", route="r0").isolate()
    either_world.run(stack, ask)
    assert [span.attributes["mainstay.route"] for span in tracing.attempts] == ["r1"]


def answer(cost: float | None = None) -> Any:
    """A leaf's entry: a reply that used a million tokens each way."""
    usage = Usage(1_000_000, 1_000_000, cost=cost)

    def reply(request: Request) -> Reply:
        return Reply("fine", usage=usage)

    return reply


@pytest.mark.parametrize(
    ("scripts", "cost"),
    [
        ([[answer()]], 3.0),
        ([[answer(cost=0.5)]], 0.5),  # what the provider says goes before the list
        ([[Unavailable(status=503), answer()]], 3.0),  # what was refused came to nothing
        ([[Unavailable(reason="connection_refused")], [answer()]], 3.0),
        ([[Unavailable()], [answer()]], None),  # a try that was cut may have cost something
    ],
)
def test_the_cost_of_a_call_is_that_of_all_its_attempts(
    either_world: Any, ask: Request, scripts: Any, cost: float | None
) -> None:
    leaves = [either_world.leaf(*script) for script in scripts]
    layers = [Cost(Prices({"gpt-4o": Price(1.0, 2.0)})), Retry()]
    stack = either_world.stack(layers, Fallback(*routes_of(*leaves)), clock=VirtualClock())
    assert either_world.run(stack, ask).spent.cost == cost


def test_of_two_streams_that_broke_and_answered_the_first_one_is_not_known(
    either_world: Any, kit: Any, ask_stream: Request
) -> None:
    flows = kit.Flow((), error=Unavailable()), kit.Flow(usage=Usage(1_000_000, 0, 1_000_000))
    leaves = [either_world.leaf(flow) for flow in flows]
    layers = [Cost(Prices({"gpt-4o": Price(1.0, 2.0)})), Retry(attempts_before_others=1)]
    stack = either_world.stack(layers, Fallback(*routes_of(*leaves)), clock=VirtualClock())
    reply = either_world.run(stack, ask_stream, "read")
    assert reply.usage.cost == 1.0
    assert reply.spent.cost is None

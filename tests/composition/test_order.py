"""Which orders of layers are refused, each with its reason, and what is done before anything is spent."""

from __future__ import annotations

from typing import Any

import pytest

from mainstay.middleware import (
    CircuitBreaker,
    Deadline,
    Fallback,
    Health,
    Log,
    Metrics,
    Retry,
    Trace,
    TraceCall,
    Validate,
    standard,
)
from mainstay.pipeline import AsyncStack, InvalidParameters, Problem, Request, Route, Stack, middleware


@middleware
def own(request: Request) -> Any:
    return (yield request)


def plain(handler: Any) -> Any:
    return handler


RETRY, BREAKER = Retry(scope="call"), CircuitBreaker(scope="call")
ONCE = "refused before anything is spent on it, and once"
BOUNDS = "a deadline bounds everything"
SEES = "the span of the whole call must see everything"

REFUSED: list[tuple[list[Any], str]] = [
    ([CircuitBreaker(), Retry()], "breaker must not stand outside retry: each try needs an admission of its own"),
    ([BREAKER, RETRY], "breaker must not stand outside retry"),
    ([Trace(), Retry()], "trace must not stand outside retry: a span is one attempt, not all tries of a route"),
    ([Trace(), CircuitBreaker()], "trace must not stand outside breaker: what the breaker refuses never left"),
    ([RETRY, Deadline()], f"deadline must not stand inside retry: {BOUNDS}"),
    ([BREAKER, Deadline()], f"deadline must not stand inside breaker: {BOUNDS}"),
    ([Validate(), Deadline()], f"deadline must not stand inside validate: {BOUNDS}"),
    ([own, Deadline()], f"deadline must not stand inside own: {BOUNDS}"),
    ([plain, Deadline()], f"deadline must not stand inside plain: {BOUNDS}"),
    ([Validate(), TraceCall()], f"trace_call must not stand inside validate: {SEES}"),
    ([own, TraceCall(), Trace()], f"trace_call must not stand inside own: {SEES}"),
    ([plain, TraceCall()], f"trace_call must not stand inside plain: {SEES}"),
    ([RETRY, Validate()], f"validate must not stand inside retry.*{ONCE}"),
    ([BREAKER, Validate()], f"validate must not stand inside breaker.*{ONCE}"),
    ([Trace(scope="call"), Validate()], f"validate must not stand inside trace.*{ONCE}"),
    ([Retry(), Retry()], "two layers of scope 'route' are called 'retry'"),
    ([Validate(), Validate()], "two layers of scope 'call' are called 'validate'"),
    ([Retry(), own], "retry guards one route at a time and stands outside own, which guards the whole call"),
    ([Retry(), plain], "retry guards one route at a time and stands outside plain"),
]


@pytest.mark.parametrize("kind", [Stack, AsyncStack])
@pytest.mark.parametrize(("layers", "message"), REFUSED, ids=[message[:60] for _, message in REFUSED])
def test_an_order_that_makes_no_sense_is_refused_with_the_reason(
    kit: Any, kind: Any, layers: list[Any], message: str
) -> None:
    router = Fallback(Route("a", kit.Leaf()), Route("b", kit.Leaf()))
    with pytest.raises(ValueError, match=message):
        kind(layers, router)
    kind(layers, router, check=False)


ALLOWED: list[list[Any]] = [
    standard(),
    [Validate(), Retry(), CircuitBreaker(), Trace()],
    [TraceCall(), Deadline(), Log(), Validate(), Retry(scope="call", name="again"), Retry(), CircuitBreaker(), Trace()],
    [Deadline(), TraceCall(), Trace()],
    [Metrics(), Log(), Deadline(), TraceCall(), Trace()],
    [Deadline(100), Deadline(5, name="inner")],
    [Log(), Validate(), own, plain, Retry()],
    [Retry(scope="call"), Retry()],
    [Retry(), Retry(name="more")],
    [RETRY, own],
    [own, Validate()],
    [],
]


@pytest.mark.parametrize("kind", [Stack, AsyncStack])
@pytest.mark.parametrize("layers", ALLOWED)
def test_every_other_order_is_allowed(kit: Any, kind: Any, layers: list[Any]) -> None:
    stack = kind(layers, Fallback(Route("a", kit.Leaf()), Route("b", kit.Leaf())))
    assert stack.routes() == ("a", "b")


def test_over_a_single_handler_a_route_s_layer_may_stand_outside_a_call_s(kit: Any, ask: Request) -> None:
    assert Stack([Retry(), own, Log()], kit.Leaf())(ask).text == "answer"


def test_the_same_layer_inside_and_outside_is_refused_unless_the_outer_one_guards_the_call(kit: Any) -> None:
    inner = Stack([Retry()], kit.Leaf())
    with pytest.raises(ValueError, match="retry stands in this stack and in a stack that is one of its routes"):
        Stack([Retry()], Fallback(Route("a", inner), Route("b", kit.Leaf())))
    Stack([Retry(scope="call")], Fallback(Route("a", inner), Route("b", kit.Leaf())))


def test_validation_comes_before_anything_is_spent(either_world: Any, tracing: Any) -> None:
    class Picky(either_world.leaf):  # type: ignore[misc, name-defined]
        def check(self, request: Request) -> tuple[Problem, ...]:
            return (Problem("seed", "seed is unknown"),)

    leaf = Picky()
    heard: list[Any] = []
    health = Health()
    layers = [TraceCall(tracing.provider), *standard()[1:-1], Trace(tracing.provider)]
    stack = either_world.stack(layers, Fallback(Route("a", leaf)), observers=[health, heard.append])
    stack.part("breaker", route="a").isolate()
    with pytest.raises(InvalidParameters) as raised:
        either_world.run(stack, Request("m", "Hi", {"seed": 1}))
    assert (leaf.calls, list(raised.value.attempts), heard) == (0, [], [])
    assert tracing.attempts == []
    assert health.status(stack)["a"]["attempts"] == 0


def test_a_flat_list_is_distributed_over_nested_routers(kit: Any) -> None:
    nested = Fallback(Route("x", kit.Leaf()), Route("y", Fallback(Route("z", kit.Leaf()))))
    stack = Stack(standard(), nested)
    breakers = [stack.part("breaker", route=path) for path in stack.routes()]
    assert stack.routes() == ("x", "y/z")
    assert len(set(map(id, breakers))) == 2

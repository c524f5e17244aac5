"""A stack as a route of another: one opaque leaf for layers, one call with the outer one."""

from __future__ import annotations

from typing import Any

import pytest

from mainstay.pipeline import (
    AttemptsSpent,
    DeadlineExceeded,
    Request,
    Route,
    Sleep,
    Unavailable,
    VirtualClock,
    middleware,
)


@middleware
def naps(request: Request) -> Any:
    yield Sleep(10)
    return (yield request)


@pytest.fixture
def spied() -> tuple[Any, list[Any]]:
    calls: list[Any] = []

    @middleware(name="spy")
    def spy(request: Request) -> Any:
        calls.append(request.call)
        return (yield request)

    return spy, calls


def test_a_nested_stack_joins_the_call_that_it_finds(
    world: Any, script: Any, in_order: Any, spied: Any, ask: Request
) -> None:
    spy, calls = spied
    told: list[Any] = []
    ignored: list[Any] = []
    inner = world.stack([spy], world.handler(script()), cap=1, observers=[ignored.append])
    outer = world.stack([spy], in_order(Route("r", inner)), cap=5, clock=VirtualClock(), observers=[told.append])
    reply = world.run(outer, ask)
    assert calls[0] is calls[1]
    assert (calls[0].cap, calls[0].clock, reply.attempts) == (5, outer.clock, calls[0].attempts)
    assert (len(told), ignored) == (2, [])


def test_attempts_are_counted_by_the_inner_stack_s_own_leaves_only(
    world: Any, script: Any, in_order: Any, again: Any, ask: Request
) -> None:
    inner_router = in_order(Route("x", world.handler(script(Unavailable()))), Route("y", world.handler(script())))
    inner = world.stack([again(times=2)], inner_router)
    outer = world.stack([], in_order(Route("a", world.handler(script(Unavailable()))), Route("team", inner)))
    reply = world.run(outer, ask)
    assert [(one.number, one.route, one.outcome) for one in reply.attempts] == [
        (1, "a", "error"),
        (2, "team/x", "error"),
        (3, "team/x", "error"),
        (4, "team/y", "ok"),
    ]
    assert [one.resend for one in reply.attempts] == [0, 0, 1, 0]


def test_two_stacks_with_routes_of_the_same_name_are_not_taken_for_one(
    world: Any, script: Any, in_order: Any, ask: Request
) -> None:
    eu = world.stack([], in_order(Route("openai", world.handler(script(Unavailable())))))
    us = world.stack([], in_order(Route("openai", world.handler(script()))))
    reply = world.run(world.stack([], in_order(Route("eu", eu), Route("us", us))), ask)
    assert [(one.route, one.resend) for one in reply.attempts] == [("eu/openai", 0), ("us/openai", 0)]


def test_the_outer_cap_rules_the_inner_stack(world: Any, script: Any, again: Any, in_order: Any, ask: Request) -> None:
    leaf = script(Unavailable())
    inner = world.stack([again(times=9)], world.handler(leaf), cap=9)
    with pytest.raises(AttemptsSpent, match="its 2 attempts"):
        world.run(world.stack([], in_order(Route("r", inner)), cap=2), ask)
    assert len(leaf.seen) == 2


def test_the_outer_deadline_rules_the_inner_stack(world: Any, script: Any, in_order: Any, ask: Request) -> None:
    @middleware
    def limit(request: Request) -> Any:
        request.call.deadline = request.call.clock.now() + 5
        return (yield request)

    inner = world.stack([naps], world.handler(script()))
    with pytest.raises(DeadlineExceeded):
        world.run(world.stack([limit], in_order(Route("r", inner)), clock=VirtualClock()), ask)


def test_for_the_layers_outside_a_nested_stack_is_one_leaf_with_the_route_s_name(
    world: Any, script: Any, in_order: Any, mark: Any, ask: Request
) -> None:
    inner = world.stack([], in_order(Route("x", world.handler(script())), Route("y", world.handler(script()))))
    outer = world.stack([mark("m", "route")], in_order(Route("deep", in_order(Route("team", inner)))))
    world.run(outer, ask)
    assert outer.routes() == ("deep/team",)
    assert (outer.part("m").calls, outer.part("m").route) == (1, "deep/team")


def test_routes_left_counts_the_leaves_of_a_nested_stack_through_the_layers_around_it(
    world: Any, script: Any, in_order: Any, mark: Any, ask: Request
) -> None:
    left: list[int] = []

    def failing(request: Request) -> Any:
        left.append(request.call.routes_left)
        raise Unavailable

    def leaf() -> Any:
        return world.handler(failing)

    inner = world.stack([mark("i")], in_order(Route("x", leaf()), Route("y", leaf()), Route("z", leaf())))
    router = in_order(Route("a", leaf()), Route("team", inner), Route("n", in_order(Route("b", leaf()))))
    outer = world.stack([mark("m", "route"), mark("o", "route")], router)
    assert outer.leaf_count == 5
    with pytest.raises(Unavailable):
        world.run(outer, ask)
    assert left == [4, 3, 2, 1, 0]


def test_a_stack_under_a_stack_without_a_router_works_too(world: Any, script: Any, mark: Any, ask: Request) -> None:
    inner = world.stack([mark("i")], world.handler(script()))
    outer = world.stack([mark("o", "route")], inner)
    reply = world.run(outer, ask)
    assert len(reply.attempts) == 1
    assert (outer.part("o").calls, inner.part("i").calls, outer.leaf_count) == (1, 1, 1)
    with pytest.raises(LookupError, match="no layer 'i' here: there is o"):
        outer.part("i")


def test_a_handler_that_calls_another_stack_stays_in_the_same_call(world: Any, script: Any, ask: Request) -> None:
    inner = world.stack([], world.handler(script()))

    def relay(request: Request) -> Any:
        return world.run(inner, request)

    if world.stack.__name__ == "AsyncStack":

        async def relay(request: Request) -> Any:  # type: ignore[no-redef]
            return await inner(request)

    assert len(world.run(world.stack([], relay), ask).attempts) == 2

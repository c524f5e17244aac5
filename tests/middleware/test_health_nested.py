"""Health over stacks that are routes: a route tells of all that is inside it."""

from __future__ import annotations

from typing import Any

from mainstay.middleware import CircuitBreaker, Fallback, Health
from mainstay.pipeline import Request, Route, Unavailable, VirtualClock


def test_a_stack_as_a_route_is_told_under_the_route_s_name_and_not_mixed_with_another(
    either_world: Any, kit: Any
) -> None:
    world, clock, health = either_world, VirtualClock(), Health()
    eu = world.stack(
        [], Fallback(Route("openai", world.leaf(Unavailable())), Route("azure", world.leaf(Unavailable())))
    )
    us = world.stack([], Fallback(Route("openai", world.leaf())))
    outer = world.stack([], Fallback(Route("eu", eu), Route("us", us)), clock=clock, observers=[health])
    for _ in range(3):
        world.run(outer, Request("m", "Hi"))
    status = health.status(outer)
    assert list(status) == ["eu", "us"]
    assert (status["eu"]["attempts"], status["eu"]["errors"], status["eu"]["healthy"]) == (6, 6, False)
    assert status["eu"]["last_error"] == "unavailable"
    assert status["eu"]["since"] is not None
    assert (status["us"]["attempts"], status["us"]["errors"], status["us"]["healthy"]) == (3, 0, True)


def test_of_several_breakers_the_one_that_is_not_closed_is_told(kit: Any) -> None:
    health = Health()
    layers = [CircuitBreaker(name="outer", scope="call"), CircuitBreaker(name="inner")]
    stack = kit.Threads.stack(layers, kit.Leaf(), observers=[health])
    assert health.status(stack)["leaf"]["state"] == "closed"
    stack.part("inner").isolate()
    assert (health.status(stack)["leaf"]["state"], health.status(stack)["leaf"]["healthy"]) == ("isolated", False)

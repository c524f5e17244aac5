"""Health over stacks that are routes: each route inside is told for itself, by its whole path."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from mainstay.middleware import Balance, CircuitBreaker, Fallback, Health, HealthChange, Retry
from mainstay.middleware.strategies import InOrder
from mainstay.pipeline import (
    AttemptEnded,
    AuthenticationFailed,
    BreakerChanged,
    CircuitOpen,
    FellBack,
    ProviderError,
    Request,
    RetryScheduled,
    Route,
    RouteDoubted,
    RouteSkipped,
    Unavailable,
    VirtualClock,
)


def test_routes_of_stacks_inside_have_their_whole_path_and_are_not_mixed_with_one_another(
    either_world: Any, kit: Any
) -> None:
    world, clock, health = either_world, VirtualClock(), Health()
    eu = world.stack(
        [CircuitBreaker()], Fallback(Route("openai", world.leaf(Unavailable())), Route("azure", world.leaf()))
    )
    us = world.stack([], Fallback(Route("openai", world.leaf())))
    outer = world.stack([], Fallback(Route("eu", eu), Route("us", us)), clock=clock, observers=[health])
    changes: list[HealthChange] = []
    health.on_change(changes.append)
    for _ in range(6):
        world.run(outer, Request("m", "Hi"))
    status = outer.status()
    assert {
        path: (entry["attempts"], entry["errors"], entry["state"], entry["healthy"]) for path, entry in status.items()
    } == {
        "eu/openai": (5, 5, "open", False),
        "eu/azure": (6, 0, "closed", True),
        "us/openai": (0, 0, "closed", True),
    }
    assert [(change.route, change.state, change.healthy) for change in changes] == [("eu/openai", "open", False)]


def test_a_breaker_around_a_stack_inside_counts_for_all_its_routes(kit: Any) -> None:
    health, changes = Health(), []
    health.on_change(changes.append)
    inner = kit.Threads.stack([], Fallback(Route("a", kit.Leaf(Unavailable())), Route("b", kit.Leaf(Unavailable()))))
    outer = kit.Threads.stack(
        [CircuitBreaker(failures=1)], Fallback(Route("eu", inner), Route("us", kit.Leaf())), observers=[health]
    )
    outer(Request("m", "Hi"))
    assert {path: entry["state"] for path, entry in outer.status().items()} == {
        "eu/a": "open",
        "eu/b": "open",
        "us": "closed",
    }
    assert {(change.route, change.state) for change in changes} == {("eu/a", "open"), ("eu/b", "open")}


def test_a_breaker_around_the_whole_call_counts_for_all_routes(kit: Any) -> None:
    health, changes = Health(), []
    health.on_change(changes.append)
    stack = kit.Threads.stack(
        [CircuitBreaker(failures=1, scope="call")],
        Fallback(Route("a", kit.Leaf(Unavailable())), Route("b", kit.Leaf(Unavailable()))),
        observers=[health],
    )
    with_suppressed(stack)
    assert {path: entry["state"] for path, entry in stack.status().items()} == {"a": "open", "b": "open"}
    assert {(change.route, change.state) for change in changes} == {("a", "open"), ("b", "open")}


def test_each_key_of_a_balance_is_told_for_itself(kit: Any) -> None:
    health = Health()
    keys = Balance(Route("key-1", kit.Leaf(AuthenticationFailed())), Route("key-2", kit.Leaf()))
    stack = kit.Threads.stack(
        [CircuitBreaker()], Fallback(Route("openai", keys), Route("claude", kit.Leaf())), observers=[health]
    )
    for _ in range(20):
        stack(Request("m", "Hi"))
    status = stack.status()
    assert list(status) == ["openai/key-1", "openai/key-2", "claude"]
    assert (status["openai/key-1"]["state"], status["openai/key-1"]["errors"]) == ("open", 1)
    assert (status["openai/key-2"]["state"], status["openai/key-2"]["attempts"]) == ("closed", 20)


def test_a_layer_switched_off_further_out_or_further_in_is_left_out(kit: Any) -> None:
    inner = kit.Threads.stack([CircuitBreaker()], Fallback(Route("a", kit.Leaf())))
    outer = kit.Threads.stack([], Fallback(Route("eu", inner)), observers=[Health()])
    running = outer.running()
    assert outer.running() is running
    inner.part("breaker").isolate()
    told = [outer.status()["eu/a"]["state"]]
    for switch in (outer.disable, outer.enable, inner.disable, inner.enable):
        switch("breaker")
        told.append(outer.status()["eu/a"]["state"])
    assert told == ["isolated", "closed", "isolated", "closed", "isolated"]


def test_a_breaker_inside_tells_observers_the_whole_path(kit: Any) -> None:
    heard: list[Any] = []
    inner = kit.Threads.stack(
        [CircuitBreaker(failures=1, observe=True)], Fallback(Route("a", kit.Leaf(Unavailable(), "fine")))
    )
    outer = kit.Threads.stack([], Fallback(Route("eu", inner)), observers=[heard.append])
    with_suppressed(outer)
    outer(Request("m", "Hi"))
    told = [event for event in heard if isinstance(event, (BreakerChanged, RouteDoubted))]
    assert [(type(event), event.route) for event in told] == [(BreakerChanged, "eu/a"), (RouteDoubted, "eu/a")]


def test_a_refusal_inside_is_told_once_by_the_whole_path(kit: Any) -> None:
    heard: list[Any] = []
    inner = kit.Threads.stack([CircuitBreaker(failures=1)], Fallback(Route("a", kit.Leaf(Unavailable()))))
    outer = kit.Threads.stack([], Fallback(Route("eu", inner), Route("us", kit.Leaf())), observers=[heard.append])
    outer(Request("m", "Hi"))
    assert outer(Request("m", "Hi")).text
    told = [event for event in heard if isinstance(event, RouteSkipped)]
    assert [(event.route, event.error.route, type(event.error)) for event in told] == [("eu/a", "eu/a", CircuitOpen)]


def test_retries_and_hops_inside_are_told_by_the_whole_path(kit: Any) -> None:
    heard: list[Any] = []
    keys = Balance(Route("key-1", kit.Leaf(Unavailable())), Route("key-2", kit.Leaf(Unavailable())), strategy=InOrder())
    inner = kit.Threads.stack([Retry()], Fallback(Route("a", keys), Route("b", kit.Leaf(Unavailable()))))
    outer = kit.Threads.stack(
        [], Fallback(Route("eu", inner), Route("us", kit.Leaf())), clock=VirtualClock(), observers=[heard.append]
    )
    outer(Request("m", "Hi"))
    hops = [(event.origin, event.target) for event in heard if isinstance(event, FellBack)]
    assert hops == [("eu/a/key-1", "eu/a/key-2"), ("eu/a", "eu/b"), ("eu", "us")]
    tried = {event.attempt.route for event in heard if isinstance(event, AttemptEnded)}
    assert (
        {event.route for event in heard if isinstance(event, RetryScheduled)}
        <= tried
        == {
            "eu/a/key-1",
            "eu/a/key-2",
            "eu/b",
            "us",
        }
    )


def test_a_breaker_around_all_routes_of_a_stack_inside_is_told_by_the_path_of_that_stack(kit: Any) -> None:
    health, changes = Health(), []
    health.on_change(changes.append)
    inner = kit.Threads.stack(
        [CircuitBreaker(failures=1, scope="call")], Fallback(Route("a", kit.Leaf(Unavailable()), "m"))
    )
    outer = kit.Threads.stack([], Fallback(Route("eu", inner), Route("us", kit.Leaf())), observers=[health])
    outer(Request("m", "Hi"))
    assert [(change.route, change.state) for change in changes] == [("eu/a", "open")]


def with_suppressed(stack: Any) -> None:
    with suppress(ProviderError):
        stack(Request("m", "Hi"))


def test_of_several_breakers_the_one_that_is_not_closed_is_told(kit: Any) -> None:
    health = Health()
    layers = [CircuitBreaker(name="outer", scope="call"), CircuitBreaker(name="inner")]
    stack = kit.Threads.stack(layers, kit.Leaf(), observers=[health])
    assert health.status(stack)["leaf"]["state"] == "closed"
    stack.part("inner").isolate()
    assert (health.status(stack)["leaf"]["state"], health.status(stack)["leaf"]["healthy"]) == ("isolated", False)

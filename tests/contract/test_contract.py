"""The laws that every layer keeps, on every layer, in both worlds."""

from __future__ import annotations

import asyncio
import gc
import logging
import pickle
import threading
import weakref
from contextlib import suppress
from typing import Any

import pytest

from mainstay.middleware import Fallback
from mainstay.pipeline import ErrorClass, Layer, ProviderError, Reply, Request, Route, Unavailable, VirtualClock
from mainstay.pipeline.layer import AsyncBound, Bound
from mainstay.pipeline.router import AsyncRouter, Router
from mainstay.pipeline.through import inward

MANY = 32


def stack_of(world: Any, layer: Layer, *leaves: Any, **options: Any) -> Any:
    """A stack with this layer over a router with these leaves as routes a, b, c."""
    options.setdefault("clock", VirtualClock())
    routes = (Route(name, leaf) for name, leaf in zip("abc", leaves, strict=False))
    return world.stack([layer], Fallback(*routes), **options)


def ledger(attempts: Any) -> list[tuple[Any, ...]]:
    return [(a.number, a.route, a.model, a.resend, a.outcome, a.error_class, a.reason, a.usage) for a in attempts]


# -- many at once ----------------------------------------------------------------------------------------------


def test_thirty_two_threads_are_all_in_flight_together(kit: Any, layer: Layer, ask: Request) -> None:
    together = threading.Barrier(MANY)
    replies: list[Reply] = []

    def leaf(request: Request) -> Reply:
        together.wait(timeout=60)
        return Reply("answer")

    stack = stack_of(kit.Threads, layer, leaf)
    threads = [threading.Thread(target=lambda: replies.append(stack(ask))) for _ in range(MANY)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [reply.text for reply in replies] == ["answer"] * MANY
    assert [len(reply.attempts) for reply in replies] == [1] * MANY


def test_thirty_two_tasks_are_all_in_flight_together(kit: Any, layer: Layer, ask: Request) -> None:
    async def main() -> list[Any]:
        everyone, waiting = asyncio.Event(), 0

        async def leaf(request: Request) -> Reply:
            nonlocal waiting
            waiting += 1
            if waiting == MANY:
                everyone.set()
            await everyone.wait()
            return Reply("answer")

        stack = stack_of(kit.Loop, layer, leaf)
        return await asyncio.gather(*(stack(ask) for _ in range(MANY)))

    assert [reply.text for reply in asyncio.run(main())] == ["answer"] * MANY


# -- every way out ---------------------------------------------------------------------------------------------


class Prompt(dict[str, str]):
    """A message that can be watched."""

    __slots__ = ("__weakref__",)


def ways_out(world: Any, kit: Any) -> dict[str, tuple[Any, str]]:
    """What the leaf does, and what the caller does with the reply."""
    stop = KeyboardInterrupt if world.name == "threads" else asyncio.CancelledError
    out: dict[str, tuple[Any, str]] = {
        "reply": (lambda: "answer", "keep"),
        "bug": (lambda: ValueError("a bug"), "keep"),
        "stop": (stop, "keep"),
        "exhausted": (lambda: kit.Flow(), "read"),
        "closed": (lambda: kit.Flow(), "close"),
        "left": (lambda: kit.Flow(), "leave"),
        "dropped": (lambda: kit.Flow(), "drop"),
        "broken": (lambda: kit.Flow(error=Unavailable()), "read"),
        "cut": (lambda: kit.Flow(whole=False), "read"),
        "stopped in the stream": (lambda: kit.Flow(error=stop()), "read"),
    }
    for kind in ErrorClass:
        out[kind.value] = (lambda kind=kind: ProviderError.of(kind), "keep")
    return out


WAYS_OUT = list(ways_out(type("World", (), {"name": "threads"}), None))


@pytest.mark.parametrize("way", WAYS_OUT)
def test_each_way_out_leaves_the_layer_usable_and_nothing_held(
    either_world: Any, kit: Any, layer: Layer, way: str
) -> None:
    make, end = ways_out(either_world, kit)[way]
    bad = True
    leaf = either_world.leaf(lambda request: make() if bad else "fine")
    stack = stack_of(either_world, layer, leaf)

    def call() -> weakref.ref[Any]:
        prompt = Prompt(role="user", content="Why?")
        with suppress(ProviderError, ValueError, KeyboardInterrupt, asyncio.CancelledError):
            either_world.run(stack, Request("m", [prompt], stream=end != "keep"), end)
        leaf.seen.clear()
        return weakref.ref(prompt)

    prompt = call()
    gc.collect()
    assert prompt() is None
    bad = False
    stack.clock.advance(1e6)  # a breaker that opened is due again
    for _ in range(3):
        reply = either_world.run(stack, Request("m", "Why?"))
        assert (reply.text, len(reply.attempts)) == ("fine", 1)


# -- errors, observers, streams --------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(8))
def test_an_error_comes_out_as_the_same_object_with_its_cause(
    either_world: Any, kit: Any, layer: Layer, ask: Request, number: int
) -> None:
    error = [*kit.one_of_each(), ValueError("a bug")][number]
    error.__cause__ = cause = OSError("socket")
    with pytest.raises(type(error)) as raised:
        either_world.run(stack_of(either_world, layer, either_world.leaf(error)), ask)
    assert raised.value is error
    assert error.__cause__ is cause


@pytest.mark.parametrize("script", [["answer"], [Unavailable()], [ValueError("a bug")]], ids=["ok", "error", "bug"])
def test_an_observer_that_raises_is_logged_and_changes_nothing(
    either_world: Any, kit: Any, layer: Layer, ask: Request, script: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    def broken(event: Any) -> None:
        raise RuntimeError("observer")

    told = []
    for observers in ([], [broken]):
        leaf = either_world.leaf(*script)
        stack = stack_of(either_world, layer, leaf, either_world.leaf("from b"), observers=observers)
        try:
            reply = either_world.run(stack, ask)
            told.append((reply.text, ledger(reply.attempts)))
        except ValueError as error:
            told.append((error, leaf.calls))
    assert told[0] == told[1]
    failures = [
        record for record in caplog.records if record.levelno == logging.ERROR and "failed on" in record.message
    ]
    assert len(failures) >= 2


def test_a_stream_is_passed_through_as_it_comes_and_its_closing_reaches_the_source(
    either_world: Any, kit: Any, layer: Layer, ask_stream: Request
) -> None:
    flow = kit.Flow(("one", "two", "three"))
    stack = stack_of(either_world, layer, either_world.leaf(flow))

    def step(name: str, expected: list[str]) -> None:
        assert flow.seen == expected, name

    if either_world.name == "threads":
        reply = stack(ask_stream)
        step("handed out", ["one"])
        assert next(reply).text == "one"
        step("first chunk", ["one"])
        assert next(reply).text == "two"
        step("second chunk", ["one", "two"])
        reply.close()
        step("closed", ["one", "two", "freed"])
        return

    async def main() -> None:
        reply = await stack(ask_stream)
        step("handed out", ["one"])
        assert (await anext(reply)).text == "one"
        step("first chunk", ["one"])
        assert (await anext(reply)).text == "two"
        await reply.aclose()
        step("closed", ["one", "two", "freed"])

    asyncio.run(main())


def test_nothing_is_tried_again_after_the_first_token(
    either_world: Any, kit: Any, layer: Layer, ask_stream: Request
) -> None:
    error = Unavailable()
    leaf, other = either_world.leaf(kit.Flow(("one",), error=error)), either_world.leaf()
    with pytest.raises(Unavailable) as raised:
        either_world.run(stack_of(either_world, layer, leaf, other), ask_stream, "read")
    assert raised.value is error
    assert error.partial.text == "one"
    assert (leaf.calls, other.calls) == (1, 0)


# -- counting, both worlds -------------------------------------------------------------------------------------


def scripts(kit: Any) -> list[list[list[Any]]]:
    errors = kit.one_of_each
    return [
        [["answer"]],
        [[Unavailable(), "answer"]],
        [[Unavailable()], ["from b"]],
        [[errors()[number]] for number in (0, 2, 3)],
        [[errors()[6]], ["never"]],
        [[kit.Flow((), error=Unavailable()), kit.Flow(("x",))]],
        [[kit.Flow(("x",), error=Unavailable())]],
        [[kit.Flow(whole=False)], ["never"]],
    ]


@pytest.mark.parametrize("number", range(8))
def test_both_worlds_come_to_the_same_and_every_attempt_is_one_call_of_a_handler(
    kit: Any, layer: Layer, number: int
) -> None:
    told = []
    for world in (kit.Threads, kit.Loop):
        clock = VirtualClock()
        leaves = [world.leaf(*script) for script in scripts(kit)[number]]
        stack = stack_of(world, layer, *leaves, clock=clock)
        ask = Request("m", "Why?", stream="Flow" in repr(scripts(kit)[number]))
        heard: list[Any] = []
        stack.observers = (lambda event, heard=heard: heard.append(type(event).__name__),)
        try:
            reply = world.run(stack, ask, "read")
            result, attempts = (type(reply).__mro__[-2], reply.text), reply.attempts
        except ProviderError as error:
            result, attempts = (type(error), str(error)), error.attempts
        assert len(attempts) == sum(leaf.calls for leaf in leaves)
        told.append((result, ledger(attempts), clock.slept, heard))
    assert told[0] == told[1]


# -- at rest ---------------------------------------------------------------------------------------------------


def test_a_layer_pickles(plain_layer: Layer, ask: Request) -> None:
    copy = pickle.loads(pickle.dumps(plain_layer))
    assert (type(copy), copy.name, copy.scope) == (type(plain_layer), plain_layer.name, plain_layer.scope)
    assert copy(lambda request: Reply("answer"))(ask).text == "answer"


def bounds(handler: Any, name: str) -> list[Any]:
    """Every driven copy of a layer, wherever the stack has put it."""
    found = []
    for item in inward(handler):
        if isinstance(item, (Bound, AsyncBound)) and item.name == name:
            found.append(item)
        if isinstance(item, (Router, AsyncRouter)):
            router = item.handler if isinstance(item, AsyncRouter) else item
            found += [bound for route in router.routes for bound in bounds(route.handler, name)]
            break
    return found


def test_switched_off_by_name_a_layer_does_nothing_at_all(either_world: Any, layer: Layer, ask: Request) -> None:
    def forbidden(request: Request) -> Any:
        raise AssertionError("switched off, and yet it ran")

    leaves = either_world.leaf(Unavailable()), either_world.leaf("from b")
    stack = stack_of(either_world, layer, *leaves)
    copies = bounds(stack._entry, layer.name)
    assert len(copies) == (2 if layer.scope == "route" else 1)
    for bound in copies:
        bound._handle = forbidden
    with pytest.raises(AssertionError, match="yet it ran"):
        either_world.run(stack, ask)
    stack.disable(layer.name)
    reply = either_world.run(stack, ask)
    assert (reply.text, len(reply.attempts)) == ("from b", 2)
    stack.enable(layer.name)
    with pytest.raises(AssertionError, match="yet it ran"):
        either_world.run(stack, ask)

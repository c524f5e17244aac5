"""Layers are switched off by name, at run time or from outside."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from mainstay.pipeline import Request, Route, Stack, Unavailable, middleware


@pytest.fixture(autouse=True)
def _nothing_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MAINSTAY_DISABLE", raising=False)


def test_a_layer_that_is_switched_off_is_skipped_on_all_routes_until_it_is_switched_on(
    world: Any, script: Any, again: Any, in_order: Any, ask: Request
) -> None:
    leaves = [script(Unavailable()), script(Unavailable())]
    stack = world.stack(
        [again(times=2)], in_order(*(Route(f"r{n}", world.handler(leaf)) for n, leaf in enumerate(leaves)))
    )

    def tries() -> list[int]:
        before = [len(leaf.seen) for leaf in leaves]
        with pytest.raises(Unavailable):
            world.run(stack, ask)
        return [len(leaf.seen) - old for leaf, old in zip(leaves, before, strict=True)]

    assert tries() == [2, 2]
    stack.disable("again")
    assert (tries(), stack.disabled) == ([1, 1], {"again"})
    stack.enable("again")
    assert (tries(), stack.disabled) == ([2, 2], frozenset())


def test_several_layers_can_be_switched_at_once(world: Any, script: Any, mark: Any, ask: Request) -> None:
    stack = world.stack([mark("a"), mark("b"), mark("c")], world.handler(script()))
    stack.disable("a", "c")
    world.run(stack, ask)
    assert [stack.part(name).calls for name in "abc"] == [0, 1, 0]
    stack.enable("c")
    assert stack.disabled == {"a"}


def test_one_name_covers_both_scopes(world: Any, script: Any, mark: Any, in_order: Any, ask: Request) -> None:
    stack = world.stack([mark("m"), mark("m", "route")], in_order(Route("a", world.handler(script()))))
    stack.disable("m")
    world.run(stack, ask)
    assert (stack.part("m").calls, stack.part("m", route="a").calls) == (0, 0)


def test_an_unknown_name_is_an_error_and_switches_nothing(world: Any, script: Any, mark: Any, in_order: Any) -> None:
    stack = world.stack([mark("a"), mark("b")], in_order(Route("openai", script())))
    for switch in (stack.disable, stack.enable):
        with pytest.raises(ValueError, match="there is no layer 'retyr' here: there is a, b"):
            switch("a", "retyr")
    with pytest.raises(ValueError, match="no layer 'fallback'"):
        stack.disable("fallback")
    assert stack.disabled == frozenset()


def test_a_switch_of_the_outer_stack_reaches_nested_ones_and_not_the_other_way(
    world: Any, script: Any, mark: Any, in_order: Any, ask: Request
) -> None:
    inner = world.stack([mark("both"), mark("deep")], world.handler(script()))
    outer = world.stack([mark("both")], in_order(Route("a", inner)))
    outer.disable("both", "deep")
    world.run(outer, ask)
    world.run(inner, ask)
    assert (outer.part("both").calls, inner.part("both").calls, inner.part("deep").calls) == (0, 1, 1)
    outer.enable("both", "deep")
    inner.disable("both")
    world.run(outer, ask)
    assert (outer.part("both").calls, inner.part("both").calls, inner.part("deep").calls) == (1, 1, 2)
    with pytest.raises(ValueError, match="no layer 'top'"):
        inner.disable("top")


@pytest.mark.parametrize("off", [True, False])
def test_what_is_under_way_finishes_as_it_began(world: Any, script: Any, mark: Any, off: bool, ask: Request) -> None:
    stacks: list[Any] = []

    @middleware
    def throws_the_switch(request: Request) -> Any:
        (stacks[0].disable if off else stacks[0].enable)("later")
        return (yield request)

    stack = world.stack([throws_the_switch, mark("later")], world.handler(script()))
    stacks.append(stack)
    if not off:
        stack.disable("later")
    world.run(stack, ask)
    assert stack.part("later").calls == (1 if off else 0)
    world.run(stack, ask)
    assert stack.part("later").calls == 1


def test_the_environment_switches_off_when_a_stack_is_built(
    world: Any, script: Any, mark: Any, ask: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAINSTAY_DISABLE", " a, c ,,")
    stack = world.stack([mark("a"), mark("b"), mark("c")], world.handler(script()))
    monkeypatch.setenv("MAINSTAY_DISABLE", "b")
    world.run(stack, ask)
    assert [stack.part(name).calls for name in "abc"] == [0, 1, 0]
    stack.enable("a")
    assert stack.disabled == {"c"}


def test_an_unknown_name_in_the_environment_is_an_error_that_says_where_it_stands(
    world: Any, script: Any, mark: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAINSTAY_DISABLE", "a,retyr")
    with pytest.raises(ValueError, match=r"^MAINSTAY_DISABLE=a,retyr: there is no layer 'retyr' here: there is a$"):
        world.stack([mark("a")], script())


def test_no_switch_is_lost_when_many_are_thrown_at_once(script: Any, mark: Any) -> None:
    names = [f"l{number}" for number in range(32)]
    stack = Stack([mark(name) for name in names], script())
    for switch, expected in ((stack.disable, frozenset(names)), (stack.enable, frozenset())):
        barrier = threading.Barrier(len(names))

        def run(name: str, switch: Any = switch, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            switch(name)

        threads = [threading.Thread(target=run, args=(name,)) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert stack.disabled == expected

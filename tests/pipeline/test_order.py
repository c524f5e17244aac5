from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from mainstay.pipeline import Layer, Route, Scope, middleware


@dataclass(frozen=True)
class Span(Layer):
    name: str = "span"
    kind: ClassVar[str] = "span"

    def handle(self, request: Any) -> Any:
        return (yield request)


@dataclass(frozen=True)
class Outermost(Span):
    name: str = "outermost"
    kind: ClassVar[str] = "outermost"
    not_inside: ClassVar[dict[str, str]] = {"*": "it bounds everything", "picky": "picky cannot stand it"}
    but_inside: ClassVar[frozenset[str]] = frozenset({"outermost", "span"})


@dataclass(frozen=True)
class Attempted(Span):
    name: str = "attempted"
    scope: Scope = "route"
    kind: ClassVar[str] = "attempted"
    not_outside: ClassVar[dict[str, str]] = {"picky": "one attempt, one picky"}

    def companion(self) -> Layer:
        return Span()


@dataclass(frozen=True)
class Picky(Span):
    name: str = "picky"
    scope: Scope = "route"
    kind: ClassVar[str] = "picky"


def outer(handler: Any) -> Any:
    return handler


@middleware
def guard(request: Any) -> Any:
    return (yield request)


@pytest.fixture
def router(in_order: Any, script: Any) -> Any:
    return in_order(Route("a", script()), Route("b", script()))


def test_a_layer_is_refused_outside_of_what_it_must_not_hold(world: Any, script: Any) -> None:
    with pytest.raises(ValueError, match="attempted must not stand outside picky: one attempt, one picky"):
        world.stack([Attempted(), Picky()], script())
    world.stack([Picky(), Attempted()], script())


def test_a_layer_is_refused_inside_of_what_it_must_not_be_held_by(world: Any, script: Any) -> None:
    with pytest.raises(ValueError, match="outermost must not stand inside picky: picky cannot stand it"):
        world.stack([Picky(), Outermost()], script())
    with pytest.raises(ValueError, match="outermost must not stand inside guard: it bounds everything"):
        world.stack([guard, Outermost()], script())
    with pytest.raises(ValueError, match="outermost must not stand inside outer: it bounds everything"):
        world.stack([outer, Outermost()], script())


def test_inside_of_the_exceptions_it_may_stand(world: Any, script: Any) -> None:
    layers = (Span(), Outermost(), Outermost(name="inner"), guard, outer)
    assert world.stack(layers, script()).layers == layers


def test_the_pair_need_not_be_neighbours(world: Any, script: Any) -> None:
    with pytest.raises(ValueError, match="one attempt, one picky"):
        world.stack([Attempted(), guard, Picky()], script())


@pytest.mark.parametrize("inner", [guard, outer], ids=["layer", "function"])
def test_a_route_layer_outside_of_what_guards_the_call_is_refused_over_a_router(
    world: Any, script: Any, router: Any, inner: Any
) -> None:
    words = r"picky guards one route at a time and stands outside (guard|outer), .*: put (guard|outer) further out"
    with pytest.raises(ValueError, match=words):
        world.stack([Picky(), inner], router)
    world.stack([Picky(), inner], script())
    world.stack([inner, Picky()], router)


def test_a_name_twice_in_one_scope_is_refused_and_another_name_helps(world: Any, script: Any) -> None:
    with pytest.raises(ValueError, match=r"two layers of scope 'route' are called 'picky': .* name=\.\.\."):
        world.stack([Picky(), Picky()], script())
    world.stack([Picky(), Picky(name="other")], script())
    world.stack([Picky(scope="call"), Picky()], script())


def test_check_false_allows_any_order(world: Any, script: Any, router: Any, ask: Any) -> None:
    stack = world.stack([Attempted(), Picky(), Picky(), outer, Outermost()], world.handler(script()), check=False)
    assert world.run(stack, ask).text == "answer"
    world.stack([Picky(), guard], router, check=False)


# -- companions ------------------------------------------------------------------------------------------------


def names(stack: Any) -> list[str]:
    return [layer.name for layer in stack.layers]


def test_a_missing_companion_is_put_outermost(world: Any, script: Any) -> None:
    assert names(world.stack([guard, Attempted()], script())) == ["span", "guard", "attempted"]


def test_a_companion_that_is_there_stays_where_it_is(world: Any, script: Any) -> None:
    assert names(world.stack([guard, Span(name="mine"), Attempted()], script())) == ["guard", "mine", "attempted"]


def test_one_companion_is_enough_for_two(world: Any, script: Any) -> None:
    assert names(world.stack([Attempted(), Attempted(name="other")], script())) == ["span", "attempted", "other"]


# -- nested stacks ---------------------------------------------------------------------------------------------


def test_the_same_layer_in_a_stack_and_in_its_route_would_multiply_and_is_refused(
    world: Any, in_order: Any, script: Any
) -> None:
    inner = world.stack([Picky()], script())
    deep = world.stack([guard], in_order(Route("x", inner)))
    for route in (inner, deep):
        for handler in (route, in_order(Route("a", script()), Route("b", route))):
            with pytest.raises(ValueError, match="picky stands in this stack and in a stack that is one of its routes"):
                world.stack([Picky()], handler)
            world.stack([Picky(scope="call")], handler)
            world.stack([Picky(name="other")], handler)
            world.stack([Picky()], handler, check=False)


def test_call_layers_may_stand_in_both(world: Any, script: Any) -> None:
    assert world.stack([guard], world.stack([guard], script())).names == {"guard"}

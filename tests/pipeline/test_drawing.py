from __future__ import annotations

from typing import Any

import pytest

from mainstay.pipeline import Reply, Request, Route, Stack

DRAWN = """\
validate
└─ fallback  in order
   ├─ openai  gpt-4o          retry → breaker → trace → OpenAI
   ├─ claude  claude-sonnet   retry → breaker → trace → Claude
   └─ ollama  llama3.2        retry → breaker → trace → Ollama"""


class Adapter:
    """A leaf that can check."""

    def __init__(self, model: str) -> None:
        self.model = model

    def __call__(self, request: Request) -> Reply:
        return Reply()

    def check(self, request: Request) -> tuple[()]:
        return ()


class OpenAI(Adapter):
    provider = "openai"


class Claude(Adapter):
    provider = "claude"


class Ollama(Adapter):
    provider = "ollama"


def plain(request: Request) -> Reply:
    return Reply()


def outer(handler: Any) -> Any:
    return lambda request: handler(request)


@pytest.fixture
def layers(mark: Any) -> list[Any]:
    return [mark("validate"), *(mark(name, "route") for name in ("retry", "breaker", "trace"))]


@pytest.fixture
def router(in_order: Any) -> Any:
    return in_order(OpenAI("gpt-4o"), Claude("claude-sonnet"), Ollama("llama3.2"))


def test_print_draws_what_really_runs(world: Any, layers: Any, router: Any) -> None:
    assert str(world.stack(layers, router)) == DRAWN


def test_what_is_switched_off_is_drawn_as_off(world: Any, layers: Any, router: Any) -> None:
    stack = world.stack(layers, router)
    stack.disable("retry", "validate")
    drawn = str(stack)
    assert drawn.startswith("validate (off)\n")
    assert drawn.count("retry (off) → breaker → trace") == 3


def test_a_stack_over_one_handler_is_one_line(world: Any, mark: Any) -> None:
    assert str(world.stack([mark("a"), mark("b", "route")], OpenAI("m"))) == "a → b → OpenAI"
    assert str(world.stack([], plain)) == "plain (unchecked)"
    assert str(world.stack([], lambda request: Reply())) == "function (unchecked)"


def test_plain_middleware_is_drawn_by_its_name_and_hides_nothing(world: Any, mark: Any, router: Any) -> None:
    drawn = str(world.stack([mark("a"), outer, mark("b", "route")], router))
    assert drawn.startswith("a → outer\n└─ fallback  in order\n   ├─ openai  gpt-4o          b → OpenAI\n")


def test_a_router_without_layers_stands_alone(world: Any, in_order: Any) -> None:
    assert str(world.stack([], in_order(Route("a", plain), Route("long", plain)))) == (
        "fallback  in order\n├─ a        plain (unchecked)\n└─ long     plain (unchecked)"
    )


def test_nested_routers_and_stacks_are_drawn_where_they_hang(world: Any, in_order: Any, mark: Any) -> None:
    team = world.stack([mark("guard"), outer], in_order(Route("x", OpenAI("m")), Route("y", plain)))
    single = world.stack([mark("limit")], plain)
    nested = in_order(Route("one", plain), Route("two", plain))
    router = in_order(Route("deep", nested), Route("team", team), Route("single", single), Route("leaf", plain))
    assert str(world.stack([mark("top"), mark("retry", "route")], router)).splitlines() == [
        "top",
        "└─ fallback  in order",
        "   ├─ deep",
        "   │  fallback  in order",
        "   │  ├─ one     retry → plain (unchecked)",
        "   │  └─ two     retry → plain (unchecked)",
        "   ├─ team",
        "   │  retry → guard → outer",
        "   │  └─ fallback  in order",
        "   │     ├─ x  m   OpenAI",
        "   │     └─ y      plain (unchecked)",
        "   ├─ single     retry → limit → plain (unchecked)",
        "   └─ leaf       retry → plain (unchecked)",
    ]


def test_what_the_outer_stack_switches_off_is_drawn_as_off_in_the_inner_one(world: Any, mark: Any) -> None:
    inner = world.stack([mark("limit"), mark("guard")], plain)
    stack = world.stack([mark("top")], inner)
    stack.disable("limit")
    inner.disable("guard")
    assert str(stack) == "top → limit (off) → guard (off) → plain (unchecked)"
    assert str(inner) == "limit → guard (off) → plain (unchecked)"


def test_describe_is_plain_data(world: Any, mark: Any, in_order: Any) -> None:
    stack = world.stack([mark("top"), mark("retry", "route")], in_order(Route("a", plain), OpenAI("m")))
    assert stack.describe() == {
        "layers": ["top"],
        "router": "fallback",
        "manner": "in order",
        "routes": [
            {"route": "a", "model": "", "layers": ["retry"], "leaf": "plain", "checked": False},
            {"route": "openai", "model": "m", "layers": ["retry"], "leaf": "OpenAI", "checked": True},
        ],
    }


def test_repr_names_layers_and_routes(mark: Any, in_order: Any) -> None:
    stack = Stack([mark("top"), outer], in_order(Route("a", plain), Route("b", plain)))
    assert repr(stack) == "<Stack top → outer over a, b>"

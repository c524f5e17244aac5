from __future__ import annotations

import math
from typing import Any

import pytest

from mainstay.middleware import CircuitBreaker, Cost, Fallback, Price, Prices, Trace, Validate
from mainstay.middleware.trace_facts import of_params
from mainstay.pipeline import (
    Partial,
    Problem,
    ProviderError,
    RateLimited,
    Reply,
    Request,
    Route,
    Stack,
    Unavailable,
    Usage,
    VirtualClock,
)

FACTS: list[tuple[str, Any, str, Any]] = [
    ("max_tokens", 5, "gen_ai.request.max_tokens", 5),
    ("max_completion_tokens", 5, "gen_ai.request.max_tokens", 5),
    ("temperature", 1, "gen_ai.request.temperature", 1.0),
    ("top_p", 0.5, "gen_ai.request.top_p", 0.5),
    ("top_k", 3, "gen_ai.request.top_k", 3),
    ("frequency_penalty", -1.5, "gen_ai.request.frequency_penalty", -1.5),
    ("presence_penalty", 2, "gen_ai.request.presence_penalty", 2.0),
    ("seed", 7, "gen_ai.request.seed", 7),
    ("n", 2, "gen_ai.request.choice.count", 2),
    ("reasoning_effort", "low", "gen_ai.request.reasoning.level", "low"),
    ("reasoning", {"effort": "high"}, "gen_ai.request.reasoning.level", "high"),
    ("output_config", {"effort": "max"}, "gen_ai.request.reasoning.level", "max"),
    ("think", "medium", "gen_ai.request.reasoning.level", "medium"),
    ("response_format", {"type": "json_object"}, "gen_ai.output.type", "json"),
    ("response_format", {"type": "json_schema", "json_schema": {}}, "gen_ai.output.type", "json"),
    ("response_format", {"type": "text"}, "gen_ai.output.type", "text"),
    ("format", "json", "gen_ai.output.type", "json"),
    ("format", {"type": "object"}, "gen_ai.output.type", "json"),
]


@pytest.mark.parametrize(("name", "value", "attribute", "fact"), FACTS)
def test_a_parameter_is_told_under_the_name_of_the_conventions(
    tracing: Any, kit: Any, name: str, value: Any, attribute: str, fact: Any
) -> None:
    Stack([Trace(tracing.provider)], kit.Leaf())(Request("m", "Hi", {name: value}))
    told = tracing.attempts[0].attributes[attribute]
    assert (told, type(told)) == (fact, type(fact))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n", 1),
        ("temperature", True),
        ("temperature", math.nan),
        ("temperature", "hot"),
        ("max_tokens", 1.5),
        ("think", True),
        ("reasoning", "high"),
        ("reasoning", {"effort": 3}),
        ("response_format", {"type": ["json"]}),
        ("response_format", "anything"),
        ("stop", ["the caller's words"]),
        ("user", "somebody"),
    ],
)
def test_what_says_nothing_is_not_told(name: str, value: Any) -> None:
    found: dict[str, Any] = {}
    of_params({name: value}, found)
    assert found == {}


def test_what_it_cost_stands_on_the_attempt_alone(tracing: Any, kit: Any, ask: Request) -> None:
    prices = Prices({"gpt-4o": Price(input=1.0, output=2.0)})
    leaf = kit.Leaf(Reply("hi", usage=Usage(1_000_000, 500_000)))
    Stack([Cost(prices), Trace(tracing.provider)], leaf)(ask)
    assert tracing.attempts[0].attributes["mainstay.cost"] == pytest.approx(2.0)
    assert "mainstay.cost" not in tracing.calls[0].attributes


def test_what_was_used_up_before_an_error_is_told(tracing: Any, kit: Any, ask: Request) -> None:
    error = Unavailable(partial=Partial("half", usage=Usage(7, 3)), request_id="req_1")
    with pytest.raises(ProviderError):
        Stack([Trace(tracing.provider)], kit.Leaf(error))(ask)
    told = tracing.attempts[0].attributes
    assert [told[f"gen_ai.usage.{name}_tokens"] for name in ("input", "output")] == [7, 3]
    assert told["mainstay.request_id"] == "req_1"


def events(tracing: Any) -> list[tuple[str, dict[str, Any]]]:
    return [(event.name, dict(event.attributes)) for call in tracing.calls for event in call.events]


def test_a_route_that_begins_to_rest_and_one_that_still_does(tracing: Any, kit: Any, ask: Request) -> None:
    leaf = kit.Leaf(RateLimited(retry_after=9.0, reason="tokens"))
    routes = Route("a", leaf), Route("b", kit.Leaf())
    stack = Stack([CircuitBreaker(), Trace(tracing.provider)], Fallback(*routes), clock=VirtualClock())
    stack(ask)
    stack(ask)
    why = {"mainstay.route": "a", "error.type": "rate_limit", "mainstay.reason": "tokens"}
    assert events(tracing) == [
        ("mainstay.route.rests", {**why, "mainstay.retry_after": 9.0}),
        ("mainstay.fallback", {**why, "mainstay.target": "b"}),
        ("mainstay.route.skipped", {**why, "mainstay.retry_after": 9.0}),
        ("mainstay.fallback", {**why, "mainstay.target": "b"}),
    ]


def test_a_breaker_that_opens_and_closes_again(tracing: Any, kit: Any, ask: Request) -> None:
    clock = VirtualClock()
    stack = Stack(
        [CircuitBreaker(failures=1), Trace(tracing.provider)], kit.Leaf(Unavailable(reason="down"), "up"), clock=clock
    )
    with pytest.raises(Unavailable):
        stack(ask)
    clock.advance(10.0)
    stack(ask)
    told = [
        (name, it["mainstay.breaker.before"], it["mainstay.breaker.after"], it.get("mainstay.reason"))
        for name, it in events(tracing)
    ]
    assert told == [
        ("mainstay.breaker", "closed", "open", "down"),
        ("mainstay.breaker", "open", "half-open", "down"),
        ("mainstay.breaker", "half-open", "closed", None),
    ]


def test_a_breaker_that_only_observes(tracing: Any, kit: Any, ask: Request) -> None:
    stack = Stack([CircuitBreaker(observe=True), Trace(tracing.provider)], kit.Leaf(), clock=VirtualClock())
    stack.part("breaker").isolate()
    stack(ask)
    assert [name for name, _ in events(tracing)] == ["mainstay.route.doubted"]


def test_parameters_that_were_sent_although_they_are_wrong(tracing: Any, kit: Any) -> None:
    class Picky(kit.Leaf):  # type: ignore[misc]
        def check(self, request: Request) -> tuple[Problem, ...]:
            return Problem("top_p", "the value 7 is wrong"), Problem("seed", "so is this"), Problem("seed", "twice")

    Stack([Validate("warn"), Trace(tracing.provider)], Picky())(Request("m", "Hi"))
    assert events(tracing) == [("mainstay.parameters.doubted", {"mainstay.parameters": ("seed", "top_p")})]


def test_an_event_has_the_moment_at_which_it_happened(tracing: Any, kit: Any, ask: Request) -> None:
    routes = Route("a", kit.Leaf(Unavailable())), Route("b", kit.Leaf())
    Stack([Trace(tracing.provider)], Fallback(*routes))(ask)
    first, second = tracing.attempts
    (event,) = tracing.calls[0].events
    assert first.end_time <= event.timestamp <= second.start_time

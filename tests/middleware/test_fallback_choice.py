"""Fallback: which routes come into question at all, and what it does where every breaker is open."""

from __future__ import annotations

from typing import Any

import pytest

from mainstay.middleware import CircuitBreaker, Fallback, Retry, Validate
from mainstay.pipeline import (
    AllRoutesFailed,
    AuthenticationFailed,
    CircuitOpen,
    FellBack,
    InvalidParameters,
    InvalidRequest,
    ProviderError,
    Reply,
    Request,
    Route,
    Stack,
    Unavailable,
    VirtualClock,
)

ASK = Request("m", "Hi")
TOOLS = Request("m", "Hi", {"tools": [{"type": "function", "function": {"name": "f"}}]})
PICTURE = [{"type": "text", "text": "?"}, {"type": "image_url", "image_url": {"url": "https://example.org/x.png"}}]
IMAGE = Request("m", [{"role": "user", "content": PICTURE}])
SCHEMA = Request("m", "Hi", {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}})
RESULT = Request("m", [{"role": "user", "content": "?"}, {"role": "tool", "tool_call_id": "1", "content": "!"}])


class Leaf:
    """Answers with its name, or fails with a new `error`."""

    def __init__(self, name: str, error: type[ProviderError] | None = None) -> None:
        self.name, self.error, self.calls = name, error, 0

    def __call__(self, request: Request) -> Reply:
        self.calls += 1
        if self.error is not None:
            raise self.error()
        return Reply(self.name)


# -- what a route lacks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "word"),
    [(TOOLS, "tools"), (RESULT, "tools"), (IMAGE, "images"), (SCHEMA, "json_schema")],
)
def test_a_route_that_lacks_what_is_needed_is_passed_by(request_: Request, word: str) -> None:
    plain, able = Leaf("plain"), Leaf("able")
    stack = Stack([Validate()], Fallback(Route("plain", plain, lacks={word}), Route("able", able)))
    assert stack(request_).text == "able"
    assert stack(ASK).text == "plain"
    assert (plain.calls, able.calls) == (1, 1)


def test_where_none_is_left_the_request_is_refused_before_anything_is_sent() -> None:
    leaf = Leaf("plain")
    fallback = Fallback(Route("a", leaf, lacks={"tools"}), Route("b", leaf, lacks={"tools", "images"}))
    with pytest.raises(InvalidParameters, match="no route can do what the request needs: a lacks tools; b lacks tools"):
        Stack([Validate()], fallback)(TOOLS)
    with pytest.raises(InvalidRequest) as caught:
        Stack([], fallback)(TOOLS)
    assert caught.value.reason == "unsupported_feature"
    assert leaf.calls == 0


def test_a_handler_says_itself_what_it_lacks() -> None:
    leaf: Any = Leaf("local")
    leaf.lacks = frozenset({"tools"})
    assert Route("a", leaf).lacks == {"tools"}
    assert Route("a", leaf, lacks={"images"}).lacks == {"tools", "images"}


@pytest.mark.parametrize("lacks", ["tools", {"tool"}, {5}])
def test_a_wrong_word(lacks: Any) -> None:
    with pytest.raises((ValueError, TypeError), match=r"Route\('a', lacks=\.\.\.\)"):
        Route("a", Leaf("a"), lacks=lacks)


def test_what_every_request_needs_is_checked_when_the_chain_is_built() -> None:
    able, plain = Route("able", Leaf("x"), window=200_000), Route("plain", Leaf("x"), window=8000, lacks={"tools"})
    Fallback(able, plain, needs={"images"}, window=8000)
    with pytest.raises(ValueError, match="route 'plain' lacks tools, which every request needs"):
        Fallback(able, plain, needs={"tools"})
    with pytest.raises(ValueError, match="route 'plain' has a window of 8000 tokens, but 32000 are needed"):
        Fallback(able, plain, window=32_000)
    with pytest.raises(ValueError, match="route 'inner/plain' lacks tools"):
        Fallback(able, Route("inner", Fallback(plain)), needs={"tools"})


# -- panic -----------------------------------------------------------------------------------------------------


def open_all(panic: bool, *errors: type[ProviderError]) -> tuple[Stack, list[Leaf], list[Any]]:
    leaves = [Leaf(str(n), error) for n, error in enumerate(errors)]
    told: list[Any] = []
    routes = Fallback(*(Route(leaf.name, leaf) for leaf in leaves), panic=panic)
    breaker = CircuitBreaker(failures=1)
    stack = Stack([Retry(attempts=1), breaker], routes, clock=VirtualClock(), observers=[told.append])
    for _ in range(2):
        with pytest.raises(ProviderError):
            stack(ASK)
    return stack, leaves, told


def test_with_every_breaker_open_the_call_fails_at_once_and_says_when_to_come_again() -> None:
    stack, leaves, _ = open_all(False, Unavailable, Unavailable)
    with pytest.raises(AllRoutesFailed) as caught:
        stack(ASK)
    assert caught.value.retry_after == pytest.approx(3.75)
    assert [leaf.calls for leaf in leaves] == [1, 1]
    assert caught.value.attempts == []


def test_in_panic_the_route_that_would_admit_first_is_tried() -> None:
    stack, leaves, told = open_all(True, Unavailable, Unavailable)
    calls = [leaf.calls for leaf in leaves]
    leaves[0].error = None
    told.clear()
    assert stack(ASK).text == "0"
    assert [leaf.calls for leaf in leaves] == [calls[0] + 1, calls[1]]
    assert [event.target for event in told if isinstance(event, FellBack)] == ["1", "0"]


def test_panic_tries_once_and_tells_one_error_for_each_route() -> None:
    stack, leaves, _ = open_all(True, Unavailable, Unavailable)
    before = sum(leaf.calls for leaf in leaves)
    with pytest.raises(AllRoutesFailed) as caught:
        stack(ASK)
    assert sum(leaf.calls for leaf in leaves) == before + 1
    assert [isinstance(error, CircuitOpen) for error in caught.value.errors] == [False, True]


def test_a_bad_key_is_no_better_in_a_panic() -> None:
    stack, leaves, _ = open_all(True, AuthenticationFailed, Unavailable)
    before = [leaf.calls for leaf in leaves]
    with pytest.raises(AllRoutesFailed):
        stack(ASK)
    assert [leaf.calls for leaf in leaves] == before


def test_who_was_isolated_by_hand_stays_isolated() -> None:
    stack, leaves, _ = open_all(True, Unavailable, Unavailable)
    for route in stack.routes():
        stack.part("breaker", route=route).isolate()
    before = [leaf.calls for leaf in leaves]
    with pytest.raises(AllRoutesFailed):
        stack(ASK)
    assert [leaf.calls for leaf in leaves] == before


def test_a_route_that_answers_needs_no_panic() -> None:
    stack = Stack([CircuitBreaker()], Fallback(Route("a", Leaf("a", Unavailable)), Route("b", Leaf("b")), panic=True))
    assert stack(ASK).text == "b"

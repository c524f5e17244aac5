"""Every fault that the sandbox knows, on each provider, complete and streaming, with and without another route.

One table says what the guidance table promises: the right answer from another route, or an error of the right
class, and exactly so many requests.
"""

from __future__ import annotations

from typing import Any

import pytest

from mainstay.adapters.sandbox import Answer
from mainstay.middleware import Fallback, standard
from mainstay.pipeline import (
    AllRoutesFailed,
    ErrorClass,
    ProviderError,
    Request,
    Route,
    TruncatedStream,
)
from support.fault_table import CASES, DIALECTS, FAST, GOOD, INVALID, SLOW, TIMEOUT, TRIES, UNAVAILABLE

TABLE = [
    pytest.param(name, dialect, stream, id=f"{name}, {dialect}, {'stream' if stream else 'complete'}")
    for name, case in CASES.items()
    for dialect in DIALECTS
    for stream in (False, True)
    if dialect not in case.but
]


@pytest.fixture
def world(either: Any) -> Any:
    """Every test of this file is run in both worlds."""
    return either


@pytest.mark.parametrize(("name", "dialect", "stream"), TABLE)
def test_with_another_route(name: str, dialect: str, stream: bool, bench: Any, clock: Any, world: Any) -> None:
    case = CASES[name]
    server, adapter = bench(dialect, timeouts=FAST if case.complete is TIMEOUT else SLOW)
    other, spare = bench("openai" if dialect != "openai" else "claude")
    server.always(case.fault())
    other.always(Answer("The other one answers."))
    stack = world.Stack(
        standard(), Fallback(Route("first", world.own(adapter)), Route("other", world.own(spare))), clock=clock
    )
    meaning = case.meaning(stream)

    if meaning == "cut":
        _expect_cut(stack, server, other)
        return
    if meaning is None:
        assert _answer(stack, stream) == GOOD.text
        assert (server.count, other.count) == (1, 0)
        return
    assert isinstance(meaning, ErrorClass)
    tries = 1 if case.patient else TRIES[meaning][0]
    if meaning is INVALID:
        with pytest.raises(ProviderError) as caught:
            _answer(stack, stream)
        assert caught.value.error_class is INVALID
        assert other.count == 0
    else:
        assert _answer(stack, stream) == "The other one answers."
        assert other.count == 1
    assert server.count == tries


@pytest.mark.parametrize(("name", "dialect", "stream"), TABLE)
def test_alone(name: str, dialect: str, stream: bool, bench: Any, clock: Any, world: Any) -> None:
    case = CASES[name]
    server, adapter = bench(dialect, timeouts=FAST if case.complete is TIMEOUT else SLOW)
    server.always(case.fault())
    stack = world.Stack(standard(), adapter, clock=clock)
    meaning = case.meaning(stream)

    if meaning == "cut":
        _expect_cut(stack, server)
        return
    if meaning is None:
        assert _answer(stack, stream) == GOOD.text
        assert server.count == 1
        return
    assert isinstance(meaning, ErrorClass)
    with pytest.raises(ProviderError) as caught:
        _answer(stack, stream)
    assert caught.value.error_class is meaning
    assert not isinstance(caught.value, AllRoutesFailed)
    assert server.count == TRIES[meaning][1] == len(caught.value.attempts)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_refused_connection(dialect: str, stream: bool, bench: Any, clock: Any, world: Any) -> None:
    server, adapter = bench(dialect, refusing=True)
    other, spare = bench("openai" if dialect != "openai" else "claude")
    other.always(GOOD)

    stack = world.Stack(
        standard(), Fallback(Route("first", world.own(adapter)), Route("other", world.own(spare))), clock=clock
    )
    assert _answer(stack, stream) == GOOD.text
    with pytest.raises(ProviderError) as caught:
        _answer(world.Stack(standard(), adapter, clock=clock), stream)
    assert (caught.value.error_class, caught.value.reason) == (UNAVAILABLE, "connection_refused")
    assert len(caught.value.attempts) == 3
    assert server.connections == 0


def _answer(stack: Any, stream: bool) -> str:
    with stack(Request("some-model", "Is all of it there?", stream=stream)) as reply:
        return reply.read().text


def _expect_cut(stack: Any, server: Any, other: Any = None) -> None:
    """After the first token nothing is retried or replaced: the error says what came, and one request was sent."""
    with (
        stack(Request("some-model", "Is all of it there?", stream=True)) as reply,
        pytest.raises(ProviderError) as caught,
    ):
        reply.read()
    error = caught.value
    assert error.error_class in (UNAVAILABLE, TIMEOUT)
    assert error.partial is not None
    assert error.partial.text
    assert GOOD.text.startswith(error.partial.text)
    assert isinstance(error, TruncatedStream) or error.reason != "truncated_stream"
    assert server.count == 1
    assert other is None or other.count == 0

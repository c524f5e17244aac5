"""Every fault that the sandbox knows, on each provider, complete and streaming, with and without another route.

One table says what the guidance table promises: the right answer from another route, or an error of the right
class, and exactly so many requests.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from mainstay.adapters.sandbox import Answer, Fault, faults
from mainstay.middleware import Fallback, standard
from mainstay.pipeline import (
    AllRoutesFailed,
    ErrorClass,
    ProviderError,
    Request,
    Route,
    Stack,
    Timeouts,
    TruncatedStream,
)

DIALECTS = ("openai", "claude", "openrouter", "ollama", "llama_cpp")
FAST = Timeouts(connect=0.5, first_event=0.4, gap=0.4, total=0.6)
SLOW = Timeouts()
GOOD = Answer("All of it arrived, word for word.")

TIMEOUT, UNAVAILABLE = ErrorClass.TIMEOUT, ErrorClass.UNAVAILABLE
RATE, QUOTA, KEY = ErrorClass.RATE_LIMIT, ErrorClass.QUOTA, ErrorClass.AUTHENTICATION
MODEL, INVALID = ErrorClass.MODEL_NOT_FOUND, ErrorClass.INVALID_REQUEST

# Requests that the guidance table allows: (on a route with another one behind it, on the only route).
TRIES = {TIMEOUT: (2, 2), UNAVAILABLE: (2, 3), RATE: (2, 3), QUOTA: (1, 1), KEY: (1, 1), MODEL: (1, 1), INVALID: (1, 1)}


@dataclass(frozen=True)
class Case:
    """What a fault means. `cut`: a stream that breaks after its first token; None: the answer is whole all the same.

    `patient`: what the Retry-After is longer than while another route is there.
    """

    fault: Callable[[], Fault | Answer]
    complete: ErrorClass | None
    stream: ErrorClass | str | None = "same"
    but: tuple[str, ...] = ()
    patient: bool = False

    def meaning(self, stream: bool) -> ErrorClass | str | None:
        return self.complete if not stream or self.stream == "same" else self.stream


CASES: dict[str, Case] = {
    "400": Case(lambda: faults.status(400), INVALID),
    "401": Case(lambda: faults.status(401), KEY),
    "408": Case(lambda: faults.status(408), TIMEOUT),
    "409": Case(lambda: faults.status(409), UNAVAILABLE),
    "413": Case(lambda: faults.status(413), INVALID),
    "422": Case(lambda: faults.status(422), INVALID),
    "429": Case(lambda: faults.status(429), RATE),
    "429 and come back soon": Case(lambda: faults.status(429, retry_after=1), RATE),
    "429 and come back late": Case(lambda: faults.rate_limit(retry_after=60), RATE, patient=True),
    "500": Case(lambda: faults.status(500), UNAVAILABLE),
    "502": Case(lambda: faults.status(502), UNAVAILABLE),
    "503": Case(lambda: faults.status(503), UNAVAILABLE),
    "503 and come back late": Case(lambda: faults.status(503, retry_after=30), UNAVAILABLE, patient=True),
    "504": Case(lambda: faults.status(504), TIMEOUT),
    "529": Case(lambda: faults.status(529), UNAVAILABLE),
    "an HTML page from the edge": Case(
        lambda: faults.status(502, body="<html><title>Bad gateway</title>"), UNAVAILABLE
    ),
    "bad key": Case(faults.bad_key, KEY),
    "no credit": Case(faults.quota, QUOTA, but=("llama_cpp",)),
    "no such model": Case(faults.model_not_found, MODEL),
    "prompt too long": Case(faults.context_length, INVALID),
    "content filter": Case(faults.content_filter, INVALID, but=("ollama", "llama_cpp")),
    "overloaded": Case(faults.overloaded, UNAVAILABLE),
    "slow first byte": Case(lambda: faults.slow_first_byte(0.05, GOOD), None),
    "drip": Case(lambda: faults.drip(0.0001, then=Answer(chunks=(GOOD.text,))), None),  # in one piece: fewer bytes
    "stall": Case(lambda: faults.stall(2, answer=GOOD), TIMEOUT, "cut"),
    "stall before the first token": Case(lambda: faults.stall(0, answer=GOOD), TIMEOUT),
    "pings only": Case(lambda: faults.pings(0.05), TIMEOUT),
    "cut": Case(lambda: faults.cut(2, answer=GOOD), UNAVAILABLE, "cut"),
    "cut by a reset": Case(lambda: faults.cut(2, "reset", answer=GOOD), UNAVAILABLE, "cut"),
    "cut, with a proper end of the body": Case(lambda: faults.cut(2, "clean", answer=GOOD), UNAVAILABLE, "cut"),
    "cut before the first token": Case(lambda: faults.cut(0, answer=GOOD), UNAVAILABLE),
    "malformed": Case(lambda: faults.malformed(1, answer=GOOD), UNAVAILABLE, "cut"),
    "malformed at once": Case(lambda: faults.malformed(0, answer=GOOD), UNAVAILABLE),
    "error in a 200": Case(faults.error_in_200, UNAVAILABLE),
    "no credit, in a 200": Case(lambda: faults.error_in_200(faults.quota()), QUOTA, but=("llama_cpp",)),
    "error event": Case(lambda: faults.error_event(2, answer=GOOD), UNAVAILABLE, "cut"),
    "error as the first event": Case(lambda: faults.error_event(0, answer=GOOD), UNAVAILABLE),
    "a login page": Case(faults.html, UNAVAILABLE),
    "nothing in a 200": Case(faults.empty, UNAVAILABLE),
    "reset": Case(faults.reset, UNAVAILABLE),
    "disconnect": Case(faults.disconnect, UNAVAILABLE),
    "hang": Case(faults.hang, TIMEOUT),
}
# A finish reason without [DONE] is whole; a missing message_stop or done line is not.
ENDS = {"openai": None, "claude": "cut", "openrouter": None, "ollama": "cut", "llama_cpp": None}
CASES |= {
    f"no terminator at {d}": Case(
        lambda: faults.no_terminator(answer=GOOD), None, ENDS[d], tuple(other for other in DIALECTS if other != d)
    )
    for d in DIALECTS
}

# What OpenRouter has besides.
CASES |= {
    "an upstream's error in a choice": Case(
        lambda: replace(GOOD, finish="error"), UNAVAILABLE, "cut", tuple(d for d in DIALECTS if d != "openrouter")
    ),
    "error event with a word for a code": Case(
        lambda: faults.error_event(2, error=faults.status(502, code_="server_error"), answer=GOOD),
        UNAVAILABLE,
        "cut",
        tuple(d for d in DIALECTS if d != "openrouter"),
    ),
}

TABLE = [
    pytest.param(name, dialect, stream, id=f"{name}, {dialect}, {'stream' if stream else 'complete'}")
    for name, case in CASES.items()
    for dialect in DIALECTS
    for stream in (False, True)
    if dialect not in case.but
]


@pytest.mark.parametrize(("name", "dialect", "stream"), TABLE)
def test_with_another_route(name: str, dialect: str, stream: bool, bench: Any, clock: Any) -> None:
    case = CASES[name]
    server, adapter = bench(dialect, timeouts=SLOW if case.complete is None else FAST)
    other, spare = bench("openai" if dialect != "openai" else "claude")
    server.always(case.fault())
    other.always(Answer("The other one answers."))
    stack = Stack(standard(), Fallback(Route("first", adapter), Route("other", spare)), clock=clock)
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
def test_alone(name: str, dialect: str, stream: bool, bench: Any, clock: Any) -> None:
    case = CASES[name]
    server, adapter = bench(dialect, timeouts=SLOW if case.complete is None else FAST)
    server.always(case.fault())
    stack = Stack(standard(), adapter, clock=clock)
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
def test_a_refused_connection(dialect: str, stream: bool, bench: Any, clock: Any) -> None:
    server, adapter = bench(dialect, refusing=True)
    other, spare = bench("openai" if dialect != "openai" else "claude")
    other.always(GOOD)

    stack = Stack(standard(), Fallback(Route("first", adapter), Route("other", spare)), clock=clock)
    assert _answer(stack, stream) == GOOD.text
    with pytest.raises(ProviderError) as caught:
        _answer(Stack(standard(), adapter, clock=clock), stream)
    assert (caught.value.error_class, caught.value.reason) == (UNAVAILABLE, "connection_refused")
    assert len(caught.value.attempts) == 3
    assert server.connections == 0


def _answer(stack: Stack, stream: bool) -> str:
    with stack(Request("some-model", "Is all of it there?", stream=stream)) as reply:
        return reply.read().text


def _expect_cut(stack: Stack, server: Any, other: Any = None) -> None:
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

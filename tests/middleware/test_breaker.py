"""CircuitBreaker in a stack: what an error means for it, what its refusals say, and what it never holds."""

from __future__ import annotations

import asyncio
import gc
import pickle
import threading
import weakref
from contextlib import suppress
from typing import Any

import pytest

from mainstay.middleware import CircuitBreaker, Fallback, Retry
from mainstay.pipeline import (
    GUIDANCE,
    AsyncStack,
    AttemptsSpent,
    BreakerChanged,
    CircuitOpen,
    ErrorClass,
    ProviderError,
    RateLimited,
    Reply,
    Request,
    Route,
    RouteResting,
    RouteSkipped,
    Stack,
    TimedOut,
    Trip,
    Unavailable,
    VirtualClock,
)
from support.breakers import ASK, Bench

EXPECTED = {Trip.FAILURE: "open", Trip.OPEN: "open", Trip.REST: "closed", Trip.IGNORE: "closed"}


@pytest.mark.parametrize("error_class", ErrorClass)
def test_each_class_trips_it_as_the_guidance_table_says(error_class) -> None:
    bench = Bench()
    error = ProviderError.of(error_class)
    assert bench.ask(error) is error
    assert bench.state == EXPECTED[GUIDANCE[error_class].trip]


@pytest.mark.parametrize("error_class", [ErrorClass.AUTHENTICATION, ErrorClass.QUOTA])
def test_a_bad_key_or_no_credit_opens_it_at_once_and_long(error_class) -> None:
    bench = Bench(failures=5, long_break=1000.0)
    bench.ask(ProviderError.of(error_class))
    assert bench.ask().retry_after == 750


def test_five_failures_open_it_by_default_and_cost_nothing_from_then_on() -> None:
    bench = Bench(failures=5)
    for _ in range(5):
        bench.ask(Unavailable())
    assert isinstance(bench.ask(), CircuitOpen)
    assert bench.seen == 5
    assert len(bench.changes) == 1


def test_a_refusal_speaks_for_the_error_that_opened_the_breaker() -> None:
    bench = Bench()
    cause = TimedOut("no answer", reason="first_event", provider="openai", model="gpt-4o", status=408)
    cause.__cause__ = ConnectionResetError()
    bench.ask(cause)
    bench.clock.advance(1.25)
    refused = bench.ask()
    assert type(refused) is CircuitOpen
    assert (refused.error_class, refused.reason) == (ErrorClass.TIMEOUT, "first_event")
    assert (refused.provider, refused.model, refused.route) == ("openai", "gpt-4o", "openai")
    assert refused.retry_after == 2.5
    assert refused.attempts == []
    kept = refused.__cause__
    assert (type(kept), kept.status, kept is cause) == (TimedOut, 408, False)
    assert (kept.__traceback__, kept.__cause__, kept.__context__) == (None, None, None)
    assert str(refused) == "openai: circuit open: timed out, retry in 2.5 s"


def test_a_rate_limit_with_a_retry_after_makes_the_route_rest_for_all_and_one_without_does_not() -> None:
    bench = Bench()
    bench.ask(RateLimited())
    assert isinstance(bench.ask(), Reply)
    bench.ask(RateLimited(retry_after=20.0))
    refused = bench.ask()
    assert (type(refused), refused.error_class, refused.retry_after) == (RouteResting, ErrorClass.RATE_LIMIT, 20)
    assert isinstance(refused.__cause__, RateLimited)
    bench.clock.advance(20)
    assert isinstance(bench.ask(), Reply)
    assert bench.changes == []


def test_a_retry_outside_waits_for_a_rest_and_is_then_admitted() -> None:
    bench = Bench(outside=[Retry()])
    outcomes = [RateLimited(retry_after=20.0), Reply("hi")]
    assert bench.ask(lambda: outcomes.pop(0)).text == "hi"
    assert bench.clock.slept == [21]


def test_an_open_breaker_lets_the_next_route_answer_without_an_attempt() -> None:
    first, clock, events = Unavailable(), VirtualClock(), []

    def down(request: Request) -> Reply:
        raise first

    routes = Fallback(Route("a", down), Route("b", lambda request: Reply("b")))
    stack = Stack([CircuitBreaker(failures=1)], routes, clock=clock, observers=[events.append])
    assert stack(ASK).text == "b"
    reply = stack(ASK)
    assert [attempt.route for attempt in reply.attempts] == ["b"]
    assert [event.route for event in events if isinstance(event, RouteSkipped)] == ["a"]
    assert stack.part("breaker", route="b").snapshot(clock.now())["state"] == "closed"


def test_a_refusal_is_told_where_there_is_no_other_route_too() -> None:
    bench = Bench()
    bench.ask(Unavailable(reason="overloaded"))
    refused = bench.ask()
    told = [event for event in bench.events if isinstance(event, RouteSkipped)]
    assert told == [RouteSkipped("openai", refused)]
    assert (told[0].error.reason, bench.seen) == ("overloaded", 1)


BLAMELESS = [
    CircuitOpen(retry_after=9.0),
    RouteResting(retry_after=9.0),
    AttemptsSpent(),
    ValueError("a bug"),
    KeyboardInterrupt(),
    asyncio.CancelledError(),
    GeneratorExit(),
]


@pytest.mark.parametrize("error", BLAMELESS, ids=lambda error: type(error).__name__)
def test_what_says_nothing_about_the_route_moves_nothing_and_frees_the_probe(error) -> None:
    bench = Bench()
    assert bench.ask(error) is error
    assert bench.state == "closed"
    bench.half_open()
    assert bench.ask(error) is error
    assert bench.state == "half-open"
    assert isinstance(bench.ask(), Reply)
    assert bench.state == "closed"


def test_changes_are_told_to_the_observers_of_the_call_that_caused_them() -> None:
    bench = Bench()
    bench.half_open()
    bench.ask()
    assert [(event.route, event.before, event.after) for event in bench.changes] == [
        ("openai", "closed", "open"),
        ("openai", "open", "half-open"),
        ("openai", "half-open", "closed"),
    ]
    opened = bench.changes[0]
    assert (opened.until, opened.error.__traceback__) == (1003.75, None)


def test_an_observer_may_call_back_into_the_breaker() -> None:
    bench = Bench()
    seen: list[str] = []

    def meddle(event: Any) -> None:
        if isinstance(event, BreakerChanged):
            seen.append(bench.state)
            bench.breaker.isolate()
            bench.breaker.close()

    bench.stack.observers = (meddle,)
    bench.ask(Unavailable())
    assert seen == ["open"]
    assert isinstance(bench.ask(), Reply)


def test_isolate_refuses_without_a_cause_or_a_time_until_it_is_closed() -> None:
    bench = Bench()
    bench.breaker.isolate()
    refused = bench.ask()
    assert (type(refused), refused.retry_after, refused.__cause__) == (CircuitOpen, None, None)
    assert (str(refused), bench.seen, bench.state) == ("openai: isolated by hand", 0, "isolated")
    bench.breaker.close()
    assert isinstance(bench.ask(), Reply)


def test_64_threads_are_in_flight_through_one_breaker_at_once() -> None:
    barrier, replies = threading.Barrier(64, timeout=30), []

    def leaf(request: Request) -> Reply:
        barrier.wait()  # passes only when all are inside
        return Reply("hi")

    stack = Stack([Retry(), CircuitBreaker()], leaf)
    threads = [threading.Thread(target=lambda: replies.append(stack(ASK).text)) for _ in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert replies == ["hi"] * 64


def test_the_same_breaker_text_serves_asyncio_and_a_cancelled_probe_frees_its_slot() -> None:
    clock = VirtualClock()
    outcomes: list[Any] = [Unavailable(), asyncio.CancelledError(), Reply("hi")]

    async def leaf(request: Request) -> Reply:
        outcome = outcomes.pop(0)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    stack = AsyncStack([CircuitBreaker(failures=1)], leaf, clock=clock)

    async def main() -> None:
        with pytest.raises(Unavailable):
            await stack(ASK)
        clock.advance(10)
        with pytest.raises(asyncio.CancelledError):
            await stack(ASK)
        assert (await stack(ASK)).text == "hi"

    asyncio.run(main())


class Prompt(dict[str, str]):
    """A message that can be watched."""


@pytest.mark.parametrize("error", [Unavailable, RateLimited, ValueError])
def test_neither_a_cycle_nor_the_breaker_keeps_the_prompt_alive(error) -> None:
    def leaf(request: Request) -> Reply:
        raise error("down")

    stack = Stack([CircuitBreaker(failures=2)], leaf, clock=VirtualClock())
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            prompt = Prompt(role="user", content="hello")
            watched = weakref.ref(prompt)
            with suppress(ProviderError, ValueError):
                stack(Request("gpt-4o", [prompt]))
            del prompt
            assert watched() is None
    finally:
        gc.enable()


def test_each_binding_has_a_state_of_its_own_and_the_layer_is_plain_data() -> None:
    layer = CircuitBreaker(failures=1, window=120.0)
    assert pickle.loads(pickle.dumps(layer)) == layer
    one, two = layer.bind(object()), layer.bind(object())
    one.isolate()
    assert (one.snapshot(0.0)["state"], two.snapshot(0.0)["state"]) == ("isolated", "closed")

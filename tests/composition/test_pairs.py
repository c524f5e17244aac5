"""Pairs of layers whose order matters: how many attempts each leaf sees, what is slept, and what comes out of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest

from mainstay.middleware import (
    Backoff,
    Balance,
    CircuitBreaker,
    Deadline,
    Fallback,
    Policy,
    Retry,
)
from mainstay.pipeline import (
    AllRoutesFailed,
    AuthenticationFailed,
    CircuitOpen,
    DeadlineExceeded,
    InvalidRequest,
    Layer,
    ModelNotFound,
    ProviderError,
    QuotaExceeded,
    RateLimited,
    Request,
    Route,
    RouteResting,
    Sleep,
    TimedOut,
    Unavailable,
    VirtualClock,
    middleware,
)


@middleware
def waits(request: Request) -> Any:
    """Asks for more time than there is."""
    yield Sleep(10.0)
    return (yield request)


PATIENT = Policy(4, Backoff.constant(1.0))
ALL, DOWN, PANIC = AllRoutesFailed, [Unavailable], partial(Fallback, panic=True)
LOADING = partial(Unavailable, reason="loading")
RETRY, AGAIN, BREAKER = Retry(), Retry(scope="call", name="again"), CircuitBreaker(failures=1)
EAGER = Retry(policies={"loading": PATIENT})


def limited(seconds: float) -> Any:
    return partial(RateLimited, retry_after=seconds)


@dataclass
class Case:
    """One call through `layers` to routes with these scripts: what each entry of a script is, is as for a Leaf.

    Attributes:
        calls: attempts at each leaf.
        slept: seconds, sleep by sleep. Chance is always one half, so that a full jitter of 0.5 s is 0.25 s.
        result: the text of the answer, or the type of the error.
        before: how often the call was made before, which is not counted.
        later: seconds that have passed since then.
    """

    name: str
    layers: Sequence[Layer]
    scripts: Sequence[Sequence[Any]]
    calls: Sequence[int]
    slept: Sequence[float]
    result: Any
    before: int = 0
    later: float = 0.0
    router: Callable[..., Any] = Fallback
    options: dict[str, Any] = field(default_factory=dict)


CASES = [
    # Retry outside of CircuitBreaker: each try asks for an admission of its own.
    Case("the try that opens the breaker is the last one", [RETRY, BREAKER], [DOWN], [1], [0.25], Unavailable),
    Case(
        "a breaker that opens at two leaves room for one more try",
        [RETRY, CircuitBreaker(failures=2)],
        [DOWN],
        [2],
        [0.25, 0.5],
        Unavailable,
    ),
    Case("an open breaker is not tried again", [RETRY, BREAKER], [DOWN], [0], [], CircuitOpen, before=1),
    Case("a fatal error opens and is not tried again", [RETRY, BREAKER], [[QuotaExceeded]], [1], [], QuotaExceeded),
    Case("a rested route is waited for", [RETRY, BREAKER], [[limited(9.0), "ok"]], [2], [9.45], "ok"),
    Case(
        "what rests already is waited for and costs nothing",
        [RETRY, BREAKER],
        [[limited(200.0)]],
        [0],
        [],
        RouteResting,
        before=1,
    ),
    # Deadline outside of Retry: a sleep that does not fit is not begun.
    Case("a sleep that does not fit is not begun", [Deadline(0.2), RETRY], [DOWN], [1], [], Unavailable),
    Case("a sleep that fits is slept", [Deadline(0.3), RETRY], [DOWN], [2], [0.25], Unavailable),
    Case("a layer's own sleep is cut by the deadline", [Deadline(5.0), waits], [["never"]], [0], [], DeadlineExceeded),
    Case("and slept where it fits", [Deadline(11.0), waits], [["ok"]], [1], [10.0], "ok"),
    Case(
        "the inner of two deadlines rules",
        [Deadline(60.0), Deadline(0.2, name="inner"), RETRY],
        [DOWN],
        [1],
        [],
        Unavailable,
    ),
    # Retry and Fallback.
    Case("one try on each but the last", [Retry(attempts_before_others=1)], [DOWN] * 3, [1, 1, 3], [0.25, 0.5], ALL),
    Case(
        "every untried route keeps one",
        [Retry(attempts_before_others=3)],
        [DOWN] * 3,
        [3, 2, 1],
        [0.25, 0.5, 0.25],
        ALL,
    ),
    Case(
        "classes that no try can help move on at once",
        [RETRY],
        [[AuthenticationFailed], [QuotaExceeded], [ModelNotFound]],
        [1, 1, 1],
        [],
        ALL,
    ),
    Case("a wrong request stays where it is", [RETRY], [[InvalidRequest], ["never"]], [1, 0], [], InvalidRequest),
    Case("a second route that answers ends it", [RETRY], [[Unavailable], [TimedOut, "ok"]], [2, 2], [0.25], "ok"),
    # Retry of the whole call, outside of Fallback.
    Case(
        "all routes are walked again for the one with hope",
        [AGAIN],
        [[AuthenticationFailed], [Unavailable]],
        [3, 3],
        [0.25, 0.5],
        ALL,
    ),
    Case("without any hope they are not", [AGAIN], [[AuthenticationFailed], [QuotaExceeded]], [1, 1], [], ALL),
    Case(
        "a walk stops at the first wrong request",
        [AGAIN],
        [[Unavailable], [InvalidRequest]],
        [1, 1],
        [],
        InvalidRequest,
    ),
    Case(
        "open breakers are waited for, if that is worth it",
        [AGAIN, BREAKER],
        [[Unavailable, "ok"], [Unavailable]],
        [2, 1],
        [0.25, 3.675],
        "ok",
    ),
    # CircuitBreaker and Fallback.
    Case("an open route costs nothing", [BREAKER], [[Unavailable], ["ok"]], [0, 1], [], "ok", before=1),
    Case(
        "a route whose break is over is asked again",
        [BREAKER],
        [[Unavailable, "back"], ["ok"]],
        [1, 0],
        [],
        "back",
        before=1,
        later=5.0,
    ),
    Case("a probe that fails moves on", [BREAKER], [[Unavailable], ["ok"]], [1, 1], [], "ok", before=1, later=5.0),
    Case("all open: it fails at once", [BREAKER], [DOWN] * 2, [0, 0], [], ALL, before=1),
    Case(
        "panic: the one that would admit first is tried",
        [BREAKER],
        [[Unavailable, "ok"], [Unavailable]],
        [1, 0],
        [],
        "ok",
        before=1,
        router=PANIC,
    ),
    Case(
        "panic is for breakers that may be wrong, not for bad keys",
        [BREAKER],
        [[AuthenticationFailed], [Unavailable]],
        [0, 0],
        [],
        ALL,
        before=1,
        router=PANIC,
    ),
    Case(
        "panic tries that one as any last route",
        [RETRY, BREAKER],
        [DOWN] * 2,
        [3, 0],
        [0.25, 0.5],
        ALL,
        before=1,
        router=PANIC,
    ),
    # A rate limit's Retry-After, patience, and routes left.
    Case(
        "within the patience it is waited for", [Retry(patience=5.0)], [[limited(5.0), "a"], ["b"]], [2, 0], [5.0], "a"
    ),
    Case(
        "beyond it the next route is asked at once",
        [Retry(patience=5.0)],
        [[limited(5.1), "a"], ["b"]],
        [1, 1],
        [],
        "b",
    ),
    Case("with no route left it is waited for longer", [RETRY], [[limited(100.0), "a"]], [2], [105.0], "a"),
    Case("but not for ever", [RETRY], [[limited(121.0), "a"]], [1], [], RateLimited),
    Case("nor beyond the deadline", [Deadline(60.0), RETRY], [[limited(100.0), "a"]], [1], [], RateLimited),
    Case(
        "on every route beyond the patience: the last one is waited for",
        [RETRY],
        [[limited(30.0)], [limited(40.0), "b"]],
        [1, 2],
        [42.0],
        "b",
    ),
    # Policies and routes.
    Case("a policy of more tries holds on the last route", [EAGER], [[LOADING], [LOADING]], [2, 4], [1.0] * 4, ALL),
    Case(
        "a policy of one try moves on",
        [Retry(policies={"timeout": Policy(1)})],
        [[TimedOut], [TimedOut]],
        [1, 1],
        [],
        ALL,
    ),
    Case("a policy never goes beyond the cap", [EAGER], [[LOADING]], [3], [1.0, 1.0], Unavailable, options={"cap": 3}),
    Case(
        "what the provider says goes before the class",
        [RETRY],
        [[partial(Unavailable, retry=False)], ["b"]],
        [1, 1],
        [],
        "b",
    ),
    # Keys of one provider.
    Case(
        "a key's 401 opens that key's breaker alone",
        [RETRY, BREAKER],
        [["k1"], [AuthenticationFailed]],
        [1, 0],
        [],
        "k1",
        before=1,
        router=Balance,
    ),
]


def routes(world: Any, case: Case) -> tuple[list[Any], Any]:
    leaves = [world.leaf(*map(_entry, script)) for script in case.scripts]
    if len(leaves) == 1:
        return leaves, leaves[0]
    return leaves, case.router(*(Route(f"r{number}", leaf) for number, leaf in enumerate(leaves)))


def _entry(entry: Any) -> Any:
    return entry if isinstance(entry, str) else lambda request: entry()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_pair(either_world: Any, ask: Request, case: Case) -> None:
    leaves, handler = routes(either_world, case)
    clock = VirtualClock()
    stack = either_world.stack(case.layers, handler, clock=clock, **case.options)
    for _ in range(case.before):
        comes_to(either_world, stack, ask)
    clock.advance(case.later)
    calls, slept = [leaf.calls for leaf in leaves], len(clock.slept)
    result = comes_to(either_world, stack, ask)
    made = [leaf.calls - before for leaf, before in zip(leaves, calls, strict=True)]
    came = type(result) if isinstance(result, ProviderError) else result.text
    assert (made, [round(s, 3) for s in clock.slept[slept:]], came) == (case.calls, case.slept, case.result)
    assert len(result.attempts) == sum(made)


def comes_to(world: Any, stack: Any, ask: Request) -> Any:
    try:
        return world.run(stack, ask)
    except ProviderError as error:
        return error

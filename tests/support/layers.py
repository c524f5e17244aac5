"""Every layer and every router, for the contract that all of them keep."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider

from mainstay.middleware import (
    Backoff,
    Balance,
    CircuitBreaker,
    Cost,
    Deadline,
    Fallback,
    Health,
    Log,
    Metrics,
    Policy,
    Price,
    Prices,
    RedisCircuits,
    Retry,
    RetryBudget,
    Trace,
    TraceCall,
    Validate,
)
from mainstay.pipeline import Layer, Request, Run, Sleep, middleware
from mainstay.pipeline.testing import Check, contract

PROVIDER = TracerProvider(shutdown_on_exit=False)  # its spans record, and go nowhere
METERS = MeterProvider(shutdown_on_exit=False)
HEALTH = Health()


@middleware
def own(request: Request) -> Any:
    """A user's own layer."""
    reply = yield request
    return reply


@middleware(scope="route", name="own_route")
def own_for_each_route(request: Request) -> Any:
    """A user's own layer that guards one route at a time, and does more than pass."""
    try:
        reply = yield request
        reply.on_end(lambda reply: None)
    except BaseException:
        request.call.slots["seen"] = True
        raise
    return reply


@middleware
def watched(request: Request) -> Any:
    """Has Health listen, which is an observer."""
    request.call.observe(HEALTH)
    return (yield request)


@middleware(scope="route")
def paced(request: Request) -> Any:
    """Lets time pass before each attempt."""
    yield Sleep(1.0)
    return (yield request)


@middleware
def stored(request: Request) -> Any:
    """Asks a remote storage."""
    assert (yield Run(lambda: "known")) == "known"
    return (yield request)


class Apart(RedisCircuits):
    """A fleet whose Redis, which has a clock of its own, is away; no breaker shares its circuit with another."""

    def of(self, route: str, rules: Any) -> Any:
        return self._new(route, rules)


FLEET = Apart("redis://127.0.0.1:1/0")  # whoever runs the checks closes it, which ends its thread

COUNTS = [0, -1, 1.5, "3", None, True]
SECONDS = [0, -1.0, math.nan, math.inf, "1", None]
NO_SECONDS = [-1.0, math.nan, math.inf, "1", None]
SHARES = [0, -0.1, 1.1, math.nan, "1", None, True]
IDENTITY: dict[str, list[Any]] = {"name": ["", "two words", "a,b", None, 1], "scope": ["everything", None]}

WRONG: dict[type[Layer], dict[str, list[Any]]] = {
    Deadline: {"seconds": [*SECONDS, True]},
    Retry: {
        "attempts": COUNTS,
        "attempts_before_others": COUNTS,
        "backoff": [0, 0.5, "1", None],
        "policies": [None, {"timeout": 2}, {5: Policy(1)}],
        "patience": NO_SECONDS,
        "max_wait": NO_SECONDS,
        "budget": [1, "x", {}],
    },
    CircuitBreaker: {
        "failures": COUNTS,
        "minimum": COUNTS,
        "probes": COUNTS,
        "ratio": SHARES,
        "window": SECONDS[:-1],
        "slow": SECONDS[:-1],
        "slow_ratio": SHARES,
        "break_min": [*SECONDS, 301.0],
        "break_max": [*SECONDS, 4.0],
        "long_break": SECONDS,
    },
    Validate: {"mode": ["x", None, 1]},
    Cost: {"prices": [None, {}, 1.0]},
    Trace: {"provider": [1, "x"], "content": [1, "x"]},
    TraceCall: {"provider": [1, "x"]},
    Log: {},
    Metrics: {"provider": [1, "x"], "reasons": ["x", {1}], "scope": ["route"]},
}

LAYERS: dict[str, Layer] = {
    "validate": Validate(),
    "validate warn": Validate("warn"),
    "retry": Retry(),
    "retry with a policy": Retry(policies={"timeout": Policy(3, Backoff.constant(1.0))}),
    "retry with a budget": Retry(budget=RetryBudget(floor=1000)),
    "retry call": Retry(scope="call"),
    "breaker": CircuitBreaker(),
    "breaker slow": CircuitBreaker(slow=1.0),
    "breaker observe": CircuitBreaker(observe=True),
    "breaker call": CircuitBreaker(scope="call"),
    "breaker of a fleet without Redis": CircuitBreaker(circuits=FLEET),
    "trace_call": TraceCall(),
    "trace": Trace(),
    "deadline": Deadline(),
    "log": Log(),
    "metrics": Metrics(),
    "cost": Cost(Prices({"any-model": Price(1.0, 2.0)})),
    "health": watched,
    "paced": paced,
    "stored": stored,
    "a user's own": own,
    "a user's own per route": own_for_each_route,
}
RECORDING: dict[str, Layer] = {
    "trace_call recording": TraceCall(PROVIDER),
    "trace recording": Trace(PROVIDER, content=True),
    "metrics recording": Metrics(METERS),
}
ROUTERS: dict[str, Any] = {
    "fallback": Fallback,
    "balance": Balance,
    "panic": partial(Fallback, panic=True),
}


def checks() -> dict[str, Check]:
    """Every check of every layer and router, by what it is called."""
    found = {name: contract(layer, wrong=_wrong(layer)) for name, layer in LAYERS.items()}
    for name, layer in RECORDING.items():  # a provider belongs to its process
        found[name] = [check for check in contract(layer) if check.clause != "it_pickles"]
    for name, router in ROUTERS.items():
        found[name] = contract(own, router=router)
        found[f"{name} with retry"] = contract(Retry(), router=router)
        found[f"{name} with breaker"] = contract(CircuitBreaker(), router=router)
    return {f"{name}-{check}": check for name, list_ in found.items() for check in list_}


def _wrong(layer: Layer) -> dict[str, list[Any]]:
    if type(layer) not in WRONG:
        return {}
    own = WRONG[type(layer)]
    return {name: own.get(name, []) + IDENTITY.get(name, []) for name in (own | IDENTITY)}

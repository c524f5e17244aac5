"""Every layer, for the laws that all of them keep."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mainstay.middleware import CircuitBreaker, Deadline, Log, Retry, RetryBudget, Trace, TraceCall, Validate
from mainstay.pipeline import Layer, Request, middleware


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


LAYERS: dict[str, Callable[[Any], Layer]] = {
    "validate": lambda provider: Validate(),
    "validate warn": lambda provider: Validate("warn"),
    "retry": lambda provider: Retry(),
    "retry with a budget": lambda provider: Retry(budget=RetryBudget(floor=1000)),
    "retry call": lambda provider: Retry(scope="call"),
    "breaker": lambda provider: CircuitBreaker(failures=1000, minimum=1000),
    "breaker call": lambda provider: CircuitBreaker(failures=1000, minimum=1000, scope="call"),
    "trace_call": TraceCall,
    "trace": Trace,
    "deadline": lambda provider: Deadline(),
    "log": lambda provider: Log(),
    "a user's own": lambda provider: own,
    "a user's own per route": lambda provider: own_for_each_route,
}


@pytest.fixture(params=list(LAYERS))
def plain_layer(request: pytest.FixtureRequest) -> Layer:
    """Each layer in turn, as it is configured without an SDK."""
    return LAYERS[request.param](None)


@pytest.fixture(params=list(LAYERS))
def layer(request: pytest.FixtureRequest, tracing: Any) -> Layer:
    """Each layer in turn; those that trace do record."""
    return LAYERS[request.param](tracing.provider)

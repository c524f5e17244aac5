"""A wrong option is refused where the layer is made, and the message names the field."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from mainstay.middleware import (
    Backoff,
    CircuitBreaker,
    Deadline,
    Log,
    Policy,
    Retry,
    RetryBudget,
    Trace,
    TraceCall,
    Validate,
)
from mainstay.pipeline import Layer, middleware

NUMBERS = {
    Deadline: {"seconds": [0, -1.0, float("nan"), float("inf"), "1", None, True]},
    Retry: {
        "attempts": [0, -1, 1.5, "3", None, True],
        "attempts_before_others": [0, -1, 1.5, "3", None, True],
        "backoff": [0, 0.5, "1", None],
        "policies": [None, {"timeout": 2}, {5: Policy(1)}],
        "patience": [-1.0, float("nan"), float("inf"), "1", None],
        "max_wait": [-1.0, float("nan"), float("inf"), "1", None],
        "budget": [1, "x", {}],
    },
    CircuitBreaker: {
        "failures": [0, -1, 1.5, "3", None, True],
        "minimum": [0, -1, 1.5, "3", None, True],
        "probes": [0, -1, 1.5, "3", None, True],
        "ratio": [0, -0.1, 1.1, float("nan"), "1", None, True],
        "window": [0, -1.0, float("nan"), float("inf"), "1"],
        "slow": [0, -1.0, float("nan"), float("inf"), "1"],
        "slow_ratio": [0, -0.1, 1.1, float("nan"), "1", None, True],
        "break_min": [0, -1.0, float("nan"), float("inf"), "1", None, 301.0],
        "break_max": [0, -1.0, float("nan"), float("inf"), "1", None, 4.0],
        "long_break": [0, -1.0, float("nan"), float("inf"), "1", None],
    },
    Backoff: {
        "first": [0, -1.0, float("nan"), float("inf"), "1", None, 9.0],
        "longest": [0, -1.0, float("nan"), float("inf"), "1", None, 0.1],
        "growth": [0.9, float("nan"), float("inf"), "2", None, True],
        "jitter": ["some", None, True],
    },
    Policy: {"attempts": [0, -1, 1.5, "3", None, True]},
    RetryBudget: {
        "ratio": [0, -0.1, 1.1, float("nan"), "1", None, True],
        "floor": [0, -1, 1.5, "3", None, True],
        "window": [0, -1.0, float("nan"), float("inf"), "1", None],
    },
    Validate: {"mode": ["x", None, 1]},
}
WRONG = [
    pytest.param(kind, field, value, id=f"{kind.__name__}-{field}-{value!r}")
    for kind, fields in NUMBERS.items()
    for field, values in fields.items()
    for value in values
]


@pytest.mark.parametrize(("kind", "field", "value"), WRONG)
def test_a_wrong_option_is_refused_and_named(kind: Any, field: str, value: Any) -> None:
    with pytest.raises((ValueError, TypeError), match=rf"{kind.__name__}.*\b{field}\b"):
        kind(**{field: value})


@pytest.mark.parametrize("kind", [Validate, Retry, CircuitBreaker, Deadline, Log, Trace, TraceCall])
def test_a_layer_is_frozen(kind: Any) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        kind().name = "other"


@pytest.mark.parametrize("kind", [Validate, Retry, CircuitBreaker, Deadline, Log, Trace, TraceCall])
def test_an_unknown_option_is_refused_and_named(kind: Any) -> None:
    with pytest.raises(TypeError, match="atempts"):
        kind(atempts=3)


def test_each_binding_has_running_state_of_its_own(plain_layer: Layer) -> None:
    def handler(request: Any) -> Any:
        return None

    one, two = plain_layer.bind(handler), plain_layer.bind(handler)
    assert (one is plain_layer) == (two is plain_layer)
    if one is not plain_layer:
        assert one is not two


def test_a_user_s_own_layer_is_checked_as_well() -> None:
    with pytest.raises(TypeError, match="needs a generator function"):
        middleware(lambda request: None)
    with pytest.raises(ValueError, match="scope"):
        middleware(scope="everything")(lambda request: (yield request))  # type: ignore[arg-type]

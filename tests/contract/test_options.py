"""What layers are made with is checked where it is made, and the message names the field."""

from __future__ import annotations

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
from mainstay.pipeline import middleware

LAYERS = [Validate, Retry, CircuitBreaker, Deadline, Log, Trace, TraceCall]
# What goes into layers; the layers' own options stand with their contract.
NUMBERS: dict[Any, dict[str, list[Any]]] = {
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


@pytest.mark.parametrize("kind", LAYERS)
def test_an_unknown_option_is_refused_and_named(kind: Any) -> None:
    with pytest.raises(TypeError, match="atempts"):
        kind(atempts=3)


def test_a_user_s_own_layer_is_checked_as_well() -> None:
    with pytest.raises(TypeError, match="needs a generator function"):
        middleware(lambda request: None)
    with pytest.raises(ValueError, match="scope"):
        middleware(scope="everything")(lambda request: (yield request))  # type: ignore[arg-type]

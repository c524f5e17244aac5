"""Checks of options: what is refused, and in which words."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

import pytest

from mainstay.middleware import CircuitBreaker, Deadline, Log, Retry, Trace, TraceCall, Validate, options


class Sluice:
    """Something with options."""


NO_NUMBERS: list[Any] = [None, "1", True, False, [], 1j, Fraction(1, 2)]


def refused(check: Any, value: Any, expected: str, **more: Any) -> None:
    with pytest.raises(ValueError) as caught:
        check(Sluice(), "width", value, **more)
    assert str(caught.value) == f"Sluice(width=...) must be {expected}, not {value!r}"


@pytest.mark.parametrize("value", [1, 0.001, 1e300, 10**300])
def test_seconds_are_any_positive_finite_number(value) -> None:
    options.seconds(Sluice(), "width", value)


@pytest.mark.parametrize("value", [0, 0.0, -1, -0.001, float("nan"), float("inf"), float("-inf"), 10**309, *NO_NUMBERS])
def test_what_is_no_positive_number_of_seconds_is_refused(value) -> None:
    refused(options.seconds, value, "a positive number of seconds")


def test_zero_seconds_are_accepted_where_they_mean_something() -> None:
    options.seconds(Sluice(), "width", 0, zero=True)
    options.seconds(Sluice(), "width", 2.5, zero=True)


@pytest.mark.parametrize("value", [-1, -0.001, float("nan"), float("inf"), *NO_NUMBERS])
def test_what_is_no_number_of_seconds_from_zero_on_is_refused(value) -> None:
    refused(options.seconds, value, "0 or more seconds", zero=True)


@pytest.mark.parametrize("value", [1, 2, 10**9])
def test_a_count_is_any_whole_number_from_one_on(value) -> None:
    options.count(Sluice(), "width", value)


@pytest.mark.parametrize("value", [0, -1, 1.0, 2.5, float("nan"), *NO_NUMBERS])
def test_what_is_no_count_is_refused(value) -> None:
    refused(options.count, value, "a whole number from 1 on")


@pytest.mark.parametrize("value", [0.001, 0.5, 1, 1.0])
def test_a_fraction_is_above_zero_and_at_most_one(value) -> None:
    options.fraction(Sluice(), "width", value)


@pytest.mark.parametrize("value", [0, 0.0, -0.1, 1.001, 2, float("nan"), float("inf"), *NO_NUMBERS])
def test_what_is_no_fraction_is_refused(value) -> None:
    refused(options.fraction, value, "above 0 and at most 1")


LAYERS = [Validate, Deadline, Retry, CircuitBreaker, Trace, TraceCall, Log]


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("scope", ["", "Route", "calls", None, 1])
def test_what_is_no_scope_is_refused_by_every_layer(layer, scope) -> None:
    expected = f"{layer.__name__}(scope=...) must be 'route' or 'call', not {scope!r}"
    with pytest.raises(ValueError, match=re.escape(expected)):
        layer(scope=scope)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("name", ["", "a,b", "a b", "a\n", None, 3])
def test_a_name_that_no_switch_could_name_is_refused_by_every_layer(layer, name) -> None:
    with pytest.raises(ValueError, match=re.escape(f"{layer.__name__}(name=...) must be a word")):
        layer(name=name)


@pytest.mark.parametrize("layer", [Trace, TraceCall])
def test_what_is_no_provider_of_tracers_is_refused(layer) -> None:
    with pytest.raises(TypeError, match=re.escape(f"{layer.__name__}(provider=...) must be a TracerProvider")):
        layer(provider="otel")

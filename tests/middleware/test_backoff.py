"""Backoff: the series of waits, by hand and by their formulas."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.middleware import Backoff
from mainstay.pipeline import VirtualClock


def series(backoff: Backoff, chance: float, count: int = 6) -> list[float]:
    clock, before, waits = VirtualClock(random=lambda: chance), 0.0, []
    for number in range(count):
        before = backoff.wait(number, before, clock)
        waits.append(before)
    return waits


@pytest.mark.parametrize(
    ("backoff", "chance", "waits"),
    [
        (Backoff(), 0.5, [0.25, 0.5, 1.0, 2.0, 4.0, 4.0]),
        (Backoff(jitter="none"), 0.5, [0.5, 1.0, 2.0, 4.0, 8.0, 8.0]),
        (Backoff(jitter="equal"), 0.5, [0.375, 0.75, 1.5, 3.0, 6.0, 6.0]),
        (Backoff(jitter="equal"), 0.0, [0.25, 0.5, 1.0, 2.0, 4.0, 4.0]),
        (Backoff(1.0, 10.0, jitter="decorrelated"), 0.0, [1.0] * 6),
        (Backoff(1.0, 10.0, jitter="decorrelated"), 0.5, [2.0, 3.5, 5.75, 9.125, 10.0, 10.0]),
        (Backoff(1.0, 20.0, growth=3.0, jitter="none"), 0.5, [1.0, 3.0, 9.0, 20.0, 20.0, 20.0]),
        (Backoff.constant(2.0), 0.9, [2.0] * 6),
        (Backoff.constant(2.0, "full"), 0.25, [0.5] * 6),
    ],
)
def test_the_formulas(backoff: Backoff, chance: float, waits: list[float]) -> None:
    assert series(backoff, chance) == pytest.approx(waits)


@given(
    st.floats(0.001, 100),
    st.floats(1, 1000),
    st.floats(1, 1000),
    st.sampled_from(["none", "full", "equal", "decorrelated"]),
    st.floats(0, 0.9999),
    st.integers(0, 5000),
    st.floats(0, 1e6),
)
def test_no_wait_is_negative_or_longer_than_the_longest(
    first: float, more: float, growth: float, jitter: str, chance: float, number: int, before: float
) -> None:
    backoff = Backoff(first, first * more, growth, jitter)  # type: ignore[arg-type]
    wait = backoff.wait(number, before, VirtualClock(random=lambda: chance))
    assert 0 <= wait <= backoff.longest
    if jitter in ("none", "decorrelated"):
        assert wait >= min(first, backoff.longest)


def test_a_longest_wait_below_the_first_is_a_mistake() -> None:
    with pytest.raises(ValueError, match=r"Backoff\(first=9\) is longer than longest=8"):
        Backoff(9.0)

"""Window: what counts as recent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.middleware.window import Window


def test_a_new_window_is_empty_at_any_moment() -> None:
    window = Window(10.0)
    assert window.counts(0.0) == (0, 0)
    assert window.counts(1e9) == (0, 0)


def test_good_and_bad_outcomes_are_counted_apart() -> None:
    window = Window(10.0)
    for good in (True, False, True):
        window.add(good, 100.0)
    assert window.counts(100.0) == (2, 1)


def test_an_outcome_counts_for_nine_tenths_of_the_window_at_least_and_never_longer_than_it() -> None:
    for offset in range(10):
        born = 100.0 + offset / 10
        window = Window(10.0)
        window.add(False, born)
        assert window.counts(born + 9.0) == (0, 1)
        assert window.counts(born + 10.0) == (0, 0)


def test_outcomes_leave_the_window_one_after_another() -> None:
    window = Window(10.0)
    for moment in range(20):
        window.add(moment % 2 == 0, float(moment))
    assert window.counts(19.0) == (5, 5)
    assert window.counts(24.0) == (2, 3)
    assert window.counts(28.0) == (0, 1)
    assert window.counts(29.0) == (0, 0)


@pytest.mark.parametrize("silence", [10.0, 11.0, 99.0, 100.0, 1e6])
def test_everything_is_forgotten_after_a_silence_of_any_length(silence) -> None:
    window = Window(10.0)
    for moment in range(10):
        window.add(True, float(moment))
    window.add(False, 9.0 + silence)
    assert window.counts(9.0 + silence) == (0, 1)


def test_a_moment_from_the_past_is_counted_now_and_turns_nothing_back() -> None:
    window = Window(10.0)
    window.add(True, 50.0)
    window.add(False, 20.0)
    assert window.counts(45.0) == (1, 1)
    assert window.counts(59.0) == (1, 1)
    assert window.counts(60.0) == (0, 0)


def test_a_clock_may_start_below_zero() -> None:
    window = Window(10.0)
    window.add(True, -3.0)
    window.add(True, 2.0)
    assert window.counts(2.0) == (2, 0)
    assert window.counts(7.0) == (1, 0)


def test_clear_forgets_everything() -> None:
    window = Window(10.0)
    window.add(True, 5.0)
    window.clear()
    assert window.counts(5.0) == (0, 0)
    window.add(False, 1.0)
    assert window.counts(1.0) == (0, 1)


def test_a_call_counts_for_the_moment_at_which_it_was_sent() -> None:
    window = Window(10.0)
    window.add(False, 19.0, sent=12.0)
    assert window.counts(21.0) == (0, 1)
    assert window.counts(22.0) == (0, 0)
    window.add(False, 40.0, sent=30.0)
    assert window.counts(40.0) == (0, 0)


def test_slow_ones_are_counted_beside() -> None:
    window = Window(10.0)
    window.add(True, 5.0, slow=True)
    window.add(False, 5.0, slow=True)
    window.add(True, 6.0)
    assert (window.counts(6.0), window.slow(6.0)) == ((2, 1), 2)
    assert window.slow(15.0) == 0


@given(st.lists(st.tuples(st.floats(0.0, 30.0), st.floats(0.0, 100.0), st.booleans()), max_size=60))
def test_a_good_call_counts_alike_by_the_short_way(steps: list[tuple[float, float, bool]]) -> None:
    short, long, now = Window(60.0), Window(60.0), 0.0
    for passed, ago, good in steps:
        now += passed
        sent = max(0.0, now - ago)
        if good:
            short.add_good(sent, lambda now=now: now)  # type: ignore[misc]
        else:
            short.add(False, now, sent)
        long.add(good, now, sent)
    assert short.counts(now) == long.counts(now)

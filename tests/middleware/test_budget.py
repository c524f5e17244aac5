"""RetryBudget: how many retries there are for so many calls."""

from __future__ import annotations

import copy
import pickle
import threading

import pytest

from mainstay.middleware import RetryBudget


def drawn(budget: RetryBudget, now: float) -> int:
    """How many retries can be taken at once."""
    count = 0
    while budget.withdraw(now):
        count += 1
    return count


def test_the_floor_is_there_without_any_call() -> None:
    assert drawn(RetryBudget(), 0.0) == 3


@pytest.mark.parametrize(("calls", "retries"), [(0, 3), (1, 3), (4, 3), (5, 4), (9, 4), (10, 5), (100, 23)])
def test_a_fifth_of_the_calls_comes_on_top_and_is_never_rounded_up(calls, retries) -> None:
    budget = RetryBudget()
    for _ in range(calls):
        budget.deposit(7.0)
    assert drawn(budget, 7.0) == retries


def test_ratio_and_floor_are_used() -> None:
    budget = RetryBudget(ratio=1.0, floor=1)
    for _ in range(4):
        budget.deposit(0.0)
    assert drawn(budget, 0.0) == 5


def test_calls_and_retries_leave_the_budget_with_its_window() -> None:
    budget = RetryBudget(window=10.0)
    for _ in range(50):
        budget.deposit(0.0)
    assert drawn(budget, 5.0) == 13
    assert drawn(budget, 9.0) == 0
    assert drawn(budget, 10.0) == 0  # the calls have gone, their retries not yet
    assert drawn(budget, 15.0) == 3


def test_threads_never_draw_more_together_than_there_is() -> None:
    budget, barrier, taken = RetryBudget(floor=50), threading.Barrier(8), []

    def work() -> None:
        barrier.wait()
        taken.append(drawn(budget, 1.0))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(taken) == 50


@pytest.mark.parametrize("again", [lambda budget: pickle.loads(pickle.dumps(budget)), copy.deepcopy])
def test_a_copy_has_the_same_size_and_nothing_used(again) -> None:
    budget = RetryBudget(ratio=0.5, floor=2, window=10.0)
    drawn(budget, 0.0)
    copied = again(budget)
    for _ in range(2):
        copied.deposit(0.0)
    assert drawn(copied, 0.0) == 3
    assert drawn(copied, 10.0) == 2
    assert drawn(budget, 0.0) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ratio": 0}, r"RetryBudget\(ratio=\.\.\.\) must be above 0 and at most 1, not 0"),
        ({"ratio": 1.5}, r"ratio.*above 0 and at most 1"),
        ({"floor": 0}, r"RetryBudget\(floor=\.\.\.\) must be a whole number from 1 on, not 0"),
        ({"window": 0}, r"RetryBudget\(window=\.\.\.\) must be a positive number of seconds, not 0"),
    ],
)
def test_a_wrong_option_names_the_field_and_the_range(options, message) -> None:
    with pytest.raises(ValueError, match=message):
        RetryBudget(**options)

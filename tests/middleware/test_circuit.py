"""Circuit: the table of states, what moves it and what does not, and how long it stays."""

from __future__ import annotations

import pytest

from mainstay.middleware.permit import Permit
from mainstay.pipeline import AuthenticationFailed, QuotaExceeded, RateLimited, Unavailable
from support.circuits import BAD, DOWN, FATAL, GOOD, NONE, REST, Bench


def test_it_starts_closed_and_admits_everybody() -> None:
    bench = Bench()
    assert [type(bench.admit()) for _ in range(20)] == [Permit] * 20
    shot = bench.circuit.snapshot(0.0)
    assert shot.pop("number") > 0
    assert shot == {
        "state": "closed",
        "since": None,
        "until": None,
        "because": None,
        "failures": 0,
    }


def test_changes_have_growing_numbers_by_which_they_can_be_put_in_order() -> None:
    bench = Bench()
    numbers = [bench.circuit.snapshot(0.0)["number"]]
    bench.settle(bench.probe(), GOOD)
    numbers += [change.number for change in bench.told]
    assert bench.circuit.snapshot(bench.now)["number"] == numbers[-1]
    bench.circuit.isolate()
    numbers.append(bench.circuit.snapshot(bench.now)["number"])
    bench.circuit.close()
    numbers.append(bench.circuit.snapshot(bench.now)["number"])
    assert len(numbers) == 6
    assert numbers == sorted(set(numbers))


def test_five_failures_in_a_row_open_it_and_four_do_not() -> None:
    bench = Bench()
    bench.tries(BAD, BAD, BAD, BAD)
    assert (bench.state, bench.circuit.snapshot(bench.now)["failures"]) == ("closed", 4)
    bench.tries(BAD)
    assert bench.state == "open"
    change = bench.told[0]
    assert (change.before, change.after, change.until) == ("closed", "open", 1003.75)
    assert (str(change.error), change.error is DOWN) == (str(DOWN), False)
    assert len(bench.told) == 1


def test_a_success_resets_the_count_in_a_row() -> None:
    bench = Bench(minimum=100)
    bench.tries(*[BAD, BAD, BAD, BAD, GOOD] * 5)
    assert bench.state == "closed"
    bench.open()


def test_half_of_ten_recent_tries_open_it() -> None:
    bench = Bench()
    bench.tries(GOOD, GOOD, GOOD, GOOD, GOOD, BAD, BAD, BAD, BAD)
    assert bench.state == "closed"
    bench.tries(BAD)
    assert bench.state == "open"
    by_ratio_alone = Bench()
    by_ratio_alone.tries(*[GOOD, BAD] * 5)
    assert by_ratio_alone.state == "open"


def test_a_share_below_the_ratio_or_too_few_tries_do_not_open_it() -> None:
    bench = Bench()
    bench.tries(*[GOOD, BAD] * 4, BAD)
    assert bench.state == "closed"
    mostly_good = Bench()
    mostly_good.tries(*[GOOD, GOOD, BAD] * 30)
    assert mostly_good.state == "closed"


def test_tries_that_have_left_the_window_no_longer_count_for_the_share() -> None:
    bench = Bench()
    bench.tries(*[GOOD, BAD] * 4)
    bench.now += 60
    bench.tries(GOOD, BAD, GOOD, BAD)
    assert bench.state == "closed"


@pytest.mark.parametrize("verdict", [NONE, REST])
def test_what_is_ignored_neither_resets_the_count_nor_adds_to_it(verdict) -> None:
    bench = Bench()
    bench.tries(BAD, BAD, BAD, BAD, *[verdict] * 30)
    assert (bench.state, bench.circuit.snapshot(bench.now)["failures"]) == ("closed", 4)
    bench.tries(BAD)
    assert bench.state == "open"


def test_what_is_ignored_is_no_part_of_the_share() -> None:
    bench = Bench()
    bench.tries(*[GOOD, BAD, NONE, NONE] * 4)
    assert bench.state == "closed"


@pytest.mark.parametrize("chance", [0.0, 0.5, 0.999])
def test_a_fatal_error_opens_it_at_once_and_long(chance) -> None:
    bench = Bench(chance)
    bench.settle(bench.permit(), FATAL, AuthenticationFailed())
    refusal = bench.refusal()
    assert refusal.state == "open"
    assert refusal.wait == pytest.approx(150 + 150 * chance)
    assert isinstance(refusal.because, AuthenticationFailed)


@pytest.mark.parametrize("date", [5.0, 20.0, 86400.0])
def test_a_fatal_error_with_a_date_opens_it_until_then(date) -> None:
    bench = Bench()
    bench.settle(bench.permit(), FATAL, QuotaExceeded(retry_after=date))
    bench.now += date - 1
    assert bench.refusal().wait == 1
    bench.now += 1
    bench.permit()


def test_a_moment_is_no_date_for_a_fatal_error() -> None:
    bench = Bench()
    bench.settle(bench.permit(), FATAL, QuotaExceeded(retry_after=1.0))
    assert bench.refusal().wait >= 150


def test_a_failure_with_a_retry_after_keeps_it_open_until_then() -> None:
    bench = Bench(failures=1)
    bench.settle(bench.permit(), BAD, Unavailable(retry_after=40.0))
    assert bench.refusal().wait == 40


def test_open_refuses_with_the_time_that_is_left_and_admits_at_that_very_moment() -> None:
    bench = Bench()
    bench.open()
    assert bench.refusal()[:2] == ("open", 3.75)
    bench.now += 3
    assert bench.refusal()[:2] == ("open", 0.75)
    bench.now += 0.75
    bench.permit()
    assert [(change.before, change.after, change.until) for change in bench.told[1:]] == [("open", "half-open", None)]
    assert bench.circuit.snapshot(bench.now)["until"] is None


def test_a_probe_that_went_well_closes_it_and_forgets_everything() -> None:
    bench = Bench()
    bench.settle(bench.probe(), GOOD)
    assert bench.told[-1][:4] == ("half-open", "closed", None, None)
    assert bench.circuit.snapshot(bench.now)["failures"] == 0
    assert bench.circuit.snapshot(bench.now)["since"] == bench.now
    bench.tries(BAD, BAD, BAD, BAD)
    assert bench.state == "closed"
    bench.tries(BAD)
    assert bench.refusal().wait == 3.75  # the first break again


@pytest.mark.parametrize("chance", [0.0, 0.5, 0.999])
def test_each_failed_probe_doubles_the_break_up_to_the_longest(chance) -> None:
    bench, breaks = Bench(chance), []
    bench.open()
    for _ in range(8):
        breaks.append(bench.refusal().wait)
        bench.now += 300
        bench.settle(bench.permit(), BAD)
    expected = [longest * (0.5 + 0.5 * chance) for longest in (5, 10, 20, 40, 80, 160, 300, 300)]
    assert breaks == pytest.approx(expected)


def test_breaks_stay_finite_after_very_many_openings() -> None:
    bench = Bench()
    bench.open()
    bench.circuit._openings = 5000
    bench.now += 300
    bench.settle(bench.permit(), BAD)
    assert bench.refusal().wait == 225


def test_a_fatal_error_of_a_probe_opens_it_long() -> None:
    bench = Bench()
    bench.settle(bench.probe(), FATAL, AuthenticationFailed())
    assert bench.refusal().wait == 225


@pytest.mark.parametrize("verdict", [NONE, REST])
def test_an_ignored_probe_moves_nothing_and_frees_its_slot(verdict) -> None:
    bench = Bench()
    bench.settle(bench.probe(), verdict)
    assert bench.state == "half-open"
    bench.settle(bench.permit(), GOOD)
    assert bench.state == "closed"


@pytest.mark.parametrize("late", [GOOD, BAD, FATAL, REST, NONE])
def test_late_results_of_an_older_generation_change_nothing(late) -> None:
    bench = Bench(failures=1)
    slow = [bench.permit() for _ in range(4)]
    bench.settle(bench.permit(), BAD)
    moments = ["open", "half-open", "closed"]
    for moment, permit in zip(moments, slow, strict=False):
        if moment == "half-open":
            bench.now += 5
            probe = bench.permit()
        elif moment == "closed":
            bench.settle(probe, GOOD)
        before = bench.circuit.snapshot(bench.now), len(bench.told)
        bench.settle(permit, late, RateLimited(retry_after=50.0))
        assert (bench.circuit.snapshot(bench.now), len(bench.told)) == before
        assert bench.state == moment
    bench.permit()

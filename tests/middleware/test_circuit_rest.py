"""Circuit: rest, and what a person may do by hand."""

from __future__ import annotations

import pytest

from mainstay.middleware.permit import Permit
from mainstay.pipeline import AuthenticationFailed, RateLimited
from support.circuits import BAD, FATAL, GOOD, REST, Bench


def test_rest_lasts_until_the_retry_after_for_everybody_and_then_admits_everybody() -> None:
    bench = Bench()
    bench.settle(bench.permit(), REST, RateLimited(retry_after=30.0))
    assert [bench.refusal()[:2] for _ in range(3)] == [("resting", 30)] * 3
    assert isinstance(bench.refusal().because, RateLimited)
    shot = bench.circuit.snapshot(bench.now)
    assert (shot["state"], shot["until"], shot["because"].retry_after) == ("resting", 1030, 30)
    assert [change[:4] for change in bench.told] == [
        ("closed", "resting", bench.told[0].error, 1030)
    ]  # once, by the one that was asked to
    bench.now += 29.5
    assert bench.refusal().wait == 0.5
    bench.now += 0.5
    assert bench.state == "closed"
    assert [type(bench.admit()) for _ in range(5)] == [Permit] * 5


def test_the_longest_rest_wins_whatever_the_order() -> None:
    for waits in ([10.0, 50.0, 20.0], [50.0, 10.0, 20.0], [20.0, 10.0, 50.0]):
        bench = Bench()
        for permit, wait in zip([bench.permit() for _ in waits], waits, strict=True):
            bench.settle(permit, REST, RateLimited(retry_after=wait))
        assert bench.refusal().wait == 50


def test_a_refusal_tells_the_later_of_the_end_of_the_break_and_of_the_rest() -> None:
    bench = Bench(failures=1)
    resting, failing = bench.permit(), bench.permit()
    bench.settle(resting, REST, RateLimited(retry_after=30.0))
    bench.settle(failing, BAD)
    assert bench.refusal()[:2] == ("open", 30)
    assert bench.circuit.snapshot(bench.now)["until"] == 1030
    bench.now += 10
    assert bench.refusal()[:2] == ("open", 20)
    bench.now += 20
    bench.settle(bench.permit(), REST, RateLimited(retry_after=7.0))
    assert bench.refusal()[:2] == ("resting", 7)
    assert (bench.state, bench.circuit.snapshot(bench.now)["until"]) == ("half-open", 1037)


def test_isolated_admits_nobody_and_nothing_moves_it_until_it_is_closed_by_hand() -> None:
    bench = Bench()
    bench.open()
    bench.circuit.isolate(bench.now)
    bench.now += 10_000
    assert bench.refusal() == ("isolated", None, None)
    shot = bench.circuit.snapshot(bench.now)
    assert (shot["state"], shot["since"], shot["until"], shot["because"]) == ("isolated", 1000, None, None)
    bench.circuit.close(bench.now)
    assert bench.circuit.snapshot(bench.now)["since"] == bench.now
    assert isinstance(bench.admit(), Permit)


@pytest.mark.parametrize("by_hand", ["isolate", "close"])
def test_what_was_under_way_when_a_person_stepped_in_changes_nothing(by_hand) -> None:
    bench = Bench(failures=1)
    permit = bench.permit()
    getattr(bench.circuit, by_hand)()
    before = bench.circuit.snapshot(bench.now)
    bench.settle(permit, FATAL, AuthenticationFailed())
    assert bench.circuit.snapshot(bench.now) == before


def test_close_by_hand_ends_a_break_a_rest_and_the_growth_of_breaks() -> None:
    bench = Bench(failures=1)
    resting, failing = bench.permit(), bench.permit()
    bench.settle(resting, REST, RateLimited(retry_after=30.0))
    bench.settle(failing, BAD)
    bench.circuit.close()
    bench.tries(GOOD, BAD)
    assert bench.refusal().wait == 3.75

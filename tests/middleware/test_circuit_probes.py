"""Circuit: probes and their leases."""

from __future__ import annotations

import gc

import pytest

from mainstay.middleware.permit import Permit, Refusal, Verdict
from mainstay.pipeline import RateLimited, Unavailable
from support.circuits import BAD, GAP, GOOD, LEASE, NONE, ProbeBench


def test_half_open_admits_one_probe_and_tells_the_others_to_come_back_soon() -> None:
    bench = ProbeBench()
    bench.probe()
    assert bench.refusal()[:2] == ("half-open", 5.0)
    bench.now += LEASE - 1
    assert bench.refusal()[:2] == ("half-open", 1.0)  # when its lease ends at the latest


def test_more_probes_are_admitted_if_the_rules_say_so() -> None:
    bench = ProbeBench(probes=3)
    bench.probe()
    assert [type(bench.admit()) for _ in range(4)] == [Permit, Permit, Refusal, Refusal]


@pytest.mark.parametrize("late", list(Verdict))
def test_a_probe_that_never_reports_expires_and_its_late_result_changes_nothing(late) -> None:
    bench = ProbeBench()
    lost = bench.probe()
    bench.now += LEASE - 0.5
    bench.refusal()
    bench.now += 0.5
    second = bench.permit()
    before = bench.circuit.snapshot(bench.now)
    bench.settle(lost, late, RateLimited(retry_after=9.0))
    assert bench.circuit.snapshot(bench.now) == before
    bench.refusal()  # the second probe is still the only one
    bench.settle(second, GOOD)
    assert bench.state == "closed"


def test_a_permit_that_is_brought_back_twice_counts_once() -> None:
    bench = ProbeBench()
    probe = bench.probe()
    bench.settle(probe, NONE)
    second = bench.permit()
    bench.settle(probe, BAD)
    assert bench.state == "half-open"
    bench.settle(second, GOOD)
    bench.settle(second, BAD)
    assert bench.state == "closed"


def test_one_further_probe_may_start_after_the_first_event_of_a_streaming_one() -> None:
    bench = ProbeBench()
    streaming = bench.probe()
    reply = bench.arrive(streaming)
    second = bench.permit()
    bench.now += GAP - 1
    assert bench.refusal().wait == 1
    bench.now -= GAP - 1
    second_reply = bench.arrive(second)
    bench.refusal()
    assert bench.state == "half-open"  # an event closes nothing
    bench.settle(second, GOOD)
    assert bench.state == "closed"
    del reply, second_reply


def test_each_event_renews_the_lease_of_a_streaming_probe() -> None:
    bench = ProbeBench()
    streaming = bench.probe()
    reply = bench.arrive(streaming)
    silent = bench.permit()
    for _ in range(10):
        bench.now += GAP - 1
        next(reply)
        next(reply)  # the first was in hand already
        bench.settle(silent, NONE)
        silent = bench.permit()
        bench.refusal()
    bench.settle(streaming, GOOD)
    assert bench.state == "closed"


def test_a_streaming_probe_that_falls_silent_expires() -> None:
    bench = ProbeBench()
    streaming = bench.probe()
    reply = bench.arrive(streaming)
    assert [next(reply).text, next(reply).text] == ["a", "a"]
    bench.permit()
    bench.now += GAP - 1
    assert bench.refusal().wait == 1
    bench.now += 1
    bench.refusal()  # the second probe has told nothing yet, and has its lease
    bench.settle(streaming, GOOD)
    assert bench.state == "half-open"


def test_a_streaming_probe_whose_reply_is_gone_expires() -> None:
    bench = ProbeBench()
    streaming = bench.probe()
    reply = bench.arrive(streaming)
    bench.settle(bench.permit(), NONE)
    del reply
    gc.collect()
    bench.now += GAP
    bench.permit()
    bench.settle(streaming, BAD)
    assert bench.state == "half-open"


def test_a_stream_that_breaks_opens_it_again() -> None:
    bench = ProbeBench()
    streaming = bench.probe()
    reply = bench.arrive(streaming)
    bench.settle(streaming, BAD, Unavailable("cut"))
    assert bench.state == "open"
    del reply


def test_a_probe_of_an_earlier_half_open_takes_no_slot_of_the_next() -> None:
    bench = ProbeBench(probes=2)
    slow, failing = bench.probe(), bench.permit()
    bench.settle(failing, BAD)
    bench.now += 10
    assert slow.lease is not None
    assert slow.lease > bench.now
    assert [type(bench.admit()) for _ in range(3)] == [Permit, Permit, Refusal]

"""What a fleet shares, whose turn it is to probe, and what a call costs."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from mainstay.middleware.permit import Permit, Rules, Verdict
from mainstay.pipeline import AuthenticationFailed, ErrorClass, ProviderError, RateLimited, Unavailable
from support.fleets import NUMBERS, FakeRedis, Process

GOOD, BAD, FATAL, REST, NONE = Verdict.GOOD, Verdict.BAD, Verdict.FATAL, Verdict.REST, Verdict.NONE
DOWN = Unavailable("down")


@pytest.fixture
def redis() -> FakeRedis:
    return FakeRedis()


@pytest.fixture
def two(redis: FakeRedis) -> tuple[Process, Process]:
    return Process(redis), Process(redis, 1_000_000.0)


# -- what one learns -----------------------------------------------------------------------------------------


def test_a_route_that_one_opened_is_refused_by_the_other_at_its_next_call(two: tuple[Process, Process]) -> None:
    one, other = two
    assert isinstance(other.admit(), Permit)
    one.trip(AuthenticationFailed("sk-secret is wrong", reason="bad_key", provider="openai", request_id="req_1"))
    refusal = other.refusal()
    assert (refusal.state, refusal.wait) == ("open", 225)
    because = refusal.because
    assert (type(because), because.reason) == (AuthenticationFailed, "bad_key")
    assert (because.message, because.provider, because.request_id) == ("", "", None)
    assert [(change.before, change.after, change.until) for change in other.told] == [
        ("closed", "open", other.now + 225)
    ]


@pytest.mark.parametrize("error_class", ErrorClass)
def test_of_an_error_class_and_reason_are_all_that_is_in_redis(redis: FakeRedis, error_class: Any) -> None:
    Process(redis).trip(ProviderError.of(error_class, "a prompt", reason="a_reason", detail="sk-key", hint="go"))
    (record,) = redis.records.values()
    assert record["because"] == f"{error_class}:a_reason"
    assert {value for value in record.values() if isinstance(value, str)} == {
        record["because"],
        record["era"],
        "open",
        "",
    }
    assert type(Process(redis).refusal().because) is type(ProviderError.of(error_class))


def test_failures_in_a_row_count_wherever_they_happen(redis: FakeRedis) -> None:
    processes = [Process(redis) for _ in range(5)]
    for process in processes:
        process.settle(process.permit(), BAD, DOWN)
    assert {process.refusal().state for process in processes} == {"open"}


def test_a_success_anywhere_ends_the_row(two: tuple[Process, Process]) -> None:
    one, other = two
    for _ in range(4):
        one.settle(one.permit(), BAD, DOWN)
    other.settle(other.permit(), GOOD)
    one.settle(one.permit(), BAD, DOWN)
    assert one.shot["failures"] == 1
    assert one.state == "closed"


def test_a_success_while_a_question_is_under_way_is_not_undone_by_its_answer(redis: FakeRedis) -> None:
    process = Process(redis)
    for _ in range(4):
        process.settle(process.permit(), BAD, DOWN)
    permit = process.permit()
    said = process.circuit._say(process.now, 60.0)
    view = process.link.exchange(process.circuit._storage, said, process.now)
    process.settle(permit, GOOD, write=False)
    process.circuit._hear(said, view, process.now)
    assert process.shot["failures"] == 0


def test_two_that_open_at_once_open_once(two: tuple[Process, Process]) -> None:
    one, other = two
    permits = one.permit(), other.permit()
    one.settle(permits[0], FATAL, AuthenticationFailed())
    other.settle(permits[1], FATAL, AuthenticationFailed(retry_after=5000.0))
    (record,) = one.redis.records.values()
    assert record["openings"] == 1
    assert other.refusal().wait == one.refusal().wait == 225


def test_breaks_grow_for_all(two: tuple[Process, Process]) -> None:
    one, other = two
    waits = []
    for process in (one, other, one):
        for _ in range(5):
            answer = process.admit()
            if isinstance(answer, Permit):
                process.settle(answer, BAD, DOWN)
        waits.append(process.refusal().wait)
        one.redis.now += waits[-1]
    assert waits == [3.75, 7.5, 15]


def test_a_rest_is_everybodys(two: tuple[Process, Process]) -> None:
    one, other = two
    one.settle(one.permit(), REST, RateLimited(reason="tokens", retry_after=20.0))
    refusal = other.refusal()
    assert (refusal.state, refusal.wait, refusal.because.reason) == ("resting", 20, "tokens")
    other.redis.now += 5
    for _ in range(3):
        other.ask()  # that many times asked, it is no longer
    assert other.refusal().wait == 15


def test_what_a_person_says_goes_for_all(two: tuple[Process, Process]) -> None:
    one, other = two
    one.circuit.isolate(one.now)
    one.link.flush()
    assert other.refusal().state == "isolated"
    other.circuit.close(other.now)
    other.link.flush()
    assert isinstance(one.admit(), Permit)


# -- probes --------------------------------------------------------------------------------------------------


def half_open(one: Process, *others: Process) -> None:
    one.trip()
    for other in others:
        other.refusal()
    one.redis.now += 225


def test_a_probe_is_admitted_once_in_the_fleet(redis: FakeRedis) -> None:
    processes = [Process(redis) for _ in range(8)]
    half_open(*processes)
    answers = [process.admit() for process in processes * 2]
    (probe,) = [answer for answer in answers if isinstance(answer, Permit)]
    assert isinstance(answers[0], Permit)
    assert {(answer.state, answer.wait) for answer in answers if answer is not probe} == {("half-open", 5)}
    processes[0].settle(probe, GOOD)
    assert all(isinstance(process.admit(), Permit) for process in processes)


def test_as_many_probe_at_once_as_the_rules_say_each_in_another_process(redis: FakeRedis) -> None:
    processes = [Process(redis, rules=Rules(**{**NUMBERS, "probes": 2})) for _ in range(4)]
    half_open(*processes)
    assert [isinstance(process.admit(), Permit) for process in processes * 2] == [True, True] + [False] * 6


def test_a_new_process_may_probe_at_its_very_first_call(redis: FakeRedis) -> None:
    half_open(Process(redis))
    assert Process(redis).permit().lease is not None


def test_a_probe_without_a_verdict_hands_its_lease_on(two: tuple[Process, Process]) -> None:
    one, other = two
    half_open(*two)
    one.settle(one.permit(), NONE)
    assert other.permit().lease is not None


def test_a_probe_that_never_reports_is_given_up_and_late_when_it_does(two: tuple[Process, Process]) -> None:
    one, other = two
    half_open(*two)
    lost = one.permit()
    other.redis.now += 59.9
    other.refusal()
    other.redis.now += 0.1
    probe = other.permit()
    before = dict(*one.redis.records.values())
    one.settle(lost, GOOD)
    assert dict(*one.redis.records.values()) == before
    other.settle(probe, BAD, DOWN)
    assert one.refusal().state == "open"


def test_a_lease_that_came_when_its_era_was_over_is_no_right_to_probe(two: tuple[Process, Process]) -> None:
    one, other = two
    half_open(*two)
    said = one.circuit._say(one.now, 60.0)
    view = one.link.exchange(one.circuit._storage, said, one.now)
    assert view is not None
    assert view.granted
    other.circuit.close(other.now)
    other.link.flush()
    half_open(other, one)
    one.circuit._ask_at = one.now + 1
    one.circuit._hear(said, view, one.now)
    assert one.circuit._ask_at < one.now
    one.circuit._ask_at = one.now + 1
    one.refusal()
    assert isinstance(other.admit(), Permit)


def test_a_probe_of_an_older_era_moves_nothing(two: tuple[Process, Process]) -> None:
    one, other = two
    half_open(*two)
    late = one.permit()
    other.circuit.close(other.now)
    other.link.flush()
    other.trip()
    one.settle(late, GOOD)  # it does not know yet
    assert one.refusal().state == other.refusal().state == "open"


def test_a_lease_that_another_call_asked_for_is_no_longer_than_the_fleet_gave_it(redis: FakeRedis) -> None:
    process = Process(redis, fresh=50.0)
    half_open(process)
    process.ask()
    redis.now += 20
    assert process.permit().lease == process.now + 40


# -- what it costs -------------------------------------------------------------------------------------------


def test_a_good_call_costs_one_round_trip_and_none_within_the_time_an_answer_is_good_for(redis: FakeRedis) -> None:
    process = Process(redis, fresh=0.5)
    for trips in (1, 1, 1, 2):
        process.settle(process.permit(), GOOD)
        assert redis.trips == trips
        redis.now += 0.2


def test_after_a_failure_the_next_call_asks(two: tuple[Process, Process]) -> None:
    one, other = Process(two[0].redis, fresh=100.0), two[1]
    permit = one.permit()
    other.trip()
    one.settle(permit, BAD, DOWN)
    assert one.refusal().state == "open"


def test_while_one_asks_the_others_wait_for_its_answer(two: tuple[Process, Process]) -> None:
    one, other = two
    other.trip()
    run, answers, asked, go = one.redis.run, [], threading.Event(), threading.Event()

    def slow(keys: Any, args: Any) -> str:
        asked.set()
        assert go.wait(60)
        return run(keys, args)

    one.link._script = one.circuit._storage._script = slow
    one.link.patience = 60.0
    threads = [threading.Thread(target=lambda: answers.append(one.admit())) for _ in range(16)]
    trips = one.redis.trips
    for thread in threads:
        thread.start()
    assert asked.wait(60)
    assert answers == []
    go.set()
    for thread in threads:
        thread.join()
    assert {answer.state for answer in answers} == {"open"}
    assert 1 <= one.redis.trips - trips <= 16
    assert not one.circuit._asking

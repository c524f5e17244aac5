"""A fleet without Redis: down, back, interrupted, emptied, or talking nonsense."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from mainstay.middleware.permit import Permit, Verdict
from mainstay.pipeline import AuthenticationFailed, TimedOut, Unavailable
from support.fleets import FakeRedis, Process

GOOD, BAD, FATAL, REST, NONE = Verdict.GOOD, Verdict.BAD, Verdict.FATAL, Verdict.REST, Verdict.NONE
DOWN = Unavailable("down")


@pytest.fixture
def redis() -> FakeRedis:
    return FakeRedis()


@pytest.fixture
def two(redis: FakeRedis) -> tuple[Process, Process]:
    return Process(redis), Process(redis, 1_000_000.0)


def test_redis_down_is_one_line_and_no_failed_call(redis: FakeRedis, caplog: Any) -> None:
    caplog.set_level(logging.INFO, "mainstay")
    process = Process(redis, pause=5.0)
    redis.down = True
    for _ in range(20):
        process.settle(process.permit(), GOOD)
        redis.now += 1
    assert [(record.name, record.levelname) for record in caplog.records] == [("mainstay", "WARNING")]
    assert "ConnectionError" in caplog.text
    assert "host" not in caplog.text
    redis.down = False
    redis.now += 5
    process.settle(process.permit(), GOOD)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_in_an_outage_redis_is_asked_once_a_pause_by_all_routes_together(redis: FakeRedis) -> None:
    process = Process(redis, pause=5.0)
    redis.down = True
    asked = 0
    for _ in range(40):
        due = process.circuit.due(process.now)
        asked += due
        process.ask()
        assert not process.circuit.due(process.now)
        redis.now += 0.5
    assert asked == 4


def test_in_an_outage_a_circuit_goes_by_what_it_knows_and_the_fleet_hears_of_it_later(redis: FakeRedis) -> None:
    one, other = Process(redis), Process(redis)
    one.permit()
    redis.down = True
    one.trip()
    assert one.refusal().state == "open"
    redis.now += 225
    probe = one.permit()
    one.settle(probe, FATAL, TimedOut(reason="first_event"))
    redis.down = False
    redis.now += 10
    one.refusal()
    refusal = other.refusal()
    assert (refusal.wait, refusal.because.reason) == (215, "first_event")


def test_a_success_in_an_outage_ends_the_row_before_it(two: tuple[Process, Process]) -> None:
    one, other = two
    one.settle(one.permit(), BAD, DOWN)
    permits = [one.permit() for _ in range(3)]
    one.redis.down = True
    for permit, verdict in zip(permits, (BAD, BAD, GOOD), strict=True):
        one.settle(permit, verdict, DOWN if verdict is BAD else None)
    one.redis.down = False
    one.redis.now += 5
    one.permit()
    other.permit()
    assert one.shot["failures"] == other.shot["failures"] == 0


def test_what_was_on_its_way_when_redis_went_is_told_again(two: tuple[Process, Process]) -> None:
    one, other = two
    other.settle(other.permit(), BAD, DOWN)
    permit = one.permit()
    one.redis.down = True
    one.settle(permit, FATAL, AuthenticationFailed())  # the thread takes it, and cannot tell it
    one.redis.down = False
    one.redis.now += 5
    one.refusal()
    assert other.refusal().wait == 220


def test_a_question_that_is_interrupted_leaves_everything_still_to_be_said(two: tuple[Process, Process]) -> None:
    one, other = two
    one.settle(one.permit(), FATAL, AuthenticationFailed(), write=False)
    script = one.circuit._storage._script

    def interrupted(keys: Any, args: Any) -> str:
        raise KeyboardInterrupt

    one.circuit._storage._script = interrupted
    with pytest.raises(KeyboardInterrupt):
        one.ask()
    one.circuit._storage._script = script
    one.link.flush()
    assert other.refusal().state == one.refusal().state == "open"


def test_what_a_person_says_while_a_question_is_under_way_goes_before_its_answer(two: tuple[Process, Process]) -> None:
    one, other = two
    other.trip()
    said = one.circuit._say(one.now, 60.0)
    view = one.link.exchange(one.circuit._storage, said, one.now)
    one.circuit.isolate(one.now)
    one.circuit._hear(said, view, one.now)
    assert one.state == "isolated"
    one.link.flush()
    assert other.refusal().state == one.refusal().state == "isolated"


def test_what_a_person_says_in_an_outage_goes_when_it_is_over(two: tuple[Process, Process]) -> None:
    one, other = two
    one.redis.down = True
    one.permit()
    one.circuit.isolate(one.now)
    one.link.flush()
    one.redis.down = False
    other.trip()
    assert one.refusal().state == "isolated"
    one.redis.now += 10
    assert one.refusal().state == "isolated"
    assert other.refusal().state == "isolated"


def test_a_record_that_was_lost_is_written_anew_by_who_knows(two: tuple[Process, Process]) -> None:
    one, other = two
    one.trip()
    one.redis.flush()
    assert other.permit()
    assert one.refusal().state == "open"
    assert other.refusal().wait == 225


def test_an_answer_that_makes_no_sense_is_an_outage(redis: FakeRedis, caplog: Any) -> None:
    process = Process(redis)
    redis.answer = lambda *args: {"era": "1"}  # type: ignore[method-assign]
    assert isinstance(process.admit(), Permit)
    assert process.link.outage
    assert len(caplog.records) == 1

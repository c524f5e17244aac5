from __future__ import annotations

import logging

import pytest

from mainstay.pipeline import (
    Attempt,
    AttemptStarted,
    Call,
    DeadlineExceeded,
    ErrorClass,
    Event,
    RetryScheduled,
    TimedOut,
    Unavailable,
    VirtualClock,
)
from mainstay.pipeline.call import Observer


def attempt(number: int = 1) -> Attempt:
    return Attempt(number, "openai", "openai", "gpt-4o", 0, 10.0)


def test_an_attempt_has_a_duration_once_it_has_ended() -> None:
    one = attempt()
    assert (one.duration, one.outcome, one.usage) == (None, "running", None)
    one.ended = 12.5
    assert one.duration == 2.5


def test_a_new_call_has_nothing_behind_it_and_no_deadline() -> None:
    call = Call()
    assert (call.attempts, call.deadline, call.time_left, call.routes_left, call.slots) == ([], None, None, 0, {})
    assert call.fits(1e9)


def test_attempts_left_is_what_the_cap_leaves() -> None:
    call = Call(cap=2)
    assert call.attempts_left == 2
    call.attempts += [attempt(1), attempt(2)]
    assert call.attempts_left == 0


def test_calls_share_nothing() -> None:
    one, other = Call(), Call()
    one.attempts.append(attempt())
    one.slots["key"] = 1
    one.observe(print)
    assert (other.attempts, other.slots, other.observers) == ([], {}, ())


def test_time_left_counts_down_and_stops_at_nothing() -> None:
    clock = VirtualClock(start=100)
    call = Call(clock)
    call.deadline = 110
    assert call.time_left == 10
    clock.advance(4)
    assert call.time_left == 6
    clock.advance(100)
    assert call.time_left == 0


@pytest.mark.parametrize(("seconds", "fits"), [(0, True), (9.99, True), (10, False), (11, False)])
def test_a_wait_fits_only_if_it_ends_before_the_deadline(seconds: float, fits: bool) -> None:
    call = Call(VirtualClock(start=100))
    call.deadline = 110
    assert call.fits(seconds) is fits


def test_nothing_fits_once_the_deadline_has_come() -> None:
    call = Call(VirtualClock(start=100))
    call.deadline = 100
    assert not call.fits(0)


def test_too_late_says_so_and_brings_the_ledger_and_the_deadline() -> None:
    call = Call()
    call.deadline = 110
    call.attempts.append(attempt())
    error = call.too_late()
    assert (error.error_class, error.reason, error.deadline) == (ErrorClass.TIMEOUT, "deadline", 110)
    assert list(error.attempts) == call.attempts
    assert str(error) == "mainstay: the call's deadline has passed"


@pytest.mark.parametrize(
    ("own", "other", "over"),
    [
        (110.0, None, True),  # nobody says whose deadline it was: the call's
        (110.0, 110.0, True),
        (110.0, 120.0, True),  # a longer one further out
        (110.0, 105.0, False),  # a shorter one further in: others may still be tried
        (None, 105.0, False),
        (None, None, False),
    ],
)
def test_a_call_is_over_when_its_own_deadline_has_passed(own: float | None, other: float | None, over: bool) -> None:
    call = Call()
    call.deadline = own
    error = DeadlineExceeded()
    error.deadline = other
    assert call.is_over(error) is over


def test_no_other_timeout_means_that_the_call_is_over() -> None:
    call = Call()
    call.deadline = 110
    assert not call.is_over(TimedOut())


def test_every_observer_is_told_in_order() -> None:
    told: list[tuple[str, Event]] = []
    call = Call(observers=[lambda event: told.append(("stack", event))])
    call.observe(lambda event: told.append(("layer", event)))
    event = AttemptStarted(attempt())
    call.emit(event)
    assert told == [("stack", event), ("layer", event)]


def test_who_wants_no_attempts_hears_of_all_else() -> None:
    told: list[Event] = []
    call = Call()
    call.observe(told.append, attempts=False)
    started, decided = AttemptStarted(attempt()), RetryScheduled("a", Unavailable(), 1.0)
    call.emit(started, attempt=True)
    call.emit(decided)
    assert told == [decided]
    call.observe(told.append)
    call.emit(started, attempt=True)
    assert told == [decided, started]


def test_a_broken_observer_is_logged_and_breaks_nothing(caplog: pytest.LogCaptureFixture) -> None:
    told: list[Event] = []

    def broken(event: Event) -> None:
        raise ZeroDivisionError("an observer's bug")

    observers: list[Observer] = [broken, told.append]
    with caplog.at_level(logging.ERROR, "mainstay"):
        Call(observers=observers).emit(AttemptStarted(attempt()))
    assert len(told) == 1
    (record,) = caplog.records
    assert "broken" in record.getMessage()
    assert "AttemptStarted" in record.getMessage()


def test_an_interrupt_in_an_observer_is_the_caller_s() -> None:
    def interrupted(event: Event) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Call(observers=[interrupted]).emit(AttemptStarted(attempt()))

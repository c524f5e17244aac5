"""Retry, driven by hand: what is repeated, how often, and after which wait."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mainstay.middleware import Backoff, Retry
from mainstay.pipeline import (
    Attempt,
    AttemptsSpent,
    Call,
    CircuitOpen,
    DeadlineExceeded,
    ErrorClass,
    ProviderError,
    RateLimited,
    Reply,
    Request,
    RetryScheduled,
    RouteRefused,
    RouteResting,
    Sleep,
    TimedOut,
    Unavailable,
    VirtualClock,
)

MANY = 50


class Play:
    """One call through a Retry: `script` says what each try comes to, `tries` and `sleeps` what was done."""

    def __init__(
        self, layer: Retry, *script: Reply | BaseException, routes_left: int = 0, cap: int = 100, chance: float = 0.5
    ) -> None:
        self.layer = layer
        self.script = list(script)
        self.clock = VirtualClock(random=lambda: chance)
        self.events: list[Any] = []
        self.call = Call(self.clock, cap, [self.events.append])
        self.call.routes_left = routes_left
        self.tries = 0
        self.sleeps: list[float] = []

    def run(self) -> Reply:
        request = Request("gpt-4o", "hello").under(self.call)
        steps = self.layer.bind(_Leaf()).handle(request)
        try:
            effect = next(steps)
            while True:
                if isinstance(effect, Sleep):
                    self.sleeps.append(effect.seconds)
                    self.clock.advance(effect.seconds)
                    effect = steps.send(None)
                    continue
                assert effect is request
                self.tries += 1
                outcome = self.script.pop(0)
                if not isinstance(outcome, RouteRefused):
                    self.call.attempts.append(Attempt(self.tries, "openai", "openai", "gpt-4o", 0, self.clock.now()))
                effect = steps.throw(outcome) if isinstance(outcome, BaseException) else steps.send(outcome)
        except StopIteration as stop:
            return stop.value

    def fails(self) -> BaseException:
        try:
            self.run()
        except BaseException as error:
            return error
        raise AssertionError("the call went well")


class _Leaf:
    route = "openai"


def failing(make: Callable[[], ProviderError], layer: Retry | None = None, **options: Any) -> Play:
    """A call in which every try fails in the same way; the last error must come out as it is."""
    script = [make() for _ in range(MANY)]
    play = Play(layer or Retry(), *script, **options)
    assert play.fails() is script[play.tries - 1]
    return play


NONE: list[float] = []
TABLE = [
    (ErrorClass.AUTHENTICATION, (1, NONE), (1, NONE)),
    (ErrorClass.QUOTA, (1, NONE), (1, NONE)),
    (ErrorClass.RATE_LIMIT, (3, [0.25, 0.5]), (2, [0.25])),
    (ErrorClass.TIMEOUT, (2, NONE), (2, NONE)),
    (ErrorClass.UNAVAILABLE, (3, [0.25, 0.5]), (2, [0.25])),
    (ErrorClass.MODEL_NOT_FOUND, (1, NONE), (1, NONE)),
    (ErrorClass.INVALID_REQUEST, (1, NONE), (1, NONE)),
]


@pytest.mark.parametrize(("error_class", "last", "others"), TABLE)
def test_each_class_is_repeated_as_the_guidance_table_says(error_class, last, others) -> None:
    for routes_left, (tries, sleeps) in ((0, last), (2, others)):
        play = failing(lambda: ProviderError.of(error_class), routes_left=routes_left)
        assert (play.tries, play.sleeps) == (tries, sleeps)


def test_the_table_above_covers_every_class() -> None:
    assert {row[0] for row in TABLE} == set(ErrorClass)


@pytest.mark.parametrize("error_class", [ErrorClass.AUTHENTICATION, ErrorClass.QUOTA, ErrorClass.INVALID_REQUEST])
def test_a_provider_that_says_retry_overrides_a_class_that_says_no(error_class) -> None:
    play = failing(lambda: ProviderError.of(error_class, retry=True))
    assert (play.tries, play.sleeps) == (3, [0.25, 0.5])


@pytest.mark.parametrize("error_class", [ErrorClass.UNAVAILABLE, ErrorClass.RATE_LIMIT, ErrorClass.TIMEOUT])
def test_a_provider_that_says_do_not_retry_overrides_a_class_that_says_yes(error_class) -> None:
    assert failing(lambda: ProviderError.of(error_class, retry=False)).tries == 1


def test_a_success_is_handed_on_as_it_came_whether_first_or_later() -> None:
    reply = Reply("hi")
    first, later = Play(Retry(), reply), Play(Retry(), Unavailable(), TimedOut(), reply)
    assert first.run() is reply
    assert (first.tries, first.sleeps, first.events) == (1, [], [])
    assert later.run() is reply
    assert (later.tries, later.sleeps) == (3, [0.25])


def test_a_timeout_is_repeated_once_in_the_call_even_between_other_errors() -> None:
    play = Play(Retry(attempts=9), TimedOut(), Unavailable(), TimedOut(), Reply())
    assert isinstance(play.fails(), TimedOut)
    assert (play.tries, play.sleeps) == (3, [0.5])


def test_a_refusal_because_of_a_timeout_does_not_use_up_the_one_repetition_of_a_timeout() -> None:
    refused = CircuitOpen(because=TimedOut(), retry_after=1.0)
    reply = Reply()
    play = Play(Retry(scope="call"), refused, TimedOut(), reply, chance=0.0)
    assert play.run() is reply
    assert play.sleeps == [1.0]


@pytest.mark.parametrize("chance", [0.0, 0.5, 0.999])
def test_backoff_is_full_jitter_below_a_doubling_ceiling(chance) -> None:
    play = failing(Unavailable, Retry(attempts=7), chance=chance)
    drawn = [event.delay for event in play.events]
    assert drawn == pytest.approx([chance * ceiling for ceiling in (0.5, 1, 2, 4, 8, 8)])
    assert play.sleeps == [delay for delay in drawn if delay > 0]


def test_backoff_stays_finite_after_very_many_tries() -> None:
    script = [Unavailable() for _ in range(1100)]
    play = Play(Retry(attempts=1100), *script, cap=2000)
    assert play.fails() is script[-1]
    assert set(play.sleeps[4:]) == {4.0}


def test_the_options_of_the_backoff_are_used() -> None:
    play = failing(Unavailable, Retry(attempts=4, backoff=Backoff(2.0, 5.0)))
    assert play.sleeps == [1.0, 2.0, 2.5]


@pytest.mark.parametrize("chance", [0.0, 0.5, 0.999])
@pytest.mark.parametrize("kind", [RateLimited, Unavailable, TimedOut])
def test_a_retry_after_is_honoured_and_jitter_only_adds(kind, chance) -> None:
    play = Play(Retry(), kind(retry_after=30.0), Reply(), chance=chance)
    play.run()
    assert play.sleeps == pytest.approx([30.0 + 3.0 * chance])
    assert play.sleeps[0] >= 30.0


@pytest.mark.parametrize(("routes_left", "limit"), [(0, 120.0), (1, 2.0)])
def test_jitter_never_makes_a_wait_longer_than_the_limit(routes_left, limit) -> None:
    for retry_after in (limit, limit - 0.01):
        play = Play(Retry(), RateLimited(retry_after=retry_after), Reply(), routes_left=routes_left, chance=0.999)
        play.run()
        assert retry_after <= play.sleeps[0] <= limit


@pytest.mark.parametrize(("routes_left", "retry_after"), [(1, 2.01), (3, 60.0), (0, 120.01), (0, float("inf"))])
def test_a_wait_beyond_patience_or_max_wait_raises_the_same_error_at_once(routes_left, retry_after) -> None:
    error = RateLimited(retry_after=retry_after)
    play = Play(Retry(), error, Reply(), routes_left=routes_left)
    assert play.fails() is error
    assert (play.tries, play.sleeps, play.events) == (1, [], [])


def test_a_retry_after_of_zero_is_no_reason_to_come_back_all_together() -> None:
    play = Play(Retry(), RateLimited(retry_after=0.0), Reply())
    play.run()
    assert (play.tries, play.sleeps) == (2, [0.25])


def test_a_timeout_that_the_provider_wants_repeated_is_repeated_at_once_only_once() -> None:
    errors = [TimedOut(retry=True) for _ in range(2)]
    play = Play(Retry(), *errors, Reply())
    play.run()
    assert (play.tries, play.sleeps) == (3, [0.5])


def test_no_more_tries_before_others_than_tries_at_all() -> None:
    error = Unavailable()
    play = Play(Retry(attempts=1), error, Reply())
    play.call.routes_left = 1
    assert play.fails() is error
    assert play.tries == 1


def test_a_breaker_that_opens_between_two_tries_does_not_hide_why() -> None:
    error = Unavailable()
    play = Play(Retry(), error, CircuitOpen(because=error, retry_after=5.0))
    assert play.fails() is error
    assert play.tries == 2


@pytest.mark.parametrize("error", [RateLimited(retry_after=5.0), Unavailable()])
def test_a_wait_that_does_not_fit_the_deadline_raises_the_original_error_without_a_sleep(error) -> None:
    play = Play(Retry(), error, Reply())
    play.call.deadline = play.clock.now() + 0.2
    assert play.fails() is error
    assert (play.tries, play.sleeps) == (1, [])


def test_nothing_is_repeated_once_the_deadline_has_passed_even_without_a_wait() -> None:
    error = TimedOut()
    play = Play(Retry(), error, Reply())
    play.call.deadline = play.clock.now()
    assert play.fails() is error


def test_the_deadline_of_the_call_is_never_repeated_even_if_the_provider_says_so() -> None:
    for deadline in (None, 5000.0):
        error = DeadlineExceeded(retry=True)
        error.deadline = deadline
        play = Play(Retry(), error, Reply())
        play.call.deadline = 5000.0
        assert play.fails() is error
        assert play.tries == 1


def test_a_shorter_deadline_further_in_is_a_timeout_like_any_other() -> None:
    error = DeadlineExceeded()
    error.deadline = 1001.0
    reply = Reply()
    play = Play(Retry(), error, reply)
    play.call.deadline = 5000.0
    assert play.run() is reply
    assert (play.tries, play.sleeps) == (2, [])


def test_an_open_breaker_is_never_repeated_for_a_route() -> None:
    refused = CircuitOpen(because=Unavailable(), retry_after=0.1)
    play = Play(Retry(), refused, Reply())
    assert play.fails() is refused
    assert play.tries == 1


def test_an_open_breaker_is_waited_for_by_a_retry_of_the_whole_call() -> None:
    reply = Reply()
    play = Play(Retry(scope="call"), CircuitOpen(because=Unavailable(), retry_after=4.0), reply, chance=0.0)
    assert play.run() is reply
    assert play.sleeps == [4.0]


def test_a_breaker_that_tells_no_time_is_not_waited_for() -> None:
    refused = CircuitOpen("isolated by hand")
    assert Play(Retry(scope="call"), refused, Reply()).fails() is refused


def test_a_resting_route_is_treated_as_a_rate_limit_with_that_retry_after() -> None:
    reply = Reply()
    play = Play(Retry(), RouteResting(retry_after=1.5), reply, routes_left=1, chance=0.0)
    assert play.run() is reply
    assert play.sleeps == [1.5]
    impatient = RouteResting(retry_after=3.0)
    assert Play(Retry(), impatient, reply, routes_left=1).fails() is impatient


def test_refusals_cost_no_try_but_all_together_no_more_than_one_wait() -> None:
    reply = Reply()
    refusals = [RouteResting(retry_after=1.0) for _ in range(MANY)]
    mixed = Play(Retry(), refusals[0], Unavailable(), refusals[1], Unavailable(), reply)
    assert mixed.run() is reply
    endless = Play(Retry(max_wait=8.0), *refusals, chance=0.0)
    assert endless.fails() is refusals[8]
    assert endless.sleeps == [1.0] * 8
    impatient = Play(Retry(), *refusals, routes_left=1, chance=0.0)
    assert impatient.fails() is refusals[2]
    assert Play(Retry(attempts=1, attempts_before_others=1), *refusals).fails() is refusals[0]


def test_refusals_that_ask_for_no_time_end_too() -> None:
    refusals = [RouteResting() for _ in range(MANY)]
    play = Play(Retry(max_wait=2.0), *refusals, chance=0.0)
    assert play.fails() in refusals
    assert play.tries == 21


@pytest.mark.parametrize(
    ("cap", "routes_left", "tries"), [(6, 0, 3), (2, 0, 2), (1, 0, 1), (4, 2, 2), (3, 2, 1), (3, 1, 2)]
)
def test_every_untried_route_keeps_one_attempt(cap, routes_left, tries) -> None:
    assert failing(Unavailable, cap=cap, routes_left=routes_left).tries == tries


def test_a_spent_cap_is_never_repeated_and_gives_way_to_the_last_original_error() -> None:
    spent, original = AttemptsSpent("the call has made its 6 attempts"), Unavailable()
    assert Play(Retry(), spent, Reply()).fails() is spent
    late = Play(Retry(), original, AttemptsSpent("the call has made its 6 attempts", retry=True), Reply())
    assert late.fails() is original
    assert late.tries == 2


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, GeneratorExit, SystemExit])
def test_what_is_no_provider_error_passes_at_once_first_or_later(kind) -> None:
    error = kind("a bug")
    for before in ([], [Unavailable()]):
        play = Play(Retry(), *before, error, Reply())
        assert play.fails() is error
        assert play.tries == len(before) + 1


def test_each_repetition_is_told_with_route_error_and_delay() -> None:
    errors = [Unavailable(), TimedOut()]
    play = Play(Retry(), *errors, Reply())
    play.run()
    assert play.events == [RetryScheduled("openai", errors[0], 0.25), RetryScheduled("openai", errors[1], 0.0)]

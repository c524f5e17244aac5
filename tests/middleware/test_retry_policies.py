"""Retry's policies: one kind of failure treated in its own way."""

from __future__ import annotations

import pickle

import pytest

from mainstay.middleware import Backoff, Policy, Retry
from mainstay.pipeline import (
    ErrorClass,
    InvalidRequest,
    ProviderError,
    RateLimited,
    Reply,
    Request,
    Stack,
    TimedOut,
    Unavailable,
    VirtualClock,
)

ASK = Request("m", "Hi")


class Failing:
    """Fails with what it is given, one after the other; the last one stays."""

    def __init__(self, *errors: ProviderError) -> None:
        self.errors = list(errors)
        self.seen = 0

    def __call__(self, request: Request) -> Reply:
        self.seen += 1
        raise self.errors[min(self.seen, len(self.errors)) - 1]


def tried(layer: Retry, *errors: ProviderError, cap: int = 20) -> tuple[int, list[float]]:
    clock, leaf = VirtualClock(), Failing(*errors)
    with pytest.raises(ProviderError) as caught:
        Stack([layer], leaf, clock=clock, cap=cap)(ASK)
    assert caught.value in leaf.errors
    return leaf.seen, clock.slept


def test_a_class_can_be_never_repeated() -> None:
    assert tried(Retry(policies={ErrorClass.UNAVAILABLE: Policy(1)}), Unavailable()) == (1, [])


def test_a_class_can_be_repeated_that_usually_is_not() -> None:
    layer = Retry(policies={"invalid_request": Policy(2, Backoff.constant(1.0))})
    assert tried(layer, InvalidRequest()) == (2, [1.0])


def test_a_reason_goes_before_its_class_and_may_have_more_tries_than_the_layer() -> None:
    loading = Policy(6, Backoff.constant(2.0))
    layer = Retry(policies={"loading": loading, ErrorClass.UNAVAILABLE: Policy(2)})
    assert tried(layer, Unavailable(reason="loading")) == (6, [2.0] * 5)
    assert tried(layer, Unavailable(reason="overloaded"))[0] == 2


def test_every_kind_has_its_own_count() -> None:
    layer = Retry(attempts=10, policies={"timeout": Policy(2, None), "overloaded": Policy(3)})
    errors = [TimedOut(), Unavailable(reason="overloaded"), Unavailable(reason="overloaded"), TimedOut()]
    assert tried(layer, *errors)[0] == 4


def test_without_a_backoff_the_first_repetition_is_at_once() -> None:
    assert tried(Retry(policies={"rate_limit": Policy(2, None)}), RateLimited()) == (2, [])


def test_a_retry_after_comes_before_every_backoff() -> None:
    layer = Retry(policies={"rate_limit": Policy(2, Backoff.constant(0.1))})
    assert tried(layer, RateLimited(retry_after=30.0)) == (2, [31.5])


def test_the_cap_of_the_call_stands_above_every_policy() -> None:
    layer = Retry(policies={"unavailable": Policy(50, Backoff.constant(0.1))})
    assert tried(layer, Unavailable(), cap=7)[0] == 7


def test_what_the_provider_says_about_repeating_stands_above_the_policy() -> None:
    assert tried(Retry(policies={"unavailable": Policy(9)}), Unavailable(retry=False))[0] == 1
    assert tried(Retry(policies={"unavailable": Policy(1)}), Unavailable(retry=True))[0] == 3


def test_the_layers_own_backoff_is_used_where_no_policy_has_one() -> None:
    assert tried(Retry(backoff=Backoff.constant(3.0)), Unavailable()) == (3, [3.0, 3.0])


def test_it_is_plain_data() -> None:
    layer = Retry(policies={"loading": Policy(6, Backoff.constant(2.0))})
    assert pickle.loads(pickle.dumps(layer)) == layer

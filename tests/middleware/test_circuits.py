"""Circuits: what the breakers of several stacks share on purpose."""

from __future__ import annotations

import pickle

import pytest

from mainstay.middleware import CircuitBreaker, Circuits
from mainstay.pipeline import CircuitOpen, QuotaExceeded, Reply, Request, Stack

ASK = Request("m", "hello")


def openai(request: Request) -> Reply:
    raise QuotaExceeded


def claude(request: Request) -> Reply:
    return Reply("well")


def test_what_one_stack_learns_of_a_route_all_know() -> None:
    circuits = Circuits()
    first, second = (Stack([CircuitBreaker(circuits=circuits)], openai) for _ in range(2))
    with pytest.raises(QuotaExceeded):
        first(ASK)
    with pytest.raises(CircuitOpen):
        second(ASK)
    second.part("breaker").close()
    with pytest.raises(QuotaExceeded):
        first(ASK)


def test_routes_of_other_names_and_stacks_without_it_are_kept_apart() -> None:
    circuits = Circuits()
    with pytest.raises(QuotaExceeded):
        Stack([CircuitBreaker(circuits=circuits)], openai)(ASK)
    assert Stack([CircuitBreaker(circuits=circuits)], claude)(ASK).text == "well"
    with pytest.raises(QuotaExceeded):
        Stack([CircuitBreaker()], openai)(ASK)


def test_a_copy_that_was_pickled_has_learnt_nothing() -> None:
    layer = CircuitBreaker(circuits=Circuits())
    with pytest.raises(QuotaExceeded):
        Stack([layer], openai)(ASK)
    with pytest.raises(QuotaExceeded):
        Stack([pickle.loads(pickle.dumps(layer))], openai)(ASK)

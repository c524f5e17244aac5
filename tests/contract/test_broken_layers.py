"""Layers that break the contract: each of them breaks one clause, and the suite finds that one and no other."""

from __future__ import annotations

import logging
from typing import Any
from unittest import mock

import pytest

from mainstay.pipeline import Layer, Request, middleware
from mainstay.pipeline.testing import Check, ContractBroken, contract, worlds
from support.broken_manners import (
    Aside,
    Asleep,
    Buffering,
    Capping,
    Forgetting,
    LosingTheCause,
    Meddling,
    OutOfOrder,
    Shouting,
    SleepsOnTheClock,
    Slumbering,
    Stubborn,
    Swallowing,
    TwoTexts,
    Unclosing,
    Unnameable,
    Wrapping,
)
from support.broken_rest import Counting, Forgetful, Mutable, Nameless, Unchecked, Unclosable, Unpicklable
from support.broken_state import (
    FailsAtTheEnd,
    Keeping,
    Listening,
    Mixing,
    NotReentrant,
    OneAtATime,
    Places,
    PlacesLost,
    PlacesLostToInterrupts,
    PlacesTwice,
    Polite,
    Sharing,
)


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is broken on purpose need not be waited for."""
    monkeypatch.setattr(worlds, "PATIENCE", 0.5)


@middleware
def passing(request: Request) -> Any:
    return (yield request)


# Each with the clause that it breaks.
BROKEN: list[tuple[str, list[Check]]] = [
    ("many_calls_are_under_way_together", contract(OneAtATime())),
    ("many_calls_are_under_way_together", contract(Polite())),
    ("many_calls_are_under_way_together", contract(Places())),
    ("calls_do_not_mix", contract(Mixing())),
    ("calls_do_not_mix", contract(NotReentrant())),
    ("no_more_calls_than_its_limit", contract(passing, limit=4)),
    ("no_more_calls_than_its_limit", contract(PlacesTwice(), limit=4)),
    ("every_way_out_leaves_it_usable", contract(PlacesLost(), limit=4)),
    ("every_way_out_leaves_it_usable", contract(PlacesLostToInterrupts(), limit=4)),
    ("every_way_out_leaves_it_usable", contract(FailsAtTheEnd())),
    ("nothing_is_kept_alive", contract(Keeping())),
    ("late_results_change_nothing", contract(Listening(opens=True))),
    ("late_results_change_nothing", contract(Listening(closes=True))),
    ("bindings_share_no_state", contract(Sharing())),
    ("a_router_is_passed_through", contract(Capping())),
    ("a_router_is_passed_through", contract(passing, router=OutOfOrder)),
    ("every_attempt_is_one_call_of_the_handler", contract(Aside())),
    ("no_sleep_but_on_the_clock", contract(Asleep())),
    ("no_sleep_but_on_the_clock", contract(Slumbering())),
    ("no_sleep_but_on_the_clock", contract(SleepsOnTheClock())),
    ("switched_off_it_does_nothing", contract(Unnameable())),
    ("switched_off_it_does_nothing", contract(Meddling())),
    ("errors_pass_unchanged", contract(Wrapping())),
    ("errors_pass_unchanged", contract(Swallowing())),
    ("errors_pass_unchanged", contract(LosingTheCause())),
    ("errors_pass_unchanged", contract(Stubborn())),
    ("an_observer_that_raises_changes_nothing", contract(Shouting())),
    ("streams_are_passed_on_as_they_come", contract(Buffering())),
    ("closing_reaches_the_source_once", contract(Unclosing())),
    ("nothing_is_tried_again_after_the_first_token", contract(Forgetting())),
    ("wrong_options_are_refused", contract(Unchecked(), wrong={"seconds": [-1]})),
    ("wrong_options_are_refused", contract(Nameless(), wrong={"seconds": [-1]})),
    ("it_is_frozen", contract(Mutable())),
    ("it_is_frozen", contract(Counting())),
    ("it_pickles", contract(Unpicklable())),
    ("it_pickles", contract(Forgetful())),
    ("closing_the_generator_ends_it", contract(Unclosable())),
    ("threads_and_asyncio_come_to_the_same", contract(TwoTexts())),
]


NAMES = [f"{type(checks[0]._bench.layer).__name__}-{clause}" for clause, checks in BROKEN]


def broken(checks: list[Check]) -> set[str]:
    found = set()
    # pytest would keep what is logged, errors with all their frames, for its report.
    with mock.patch.object(logging.getLogger("mainstay"), "propagate", new=False):
        for check in checks:
            try:
                check()
            except ContractBroken:
                found.add(check.clause)
    return found


@pytest.mark.parametrize(("clause", "checks"), BROKEN, ids=NAMES)
def test_a_broken_layer_breaks_its_clause_and_no_other(clause: str, checks: list[Check]) -> None:
    assert broken(checks) == {clause}


def test_every_clause_can_be_broken() -> None:
    assert {clause for clause, _ in BROKEN} == {
        check.clause for check in contract(passing, limit=1, wrong={"name": [1]})
    }


@pytest.mark.parametrize(
    "checks",
    [
        contract(passing),
        contract(Places(), limit=4),
        contract(Wrapping(), raises=KeyError),
        contract(Listening()),
        contract(passing, ask=Request("m", [{"role": "system", "content": "x"}, {"role": "user", "content": "y"}])),
    ],
    ids=["passing", "places", "declared", "breaker", "ask"],
)
def test_a_layer_that_does_what_it_says_keeps_the_contract(checks: list[Check]) -> None:
    for check in checks:
        check()


def test_a_layer_that_raises_what_it_declares_must_name_the_cause() -> None:
    class Hiding(Layer):
        name = "hiding"

        def handle(self, request: Request) -> Any:
            try:
                return (yield request)
            except ValueError:
                raise KeyError("hidden") from None

    assert broken([c for c in contract(Hiding(), raises=KeyError) if c.clause == "errors_pass_unchanged"])

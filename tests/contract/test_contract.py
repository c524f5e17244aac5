"""The contract that every layer keeps, on every layer and router, in both worlds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mainstay.pipeline import Layer, Reply
from mainstay.pipeline.testing import Check, ContractBroken, contract
from support.layers import FLEET, checks

CHECKS = checks()


@pytest.fixture(scope="module", autouse=True)
def fleet_is_closed() -> Iterator[None]:
    """Ends the thread that a fleet's circuits have for all their stacks."""
    yield
    FLEET.close()


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_the_contract(check: Check, caplog: pytest.LogCaptureFixture) -> None:
    check()
    # The SDK logs spans that are ended twice.
    assert [record.getMessage() for record in caplog.records if record.name.startswith("opentelemetry")] == []


def test_each_clause_is_checked_in_both_worlds_and_says_why_it_matters() -> None:
    found = contract(Layer())
    in_worlds = {check.clause for check in found if check.world}
    assert {str(check) for check in found if check.world} == {
        f"{c}-{w}" for c in in_worlds for w in ("threads", "asyncio")
    }
    assert len(found) == len({str(check) for check in found}) == 2 * len(in_worlds) + 4
    assert all(len(check.why) > 40 for check in found)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: contract(Layer), TypeError, "needs a Layer such as Retry"),
        (lambda: contract(lambda handler: handler), TypeError, "needs a Layer such as Retry"),  # type: ignore[arg-type]
        (lambda: contract(Layer(), limit=0), ValueError, "limit=.*whole number from 1 on"),
        (lambda: contract(Layer(), limit=True), ValueError, "limit=.*whole number from 1 on"),
    ],
)
def test_what_cannot_be_tested_is_refused(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_what_is_broken_says_which_clause_how_and_why() -> None:
    class Swallows(Layer):
        name = "swallows"

        def handle(self, request: Any) -> Any:
            try:
                return (yield request)
            except ValueError:
                return Reply("never mind")

    (check,) = (check for check in contract(Swallows()) if str(check) == "errors_pass_unchanged-threads")
    with pytest.raises(ContractBroken) as raised:
        check()
    assert str(raised.value).startswith(
        "layer 'swallows', errors pass unchanged (threads): the handler raised ValueError, and the caller got <Reply ok"
    )
    assert str(raised.value).endswith(check.why)
    assert isinstance(raised.value, AssertionError)
    assert "Swallows" not in repr(check)


def test_a_layer_that_cannot_even_be_bound_is_told_as_a_broken_clause() -> None:
    class Broken(Layer):
        name = "broken"

        def bind(self, handler: Any) -> Any:
            raise LookupError("no such handler")

    (check,) = (check for check in contract(Broken()) if str(check) == "errors_pass_unchanged-asyncio")
    with pytest.raises(ContractBroken, match=r"it raised LookupError: .*no such handler") as raised:
        check()
    assert isinstance(raised.value.__cause__, LookupError)

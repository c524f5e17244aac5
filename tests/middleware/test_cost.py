"""Cost: what a call came to, with every attempt that led to its answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from mainstay.middleware import Cheapest, Cost, Fallback, KnownPrices, Price, Prices, Retry
from mainstay.pipeline import (
    Attempt,
    Chunk,
    ErrorClass,
    ProviderError,
    Reply,
    Request,
    Route,
    Stack,
    TimedOut,
    TruncatedStream,
    Unavailable,
    Usage,
    VirtualClock,
)
from mainstay.pipeline.spending import spent

ASK = Request("gpt-4o", "Hi")
STREAM = Request("gpt-4o", "Hi", stream=True)
PRICES = Prices({"gpt-4o": Price(2.0, 10.0, cached=1.0), "small": Price(0.1, 0.4)})
USAGE = Usage(1000, 100, 1100, cached_tokens=500)


class Leaf:
    """Does what its script says, one after the other; the last entry stays."""

    provider = "openai"

    def __init__(self, *script: Any) -> None:
        self.script = list(script)

    def __call__(self, request: Request) -> Reply:
        what = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(what, Exception):
            raise what
        return what() if callable(what) else Reply("x", usage=what)


def run(leaf: Any, request: Request = ASK, prices: Any = PRICES) -> Reply:
    return Stack([Cost(prices), Retry()], leaf, clock=VirtualClock())(request)


# -- prices ----------------------------------------------------------------------------------------------------


def test_a_price_counts_cached_tokens_apart() -> None:
    assert Price(2.0, 10.0, cached=1.0).cost(USAGE) == pytest.approx(0.0025)
    assert Price(2.0, 10.0).cost(USAGE) == pytest.approx(0.003)


@pytest.mark.parametrize("usage", [Usage(), Usage(10), Usage(None, 10)])
def test_what_the_provider_did_not_tell_cannot_be_priced(usage: Usage) -> None:
    assert Price(1.0, 1.0).cost(usage) is None


@pytest.mark.parametrize(
    ("model", "known"),
    [
        ("gpt-4o", True),
        ("gpt-4o-2024-08-06", True),
        ("gpt-4o-20240806", True),
        ("openai/gpt-4o", True),
        ("openai/gpt-4o-2024-08-06", True),
        ("gpt-4o-mini", False),
        ("gpt-4o-mini-2024-07-18", False),
        ("openai/gpt-4o:free", False),
        ("", False),
    ],
)
def test_names_with_a_date_or_a_vendor(model: str, known: bool) -> None:
    assert (PRICES.of(model) is not None) is known


def test_a_name_in_the_table_goes_before_what_it_may_be_cut_to() -> None:
    prices = Prices({"gpt-4o": Price(1, 1), "gpt-4o-2024-05-13": Price(5, 15)})
    assert prices.of("gpt-4o-2024-05-13") == Price(5, 15)


@pytest.mark.parametrize("wrong", [-1, float("nan"), float("inf"), "1", True, None])
def test_a_wrong_price(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"Price\(input=\.\.\.\) must be dollars per million tokens"):
        Price(wrong, 1.0)


def test_a_table_of_something_else() -> None:
    with pytest.raises(TypeError, match="maps names of models to a Price, not 'm' to float"):
        Prices({"m": 2.0})  # type: ignore[dict-item]
    with pytest.raises(TypeError, match="needs Prices or KnownPrices, not dict"):
        Cost({})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="needs Prices or KnownPrices, not dict"):
        Cheapest({})  # type: ignore[arg-type]


def test_the_public_price_list() -> None:
    pytest.importorskip("genai_prices")
    known = KnownPrices()
    assert known.cost(Usage(1_000_000, 0), "gpt-4o-2024-08-06", "openai") == pytest.approx(2.5)
    assert known.cost(Usage(1_000_000, 0), "claude-sonnet-4-5", "claude") == pytest.approx(3.0, abs=3.0)
    assert known.cost(Usage(10, 10), "no-such-model", "openai") is None
    assert known.cost(Usage(10, 10), "llama3.2", "ollama") is None
    assert known.cost(Usage(), "gpt-4o", "openai") is None


# -- what a call came to ---------------------------------------------------------------------------------------


def test_an_answer_says_what_it_cost() -> None:
    reply = run(Leaf(USAGE))
    assert reply.usage is not None
    assert reply.usage.cost == pytest.approx(0.0025)
    assert reply.spent == Usage(1000, 100, 1100, 500, None, reply.usage.cost)


def test_what_the_provider_reports_goes_before_the_price_list() -> None:
    reply = run(Leaf(Usage(1000, 100, cost=0.5)))
    assert reply.usage is not None
    assert reply.usage.cost == 0.5


def test_a_refused_attempt_cost_nothing_and_one_that_never_left_neither() -> None:
    reply = run(Leaf(Unavailable(status=503), Unavailable(reason="connection_refused"), USAGE))
    assert len(reply.attempts) == 3
    assert reply.spent.cost == pytest.approx(0.0025)
    assert reply.spent.prompt_tokens == 1000


def test_an_attempt_that_timed_out_makes_the_sum_unknown() -> None:
    reply = run(Leaf(TimedOut(reason="first_event"), USAGE))
    assert reply.usage is not None
    assert reply.usage.cost is not None
    assert reply.spent == Usage()


def test_the_model_that_answered_is_priced_not_the_one_asked_for() -> None:
    reply = run(Leaf(lambda: Reply("x", usage=Usage(1_000_000, 0), model="small-2025-01-01")))
    assert reply.usage is not None
    assert reply.usage.cost == pytest.approx(0.1)


def test_an_unknown_model_has_an_unknown_cost() -> None:
    reply = run(Leaf(USAGE), Request("mystery", "Hi"))
    assert reply.usage is not None
    assert reply.usage.cost is None
    assert reply.spent.cost is None
    assert reply.spent.prompt_tokens == 1000


def chunks(*, whole: bool) -> Iterator[Chunk]:
    yield Chunk("x", usage=Usage(1000, 10))
    if whole:
        yield Chunk(finish_reason="stop", usage=Usage(1000, 100))


def test_a_stream_is_priced_at_its_end() -> None:
    reply = run(Leaf(lambda: Reply.stream(chunks(whole=True))), STREAM)
    assert reply.spent == Usage()
    reply.read()
    assert reply.usage is not None
    assert reply.usage.cost == pytest.approx(0.003)
    assert reply.spent.cost == reply.usage.cost


def test_what_a_cut_stream_cost_is_not_known_though_its_tokens_were_told() -> None:
    reply = run(Leaf(lambda: Reply.stream(chunks(whole=False))), STREAM)
    with pytest.raises(TruncatedStream) as caught:
        reply.read()
    assert caught.value.spent.prompt_tokens == 1000
    assert caught.value.spent.cost is None


def test_an_error_says_what_was_spent_in_vain() -> None:
    with pytest.raises(ProviderError) as caught:
        run(Leaf(Unavailable(status=500)))
    assert (caught.value.spent.cost, caught.value.spent.prompt_tokens) == (0.0, 0)


def test_a_price_list_that_fails_breaks_nothing(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def cost(self, usage: Usage, model: str, provider: str) -> float | None:
            raise RuntimeError("no")

    reply = run(Leaf(USAGE), prices=Broken())
    assert reply.usage is not None
    assert reply.usage.cost is None
    assert "the price of 'gpt-4o' could not be told" in caplog.text


def test_without_prices_only_what_providers_report_is_known() -> None:
    stack = Stack([], Leaf(Usage(1, 1, cost=0.25)))
    assert stack(ASK).spent.cost == 0.25
    assert Stack([], Leaf(USAGE))(ASK).spent.cost is None


def test_the_sum_of_nothing_is_nothing() -> None:
    assert spent([]) == Usage(0, 0, 0, 0, 0, 0)


def test_an_attempt_that_still_runs_is_unknown() -> None:
    assert spent([Attempt(1, "a", "openai", "m", 0, 0.0)]) == Usage()
    failed = Attempt(1, "a", "openai", "m", 0, 0.0, ended=1.0, outcome="error", error_class=ErrorClass.TIMEOUT)
    assert spent([failed]) == Usage()


# -- cheapest --------------------------------------------------------------------------------------------------


def test_the_cheapest_goes_first_and_the_unknown_last() -> None:
    leaves = [Route(name, Leaf(USAGE), model=name) for name in ("mystery", "gpt-4o", "small")]
    fallback = Fallback(*leaves, strategy=Cheapest(PRICES))
    assert Stack([], fallback)(ASK).attempts[0].model == "small"
    assert "cheapest" in str(Stack([], fallback))


def test_it_depends_on_what_is_asked() -> None:
    prices = Prices({"reader": Price(1.0, 100.0), "writer": Price(10.0, 1.0)})
    routes = [Route(name, Leaf(USAGE), model=name) for name in ("reader", "writer")]
    stack = Stack([], Fallback(*routes, strategy=Cheapest(prices)))
    long = [{"role": "user", "content": [{"type": "text", "text": "x" * 400_000}]}]
    assert stack(Request("m", long, {"max_tokens": 10})).attempts[0].model == "reader"
    assert stack(Request("m", "Hi", {"max_tokens": 10_000})).attempts[0].model == "writer"

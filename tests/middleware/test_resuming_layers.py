"""What the layers learn of a stream of several answers."""

from __future__ import annotations

from typing import Any

import pytest

from mainstay.middleware import CircuitBreaker, Cost, Health, Price, Prices, Strategy, Trace
from mainstay.pipeline import (
    Chunk,
    FellBack,
    ProviderError,
    Request,
    Unavailable,
    Usage,
    VirtualClock,
)
from support.resuming import broken, pieces, routes, watch

MODES = ["restart", "continue"]


def test_the_breaker_of_the_lost_route_counts_a_failure_and_that_of_the_other_a_success(
    either_world: Any, ask_stream: Request, kit: Any
) -> None:
    clock = VirtualClock()
    fallback, leaves = routes(
        either_world, a=(Unavailable(), broken(kit, "one")), b=(Unavailable(), kit.Flow(("two",)))
    )
    stack = either_world.stack([CircuitBreaker(failures=1)], fallback, clock=clock)
    states = lambda: [stack.part("breaker", route=name).snapshot(clock.now())["state"] for name in "ab"]  # noqa: E731
    with pytest.raises(ProviderError):
        either_world.run(stack, ask_stream)
    assert states() == ["open", "open"]
    clock.advance(6.0)
    assert watch(either_world, stack, ask_stream).text == "two"
    assert states() == ["open", "closed"]
    assert [leaf.calls for leaf in leaves.values()] == [2, 2]


def test_a_route_whose_breaker_is_open_is_passed_by(either_world: Any, ask_stream: Request, kit: Any) -> None:
    fallback, leaves = routes(either_world, a=broken(kit, "one"), b="never", c=kit.Flow(("three",)))
    stack = either_world.stack([CircuitBreaker()], fallback)
    stack.part("breaker", route="b").isolate()
    seen = watch(either_world, stack, ask_stream)
    assert (seen.text, len(seen.reply.attempts), leaves["b"].calls) == ("three", 2, 0)
    assert seen.marks == ["begun anew on route 'c' after route 'a' broke off"]


@pytest.mark.parametrize("mode", MODES)
def test_every_attempt_has_a_span_of_its_own_under_that_of_the_call(
    either_world: Any, ask_stream: Request, kit: Any, tracing: Any, mode: str
) -> None:
    flow = kit.Flow(("two",), usage=Usage(5, 6))
    fallback, _ = routes(either_world, mid_stream=mode, a=broken(kit, "one"), b=flow)
    watch(either_world, either_world.stack([Trace(tracing.provider)], fallback), ask_stream)
    (whole,) = tracing.calls
    lost, won = tracing.attempts
    assert [span.attributes["mainstay.outcome"] for span in (lost, won, whole)] == ["error", "ok", "ok"]
    assert {lost.parent.span_id, won.parent.span_id} == {whole.context.span_id}
    assert won.attributes["gen_ai.usage.output_tokens"] == 6
    assert whole.attributes["mainstay.attempts"] == 2
    broke, fell, resumed = whole.events
    assert (broke.name, dict(broke.attributes)) == (
        "mainstay.stream.broke",
        {
            "mainstay.route": "a",
            "mainstay.attempt": 1,
            "mainstay.reason": lost.attributes.get("mainstay.reason", ""),
            "error.type": "unavailable",
        },
    )
    assert (fell.name, fell.attributes["mainstay.target"]) == ("mainstay.fallback", "b")
    assert (resumed.name, dict(resumed.attributes)) == (
        "mainstay.stream.resumed",
        {"mainstay.route": "a", "mainstay.target": "b", "mainstay.mode": mode},
    )
    assert lost.end_time <= won.start_time <= won.end_time <= whole.end_time


def test_health_counts_each_route_for_itself(either_world: Any, ask_stream: Request, kit: Any) -> None:
    health = Health()
    fallback, _ = routes(either_world, a=broken(kit, "one"), b=kit.Flow(("two",)))
    stack = either_world.stack([], fallback, observers=[health])
    watch(either_world, stack, ask_stream)
    status = health.status(stack)
    assert [(status[name]["attempts"], status[name]["errors"]) for name in "ab"] == [(1, 1), (1, 0)]


class Diary(Strategy):
    """Writes down what it is told."""

    learns = True

    def __init__(self) -> None:
        self.told: list[str] = []

    def order(self, routes: Any, request: Request) -> Any:
        return routes

    def began(self, route: Any) -> Any:
        self.told.append(f"{route.name} began")
        return lambda: self.told.append(f"{route.name} over")

    def answered(self, route: Any, seconds: float, request: Request) -> None:
        self.told.append(f"{route.name} answered")

    def failed(self, route: Any, error: ProviderError, request: Request) -> None:
        self.told.append(f"{route.name} failed")


def test_a_strategy_is_told_of_each_route_once(either_world: Any, ask_stream: Request, kit: Any) -> None:
    fallback, _ = routes(either_world, a=broken(kit, "one"), b=Unavailable(), c=kit.Flow(("three",)))
    fallback.strategy = diary = Diary()
    watch(either_world, either_world.stack([], fallback), ask_stream)
    assert diary.told == [
        *("a began", "a answered", "a failed", "a over"),
        *("b began", "b failed", "b over"),
        *("c began", "c answered", "c over"),
    ]


def test_what_broke_off_is_told_as_any_other_failure(either_world: Any, ask_stream: Request, kit: Any) -> None:
    heard: list[Any] = []
    lost = Unavailable(reason="overloaded")
    fallback, _ = routes(either_world, a=pieces(kit, Chunk("one"), lost), b=kit.Flow(("two",)))
    watch(either_world, either_world.stack([], fallback, observers=[heard.append]), ask_stream)
    (told,) = kit.of(FellBack)(heard)
    assert (told.origin, told.target, told.error) == ("a", "b", lost)


def test_a_price_that_is_put_in_at_the_end_is_on_the_reply(either_world: Any, ask_stream: Request, kit: Any) -> None:
    usage = Usage(1_000_000, 1_000_000)
    fallback, _ = routes(either_world, a=broken(kit, "one"), b=kit.Flow(("two",), usage=usage))
    stack = either_world.stack([Cost(Prices({"gpt-4o": Price(2.5, 10.0)}))], fallback)
    assert watch(either_world, stack, ask_stream).reply.usage.cost == 12.5

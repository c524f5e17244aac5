from __future__ import annotations

import gc
import pickle
import weakref
from contextlib import suppress
from typing import Any

import pytest

from mainstay.middleware import Fallback
from mainstay.middleware.strategies import InOrder
from mainstay.pipeline import (
    GUIDANCE,
    AllRoutesFailed,
    Call,
    ErrorClass,
    FellBack,
    InvalidRequest,
    ProviderError,
    QuotaExceeded,
    RateLimited,
    Reply,
    Request,
    Route,
    RouteSkipped,
    Stack,
    Unavailable,
    VirtualClock,
)
from support.routers import filtered, router, too_long

# -- whether to move on ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("error_class", list(ErrorClass))
def test_moves_on_exactly_where_the_table_says_that_another_route_can_help(
    either_world: Any, ask: Request, error_class: ErrorClass
) -> None:
    error, clock = ProviderError.of(error_class), VirtualClock()
    first, second = either_world.leaf(error), either_world.leaf("from b")
    stack = either_world.stack([], Fallback(Route("a", first), Route("b", second)), clock=clock)
    if GUIDANCE[error_class].elsewhere:
        assert either_world.run(stack, ask).text == "from b"
    else:
        with pytest.raises(ProviderError) as raised:
            either_world.run(stack, ask)
        assert raised.value is error
    assert (first.calls, second.calls) == (1, GUIDANCE[error_class].elsewhere)
    assert clock.slept == []


@pytest.mark.parametrize("error_class", list(ErrorClass))
def test_one_route_raises_the_original_error(kit: Any, ask: Request, error_class: ErrorClass) -> None:
    error = ProviderError.of(error_class)
    fallback, leaves = router(kit, a=error)
    with pytest.raises(ProviderError) as raised:
        Stack([], fallback)(ask)
    assert raised.value is error
    assert error.route == "a"
    assert leaves["a"].calls == 1


def test_all_routes_failed_has_one_error_per_route_in_order(kit: Any, ask: Request) -> None:
    errors = [QuotaExceeded(), RateLimited(retry_after=30.0), RateLimited(retry_after=20.0)]
    fallback, _ = router(kit, a=errors[0], b=errors[1], c=errors[2])
    with pytest.raises(AllRoutesFailed) as raised:
        Stack([], fallback)(ask)
    failure = raised.value
    assert failure.errors == errors
    assert [error.route for error in failure.errors] == ["a", "b", "c"]
    assert failure.error_class is ErrorClass.RATE_LIMIT
    assert failure.retry_after == 20.0
    assert failure.__cause__ is errors[2]
    assert [attempt.route for attempt in failure.attempts] == ["a", "b", "c"]
    assert failure.untried == ()


def test_the_failure_of_a_nested_router_is_told_by_the_name_of_its_route(kit: Any, ask: Request) -> None:
    inner, _ = router(kit, x=Unavailable(), y=Unavailable())
    with pytest.raises(AllRoutesFailed) as raised:
        Stack([], Fallback(Route("in", inner), Route("b", kit.Leaf(Unavailable()))))(ask)
    assert [(type(error), error.route) for error in raised.value.errors] == [
        (AllRoutesFailed, "in"),
        (Unavailable, "b"),
    ]


def test_a_request_that_is_wrong_stops_the_walk_with_its_own_error(kit: Any, ask: Request) -> None:
    wrong = InvalidRequest()
    fallback, leaves = router(kit, a=Unavailable(), b=wrong, c="never")
    with pytest.raises(InvalidRequest) as raised:
        Stack([], fallback)(ask)
    assert raised.value is wrong
    assert leaves["c"].calls == 0


def test_the_original_error_keeps_its_cause(kit: Any, ask: Request) -> None:
    cause = OSError("socket")
    error = Unavailable()
    error.__cause__ = cause
    fallback, _ = router(kit, a=error)
    with pytest.raises(Unavailable) as raised:
        Stack([], fallback)(ask)
    assert raised.value.__cause__ is cause


@pytest.mark.parametrize("error", [ValueError("a bug"), KeyboardInterrupt(), GeneratorExit()])
def test_a_foreign_exception_passes_unchanged_and_nothing_moves_on(
    kit: Any, ask: Request, error: BaseException
) -> None:
    fallback, leaves = router(kit, a=error, b="never")
    heard: list[Any] = []
    with pytest.raises(type(error)) as raised:
        Stack([], fallback, observers=[heard.append])(ask)
    assert raised.value is error
    assert leaves["b"].calls == 0
    assert kit.of(FellBack, RouteSkipped)(heard) == []


# -- the two exceptions ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("windows", "tried"),
    [
        ((8, 4, 16), [1, 0, 1]),
        ((8, 8, None), [1, 0, 0]),
        ((None, 16, 32), [1, 0, 0]),
        ((8, 9, 10), [1, 1, 0]),
    ],
)
def test_a_request_that_is_too_long_goes_only_to_a_larger_window(
    kit: Any, ask: Request, windows: tuple[int | None, ...], tried: list[int]
) -> None:
    error = too_long()
    leaves = [kit.Leaf(error), kit.Leaf("b"), kit.Leaf("c")]
    stack = Stack(
        [], Fallback(*(Route(name, leaf, window=w) for name, leaf, w in zip("abc", leaves, windows, strict=True)))
    )
    if sum(tried) == 1:
        with pytest.raises(InvalidRequest) as raised:
            stack(ask)
        assert raised.value is error
    else:
        assert stack(ask).text == "abc"[tried.index(1, 1)]
    assert [leaf.calls for leaf in leaves] == tried


def test_a_smaller_window_stays_out_even_when_the_larger_one_fails_otherwise(kit: Any, ask: Request) -> None:
    leaves = [kit.Leaf(too_long()), kit.Leaf("small"), kit.Leaf(Unavailable())]
    stack = Stack(
        [], Fallback(*(Route(n, leaf, window=w) for n, leaf, w in zip("abc", leaves, (8, 4, 16), strict=True)))
    )
    with pytest.raises(AllRoutesFailed) as raised:
        stack(ask)
    assert [error.route for error in raised.value.errors] == ["a", "c"]
    assert leaves[1].calls == 0


def test_routes_that_no_longer_could_help_are_named_as_untried(kit: Any, ask: Request) -> None:
    fallback, leaves = router(kit, a=Unavailable(), b=too_long(), c="never")
    with pytest.raises(AllRoutesFailed) as raised:
        Stack([], fallback)(ask)
    assert raised.value.untried == ("c",)
    assert leaves["c"].calls == 0


@pytest.mark.parametrize("asked_for", [False, True])
def test_a_content_filter_is_the_answer_unless_other_routes_were_asked_for(
    kit: Any, ask: Request, asked_for: bool
) -> None:
    error = filtered()
    leaves = kit.Leaf(error), kit.Leaf("from b")
    stack = Stack([], Fallback(Route("a", leaves[0]), Route("b", leaves[1]), content_filter=asked_for))
    if asked_for:
        assert stack(ask).text == "from b"
    else:
        with pytest.raises(InvalidRequest) as raised:
            stack(ask)
        assert raised.value is error
    assert leaves[1].calls == asked_for


def test_mapping_keeps_the_wish_for_content_filters(kit: Any) -> None:
    fallback = Fallback(Route("a", kit.Leaf()), content_filter=True)
    assert fallback.map(lambda route: route.handler).content_filter


# -- memory, order, shape --------------------------------------------------------------------------------------


class Prompt(dict[str, str]):
    """A message that can be watched."""

    __slots__ = ("__weakref__",)


@pytest.mark.parametrize("second", ["fine", "fails", "absent"])
def test_errors_of_a_walk_do_not_keep_the_prompt_alive(second: str) -> None:
    routes = [Route("a", lambda request: raising())]
    if second != "absent":
        routes.append(Route("b", lambda request: Reply("b") if second == "fine" else raising()))
    stack = Stack([], Fallback(*routes))

    def raising() -> Any:
        raise Unavailable

    def call() -> weakref.ref[Any]:
        prompt = Prompt(role="user", content="Why?")
        with suppress(ProviderError):
            stack(Request("m", [prompt]))
        return weakref.ref(prompt)

    gc.collect()
    gc.disable()
    try:
        assert call()() is None
    finally:
        gc.enable()


def test_a_fallback_describes_itself_as_in_order(kit: Any) -> None:
    fallback, _ = router(kit, a="x", b="y")
    assert (fallback.kind, fallback.manner) == ("fallback", "in order")
    assert "fallback  in order" in str(Stack([], fallback))


def test_a_fallback_without_routes_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one route"):
        Fallback()


def test_two_routes_of_one_name_are_refused(kit: Any) -> None:
    with pytest.raises(ValueError, match="called leaf"):
        Fallback(kit.Leaf(), kit.Leaf())


def _answer(request: Request) -> Reply:
    return Reply("answer")


def test_a_fallback_pickles() -> None:
    copy = pickle.loads(pickle.dumps(Fallback(Route("a", _answer), content_filter=True)))
    assert copy.content_filter
    assert [route.name for route in copy.routes] == ["a"]


# -- subclasses ------------------------------------------------------------------------------------------------


class Noting(Fallback):
    """Goes the way of a Fallback, and notes that it was asked."""

    def handle(self, request: Request) -> Any:
        request.call.slots["asked"] = request.call.slots.get("asked", 0) + 1
        return (yield from super().handle(request))


def test_a_subclass_with_a_handle_of_its_own_is_driven_by_it(either_world: Any, ask: Request) -> None:
    first, second = either_world.leaf("from a", Unavailable()), either_world.leaf("from b")
    stack = either_world.stack([], Noting(Route("a", first), Route("b", second)), clock=VirtualClock())
    assert [either_world.run(stack, ask).text for _ in range(2)] == ["from a", "from b"]
    assert [request.call.slots["asked"] for request in first.seen] == [1, 1]


class Unruly(InOrder):
    """A strategy that breaks."""

    def began(self, route: Route) -> Any:
        raise ZeroDivisionError("a bug")


def test_a_strategy_that_breaks_leaves_the_ledger_as_it_was(either_world: Any, ask: Request) -> None:
    call, leaf = Call(), either_world.leaf("never")
    stack = either_world.stack([], Fallback(Route("a", leaf), Route("b", leaf), strategy=Unruly()))
    with pytest.raises(ZeroDivisionError):
        either_world.run(stack, ask.under(call))
    assert (call.routes_left, call.forced) == (0, False)


def test_a_way_that_is_chosen_later_holds(either_world: Any, ask_stream: Request, kit: Any) -> None:
    fallback = Fallback(Route("a", either_world.leaf(kit.Flow(whole=False))), Route("b", either_world.leaf(kit.Flow())))
    fallback.mid_stream = "restart"
    stack = either_world.stack([], fallback, clock=VirtualClock())
    assert either_world.run(stack, ask_stream, "read").text == "onetwo"

from __future__ import annotations

from typing import Any

import pytest

from mainstay.middleware import CircuitBreaker, Deadline, Fallback
from mainstay.pipeline import (
    AllRoutesFailed,
    AttemptsSpent,
    DeadlineExceeded,
    FellBack,
    InvalidRequest,
    ProviderError,
    RateLimited,
    Reply,
    Request,
    Route,
    Stack,
    TimedOut,
    Unavailable,
    VirtualClock,
)
from support.routers import router

# -- routes left -----------------------------------------------------------------------------------------------


def test_routes_left_counts_the_untried_leaves_of_nested_routers_and_is_given_back(kit: Any, ask: Request) -> None:
    seen: list[tuple[str, int]] = []

    def note(name: str, error: BaseException | None = None) -> Any:
        def leaf(request: Request) -> Any:
            seen.append((name, request.call.routes_left))
            if error is not None:
                raise error
            return Reply(name)

        return Route(name, leaf)

    inner = Fallback(note("b1", Unavailable()), note("b2", Unavailable()))
    pair = Fallback(note("d1", Unavailable()), note("d2"))
    outer = Fallback(note("a", Unavailable()), Route("b", inner), note("c", Unavailable()), Route("d", pair))
    calls: list[Any] = []

    def keep(handler: Any) -> Any:
        def outermost(request: Request) -> Any:
            calls.append(request.call)
            return handler(request)

        return outermost

    assert Stack([keep], outer)(ask).text == "d2"
    assert seen == [("a", 5), ("b1", 4), ("b2", 3), ("c", 2), ("d1", 1), ("d2", 0)]
    assert calls[0].routes_left == 0


@pytest.mark.parametrize("error", [InvalidRequest(), ValueError("a bug"), KeyboardInterrupt()])
def test_routes_left_is_given_back_when_the_walk_ends_with_an_error(
    either_world: Any, ask: Request, error: BaseException
) -> None:
    stack = either_world.stack([], Fallback(Route("a", either_world.leaf(error)), Route("b", either_world.leaf())))
    calls: list[Any] = []
    stack.observers = (lambda event: calls.append(event.attempt),)
    request = ask.under(_call_with(routes_left=7))
    with pytest.raises(type(error)):
        either_world.run(stack, request)
    assert request.call.routes_left == 7


def _call_with(routes_left: int) -> Any:
    from mainstay.pipeline import Call

    call = Call(VirtualClock())
    call.routes_left = routes_left
    return call


# -- cap and deadline ------------------------------------------------------------------------------------------


def test_when_the_cap_is_spent_the_last_original_error_is_raised(kit: Any, ask: Request) -> None:
    last = RateLimited()
    fallback, leaves = router(kit, a=Unavailable(), b=last, c="never")
    with pytest.raises(RateLimited) as raised:
        Stack([], fallback, cap=2, check=False)(ask)
    assert raised.value is last
    assert leaves["c"].calls == 0


def test_a_refusal_is_not_the_last_original_error(kit: Any, ask: Request) -> None:
    original = Unavailable("it was me")
    fallback, leaves = router(kit, a=original, b="never", c="never")
    stack = Stack([CircuitBreaker()], fallback, cap=1, check=False)
    stack.part("breaker", route="b").isolate()
    with pytest.raises(Unavailable) as raised:
        stack(ask)
    assert raised.value is original
    assert leaves["b"].calls == leaves["c"].calls == 0


def test_the_original_is_raised_when_the_route_that_finds_the_cap_spent_was_refused(kit: Any, ask: Request) -> None:
    original = Unavailable("it was me")

    def spend(request: Request) -> Any:
        request.call.cap = 1  # as if others had made attempts in the meantime
        raise AttemptsSpent

    stack = Stack([], Fallback(Route("a", kit.Leaf(original)), Route("b", spend), Route("c", kit.Leaf())))
    with pytest.raises(Unavailable) as raised:
        stack(ask)
    assert raised.value is original


def test_where_nothing_was_ever_sent_the_refusal_itself_is_raised(kit: Any, ask: Request) -> None:
    fallback, leaves = router(kit, a="never", b="never")
    call = _call_with(routes_left=0)
    call.cap = 0
    with pytest.raises(AttemptsSpent):
        Stack([], fallback)(ask.under(call))
    assert leaves["a"].calls == leaves["b"].calls == 0


def test_no_further_route_is_begun_after_the_deadline(either_world: Any, ask: Request) -> None:
    clock = VirtualClock()
    error = Unavailable()

    def slow(request: Request) -> Any:
        clock.advance(10.0)
        return error

    first, second = either_world.leaf(slow), either_world.leaf("never")
    stack = either_world.stack([Deadline(10.0)], Fallback(Route("a", first), Route("b", second)), clock=clock)
    with pytest.raises(DeadlineExceeded) as raised:
        either_world.run(stack, ask)
    assert raised.value.__cause__ is error
    assert raised.value.deadline == 1010.0
    assert second.calls == 0


def test_the_call_s_own_deadline_is_raised_as_it_came(kit: Any, ask: Request) -> None:
    late: list[ProviderError] = []

    def leaf(request: Request) -> Any:
        late.append(request.call.too_late())
        return late[0]

    stack = Stack([Deadline(1.0)], Fallback(Route("a", kit.Leaf(leaf)), Route("b", kit.Leaf("never"))))
    with pytest.raises(DeadlineExceeded) as raised:
        stack(ask)
    assert raised.value is late[0]


def test_a_shorter_deadline_further_in_does_move_on(either_world: Any, ask: Request) -> None:
    clock = VirtualClock()

    def late(request: Request) -> Any:
        clock.advance(1.0)
        return request.call.too_late()

    inner = either_world.stack([Deadline(1.0)], either_world.leaf(late))
    fallback = Fallback(Route("hasty", inner), Route("b", either_world.leaf("from b")))
    stack = either_world.stack([Deadline(10.0)], fallback, clock=clock)
    assert either_world.run(stack, ask).text == "from b"


def test_a_deadline_that_only_a_route_has_moves_on_too(kit: Any, ask: Request) -> None:
    inner = Stack([Deadline(1.0)], kit.Leaf(lambda request: request.call.too_late()))
    assert Stack([], Fallback(Route("a", inner), Route("b", kit.Leaf("from b"))))(ask).text == "from b"


# -- refusals and events ---------------------------------------------------------------------------------------


def test_an_open_breaker_costs_no_attempt_and_is_told(kit: Any, ask: Request) -> None:
    heard: list[Any] = []
    fallback, leaves = router(kit, a="never", b="from b")
    stack = Stack([CircuitBreaker()], fallback, observers=[heard.append])
    stack.part("breaker", route="a").isolate()
    reply = stack(ask)
    assert (reply.text, leaves["a"].calls) == ("from b", 0)
    assert [attempt.route for attempt in reply.attempts] == ["b"]
    told = [(type(event).__name__, getattr(event, "route", getattr(event, "origin", ""))) for event in heard[:2]]
    assert told == [("RouteSkipped", "a"), ("FellBack", "a")]


def test_each_hop_is_told_with_its_error(kit: Any, ask: Request) -> None:
    errors = [Unavailable(), TimedOut()]
    heard: list[Any] = []
    fallback, _ = router(kit, a=errors[0], b=errors[1], c="from c")
    Stack([], fallback, observers=[heard.append])(ask)
    hops = [(event.origin, event.target, event.error) for event in kit.of(FellBack)(heard)]
    assert hops == [("a", "b", errors[0]), ("b", "c", errors[1])]


def test_no_hop_is_told_where_there_is_none(kit: Any, ask: Request) -> None:
    heard: list[Any] = []
    fallback, _ = router(kit, a=Unavailable(), b=Unavailable())
    with pytest.raises(AllRoutesFailed):
        Stack([], fallback, observers=[heard.append])(ask)
    assert len(kit.of(FellBack)(heard)) == 1


def test_a_stream_that_breaks_before_its_first_token_falls_back(
    either_world: Any, kit: Any, ask_stream: Request
) -> None:
    first = either_world.leaf(kit.Flow((), error=Unavailable()))
    stack = either_world.stack([], Fallback(Route("a", first), Route("b", either_world.leaf(kit.Flow(("sky",))))))
    reply = either_world.run(stack, ask_stream, "read")
    assert reply.text == "sky"
    assert [attempt.outcome for attempt in reply.attempts] == ["error", "ok"]

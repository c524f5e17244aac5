"""Streams that break off and go again: which route how often, counted exactly; and what else has a say in it."""

from __future__ import annotations

from typing import Any

import pytest

from mainstay.middleware import Balance, CircuitBreaker, Deadline, Fallback, Retry
from mainstay.pipeline import (
    AllRoutesFailed,
    AuthenticationFailed,
    Chunk,
    DeadlineExceeded,
    FellBack,
    ModelNotFound,
    ProviderError,
    QuotaExceeded,
    RateLimited,
    Request,
    Route,
    StreamResumed,
    TimedOut,
    ToolCallDelta,
    TruncatedStream,
    Unavailable,
    VirtualClock,
)
from support.resuming import broken, pieces, routes, watch

ANEW = "begun anew on route 'a' after route 'a' broke off"


def tried(seen: Any) -> str:
    """The routes of all attempts, in order."""
    return "".join(attempt.route for attempt in (seen.error or seen.reply).attempts)


# -- how often, and in which order -----------------------------------------------------------------------------


def test_one_route_begins_anew_until_its_answer_is_whole(either_world: Any, ask_stream: Request, kit: Any) -> None:
    heard: list[Any] = []
    script = broken(kit, "one"), broken(kit, "two", " more"), kit.Flow(("three",))
    fallback, leaves = routes(either_world, a=script)
    seen = watch(either_world, either_world.stack([], fallback, observers=[heard.append]), ask_stream)
    assert [chunk.text for chunk in seen.chunks] == ["one", "two", " more", "three", ""]
    assert (seen.text, seen.reply.text, seen.marks) == ("three", "three", [ANEW, ANEW])
    assert seen.reply.changes == {"stream": f"{ANEW}; {ANEW}"}
    assert (tried(seen), leaves["a"].calls) == ("aaa", 3)
    assert [(one.resend, one.outcome) for one in seen.reply.attempts] == [(0, "error"), (1, "error"), (2, "ok")]
    assert [(event.origin, event.target) for event in kit.of(StreamResumed)(heard)] == [("a", "a")] * 2
    assert kit.of(FellBack)(heard) == []  # nobody moved on


def test_one_route_that_continues_goes_on_where_it_broke_off(either_world: Any, ask_stream: Request, kit: Any) -> None:
    script = broken(kit, "one "), broken(kit, "two"), kit.Flow((" three",))
    fallback, leaves = routes(either_world, mid_stream="continue", a=script)
    seen = watch(either_world, either_world.stack([], fallback), ask_stream)
    assert (seen.text, seen.reply.text) == ("one two three", "one two three")
    assert seen.marks == ["continued on route 'a' after route 'a' broke off"] * 2
    said = [request.messages[-1]["content"] for request in leaves["a"].seen[1:]]
    assert said == ["one", "one two"]


def test_other_routes_go_first(either_world: Any, ask_stream: Request, kit: Any) -> None:
    heard: list[Any] = []
    scripts = {"a": (broken(kit, "one"), kit.Flow(("three",))), "b": broken(kit, "two")}
    fallback, _ = routes(either_world, **scripts)
    seen = watch(either_world, either_world.stack([], fallback, observers=[heard.append]), ask_stream)
    assert (tried(seen), seen.text) == ("aba", "three")
    assert [(event.origin, event.target) for event in kit.of(FellBack)(heard)] == [("a", "b"), ("b", "a")]


@pytest.mark.parametrize(
    ("scripts", "order"),
    [("a-", "aa"), ("a- b!", "aba"), ("a! b-", "abb"), ("a- b-", "abab"), ("a! b! c-", "abcc")],
)
def test_a_route_that_fails_before_its_first_token_is_out(
    either_world: Any, ask_stream: Request, kit: Any, scripts: str, order: str
) -> None:
    """A route that is called "-" breaks off, and then gives nothing any more; "!" gives nothing from the first."""
    kinds = {"!": (lambda request: Unavailable(),), "-": (broken(kit, "one"), lambda request: Unavailable())}
    fallback, _ = routes(either_world, **{script[0]: kinds[script[1]] for script in scripts.split()})
    seen = watch(either_world, either_world.stack([], fallback), ask_stream)
    assert (tried(seen), seen.partial.text) == (order, "one")
    names = sorted(set(order))
    if len(names) == 1:
        assert type(seen.error) is Unavailable
    else:
        assert isinstance(seen.error, AllRoutesFailed)
        assert [(one.route, type(one)) for one in seen.error.errors] == [(name, Unavailable) for name in names]


@pytest.mark.parametrize(("count", "cap", "order"), [(1, 6, "aaaaaa"), (1, 3, "aaa"), (2, 6, "ababab"), (2, 3, "aba")])
@pytest.mark.parametrize("mode", ["restart", "continue"])
def test_the_cap_of_the_call_ends_it_with_what_broke_off_last(
    either_world: Any, ask_stream: Request, kit: Any, mode: str, count: int, cap: int, order: str
) -> None:
    scripts = {name: lambda request: broken(kit, str(len(request.call.attempts))) for name in "ab"[:count]}
    fallback, _ = routes(either_world, mid_stream=mode, **scripts)
    seen = watch(either_world, either_world.stack([], fallback, cap=cap), ask_stream)
    assert type(seen.error) is TruncatedStream
    assert (tried(seen), seen.error.route) == (order, order[-1])
    assert [one.outcome for one in seen.error.attempts] == ["error"] * cap
    assert seen.partial.text == seen.text == (str(cap) if mode == "restart" else "123456"[:cap])
    assert seen.reply.error is seen.error


def test_the_last_error_is_the_one_that_is_raised_and_not_an_older_one_of_its_route(
    either_world: Any, ask_stream: Request, kit: Any
) -> None:
    errors = [Unavailable(reason=f"r{number}") for number in range(3)]
    script = tuple(broken(kit, "one", error=error) for error in errors)
    fallback, _ = routes(either_world, a=script[::2], b=script[1])
    seen = watch(either_world, either_world.stack([], fallback, cap=3), ask_stream)
    assert seen.error is errors[2]


# -- what goes again -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        TimedOut(reason="gap"),  # it may be repeated once only, and that after much time
        RateLimited(),
        RateLimited(retry_after=1.0),
        Unavailable(retry_after=1.0),  # nobody waits in mid-stream
        Unavailable(retry=False),
        AuthenticationFailed(),
        QuotaExceeded(),
        ModelNotFound(),
        DeadlineExceeded(),
    ],
)
@pytest.mark.parametrize("mode", ["restart", "continue"])
def test_what_may_not_be_repeated_at_once_does_not_go_again(
    either_world: Any, ask_stream: Request, kit: Any, mode: str, error: ProviderError
) -> None:
    fallback, leaves = routes(either_world, mid_stream=mode, a=broken(kit, "one", error=error))
    seen = watch(either_world, either_world.stack([], fallback), ask_stream)
    assert (seen.error, seen.partial.text, leaves["a"].calls) == (error, "one", 1)


@pytest.mark.parametrize("mode", ["restart", "continue"])
def test_after_a_fragment_of_a_tool_call_nothing_goes_again(
    either_world: Any, ask_stream: Request, kit: Any, mode: str
) -> None:
    tool = Chunk(tool_calls=(ToolCallDelta(0, "call_1", "get_weather", '{"ci'),))
    script = broken(kit, "one"), pieces(kit, Chunk(" two"), tool), kit.Flow()
    fallback, leaves = routes(either_world, mid_stream=mode, a=script)
    seen = watch(either_world, either_world.stack([], fallback), ask_stream)
    assert isinstance(seen.error, TruncatedStream)
    assert [call.name for call in seen.partial.tool_calls] == ["get_weather"]
    assert leaves["a"].calls == 2


def test_unless_it_was_asked_for_nothing_goes_again(either_world: Any, ask_stream: Request, kit: Any) -> None:
    fallback, leaves = routes(either_world, mid_stream="raise", a=broken(kit, "one"))
    seen = watch(either_world, either_world.stack([Retry(), CircuitBreaker()], fallback), ask_stream)
    assert (type(seen.error), leaves["a"].calls) == (TruncatedStream, 1)


def test_after_the_deadline_nothing_goes_again(either_world: Any, ask_stream: Request, kit: Any) -> None:
    clock = VirtualClock()

    def answer(request: Request) -> Any:
        clock.advance(4.0)
        return broken(kit, "one")

    fallback, leaves = routes(either_world, a=answer)
    seen = watch(either_world, either_world.stack([Deadline(10.0)], fallback, clock=clock), ask_stream)
    assert type(seen.error) is DeadlineExceeded
    assert (seen.partial.text, leaves["a"].calls) == ("one", 3)


# -- with others that have a say -------------------------------------------------------------------------------


def test_a_route_that_goes_again_counts_among_those_that_are_left(
    either_world: Any, ask_stream: Request, kit: Any
) -> None:
    left: list[int] = []

    def noting(entry: Any) -> Any:
        def act(request: Request) -> Any:
            left.append(request.call.routes_left)
            return entry

        return act

    a = noting(broken(kit, "one")), noting(broken(kit, "one")), noting(kit.Flow())
    fallback, leaves = routes(either_world, a=a, b=noting(Unavailable()), c=noting(broken(kit, "two")))
    stack = either_world.stack([Retry()], fallback, clock=VirtualClock(), cap=10)
    seen = watch(either_world, stack, ask_stream)
    assert tried(seen) == "abbcaca"
    assert left == [2, 2, 2, 1, 1, 1, 1]
    assert leaves["a"].seen[0].call.routes_left == 0


def test_each_beginning_has_the_retries_of_a_first_one(either_world: Any, ask_stream: Request, kit: Any) -> None:
    script = broken(kit, "one"), Unavailable(), Unavailable(), kit.Flow(("two",))
    clock = VirtualClock()
    fallback, leaves = routes(either_world, a=script)
    seen = watch(either_world, either_world.stack([Retry()], fallback, clock=clock), ask_stream)
    assert (seen.text, leaves["a"].calls, clock.slept) == ("two", 4, [0.25, 0.5])


def test_routes_of_a_router_further_out_go_first_too(either_world: Any, ask_stream: Request, kit: Any) -> None:
    inner, _ = routes(either_world, x=(broken(kit, "one"), kit.Flow(("four",))), y=broken(kit, "two"))
    last = either_world.leaf(broken(kit, "three"), name="b")
    fallback = Fallback(Route("in", inner), Route("b", last), mid_stream="restart")
    seen = watch(either_world, either_world.stack([], fallback), ask_stream)
    assert [attempt.route for attempt in seen.reply.attempts] == ["in/x", "in/y", "b", "in/x"]
    assert seen.text == "four"


def test_one_key_of_a_balance_goes_again_as_well(either_world: Any, ask_stream: Request, kit: Any) -> None:
    leaf = either_world.leaf(broken(kit, "one"), kit.Flow(("two",)))
    balance = Balance(Route("a", leaf), mid_stream="restart")
    assert watch(either_world, either_world.stack([], balance), ask_stream).text == "two"


def test_the_breaker_counts_each_loss_and_what_it_then_refuses_is_told_as_the_loss(
    either_world: Any, ask_stream: Request, kit: Any
) -> None:
    clock = VirtualClock()
    fallback, leaves = routes(either_world, a=lambda request: broken(kit, str(len(request.call.attempts))))
    stack = either_world.stack([Retry(), CircuitBreaker(failures=3)], fallback, clock=clock)
    seen = watch(either_world, stack, ask_stream)
    breaker = stack.part("breaker", route="a").snapshot(clock.now())
    assert (leaves["a"].calls, breaker["state"], clock.slept) == (3, "open", [])
    assert type(seen.error) is TruncatedStream
    assert (tried(seen), seen.partial.text, seen.error.route) == ("aaa", "3", "a")


def test_where_others_failed_too_each_route_is_told_with_its_loss(
    either_world: Any, ask_stream: Request, kit: Any
) -> None:
    fallback, leaves = routes(either_world, a=broken(kit, "one"), b=Unavailable())
    stack = either_world.stack([CircuitBreaker(failures=1)], fallback, clock=VirtualClock())
    seen = watch(either_world, stack, ask_stream)
    assert [leaf.calls for leaf in leaves.values()] == [1, 1]
    assert isinstance(seen.error, AllRoutesFailed)
    assert [type(one) for one in seen.error.errors] == [TruncatedStream, Unavailable]


def test_a_breaker_closes_when_the_answer_that_was_begun_anew_is_whole(
    either_world: Any, ask_stream: Request, kit: Any
) -> None:
    clock = VirtualClock()
    fallback, _ = routes(either_world, a=(*[broken(kit, "one")] * 4, kit.Flow(("two",))))
    stack = either_world.stack([CircuitBreaker()], fallback, clock=clock)
    assert watch(either_world, stack, ask_stream).text == "two"
    snapshot = stack.part("breaker", route="a").snapshot(clock.now())
    assert (snapshot["state"], snapshot["failures"]) == ("closed", 0)

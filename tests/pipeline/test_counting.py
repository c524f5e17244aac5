"""Attempts are counted where they really leave, and nowhere else."""

from __future__ import annotations

from typing import Any

import pytest

from mainstay.pipeline import (
    AsyncReply,
    AsyncStack,
    AttemptEnded,
    AttemptsSpent,
    AttemptStarted,
    Call,
    Chunk,
    CircuitOpen,
    ErrorClass,
    Outcome,
    Partial,
    RateLimited,
    Reply,
    Request,
    Route,
    Stack,
    Unavailable,
    Usage,
    VirtualClock,
    middleware,
)


def test_a_call_that_succeeds_has_one_attempt_and_it_says_everything(world: Any, ask: Request) -> None:
    clock = VirtualClock(start=0)

    def leaf(request: Request) -> Reply:
        clock.advance(1.5)
        return Reply("text", usage=Usage(1, 2))

    leaf.provider = "openai"  # type: ignore[attr-defined]
    handler = world.handler(leaf)
    handler.provider = "openai"
    reply = world.run(world.stack([], handler, clock=clock), ask)
    (attempt,) = reply.attempts
    assert (attempt.number, attempt.route, attempt.provider, attempt.model) == (1, "openai", "openai", "gpt-4o")
    assert (attempt.outcome, attempt.started, attempt.first_event, attempt.ended) == ("ok", 0, 1.5, 1.5)
    assert (attempt.resend, attempt.error_class, attempt.usage) == (0, None, Usage(1, 2))
    assert (reply.provider, reply.model) == ("openai", "gpt-4o")


def test_what_the_reply_says_of_itself_goes_before_what_the_route_knows(world: Any, script: Any, ask: Request) -> None:
    reply = world.run(world.stack([], world.handler(script(Reply("t", provider="p", model="dated")))), ask)
    assert (reply.provider, reply.model) == ("p", "dated")


def test_each_try_is_an_attempt_with_its_error_and_its_number_on_the_route(
    world: Any, script: Any, in_order: Any, again: Any, ask: Request
) -> None:
    limited = RateLimited(status=429, reason="tokens", retry_after=7)
    first = world.handler(script(limited, Unavailable()))
    router = in_order(Route("a", first, model="m-a"), Route("b", world.handler(script())))
    reply = world.run(world.stack([again(times=2)], router), ask)
    seen = [(one.number, one.route, one.model, one.resend, one.outcome) for one in reply.attempts]
    assert seen == [(1, "a", "m-a", 0, "error"), (2, "a", "m-a", 1, "error"), (3, "b", "gpt-4o", 0, "ok")]
    one = reply.attempts[0]
    assert (one.error_class, one.reason, one.status, one.retry_after) == (ErrorClass.RATE_LIMIT, "tokens", 429, 7)


def test_an_error_learns_where_it_happened_and_brings_the_ledger(world: Any, script: Any, ask: Request) -> None:
    handler = world.handler(script(Unavailable()))
    handler.provider = "openai"
    with pytest.raises(Unavailable) as caught:
        world.run(world.stack([], handler), ask)
    error = caught.value
    assert (error.route, error.provider, error.model) == ("openai", "openai", "gpt-4o")
    assert [attempt.outcome for attempt in error.attempts] == ["error"]


def test_an_error_that_knows_where_it_happened_keeps_it(world: Any, script: Any, ask: Request) -> None:
    error = Unavailable(route="r", provider="p", model="m")
    with pytest.raises(Unavailable):
        world.run(world.stack([], world.handler(script(error))), ask)
    assert (error.route, error.provider, error.model) == ("r", "p", "m")


def test_an_error_that_no_attempt_made_still_brings_the_ledger(world: Any, script: Any, ask: Request) -> None:
    @middleware
    def spoils(request: Request) -> Any:
        yield request
        raise Unavailable("spoilt")

    with pytest.raises(Unavailable) as caught:
        world.run(world.stack([spoils], world.handler(script())), ask)
    assert [attempt.outcome for attempt in caught.value.attempts] == ["ok"]


def test_a_bug_is_an_attempt_that_failed_with_its_type_as_reason(world: Any, script: Any, ask: Request) -> None:
    told: list[Any] = []
    with pytest.raises(ZeroDivisionError):
        world.run(world.stack([], world.handler(script(ZeroDivisionError())), observers=[told.append]), ask)
    attempt = told[-1].attempt
    assert (attempt.outcome, attempt.reason, attempt.error_class) == ("error", "ZeroDivisionError", None)


def test_an_interrupt_is_nobody_s_failure(world: Any, script: Any, ask: Request) -> None:
    told: list[Any] = []
    with pytest.raises(KeyboardInterrupt):
        world.run(world.stack([], world.handler(script(KeyboardInterrupt())), observers=[told.append]), ask)
    assert (told[-1].attempt.outcome, told[-1].attempt.error_class) == ("closed", None)


def test_observers_hear_of_the_start_and_the_end(world: Any, script: Any, ask: Request) -> None:
    told: list[Any] = []
    world.run(world.stack([], world.handler(script()), observers=[told.append]), ask)
    assert [type(event) for event in told] == [AttemptStarted, AttemptEnded]
    assert told[0].attempt is told[1].attempt


@pytest.mark.parametrize("given", [None, "text", 3])
def test_a_handler_that_returns_no_reply_is_told_so(world: Any, ask: Request, given: Any) -> None:
    told: list[Any] = []

    def leaf(request: Request) -> Any:
        return given

    handler = world.handler(leaf)
    with pytest.raises(TypeError, match=rf"returned {type(given).__name__}, not a Reply"):
        world.run(world.stack([], handler, observers=[told.append]), ask)
    assert told[-1].attempt.outcome == "error"


def test_an_async_handler_in_a_stack_for_threads_is_told_where_it_belongs(in_order: Any, ask: Request) -> None:
    async def leaf(request: Request) -> Reply:
        return Reply()

    with pytest.raises(TypeError, match="the handler of 'leaf' is async: it belongs into an AsyncStack"):
        Stack([], leaf)
    with pytest.raises(TypeError, match="the handler of 'inner' is async"):
        Stack([], in_order(Route("first", lambda request: Reply()), Route("inner", AsyncStack([], leaf))))
    stack = Stack([], lambda request: leaf(request))  # of which nobody can tell before it is asked
    with pytest.raises(TypeError, match="returned coroutine, not a Reply: an async handler belongs into an AsyncStack"):
        stack(ask)


def test_a_handler_that_would_hold_the_loop_is_told_where_it_belongs(in_order: Any) -> None:
    class Waiting:
        blocking = True

        def __call__(self, request: Request) -> Reply:
            return Reply()

    for waiting in (Waiting(), Stack([], Waiting())):
        with pytest.raises(TypeError, match="the handler of 'second' would hold the event loop"):
            AsyncStack([], in_order(Route("first", lambda request: Reply()), Route("second", waiting)))


# -- streams ---------------------------------------------------------------------------------------------------


def stream(clock: VirtualClock, *steps: Any) -> Any:
    for step in steps:
        clock.advance(1)
        if isinstance(step, BaseException):
            raise step
        yield step


END = Chunk(finish_reason="stop", usage=Usage(3))


def test_an_attempt_of_a_stream_ends_when_the_stream_ends(ask: Request) -> None:
    clock = VirtualClock(start=0)
    told: list[Any] = []
    stack = Stack(
        [], lambda request: Reply.stream(stream(clock, Chunk("a"), END)), clock=clock, observers=[told.append]
    )
    reply = stack(ask)
    (attempt,) = reply.attempts
    assert (attempt.outcome, attempt.first_event, attempt.ended, len(told)) == ("running", 1, None, 1)
    reply.read()
    assert (attempt.outcome, attempt.ended, attempt.usage, len(told)) == ("ok", 2, Usage(3), 2)


def test_a_stream_that_breaks_is_a_failed_attempt_and_its_error_says_where(ask: Request) -> None:
    clock = VirtualClock(start=0)
    steps = stream(clock, Chunk("a"), Unavailable(reason="connection_reset"))
    reply = Stack([], lambda request: Reply.stream(steps, provider="p"), clock=clock)(ask)
    with pytest.raises(Unavailable) as caught:
        reply.read()
    (attempt,) = caught.value.attempts
    assert (attempt.outcome, attempt.reason, attempt.error_class) == (
        "error",
        "connection_reset",
        ErrorClass.UNAVAILABLE,
    )
    assert (caught.value.route, caught.value.model) == ("function", "gpt-4o")


def test_a_stream_that_is_closed_is_nobody_s_failure(ask: Request) -> None:
    reply = Stack([], lambda request: Reply.stream(stream(VirtualClock(), Chunk("a"), END)))(ask)
    reply.close()
    assert (reply.outcome, reply.attempts[0].outcome, reply.attempts[0].error_class) == (Outcome.CLOSED, "closed", None)


# -- the cap ---------------------------------------------------------------------------------------------------


def test_beyond_the_cap_nothing_leaves(world: Any, script: Any, again: Any, ask: Request) -> None:
    leaf = script(Unavailable("down"))
    told: list[Any] = []
    stack = world.stack([again(times=5)], world.handler(leaf), cap=2, observers=[told.append])
    with pytest.raises(AttemptsSpent, match="the call has made its 2 attempts") as caught:
        world.run(stack, ask)
    assert (len(leaf.seen), len(caught.value.attempts), len(told)) == (2, 2, 4)
    assert caught.value.route


@pytest.mark.parametrize(("routes", "cap"), [(1, 6), (2, 6), (4, 6), (5, 7), (9, 11)])
def test_the_cap_is_six_or_two_more_than_the_routes(
    world: Any, script: Any, in_order: Any, routes: int, cap: int
) -> None:
    router = in_order(*(Route(f"r{number}", script()) for number in range(routes)))
    assert world.stack([], router).cap == cap
    assert world.stack([], in_order(Route("nested", router), Route("one", script()))).cap == max(6, routes + 3)


def test_a_cap_of_nothing_is_refused(world: Any, script: Any) -> None:
    with pytest.raises(ValueError, match="cap must be 1 or more attempts, not 0"):
        world.stack([], script(), cap=0)
    assert world.stack([], script(), cap=1).cap == 1


def test_the_counting_cannot_be_switched_off_by_a_layer_of_that_name(world: Any, script: Any, ask: Request) -> None:
    @middleware
    def count(request: Request) -> Any:
        return (yield request)

    stack = world.stack([count], world.handler(script()))
    stack.disable("count")
    assert len(world.run(stack, ask).attempts) == 1
    assert stack.part("count") is count


def test_a_refusal_out_of_a_leaf_is_no_failure_of_a_class(world: Any, script: Any, ask: Request) -> None:
    told: list[Any] = []
    with pytest.raises(CircuitOpen):
        world.run(world.stack([], world.handler(script(CircuitOpen())), observers=[told.append]), ask)
    assert (told[-1].attempt.error_class, told[-1].attempt.reason) == (None, "CircuitOpen")


# -- changes ---------------------------------------------------------------------------------------------------


def test_what_routes_changed_is_told_on_the_reply_beside_what_the_handler_changed(
    world: Any, script: Any, in_order: Any
) -> None:
    answer = Reply("t", changes={"max_tokens": "set to 4096, the default", "a": "finer"})
    router = in_order(Route("r", world.handler(script(answer)), drop=frozenset({"seed"}), params={"a": 2}))
    reply = world.run(world.stack([], router), Request("m", "p", {"seed": 1, "a": 1}))
    assert reply.changes == {"seed": "left out by route 'r'", "max_tokens": "set to 4096, the default", "a": "finer"}


def test_an_async_reply_is_counted_like_any_other(ask: Request) -> None:
    import asyncio

    from mainstay.pipeline import AsyncStack

    async def events() -> Any:
        yield Chunk("a")
        yield END

    async def leaf(request: Request) -> Reply:
        return await AsyncReply.stream(events())

    async def main() -> None:
        reply = await AsyncStack([], leaf)(ask)
        assert reply.attempts[0].outcome == "running"
        await reply.read()  # type: ignore[misc]
        assert (reply.attempts[0].outcome, reply.text) == ("ok", "a")

    asyncio.run(main())


def test_tokens_that_were_told_before_a_stream_broke_are_in_the_ledger(either_world: Any) -> None:
    """Claude tells the prompt's tokens with its first event, which is not yet an answer."""
    leaf = either_world.leaf(Unavailable(partial=Partial(usage=Usage(7))))
    with pytest.raises(Unavailable) as raised:
        either_world.run(either_world.stack([], leaf), Request("m", "hi", stream=True))
    assert [attempt.usage for attempt in raised.value.attempts] == [Usage(7)]


def test_an_interrupt_while_the_end_is_told_is_no_second_end(world: Any, ask: Request) -> None:
    told: list[str] = []

    def listen(event: object) -> None:
        told.append(type(event).__name__)
        if isinstance(event, AttemptEnded):
            raise KeyboardInterrupt

    handler = world.handler(lambda request: Reply("text"))
    stack = world.stack([], handler)
    request = ask.under(Call(observers=[listen]))
    with pytest.raises(KeyboardInterrupt):
        world.run(stack, request)
    seen = [(attempt.outcome, attempt.number) for attempt in request.call.attempts]
    assert (told, seen) == (["AttemptStarted", "AttemptEnded"], [("ok", 1)])


@pytest.mark.parametrize("observers", [[], [lambda event: None]], ids=["nobody listens", "somebody listens"])
def test_a_stream_that_was_read_already_tells_its_events(world: Any, ask: Request, observers: list[Any]) -> None:
    def read(request: Request) -> Reply:
        return Reply.stream(Chunk(text=word, finish_reason="stop" if word == "c" else None) for word in "abc").read()

    reply = world.run(world.stack([], world.handler(read), observers=observers), ask)
    assert [attempt.events for attempt in reply.attempts] == [3]


def test_a_handler_that_raises_stop_iteration_does_not_end_the_loop_of_its_caller(world: Any, ask: Request) -> None:
    def empty(request: Request) -> Reply:
        return next(iter(()))

    stack = world.stack([], world.handler(empty))
    with pytest.raises(RuntimeError, match="StopIteration"):
        world.run(stack, ask)

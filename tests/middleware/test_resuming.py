"""A stream that breaks off after its first token: begun anew, continued, or raised."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mainstay.middleware import Deadline, Fallback, Retry
from mainstay.pipeline import (
    AllRoutesFailed,
    AuthenticationFailed,
    Chunk,
    DeadlineExceeded,
    FellBack,
    InvalidRequest,
    Outcome,
    ProviderError,
    RateLimited,
    Reply,
    Request,
    Route,
    TimedOut,
    ToolCallDelta,
    TruncatedStream,
    Unavailable,
    Usage,
    VirtualClock,
)
from support.resuming import broken, pieces, routes, watch

TOOL = Chunk(tool_calls=(ToolCallDelta(0, "call_1", "get_weather", '{"ci'),))
either = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


# -- raise -----------------------------------------------------------------------------------------------------


def test_nothing_is_replaced_unless_it_was_asked_for(either_world: Any, ask_stream: Request, kit: Any) -> None:
    fallback, leaves = routes(either_world, mid_stream="raise", a=broken(kit, "one"), b="never")
    seen = watch(either_world, either_world.stack([], fallback), ask_stream)
    assert isinstance(seen.error, TruncatedStream)
    assert (seen.text, seen.marks, leaves["b"].calls) == ("one", [], 0)


@pytest.mark.parametrize("mode", ["restart", "continue"])
def test_a_stream_that_nothing_happens_to_is_handed_on_as_it_is(
    either_world: Any, ask_stream: Request, mode: str, kit: Any
) -> None:
    usage = Usage(3, 2, 5)
    fallback, leaves = routes(either_world, mid_stream=mode, a=kit.Flow(("one", " two"), usage=usage), b="never")
    seen = watch(either_world, either_world.stack([], fallback), ask_stream)
    assert [chunk.text for chunk in seen.chunks] == ["one", " two", ""]
    assert (seen.marks, seen.reply.changes, leaves["b"].calls) == ([], {}, 0)
    assert (seen.reply.text, seen.reply.usage, seen.reply.outcome) == ("one two", usage, Outcome.OK)


@pytest.mark.parametrize("mode", ["restart", "continue"])
def test_a_whole_answer_is_the_route_s_own_reply(either_world: Any, ask: Request, mode: str) -> None:
    reply = Reply("whole")
    fallback, _ = routes(either_world, mid_stream=mode, a=lambda request: reply)
    answer = either_world.run(either_world.stack([], fallback), ask)
    assert answer.text == "whole"
    if either_world.name == "threads":
        assert answer is reply


def test_an_unknown_mode_is_refused(kit: Any) -> None:
    with pytest.raises(ValueError, match="one of raise, restart, continue, not 'resume'"):
        Fallback(kit.Leaf(), mid_stream="resume")  # type: ignore[arg-type]


def test_continuing_needs_a_route_that_can(kit: Any) -> None:
    with pytest.raises(ValueError, match="continues=True"):
        Fallback(kit.Leaf(), mid_stream="continue")
    with pytest.raises(TypeError, match="must be True or False, not 'yes'"):
        Route("a", kit.Leaf(), continues="yes")  # type: ignore[arg-type]


# -- restart ---------------------------------------------------------------------------------------------------


def test_the_answer_begins_anew_on_the_next_route(either_world: Any, ask_stream: Request, kit: Any) -> None:
    first = pieces(
        kit,
        Chunk(id="id-a", model="model-a", usage=Usage(7)),
        Chunk("He", reasoning="hm", logprobs=({"token": "He"},), reasoning_details=({"signature": "a"},)),
        Unavailable("gone"),
    )
    second = pieces(
        kit,
        Chunk(id="id-b"),
        Chunk("Hel", logprobs=({"token": "Hel"},)),
        Chunk("lo", logprobs=({"token": "lo"},)),
        Chunk(finish_reason="stop", usage=Usage(7, 2, 9)),
    )
    fallback, leaves = routes(either_world, a=first, b=second)
    heard: list[Any] = []
    stack = either_world.stack([], fallback, observers=[heard.append])
    seen = watch(either_world, stack, ask_stream)
    words = "begun anew on route 'b' after route 'a' broke off"
    assert [(chunk.text, chunk.restarted) for chunk in seen.chunks] == [
        ("He", ""),
        ("Hel", words),
        ("lo", ""),
        ("", ""),
    ]
    reply = seen.reply
    assert (reply.text, reply.reasoning, reply.reasoning_details) == ("Hello", "", ())
    assert list(reply.logprobs) == [{"token": "Hel"}, {"token": "lo"}]
    assert [list(chunk.logprobs) for chunk in seen.chunks[1:3]] == [[{"token": "Hel"}], [{"token": "lo"}]]
    assert (reply.provider, reply.model, reply.id) == ("b", "gpt-4o", "id-b")
    assert (reply.usage, reply.changes) == (Usage(7, 2, 9), {"stream": words})
    assert [(attempt.route, attempt.outcome) for attempt in reply.attempts] == [("a", "error"), ("b", "ok")]
    assert reply.spent == Usage(14)
    assert [(event.origin, event.target) for event in kit.of(FellBack)(heard)] == [("a", "b")]
    assert leaves["b"].seen[0].messages == leaves["a"].seen[0].messages


@given(
    cuts=st.lists(st.integers(0, 5), min_size=1, max_size=3),
    texts=st.lists(st.lists(st.sampled_from(["a", " ", "bc", "\n"]), min_size=4, max_size=4), min_size=3, max_size=3),
)
@either
def test_wherever_routes_break_off_the_text_is_that_of_the_one_that_did_not(
    either_world: Any, ask_stream: Request, cuts: list[int], texts: list[list[str]], kit: Any
) -> None:
    def script(number: int, cut: int) -> Any:
        return kit.Flow(tuple(texts[number])) if cut == 5 else broken(kit, *texts[number][:cut])

    names = "abc"[: len(cuts)]
    fallback, leaves = routes(either_world, **{n: script(i, cut) for i, (n, cut) in enumerate(zip(names, cuts))})  # noqa: B905
    seen = watch(either_world, either_world.stack([], fallback), ask_stream)
    waiting, tried = list(names), []
    while waiting and len(tried) < 6:
        tried.append(waiting.pop(0))
        cut = cuts[names.index(tried[-1])]
        if cut == 5:
            break
        if cut > 0:  # it had begun, so it may go again after the others
            waiting.append(tried[-1])
    begun = [name for name in tried if cuts[names.index(name)] > 0]
    assert [leaf.calls for leaf in leaves.values()] == [tried.count(name) for name in names]
    assert len(seen.marks) == max(0, len(begun) - 1)
    if 5 in cuts:
        assert seen.error is None
        assert seen.text == seen.reply.text == "".join(texts[names.index(tried[-1])])
        assert seen.reply.provider == tried[-1]
        assert seen.reply.changes.get("stream", "") == "; ".join(seen.marks)
    else:
        assert type(seen.error) is (TruncatedStream if begun or len(names) == 1 else AllRoutesFailed)
        assert [attempt.route for attempt in seen.error.attempts] == tried  # type: ignore[union-attr]
        if begun:
            last = names.index(begun[-1])
            assert seen.partial.text == seen.text == "".join(texts[last][: cuts[last]])
            assert (seen.reply.outcome, seen.reply.error) == (Outcome.ERROR, seen.error)


def test_the_next_answer_may_be_a_whole_one(either_world: Any, ask_stream: Request, kit: Any) -> None:
    fallback, _ = routes(either_world, a=broken(kit, "one"), b=lambda request: Reply("whole", usage=Usage(1, 2, 3)))
    seen = watch(either_world, either_world.stack([], fallback), ask_stream)
    assert [chunk.text for chunk in seen.chunks] == ["one", "whole"]
    assert (seen.reply.text, seen.reply.usage, seen.reply.provider) == ("whole", Usage(1, 2, 3), "b")


@pytest.mark.parametrize("error", [RateLimited(), TimedOut(reason="gap"), Unavailable(), AuthenticationFailed()])
def test_any_class_that_another_route_can_help_with_moves_on(
    either_world: Any, ask_stream: Request, error: ProviderError, kit: Any
) -> None:
    fallback, _ = routes(either_world, a=broken(kit, "one", error=error), b=kit.Flow(("two",)))
    assert watch(either_world, either_world.stack([], fallback), ask_stream).reply.text == "two"


@pytest.mark.parametrize("error", [InvalidRequest(), InvalidRequest(reason="content_filter"), ValueError("a bug")])
def test_what_another_route_cannot_help_with_is_raised(
    either_world: Any, ask_stream: Request, error: Exception, kit: Any
) -> None:
    fallback, leaves = routes(either_world, a=broken(kit, "one", error=error), b="never")
    with pytest.raises(type(error)) as raised:
        either_world.run(either_world.stack([], fallback), ask_stream, "read")
    assert raised.value is error
    assert leaves["b"].calls == 0


@pytest.mark.parametrize("mode", ["restart", "continue"])
@pytest.mark.parametrize(
    "last",
    [TOOL, Chunk(finish_reason="stop")],
    ids=["a fragment of a tool call", "the finish reason"],
)
def test_after_a_tool_call_or_the_finish_reason_nothing_is_replaced(
    either_world: Any, ask_stream: Request, mode: str, last: Chunk, kit: Any
) -> None:
    flow = pieces(kit, Chunk("one"), last, AuthenticationFailed())
    fallback, leaves = routes(either_world, mid_stream=mode, a=flow, b="never")
    seen = watch(either_world, either_world.stack([], fallback), ask_stream)
    assert isinstance(seen.error, AuthenticationFailed)
    assert (seen.partial.text, leaves["b"].calls) == ("one", 0)


def test_nothing_is_begun_anew_after_the_deadline(either_world: Any, ask_stream: Request, kit: Any) -> None:
    clock = VirtualClock()

    def chunks() -> Any:
        yield Chunk("one")
        clock.advance(10.0)

    flow = kit.Flow()
    flow.chunks = chunks
    fallback, leaves = routes(either_world, a=flow, b="never")
    seen = watch(either_world, either_world.stack([Deadline(10.0)], fallback, clock=clock), ask_stream)
    assert isinstance(seen.error, DeadlineExceeded)
    assert isinstance(seen.error.__cause__, TruncatedStream)
    assert (seen.partial.text, leaves["b"].calls) == ("one", 0)


def test_nothing_is_begun_anew_beyond_the_cap(either_world: Any, ask_stream: Request, kit: Any) -> None:
    fallback, leaves = routes(either_world, a=broken(kit, "one"), b=broken(kit, "two"), c="never")

    def spend(request: Request) -> Any:
        request.call.cap = 2  # as if others had made attempts in the meantime
        return broken(kit, "two")

    leaves["b"].entries = [spend]
    seen = watch(either_world, either_world.stack([], fallback), ask_stream)
    assert isinstance(seen.error, TruncatedStream)
    assert (seen.error.route, seen.partial.text) == ("b", "two")
    assert [leaf.calls for leaf in leaves.values()] == [1, 1, 0]


@pytest.mark.parametrize("mode", ["raise", "restart"])
def test_while_a_stream_arrives_the_ledger_is_as_it_was_found(
    either_world: Any, ask_stream: Request, mode: str, kit: Any
) -> None:
    fallback, leaves = routes(either_world, mid_stream=mode, a=kit.Flow(), b="never")

    def forced(request: Request) -> Any:
        assert request.call.routes_left == 1
        request.call.forced = True  # as in panic
        return kit.Flow()

    leaves["a"].entries = [forced]
    reply = either_world.run(either_world.stack([], fallback), ask_stream)
    call = leaves["a"].seen[0].call
    assert reply.outcome is None
    assert (call.routes_left, call.forced) == (0, False)


def test_the_next_route_is_retried_as_any_other(either_world: Any, ask_stream: Request, kit: Any) -> None:
    scripts = {"a": broken(kit, "one"), "b": (Unavailable(), kit.Flow(("two",)))}
    fallback, leaves = routes(either_world, **scripts)
    stack = either_world.stack([Retry()], fallback, clock=VirtualClock())
    assert watch(either_world, stack, ask_stream).text == "two"
    assert [leaf.calls for leaf in leaves.values()] == [1, 2]


def test_routers_within_routers_resume_each_on_its_own(either_world: Any, ask_stream: Request, kit: Any) -> None:
    inner, _ = routes(either_world, x=broken(kit, "one"), y=broken(kit, "two"))
    last = either_world.leaf(kit.Flow(("three",)), name="b")
    fallback = Fallback(Route("in", inner), Route("b", last), mid_stream="restart")
    seen = watch(either_world, either_world.stack([], fallback), ask_stream)
    assert [chunk.text for chunk in seen.chunks] == ["one", "two", "three", ""]
    assert seen.marks == [
        "begun anew on route 'in/y' after route 'in/x' broke off",
        "begun anew on route 'b' after route 'in' broke off",
    ]
    assert (seen.reply.text, seen.reply.provider) == ("three", "b")
    assert seen.reply.changes == {"stream": "; ".join(seen.marks)}

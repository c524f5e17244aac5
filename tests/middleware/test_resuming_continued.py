"""A stream that breaks off and is continued by another route."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mainstay.middleware import Fallback
from mainstay.pipeline import (
    AllRoutesFailed,
    Chunk,
    InvalidRequest,
    Outcome,
    Reply,
    Request,
    Route,
    TimedOut,
    ToolCallDelta,
    TruncatedStream,
    Unavailable,
    Usage,
)
from support.resuming import broken, pieces, routes, watch

WHOLE = "The sky \n\n is  blue,\tas air scatters. "
CONTINUED = "continued on route 'b' after route 'a' broke off"


def prefilled(request: Request) -> str:
    """What the assistant is said to have said."""
    last = request.messages[-1]
    return last["content"] if last["role"] == "assistant" else ""


def test_the_next_route_goes_on_with_what_was_said(either_world: Any, ask_stream: Request, kit: Any) -> None:
    first = pieces(
        kit,
        Chunk(id="id-a", usage=Usage(7)),
        Chunk("Hel", reasoning="hm", logprobs=({"token": "Hel"},), reasoning_details=({"signature": "a"},)),
    )
    second = pieces(
        kit,
        Chunk("lo", logprobs=({"token": "lo"},), id="id-b"),
        Chunk(finish_reason="stop", usage=Usage(8, 1, 9)),
    )
    fallback, leaves = routes(either_world, mid_stream="continue", a=first, b=second)
    seen = watch(either_world, either_world.stack([], fallback), ask_stream)
    assert [(chunk.text, chunk.continued) for chunk in seen.chunks] == [("Hel", ""), ("lo", CONTINUED), ("", "")]
    reply = seen.reply
    assert (reply.text, reply.reasoning, reply.changes) == ("Hello", "hm", {"stream": CONTINUED})
    assert list(reply.logprobs) == [{"token": "Hel"}, {"token": "lo"}]
    assert reply.reasoning_details == ()  # a's signature is worth nothing under b's answer
    assert (reply.provider, reply.id, reply.usage, reply.spent) == ("b", "id-b", Usage(8, 1, 9), Usage(15))
    (sent,) = leaves["b"].seen
    assert sent.messages == (*leaves["a"].seen[0].messages, {"role": "assistant", "content": "Hel"})
    assert [(attempt.route, attempt.outcome) for attempt in reply.attempts] == [("a", "error"), ("b", "ok")]


@given(
    cuts=st.lists(st.integers(0, len(WHOLE) + 1), min_size=1, max_size=3),
    size=st.integers(1, 5),
)
@example(cuts=[9, 99], size=1)
@example(cuts=[8, 9, 99], size=1)
@example(cuts=[11, 10, 99], size=3)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_wherever_routes_break_off_the_joined_text_is_right(
    either_world: Any, ask_stream: Request, kit: Any, cuts: list[int], size: int
) -> None:
    """Each route answers as the same perfect model, up to that character of the whole; beyond it, to the end."""

    def script(cut: int) -> Any:
        def answer(request: Request) -> Any:
            said = prefilled(request)
            assert WHOLE.startswith(said)
            assert said == said.rstrip()
            rest = WHOLE[len(said) : cut]
            texts = tuple(rest[at : at + size] for at in range(0, len(rest), size))
            return kit.Flow(texts, whole=cut > len(WHOLE))

        return answer

    names = "abc"[: len(cuts)]
    scripts = {name: script(cut) for name, cut in zip(names, cuts, strict=True)}
    fallback, leaves = routes(either_world, mid_stream="continue", **scripts)
    seen = watch(either_world, either_world.stack([], fallback), ask_stream)
    waiting, tried, said = list(names), [], ""
    while waiting and len(tried) < 6:
        tried.append(waiting.pop(0))
        cut = cuts[names.index(tried[-1])]
        if WHOLE[len(said.rstrip()) : cut]:  # it said something, so it may go again after the others
            said = WHOLE[: max(len(said), cut)]
            waiting.append(tried[-1])
        if cut > len(WHOLE):
            break
    assert [leaf.calls for leaf in leaves.values()] == [tried.count(name) for name in names]
    if max(cuts) > len(WHOLE):
        assert (seen.error, seen.text, seen.reply.text) == (None, WHOLE, WHOLE)
    else:
        assert type(seen.error) is (TruncatedStream if waiting or len(names) == 1 else AllRoutesFailed)
        assert seen.text == said
        assert seen.reply is None or seen.partial.text == seen.text


@pytest.mark.parametrize(
    ("said", "goes_on", "text"),
    [
        ("one \n", [" ", "\n", "two"], "one \ntwo"),
        ("one ", ["two"], "one two"),  # a model that leaves the space out: it stands already
        ("one \n\n", [" \n two"], "one \n\n two"),
        ("one\n", [" two"], "one\n two"),
        ("one ", ["  two"], "one  two"),
    ],
)
def test_white_space_at_the_seam_is_neither_sent_nor_doubled(
    either_world: Any, ask_stream: Request, kit: Any, said: str, goes_on: list[str], text: str
) -> None:
    scripts = {"a": broken(kit, said), "b": kit.Flow(tuple(goes_on))}
    fallback, leaves = routes(either_world, mid_stream="continue", **scripts)
    seen = watch(either_world, either_world.stack([], fallback), ask_stream)
    assert (seen.text, seen.reply.text) == (text, text)
    assert prefilled(leaves["b"].seen[0]) == "one"


def test_only_a_route_that_can_is_asked(either_world: Any, ask_stream: Request, kit: Any) -> None:
    leaves = {name: either_world.leaf(entry, name=name) for name, entry in (("a", broken(kit, "one")), ("b", "never"))}
    leaves["c"] = either_world.leaf(kit.Flow((" two",)), name="c")
    made = [Route(name, leaf, continues=name == "c") for name, leaf in leaves.items()]
    seen = watch(either_world, either_world.stack([], Fallback(*made, mid_stream="continue")), ask_stream)
    assert (seen.text, seen.reply.provider, leaves["b"].calls) == ("one two", "c", 0)


def test_before_the_first_token_every_route_is_asked(either_world: Any, ask_stream: Request, kit: Any) -> None:
    leaves = [either_world.leaf(entry) for entry in (Unavailable(), kit.Flow(("two",)))]
    made = [Route("a", leaves[0], continues=True), Route("b", leaves[1])]
    seen = watch(either_world, either_world.stack([], Fallback(*made, mid_stream="continue")), ask_stream)
    assert (seen.text, seen.marks) == ("two", [])
    assert prefilled(leaves[1].seen[0]) == ""


def test_without_a_further_route_that_can_the_loss_is_raised(either_world: Any, ask_stream: Request, kit: Any) -> None:
    leaves = [either_world.leaf(broken(kit, "one", error=TimedOut(reason="gap"))), either_world.leaf("never")]
    made = [Route("a", leaves[0], continues=True), Route("b", leaves[1])]  # a could, but a timeout does not go again
    seen = watch(either_world, either_world.stack([], Fallback(*made, mid_stream="continue")), ask_stream)
    assert isinstance(seen.error, TimedOut)
    assert (seen.error.route, seen.partial.text, leaves[0].calls, leaves[1].calls) == ("a", "one", 1, 0)


def test_a_route_that_cannot_go_on_does_not_go_again(either_world: Any, ask_stream: Request, kit: Any) -> None:
    leaves = [either_world.leaf(entry) for entry in (Unavailable(), broken(kit, "one"), "never")]
    made = [Route("a", leaves[0], continues=True), Route("b", leaves[1]), Route("c", leaves[2])]
    seen = watch(either_world, either_world.stack([], Fallback(*made, mid_stream="continue")), ask_stream)
    assert isinstance(seen.error, AllRoutesFailed)
    assert [type(error) for error in seen.error.errors] == [Unavailable, TruncatedStream]
    assert (seen.partial.text, [leaf.calls for leaf in leaves]) == ("one", [1, 1, 0])


@pytest.mark.parametrize(
    "chunks",
    [(Chunk(reasoning="hm"),), (Chunk(" \n"),), (Chunk("I"), Chunk(refusal="No."))],
    ids=["only reasoning", "only white space", "a refusal"],
)
def test_what_cannot_be_continued_is_raised(
    either_world: Any, ask_stream: Request, kit: Any, chunks: tuple[Chunk, ...]
) -> None:
    fallback, leaves = routes(either_world, mid_stream="continue", a=pieces(kit, *chunks), b="never")
    seen = watch(either_world, either_world.stack([], fallback), ask_stream)
    assert isinstance(seen.error, TruncatedStream)
    assert leaves["b"].calls == 0


def test_an_error_has_what_came_of_all_routes_together(either_world: Any, ask_stream: Request, kit: Any) -> None:
    tool = Chunk(tool_calls=(ToolCallDelta(0, "call_1", "get_weather"),))
    scripts = {"a": broken(kit, "one "), "b": pieces(kit, Chunk(" two"), tool), "c": "never"}
    fallback, leaves = routes(either_world, mid_stream="continue", **scripts)
    seen = watch(either_world, either_world.stack([], fallback), ask_stream)
    assert isinstance(seen.error, TruncatedStream)
    assert (seen.error.route, seen.partial.text, leaves["c"].calls) == ("b", "one two", 0)
    assert [call.name for call in seen.partial.tool_calls] == ["get_weather"]


@pytest.mark.parametrize("name", ["response_format", "format", "grammar", "json_schema"])
def test_an_enforced_form_is_not_continued(either_world: Any, kit: Any, name: str) -> None:
    fallback, leaves = routes(either_world, mid_stream="continue", a=broken(kit, '{"a":'), b="never")
    ask = Request("m", "Why?", {name: {"type": "json_object"}}, stream=True)
    assert isinstance(watch(either_world, either_world.stack([], fallback), ask).error, TruncatedStream)
    assert leaves["b"].calls == 0


def test_a_continuation_that_is_refused_as_wrong_is_raised_with_what_came(
    either_world: Any, ask_stream: Request, kit: Any
) -> None:
    fallback, _ = routes(either_world, mid_stream="continue", a=broken(kit, "one"), b=InvalidRequest(), c="never")
    seen = watch(either_world, either_world.stack([], fallback), ask_stream)
    assert isinstance(seen.error, InvalidRequest)
    assert (seen.partial.text, seen.reply.outcome, seen.reply.error) == ("one", Outcome.ERROR, seen.error)


@pytest.mark.parametrize(
    ("begun", "content"),
    [
        ("Well, ", "Well, one"),
        ([{"type": "text", "text": "Well, "}], [{"type": "text", "text": "Well, "}, {"type": "text", "text": "one"}]),
        (None, "one"),
    ],
)
def test_a_message_of_the_assistant_that_the_caller_began_is_prolonged(
    either_world: Any, kit: Any, begun: Any, content: Any
) -> None:
    messages = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": begun, "name": "x"}]
    scripts = {"a": broken(kit, "one "), "b": lambda request: Reply(" two")}
    fallback, leaves = routes(either_world, mid_stream="continue", **scripts)
    seen = watch(either_world, either_world.stack([], fallback), Request("m", messages, stream=True))
    assert seen.reply.text == "one two"
    assert leaves["b"].seen[0].messages == (messages[0], {"role": "assistant", "content": content, "name": "x"})


def test_a_continuation_that_a_router_inside_begins_anew_keeps_what_was_said_before(
    either_world: Any, ask_stream: Request, kit: Any
) -> None:
    inner, leaves = routes(either_world, x=broken(kit, " tow"), y=broken(kit, " two "))
    first, last = either_world.leaf(broken(kit, "one ")), either_world.leaf(kit.Flow((" three",)))
    made = [Route("a", first), Route("in", inner, continues=True), Route("b", last, continues=True)]
    seen = watch(either_world, either_world.stack([], Fallback(*made, mid_stream="continue")), ask_stream)
    assert (seen.text, seen.reply.text) == ("one two three", "one two three")
    assert [chunk.text for chunk in seen.chunks] == ["one ", "tow", "one two ", "three", ""]
    assert [prefilled(leaf.seen[0]) for leaf in (*leaves.values(), last)] == ["one", "one", "one two"]
    assert seen.reply.changes == {"stream": "; ".join(seen.marks)}
    assert len(seen.marks) == 3

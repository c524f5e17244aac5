"""Reading a reply: whole, arriving, cut off."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from mainstay.pipeline import (
    Chunk,
    DeadlineExceeded,
    ErrorClass,
    InvalidRequest,
    Outcome,
    Partial,
    ProviderError,
    RateLimited,
    Reply,
    ToolCall,
    ToolCallDelta,
    TruncatedStream,
    Unavailable,
    Usage,
)

END = Chunk(finish_reason="stop")


class Events:
    """Chunks and errors in order, one per step, as an iterator that can be closed."""

    def __init__(self, *steps: Any) -> None:
        self.steps = list(steps)
        self.closed = 0

    def __iter__(self) -> Iterator[Chunk]:
        return self

    def __next__(self) -> Chunk:
        if not self.steps:
            raise StopIteration
        if isinstance(self.steps[0], BaseException):
            raise self.steps.pop(0)
        return self.steps.pop(0)

    def close(self) -> None:
        self.closed += 1


# -- a finished reply ------------------------------------------------------------------------------------------


def test_a_finished_reply_has_everything_at_once() -> None:
    native = object()
    call = ToolCall("1", "f", '{"a": 1}')
    reply = Reply(
        "text",
        reasoning="why",
        tool_calls=[call],
        usage=Usage(1, 2),
        provider="p",
        model="m",
        id="x",
        raw=lambda: native,
    )
    assert (reply.text, reply.reasoning, reply.tool_calls) == ("text", "why", (call,))
    assert (reply.outcome, reply.error, reply.finish_reason) == (Outcome.OK, None, "stop")
    assert reply.raw is native
    assert reply.partial == Partial("text", "why", (call,), Usage(1, 2))
    assert reply.read() is reply


def test_iterating_a_finished_reply_gives_one_chunk_each_time() -> None:
    reply = Reply("text", tool_calls=[ToolCall("1", "f", "{}")], usage=Usage(1), model="m", id="x")
    for _ in range(2):
        assert list(reply) == [Chunk("text", "", [ToolCallDelta(0, "1", "f", "{}")], "stop", None, Usage(1), "x", "m")]
    with pytest.raises(TypeError, match="complete"):
        next(reply)  # type: ignore[call-overload]


def test_closing_a_finished_reply_changes_nothing() -> None:
    with Reply("text") as reply:
        pass
    reply.close()
    assert (reply.text, reply.outcome) == ("text", Outcome.OK)


def test_what_the_provider_did_not_say_is_none_and_never_zero() -> None:
    assert Reply("text").usage is None
    assert Reply("text").raw is None
    usage = Usage(prompt_tokens=3)
    assert (usage.completion_tokens, usage.total_tokens, usage.cached_tokens, usage.cost) == (None, None, None, None)


def test_the_arguments_of_a_tool_call_parse_as_json() -> None:
    assert ToolCall("1", "f", '{"a": [1]}').parse() == {"a": [1]}
    assert ToolCall("1", "f", "").parse() == {}
    with pytest.raises(ValueError, match="Expecting"):
        ToolCall("1", "f", '{"a":').parse()


# -- an arriving reply -----------------------------------------------------------------------------------------


def test_a_stream_hands_on_its_chunks_and_has_the_answer_at_the_end() -> None:
    chunks = [
        Chunk("a", id="x", model="gpt-4o-2024"),
        Chunk("b", reasoning="why"),
        Chunk(finish_reason="stop", native_finish_reason="end_turn"),
        Chunk(usage=Usage(1, 2)),
    ]
    events = Events(*chunks)
    reply = Reply.stream(events, provider="p", model="gpt-4o")
    assert (reply.provider, reply.outcome) == ("p", None)
    assert list(reply) == chunks
    assert (reply.text, reply.reasoning, reply.usage) == ("ab", "why", Usage(1, 2))
    assert (reply.id, reply.model) == ("x", "gpt-4o-2024")
    assert (reply.finish_reason, reply.native_finish_reason) == ("stop", "end_turn")
    assert (reply.outcome, events.closed, reply.events_seen) == (Outcome.OK, 1, 4)
    assert list(reply) == []


def test_fragments_of_tool_calls_are_put_together_by_index() -> None:
    steps = [
        Chunk(tool_calls=[ToolCallDelta(1, "b", "g", "{")]),
        Chunk(tool_calls=[ToolCallDelta(0, "a", "f", '{"x"'), ToolCallDelta(1, arguments="}")]),
        Chunk(tool_calls=[ToolCallDelta(0, arguments=": 1}")]),
        Chunk(finish_reason="tool_calls"),
    ]
    reply = Reply.stream(iter(steps)).read()
    assert reply.tool_calls == (ToolCall("a", "f", '{"x": 1}'), ToolCall("b", "g", "{}"))


@pytest.mark.parametrize(
    ("chunk", "meaningful"),
    [
        (Chunk("a"), True),
        (Chunk(reasoning="a"), True),
        (Chunk(tool_calls=[ToolCallDelta(0)]), True),
        (END, True),
        (Chunk(), False),
        (Chunk(usage=Usage(1)), False),
        (Chunk(id="x", model="m"), False),
    ],
)
def test_only_what_moves_the_answer_on_is_meaningful(chunk: Chunk, meaningful: bool) -> None:
    assert chunk.meaningful is meaningful


def test_the_preamble_is_waited_for_inside_the_call_and_is_not_handed_on() -> None:
    events = Events(Chunk(id="x"), Chunk(usage=Usage(9)), Chunk("a"), END)
    reply = Reply.stream(events)
    assert len(events.steps) == 1
    assert (reply.id, reply.usage, reply.events_seen) == ("x", Usage(9), 3)
    assert [chunk.text for chunk in reply] == ["a", ""]


@pytest.mark.parametrize("preamble", [[], [Chunk(id="x")], [Chunk(usage=Usage(1))]])
def test_an_error_in_the_preamble_is_raised_inside_the_call(preamble: list[Chunk]) -> None:
    error = RateLimited(status=429)
    events = Events(*preamble, error)
    with pytest.raises(RateLimited) as caught:
        Reply.stream(events)
    assert caught.value is error
    assert events.closed == 1


def test_the_text_of_a_stream_that_is_still_arriving_is_refused_and_read_is_named() -> None:
    reply = Reply.stream(iter([Chunk("a"), END]))
    for name in ("text", "reasoning", "tool_calls"):
        with pytest.raises(RuntimeError, match=r"still arriving: iterate it, or call read\(\) first"):
            getattr(reply, name)
    assert reply.partial == Partial("a")
    assert reply.read().text == "a"


# -- the proof of the end --------------------------------------------------------------------------------------


def test_a_stream_that_ends_before_anything_came_is_truncated_inside_the_call() -> None:
    events = Events(Chunk(id="x", usage=Usage(7)))
    with pytest.raises(TruncatedStream) as caught:
        Reply.stream(events, provider="p", model="m")
    error = caught.value
    assert (error.error_class, error.reason) == (ErrorClass.UNAVAILABLE, "truncated_stream")
    assert (error.provider, error.model, error.partial) == ("p", "m", Partial(usage=Usage(7)))
    assert events.closed == 1


def test_a_truncated_stream_carries_what_came() -> None:
    call = Chunk(tool_calls=[ToolCallDelta(0, "1", "f", '{"a')])
    events = Events(Chunk("so "), Chunk("far", reasoning="why"), call, Chunk(usage=Usage(1, 2)))
    reply = Reply.stream(events, provider="p", model="m")
    seen: list[str] = []
    with pytest.raises(TruncatedStream) as caught:
        seen.extend(chunk.text for chunk in reply)
    partial = caught.value.partial
    assert partial == Partial("so far", "why", (ToolCall("1", "f", '{"a'),), Usage(1, 2))
    assert reply.partial == partial
    assert (reply.outcome, reply.error, events.closed) == (Outcome.ERROR, caught.value, 1)
    with pytest.raises(RuntimeError, match=r"did not arrive whole: `\.partial`"):
        _ = reply.text
    assert list(reply) == []


def test_a_finish_reason_alone_is_proof_enough() -> None:
    assert Reply.stream(iter([Chunk("a", finish_reason="length")])).read().text == "a"


@pytest.mark.parametrize("farewell", [Unavailable(reason="connection_reset"), DeadlineExceeded(), TruncatedStream()])
def test_what_goes_wrong_after_the_finish_reason_is_accepted(farewell: ProviderError) -> None:
    events = Events(Chunk("a"), END, farewell)
    reply = Reply.stream(events).read()
    assert (reply.text, reply.outcome, reply.error, events.closed) == ("a", Outcome.OK, None, 1)


@pytest.mark.parametrize("error", [InvalidRequest(), RateLimited(), KeyError("a bug")])
def test_an_error_that_is_no_lost_farewell_counts_even_after_the_finish_reason(error: Exception) -> None:
    reply = Reply.stream(iter(Events(Chunk("a"), END, error)))
    with pytest.raises(type(error)) as caught:
        reply.read()
    assert caught.value is error
    assert (reply.outcome, reply.error) == (Outcome.ERROR, error)


def test_an_error_in_mid_stream_is_raised_as_it_is_with_what_came() -> None:
    error = Unavailable(reason="connection_reset")
    reply = Reply.stream(Events(Chunk("a"), Chunk("b"), error))
    with pytest.raises(Unavailable) as caught:
        reply.read()
    assert caught.value is error
    assert error.partial == Partial("ab")
    assert reply.outcome is Outcome.ERROR


def test_an_error_that_has_its_own_partial_and_attempts_keeps_them() -> None:
    mine = Partial("mine")
    error = Unavailable(partial=mine, attempts=("a",))  # type: ignore[arg-type]
    with pytest.raises(Unavailable):
        Reply.stream(Events(Chunk("a"), error)).read()
    assert error.partial is mine
    assert list(error.attempts) == ["a"]


def test_a_bug_in_the_events_is_an_error_of_the_reply() -> None:
    reply = Reply.stream(Events(Chunk("a"), ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        reply.read()
    assert reply.outcome is Outcome.ERROR


def test_an_interrupt_in_the_preamble_frees_the_connection() -> None:
    events = Events(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        Reply.stream(events)
    assert events.closed == 1


def test_an_interrupt_while_reading_closes_the_stream_and_is_nobody_s_failure() -> None:
    events = Events(Chunk("a"), KeyboardInterrupt())
    ended: list[Any] = []
    reply = Reply.stream(events)
    reply.on_end(lambda reply: ended.append((reply.outcome, reply.error)))
    with pytest.raises(KeyboardInterrupt):
        reply.read()
    assert events.closed == 1
    assert ended == [(Outcome.CLOSED, None)]


# -- nothing is kept, nothing is shown -------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [(), (Chunk("a"),)])
def test_a_failed_stream_is_freed_without_a_collection(steps: tuple[Any, ...]) -> None:
    gc.collect()
    gc.disable()
    try:
        kept = fail(Events(*steps, Unavailable("down")))
        assert kept() is None
    finally:
        gc.enable()


def fail(events: Events) -> weakref.ref[Any]:
    try:
        for _ in Reply.stream(events):
            pass
    except Unavailable as error:
        return weakref.ref(error)
    raise AssertionError


def test_no_repr_shows_what_was_said() -> None:
    reply = Reply.stream(iter([Chunk("said aloud"), END]), provider="p", model="m")
    assert repr(reply) == "<Reply arriving provider='p' model='m' finish_reason=None usage=None>"
    assert "said" not in repr(reply.partial)
    assert repr(Reply("said aloud")) == "<Reply ok provider='' model='' finish_reason='stop' usage=None>"
    assert "said" not in repr(ToolCall("1", "f", "said aloud"))
    assert "said" not in repr(Unavailable(partial=reply.partial))
    reply.close()

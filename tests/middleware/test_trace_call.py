from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import StatusCode

from mainstay.middleware import Deadline, Fallback, Retry, Trace, TraceCall
from mainstay.pipeline import (
    AllRoutesFailed,
    Call,
    InvalidRequest,
    Partial,
    ProviderError,
    Reply,
    Request,
    Route,
    Secret,
    Stack,
    ToolCall,
    TruncatedStream,
    Unavailable,
    VirtualClock,
)

PROMPT, ANSWER, KEY = "the-prompt-itself", "the-answer-itself", "sk-the-key-itself"


def outcomes(spans: Any) -> list[tuple[str, StatusCode]]:
    return [(span.attributes["mainstay.outcome"], span.status.status_code) for span in spans]


# -- who is whose parent ---------------------------------------------------------------------------------------


def test_the_caller_s_span_is_the_parent_of_the_call_and_the_call_of_its_attempts(
    either_world: Any, tracing: Any, ask: Request
) -> None:
    routes = Route("a", either_world.leaf(Unavailable())), Route("b", either_world.leaf())
    stack = either_world.stack([Trace(tracing.provider)], Fallback(*routes))
    with tracing.provider.get_tracer("app").start_as_current_span("app", kind=trace.SpanKind.SERVER) as app:
        either_world.run(stack, ask)
    (call,) = tracing.calls
    assert call.parent.span_id == app.get_span_context().span_id
    assert [span.parent.span_id for span in tracing.attempts] == [call.context.span_id] * 2
    assert {span.context.trace_id for span in tracing.spans} == {app.get_span_context().trace_id}


def test_without_a_span_of_the_caller_s_the_call_is_the_root(either_world: Any, tracing: Any, ask: Request) -> None:
    either_world.run(either_world.stack([Trace(tracing.provider)], either_world.leaf()), ask)
    assert tracing.calls[0].parent is None
    assert tracing.attempts[0].parent.span_id == tracing.calls[0].context.span_id


def test_the_handler_sees_the_attempt_s_span_as_current_and_nobody_else_does(
    either_world: Any, tracing: Any, ask: Request
) -> None:
    seen: list[Any] = []
    around: list[Any] = []

    def watch(handler: Any) -> Any:
        def call(request: Request) -> Any:
            around.append(trace.get_current_span())
            return handler(request)

        return call

    leaf = either_world.leaf(lambda request: seen.append(trace.get_current_span()) or "answer")
    stack = either_world.stack([watch, Trace(tracing.provider)], leaf, check=False)
    with tracing.provider.get_tracer("app").start_as_current_span("app") as app:
        either_world.run(stack, ask)
        assert trace.get_current_span() is app
    assert around == [app]
    assert [span.get_span_context() for span in seen] == [span.context for span in tracing.attempts]


def test_the_call_s_span_can_be_switched_off_alone(tracing: Any, kit: Any, ask: Request) -> None:
    stack = Stack([Trace(tracing.provider)], kit.Leaf())
    stack.disable("trace_call")
    with tracing.provider.get_tracer("app").start_as_current_span("app") as app:
        stack(ask)
    assert tracing.attempts[0].parent.span_id == app.get_span_context().span_id


def test_a_stack_with_trace_gets_the_call_s_span_outermost_and_one_that_has_it_no_second(
    tracing: Any, kit: Any
) -> None:
    assert [layer.name for layer in Stack([Deadline(), Trace()], kit.Leaf()).layers] == [
        "trace_call",
        "deadline",
        "trace",
    ]
    layers = Stack([Deadline(), TraceCall(), Trace()], kit.Leaf()).layers
    assert [layer.name for layer in layers] == ["deadline", "trace_call", "trace"]


def test_nested_stacks_have_one_span_for_the_call(either_world: Any, tracing: Any, ask: Request) -> None:
    inner = either_world.stack([Trace(tracing.provider)], either_world.leaf(Unavailable()))
    other = either_world.stack([Trace(tracing.provider)], either_world.leaf())
    outer = either_world.stack([TraceCall(tracing.provider)], Fallback(Route("x", inner), Route("y", other)))
    either_world.run(outer, ask)
    (call,) = tracing.calls
    assert [span.parent.span_id for span in tracing.attempts] == [call.context.span_id] * 2
    assert [event.name for event in call.events] == ["mainstay.fallback"]


def test_a_route_of_a_stack_inside_is_told_by_its_whole_path_and_its_tries_are_counted(
    either_world: Any, tracing: Any, ask: Request
) -> None:
    routes = Route("openai", either_world.leaf(Unavailable(), "fine"))
    inner = either_world.stack([Retry(), Trace(tracing.provider)], Fallback(routes))
    outer = either_world.stack([TraceCall(tracing.provider)], Fallback(Route("eu", inner)), clock=VirtualClock())
    either_world.run(outer, ask)
    told = [
        (span.attributes["mainstay.route"], span.attributes.get("http.request.resend_count"))
        for span in tracing.attempts
    ]
    assert told == [("eu/openai", None), ("eu/openai", 1)]
    assert tracing.calls[0].attributes["mainstay.route"] == "eu/openai"


def test_where_only_the_routes_trace_each_has_a_span_of_its_own_and_nothing_is_added_to_an_ended_one(
    either_world: Any, tracing: Any, ask: Request
) -> None:
    inner = either_world.stack([Trace(tracing.provider)], either_world.leaf(Unavailable()))
    other = either_world.stack([Trace(tracing.provider)], either_world.leaf())
    either_world.run(either_world.stack([], Fallback(Route("x", inner), Route("y", other))), ask)
    assert outcomes(tracing.calls) == [("error", StatusCode.ERROR), ("ok", StatusCode.UNSET)]
    assert [span.parent.span_id for span in tracing.attempts] == [span.context.span_id for span in tracing.calls]


# -- however it ends -------------------------------------------------------------------------------------------


def endings(kit: Any) -> dict[str, tuple[Any, str, type[BaseException] | None, str, StatusCode]]:
    unset, error = StatusCode.UNSET, StatusCode.ERROR
    return {
        "exhausted": (kit.Flow(), "read", None, "ok", unset),
        "cut": (kit.Flow(whole=False), "read", TruncatedStream, "error", error),
        "broken": (kit.Flow(error=Unavailable()), "read", Unavailable, "error", error),
        "bug": (kit.Flow(error=ValueError()), "read", ValueError, "error", error),
        "interrupted": (kit.Flow(error=KeyboardInterrupt()), "read", KeyboardInterrupt, "closed", unset),
        "closed": (kit.Flow(), "close", None, "closed", unset),
        "left": (kit.Flow(), "leave", None, "closed", unset),
        "dropped": (kit.Flow(), "drop", None, "closed", unset),
        "never begun": (kit.Flow(()), "read", None, "ok", unset),
        "complete": ("answer", "keep", None, "ok", unset),
        "failed": (Unavailable(), "keep", Unavailable, "error", error),
        "stopped": (KeyboardInterrupt(), "keep", KeyboardInterrupt, "closed", unset),
    }


@pytest.mark.parametrize("ending", list(endings(type("Kit", (), {"Flow": lambda *a, **k: None}))))
def test_however_a_reply_ends_each_level_has_one_ended_span(
    either_world: Any, kit: Any, tracing: Any, ask_stream: Request, ending: str
) -> None:
    entry, end, raised, outcome, status = endings(kit)[ending]
    if raised is KeyboardInterrupt and either_world.name == "asyncio":
        raised = entry.error = asyncio.CancelledError  # an interrupt ends the loop itself
        entry = kit.Flow(error=raised()) if end == "read" else raised()
    stack = either_world.stack([Trace(tracing.provider)], either_world.leaf(entry))
    if raised is None:
        either_world.run(stack, ask_stream, end)
    else:
        with pytest.raises(raised):
            either_world.run(stack, ask_stream, end)
    assert [span.kind.name for span in tracing.spans] == ["CLIENT", "INTERNAL"]
    assert outcomes(tracing.spans) == [(outcome, status)] * 2
    assert all(("error.type" in span.attributes) == (status is StatusCode.ERROR) for span in tracing.spans)


def test_a_stream_that_broke_says_that_a_finish_reason_never_came(tracing: Any, kit: Any, ask_stream: Request) -> None:
    reply = Stack([Trace(tracing.provider)], kit.Leaf(kit.Flow(whole=False)))(ask_stream)
    with pytest.raises(TruncatedStream):
        reply.read()
    assert tracing.attempts[0].attributes["gen_ai.response.finish_reasons"] == ("error",)
    assert tracing.attempts[0].attributes["mainstay.reason"] == "truncated_stream"


def test_spans_are_open_until_the_stream_is_over(tracing: Any, kit: Any, ask_stream: Request) -> None:
    reply = Stack([Trace(tracing.provider)], kit.Leaf(kit.Flow()))(ask_stream)
    next(reply)
    assert tracing.spans == ()
    reply.read()
    assert len(tracing.spans) == 2


def test_a_stream_may_end_in_another_thread(tracing: Any, kit: Any, ask_stream: Request) -> None:
    with tracing.provider.get_tracer("app").start_as_current_span("app"):
        reply = Stack([Trace(tracing.provider)], kit.Leaf(kit.Flow()))(ask_stream)
        thread = threading.Thread(target=reply.read)
        thread.start()
        thread.join()
    assert outcomes(tracing.calls + tracing.attempts) == [("ok", StatusCode.UNSET)] * 2


@pytest.mark.parametrize("begun", [False, True], ids=["before the first token", "in the stream"])
def test_a_cancelled_task_ends_both_spans_as_closed(tracing: Any, kit: Any, ask_stream: Request, begun: bool) -> None:
    async def main() -> None:
        waiting = asyncio.Event()

        async def chunks() -> Any:
            from mainstay.pipeline import Chunk

            if begun:
                yield Chunk(text="one")
            waiting.set()
            await asyncio.Event().wait()

        async def leaf(request: Request) -> Any:
            from mainstay.pipeline import AsyncReply

            return await AsyncReply.stream(chunks())

        stack = kit.Loop.stack([Trace(tracing.provider)], leaf)
        task = asyncio.create_task(kit.Loop.arun(stack, ask_stream, "read"))
        await waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert outcomes(tracing.spans) == [("closed", StatusCode.UNSET)] * 2
    assert not [span for span in tracing.spans if "error.type" in span.attributes]


def test_a_middleware_that_answers_nonsense_does_not_leave_a_span_open(tracing: Any, kit: Any, ask: Request) -> None:
    def nonsense(handler: Any) -> Any:
        return lambda request: "no reply at all"

    with pytest.raises(AttributeError):
        Stack([TraceCall(tracing.provider), nonsense], kit.Leaf())(ask)
    assert outcomes(tracing.calls) == [("error", StatusCode.ERROR)]


# -- many at once, and what must never be told ------------------------------------------------------------------


def test_calls_in_many_threads_keep_their_attempts_apart(tracing: Any, ask: Request) -> None:
    together = threading.Barrier(16)

    def leaf(request: Request) -> Reply:
        together.wait()
        if len(request.call.attempts) < 3:
            raise Unavailable
        return Reply("answer")

    stack = Stack([Retry(), Trace(tracing.provider)], leaf, clock=VirtualClock())
    threads = [threading.Thread(target=stack, args=(ask,)) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(tracing.calls) == 16
    for call in tracing.calls:
        mine = [span for span in tracing.attempts if span.parent.span_id == call.context.span_id]
        assert [span.attributes.get("http.request.resend_count") for span in mine] == [None, 1, 2]
        assert {span.context.trace_id for span in mine} == {call.context.trace_id}


def leaky_error(kind: type[ProviderError] = Unavailable) -> ProviderError:
    error = kind(KEY, detail=PROMPT, hint=KEY, partial=Partial(ANSWER), code=KEY)
    error.__cause__ = OSError(f"Bearer {KEY}: {PROMPT}")
    return error


def everything(spans: Any) -> str:
    told = [[span.name, dict(span.attributes), span.status.description, span.resource.attributes] for span in spans]
    told += [[event.name, dict(event.attributes)] for span in spans for event in span.events]
    return repr([dict(entry) if not isinstance(entry, (list, str)) else entry for entry in told])


def test_no_prompt_no_answer_and_no_key_is_ever_told(either_world: Any, kit: Any, tracing: Any) -> None:
    whole = Reply(ANSWER, reasoning=ANSWER, tool_calls=[ToolCall("1", "f", ANSWER)], raw=lambda: KEY)
    entries: list[list[Any]] = [
        [whole],
        [kit.Flow((ANSWER, ANSWER))],
        [kit.Flow((ANSWER,), error=leaky_error())],
        [leaky_error(), leaky_error(InvalidRequest)],
        [ValueError(f"{KEY} {PROMPT}")],
        [leaky_error()],
    ]
    params = {
        "user": KEY,
        "key": Secret(KEY),
        "logit_bias": {PROMPT: 1},
        "temperature": 1,
        "top_p": PROMPT,
        "seed": KEY,
    }
    ask = Request("m", [{"role": "user", "content": PROMPT}], params, stream=True)
    for script in entries:
        routes = (
            Route("a", either_world.leaf(*script), params={"api_key": KEY}, rename={"logit_bias": "bias"}),
            Route("b", either_world.leaf(*script), drop=frozenset({"user"})),
        )
        layers = [Retry(), Trace(tracing.provider)]
        stack = either_world.stack(layers, Fallback(*routes), clock=VirtualClock())
        with suppress(ProviderError, ValueError):
            either_world.run(stack, ask, "read")
    told = everything(tracing.spans)
    assert len(tracing.calls) == len(entries)
    assert "mainstay.retry" in told
    assert "mainstay.fallback" in told
    for secret in (PROMPT, ANSWER, KEY):
        assert secret not in told


def test_the_call_s_span_has_the_class_of_what_the_caller_sees(tracing: Any, kit: Any, ask: Request) -> None:
    routes = Route("a", kit.Leaf(Unavailable())), Route("b", kit.Leaf(Unavailable()))
    with pytest.raises(AllRoutesFailed):
        Stack([Trace(tracing.provider)], Fallback(*routes))(ask)
    assert tracing.calls[0].attributes["error.type"] == "unavailable"
    assert "mainstay.route" not in tracing.calls[0].attributes
    assert tracing.calls[0].attributes["mainstay.attempts"] == 2


def test_a_span_that_was_started_is_ended_whatever_interrupts(
    either_world: Any, tracing: Any, ask: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*given: Any, **named: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Call, "observe", interrupted)
    with pytest.raises(KeyboardInterrupt):
        either_world.run(either_world.stack([Trace(tracing.provider)], lambda request: Reply("x")), ask)
    assert [span.name for span in tracing.spans] == ["mainstay chat"]

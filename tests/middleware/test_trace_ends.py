"""Spans end exactly once, whoever ends the call, wherever. The `tracing` fixture fails if one is ended twice."""

from __future__ import annotations

import asyncio
import gc
import threading
from contextlib import suppress
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.context import attach, detach, get_value, set_value
from opentelemetry.trace import StatusCode

from mainstay.middleware import Retry, Trace, TraceCall
from mainstay.pipeline import AsyncStack, BreakerChanged, Reply, Request, Stack, Unavailable, VirtualClock

CLOSED = [("closed", StatusCode.UNSET)] * 2


def ends(tracing: Any) -> list[tuple[str, StatusCode]]:
    assert not [
        span
        for span in tracing.spans
        if ("error.type" in span.attributes) != (span.status.status_code is StatusCode.ERROR)
    ]
    return [(span.attributes["mainstay.outcome"], span.status.status_code) for span in tracing.spans]


def test_a_stream_that_a_thread_leaves_behind_is_over_when_nobody_has_it_any_more(
    tracing: Any, kit: Any, ask_stream: Request
) -> None:
    stack = Stack([Trace(tracing.provider)], kit.Leaf(kit.Flow()))
    thread = threading.Thread(target=lambda: next(stack(ask_stream)))
    thread.start()
    thread.join()
    gc.collect()
    assert ends(tracing) == CLOSED


def test_a_stream_that_is_part_of_a_cycle_is_over_when_it_is_collected(
    tracing: Any, kit: Any, ask_stream: Request
) -> None:
    cycle: list[Any] = [Stack([Trace(tracing.provider)], kit.Leaf(kit.Flow()))(ask_stream)]
    cycle.append(cycle)
    assert ends(tracing) == []
    del cycle
    gc.collect()
    assert ends(tracing) == CLOSED


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_what_ends_the_program_ends_the_spans_and_is_no_error(
    tracing: Any, kit: Any, ask: Request, kind: type[BaseException]
) -> None:
    with pytest.raises(kind):
        Stack([Trace(tracing.provider)], kit.Leaf(kind()))(ask)
    assert ends(tracing) == CLOSED


def test_a_stream_that_many_threads_close_and_read_at_once_ends_once(
    tracing: Any, kit: Any, ask_stream: Request
) -> None:
    stack = Stack([Trace(tracing.provider)], lambda request: Reply.stream(kit.Flow(("x",) * 50).chunks()))
    for _ in range(20):
        reply = stack(ask_stream)
        together = threading.Barrier(4)

        def end(way: str, reply: Any = reply, together: Any = together) -> None:
            together.wait()
            with suppress(ValueError):  # a generator that another thread is reading
                getattr(reply, way)()

        threads = [threading.Thread(target=end, args=(way,)) for way in ("close", "read", "close", "close")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        del reply
    assert len(tracing.calls) == len(tracing.attempts) == 20


def test_a_task_that_is_never_finished_leaves_no_span_open_and_no_complaint(
    tracing: Any, ask: Request, caplog: pytest.LogCaptureFixture
) -> None:
    """Its coroutine is closed in whatever context the last reference is dropped in."""

    async def leaf(request: Request) -> Any:
        await asyncio.Event().wait()

    stack = AsyncStack([Trace(tracing.provider)], leaf)
    call = stack(ask)
    other = tracing.provider.get_tracer("app").start_span("other")
    context = trace.set_span_in_context(other)
    loop = asyncio.new_event_loop()

    async def begin() -> None:
        call.send(None)

    loop.run_until_complete(begin())
    loop.close()
    with trace.use_span(other):
        call.close()
        assert trace.get_current_span() is other
    other.end()
    assert trace.get_current_span(context) is other
    assert [span.attributes["mainstay.outcome"] for span in tracing.spans if span.name != "other"] == [
        "closed",
        "closed",
    ]
    assert caplog.text == ""


def test_a_handler_that_leaves_its_own_span_current_does_not_leave_it_to_the_caller(tracing: Any, ask: Request) -> None:
    def leaf(request: Request) -> Reply:
        attach(trace.set_span_in_context(tracing.provider.get_tracer("leaf").start_span("leaky")))
        return Reply("fine")

    before = trace.get_current_span()
    Stack([Trace(tracing.provider)], leaf)(ask)
    assert trace.get_current_span() is before


def test_what_a_middleware_of_the_application_s_makes_current_stays_so_in_the_handler(
    tracing: Any, ask: Request
) -> None:
    def tenant(handler: Any) -> Any:
        def call(request: Request) -> Any:
            token = attach(set_value("tenant", "acme"))
            try:
                return handler(request)
            finally:
                detach(token)

        return call

    seen: list[Any] = []
    leaf = lambda request: seen.append(get_value("tenant")) or Reply("fine")  # noqa: E731
    Stack([tenant, Trace(tracing.provider)], leaf, check=False)(ask)
    assert seen == ["acme"]
    assert get_value("tenant") is None


def test_calls_of_many_tasks_keep_what_is_current_apart(tracing: Any) -> None:
    seen: dict[str, set[Any]] = {}

    async def leaf(request: Request) -> Reply:
        for _ in range(5):
            seen.setdefault(request.model, set()).add(trace.get_current_span().get_span_context().span_id)
            await asyncio.sleep(0)
        if len(request.call.attempts) == 1:
            raise Unavailable
        return Reply("fine")

    async def main() -> None:
        stack = AsyncStack([Retry(), Trace(tracing.provider)], leaf, clock=VirtualClock())
        await asyncio.gather(*(stack(Request(f"m{number}", "Hi")) for number in range(20)))

    asyncio.run(main())
    for number in range(20):
        mine = {span.context.span_id for span in tracing.attempts if span.name == f"chat m{number}"}
        assert len(mine) == 2
        assert seen[f"m{number}"] == mine


def test_a_breaker_that_tells_late_adds_nothing_to_a_span_that_is_over(tracing: Any, ask: Request) -> None:
    calls: list[Any] = []
    stack = Stack([TraceCall(tracing.provider)], lambda request: calls.append(request.call) or Reply("fine"))
    stack(ask)
    calls[0].emit(BreakerChanged("a", "closed", "open"))
    assert tracing.calls[0].events == ()


def test_a_stream_whose_attempt_failed_after_others_has_their_spans_closed_already(
    tracing: Any, kit: Any, ask_stream: Request
) -> None:
    leaf = kit.Leaf(Unavailable(), kit.Flow(("one",), whole=False))
    stack = Stack([Retry(), Trace(tracing.provider)], leaf, clock=VirtualClock())
    reply = stack(ask_stream)
    assert ends(tracing) == [("error", StatusCode.ERROR)]
    with pytest.raises(Unavailable):
        reply.read()
    assert ends(tracing) == [("error", StatusCode.ERROR)] * 3

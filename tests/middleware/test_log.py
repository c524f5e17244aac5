from __future__ import annotations

import gc
import io
import json
import logging
import pickle
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import structlog
from structlog.testing import CapturingLogger, capture_logs

from mainstay.middleware import CircuitBreaker, Cost, Fallback, Log, Price, Prices, Retry, Trace, Validate
from mainstay.pipeline import (
    Partial,
    Problem,
    ProviderError,
    QuotaExceeded,
    RateLimited,
    Request,
    Route,
    Secret,
    Stack,
    TimedOut,
    Unavailable,
    Usage,
    VirtualClock,
)

PROMPT, ANSWER, KEY = "the-prompt-itself", "the-answer-itself", "sk-the-key-itself"


@pytest.fixture(autouse=True)
def unconfigured() -> Iterator[None]:
    """structlog as an application finds it, before and after."""
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()


def eventful(world: Any, layers: list[Any] | None = None, **options: Any) -> Any:
    """A call that retries, opens a breaker, falls back, skips a route, and succeeds."""
    first = world.leaf(TimedOut(reason="read"), QuotaExceeded(status=402, reason="credit"), name="openai")
    routes = Route("a", first, model="small"), Route("b", world.leaf("never")), Route("c", world.leaf(name="ollama"))
    layers = [Log(**options)] if layers is None else layers
    stack = world.stack([*layers, Retry(), CircuitBreaker()], Fallback(*routes), clock=VirtualClock())
    stack.part("breaker", route="b").isolate()
    return stack


def test_each_attempt_and_each_decision_is_one_line(either_world: Any, ask: Request) -> None:
    with capture_logs() as lines:
        either_world.run(eventful(either_world), ask)
    assert lines == [
        {
            "event": "attempt",
            "log_level": "warning",
            "number": 1,
            "route": "a",
            "provider": "openai",
            "model": "small",
            "outcome": "error",
            "error": "timeout",
            "reason": "read",
            "status": None,
            "seconds": 0.0,
        },
        {"event": "retry", "log_level": "warning", "route": "a", "error": "timeout", "reason": "read", "delay": 0.0},
        {
            "event": "attempt",
            "log_level": "warning",
            "number": 2,
            "route": "a",
            "provider": "openai",
            "model": "small",
            "outcome": "error",
            "error": "quota",
            "reason": "credit",
            "status": 402,
            "seconds": 0.0,
        },
        {
            "event": "breaker",
            "log_level": "warning",
            "route": "a",
            "before": "closed",
            "after": "open",
            "error": "quota",
            "reason": "credit",
            "reopens_in": 225.0,
        },
        {
            "event": "fallback",
            "log_level": "warning",
            "route": "a",
            "error": "quota",
            "reason": "credit",
            "target": "b",
        },
        {
            "event": "skip",
            "log_level": "warning",
            "route": "b",
            "error": "unavailable",
            "reason": "",
            "retry_after": None,
        },
        {
            "event": "fallback",
            "log_level": "warning",
            "route": "b",
            "error": "unavailable",
            "reason": "",
            "target": "c",
        },
        {
            "event": "attempt",
            "log_level": "info",
            "number": 3,
            "route": "c",
            "provider": "ollama",
            "model": "gpt-4o",
            "outcome": "ok",
            "error": "",
            "reason": "",
            "status": None,
            "seconds": 0.0,
        },
    ]


def test_a_stream_is_told_when_it_is_over_and_one_that_was_closed_is_no_warning(kit: Any, ask_stream: Request) -> None:
    clock = VirtualClock()
    with capture_logs() as lines:
        reply = Stack([Log()], kit.Leaf(kit.Flow()), clock=clock)(ask_stream)
        assert lines == []
        clock.advance(1.23456)
        reply.close()
    assert [(line["log_level"], line["outcome"], line["seconds"]) for line in lines] == [("info", "closed", 1.2346)]


def test_a_bug_is_told_by_its_type(kit: Any, ask: Request) -> None:
    with capture_logs() as lines, pytest.raises(ZeroDivisionError):
        Stack([Log()], kit.Leaf(ZeroDivisionError(PROMPT)))(ask)
    assert [(line["outcome"], line["error"], line["reason"]) for line in lines] == [("error", "", "ZeroDivisionError")]


def test_a_breaker_that_recovers_is_told_without_a_reason(kit: Any, ask: Request) -> None:
    clock = VirtualClock()
    stack = Stack([Log(), CircuitBreaker(failures=1)], kit.Leaf(Unavailable(), "fine"), clock=clock)
    with capture_logs() as lines:
        with pytest.raises(Unavailable):
            stack(ask)
        clock.advance(1000.0)
        stack(ask)
    steps = [(line["before"], line["after"]) for line in lines if line["event"] == "breaker"]
    assert steps == [("closed", "open"), ("open", "half-open"), ("half-open", "closed")]
    assert [line["reason"] for line in lines if line["event"] == "breaker"][-1] == ""


def test_an_attempt_is_told_with_its_tokens_its_cost_and_what_it_waited_for(kit: Any, ask_stream: Request) -> None:
    clock = VirtualClock()

    def entry(request: Request) -> Any:
        clock.advance(1.5)
        return kit.Flow(usage=Usage(1000, 500))

    stack = Stack([Log(), Cost(Prices({"gpt-4o": Price(1.0, 2.0)}))], kit.Leaf(entry), clock=clock)
    with capture_logs() as lines:
        stack(ask_stream).read()
    fields = ("first_chunk", "input_tokens", "output_tokens", "cost", "retry_after")
    assert [lines[0].get(name) for name in fields] == [1.5, 1000, 500, 0.002, None]


def test_doubts_are_told_by_name_and_never_by_value(kit: Any) -> None:
    class Picky(kit.Leaf):  # type: ignore[misc, name-defined]
        def check(self, request: Request) -> tuple[Problem, ...]:
            return (Problem("seed", f"seed={KEY} is no number", "a"), Problem("stop", f"{KEY}", "b"))

    stack = Stack([Log(), Validate("warn"), CircuitBreaker(failures=1, observe=True)], Picky(Unavailable(), "fine"))
    with capture_logs() as lines:
        with pytest.raises(Unavailable):
            stack(Request("m", "hi"))
        stack(Request("m", "hi"))
    assert [line["doubted"] for line in lines if line["event"] == "parameters"] == [["a: seed", "b: stop"]] * 2
    assert [line["route"] for line in lines if line["event"] == "doubt"] == ["leaf"]
    assert KEY not in repr(lines)


def test_a_rest_is_told_with_its_length(kit: Any, ask: Request) -> None:
    limited = kit.Leaf(RateLimited(reason="requests", retry_after=60.0))
    stack = Stack(
        [Log(), CircuitBreaker()], Fallback(Route("a", limited), Route("b", kit.Leaf())), clock=VirtualClock()
    )
    with capture_logs() as lines:
        stack(ask)
    fields = {"route": "a", "seconds": 60.0, "error": "rate_limit", "reason": "requests", "log_level": "warning"}
    assert [line for line in lines if line["event"] == "rest"] == [{"event": "rest", **fields}]


def test_a_stream_that_goes_on_elsewhere_is_told(either_world: Any, kit: Any, ask_stream: Request) -> None:
    broken = either_world.leaf(kit.Flow(("one",), error=Unavailable(reason="connection_reset")))
    routes = Fallback(Route("a", broken), Route("b", either_world.leaf(kit.Flow())), mid_stream="restart")
    with capture_logs() as lines:
        either_world.run(either_world.stack([Log()], routes, clock=VirtualClock()), ask_stream, "read")
    assert [(line["event"], line.get("target"), line.get("mode")) for line in lines if line["event"] != "attempt"] == [
        ("fallback", "b", None),
        ("resume", "b", "restart"),
    ]


# -- where lines go --------------------------------------------------------------------------------------------


def test_without_a_configuration_lines_go_to_the_standard_logger_with_their_fields(
    kit: Any, ask: Request, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO, "mainstay")
    eventful(kit.Threads)(ask)
    assert {record.name for record in caplog.records} == {"mainstay"}
    levels = [record.levelname for record in caplog.records]
    assert levels == ["WARNING"] * 7 + ["INFO"]
    assert (caplog.records[2].status, caplog.records[2].route) == (402, "a")  # type: ignore[attr-defined]
    assert not structlog.is_configured()
    assert capsys.readouterr() == ("", "")


def test_a_standard_line_shows_its_fields_under_any_formatter(
    kit: Any, ask: Request, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "mainstay")
    eventful(kit.Threads)(ask)
    lines = [record.getMessage() for record in caplog.records]
    assert lines[2] == (
        "attempt number=2 route=a provider=openai model=small outcome=error error=quota reason=credit "
        "status=402 seconds=0.0"
    )
    assert lines[4] == "fallback target=b route=a error=quota reason=credit"


def test_the_standard_logger_s_level_holds(kit: Any, ask: Request, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "mainstay")
    Stack([Log()], kit.Leaf())(ask)
    assert caplog.records == []


def test_a_configured_structlog_is_used(kit: Any, ask: Request, capsys: pytest.CaptureFixture[str]) -> None:
    sink = CapturingLogger()
    structlog.configure(processors=[structlog.processors.KeyValueRenderer()], logger_factory=lambda *args: sink)
    Stack([Log()], kit.Leaf())(ask)
    assert [call.method_name for call in sink.calls] == ["info"]
    assert "route='leaf'" in sink.calls[0].args[0]
    assert capsys.readouterr() == ("", "")


def test_a_logger_that_is_given_is_used_whatever_is_configured(kit: Any, ask: Request) -> None:
    given = CapturingLogger()
    with capture_logs() as lines:
        Stack([Log(given)], kit.Leaf())(ask)
    assert lines == []
    assert [(call.method_name, call.args) for call in given.calls] == [("info", ("attempt",))]


def test_a_standard_logger_may_be_given(kit: Any, ask: Request, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "shop.llm")
    Stack([Log(logging.getLogger("shop.llm"))], kit.Leaf())(ask)
    assert [(record.name, record.route) for record in caplog.records] == [("shop.llm", "leaf")]  # type: ignore[attr-defined]


def test_in_an_application_s_json_a_line_has_its_fields_and_the_application_s_context(kit: Any, ask: Request) -> None:
    written = io.StringIO()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(written),
    )
    with structlog.contextvars.bound_contextvars(order="o-17"):
        eventful(kit.Threads)(ask)
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    assert [line["event"] for line in lines] == [
        "attempt", "retry", "attempt", "breaker", "fallback", "skip", "fallback", "attempt",
    ]  # fmt: skip
    assert {line["order"] for line in lines} == {"o-17"}
    assert {line["level"] for line in lines} == {"info", "warning"}
    assert lines[2]["status"] == 402


def test_in_an_application_s_standard_json_a_line_has_its_fields(kit: Any, ask: Request) -> None:
    """structlog as a formatter of the standard library's logging, in the way that its documentation shows."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
            foreign_pre_chain=[structlog.stdlib.add_logger_name, structlog.stdlib.ExtraAdder()],
        )
    )
    logger = logging.getLogger("mainstay")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        eventful(kit.Threads)(ask)
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    assert len(lines) == 8
    assert (lines[2]["logger"], lines[2]["status"], lines[2]["route"]) == ("mainstay", 402, "a")


@pytest.mark.parametrize(
    ("level", "listening", "words"),
    [(logging.DEBUG, 1, 8), (logging.INFO, 1, 8), (logging.WARNING, 1, 7), (logging.ERROR, 0, 0)],
)
@pytest.mark.parametrize("standard", [True, False])
def test_lines_that_would_be_filtered_are_not_made(
    kit: Any, ask: Request, level: int, listening: int, words: int, standard: bool, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[int] = []
    if standard:
        caplog.set_level(level, "mainstay")
        count: Any = caplog.records
    else:
        sink = CapturingLogger()
        count = sink.calls
        structlog.configure(
            processors=[structlog.processors.KeyValueRenderer()],
            wrapper_class=structlog.make_filtering_bound_logger(level),
            logger_factory=lambda *args: sink,
        )

    def look(request: Request) -> Any:
        heard.append(len(request.call.observers))
        return "fine"

    eventful(kit.Threads)(ask)
    assert len(count) == words
    Stack([Log()], kit.Leaf(look))(ask)
    if standard or hasattr(structlog.make_filtering_bound_logger(level), "is_enabled_for"):  # structlog 25.1 has it
        assert heard == [listening]


# -- whose trace -----------------------------------------------------------------------------------------------


def test_each_line_leads_to_its_span(either_world: Any, ask: Request, tracing: Any) -> None:
    layers = [Log()]
    first = either_world.leaf(TimedOut(reason="read"), QuotaExceeded(status=402, reason="credit"), name="openai")
    routes = Route("a", first), Route("b", either_world.leaf(name="ollama"))
    stack = either_world.stack([*layers, Retry(), CircuitBreaker(), Trace(tracing.provider)], Fallback(*routes))
    with capture_logs() as lines:
        either_world.run(stack, ask)
    (call,) = tracing.calls
    ids = [(line["trace_id"], line["span_id"]) for line in lines]
    assert {trace for trace, _ in ids} == {format(call.context.trace_id, "032x")}
    attempts = [span for line, (_, span) in zip(lines, ids, strict=True) if line["event"] == "attempt"]
    assert attempts == [format(span.context.span_id, "016x") for span in tracing.attempts]
    others = {span for line, (_, span) in zip(lines, ids, strict=True) if line["event"] != "attempt"}
    assert others == {format(call.context.span_id, "016x")}


def test_a_stream_s_line_leads_to_its_span_wherever_it_is_read(kit: Any, ask_stream: Request, tracing: Any) -> None:
    with capture_logs() as lines:
        reply = Stack([Log(), Trace(tracing.provider)], kit.Leaf(kit.Flow()))(ask_stream)
        with tracing.provider.get_tracer("application").start_as_current_span("another"):
            reply.read()
    (attempt,) = tracing.attempts
    assert [line["span_id"] for line in lines] == [format(attempt.context.span_id, "016x")]


def test_without_a_trace_of_its_own_a_line_leads_to_the_caller_s(kit: Any, ask: Request, tracing: Any) -> None:
    with capture_logs() as lines, tracing.provider.get_tracer("application").start_as_current_span("mine") as mine:
        Stack([Log()], kit.Leaf())(ask)
    assert lines[0]["trace_id"] == format(mine.get_span_context().trace_id, "032x")


def test_where_nobody_records_a_line_has_no_ids(kit: Any, ask: Request) -> None:
    with capture_logs() as lines:
        Stack([Log(), Trace()], kit.Leaf())(ask)
    assert not {"trace_id", "span_id"} & lines[0].keys()


# -- what ends by itself ---------------------------------------------------------------------------------------


def test_a_stream_that_is_dropped_waits_for_no_logger_s_lock(kit: Any, ask: Request, ask_stream: Request) -> None:
    """The thread that collects is writing a line itself at that moment, and its logger's lock cannot be taken twice."""
    written = io.StringIO()
    logger = structlog.wrap_logger(structlog.WriteLogger(written), processors=[structlog.processors.JSONRenderer()])
    stack = Stack([Log(logger)], kit.Leaf(kit.Flow(), "fine"))
    gc.disable()
    try:
        dropped: list[Any] = [stack(ask_stream)]
        dropped.append(dropped)  # so that only a collection frees it
        del dropped

        def collect_while_writing() -> None:
            with structlog.WriteLogger(written)._lock:
                gc.collect()

        collecting = threading.Thread(target=collect_while_writing, daemon=True)
        collecting.start()
        collecting.join(20)
        assert not collecting.is_alive()
    finally:
        gc.enable()
    assert written.getvalue() == ""
    stack(ask)
    assert [json.loads(line)["outcome"] for line in written.getvalue().splitlines()] == ["closed", "ok"]


def test_two_logs_with_loggers_of_their_own_both_write(kit: Any, ask: Request) -> None:
    one, two = CapturingLogger(), CapturingLogger()
    Stack([Log(one, name="one"), Log(two, name="two")], kit.Leaf())(ask)
    assert len(one.calls) == len(two.calls) == 1


def test_nested_stacks_write_each_line_once(either_world: Any, ask: Request) -> None:
    inner = either_world.stack([Log()], either_world.leaf())
    with capture_logs() as lines:
        either_world.run(either_world.stack([Log()], Fallback(Route("a", inner))), ask)
    assert len(lines) == 1


def test_each_call_writes_its_own_lines(kit: Any, ask: Request) -> None:
    stack = Stack([Log()], kit.Leaf())
    with capture_logs() as lines:
        for _ in range(3):
            stack(ask)
    assert [line["number"] for line in lines] == [1, 1, 1]


def test_a_logger_that_raises_is_no_trouble_for_the_call(
    either_world: Any, ask: Request, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def info(self, *args: Any, **kwargs: Any) -> None:
            raise OSError("disk full")

    assert either_world.run(either_world.stack([Log(Broken())], either_world.leaf()), ask).text == "answer"
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_switched_off_it_writes_nothing(kit: Any, ask: Request) -> None:
    stack = eventful(kit.Threads)
    stack.disable("log")
    with capture_logs() as lines:
        stack(ask)
    assert lines == []


# -- what must never be told -----------------------------------------------------------------------------------


def test_no_line_has_a_prompt_an_answer_or_a_key(either_world: Any, kit: Any, caplog: Any) -> None:
    caplog.set_level(logging.DEBUG)
    sink = CapturingLogger()

    def leaky() -> ProviderError:
        error = Unavailable(KEY, detail=PROMPT, hint=KEY, partial=Partial(ANSWER), code=KEY)
        error.__cause__ = OSError(f"{KEY}: {PROMPT}")
        return error

    params = {"user": KEY, "key": Secret(KEY), "stop": [PROMPT]}
    ask = Request("m", [{"role": "user", "content": PROMPT}], params, stream=True)
    for script in ([leaky(), kit.Flow((ANSWER,))], [kit.Flow((ANSWER,), error=leaky())], [ValueError(KEY)], [leaky()]):
        for layers in ([Log()], [Log(sink)]):
            routes = (
                Route("a", either_world.leaf(*script), params={"api_key": KEY}),
                Route("b", either_world.leaf(ANSWER)),
            )
            stack = either_world.stack([*layers, Retry(), CircuitBreaker()], Fallback(*routes), clock=VirtualClock())
            with suppress(ProviderError, ValueError):
                either_world.run(stack, ask, "read")
    told = repr([(call.method_name, call.args, call.kwargs) for call in sink.calls])
    told += repr([vars(record) for record in caplog.records if record.name == "mainstay"])
    assert "fallback" in told
    assert "retry" in told
    for secret in (PROMPT, ANSWER, KEY):
        assert secret not in told


def test_it_pickles() -> None:
    assert pickle.loads(pickle.dumps(Log())) == Log()

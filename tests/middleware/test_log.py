from __future__ import annotations

import logging
import pickle
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import structlog
from structlog.testing import CapturingLogger, capture_logs

from mainstay.middleware import CircuitBreaker, Fallback, Log, Retry
from mainstay.pipeline import (
    Partial,
    ProviderError,
    QuotaExceeded,
    Request,
    Route,
    Secret,
    Stack,
    TimedOut,
    Unavailable,
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


STORY = [
    ("attempt", "info"),
    ("retry", "warning"),
    ("attempt", "warning"),
]


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
            "reason": "credit",
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

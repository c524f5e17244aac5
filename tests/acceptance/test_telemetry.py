"""Traces and metrics of a faulty run, as a real collector received them: they tell what the sandboxes counted."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from structlog.testing import CapturingLogger

from mainstay.adapters.sandbox import Answer, faults
from mainstay.middleware import Fallback, Health, Log, semconv, standard
from mainstay.pipeline import Attempt, Clock, ProviderError, Request, Route, Stack
from mainstay.providers import Telemetry, export
from support.collector import Collector

PROMPT, ANSWER, KEY = "the-prompt-itself", "the-answer-itself", "sk-test"
CALLS = 120


@pytest.fixture
def clock() -> Clock:
    """Sleeping takes no time, and none passes: the waits of one thread must not run out the timeouts of another."""
    return Clock(sleep=lambda seconds: None, random=lambda: 0.5)


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


@pytest.fixture
def telemetry(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> Iterator[Telemetry]:
    for name in ("OTEL_SDK_DISABLED", "OTEL_SERVICE_NAME", "OTEL_TRACES_SAMPLER", "OTEL_EXPORTER_OTLP_COMPRESSION"):
        monkeypatch.delenv(name, raising=False)
    with export(
        collector.url, service="acceptance", headers={"x-key": KEY}, exit_timeout=30.0, install=False
    ) as telemetry:
        yield telemetry


def faulty(bench: Any, clock: Any, telemetry: Telemetry, **more: Any) -> tuple[Any, dict[str, Any]]:
    """A stack over three providers, two of which fail at random in every way; the third only answers."""
    odds = {
        faults.status(429, retry_after=1): 0.1,
        faults.status(503): 0.15,
        faults.overloaded(): 0.1,
        faults.cut(2): 0.1,
        faults.cut(0): 0.05,
        faults.error_in_200(): 0.05,
        faults.malformed(1): 0.05,
        faults.status(504): 0.05,
        faults.context_length(): 0.05,
    }
    servers: dict[str, Any] = {}
    routes = []
    for number, dialect in enumerate(("openai", "claude", "openrouter")):
        server, adapter = bench(dialect)
        server.default = Answer(ANSWER)
        if dialect != "openrouter":
            server.chaos(odds, seed=number)
        servers[dialect] = server
        routes.append(Route(dialect, adapter, "a-model"))
    layers = standard(tracer_provider=telemetry.tracer_provider, meter_provider=telemetry.meter_provider)
    layers[:0] = more.pop("watching", [])
    return Stack(layers, Fallback(*routes), clock=clock, **more), servers


def asked(stack: Any, number: int) -> list[Attempt]:
    """One call, streaming or not, read or left in the middle; its ledger."""
    request = Request("gpt-4o", f"{PROMPT} {number}", {"max_tokens": 50}, stream=number % 2 == 0)
    try:
        with stack(request) as reply:
            if number % 10 == 4:
                next(reply)
            elif request.stream:
                reply.read()
            return list(reply.attempts)
    except ProviderError as error:
        return list(error.attempts)


def test_a_collector_gets_every_attempt_that_the_sandboxes_counted(
    bench: Any, clock: Any, telemetry: Telemetry, collector: Collector
) -> None:
    stack, servers = faulty(bench, clock, telemetry)
    with ThreadPoolExecutor(8) as pool:
        ledgers = list(pool.map(lambda number: asked(stack, number), range(CALLS)))
    assert telemetry.shutdown()
    attempts = [attempt for ledger in ledgers for attempt in ledger]
    sent = {name: server.count for name, server in servers.items()}
    assert sum(sent.values()) == len(attempts) > CALLS
    assert min(sent.values()) > 0

    calls, tries = collector.spans("INTERNAL"), collector.spans("CLIENT")
    assert Counter(span["attributes"][semconv.ROUTE] for span in tries) == sent
    assert len({span["traceId"] for span in calls}) == len(calls) == CALLS
    roots = {span["spanId"] for span in calls}
    assert all(span["parentSpanId"] in roots for span in tries)
    assert all("parentSpanId" not in span for span in calls)
    for span in (*calls, *tries):
        assert int(span["endTimeUnixNano"]) >= int(span["startTimeUnixNano"]) > 0
    assert len({span["spanId"] for span in (*calls, *tries)}) == len(calls) + len(tries)
    failed = [span for span in tries if span.get("status", {}).get("code") == "STATUS_CODE_ERROR"]
    assert len(failed) == sum(attempt.outcome == "error" for attempt in attempts) > 10

    assert collector.totals(semconv.ATTEMPT_COUNT, semconv.ROUTE) == {(name,): n for name, n in sent.items()}
    errors = Counter((str(a.error_class), a.reason) for a in attempts if a.outcome == "error")
    assert collector.totals(semconv.ATTEMPT_COUNT, semconv.ERROR_TYPE, semconv.REASON) == {
        **errors,
        (None, None): sum(attempt.outcome != "error" for attempt in attempts),
    }

    known = [attempt.usage for attempt in attempts if attempt.usage is not None]
    tokens = sum(usage.prompt_tokens or 0 for usage in known), sum(usage.completion_tokens or 0 for usage in known)
    assert min(tokens) > 0
    names = semconv.INPUT_TOKENS, semconv.OUTPUT_TOKENS
    assert tuple(sum(span["attributes"].get(name, 0) for span in tries) for name in names) == tokens
    assert not any(name in span["attributes"] for span in calls for name in names)
    used = collector.totals(semconv.TOKEN_USAGE, semconv.TOKEN_TYPE)
    assert (used["input",], used["output",]) == tokens


def test_nothing_that_a_collector_gets_has_a_prompt_an_answer_or_a_key(
    bench: Any, clock: Any, telemetry: Telemetry, collector: Collector
) -> None:
    stack, _ = faulty(bench, clock, telemetry)
    for number in range(40):
        asked(stack, number)
    assert telemetry.shutdown()
    assert {headers["x-key"] for headers in collector.headers} == {KEY}  # it did get its own key, and that only there
    assert {resource["service.name"] for resource in collector.resources} == {"acceptance"}
    received = b"".join(collector.raw)
    assert b"a-model" in received
    for secret in (PROMPT, ANSWER, KEY):
        assert secret.encode() not in received


def test_ledger_sandbox_metrics_log_breaker_and_health_agree(
    bench: Any, clock: Any, telemetry: Telemetry, collector: Collector
) -> None:
    """Many threads at once through one stack; whoever is asked afterwards tells the same numbers."""
    lines, health = CapturingLogger(), Health()
    stack, servers = faulty(bench, clock, telemetry, watching=[Log(lines)], observers=[health])
    together = threading.Barrier(24)

    def many(thread: int) -> list[Attempt]:
        together.wait(20)
        return [attempt for number in range(5) for attempt in asked(stack, 5 * thread + number)]

    with ThreadPoolExecutor(24) as pool:
        attempts = [attempt for ledger in pool.map(many, range(24)) for attempt in ledger]
    routes = stack.routes()
    states = {route: stack.part("breaker", route=route).snapshot(clock.now())["state"] for route in routes}
    assert telemetry.shutdown()

    told = Counter(call.kwargs["route"] for call in lines.calls if call.args == ("attempt",))
    status = health.status(stack)
    sent = {name: server.count for name, server in servers.items()}
    assert sent == Counter(attempt.route for attempt in attempts)
    assert sent == told
    assert sent == {route: status[route]["attempts"] for route in routes}
    assert {(name,): n for name, n in sent.items()} == collector.totals(semconv.ATTEMPT_COUNT, semconv.ROUTE)
    assert len(collector.spans("CLIENT")) == sum(sent.values())

    errors = Counter(attempt.route for attempt in attempts if attempt.outcome == "error")
    counted = collector.totals(semconv.ATTEMPT_COUNT, semconv.ROUTE, semconv.OUTCOME)
    assert errors == {route: counted[route, "error"] for route in routes if counted[route, "error"]}
    assert errors == {route: status[route]["errors"] for route in routes if status[route]["errors"]}
    assert errors == Counter(c.kwargs["route"] for c in lines.calls if c.kwargs.get("outcome") == "error")

    for word, metric in (("retry", semconv.RETRIES), ("fallback", semconv.FALLBACKS), ("skip", semconv.REFUSALS),
                         ("breaker", semconv.TRANSITIONS)):  # fmt: skip
        counts = Counter((call.kwargs["route"],) for call in lines.calls if call.args == (word,))
        assert counts == collector.totals(metric, semconv.ROUTE), word
    assert {route: status[route]["state"] for route in routes} == states
    gauge = collector.totals(semconv.STATE, semconv.ROUTE, semconv.STATE)
    assert {key: count for key, count in gauge.items() if count} == {(route, states[route]): 1 for route in routes}


def test_with_a_dead_collector_every_call_is_made_and_none_waits(
    bench: Any, clock: Any, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred batches for a collector that takes connections and never answers; each hand-over waits for 10 s."""
    import socket

    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "8")
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "50")
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        dead = export(f"http://127.0.0.1:{deaf.getsockname()[1]}", install=False, exit_timeout=0.2)
        server, adapter = bench("openai")
        stack = Stack(
            standard(tracer_provider=dead.tracer_provider, meter_provider=dead.meter_provider),
            Fallback(Route("a", adapter)),
        )
        # Were calls to wait for it, they would take a quarter of an hour, and the test's own time would be up.
        for number in range(400):
            assert asked(stack, number)
        assert server.count == 400
        assert not dead.shutdown()
        assert not dead.delivered

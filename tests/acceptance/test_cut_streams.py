"""Streams that end early: cut by the provider, or given up by the caller. Nothing stays open, nobody is blamed."""

from __future__ import annotations

import gc
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from mainstay.adapters.sandbox import Answer, ToolUse, faults
from mainstay.middleware import CircuitBreaker, standard
from mainstay.pipeline import ProviderError, Request, TruncatedStream

DIALECTS = ("openai", "claude", "openrouter", "ollama", "llama_cpp")
LONG = Answer("".join(f"word{n} " for n in range(50)))


@pytest.fixture
def world(either: Any) -> Any:
    """Every test of this file is run in both worlds."""
    return either


@pytest.mark.parametrize("how", ["close", "reset", "clean"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_cut_stream_is_truncated_and_carries_what_came(dialect: str, how: str, bench: Any, world: Any) -> None:
    server, adapter = bench(dialect)
    server.always(faults.cut(3, how, answer=Answer("one two three four five")))
    with world.Stack(standard(), adapter)(Request("m", "count", stream=True)) as reply:
        with pytest.raises(TruncatedStream) as caught:
            reply.read()
        assert caught.value.partial is not None
        assert caught.value.partial.text == "one two three"
        assert caught.value.provider == dialect
        assert len(caught.value.attempts) == 1


@pytest.mark.parametrize(
    ("dialect", "request_id"),
    [("openai", "req_000000000001"), ("claude", "req_000000000001"), ("openrouter", "gen-000000000001")],
)
@pytest.mark.parametrize("fault", [faults.cut, faults.error_event])
def test_an_error_after_the_first_token_carries_the_id_of_the_request(
    dialect: str, request_id: str, fault: Any, bench: Any, world: Any
) -> None:
    server, adapter = bench(dialect)
    server.always(fault(1, answer=LONG))
    with adapter(Request("m", "count", stream=True)) as reply, pytest.raises(ProviderError) as caught:
        reply.read()
    assert caught.value.request_id == request_id


@pytest.mark.parametrize("dialect", ["openai", "claude", "openrouter", "llama_cpp"])
def test_a_stream_cut_in_a_tool_call_carries_the_fragments(dialect: str, bench: Any, world: Any) -> None:
    server, adapter = bench(dialect)
    tool = ToolUse("get_weather", {"city": "Rome", "unit": "celsius"}, id="call_1")
    server.always(faults.cut(2, answer=Answer("", tool_calls=(tool,))))
    tools = [{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}]
    request = Request("m", "weather?", {"tools": tools}, stream=True)
    with world.Stack(standard(), adapter)(request) as reply, pytest.raises(TruncatedStream) as caught:
        reply.read()
    assert caught.value.partial is not None
    (call,) = caught.value.partial.tool_calls
    assert (call.id, call.name) == ("call_1", "get_weather")


def give_up_by_closing(reply: Any) -> None:
    reply.close()


def give_up_by_leaving(reply: Any) -> None:
    with reply:
        next(reply)


def give_up_by_an_error_of_ones_own(reply: Any) -> None:
    with pytest.raises(KeyError), reply:
        next(reply)
        raise KeyError("the application's own")


def give_up_by_dropping(reply: Any) -> None:
    """The caller's last name for it is gone when this returns."""


@pytest.mark.parametrize(
    "give_up", [give_up_by_closing, give_up_by_leaving, give_up_by_an_error_of_ones_own, give_up_by_dropping]
)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_stream_given_up_leaves_nothing_open_and_blames_nobody(
    dialect: str, give_up: Any, bench: Any, world: Any
) -> None:
    exporter = InMemorySpanExporter()
    tracing = TracerProvider()
    tracing.add_span_processor(SimpleSpanProcessor(exporter))
    server, adapter = bench(dialect)
    server.always(faults.stall(10, answer=LONG))
    layers = [
        CircuitBreaker(failures=1) if layer.name == "breaker" else layer for layer in standard(tracer_provider=tracing)
    ]
    stack = world.Stack(layers, adapter)

    give_up(stack(Request("m", "count", stream=True)))
    gc.collect()

    assert server.wait_until(lambda s: s.open_connections == 0)
    spans = exporter.get_finished_spans()
    assert sorted(span.name for span in spans) == ["chat m", "mainstay chat"]
    assert all(span.status.is_unset and span.attributes["mainstay.outcome"] == "closed" for span in spans)
    attempt = next(span for span in spans if span.name == "chat m")
    assert f"http://{attempt.attributes['server.address']}:{attempt.attributes['server.port']}" in server.url
    shot = stack.part("breaker").snapshot(stack.clock.now())
    assert (shot["state"], shot["failures"]) == ("closed", 0)
    tracing.shutdown()

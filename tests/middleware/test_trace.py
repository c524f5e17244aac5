from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode

from mainstay.middleware import CircuitBreaker, Fallback, Retry, Trace, TraceCall
from mainstay.pipeline import (
    CircuitOpen,
    ProviderError,
    RateLimited,
    Reply,
    Request,
    Route,
    RouteResting,
    Stack,
    Unavailable,
    Usage,
    VirtualClock,
)


class Adapter:
    """A leaf that looks like an adapter: it has a provider and an address."""

    provider = "claude"
    address = ("api.anthropic.com", 443)

    def __init__(self, answer: Callable[[Request], Any]) -> None:
        self.answer = answer

    def __call__(self, request: Request) -> Any:
        return self.answer(request)


# -- what a span of an attempt says ----------------------------------------------------------------------------


def test_an_attempt_is_a_client_span_with_the_names_of_the_conventions(tracing: Any) -> None:
    usage = Usage(10, 5, 15, cached_tokens=4, reasoning_tokens=2)
    adapter = Adapter(lambda request: Reply("hi", usage=usage, model="claude-x-1", id="msg_1"))
    params = {"temperature": 0.2, "max_tokens": 50, "top_k": 3, "stop": ["x"], "seed": "odd"}
    Stack([Trace(tracing.provider)], Fallback(Route("claude", adapter, model="claude-x")))(Request("m", "Hi", params))
    (span,) = tracing.attempts
    assert (span.name, span.kind) == ("chat claude-x", SpanKind.CLIENT)
    assert dict(span.attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": "claude-x",
        "gen_ai.request.temperature": 0.2,
        "gen_ai.request.max_tokens": 50,
        "gen_ai.request.top_k": 3,
        "gen_ai.response.model": "claude-x-1",
        "gen_ai.response.id": "msg_1",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 4,
        "gen_ai.usage.reasoning.output_tokens": 2,
        "server.address": "api.anthropic.com",
        "server.port": 443,
        "mainstay.route": "claude",
        "mainstay.attempt": 1,
        "mainstay.outcome": "ok",
    }
    assert span.status.status_code is StatusCode.UNSET
    assert span.instrumentation_scope.name == "mainstay"


def test_the_call_is_an_internal_span_without_tokens(tracing: Any, kit: Any) -> None:
    leaf = kit.Leaf(Reply("hi", usage=Usage(10, 5)), name="openai")
    Stack([Trace(tracing.provider)], Fallback(Route("first", leaf)))(Request("gpt-4o", "Hi"))
    (span,) = tracing.calls
    assert (span.name, span.kind, span.status.status_code) == ("mainstay chat", SpanKind.INTERNAL, StatusCode.UNSET)
    assert dict(span.attributes) == {
        "gen_ai.request.model": "gpt-4o",
        "mainstay.attempts": 1,
        "mainstay.route": "first",
        "mainstay.outcome": "ok",
    }


def test_tokens_that_were_not_told_are_absent_and_not_zero(tracing: Any, kit: Any, ask: Request) -> None:
    stack = Stack([Trace(tracing.provider)], kit.Leaf(Reply("hi", usage=Usage(prompt_tokens=0)), Reply("hi")))
    stack(ask)
    stack(ask)
    told, untold = ([name for name in span.attributes if "usage" in name] for span in tracing.attempts)
    assert told == ["gen_ai.usage.input_tokens"]
    assert untold == []


def test_a_stream_says_so_and_how_long_its_first_chunk_took(either_world: Any, kit: Any, tracing: Any) -> None:
    clock = VirtualClock()

    def flow(request: Request) -> Any:
        clock.advance(0.25)
        return kit.Flow(usage=Usage(7, 3))

    stack = either_world.stack([Trace(tracing.provider)], either_world.leaf(flow), clock=clock)
    either_world.run(stack, Request("m", "Hi", stream=True), "read")
    (span,) = tracing.attempts
    assert span.attributes["gen_ai.request.stream"] is True
    assert span.attributes["gen_ai.response.time_to_first_chunk"] == 0.25
    assert span.attributes["gen_ai.usage.output_tokens"] == 3


def test_a_complete_reply_says_nothing_about_streaming(tracing: Any, kit: Any, ask: Request) -> None:
    Stack([Trace(tracing.provider)], kit.Leaf())(ask)
    names = set(tracing.attempts[0].attributes)
    assert not names & {"gen_ai.request.stream", "gen_ai.response.time_to_first_chunk", "http.request.resend_count"}


def test_parameters_that_a_route_changed_are_named(tracing: Any, kit: Any) -> None:
    route = Route("a", kit.Leaf(), drop=frozenset({"seed"}), rename={"n": "count"})
    Stack([Trace(tracing.provider)], Fallback(route))(Request("m", "Hi", {"seed": 1, "n": 2, "temperature": 1}))
    assert tracing.attempts[0].attributes["mainstay.parameters.changed"] == ("n", "seed")


@pytest.mark.parametrize("number", range(7))
def test_an_error_says_its_class_status_reason_and_wait(tracing: Any, kit: Any, ask: Request, number: int) -> None:
    error = kit.one_of_each(status=499, reason="why", retry_after=3.0)[number]
    with pytest.raises(ProviderError):
        Stack([Trace(tracing.provider)], kit.Leaf(error))(ask)
    for span in tracing.spans:
        assert span.status.status_code is StatusCode.ERROR
        assert span.status.description is None
        assert span.attributes["error.type"] == error.error_class.value
        assert span.attributes["mainstay.outcome"] == "error"
        assert span.events == ()
    (attempt,) = tracing.attempts
    told = [
        attempt.attributes[name] for name in ("http.response.status_code", "mainstay.reason", "mainstay.retry_after")
    ]
    assert told == [499, "why", 3.0]


def test_an_error_that_knows_nothing_more_says_nothing_more(tracing: Any, kit: Any, ask: Request) -> None:
    with pytest.raises(Unavailable):
        Stack([Trace(tracing.provider)], kit.Leaf(Unavailable()))(ask)
    assert not {"http.response.status_code", "mainstay.reason", "mainstay.retry_after"} & set(
        tracing.attempts[0].attributes
    )


def test_a_bug_is_an_error_of_its_own_type(tracing: Any, kit: Any, ask: Request) -> None:
    with pytest.raises(ZeroDivisionError):
        Stack([Trace(tracing.provider)], kit.Leaf(ZeroDivisionError("secret")))(ask)
    assert [span.attributes["error.type"] for span in tracing.spans] == ["ZeroDivisionError"] * 2
    assert {span.status.status_code for span in tracing.spans} == {StatusCode.ERROR}


# -- one span per attempt that left ----------------------------------------------------------------------------


def test_each_try_is_a_span_and_counts_the_earlier_ones(tracing: Any, kit: Any, ask: Request) -> None:
    layers = [Retry(), Trace(tracing.provider)]
    routes = Route("a", kit.Leaf(Unavailable())), Route("b", kit.Leaf(Unavailable(), "fine"))
    Stack(layers, Fallback(*routes), clock=VirtualClock())(ask)
    told = [(s.attributes["mainstay.route"], s.attributes.get("http.request.resend_count")) for s in tracing.attempts]
    assert told == [("a", None), ("a", 1), ("b", None), ("b", 1)]
    assert [span.attributes["mainstay.attempts"] for span in tracing.calls] == [4]
    assert [span.attributes["mainstay.route"] for span in tracing.calls] == ["b"]


def test_decisions_are_events_of_the_call_s_span(tracing: Any, kit: Any, ask: Request) -> None:
    layers = [Retry(), CircuitBreaker(), Trace(tracing.provider)]
    leaves = [kit.Leaf("never"), kit.Leaf(Unavailable(reason="overloaded")), kit.Leaf("fine")]
    stack = Stack(
        layers, Fallback(*(Route(n, leaf) for n, leaf in zip("abc", leaves, strict=True))), clock=VirtualClock()
    )
    stack.part("breaker", route="a").isolate()
    stack(ask)
    (call,) = tracing.calls
    assert [(event.name, dict(event.attributes)) for event in call.events] == [
        ("mainstay.route.skipped", {"mainstay.route": "a", "error.type": "unavailable"}),
        (
            "mainstay.fallback",
            {"mainstay.route": "a", "error.type": "unavailable", "mainstay.target": "b"},
        ),
        (
            "mainstay.retry",
            {
                "mainstay.route": "b",
                "error.type": "unavailable",
                "mainstay.reason": "overloaded",
                "mainstay.delay": 0.25,
            },
        ),
        (
            "mainstay.fallback",
            {
                "mainstay.route": "b",
                "error.type": "unavailable",
                "mainstay.reason": "overloaded",
                "mainstay.target": "c",
            },
        ),
    ]
    assert all(span.events == () for span in tracing.attempts)


def test_what_a_breaker_refuses_has_no_span(tracing: Any, kit: Any, ask: Request) -> None:
    stack = Stack([CircuitBreaker(), Trace(tracing.provider)], kit.Leaf(), clock=VirtualClock())
    stack.part("breaker").isolate()
    with pytest.raises(CircuitOpen):
        stack(ask)
    assert tracing.attempts == []
    assert [span.attributes["mainstay.attempts"] for span in tracing.calls] == [0]


def test_a_resting_route_has_no_span(tracing: Any, kit: Any, ask: Request) -> None:
    layers = [CircuitBreaker(), Trace(tracing.provider)]
    stack = Stack(layers, kit.Leaf(RateLimited(retry_after=9.0)), clock=VirtualClock())
    for expected in (RateLimited, RouteResting):
        with pytest.raises(expected):
            stack(ask)
    assert len(tracing.attempts) == 1


def test_what_is_beyond_the_cap_has_no_span(tracing: Any, kit: Any, ask: Request) -> None:
    def twice(handler: Any) -> Any:
        def call(request: Request) -> Any:
            for _ in range(4):
                try:
                    reply = handler(request)
                except ProviderError as error:
                    failure = error
                else:
                    return reply
            raise failure

        return call

    leaf = kit.Leaf(Unavailable())
    with pytest.raises(ProviderError):
        Stack([twice, Trace(tracing.provider)], leaf, cap=2, check=False)(ask)
    assert leaf.calls == len(tracing.attempts) == 2


# -- who records -----------------------------------------------------------------------------------------------


def test_the_global_provider_is_asked_when_a_call_is_made(
    monkeypatch: pytest.MonkeyPatch, tracing: Any, kit: Any, ask: Request
) -> None:
    stack = Stack([Trace()], kit.Leaf())
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", tracing.provider)
    stack(ask)
    assert (len(tracing.calls), len(tracing.attempts)) == (1, 1)


def test_without_an_sdk_no_span_is_made_and_nobody_listens(
    monkeypatch: pytest.MonkeyPatch, either_world: Any, ask: Request
) -> None:
    def forbidden(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("a span was made")

    monkeypatch.setattr(trace, "get_tracer_provider", trace.ProxyTracerProvider)
    monkeypatch.setattr(trace.NonRecordingSpan, "__init__", forbidden)
    monkeypatch.setattr(trace.ProxyTracer, "start_span", forbidden)
    monkeypatch.setattr(trace.ProxyTracerProvider, "get_tracer", forbidden)
    calls: list[Any] = []

    def note(request: Request) -> Reply:
        calls.append((dict(request.call.slots), request.call.observers))
        return Reply("fine")

    assert either_world.run(either_world.stack([Trace()], either_world.leaf(note)), ask).text == "fine"
    ((slots, observers),) = calls
    assert (list(slots.values()), observers) == ([None], ())


def test_a_call_that_is_not_sampled_records_nothing_and_works(either_world: Any, kit: Any, ask_stream: Request) -> None:
    provider = TracerProvider(sampler=ALWAYS_OFF)
    calls: list[Any] = []
    leaf = either_world.leaf(lambda request: calls.append(request.call) or kit.Flow(("hi",)))
    reply = either_world.run(either_world.stack([Trace(provider)], leaf), ask_stream, "read")
    assert reply.text == "hi"
    assert calls[0].observers == ()
    provider.shutdown()


def test_the_layers_pickle_and_compare_by_value() -> None:
    for layer in (Trace(), TraceCall()):
        assert pickle.loads(pickle.dumps(layer)) == layer


def test_what_is_no_parameter_of_the_conventions_is_not_recorded(tracing: Any, kit: Any) -> None:
    Stack([Trace(tracing.provider)], kit.Leaf())(Request("m", "Hi", {"user": "me", "logit_bias": {"1": 2}}))
    assert not [name for name in tracing.attempts[0].attributes if "user" in name or "logit" in name]

"""Trace and TraceCall: what happened to a call, as OpenTelemetry spans.

    (the caller's span)
    └─ mainstay chat             INTERNAL  one per call; retries, refusals and fallbacks as events
       ├─ chat gpt-4o            CLIENT    one per attempt that really left; tokens only here
       └─ chat claude-sonnet     CLIENT

Exactly two levels. Only OpenTelemetry's API is used here: where spans go is the application's choice, and
without an SDK both layers step aside. A span is never kept current across a `yield` (it could not be detached
in another task or thread); the inner spans are given their parent explicitly. Spans end exactly once, however
a stream ends. No prompt, answer or key is recorded.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, ClassVar

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import ProxyTracerProvider, Span, SpanKind, Status, StatusCode, Tracer, TracerProvider

from ..pipeline import (
    Event,
    FellBack,
    Layer,
    Outcome,
    ProviderError,
    Reply,
    Request,
    RetryScheduled,
    RouteDoubted,
    RouteSkipped,
    Running,
    Scope,
    Steps,
)
from ..pipeline.through import inward, told_by
from . import options
from . import semconv as names

__all__ = ["Trace", "TraceCall"]

_SCOPE = "mainstay"
# In call.slots: the context in which attempts start their spans; None where nobody records.
_SLOT = "mainstay.trace"


@dataclass(frozen=True)
class TraceCall(Layer):
    """One INTERNAL span per logical call, with what was decided on the way as its events.

    A Stack puts it outermost by itself when it has `Trace`.

    Args:
        provider: the TracerProvider to use; the global one, as it is when a call is made, unless given.
    """

    provider: TracerProvider | None = None
    name: str = "trace_call"
    scope: Scope = "call"
    kind: ClassVar[str] = "trace_call"
    not_inside: ClassVar[dict[str, str]] = {"*": "the span of the whole call must see everything"}
    but_inside: ClassVar[frozenset[str]] = frozenset({"deadline", "trace_call"})

    def __post_init__(self) -> None:
        _check(self)

    def handle(self, request: Request) -> Steps:
        """Spans one call."""
        call = request.call
        if _SLOT in call.slots:  # a stack inside a stack: there is a span already
            reply: Reply = yield request
            return reply
        tracer = _tracer(self.provider)
        if tracer is None:
            call.slots[_SLOT] = None  # so that no attempt asks again
            reply = yield request
            return reply
        attributes = {names.OPERATION_NAME: "chat", names.REQUEST_MODEL: request.model}
        span = tracer.start_span("mainstay chat", kind=SpanKind.INTERNAL, attributes=attributes)
        call.slots[_SLOT] = trace.set_span_in_context(span)
        if span.is_recording():
            call.observe(partial(_record, span))

        def settle(reply: Reply) -> None:
            won = call.attempts[-1].route if call.attempts else ""
            _end(span, reply.error, {names.ATTEMPTS: len(call.attempts), names.ROUTE: won}, reply.outcome)

        try:
            reply = yield request
            reply.on_end(settle)
        except BaseException as error:
            call.slots.pop(_SLOT, None)  # a further route may be tried: nothing belongs under this span any more
            _end(span, error, {names.ATTEMPTS: len(call.attempts)})
            raise
        return reply


@dataclass(frozen=True)
class Trace(Layer):
    """One CLIENT span per attempt, by the GenAI conventions: model, tokens, finish reason, status, time to first chunk.

    Args:
        provider: the TracerProvider to use; the global one, as it is when a call is made, unless given.
    """

    provider: TracerProvider | None = None
    name: str = "trace"
    scope: Scope = "route"
    kind: ClassVar[str] = "trace"
    not_outside: ClassVar[dict[str, str]] = {
        "retry": "a span is one attempt, not all tries of a route",
        "breaker": "what the breaker refuses never left, so it has no span",
    }

    def __post_init__(self) -> None:
        _check(self)

    def companion(self) -> Layer:
        """The span of the whole call, which the attempts belong under."""
        return TraceCall(self.provider)

    def bind(self, handler: Any) -> Running:
        """Makes the running half for one route."""
        return _Tracing(self.provider, handler)


class _Tracing:
    def __init__(self, provider: TracerProvider | None, handler: Any) -> None:
        self._provider = provider
        self._route: str = told_by(handler, "route", "")
        who: str = told_by(handler, "provider", "") or self._route
        self._fixed: dict[str, Any] = {
            names.OPERATION_NAME: "chat",
            names.PROVIDER_NAME: names.PROVIDERS.get(who, who),
            names.ROUTE: self._route,
        }
        for item in inward(handler):
            host, port = told_by(item, "address", ("", 0))
            if host:
                self._fixed |= {names.SERVER_ADDRESS: host, names.SERVER_PORT: port}

    def handle(self, request: Request) -> Steps:
        call = request.call
        # Without TraceCall there is no slot, and attempts belong under the caller's own span.
        context: Context | None = call.slots.get(_SLOT)
        silent = call.attempts_left <= 0 or (context is None and _SLOT in call.slots)
        tracer = None if silent else _tracer(self._provider)
        if tracer is None:  # nothing will leave, or nobody records
            reply: Reply = yield request
            return reply
        attributes = {**self._fixed, names.REQUEST_MODEL: request.model}
        span = tracer.start_span(f"chat {request.model}", context=context, kind=SpanKind.CLIENT, attributes=attributes)
        if span.is_recording():
            span.set_attributes(self._described(request))
        started = call.clock.now()
        try:
            reply = yield request
            if reply.outcome is None and span.is_recording():
                span.set_attribute(names.TIME_TO_FIRST_CHUNK, call.clock.now() - started)
            reply.on_end(partial(_settle, span))
        except BaseException as error:
            _end(span, error, _failed(error))
            raise
        return reply

    def _described(self, request: Request) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in request.params.items():
            attribute = names.PARAMETERS.get(name)
            if attribute is not None and isinstance(value, (int, float)):
                found[attribute] = value
        if request.stream:
            found[names.REQUEST_STREAM] = True
        if request.changes:
            found[names.CHANGED] = sorted(request.changes)
        before = sum(attempt.route == self._route for attempt in request.call.attempts)
        if before:
            found[names.RESEND_COUNT] = before
        return found


def _check(layer: TraceCall | Trace) -> None:
    options.identity(layer)
    if layer.provider is not None and not isinstance(layer.provider, TracerProvider):
        raise TypeError(f"{type(layer).__name__}(provider=...) must be a TracerProvider, not {layer.provider!r}")


def _tracer(provider: TracerProvider | None) -> Tracer | None:
    if provider is None:
        provider = trace.get_tracer_provider()
        if isinstance(provider, ProxyTracerProvider):  # no SDK was set up: nobody records
            return None
    return _tracer_of(provider)


@lru_cache(maxsize=8)
def _tracer_of(provider: TracerProvider) -> Tracer:
    return provider.get_tracer(_SCOPE)


def _settle(span: Span, reply: Reply) -> None:
    if not span.is_recording():
        span.end()
        return
    found: dict[str, Any] = {}
    if reply.model:
        found[names.RESPONSE_MODEL] = reply.model
    if reply.id:
        found[names.RESPONSE_ID] = reply.id
    # By convention "error" where a reason was expected and never came.
    reason = reply.finish_reason or ("error" if reply.outcome is Outcome.ERROR else None)
    if reason:
        found[names.FINISH_REASONS] = (reason,)
    usage = reply.usage
    if usage is not None:
        counts = {
            names.INPUT_TOKENS: usage.prompt_tokens,
            names.OUTPUT_TOKENS: usage.completion_tokens,
            names.CACHED_TOKENS: usage.cached_tokens,
            names.REASONING_TOKENS: usage.reasoning_tokens,
        }
        found |= {name: tokens for name, tokens in counts.items() if tokens is not None}
    if reply.error is not None:
        found |= _failed(reply.error)
    _end(span, reply.error, found, reply.outcome)


def _failed(error: BaseException) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if isinstance(error, ProviderError):
        if error.status is not None:
            found[names.STATUS_CODE] = error.status
        if error.reason:
            found[names.REASON] = error.reason
        if error.retry_after is not None:
            found[names.RETRY_AFTER] = error.retry_after
    return found


def _end(span: Span, error: BaseException | None, attributes: dict[str, Any], outcome: Outcome | None = None) -> None:
    """Ends the span; the caller's own cancellation is no error, and success leaves the status unset."""
    if isinstance(error, Exception):
        kind = error.error_class.value if isinstance(error, ProviderError) else type(error).__qualname__
        span.set_attribute(names.ERROR_TYPE, kind)
        span.set_status(Status(StatusCode.ERROR))
        word = Outcome.ERROR.value
    else:
        word = outcome.value if outcome is not None else Outcome.CLOSED.value
    span.set_attributes({**attributes, names.OUTCOME: word})
    span.end()


def _record(span: Span, event: Event) -> None:
    """Decisions have a moment and no length, so they are events of the call's span, as long as it is open."""
    if not span.is_recording():
        return
    if isinstance(event, RetryScheduled):
        span.add_event("mainstay.retry", {**_told(event.route, event.error), names.DELAY: event.delay})
    elif isinstance(event, RouteSkipped):
        span.add_event("mainstay.route.skipped", _told(event.route, event.error))
    elif isinstance(event, RouteDoubted):
        span.add_event("mainstay.route.doubted", _told(event.route, event.error))
    elif isinstance(event, FellBack):
        attributes = {**_told(event.origin, event.error), "mainstay.target": event.target}
        span.add_event("mainstay.fallback", attributes)


def _told(route: str, error: ProviderError) -> dict[str, Any]:
    return {names.ROUTE: route, names.ERROR_TYPE: error.error_class.value, names.REASON: error.reason}

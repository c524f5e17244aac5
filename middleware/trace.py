"""Trace and TraceCall: what happened to a call, as OpenTelemetry spans.

    (the caller's span)
    └─ mainstay chat             INTERNAL  one per call; retries, refusals and fallbacks as events
       ├─ chat gpt-4o            CLIENT    one per attempt that really left; tokens only here
       └─ chat claude-sonnet     CLIENT

Exactly two levels. Only OpenTelemetry's API is used here: where spans go is the application's choice, and
without an SDK both layers step aside. A span is never kept current across a `yield` (it could not be detached
in another task or thread): attempts are given their parent explicitly, and the driver makes an attempt's span current
around the handler alone. Spans end exactly once, however a stream ends. No prompt, answer or key is recorded, unless
`content` asks for it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, ClassVar, NamedTuple

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import ProxyTracerProvider, Span, SpanKind, Status, StatusCode, Tracer, TracerProvider

from ..pipeline import Call, Layer, Outcome, ProviderError, Reply, Request, Running, Scope, Steps, Within
from ..pipeline.around import Around
from ..pipeline.through import inward, told_by
from . import options
from . import semconv as names
from .content import Content, wanted
from .trace_context import Current, within
from .trace_events import Noted, note
from .trace_facts import of_error, of_params, of_reply

__all__ = ["Trace", "TraceCall"]

_SCOPE = "mainstay"
# In call.slots: the context in which attempts start their spans; None where nobody records.
_SLOT = "mainstay.trace"
_BY_NAME = "OTEL_PYTHON_TRACER_PROVIDER" in os.environ  # then the first look at it sets it up
_CURRENT: Any = object()  # stands for: whatever is current


class _Spanned(NamedTuple):
    """What TraceCall keeps of a call that it spans."""

    span: Span
    call: Call
    noted: list[Noted]


@dataclass(frozen=True)
class TraceCall(Around, Layer):
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
    but_inside: ClassVar[frozenset[str]] = frozenset({"deadline", "trace_call", "metrics", "log"})

    def __post_init__(self) -> None:
        _check(self)

    def before(self, request: Request) -> _Spanned | None:
        """Starts the span of one call."""
        call = request.call
        if _SLOT in call.slots:  # a stack inside a stack: there is a span already
            return None
        tracer = _tracer(self.provider)
        if tracer is None:
            call.slots[_SLOT] = None  # so that no attempt asks again
            return None
        # No operation's name, which would make it a second inference to backends that count those.
        attributes: dict[str, Any] = {names.REQUEST_MODEL: request.model}
        if request.stream:
            attributes[names.REQUEST_STREAM] = True
        span = tracer.start_span("mainstay chat", kind=SpanKind.INTERNAL, attributes=attributes)
        kept = _Spanned(span, call, [])
        try:
            call.slots[_SLOT] = within(span)
            if span.is_recording():
                call.observe(partial(note, kept.noted), attempts=False)
        except BaseException as error:
            self.failed(kept, error)
            raise
        return kept

    def after(self, kept: _Spanned, reply: Reply) -> None:
        """Has the span end with the reply."""
        reply.on_end(partial(_settle_call, kept))

    def failed(self, kept: _Spanned, error: BaseException) -> None:
        """Ends the span with the error."""
        span, call, noted = kept
        call.slots.pop(_SLOT, None)  # a further route may be tried: nothing belongs under this span any more
        _end(span, error, {names.ATTEMPTS: len(call.attempts)}, None, noted)


@dataclass(frozen=True)
class Trace(Layer):
    """One CLIENT span per attempt, by the GenAI conventions: model, tokens, finish reason, status, time to first chunk.

    Args:
        provider: the TracerProvider to use; the global one, as it is when a call is made, unless given.
        content: True, or `Content(limit=...)`, to record prompts and answers; False not to. Unless given, the
            environment variable OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT says it when a stack is built, and
            without that nothing is recorded.

    Raises:
        TypeError: if one of them is something else.
    """

    provider: TracerProvider | None = None
    content: Content | bool | None = None
    name: str = "trace"
    scope: Scope = "route"
    kind: ClassVar[str] = "trace"
    not_outside: ClassVar[dict[str, str]] = {
        "retry": "a span is one attempt, not all tries of a route",
        "breaker": "what the breaker refuses never left, so it has no span",
    }

    def __post_init__(self) -> None:
        _check(self)
        if self.content is not None and not isinstance(self.content, (Content, bool)):
            raise TypeError(f"Trace(content=...) must be True, False or Content(...), not {self.content!r}")

    def companion(self) -> Layer:
        """The span of the whole call, which the attempts belong under."""
        return TraceCall(self.provider)

    def bind(self, handler: Any) -> Running:
        """Makes the running half for one route."""
        return _Tracing(self, handler)


class _Tracing(Around):
    def __init__(self, layer: Trace, handler: Any) -> None:
        self._provider = layer.provider
        self._content = wanted(layer.content)
        self._route: str = told_by(handler, "route", "")
        self._alone = False
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
            if url := told_by(item, "url", ""):
                self._alone = True
                self._fixed |= {names.REQUEST_METHOD: "POST", names.URL: url}

    def before(self, request: Request) -> Steps | None:
        call = request.call
        # Without TraceCall there is nothing in the slot, and attempts belong under the caller's own span.
        context: Context | None = call.slots.get(_SLOT, _CURRENT)
        tracer = None if context is None or call.attempts_left <= 0 else _tracer(self._provider)
        if tracer is None:  # nobody records, or nothing will leave
            return None
        return self._spanned(request, tracer, context)

    def _spanned(self, request: Request, tracer: Tracer, context: Context | None) -> Steps:
        call = request.call
        started = call.clock.now()
        attributes = self._described(request)
        span = tracer.start_span(
            f"chat {request.model}",
            context=None if context is _CURRENT else context,
            kind=SpanKind.CLIENT,
            attributes=attributes,
        )
        try:
            if self._content is not None and span.is_recording():
                span.set_attributes(self._content.of_request(request))
            reply: Reply = yield Within(Current(span, self._alone), request)
            waited = call.clock.now() - started if reply.outcome is None else None
            reply.on_end(partial(self._settle, span, waited))
        except BaseException as error:
            found: dict[str, Any] = {}
            of_error(error, found)
            _end(span, error, found)
            raise
        return reply

    def _described(self, request: Request) -> dict[str, Any]:
        attempts = request.call.attempts
        found = {**self._fixed, names.REQUEST_MODEL: request.model, names.ATTEMPT: len(attempts) + 1}
        route = self._route
        if request.path:  # in a stack that is a route of another
            route = found[names.ROUTE] = request.path_of(route)
        if request.params:
            of_params(request.params, found)
        if request.stream:
            found[names.REQUEST_STREAM] = True
        if request.changes:
            found[names.CHANGED] = sorted(request.changes)
        before = sum([attempt.route == route for attempt in attempts]) if attempts else 0
        if before:
            found[names.RESEND_COUNT] = before
        return found

    def _settle(self, span: Span, waited: float | None, reply: Reply) -> None:
        if not span.is_recording():
            span.end()
            return
        found: dict[str, Any] = {}
        if waited is not None:
            found[names.TIME_TO_FIRST_CHUNK] = waited
        of_reply(reply, found)
        if reply.error is not None:
            of_error(reply.error, found)
        if self._content is not None:
            found |= self._content.of_reply(reply)
        _end(span, reply.error, found, reply.outcome)


def _settle_call(kept: _Spanned, reply: Reply) -> None:
    span, call, noted = kept
    won = call.attempts[-1].route if call.attempts else ""
    _end(span, reply.error, {names.ATTEMPTS: len(call.attempts), names.ROUTE: won}, reply.outcome, noted)


def _check(layer: TraceCall | Trace) -> None:
    options.identity(layer)
    if layer.provider is not None and not isinstance(layer.provider, TracerProvider):
        raise TypeError(f"{type(layer).__name__}(provider=...) must be a TracerProvider, not {layer.provider!r}")


def _tracer(provider: TracerProvider | None) -> Tracer | None:
    if provider is None:
        # What `get_tracer_provider` does where nothing was set up, without its look at the environment.
        if not _BY_NAME and getattr(trace, "_TRACER_PROVIDER", _CURRENT) is None:
            return None
        provider = trace.get_tracer_provider()
        if type(provider) is ProxyTracerProvider:  # no SDK was set up: nobody records
            return None
    return _tracer_of(provider)


@lru_cache(maxsize=8)
def _tracer_of(provider: TracerProvider) -> Tracer:
    return provider.get_tracer(_SCOPE, _version(), names.SCHEMA_URL)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("mainstay")
    except PackageNotFoundError:  # used from its sources
        return ""


def _end(
    span: Span,
    error: BaseException | None,
    found: dict[str, Any],
    outcome: Outcome | None = None,
    noted: list[Noted] | None = None,
) -> None:
    """Ends the span; the caller's own cancellation is no error, and success leaves the status unset."""
    if isinstance(error, Exception):
        found[names.ERROR_TYPE] = (
            error.error_class.value if isinstance(error, ProviderError) else type(error).__qualname__
        )
        found[names.OUTCOME] = Outcome.ERROR.value
        span.set_status(Status(StatusCode.ERROR))
    else:
        found[names.OUTCOME] = outcome.value if outcome is not None else Outcome.CLOSED.value
    span.set_attributes(found)
    for name, attributes, moment in noted or ():
        span.add_event(name, attributes, moment)
    span.end()

"""Traced: which span stands for a call and for its attempts, so that logs and metrics can point to them."""

from __future__ import annotations

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanContext

from ..pipeline import Call
from .trace_context import OURS

__all__ = ["context_of", "span_of"]

# In call.slots, by TraceCall: the context in which attempts start their spans; None where nobody records.
_CALL = "mainstay.trace"


def context_of(call: Call) -> Context | None:
    """The context with the span of the call; None if it has none."""
    context: Context | None = call.slots.get(_CALL)
    return context


def span_of(call: Call) -> SpanContext | None:
    """The span of the attempt that is being made at this moment, else of the call, else the caller's; None without."""
    attempt = contexts.get_value(OURS)
    span = attempt if isinstance(attempt, Span) else trace.get_current_span(context_of(call))
    told = span.get_span_context()
    return told if told.is_valid else None

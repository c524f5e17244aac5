"""What is current while an attempt is made: its span, and the wish that nobody else describes it a second time.

So spans of the application's own instrumentation (a client's HTTP, a function's work) nest under the attempt, and
those that would only repeat it are not made:

    the GenAI span of an instrumented SDK       by the context keys of opentelemetry-util-genai and of OpenLLMetry
    the HTTP span of requests or urllib3        by OpenTelemetry's own key, where the attempt's span says it all

No instrumentation is imported for that.
"""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any

from opentelemetry import context as contexts
from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, Span, set_span_in_context

__all__ = ["OURS", "Current", "within"]

# In the context: the span of the attempt that is being made.
OURS = "mainstay.current"
# OpenLLMetry's instrumentations of the SDKs look for this one.
_NO_LLM = {"suppress_language_model_instrumentation": True}
_ALONE = dict(_NO_LLM)
# Private, and the same in all instrumentations; without it there is nothing to be suppressed by.
if _NO_HTTP := getattr(contexts, "_SUPPRESS_HTTP_INSTRUMENTATION_KEY", ""):
    _ALONE[_NO_HTTP] = True
# Under which key a context has its span: no name for it is public, but what stands there is.
_SPAN = next(key for key, value in set_span_in_context(INVALID_SPAN, Context()).items() if value is INVALID_SPAN)
_GENAI = "opentelemetry.util.genai._inference_invocation"


def within(span: Span) -> Context:
    """The present context with this span as the current one; as `set_span_in_context`, in a third of the time."""
    return Context({**contexts.get_current(), _SPAN: span})


class Current:
    """A `with` block in which a span is the current one. It is entered and left in the thread or task of the attempt.

    Args:
        span: the attempt's.
        alone: whether the span says all that there is to say of HTTP.
    """

    __slots__ = ("_context", "_span", "_token")

    def __init__(self, span: Span, alone: bool) -> None:
        context: dict[str, Any] = {**within(span), **(_ALONE if alone else _NO_LLM), OURS: span}
        # An instrumentation that uses it has loaded it. What is told to the outer span through it, ours knows itself.
        genai = sys.modules.get(_GENAI)
        if genai is not None and hasattr(genai, "InferenceData"):
            context[getattr(genai, "CLIENT_INFERENCE_CONTEXT_KEY", "")] = genai.InferenceData()
        self._context = Context(context)
        self._span = span

    def __enter__(self) -> None:
        self._token = contexts.attach(self._context)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A coroutine that nobody finished is closed wherever its last reference is dropped: nothing is current there.
        if contexts.get_value(OURS) is self._span:
            contexts.detach(self._token)

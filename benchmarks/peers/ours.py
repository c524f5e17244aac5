"""Mainstay: the standard stack, with Fallback over two routes where there are two."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from mainstay.adapters import OpenAI
from mainstay.middleware import Fallback, standard
from mainstay.pipeline import Request, Route, Stack, Timeouts

from .peer import MODEL, PARAMS, PROMPT, Peer

__all__ = ["Mainstay", "Recording"]


class Mainstay(Peer):
    """The standard layers; no SDK of OpenTelemetry is set up, so nothing is recorded."""

    falls_back = True

    def __init__(self, primary: str, backup: str = "", timeout: float = 60.0) -> None:
        super().__init__(primary, backup, timeout)
        bases = [base for base in (primary, backup) if base]
        # The first event of a stream, and the next one, have the same time as a whole answer.
        clocks = Timeouts(first_event=timeout, gap=timeout, total=max(timeout, 60.0) if timeout >= 60 else timeout)
        routes = [
            Route(f"route{number}", OpenAI("sk-bench", base_url=f"{base}/v1", timeouts=clocks))
            for number, base in enumerate(bases)
        ]
        self.stack = Stack(standard(tracer_provider=self.tracer_provider()), self.handler(routes))

    def tracer_provider(self) -> Any:
        """Where spans go."""
        return None

    def handler(self, routes: Sequence[Route]) -> Any:
        """What stands under the layers."""
        return Fallback(*routes) if len(routes) > 1 else routes[0].handler

    def ask(self) -> str:
        return self.stack(Request(MODEL, PROMPT, PARAMS)).text

    def stream(self) -> Iterator[str]:
        with self.stack(Request(MODEL, PROMPT, PARAMS, stream=True)) as reply:
            for chunk in reply:
                yield chunk.text


class Recording(Mainstay):
    """The same with OpenTelemetry's SDK: every span is sampled, batched and handed to an exporter that drops it."""

    def tracer_provider(self) -> Any:
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

        class Nowhere(SpanExporter):
            def export(self, spans: Any) -> SpanExportResult:
                return SpanExportResult.SUCCESS

        provider = TracerProvider()
        provider.add_span_processor(BatchSpanProcessor(Nowhere()))
        return provider

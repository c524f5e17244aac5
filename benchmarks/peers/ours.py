"""Mainstay: the standard stack, with Fallback over two routes where there are two."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from mainstay.adapters import OpenAI
from mainstay.middleware import Fallback, Retry, standard
from mainstay.pipeline import Request, Route, Stack, Timeouts

from .peer import MODEL, PARAMS, PROMPT, Peer

__all__ = ["Careful", "Mainstay", "Recording", "recorder"]


class Mainstay(Peer):
    """The standard layers; no SDK of OpenTelemetry is set up, so nothing is recorded."""

    falls_back = True

    def __init__(self, primary: str, backup: str = "", timeout: float = 60.0) -> None:
        super().__init__(primary, backup, timeout)
        bases = [base for base in (primary, backup) if base]
        clocks = Timeouts(total=timeout)
        routes = [
            Route(f"route{number}", OpenAI("sk-bench", base_url=f"{base}/v1", timeouts=clocks))
            for number, base in enumerate(bases)
        ]
        self.stack = Stack(self.layers(), self.handler(routes))

    def layers(self) -> list[Any]:
        """The layers, outside in."""
        return standard(tracer_provider=self.tracer_provider())

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


class Careful(Mainstay):
    """For the faults: the two options that an application has which would rather wait than fail.

    A stream that breaks off begins anew, on the other route first; and a second Retry around the whole call waits for a
    breaker to let it through, where there is no other route to go to.
    """

    def layers(self) -> list[Any]:
        outer, *rest = super().layers()
        place = next(number for number, layer in enumerate(rest) if layer.name == "retry")
        return [outer, *rest[:place], Retry(name="wait", scope="call"), *rest[place:]]

    def handler(self, routes: Sequence[Route]) -> Any:
        return Fallback(*routes, mid_stream="restart")

    def ask_streaming(self) -> str:
        text = ""
        with self.stack(Request(MODEL, PROMPT, PARAMS, stream=True)) as reply:
            for chunk in reply:
                text = chunk.text if chunk.restarted else text + chunk.text
        return text


class Recording(Mainstay):
    """The same with OpenTelemetry's SDK: every span is sampled, batched and handed to an exporter that drops it."""

    def tracer_provider(self) -> Any:
        return recorder()


def recorder() -> Any:
    """A TracerProvider that samples every span, and an exporter that drops them in batches."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

    class Nowhere(SpanExporter):
        def export(self, spans: Any) -> SpanExportResult:
            return SpanExportResult.SUCCESS

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Nowhere()))
    return provider

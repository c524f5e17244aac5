"""OTLP over HTTP: the exporters of OpenTelemetry, which remember how their last hand-over went.

Loaded by `telemetry.py` only where something is exported: the packages behind it are an extra.
"""

from __future__ import annotations

from typing import Any

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics.export import MetricExportResult
from opentelemetry.sdk.trace.export import SpanExportResult

__all__ = ["Metrics", "Spans"]


class Spans(OTLPSpanExporter):
    """Exports spans.

    Attributes:
        delivered: whether the last hand-over went well.
    """

    delivered = True
    _given_up = False

    def export(self, *args: Any, **options: Any) -> SpanExportResult:
        """Hands spans over."""
        self.delivered = False  # until proven otherwise: it may be cut off
        result = super().export(*args, **options)
        self.delivered = result is SpanExportResult.SUCCESS
        return result

    def shutdown(self) -> None:
        """Ends the waiting between two tries; a second call does nothing."""
        if not self._given_up:
            self._given_up = True
            super().shutdown()  # type: ignore[no-untyped-call]


class Metrics(OTLPMetricExporter):
    """Exports metrics.

    Attributes:
        delivered: whether the last hand-over went well.
    """

    delivered = True
    _given_up = False

    def export(self, *args: Any, **options: Any) -> MetricExportResult:
        """Hands metrics over."""
        self.delivered = False
        result = super().export(*args, **options)
        self.delivered = result is MetricExportResult.SUCCESS
        return result

    def shutdown(self, *args: Any, **options: Any) -> None:
        """Ends the waiting between two tries; a second call does nothing."""
        if not self._given_up:
            self._given_up = True
            super().shutdown(*args, **options)

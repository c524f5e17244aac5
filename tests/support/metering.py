"""An OpenTelemetry SDK that keeps its metrics in memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from mainstay.middleware import semconv as names

__all__ = ["Metering", "labels"]

SHORT = {names.PROVIDER_NAME: "provider", names.REQUEST_MODEL: "model"}


def labels(attributes: Mapping[str, Any]) -> str:
    """Labels as one short text: "error=timeout route=a"."""
    named = {SHORT.get(name, name.rpartition(".")[2]): value for name, value in attributes.items()}
    return " ".join(f"{name}={value}" for name, value in sorted(named.items()) if name != "name" and value != "")


class Metering:
    """A MeterProvider and what it has collected. Each look collects anew; sums are since the beginning."""

    def __init__(self, **options: Any) -> None:
        self.reader = InMemoryMetricReader()
        self.provider = MeterProvider([self.reader], shutdown_on_exit=False, **options)

    def metrics(self) -> dict[str, Any]:
        """Every metric that has data, by name."""
        data = self.reader.get_metrics_data()
        resources = [] if data is None else data.resource_metrics
        scopes = [scope for resource in resources for scope in resource.scope_metrics]
        return {metric.name: metric for scope in scopes for metric in scope.metrics}

    def points(self, name: str) -> list[Any]:
        """The data points of a metric."""
        metric = self.metrics().get(name)
        return [] if metric is None else list(metric.data.data_points)

    def counts(self, name: str) -> dict[str, Any]:
        """From labels to the value; of a histogram, to how often it was recorded."""
        points = self.points(name)
        return {labels(p.attributes): p.count if hasattr(p, "count") else p.value for p in points}

    def sums(self, name: str) -> dict[str, Any]:
        """From labels to the sum of a histogram."""
        return {labels(point.attributes): point.sum for point in self.points(name)}

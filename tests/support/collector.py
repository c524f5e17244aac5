"""A real OTLP receiver, written by others (`oteltest`), on loopback only; it keeps what it received, byte for byte."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from http.server import HTTPServer
from typing import Any, Self
from unittest import mock

import oteltest.sink
from google.protobuf.json_format import MessageToDict
from oteltest.sink import HttpSink
from oteltest.sink.handler import AccumulatingHandler
from oteltest.telemetry import Telemetry

__all__ = ["Collector"]


class _Loopback(HTTPServer):
    """The sink binds all interfaces, on a port that is told it; here it is any free port of loopback."""

    def __init__(self, address: Any, handler: Any) -> None:
        class Quiet(handler):  # type: ignore[misc]
            def log_message(self, *args: Any) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Quiet)


class Collector(HttpSink):
    """Use it in a `with` block. `telemetry` is what it has parsed, `raw` what came over the wire."""

    def __init__(self) -> None:
        self._handler = AccumulatingHandler()
        self.raw: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self._up = threading.Event()
        super().__init__(self._handler, logging.getLogger("collector"), port=0)

    def __enter__(self) -> Self:
        def make(address: Any, handler: Any) -> HTTPServer:
            self._server = _Loopback(address, handler)
            self.port = self._server.server_port
            self._up.set()
            return self._server

        self._patch = mock.patch.object(oteltest.sink, "HTTPServer", make)
        with self._patch:
            self.start()
            assert self._up.wait(20)
        return self

    def __exit__(self, *failure: object) -> None:
        self._server.shutdown()  # its own `stop()` waits for ever in versions before 0.40
        self.svr_thread.join(20)
        self._server.server_close()

    def handle_trace(self, post_data: bytes, headers: dict[str, str]) -> None:
        self._keep(post_data, headers)
        super().handle_trace(post_data, headers)

    def handle_metrics(self, post_data: bytes, headers: dict[str, str]) -> None:
        self._keep(post_data, headers)
        super().handle_metrics(post_data, headers)

    def _keep(self, data: bytes, headers: dict[str, str]) -> None:
        self.raw.append(data)
        self.headers.append(headers)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def telemetry(self) -> Telemetry:
        return self._handler.telemetry

    @property
    def resources(self) -> list[dict[str, Any]]:
        """The attributes of every resource that came, one for each request."""
        requests = [one.pbreq for one in self.telemetry.trace_requests]
        return [_attributes(resource.resource) for request in requests for resource in request.resource_spans]

    def spans(self, kind: str = "") -> list[dict[str, Any]]:
        """Every span that came: its fields, and its attributes as a dict; of one kind, such as "CLIENT"."""
        found = [
            {**MessageToDict(span), "attributes": _attributes(span)}
            for request in self.telemetry.trace_requests
            for resource in request.pbreq.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
        return [span for span in found if span["kind"].endswith(kind)]

    def totals(self, name: str, *labels: str) -> Counter[tuple[Any, ...]]:
        """The latest value of a counter, or the sum of a histogram, by some of its labels."""
        newest: dict[Any, Any] = {}
        for request in self.telemetry.metric_requests:
            for resource in request.pbreq.resource_metrics:
                for scope in resource.scope_metrics:
                    for metric in scope.metrics:
                        if metric.name == name:
                            for point in getattr(metric, metric.WhichOneof("data")).data_points:
                                newest[tuple(sorted(_attributes(point).items()))] = point
        sums: Counter[tuple[Any, ...]] = Counter()
        for key, point in newest.items():
            value = point.sum if hasattr(point, "bucket_counts") else point.as_int or point.as_double
            sums[tuple(dict(key).get(label) for label in labels)] += value
        return sums


def _attributes(holder: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in holder.attributes}

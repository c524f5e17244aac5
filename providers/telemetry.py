"""Telemetry: hands traces and metrics over to a collector, for an application or the command line.

The library itself only speaks to OpenTelemetry's API; who wants the numbers sets up an SDK. An application that has
one needs nothing from here. For all others this is the whole set-up, in one line:

    with export("http://127.0.0.1:4318", service="shop"):
        ...

Spans and metrics leave in batches, from threads of the SDK's, so that no call ever waits for the collector. One that
is dead costs its last batches, and at most `exit_timeout` at the end.
"""

from __future__ import annotations

import atexit
import os
import re
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..pipeline import Secret
from ..pipeline.closing import Closing
from ..pipeline.complaints import logger

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider

__all__ = ["Telemetry", "export"]

_log = logger()
# RFC 9110, 5.1 and 5.5: what a header's name and value may consist of.
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_SIGNALS = {"traces": "/v1/traces", "metrics": "/v1/metrics"}


def export(
    endpoint: str | None = None,
    *,
    service: str | None = None,
    headers: Mapping[str, str | Secret] | None = None,
    exit_timeout: float = 1.0,
    install: bool = True,
) -> Telemetry:
    """Sets up OpenTelemetry's SDK so that traces and metrics go to a collector, by OTLP over HTTP (protobuf).

    What is not given is taken from the variables that OpenTelemetry names: `OTEL_EXPORTER_OTLP_ENDPOINT`, `_HEADERS`,
    `_TIMEOUT`, `_COMPRESSION` and `_CERTIFICATE`, each for one signal too (`..._TRACES_ENDPOINT`), `OTEL_SERVICE_NAME`,
    `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_TRACES_SAMPLER`, `OTEL_BSP_*`, `OTEL_METRIC_EXPORT_INTERVAL`. With
    `OTEL_SDK_DISABLED=true` nothing is set up; `OTEL_TRACES_EXPORTER=none` and `OTEL_METRICS_EXPORTER=none` leave that
    signal out. https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/

    Args:
        endpoint: the collector's base URL; `/v1/traces` and `/v1/metrics` are appended. http://localhost:4318 if
            neither it nor the variable is given.
        service: what the application is called there (`service.name`).
        headers: sent with each hand-over, such as the backend's key; they are never shown.
        exit_timeout: seconds that the end of the process, or of the `with` block, may take for what is still to be
            handed over; more than 0.
        install: False leaves OpenTelemetry's global providers alone; give `tracer_provider` and `meter_provider` of
            what is returned to `standard()` then.

    Returns:
        The handle, to be used in a `with` block or left alone: the end of the process closes it.

    Raises:
        ImportError: if the exporter is not installed (the extra `otlp`).
        ValueError: if an argument, or the protocol that the environment asks for, is not possible.
        TypeError: if the headers are no mapping from names to texts.
        RuntimeError: if the application has set up providers already; it must hand over by its own set-up.
    """
    urls = _urls(endpoint)
    revealed = _revealed(headers)
    if isinstance(exit_timeout, bool) or not isinstance(exit_timeout, (int, float)) or not 0 < exit_timeout < 1e6:
        raise ValueError(f"export(exit_timeout=...) must be a positive number of seconds, not {exit_timeout!r}")
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return Telemetry(None, None, "", exit_timeout)
    if endpoint is None and os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf") == "grpc":
        raise ValueError(
            "OTEL_EXPORTER_OTLP_PROTOCOL=grpc: export() speaks http/protobuf; name the collector's HTTP port, mostly "
            "4318, or set up OpenTelemetry's own gRPC exporter and leave export() out"
        )
    if install:
        _refuse_a_second_set_up()
    try:
        from . import otlp
    except ImportError as error:
        raise ImportError("handing over to a collector needs one more package: pip install 'mainstay[otlp]'") from error
    from opentelemetry import metrics, trace
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource

    resource = Resource.create({} if service is None else {SERVICE_NAME: service})
    tracer_provider = meter_provider = None
    exporters: list[otlp.Spans | otlp.Metrics] = []
    if _wanted("TRACES"):
        spans = otlp.Spans(endpoint=urls["traces"], headers=revealed)
        tracer_provider = _tracing(spans, resource)
        exporters.append(spans)
    if _wanted("METRICS"):
        numbers = otlp.Metrics(endpoint=urls["metrics"], headers=revealed)
        meter_provider = _metering(numbers, resource)
        exporters.append(numbers)
    if install:
        if tracer_provider is not None:
            trace.set_tracer_provider(tracer_provider)
        if meter_provider is not None:
            metrics.set_meter_provider(meter_provider)
    return Telemetry(tracer_provider, meter_provider, _shown(endpoint) if exporters else "", exit_timeout, exporters)


class Telemetry(Closing):
    """What `export()` has set up. Use it in a `with` block, or leave the closing to the end of the process.

    Attributes:
        tracer_provider, meter_provider: the SDK's; None if that signal is switched off.
        endpoint: the collector's address, without credentials; "" if nothing is handed over.
    """

    def __init__(
        self,
        tracer_provider: TracerProvider | None,
        meter_provider: MeterProvider | None,
        endpoint: str,
        exit_timeout: float,
        exporters: Sequence[Any] = (),
    ) -> None:
        self.tracer_provider = tracer_provider
        self.meter_provider = meter_provider
        self.endpoint = endpoint
        self._exit_timeout = exit_timeout
        self._exporters = exporters
        self._once = threading.Lock()
        self._in_time = False
        self._closers = [_Closer(made.shutdown) for made in (tracer_provider, meter_provider) if made is not None]
        if self._closers:
            atexit.register(self.close)

    @property
    def delivered(self) -> bool:
        """Whether the collector took what was last handed over of each signal, as far as is known."""
        return all(exporter.delivered for exporter in self._exporters)

    def shutdown(self, timeout: float | None = None) -> bool:
        """Hands over what is left and ends the SDK's threads; later spans and metrics go nowhere.

        Args:
            timeout: seconds to wait at most; `exit_timeout` unless given. What is not handed over by then is lost.

        Returns:
            Whether the collector took everything. A second call does nothing, and tells the same.
        """
        if self._once.acquire(blocking=False):  # never released: it happens once
            atexit.unregister(self.close)
            end = time.monotonic() + (self._exit_timeout if timeout is None else timeout)
            for closer in self._closers:
                closer.begin()
            self._in_time = all(closer.wait(end - time.monotonic()) for closer in self._closers)
            if not self._in_time:
                for exporter in self._exporters:
                    exporter.shutdown()  # so that the threads that were left behind end soon
        return self._in_time and self.delivered

    def close(self) -> None:
        """The same as `shutdown()`."""
        self.shutdown()

    def __repr__(self) -> str:
        return f"<Telemetry to {self.endpoint}>" if self.endpoint else "<Telemetry, switched off>"


class _Closer:
    """A thread that shuts one provider down when told to, so that others can stop waiting for it.

    It is there from the beginning, for at the end of a process no thread can be started any more (Python 3.12).
    """

    def __init__(self, shutdown: Callable[[], None]) -> None:
        self._shutdown = shutdown
        self._start()
        if hasattr(os, "register_at_fork"):  # a fork takes no threads along
            again = weakref.WeakMethod(self._start)
            os.register_at_fork(after_in_child=lambda: (start := again()) and start())

    def _start(self) -> None:
        self._told, self._over = threading.Event(), threading.Event()
        threading.Thread(target=self._run, name="mainstay-telemetry", daemon=True).start()

    def _run(self) -> None:
        self._told.wait()
        try:
            self._shutdown()
        except Exception:  # noqa: BLE001 - the SDK's own trouble at the end; whoever waits must not
            _log.debug("OpenTelemetry could not be shut down", exc_info=True)
        finally:
            self._over.set()

    def begin(self) -> None:
        """Tells it to shut down."""
        self._told.set()

    def wait(self, seconds: float) -> bool:
        """Waits at most so long; gives whether it is over."""
        return self._over.wait(max(0.0, seconds))


def _tracing(exporter: Any, resource: Resource) -> TracerProvider:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=resource, shutdown_on_exit=False)  # its own way out has no end
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


def _metering(exporter: Any, resource: Resource) -> MeterProvider:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

    return MeterProvider([PeriodicExportingMetricReader(exporter)], resource=resource, shutdown_on_exit=False)


def _wanted(signal: str) -> bool:
    return os.environ.get(f"OTEL_{signal}_EXPORTER", "").strip().lower() != "none"


def _refuse_a_second_set_up() -> None:
    from opentelemetry import metrics, trace

    found: list[Any] = []
    if _wanted("TRACES") and not isinstance(provider := trace.get_tracer_provider(), trace.ProxyTracerProvider):
        found.append(provider)
    meters = metrics.get_meter_provider()
    if _wanted("METRICS") and not type(meters).__module__.startswith("opentelemetry.metrics"):
        found.append(meters)
    if found:
        kinds = " and a ".join(f"{type(one).__module__.partition('.')[0]} {type(one).__name__}" for one in found)
        raise RuntimeError(
            f"OpenTelemetry is set up already, with a {kinds}: traces and metrics go where that hands them over. Add "
            f"an exporter there and leave export() out, or keep this one apart with export(install=False)"
        )


def _urls(endpoint: str | None) -> dict[str, str | None]:
    """The address of each signal; None leaves it to the environment."""
    if endpoint is None:
        return dict.fromkeys(_SIGNALS)
    try:
        parts = urlsplit(endpoint)
        good = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except (ValueError, AttributeError, TypeError):
        good = False
    if not good:
        raise ValueError(
            f"export({_shown(endpoint)!r}): the base URL of a collector is expected, such as http://127.0.0.1:4318"
        )
    base = endpoint.rstrip("/")
    if parts.query or parts.fragment or base.endswith(tuple(_SIGNALS.values())):
        raise ValueError(
            f"export({_shown(endpoint)!r}): the collector's base URL is expected, to which /v1/traces and /v1/metrics "
            f"are appended; addresses of their own stand in OTEL_EXPORTER_OTLP_TRACES_ENDPOINT and _METRICS_ENDPOINT"
        )
    return {signal: base + path for signal, path in _SIGNALS.items()}


def _shown(endpoint: object) -> str:
    """An address without user, password and query, which may be keys."""
    if endpoint is None:
        environ = os.environ
        named = environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
        endpoint = named or "http://localhost:4318"
    text = str(endpoint).partition("?")[0].partition("#")[0]
    scheme, slashes, rest = text.rpartition("://")
    return scheme + slashes + rest.rpartition("@")[2]


def _revealed(headers: Mapping[str, str | Secret] | None) -> dict[str, str] | None:
    if headers is None:
        return None
    if not isinstance(headers, Mapping):
        raise TypeError(f"export(headers=...) must map names to values, not be a {type(headers).__name__}")
    found = {}
    for name, value in headers.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ValueError(f"export(headers=...): {name!r} is no name of a header")
        if not isinstance(value, (str, Secret)):
            raise TypeError(f"export(headers=...): {name} must be text or a Secret, not {type(value).__name__}")
        text = Secret(value).reveal()
        if not _VALUE.fullmatch(text):
            raise ValueError(f"export(headers=...): {name} has a line break or a character that HTTP cannot carry")
        found[name] = text
    return found

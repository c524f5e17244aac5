"""The status in Prometheus' text format, version 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats).

Labels are the names of routes, which an application sets itself, and words of closed sets: so their number has a bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..pipeline import ErrorClass

__all__ = ["as_prometheus"]

_STATES = ("closed", "half-open", "open", "isolated", "resting")
_CLASSES = tuple(kind.value for kind in ErrorClass)


def as_prometheus(status: Mapping[str, Mapping[str, Any]]) -> str:
    """The text for a status as `Health.status` gives it. What is not known is left out, and never told as 0."""
    return "".join(f"{line}\n" for line in _lines(status))


def _lines(status: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for name, kind, help_, samples in _METRICS:
        yield f"# HELP {name} {help_}"
        yield f"# TYPE {name} {kind}"
        for route, entry in status.items():
            for more, value in samples(entry):
                if value is not None:
                    labels = ",".join(f'{key}="{_escaped(text)}"' for key, text in {"route": route, **more}.items())
                    yield f"{name}{{{labels}}} {float(value)!r}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


_Samples = list[tuple[dict[str, str], Any]]


def _one(field: str) -> Callable[[Mapping[str, Any]], _Samples]:
    return lambda entry: [({}, entry[field])]


def _of_probe(field: str) -> Callable[[Mapping[str, Any]], _Samples]:
    return lambda entry: [({}, entry["probe"] and entry["probe"][field])]


def _states(entry: Mapping[str, Any]) -> _Samples:
    return [({"state": state}, entry["state"] == state) for state in _STATES]


def _classes(entry: Mapping[str, Any]) -> _Samples:
    return [({"class": kind}, entry["last_error"] == kind) for kind in _CLASSES]


def _quantiles(entry: Mapping[str, Any]) -> _Samples:
    return [({"quantile": "0.5"}, entry["p50"]), ({"quantile": "0.95"}, entry["p95"])]


_METRICS: tuple[tuple[str, str, str, Callable[[Mapping[str, Any]], _Samples]], ...] = (
    ("mainstay_route_healthy", "gauge", "Whether the route is worth sending to.", _one("healthy")),
    ("mainstay_route_state", "gauge", "1 for the state that the route's breaker is in.", _states),
    ("mainstay_route_attempts_total", "counter", "Attempts that are over.", _one("attempts")),
    ("mainstay_route_errors_total", "counter", "Attempts that failed.", _one("errors")),
    ("mainstay_route_recent_attempts", "gauge", "Attempts of the window that say something.", _one("recent")),
    ("mainstay_route_success_ratio", "gauge", "Share of them that went well.", _one("success_rate")),
    ("mainstay_route_duration_seconds", "summary", "How long they took.", _quantiles),
    ("mainstay_route_sick_since_timestamp_seconds", "gauge", "Since when the route is sick.", _one("since")),
    ("mainstay_route_reopens_timestamp_seconds", "gauge", "When the route admits again.", _one("reopens_at")),
    ("mainstay_route_last_error", "gauge", "1 for the class of the last error.", _classes),
    ("mainstay_route_probe_success", "gauge", "Whether the last probe went well.", _of_probe("ok")),
    ("mainstay_route_probe_timestamp_seconds", "gauge", "When that was.", _of_probe("at")),
    ("mainstay_route_probe_duration_seconds", "gauge", "How long it took.", _of_probe("seconds")),
)

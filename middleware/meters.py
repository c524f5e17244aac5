"""Meters: the instruments of one MeterProvider, and what waits to be recorded.

Nothing waits here. An attempt may end in a garbage collection, in a thread that holds a lock of the SDK's at that
moment (recording again would hang for ever); so measurements go into a queue, and are recorded where a call is under
way or where the SDK collects.
"""

from __future__ import annotations

import threading
import weakref
from collections import Counter as Count
from collections.abc import Callable, Iterable
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, Protocol

from opentelemetry import context as contexts
from opentelemetry.context import Context
from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider, NoOpMeter, Observation
from opentelemetry.metrics import _internal as _api

from ..pipeline import ErrorClass
from ..pipeline.complaints import logger
from . import semconv as names
from .permit import CLOSED, HALF_OPEN, ISOLATED, OPEN, RESTING

__all__ = ["Meters", "Taken", "Watched", "current_provider", "meters_of"]

_log = logger()
_SCOPE = "mainstay"
_STATES = (CLOSED, OPEN, HALF_OPEN, ISOLATED, RESTING)
# Names of models that may become a label. An application's own are few; those that its users type are not.
_MODELS = 100
# While instruments are made. A finalizer never comes here: it only puts things into a queue.
_MAKING = threading.Lock()


class Watched(Protocol):
    """A stack whose breakers are told: each with the path of its route, and `now` on their clock."""

    breakers: list[tuple[str, Any]]
    now: Callable[[], float]


class Taken(NamedTuple):
    """One measurement: plain data, so that what waits to be recorded keeps nothing else alive."""

    instrument: str
    value: float
    labels: dict[str, Any]


class Meters:
    """The instruments of one MeterProvider. Thread-safe."""

    def __init__(self, meter: Meter) -> None:
        """Makes all that stand in the table."""
        self._kept: SimpleQueue[tuple[Context, Iterable[Taken]]] = SimpleQueue()
        self._models: set[str] = set()
        self._stacks: tuple[weakref.ref[Watched], ...] = ()
        self._write: dict[str, Callable[[Any, dict[str, Any]], None]] = {}
        for name, item in names.INSTRUMENTS.items():
            if item.kind == "counter":
                self._write[name] = meter.create_counter(name, unit=item.unit, description=item.about).add
            elif item.kind == "histogram":
                self._write[name] = meter.create_histogram(
                    name, unit=item.unit, description=item.about, explicit_bucket_boundaries_advisory=item.buckets
                ).record
            else:
                meter.create_observable_gauge(name, [self._states], unit=item.unit, description=item.about)

    def look_at(self, stack: Watched) -> None:
        """Tells the state of this stack's breakers from now on, as long as it is there."""
        with _MAKING:
            kept = [ref for ref in self._stacks if ref() not in (None, stack)]
            self._stacks = (*kept, weakref.ref(stack))

    def keep(self, context: Context, taken: Iterable[Taken]) -> None:
        """Keeps measurements until they can be recorded. Never waits."""
        self._kept.put((context, tuple(taken)))

    def record(self) -> None:
        """Records what was kept. Not to be called where a garbage collection may be under way."""
        while not self._kept.empty():
            try:
                context, taken = self._kept.get_nowait()
            except Empty:  # another thread was quicker
                return
            # So that an exemplar leads to the trace of its own call, and not to that of whoever records it.
            token = contexts.attach(context)
            try:
                for name, value, labels in taken:
                    self._write[name](value, labels)
            except Exception:  # noqa: BLE001 - somebody else's SDK; the call must not suffer for it
                _log.exception("metrics could not be recorded")
            finally:
                contexts.detach(token)

    def model(self, name: str, error: ErrorClass | None) -> str:
        """The name, if it may be a label; one that the provider does not know takes nobody's place."""
        if name not in self._models:
            if len(self._models) >= _MODELS or error is ErrorClass.MODEL_NOT_FOUND:
                return names.OTHER
            self._models.add(name)
        return name

    def _states(self, asked: CallbackOptions) -> Iterable[Observation]:
        """How many breakers of each route are in each state: of one stack, 1 in one of them."""
        self.record()
        counts: Count[tuple[str, str]] = Count()
        told: set[int] = set()  # a stack may be a route of another, and asked by itself as well
        for stack in filter(None, [ref() for ref in self._stacks]):
            for route, breaker in stack.breakers:
                if id(breaker) in told:
                    continue
                told.add(id(breaker))
                counts.update({(route, state): 0 for state in _STATES})
                counts[route, breaker.snapshot(stack.now())["state"]] += 1
        return [
            Observation(count, {names.ROUTE: route, names.STATE: state}) for (route, state), count in counts.items()
        ]


_known_meters: weakref.WeakKeyDictionary[MeterProvider, Meters | None] = weakref.WeakKeyDictionary()


def current_provider(given: MeterProvider | None) -> MeterProvider | None:
    """What was given, else the global provider; None where none was set.

    The API's own function looks into the environment each time that there is none, which takes longer than this layer.
    Without the name it reads, a provider that is set after the first call would not be seen.
    """
    return given or getattr(_api, "_METER_PROVIDER", None)


def meters_of(provider: MeterProvider) -> Meters | None:
    """The instruments of a provider, made once; None if it is one of the API's own, which record nothing."""
    if type(provider).__module__.startswith("opentelemetry.metrics"):  # its proxy has no public name
        return None
    with _MAKING:
        if provider not in _known_meters:
            meter = provider.get_meter(_SCOPE)
            _known_meters[provider] = None if isinstance(meter, NoOpMeter) else Meters(meter)
        return _known_meters[provider]

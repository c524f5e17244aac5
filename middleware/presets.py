"""The standard order of layers, with the reason for each place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..pipeline import Layer, PriceTable
from .breaker import CircuitBreaker
from .circuit import Circuits
from .cost import Cost
from .deadline import Deadline
from .metrics import Metrics
from .retry import Retry
from .trace import Trace, TraceCall
from .validate import Validate

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

__all__ = ["standard"]


def standard(
    *,
    deadline: float = 600.0,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
    circuits: Circuits | None = None,
    prices: PriceTable | None = None,
) -> list[Layer]:
    """The layers that most applications want, outside in.

    Args:
        deadline: how long a call may take in all, in seconds, more than 0.
        tracer_provider: where spans go; OpenTelemetry's global provider unless given.
        meter_provider: where metrics go; OpenTelemetry's global provider unless given.
        circuits: what the breakers share with those of other stacks; nothing unless given.
        prices: what calls are counted by, `Prices` or `KnownPrices()`; only what providers report unless given.

    Returns:
        A new list, to be changed at will and given to a Stack with a router behind it.
    """
    return [
        TraceCall(tracer_provider),  # sees everything, so outermost
        Metrics(meter_provider),  # measures whole calls, so outside all that could end one
        Deadline(deadline),  # bounds everything, sleeps too
        *([] if prices is None else [Cost(prices)]),  # only writes down the prices, so anywhere
        Validate(),  # before anything is spent
        Retry(),  # a new admission for each try, so outside the breaker
        CircuitBreaker(circuits=circuits),  # refuses before anything leaves
        Trace(tracer_provider),  # one span per attempt that really left, so inside the breaker
    ]

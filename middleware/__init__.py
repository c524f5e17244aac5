"""One concern, one file. Names are handed on lazily, so that what is not used is not loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..pipeline.lazy import handing_on

if TYPE_CHECKING:
    from .backoff import Backoff as Backoff
    from .balance import Balance as Balance
    from .breaker import Breaker as Breaker
    from .breaker import CircuitBreaker as CircuitBreaker
    from .budget import RetryBudget as RetryBudget
    from .circuit import Circuits as Circuits
    from .content import Content as Content
    from .cost import Cost as Cost
    from .cost import KnownPrices as KnownPrices
    from .cost import Price as Price
    from .cost import Prices as Prices
    from .deadline import Deadline as Deadline
    from .fallback import Fallback as Fallback
    from .health import Health as Health
    from .health_route import HealthChange as HealthChange
    from .log import Log as Log
    from .metrics import Metrics as Metrics
    from .presets import standard as standard
    from .redis_circuits import RedisCircuits as RedisCircuits
    from .resuming import MidStream as MidStream
    from .retry import Policy as Policy
    from .retry import Retry as Retry
    from .strategies import Cheapest as Cheapest
    from .strategies import Fastest as Fastest
    from .strategies import Healthiest as Healthiest
    from .strategies import RoundRobin as RoundRobin
    from .strategies import Sticky as Sticky
    from .strategies import Strategy as Strategy
    from .strategies import Weighted as Weighted
    from .trace import Trace as Trace
    from .trace import TraceCall as TraceCall
    from .validate import Validate as Validate

_HOMES = {
    "Backoff": "backoff",
    "Balance": "balance",
    "Breaker": "breaker",
    "CircuitBreaker": "breaker",
    "Circuits": "circuit",
    "Content": "content",
    "Cost": "cost",
    "KnownPrices": "cost",
    "Price": "cost",
    "Prices": "cost",
    "Deadline": "deadline",
    "Fallback": "fallback",
    "Health": "health",
    "HealthChange": "health_route",
    "Log": "log",
    "Metrics": "metrics",
    "MidStream": "resuming",
    "Policy": "retry",
    "RedisCircuits": "redis_circuits",
    "Retry": "retry",
    "RetryBudget": "budget",
    "Cheapest": "strategies",
    "Fastest": "strategies",
    "Healthiest": "strategies",
    "RoundRobin": "strategies",
    "Sticky": "strategies",
    "Strategy": "strategies",
    "Weighted": "strategies",
    "Trace": "trace",
    "TraceCall": "trace",
    "Validate": "validate",
    "standard": "presets",
}

__all__ = [
    "Backoff",
    "Balance",
    "Breaker",
    "Cheapest",
    "CircuitBreaker",
    "Circuits",
    "Content",
    "Cost",
    "Deadline",
    "Fallback",
    "Fastest",
    "Health",
    "HealthChange",
    "Healthiest",
    "KnownPrices",
    "Log",
    "Metrics",
    "MidStream",
    "Policy",
    "Price",
    "Prices",
    "RedisCircuits",
    "Retry",
    "RetryBudget",
    "RoundRobin",
    "Sticky",
    "Strategy",
    "Trace",
    "TraceCall",
    "Validate",
    "Weighted",
    "standard",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = handing_on(__name__, _HOMES)

"""A fleet's circuit against the naive model of a circuit, whatever becomes of Redis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import settings
from hypothesis.stateful import rule

from mainstay.middleware.permit import Rules
from support.circuit_model import Model
from support.fleet_model import FleetModel
from support.fleets import FakeRedis, Process


class Asking:
    """One process, as the model uses a circuit: it asks before each admission, and tells after each result."""

    def __init__(self, process: Process) -> None:
        self.process, self.circuit = process, process.circuit

    def __getattr__(self, name: str) -> Any:
        return getattr(self.circuit, name)

    def admit(self, now: float, lease: float, tell: Callable[[Any], None]) -> Any:
        self.process.told = []
        answer = self.process.admit(lease)
        for change in self.process.told:
            tell(change)
        return answer

    def snapshot(self, now: float) -> dict[str, Any]:
        # What an outage has brought about reaches Redis with the next exchange, whoever makes it: a moment that has
        # passed by then is told as that of the exchange. Both say that the route admits.
        shot: dict[str, Any] = self.circuit.snapshot(now)
        return {**shot, "until": max(shot["until"], now)} if shot["until"] is not None else shot

    def settle(self, *args: Any) -> None:
        self.circuit.settle(*args)
        self.process.link.flush()

    def isolate(self) -> None:
        self.circuit.isolate()
        self.process.link.flush()

    def close(self) -> None:
        self.circuit.close()
        self.process.link.flush()


class Alone(Model):
    """A fleet of one is an ordinary circuit, to the moment: with Redis, without it, and when it has lost everything."""

    def made(self, rules: Rules) -> Any:
        self.redis = FakeRedis()
        self.redis.now = self.now
        return Asking(Process(self.redis, rules=rules, pause=0.75))

    @rule()
    def redis_goes_or_comes(self) -> None:
        self.redis.down = not self.redis.down

    @rule()
    def redis_loses_everything(self) -> None:
        self.redis.flush()

    @property
    def now(self) -> float:
        return self._now

    @now.setter
    def now(self, now: float) -> None:
        self._now = now
        if hasattr(self, "redis"):
            self.redis.now = now


STEPS = {"deadline": None, "database": None}
TestAlone = Alone.TestCase
TestAlone.settings = settings(max_examples=75, stateful_step_count=60, **STEPS)
TestFleet = FleetModel.TestCase
TestFleet.settings = settings(max_examples=100, stateful_step_count=80, **STEPS)

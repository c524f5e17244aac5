"""A stack whose health is watched: what the tests of Health share."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from mainstay.middleware import Fallback, Health
from mainstay.pipeline import ProviderError, Request, Route, VirtualClock

WALL = 1_700_000_000.0


class Ward:
    """A stack with health, on a clock of its own; the time of day moves with it."""

    def __init__(self, world: Any, layers: list[Any], **leaves: Any) -> None:
        self.world = world
        self.clock = VirtualClock()
        self.health = Health(wall=lambda: WALL + self.clock.now() - 1000.0)
        routes = Fallback(*(Route(name, leaf) for name, leaf in leaves.items()))
        self.stack = world.stack(layers, routes, clock=self.clock, observers=[self.health])

    def ask(self, times: int = 1, end: str = "keep", stream: bool = False) -> None:
        for _ in range(times):
            with suppress(ProviderError, ValueError, KeyboardInterrupt):
                self.world.run(self.stack, Request("m", "Hi", stream=stream), end)

    def of(self, route: str) -> dict[str, Any]:
        return self.health.status(self.stack)[route]

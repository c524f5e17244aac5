"""A breaker in a stack on the bench: what its tests share."""

from __future__ import annotations

from typing import Any

from mainstay.middleware import CircuitBreaker
from mainstay.pipeline import BreakerChanged, Reply, Request, Stack, Unavailable, VirtualClock

ASK = Request("gpt-4o", "hello")
STREAM = Request("gpt-4o", "hello", stream=True)


class Bench:
    """A stack of one breaker around a leaf that does what it is told next."""

    def __init__(self, **options: Any) -> None:
        self.clock = VirtualClock()
        self.events: list[Any] = []
        self.next: Any = Reply
        self.seen = 0
        self.timeouts = options.pop("timeouts", None)
        layers = [*options.pop("outside", []), CircuitBreaker(**{"failures": 1, **options})]
        self.stack = Stack(layers, self, clock=self.clock, observers=[self.events.append])
        self.breaker = self.stack.part("breaker")

    name = "openai"

    def __call__(self, request: Request) -> Reply:
        self.seen += 1
        outcome = self.next() if callable(self.next) else self.next
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def ask(self, outcome: Any = None, request: Request = ASK) -> Any:
        self.next = outcome or Reply
        try:
            return self.stack(request)
        except BaseException as error:
            return error

    @property
    def state(self) -> str:
        return self.breaker.snapshot(self.clock.now())["state"]

    @property
    def changes(self) -> list[BreakerChanged]:
        return [event for event in self.events if isinstance(event, BreakerChanged)]

    def half_open(self) -> None:
        self.ask(Unavailable())
        self.clock.advance(10)

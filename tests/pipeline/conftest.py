"""What several files here share: both worlds, a scripted leaf, a router and a few tiny layers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from mainstay.pipeline import AsyncStack, Layer, ProviderError, Reply, Request, Router, Stack, Via
from mainstay.pipeline.layer import AsyncBound, Bound


class Threads:
    """The world where a handler is a function."""

    stack = Stack
    bound = Bound

    def handler(self, function: Callable[[Request], Any]) -> Any:
        return function

    def run(self, handler: Any, request: Request) -> Any:
        return handler(request)

    def close(self, stack: Any) -> None:
        stack.close()


class Loop:
    """The world where a handler is a coroutine function."""

    stack = AsyncStack
    bound = AsyncBound

    def handler(self, function: Callable[[Request], Any]) -> Any:
        async def handler(request: Request) -> Any:
            await asyncio.sleep(0)
            return function(request)

        return handler

    def run(self, handler: Any, request: Request) -> Any:
        async def main() -> Any:
            return await handler(request)

        return asyncio.run(main())

    def close(self, stack: Any) -> None:
        asyncio.run(stack.aclose())


class Script:
    """A leaf that does what it is told, one entry per call, the last one for ever; it notes what it was sent."""

    def __init__(self, *entries: Any) -> None:
        self.entries = list(entries) or [lambda: Reply("answer")]
        self.seen: list[Request] = []

    def __call__(self, request: Request) -> Any:
        self.seen.append(request)
        entry = self.entries[0] if len(self.entries) == 1 else self.entries.pop(0)
        if isinstance(entry, BaseException):
            raise entry
        return entry() if callable(entry) else entry


class InOrder(Router):
    """Tries its routes in order, and nothing more."""

    kind = "fallback"
    manner = "in order"  # type: ignore[assignment]

    def handle(self, request: Request) -> Any:
        outside = request.call.routes_left
        failure: ProviderError | None = None
        for number, route in enumerate(self.routes):
            request.call.routes_left = outside + sum(other.leaf_count for other in self.routes[number + 1 :])
            try:
                return (yield Via(route, request))
            except ProviderError as error:
                failure = error
            finally:
                request.call.routes_left = outside
        assert failure is not None
        raise failure


@dataclass(frozen=True)
class Mark(Layer):
    """Passes everything, and notes (name, route, model) in `call.slots["marks"]` as a request comes by."""

    name: str = "mark"
    scope: Any = "call"

    def bind(self, handler: Any) -> Any:
        return Marking(self, handler)


class Marking:
    """Running half of Mark: counts what it has seen."""

    def __init__(self, layer: Mark, handler: Any) -> None:
        self.layer = layer
        self.handler = handler
        self.route = handler.route if hasattr(handler, "route") else ""
        self.calls = 0

    def handle(self, request: Request) -> Any:
        self.calls += 1
        request.call.slots.setdefault("marks", []).append((self.layer.name, self.route, request.model))
        reply = yield request
        return reply


@dataclass(frozen=True)
class Again(Layer):
    """Tries up to `times` times, without waiting."""

    times: int = 3
    name: str = "again"
    scope: Any = "route"

    def handle(self, request: Request) -> Any:
        for left in reversed(range(self.times)):
            try:
                return (yield request)
            except ProviderError:
                if not left:
                    raise
        return None


@pytest.fixture(params=[Threads(), Loop()], ids=["threads", "asyncio"])
def world(request: pytest.FixtureRequest) -> Any:
    """Each of the two worlds in turn."""
    return request.param


@pytest.fixture
def script() -> type[Script]:
    return Script


@pytest.fixture
def in_order() -> type[InOrder]:
    return InOrder


@pytest.fixture
def mark() -> type[Mark]:
    return Mark


@pytest.fixture
def again() -> type[Again]:
    return Again


@pytest.fixture
def ask() -> Request:
    """A request that is not under way."""
    return Request("gpt-4o", "Why is the sky blue?")

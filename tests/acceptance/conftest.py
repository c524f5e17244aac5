"""What the acceptance tests share: sandboxes, adapters onto them, and a clock on which sleeping takes no time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from mainstay.adapters.sandbox import Sandbox
from mainstay.pipeline import Clock, Timeouts
from support.bridge import InThreads

ADAPTERS = {
    "openai": "OpenAI",
    "claude": "Claude",
    "openrouter": "OpenRouter",
    "ollama": "Ollama",
    "llama_cpp": "LlamaCpp",
}


class LeapingClock(Clock):
    """Real time for sockets; a sleep is over at once, and has passed on the clock all the same."""

    __slots__ = ("_leapt", "slept")

    def __init__(self) -> None:
        self._leapt = 0.0
        self.slept: list[float] = []
        super().__init__(now=lambda: time.monotonic() + self._leapt, sleep=self._leap, random=lambda: 0.5)

    def _leap(self, seconds: float) -> None:
        self.slept.append(seconds)
        self._leapt += seconds

    async def asleep(self, seconds: float) -> None:
        self._leap(seconds)
        await asyncio.sleep(0.005)  # in which the end of a connection arrives that the provider has closed


@pytest.fixture
def clock() -> LeapingClock:
    return LeapingClock()


@pytest.fixture
def world() -> Any:
    """The world of threads. A file whose tests are run in both worlds has a `world` of its own."""
    return InThreads()


@pytest.fixture
def bench(world: Any) -> Iterator[Callable[..., tuple[Sandbox, Any]]]:
    """Makes a sandbox and an adapter onto it; both are closed at the end, and nothing may be left open."""
    with ExitStack() as stack:
        servers: list[Sandbox] = []

        def make(dialect: str, *, timeouts: Timeouts | None = None, **options: Any) -> tuple[Sandbox, Any]:
            server = stack.enter_context(Sandbox(dialect, **options))
            servers.append(server)
            settings: dict[str, Any] = {"base_url": server.url, "timeouts": timeouts or Timeouts()}
            if dialect != "ollama":
                settings["api_key"] = "sk-test"
            return server, stack.enter_context(getattr(world, ADAPTERS[dialect])(**settings))

        yield make

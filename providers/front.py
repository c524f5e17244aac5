"""Front: what a provider and a chain have in common: a stack, its health, and two ways to ask; in both worlds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, TypedDict

from ..middleware import Health, standard
from ..pipeline import AsyncReply, AsyncStack, Clock, Layer, Message, Observer, Reply, Request, Router, Stack
from ..pipeline.closing import AsyncClosing, Closing
from .monitored import Monitored

__all__ = ["AsyncFront", "Front", "FrontBase", "FrontOptions"]


class FrontOptions(TypedDict, total=False):
    """The options of a Front, by name; see there."""

    layers: Iterable[Layer | Callable[[Any], Any]] | None
    clock: Clock | None
    observers: Sequence[Observer]
    health: Health | None


class FrontBase(Monitored):
    """A stack over a router: what the fronts of both worlds share, which is all but the asking.

    Args:
        router: which routes there are, and how they are chosen.
        layers: outside in; the standard ones unless given.
        clock: time, sleep and random; the real ones unless given.
        observers: called with every event.
        health: keeps score; one of its own unless given.

    Attributes:
        stack: what really runs; `print` it.
        health: the score.
    """

    _stack: ClassVar[type[Stack] | type[AsyncStack]]

    def __init__(
        self,
        router: Router,
        *,
        layers: Iterable[Layer | Callable[[Any], Any]] | None = None,
        clock: Clock | None = None,
        observers: Sequence[Observer] = (),
        health: Health | None = None,
    ) -> None:
        self.health = health or Health()
        self.stack: Any = self._stack(
            standard() if layers is None else layers,
            router,
            clock=clock,
            observers=(self.health, *observers),
        )

    def _stacks(self) -> tuple[Stack | AsyncStack]:
        return (self.stack,)

    def __str__(self) -> str:
        return str(self.stack)


class Front(FrontBase, Closing):
    """A stack over a router, with the calls that an application makes; arguments as FrontBase has them."""

    _stack = Stack
    stack: Stack

    def execute(
        self,
        model: str,
        prompt: str | Iterable[Message],
        parameters: Mapping[str, Any] | None = None,
    ) -> Reply:
        """Asks, and waits for the whole reply.

        Args:
            model: the model to ask for; a route may map it to its own.
            prompt: a prompt, or OpenAI-shaped messages.
            parameters: generation parameters by name, such as `{"temperature": 0.2}`.

        Returns:
            The finished reply; `reply.provider` and `reply.attempts` say how it came about.

        Raises:
            InvalidParameters: if a parameter is wrong; all problems at once, before anything is sent.
            ProviderError: if no route could answer; its class says why.
        """
        return self.stack(Request(model, prompt, parameters or {}))

    def stream(
        self,
        model: str,
        prompt: str | Iterable[Message],
        parameters: Mapping[str, Any] | None = None,
    ) -> Reply:
        """Asks, and returns once the first token is there; iterate the reply, in a `with` block, for the rest.

        Until then failures are retried and fall back like any other; afterwards nothing is repeated, and a
        stream that breaks raises with `error.partial`. Arguments and errors are those of `execute`.
        """
        return self.stack(Request(model, prompt, parameters or {}, stream=True))

    def close(self) -> None:
        """Closes the connections of every provider that it leads to, and ends its probes and its endpoint."""
        self._unwatch()
        self.stack.close()


class AsyncFront(FrontBase, AsyncClosing):
    """The same for asyncio. It belongs to no event loop."""

    _stack = AsyncStack
    stack: AsyncStack

    async def execute(
        self,
        model: str,
        prompt: str | Iterable[Message],
        parameters: Mapping[str, Any] | None = None,
    ) -> AsyncReply:
        """Asks, and waits for the whole reply; as `Front.execute`."""
        return await self.stack(Request(model, prompt, parameters or {}))

    async def stream(
        self,
        model: str,
        prompt: str | Iterable[Message],
        parameters: Mapping[str, Any] | None = None,
    ) -> AsyncReply:
        """Asks, and returns once the first token is there; iterate the reply, in an `async with` block, for the rest.

        Otherwise as `Front.stream`.
        """
        return await self.stack(Request(model, prompt, parameters or {}, stream=True))

    async def aclose(self) -> None:
        """Closes the connections of every provider that it leads to, on the running loop; as `Front.close`."""
        await self._aunwatch()
        await self.stack.aclose()

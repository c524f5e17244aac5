"""ProviderManager: providers by name, a fallback chain over some of them, and how they are doing.

AsyncProviderManager is the same for asyncio; what both share, which is all but the asking, is ManagerBase.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, Unpack

from ..middleware import Circuits, Health, MidStream, Strategy, standard
from ..pipeline import AsyncReply, AsyncStack, Message, ProviderError, Reply, Stack
from ..pipeline.closing import AsyncClosing, Closing
from .chain import AsyncProviderChain, ProviderChain
from .front import FrontOptions
from .monitored import Monitored
from .provider import AsyncProvider, Provider
from .registry import create_async_provider, create_provider

if TYPE_CHECKING:
    from ..adapters.probing import Probe

__all__ = ["AsyncProviderManager", "ManagerBase", "ProviderManager"]

P = TypeVar("P", Provider, AsyncProvider)
C = TypeVar("C", ProviderChain, AsyncProviderChain)


class ManagerBase(Monitored, Generic[P, C]):
    """Holds providers, and a chain over some of them; arguments as ProviderManager has them."""

    _create: ClassVar[Callable[..., Any]]
    _chained: ClassVar[Callable[..., Any]]

    def __init__(self, **options: Unpack[FrontOptions]) -> None:
        self.health = options.get("health") or Health()
        self._options = options
        self._options["health"] = self.health
        if self._options.get("layers") is None:
            self._options["layers"] = standard(circuits=Circuits())
        self._providers: dict[str, P] = {}
        self._chain: C | None = None

    def add_provider(self, name: str, config: Mapping[str, Any] | None = None, *, kind: str | None = None) -> P:
        """Makes a provider and keeps it.

        Args:
            name: what it is called from now on.
            config: as for `create_provider`.
            kind: as for `create_provider`; the name unless given, so that several of one kind can be kept.

        Raises:
            ValueError: if the name is taken, or the kind or an option is unknown.
        """
        if name in self._providers:
            raise ValueError(f"there is a provider {name!r} already: choose another name")
        provider: P = self._create(kind or name, config, name=name, **self._options)
        self._providers[name] = provider
        return provider

    def get_provider(self, name: str) -> P:
        """The provider of that name.

        Raises:
            LookupError: if there is none.
        """
        try:
            return self._providers[name]
        except KeyError:
            known = ", ".join(self._providers) or "none yet: add_provider(name, config) makes one"
            raise LookupError(f"there is no provider {name!r}; there is {known}") from None

    def setup_fallback_chain(
        self,
        names: Iterable[str],
        *,
        strategy: str | Strategy = "in_order",
        panic: bool = False,
        mid_stream: MidStream = "raise",
    ) -> C:
        """Chains providers in order of preference; the next one answers where one fails.

        Args:
            names: of the providers.
            strategy, panic, mid_stream: how the next one is chosen, as for `Fallback`.

        Raises:
            LookupError: if a name is unknown.
            ValueError: as for ProviderChain.
        """
        links = [(name, self.get_provider(name)) for name in names]
        chain: C = self._chained(links, strategy=strategy, panic=panic, mid_stream=mid_stream, **self._options)
        self._chain = chain
        return chain

    @property
    def chain(self) -> C:
        """The fallback chain.

        Raises:
            RuntimeError: if none was set up.
        """
        if self._chain is None:
            raise RuntimeError("no fallback chain was set up: call setup_fallback_chain([...]) first")
        return self._chain

    def get_provider_status(self) -> dict[str, dict[str, Any]]:
        """How each provider is doing, by its name; see `Health.status` for the fields.

        It covers all calls, alone and in the chain.
        """
        return self.status()

    def _stacks(self) -> tuple[Stack | AsyncStack, ...]:
        fronts: list[Any] = [*self._providers.values()]
        if self._chain is not None:
            fronts.append(self._chain)
        return tuple(front.stack for front in fronts)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {', '.join(self._providers)}>"


class ProviderManager(ManagerBase[Provider, ProviderChain], Closing):
    """Holds providers, and answers through one of them or through all in order.

        manager = ProviderManager()
        manager.add_provider("openai", {"api_key": "..."})
        manager.add_provider("claude", {"api_key": "...", "model": "claude-sonnet-4-5"})
        manager.setup_fallback_chain(["openai", "claude"])
        reply = manager.execute_with_fallback("gpt-4o", "Why is the sky blue?")

    A provider is one, whether it is asked alone or in the chain: with the standard layers, what its breaker learns in
    one place counts in the other.

    Args:
        options: as for `Front`, for every provider and the chain.
    """

    _create = staticmethod(create_provider)
    _chained = ProviderChain

    def execute(
        self,
        name: str,
        model: str,
        prompt: str | Iterable[Message],
        parameters: Mapping[str, Any] | None = None,
    ) -> Reply:
        """Asks one provider; otherwise as `Front.execute`."""
        return self.get_provider(name).execute(model, prompt, parameters)

    def stream(
        self,
        name: str,
        model: str,
        prompt: str | Iterable[Message],
        parameters: Mapping[str, Any] | None = None,
    ) -> Reply:
        """Asks one provider for a stream; otherwise as `Front.stream`."""
        return self.get_provider(name).stream(model, prompt, parameters)

    def execute_with_fallback(
        self, model: str, prompt: str | Iterable[Message], parameters: Mapping[str, Any] | None = None
    ) -> Reply:
        """Asks the chain; otherwise as `Front.execute`."""
        return self.chain.execute(model, prompt, parameters)

    def stream_with_fallback(
        self, model: str, prompt: str | Iterable[Message], parameters: Mapping[str, Any] | None = None
    ) -> Reply:
        """Asks the chain for a stream; otherwise as `Front.stream`."""
        return self.chain.stream(model, prompt, parameters)

    def probe(self, timeout: float = 10.0) -> dict[str, Probe | ProviderError]:
        """Whether each provider would answer, all asked at the same time; see `Provider.probe`.

        Args:
            timeout: seconds for each, more than 0.

        Returns:
            By name the probe, or the error in place of one.
        """
        from .checking import probe_all

        return probe_all({name: partial(p.probe, None, timeout) for name, p in self._providers.items()})

    def close(self) -> None:
        """Closes the connections of all providers, and ends the probes and the endpoint."""
        self._unwatch()
        for provider in self._providers.values():
            provider.close()


class AsyncProviderManager(ManagerBase[AsyncProvider, AsyncProviderChain], AsyncClosing):
    """ProviderManager for asyncio: what waits is awaited, everything else is the same. It belongs to no event loop.

        async with AsyncProviderManager() as manager:
            manager.add_provider("openai", {"api_key": "..."})
            reply = await manager.execute("openai", "gpt-4o", "Why is the sky blue?")

    Args:
        options: as for `Front`, for every provider and the chain.
    """

    _create = staticmethod(create_async_provider)
    _chained = AsyncProviderChain

    async def execute(
        self,
        name: str,
        model: str,
        prompt: str | Iterable[Message],
        parameters: Mapping[str, Any] | None = None,
    ) -> AsyncReply:
        """Asks one provider; otherwise as `AsyncFront.execute`."""
        return await self.get_provider(name).execute(model, prompt, parameters)

    async def stream(
        self,
        name: str,
        model: str,
        prompt: str | Iterable[Message],
        parameters: Mapping[str, Any] | None = None,
    ) -> AsyncReply:
        """Asks one provider for a stream; otherwise as `AsyncFront.stream`."""
        return await self.get_provider(name).stream(model, prompt, parameters)

    async def execute_with_fallback(
        self, model: str, prompt: str | Iterable[Message], parameters: Mapping[str, Any] | None = None
    ) -> AsyncReply:
        """Asks the chain; otherwise as `AsyncFront.execute`."""
        return await self.chain.execute(model, prompt, parameters)

    async def stream_with_fallback(
        self, model: str, prompt: str | Iterable[Message], parameters: Mapping[str, Any] | None = None
    ) -> AsyncReply:
        """Asks the chain for a stream; otherwise as `AsyncFront.stream`."""
        return await self.chain.stream(model, prompt, parameters)

    async def probe(self, timeout: float = 10.0) -> dict[str, Probe | ProviderError]:
        """Whether each provider would answer, all asked at the same time; as `ProviderManager.probe`."""
        import asyncio

        asked = (_outcome(provider, timeout) for provider in self._providers.values())
        return dict(zip(self._providers, await asyncio.gather(*asked), strict=True))

    async def aclose(self) -> None:
        """Closes the connections of all providers, on the running loop; ends the probes and the endpoint."""
        await self._aunwatch()
        async with AsyncExitStack() as closing:
            for provider in self._providers.values():
                closing.push_async_callback(provider.aclose)


async def _outcome(provider: AsyncProvider, timeout: float) -> Probe | ProviderError:
    try:
        return await provider.probe(None, timeout)
    except ProviderError as error:
        return error.detached()

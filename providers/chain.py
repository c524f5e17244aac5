"""ProviderChain: several providers, one answer; AsyncProviderChain: the same for asyncio."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, TypeAlias, Unpack

from ..middleware import Fallback, MidStream, Strategy
from ..pipeline import Request, Route
from ..pipeline.router import label
from .front import AsyncFront, Front, FrontBase, FrontOptions
from .provider import AsyncProvider, Provider, ProviderBase

__all__ = ["AsyncProviderChain", "ChainBase", "Link", "ProviderChain", "models_are_known"]

Link: TypeAlias = ProviderBase | Callable[[Request], Any]
"""A provider, or any handler; of the same world as the chain."""


class ChainBase(FrontBase):
    """Asks the first provider, and the next where it fails; each with its own retries and breaker.

        chain = ProviderChain([("openai", openai), ("claude", claude), ("ollama", ollama)])
        reply = chain.execute("gpt-4o", "Why is the sky blue?")

    Args:
        links: pairs of a name and a provider (or any handler), in order of preference.
        strategy, panic, mid_stream: how the next one is chosen, as for `Fallback`.
        options: as for `Front`.

    Raises:
        TypeError: if a provider is made for the other world.
        ValueError: if there is no link, two have the same name, or a provider of another protocol than the
            first's was not told which model to use: the name asked for means nothing there; or as for `Fallback`.
    """

    _provider: ClassVar[type[ProviderBase]]

    def __init__(
        self,
        links: Iterable[tuple[str, Link] | Route],
        *,
        strategy: str | Strategy = "in_order",
        panic: bool = False,
        mid_stream: MidStream = "raise",
        **options: Unpack[FrontOptions],
    ) -> None:
        routes = [link if isinstance(link, Route) else self._route(*link) for link in links]
        if not routes:
            raise ValueError("ProviderChain([...]) needs at least one (name, provider)")
        models_are_known(routes)
        super().__init__(Fallback(*routes, strategy=strategy, panic=panic, mid_stream=mid_stream), **options)

    def _route(self, name: str, link: Link) -> Route:
        if not isinstance(link, ProviderBase):
            return Route(name, link)
        if not isinstance(link, self._provider):
            raise TypeError(
                f"{name!r} is of the other world: {type(self).__name__} takes {self._provider.__name__}, "
                f"not {type(link).__name__}"
            )
        return link.as_route(name)


class ProviderChain(ChainBase, Front):
    __doc__ = ChainBase.__doc__
    _provider = Provider


class AsyncProviderChain(ChainBase, AsyncFront):
    __doc__ = ChainBase.__doc__
    _provider = AsyncProvider


def _protocol(handler: Any) -> str:
    """The protocol that a handler speaks: its codec's; of other handlers, who answers there."""
    codec = getattr(handler, "codec", None)
    return type(codec).__name__.removesuffix("Codec") if codec is not None else label(handler)


def models_are_known(routes: list[Route]) -> None:
    protocols = [_protocol(route.handler) for route in routes]
    if len(set(protocols)) == 1:
        return
    for route in routes[1:]:
        if route.model is None and not route.models:
            raise ValueError(
                f"the chain mixes protocols ({', '.join(dict.fromkeys(protocols))}), and {route.name!r} does not "
                f"say which model it uses: the name that is asked of {routes[0].name!r} means nothing to it. "
                f"Give it model='...' or models={{'asked': 'its own'}}"
            )

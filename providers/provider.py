"""Provider: one provider with the standard stack in front of it; AsyncProvider: the same for asyncio."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Unpack

from ..middleware import Fallback
from ..pipeline import Route
from .front import AsyncFront, Front, FrontBase, FrontOptions

if TYPE_CHECKING:
    from ..adapters.probing import Model, Probe

__all__ = ["AsyncProvider", "Provider", "ProviderBase"]


class ProviderBase(FrontBase):
    """One provider, ready to be asked; `create_provider` and `create_async_provider` make it.

    In a chain only its adapter is used: the chain brings its own layers, so that nothing is done twice.

    Args:
        name: what errors and status call it.
        adapter: the handler that speaks to it.
        model: the model to use whatever is asked for, or None.
        models: from the model asked for to this provider's, by name.
        params: parameters set here, over the caller's.
        drop: names of the caller's parameters that are left out here.
        rename: from the caller's parameter name to the one used here.
        window: context window in tokens, if known.
        lacks: what it cannot do, of "tools", "images" and "json_schema".
        continues: whether its model goes on from a last message of the assistant's.
        options: as for `Front`.
    """

    def __init__(
        self,
        name: str,
        adapter: Any,
        *,
        model: str | None = None,
        models: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
        drop: Collection[str] = frozenset(),
        rename: Mapping[str, str] | None = None,
        window: int | None = None,
        lacks: Collection[str] = frozenset(),
        continues: bool = False,
        **options: Unpack[FrontOptions],
    ) -> None:
        self.name = name
        self.adapter = adapter
        self.route = Route(
            name, adapter, model, models or {}, params or {}, drop, rename or {}, window, lacks, continues
        )
        super().__init__(Fallback(self.route), **options)

    def as_route(self, name: str) -> Route:
        """The same provider as a route of a chain, under that name."""
        return dataclasses.replace(self.route, name=name)

    def _models(self, timeout: float) -> Any:
        return self._question("models")(timeout, clock=self.stack.clock)

    def _probe(self, model: str | None, timeout: float) -> Any:
        wanted = self.route.models.get(model or "") or self.route.model or model
        return self._question("probe")(wanted, timeout, clock=self.stack.clock)

    def _question(self, name: str) -> Any:
        method = getattr(self.adapter, name, None)
        if method is None:
            raise TypeError(f"{self.name!r} cannot be asked: {type(self.adapter).__name__} has no {name}()")
        return method

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}: {self.adapter!r}>"


class Provider(ProviderBase, Front):
    __doc__ = ProviderBase.__doc__

    def models(self, timeout: float = 10.0) -> tuple[Model, ...]:
        """The models that the provider lists; as `Adapter.models`.

        Raises:
            TypeError: if the provider is a handler that cannot be asked.
        """
        listed: tuple[Model, ...] = self._models(timeout)
        return listed

    def probe(self, model: str | None = None, timeout: float = 10.0) -> Probe:
        """Whether the provider would answer, without a chat request; as `Adapter.probe`.

        Health and breakers neither rule nor learn from it: it is one look, past the stack.

        Args:
            model: as for `execute`; this provider's own unless given.
            timeout: seconds for all of it, more than 0.

        Raises:
            TypeError: if the provider is a handler that cannot be asked.
        """
        found: Probe = self._probe(model, timeout)
        return found


class AsyncProvider(ProviderBase, AsyncFront):
    __doc__ = ProviderBase.__doc__

    async def models(self, timeout: float = 10.0) -> tuple[Model, ...]:
        """The models that the provider lists; as `Provider.models`."""
        listed: tuple[Model, ...] = await self._models(timeout)
        return listed

    async def probe(self, model: str | None = None, timeout: float = 10.0) -> Probe:
        """Whether the provider would answer, without a chat request; as `Provider.probe`."""
        found: Probe = await self._probe(model, timeout)
        return found

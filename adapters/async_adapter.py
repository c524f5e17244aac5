"""AsyncAdapter: a codec and a transport, joined into a handler for asyncio.

Its text is that of `adapter.Joined`; what stands here is how this world waits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ..pipeline import AsyncReply, Clock, Reply, Request
from ..pipeline.closing import AsyncClosing
from .adapter import Joined
from .arriving import AsyncArriving
from .codec import HttpCall, WireCall
from .incoming import Arrival, Now
from .worlds import arun

if TYPE_CHECKING:
    from .probing import Model, Probe

__all__ = ["AsyncAdapter", "AsyncTransport"]

C_contra = TypeVar("C_contra", bound=WireCall, contravariant=True)


class AsyncTransport(Protocol[C_contra]):
    """What carries a call to a provider and its answer back, for asyncio: see Transport."""

    async def send(self, call: C_contra, *, connect: float, until: float, now: Now) -> Arrival:
        """As `Transport.send`. Cancelling it frees what it holds; what it returns is read with `await`."""

    async def aclose(self) -> None:
        """Frees what it holds."""


class AsyncAdapter(Joined, AsyncClosing):
    """A handler that speaks to one provider, for asyncio; arguments as for Adapter.

    It belongs to no event loop: connections are made on the one that runs, and end with `aclose()` or with it. It
    keeps the call's deadline itself. Cancelling a call closes its connection.
    """

    _reply = AsyncReply
    _arriving = AsyncArriving
    transport: AsyncTransport[Any]
    driven = True  # it knows the deadline: no driver needs to cancel it

    async def __call__(self, request: Request) -> AsyncReply:
        """Makes one attempt; otherwise as Adapter.

        Raises:
            ProviderError: as Adapter does.
        """
        return AsyncReply.of(await arun(self._attempt(request)))

    async def models(self, timeout: float = 10.0, *, clock: Clock | None = None) -> tuple[Model, ...]:
        """The models that the provider lists; as `Adapter.models`."""
        return await arun(self._inquiry(None, timeout, clock).models())

    async def probe(self, model: str | None = None, timeout: float = 10.0, *, clock: Clock | None = None) -> Probe:
        """Asks whether the provider would answer; as `Adapter.probe`."""
        return await arun(self._inquiry(model or self.model, timeout, clock).probe())

    async def aclose(self) -> None:
        """Closes the connections of the running loop. The adapter can be used again."""
        await self.transport.aclose()

    @staticmethod
    def _chunks(reply: Reply) -> Any:
        return aiter(AsyncReply.of(reply))

    @staticmethod
    def _sleep(clock: Clock, seconds: float) -> Any:
        return clock.asleep(seconds)

    @staticmethod
    def _over_http(base_url: str, *, session: object = None, **options: Any) -> AsyncTransport[HttpCall]:
        if session is not None:
            raise ValueError("session=... is for threads: on asyncio, connections belong to the loop that runs")
        try:
            from .async_http import AsyncHttpTransport
        except ImportError as error:
            if error.name not in ("aiohttp", "yarl"):
                raise
            raise ImportError("asyncio needs aiohttp: pip install 'mainstay[async]'", name=error.name) from error
        return AsyncHttpTransport(base_url, **options)

"""What is asynchronous, handled from a thread as if it were not: so that one text of a test serves both worlds.

An event loop runs in a thread of its own. What is asked of a bridge is done there, and waited for here.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Coroutine, Iterator
from typing import Any

from mainstay import adapters, providers
from mainstay.adapters.async_http import AsyncHttpTransport
from mainstay.adapters.async_process import AsyncProcessTransport
from mainstay.adapters.http import HttpTransport
from mainstay.adapters.process import ProcessTransport
from mainstay.pipeline import AsyncStack, Stack

__all__ = ["WORLDS", "Asyncio", "InThreads"]

PATIENCE = 60.0  # seconds; only what is broken waits that long
READY = ("Claude", "LlamaCpp", "LlamaCppProcess", "Ollama", "OpenAI", "OpenRouter")


class InThreads:
    """The world of threads: everything is what it is."""

    name = "threads"
    Adapter = adapters.Adapter
    HttpTransport = HttpTransport
    ProcessTransport = ProcessTransport
    Stack = Stack
    create_provider = staticmethod(providers.create_provider)
    ProviderChain, ProviderManager = providers.ProviderChain, providers.ProviderManager
    Claude, LlamaCpp, LlamaCppProcess, Ollama, OpenAI, OpenRouter = (getattr(adapters, name) for name in READY)

    def own(self, handler: Any) -> Any:
        """What was made here, as this world takes it."""
        return handler

    def close(self) -> None: ...


class Asyncio:
    """The world of asyncio, behind bridges."""

    name = "asyncio"

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, name="loop", daemon=True)
        self.thread.start()

    def wait(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(PATIENCE)

    def own(self, handler: Any) -> Any:
        if isinstance(handler, Bridge):
            return handler._it
        if isinstance(handler, (list, tuple)):
            return type(handler)(map(self.own, handler))
        return Awaited(handler) if hasattr(handler, "send") or hasattr(handler, "read") else handler

    def close(self) -> None:
        self.wait(self.loop.shutdown_asyncgens())
        self.wait(self.loop.shutdown_default_executor())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(PATIENCE)
        self.loop.close()

    def __getattr__(self, name: str) -> Any:
        if name == "Adapter":
            make: Any = adapters.AsyncAdapter
        elif name in READY:
            make = getattr(adapters, f"Async{name}")
        elif name == "HttpTransport":
            make = AsyncHttpTransport
        elif name == "ProcessTransport":
            make = AsyncProcessTransport
        elif name in ("ProviderChain", "ProviderManager"):
            make = getattr(providers, f"Async{name}")
        elif name == "create_provider":
            make = providers.create_async_provider
        elif name == "Stack":
            make = AsyncStack
        else:
            raise AttributeError(name)

        def made(*args: Any, **options: Any) -> Bridge:
            return Bridge(make(*map(self.own, args), **options), self)

        return made


class Awaited:
    """A transport for threads, or what arrives over one, where it has to be awaited. It must not really wait."""

    def __init__(self, it: Any) -> None:
        self._it = it

    async def send(self, *args: Any, **options: Any) -> Awaited:
        return Awaited(self._it.send(*args, **options))

    async def read(self, until: float) -> bytes:
        return bytes(self._it.read(until))

    async def aclose(self) -> None:
        self._it.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._it, name)


class Bridge:
    """Something asynchronous. Its coroutines are run, what they give is bridged, and everything else is its own."""

    def __init__(self, it: Any, world: Asyncio) -> None:
        self._it = it
        self._world = world

    def _given(self, result: Any) -> Any:
        return Bridge(result, self._world) if hasattr(result, "aclose") or hasattr(result, "read_all") else result

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self._given(self._world.wait(self._it(*args, **options)))

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._it, name)
        if asyncio.iscoroutinefunction(found):
            return lambda *args, **options: self._given(self._world.wait(found(*args, **options)))
        if inspect.ismethod(found):
            return lambda *args, **options: self._given(found(*map(self._world.own, args), **options))
        return self._given(found)

    def close(self) -> None:
        if not hasattr(self._it, "aclose"):  # what arrives over a transport, which may be closed from any thread
            self._it.close()
        else:
            self._world.wait(self._it.aclose())

    def read(self, *args: Any) -> Any:
        result = self._world.wait(self._it.read(*args))
        return self if result is self._it else result

    def __enter__(self) -> Bridge:
        return self

    def __exit__(self, *raised: Any) -> None:
        self._world.wait(self._it.__aexit__(*raised))

    def __iter__(self) -> Iterator[Any]:
        chunks = aiter(self._it)
        while True:
            try:
                yield self._world.wait(_next(chunks))
            except StopAsyncIteration:
                return

    def __next__(self) -> Any:
        try:
            return self._world.wait(_next(self._it))
        except StopAsyncIteration:
            raise StopIteration from None

    def __repr__(self) -> str:
        return repr(self._it)


async def _next(chunks: Any) -> Any:
    return await anext(chunks)


WORLDS: tuple[type[Any], ...] = (InThreads, Asyncio)

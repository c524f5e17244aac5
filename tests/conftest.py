"""What the tests of layers share: both worlds, a scripted leaf, and ways for a stream to end."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import settings

from mainstay.pipeline import AsyncReply, AsyncStack, Chunk, ErrorClass, ProviderError, Reply, Request, Stack, Usage
from mainstay.pipeline.layer import AsyncBound, Bound
from support.bridge import WORLDS

# No example has a limit in wall-clock time: how long one takes says more about the machine than about the code.
settings.register_profile("mainstay", deadline=None)
settings.load_profile("mainstay")


@dataclass
class Flow:
    """A script entry: a stream of these texts, and then its good end, or the error; `seen` is what happened to it."""

    texts: tuple[str, ...] = ("one", "two")
    error: BaseException | None = None
    whole: bool = True
    usage: Usage | None = None

    def __post_init__(self) -> None:
        self.seen: list[str] = []

    def chunks(self) -> Iterator[Chunk]:
        try:
            for text in self.texts:
                self.seen.append(text)
                yield Chunk(text=text)
            if self.error is not None:
                raise self.error
            if self.whole:
                yield Chunk(finish_reason="stop", usage=self.usage)
        finally:
            self.seen.append("freed")

    async def achunks(self) -> AsyncIterator[Chunk]:
        chunks = self.chunks()
        try:
            for chunk in chunks:
                yield chunk
        finally:
            chunks.close()


class Leaf:
    """A handler that does what it is told, one entry per call, the last one for ever; it notes what it was sent.

    An entry is an error to raise, a text to answer, a Flow to stream, a Reply, or a function of the request.
    """

    def __init__(self, *entries: Any, name: str = "leaf") -> None:
        self.entries = list(entries) or ["answer"]
        self.seen: list[Request] = []
        self.provider = name

    @property
    def calls(self) -> int:
        return len(self.seen)

    def entry(self, request: Request) -> Any:
        self.seen.append(request)
        entry = self.entries[0] if len(self.entries) == 1 else self.entries.pop(0)
        if not isinstance(entry, (BaseException, str, Flow, Reply)):
            entry = entry(request)
        if isinstance(entry, BaseException):
            raise entry
        return Reply(entry) if isinstance(entry, str) else entry

    def __call__(self, request: Request) -> Any:
        entry = self.entry(request)
        return Reply.stream(entry.chunks()) if isinstance(entry, Flow) else entry


class AsyncLeaf(Leaf):
    async def __call__(self, request: Request) -> Any:
        await asyncio.sleep(0)
        entry = self.entry(request)
        return await AsyncReply.stream(entry.achunks()) if isinstance(entry, Flow) else entry


class Threads:
    """The world where a handler is a function."""

    name = "threads"
    stack = Stack
    bound = Bound
    leaf = Leaf

    def run(self, handler: Any, request: Request, end: str = "keep") -> Any:
        """Sends the request, and has the reply end in one of the ways that there are."""
        reply = handler(request)
        return getattr(self, f"_{end}")(reply)

    def _keep(self, reply: Any) -> Any:
        return reply

    def _read(self, reply: Any) -> Any:
        return reply.read()

    def _close(self, reply: Any) -> Any:
        next(reply)
        reply.close()
        return reply

    def _leave(self, reply: Any) -> Any:
        with reply:
            next(reply)
        return reply

    def _drop(self, reply: Any) -> None:
        next(reply)
        del reply
        gc.collect()


class Loop:
    """The world where a handler is a coroutine function."""

    name = "asyncio"
    stack = AsyncStack
    bound = AsyncBound
    leaf = AsyncLeaf

    def run(self, handler: Any, request: Request, end: str = "keep") -> Any:
        return asyncio.run(self.arun(handler, request, end))

    async def arun(self, handler: Any, request: Request, end: str = "keep") -> Any:
        reply = await handler(request)
        if end == "read":
            if isinstance(reply, AsyncReply):
                await reply.read()
        elif end == "close":
            await anext(reply)
            await reply.aclose()
        elif end == "leave":
            async with reply:
                await anext(reply)
        elif end == "drop":
            await anext(reply)
            del reply
            gc.collect()
            await asyncio.sleep(0)
            return None
        return reply


def one_of_each(**fields: Any) -> list[ProviderError]:
    """One error of each class, new ones each time."""
    return [ProviderError.of(kind, **fields) for kind in ErrorClass]


def of(*kinds: type) -> Callable[[list[Any]], list[Any]]:
    """Picks the events of some kinds."""
    return lambda events: [event for event in events if isinstance(event, kinds)]


@pytest.fixture(params=[Threads(), Loop()], ids=["threads", "asyncio"])
def either_world(request: pytest.FixtureRequest) -> Any:
    """Each of the two worlds in turn."""
    return request.param


@pytest.fixture(params=WORLDS, ids=[world.name for world in WORLDS])
def either(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Each of the two worlds in turn, to be handled alike; see `support.bridge`."""
    world = request.param()
    yield world
    world.close()


@pytest.fixture
def kit() -> SimpleNamespace:
    """The tools of this file."""
    return SimpleNamespace(
        Flow=Flow, Leaf=Leaf, AsyncLeaf=AsyncLeaf, Threads=Threads(), Loop=Loop(), one_of_each=one_of_each, of=of
    )


@pytest.fixture
def ask() -> Request:
    """A request that is not under way."""
    return Request("gpt-4o", "Why is the sky blue?")


@pytest.fixture
def ask_stream() -> Request:
    """The same, for a stream."""
    return Request("gpt-4o", "Why is the sky blue?", stream=True)


class Tracing:
    """An SDK that keeps its spans in memory."""

    def __init__(self) -> None:
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))

    @property
    def spans(self) -> tuple[Any, ...]:
        """What was ended, in that order."""
        return self.exporter.get_finished_spans()

    @property
    def calls(self) -> list[Any]:
        return [span for span in self.spans if span.name == "mainstay chat"]

    @property
    def attempts(self) -> list[Any]:
        return [span for span in self.spans if span.kind.name == "CLIENT"]


@pytest.fixture
def tracing(caplog: pytest.LogCaptureFixture) -> Iterator[Tracing]:
    """A TracerProvider and what it recorded. The SDK's log complains about spans that are ended twice: it must not."""
    tracing = Tracing()
    yield tracing
    tracing.provider.shutdown()
    assert [r.getMessage() for r in caplog.get_records("call") if r.name.startswith("opentelemetry")] == []

"""Native streams over a stack: the client's own objects, settled by their protocol's end, closed when they are left."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import anthropic
import openai
import pytest

from mainstay.adapters.sandbox import Answer, Sandbox, faults
from mainstay.middleware import CircuitBreaker, Deadline, Retry
from mainstay.pipeline import AttemptEnded, DeadlineExceeded
from mainstay.providers import protect
from support.protecting import MESSAGES, WORLDS, Unhurried, ask, awaited, entered, params_for, see
from support.wrapped import client_of

LONG = Answer(" ".join(map(str, range(400))))
STREAMS = {
    "openai": (openai.Stream, openai.AsyncStream),
    "claude": (anthropic.Stream, anthropic.AsyncStream),
}


class Ends:
    """An observer that keeps how attempts ended."""

    def __init__(self) -> None:
        self.outcomes: list[str] = []

    def __call__(self, event: object) -> None:
        if isinstance(event, AttemptEnded):
            self.outcomes.append(event.attempt.outcome)


async def first_of(stream: Any, number: int) -> list[Any]:
    taken = []
    if hasattr(stream, "__aiter__"):
        async for event in stream:
            taken.append(event)
            if len(taken) == number:
                return taken
    for event in stream:
        taken.append(event)
        if len(taken) == number:
            break
    return taken


@pytest.mark.parametrize("is_async", WORLDS)
@pytest.mark.parametrize("dialect", STREAMS)
def test_a_stream_is_of_the_clients_own_class(dialect: str, is_async: bool) -> None:
    async def run() -> None:
        with Sandbox(dialect) as server:
            async with entered(client_of(dialect, server.url, is_async)) as client:
                stream = await awaited(ask(dialect, protect(client), stream=True, **params_for(dialect, {})))
                assert STREAMS[dialect][is_async] in type(stream).__mro__  # Anthropic's 0.x has its own isinstance
                assert type(stream).__name__ == STREAMS[dialect][is_async].__name__
                assert stream.response.status_code == 200
                assert "text/event-stream" in stream.response.headers["content-type"]
                async with entered(stream) as same:
                    assert same is stream
                    assert await first_of(stream, 3)

    asyncio.run(run())


@pytest.mark.parametrize("how", ["close", "with", "drop", "response"])
@pytest.mark.parametrize("is_async", WORLDS)
@pytest.mark.parametrize("dialect", STREAMS)
def test_leaving_early_closes_the_connection_and_is_nobodys_failure(dialect: str, is_async: bool, how: str) -> None:
    ends = Ends()

    async def run() -> None:
        with Sandbox(dialect) as server:
            server.always(faults.stall(5, answer=LONG))
            async with entered(client_of(dialect, server.url, is_async)) as client:
                protected = protect(client, [CircuitBreaker(failures=1)], observers=[ends])
                stream = await awaited(ask(dialect, protected, stream=True, **params_for(dialect, {})))
                await first_of(stream, 3)
                if how == "close":
                    await awaited(stream.close())
                elif how == "with":
                    async with entered(stream):
                        pass
                elif how == "response":  # as the helpers of OpenAI's client do it
                    await awaited(stream.response.aclose() if is_async else stream.response.close())
                else:
                    del stream
                    gc.collect()
                assert ends.outcomes == ["closed"]
                if not (is_async and how == "drop"):  # nobody can wait for it then
                    assert await asyncio.to_thread(server.wait_until, lambda s: s.open_connections == 0)
                assert protected.mainstay.part("breaker").snapshot(0.0)["state"] == "closed"

    asyncio.run(run())


@pytest.mark.parametrize("is_async", WORLDS)
def test_ollamas_generator_closes_the_connection(is_async: bool) -> None:
    ends = Ends()

    async def run() -> None:
        with Sandbox("ollama") as server:
            server.always(faults.stall(5, answer=LONG))
            async with entered(client_of("ollama", server.url, is_async)) as client:
                protected = protect(client, [], observers=[ends])
                stream = await awaited(protected.chat("m", MESSAGES, stream=True))
                assert server.count == 0  # as the client itself: nothing is sent before somebody asks
                await first_of(stream, 3)
                await awaited(stream.aclose() if is_async else stream.close())
                assert ends.outcomes == ["closed"]
                assert await asyncio.to_thread(server.wait_until, lambda s: s.open_connections == 0)

    asyncio.run(run())


@pytest.mark.parametrize("dialect", STREAMS)
def test_a_stream_is_freed_with_its_last_reference(dialect: str) -> None:
    with Sandbox(dialect) as server, client_of(dialect, server.url, is_async=False) as client:
        protected = protect(client, [])
        gc.collect()
        gc.disable()
        try:
            for number in (3, 100):
                stream = ask(dialect, protected, stream=True, **params_for(dialect, {}))
                known = weakref.ref(stream)
                for _ in zip(range(number), stream, strict=False):
                    pass
                del stream
                assert known() is None
        finally:
            gc.enable()


@pytest.mark.parametrize("is_async", WORLDS)
@pytest.mark.parametrize("dialect", ["openai", "claude", "ollama"])
def test_a_stream_is_a_success_at_its_end(dialect: str, is_async: bool) -> None:
    ends = Ends()

    async def run() -> None:
        with Sandbox(dialect) as server:
            async with entered(client_of(dialect, server.url, is_async)) as client:
                for _ in range(3):
                    await see(dialect, client, True, **params_for(dialect, {}))
                needed = server.connections
                server.reset_counts()
                protected = protect(client, [], observers=[ends])
                for _ in range(3):
                    assert (await see(dialect, protected, True, **params_for(dialect, {}))).error is None
            assert ends.outcomes == ["ok"] * 3
            assert server.connections <= needed  # used again as the bare client uses them

    asyncio.run(run())


@pytest.mark.parametrize("is_async", WORLDS)
@pytest.mark.parametrize("dialect", ["openai", "claude", "ollama"])
def test_a_deadline_ends_a_stream_that_drips(dialect: str, is_async: bool) -> None:
    """The clients' own timeouts are about silence: bytes that keep coming hold them for ever."""

    async def run() -> Any:
        with Sandbox(dialect) as server:
            server.always(faults.drip(0.02, then=LONG))
            async with entered(client_of(dialect, server.url, is_async, timeout=30)) as client:
                return await see(dialect, protect(client, [Deadline(0.8), Retry()]), True, **params_for(dialect, {}))

    seen = asyncio.run(run())
    assert isinstance(seen.error.provider_error, DeadlineExceeded)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dialect", ["openai", "claude", "ollama"])
def test_a_call_that_is_cancelled_leaves_nothing_open(dialect: str, stream: bool) -> None:
    ends = Ends()

    async def run() -> None:
        with Sandbox(dialect) as server:
            server.always(faults.stall(3, answer=LONG) if stream else faults.hang())
            async with client_of(dialect, server.url, is_async=True) as client:
                protected = protect(client, [CircuitBreaker(failures=1)], observers=[ends])
                calls = [
                    asyncio.create_task(see(dialect, protected, stream, **params_for(dialect, {}))) for _ in range(9)
                ]
                await asyncio.to_thread(server.wait_until, lambda s: s.in_flight == 9)
                for call in calls:
                    call.cancel()
                assert all(
                    isinstance(one, asyncio.CancelledError)
                    for one in await asyncio.gather(*calls, return_exceptions=True)
                )
                assert ends.outcomes == ["closed"] * 9
                assert await asyncio.to_thread(server.wait_until, lambda s: s.open_connections == 0)
                assert protected.mainstay.part("breaker").snapshot(0.0)["state"] == "closed"

    asyncio.run(run())


@pytest.mark.parametrize("is_async", WORLDS)
def test_half_of_the_deadline_is_kept_for_other_routes(is_async: bool) -> None:
    async def run() -> None:
        with Sandbox("openai") as server, Sandbox("openai") as other:
            server.always(faults.hang())
            async with (
                entered(client_of("openai", server.url, is_async)) as client,
                entered(client_of("openai", other.url, is_async)) as spare,
            ):
                protected = protect(client, [Deadline(2.0)], fallback=[spare], clock=Unhurried())
                seen = await see("openai", protected, False)
            assert (seen.error, server.count, other.count) == (None, 1, 1)

    asyncio.run(run())

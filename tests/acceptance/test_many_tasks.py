"""Many tasks on one loop: nothing is mixed up, and calls that are cancelled at any moment leave nothing behind."""

from __future__ import annotations

import asyncio
import gc
import random
import threading
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest

from mainstay.adapters import AsyncOllama, AsyncOpenAI
from mainstay.adapters.sandbox import Answer, Sandbox, Seen, faults
from mainstay.middleware import CircuitBreaker, Fallback, standard
from mainstay.pipeline import (
    AsyncReply,
    AsyncStack,
    Attempt,
    AttemptEnded,
    AttemptStarted,
    Event,
    ProviderError,
    Request,
    Route,
)

MANY = 1000
EVENTS = 20


def told(number: int) -> list[str]:
    """What a provider streams to the question with that number."""
    return [f"{number}.{part} " for part in range(EVENTS)]


class Streams(asyncio.Protocol):
    """A provider in a few lines, for what a thread for each connection would be too slow for: Ollama's protocol.

    It holds every answer back until all have asked, and then sends their events in turns.
    """

    waiting: list[tuple[Streams, int]]

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.heard = b""

    def data_received(self, data: bytes) -> None:
        self.heard += data
        if b"number " in self.heard and self.heard.endswith(b"}"):
            number = int(self.heard.partition(b"number ")[2].partition(b'"')[0])
            self.heard = b""
            self.transport.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n"
            )
            self.waiting.append((self, number))
            if len(self.waiting) == MANY:
                self.task = asyncio.get_running_loop().create_task(self.answer())

    async def answer(self) -> None:
        for part in range(EVENTS):
            for stream, number in self.waiting:
                stream.say(b'{"message":{"content":"%s"},"done":false}\n' % told(number)[part].encode())
            await asyncio.sleep(0)
        for stream, _ in self.waiting:
            stream.say(b'{"message":{"content":""},"done":true,"done_reason":"stop"}\n')
            stream.transport.write(b"0\r\n\r\n")

    def say(self, line: bytes) -> None:
        self.transport.write(b"%x\r\n%b\r\n" % (len(line), line))


def test_1000_streams_at_once_on_one_loop_give_1000_right_answers() -> None:
    async def ask(stack: AsyncStack, number: int) -> list[str]:
        async with await stack(Request("m", f"number {number}", stream=True)) as reply:
            return [chunk.text async for chunk in reply if chunk.text]

    async def main() -> list[list[str]]:
        class Server(Streams):
            waiting: list[tuple[Streams, int]] = []

        server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0, backlog=MANY)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server, AsyncStack(standard(), AsyncOllama(url)) as stack:
            return await asyncio.gather(*(ask(stack, number) for number in range(MANY)))

    before = threading.active_count()
    assert asyncio.run(main()) == [told(number) for number in range(MANY)]
    assert threading.active_count() == before


@pytest.fixture
def servers() -> Iterator[list[Sandbox]]:
    with Sandbox("openai") as first, Sandbox("ollama") as second:
        yield [first, second]


def _echo(seen: Seen) -> Answer:
    return Answer(f"You said: {seen.prompt}, and that was all of it")


@pytest.mark.parametrize("seed", [1, 2])
def test_1000_calls_cancelled_at_random_moments_leave_nothing_open(
    seed: int, servers: list[Sandbox], tracing: Any
) -> None:
    chance = random.Random(seed)
    for server in servers:
        server.default = _echo
        odds = {faults.status(500): 0.05, faults.slow_first_byte(0.02): 0.2, faults.stall(2): 0.1, faults.cut(2): 0.05}
        server.chaos(odds, seed=seed)
    started: list[Attempt] = []
    ended: list[Attempt] = []
    ends: list[str] = []
    later = 0
    moments = [chance.uniform(0, 0.25) for _ in range(MANY)]

    def observe(event: Event) -> None:  # keeps no error: its traceback would keep the frames that hold the reply
        if isinstance(event, AttemptStarted):
            started.append(event.attempt)
        elif isinstance(event, AttemptEnded):
            ended.append(event.attempt)

    async def call(stack: AsyncStack, number: int) -> str:
        stream = number % 2 == 0
        reply = await stack(Request("m", f"number {number}", stream=stream))
        if stream and number % 4 == 0:
            async for _ in reply:
                await asyncio.sleep(0.001)
        return (await reply.read()).text

    async def one(stack: AsyncStack, number: int) -> None:
        task = asyncio.ensure_future(call(stack, number))
        await asyncio.sleep(moments[number])
        task.cancel()
        try:
            assert await task == f"You said: number {number}, and that was all of it"
            ends.append("answered")
        except asyncio.CancelledError:
            ends.append("cancelled")
        except ProviderError:
            ends.append("failed")

    async def main() -> None:
        layers = [
            # It opens often, for a short time: a probe that is cancelled must give its permit back.
            CircuitBreaker(failures=3, break_min=0.02, break_max=0.05, long_break=0.05)
            if layer.name == "breaker"
            else layer
            for layer in standard(tracer_provider=tracing.provider)
        ]
        routes = [
            Route("first", AsyncOpenAI("sk-test", base_url=servers[0].url)),
            Route("second", AsyncOllama(servers[1].url, model="m")),
        ]
        async with AsyncStack(layers, Fallback(*routes), observers=[observe]) as stack:
            for begin, end in pairwise(range(0, MANY + 1, 50)):
                await asyncio.gather(*(one(stack, number) for number in range(begin, end)))
            gc.collect()
            assert asyncio.all_tasks() == {asyncio.current_task()}
            for server in servers:
                while server.in_flight:  # the loop has to run for a connection to end
                    await asyncio.sleep(0.01)
                server.chaos({})
            for route in ("first", "second"):  # a permit that was not given back would refuse for a minute
                assert await answered_by(stack, route)
                servers[0].always(faults.status(500))

    async def answered_by(stack: AsyncStack, route: str) -> bool:
        nonlocal later
        for _ in range(200):
            later += 1
            with suppress(ProviderError):
                reply = await stack(Request("m", "number 1"))
                if reply.attempts[-1].route == route:
                    return True
            await asyncio.sleep(0.01)
        return False

    asyncio.run(main())
    gc.collect()  # a stream that is cancelled outside a `with` is closed when it is dropped
    assert ends.count("cancelled") > MANY / 10  # so that the test is one
    assert ends.count("answered") > MANY / 50
    assert len(ends) == MANY
    for server in servers:
        assert server.wait_until(lambda s: s.open_connections == 0)
    assert sorted(map(id, started)) == sorted(map(id, ended))
    assert {attempt.outcome for attempt in ended} <= {"ok", "error", "closed"}
    assert len(tracing.calls) == MANY + later
    assert len(tracing.attempts) == len(ended)


def test_one_adapter_serves_one_loop_after_the_other_and_two_at_once(servers: list[Sandbox]) -> None:
    server = servers[0]
    server.default = _echo
    adapter = AsyncOpenAI("sk-test", base_url=server.url)
    texts: list[str] = []

    async def ask() -> None:
        for stream in (False, True):
            texts.append((await (await adapter(Request("m", "number 7", stream=stream))).read()).text)

    for _ in range(3):
        asyncio.run(ask())  # its connections end with the loop, though nobody closes them
        assert server.wait_until(lambda s: s.open_connections == 0)
    with server.hold(2):
        threads = [threading.Thread(target=lambda: asyncio.run(ask())) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    assert texts == ["You said: number 7, and that was all of it"] * 10
    assert server.wait_until(lambda s: s.open_connections == 0)


@pytest.mark.parametrize("how", ["cancelled", "closed", "left", "dropped", "after the loop"])
def test_a_stream_that_is_given_up_closes_its_connection_at_once(how: str, servers: list[Sandbox]) -> None:
    server = servers[0]
    server.always(faults.stall(1, answer=Answer("one two three")))
    adapter = AsyncOpenAI("sk-test", base_url=server.url)

    async def read(reply: AsyncReply) -> None:
        async for _ in reply:
            pass

    async def main() -> Any:
        reply = await adapter(Request("m", "Hi", stream=True))
        if how == "cancelled":
            reading = asyncio.ensure_future(read(reply))
            await asyncio.sleep(0.05)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
            assert reply.outcome is not None
            assert reply.outcome.value == "closed"
        elif how == "closed":
            reading = asyncio.ensure_future(read(reply))
            await asyncio.sleep(0.05)
            await reply.aclose()
            await reading  # it ends, without an error
        elif how == "left":
            async with reply:
                await anext(reply)
        elif how == "dropped":
            del reply
            gc.collect()
        else:
            return reply
        for _ in range(500):
            if not server.open_connections:
                break
            await asyncio.sleep(0.01)
        assert server.open_connections == 0
        return None

    kept = asyncio.run(main())
    assert server.wait_until(lambda s: s.open_connections == 0)
    del kept
    gc.collect()

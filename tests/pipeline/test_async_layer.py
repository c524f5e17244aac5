"""What only the asyncio driver does."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from mainstay.pipeline import (
    AsyncReply,
    Call,
    Chunk,
    Clock,
    DeadlineExceeded,
    Layer,
    Outcome,
    Reply,
    Request,
    Run,
    Sleep,
    Unavailable,
    middleware,
)
from mainstay.pipeline.layer import AsyncBound


@middleware
def watch(request: Request) -> Any:
    left = request.call.slots.setdefault("left", [])
    try:
        reply = yield request
        left.append("reply")
        return reply
    except BaseException as error:
        left.append(type(error).__name__)
        raise


@middleware
def passes(request: Request) -> Any:
    return (yield request)


@pytest.fixture
def request_(ask: Request) -> Request:
    return ask.under(Call())


async def never(request: Request) -> Reply:
    await asyncio.Event().wait()
    raise AssertionError


def test_a_handler_that_does_not_wait_works_on_the_loop(script: Any, request_: Request) -> None:
    assert asyncio.run(AsyncBound(passes, script())(request_)).text == "answer"
    request_.call.deadline = request_.call.clock.now() + 60
    assert asyncio.run(AsyncBound(passes, script())(request_)).text == "answer"


def test_a_layer_that_is_off_is_skipped_over_either_handler(script: Any, request_: Request) -> None:
    async def answers(request: Request) -> Reply:
        return Reply("async")

    off = request_.under(request_.call, frozenset({"watch"}))
    assert asyncio.run(AsyncBound(watch, script())(off)).text == "answer"
    assert asyncio.run(AsyncBound(watch, answers)(off)).text == "async"
    assert request_.call.slots == {}


def test_the_deadline_cancels_code_that_knows_none(request_: Request) -> None:
    request_.call.deadline = request_.call.clock.now() + 0.01
    cancelled: list[bool] = []

    async def foreign(request: Request) -> Reply:
        try:
            return await never(request)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    with pytest.raises(DeadlineExceeded) as caught:
        asyncio.run(AsyncBound(watch, AsyncBound(passes, foreign))(request_))
    assert cancelled == [True]
    assert caught.value.deadline == request_.call.deadline
    assert isinstance(caught.value.__cause__, TimeoutError)
    assert request_.call.slots["left"] == ["DeadlineExceeded"]


def test_a_deadline_that_has_passed_lets_nothing_wait(request_: Request) -> None:
    request_.call.deadline = request_.call.clock.now() - 1
    with pytest.raises(DeadlineExceeded):
        asyncio.run(AsyncBound(passes, never)(request_))


def test_a_deadline_that_is_far_away_disturbs_nobody(request_: Request) -> None:
    async def answers(request: Request) -> Reply:
        await asyncio.sleep(0)
        return Reply("in time")

    request_.call.deadline = request_.call.clock.now() + 60
    assert asyncio.run(AsyncBound(passes, answers)(request_)).text == "in time"


@pytest.mark.parametrize("error", [TimeoutError("the handler's own"), Unavailable(), KeyError("a bug")])
def test_the_handler_s_own_error_under_a_deadline_stays_what_it_is(request_: Request, error: Exception) -> None:
    async def fails(request: Request) -> Reply:
        await asyncio.sleep(0)
        raise error

    request_.call.deadline = request_.call.clock.now() + 60
    with pytest.raises(type(error)) as caught:
        asyncio.run(AsyncBound(passes, fails)(request_))
    assert caught.value is error


def test_the_caller_s_cancellation_reaches_every_layer_and_is_no_deadline(request_: Request) -> None:
    request_.call.deadline = request_.call.clock.now() + 60

    async def main() -> None:
        task = asyncio.ensure_future(AsyncBound(watch, AsyncBound(watch, never))(request_))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert request_.call.slots["left"] == ["CancelledError"] * 2


def test_the_end_of_the_coroutine_reaches_the_layer(request_: Request) -> None:
    async def main() -> None:
        coroutine = AsyncBound(watch, never)(request_)
        coroutine.send(None)
        coroutine.close()

    asyncio.run(main())
    assert request_.call.slots["left"] == ["GeneratorExit"]


def test_a_sleep_waits_by_the_call_s_own_clock_on_the_loop(script: Any, ask: Request) -> None:
    waited: list[float] = []

    class Recording(Clock):
        __slots__ = ()

        async def asleep(self, seconds: float) -> None:
            waited.append(seconds)

    @middleware
    def naps(request: Request) -> Any:
        yield Sleep(3.5)
        return (yield request)

    asyncio.run(AsyncBound(naps, script())(ask.under(Call(Recording()))))
    assert waited == [3.5]


class Store(Layer):
    """Asks remote storage which thread it runs on."""

    name = "store"

    def __init__(self) -> None:
        self.threads: list[str] = []

    def handle(self, request: Request) -> Any:
        self.threads.append((yield Run(lambda: threading.current_thread().name)))
        return (yield request)


def test_run_goes_to_one_worker_whatever_the_loop_and_however_many_ask(script: Any, ask: Request) -> None:
    store = Store()

    async def main() -> None:
        await asyncio.gather(*(AsyncBound(store, script())(ask) for _ in range(20)))

    asyncio.run(main())
    asyncio.run(main())
    assert len(store.threads) == 40
    assert len(set(store.threads)) == 1
    assert store.threads[0].startswith("mainstay-storage")
    assert store.threads[0] != threading.current_thread().name


def test_run_stays_in_the_calling_thread_without_a_loop(script: Any, ask: Request) -> None:
    store = Store()
    store(script())(ask)
    assert store.threads == [threading.current_thread().name]


FORKING = """
import asyncio, os, signal
from mainstay.pipeline import Reply, Request, Run, middleware
from mainstay.pipeline.layer import AsyncBound

@middleware
def store(request):
    yield Run(os.getpid)
    return (yield request)

def once():
    return asyncio.run(AsyncBound(store, lambda request: Reply("answer"))(Request("m", "p"))).text

once()
child = os.fork()
if not child:
    signal.alarm(20)
    os._exit(0 if once() == "answer" else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_the_worker_starts_again_after_a_fork() -> None:
    import subprocess

    done = subprocess.run([sys.executable, "-c", FORKING], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip() == "0", done.stderr


def test_the_deadline_goes_on_ruling_a_stream_that_knows_none(request_: Request) -> None:
    request_.call.deadline = request_.call.clock.now() + 0.05
    freed: list[bool] = []

    async def chunks() -> AsyncIterator[Chunk]:
        try:
            yield Chunk("one")
            await asyncio.Event().wait()
        finally:
            freed.append(True)

    async def foreign(request: Request) -> Reply:
        return await AsyncReply.stream(chunks())

    async def run() -> AsyncReply:
        reply = await AsyncBound(passes, foreign)(request_)
        assert isinstance(reply, AsyncReply)
        with pytest.raises(DeadlineExceeded) as caught:
            await reply.read()
        assert caught.value.partial is not None
        assert caught.value.partial.text == "one"
        return reply

    assert asyncio.run(run()).outcome is Outcome.ERROR
    assert freed == [True]


def test_a_stream_that_ends_before_the_deadline_ends_as_any_other(request_: Request) -> None:
    request_.call.deadline = request_.call.clock.now() + 60

    async def chunks() -> AsyncIterator[Chunk]:
        yield Chunk("one")
        yield Chunk(" two", finish_reason="stop")

    async def foreign(request: Request) -> Reply:
        return await AsyncReply.stream(chunks())

    async def run() -> str:
        reply = await AsyncBound(passes, foreign)(request_)
        assert isinstance(reply, AsyncReply)
        return (await reply.read()).text

    assert asyncio.run(run()) == "one two"

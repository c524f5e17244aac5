"""RedisCircuits in stacks: threads, asyncio, forks, pickles, and what is no Redis."""

from __future__ import annotations

import asyncio
import gc
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis.asyncio

from mainstay.middleware import CircuitBreaker, RedisCircuits
from mainstay.pipeline import (
    AsyncStack,
    BreakerChanged,
    CircuitOpen,
    QuotaExceeded,
    Reply,
    Request,
    Stack,
    Unavailable,
    VirtualClock,
)
from support.fleets import FakeRedis

ASK = Request("m", "hello")


def until(happened: Callable[[], bool]) -> None:
    """Waits for another thread."""
    end = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.001)


@pytest.fixture
def server() -> FakeRedis:
    return FakeRedis()


@pytest.fixture
def circuits(server: FakeRedis) -> Iterator[Callable[[], RedisCircuits]]:
    made: list[RedisCircuits] = []

    def make(**options: Any) -> RedisCircuits:
        made.append(RedisCircuits(server, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()
    until(lambda: not writers())


def writers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "mainstay-fleet"]


class Provider:
    def __init__(self) -> None:
        self.error: Exception | None = None
        self.calls = 0

    def __call__(self, request: Request) -> Reply:
        self.calls += 1
        if self.error is not None:
            raise self.error
        return Reply("well")


def open_record(server: FakeRedis) -> bool:
    return [record["state"] for record in server.records.values()] == ["open"]


def test_two_stacks_that_share_nothing_but_redis(server: FakeRedis, circuits: Any) -> None:
    provider, events = Provider(), []
    one, other = (
        Stack([CircuitBreaker(circuits=circuits(), failures=1)], provider, observers=[events.append]) for _ in range(2)
    )
    assert one(ASK).text == other(ASK).text == "well"
    assert server.trips == 2
    provider.error = Unavailable()
    with pytest.raises(Unavailable):
        one(ASK)
    until(lambda: open_record(server))
    other.part("breaker")._fleet._ask_at = 0  # as if that time had passed
    with pytest.raises(CircuitOpen, match="circuit open: unavailable"):
        other(ASK)
    assert provider.calls == 3
    assert [(event.before, event.after) for event in events if isinstance(event, BreakerChanged)] == [
        ("closed", "open")
    ] * 2
    other.part("breaker").close()
    until(lambda: not open_record(server))
    provider.error = None
    assert one(ASK).text == "well"


def test_on_an_event_loop_redis_is_asked_from_a_thread(server: FakeRedis, circuits: Any) -> None:
    provider = Provider()
    provider.error = QuotaExceeded()
    asked: list[str] = []
    run = server.run
    server.run = lambda keys, args: asked.append(threading.current_thread().name) or run(keys, args)  # type: ignore
    stack = AsyncStack([CircuitBreaker(circuits=circuits(fresh=0))], provider)

    async def main() -> None:
        with pytest.raises(QuotaExceeded):
            await stack(ASK)
        with pytest.raises(CircuitOpen):
            await stack(ASK)

    asyncio.run(main())
    assert threading.main_thread().name not in asked
    assert asked[0].startswith("mainstay-storage")


def test_a_settled_call_does_not_wait_for_redis(server: FakeRedis, circuits: Any) -> None:
    provider = Provider()
    provider.error = QuotaExceeded()
    answer, waiting = threading.Event(), threading.Event()
    run = server.run

    def slow(keys: Any, args: Any) -> str:
        if threading.current_thread().name == "mainstay-fleet":
            waiting.set()
            answer.wait(60)
        return run(keys, args)

    server.run = slow  # type: ignore[method-assign]
    stack = Stack([CircuitBreaker(circuits=circuits())], provider)
    with pytest.raises(QuotaExceeded):
        stack(ASK)
    assert waiting.wait(60)
    with pytest.raises(CircuitOpen):
        stack(ASK)
    answer.set()
    until(lambda: open_record(server))


def test_redis_down_fails_no_call_on_many_threads(server: FakeRedis, circuits: Any, caplog: Any) -> None:
    server.down = True
    stack = Stack([CircuitBreaker(circuits=circuits())], Provider())
    texts: list[Any] = []
    threads = [threading.Thread(target=lambda: texts.extend(stack(ASK).text for _ in range(20))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts == ["well"] * 320
    assert len(caplog.records) == 1


def test_close_tells_what_is_still_to_be_told_and_leaves_no_thread(server: FakeRedis) -> None:
    provider = Provider()
    provider.error = QuotaExceeded()
    circuits = RedisCircuits(server)
    stack = Stack([CircuitBreaker(circuits=circuits)], provider)
    with pytest.raises(QuotaExceeded):
        stack(ASK)
    (writer,) = writers()
    circuits.close()
    circuits.close()
    assert not writer.is_alive()
    assert open_record(server)
    with pytest.raises(CircuitOpen):  # each process for itself
        stack(ASK)
    trips = server.trips
    stack.part("breaker").close()
    provider.error = None
    assert stack(ASK).text == "well"
    assert server.trips == trips
    assert not writers()


def test_circuits_that_are_dropped_leave_no_thread(server: FakeRedis) -> None:
    stack = Stack([CircuitBreaker(circuits=RedisCircuits(server))], Provider())
    stack(ASK)
    (writer,) = writers()
    del stack
    gc.collect()
    writer.join(60)
    assert not writer.is_alive()


def test_without_a_thread_the_next_question_tells_it(server: FakeRedis, circuits: Any, monkeypatch: Any) -> None:
    def none(self: Any) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", none)
    provider = Provider()
    provider.error = QuotaExceeded()
    stack = Stack([CircuitBreaker(circuits=circuits())], provider)
    with pytest.raises(QuotaExceeded):
        stack(ASK)
    assert not server.records
    with pytest.raises(CircuitOpen):
        stack(ASK)
    assert open_record(server)


def test_a_routes_time_is_told_by_the_clock_of_the_calls(server: FakeRedis, circuits: Any) -> None:
    provider, clock = Provider(), VirtualClock()
    provider.error = QuotaExceeded()
    stack = Stack([CircuitBreaker(circuits=circuits(), long_break=100.0)], provider, clock=clock)
    with pytest.raises(QuotaExceeded):
        stack(ASK)
    until(lambda: open_record(server))
    (record,) = server.records.values()
    assert record["until"] == (server.now + 75) * 1000


# -- processes -----------------------------------------------------------------------------------------------

FORK = """
import os, threading
from mainstay.middleware import CircuitBreaker, RedisCircuits
from mainstay.pipeline import QuotaExceeded, Reply, Request, Stack
from support.fleets import FakeRedis

def provider(request):
    if request.messages[0]["content"] == "fail":
        raise QuotaExceeded
    return Reply("well")

redis = FakeRedis()
circuits = RedisCircuits(redis, fresh=0)
stack = Stack([CircuitBreaker(circuits=circuits)], provider)
stack(Request("m", "hello"))
me, queue = circuits._link.me, circuits._link.queue
if os.fork() == 0:
    assert circuits._link.me != me and circuits._link.queue is not queue
    assert threading.active_count() == 1
    try:
        stack(Request("m", "fail"))
    except QuotaExceeded:
        pass
    circuits.close()
    ok = [record["state"] for record in redis.records.values()] == ["open"]
    os._exit(0 if ok else 1)
status = os.wait()[1]
assert status == 0, status
assert stack(Request("m", "hello")).text == "well"
assert circuits._link.me == me
circuits.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_is_another_process_of_the_fleet_with_a_thread_of_its_own() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORK],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=__file__.rpartition("/middleware/")[0],
    )
    assert done.returncode == 0, done.stderr


def test_a_pickled_layer_connects_anew() -> None:
    layer = CircuitBreaker(circuits=RedisCircuits("redis://:secret@127.0.0.1:1/0", prefix="mine", pause=1.0))
    copy: Any = pickle.loads(pickle.dumps(layer))
    assert copy.circuits._link._prefix == "mine"
    assert "secret" not in repr(copy)


def test_a_client_of_ones_own_cannot_be_taken_along(server: FakeRedis) -> None:
    with pytest.raises(TypeError, match="give a URL"):
        pickle.dumps(CircuitBreaker(circuits=RedisCircuits(server)))


# -- what is no Redis ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [None, 6379, object()])
def test_what_is_no_client_is_refused(given: Any) -> None:
    with pytest.raises(TypeError, match=f"must be a URL or a redis.Redis.*not {type(given).__name__}"):
        RedisCircuits(given)


def test_a_client_for_asyncio_is_refused() -> None:
    with pytest.raises(TypeError, match=r"not redis\.asyncio"):
        RedisCircuits(redis.asyncio.Redis())


def test_a_url_of_something_else_is_refused_without_being_shown() -> None:
    with pytest.raises(ValueError, match="must be a URL that begins with redis://") as caught:
        RedisCircuits("http://:secret@host")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("option", "value"), [("prefix", ""), ("timeout", 0), ("fresh", -1), ("pause", float("inf")), ("timeout", True)]
)
def test_an_option_out_of_its_range_is_refused(server: FakeRedis, option: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"RedisCircuits\({option}=\.\.\.\)"):
        RedisCircuits(server, **{option: value})


def test_without_the_package_it_says_what_to_install(monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(ImportError, match=r"pip install 'mainstay\[redis\]'"):
        RedisCircuits("redis://127.0.0.1")

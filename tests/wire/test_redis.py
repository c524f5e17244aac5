"""A fleet and a real Redis: processes, threads, crashes, and the script as the server runs it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from mainstay.adapters.sandbox import Sandbox, faults
from mainstay.middleware import CircuitBreaker, RedisCircuits
from mainstay.pipeline import (
    AsyncStack,
    CircuitOpen,
    QuotaExceeded,
    Reply,
    Request,
    RouteRefused,
    Stack,
    Unavailable,
)
from support.fleet_model import FleetModel
from support.fleets import CheckedRedis, FakeRedis
from support.redis_server import RedisServer

ASK = Request("m", "hello")
TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.close()


@pytest.fixture
def server(shared_server: RedisServer) -> RedisServer:
    """A server that is up, and empty."""
    shared_server.client.flushall()
    shared_server.client.config_resetstat()
    return shared_server


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[RedisServer]:
    """A server that may be killed."""
    server = RedisServer(tmp_path)
    yield server
    server.close()


@pytest.fixture
def circuits(server: RedisServer) -> Iterator[Callable[..., RedisCircuits]]:
    made: list[RedisCircuits] = []

    def make(**options: Any) -> RedisCircuits:
        made.append(RedisCircuits(server.url, **{"timeout": 5.0, **options}))
        return made[-1]

    yield make
    for one in made:
        one.close()


def until(happened: Callable[[], Any]) -> None:
    end = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.005)


# -- two processes -------------------------------------------------------------------------------------------


class Worker:
    """A process of `support/fleet_worker.py`."""

    def __init__(self, redis: str, provider: str) -> None:
        program = [sys.executable, "-W", "error", str(TESTS / "support" / "fleet_worker.py"), redis, provider]
        self._process = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def say(self, word: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()

    def hear(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def do(self, word: str) -> str:
        self.say(word)
        return self.hear()

    def end(self) -> int:
        self._process.communicate(timeout=60)
        return self._process.returncode


@pytest.fixture
def provider() -> Iterator[Sandbox]:
    with Sandbox("openai") as provider:
        yield provider


@pytest.fixture
def workers(mortal: RedisServer, provider: Sandbox) -> Iterator[list[Worker]]:
    workers = [Worker(mortal.url, provider.url) for _ in range(2)]
    yield workers
    assert [worker.end() for worker in workers] == [0, 0]


def test_a_provider_that_dies_under_one_process_is_skipped_by_the_other(
    mortal: RedisServer, provider: Sandbox, workers: list[Worker]
) -> None:
    one, other = workers
    healthy = provider.default
    assert one.do("ask") == other.do("ask") != ""
    provider.always(faults.status(503))
    assert [one.do("ask") for _ in range(4)] == ["Unavailable"] * 3 + ["CircuitOpen"]
    until(lambda: mortal.state("openai") == "open")
    asked = provider.count
    assert other.do("ask") == "CircuitOpen"
    assert provider.count == asked
    provider.always(healthy)
    other.do("close")
    until(lambda: mortal.state("openai") == "closed")
    until(lambda: one.do("ask") not in ("CircuitOpen", "Unavailable"))


def test_redis_killed_in_the_middle_fails_no_call(
    mortal: RedisServer, provider: Sandbox, workers: list[Worker]
) -> None:
    text, _ = (worker.do("ask") for worker in workers)
    for worker in workers:
        worker.say("many 100")
    assert {worker.hear() for worker in workers} == {f"0 {text}"}
    mortal.kill()
    assert {worker.hear() for worker in workers} == {f"1 {text}"}
    assert {worker.do("many 20") for worker in workers} == {f"0 {text}"}
    assert {worker.hear() for worker in workers} == {f"1 {text}"}
    assert [worker.do("lines") for worker in workers] == ["1", "1"]
    provider.always(faults.status(503))
    for worker in workers:  # each for itself, as without Redis
        assert [worker.do("ask") for _ in range(4)] == ["Unavailable"] * 3 + ["CircuitOpen"]
    mortal.start()
    until(lambda: [worker.do("ask") for worker in workers] and mortal.state("openai") == "open")


# -- one process ---------------------------------------------------------------------------------------------


def well(request: Request) -> Reply:
    return Reply("well")


def no_credit(request: Request) -> Reply:
    raise QuotaExceeded


def test_a_good_call_is_one_round_trip(server: RedisServer, circuits: Any) -> None:
    stack = Stack([CircuitBreaker(circuits=circuits(fresh=0))], well)
    stack(ASK)  # connects, and loads the script
    before, connections = server.scripts_run(), server.client.info("stats")["total_connections_received"]
    for _ in range(50):
        assert stack(ASK).text == "well"
    assert server.scripts_run() - before == 50
    assert server.client.info("stats")["total_connections_received"] == connections
    assert server.client.keys() == []  # a route that is well leaves nothing


def test_a_probe_is_admitted_once_by_eight_threads_in_each_of_four_stacks(server: RedisServer, circuits: Any) -> None:
    probing, over = threading.Event(), threading.Event()
    asked: list[int] = []

    def provider(request: Request) -> Reply:
        asked.append(1)
        if len(asked) == 1:
            raise Unavailable
        probing.set()
        over.wait(60)
        return Reply("well")

    layer = [CircuitBreaker(circuits=circuits(fresh=0), failures=1, break_min=0.2) for _ in range(4)]
    stacks = [Stack([one], provider) for one in layer]
    with pytest.raises(Unavailable):
        stacks[0](ASK)
    until(lambda: server.state("provider") == "open")
    outcomes: list[str] = []

    def work(stack: Any) -> None:
        while not over.is_set():
            try:
                outcomes.append(stack(ASK).text)
                return
            except RouteRefused:
                refused.add(threading.get_ident())

    refused: set[int] = set()
    threads = [threading.Thread(target=work, args=(stack,)) for stack in stacks * 8]
    for thread in threads:
        thread.start()
    assert probing.wait(60)
    refused.clear()
    until(lambda: len(refused) == 31)  # all the others, while one is probing
    assert len(asked) == 2
    over.set()
    for thread in threads:
        thread.join(60)
    until(lambda: server.state("provider") == "closed")
    assert stacks[3](ASK).text == "well"


def test_a_record_ends_by_itself_and_one_that_a_person_isolated_does_not(server: RedisServer, circuits: Any) -> None:
    stack = Stack([CircuitBreaker(circuits=circuits(), long_break=1000.0)], no_credit)
    with pytest.raises(QuotaExceeded):
        stack(ASK)
    until(lambda: server.state("no_credit") == "open")
    (key,) = server.client.keys()
    assert 86_400 + 490 < server.client.ttl(key) <= 86_400 + 1000
    stack.part("breaker").isolate()
    until(lambda: server.state("no_credit") == "isolated")
    assert server.client.ttl(key) == -1
    stack.part("breaker").close()
    until(lambda: server.state("no_credit") == "closed")
    assert 86_000 < server.client.ttl(key) <= 86_400


def test_a_slow_redis_fails_no_call(server: RedisServer, circuits: Any, caplog: Any) -> None:
    stack = Stack([CircuitBreaker(circuits=circuits(timeout=0.05, pause=600.0))], well)
    stack(ASK)
    server.client.client_pause(1500)
    until(lambda: stack(ASK).text != "well" or caplog.records)
    assert [stack(ASK).text for _ in range(100)] == ["well"] * 100
    assert len(caplog.records) == 1
    assert "TimeoutError" in caplog.text
    server.client.ping()


def test_on_an_event_loop(server: RedisServer, circuits: Any) -> None:
    one, other = (AsyncStack([CircuitBreaker(circuits=circuits(fresh=0))], no_credit) for _ in range(2))

    async def main() -> None:
        with pytest.raises(QuotaExceeded):
            await one(ASK)
        while server.state("no_credit") != "open":
            await asyncio.sleep(0.005)
        with pytest.raises(CircuitOpen):
            await other(ASK)

    asyncio.run(asyncio.wait_for(main(), 60))


FORK = """
import os, sys
from mainstay.middleware import CircuitBreaker, RedisCircuits
from mainstay.pipeline import CircuitOpen, QuotaExceeded, Reply, Request, Stack

def provider(request):
    if request.messages[0]["content"] == "fail":
        raise QuotaExceeded
    return Reply("well")

def ask(words):
    try:
        return stack(Request("m", words)).text
    except (QuotaExceeded, CircuitOpen) as error:
        return type(error).__name__

circuits = RedisCircuits(sys.argv[1], timeout=5.0, fresh=0)
stack = Stack([CircuitBreaker(circuits=circuits)], provider)
ok = ask("hello") == "well"
done, parent = os.pipe()
child = os.fork()
ok &= all(ask("hello") == "well" for _ in range(200))  # on connections of its own
if child == 0:
    os.read(done, 1)  # the parent is no longer asking
    ok &= ask("fail") == "QuotaExceeded"
    circuits.close()
    os._exit(0 if ok else 1)
os.write(parent, b"x")
ok &= os.wait()[1] == 0
ok &= ask("hello") == "CircuitOpen"
circuits.close()
sys.exit(0 if ok else 1)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_shares_the_view_and_nothing_else(server: RedisServer) -> None:
    program = [sys.executable, "-W", "ignore", "-c", FORK, server.url]
    done = subprocess.run(program, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


# -- the script ----------------------------------------------------------------------------------------------


def test_the_script_does_what_the_model_says_in_any_order_of_events(server: RedisServer) -> None:
    with redis.Redis(port=server.port) as client:

        class Real(FleetModel):
            def server(self) -> FakeRedis:
                return CheckedRedis(client)

        steps = settings(max_examples=25, stateful_step_count=60, deadline=None, database=None)
        run_state_machine_as_test(Real, settings=steps)

"""Active probes: when each route is asked, what its answer does to the status, and that no breaker is moved by it."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable
from typing import Any

import pytest
import requests

from mainstay.adapters import OpenAI
from mainstay.adapters.sandbox import Sandbox, faults
from mainstay.middleware import Balance, Fallback, Health, HealthChange, standard
from mainstay.pipeline import AsyncStack, QuotaExceeded, Route, Stack, Unavailable, VirtualClock
from mainstay.providers import AsyncProvider, ProviderChain, ProviderManager, create_provider
from mainstay.providers.monitored import Monitored
from mainstay.providers.prober import Prober, probes_of

Serve = Callable[..., Sandbox]


class Asked:
    """Routes that note when they are asked, and answer or raise."""

    def __init__(self, clock: VirtualClock, **answers: Any) -> None:
        self.clock = clock
        self.answers = answers
        self.times: list[tuple[str, float]] = []

    def probes(self) -> dict[str, Callable[[], Any]]:
        return {path: lambda path=path: self.ask(path) for path in self.answers}

    def ask(self, path: str) -> Any:
        self.times.append((path, self.clock.now() - 1000.0))
        self.clock.advance(0.5)
        if isinstance(self.answers[path], Exception):
            raise self.answers[path]
        return self.answers[path]


def until(clock: VirtualClock, prober: Prober, end: float) -> None:
    """Does the steps of the thread up to that moment, without one."""
    while clock.now() < 1000.0 + end:
        clock.advance(prober.step())


def test_all_are_asked_at_once_and_then_each_at_its_interval_with_jitter() -> None:
    chances = iter([0.0, 1.0, 0.5, 0.5, 0.5])
    clock = VirtualClock(random=lambda: next(chances))
    asked = Asked(clock, a=None, b=None)
    until(clock, Prober(Health(), asked.probes, interval=10.0, jitter=0.2, clock=clock), 20.0)
    assert asked.times == [("a", 0.0), ("b", 0.5), ("a", 8.5), ("b", 13.0), ("a", 19.0)]


def test_routes_may_come_and_go() -> None:
    clock = VirtualClock()
    asked = Asked(clock)
    prober = Prober(Health(), asked.probes, interval=10.0, clock=clock)
    assert prober.step() == 10.0
    asked.answers = {"a": None}
    assert prober.step() == 10.0
    asked.answers = {"b": None}
    assert prober.step() == 10.0
    assert [path for path, _ in asked.times] == ["a", "b"]


def test_what_was_found_stands_in_the_status_and_two_failures_make_sick(kit: Any) -> None:
    clock, health = VirtualClock(), Health(wall=lambda: 0.0)
    stack = Stack([], Fallback(Route("a", kit.Leaf()), Route("b", kit.Leaf())), clock=clock, observers=[health])
    asked = Asked(clock, a=None, b=Unavailable(reason="connection_refused"))
    changes: list[HealthChange] = []
    health.on_change(changes.append)
    prober = Prober(health, asked.probes, interval=10.0, clock=clock)
    until(clock, prober, 5.0)
    assert [entry["healthy"] for entry in stack.status().values()] == [True, True]
    until(clock, prober, 15.0)
    status = stack.status()
    assert (status["a"]["probe"]["ok"], status["a"]["probe"]["seconds"], status["a"]["healthy"]) == (True, 0.5, True)
    assert (status["b"]["healthy"], status["b"]["reason"], status["b"]["attempts"]) == (False, "connection_refused", 0)
    assert [(str(change), change.error) for change in changes] == [
        ("b is sick: unavailable (connection_refused)", "unavailable")
    ]


def test_a_bug_in_a_probe_is_logged_and_says_nothing_of_the_route(caplog: pytest.LogCaptureFixture) -> None:
    clock, health = VirtualClock(), Health()
    asked = Asked(clock, a=ZeroDivisionError("mine"))
    prober = Prober(health, asked.probes, clock=clock)
    until(clock, prober, 200.0)
    assert len(asked.times) >= 3
    assert "the probe of route 'a' failed" in caplog.text
    assert health._routes == {}


@pytest.mark.parametrize(
    "options", [{"interval": 0}, {"interval": float("inf")}, {"jitter": -0.1}, {"jitter": 1.1}, {"interval": -1.0}]
)
def test_a_number_out_of_its_range_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(options))} must be"):
        Prober(Health(), dict, **options)


# -- over sockets ----------------------------------------------------------------------------------------------


def test_every_route_that_can_be_asked_is_by_its_whole_path_and_each_key_for_itself(serve: Serve) -> None:
    server = serve("openai", key="sk-1")
    good, bad = OpenAI("sk-1", base_url=server.url), OpenAI("sk-2", base_url=server.url)
    inner = Stack([], Fallback(Route("x", good)))
    routes = Fallback(Route("keys", Balance(Route("1", good), Route("2", bad))), Route("eu", inner), Route("f", print))
    health = Health()
    with Stack(standard(), routes, observers=[health]) as stack:
        prober = Prober(health, lambda: probes_of(stack), clock=stack.clock)
        for _ in range(3):
            prober.step()
        told = {path: entry["probe"] and entry["probe"]["error"] for path, entry in stack.status().items()}
    assert told == {"keys/1": None, "keys/2": "authentication", "eu/x": None, "f": None}
    assert stack.status()["keys/1"]["probe"]["ok"] is True
    assert server.count == 0  # no chat request was made


def test_a_stack_without_a_router_is_probed_as_well(serve: Serve) -> None:
    with Stack([], OpenAI("sk-1", base_url=serve("openai").url), observers=[Health()]) as stack:
        assert list(probes_of(stack)) == ["openai"]


def test_no_breaker_is_opened_to_anybody_by_a_good_probe(serve: Serve) -> None:
    server = serve("openai")
    server.always(faults.quota())
    with create_provider("openai", {"base_url": server.url, "api_key": "sk-1"}) as provider:
        with pytest.raises(QuotaExceeded):
            provider.execute("m", "Hi")
        Prober(provider.health, lambda: probes_of(provider.stack)).step()
        status = provider.status()["openai"]
    assert (status["probe"]["ok"], status["healthy"], status["state"]) == (True, False, "open")


def test_a_manager_probes_in_the_background_what_it_has_and_ends_when_it_is_closed(serve: Serve) -> None:
    down, well = serve("openai", refusing=True), serve("claude")
    sick = threading.Event()
    with ProviderManager() as manager:
        manager.on_change(lambda change: sick.set() if not change.healthy else None)
        manager.add_provider("openai", {"base_url": down.url, "api_key": "sk-1"})
        prober = manager.probe_every(0.01, timeout=5.0)
        manager.add_provider("claude", {"base_url": well.url, "api_key": "sk-2"})
        assert sick.wait(20)
        with pytest.raises(RuntimeError, match="probed already"):
            manager.probe_every()
        prober.close()
        again = manager.probe_every(60.0)
        assert manager.get_provider_status()["openai"]["healthy"] is False
    assert not prober.alive
    assert not again.alive
    assert (down.count, well.count) == (0, 0)


def test_a_front_that_is_dropped_without_a_close_is_not_probed_for_ever(serve: Serve) -> None:
    provider: Any = create_provider("openai", {"base_url": serve("openai").url, "api_key": "sk-1"})
    thread = provider.probe_every(60.0)._background._thread
    provider.adapter.close()
    del provider
    gc.collect()
    thread.join(20)
    assert not thread.is_alive()


def test_a_wrong_timeout_is_refused_before_a_thread_begins(kit: Any) -> None:
    chain = ProviderChain([("a", kit.Leaf())])
    with pytest.raises(ValueError, match="timeout must be"):
        chain.probe_every(timeout=0)
    assert chain._prober is None


# -- on an event loop ------------------------------------------------------------------------------------------


class Looped:
    """A handler of an event loop, which can be probed there and nowhere else."""

    provider = "looped"

    def __init__(self) -> None:
        self.loops: list[Any] = []
        self.asked = threading.Event()

    async def __call__(self, request: Any) -> Any:
        raise AssertionError("not asked for an answer")

    async def probe(self, model: str | None = None, timeout: float = 10.0) -> None:
        self.loops.append(asyncio.get_running_loop())
        self.asked.set()
        raise Unavailable(reason="overloaded")


def test_probes_that_are_coroutines_run_on_the_loop() -> None:
    async def main() -> dict[str, Any]:
        looped, health = Looped(), Health()
        stack = AsyncStack([], Fallback(Route("a", looped)), observers=[health])
        with Prober(health, lambda: probes_of(stack), loop=asyncio.get_running_loop()) as prober:
            await asyncio.to_thread(prober.step)
        assert looped.loops == [asyncio.get_running_loop()]
        return stack.status()["a"]["probe"]  # type: ignore[no-any-return]

    assert asyncio.run(main())["reason"] == "overloaded"


def test_on_a_loop_everything_that_watches_begins_and_ends_there() -> None:
    class OnALoop(Monitored):
        def __init__(self, looped: Looped) -> None:
            self.health = Health()
            self.stack = AsyncStack([], Fallback(Route("a", looped)), observers=[self.health])

        def _stacks(self) -> tuple[AsyncStack]:
            return (self.stack,)

    async def main() -> None:
        looped = Looped()
        watched = OnALoop(looped)
        changed = asyncio.Event()
        loop = asyncio.get_running_loop()
        watched.on_change(lambda change: loop.call_soon_threadsafe(changed.set))
        prober, server = watched.probe_every(0.01), watched.serve_status()
        async with asyncio.timeout(20):
            await changed.wait()
        told = await asyncio.to_thread(lambda: requests.get(server.url, timeout=20).json())
        assert (told["routes"]["a"]["healthy"], told["routes"]["a"]["reason"]) == (False, "overloaded")
        await watched._aunwatch()
        assert not prober.alive
        assert not server.alive

    asyncio.run(main())


def test_without_a_loop_a_front_says_where_to_call_it() -> None:
    provider = AsyncProvider("a", Looped())
    with pytest.raises(RuntimeError, match="call probe_every\\(\\) where it is running"):
        provider.probe_every()

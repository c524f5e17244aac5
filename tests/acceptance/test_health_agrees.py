"""Under load, over sockets: status, sandboxes, breakers, log and callbacks tell the same numbers."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import suppress
from itertools import pairwise
from typing import Any

import structlog.testing

from mainstay.adapters.sandbox import Answer, Sandbox, faults
from mainstay.middleware import Circuits, HealthChange, Log, standard
from mainstay.pipeline import AttemptEnded, BreakerChanged, ProviderError
from mainstay.providers import ProviderManager

THREADS, CALLS = 16, 25


class Moody:
    """Fails every so many requests, whoever asks."""

    def __init__(self, every: int) -> None:
        self._every = every
        self._lock = threading.Lock()
        self.asked = self.failed = 0

    def __call__(self, seen: Any) -> Any:
        with self._lock:
            self.asked += 1
            bad = self.asked % self._every == 0
            self.failed += bad
        return faults.status(503) if bad else Answer("fine")


def test_all_that_keep_score_come_to_the_same(clock: Any) -> None:
    heard: list[Any] = []
    changes: list[HealthChange] = []
    logger = structlog.testing.CapturingLogger()
    layers = standard(circuits=Circuits())
    layers.insert(2, Log(logger))
    moods = {"openai": Moody(1), "claude": Moody(4), "ollama": Moody(1000)}
    with (
        Sandbox("openai") as openai,
        Sandbox("claude") as claude,
        Sandbox("ollama") as ollama,
        ProviderManager(layers=layers, clock=clock, observers=[heard.append]) as manager,
    ):
        servers = {"openai": openai, "claude": claude, "ollama": ollama}
        for name, server in servers.items():
            server.always(moods[name])
            key = {} if name == "ollama" else {"api_key": "sk-1"}
            manager.add_provider(name, {"base_url": server.url, "model": "m", **key})
        manager.setup_fallback_chain(list(servers))
        manager.on_change(changes.append)
        together = threading.Barrier(THREADS + 1)
        looks: list[tuple[int, ...]] = []

        def ask(number: int) -> None:
            together.wait()
            for call in range(CALLS):
                with suppress(ProviderError):
                    if (number + call) % 5 == 0:
                        manager.execute("claude", "m", "Hi")
                    elif (number + call) % 2:
                        manager.execute_with_fallback("m", "Hi")
                    else:
                        with manager.stream_with_fallback("m", "Hi") as reply:
                            reply.read()

        def look() -> None:
            together.wait()
            for _ in range(100):
                looks.append(tuple(entry["attempts"] for entry in manager.get_provider_status().values()))

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(THREADS)]
        threads.append(threading.Thread(target=look))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        status = manager.get_provider_status()
        breakers = {name: manager.chain.stack.part("breaker", route=name) for name in servers}

        for name, server in servers.items():
            assert status[name]["attempts"] == server.count == moods[name].asked
            assert status[name]["errors"] == moods[name].failed
            assert status[name]["recent"] == server.count
            assert status[name]["state"] == breakers[name].snapshot(clock.now())["state"]
    attempts = [event.attempt for event in heard if isinstance(event, AttemptEnded)]
    lines = [call.kwargs for call in logger.calls if call.args == ("attempt",)]
    assert Counter(one.route for one in attempts) == Counter(line["route"] for line in lines)
    assert {name: entry["attempts"] for name, entry in status.items()} == {
        name: sum(one.route == name for one in attempts) for name in status
    }
    moves = Counter((event.route, event.before, event.after) for event in heard if isinstance(event, BreakerChanged))
    logged = [call.kwargs for call in logger.calls if call.args == ("breaker",)]
    assert moves == Counter((line["route"], line["before"], line["after"]) for line in logged)
    for name in servers:  # a look may have been faster than a change, and told two as one; none is told twice or late
        mine = [one for one in changes if one.route == name]
        assert [one.was_state for one in mine] == ["closed", *(one.state for one in mine)][: len(mine)]
        assert [one.was_healthy for one in mine] == [True, *(one.healthy for one in mine)][: len(mine)]
        assert (mine[-1].state if mine else "closed") == status[name]["state"]
        assert len(mine) <= sum(count for (route, *_), count in moves.items() if route == name)
    assert moves[("openai", "closed", "open")] >= 1
    assert all(earlier <= later for a, b in pairwise(looks) for earlier, later in zip(a, b, strict=True))

"""Health over breakers that a fleet shares: what another process learnt is told when this one hears of it."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from mainstay.middleware import CircuitBreaker, Health, HealthChange, RedisCircuits
from mainstay.pipeline import AuthenticationFailed, ProviderError, Request, Stack
from support.fleets import FakeRedis
from support.wards import WALL


def test_a_breaker_that_another_process_opened_is_told_by_the_first_call_that_hears_of_it(kit: Any) -> None:
    server = FakeRedis()
    circuits = [RedisCircuits(server) for _ in range(2)]
    health = [Health(wall=lambda: WALL) for _ in range(2)]
    changes: list[HealthChange] = []
    health[1].on_change(changes.append)
    leaf = kit.Leaf(AuthenticationFailed(reason="bad_key"))
    one, other = (Stack([CircuitBreaker(circuits=circuits[n])], leaf, observers=[health[n]]) for n in range(2))
    with suppress(ProviderError):
        one(Request("m", "Hi"))
    circuits[0].close()  # the fleet has been told
    assert other.status()["leaf"]["healthy"] is True  # nothing is asked for a status
    with suppress(ProviderError):
        other(Request("m", "Hi"))
    status = other.status()["leaf"]
    assert (status["healthy"], status["state"], status["reason"]) == (False, "open", "bad_key")
    assert (status["attempts"], status["errors"]) == (0, 0)
    assert status["since"] is not None
    assert status["reopens_at"] > status["since"]
    assert [str(change) for change in changes] == ["leaf is sick: authentication (bad_key), its breaker is open"]
    assert leaf.calls == 1
    circuits[1].close()

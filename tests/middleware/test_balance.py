"""Balance: several keys of one provider as one route."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from mainstay.adapters import OpenAI
from mainstay.adapters.sandbox import Answer, Sandbox, faults
from mainstay.middleware import Balance, CircuitBreaker, Fallback, Retry, standard
from mainstay.middleware.balance import LeastBusy
from mainstay.pipeline import (
    AllRoutesFailed,
    AuthenticationFailed,
    Call,
    Chunk,
    InvalidRequest,
    RateLimited,
    Reply,
    Request,
    Route,
    Secret,
    Stack,
    Unavailable,
    VirtualClock,
)

ASK = Request("m", "Hi")


class Key:
    """A leaf that stands for a key; fails with a new `error` each time if it has one."""

    def __init__(
        self, error: Callable[[], Exception] | None = None, seconds: float = 0.0, clock: VirtualClock | None = None
    ) -> None:
        self.error, self.seconds, self.clock, self.calls = error, seconds, clock, 0

    def __call__(self, request: Request) -> Reply:
        self.calls += 1
        if self.clock is not None:
            self.clock.advance(self.seconds)
        if self.error is not None:
            raise self.error()
        return Reply("x") if not request.stream else Reply.stream(iter([Chunk("x"), Chunk(finish_reason="stop")]))


def balanced(**keys: Any) -> Balance:
    return Balance(*(Route(name, key) for name, key in keys.items()))


def chancy(seed: int = 1) -> VirtualClock:
    return VirtualClock(random=random.Random(seed).random)


def test_calls_are_spread_over_all_keys() -> None:
    keys = {name: Key() for name in "abcd"}
    stack = Stack([], balanced(**keys), clock=chancy())
    for _ in range(400):
        stack(ASK)
    assert all(60 < key.calls < 140 for key in keys.values())


def test_of_two_the_one_with_fewer_calls_under_way_is_taken() -> None:
    keys = {name: Key() for name in "ab"}
    stack = Stack([], balanced(**keys), clock=chancy())
    replies = [stack(Request("m", "Hi", stream=True)) for _ in range(10)]
    assert {name: key.calls for name, key in keys.items()} == {"a": 5, "b": 5}
    for reply in replies:
        reply.close()


def test_what_is_over_is_not_under_way_whatever_the_end() -> None:
    strategy = LeastBusy()
    balance = Balance(Route("a", Key()), Route("b", Key(Unavailable)), strategy=strategy)
    stack = Stack([], balance, clock=chancy())
    for ending in (Reply.read, Reply.close):
        for _ in range(20):
            ending(stack(Request("m", "Hi", stream=True)))
    dropped = stack(Request("m", "Hi", stream=True))
    assert sum(map(len, strategy._under_way.values())) == 1
    del dropped
    assert sum(map(len, strategy._under_way.values())) == 0


def test_the_quicker_key_gets_more() -> None:
    clock = chancy()
    quick, slow = Key(seconds=0.1, clock=clock), Key(seconds=2.0, clock=clock)
    stack = Stack([], balanced(quick=quick, slow=slow), clock=clock)
    for _ in range(2000):
        stack(ASK)
    assert quick.calls > 5 * slow.calls
    assert slow.calls >= 2  # its slowness fades, and it is looked at again


def test_one_keys_401_opens_that_keys_breaker_alone() -> None:
    bad, good = Key(AuthenticationFailed), Key()
    clock = chancy()
    stack = Stack([Retry(), CircuitBreaker()], balanced(bad=bad, good=good), clock=clock)
    for _ in range(50):
        assert stack(ASK).text == "x"
    assert (bad.calls, good.calls) == (1, 50)
    assert stack.part("breaker", route="bad").snapshot(clock.now())["state"] == "open"
    assert stack.part("breaker", route="good").snapshot(clock.now())["state"] == "closed"


def test_a_rested_key_is_skipped_without_an_attempt() -> None:
    tired, fresh = Key(lambda: RateLimited(retry_after=60.0)), Key()
    stack = Stack([Retry(), CircuitBreaker()], balanced(tired=tired, fresh=fresh), clock=chancy())
    for _ in range(50):
        assert len(stack(ASK).attempts) <= 2
    assert tired.calls == 1


def test_a_wrong_request_is_not_sent_with_every_key() -> None:
    keys = {name: Key(InvalidRequest) for name in "abc"}
    with pytest.raises(InvalidRequest):
        Stack([Retry()], balanced(**keys), clock=chancy())(ASK)
    assert sum(key.calls for key in keys.values()) == 1


@pytest.mark.parametrize("cap", [1, 2, 3, 5, 6, 7, 12])
def test_retries_times_routes_times_keys_never_exceed_the_cap(cap: int) -> None:
    dead = [Key(Unavailable) for _ in range(6)]
    first = Balance(*(Route(f"k{n}", key) for n, key in enumerate(dead[:3])))
    second = Balance(*(Route(f"k{n}", key) for n, key in enumerate(dead[3:])))
    routes = Fallback(Route("one", first), Route("two", second))
    stack = Stack([Retry(attempts=9), CircuitBreaker()], routes, clock=chancy(), cap=cap, check=False)
    with pytest.raises((Unavailable, AllRoutesFailed)) as caught:
        stack(ASK)
    assert sum(key.calls for key in dead) == len(caught.value.attempts) <= cap
    assert all(key.calls for key in dead) is (cap >= 6)


def test_every_key_of_a_route_is_tried_before_the_next_route() -> None:
    dead = {name: Key(Unavailable) for name in "ab"}
    spare = Key()
    routes = Fallback(Route("main", balanced(**dead)), Route("spare", spare))
    reply = Stack(standard(), routes, clock=chancy())(ASK)
    assert [attempt.route for attempt in reply.attempts][-1] == "spare"
    assert {attempt.route for attempt in reply.attempts[:-1]} == {"main/a", "main/b"}


def test_keys_are_told_apart_by_fingerprints_and_never_shown() -> None:
    with Sandbox("openai") as server:
        balance = Balance(*(OpenAI(key, base_url=server.url, model="m") for key in ("sk-one", "sk-two")))
        with Stack(standard(), balance) as stack:
            reply = stack(ASK)
            shown = f"{stack} {stack!r} {balance!r} {reply.attempts}"
        assert [route.name for route in balance.routes] == [
            f"openai-{Secret(key).fingerprint}" for key in ("sk-one", "sk-two")
        ]
        assert "sk-one" not in shown
        assert "sk-two" not in shown
        assert "balance  least busy of two" in str(stack)


def test_the_same_key_twice_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="are called openai-"):
        Balance(OpenAI("sk-one", base_url="http://127.0.0.1:1"), OpenAI("sk-one", base_url="http://127.0.0.1:1"))


def test_handlers_without_a_key_are_numbered() -> None:
    assert [route.name for route in Balance(Key(), Key()).routes] == ["key-1", "key-2"]
    assert Balance(Key(), Key()).provider == "key"


def test_in_a_fallback_it_is_called_by_its_provider() -> None:
    with Sandbox("openai") as a, Sandbox("openai") as b:
        a.always(faults.bad_key())
        b.always(Answer("from b"))
        keys = [OpenAI("sk-1", base_url=a.url, model="m"), OpenAI("sk-2", base_url=b.url, model="m")]
        with Stack(standard(), Fallback(Balance(*keys))) as stack:
            assert {stack(ASK).text for _ in range(10)} == {"from b"}
            assert a.count <= 1
            assert all(route.startswith("openai/openai-") for route in stack.routes())


def test_many_threads_leave_nothing_under_way_and_share_evenly() -> None:
    strategy = LeastBusy()
    balance = Balance(*(Route(str(n), lambda request: Reply("x")) for n in range(4)), strategy=strategy)
    stack = Stack([], balance)
    counts, gate, lock = Counter[str](), threading.Barrier(16), threading.Lock()

    def work() -> None:
        gate.wait()
        mine = Counter(stack(ASK).attempts[0].route for _ in range(50))
        with lock:
            counts.update(mine)

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(counts.values()) == 800
    assert len(counts) == 4
    assert sum(map(len, strategy._under_way.values())) == 0


def test_the_order_is_always_all_of_the_routes() -> None:
    for seed in range(20):
        clock, strategy = chancy(seed), LeastBusy()
        routes = [Route(str(n), Key()) for n in range(1 + seed % 5)]
        order = strategy.order(routes, ASK.under(Call(clock)))
        assert sorted(route.name for route in order) == sorted(route.name for route in routes)

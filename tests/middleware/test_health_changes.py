"""Who is told of a change, when, in which order, and what harm they can do: none."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from mainstay.middleware import CircuitBreaker, Circuits, Fallback, Health, HealthChange, Retry
from mainstay.pipeline import (
    Attempt,
    AttemptEnded,
    AuthenticationFailed,
    BreakerChanged,
    ErrorClass,
    ModelNotFound,
    ProviderError,
    RateLimited,
    Request,
    Route,
    Stack,
    TimedOut,
    Unavailable,
)
from mainstay.pipeline.dropping import is_dropping
from support.wards import WALL, Ward


def told(ward: Ward) -> list[HealthChange]:
    changes: list[HealthChange] = []
    ward.health.on_change(changes.append)
    return changes


def words(changes: list[HealthChange]) -> list[tuple[bool, str]]:
    return [(change.healthy, change.state) for change in changes]


def bad(route: str = "a", number: int = 1) -> AttemptEnded:
    kind = ErrorClass.UNAVAILABLE
    return AttemptEnded(Attempt(number, route, route, "m", 0, 0.0, ended=1.0, outcome="error", error_class=kind))


def good(route: str = "a") -> AttemptEnded:
    return AttemptEnded(Attempt(1, route, route, "m", 0, 0.0, ended=1.0, outcome="ok"))


def test_a_breaker_s_way_from_closed_to_closed_is_told_step_by_step(either_world: Any) -> None:
    ward = Ward(either_world, [CircuitBreaker()], a=either_world.leaf(*[Unavailable(reason="overloaded")] * 6, "fine"))
    changes = told(ward)
    ward.ask(5)
    ward.clock.advance(10.0)
    ward.ask(1)
    ward.clock.advance(10.0)
    ward.ask(2)
    assert words(changes) == [
        (False, "open"),
        (False, "half-open"),
        (False, "open"),
        (False, "half-open"),
        (True, "closed"),
    ]
    assert [change.turned for change in changes] == [True, False, False, False, True]
    first, last = changes[0], changes[-1]
    assert first == HealthChange(
        route="a",
        healthy=False,
        was_healthy=True,
        state="open",
        was_state="closed",
        reason="overloaded",
        error="unavailable",
        since=WALL,
        reopens_at=WALL + 3.75,
        at=WALL,
    )
    assert (last.was_healthy, last.was_state, last.since, last.reopens_at) == (False, "half-open", None, None)


def test_without_a_breaker_what_is_told_is_sick_and_well(kit: Any) -> None:
    ward = Ward(kit.Threads, [], a=kit.Leaf(*[Unavailable()] * 7, "fine"))
    changes = told(ward)
    ward.ask(10)
    assert words(changes) == [(False, "closed"), (True, "closed")]


def test_what_no_event_tells_is_told_at_the_next_look(kit: Any) -> None:
    ward = Ward(kit.Threads, [CircuitBreaker()], a=kit.Leaf(RateLimited(retry_after=30.0)))
    changes = told(ward)
    breaker = ward.stack.part("breaker")
    breaker.isolate()
    assert changes == []
    ward.of("a")
    ward.of("a")
    breaker.close()
    ward.of("a")
    ward.ask()
    ward.of("a")
    ward.clock.advance(30.0)
    ward.of("a")
    assert words(changes) == [(False, "isolated"), (True, "closed"), (False, "resting"), (True, "closed")]
    assert changes[2].reopens_at == WALL + 30.0
    assert str(changes[0]) == "a is sick: by_hand, its breaker is isolated"


def test_a_stack_in_the_place_of_one_that_is_gone_makes_its_routes_well(kit: Any) -> None:
    health, changes = Health(), []
    health.on_change(changes.append)

    def built(*outcomes: Any) -> Stack:
        return Stack([CircuitBreaker(failures=1)], Fallback(Route("a", kit.Leaf(*outcomes))), observers=[health])

    stack = built(AuthenticationFailed())
    with suppress(ProviderError):
        stack(Request("m", "Hi"))
    other = built("fine")  # as long as the first is there, its breaker is the news
    assert words(changes) == [(False, "open")]
    del stack, other
    gc.collect()
    stack = built("fine")  # with another key, say
    assert words(changes) == [(False, "open"), (True, "closed")]
    assert stack.status()["a"]["healthy"]


def test_a_rest_is_told_when_it_begins_and_by_the_first_attempt_after_it(kit: Any) -> None:
    ward = Ward(kit.Threads, [CircuitBreaker()], a=kit.Leaf(RateLimited(reason="tokens", retry_after=30.0), "fine"))
    changes = told(ward)
    ward.ask(3)
    assert [str(change) for change in changes] == ["a is sick: rate_limit (tokens), its breaker is resting"]
    assert changes[0].reopens_at == WALL + 30.0
    ward.clock.advance(30.0)
    ward.ask()
    assert words(changes) == [(False, "resting"), (True, "closed")]


def test_a_look_that_began_before_a_change_does_not_take_it_back(kit: Any) -> None:
    ward = Ward(kit.Threads, [CircuitBreaker(failures=1)], a=kit.Leaf(Unavailable()))
    changes = told(ward)
    breaker = ward.stack.part("breaker")
    snapshot = breaker.snapshot

    def overtaken(now: float) -> dict[str, Any]:
        shot = snapshot(now)
        if not changes:
            ward.ask()  # opens it, and says so, before the look is over
        return shot

    breaker.snapshot = overtaken
    ward.of("a")
    assert words(changes) == [(False, "open")]
    ward.of("a")
    assert len(changes) == 1


def test_changes_that_threads_tell_in_another_order_are_put_right() -> None:
    health, changes = Health(), []
    health.on_change(changes.append)
    for before, after, number in (("closed", "open", 1), ("half-open", "closed", 3), ("open", "half-open", 2)):
        health(BreakerChanged("a", before, after, number=number))
    assert words(changes) == [(False, "open"), (True, "closed")]


def test_a_callback_may_look_and_even_ask(kit: Any) -> None:
    ward = Ward(kit.Threads, [CircuitBreaker()], a=kit.Leaf(AuthenticationFailed()))
    seen: list[Any] = []

    def look(change: HealthChange) -> None:
        assert not ward.health._lock.locked()
        assert not ward.stack.part("breaker")._circuit._lock.locked()
        seen.append((change.state, ward.of("a")["state"]))
        ward.ask()

    ward.health.on_change(look)
    ward.ask()
    assert seen == [("open", "open")]


def test_a_broken_callback_is_logged_and_harms_nobody(kit: Any, caplog: pytest.LogCaptureFixture) -> None:
    ward = Ward(kit.Threads, [CircuitBreaker(failures=1)], a=kit.Leaf(Unavailable()), b=kit.Leaf())

    def broken(change: HealthChange) -> None:
        raise ZeroDivisionError("mine")

    ward.health.on_change(broken)
    changes = told(ward)
    assert ward.stack(Request("m", "Hi")).text == "answer"
    assert words(changes) == [(False, "open")]
    assert [record.message for record in caplog.records] == ["a callback failed on a change of route 'a'"]


def test_a_callback_can_be_taken_back_and_must_be_one(kit: Any) -> None:
    ward = Ward(kit.Threads, [], a=kit.Leaf(AuthenticationFailed()))
    changes: list[HealthChange] = []
    ends = [ward.health.on_change(changes.append), ward.health.on_change(changes.append)]
    ends[0]()
    ends[0]()
    ward.ask()
    assert len(changes) == 1
    ends[1]()
    ward.ask()
    assert len(changes) == 1
    with pytest.raises(TypeError, match="takes a function of a HealthChange, not 'print'"):
        ward.health.on_change("print")  # type: ignore[arg-type]


def test_what_a_dropped_stream_brings_is_told_by_whoever_comes_next(kit: Any) -> None:
    ward = Ward(kit.Threads, [], a=kit.Leaf(kit.Flow(("one", "two"))), b=kit.Leaf())
    changes: list[tuple[str, bool]] = []
    ward.health.on_change(lambda change: changes.append((change.route, is_dropping())))
    news = [bad("x", number) for number in range(5)]

    def late(event: Any) -> None:  # as another thread would, that met the lock
        if isinstance(event, AttemptEnded) and event.attempt.outcome == "closed":
            ward.health._heard.put(news.pop())
            if news:
                late(event)

    ward.stack.observers = (late, *ward.stack.observers)
    ward.ask(end="drop", stream=True)
    assert changes == []
    ward.of("a")
    assert changes == [("x", False)]


@pytest.mark.parametrize("end", ["drop", "close", "read"])
def test_a_stream_may_tell_at_its_end(kit: Any, end: str) -> None:
    flow = kit.Flow(error=Unavailable())
    ward = Ward(kit.Threads, [CircuitBreaker(failures=1)], a=kit.Leaf(flow))
    changes = told(ward)
    ward.ask(end=end, stream=True)
    assert words(changes) == ([(False, "open")] if end == "read" else [])


def test_what_a_garbage_collection_brings_while_the_locks_are_taken_is_told_afterwards() -> None:
    """In the thread that holds them, where waiting would be for ever."""
    health, changes = Health(), []
    health.on_change(changes.append)

    class Dropped:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            for number in range(5):
                health(bad(number=number))

    with health._lock:
        Dropped()
        gc.collect()
        assert changes == []
    health(AttemptEnded(Attempt(1, "b", "b", "m", 0, 0.0, ended=1.0, outcome="ok")))
    assert [(change.route, change.healthy) for change in changes] == [("a", False)]


def test_many_threads_bring_news_and_it_is_told_one_at_a_time_and_in_order() -> None:
    health = Health()
    told: dict[str, list[HealthChange]] = {}
    inside = [0]

    def listen(change: HealthChange) -> None:
        inside[0] += 1
        assert inside[0] == 1
        told.setdefault(change.route, []).append(change)
        inside[0] -= 1

    health.on_change(listen)
    threads, rounds = 8, 60
    together = threading.Barrier(threads)

    def feed(route: str) -> None:
        together.wait()
        for _ in range(rounds):
            for number in range(5):
                health(bad(route, number))
            health(good(route))

    crowd = [threading.Thread(target=feed, args=(f"route-{n}",)) for n in range(threads)]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join()
    health.probed("x", 0.1)  # whoever comes last takes in what is left
    assert {route: len(changes) for route, changes in told.items()} == {f"route-{n}": 2 * rounds for n in range(8)}
    for changes in told.values():
        assert [change.healthy for change in changes] == [False, True] * rounds
        assert all(change.was_healthy is not change.healthy for change in changes)


def test_breaker_health_and_the_leaf_s_own_count_agree_under_load(kit: Any) -> None:
    """Many threads through one stack with a route that fails every third time, and one that is down."""
    counts = {"a": [0, 0], "b": [0, 0]}
    lock = threading.Lock()

    def flaky(name: str, fails: Callable[[int], bool]) -> Any:
        def leaf(request: Request) -> Any:
            with lock:
                counts[name][0] += 1
                failed = fails(counts[name][0])
                counts[name][1] += failed
            if failed:
                raise Unavailable()
            return kit.Leaf().entry(request)

        return leaf

    health, changes, circuits = Health(), [], Circuits()
    health.on_change(changes.append)
    routes = Fallback(Route("a", flaky("a", lambda n: True)), Route("b", flaky("b", lambda n: n % 3 == 0)))
    layers = [Retry(), CircuitBreaker(break_min=300.0, break_max=300.0, circuits=circuits)]
    stack = Stack(layers, routes, observers=[health])
    looks: list[tuple[int, int]] = []
    together = threading.Barrier(9)

    def ask() -> None:
        together.wait()
        for _ in range(50):
            with suppress(ProviderError):
                stack(Request("m", "Hi"))

    def look() -> None:
        together.wait()
        for _ in range(200):
            entry = stack.status()["b"]
            looks.append((entry["attempts"], entry["errors"]))

    stack.clock.sleep = lambda seconds: None  # no retry waits
    crowd = [threading.Thread(target=ask) for _ in range(8)] + [threading.Thread(target=look)]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join()
    status = stack.status()
    assert {name: [status[name]["attempts"], status[name]["errors"]] for name in counts} == counts
    assert looks == sorted(looks)
    assert status["a"]["state"] == stack.part("breaker", route="a").snapshot(stack.clock.now())["state"] == "open"
    assert [(change.healthy, change.state) for change in changes if change.route == "a"] == [(False, "open")]


def test_a_fork_while_another_thread_holds_the_locks_does_not_stop_the_child() -> None:
    import subprocess
    import sys

    program = """
import os, threading
from mainstay.middleware import Health
from mainstay.pipeline import Reply, Request, Stack
health = Health()
stack = Stack([], lambda request: Reply("x"), observers=[health])
stack(Request("m", "Hi"))
held, go = threading.Event(), threading.Event()
def hold():
    with health._lock, health._telling:
        held.set()
        go.wait(20)
threading.Thread(target=hold).start()
held.wait(20)
child = os.fork()
if not child:
    changes = []
    health.on_change(changes.append)
    stack(Request("m", "Hi"))
    for _ in range(2):
        health.probed("handler", 0.1, __import__("mainstay.pipeline").pipeline.Unavailable())
    attempts = [entry["attempts"] for entry in stack.status().values()]
    os._exit(0 if (attempts, len(changes)) == ([2], 1) else 1)
go.set()
_, status = os.waitpid(child, 0)
assert status == 0, status
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr


# -- probes ----------------------------------------------------------------------------------------------------


def test_two_bad_probes_in_a_row_make_a_route_sick_and_a_good_one_takes_that_back(kit: Any) -> None:
    ward = Ward(kit.Threads, [CircuitBreaker()], a=kit.Leaf())
    changes = told(ward)
    healthy = []
    for error in (Unavailable(), None, Unavailable(), TimedOut(reason="total"), None):
        ward.clock.advance(10.0)
        ward.health.probed("a", 0.25, error)
        healthy.append(ward.of("a")["healthy"])
    assert healthy == [True, True, True, False, True]
    assert words(changes) == [(False, "closed"), (True, "closed")]
    assert (changes[0].reason, changes[0].since) == ("total", WALL + 30.0)
    assert ward.of("a")["probe"] == {"ok": True, "at": WALL + 50.0, "seconds": 0.25, "error": None, "reason": ""}
    assert (ward.of("a")["attempts"], ward.of("a")["errors"], ward.of("a")["success_rate"]) == (0, 0, None)


def test_a_good_answer_takes_back_what_probes_said(kit: Any) -> None:
    ward = Ward(kit.Threads, [CircuitBreaker()], a=kit.Leaf())
    for _ in range(2):
        ward.health.probed("a", 0.1, ModelNotFound(reason="model"))
    status = ward.of("a")
    assert (status["healthy"], status["reason"], status["since"]) == (False, "model", WALL)
    ward.ask()
    assert ward.of("a")["healthy"] is True


def test_a_rate_limited_probe_says_nothing_of_the_route(kit: Any) -> None:
    ward = Ward(kit.Threads, [], a=kit.Leaf())
    for _ in range(5):
        ward.health.probed("a", 0.1, RateLimited(reason="requests"))
    assert ward.of("a")["healthy"] is True
    assert ward.of("a")["probe"]["error"] == "rate_limit"


def test_a_good_probe_opens_no_breaker_to_anybody(kit: Any) -> None:
    leaf = kit.Leaf(AuthenticationFailed())
    ward = Ward(kit.Threads, [CircuitBreaker()], a=leaf)
    ward.ask()
    ward.health.probed("a", 0.1)
    ward.ask(3)
    assert leaf.calls == 1
    assert (ward.of("a")["state"], ward.of("a")["healthy"]) == ("open", False)

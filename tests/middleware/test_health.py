from __future__ import annotations

from typing import Any

import pytest

from mainstay.middleware import CircuitBreaker, Fallback, Health, Retry
from mainstay.pipeline import (
    Attempt,
    AttemptStarted,
    AuthenticationFailed,
    DeadlineExceeded,
    InvalidRequest,
    ModelNotFound,
    ProviderError,
    RateLimited,
    Reply,
    Request,
    Route,
    Stack,
    Unavailable,
    VirtualClock,
)
from support.wards import WALL, Ward


def slow(clock: VirtualClock, seconds: float, answer: Any) -> Any:
    def leaf(request: Request) -> Any:
        clock.advance(seconds)
        return answer

    return leaf


def test_a_route_that_was_never_asked_is_well_and_nothing_is_made_up(kit: Any) -> None:
    ward = Ward(kit.Threads, [CircuitBreaker()], a=kit.Leaf(), b=kit.Leaf())
    assert ward.health.status(ward.stack) == {
        name: {
            "healthy": True,
            "state": "closed",
            "reason": "",
            "attempts": 0,
            "errors": 0,
            "since": None,
            "reopens_at": None,
            "success_rate": None,
            "p50": None,
            "p95": None,
            "last_error": None,
        }
        for name in ("a", "b")
    }


def test_it_counts_attempts_errors_and_times_of_each_route(either_world: Any) -> None:
    ward = Ward(either_world, [], a=either_world.leaf())
    ward.stack.clock = clock = ward.clock
    leaf = either_world.leaf(
        *(slow(clock, seconds, "fine") for seconds in range(1, 20)), slow(clock, 20.0, Unavailable())
    )
    ward = Ward(either_world, [], a=leaf, b=either_world.leaf())
    ward.clock = ward.stack.clock = clock
    ward.ask(20)
    status = ward.of("a")
    assert (status["attempts"], status["errors"], status["success_rate"]) == (20, 1, 0.95)
    assert (status["p50"], status["p95"]) == (11.0, 20.0)
    assert (status["last_error"], status["reason"]) == ("unavailable", "")
    assert ward.of("b")["attempts"] == 1


def test_without_a_breaker_a_route_is_sick_while_most_of_its_tries_fail(kit: Any) -> None:
    ward = Ward(kit.Threads, [], a=kit.Leaf("fine", Unavailable(), Unavailable(reason="overloaded"), "fine"))
    told = []
    for _ in range(4):
        ward.clock.advance(10.0)
        ward.ask()
        status = ward.of("a")
        told.append((status["healthy"], status["state"], status["since"], status["success_rate"]))
    assert told == [
        (True, "closed", None, 1.0),
        (True, "closed", WALL + 20.0, 0.5),
        (False, "closed", WALL + 20.0, 1 / 3),
        (True, "closed", None, 0.5),
    ]
    assert ward.of("a")["reason"] == "overloaded"


def test_an_open_breaker_tells_since_when_and_until_when_on_the_time_of_day(either_world: Any) -> None:
    ward = Ward(either_world, [CircuitBreaker()], a=either_world.leaf(Unavailable(reason="overloaded")))
    ward.clock.advance(100.0)
    ward.ask(5)
    ward.clock.advance(1.0)
    status = ward.of("a")
    assert (status["healthy"], status["state"], status["reason"]) == (False, "open", "overloaded")
    assert status["since"] == WALL + 100.0
    assert status["reopens_at"] == WALL + 103.75  # half of 5 s, and half by a chance of 0.5
    assert (status["errors"], status["last_error"]) == (5, "unavailable")


def test_a_route_that_rests_says_until_when(kit: Any) -> None:
    ward = Ward(kit.Threads, [CircuitBreaker()], a=kit.Leaf(RateLimited(reason="tokens", retry_after=30.0)))
    ward.ask()
    ward.clock.advance(10.0)
    status = ward.of("a")
    assert (status["healthy"], status["state"], status["reason"]) == (False, "resting", "tokens")
    assert (status["since"], status["reopens_at"]) == (WALL, WALL + 30.0)
    ward.clock.advance(20.0)
    assert ward.of("a")["state"] == "closed"
    assert ward.of("a")["reopens_at"] is None


def test_a_route_that_is_being_probed_or_isolated_is_not_well(kit: Any) -> None:
    seen: list[dict[str, Any]] = []
    leaf = kit.Leaf(AuthenticationFailed(), lambda request: seen.append(ward.of("a")) or "fine")
    ward = Ward(kit.Threads, [CircuitBreaker()], a=leaf)
    ward.ask()
    ward.clock.advance(1000.0)
    ward.ask()
    assert (seen[0]["state"], seen[0]["healthy"]) == ("half-open", False)
    assert (ward.of("a")["state"], ward.of("a")["healthy"]) == ("closed", True)
    ward.stack.part("breaker").isolate()
    assert (ward.of("a")["state"], ward.of("a")["healthy"]) == ("isolated", False)


def test_a_breaker_under_another_name_is_seen_as_well(kit: Any) -> None:
    ward = Ward(kit.Threads, [CircuitBreaker(name="fuse")], a=kit.Leaf())
    ward.stack.part("fuse").isolate()
    assert (ward.of("a")["state"], ward.of("a")["healthy"]) == ("isolated", False)


@pytest.mark.parametrize("error", [InvalidRequest(), ModelNotFound(), DeadlineExceeded()])
def test_the_caller_s_own_faults_are_counted_and_make_no_route_sick(kit: Any, error: ProviderError) -> None:
    ward = Ward(kit.Threads, [], a=kit.Leaf(error))
    ward.ask(10)
    status = ward.of("a")
    assert (status["healthy"], status["success_rate"], status["since"], status["p50"]) == (True, None, None, None)
    assert (status["attempts"], status["errors"]) == (10, 10)
    assert status["last_error"] == error.error_class


def test_a_bug_is_judged_by_nobody(kit: Any) -> None:
    ward = Ward(kit.Threads, [], a=kit.Leaf(ValueError("a bug")))
    ward.ask(10)
    status = ward.of("a")
    assert (status["attempts"], status["errors"], status["last_error"], status["success_rate"]) == (10, 0, None, None)


@pytest.mark.parametrize("end", ["close", "leave", "drop"])
def test_a_stream_that_the_caller_gave_up_is_judged_by_nobody(either_world: Any, kit: Any, end: str) -> None:
    ward = Ward(either_world, [CircuitBreaker(failures=1)], a=either_world.leaf(kit.Flow()))
    ward.ask(3, end, stream=True)
    status = ward.of("a")
    assert (status["attempts"], status["errors"], status["success_rate"]) == (3, 0, None)
    assert (status["healthy"], status["state"], status["last_error"]) == (True, "closed", None)


def test_an_interrupt_is_judged_by_nobody(kit: Any) -> None:
    ward = Ward(kit.Threads, [], a=kit.Leaf(KeyboardInterrupt()))
    ward.ask()
    assert (ward.of("a")["attempts"], ward.of("a")["errors"]) == (1, 0)


def test_a_stream_is_judged_when_it_is_over(kit: Any) -> None:
    ward = Ward(kit.Threads, [], a=kit.Leaf(kit.Flow(whole=False)))
    reply = ward.stack(Request("m", "Hi", stream=True))
    assert ward.of("a")["attempts"] == 0
    with pytest.raises(Unavailable):
        reply.read()
    assert (ward.of("a")["errors"], ward.of("a")["reason"]) == (1, "truncated_stream")


def test_only_the_latest_two_hundred_tries_count_for_the_rate(kit: Any) -> None:
    ward = Ward(kit.Threads, [], a=kit.Leaf(*[Unavailable() for _ in range(100)], "fine"))
    ward.ask(250)
    assert ward.of("a")["success_rate"] == 0.75
    assert ward.of("a")["attempts"] == 250


def test_routes_of_nested_routers_have_their_path(either_world: Any) -> None:
    ward = Ward(
        either_world, [Retry()], a=either_world.leaf(Unavailable()), b=Fallback(Route("x", either_world.leaf()))
    )
    ward.ask()
    status = ward.health.status(ward.stack)
    assert {path: entry["attempts"] for path, entry in status.items()} == {"a": 2, "b/x": 1}


def test_a_stack_without_a_router_has_one_route(kit: Any, ask: Request) -> None:
    health = Health()
    stack = Stack([], kit.Leaf(name="openai"), observers=[health])
    stack(ask)
    assert [(path, entry["attempts"]) for path, entry in health.status(stack).items()] == [("openai", 1)]


def test_other_events_are_let_pass() -> None:
    health = Health()
    health(AttemptStarted(Attempt(1, "a", "a", "m", 0, 0.0)))
    assert health._routes == {}


def test_a_real_clock_is_told_on_the_real_time_of_day(kit: Any, ask: Request) -> None:
    import time

    health = Health()
    stack = Stack([], kit.Leaf(Unavailable()), observers=[health])
    before = time.time()
    with pytest.raises(Unavailable):
        stack(ask)
    assert before - 1 < health.status(stack)["leaf"]["since"] < time.time() + 1


def test_replies_are_the_handler_s_own(kit: Any, ask: Request) -> None:
    reply = Reply("mine")
    assert Stack([], kit.Leaf(reply), observers=[Health()])(ask) is reply

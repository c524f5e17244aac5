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
    QuotaExceeded,
    RateLimited,
    Reply,
    Request,
    Route,
    Stack,
    TimedOut,
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
            "recent": 0,
            "success_rate": None,
            "p50": None,
            "p95": None,
            "last_error": None,
            "probe": None,
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
    assert (status["p50"], status["p95"]) == (pytest.approx(11.0, rel=0.025), pytest.approx(20.0, rel=0.025))
    assert status["recent"] == 20
    assert (status["last_error"], status["reason"]) == ("unavailable", "")
    assert ward.of("b")["attempts"] == 1


def test_without_a_breaker_a_route_is_sick_after_five_failures_in_a_row_until_a_good_try(kit: Any) -> None:
    errors = [Unavailable(), RateLimited(), Unavailable(), TimedOut(reason="gap"), Unavailable(reason="overloaded")]
    ward = Ward(kit.Threads, [], a=kit.Leaf(*errors, "fine"))
    told = []
    for _ in range(6):
        ward.clock.advance(10.0)
        ward.ask()
        status = ward.of("a")
        told.append((status["healthy"], status["state"], status["since"], status["reason"]))
    assert told[3:] == [
        (True, "closed", None, "gap"),
        (False, "closed", WALL + 10.0, "overloaded"),
        (True, "closed", None, "overloaded"),
    ]


@pytest.mark.parametrize("error", [AuthenticationFailed(), QuotaExceeded()])
def test_without_a_breaker_what_would_open_one_at_once_makes_sick_at_once(kit: Any, error: ProviderError) -> None:
    ward = Ward(kit.Threads, [], a=kit.Leaf("fine", error, "fine"))
    assert [(ward.ask(), ward.of("a")["healthy"])[1] for _ in range(3)] == [True, False, True]


def test_of_a_sick_route_that_nobody_asks_for_a_window_nothing_is_known_any_more(kit: Any) -> None:
    ward = Ward(kit.Threads, [], a=kit.Leaf(Unavailable()))
    ward.ask(5)
    assert ward.of("a")["healthy"] is False
    ward.clock.advance(330.0)
    status = ward.of("a")
    assert (status["healthy"], status["since"], status["success_rate"], status["p95"]) == (True, None, None, None)
    assert (status["attempts"], status["errors"], status["recent"]) == (5, 5, 0)
    ward.ask(4)
    assert ward.of("a")["healthy"] is True


def test_with_a_breaker_its_word_is_the_word(kit: Any) -> None:
    """Four rate limits and a failure are five in a row to nobody but a careless counter."""
    ward = Ward(kit.Threads, [CircuitBreaker()], a=kit.Leaf(*[RateLimited()] * 4, Unavailable()))
    ward.ask(8)
    assert (ward.of("a")["state"], ward.of("a")["healthy"], ward.of("a")["since"]) == ("closed", True, None)
    ward.ask()
    assert (ward.of("a")["state"], ward.of("a")["healthy"]) == ("open", False)


def test_a_breaker_that_is_switched_off_has_no_word(kit: Any) -> None:
    ward = Ward(kit.Threads, [CircuitBreaker()], a=kit.Leaf(Unavailable()))
    ward.ask(5)
    ward.stack.disable("breaker")
    status = ward.of("a")
    assert (status["state"], status["healthy"], status["reopens_at"]) == ("closed", False, None)
    ward.stack.enable("breaker")
    assert ward.of("a")["state"] == "open"


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
    ward.stack.part("breaker").close()  # which is no beginning of a sickness
    ward.clock.advance(50.0)
    ward.ask()
    assert (ward.of("a")["state"], ward.of("a")["since"]) == ("resting", WALL)
    ward.clock.advance(30.0)
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


def test_only_the_latest_window_counts_for_the_rate(kit: Any) -> None:
    ward = Ward(kit.Threads, [], a=kit.Leaf(*[Unavailable() for _ in range(100)], "fine"))
    ward.ask(100)
    ward.clock.advance(200.0)
    ward.ask(300)
    assert (ward.of("a")["success_rate"], ward.of("a")["recent"]) == (0.75, 400)
    ward.clock.advance(130.0)
    assert (ward.of("a")["success_rate"], ward.of("a")["recent"], ward.of("a")["attempts"]) == (1.0, 300, 400)


def test_a_sickness_through_several_breaks_began_with_its_first_failure(kit: Any) -> None:
    ward = Ward(kit.Threads, [CircuitBreaker()], a=kit.Leaf(Unavailable()))
    ward.ask(5)
    for _ in range(3):
        ward.clock.advance(400.0)
        ward.of("a")
        ward.ask()
    assert (ward.of("a")["state"], ward.of("a")["since"]) == ("open", WALL)


def test_a_stack_tells_its_own_status(either_world: Any, kit: Any) -> None:
    ward = Ward(either_world, [CircuitBreaker()], a=either_world.leaf(Unavailable()), b=either_world.leaf())
    ward.ask(5)
    assert ward.stack.status() == ward.health.status(ward.stack) == ward.health.status()
    assert [entry["healthy"] for entry in ward.stack.status().values()] == [False, True]


def test_a_stack_of_which_nobody_keeps_score_says_so(kit: Any) -> None:
    with pytest.raises(RuntimeError, match=r"observers=\[Health\(\)\]"):
        Stack([], kit.Leaf(), observers=[print]).status()


def test_of_several_stacks_that_share_a_route_the_breaker_that_is_not_closed_is_told(kit: Any) -> None:
    health = Health()
    stacks = [Stack([CircuitBreaker()], Fallback(Route("a", kit.Leaf())), observers=[health]) for _ in range(3)]
    stacks[1].part("breaker").isolate()
    assert {state: entry["state"] for state, entry in health.status(*stacks).items()} == {"a": "isolated"}
    assert health.status(stacks[0])["a"]["state"] == "closed"
    del stacks[1]
    assert health.status()["a"]["state"] == "closed"


@pytest.mark.parametrize("window", [0.0, -1.0, float("inf"), "300"])
def test_a_window_that_is_none_is_refused(window: Any) -> None:
    with pytest.raises(ValueError, match=r"Health\(window=...\) must be a positive number of seconds"):
        Health(window=window)


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
    for _ in range(5):
        with pytest.raises(Unavailable):
            stack(ask)
    assert before - 1 < health.status(stack)["leaf"]["since"] < time.time() + 1


def test_replies_are_the_handler_s_own(kit: Any, ask: Request) -> None:
    reply = Reply("mine")
    assert Stack([], kit.Leaf(reply), observers=[Health()])(ask) is reply

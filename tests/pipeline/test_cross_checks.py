"""Options that contradict each other are refused when a stack is built, with the numbers and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from mainstay.adapters import Claude, Ollama, OpenAI
from mainstay.middleware import Balance, CircuitBreaker, Deadline, Fallback, Retry, standard
from mainstay.pipeline import AsyncStack, Layer, Reply, Request, Route, Stack, Timeouts


class Clocked:
    """A leaf that tells its timeouts."""

    def __init__(self, **clocks: float) -> None:
        self.timeouts = Timeouts(**clocks)

    def __call__(self, request: Request) -> Reply:
        return Reply("answer")


def plain(request: Request) -> Reply:
    return Reply("answer")


@pytest.fixture(params=[Stack, AsyncStack])
def build(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_a_window_in_which_hanging_attempts_never_meet_is_refused(build: Any) -> None:
    routes = Fallback(Route("quick", Clocked(first_event=5.0)), Route("slow", Clocked()))
    words = (
        r"breaker: window=119 is shorter than twice Timeouts\(first_event=60\) of route 'slow', so attempts that hang "
        r"would never count together: make it 120 or more, or shorten the timeout"
    )
    with pytest.raises(ValueError, match=words):
        build([CircuitBreaker(window=119.0)], routes)
    build([CircuitBreaker(window=119.0)], routes, check=False)
    build([CircuitBreaker(window=120.0)], routes)
    build([CircuitBreaker()], routes)
    build([CircuitBreaker(window=1.0)], plain)  # which tells no timeouts


def test_a_slowness_that_no_answer_can_have_is_refused(build: Any) -> None:
    words = r"breaker: slow=60 is no less than Timeouts\(first_event=60\) of route 'a', after which .*: make it shorter"
    with pytest.raises(ValueError, match=words):
        build([CircuitBreaker(slow=60.0)], Fallback(Route("a", Clocked())))
    build([CircuitBreaker(slow=60.0)], Fallback(Route("a", Clocked())), check=False)
    build([CircuitBreaker(slow=59.0)], Fallback(Route("a", Clocked())))
    build([CircuitBreaker(slow=600.0)], plain)


def test_routes_in_routers_are_held_against_the_options_too(build: Any) -> None:
    inner = Balance(Route("k1", Clocked()), Route("k2", Clocked(first_event=100.0)))
    with pytest.raises(ValueError, match="of route 'one/k2'"):
        build([CircuitBreaker(name="guard", window=150.0)], Fallback(Route("one", inner), Route("two", plain)))


@pytest.mark.parametrize("cap", [1, 2])
def test_a_cap_that_some_routes_never_come_under_is_refused(build: Any, cap: int) -> None:
    routes = Fallback(Route("a", plain), Route("b", Fallback(Route("c", plain), Route("d", plain))))
    words = f"cap={cap} is smaller than the number of routes, 3, so that some could never be tried: make it 3 or more"
    with pytest.raises(ValueError, match=words):
        build([], routes, cap=cap)
    assert build([], routes, cap=cap, check=False).cap == cap
    assert build([], routes, cap=3).cap == 3
    assert build([], routes).cap == 6


def test_a_patience_beyond_the_longest_wait_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"Retry\(patience=2\) is longer than max_wait=1: a wait is worth no more while"
    ):
        Retry(max_wait=1.0)
    assert Retry(patience=1.0, max_wait=1.0).limit(True) == 1.0


def test_a_layer_of_one_s_own_is_asked_for_every_leaf(build: Any) -> None:
    asked = []

    @dataclass(frozen=True)
    class Fussy(Layer):
        name: str = "fussy"

        def verify(self, route: str, handler: Any) -> None:
            asked.append((route, handler))
            if route == "b/d":
                raise ValueError("fussy: not over b/d")

    leaves = [Clocked() for _ in range(3)]
    routes = Fallback(Route("a", leaves[0]), Route("b", Fallback(Route("c", leaves[1]), Route("d", leaves[2]))))
    with pytest.raises(ValueError, match="fussy: not over b/d"):
        build([Fussy()], routes)
    assert asked == list(zip(["a", "b/c", "b/d"], leaves, strict=True))
    asked.clear()
    build([Fussy()], routes, check=False)
    assert asked == []
    build([Fussy()], plain)
    assert asked == [("plain", plain)]


def test_what_is_merely_tight_is_allowed(build: Any) -> None:
    # While other routes are left, an attempt has half of what is left of the deadline, so these still do their work.
    routes = Fallback(Route("a", Clocked()), Route("b", Clocked()))
    build([Deadline(1.0), Retry(), CircuitBreaker()], routes)


def test_the_standard_layers_fit_the_adapters_as_they_come() -> None:
    adapters = OpenAI("k"), Claude("k"), Ollama()
    with Stack(standard(), Fallback(*adapters)) as stack:
        assert stack.explain(Request("m", "hello")).requests == 6

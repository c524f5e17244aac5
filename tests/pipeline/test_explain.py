"""`stack.explain`: the walk, layers of one's own, nesting, and what is refused. Middleware's own words: see there."""

from __future__ import annotations

import gc
import weakref
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from mainstay.pipeline import (
    AllRoutesFailed,
    Layer,
    ModelNotFound,
    ProviderError,
    RateLimited,
    Reply,
    Request,
    Route,
    Scope,
    Sleep,
    Timeouts,
    Unavailable,
    VirtualClock,
    middleware,
)
from mainstay.pipeline.longest import Longest


class Adapter:
    """A leaf that must not be asked to answer."""

    timeouts = Timeouts(total=30.0, first_event=10.0)

    def __init__(self, name: str, model: str | None = None) -> None:
        self.provider = name
        self.model = model

    def __call__(self, request: Request) -> Reply:
        raise AssertionError(f"{self.provider} was asked")

    def check(self, request: Request) -> tuple[()]:
        return ()


@dataclass(frozen=True)
class Twice(Layer):
    """A user's own layer that tries twice and takes part in explanations."""

    name: str = "twice"
    scope: Scope = "route"
    kind: ClassVar[str] = "twice"

    def handle(self, request: Request) -> Any:
        try:
            return (yield request)
        except ProviderError:
            yield Sleep(3.0)
            return (yield request)

    def rehearsal(self) -> Twice:
        return self

    def longest(self, inner: Longest, others: bool) -> Longest:
        return inner.repeated(2, 3.0)


@dataclass(frozen=True)
class Turning(Layer):
    """A user's own layer that makes another error, or an answer, of one."""

    into: Any = None
    name: str = "turning"

    def handle(self, request: Request) -> Any:
        try:
            return (yield request)
        except ProviderError:
            if self.into is None:
                return Reply("sorry")
            raise self.into from None

    def rehearsal(self) -> Turning:
        return self


@dataclass(frozen=True)
class Telling(Layer):
    """A user's own layer with words of its own."""

    name: str = "telling"

    def bind(self, handler: Any) -> Any:
        return _Telling()


class _Telling:
    said = "writes it down"

    def handle(self, request: Request) -> Any:
        return (yield request)

    def rehearsal(self) -> _Telling:
        return _Telling()


@middleware
def silent(request: Request) -> Any:
    raise AssertionError("a layer without a rehearsal is not run")
    yield request


def outer(handler: Any) -> Any:
    def refuse(request: Request) -> Reply:
        raise AssertionError("plain middleware is not run")

    return refuse


def words(told: Any) -> dict[str, str]:
    return {step.layer: step.says for step in told.steps}


def test_layers_are_asked_inside_out_and_those_without_an_answer_pass_it_on(world: Any) -> None:
    stack = world.stack([Telling(), silent, outer, Twice()], Adapter("a"))
    told = stack.explain(Unavailable())
    assert [step.layer for step in told.steps] == ["twice", "outer", "silent", "telling"]
    assert words(told) == {
        "twice": "repeats it after up to 3 s; then raises it",
        "outer": "passes it on",
        "silent": "passes it on",
        "telling": "writes it down",
    }
    assert (told.steps[0].tries, told.steps[0].waits) == (2, (3.0,))
    assert (told.tries, told.waited, told.raised) == ({"a": 2}, 3.0, "Unavailable")


def test_a_layer_that_makes_something_else_of_it_is_seen(world: Any) -> None:
    told = world.stack([Turning(ModelNotFound())], Adapter("a")).explain(Unavailable())
    assert (words(told)["turning"], told.raised) == ("raises ModelNotFound in its place", "ModelNotFound")
    told = world.stack([Turning()], Adapter("a")).explain(Unavailable())
    assert (words(told)["turning"], told.raised) == ("answers in its place", "")
    assert str(told).endswith("the caller sees an answer, after 1 request")


def test_the_text_of_an_error(world: Any, in_order: Any) -> None:
    stack = world.stack([Twice()], in_order(Route("one", Adapter("a")), Route("two", Adapter("b"))))
    assert str(stack.explain(RateLimited(retry_after=60.0, provider="a"))).splitlines() == [
        "one: rate limited, retry in 60 s",
        "  twice     repeats it after up to 3 s; then raises it",
        "  fallback  moves on to two",
        "if every route fails alike: the caller sees RateLimited, after 4 requests and up to 6 s of waiting",
    ]


def test_the_route_is_the_given_one_or_the_error_s_own_or_the_first(world: Any, in_order: Any) -> None:
    stack = world.stack([], in_order(Route("one", Adapter("a")), Route("two", Adapter("b"))))
    assert stack.explain(Unavailable()).route == "one"
    assert stack.explain(Unavailable(route="two")).route == "two"
    assert stack.explain(Unavailable(route="two"), route="one").route == "one"
    assert stack.explain(Unavailable(route="elsewhere")).route == "one"
    assert stack.explain(Unavailable(), route="two").tries == {"two": 1}
    with pytest.raises(LookupError, match="there is no route 'three' here: there is 'one', 'two'"):
        stack.explain(Unavailable(), route="three")


def test_of_all_routes_each_fails_with_what_it_failed_with(world: Any, in_order: Any) -> None:
    stack = world.stack([], in_order(Route("one", Adapter("a")), Route("two", Adapter("b"))))
    told = stack.explain(AllRoutesFailed([Unavailable(route="one"), RateLimited(route="two")]))
    assert (told.route, told.raised) == ("one", "RateLimited")


def test_nothing_else_can_be_explained(world: Any) -> None:
    stack = world.stack([], Adapter("a"))
    for subject in ("a prompt", ValueError("boom"), None):
        with pytest.raises(TypeError, match=r"explain\(\) takes a Request or a ProviderError, not "):
            stack.explain(subject)


def test_what_is_switched_off_is_left_out(world: Any, ask: Any) -> None:
    stack = world.stack([Twice()], Adapter("a"))
    stack.disable("twice")
    told = stack.explain(Unavailable())
    assert (told.steps, told.tries) == ((), {"a": 1})
    assert stack.explain(ask).requests == 1


def test_a_request_is_told_its_routes_and_the_worst_case(world: Any, in_order: Any, ask: Any) -> None:
    router = in_order(Route("one", Adapter("a", "m-1")), Route("two", Adapter("b", "m-two"), models={"gpt-4o": "x"}))
    stack = world.stack([Twice()], router)
    told = stack.explain(ask)
    assert [(route.route, route.model, route.tries, route.state) for route in told.routes] == [
        ("one", "m-1", 2, ""),
        ("two", "x", 2, ""),
    ]
    assert (told.requests, told.seconds) == (4, 4 * 30.0 + 2 * 3.0)
    assert str(told).splitlines() == [
        "1. one  m-1  2 tries; up to 30 s each",
        "2. two  x    2 tries; up to 30 s each",
        "at most 4 requests: the tries of all routes together",
        "at most 126 s: tries of up to 30 s each, and the waits between them",
    ]
    stream = stack.explain(Request("gpt-4o", "hello", stream=True))
    assert stream.seconds == 4 * 10.0 + 2 * 3.0


def test_the_cap_bounds_the_worst_case(world: Any, in_order: Any, ask: Any) -> None:
    router = in_order(Route("one", Adapter("a")), Route("two", Adapter("b")))
    told = world.stack([Twice()], router, cap=3).explain(ask)
    assert (told.requests, told.seconds) == (3, 3 * 30.0 + 2 * 3.0)
    assert told.requests_because == "the cap of the call; without it there would be 4"


def test_problems_are_told(world: Any, ask: Any) -> None:
    from mainstay.pipeline import Problem

    adapter = Adapter("a")
    adapter.check = lambda request: (Problem("top_p", "top_p must be at most 1"),)  # type: ignore[assignment,return-value]
    told = world.stack([], adapter).explain(ask)
    assert [problem.parameter for problem in told.problems] == ["top_p"]
    assert str(told).startswith("problem: top_p must be at most 1\n1. a ")


def test_a_stack_as_a_route_is_explained_with_its_own_layers(world: Any, in_order: Any, ask: Any) -> None:
    inner = world.stack([Twice(name="inner")], in_order(Route("x", Adapter("x")), Route("y", Adapter("y"))))
    single = world.stack([Telling()], Adapter("lonely"))
    router = in_order(Route("team", inner), Route("single", single), Route("leaf", Adapter("leaf")))
    stack = world.stack([Twice()], router, clock=VirtualClock(), cap=20)
    told = stack.explain(ask)
    assert [route.route for route in told.routes] == ["team/x", "team/y", "single/lonely", "leaf"]
    assert told.requests == 2 * (2 + 2) + 2 + 2
    told = stack.explain(Unavailable(), route="team/y")
    assert [step.layer for step in told.steps] == ["inner", "fallback", "twice", "fallback"]
    assert told.tries == {"team/y": 4, "single/lonely": 2, "leaf": 2}
    inner.disable("inner")
    assert stack.explain(ask).requests == 2 * (1 + 1) + 2 + 2
    assert [step.layer for step in stack.explain(Unavailable()).steps] == ["fallback", "twice", "fallback"]


def test_nested_routers_are_one_list_of_routes(world: Any, in_order: Any, ask: Any) -> None:
    nested = in_order(Route("one", Adapter("a")), Route("two", Adapter("b")))
    stack = world.stack([Twice()], in_order(Route("deep", nested), Route("leaf", Adapter("c"))))
    assert [route.route for route in stack.explain(ask).routes] == ["deep/one", "deep/two", "leaf"]
    told = stack.explain(Unavailable(), route="deep/two")
    assert [step.to for step in told.steps] == ["", "", "leaf"]
    assert told.tries == {"deep/two": 2, "leaf": 2}


def test_a_request_that_is_under_way_is_not_touched(world: Any, ask: Any) -> None:
    from mainstay.pipeline import Call

    call = Call()
    world.stack([Twice()], Adapter("a")).explain(ask.under(call))
    assert (call.attempts, call.slots) == ([], {})


def test_the_error_and_what_its_traceback_holds_are_let_go(world: Any) -> None:
    stack = world.stack([Twice(), Telling()], Adapter("a"))
    error = Unavailable("boom")
    gone = weakref.ref(error)
    gc.disable()  # not even in a cycle that would have to be found
    try:
        told = stack.explain(error)
        del error
        assert gone() is None
    finally:
        gc.enable()
    assert told.raised == "Unavailable"


# -- the worst case --------------------------------------------------------------------------------------------


def longest(*requests: float, cap: int = 10, refuses: bool = False) -> Longest:
    return Longest(requests, cap, len(requests), refuses)


def test_the_worst_case_is_added_repeated_and_bounded() -> None:
    both = longest(1.0).then(longest(5.0))
    assert (both.requests, both.tries, both.seconds) == ((5.0, 1.0), 2, 6.0)
    assert longest(1.0).repeated(3, 2.0).requests == (3.0, 3.0, 1.0)
    assert longest(1.0, refuses=True).repeated(3, 2.0).seconds == 3 * 1.0 + 3 * 2.0
    assert longest(5.0, 3.0).either(longest(4.0, 4.0, 1.0)).requests == (5.0, 4.0, 1.0)
    bounded = longest(5.0, 4.0, 3.0).within(7.0)
    assert (bounded.requests, bounded.because) == ((5.0, 2.0, 0.0), "the deadline of 7 s")
    assert longest(5.0).within(7.0).because == ""


def test_beyond_the_cap_only_the_longest_count() -> None:
    most = longest(1.0, 9.0, 5.0, cap=2)
    assert (most.requests, most.tries) == ((9.0, 5.0), 3)
    assert most.repeated(10**12, 1.0).tries == 3 * 10**12
    assert len(most.repeated(10**12, 1.0).requests) == 2

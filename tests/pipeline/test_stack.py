"""How layers are folded over a handler, and looking inside."""

from __future__ import annotations

from typing import Any

import pytest

from mainstay.pipeline import (
    Call,
    Clock,
    Layer,
    Problem,
    ProviderError,
    Reply,
    Request,
    Route,
    Timeouts,
    Unavailable,
    VirtualClock,
    middleware,
)


@middleware
def guard(request: Request) -> Any:
    reply = yield request
    reply.id += "guarded "
    return reply


def tracks(name: str, seen: list[str]) -> Any:
    """Plain middleware of both worlds: notes the request, hands it on."""

    def outer(handler: Any) -> Any:
        def inner(request: Request) -> Any:
            seen.append(f"{name} {request.model}")
            return handler(request)

        return inner

    outer.__name__ = name
    return outer


def marks(calls: list[Call]) -> list[Any]:
    return calls[-1].slots["marks"]


@pytest.fixture
def calls() -> list[Call]:
    return []


@pytest.fixture
def spy(calls: list[Call]) -> Layer:
    """The outermost layer of a test: keeps the Call."""

    @middleware(name="spy")
    def spy(request: Request) -> Any:
        calls.append(request.call)
        return (yield request)

    return spy  # type: ignore[no-any-return]


# -- the fold --------------------------------------------------------------------------------------------------


def test_layers_stand_outside_in_as_they_are_written(
    world: Any, mark: Any, script: Any, spy: Any, calls: Any, ask: Request
) -> None:
    stack = world.stack([spy, mark("a"), mark("b"), mark("c")], world.handler(script()))
    assert world.run(stack, ask).text == "answer"
    assert [name for name, _, _ in marks(calls)] == ["a", "b", "c"]


def test_a_stack_without_layers_is_its_handler(world: Any, script: Any, ask: Request) -> None:
    assert world.run(world.stack([], world.handler(script())), ask).text == "answer"


def test_layers_distribute_over_a_router_down_to_the_leaves_of_nested_ones(
    world: Any, mark: Any, script: Any, in_order: Any, spy: Any, calls: Any, ask: Request
) -> None:
    leaves = [world.handler(script(Unavailable())) for _ in range(3)] + [world.handler(script())]
    nested = in_order(Route("b", leaves[1], model="m-b"), Route("deep", in_order(Route("c", leaves[2]))))
    router = in_order(Route("a", leaves[0], model="m-a"), Route("nested", nested), Route("d", leaves[3]))
    stack = world.stack([spy, mark("call"), mark("outer", "route"), mark("inner", "route")], router)
    world.run(stack, ask)
    assert marks(calls) == [
        ("call", "", "gpt-4o"),
        ("outer", "a", "m-a"),
        ("inner", "a", "m-a"),
        ("outer", "nested/b", "m-b"),
        ("inner", "nested/b", "m-b"),
        ("outer", "nested/deep/c", "gpt-4o"),
        ("inner", "nested/deep/c", "gpt-4o"),
        ("outer", "d", "gpt-4o"),
        ("inner", "d", "gpt-4o"),
    ]
    paths = ("a", "nested/b", "nested/deep/c", "d")
    assert stack.routes() == paths
    parts = [stack.part("inner", route=path) for path in paths]
    assert len({id(part) for part in parts}) == 4
    assert [part.calls for part in parts] == [1, 1, 1, 1]
    assert [one.route for one in calls[-1].attempts] == list(paths)


def test_each_stack_has_running_halves_of_its_own_and_leaves_the_router_as_it_was(
    world: Any, mark: Any, script: Any, in_order: Any, ask: Request
) -> None:
    leaf = world.handler(script())
    layer, router = mark("m", "route"), in_order(Route("a", leaf))
    one, other = world.stack([layer], router), world.stack([layer], router)
    world.run(one, ask)
    assert (one.part("m").calls, other.part("m").calls) == (1, 0)
    assert router.routes[0].handler is leaf


def test_one_route_in_two_routers_has_two_paths(
    world: Any, mark: Any, script: Any, in_order: Any, ask: Request
) -> None:
    shared = Route("a", world.handler(script(Unavailable())))
    router = in_order(Route("x", in_order(shared)), Route("y", in_order(shared)))
    stack = world.stack([mark("m", "route")], router)
    with pytest.raises(Unavailable) as caught:
        world.run(stack, ask)
    assert [attempt.route for attempt in caught.value.attempts] == ["x/a", "y/a"]
    assert [stack.part("m", route=path).calls for path in ("x/a", "y/a")] == [1, 1]


def test_a_retry_stays_with_its_route(world: Any, again: Any, script: Any, in_order: Any, ask: Request) -> None:
    first, second = script(Unavailable()), script()
    router = in_order(Route("a", world.handler(first)), Route("b", world.handler(second)))
    world.run(world.stack([again(times=3)], router), ask)
    assert (len(first.seen), len(second.seen)) == (3, 1)
    first.seen.clear()
    with pytest.raises(ProviderError):
        world.run(world.stack([again(times=2, scope="call")], in_order(Route("a", world.handler(first)))), ask)
    assert len(first.seen) == 2


def test_over_a_single_handler_the_scope_makes_no_difference(
    world: Any, mark: Any, script: Any, spy: Any, calls: Any, ask: Request
) -> None:
    world.run(world.stack([spy, mark("r", "route"), mark("c")], world.handler(script())), ask)
    assert [name for name, _, _ in marks(calls)] == ["r", "c"]


# -- plain middleware ------------------------------------------------------------------------------------------


def test_a_plain_function_guards_the_call_once_whatever_the_routes(
    world: Any, script: Any, in_order: Any, ask: Request
) -> None:
    seen: list[str] = []
    router = in_order(Route("a", world.handler(script(Unavailable()))), Route("b", world.handler(script())))
    assert world.run(world.stack([tracks("plain", seen)], router), ask).text == "answer"
    assert seen == ["plain gpt-4o"]


def test_a_stack_sees_through_a_plain_function(world: Any, mark: Any, in_order: Any, script: Any, ask: Request) -> None:
    class Adapter:
        provider, timeouts, closed = "p", Timeouts(connect=1), 0

        def __call__(self, request: Request) -> Reply:
            return Reply("t")

        def check(self, request: Request) -> tuple[Problem, ...]:
            return (Problem("seed", "no seed"),)

        def close(self) -> None:
            self.closed += 1

    adapter = Adapter()
    inner = world.stack([mark("deep")], world.handler(script()))
    stack = world.stack(
        [guard, tracks("plain", []), mark("m", "route")], in_order(Route("a", adapter), Route("b", inner))
    )
    assert stack.routes() == ("a", "b")
    assert stack.names == {"guard", "m", "deep"}
    assert stack.part("m", route="a").calls == 0
    assert stack.check(ask) == (Problem("seed", "no seed", "a"),)
    assert stack.describe()["routes"][0]["leaf"] == "Adapter"
    world.close(stack)
    assert adapter.closed == 1
    single: Any = world.stack([guard, tracks("plain", [])], adapter)
    assert single.routes() == ("p",)
    assert single.check(ask) == (Problem("seed", "no seed"),)
    bound = single._entry
    assert (bound.route, bound.provider, bound.timeouts) == ("p", "p", Timeouts(connect=1))


def test_middleware_that_returns_no_handler_is_refused_at_build(world: Any, script: Any) -> None:
    def forgot(handler: Any) -> None:
        return None

    with pytest.raises(TypeError, match=r"forgot\(handler\) must return a handler, not NoneType"):
        world.stack([forgot], script())


def test_a_plain_function_shows_what_it_made_when_printed(script: Any) -> None:
    from mainstay.pipeline.plain import Plain

    assert repr(Plain(len, script(), "outer")) == "<built-in function len>"
    assert Plain(len, script(), "outer").check(Request("m", "p")) == ()


@pytest.mark.parametrize("wrong", [None, "retry", 3, Layer])
def test_what_is_no_middleware_is_refused(world: Any, script: Any, wrong: Any) -> None:
    with pytest.raises(TypeError, match="is no middleware"):
        world.stack([wrong], script())


def test_a_handler_that_cannot_be_called_is_refused(world: Any) -> None:
    with pytest.raises(TypeError, match="the handler must be callable, not str"):
        world.stack([], "openai")


# -- one call --------------------------------------------------------------------------------------------------


def test_each_call_has_a_ledger_of_its_own_with_the_stack_s_clock_cap_and_observers(
    world: Any, script: Any, spy: Any, calls: Any, ask: Request
) -> None:
    clock, told = VirtualClock(), []
    stack = world.stack([spy], world.handler(script()), clock=clock, cap=3, observers=[told.append])
    world.run(stack, ask)
    world.run(stack, ask)
    one, other = calls
    assert one is not other
    assert (one.clock, one.cap, len(one.attempts), len(told)) == (clock, 3, 1, 4)
    assert isinstance(world.stack([], script()).clock, Clock)


def test_an_error_passes_a_whole_stack_as_the_same_object(world: Any, script: Any, mark: Any, ask: Request) -> None:
    cause = OSError()
    error = Unavailable("down")
    error.__cause__ = cause
    with pytest.raises(Unavailable) as caught:
        world.run(world.stack([mark("a"), guard, mark("b")], world.handler(script(error))), ask)
    assert caught.value is error
    assert error.__cause__ is cause


def test_check_asks_every_route_and_sends_nothing(world: Any, script: Any, in_order: Any, mark: Any) -> None:
    class Picky:
        def __call__(self, request: Request) -> Reply:
            raise AssertionError

        def check(self, request: Request) -> list[Problem]:
            return [Problem(name, f"no {name} for {request.model}") for name in request.params]

    router = in_order(Route("a", Picky(), model="m-a"), Route("n", in_order(Route("b", Picky()), Route("c", script()))))
    stack = world.stack([mark("m"), mark("r", "route")], router)
    assert [str(problem) for problem in stack.check(Request("m", "p", {"seed": 1}))] == [
        "a: no seed for m-a",
        "n/b: no seed for m",
    ]
    assert world.stack([], script()).check(Request("m", "p", {"seed": 1})) == ()


# -- parts -----------------------------------------------------------------------------------------------------


def test_part_gives_the_running_half_of_the_named_route(world: Any, mark: Any, script: Any, in_order: Any) -> None:
    stack = world.stack(
        [mark("call"), mark("both"), mark("both", "route"), mark("m", "route")],
        in_order(Route("a", script()), Route("b", script())),
    )
    assert stack.part("m", route="b").route == "b"
    assert stack.part("both", route="a").layer.scope == "route"
    assert stack.part("both").layer.scope == "call"
    assert stack.part("call") is stack.part("call", route="a")
    with pytest.raises(LookupError, match="layer 'm' guards several routes: name one of a, b"):
        stack.part("m")
    with pytest.raises(LookupError, match="there is no route 'c' here: there is 'a', 'b'"):
        stack.part("m", route="c")
    for route in (None, "a"):
        with pytest.raises(LookupError, match="there is no layer 'x' here: there is both, both, call, m"):
            stack.part("x", route=route)


def test_part_needs_no_route_where_there_is_only_one(world: Any, mark: Any, script: Any, in_order: Any) -> None:
    assert world.stack([mark("m", "route")], in_order(Route("a", script()))).part("m").route == "a"
    single = world.stack([mark("m", "route")], script())
    assert single.part("m").route == "script"
    assert single.part("m", route="script") is single.part("m")


# -- closing ---------------------------------------------------------------------------------------------------


class Closable:
    """An adapter that holds something open."""

    def __init__(self, error: Exception | None = None) -> None:
        self.closed = 0
        self.error = error

    def __call__(self, request: Request) -> Reply:
        return Reply()

    def close(self) -> None:
        self.closed += 1
        if self.error is not None:
            raise self.error


def test_closing_a_stack_closes_each_adapter_once(world: Any, in_order: Any, mark: Any, script: Any) -> None:
    one, other, deep = Closable(), Closable(), Closable()
    inner = world.stack([mark("x")], in_order(Route("a", one), Route("b", deep)))
    router = in_order(Route("a", one), Route("b", one), Route("n", in_order(Route("c", other))), Route("s", inner))
    world.close(world.stack([mark("m"), mark("r", "route")], in_order(Route("top", router), Route("f", script()))))
    assert (one.closed, other.closed, deep.closed) == (1, 1, 1)


def test_an_adapter_that_cannot_be_closed_does_not_keep_the_others_open(world: Any, in_order: Any) -> None:
    bad, good = Closable(OSError("stuck")), Closable()
    for router in (in_order(Route("a", bad), Route("b", good)), in_order(Route("b", good), Route("a", bad))):
        with pytest.raises(OSError, match="stuck"):
            world.close(world.stack([], router))
    assert good.closed == 2


def test_leaving_a_with_block_closes_the_stack(ask: Request) -> None:
    from mainstay.pipeline import Stack

    adapter = Closable()
    with Stack([], adapter) as stack:
        assert stack(ask)
    assert adapter.closed == 1


def test_the_class_of_a_handler_may_be_changed_later(world: Any, ask: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    class Handler:
        def __call__(self, request: Request) -> Reply:
            return Reply("before")

    stack = world.stack([], Handler())
    monkeypatch.setattr(Handler, "__call__", lambda self, request: Reply("after"))
    assert world.run(stack, ask).text == "after"

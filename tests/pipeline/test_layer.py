"""Layers: driven by hand, and by both drivers with the same results."""

from __future__ import annotations

import pickle
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import pytest

from mainstay.pipeline import (
    Call,
    DeadlineExceeded,
    Layer,
    Problem,
    ProviderError,
    Reply,
    Request,
    Route,
    Run,
    Sleep,
    Timeouts,
    Unavailable,
    Via,
    VirtualClock,
    Within,
    middleware,
    send,
)
from mainstay.pipeline.layer import Bound
from mainstay.pipeline.through import inward


@dataclass(frozen=True)
class Once(Layer):
    """Tries once more, after a wait; notes how it was left."""

    wait: float = 1.0
    name: str = "once"

    def handle(self, request: Request) -> Any:
        left = request.call.slots.setdefault("left", [])
        try:
            try:
                reply = yield from send(request)
            except ProviderError:
                yield Sleep(self.wait)
                reply = yield request.replace(model="second")
            left.append("reply")
            return reply
        except BaseException as error:
            left.append(type(error).__name__)
            raise


@middleware
def stamp(request: Request) -> Any:
    reply = yield request
    reply.id = "stamped"
    return reply


@pytest.fixture
def request_(ask: Request) -> Request:
    return ask.under(Call(VirtualClock(start=0)))


# -- by hand ---------------------------------------------------------------------------------------------------


def test_a_layer_is_driven_by_hand_without_clock_socket_or_thread(request_: Request) -> None:
    steps = Once().handle(request_)
    assert next(steps) is request_
    assert steps.throw(Unavailable()) == Sleep(1.0)
    again = steps.send(None)
    assert (again.model, again.call) == ("second", request_.call)
    reply = Reply("text")
    with pytest.raises(StopIteration) as stop:
        steps.send(reply)
    assert stop.value.value is reply


def test_a_layer_by_hand_raises_what_it_does_not_catch(request_: Request) -> None:
    steps = Once().handle(request_)
    next(steps)
    with pytest.raises(KeyboardInterrupt):
        steps.throw(KeyboardInterrupt())
    assert request_.call.slots["left"] == ["KeyboardInterrupt"]


# -- both drivers ----------------------------------------------------------------------------------------------


def test_a_request_goes_inward_and_the_reply_comes_back(world: Any, script: Any, request_: Request) -> None:
    leaf = script()
    assert world.run(world.bound(Once(), world.handler(leaf)), request_).text == "answer"
    assert leaf.seen == [request_]
    assert request_.call.slots["left"] == ["reply"]


def test_an_error_is_raised_where_the_layer_waits_and_time_passes_as_asked(
    world: Any, script: Any, request_: Request
) -> None:
    leaf = script(Unavailable(), Reply("second try"))
    assert world.run(world.bound(Once(wait=2.5), world.handler(leaf)), request_).text == "second try"
    assert [request.model for request in leaf.seen] == ["gpt-4o", "second"]
    assert request_.call.clock.slept == [2.5]  # type: ignore[attr-defined]


def test_an_error_passes_as_the_same_object_with_its_cause(world: Any, script: Any, request_: Request) -> None:
    cause = OSError("socket")
    error = Unavailable("down")
    error.__cause__ = cause
    handler = world.handler(script(error))
    for _ in range(3):
        handler = world.bound(stamp, handler)
    with pytest.raises(Unavailable) as caught:
        world.run(handler, request_)
    assert caught.value is error
    assert error.__cause__ is cause


def test_an_error_of_the_layer_s_own_keeps_the_original_as_its_cause(
    world: Any, script: Any, request_: Request
) -> None:
    @middleware
    def translate(request: Request) -> Any:
        try:
            return (yield request)
        except OSError as error:
            raise Unavailable("translated") from error

    original = OSError("socket")
    with pytest.raises(Unavailable, match="translated") as caught:
        world.run(world.bound(translate, world.handler(script(original))), request_)
    assert caught.value.__cause__ is original


@pytest.mark.parametrize("late", [5.0, 6.0])
def test_a_sleep_that_does_not_fit_the_deadline_becomes_an_error_in_the_layer(
    world: Any, script: Any, request_: Request, late: float
) -> None:
    request_.call.deadline = 5.0
    leaf = script(Unavailable())
    with pytest.raises(DeadlineExceeded) as caught:
        world.run(world.bound(Once(wait=late), world.handler(leaf)), request_)
    assert caught.value.deadline == 5.0
    assert request_.call.slots["left"] == ["DeadlineExceeded"]
    assert (len(leaf.seen), request_.call.clock.slept) == (1, [])  # type: ignore[attr-defined]


def test_a_sleep_that_fits_the_deadline_passes(world: Any, script: Any, request_: Request) -> None:
    request_.call.deadline = 5.0
    leaf = script(Unavailable(), Reply("text"))
    assert world.run(world.bound(Once(wait=4.9), world.handler(leaf)), request_).text == "text"


def test_via_sends_a_request_along_a_route(world: Any, script: Any, request_: Request) -> None:
    leaf = script()
    route = Route("first", world.handler(leaf), model="mapped")

    @middleware
    def choose(request: Request) -> Any:
        return (yield Via(route, request))

    assert world.run(world.bound(choose, None), request_).text == "answer"
    assert leaf.seen[0].model == "mapped"


@pytest.mark.parametrize("entry", [Reply("answer"), Unavailable(), KeyboardInterrupt()], ids=["reply", "error", "stop"])
def test_within_enters_a_block_around_the_handler_alone_and_leaves_it_however_that_ends(
    world: Any, script: Any, request_: Request, entry: Any
) -> None:
    seen: list[str] = []
    leaf = script(entry)

    @contextmanager
    def block() -> Any:
        seen.append(f"in, {len(leaf.seen)} sent")
        try:
            yield
        finally:
            seen.append(f"out, {len(leaf.seen)} sent")

    @middleware
    def around(request: Request) -> Any:
        try:
            return (yield Within(block(), request))
        finally:
            seen.append("back")

    with suppress(Unavailable, KeyboardInterrupt):
        world.run(world.bound(around, world.handler(leaf)), request_)
    assert seen == ["in, 0 sent", "out, 1 sent", "back"]


@pytest.mark.parametrize("moment", ["__enter__", "__exit__"])
def test_what_a_block_raises_reaches_the_layer(world: Any, script: Any, request_: Request, moment: str) -> None:
    class Broken:
        def __enter__(self) -> None:
            if moment == "__enter__":
                raise ZeroDivisionError

        def __exit__(self, *args: object) -> None:
            if moment == "__exit__":
                raise ZeroDivisionError

    @middleware
    def around(request: Request) -> Any:
        try:
            return (yield Within(Broken(), request))
        except ZeroDivisionError:
            return Reply("seen")

    assert world.run(world.bound(around, world.handler(script())), request_).text == "seen"


def test_run_gives_the_function_s_result_or_its_error(world: Any, script: Any, request_: Request) -> None:
    got: list[Any] = []

    @middleware
    def store(request: Request) -> Any:
        got.append((yield Run(lambda: 42)))
        try:
            yield Run(lambda: 1 // 0)
        except ZeroDivisionError as error:
            got.append(type(error))
        return (yield request)

    world.run(world.bound(store, world.handler(script())), request_)
    assert got == [42, ZeroDivisionError]


@pytest.mark.parametrize("effect", [None, 1.5, "request", Sleep, Reply("text")])
def test_what_is_no_effect_is_a_clear_error_inside_the_layer(world: Any, request_: Request, effect: Any) -> None:
    seen: list[str] = []

    @middleware
    def wrong(request: Request) -> Any:
        try:
            yield effect
        except TypeError as error:
            seen.append(str(error))
            raise
        return None

    with pytest.raises(TypeError, match=r"may yield a Request, Within\(manager, request\), Sleep"):
        world.run(world.bound(wrong, None), request_)
    assert seen[0].startswith(f"a layer yielded {type(effect).__name__}: ")


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_even_an_interrupt_reaches_the_layer_so_that_it_can_release_what_it_holds(
    world: Any, script: Any, request_: Request, kind: type[BaseException]
) -> None:
    with pytest.raises(kind):
        world.run(world.bound(Once(), world.handler(script(kind()))), request_)
    assert request_.call.slots["left"] == [kind.__name__]


def test_the_end_of_a_generator_reaches_the_layer(script: Any, request_: Request) -> None:
    with pytest.raises(GeneratorExit):
        Once()(script(GeneratorExit()))(request_)
    assert request_.call.slots["left"] == ["GeneratorExit"]


def test_a_layer_that_is_switched_off_for_the_call_is_skipped(world: Any, script: Any, ask: Request) -> None:
    call = Call()
    handler = world.bound(stamp, world.bound(Once(), world.handler(script())))
    reply = world.run(handler, ask.under(call, frozenset({"once"})))
    assert (reply.id, call.slots) == ("stamped", {})


def test_a_bound_layer_works_without_a_stack(world: Any, script: Any, ask: Request) -> None:
    leaf = script()
    assert world.run(world.bound(stamp, world.handler(leaf)), ask).id == "stamped"
    assert leaf.seen[0].under_way
    assert not ask.under_way


def test_a_layer_wraps_a_handler_by_being_called(script: Any, ask: Request) -> None:
    handler = stamp(Once()(script()))
    assert isinstance(handler, Bound)
    assert handler(ask).id == "stamped"


def test_a_route_layer_called_on_a_router_wraps_each_leaf(in_order: Any, mark: Any, script: Any, ask: Request) -> None:
    router = in_order(Route("a", script(Unavailable())), Route("inner", in_order(Route("b", script()))))
    spread = mark(scope="route")(router)
    assert spread(ask).text == "answer"
    running = [route.handler.running for _, route in spread.leaves()]
    assert [part.calls for part in running] == [1, 1]
    assert isinstance(mark(scope="call")(router), Bound)
    assert mark(scope="route")(script())(ask).text == "answer"


# -- binding ---------------------------------------------------------------------------------------------------


def test_each_handler_gets_a_running_half_of_its_own(mark: Any, script: Any, ask: Request) -> None:
    layer = mark()
    one, other = layer(script()), layer(script())
    one(ask)
    assert (one.running.calls, other.running.calls) == (1, 0)


def test_a_layer_without_state_is_its_own_running_half(script: Any) -> None:
    layer = Once()
    assert layer.bind(script()) is layer
    assert layer.companion() is None


def test_a_layer_needs_a_handle_or_a_bind(script: Any, ask: Request) -> None:
    class Empty(Layer):
        name = "empty"

    with pytest.raises(TypeError, match=r"Empty needs a handle\(\) or a bind\(\)"):
        Empty()(script())(ask)


def test_what_is_further_in_shows_through(script: Any, ask: Request) -> None:
    class Leaf:
        route, provider, timeouts, leaf_count = "r", "p", Timeouts(connect=1), 3

        def __call__(self, request: Request) -> Reply:
            return Reply()

        def check(self, request: Request) -> list[Problem]:
            return [Problem("seed", "no")]

    leaf = Leaf()
    bound: Any = stamp(Once()(leaf))
    assert (bound.route, bound.provider, bound.timeouts, bound.leaf_count) == ("r", "p", Timeouts(connect=1), 3)
    assert bound.check(ask) == (Problem("seed", "no"),)
    assert [type(item).__name__ for item in inward(bound)] == ["Bound", "Bound", "Leaf"]
    plain: Any = Once()(script())
    assert (plain.route, plain.provider, plain.timeouts, plain.leaf_count) == ("", "", None, 1)
    assert plain.check(ask) == ()
    assert repr(stamp(len)) == "<layer stamp>(<built-in function len>)"  # type: ignore[arg-type]


def test_a_layer_is_picklable_by_value() -> None:
    assert pickle.loads(pickle.dumps(Once(wait=3))) == Once(wait=3)


# -- @middleware -----------------------------------------------------------------------------------------------


def test_middleware_takes_the_function_s_name_and_guards_the_call() -> None:
    assert isinstance(stamp, Layer)
    assert (stamp.name, stamp.scope, stamp.kind) == ("stamp", "call", "")


def test_middleware_takes_options(world: Any, script: Any, ask: Request) -> None:
    @middleware(name="seal", scope="route")
    def stamp(request: Request) -> Any:
        reply = yield request
        reply.id = "sealed"
        return reply

    assert (stamp.name, stamp.scope) == ("seal", "route")
    assert world.run(world.bound(stamp, world.handler(script())), ask).id == "sealed"


@pytest.mark.parametrize("function", [lambda request: Reply(), len, stamp])
def test_middleware_refuses_what_is_no_generator_function_and_says_what_is_welcome(function: Any) -> None:
    with pytest.raises(TypeError, match=r"needs a generator function.*plain `def outer\(handler\)`"):
        middleware(function)


def test_middleware_refuses_an_unknown_scope() -> None:
    with pytest.raises(ValueError, match="must be 'call' or 'route', not 'all'"):
        middleware(stamp.handle, scope="all")  # type: ignore[arg-type]


def named(request: Request) -> Any:
    return (yield request)


def test_a_function_layer_is_picklable_both_as_a_decorator_and_as_a_call() -> None:
    assert pickle.loads(pickle.dumps(stamp)) is stamp
    back = pickle.loads(pickle.dumps(middleware(named, name="other", scope="route")))
    assert (back.name, back.scope, back.handle) == ("other", "route", named)

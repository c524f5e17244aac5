"""Layers in pieces: whoever drives them, by the pieces or by `handle`, they see and do the same."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from mainstay.pipeline import Call, Layer, Reply, Request, Sleep, Unavailable, VirtualClock
from mainstay.pipeline.around import Around
from mainstay.pipeline.layer import Bound, drive


@dataclass(frozen=True)
class Pieces(Around, Layer):
    """Does in each piece what it is told, and notes what it hears."""

    first: Callable[[Request], Any] = lambda request: "kept"
    then: Callable[[Reply], None] = lambda reply: None
    else_: Callable[[Request], Any] = lambda request: None
    heard: list[Any] = field(default_factory=list)
    name: str = "pieces"

    def before(self, request: Request) -> Any:
        self.heard.append("before")
        return self.first(request)

    def after(self, kept: Any, reply: Reply) -> None:
        self.heard.append((kept, reply.text))
        self.then(reply)

    def failed(self, kept: Any, error: BaseException) -> Any:
        self.heard.append((kept, type(error).__name__))
        return self.else_(error)  # type: ignore[arg-type]


def by_hand(layer: Layer, handler: Any, request: Request) -> Any:
    return drive(layer.handle(request), handler, request)


@pytest.fixture(params=["pieces", "handle", "asyncio"])
def drive_it(request: pytest.FixtureRequest, world: Any) -> Any:
    """Runs a layer over what a handler does: by its pieces, by its `handle`, or on the event loop."""
    if request.param == "handle":
        return lambda layer, does, asked: by_hand(layer, does, asked)
    return lambda layer, does, asked: world.run(world.bound(layer, world.handler(does)), asked)


@pytest.fixture
def request_(ask: Request) -> Request:
    return ask.under(Call(VirtualClock()))


def answers(request: Request) -> Reply:
    return Reply("answer")


def breaks(request: Request) -> Reply:
    raise Unavailable("down")


def test_a_reply_goes_through_before_and_after(drive_it: Any, request_: Request) -> None:
    layer = Pieces()
    assert drive_it(layer, answers, request_).text == "answer"
    assert layer.heard == ["before", ("kept", "answer")]


def test_an_error_goes_through_before_and_failed(drive_it: Any, request_: Request) -> None:
    layer = Pieces()
    with pytest.raises(Unavailable, match="down"):
        drive_it(layer, breaks, request_)
    assert layer.heard == ["before", ("kept", "Unavailable")]


def test_who_steps_aside_hears_no_more(drive_it: Any, request_: Request) -> None:
    layer = Pieces(first=lambda request: None)
    assert drive_it(layer, answers, request_).text == "answer"
    with pytest.raises(Unavailable):
        drive_it(layer, breaks, request_)
    assert layer.heard == ["before", "before"]


def test_what_before_raises_goes_outward_and_nothing_is_sent(drive_it: Any, request_: Request) -> None:
    sent: list[Request] = []

    def refuse(request: Request) -> Any:
        raise ValueError("no")

    layer = Pieces(first=refuse)
    with pytest.raises(ValueError, match="no"):
        drive_it(layer, sent.append, request_)
    assert (layer.heard, sent) == (["before"], [])


def test_a_generator_from_before_takes_over(drive_it: Any, request_: Request) -> None:
    def other(request: Request) -> Any:
        yield Sleep(1.0)
        reply = yield request.replace(model="other")
        return Reply(reply.text + "!")

    layer = Pieces(first=other)
    assert drive_it(layer, lambda request: Reply(request.model), request_).text == "other!"
    assert layer.heard == ["before"]
    assert request_.call.clock.slept == [1.0]  # type: ignore[attr-defined]


def test_a_generator_from_failed_answers_in_its_place(drive_it: Any, request_: Request) -> None:
    tries = iter([breaks, answers])

    def again(error: Any) -> Any:
        yield Sleep(2.0)
        return (yield request_)

    layer = Pieces(else_=again)
    assert drive_it(layer, lambda request: next(tries)(request), request_).text == "answer"
    assert layer.heard == ["before", ("kept", "Unavailable")]  # `after` is not for a reply that it made itself
    assert request_.call.clock.slept == [2.0]  # type: ignore[attr-defined]


def test_what_comes_of_a_further_try_does_not_have_the_first_error_as_its_context(
    drive_it: Any, request_: Request
) -> None:
    def again(error: Any) -> Any:
        return (yield request_)

    with pytest.raises(Unavailable) as raised:
        drive_it(Pieces(else_=again), breaks, request_)
    assert raised.value.__context__ is None


def test_what_after_raises_is_heard_by_failed(drive_it: Any, request_: Request) -> None:
    def stumble(reply: Reply) -> None:
        raise KeyError("bug")

    layer = Pieces(then=stumble)
    with pytest.raises(KeyError):
        drive_it(layer, answers, request_)
    assert layer.heard == ["before", ("kept", "answer"), ("kept", "KeyError")]


def test_pieces_may_be_left_out(drive_it: Any, request_: Request) -> None:
    @dataclass(frozen=True)
    class Bare(Around, Layer):
        name: str = "bare"

    assert drive_it(Bare(), answers, request_).text == "answer"
    with pytest.raises(Unavailable):
        drive_it(Bare(), breaks, request_)


def test_a_handle_of_its_own_goes_before_the_pieces(drive_it: Any, request_: Request) -> None:
    class Own(Pieces):
        def handle(self, request: Request) -> Any:
            self.heard.append("handle")
            return (yield from super().handle(request))

    layer = Own()
    assert drive_it(layer, answers, request_).text == "answer"
    assert layer.heard == ["handle", "before", ("kept", "answer")]


def test_a_layer_that_is_switched_off_does_nothing(world: Any, ask: Request) -> None:
    layer = Pieces()
    request = ask.under(Call(), frozenset({"pieces"}))
    assert world.run(world.bound(layer, world.handler(answers)), request).text == "answer"
    assert layer.heard == []


def test_an_interrupt_releases_what_is_held(drive_it: Any, request_: Request) -> None:
    def stop(request: Request) -> Reply:
        raise KeyboardInterrupt

    layer = Pieces()
    with pytest.raises(KeyboardInterrupt):
        drive_it(layer, stop, request_)
    assert layer.heard == ["before", ("kept", "KeyboardInterrupt")]


def test_a_generator_that_is_dropped_releases_what_is_held(request_: Request) -> None:
    layer = Pieces()
    steps = layer.handle(request_)
    assert next(steps) is request_
    steps.close()
    assert layer.heard == ["before", ("kept", "GeneratorExit")]


def test_a_failed_call_is_freed_without_a_collection(request_: Request) -> None:
    class Marked(Unavailable):
        pass

    def fail(request: Request) -> Reply:
        raise Marked("down")

    def again(error: Any) -> Any:
        return (yield request_)

    handler = Bound(Pieces(), Bound(Pieces(else_=again), fail))
    gc.disable()
    try:
        try:
            handler(request_)
        except Marked as error:
            seen = weakref.ref(error)
        assert seen() is None
    finally:
        gc.enable()

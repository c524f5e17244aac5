"""A layer may send a Request that it made anew: it is part of the same call all the same."""

from __future__ import annotations

from typing import Any

import pytest

from mainstay.pipeline import Call, Request, Route, Router, Steps, Via, VirtualClock, middleware


@middleware
def rewrite(request: Request) -> Steps:
    reply = yield Request(request.model, "something else")
    return reply


@middleware
def inner(request: Request) -> Steps:
    request.call.slots["inner"] = True
    reply = yield request
    return reply


class Anew(Router):
    def handle(self, request: Request) -> Steps:
        reply = yield Via(self.routes[0], Request("other", "something else"))
        return reply


@pytest.mark.parametrize("through", [lambda leaf: leaf, lambda leaf: Anew(Route("r", leaf))], ids=["plain", "router"])
def test_it_keeps_the_call_its_clock_its_observers_and_its_switches(world: Any, script: Any, through: Any) -> None:
    leaf, clock, heard = script(), VirtualClock(), list[Any]()
    stack = world.stack([rewrite, inner], through(world.handler(leaf)), clock=clock, observers=[heard.append], cap=2)
    stack.disable("inner")
    reply = world.run(stack, Request("m", "hello"))
    (seen,) = leaf.seen
    assert seen.messages[0]["content"] == "something else"
    assert isinstance(seen.call, Call)
    assert (seen.call.clock, seen.call.cap, seen.call.slots) == (clock, 2, {})
    assert [type(event).__name__ for event in heard] == ["AttemptStarted", "AttemptEnded"]
    assert len(reply.attempts) == 1

"""What a layer owes to calls: to let them run side by side, to hold nothing when they are over, to be counted."""

from __future__ import annotations

import gc
import sys
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from ..clock import VirtualClock
from ..errors import (
    ErrorClass,
    ModelNotFound,
    ProviderError,
    RateLimited,
    Unavailable,
)
from ..events import AttemptEnded, AttemptStarted
from ..reply import Reply
from ..request import Request
from .bench import LONG, MANY, Bench, Watched, claim, complaints
from .leaves import Flow
from .scripts import attempts, ledger, outcome, scripts
from .worlds import Script

__all__ = ["CLAUSES"]


def many_calls_are_under_way_together(bench: Bench) -> None:
    """A lock that is held across a call makes a queue of what should be a crowd: calls to LLMs take seconds."""
    count = bench.limit or MANY
    together, results = bench.world.crowd(bench.stack, [bench.ask() for _ in range(count)])
    claim(together == count, f"of {count} calls that were made at once, only {together} were in the handler together")
    failed = [result for result in results if not isinstance(result, Reply)]
    claim(not failed, f"{len(failed)} of {count} calls that were made at once were not answered: {failed[:1]}")


def calls_do_not_mix(bench: Bench) -> None:
    """State of one call belongs into local variables of `handle`: anything else belongs to all calls at once."""
    asks = [bench.ask(text=f"question {number}") for number in range(bench.limit or MANY)]
    _, results = bench.world.crowd(bench.stack, asks)
    for number, result in enumerate(results):
        got = getattr(result, "id", "")
        claim(got in ("", f"question {number}"), f"the caller of 'question {number}' was given the answer to {got!r}")
    if bench.limit == 1:
        return
    outer, inner = bench.ask(text="outer"), bench.ask(text="inner")
    told = bench.world.nested(bench.stack, outer, inner)
    claim(told, "a call in the middle of another one never came back: it waits for something that the outer one holds")
    got = [getattr(result, "id", result) for result in told or ()]
    claim(got in (["inner", "outer"], ["", ""]), f"of two calls, one in the middle of the other, they came to {got}")


def no_more_calls_than_its_limit(bench: Bench) -> Script:
    """A place that is given back twice is there twice, and the limit is none; one taken without asking is, too."""
    limit = bench.limit or MANY
    for way, (make, end) in bench.ways_out().items():
        leaf = _Lent(bench.world.leaf(make))
        stack = bench.stack(leaf)
        for _ in range(bench.often):
            yield from bench.settled(stack, end)
        stack.clock.advance(LONG)
        together, _ = bench.world.crowd(partial(leaf.lend, stack), [bench.ask() for _ in range(limit + MANY)])
        claim(
            together <= limit,
            f"after {bench.often} calls that ended with {way}, {together} were let in at once, not {limit}",
        )


def every_way_out_leaves_it_usable(bench: Bench) -> Script:
    """What is taken for a call is given back however the call ends; a leak shows after days, on the worst of them."""
    for way, (make, end) in bench.ways_out().items():
        leaf = bench.world.leaf(make)
        stack = bench.stack(leaf)
        with complaints() as told:
            for _ in range(bench.often):
                yield from bench.settled(stack, end)
        claim(not told, f"when a call ended with {way}: {''.join(told[:1])}")
        leaf.entries[:] = ["fine"]
        stack.clock.advance(LONG)  # whatever rests or is open is due again
        for _ in range(3):
            after = yield from bench.result(stack)
            claim(isinstance(after, Reply), f"after {bench.often} calls that ended with {way}, the next got {after!r}")


def nothing_is_kept_alive(bench: Bench) -> Script:
    """A prompt that outlives its call is a leak of memory, and of what somebody has said in confidence."""
    for way, (make, end) in bench.ways_out().items():
        stack = bench.stack(bench.world.leaf(make))
        request = bench.ask(stream=end != "keep")
        prompt: Any = weakref.ref(request.messages[0])
        yield from bench.settled(stack, end, request)
        del request
        yield bench.world.pause()
        if prompt() is not None:
            gc.collect()
        claim(prompt() is None, f"after a call that ended with {way}, its messages are still alive")


def late_results_change_nothing(bench: Bench) -> Script:
    """A stream may end minutes after it began: what it tells is old news, of a state that is no more."""
    world = bench.world
    for well in (True, False):
        leaf = world.leaf(Flow() if well else Flow(error=Unavailable()), Unavailable)
        stack = bench.stack(leaf)
        reply = yield world.call(stack, bench.ask(stream=True))
        for _ in range(bench.often):
            yield from bench.settled(stack, "keep")
        if not well:
            stack.clock.advance(LONG)  # whatever is open is due again
        leaf.entries[:] = ["fine"]
        calls = leaf.calls
        refused = False
        if well:
            yield from bench.settled(stack, "keep")
            refused = leaf.calls == calls
        with suppress(ProviderError):
            yield world.read(reply)
        after = yield from bench.result(stack)
        if refused:
            claim(not isinstance(after, Reply), "it refused, for good reasons, and an old stream's good end undid that")
        else:
            claim(isinstance(after, Reply), f"an old stream broke when all was well again; the next call got {after!r}")


def bindings_share_no_state(bench: Bench) -> Script:
    """State has one owner: what goes wrong on one route must not be held against another one."""
    one, two = bench.stack(bench.world.leaf(Unavailable)), bench.stack(bench.world.leaf())
    for _ in range(bench.often):
        yield from bench.settled(one, "keep")
    other = yield from bench.result(two)
    claim(isinstance(other, Reply), f"after another stack had failed {bench.often} times, this one gave {other!r}")


def a_router_is_passed_through(bench: Bench) -> Script:
    """A layer stands over one handler today and over three routes tomorrow; who wrote it cannot know."""
    watched = Watched(bench.layer)
    leaves = [bench.world.leaf(ModelNotFound), bench.world.leaf(ModelNotFound), bench.world.leaf()]
    stack = bench.stack(*leaves, layers=[watched])
    bindings = 3 if watched.scope == "route" else 1
    claim(watched.bound == bindings, f"over three routes it was bound {watched.bound} times, not {bindings}")
    for _ in range(3):
        reply = yield from bench.result(stack)
        claim(isinstance(reply, Reply), f"the third route would have answered, and the call came to {reply!r}")
        tried = sorted(attempt.route for attempt in reply.attempts)
        claim(tried[-1:] == ["c"], f"route c was to answer, and the ledger has {tried}")
        claim(bench.router or tried == ["a", "b", "c"], f"each route was to be tried once, and the ledger has {tried}")


def every_attempt_is_one_call_of_the_handler(bench: Bench) -> Script:
    """The ledger is what caps, spans, costs and log lines go by: an attempt beside it is one that nobody pays for."""
    for name, (entries, end) in scripts().items():
        heard: list[Any] = []
        leaves = [bench.world.leaf(*script) for script in entries]
        stack = bench.stack(*leaves, observers=[heard.append])
        result = yield from bench.result(stack, end)
        calls = sum(leaf.calls for leaf in leaves)
        told = {
            "attempts in the ledger": len(attempts(result, heard)),
            "attempts that began": sum(isinstance(event, AttemptStarted) for event in heard),
            "attempts that ended": sum(isinstance(event, AttemptEnded) for event in heard),
        }
        for what, count in told.items():
            claim(count == calls, f"handlers were called {calls} times and there are {count} {what} ({name})")


def no_sleep_but_on_the_clock(bench: Bench) -> Script:
    """A real sleep holds the event loop, knows no deadline, and makes every test slow: yield Sleep(seconds)."""
    every = [partial(ProviderError.of, kind) for kind in ErrorClass]
    for make in ("answer", partial(RateLimited, retry_after=1.0), *every):
        clock = VirtualClock()
        blocked: list[float] = []
        if bench.world.name == "asyncio":
            clock.sleep = blocked.append
        stack = bench.stack(bench.world.leaf(make), clock=clock)
        with watching_for_sleep() as slept:
            yield from bench.settled(stack, "keep")
        claim(not slept, f"it calls time.sleep, in {''.join(slept[:1])}()")
        claim(not blocked, "it calls the clock's sleep itself, which holds the event loop")


def switched_off_it_does_nothing(bench: Bench) -> Script:
    """Whoever is called at night to switch a layer off must be able to name it, and be sure that it is off."""
    name = bench.layer.name
    word = isinstance(name, str) and name and name.isprintable() and not set(name) & set(", ")
    claim(word, f"its name must be a word without blanks and commas, to be named in MAINSTAY_DISABLE; it is {name!r}")
    for script, (entries, end) in scripts().items():
        told = []
        for layers in ([Watched(bench.layer)], []):
            leaves = [bench.world.leaf(*of_one) for of_one in entries]
            stack = bench.stack(*leaves, layers=layers)
            if layers:
                stack.disable(name)
            result = yield from bench.result(stack, end)
            claim(not any(layer.asked for layer in layers), f"it was switched off, and yet it was asked ({script})")
            seen = [(leaf.calls, leaf.models) for leaf in leaves]
            told.append((outcome(result), ledger(attempts(result, [])), stack.clock.slept, seen))
        claim(told[0] == told[1], f"switched off, a call came to {told[0]}; without it, to {told[1]} ({script})")
    watched = Watched(bench.layer)
    stack = bench.stack(bench.world.leaf(), layers=[watched])
    stack.disable(name)
    stack.enable(name)
    yield from bench.settled(stack, "keep")
    claim(watched.asked, "it was switched off and on again, and yet it was not asked")


class _Lent:
    """A handler whose place another one can take, under a stack that has seen much."""

    def __init__(self, handler: Any) -> None:
        self.handler = handler

    def __call__(self, request: Request) -> Any:
        return self.handler(request)

    def lend(self, stack: Any, handler: Any) -> Any:
        self.handler = handler
        return stack


@contextmanager
def watching_for_sleep() -> Iterator[list[str]]:
    """Has every `time.sleep` of this thread fail, however it was imported, and notes where it was called."""
    slept: list[str] = []

    def watch(frame: Any, event: str, called: Any) -> None:
        if event == "c_call" and called is time.sleep:
            slept.append(frame.f_code.co_name)
            raise AssertionError("a layer must not sleep: yield Sleep(seconds)")

    before: Any = sys.getprofile()
    sys.setprofile(watch)
    try:
        yield slept
    finally:
        sys.setprofile(before)


CLAUSES = (
    many_calls_are_under_way_together,
    calls_do_not_mix,
    no_more_calls_than_its_limit,
    every_way_out_leaves_it_usable,
    nothing_is_kept_alive,
    late_results_change_nothing,
    bindings_share_no_state,
    a_router_is_passed_through,
    every_attempt_is_one_call_of_the_handler,
    no_sleep_but_on_the_clock,
    switched_off_it_does_nothing,
)

"""A stream of several answers keeps the prompt as long as it needs it, and no longer."""

from __future__ import annotations

import asyncio
import gc
import weakref
from contextlib import suppress
from typing import Any

import pytest

from mainstay.middleware import CircuitBreaker
from mainstay.pipeline import (
    Chunk,
    ProviderError,
    Request,
    Unavailable,
    VirtualClock,
)
from support.resuming import broken, give_up, routes

MODES = ["restart", "continue"]


class Prompt(dict[str, str]):
    """A message that can be watched."""

    __slots__ = ("__weakref__",)


def exhaust(world: Any, stack: Any, request: Request) -> None:
    """Reads to the end. No frame has a name for the reply: it has the error, whose traceback has the frame."""

    async def on_the_loop() -> None:
        with suppress(ProviderError):
            async for _ in await stack(request):
                pass

    if world.name == "asyncio":
        asyncio.run(on_the_loop())
        return
    with suppress(ProviderError):
        for _ in stack(request):
            pass


@pytest.mark.parametrize("mode", ["raise", *MODES])
@pytest.mark.parametrize("ends", ["whole", "lost", "refused", "alone", "again", "shut", "close", "drop"])
def test_nothing_keeps_the_prompt_alive(either_world: Any, kit: Any, mode: str, ends: str) -> None:
    second = {"lost": ["two", Unavailable()], "refused": [Unavailable()]}.get(ends, ["two", "three", None])

    def chunks(request: Request, *steps: Any) -> Any:  # a frame that holds the request, as adapters have them
        for step in steps:
            if isinstance(step, str):
                yield Chunk(step)
            elif step is None:
                yield Chunk(finish_reason="stop")
            else:
                raise type(step)

    def script(*steps: Any) -> Any:
        def answer(request: Request) -> Any:
            flow = kit.Flow()
            flow.chunks = lambda: chunks(request, *steps)
            return flow

        return answer

    first: Any = script("one", Unavailable())
    if ends == "again":
        first = first, first, script("two", None)
    scripts = {"a": first} | ({} if ends in ("alone", "again", "shut") else {"b": script(*second)})
    fallback, leaves = routes(either_world, mid_stream=mode, **scripts)
    stack = either_world.stack([CircuitBreaker(failures=2)] if ends == "shut" else [], fallback, clock=VirtualClock())

    def call() -> weakref.ref[Any]:
        prompt = Prompt(role="user", content="Why?")
        request = Request("m", [prompt], stream=True)
        if ends in ("close", "drop"):
            give_up(either_world, stack, request, 1 if mode == "raise" else 2, ends)
        else:
            exhaust(either_world, stack, request)
        for leaf in leaves.values():
            leaf.seen.clear()
        return weakref.ref(prompt)

    gc.collect()
    gc.disable()
    try:
        assert call()() is None
    finally:
        gc.enable()


def test_a_reply_that_is_over_does_not_keep_the_prompt(either_world: Any, kit: Any) -> None:
    fallback, leaves = routes(either_world, a=broken(kit, "one"), b=kit.Flow(("two",)))
    stack = either_world.stack([], fallback)
    prompt = Prompt(role="user", content="Why?")
    reply = either_world.run(stack, Request("m", [prompt], stream=True), "read")
    for leaf in leaves.values():
        leaf.seen.clear()
    watched = weakref.ref(prompt)
    del prompt
    gc.collect()
    assert (reply.text, watched()) == ("two", None)

"""Streams that break off over real sockets, in both worlds; across providers, and continued by one that checks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import Any

import pytest

from mainstay.adapters import Claude, OpenAI
from mainstay.adapters.sandbox import Answer, Sandbox, faults
from mainstay.middleware import Fallback, standard
from mainstay.pipeline import AsyncReply, Chunk, Outcome, Reply, Request, Route, TruncatedStream
from support.resuming import give_up, watch

ASK = Request("gpt-4o", "Why?", stream=True)


class OnTheLoop:
    """A synchronous adapter behind the loop's own threads."""

    def __init__(self, adapter: Any) -> None:
        self.adapter = adapter
        self.provider = adapter.provider

    async def __call__(self, request: Request) -> Reply:
        reply = await asyncio.to_thread(self.adapter, request)

        async def chunks() -> AsyncIterator[Chunk]:
            try:
                while (chunk := await asyncio.to_thread(next, reply, None)) is not None:
                    yield chunk
            finally:
                reply.close()

        return await AsyncReply.stream(chunks())


@pytest.fixture
def two(either_world: Any) -> Any:
    """Two servers, and a stack over both in a mode; OpenAI first, then Claude. Nothing may be left open at the end."""
    with ExitStack() as closing:
        servers = [closing.enter_context(Sandbox(dialect)) for dialect in ("openai", "claude")]
        adapters = [
            closing.enter_context(kind(base_url=server.url, api_key="sk-test"))  # type: ignore[attr-defined]
            for kind, server in zip((OpenAI, Claude), servers, strict=True)
        ]
        leaves = [OnTheLoop(adapter) for adapter in adapters] if either_world.name == "asyncio" else adapters

        def stack(mode: Any) -> Any:
            made = [
                Route(name, leaf, model=name, continues=True)
                for name, leaf in zip(("gpt", "claude"), leaves, strict=True)
            ]
            return either_world.stack(standard(), Fallback(*made, mid_stream=mode))

        yield *servers, stack
        for server in servers:
            assert server.wait_until(lambda server: server.in_flight == 0)


@pytest.mark.parametrize("how", ["close", "reset", "clean"])
def test_raise(either_world: Any, two: Any, how: Any) -> None:
    first, second, stack = two
    first.always(faults.cut(2, how, answer=Answer("one two three")))
    seen = watch(either_world, stack("raise"), ASK)
    assert isinstance(seen.error, TruncatedStream)
    assert (seen.partial.text, first.count, second.count) == ("one two", 1, 0)


@pytest.mark.parametrize("how", ["close", "reset", "clean"])
def test_restart(either_world: Any, two: Any, how: Any) -> None:
    first, second, stack = two
    first.always(faults.cut(2, how, answer=Answer("one two three")))
    second.always(Answer("uno due tre"))
    seen = watch(either_world, stack("restart"), ASK)
    assert (seen.text, seen.reply.text) == ("uno due tre", "uno due tre")
    assert (seen.reply.provider, seen.reply.finish_reason) == ("claude", "stop")
    assert seen.marks == ["begun anew on route 'claude' after route 'gpt' broke off"]
    assert (first.count, second.count) == (1, 1)
    assert [attempt.outcome for attempt in seen.reply.attempts] == ["error", "ok"]
    assert seen.reply.usage.completion_tokens is not None


def test_continue(either_world: Any, two: Any) -> None:
    first, second, stack = two
    first.always(faults.cut(2, answer=Answer("one two three")))
    second.always(Answer(" three four"))
    seen = watch(either_world, stack("continue"), ASK)
    assert (seen.text, seen.reply.text) == ("one two three four", "one two three four")
    assert seen.marks == ["continued on route 'claude' after route 'gpt' broke off"]
    (asked,) = second.seen
    assert asked.fields["messages"][-1]["role"] == "assistant"
    assert "one two" in str(asked.fields["messages"][-1]["content"])
    assert (first.count, second.count) == (1, 1)


def test_whoever_gives_up_half_way_leaves_no_connection_at_work(either_world: Any, two: Any) -> None:
    first, second, stack = two
    first.always(faults.cut(1, answer=Answer("one two three")))
    second.always(faults.stall(1, answer=Answer("uno due tre")))
    reply = give_up(either_world, stack("restart"), ASK, 2, "close")
    assert (reply.outcome, reply.provider, second.count) == (Outcome.CLOSED, "claude", 1)

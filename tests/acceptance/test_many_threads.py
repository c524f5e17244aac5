"""Many threads through one stack: no lock is held across a call, nothing is mixed up, nothing is left behind."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from mainstay.adapters.sandbox import Answer, Seen
from mainstay.middleware import Fallback, standard
from mainstay.pipeline import AttemptEnded, Event, Request, Route, Stack

DIALECTS = ("openai", "claude", "openrouter", "ollama", "llama_cpp")


def _echo(seen: Seen) -> Answer:
    return Answer(f"You said: {seen.prompt}")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_64_threads_are_all_in_flight_at_once(dialect: str, stream: bool, bench: Any) -> None:
    server, adapter = bench(dialect)
    server.default = _echo
    server.hold(64)
    ended: list[Event] = []
    stack = Stack(
        standard(),
        Fallback(Route("only", adapter)),
        observers=[lambda event: ended.append(event) if isinstance(event, AttemptEnded) else None],
    )

    def ask(number: int) -> tuple[str, int]:
        with stack(Request("m", f"number {number}", stream=stream)) as reply:
            return reply.read().text, len(reply.attempts)

    with ThreadPoolExecutor(64) as pool:
        answers = list(pool.map(ask, range(64)))

    assert answers == [(f"You said: number {n}", 1) for n in range(64)]
    assert server.count == server.peak_in_flight == len(ended) == 64


def test_a_dead_first_provider_costs_a_handful_of_connections_in_1000_calls(bench: Any, clock: Any) -> None:
    dead, first = bench("openai", refusing=True)
    well, second = bench("claude")
    well.always(Answer("well"))
    stack = Stack(standard(), Fallback(Route("openai", first), Route("claude", second)), clock=clock)

    tried = 0
    for _ in range(1000):
        reply = stack(Request("gpt-4o", "hello"))
        assert reply.text == "well"
        tried += sum(attempt.route == "openai" for attempt in reply.attempts)

    assert well.count == 1000
    assert dead.connections == 0
    assert 5 <= tried <= 8  # five failures open it; the clock hardly moves, so it stays open


def test_no_thread_and_no_connection_is_left_after_close(bench: Any) -> None:
    server, adapter = bench("openai")
    before = set(threading.enumerate())
    with Stack(standard(), adapter) as stack:
        stack(Request("m", "one"))
        stack(Request("m", "two", stream=True)).read()
    assert server.wait_until(lambda s: s.open_connections == 0)
    assert {thread for thread in threading.enumerate() if thread not in before and not _is_servers(thread)} == set()


def _is_servers(thread: threading.Thread) -> bool:
    return "sandbox" in thread.name.lower()

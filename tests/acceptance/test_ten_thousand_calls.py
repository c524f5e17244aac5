"""Ten thousand calls on 64 threads, a third of them failing, cut or closed early: all who count come to one number."""

from __future__ import annotations

import gc
import os
import random
import threading
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

import pytest

from mainstay.adapters.sandbox import Answer, Fault, Seen, faults
from mainstay.middleware import Backoff, CircuitBreaker, Deadline, Fallback, Retry, Trace, Validate
from mainstay.pipeline import (
    Attempt,
    AttemptEnded,
    AttemptStarted,
    BreakerChanged,
    Clock,
    ErrorClass,
    FellBack,
    ProviderError,
    Reply,
    Request,
    RetryScheduled,
    RouteSkipped,
    Stack,
    Trip,
)
from mainstay.pipeline import Route as To
from mainstay.pipeline.errors import GUIDANCE

THREADS, CALLS = 64, 10_000
ANSWER = Answer("All is well here.")
# Of 18 calls: two fail before the first token, two are cut after it, two are closed early by the caller.
FAILS, CUT, CLOSED = (3, 9), (5, 14), (7, 16)
NEVER = 10**9


def play(seen: Seen) -> Answer | Fault:
    kind = int(seen.prompt) % 18
    if kind == FAILS[0]:
        return faults.overloaded()
    if kind == FAILS[1]:
        return faults.disconnect()
    return faults.cut(after=2, answer=ANSWER) if kind in CUT else ANSWER


class Told:
    """What observers heard. Appending to a SimpleQueue waits for no lock, so it may happen in a garbage collection."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[Any] = SimpleQueue()

    def __call__(self, event: Any) -> None:
        self._queue.put(event)

    def all(self) -> list[Any]:
        return [self._queue.get() for _ in range(self._queue.qsize())]


def ask(stack: Stack, number: int) -> list[Attempt]:
    """One call, ended as its number says; gives the attempts of its ledger."""
    kind = number % 18
    stream = kind in CUT or kind in CLOSED or number % 2 == 0
    try:
        reply = stack(Request("m", str(number), stream=stream))
        if kind not in CLOSED:
            assert reply.read().text == ANSWER.text
            return list(reply.attempts)
        _give_up(reply, number)
    except ProviderError as error:
        return list(error.attempts)
    return list(reply.attempts)


def _give_up(reply: Reply, number: int) -> None:
    assert next(reply).text
    if number % 4 < 2:
        reply.close()
    else:
        with reply:
            pass


def totals(attempts: list[Attempt]) -> Counter[tuple[str, str, str]]:
    return Counter((one.route, one.outcome, str(one.error_class or "")) for one in attempts)


def open_files() -> int:
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


CALM = CircuitBreaker(failures=NEVER, ratio=1.0, minimum=NEVER, window=3600.0)
BUSY = CircuitBreaker(failures=3, break_min=0.01, break_max=0.05, long_break=0.05)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("breaker", [CALM, BUSY], ids=["that stays closed", "that opens and closes"])
def test_ledger_sandbox_events_and_breaker_agree_and_nothing_is_left(breaker: CircuitBreaker, bench: Any) -> None:
    threads, files = set(threading.enumerate()), open_files()
    (first, openai), (second, claude) = bench("openai"), bench("claude")
    first.default = play
    second.default = lambda seen: play(seen) if int(seen.prompt) % 36 >= 18 else ANSWER  # half of the failures again
    told = Told()
    clock = Clock(sleep=lambda seconds: None)
    layers = [Deadline(), Validate(), Retry(backoff=Backoff.constant(0.001)), breaker, Trace()]
    stack = Stack(layers, Fallback(To("openai", openai), To("claude", claude)), clock=clock, observers=[told])

    numbers = list(range(CALLS))
    random.Random(7).shuffle(numbers)  # so that no thread meets the failures in step
    with ThreadPoolExecutor(THREADS) as pool:
        ledgers = list(pool.map(lambda number: ask(stack, number), numbers))
    gc.collect()

    written = [attempt for ledger in ledgers for attempt in ledger]
    heard = told.all()
    of = defaultdict(list)
    for event in heard:
        of[type(event)].append(event)

    # The ledger of each call is in order, and everything in it is over.
    assert all([one.number for one in ledger] == list(range(1, len(ledger) + 1)) for ledger in ledgers)
    assert {one.outcome for one in written} == {"ok", "error", "closed"}
    # Events tell of every attempt once when it begins, and once when it ends.
    started = [id(event.attempt) for event in of[AttemptStarted]]
    ended = [id(event.attempt) for event in of[AttemptEnded]]
    assert len(set(started)) == len(started)
    assert sorted(started) == sorted(ended) == sorted(map(id, written))
    # Each attempt reached its sandbox, and nothing else did.
    by_route = Counter(one.route for one in written)
    assert (first.count, second.count) == (by_route["openai"], by_route["claude"])
    # A repetition, or another route, is why a call has more than one attempt; a refusal has none.
    more = sum(len(ledger) - 1 for ledger in ledgers if ledger)
    moved = [event for event in of[FellBack] if event.origin == "openai"]
    skipped = Counter(event.route for event in of[RouteSkipped])
    assert len(moved) == len(of[FellBack])

    for route in ("openai", "claude"):
        running: Any = stack.part("breaker", route=route)
        outcomes = totals([one for one in written if one.route == route])
        bad = sum(n for (_, outcome, kind), n in outcomes.items() if outcome == "error" and _trips(kind))
        good = sum(n for (_, outcome, _), n in outcomes.items() if outcome == "ok")
        changes = [event for event in of[BreakerChanged] if event.route == route]
        state = running.snapshot(clock.now())["state"]
        _whole(changes, state)
        assert running._circuit._probes == []  # no permit is lost
        if breaker is CALM:
            assert running._circuit._window.counts(clock.now()) == (good, bad)
            assert not changes
            assert not skipped

    if breaker is CALM:
        # A third of the calls, to the last one.
        kinds = Counter(number % 18 for number in numbers)
        assert sum(kinds[kind] for kind in (*FAILS, *CUT, *CLOSED)) == pytest.approx(CALLS / 3, abs=3)
        failing = sum(kinds[kind] for kind in FAILS)
        assert len(moved) == failing
        assert more == len(of[RetryScheduled]) + failing
        closed = totals(written)
        assert closed["openai", "closed", ""] == sum(kinds[kind] for kind in CLOSED)
    else:
        assert skipped["openai"] > 0  # it did open

    stack.close()
    for server in (first, second):
        assert server.wait_until(lambda s: s.in_flight == 0)
        assert server.wait_until(lambda s: s.open_connections == 0)
        server.close()
    assert set(threading.enumerate()) == threads
    assert open_files() <= files


def _trips(kind: str) -> bool:
    return GUIDANCE[ErrorClass(kind)].trip is Trip.FAILURE


def _whole(changes: list[BreakerChanged], state: str) -> None:
    """Every state but the present one was left as often as it was entered; the first one was there to begin with."""
    balance = Counter(change.after for change in changes)
    balance.subtract(change.before for change in changes)
    balance["closed"] += 1
    assert {name: count for name, count in balance.items() if count} == {state: 1}

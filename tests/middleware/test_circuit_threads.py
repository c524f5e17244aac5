"""Circuit: many threads, and verdicts that come while the lock is held."""

from __future__ import annotations

import gc
import threading
from typing import Any

import pybreaker
import pytest

from mainstay.middleware.permit import Change, Permit, Refusal
from mainstay.pipeline import Chunk, ProviderError, RateLimited, Reply
from support.circuits import BAD, GAP, GOOD, NONE, REST, ProbeBench


def test_half_open_admits_exactly_one_of_many_threads_in_every_round() -> None:
    bench, threads, rounds = ProbeBench(), 8, 300
    barrier = threading.Barrier(threads)
    answers: list[list[Permit | Refusal]] = [[] for _ in range(rounds)]

    def turn() -> None:
        answered = answers[turn_number[0]]
        if turn_number[0]:
            (probe,) = [answer for answer in answers[turn_number[0] - 1] if isinstance(answer, Permit)]
            bench.settle(probe, BAD)
        else:
            bench.settle(bench.permit(), BAD)
        bench.now += 300
        assert not answered

    turn_number = [0]

    def work() -> None:
        for number in range(rounds):
            if barrier.wait() == 0:
                turn_number[0] = number
                turn()
            barrier.wait()
            answers[number].append(bench.admit())

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [sum(isinstance(answer, Permit) for answer in answered) for answered in answers] == [1] * rounds
    assert {answer.state for answered in answers for answer in answered if isinstance(answer, Refusal)} == {"half-open"}


def test_failures_of_many_threads_at_once_are_counted_each_and_tell_one_opening() -> None:
    bench, barrier = ProbeBench(failures=64), threading.Barrier(64)

    def work() -> None:
        permit = bench.permit()
        barrier.wait()
        bench.settle(permit, BAD)

    workers = [threading.Thread(target=work) for _ in range(64)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert bench.state == "open"
    assert [change.after for change in bench.told] == ["open"]
    assert bench.circuit.snapshot(bench.now)["failures"] == 64


class _Reentrant(RateLimited):
    """An error whose detaching, which happens under the lock, runs something in the same thread."""

    run: Any = None

    def detached(self) -> ProviderError:
        type(self).run()
        return RateLimited(retry_after=self.retry_after)


def test_a_verdict_of_the_thread_that_holds_the_lock_neither_blocks_nor_is_lost(monkeypatch) -> None:
    bench = ProbeBench()
    resting, failing = bench.permit(), bench.permit()
    monkeypatch.setattr(_Reentrant, "run", lambda: bench.settle(failing, BAD))
    bench.settle(resting, REST, _Reentrant(retry_after=1.0))
    assert [change.after for change in bench.told] == ["resting", "open"]


def test_a_reply_that_is_collected_under_the_lock_is_taken_in_as_well(monkeypatch) -> None:
    bench = ProbeBench()
    resting, failing = bench.permit(), bench.permit()

    def strand() -> None:
        reply = Reply.stream(iter([Chunk("a")]))
        reply.on_end(lambda _: bench.settle(failing, BAD))
        cycle: list[Any] = [reply]
        cycle.append(cycle)

    strand()
    monkeypatch.setattr(_Reentrant, "run", gc.collect)
    bench.settle(resting, REST, _Reentrant(retry_after=1.0))
    assert [change.after for change in bench.told] == ["resting", "open"]


@pytest.mark.parametrize("drainer", ["admit", "snapshot", "isolate", "close", "arriving"])
def test_whoever_lets_go_of_the_lock_leaves_no_verdict_behind(drainer) -> None:
    bench = ProbeBench(failures=9)
    first, second = bench.permit(), bench.permit()
    reply = Reply.stream(iter([Chunk("a")]))
    with bench.circuit._lock:
        bench.settle(first, BAD)
        assert not bench.circuit._results.empty()
    steps = {
        "admit": bench.admit,
        "snapshot": lambda: bench.circuit.snapshot(bench.now),
        "isolate": bench.circuit.isolate,
        "close": bench.circuit.close,
        "arriving": lambda: bench.circuit.arriving(second, reply, bench.now, GAP),
    }
    steps[drainer]()
    assert bench.circuit._results.empty()


def test_a_verdict_that_waited_for_the_lock_is_heard_before_the_next_admission() -> None:
    bench = ProbeBench()
    permit = bench.permit()
    with bench.circuit._lock:
        bench.settle(permit, BAD)
    assert bench.refusal().state == "open"


def test_a_verdict_that_comes_in_the_middle_of_an_admission_is_taken_in_behind_it() -> None:
    bench = ProbeBench()
    resting, failing = bench.permit(), bench.permit()
    bench.settle(resting, REST, RateLimited(retry_after=1.0))

    class Moment(float):
        """A moment that, when it is compared under the lock, lets a garbage collection settle a reply."""

        def __lt__(self, other: float) -> bool:
            bench.settle(failing, BAD)
            return float(self) < other

    bench.now = Moment(1002.0)
    assert isinstance(bench.admit(), Permit)
    assert [change.after for change in bench.told] == ["resting", "open"]


def test_a_change_is_told_outside_the_lock_so_a_listener_may_call_back() -> None:
    bench = ProbeBench()
    seen: list[str] = []

    def listen(change: Change) -> None:
        seen.append(bench.circuit.snapshot(bench.now)["state"])
        bench.circuit.close()

    bench.circuit.settle(bench.permit(), BAD, None, bench.now, lambda: 0.5, listen)
    assert seen == ["open"]
    assert bench.state == "closed"


def test_pybreaker_never_runs_anything_of_a_user_s_and_is_idle_between_the_steps(monkeypatch) -> None:
    called: list[Any] = []
    original = pybreaker.CircuitBreaker.call

    def watched(self: Any, function: Any, *args: Any) -> Any:
        called.append(function.__module__)
        return original(self, function, *args)

    monkeypatch.setattr(pybreaker.CircuitBreaker, "call", watched)
    bench = ProbeBench(failures=2)
    for verdict in (GOOD, BAD, GOOD, GOOD, NONE, BAD, BAD):
        bench.settle(bench.permit(), verdict)
    bench.now += 300
    bench.settle(bench.permit(), GOOD)
    assert called == ["mainstay.middleware.circuit"] * 5  # a good one only where there is something to reset
    assert bench.circuit._machine._lock.acquire(blocking=False)
    bench.circuit._machine._lock.release()

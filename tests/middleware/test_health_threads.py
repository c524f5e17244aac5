from __future__ import annotations

import threading
from typing import Any

from mainstay.middleware import CircuitBreaker
from mainstay.pipeline import (
    Attempt,
    AttemptEnded,
    BreakerChanged,
    ErrorClass,
    Unavailable,
)
from support.wards import Ward

# -- many at once ----------------------------------------------------------------------------------------------


def ended(route: str = "a", outcome: str = "ok") -> AttemptEnded:
    kind = ErrorClass.UNAVAILABLE if outcome == "error" else None
    return AttemptEnded(Attempt(1, route, route, "m", 0, 0.0, ended=1.0, outcome=outcome, error_class=kind))


def test_nothing_is_lost_while_others_look(kit: Any) -> None:
    ward = Ward(kit.Threads, [], a=kit.Leaf())
    together = threading.Barrier(9)
    seen: list[int] = []

    def feed() -> None:
        together.wait()
        for number in range(500):
            ward.health(ended(outcome="ok" if number % 2 else "error"))

    def look() -> None:
        together.wait()
        for _ in range(300):
            seen.append(ward.of("a")["attempts"])

    threads = [threading.Thread(target=feed) for _ in range(8)] + [threading.Thread(target=look)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (ward.of("a")["attempts"], ward.of("a")["errors"]) == (4000, 2000)
    assert seen == sorted(seen)


def test_what_arrives_while_its_own_thread_has_the_lock_is_neither_lost_nor_blocks(kit: Any) -> None:
    ward = Ward(kit.Threads, [], a=kit.Leaf())

    class Collecting(Attempt):
        """As a garbage collection in the middle of taking one in would."""

        @property
        def duration(self) -> float:
            assert ward.health._lock.locked()
            ward.health(ended())
            return 1.0

    ward.health(AttemptEnded(Collecting(1, "a", "a", "m", 0, 0.0, ended=1.0, outcome="ok")))
    assert ward.of("a")["attempts"] == 2


def test_an_observer_that_looks_while_a_look_brings_news_is_not_blocked(kit: Any) -> None:
    ward = Ward(kit.Threads, [CircuitBreaker(failures=1)], a=kit.Leaf(Unavailable(), Unavailable()))
    told: list[Any] = []

    def look(event: Any) -> None:
        if isinstance(event, BreakerChanged):
            told.append(ward.of("a")["state"])

    ward.stack.observers = (*ward.stack.observers, look)
    circuit = ward.stack.part("breaker")._circuit
    with circuit._lock:  # the verdict has to wait, as when a garbage collection brings it
        thread = threading.Thread(target=_admitted, args=(ward, circuit))
        thread.start()
        thread.join()
    looking = threading.Thread(target=lambda: ward.of("a"), daemon=True)
    looking.start()
    looking.join(timeout=20)
    assert not looking.is_alive()
    assert told == ["open"]


def _admitted(ward: Ward, circuit: Any) -> None:
    """A failed try whose verdict is brought while somebody holds the breaker's lock."""
    from functools import partial

    from mainstay.middleware.breaker import _emit
    from mainstay.middleware.permit import Permit, Verdict
    from mainstay.pipeline import Call

    call = Call(ward.clock, observers=ward.stack.observers)
    tell = partial(_emit, call, "a")
    circuit.settle(Permit(circuit._generation, 1000.0), Verdict.BAD, Unavailable(), 1000.0, ward.clock.random, tell)

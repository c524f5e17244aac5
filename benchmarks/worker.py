"""The process in which one stack is measured: it reads jobs as lines of JSON, and answers each with one.

Whatever else a stack imports and keeps, it is alone with it. A job names a function below; times are in seconds.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import resource
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from .peers import peer_named
from .peers.peer import Peer

__all__ = ["main"]

_stacks: dict[Any, Peer] = {}


def _stack(peer: str, primary: str, backup: str = "", timeout: float = 60.0) -> Peer:
    """The stack for these providers, made on first use and kept, as an application would."""
    key = peer, primary, backup, timeout
    if key not in _stacks:
        _stacks[key] = peer_named(peer)(primary, backup, timeout)
    return _stacks[key]


def calls(n: int, **stack: Any) -> dict[str, Any]:
    """So many complete calls, one after the other: seconds for each, and of CPU for all."""
    ask = _stack(**stack).ask
    ask()
    now, walls = time.perf_counter, []
    cpu = time.process_time()
    for _ in range(n):
        start = now()
        ask()
        walls.append(now() - start)
    return {"walls": walls, "cpu": (time.process_time() - cpu) / n, "rss": _rss()}


def drain(n: int = 1, warm: bool = False, **stack: Any) -> dict[str, Any]:
    """Streams read to their end, as fast as they come: seconds and CPU for each event."""
    stream = _stack(**stack).stream
    events = 0
    if warm:
        events = sum(1 for _ in stream())
    cpu, start = time.process_time(), time.perf_counter()
    events = 0
    for _ in range(n):
        for text in stream():
            events += bool(text)
    return {"wall": (time.perf_counter() - start) / events, "cpu": (time.process_time() - cpu) / events}


def delivery(**stack: Any) -> dict[str, Any]:
    """One paced stream whose words say when they were written: seconds until they are here."""
    stream = _stack(**stack).stream
    delays: list[float] = []
    start = time.perf_counter()
    first = 0.0
    for text in stream():
        if text.strip():
            first = first or time.perf_counter() - start
            delays.append((time.monotonic_ns() - int(text.split()[-1])) / 1e9)
    return {"first": first, "delays": delays}


def together(threads: int, n: int, **stack: Any) -> dict[str, Any]:
    """So many calls on so many threads: calls for each second, CPU of each, and the most that were under way."""
    ask = _stack(**stack).ask
    barrier = threading.Barrier(threads + 1)
    lock = threading.Lock()
    left, under_way, most, failed = n, 0, 0, 0

    def work() -> None:
        nonlocal left, under_way, most, failed
        barrier.wait()
        while True:
            with lock:
                if left <= 0:
                    return
                left -= 1
                under_way += 1
                most = max(most, under_way)
            try:
                ask()
            except Exception:  # noqa: BLE001 - whatever a stack raises is counted
                with lock:
                    failed += 1
            with lock:
                under_way -= 1

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    barrier.wait()
    cpu, start = time.process_time(), time.perf_counter()
    for worker in workers:
        worker.join()
    seconds = time.perf_counter() - start
    spent = (time.process_time() - cpu) / n
    return {"rate": n / seconds, "cpu": spent, "most": most, "failed": failed, "rss": _rss()}


def faults(
    n: int, threads: int, stream: bool, limit: float, whole: str, pause: float = 0.0, **stack: Any
) -> dict[str, Any]:
    """So many calls to a provider that fails: how each ended, and after how many seconds; and on how many threads.

    Args:
        n: calls.
        threads: that make them.
        stream: whether streams are asked for.
        limit: seconds after which no further call is begun.
        whole: the right answer.
        pause: seconds between the beginnings of two calls, of all threads together; 0 for none.
    """
    one = _stack(**stack)
    ask: Callable[[], str] = one.ask_streaming if stream else one.ask
    ended: list[tuple[str, float]] = []
    lock = threading.Lock()
    began = time.perf_counter()
    taken = 0

    def work() -> None:
        nonlocal taken
        while True:
            with lock:
                if taken >= n or time.perf_counter() - began > limit:
                    return
                number, taken = taken, taken + 1
            if pause:
                time.sleep(max(0.0, began + number * pause - time.perf_counter()))
            start = time.perf_counter()
            try:
                found = "ok" if ask() == whole else "wrong"
            except Exception as error:  # noqa: BLE001 - whatever a stack raises is a failure
                found = type(error).__name__
            with lock:
                ended.append((found, time.perf_counter() - start))

    workers = [threading.Thread(target=work) for _ in range(one.threads or threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return {"ended": ended, "seconds": time.perf_counter() - began, "threads": len(workers)}


def _rss() -> float:
    """Megabytes of memory that the process has."""
    with contextlib.suppress(OSError), open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def grown(kind: str, size: int, n: int, base: str) -> dict[str, Any]:
    """One cell of the growth table: see `growth.py`."""
    from . import growth

    return growth.measured(kind, size, n, base)


def layers(n: int, base: str) -> dict[str, Any]:
    """The layers alone: see `layers.py`."""
    from . import layers

    return layers.measured(n, base)


def profiled(**job: Any) -> dict[str, Any]:
    """Where the time of calls goes: see `profile.py`."""
    from . import profile

    return profile.profiled(**job)


_JOBS: dict[str, Callable[..., dict[str, Any]]] = {
    "calls": calls,
    "drain": drain,
    "delivery": delivery,
    "together": together,
    "faults": faults,
    "grown": grown,
    "layers": layers,
    "profiled": profiled,
}


def main() -> None:
    """Does jobs until its input ends."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a stack prints must not get between the answers
    for line in sys.stdin:
        job = json.loads(line)
        gc.collect()
        answer = _JOBS[job.pop("do")](**job)
        print(json.dumps(answer), file=out, flush=True)


if __name__ == "__main__":
    main()

"""Growth: what a call costs against the number of layers, routes and threads, and the size of what is said."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from typing import Any

from .bench import Bench

__all__ = ["TITLES", "measure", "measured"]

TITLES = {
    "layers": "layers: us for each call, without a network",
    "events": "layers: us for each event of a stream, without a network",
    "routes": "routes: us for each call, without a network",
    "threads": "threads: us of CPU for each call",
    "size": "bytes of the answer: us of CPU for each call",
    "requests size": "the same, raw requests",
    "length": "events of a stream: us of CPU for each event",
    "open": "open streams: KB of memory for each",
}


def measure(bench: Bench, quick: bool) -> dict[str, dict[int, float]]:
    """The whole table: for each row, the cost by the number that grows."""
    ours = {"peer": "mainstay", "backup": bench.url("good", "mainstay-backup")}
    rounds, n = (1, 20) if quick else (5, 300)
    table: dict[str, dict[int, float]] = {title: {} for title in TITLES}

    def put(row: str, size: int, once: Callable[[], float]) -> None:
        table[row][size] = min(once() for _ in range(rounds))

    def grown(kind: str, size: int) -> Callable[[], float]:
        base = bench.url("open", "grown")
        return lambda: bench.ask("mainstay", do="grown", kind=kind, size=size, n=n, base=base)["cost"]

    for size in (1, 5, 10, 20):
        put("layers", size, grown("layers", size))
        put("events", size, grown("events", size))
    for size in (1, 3, 10, 50):
        put("routes", size, grown("routes", size))
    for size in (1, 8) if quick else (1, 8, 64, 256):
        job = {
            "do": "together",
            "threads": size,
            "n": max(n, 4 * size),
            "primary": bench.url("good", "threads"),
            **ours,
        }
        put("threads", size, lambda job=job: bench.ask("mainstay", **job)["cpu"] * 1e6)  # type: ignore[misc]
    for size in (1_000, 100_000) if quick else (1_000, 10_000, 100_000, 1_000_000, 10_000_000):
        count = max(2, min(n // 10, 20_000_000 // size))
        job = {"do": "calls", "n": count, "primary": bench.url(f"size-{size}", "size")}
        put("size", size, lambda job=job: bench.ask("mainstay", **job, **ours)["cpu"] * 1e6)  # type: ignore[misc]
        put("requests size", size, lambda job=job: bench.ask("requests", peer="requests", **job)["cpu"] * 1e6)  # type: ignore[misc]
    for size in (10, 100) if quick else (10, 100, 1_000, 10_000, 100_000):
        job = {"do": "drain", "n": max(1, 10_000 // size), "primary": bench.url(f"burst-{size}", "length"), **ours}
        put("length", size, lambda job=job: bench.ask("mainstay", **job)["cpu"] * 1e6)  # type: ignore[misc]
    for size in (10,) if quick else (10, 100, 400):
        put("open", size, grown("open", size))
    return table


# -- in the worker ---------------------------------------------------------------------------------------------


def measured(kind: str, size: int, n: int, base: str) -> dict[str, Any]:
    """One cell: `cost` in microseconds, or kilobytes for open streams."""
    from mainstay.adapters import OpenAI
    from mainstay.middleware import Fallback, standard
    from mainstay.pipeline import Chunk, Reply, Request, Route, Stack, middleware

    def layers(count: int) -> list[Any]:
        def around(request: Request) -> Any:
            return (yield request)

        return [middleware(name=f"layer{number}")(around) for number in range(count)]

    def answer(request: Request) -> Reply:
        if request.stream:
            return Reply.stream(Chunk(text="x", finish_reason="stop" if last else None) for last in ends)
        return Reply("x")

    ends = [False] * 1000 + [True]
    if kind == "open":
        return {"cost": _open_streams(Stack(standard(), OpenAI("sk-bench", base_url=f"{base}/v1")), size)}
    if kind == "routes":
        stack = Stack(standard(), Fallback(*[Route(f"route{number}", answer) for number in range(size)]))
    else:
        stack = Stack(layers(size), answer)
    if kind == "events":
        events = len(ends)
        spent = _each(lambda: stack(Request("m", "p", stream=True)).read(), max(1, n // 30))
        return {"cost": spent / events * 1e6}
    return {"cost": _each(lambda: stack(Request("m", "p")), n) * 1e6}


def _each(call: Callable[[], object], n: int) -> float:
    call()
    found = []
    for _ in range(5):
        start = time.process_time()
        for _ in range(n):
            call()
        found.append((time.process_time() - start) / n)
    return statistics.median(found)


def _open_streams(stack: Any, count: int) -> float:
    """Kilobytes for each of so many streams that have begun and are open at once, connections included."""
    from mainstay.pipeline import Request

    from .worker import _rss

    stack(Request("m", "p", stream=True)).close()
    gc.collect()
    before = _rss()
    replies = [stack(Request("m", "p", stream=True)) for _ in range(count)]
    grown = _rss() - before
    for reply in replies:
        reply.close()
    stack.close()
    return max(0.0, grown) * 1000 / count

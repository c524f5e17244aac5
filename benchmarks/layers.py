"""Layers alone: what the standard stack takes over two routes that answer at once, beside the spans it has to make."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

from .bench import Bench

__all__ = ["TITLES", "measure", "measured"]

Table = dict[str, dict[str, Any]]
# What a call that is recorded comes to: at the start and at the end of the call's span, and of its one attempt's.
_CALL = {"gen_ai.request.model": "m"}, {"mainstay.attempts": 1, "mainstay.route": "a", "mainstay.outcome": "ok"}
_ATTEMPT = (
    {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "answer",
        "mainstay.route": "a",
        "gen_ai.request.model": "m",
        "mainstay.attempt": 1,
    },
    {"gen_ai.response.model": "m", "gen_ai.response.finish_reasons": ("stop",), "mainstay.outcome": "ok"},
)


TITLES = {
    "silent": "all layers, nobody records",
    "recording": "all layers, recording",
    "spans": "the same two spans, written by hand",
    "requests": "a call of raw requests, for comparison",
}


def measure(bench: Bench, quick: bool) -> Table:
    """Microseconds for each, those of the handler left out; `beyond`: what is left without the two spans."""
    rounds, n = (1, 20) if quick else (15, 400)
    job = {"do": "layers", "n": n, "base": bench.url("good", "layers")}
    answers = bench.rounds({"layers": job}, rounds)["layers"]
    us = {name: median(answer[name] for answer in answers) for name in TITLES}
    return {
        title: {
            "us": us[name],
            "percent": us[name] / us["requests"] * 100,
            "beyond": us[name] - us["spans"] if name == "recording" else None,
        }
        for name, title in TITLES.items()
    }


# -- in the worker ---------------------------------------------------------------------------------------------


def measured(n: int, base: str) -> dict[str, Any]:
    """Microseconds of CPU of the calling thread for each, one after the other, all in this process."""
    from opentelemetry.trace import SpanKind

    from mainstay.middleware import Fallback, standard
    from mainstay.pipeline import Reply, Request, Route, Stack

    from .peers.ours import recorder
    from .peers.raw import Requests

    def answer(request: Request) -> Reply:
        return Reply("x", model="m")

    def stack(provider: Any) -> Stack:
        return Stack(standard(tracer_provider=provider), Fallback(Route("a", answer), Route("b", answer)))

    def spans() -> None:
        with tracer.start_as_current_span("mainstay chat", kind=SpanKind.INTERNAL, attributes=_CALL[0]) as call:
            with tracer.start_as_current_span("chat m", kind=SpanKind.CLIENT, attributes=_ATTEMPT[0]) as attempt:
                attempt.set_attributes(_ATTEMPT[1])
            call.set_attributes(_CALL[1])

    provider = recorder()
    tracer = provider.get_tracer("benchmarks")
    request, silent, recording = Request("m", "p"), stack(None), stack(provider)
    handler = _each(lambda: answer(request), n)
    found = {
        "silent": _each(lambda: silent(request), n) - handler,
        "recording": _each(lambda: recording(request), n) - handler,
        "spans": _each(spans, n),
        "requests": _each(Requests(base).ask, max(2, n // 10)),
    }
    provider.shutdown()
    return found


def _each(call: Callable[[], object], n: int) -> float:
    for _ in range(n // 10 + 1):
        call()
    start = time.thread_time()
    for _ in range(n):
        call()
    return (time.thread_time() - start) / n * 1e6

"""Faults: the same scripts for everybody; how many answers came and were right, how fast, and for how many requests."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from statistics import median
from typing import Any

from .bench import Bench, Hung, quantile
from .peers import PEERS
from .wire import TEXT

__all__ = ["SCENARIOS", "Scenario", "measure"]


@dataclass(frozen=True)
class Scenario:
    """What is done to a stack.

    Attributes:
        title: for the table.
        script: of the primary provider.
        backup: whether there is a second provider, which is good.
        calls, threads: how many, on how many threads.
        stream: whether streams are asked for.
        timeout: seconds for one attempt.
        limit: seconds after which no call is begun any more.
        pause: seconds between the beginnings of two calls.
    """

    title: str
    script: str
    backup: bool
    calls: int = 200
    threads: int = 4
    stream: bool = False
    timeout: float = 60.0
    limit: float = 12.0
    pause: float = 0.0


SCENARIOS = (
    Scenario("good, for comparison", "good", True),
    Scenario("good, eight threads", "good", True, calls=400, threads=8),
    Scenario("30 % errors, alone", "errors-30", False),
    Scenario("30 % errors, with a second provider", "errors-30", True),
    Scenario("dead primary", "dead", True),
    Scenario("primary always fails", "errors-100", True),
    Scenario("primary hangs, timeout 1 s", "hang-100", True, calls=400, threads=8, timeout=1.0, limit=12.0),
    Scenario("20 % hang, timeout 1 s, alone", "hang-20", False, calls=400, threads=8, timeout=1.0, limit=30.0),
    Scenario("Retry-After 1 s after every tenth answer, alone", "rate", False, calls=100, threads=8, limit=30.0),
    Scenario("the same, with a second provider", "rate", True, calls=100, threads=8, limit=30.0),
    Scenario("30 % of streams cut, alone", "cut-30", False, stream=True, limit=30.0),
    Scenario("30 % of streams cut, with a second provider", "cut-30", True, stream=True),
    Scenario("nothing but pings, timeout 1 s", "pings-100", True, calls=8, stream=True, timeout=1.0, limit=10.0),
    Scenario("a storm of 503s for a second", "storm", True, threads=8, pause=0.02),
)


def measure(bench: Bench, peers: list[str], quick: bool) -> dict[str, dict[str, dict[str, Any]]]:
    """Each scenario with each stack that can be asked so; those without a second provider go without."""
    table: dict[str, dict[str, dict[str, Any]]] = {}
    scenarios = SCENARIOS[:5] if quick else SCENARIOS
    for number, scenario in enumerate(scenarios):
        bench.say(f"  {scenario.title}")
        table[scenario.title] = {}
        for peer in peers:
            table[scenario.title][peer] = _cell(bench, scenario, peer, f"{peer}-{number}", quick)
    return table


def _cell(bench: Bench, scenario: Scenario, peer: str, who: str, quick: bool) -> dict[str, Any]:
    second = scenario.backup and _falls_back(peer)
    before = bench.counts()
    calls = min(scenario.calls, 20) if quick else scenario.calls
    job = {
        "do": "faults",
        "peer": "mainstay-careful" if peer == "mainstay" else peer,
        "primary": bench.url(scenario.script, who),
        "backup": bench.url("good", f"{who}-backup") if second else "",
        "timeout": scenario.timeout,
        "n": calls,
        "threads": scenario.threads,
        "stream": scenario.stream,
        "limit": scenario.limit,
        "pause": scenario.pause,
        "whole": TEXT,
    }
    try:
        found = bench.ask(f"faults {peer}", wait=scenario.limit + 60.0, **job)
    except Hung:
        return {"calls": calls, "ok": 0, "rate": 0.0, "wrong": 0, "hung": True, "second": second}
    after = bench.counts()
    requests = sum(after[name] - before.get(name, 0) for name in after)
    times = [seconds for _, seconds in found["ended"]]
    good = sum(how == "ok" for how, _ in found["ended"])
    return {
        "calls": len(times),
        "ok": good,
        "rate": good / len(times),
        "wrong": sum(how == "wrong" for how, _ in found["ended"]),
        "p50_ms": median(times) * 1000,
        "p99_ms": quantile(times, 0.99) * 1000,
        "requests": requests,
        "per_answer": requests / good if good else None,
        "seconds": found["seconds"],
        "threads": found["threads"],
        "errors": dict(Counter(how for how, _ in found["ended"] if how not in ("ok", "wrong"))),
        "second": second,
    }


_FALL_BACK = frozenset({"mainstay", "mainstay-recording", "naive", "langchain", "pydantic-ai", "litellm-router"})


def _falls_back(peer: str) -> bool:
    # Known by name, so that nothing is imported here that belongs into a worker.
    assert peer in PEERS
    return peer in _FALL_BACK

"""Streaming: what an event costs in a burst, and how late a token is handed on."""

from __future__ import annotations

from statistics import median
from typing import Any

from .bench import Bench, quantile, ratio

__all__ = ["burst", "delivered"]

Table = dict[str, dict[str, Any]]


def burst(bench: Bench, peers: list[str], quick: bool) -> Table:
    """A stream whose events are all there at once, each in an HTTP chunk of its own."""
    events, rounds = (200, 2) if quick else (2000, 7)
    jobs = {
        peer: {"do": "drain", "peer": peer, "primary": bench.url(f"burst-{events}", peer), **_backup(bench, peer)}
        for peer in peers
    }
    found = bench.rounds(jobs, rounds)
    cpus = {peer: [answer["cpu"] for answer in answers] for peer, answers in found.items()}
    walls = {peer: [answer["wall"] for answer in answers] for peer, answers in found.items()}
    return {
        peer: {
            "cpu_us": median(cpus[peer]) * 1e6,
            "wall_us": median(walls[peer]) * 1e6,
            "cpu_ratio": ratio(cpus[peer], cpus["requests"]),
            "wall_ratio": ratio(walls[peer], walls["requests"]),
        }
        for peer in found
    }


def delivered(bench: Bench, peers: list[str], quick: bool) -> Table:
    """Tokens 10 ms apart: how long after they were written they are in the application's hands."""
    words, rounds = (5, 1) if quick else (30, 7)
    table: Table = {peer: {} for peer in peers}
    for framing in ("chunked", "close"):
        script = f"paced-{words}-{framing}"
        jobs = {
            peer: {"do": "delivery", "peer": peer, "primary": bench.url(script, peer), **_backup(bench, peer)}
            for peer in peers
        }
        for peer, answers in bench.rounds(jobs, rounds).items():
            delays = [delay for answer in answers for delay in answer["delays"][1:]]
            table[peer][f"first_us_{framing}"] = median(answer["first"] for answer in answers) * 1e6
            table[peer][f"delay_us_{framing}"] = median(delays) * 1e6
            table[peer][f"delay_p99_us_{framing}"] = quantile(delays, 0.99) * 1e6
    return {peer: row for peer, row in table.items() if row}


def _backup(bench: Bench, peer: str) -> dict[str, str]:
    return {"backup": bench.url("good", f"{peer}-backup")}

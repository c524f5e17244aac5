"""Overhead: a complete call, many of them at once, and what importing a stack takes."""

from __future__ import annotations

import subprocess
import sys
import time
from statistics import median
from typing import Any

from .bench import ROOT, Bench, quantile, ratio

__all__ = ["complete", "concurrent", "imports"]

Table = dict[str, dict[str, Any]]


def complete(bench: Bench, peers: list[str], quick: bool) -> Table:
    """One complete call after the other: medians, and the median of each round's ratio to raw requests."""
    rounds, n = (3, 10) if quick else (30, 40)
    found = bench.rounds({peer: {"do": "calls", "n": n, **_job(bench, "good", peer)} for peer in peers}, rounds)
    walls = {peer: [median(answer["walls"]) for answer in answers] for peer, answers in found.items()}
    cpus = {peer: [answer["cpu"] for answer in answers] for peer, answers in found.items()}
    base = "requests"
    return {
        peer: {
            "median_us": median(walls[peer]) * 1e6,
            "p99_us": quantile([wall for answer in found[peer] for wall in answer["walls"]], 0.99) * 1e6,
            "cpu_us": median(cpus[peer]) * 1e6,
            "wall_ratio": ratio(walls[peer], walls[base]),
            "cpu_ratio": ratio(cpus[peer], cpus[base]),
            "rss_mb": found[peer][-1]["rss"],
        }
        for peer in found
    }


def concurrent(bench: Bench, peers: list[str], quick: bool) -> Table:
    """64 threads (8, if quick) on a provider that takes 50 ms."""
    threads, n, rounds = (8, 80, 1) if quick else (64, 1280, 3)
    jobs = {
        peer: {"do": "together", "threads": threads, "n": n, **_job(bench, "delay-50", peer)}
        for peer in peers
        if peer != "pydantic-ai"  # its clients are bound to one event loop, so to one thread
    }
    for peer in {"litellm", "litellm-router", "naive", "langchain"} & set(jobs):
        jobs[peer]["n"] = n // 4  # slow enough for few to do
    found = bench.rounds(jobs, rounds)
    ideal = threads / 0.05
    return {
        peer: {
            "calls_per_s": median(answer["rate"] for answer in answers),
            "of_ideal": median(answer["rate"] for answer in answers) / ideal,
            "cpu_us": median(answer["cpu"] for answer in answers) * 1e6,
            "in_flight": max(answer["most"] for answer in answers),
            "failed": sum(answer["failed"] for answer in answers),
            "rss_mb": answers[-1]["rss"],
        }
        for peer, answers in found.items()
    }


_IMPORTS = {
    "mainstay.pipeline": "import mainstay.pipeline; mainstay.pipeline.Stack, mainstay.pipeline.Reply",
    "mainstay ask": "import mainstay.providers.cli, mainstay.adapters.http, mainstay.adapters.sockets, "
    "mainstay.adapters.ready, mainstay.middleware.presets",
    "requests": "import requests",
    "openai": "import openai; openai.OpenAI; openai.resources.chat.completions",
    "anthropic": "import anthropic; anthropic.Anthropic; anthropic.resources.messages",
    "langchain": "from langchain_openai import ChatOpenAI",
    "pydantic-ai": "from pydantic_ai.models.openai import OpenAIChatModel; import pydantic_ai.direct",
    "litellm": "import litellm",
}
_MEMORY = """
import os
def rss():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
before = rss()
"""


def imports(bench: Bench, quick: bool) -> Table:
    """Milliseconds of a fresh interpreter, and megabytes, beyond those of a bare one."""
    rounds = 2 if quick else 7
    names = ["mainstay.pipeline", "mainstay ask", "requests"] if quick else list(_IMPORTS)
    bare, found = [], {name: ([], []) for name in names}  # type: ignore[var-annotated]
    for number in range(rounds + 1):  # the first one fills the caches
        nothing = _import("")
        for name in names:
            seconds, memory = _import(_IMPORTS[name])
            if number and memory is not None:
                found[name][0].append(seconds - nothing[0])
                found[name][1].append(memory)
        bare.append(nothing[0])
    return {name: {"ms": median(times) * 1000, "mb": median(sizes)} for name, (times, sizes) in found.items() if times}


def _import(code: str) -> tuple[float, float | None]:
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", f"{_MEMORY}\n{code}\nprint(rss() - before)"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT / "benchmarks",
        env={**_environment(), "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
    )
    seconds = time.perf_counter() - start
    return seconds, float(done.stdout.split()[-1]) if done.returncode == 0 else None


def _environment() -> dict[str, str]:
    import os

    return dict(os.environ)


def _job(bench: Bench, script: str, peer: str) -> dict[str, Any]:
    return {"peer": peer, "primary": bench.url(script, peer), "backup": bench.url(script, f"{peer}-backup")}

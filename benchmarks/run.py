"""The one command: measures all sections in one run, and writes what came of it."""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from . import faults, growth, layers, overhead, plot, report, stream
from .bench import Bench
from .peers import PEERS

__all__ = ["main", "run"]

HERE = Path(__file__).resolve().parent
SECTIONS = ("complete", "layers", "burst", "delivered", "concurrent", "imports", "growth", "faults")
_DISTRIBUTIONS = (
    "mainstay", "requests", "urllib3", "openai", "anthropic", "litellm", "langchain-openai", "langchain-core",
    "pydantic-ai-slim", "httpx", "tenacity", "pybreaker", "opentelemetry-sdk", "msgspec", "uvloop",
)  # fmt: skip


def run(
    sections: Sequence[str],
    peers: Sequence[str],
    quick: bool = False,
    pin: bool = True,
    say: Callable[[str], object] = print,
    keep: Callable[[dict[str, Any]], object] = lambda found: None,
) -> dict[str, Any]:
    """Measures these sections with these stacks; raw requests are among them, because all is told beside them.

    Args:
        sections, peers: their names.
        quick: for a look.
        pin: the processes to their CPUs.
        say: called with what is going on, in words.
        keep: called after each section with all that there is so far, so that nothing is lost with what follows.
    """
    chosen = list(dict.fromkeys(["requests", *(peer for peer in peers if peer != "mainstay-careful")]))
    both = [peer for peer in chosen if peer != "naive"]  # for streams it is raw requests
    faulty = [peer for peer in chosen if peer not in ("urllib3", "mainstay-recording")]
    found: dict[str, Any] = {"machine": _machine(), "versions": _versions(), "quick": quick}
    with Bench(pin, say) as bench:
        work: dict[str, Callable[[], Any]] = {
            "complete": lambda: overhead.complete(bench, chosen, quick),
            "layers": lambda: layers.measure(bench, quick),
            "burst": lambda: stream.burst(bench, both, quick),
            "delivered": lambda: stream.delivered(bench, both, quick),
            "concurrent": lambda: overhead.concurrent(bench, chosen, quick),
            "imports": lambda: overhead.imports(bench, quick),
            "growth": lambda: growth.measure(bench, quick),
            "faults": lambda: faults.measure(bench, faulty, quick),
        }
        for section in sections:
            say(f"{time.strftime('%H:%M:%S')} {section}")
            found[section] = work[section]()
            bench.rest()
            keep(found)
    return found


def main() -> None:
    """Parses the command line, measures, prints, and writes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a look in a minute; its numbers mean little")
    names = ", ".join((*PEERS, *SECTIONS))
    parser.add_argument("--only", default="", help=f"stacks and sections, with commas: {names}")
    parser.add_argument("--nopin", action="store_true", help="leave the processes on whatever CPU they are")
    parser.add_argument("--out", type=Path, default=HERE, help="the folder for results.json, results.md and the plots")
    given = parser.parse_args()
    words = [word for word in given.only.split(",") if word]
    unknown = [word for word in words if word not in PEERS and word not in SECTIONS]
    if unknown:
        parser.error(f"there is no {', '.join(unknown)}: there is {names}")
    sections = [word for word in SECTIONS if word in words] or list(SECTIONS)
    peers = [word for word in PEERS if word in words] or list(PEERS)
    given.out.mkdir(parents=True, exist_ok=True)

    def keep(found: dict[str, Any]) -> None:
        _write(found, given.out)
        plot.replace(found, given.out)

    results = run(sections, peers, given.quick, not given.nopin, keep=keep)
    print(report.text(results))


def _write(results: dict[str, Any], folder: Path) -> None:
    # Not merged with what an earlier run left: the figures of one table are of one run.
    for name, text in (
        ("results.json", json.dumps(results, indent=1) + "\n"),
        ("results.md", f"# Results\n\n{_head(results)}\n\n{report.text(results)}"),
    ):
        part = folder / f"{name}.part"
        part.write_text(text)
        part.replace(folder / name)  # at once, so that an interrupted run leaves a whole file


def _head(results: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in results["versions"].items())
    machine = results["machine"]
    return f"{machine['system']}, {machine['cpus']} CPUs, Python {machine['python']}. {versions}."


def _machine() -> dict[str, Any]:
    import os

    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpus": os.cpu_count(),
    }


def _versions() -> dict[str, str]:
    found = {}
    for name in _DISTRIBUTIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found

"""Bench: the fake provider and the workers, each in a process of its own, and rounds in which they take turns."""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
import urllib.request
from contextlib import suppress
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Any, Self

from .peers import PEERS

__all__ = ["Bench", "quantile"]

ROOT = Path(__file__).resolve().parent.parent


class Hung(RuntimeError):
    """A worker did not answer in time, and was ended."""


class Bench:
    """Runs jobs. Use it in a `with` block, which ends all processes.

    Args:
        pin: keep the provider on one CPU and the workers on another, where there are two.
        say: called with what is going on, in words.
    """

    def __init__(self, pin: bool = True, say: Any = print) -> None:
        self.say = say
        cpus = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        self._cpus = (cpus[0], cpus[1]) if pin and len(cpus) > 1 else None
        self._workers: dict[str, subprocess.Popen[str]] = {}
        self._random = random.Random(1)
        self._server = self._start("server", cpu=1)
        assert self._server.stdout is not None
        self._port = int(self._server.stdout.readline())
        with socket.create_server(("127.0.0.1", 0)) as nobody:
            self._dead = nobody.getsockname()[1]

    def _start(self, module: str, cpu: int = 0) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", f"benchmarks.{module}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            start_new_session=True,
        )
        if self._cpus is not None:
            with suppress(OSError):
                os.sched_setaffinity(process.pid, {self._cpus[cpu]})
        return process

    def url(self, script: str, who: str) -> str:
        """The URL of a provider that does what the script says, with a count and chances of its own.

        "dead" is one where nobody listens.
        """
        port = self._dead if script == "dead" else self._port
        return f"http://127.0.0.1:{port}/{script}.{who}"

    def counts(self) -> dict[str, int]:
        """How many requests each `<script>.<who>` has had."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/counts", timeout=10) as answer:
            found: dict[str, int] = json.load(answer)
        return found

    def ask(self, worker: str, wait: float = 600.0, **job: Any) -> dict[str, Any]:
        """Has a worker do a job; one process for each name.

        Raises:
            Hung: if it takes longer than `wait` seconds.
            RuntimeError: if the worker failed; its words are on standard error.
        """
        process = self._workers.get(worker)
        if process is None:
            process = self._workers[worker] = self._start("worker")
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(job) + "\n")
            process.stdin.flush()
            line = _line(process, wait)
        except (OSError, Hung):
            self._end(self._workers.pop(worker))
            raise
        if not line:
            self._end(self._workers.pop(worker))
            raise RuntimeError(f"{worker} could not do {job}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def rounds(self, jobs: dict[str, dict[str, Any]], count: int) -> dict[str, list[dict[str, Any]]]:
        """Has each worker do its job once in each round, in an order that is new in each; one round more to warm up."""
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in jobs}
        names = list(jobs)
        for number in range(count + 1):
            self._random.shuffle(names)
            for name in list(names):
                try:
                    answer = self.ask(name, **jobs[name])
                except (RuntimeError, OSError) as error:
                    self.say(f"  {name} is left out: {error}")
                    names.remove(name)
                    found.pop(name)
                    continue
                if number:
                    found[name].append(answer)
        return {name: answers for name, answers in found.items() if answers}

    def rest(self, *workers: str) -> None:
        """Ends workers that are not needed any more; all of them, if none is named."""
        for name in workers or tuple(self._workers):
            if name in self._workers:
                self._end(self._workers.pop(name))

    def _end(self, process: subprocess.Popen[str]) -> None:
        process.kill()
        process.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.rest()
        self._end(self._server)


def _line(process: subprocess.Popen[str], wait: float) -> str:
    import select

    assert process.stdout is not None
    if not select.select([process.stdout], [], [], wait)[0]:
        raise Hung(f"no answer after {wait:g} s")
    return process.stdout.readline()


def quantile(values: list[float], share: float) -> float:
    """The value below which that share of them lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def ratio(mine: list[float], base: list[float]) -> float:
    """The median of the ratios of each round."""
    return median(one / other for one, other in zip(mine, base, strict=False))


def title(peer: str) -> str:
    """What a table calls a stack."""
    return PEERS[peer][2] if peer in PEERS else peer

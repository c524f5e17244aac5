"""A program that behaves as llama-completion does: written by the test, run as a real process."""

from __future__ import annotations

import json
import os
import select
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# What the fake can do; what it does is the test's. It notes how it was called before anything else.
_PRELUDE = """\
#!{python} -IS
import json, os, signal, sys

def write(number, data):  # unbuffered, so that a signal's handler may write as well
    while data:
        data = data[os.write(number, data):]

def say(text):
    write(1, text if isinstance(text, bytes) else text.encode())

def log(text):
    write(2, text.encode() + b"\\n")

def noise(megabytes):
    for _ in range(megabytes * 1024):
        log("0.00.001.171 I llama_completion: " + "." * 990)

def perf(prompt=6, made=4):
    log(f"0.00.008.699 I common_perf_print:    samplers time =       0.04 ms / {{prompt + made:5}} tokens")
    log(f"0.00.008.700 I common_perf_print: prompt eval time =       0.24 ms / {{prompt:5}} tokens (    0.04 ms)")
    log(f"0.00.008.701 I common_perf_print:        eval time =       0.21 ms / {{made - 1:5}} runs   (    0.07 ms)")

def end(eos=True):
    say(" [end of text]\\n\\n\\n" if eos else "\\n\\n")
    perf()
    sys.exit(0)

def interruptible():
    def handle(*_):
        say("\\nInterrupted by user\\n")
        perf()
        os._exit(130)
    signal.signal(signal.SIGINT, handle)

def hang():
    while True:
        signal.pause()

given = sys.stdin.buffer.read()
facts = dict(arguments=sys.argv[1:], given=given.decode(), pid=os.getpid(), parent=os.getppid())
facts["environment"] = {{**os.environ}}
with open({notes!r} + f"/{{os.getpid()}}.part", "w") as file:
    json.dump(facts, file)
os.rename(file.name, file.name[:-5] + ".json")
"""


@dataclass
class FakeLlama:
    """The program, and the notes that it took."""

    path: Path
    notes: Path

    @property
    def calls(self) -> list[dict[str, Any]]:
        return [json.loads(note.read_text()) for note in self.notes.glob("*.json")]

    @property
    def call(self) -> dict[str, Any]:
        """Its only call."""
        (call,) = self.calls
        return call


def fake_llama(folder: Path, code: str, name: str = "llama-completion") -> FakeLlama:
    """Writes a program that runs the code, in which `say`, `log`, `end` and the others above are known."""
    notes = folder / f"notes of {name}"
    notes.mkdir()
    path = folder / name
    path.write_text(_PRELUDE.format(python=sys.executable, notes=str(notes)) + code + "\n")
    path.chmod(0o755)
    return FakeLlama(path, notes)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def ends(pid: int, seconds: float = 20.0) -> bool:
    """Whether a process ends in that time; Linux only."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([process], [], [], seconds)[0])
    finally:
        os.close(process)


def held() -> tuple[set[str], list[str], int]:
    """What this process holds: its descriptors by what they are, its children, its threads; on Linux, else nothing."""
    if sys.platform != "linux":
        return set(), [], 0
    descriptors = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            descriptors.add(f"{number} {os.readlink(f'/proc/self/fd/{number}')}")
        except FileNotFoundError:  # the listing's own
            continue
    children = [
        child for task in Path("/proc/self/task").iterdir() for child in (task / "children").read_text().split()
    ]
    return descriptors, children, threading.active_count()

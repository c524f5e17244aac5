"""Profile: where the time of a call and of a stream goes, file by file; `make profile` writes it to `profile.md`.

A sample is taken at each tick of the kernel's clock in which CPU time is used, and counts for the file whose function
runs at that moment; what a function has done in C counts for its file. Nothing is measured around each call: that would
make many small functions look dearer than they are.
"""

from __future__ import annotations

import signal
import sysconfig
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from .bench import ROOT, Bench, title
from .peers import peer_named

__all__ = ["main", "profiled"]

_TARGET = Path(__file__).resolve().with_name("profile.md")
_JOBS = {
    "a complete call": ("requests", "mainstay", "mainstay-recording"),
    "an event of a stream": ("requests", "mainstay"),
}
_ROWS = 12


def main() -> None:
    """Takes the profiles, prints them and writes them down."""
    parts = ["# Where the time goes\n", f"{(__doc__ or '').partition(chr(10) * 2)[2].strip()}\n"]
    with Bench() as bench:
        for what, peers in _JOBS.items():
            stream = what != "a complete call"
            for peer in peers:
                url = bench.url("burst-2000" if stream else "good", peer)
                found = bench.ask(peer, do="profiled", peer=peer, primary=url, backup=url, stream=stream)
                parts.append(f"## {title(peer)}: {what}, {found['us']:.{0 if found['us'] >= 100 else 1}f} us of CPU\n")
                parts.append(_table(found["shares"]))
                bench.rest()
    text = "\n".join(parts)
    print(text)
    _TARGET.write_text(text)


def _table(shares: dict[str, float]) -> str:
    rows = sorted(shares.items(), key=lambda item: -item[1])
    rest = sum(share for _, share in rows[_ROWS:])
    lines = [*rows[:_ROWS], ("all others", rest)]
    return "".join(["| file | % |\n| --- | --- |\n", *(f"| {name} | {share:.0%} |\n" for name, share in lines)])


# -- in the worker ---------------------------------------------------------------------------------------------


def profiled(peer: str, primary: str, backup: str, stream: bool, seconds: float = 5.0) -> dict[str, Any]:
    """Microseconds of CPU for each call, or each event of a stream, and the share that each file has in them."""
    one = peer_named(peer)(primary, backup)
    work: Callable[[], int] = (lambda: sum(map(bool, one.stream()))) if stream else (lambda: len(one.ask()) and 1)
    samples: Counter[str] = Counter()

    def sample(number: int, frame: FrameType | None) -> None:
        samples[next(_places(frame), "?")] += 1

    work()
    before = signal.signal(signal.SIGPROF, sample)
    signal.setitimer(signal.ITIMER_PROF, 0.001, 0.001)
    try:
        done, start = 0, time.process_time()
        while time.process_time() - start < seconds:
            done += work()
        spent = time.process_time() - start
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        signal.signal(signal.SIGPROF, before)
    total = samples.total()
    return {"us": spent / done * 1e6, "shares": {name: count / total for name, count in samples.items()}}


def _places(frame: FrameType | None) -> Iterator[str]:
    """The files of a stack, innermost first, as they are imported: "mainstay/adapters/warm.py", "socket.py"."""
    homes = [sysconfig.get_path("purelib"), sysconfig.get_path("stdlib"), str(ROOT)]
    while frame is not None:
        name = frame.f_code.co_filename
        for home in homes:
            if name.startswith(home):
                yield name[len(home) + 1 :]
                break
        frame = frame.f_back


if __name__ == "__main__":
    main()

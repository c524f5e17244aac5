"""Runs tests again with the clients that came before: OpenAI's 2 and Anthropic's 0.x and 1.x, over httpx.

They cannot be installed beside their successors. So each set is installed into a folder of its own, once for all tests,
and the tests run in a process that finds that folder first.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pytest

__all__ = ["SETS", "Older", "run_with"]


class Older(NamedTuple):
    """What to install, what must then be there, and which dialects its clients speak, for `-k`."""

    wanted: tuple[str, ...]
    versions: tuple[str, ...]
    dialects: str


SETS = {
    "openai 2, anthropic 0": Older(
        ("openai>=2,<3", "anthropic>=0.40,<1"), ("openai 2.", "anthropic 0."), "openai or claude"
    ),
    "anthropic 1": Older(("anthropic>=1,<2",), ("anthropic 1.",), "claude"),
}
# Besides the clients only what they import that their successors do not; the rest is there.
HELP = ("distro", "jiter", "sniffio", "tqdm", "docstring-parser")


def _install(name: str, folder: Path) -> None:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--target", str(folder)]
    installed = subprocess.run([*pip, *SETS[name].wanted, *HELP], capture_output=True, text=True, check=False)
    if installed.returncode:
        shutil.rmtree(folder, ignore_errors=True)
        pytest.skip(f"NOT TESTED with {name}: they could not be installed: {installed.stderr.strip()[-300:]}")


def run_with(name: str, temporary: pytest.TempPathFactory, files: Iterable[Path], chosen: str) -> int:
    """Runs the chosen tests of some files with a set of clients; they must pass. Skips if it cannot be installed.

    Args:
        name: one of SETS.
        temporary: the session's folder, where what was installed stays for the next who want it.
        files: of tests.
        chosen: as for pytest's `-k`.

    Returns:
        How many passed.
    """
    older = SETS[name]
    folder = temporary.getbasetemp() / "older clients" / name
    if not folder.exists():
        _install(name, folder)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(folder), os.environ.get("PYTHONPATH", "")))}

    show = "import openai, anthropic; print('openai', openai.__version__, 'anthropic', anthropic.__version__)"
    shown = subprocess.run(
        [sys.executable, "-c", show], env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert all(version in shown for version in older.versions), shown

    tests = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-k", chosen, *map(str, files)]
    ran = subprocess.run(tests, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout[-5000:] + ran.stderr[-1000:]
    return int(ran.stdout.rpartition(" passed")[0].rpartition("\n")[2].split()[-1])

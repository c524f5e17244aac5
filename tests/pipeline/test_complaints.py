"""Complaints in fresh interpreters: who has not asked for logs sees none, and `logging` is not loaded for them."""

from __future__ import annotations

import subprocess
import sys

import pytest

CALL = """
import sys
{first}
from mainstay.pipeline import Reply, Request, Stack

def broken(event):
    raise ZeroDivisionError("an observer's bug")

assert Stack([], lambda request: Reply("answer"), observers=[broken])(Request("m", "p")).text == "answer"
print("logging" in sys.modules)
"""


@pytest.mark.parametrize(
    ("first", "loaded", "told"),
    [
        ("", "False", 0),
        ("import logging", "True", 0),
        # As an attempt begins, and as it ends.
        ("import logging; logging.basicConfig(format='%(funcName)s: %(message)s')", "True", 2),
    ],
    ids=["without logging", "logging as it is", "logging configured"],
)
def test_a_broken_observer_is_told_to_who_looks(first: str, loaded: str, told: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CALL.format(first=first)], capture_output=True, text=True, check=True, cwd="/"
    )
    assert done.stdout.split() == [loaded]
    assert done.stderr.count("an observer's bug") == told
    assert done.stderr.count("emit: observer") == told  # where it went wrong, and not where it is logged
    assert bool(done.stderr) == bool(told)

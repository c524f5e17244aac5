"""Every example in the README is run, and prints what the README says that it prints."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parent.parent / "README.md").read_text()
# A Python block, and the block of plain text that follows it at once, if one does: its output.
BLOCKS = re.findall(r"```python\n(.*?)```\n(?:\n```text\n(.*?)```)?", README, re.DOTALL)
COMMANDS = re.findall(r"```console\n(.*?)```", README, re.DOTALL)


def test_the_readme_has_examples() -> None:
    assert len(BLOCKS) >= 5
    assert COMMANDS


@pytest.mark.parametrize("number", range(len(BLOCKS)), ids=lambda n: f"example {n + 1}")
def test_an_example_prints_what_the_readme_says(number: int) -> None:
    code, output = BLOCKS[number]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    if output:
        assert done.stdout == output
    assert done.stderr == ""


def test_the_stack_is_drawn_as_it_is_printed() -> None:
    from mainstay.adapters import Claude, OpenAI
    from mainstay.middleware import Fallback, standard
    from mainstay.pipeline import Stack

    routes = OpenAI("sk-1", model="gpt-4o"), Claude("sk-2", model="claude-sonnet-4-5")
    with Stack(standard(), Fallback(*routes)) as stack:
        assert f"```text\n{stack}\n```" in README

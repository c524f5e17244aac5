"""The page about clients against the code: its examples are run, its tables have every option with its default."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mainstay.adapters.clients import from_callable, from_client

PAGE = (Path(__file__).parents[3] / "docs" / "clients.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", PAGE, re.DOTALL)


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == PAGE.count("```python") == 2


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_an_example_prints_what_the_page_says(number: int) -> None:
    code, output = EXAMPLES[number]
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.stderr) == (output, "")


@pytest.mark.parametrize("function", [from_client, from_callable])
def test_a_table_has_every_option_with_its_default(function: Callable[..., Any]) -> None:
    first, *options = inspect.signature(function).parameters.values()
    table = PAGE.partition(f"`{function.__name__}({first.name}, ...)`")[2].partition("\n`")[0].partition("\n#")[0]
    rows = re.findall(r"^\| `(\w+)` \| `([^`]+)`", table, re.MULTILINE)
    assert rows == [(option.name, repr(option.default)) for option in options]

"""The page about clients against the code: its tables have every option with its default."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mainstay.adapters.clients import from_callable, from_client

PAGE = (Path(__file__).parents[3] / "docs" / "clients.md").read_text()


@pytest.mark.parametrize("function", [from_client, from_callable])
def test_a_table_has_every_option_with_its_default(function: Callable[..., Any]) -> None:
    first, *options = inspect.signature(function).parameters.values()
    table = PAGE.partition(f"`{function.__name__}({first.name}, ...)`")[2].partition("\n`")[0].partition("\n#")[0]
    rows = re.findall(r"^\| `(\w+)` \| `([^`]+)`", table, re.MULTILINE)
    assert rows == [(option.name, repr(option.default)) for option in options]

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

import mainstay.middleware
from mainstay.middleware import Fallback, standard
from mainstay.pipeline import AsyncStack, Request, Route, Stack


def test_the_standard_order_is_the_one_of_the_design() -> None:
    assert [layer.name for layer in standard()] == [
        "trace_call",
        "metrics",
        "deadline",
        "validate",
        "retry",
        "breaker",
        "trace",
    ]


def test_each_list_is_new_and_the_deadline_is_the_caller_s() -> None:
    assert standard() == standard()
    assert standard() is not standard()
    assert standard(deadline=3.0)[2].seconds == 3.0  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="Deadline"):
        standard(deadline=0)


@pytest.mark.parametrize("kind", [Stack, AsyncStack])
def test_it_is_accepted_by_both_stacks_and_draws_what_runs(kind: Any, kit: Any) -> None:
    stack = kind(standard(), Fallback(Route("a", kit.Leaf(), "big"), Route("b", kit.Leaf())))
    assert [line.split() for line in str(stack).splitlines()] == [
        ["trace_call", "→", "metrics", "→", "deadline", "→", "validate"],
        ["└─", "fallback", "in", "order"],
        ["├─", "a", "big", "retry", "→", "breaker", "→", "trace", "→", "Leaf", "(unchecked)"],
        ["└─", "b", "retry", "→", "breaker", "→", "trace", "→", "Leaf", "(unchecked)"],
    ]


def test_it_answers(either_world: Any, ask: Request) -> None:
    assert either_world.run(either_world.stack(standard(), either_world.leaf()), ask).text == "answer"


# -- the package's front ---------------------------------------------------------------------------------------


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Retries'"):
        mainstay.middleware.Retries  # noqa: B018


def test_what_is_not_used_is_not_loaded() -> None:
    program = (
        "import sys, mainstay.middleware as m; m.Fallback; m.Validate; m.Deadline; "
        "print(sorted({'tenacity', 'pybreaker', 'structlog', 'opentelemetry', 'asyncio'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

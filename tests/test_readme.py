"""Every example in the README is run, and prints what the README says that it prints."""

from __future__ import annotations

import re

import pytest

from support.documents import ROOT, Example, examples

README = (ROOT / "README.md").read_text()
EXAMPLES = examples(ROOT / "README.md")
COMMANDS = re.findall(r"```console\n(.*?)```", README, re.DOTALL)


def test_the_readme_has_examples() -> None:
    assert len(EXAMPLES) >= 5
    assert COMMANDS


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_an_example_prints_what_the_readme_says(example: Example) -> None:
    example.check()


def test_the_stack_is_drawn_as_it_is_printed() -> None:
    from mainstay.adapters import Claude, OpenAI
    from mainstay.middleware import Fallback, standard
    from mainstay.pipeline import Stack

    routes = OpenAI("sk-1", model="gpt-4o"), Claude("sk-2", model="claude-sonnet-4-5")
    with Stack(standard(), Fallback(*routes)) as stack:
        assert f"```text\n{stack}\n```" in README

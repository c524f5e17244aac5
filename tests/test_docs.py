"""The pages in docs/ against the code: no option is missing, no default is wrong, every example does what it says."""

from __future__ import annotations

import inspect
import re
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from mainstay import middleware, pipeline
from mainstay.middleware import balance
from mainstay.pipeline import testing
from mainstay.providers import protect
from support.documents import ROOT, Example, examples

PAGES = sorted((ROOT / "docs").glob("*.md"))
TEXTS = {page.name: page.read_text() for page in PAGES}
EXAMPLES = [example for page in PAGES for example in examples(page)]
NAMES: dict[str, Any] = {
    name: getattr(module, name) for module in (pipeline, middleware, balance, testing) for name in module.__all__
} | {"protect": protect}
# What people make besides layers, routers and strategies.
MADE = {
    "Backoff",
    "Policy",
    "Price",
    "Prices",
    "RedisCircuits",
    "RetryBudget",
    "Route",
    "Stack",
    "Timeouts",
    "contract",
    "protect",
}
# What a page about a layer must say, and which pages these are.
SECTIONS = ("## When not to use it", "## Options", "## Its place", "## Example")
LAYERS = ("balance", "breaker", "cost", "deadline", "fallback", "log", "metrics", "retry", "trace", "validate")


class Table(NamedTuple):
    """What a page says about the options of one class or function: default and source, by option."""

    page: str
    subject: str
    rows: dict[str, tuple[str, str]]


def _tables(page: str, text: str) -> list[Table]:
    found = []
    for table in re.finditer(r"^\| option of `(\w+)` \|.*\n\|[-| ]+\|\n((?:\|.*\n)+)", text, re.MULTILINE):
        rows: dict[str, tuple[str, str]] = {}
        for line in table[2].splitlines():
            cells = [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            assert len(cells) == 4, f"{page}: {line}"
            option = cells[0].strip("`*")
            assert option not in rows, f"{page}: {option} stands twice in the table of {table[1]}"
            assert all(cells), f"{page}: something about {option} of {table[1]} is not said"
            rows[option] = cells[1], cells[3]
        found.append(Table(page, table[1], rows))
    return found


TABLES = [table for name, text in TEXTS.items() for table in _tables(name, text)]


def _defaults(subject: Any) -> dict[str, Any]:
    """The options of a class or function with their defaults; `inspect.Parameter.empty` for what has none."""
    parameters = inspect.signature(subject).parameters.values()
    made = {field.name: field.default_factory for field in fields(subject)} if is_dataclass(subject) else {}
    return {
        one.name: factory() if (factory := made.get(one.name, MISSING)) is not MISSING else one.default
        for one in parameters
    }


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.subject)
def test_a_table_has_every_option_with_its_default(table: Table) -> None:
    real = _defaults(NAMES[table.subject])
    assert list(table.rows) == list(real)
    for option, default in real.items():
        told = table.rows[option][0]
        if default is inspect.Parameter.empty:
            assert told == "required", option
            continue
        code = re.match(r"`([^`]+)`", told)
        assert code, f"{option}: a default stands in backticks, not {told!r}"
        value = eval(code[1], dict(NAMES))
        assert (type(value), value) == (type(default), default), option


def test_whatever_has_options_has_one_table() -> None:
    subjects = [table.subject for table in TABLES]
    assert len(subjects) == len(set(subjects))
    configurable = {name for name in middleware.__all__ if _is_configured(NAMES[name])}
    missing = sorted((configurable | MADE) - set(subjects))
    assert not missing, f"give these a table in docs/ that begins with '| option of `...` |': {', '.join(missing)}"


def _is_configured(subject: Any) -> bool:
    kinds = (pipeline.Layer, pipeline.Router, middleware.Strategy)
    made = issubclass(subject, kinds) if isinstance(subject, type) else inspect.isfunction(subject)
    return made and bool(inspect.signature(subject).parameters)


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_an_example_prints_what_its_page_says(example: Example) -> None:
    assert example.output, "an example shows what it prints"
    example.check()


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_s_page_says_what_one_must_know(layer: str) -> None:
    text = TEXTS[f"{layer}.md"]
    assert [section for section in SECTIONS if f"\n{section}" not in text] == []
    assert any(example.document == f"docs/{layer}.md" for example in EXAMPLES)


@pytest.mark.parametrize("page", TEXTS)
def test_links_lead_somewhere(page: str) -> None:
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(#[^)]*)?\)", TEXTS[page]):
        file = (ROOT / "docs" / target) if target else ROOT / "docs" / page
        assert file.exists(), target
        if anchor:
            assert anchor[1:] in _anchors(file), f"{target}{anchor}"


def test_the_index_leads_to_every_page() -> None:
    others = set(TEXTS) - {"README.md"}
    assert len(others) >= 12
    assert others == set(re.findall(r"\]\(([\w-]+\.md)\)", TEXTS["README.md"]))


def _anchors(file: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}

"""The pages about metrics, logs and export say what there is, and nothing else."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

from mainstay.middleware import log, semconv
from mainstay.providers import telemetry

DOCS = Path(__file__).parents[2] / "docs"


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def rows(text: str, heading: str) -> list[list[str]]:
    """The cells of the table under a heading, without its head."""
    section = text.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def quoted(cell: str) -> tuple[str, ...]:
    return tuple(re.findall(r"`([^`]+)`", cell))


def test_the_page_has_every_instrument_with_its_unit_and_labels() -> None:
    told = {
        quoted(row[0])[0]: (row[1], *quoted(row[2]), quoted(row[3])) for row in rows(page("metrics.md"), "Instruments")
    }
    assert told == {name: (item.kind, item.unit, item.labels) for name, item in semconv.INSTRUMENTS.items()}


def test_the_page_says_of_every_label_what_it_may_be() -> None:
    told = {name for row in rows(page("metrics.md"), "Labels") for name in quoted(row[0])}
    assert told == {label for item in semconv.INSTRUMENTS.values() for label in item.labels}


def test_the_page_has_every_line_and_every_field() -> None:
    table = {quoted(row[0])[0]: set(quoted(row[2])) for row in rows(page("log.md"), "Lines")}
    source = ast.parse(inspect.getsource(log))
    words: dict[str, set[str]] = {}
    for function in [node for node in source.body if isinstance(node, ast.FunctionDef)]:
        made = [node for node in ast.walk(function) if isinstance(node, ast.Call) and ast.unparse(node.func) == "_Line"]
        if not made:
            continue
        keys = {
            key.value
            for node in ast.walk(function)
            if isinstance(node, ast.Dict)
            for key in node.keys
            if isinstance(key, ast.Constant)
        }
        keys |= {ast.literal_eval(n.slice) for n in ast.walk(function) if isinstance(n, ast.Subscript)
                 and isinstance(n.slice, ast.Constant) and isinstance(n.ctx, ast.Store)}  # fmt: skip
        if "_told(" in ast.unparse(function):
            keys |= {"route", "error", "reason"}
        words[ast.literal_eval(made[0].args[1])] = keys
    words["doubt"], table["doubt"] = words["skip"], words["skip"]  # "the same"
    assert table == words


def test_the_page_names_the_variables_that_are_read() -> None:
    text = page("export.md")
    for name in set(re.findall(r"OTEL_[A-Z_]+[A-Z]", inspect.getsource(telemetry))):
        assert name in text or name in ("OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_BSP", "OTEL_EXPORTER_OTLP"), name

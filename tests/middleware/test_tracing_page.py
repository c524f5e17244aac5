"""The page about traces names what the spans have, and nothing else."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from mainstay.middleware import semconv

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "tracing.md").read_text(encoding="utf-8")
SOURCES = ("trace.py", "trace_facts.py", "trace_events.py", "content.py")


def used() -> set[str]:
    """The names of the table that the sources of traces use."""
    found: set[str] = set()
    for source in SOURCES:
        tree = ast.parse((ROOT / "middleware" / source).read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "names":
                found.add(node.attr)
    return {value for name in found if isinstance(value := getattr(semconv, name), str)} - {semconv.SCHEMA_URL}


def told() -> set[str]:
    """The names in the tables of the page."""
    rows = [line for line in PAGE.splitlines() if line.startswith("|")]
    names = re.findall(r"`((?:gen_ai|http|url|server|error|mainstay)\.[\w.]+)`", "\n".join(rows))
    return set(names)


def test_every_name_is_in_a_table_of_the_page_and_every_name_there_is_used() -> None:
    assert used() == told()


def test_no_name_of_a_convention_stands_anywhere_but_in_the_table() -> None:
    for source in (*SOURCES, "trace_context.py"):
        tree = ast.parse((ROOT / "middleware" / source).read_text(encoding="utf-8"))
        texts = [
            node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]
        assert not [text for text in texts if re.fullmatch(r"(gen_ai|http|url|server|error)\.[\w.]+", text)], source


def test_the_script_of_the_page_is_python_and_its_picture_is_there() -> None:
    *_, script = re.findall(r"```py\n(.*?)```", PAGE, re.DOTALL)
    ast.parse(script)
    for picture in re.findall(r"!\[.*?\]\((.*?)\)", PAGE):
        assert (ROOT / "docs" / picture).read_bytes().startswith(b"\x89PNG")

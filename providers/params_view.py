"""What `mainstay params` shows: the parameters of one provider, and what one of its models refuses."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..adapters import schemas
from ..adapters.params import Param, Schema
from ..adapters.values import expectation

__all__ = ["Row", "rows", "schema_of", "show"]

_SCHEMAS: Mapping[str, Schema] = {
    "openai": schemas.OPENAI,
    "openai_compatible": schemas.OPENAI_COMPATIBLE,
    "claude": schemas.CLAUDE,
    "anthropic": schemas.CLAUDE,
    "openrouter": schemas.OPENROUTER,
    "ollama": schemas.OLLAMA,
    "llama_cpp": schemas.LLAMA_CPP,
    "llama_cpp_process": schemas.LLAMA_PROCESS,
    "llama_process": schemas.LLAMA_PROCESS,
}

# Values that change something: a model's rules are tried with those that a parameter takes.
_PROBES: tuple[Any, ...] = (
    *(0.5, 2048, True, "none", "minimal", ["x"], {"1": 1}),
    {"type": "enabled", "budget_tokens": 2048},
)
_PIPED = 200  # columns where no terminal says how many there are, so that most rows keep to one line


class Row(NamedTuple):
    """One parameter, in words."""

    name: str
    takes: str
    wire: str
    aliases: str
    about: str


def schema_of(provider: str) -> Schema:
    """The parameters of a provider by its name, "-" and "_" alike.

    Raises:
        ValueError: if there is no such provider; the message names the nearest one and all of them.
    """
    name = provider.lower().replace("-", "_")
    if name in _SCHEMAS:
        return _SCHEMAS[name]
    near = difflib.get_close_matches(name, _SCHEMAS, n=1)
    meant = f" (did you mean {near[0]!r}?)" if near else ""
    raise ValueError(f"unknown provider {provider!r}{meant}: there is {', '.join(_SCHEMAS)}")


def rows(schema: Schema, model: str = "") -> Iterator[Row]:
    """The parameters in the order of the table; `about` says too what the model refuses."""
    for param in schema.params:
        refused = _refused(schema, param, model) if model else ""
        wire = param.wire if param.wire != param.name else ""
        yield Row(param.name, expectation(param), wire, ", ".join(param.aliases), refused or param.about)


def _refused(schema: Schema, param: Param, model: str) -> str:
    for value in _PROBES:
        if schema.check({param.name: value}):
            continue
        for problem in schema.check({param.name: value}, model):
            return problem.message
    return ""


def show(schema: Schema, model: str = "", console: Console | None = None) -> None:
    """Prints the table, as wide as the terminal; a row that does not fit goes on in the next line."""
    console = console or Console(highlight=False)
    if not console.is_terminal:
        console.width = _PIPED
    table = Table(box=None, pad_edge=False)
    for title in ("parameter", "takes", "sent as", "also called", "about"):
        table.add_column(title, overflow="fold")
    for row in rows(schema, model):
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)
    if schema.lenient:
        console.print("Any other parameter is sent as it is: what a compatible server knows is its own business.")

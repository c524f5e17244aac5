"""Report: the results as tables for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .bench import title

__all__ = ["text"]

_COLUMNS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "complete": (
        ("wall_ratio", "x requests (wall)", "{:.2f}"), ("cpu_ratio", "x requests (CPU)", "{:.2f}"),
        ("median_us", "median us", "{:.0f}"), ("p99_us", "p99 us", "{:.0f}"), ("cpu_us", "CPU us", "{:.0f}"),
        ("rss_mb", "RSS MB", "{:.0f}"),
    ),
    "layers": (
        ("us", "us", "{:.1f}"), ("percent", "% of raw requests", "{:.1f}"), ("beyond", "us beyond the spans", "{:.1f}"),
    ),
    "burst": (
        ("wall_ratio", "x requests (wall)", "{:.2f}"), ("cpu_ratio", "x requests (CPU)", "{:.2f}"),
        ("wall_us", "us", "{:.1f}"), ("cpu_us", "CPU us", "{:.1f}"),
    ),
    "delivered": (
        ("first_us_chunked", "first us", "{:.0f}"), ("delay_us_chunked", "late us", "{:.0f}"),
        ("delay_p99_us_chunked", "p99", "{:.0f}"), ("first_us_close", "first us, until close", "{:.0f}"),
        ("delay_us_close", "late us, until close", "{:.0f}"), ("delay_p99_us_close", "p99, until close", "{:.0f}"),
    ),
    "concurrent": (
        ("calls_per_s", "calls/s", "{:.0f}"), ("of_ideal", "of ideal", "{:.2f}"), ("cpu_us", "CPU us", "{:.0f}"),
        ("in_flight", "in flight", "{:.0f}"), ("failed", "failed", "{:.0f}"), ("rss_mb", "RSS MB", "{:.0f}"),
    ),
    "imports": (("ms", "ms", "{:.0f}"), ("mb", "MB", "{:.1f}")),
}  # fmt: skip
_HEADINGS = {
    "complete": "A complete call",
    "layers": "The layers alone, over two routes that answer at once",
    "burst": "An event of a stream, in a burst",
    "delivered": "A token: until the first one is there, and how late each is",
    "concurrent": "64 threads on a provider that takes 50 ms",
    "imports": "Importing, beyond a bare interpreter",
    "growth": "Growth of Mainstay's cost",
    "faults": "Faults",
}
_FAULTS = (
    ("rate", "answers", "{:.1%}"), ("wrong", "wrong", "{:d}"), ("p50_ms", "p50 ms", "{:.1f}"),
    ("p99_ms", "p99 ms", "{:.0f}"), ("per_answer", "requests/answer", "{:.2f}"), ("calls", "calls", "{:d}"),
)  # fmt: skip


def text(results: dict[str, Any]) -> str:
    """All sections that there are, in Markdown."""
    parts = []
    for section, heading in _HEADINGS.items():
        if section not in results:
            continue
        parts.append(f"## {heading}\n")
        found = results[section]
        if section == "growth":
            parts += [_growth(name, row) for name, row in found.items() if row]
        elif section == "faults":
            parts += [f"### {name}\n\n{_rows(table, _FAULTS, 'stack')}" for name, table in found.items()]
        else:
            parts.append(_rows(found, _COLUMNS[section], "stack"))
    return "\n".join(parts)


def _rows(table: dict[str, dict[str, Any]], columns: Sequence[tuple[str, str, str]], first: str) -> str:
    lines = [[first, *(name for _, name, _ in columns)], ["---"] * (len(columns) + 1)]
    for name, row in table.items():
        cells = [_cell(row, key, form) for key, _, form in columns]
        alone = " (no second provider)" if row.get("second") is False and "rate" in row else ""
        lines.append([title(name) + (" — never ended" if row.get("hung") else alone), *cells])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(row: dict[str, Any], key: str, form: str) -> str:
    value = row.get(key)
    return "-" if value is None else form.format(value)


def _growth(name: str, row: dict[Any, float]) -> str:
    from .growth import TITLES

    sizes = list(row)
    values = [f"{row[size]:.3g}" if row[size] < 1000 else f"{row[size]:,.0f}" for size in sizes]
    heads = [f"{int(size):,}" for size in sizes]
    lines = [[TITLES[name], *heads], ["---"] * (len(sizes) + 1), ["", *values]]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)

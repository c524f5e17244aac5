"""Report: the results as tables for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt
from typing import Any

from .bench import title

__all__ = ["REASONS", "interval", "text"]

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
    ("rate", "answers", "{:.1%}"), ("interval", "95 % interval", "{}"), ("wrong", "wrong", "{:d}"),
    ("p50_ms", "p50 ms", "{:.1f}"), ("p99_ms", "p99 ms", "{:.0f}"), ("per_answer", "requests/answer", "{:.2f}"),
    ("calls", "calls", "{:d}"),
)  # fmt: skip
_FIRST = (
    "the first call imports what it needs, which others have imported before their first; and threads take turns on "
    "one CPU, where a stack on one thread waits for nobody."
)
_ALONE = (
    "where there is no other provider, mainstay rather waits than fails: for a further try, and until its open breaker "
    "admits again."
)
REASONS: Mapping[tuple[str, str], str] = {
    ("good, for comparison", "p99_ms"): _FIRST,
    ("good, eight threads", "p99_ms"): _FIRST,
    ("30 % errors, alone", "p99_ms"): _ALONE,
    ("primary hangs, timeout 1 s", "per_answer"): (
        "Of eight threads, all ask the provider that hangs before the first of them has timed out; pybreaker has a "
        "lock around each call, so that under it only one does, and the others wait for it."
    ),
    ("20 % hang, timeout 1 s, alone", "p99_ms"): _ALONE,
    ("30 % of streams cut, alone", "p99_ms"): "a stream that breaks off is begun anew; others give up.",
    ("Retry-After 1 s after every tenth answer, alone", "per_answer"): (
        "Of eight threads, up to seven have a request under way when the limit begins; a stack on one thread has none."
    ),
    ("Retry-After 1 s after every tenth answer, alone", "p99_ms"): (
        "a hundred answers take nine seconds, whoever asks for them; of mainstay's threads, whichever comes first when "
        "a rest is over has the next ten, so half of the calls are answered at once, and a few wait through several "
        "rests."
    ),
    ("the same, with a second provider", "per_answer"): (
        "Whoever stays with the first provider meets each of its limits once, and on eight threads up to seven have a "
        "request under way when the first begins; pybreaker leaves that provider for 30 s after five "
        "refusals. With `Retry(patience=0.5)` mainstay goes to the second one at once as well."
    ),
    ("the same, with a second provider", "p99_ms"): (
        "mainstay waits for a provider that rests no longer than 2 s (`patience`) before it goes to the second one."
    ),
    ("a storm of 503s for a second", "p99_ms"): (
        "mainstay waits for a second try of the first provider before it goes to the next one; others go at once, or "
        "have no call under way while they wait."
    ),
    ("a storm of 503s for a second", "per_answer"): (
        "A stack on one thread asks less in that second: while it waits for a retry, no other call begins."
    ),
}
"""Why others are ahead, by scenario and figure; told only where the figures have it so."""


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
            parts += [_scenario(name, table) for name, table in found.items()]
        else:
            parts.append(_rows(found, _COLUMNS[section], "stack"))
    return "\n".join(parts)


def interval(good: int, calls: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share: where it may lie in truth, if so many of so many calls were good."""
    z = 1.96
    share, spread = good / calls, z * z / calls
    middle, reach = share + spread / 2, z * sqrt(share * (1 - share) / calls + spread / calls / 4)
    # The share itself is always in it, whatever the last digit does.
    return min(share, (middle - reach) / (1 + spread)), max(share, (middle + reach) / (1 + spread))


def _scenario(name: str, table: dict[str, dict[str, Any]]) -> str:
    rows = {}
    for peer, row in table.items():
        low, high = interval(row["ok"], row["calls"])
        rows[peer] = {**row, "low": low, "high": high, "interval": f"{low * 100:.1f}-{high * 100:.1f}"}
    return "\n".join([f"### {name}\n", _rows(rows, _FAULTS, "stack"), *_behind(name, rows)])


def _behind(name: str, rows: dict[str, dict[str, Any]]) -> list[str]:
    """One sentence for each figure in which others are ahead of Mainstay, with the reason if it is known."""
    if "mainstay" not in rows:
        return []
    ours = rows["mainstay"]
    others = {peer: row for peer, row in rows.items() if peer != "mainstay" and row["ok"]}
    more = {peer: row for peer, row in others.items() if row["rate"] > ours["rate"]}
    chance = {peer: row for peer, row in more.items() if row["low"] <= ours["rate"]}
    alike = {peer: row for peer, row in others.items() if row["low"] <= ours["rate"] <= row["high"]}
    fewer = {peer: row for peer, row in {**more, **alike}.items() if _less(row, ours, "per_answer", 2)}
    told = []
    if beyond := {peer: row for peer, row in more.items() if peer not in chance}:
        told.append(f"More answers: {_named(beyond, 'rate', '{:.1%}')}. {REASONS.get((name, 'rate'), '')}")
    if chance:
        told.append(
            f"More answers, but by no more than chance: {_named(chance, 'calls', '{} calls')}. "
            f"Mainstay's share lies within their intervals."
        )
    if fewer:
        reason = REASONS.get((name, "per_answer"), "")
        told.append(f"Fewer requests for an answer: {_named(fewer, 'per_answer', '{:.2f}')}. {reason}")
    if any(_less(row, ours, "p99_ms", 0) for row in others.values()) and (name, "p99_ms") in REASONS:
        told.append(f"A shorter p99 than mainstay's: {REASONS[name, 'p99_ms']}")
    return [f"{sentence.strip()}\n" for sentence in told]


def _less(row: dict[str, Any], than: dict[str, Any], key: str, digits: int) -> bool:
    """Whether a figure is smaller, as far as the table shows it."""
    here, there = row.get(key), than.get(key)
    return here is not None and (there is None or round(here, digits) < round(there, digits))


def _named(rows: dict[str, dict[str, Any]], key: str, form: str) -> str:
    return ", ".join(f"{title(peer)} ({form.format(row[key])})" for peer, row in rows.items())


def _rows(table: dict[str, dict[str, Any]], columns: Sequence[tuple[str, str, str]], first: str) -> str:
    lines = [[first, *(name for _, name, _ in columns)], ["---"] * (len(columns) + 1)]
    for name, row in table.items():
        cells = [_cell(row, key, form) for key, _, form in columns]
        notes = ["no second provider"] * (row.get("second") is False) + ["one thread"] * (row.get("threads") == 1)
        said = f" ({', '.join(notes)})" if notes else ""
        lines.append([title(name) + (" — never ended" if row.get("hung") else said), *cells])
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

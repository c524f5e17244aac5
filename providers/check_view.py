"""What `mainstay check` shows: a line for each provider, or JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from .checking import Check

__all__ = ["as_json", "as_text"]

_TITLES = ("provider", "reachable", "key", "model", "latency", "")


def as_text(checks: Sequence[Check]) -> str:
    """The checks as lines with aligned columns, under a line of titles."""
    rows = [_TITLES, *map(_row, checks)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def as_json(checks: Sequence[Check]) -> str:
    """The checks as a list of objects."""
    return json.dumps([_object(each) for each in checks], ensure_ascii=False)


def _row(check: Check) -> tuple[str, ...]:
    latency = "-" if check.latency is None else f"{check.latency * 1000:.0f} ms"
    return check.name, check.reachable, check.key, check.model, latency, _sentence(check)


def _sentence(check: Check) -> str:
    error = check.error
    return str(error).removeprefix(f"{error.provider}: ") if error is not None else ""


def _object(check: Check) -> dict[str, Any]:
    error = check.error
    return {
        "provider": check.name,
        "ok": error is None,
        "reachable": check.reachable,
        "key": check.key,
        "model": check.model,
        "latency_ms": None if check.latency is None else round(check.latency * 1000, 1),
        "error": error
        and {
            "class": str(error.error_class),
            "reason": error.reason,
            "message": _sentence(check),
            "status": error.status,
            "hint": error.hint,
        },
    }

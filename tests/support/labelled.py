"""Real errors of providers, labelled with what they mean: where they are, and how each kind is classified."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mainstay.adapters.classify import (
    classify_event,
    classify_exception_text,
    classify_process,
    classify_response,
)
from mainstay.pipeline import ProviderError

_DATA = Path(__file__).parent.parent / "adapters" / "data"


def rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (_DATA / name).read_text("utf-8").splitlines()]


def classified(row: dict[str, Any], now: float) -> ProviderError | None:
    """What the classifier makes of a row, by the entry point of its kind; `transport` is no provider."""
    provider = "" if row["provider"] == "transport" else row["provider"]
    match row["kind"]:
        case "http":
            return classify_response(provider, row["status"], row["headers"] or {}, row["body"] or "", now=now)
        case "stream":
            found = (classify_event(provider, event, now=now) for event in _events(row["body"]))
            return next((error for error in found if error is not None), None)
        case "subprocess":
            return classify_process(provider, row.get("exit_code"), row["body"] or "")
    return classify_exception_text(provider, row["exception"], row["status"], now=now)


def _events(body: str) -> Iterator[Any]:
    for raw in body.splitlines():
        line = raw.strip()
        if line.startswith(("data:", "error:")):
            line = line.split(":", 1)[1].strip()
        if line and not line.startswith(("event:", ":")) and line != "[DONE]":
            try:
                yield json.loads(line)
            except ValueError:
                yield line

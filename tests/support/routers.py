"""Routers over scripted leaves: what the tests of Fallback share."""

from __future__ import annotations

from typing import Any

from mainstay.middleware import Fallback
from mainstay.pipeline import InvalidRequest, Route


def router(kit: Any, **scripts: Any) -> tuple[Fallback, dict[str, Any]]:
    """A Fallback whose routes have these names and do these things, and its leaves."""
    leaves = {
        name: kit.Leaf(*(entries if isinstance(entries, tuple) else (entries,)), name=name)
        for name, entries in scripts.items()
    }
    return Fallback(*(Route(name, leaf) for name, leaf in leaves.items())), leaves


def too_long() -> InvalidRequest:
    return InvalidRequest(reason="context_length")


def filtered() -> InvalidRequest:
    return InvalidRequest(reason="content_filter")

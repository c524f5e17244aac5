"""Which orders of layers make sense, checked when a stack is built.

The rules belong to the layers (`Layer.not_outside`, `Layer.not_inside`); this file only reads them, so the
pipeline knows no concern by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from .layer import Layer
from .router import Router
from .through import told_by

__all__ = ["completed", "verify"]


def completed(layers: Sequence[Any]) -> tuple[Any, ...]:
    """The list with the companions that its layers need and that are missing, outermost."""
    result = list(layers)
    for layer in layers:
        companion = layer.companion() if isinstance(layer, Layer) else None
        if companion is not None and companion.kind not in _kinds(result):
            result.insert(0, companion)
    return tuple(result)


def verify(layers: Sequence[Any], handler: Any) -> None:
    """Refuses an order that makes no sense.

    Raises:
        ValueError: with the two layers and the reason.
    """
    for position, outer in enumerate(layers):
        for inner in layers[position + 1 :]:
            _pair(outer, inner, over_router=isinstance(handler, Router))
    _unique(layers)
    _nested(layers, handler)


def _pair(outer: Any, inner: Any, over_router: bool) -> None:
    if over_router and _is_route(outer) and not _is_route(inner):
        raise ValueError(
            f"{_name(outer)} guards one route at a time and stands outside {_name(inner)}, which guards the "
            f"whole call: put {_name(inner)} further out"
        )
    if isinstance(outer, Layer) and isinstance(inner, Layer):
        reason = outer.not_outside.get(inner.kind)
        if reason:
            raise ValueError(f"{outer.name} must not stand outside {inner.name}: {reason}")
    if isinstance(inner, Layer):
        kind = outer.kind if isinstance(outer, Layer) else ""
        reason = inner.not_inside.get(kind) or (inner.not_inside.get("*") if kind not in inner.but_inside else None)
        if reason:
            raise ValueError(f"{inner.name} must not stand inside {_name(outer)}: {reason}")


def _unique(layers: Sequence[Any]) -> None:
    seen: set[tuple[str, str]] = set()
    for layer in layers:
        if isinstance(layer, Layer):
            if (layer.name, layer.scope) in seen:
                raise ValueError(
                    f"two layers of scope {layer.scope!r} are called {layer.name!r}: give one of them another name=..."
                )
            seen.add((layer.name, layer.scope))


def _nested(layers: Sequence[Any], handler: Any) -> None:
    leaves = [route.handler for _, route in handler.leaves()] if isinstance(handler, Router) else [handler]
    inside: set[str] = set().union(*(told_by(leaf, "names", frozenset()) for leaf in leaves))
    for layer in layers:
        if isinstance(layer, Layer) and layer.scope == "route" and layer.name in inside:
            raise ValueError(
                f"{layer.name} stands in this stack and in a stack that is one of its routes, so they would "
                f"multiply: take one out, or give the outer one scope='call'"
            )


def _is_route(layer: Any) -> bool:
    return isinstance(layer, Layer) and layer.scope == "route"


def _kinds(layers: Iterable[Any]) -> set[str]:
    return {layer.kind for layer in layers if isinstance(layer, Layer)}


def _name(layer: Any) -> str:
    return layer.name if isinstance(layer, Layer) else getattr(layer, "__name__", type(layer).__name__)

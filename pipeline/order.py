"""Which orders and options of layers make sense, checked when a stack is built.

The rules belong to the layers (`Layer.not_outside`, `Layer.not_inside`, `Layer.verify`); this file only reads them, so
the pipeline knows no concern by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from .layer import Layer
from .router import Router, label
from .through import leaves_of, told_by

__all__ = ["completed", "verify"]


def completed(layers: Sequence[Any]) -> tuple[Any, ...]:
    """The list with the companions that its layers need and that are missing, outermost."""
    result = list(layers)
    for layer in layers:
        companion = layer.companion() if isinstance(layer, Layer) else None
        if companion is not None and companion.kind not in _kinds(result):
            result.insert(0, companion)
    return tuple(result)


def verify(layers: Sequence[Any], handler: Any, cap: int) -> None:
    """Refuses an order, options or a cap that make no sense.

    Raises:
        ValueError: with the layers and the reason.
    """
    for position, outer in enumerate(layers):
        for inner in layers[position + 1 :]:
            _pair(outer, inner, over_router=isinstance(handler, Router))
    _unique(layers)
    leaves = _leaves(handler)
    _nested(layers, leaves)
    for layer in layers:
        if isinstance(layer, Layer):
            for path, leaf in leaves:
                layer.verify(path, leaf)
    if cap < (count := leaves_of(handler)):
        raise ValueError(
            f"cap={cap} is smaller than the number of routes, {count}, so that some could never be tried: "
            f"make it {count} or more"
        )


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


def _leaves(handler: Any) -> list[tuple[str, Any]]:
    if isinstance(handler, Router):
        return [(path, route.handler) for path, route in handler.leaves()]
    return [(label(handler), handler)]


def _nested(layers: Sequence[Any], leaves: Sequence[tuple[str, Any]]) -> None:
    inside: set[str] = set().union(*(told_by(leaf, "names", frozenset()) for _, leaf in leaves))
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

"""What a stack looks like: as plain data, and drawn as a tree."""

from __future__ import annotations

from typing import Any

from .layer import AsyncBound, Bound
from .plain import Nested, Plain
from .router import Router
from .through import inward

__all__ = ["describe", "draw"]


def describe(handler: Any, off: frozenset[str]) -> dict[str, Any]:
    """What a handler is made of: `layers` outside in, then either a `router` with its `routes`, or a `leaf`."""
    layers: list[str] = []
    item = handler
    for item in inward(handler):
        if isinstance(item, (Bound, AsyncBound)):
            if item.layer.kind != "count":
                layers.append(f"{item.name} (off)" if item.name in off else item.name)
        elif isinstance(item, Plain):
            layers.append(item.name)
        elif isinstance(item, Nested):
            inner = item.handler.described(off)
            return {**inner, "layers": [*layers, *inner["layers"]]}
        elif isinstance(item, Router):
            routes = [
                {"route": route.name, "model": route.model or "", **describe(route.handler, off)}
                for route in item.routes
            ]
            return {"layers": layers, "router": item.kind, "manner": item.manner, "routes": routes}
    return {"layers": layers, "leaf": _leaf(item), "checked": callable(getattr(item, "check", None))}


def draw(description: dict[str, Any]) -> str:
    """The tree, one line per route."""
    return "\n".join(_lines(description)).rstrip()


def _lines(node: dict[str, Any]) -> list[str]:
    if "leaf" in node:
        return [_chain(node)]
    above = " → ".join(node["layers"])
    head = f"{node['router']}  {node['manner']}".rstrip()
    lines = [above, f"└─ {head}"] if above else [head]
    indent = "   " if above else ""
    routes = node["routes"]
    wide = max(len(route["route"]) for route in routes)
    models = max(len(route["model"]) for route in routes)
    for number, route in enumerate(routes):
        last = number == len(routes) - 1
        start = f"{indent}{'└─' if last else '├─'} {route['route']:<{wide}}  {route['model']:<{models}}"
        below = _lines(route)
        if "leaf" in route:
            lines.append(f"{start}   {below[0]}")
        else:
            lines.append(start.rstrip())
            lines += [f"{indent}{'   ' if last else '│  '}{line}" for line in below]
    return lines


def _chain(node: dict[str, Any]) -> str:
    return " → ".join([*node["layers"], node["leaf"] + ("" if node["checked"] else " (unchecked)")])


def _leaf(item: Any) -> str:
    name = getattr(item, "__name__", "")
    return name if isinstance(name, str) and name and name != "<lambda>" else type(item).__name__

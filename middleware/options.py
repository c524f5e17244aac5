"""Checks of layer options at construction: a wrong option names the field and the range."""

from __future__ import annotations

import sys

from ..pipeline import Layer

__all__ = ["count", "fraction", "identity", "seconds"]


def seconds(layer: object, name: str, value: object, *, zero: bool = False) -> None:
    """Refuses what is no finite number of seconds above 0 (or from 0 on, if `zero`).

    Raises:
        ValueError: naming the layer, the option and the range.
    """
    good = not isinstance(value, bool) and isinstance(value, (int, float)) and value <= sys.float_info.max
    if not good or value < 0 or (value == 0 and not zero):  # type: ignore[operator]
        expected = "0 or more seconds" if zero else "a positive number of seconds"
        raise ValueError(f"{type(layer).__name__}({name}=...) must be {expected}, not {value!r}")


def count(layer: object, name: str, value: object) -> None:
    """Refuses what is no whole number from 1 on.

    Raises:
        ValueError: naming the layer, the option and the range.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{type(layer).__name__}({name}=...) must be a whole number from 1 on, not {value!r}")


def fraction(layer: object, name: str, value: object) -> None:
    """Refuses what is not above 0 and at most 1.

    Raises:
        ValueError: naming the layer, the option and the range.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 1:
        raise ValueError(f"{type(layer).__name__}({name}=...) must be above 0 and at most 1, not {value!r}")


def identity(layer: Layer) -> None:
    """Refuses a name that a switch could not name, and what is no scope: a misspelt one would guard something else.

    Raises:
        ValueError: naming the layer and what is expected.
    """
    kind, name = type(layer).__name__, layer.name
    if not isinstance(name, str) or not name or not name.isprintable() or set(name) & set(", "):
        raise ValueError(f"{kind}(name=...) must be a word without blanks and commas, not {name!r}")
    if layer.scope not in ("route", "call"):
        raise ValueError(f"{kind}(scope=...) must be 'route' or 'call', not {layer.scope!r}")

"""Names that a package hands on when they are first used, so that what is not used is not loaded."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

__all__ = ["handing_on"]


def handing_on(package: str, homes: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Makes a package's `__getattr__` and `__dir__` (PEP 562).

    The package hides the assignment from type checkers, and imports the names for them instead: a `__getattr__` that
    they see lets every misspelt name pass.

    Args:
        package: the package's `__name__`.
        homes: from each name to the module of the package that has it.
    """
    module = sys.modules[package]

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(f".{homes[name]}", package), name)
        setattr(module, name, value)  # so that it is looked up once
        return value

    return get, lambda: sorted({*vars(module), *homes})

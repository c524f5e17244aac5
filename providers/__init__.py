"""The front door: what an application holds. Names are handed on lazily."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .chain import ProviderChain as ProviderChain
    from .manager import ProviderManager as ProviderManager
    from .provider import Provider as Provider
    from .registry import create_provider as create_provider

_HOME = {
    "Provider": "provider",
    "ProviderChain": "chain",
    "ProviderManager": "manager",
    "create_provider": "registry",
}

__all__ = ["Provider", "ProviderChain", "ProviderManager", "create_provider"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

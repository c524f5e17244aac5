"""The front door: what an application holds. Names are handed on lazily."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..pipeline.lazy import handing_on

if TYPE_CHECKING:
    from .chain import ProviderChain as ProviderChain
    from .manager import ProviderManager as ProviderManager
    from .protection import protect as protect
    from .provider import Provider as Provider
    from .registry import create_provider as create_provider
    from .telemetry import Telemetry as Telemetry
    from .telemetry import export as export

_HOMES = {
    "Provider": "provider",
    "ProviderChain": "chain",
    "ProviderManager": "manager",
    "Telemetry": "telemetry",
    "create_provider": "registry",
    "export": "telemetry",
    "protect": "protection",
}

__all__ = ["Provider", "ProviderChain", "ProviderManager", "Telemetry", "create_provider", "export", "protect"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = handing_on(__name__, _HOMES)

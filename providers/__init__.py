"""The front door: what an application holds. Names are handed on lazily."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..pipeline.lazy import handing_on

if TYPE_CHECKING:
    from .alerts import LogAlert as LogAlert
    from .alerts import WebhookAlert as WebhookAlert
    from .chain import AsyncProviderChain as AsyncProviderChain
    from .chain import ProviderChain as ProviderChain
    from .manager import AsyncProviderManager as AsyncProviderManager
    from .manager import ProviderManager as ProviderManager
    from .protection import protect as protect
    from .provider import AsyncProvider as AsyncProvider
    from .provider import Provider as Provider
    from .registry import create_async_provider as create_async_provider
    from .registry import create_provider as create_provider
    from .status_server import serve_status as serve_status
    from .telemetry import Telemetry as Telemetry
    from .telemetry import export as export

_HOMES = {
    "LogAlert": "alerts",
    "AsyncProvider": "provider",
    "AsyncProviderChain": "chain",
    "AsyncProviderManager": "manager",
    "Provider": "provider",
    "ProviderChain": "chain",
    "ProviderManager": "manager",
    "Telemetry": "telemetry",
    "WebhookAlert": "alerts",
    "create_async_provider": "registry",
    "create_provider": "registry",
    "export": "telemetry",
    "protect": "protection",
    "serve_status": "status_server",
}

__all__ = [
    "AsyncProvider",
    "AsyncProviderChain",
    "AsyncProviderManager",
    "LogAlert",
    "Provider",
    "ProviderChain",
    "ProviderManager",
    "Telemetry",
    "WebhookAlert",
    "create_async_provider",
    "create_provider",
    "export",
    "protect",
    "serve_status",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = handing_on(__name__, _HOMES)

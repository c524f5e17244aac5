"""The front door: what an application holds. Names are handed on lazily."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..pipeline.lazy import handing_on

if TYPE_CHECKING:
    from .alerts import LogAlert as LogAlert
    from .alerts import WebhookAlert as WebhookAlert
    from .chain import ProviderChain as ProviderChain
    from .manager import ProviderManager as ProviderManager
    from .provider import Provider as Provider
    from .registry import create_provider as create_provider
    from .status_server import serve_status as serve_status

_HOMES = {
    "LogAlert": "alerts",
    "Provider": "provider",
    "ProviderChain": "chain",
    "ProviderManager": "manager",
    "WebhookAlert": "alerts",
    "create_provider": "registry",
    "serve_status": "status_server",
}

__all__ = [
    "LogAlert",
    "Provider",
    "ProviderChain",
    "ProviderManager",
    "WebhookAlert",
    "create_provider",
    "serve_status",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = handing_on(__name__, _HOMES)

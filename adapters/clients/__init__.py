"""Existing clients and functions as handlers. Nothing is imported unless it is wrapped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...pipeline.lazy import handing_on

if TYPE_CHECKING:
    from .callables import AsyncCallableHandler, CallableHandler, from_callable
    from .copies import Kind, is_protected, kind_of, without_retries
    from .failures import classify_native, is_failure
    from .handler import AsyncClientHandler, ClientHandler, from_client

_HOMES = {
    "AsyncCallableHandler": "callables",
    "AsyncClientHandler": "handler",
    "CallableHandler": "callables",
    "ClientHandler": "handler",
    "Kind": "copies",
    "classify_native": "failures",
    "from_callable": "callables",
    "from_client": "handler",
    "is_failure": "failures",
    "is_protected": "copies",
    "kind_of": "copies",
    "without_retries": "copies",
}

__all__ = [
    "AsyncCallableHandler",
    "AsyncClientHandler",
    "CallableHandler",
    "ClientHandler",
    "Kind",
    "classify_native",
    "from_callable",
    "from_client",
    "is_failure",
    "is_protected",
    "kind_of",
    "without_retries",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = handing_on(__name__, _HOMES)

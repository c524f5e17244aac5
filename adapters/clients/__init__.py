"""Existing clients and functions as handlers. Nothing is imported unless it is wrapped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...pipeline.lazy import handing_on

if TYPE_CHECKING:
    from .copies import Kind, kind_of, without_retries
    from .failures import classify_native, is_failure

_HOMES = {
    "Kind": "copies",
    "classify_native": "failures",
    "is_failure": "failures",
    "kind_of": "copies",
    "without_retries": "copies",
}

__all__ = ["Kind", "classify_native", "is_failure", "kind_of", "without_retries"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = handing_on(__name__, _HOMES)

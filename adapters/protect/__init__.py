"""Existing clients that stay what they are to their callers: what `providers.protection` joins to layers.

A protected client is a copy whose class has one door of its own, the method through which every resource of the client
sends. What goes through it travels as `Request.native`; below the stack it leaves through the client's own door.
Nothing is imported that the client has not imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...pipeline.lazy import handing_on

if TYPE_CHECKING:
    from .clients import protected
    from .fitted import FittedRoute
    from .route import NativeRoute

_HOMES = {"FittedRoute": "fitted", "NativeRoute": "route", "protected": "clients"}

__all__ = ["FittedRoute", "NativeRoute", "protected"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = handing_on(__name__, _HOMES)

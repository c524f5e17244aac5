"""Watcher: an observer that keeps score of the stacks that it is given to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from .clock import Clock
from .events import Event

__all__ = ["Watched", "Watcher"]


class Watched(Protocol):
    """What a watcher sees of a stack."""

    @property
    def clock(self) -> Clock:
        """Time of its calls."""

    def running(self) -> Mapping[str, tuple[Any, ...]]:
        """The running halves of the layers on the way to each route, by the route's path."""


@runtime_checkable
class Watcher(Protocol):
    """An observer that is told which stacks it watches, and knows how their routes are doing. Health is one."""

    def __call__(self, event: Event) -> None:
        """Listens to one event."""

    def watch(self, stack: Watched) -> None:
        """Takes note of a stack that has been built with this observer."""

    def status(self, *stacks: Watched) -> dict[str, dict[str, Any]]:
        """How each route of these stacks is doing, by its path."""

"""Through: what stands around a handler in a stack, so that the stack can see through it to the leaf.

A layer in its driver, a plain middleware and a router on the event loop are all of this kind. What is not is a leaf
for the stack, whatever attributes it may have: it is never looked into.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

from .errors import Problem
from .request import Request
from .timeouts import Timeouts

__all__ = ["Through", "check_of", "direct", "inward", "leaves_of", "told_by"]

T = TypeVar("T")


class Through:
    """A handler around another one; what it tells of itself is what the one further in tells.

    Attributes:
        handler: the one further in.
        name: what `print(stack)`, `disable` and `part` call it; "" if it is not shown.
        route: the path of the route that it belongs to; "" outside all routes.
        provider: who answers there.
        timeouts: of an attempt there, or None.
        leaf_count: how many leaf routes are further in.
    """

    __slots__ = ("_check", "handler", "leaf_count", "name", "provider", "route", "timeouts")

    def __init__(self, handler: Any, name: str = "", route: str = "", provider: str = "") -> None:
        self.handler = handler
        self._check: Any = check_of(handler)
        self.name = name
        self.route = route or told_by(handler, "route", "")
        self.provider = provider or told_by(handler, "provider", "")
        self.timeouts: Timeouts | None = told_by(handler, "timeouts", None, Timeouts)
        self.leaf_count = leaves_of(handler)

    def __call__(self, request: Request) -> Any:
        """Hands the request on, in whatever way it does."""
        raise NotImplementedError

    def check(self, request: Request) -> tuple[Problem, ...]:
        """What is wrong with the request, as the handler further in sees it."""
        return () if self._check is None else tuple(self._check(request))


def told_by(handler: Any, name: str, default: T, kind: type | None = None) -> T:
    """What a handler tells of itself, if it is of the right kind: a stand-in in somebody's test tells anything."""
    found: Any = getattr(handler, name, default)
    right = isinstance(found, kind or type(default))
    return found if right else default


def leaves_of(handler: Any) -> int:
    """How many leaf routes a handler stands for; 1 unless it knows better."""
    return told_by(handler, "leaf_count", 1)


def check_of(handler: Any) -> Any:
    """The `check` of a handler, or None: that of the leaf itself, however many layers stand around it."""
    return handler._check if isinstance(handler, Through) else getattr(handler, "check", None)


def direct(handler: Any) -> Any:
    """What to call in place of a handler: of one of this kind its method, which Python would look up for each call."""
    return handler.__call__ if isinstance(handler, Through) else handler


def inward(handler: Any) -> Iterator[Any]:
    """The handler and everything that it stands around, outside in, down to the leaf."""
    yield handler
    while isinstance(handler, Through):
        handler = handler.handler
        yield handler

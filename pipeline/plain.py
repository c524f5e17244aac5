"""What stands in a stack without being a Layer, so that the stack can see through it."""

from __future__ import annotations

from typing import Any

from .errors import Problem
from .request import Request

__all__ = ["Plain"]


class Plain:
    """A handler that no driver runs: what a plain `def outer(handler)` made, or a Stack that is a route.

    It only hands the request on; its attributes are those of what is further in, as with a bound layer.
    """

    __slots__ = ("_target", "driven", "handler", "leaf_count", "name", "provider", "route", "timeouts")

    def __init__(self, target: Any, handler: Any, *, name: str = "", route: str = "", provider: str = "") -> None:
        """Wraps what is called and what is next inside.

        Args:
            target: what is called.
            handler: what it leads to.
            name: what `print(stack)` shows; nothing unless given.
            route: the path of the route, if it is one.
            provider: who answers there.
        """
        self._target = target
        self.handler = handler
        self.name = name
        self.route: str = route or getattr(handler, "route", "")
        self.provider: str = provider or getattr(handler, "provider", "")
        self.timeouts: Any = getattr(handler, "timeouts", None)
        self.leaf_count: int = getattr(handler, "leaf_count", 1)
        self.driven: bool = getattr(target, "driven", False)

    def __call__(self, request: Request) -> Any:
        """Hands the request on."""
        return self._target(request)

    def check(self, request: Request) -> tuple[Problem, ...]:
        """What is wrong with the request, as the handler further in sees it."""
        check = getattr(self.handler, "check", None)
        return () if check is None else tuple(check(request))

    def __repr__(self) -> str:
        return repr(self._target)

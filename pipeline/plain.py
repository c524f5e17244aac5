"""What stands in a stack without being a Layer, so that the stack can see through it."""

from __future__ import annotations

from typing import Any

from .request import Request
from .through import Through

__all__ = ["Nested", "Plain"]


class Plain(Through):
    """What a plain `def outer(handler)` made. No driver runs it; it is only called."""

    __slots__ = ("_made",)

    def __init__(self, made: Any, handler: Any, name: str) -> None:
        """Keeps what is called and what is further in.

        Args:
            made: what the middleware returned.
            handler: what it was given.
            name: of the middleware, for `print(stack)`.
        """
        super().__init__(handler, name)
        self._made = made

    def __call__(self, request: Request) -> Any:
        """Hands the request on."""
        return self._made(request)

    def __repr__(self) -> str:
        return repr(self._made)


class Nested(Through):
    """A Stack as a route of another: its own routes are told under this route's path."""

    __slots__ = ()
    driven = True

    def __call__(self, request: Request) -> Any:
        """Hands the request on, as one of this route."""
        return self.handler(request.on(self.route))

    def __repr__(self) -> str:
        return repr(self.handler)

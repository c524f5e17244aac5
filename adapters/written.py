"""What was written of a request to check it, kept in its call until it is sent: no body is made twice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..pipeline import Request

__all__ = ["Written", "forget", "keep", "known", "take"]

_SLOT = "mainstay.written"  # in call.slots


class Written(NamedTuple):
    """A body that a codec has written, of what, and what it did to the caller's parameters."""

    codec: Any
    request: Request
    body: bytes
    changes: Mapping[str, str]

    def by(self, codec: Any, request: Request) -> bool:
        """Whether that codec would write the same of that request."""
        mine, own = self.request, self.codec
        return (
            (mine is request or (mine.model == request.model and mine.stream == request.stream))
            and mine.messages is request.messages
            and mine.params is request.params
            and (own is codec or (type(own) is type(codec) and vars(own) == vars(codec)))
        )


def keep(written: Written) -> None:
    """Keeps it for its call, unless something is kept: that is of the route which is tried first."""
    written.request.call.slots.setdefault(_SLOT, written)


def known(codec: Any, request: Request) -> bool:
    """Whether what is kept is what that codec would write."""
    found: Written | None = request.call.slots.get(_SLOT)
    return found is not None and found.by(codec, request)


def take(codec: Any, request: Request) -> Written | None:
    """What is kept, if that codec would write it; taken out, so that a long stream does not hold it."""
    found: Written | None = request.call.slots.pop(_SLOT, None)
    return found if found is not None and found.by(codec, request) else None


def forget(request: Request) -> None:
    """Keeps nothing any longer."""
    request.call.slots.pop(_SLOT, None)

"""Deadline: a bound on the whole call, sleeps and other routes included."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar, TypeAlias

from ..pipeline import Call, Layer, Reply, Request, Scope
from ..pipeline.around import Around
from ..pipeline.longest import Longest
from . import options

__all__ = ["Deadline"]

_Kept: TypeAlias = tuple[Call, float | None]  # of a call: its ledger, and the deadline outside


@dataclass(frozen=True)
class Deadline(Around, Layer):
    """Gives the call a moment after which nothing is begun, and at which every wait ends.

    The layer itself only writes the moment down (`call.deadline`). Transports clamp every read to it, drivers
    refuse a sleep that would pass it, and it goes on ruling a stream until its end. A plain synchronous
    function as a handler cannot be interrupted: it ends when it ends, and then nothing more is tried.

    A deadline inside another one is never later than the outer one.

    Args:
        seconds: how long the call may take in all, more than 0; 600 s, as the official clients.

    Raises:
        ValueError: if `seconds` is not a positive number.
    """

    seconds: float = 600.0
    name: str = "deadline"
    scope: Scope = "call"
    kind: ClassVar[str] = "deadline"
    not_inside: ClassVar[dict[str, str]] = {
        "*": "a deadline bounds everything, sleeps and other routes too, so only what watches may be outside it"
    }
    but_inside: ClassVar[frozenset[str]] = frozenset({"trace_call", "deadline", "metrics", "log"})

    def __post_init__(self) -> None:
        options.seconds(self, "seconds", self.seconds)
        options.identity(self)

    def longest(self, inner: Longest, others: bool) -> Longest:
        """Nothing takes longer in all."""
        return inner.within(self.seconds)

    def rehearsal(self) -> Deadline:
        """Itself: it keeps nothing."""
        return self

    def before(self, request: Request) -> _Kept:
        """Sets the deadline for what is inside."""
        call = request.call
        outer = call.deadline
        own = call.clock.now() + self.seconds
        call.deadline = own if outer is None or own < outer else outer
        return call, outer

    def after(self, kept: _Kept, reply: Reply) -> None:
        """Gives the outer deadline back when the reply is over; a stream goes on under the inner one."""
        if reply.outcome is None:
            reply.on_end(partial(_give_back, kept))
        else:
            _give_back(kept)

    def failed(self, kept: _Kept, error: BaseException) -> None:
        """Gives the outer deadline back."""
        _give_back(kept)


def _give_back(kept: _Kept, reply: Reply | None = None) -> None:
    call, outer = kept
    call.deadline = outer

"""What handlers are told to do in turn, and what of a call can be compared with another one."""

from __future__ import annotations

from functools import partial
from typing import Any

from ..call import Attempt
from ..errors import AuthenticationFailed, InvalidRequest, QuotaExceeded, Unavailable
from ..events import AttemptStarted
from ..reply import Reply
from .leaves import Flow

__all__ = ["attempts", "ledger", "outcome", "scripts"]


def scripts() -> dict[str, tuple[list[list[Any]], str]]:
    """What the handlers of routes do, call by call, and what the caller does with the reply."""
    return {
        "an answer": ([["answer"]], "keep"),
        "an answer at the second try": ([[Unavailable, "answer"]], "keep"),
        "a route that is down": ([[Unavailable], ["from b"]], "keep"),
        "two routes with no key and no credit, and one that is down": (
            [[AuthenticationFailed], [QuotaExceeded], [Unavailable]],
            "keep",
        ),
        "a wrong request": ([[InvalidRequest], ["never"]], "keep"),
        "a stream that breaks before its first token": (
            [[_breaking, Flow]],
            "read",
        ),
        "a stream that breaks after its first token": ([[partial(_breaking, "x")]], "read"),
        "a stream that is cut": ([[partial(Flow, whole=False)], ["never"]], "read"),
        "a stream": ([[Flow], ["never"]], "read"),
    }


def attempts(result: Any, heard: list[Any]) -> list[Attempt]:
    """The ledger of a call, from its reply, its error, or what was heard of it."""
    found = getattr(result, "attempts", None)
    return list(found) if found is not None else [e.attempt for e in heard if isinstance(e, AttemptStarted)]


def ledger(made: list[Attempt]) -> list[tuple[Any, ...]]:
    """What of a ledger can be compared."""
    return [(a.number, a.route, a.model, a.resend, a.outcome, a.error_class, a.reason, a.usage) for a in made]


def outcome(result: Any) -> tuple[Any, ...]:
    """What of a result can be compared, in both worlds."""
    if isinstance(result, Reply):
        return ("reply", result.outcome, result.partial.text)
    return (type(result).__name__, str(result))


def _breaking(*texts: str) -> Flow:
    return Flow(texts, error=Unavailable())

"""What a layer owes to errors, and to those who listen."""

from __future__ import annotations

from functools import partial
from typing import Any

from ..errors import ErrorClass, ProviderError, Unavailable
from .bench import Bench, claim
from .scripts import attempts, ledger, outcome
from .worlds import Script

__all__ = ["CLAUSES"]


def errors_pass_unchanged(bench: Bench) -> Script:
    """The class of an error decides what every layer further out does, and its cause is what a person looks for."""
    stop = bench.world.stop
    for error in (*map(ProviderError.of, ErrorClass), ValueError("a bug"), stop("stop")):
        kind = type(error).__name__
        error.__cause__ = cause = OSError("a socket")
        leaf = bench.world.leaf(error)
        got = yield from bench.result(bench.stack(leaf))
        if bench.raises and isinstance(got, bench.raises):
            claim(error in _causes(got), f"it raised {got!r} in place of {kind}, without it as a cause")
            continue
        claim(got is error, f"the handler raised {kind}, and the caller got {got!r}")
        claim(error.__cause__ is cause, f"the cause of {kind} was {cause!r}, and then {error.__cause__!r}")
        if isinstance(error, (ValueError, stop)):
            claim(leaf.calls == 1, f"the handler raised {kind}, and was called again: {leaf.calls} times in all")


def _causes(error: BaseException) -> list[BaseException]:
    found = [error]
    while (cause := found[-1].__cause__) is not None:
        found.append(cause)
    return found


def an_observer_that_raises_changes_nothing(bench: Bench) -> Script:
    """Observers are other people's code: `call.emit` logs one that raises, and no call suffers for it."""

    def broken(event: Any) -> None:
        raise RuntimeError("an observer")

    for make in ("answer", Unavailable, partial(ValueError, "a bug")):
        told = []
        for observers in ([], [broken]):
            leaves = bench.world.leaf(make), bench.world.leaf("from b")
            result = yield from bench.result(bench.stack(*leaves, observers=observers))
            told.append((outcome(result), ledger(attempts(result, [])), [leaf.calls for leaf in leaves]))
        claim(told[0] == told[1], f"a call came to {told[0]}, and with an observer that raises to {told[1]}")


CLAUSES = (errors_pass_unchanged, an_observer_that_raises_changes_nothing)

"""The contract as a list of checks: each clause in each world, bound to one layer."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..layer import Layer
from ..request import Request
from ..router import Router
from . import at_rest, calls, errors, streams
from .bench import Bench
from .worlds import Loop, Threads

__all__ = ["Check", "ContractBroken", "contract"]

_IN_EACH_WORLD: tuple[Callable[[Bench], Any], ...] = (*calls.CLAUSES, *errors.CLAUSES, *streams.CLAUSES)


class ContractBroken(AssertionError):
    """A layer does not keep a clause; the message says which one, what the layer did, and why it matters."""


@dataclass(frozen=True, eq=False)
class Check:
    """One clause of the contract for one layer. Call it: it says nothing, or raises ContractBroken.

    Attributes:
        clause: its name, such as "errors_pass_unchanged".
        world: "threads" or "asyncio"; "" for what concerns both or neither.
        why: why the clause matters.
    """

    clause: str
    world: str
    why: str
    _bench: Bench = field(repr=False)
    _run: Callable[[Bench], Any] = field(repr=False)

    def __str__(self) -> str:
        return f"{self.clause}-{self.world}" if self.world else self.clause

    def __call__(self) -> None:
        """Runs the check. Not on an event loop: it makes one of its own.

        Raises:
            ContractBroken: if the layer does not keep the clause.
        """
        try:
            steps = self._run(self._bench)
            if inspect.isgenerator(steps):
                self._bench.world.drive(steps)
        except AssertionError as error:
            raise self._broken(str(error)) from None
        except Exception as error:
            raise self._broken(f"it raised {type(error).__name__}: {error}") from error

    def _broken(self, what: str) -> ContractBroken:
        where = f" ({self.world})" if self.world else ""
        words = self.clause.replace("_", " ")
        return ContractBroken(f"layer {self._bench.layer.name!r}, {words}{where}: {what}.\n{self.why}")


def contract(
    layer: Layer,
    *,
    ask: Request | None = None,
    router: Callable[..., Router] | None = None,
    raises: type[BaseException] | tuple[type[BaseException], ...] = (),
    limit: int | None = None,
    wrong: Mapping[str, Collection[Any]] | None = None,
) -> list[Check]:
    """The checks for one layer.

    A clause that is not meant for a layer is left out by its name:
    `[check for check in contract(layer) if check.clause != "it_pickles"]`.

    Args:
        layer: a Layer, or what `@middleware` made. It is bound many times, and never changed.
        ask: the request to send, for a layer that takes only some; any text to any model unless given.
        router: makes the router that it stands over, of Routes, to test a router of one's own: `router=Fallback`.
        raises: the errors that the layer is meant to raise in place of others; each must have what it replaces as
            its cause.
        limit: how many calls it lets in at once, 1 or more, if it is meant to refuse more; None for no limit.
        wrong: values that its options must refuse, by option: `{"seconds": [0, -1, float("nan")]}`.

    Returns:
        One check for each clause and world; those about `limit` and `wrong` only if they were given.

    Raises:
        TypeError: if `layer` is no Layer.
        ValueError: if `limit` is below 1.
    """
    if isinstance(layer, type) or not isinstance(layer, Layer):
        raise TypeError(f"contract(layer) needs a Layer such as Retry(), not {layer!r}")
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise ValueError(f"contract(limit=...) must be a whole number from 1 on, or None, not {limit!r}")
    template = ask if ask is not None else Request("any-model", "Why is the sky blue?")
    meant = raises if isinstance(raises, tuple) else (raises,)
    threads, loop = (Bench(layer, world, template, router, meant, limit, wrong or {}) for world in (Threads(), Loop()))
    checks = [
        *(_check(clause, bench, bench.world.name) for clause in _IN_EACH_WORLD for bench in (threads, loop)),
        *(_check(clause, threads, "") for clause in at_rest.CLAUSES),
    ]
    asked = {"no_more_calls_than_its_limit": limit, "wrong_options_are_refused": wrong}
    return [check for check in checks if asked.get(check.clause, True)]


def _check(clause: Callable[[Bench], Any], bench: Bench, world: str) -> Check:
    return Check(clause.__name__, world, inspect.getdoc(clause) or "", bench, clause)

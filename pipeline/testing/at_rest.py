"""What a layer owes when no call is under way, and what both worlds owe each other."""

from __future__ import annotations

import dataclasses
import pickle
from copy import copy
from typing import Any

from ..call import Call
from ..clock import VirtualClock
from ..errors import Unavailable
from ..layer import Run, Within, drive
from ..reply import Reply
from ..request import Request
from .bench import Bench, claim
from .leaves import Leaf
from .scripts import attempts, ledger, outcome, scripts
from .worlds import Loop, Script, Threads

__all__ = ["CLAUSES"]


def wrong_options_are_refused(bench: Bench) -> None:
    """A wrong number in a configuration is found where it stands, or at night by somebody else."""
    kind = type(bench.layer)
    for name, values in bench.wrong.items():
        for value in values:
            try:
                if dataclasses.is_dataclass(bench.layer):
                    dataclasses.replace(bench.layer, **{name: value})
                else:
                    kind(**{name: value})
            except (ValueError, TypeError) as error:
                claim(name in str(error), f"{kind.__name__}({name}={value!r}) was refused without its name: {error}")
            else:
                claim(False, f"{kind.__name__}({name}={value!r}) was taken")


def it_is_frozen(bench: Bench) -> None:
    """One layer may stand in many stacks: who changes an option of it changes all of them, while they run."""
    before = _inside(bench.layer)
    if dataclasses.is_dataclass(bench.layer):
        for field in dataclasses.fields(bench.layer):
            try:
                setattr(bench.layer, field.name, getattr(bench.layer, field.name))
            except AttributeError:
                continue
            claim(False, f"its option {field.name!r} can be changed: write @dataclass(frozen=True)")
    stack = bench.stack(bench.world.leaf("answer", Unavailable, "answer"))
    for _ in range(3):
        bench.world.drive(bench.settled(stack, "keep"))
    after = _inside(bench.layer)
    changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    claim(not changed, f"calls change {', '.join(changed)} in it: what changes belongs to what `bind` makes")


def _inside(layer: Any) -> dict[str, Any]:
    attributes = getattr(layer, "__dict__", {})
    return {name: copy(it) if isinstance(it, (list, dict, set)) else it for name, it in attributes.items()}


def it_pickles(bench: Bench) -> None:
    """Configuration goes to other processes, with workers and queues; running state stays where it is."""
    twin = pickle.loads(pickle.dumps(bench.layer))  # noqa: S301 - what was pickled in the same line
    for name in ("name", "scope"):
        here, there = getattr(bench.layer, name), getattr(twin, name)
        claim(here == there, f"after a pickle its {name} is {there!r}, not {here!r}")
    reply = twin(lambda request: Reply("answer"))(bench.ask())
    claim(isinstance(reply, Reply), f"after a pickle a call came to {reply!r}")


def closing_the_generator_ends_it(bench: Bench) -> None:
    """A call that is given up is closed where it stands; a layer that then wants something done is never heard."""
    leaf = Leaf()
    running = bench.layer.bind(leaf)
    for _ in range(bench.often):
        steps = running.handle(bench.ask().under(Call(VirtualClock())))
        try:
            effect = next(steps)
            while not isinstance(effect, (Request, Within)):
                effect = steps.send(effect.function() if isinstance(effect, Run) else None)
        except StopIteration:
            return  # it answered by itself
        try:
            steps.close()
        except RuntimeError:
            claim(False, "it was closed at `yield request`, and yielded once more: no `yield` in a `finally`")
    request = bench.ask().under(Call(VirtualClock()))
    reply = drive(running.handle(request), leaf, request)
    claim(isinstance(reply, Reply), f"after {bench.often} calls were closed in the middle, the next came to {reply!r}")


def threads_and_asyncio_come_to_the_same(bench: Bench) -> None:
    """One text for two worlds is one text to be read, and to be right."""
    for name, (entries, end) in scripts().items():
        benches = (dataclasses.replace(bench, world=world) for world in (Threads(), Loop()))
        told = [one.world.drive(_told(one, entries, end)) for one in benches]
        claim(told[0] == told[1], f"in threads a call came to {told[0]}, on asyncio to {told[1]} ({name})")


def _told(bench: Bench, entries: list[list[Any]], end: str) -> Script:
    heard: list[Any] = []
    leaves = [bench.world.leaf(*script) for script in entries]
    stack = bench.stack(*leaves, observers=[heard.append])
    result = yield from bench.result(stack, end)
    events = [type(event).__name__ for event in heard]
    return outcome(result), ledger(attempts(result, heard)), stack.clock.slept, events


CLAUSES = (
    wrong_options_are_refused,
    it_is_frozen,
    it_pickles,
    closing_the_generator_ends_it,
    threads_and_asyncio_come_to_the_same,
)

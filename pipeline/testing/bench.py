"""The bench: one layer in stacks over scripted handlers, and what may become of a call."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ..clock import VirtualClock
from ..errors import ErrorClass, ProviderError, Unavailable
from ..layer import Layer, Running, Steps, Via
from ..request import Request
from ..router import Route, Router
from .leaves import Flow
from .worlds import Script, World

__all__ = ["LONG", "MANY", "Bench", "Watched", "claim", "complaints"]

LONG = 1e6
"""Seconds after which every break and every rest is over."""

MANY = 16
"""How many calls a layer without a limit of its own is given at once."""


def claim(true: object, otherwise: str) -> None:
    """Says what the layer did, if something is not true. (An `assert` would be gone under `python -O`.)"""
    if not true:
        raise AssertionError(otherwise)


class Message(dict[str, Any]):
    """A message that can be watched, to see whether anything keeps it alive."""

    __slots__ = ("__weakref__",)


class Next(Router):
    """Tries its routes in order, and nothing else."""

    def handle(self, request: Request) -> Steps:
        outside = request.call.routes_left
        for left in range(len(self.routes) - 1, -1, -1):
            request.call.routes_left = outside + left
            try:
                return (yield Via(self.routes[-1 - left], request))  # type: ignore[no-any-return]
            except ProviderError:
                if left == 0 or request.call.attempts_left <= 0:
                    raise
            finally:
                request.call.routes_left = outside
        raise AssertionError("unreachable")


@dataclass(frozen=True)
class Bench:
    """One layer in one world, with what the contract was told about it."""

    layer: Layer
    world: World
    template: Request
    router: Callable[..., Router] | None
    raises: tuple[type[BaseException], ...]
    limit: int | None
    wrong: Mapping[str, Collection[Any]]

    @property
    def often(self) -> int:
        """How often something goes wrong until whatever leaks has leaked: once more than the layer has places."""
        return (self.limit or MANY) + 1

    def ask(self, stream: bool = False, text: str = "") -> Request:
        """A new request, whose messages can be watched."""
        messages = [Message(message) for message in self.template.messages]
        if text:
            messages[-1]["content"] = text
        return Request(self.template.model, messages, self.template.params, stream)

    def stack(self, *leaves: Any, layers: Sequence[Layer] | None = None, **options: Any) -> Any:
        """The layer, or others, over one handler, or over a router whose routes are called a, b, c."""
        routes = [Route(name, leaf) for name, leaf in zip("abc", leaves, strict=False)]
        handler = leaves[0] if len(leaves) == 1 and self.router is None else (self.router or Next)(*routes)
        around = [self.layer] if layers is None else layers
        return self.world.stack(around, handler, **{"clock": VirtualClock(), **options})

    def use(self, stack: Any, end: str, request: Request | None = None) -> Script:
        """Makes a call and has its reply end in one of the ways that there are."""
        world = self.world
        reply = yield world.call(stack, request or self.ask(stream=end != "keep"))
        if end == "read":
            yield world.read(reply)
        elif end == "close":
            yield world.next(reply)
            yield world.close(reply)
        elif end == "leave":
            yield world.next(reply)
            yield world.leave(reply)
        elif end == "drop":
            yield world.next(reply)
            del reply
            yield world.pause()
            yield world.pause()
            return None
        return reply

    def result(self, stack: Any, end: str = "keep", request: Request | None = None) -> Script:
        """What a call comes to: the reply, or the error that was raised."""
        try:
            return (yield from self.use(stack, end, request))
        except GeneratorExit:
            raise
        except BaseException as error:  # noqa: BLE001 - the clause judges it
            return error

    def settled(self, stack: Any, end: str, request: Request | None = None) -> Script:
        """Makes a call whose result does not matter, and lets go of everything."""
        yield from self.result(stack, end, request)
        yield self.world.pause()

    def ways_out(self) -> dict[str, tuple[Callable[[], Any], str]]:
        """Every way for a call to end: what the handler does, and what the caller does with the reply."""
        stop = self.world.stop
        ways: dict[str, tuple[Callable[[], Any], str]] = {
            "a reply": (lambda: "answer", "keep"),
            "a bug in the handler": (lambda: ValueError("a bug"), "keep"),
            stop.__name__: (self.world.interrupted, "keep"),
            "a stream that was read": (Flow, "read"),
            "a stream that was closed early": (Flow, "close"),
            "a stream whose block was left": (Flow, "leave"),
            "a stream that was dropped": (Flow, "drop"),
            "a stream that broke": (lambda: Flow(error=Unavailable()), "read"),
            "a stream that was cut": (lambda: Flow(whole=False), "read"),
            f"{stop.__name__} in a stream": (lambda: Flow(error=stop()), "read"),
        }
        for kind in ErrorClass:
            ways[kind.name] = (lambda kind=kind: ProviderError.of(kind), "keep")  # type: ignore[misc]
        return ways


class Watched(Layer):
    """A layer that notes how often it was bound and how often it was asked; otherwise as the one that it is made of."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer
        self.bound = self.asked = 0
        for name in ("name", "scope", "kind", "not_outside", "not_inside", "but_inside"):
            setattr(self, name, getattr(layer, name))
        self.companion = layer.companion  # type: ignore[method-assign]

    def bind(self, handler: Any) -> Running:
        self.bound += 1
        return _Asked(self, self.layer.bind(handler))


class _Asked:
    def __init__(self, watched: Watched, running: Running) -> None:
        self._watched = watched
        self._running = running

    def handle(self, request: Request) -> Steps:
        self._watched.asked += 1
        return self._running.handle(request)


@contextmanager
def complaints() -> Iterator[list[str]]:
    """What this library logs as failed meanwhile: what raises at the end of a reply is logged, not raised."""
    told: list[str] = []

    class Listening(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.exc_info and record.exc_info[1] is not None:
                told.append(f"{record.getMessage()}: {record.exc_info[1]!r}")

    handler = Listening(logging.ERROR)
    logger = logging.getLogger("mainstay")
    logger.addHandler(handler)
    try:
        yield told
    finally:
        logger.removeHandler(handler)

"""Layer: a middleware written as a generator, so that one text serves threads and asyncio.

A layer's `handle` yields what it wants done and receives what came of it:

    class Shout(Layer):
        name = "shout"

        def handle(self, request):
            reply = yield request          # send it on; the reply comes back, or the error is raised here
            ...
            return reply

It does no I/O and never sleeps: two small drivers do, `Bound` for threads and `AsyncBound` for asyncio. A test
drives a layer by hand with `next`, `send` and `throw`. There are five effects that a layer may yield:

    Request   send it inward                      -> the Reply, or the error
    Within    send it inward in a `with` block    -> the Reply, or the error
    Via       send a request along a route        -> the Reply, or the error    (routers only)
    Sleep     let time pass                       -> None, or DeadlineExceeded if it does not fit
    Run       call a function that waits for I/O  -> its result                 (remote storage only)
"""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable, Generator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from types import GeneratorType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeAlias, overload

from .around import pieces
from .async_reply import AsyncReply
from .call import Call
from .reply import Reply
from .request import Request
from .through import Through, direct

if TYPE_CHECKING:
    from .router import Route

__all__ = [
    "AsyncBound",
    "AsyncHandler",
    "Bound",
    "Effect",
    "Handler",
    "Layer",
    "Middleware",
    "Run",
    "Running",
    "Scope",
    "Sleep",
    "Steps",
    "Via",
    "Within",
    "middleware",
    "send",
]

Handler: TypeAlias = Callable[[Request], Reply]
"""Anything that takes a Request and returns a Reply: an adapter, a router, a whole Stack."""

AsyncHandler: TypeAlias = Callable[[Request], Awaitable[Reply]]
"""A Handler for asyncio."""

Middleware: TypeAlias = Callable[[Handler], Handler]
"""Anything that takes a Handler and returns a Handler."""

Scope: TypeAlias = Literal["call", "route"]
"""What a layer guards: the whole call, or one route at a time."""


@dataclass(frozen=True, slots=True)
class Sleep:
    """Effect: let that many seconds pass. The driver raises DeadlineExceeded in its place if it does not fit."""

    seconds: float


@dataclass(slots=True)
class Via:
    """Effect: send the request along this route. For routers."""

    route: Route
    request: Request


@dataclass(frozen=True, slots=True)
class Run:
    """Effect: call a function that waits for remote storage; its result comes back."""

    function: Callable[[], Any]


@dataclass(slots=True, eq=False)  # not frozen: one is made for each attempt, in half the time
class Within:
    """Effect: send the request inward in a `with` block, for libraries that keep something "current".

    The driver enters and leaves the block around the handler, in one thread or one task. A layer must not do so
    around its `yield`: it may be resumed elsewhere. Of a stream, the block ends when the first event is in hand.
    """

    manager: AbstractContextManager[object]
    request: Request


Effect: TypeAlias = Request | Within | Via | Sleep | Run
Steps: TypeAlias = Generator[Effect, Any, Reply]
"""What `handle` is: a generator of effects that returns the reply."""


class Running(Protocol):
    """The running half of a layer: what `handle` belongs to, with whatever state it owns."""

    def handle(self, request: Request) -> Steps:
        """Runs once per call; its local variables are the state of that call."""
        ...


def send(request: Request) -> Generator[Request, Reply, Reply]:
    """`reply = yield from send(request)`: the same as `reply = yield request`, but typed for the checker."""
    return (yield request)


class Layer:
    """Inert configuration of one concern; subclasses are frozen dataclasses with a `handle` or a `bind`.

    Attributes:
        name: what `disable`, `part` and `print(stack)` call it; unique per scope in a stack.
        scope: "call" guards the whole call; "route" guards each route below, with state of its own.
        kind: what the layer is, whatever its name; the rules below speak of kinds.
        not_outside: kinds that this layer must not stand outside of, each with the reason.
        not_inside: kinds that this layer must not stand inside of, each with the reason; "*" is every kind
            but those in `but_inside`.

    `stack.explain` asks the running half, if it has them, for three things. None of them may change anything:

        snapshot(now)            its state as plain data: `state` is a word, `until` a moment on the clock or None
        longest(inner, others)   the worst case of a call, given that of what is further in, as a `Longest`; `others`
                                 says whether other routes are left
        rehearsal()              a running half that decides as this one does, to be driven where nothing is sent: it
                                 must share nothing that changes. `said` is what it did, in words, or `why` why it
                                 did no more; without either it is told from what it was seen to do

    A layer without them passes everything on, as far as `explain` knows.
    """

    name: str = "layer"
    scope: Scope = "call"
    kind: ClassVar[str] = ""
    not_outside: ClassVar[dict[str, str]] = {}
    not_inside: ClassVar[dict[str, str]] = {}
    but_inside: ClassVar[frozenset[str]] = frozenset()

    def bind(self, handler: Any) -> Running:
        """Makes the running half for one handler. A layer without state is its own running half."""
        return self

    def companion(self) -> Layer | None:
        """A layer that must be outermost for this one to make sense; a Stack adds it if it is missing."""
        return None

    def verify(self, route: str, handler: Any) -> None:
        """Refuses options that make no sense over this handler; a Stack asks for every leaf when it is built.

        Args:
            route: the path of the leaf, for the message.
            handler: the leaf; what it tells of itself, such as `timeouts`, is what options can be held against.

        Raises:
            ValueError: with the layer, the numbers, and what to do.
        """

    def handle(self, request: Request) -> Steps:
        """What the layer does with one call; see the module's text."""
        raise TypeError(f"{type(self).__name__} needs a handle() or a bind()")

    def __call__(self, handler: Handler) -> Handler:
        """Wraps a handler, for threads; each leaf of a router if the scope is "route". AsyncStack: for asyncio."""
        if self.scope == "route":
            from .router import Router

            if isinstance(handler, Router):
                return handler.map(lambda route: Bound(self, route.handler))
        return Bound(self, handler)


class _Driven(Through):
    """What the two drivers share: one layer bound to one handler."""

    __slots__ = ("_after", "_before", "_failed", "_handle", "_inner", "layer", "running")

    def __init__(self, layer: Layer, handler: Any) -> None:
        super().__init__(handler, layer.name)
        self.layer = layer
        self.running = layer.bind(handler)
        self._handle = self.running.handle
        self._before, self._after, self._failed = pieces(self.running)
        self._inner: Any = direct(handler)

    def __repr__(self) -> str:
        return f"{self.layer!r}({self.handler!r})"


class Bound(_Driven):
    """A layer around a handler, driven in the calling thread; by its pieces, if it is made of them (`around.py`)."""

    __slots__ = ()

    def __call__(self, request: Request) -> Reply:
        """Runs the layer for one request."""
        if request.off and self.name in request.off:
            return self._inner(request)  # type: ignore[no-any-return]
        if request._call is None:
            request = request.under(Call())
        if self._before is None:
            return drive(self._handle(request), self.handler, request)
        kept = self._before(request)  # from here on as `Around.handle`
        if kept is None:
            return self._inner(request)  # type: ignore[no-any-return]
        if kept.__class__ is GeneratorType:
            return drive(kept, self.handler, request)
        try:
            reply: Reply = self._inner(request)
            if self._after is not None:
                self._after(kept, reply)
            return reply
        except BaseException as error:
            steps = self._failed(kept, error) if self._failed is not None else None
            if steps is None:
                if isinstance(error, StopIteration):  # as in a generator (PEP 479): it would end a caller's own loop
                    raise RuntimeError("a handler raised StopIteration") from error
                raise
        return drive(steps, self.handler, request)


def drive(steps: Steps, handler: Any, request: Request) -> Reply:
    """Carries out the effects of one generator in the calling thread, and gives what it returns.

    Args:
        steps: the generator.
        handler: where its Requests go.
        request: what it was given; a new Request of its own goes on as part of the same call.
    """
    try:
        effect = next(steps)
        result: Any
        while True:
            try:
                kind = type(effect)
                if kind is Request:
                    result = handler(effect if effect._call is not None else _joined(effect, request))  # type: ignore[union-attr]
                elif kind is Via:
                    sent = effect.request  # type: ignore[union-attr]
                    result = effect.route(sent if sent._call is not None else _joined(sent, request))  # type: ignore[union-attr]
                elif kind is Within:
                    with effect.manager:  # type: ignore[union-attr]
                        result = handler(_joined(effect.request, request))  # type: ignore[union-attr]
                elif kind is Sleep:
                    result = _fitting(request.call, effect).clock.sleep(effect.seconds)  # type: ignore[union-attr]
                elif kind is Run:
                    result = effect.function()  # type: ignore[union-attr]
                else:
                    raise _not_an_effect(effect)
            except BaseException as error:  # noqa: BLE001 - the layer must see everything, to release what it holds
                effect = steps.throw(error)
            else:
                effect = steps.send(result)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]


class AsyncBound(_Driven):
    """A layer around a handler, driven on the running event loop. The handler may be async or not."""

    __slots__ = ("_foreign",)

    def __init__(self, layer: Layer, handler: Any) -> None:
        super().__init__(layer, handler)
        # Code that is not driven by us knows no deadline: it is cancelled when time is up.
        self._foreign = not getattr(handler, "driven", False)

    driven = True

    async def __call__(self, request: Request) -> Reply:
        """Runs the layer for one request; as `Bound` does, with each call awaited."""
        if request.off and self.name in request.off:
            return await self._onward(request)
        if request._call is None:
            request = request.under(Call())
        if self._before is None:
            return await adrive(self._handle(request), self.handler, request, self._foreign)
        kept = self._before(request)
        if kept is None:
            return await self._onward(request)
        if kept.__class__ is GeneratorType:
            return await adrive(kept, self.handler, request, self._foreign)
        try:
            reply = await self._onward(request)
            if self._after is not None:
                self._after(kept, reply)
            return reply
        except BaseException as error:
            steps = self._failed(kept, error) if self._failed is not None else None
            if steps is None:
                raise
        return await adrive(steps, self.handler, request, self._foreign)

    def _onward(self, request: Request) -> Awaitable[Reply]:
        if self._foreign:
            return _sent_in_time(self._inner, request)
        result = self._inner(request)
        return result if hasattr(result, "__await__") else _settled(result)


async def adrive(steps: Steps, handler: Any, request: Request, foreign: bool = False) -> Reply:
    """Carries out the effects of one generator on the event loop, and gives what it returns.

    Args:
        steps: the generator.
        handler: where its Requests go.
        request: what it was given; a new Request of its own goes on as part of the same call, whose deadline
            cancels a foreign handler.
        foreign: whether the handler is code that no driver of ours runs.
    """
    try:
        effect = next(steps)
        while True:
            try:
                kind = type(effect)
                if kind is Request:
                    effect = _joined(effect, request)
                    result = await (_sent_in_time(handler, effect) if foreign else _settled(handler(effect)))
                elif kind is Within:
                    inner = _joined(effect.request, request)  # type: ignore[union-attr]
                    with effect.manager:  # type: ignore[union-attr]
                        result = await (_sent_in_time(handler, inner) if foreign else _settled(handler(inner)))
                elif kind is Via:
                    result = await _settled(effect.route(_joined(effect.request, request)))  # type: ignore[union-attr]
                elif kind is Sleep:
                    clock = _fitting(request.call, effect).clock
                    result = await clock.asleep(effect.seconds)  # type: ignore[func-returns-value,union-attr]
                elif kind is Run:
                    result = await _in_worker(effect.function)  # type: ignore[union-attr]
                else:
                    raise _not_an_effect(effect)
            except BaseException as error:  # noqa: BLE001 - the layer must see everything, to release what it holds
                effect = steps.throw(error)
            else:
                effect = steps.send(result)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]


def _joined(sent: Any, given: Request) -> Request:
    """The request that a layer sends, as part of the call that it was given one of."""
    joined: Request = sent if sent._call is not None else sent.under(given.call, given.off, given.path)
    return joined


def _fitting(call: Call, effect: Any) -> Call:
    if not call.fits(effect.seconds):
        raise call.too_late()
    return call


def _not_an_effect(effect: object) -> TypeError:
    return TypeError(
        f"a layer yielded {type(effect).__name__}: it may yield a Request, Within(manager, request), Sleep(seconds), "
        f"Via(route, request) or Run(function)"
    )


async def _settled(result: Any) -> Any:
    return await result if hasattr(result, "__await__") else result


async def _sent_in_time(handler: Any, request: Request) -> Any:
    """What a foreign handler answers; it, and each wait of its stream, is cancelled when the call's time is up."""
    if request.call.deadline is None:
        return await _settled(handler(request))
    reply = await _before_deadline(handler(request), request.call)
    if isinstance(reply, AsyncReply) and reply.outcome is None:
        reply.within = partial(_before_deadline, call=request.call)
    return reply


async def _before_deadline(result: Any, call: Call) -> Any:
    if not hasattr(result, "__await__"):
        return result
    import asyncio

    limit = asyncio.timeout(call.time_left)
    try:
        async with limit:
            return await result
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise call.too_late() from error
    finally:  # it has the task, that its error, and that this frame
        del limit


_worker: Any = None
_worker_pid = 0


async def _in_worker(function: Callable[[], Any]) -> Any:
    """Runs a function that waits for remote storage on one thread, so that it holds neither loop nor a crowd."""
    global _worker, _worker_pid
    import asyncio

    if _worker_pid != os.getpid():  # none yet, or a fork has left its thread behind
        from concurrent.futures import ThreadPoolExecutor

        _worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="mainstay-storage")
        _worker_pid = os.getpid()
    return await asyncio.get_running_loop().run_in_executor(_worker, function)


class _FunctionLayer(Layer):
    """A layer made of one generator function."""

    def __init__(self, function: Callable[[Request], Steps], name: str, scope: Scope) -> None:
        self.name = name
        self.scope = scope
        self.handle = function  # type: ignore[method-assign,assignment]
        self.__module__ = function.__module__

    def __repr__(self) -> str:
        return f"<layer {self.name}>"

    def __reduce__(self) -> str | tuple[Any, ...]:
        # Written as a decorator, the layer has taken the function's place in its module.
        function: Any = self.handle
        if getattr(sys.modules.get(self.__module__), function.__qualname__, None) is self:
            return str(function.__qualname__)
        return _FunctionLayer, (function, self.name, self.scope)


@overload
def middleware(function: Callable[[Request], Steps], /) -> Layer: ...


@overload
def middleware(*, name: str = "", scope: Scope = "call") -> Callable[[Callable[[Request], Steps]], Layer]: ...


def middleware(
    function: Callable[[Request], Steps] | None = None, /, *, name: str = "", scope: Scope = "call"
) -> Layer | Callable[[Callable[[Request], Steps]], Layer]:
    """Turns a generator function into a layer.

        @middleware
        def stamp(request):
            reply = yield request
            return reply

    Args:
        function: takes a Request, yields effects, returns the reply.
        name: what the layer is called; the function's own name unless given.
        scope: "call" or "route".

    Returns:
        A Layer, or a decorator that makes one if only options were given.

    Raises:
        TypeError: if the function is not a generator function.
    """

    def make(function: Callable[[Request], Steps]) -> Layer:
        import inspect

        if not inspect.isgeneratorfunction(function):
            raise TypeError(
                f"@middleware needs a generator function: {getattr(function, '__name__', function)!r} has no "
                f"`reply = yield request`. A plain `def outer(handler)` can be put into a Stack as it is"
            )
        if scope not in ("call", "route"):
            raise ValueError(f"@middleware(scope=...) must be 'call' or 'route', not {scope!r}")
        return _FunctionLayer(function, name or function.__name__, scope)

    return make if function is None else make(function)

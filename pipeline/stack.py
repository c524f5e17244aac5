"""Stack: layers folded over a handler; what an application holds and calls.

One law makes a flat list right: layers distribute over a router. A layer of scope "route" applied to a router
is applied to each of its leaves, each with running state of its own:

    CircuitBreaker(Fallback(a, b))  =  Fallback(CircuitBreaker(a), CircuitBreaker(b))

so one dead provider never opens the breaker of another, and a retry stays with its route.
"""

from __future__ import annotations

import dataclasses
import inspect
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from functools import cached_property, partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, overload

from . import order
from .async_reply import AsyncReply
from .call import Call, Observer
from .clock import Clock
from .closing import AsyncClosing, Closing
from .counting import Count
from .errors import Problem, ProviderError
from .layer import AsyncBound, Bound, Layer
from .plain import Nested, Plain
from .reply import Reply
from .request import Request
from .router import AsyncRouter, Route, Router, label
from .through import direct, inward, leaves_of
from .watching import Watcher

if TYPE_CHECKING:
    from .explained import ErrorExplained, RequestExplained

__all__ = ["AsyncStack", "Stack"]

# So that no switch is lost where several are thrown at once. Calls read the set without it.
_SWITCHING = threading.Lock()


class _Folded:
    """What both stacks share: the fold, the switches, and looking inside."""

    _bound: Callable[[Layer, Any], Any]

    def __init__(
        self,
        layers: Iterable[Layer | Callable[[Any], Any]],
        handler: Callable[[Request], Any],
        *,
        clock: Clock | None = None,
        observers: Sequence[Observer] = (),
        cap: int | None = None,
        check: bool = True,
    ) -> None:
        """Builds the stack.

        Args:
            layers: outside in: Layers, or plain `def outer(handler): ...` middleware.
            handler: what answers: an adapter, a function, a Router, another Stack.
            clock: time, sleep and random of every call; the real ones unless given.
            observers: called with every event of every call; see Observer for what one may do.
            cap: attempts that one call may make in all; max(6, routes + 2) unless given.
            check: False allows an order of layers, options and a cap that make no sense.

        Raises:
            ValueError: if the order makes no sense, options contradict each other, the cap is smaller than the
                number of routes, a name stands twice, or MAINSTAY_DISABLE names an unknown layer.
            TypeError: if something in the list is no middleware, or a handler is made for the other world.
        """
        if isinstance(layers, Layer):
            raise TypeError(f"layers are a list: write [{type(layers).__name__}(...)]")
        given = list(layers)
        for layer in given:
            if isinstance(layer, type) or not callable(layer):
                raise TypeError(
                    f"{layer!r} is no middleware: a Layer such as Retry(), or a function that takes a "
                    f"handler and returns one, is expected"
                )
        if not callable(handler):
            raise TypeError(f"the handler must be callable, not {type(handler).__name__}")
        self.layers: tuple[Any, ...] = order.completed(given)
        self.leaf_count: int = leaves_of(handler)
        if cap is not None and cap < 1:
            raise ValueError(f"cap must be 1 or more attempts, not {cap!r}")
        # Enough for two tries on each of two routes and more, and never fewer than one for each route.
        self.cap = cap or max(6, self.leaf_count + 2)
        if check:
            order.verify(self.layers, handler, self.cap)
        self.clock = clock or Clock()
        self.observers: tuple[Observer, ...] = tuple(observers)
        self._off: frozenset[str] = frozenset()
        self._entry: Any = self._fold(handler)
        self._enter: Any = direct(self._entry)
        named = os.environ.get("MAINSTAY_DISABLE", "")
        for name in filter(None, (part.strip() for part in named.split(","))):
            try:
                self.disable(name)
            except ValueError as error:
                raise ValueError(f"MAINSTAY_DISABLE={named}: {error}") from None
        self._watchers = tuple(observer for observer in self.observers if isinstance(observer, Watcher))
        self._ways: tuple[Any, Mapping[str, tuple[Any, ...]]] = None, {}
        for watcher in self._watchers:
            watcher.watch(self)

    # -- folding -------------------------------------------------------------------------------------------

    def _fold(self, handler: Any) -> Any:
        bound = type(self)._bound
        if isinstance(handler, Router):
            paths = (path for path, _ in handler.leaves())  # in the order in which `map` goes
            inner: Any = handler.map(lambda route: self._counted(route.handler, next(paths)))
        else:
            inner = self._counted(handler, label(handler))
        for layer in reversed(self.layers):
            if not isinstance(layer, Layer):
                inner = self._plain(layer, self._drivable(inner))
            elif layer.scope == "route" and isinstance(inner, Router):
                inner = inner.map(partial(_layered, bound, layer))
            else:
                inner = bound(layer, self._drivable(inner))
        return self._drivable(inner)

    def _counted(self, leaf: Any, path: str) -> Any:
        self._refuse_other_world(leaf, path)
        if isinstance(leaf, _Folded):  # its own leaves count
            return Nested(leaf, route=path, provider=label(leaf))
        wrapped = type(self)._bound(Count(path, label(leaf)), leaf)
        wrapped.route, wrapped.provider = path, label(leaf)
        return wrapped

    def _refuse_other_world(self, leaf: Any, path: str) -> None:
        """Raises TypeError if the leaf cannot be called here: better now than when the first route is down."""
        raise NotImplementedError

    def _plain(self, middleware: Any, inner: Any) -> Any:
        made = middleware(inner)
        if not callable(made):
            raise TypeError(f"{label(middleware)}(handler) must return a handler, not {type(made).__name__}")
        return Plain(made, inner, label(middleware))

    def _drivable(self, inner: Any) -> Any:
        return inner

    # -- one call ------------------------------------------------------------------------------------------

    def _begin(self, request: Request) -> Request:
        call = request._call
        if call is None:
            call = Call(self.clock, self.cap, self.observers)
        elif not self._off:  # this stack is a route of another: it joins the call that it finds
            return request
        return request.under(call, self._off)

    def check(self, request: Request) -> tuple[Problem, ...]:
        """What is wrong with the request, as every route that it could take sees it; nothing is sent."""
        check = getattr(self._entry, "check", None)
        return () if check is None else tuple(check(request))

    # -- switches ------------------------------------------------------------------------------------------

    @property
    def names(self) -> frozenset[str]:
        """The names of all layers, nested stacks included: what can be switched off."""
        own = {layer.name for layer in self.layers if isinstance(layer, Layer)}
        return frozenset(own.union(*(stack.names for stack in self._nested())))

    @property
    def disabled(self) -> frozenset[str]:
        """The names that are switched off."""
        return self._off

    def disable(self, *names: str) -> None:
        """Switches layers off by name, on all routes, for calls that begin from now on.

        Raises:
            ValueError: if no layer has that name.
        """
        known = self._known(names)
        with _SWITCHING:
            self._off |= known

    def enable(self, *names: str) -> None:
        """Switches layers on again.

        Raises:
            ValueError: if no layer has that name.
        """
        known = self._known(names)
        with _SWITCHING:
            self._off -= known

    def _known(self, names: tuple[str, ...]) -> frozenset[str]:
        known = self.names
        for name in names:
            if name not in known:
                raise ValueError(f"there is no layer {name!r} here: there is {', '.join(sorted(known))}")
        return frozenset(names)

    # -- looking inside ------------------------------------------------------------------------------------

    def routes(self) -> tuple[str, ...]:
        """The paths of all leaf routes, in order."""
        return tuple(path for path, _ in self._leaves())

    def leaves(self, path: str = "") -> Iterator[tuple[str, Route]]:
        """Each leaf route by its path, with the handler that it was given; stacks inside are looked into."""
        router = self._router()
        routes = router.leaves() if router is not None else [(self._entry.route, Route(self._entry.route, self._entry))]
        for name, route in routes:
            where = f"{path}/{name}" if path else name
            *_, last = inward(route.handler)
            if isinstance(last, _Folded):
                yield from last.leaves(where)
            else:
                yield where, dataclasses.replace(route, handler=last)

    def part(self, name: str, route: str | None = None) -> Any:
        """The running half of a layer: what owns its state, such as a breaker that can be isolated.

        Args:
            name: the layer's name.
            route: the path of the route; needed if the layer guards several.

        Raises:
            LookupError: if there is none, or if there are several and no route was named. A stack that is a
                route is asked itself.
        """
        whole = _running(self._entry, name)
        parts = {path: _running(leaf, name) for path, leaf in self._leaves()}
        if route is not None and route not in parts:
            raise LookupError(f"there is no route {route!r} here: there is {', '.join(map(repr, parts))}")
        found = {path: part for path, part in parts.items() if part is not None}
        if route in found:
            return found[route]
        if whole is not None:
            return whole
        if route is None and len(found) == 1:
            return next(iter(found.values()))
        if route is None and found:
            raise LookupError(f"layer {name!r} guards several routes: name one of {', '.join(found)}")
        own = sorted(layer.name for layer in self.layers if isinstance(layer, Layer))
        raise LookupError(f"there is no layer {name!r} here: there is {', '.join(own)}")

    def _router(self) -> Router | None:
        for item in inward(self._entry):
            if isinstance(item, Router):
                return item
        return None

    def _leaves(self) -> Iterator[tuple[str, Any]]:
        router = self._router()
        if router is not None:
            for path, route in router.leaves():
                yield path, route.handler
        else:  # the path stands with the counter, around the one leaf there is
            yield self._entry.route, self._entry

    def _nested(self) -> Iterator[_Folded]:
        for _, leaf in self._leaves():
            for item in inward(leaf):
                if isinstance(item, Nested):
                    yield item.handler

    def running(self) -> Mapping[str, tuple[Any, ...]]:
        """The running halves of the layers on the way to each leaf route, outside in, by the route's path.

        Layers that are switched off are left out. Routes of a stack inside have their whole path, as attempts tell it.
        The mapping is the same one until a switch is thrown.
        """
        switches = [self._off, *(stack._off for stack in self._inside)]
        known = self._ways
        if known[0] != switches:
            ways = dict(self._walk("", (), frozenset()))
            known = self._ways = switches, MappingProxyType(ways)
        return known[1]

    @cached_property
    def _inside(self) -> tuple[_Folded, ...]:
        """All stacks inside, whatever their depth."""
        return tuple(one for stack in self._nested() for one in (stack, *stack._inside))

    def _walk(self, path: str, outer: tuple[Any, ...], off: frozenset[str]) -> Iterator[tuple[str, tuple[Any, ...]]]:
        off |= self._off
        outer += _halves(self._entry, off)
        router = self._router()
        for name, leaf in self._leaves():
            way = outer if router is None else outer + _halves(leaf, off)
            where = f"{path}/{name}" if path else name
            *_, last = inward(leaf)
            if isinstance(last, _Folded):
                yield from last._walk(where, way, off)
            else:
                yield where, way

    def status(self) -> dict[str, dict[str, Any]]:
        """How each route is doing, by its path, as the Health among the observers knows it; see `Health.status`.

            stack = Stack(standard(), Fallback(openai, claude), observers=[Health()])
            stack.status()["openai"]["healthy"]

        Raises:
            RuntimeError: if nobody keeps score.
        """
        for watcher in self._watchers:
            return watcher.status(self)
        raise RuntimeError("nobody keeps score of this stack: build it with Stack(..., observers=[Health()])")

    def describe(self) -> dict[str, Any]:
        """What really runs, as plain data: layers outside in, the router, and each route with its own layers."""
        return self.described()

    def described(self, off: frozenset[str] = frozenset()) -> dict[str, Any]:
        """As `describe`, where layers of these names are switched off from further out."""
        from . import drawing

        return drawing.describe(self._entry, self._off | off)

    @overload
    def explain(self, subject: Request) -> RequestExplained: ...

    @overload
    def explain(self, subject: ProviderError, *, route: str | None = None) -> ErrorExplained: ...

    def explain(
        self, subject: Request | ProviderError, *, route: str | None = None
    ) -> RequestExplained | ErrorExplained:
        """What would happen to a request now, or what each layer would do with an error; nothing is sent or changed.

            print(stack.explain(Request("gpt-4o", "Why is the sky blue?")))
            print(stack.explain(RateLimited(retry_after=60.0), route="openai"))

        Args:
            subject: a Request, or a ProviderError, such as one that was caught.
            route: the path of the route that the error comes from; unless given, the error's own, or the first.

        Returns:
            Plain data, whose `str()` is a text.

        Raises:
            TypeError: if it is neither.
            LookupError: if there is no such route.
        """
        from . import explain

        if isinstance(subject, ProviderError):
            return explain.error_explained(self, subject, route)
        if isinstance(subject, Request):
            return explain.request_explained(self, subject)
        raise TypeError(f"explain() takes a Request or a ProviderError, not {type(subject).__name__}")

    def __str__(self) -> str:
        from . import drawing

        return drawing.draw(self.describe())

    def __repr__(self) -> str:
        names = [layer.name if isinstance(layer, Layer) else label(layer) for layer in self.layers]
        return f"<{type(self).__name__} {' → '.join(names)} over {', '.join(self.routes())}>"

    # -- closing -------------------------------------------------------------------------------------------

    def _closable(self) -> list[Any]:
        found: dict[int, Any] = {}
        for _, leaf in self._leaves():
            *_, item = inward(leaf)
            # The adapters of a stack inside, so that one that stands here and there is closed once.
            items = item._closable() if isinstance(item, _Folded) else [item]
            found.update((id(one), one) for one in items if _has(one, "close") or _has(one, "aclose"))
        return list(found.values())


def _has(item: Any, method: str) -> bool:
    return callable(getattr(item, method, None))


class Stack(_Folded, Closing):
    """Layers around a handler, for threads.

        stack = Stack([Validate(), Retry(), CircuitBreaker(), Trace()], Fallback(openai, claude, ollama))
        reply = stack(Request("gpt-4o", "Why is the sky blue?"))

    A Stack is a handler itself: it can be a route of another, whose call it then joins. Any number of threads
    may call it at once. Use it in a `with` block, or close it, to close the adapters below.
    """

    _bound = Bound
    blocking = True

    def _refuse_other_world(self, leaf: Any, path: str) -> None:
        if inspect.iscoroutinefunction(leaf) or inspect.iscoroutinefunction(type(leaf).__call__):
            raise TypeError(f"the handler of {path!r} is async: it belongs into an AsyncStack")

    def __call__(self, request: Request) -> Reply:
        """Answers one request.

        Raises:
            ProviderError: if no route could answer; its class says why, its `attempts` what was tried.
        """
        request = self._begin(request)
        try:
            reply: Reply = self._enter(request)
        except ProviderError as error:
            error.attempts = error.attempts or request.call.attempts
            raise
        return reply

    def close(self) -> None:
        """Closes the adapters that this stack was given, once each; all of them, whatever one of them raises."""
        with ExitStack() as closing:
            for item in reversed(self._closable()):
                if _has(item, "close"):
                    closing.callback(item.close)


class AsyncStack(_Folded, AsyncClosing):
    """Layers around a handler, for asyncio; otherwise as Stack. `reply = await stack(request)`."""

    _bound = AsyncBound
    driven = True

    def _refuse_other_world(self, leaf: Any, path: str) -> None:
        if getattr(leaf, "blocking", False):
            raise TypeError(
                f"the handler of {path!r} would hold the event loop while it waits: it belongs into a Stack, and its "
                f"async form here"
            )

    def _drivable(self, inner: Any) -> Any:
        return AsyncRouter(inner) if isinstance(inner, Router) else inner

    async def __call__(self, request: Request) -> AsyncReply:
        """Answers one request.

        Raises:
            ProviderError: if no route could answer; its class says why, its `attempts` what was tried.
            TypeError: if a synchronous handler answered with a stream, which would hold the event loop.
        """
        request = self._begin(request)
        try:
            reply = self._enter(request)
            return AsyncReply.of(await reply if hasattr(reply, "__await__") else reply)
        except ProviderError as error:
            error.attempts = error.attempts or request.call.attempts
            raise

    async def aclose(self) -> None:
        """Closes the adapters that this stack was given, once each; all of them, whatever one of them raises."""
        async with AsyncExitStack() as closing:
            for item in reversed(self._closable()):
                closing.push_async_callback(_close, getattr(item, "aclose", None) or item.close)


async def _close(close: Callable[[], Any]) -> None:
    closed = close()
    if hasattr(closed, "__await__"):
        await closed


def _halves(handler: Any, off: frozenset[str]) -> tuple[Any, ...]:
    """The running halves of the layers around one handler that are switched on, outside in."""
    return tuple(
        item.running for item in inward(handler) if isinstance(item, (Bound, AsyncBound)) and item.name not in off
    )


def _running(handler: Any, name: str) -> Any:
    """The running half of the innermost layer of that name around one handler, or None."""
    found = None
    for item in inward(handler):
        if isinstance(item, (Bound, AsyncBound)) and item.name == name:
            found = item.running
    return found


def _layered(bound: Callable[[Layer, Any], Any], layer: Layer, route: Route) -> Any:
    return bound(layer, route.handler)

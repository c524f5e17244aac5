"""Route and Router: a named handler that can be chosen, and a handler made of such routes."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from .call import Call
from .errors import Problem, ProviderError
from .layer import Steps, adrive, drive
from .needs import check_needs
from .reply import Reply
from .request import Request
from .through import Through, check_of, direct, leaves_of, told_by

__all__ = ["AsyncRouter", "Route", "Router", "found_by", "label"]


@dataclass(frozen=True)
class Route:
    """A named handler that a router can choose, with its own model name and parameters.

    Whatever a route does to the caller's parameters is said here, and is told on the reply (`changes`):
    nothing is left out, renamed or replaced in silence.

    Args:
        name: what errors, status and `print(stack)` call it.
        handler: an adapter, a wrapped client, a function, a Stack, or another router.
        model: the model to ask for here, unless `models` names one; the handler's own `model` if it has one.
        models: from the requested model to this route's, by name.
        params: parameters set here, over the caller's.
        drop: names of the caller's parameters that are left out here.
        rename: from the caller's parameter name to the one this handler knows.
        window: context window in tokens, if known; a request that was too long elsewhere may come here if it
            is larger.
        lacks: what it cannot do, of "tools", "images", "json_schema" and "native"; requests that need it pass it by.
            What the handler itself says it lacks is added.
        continues: whether the model goes on with a text that is given to it as the last message, of the assistant.
            Claude up to 4.6 does, llama.cpp, and some models at OpenRouter; others answer anew. Of a router: whether
            all of its routes do.

    Attributes:
        leaf_count: how many leaf routes it stands for: 1, or those of the router or Stack that it leads to.

    Raises:
        ValueError: if the name is empty, a parameter is both dropped and renamed, the window is not positive, or
            a word in `lacks` is unknown.
    """

    name: str
    handler: Any
    model: str | None = None
    models: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    drop: Collection[str] = frozenset()
    rename: Mapping[str, str] = field(default_factory=dict)
    window: int | None = None
    lacks: Collection[str] = frozenset()
    continues: bool = False

    def __post_init__(self) -> None:
        if not self.name or not isinstance(self.name, str):
            raise ValueError(f"Route(name=...) must be a non-empty string, not {self.name!r}")
        if not callable(self.handler):
            raise TypeError(f"Route({self.name!r}, handler=...) must be callable, not {type(self.handler).__name__}")
        if isinstance(self.drop, str):
            raise TypeError(f"Route({self.name!r}, drop=...) is a set of names: write drop={{{self.drop!r}}}")
        for name in ("models", "params", "rename"):
            if not isinstance(getattr(self, name), Mapping):
                raise TypeError(f"Route({self.name!r}, {name}=...) must be a mapping, not {getattr(self, name)!r}")
        both = sorted(set(self.drop) & set(self.rename))
        if both:
            raise ValueError(f"Route({self.name!r}) both drops and renames {', '.join(both)}: choose one")
        targets = list(self.rename.values())
        twice = sorted({target for target in targets if targets.count(target) > 1})
        if twice:
            raise ValueError(f"Route({self.name!r}) renames several to {', '.join(twice)}: one would be lost")
        if self.model is not None and not isinstance(self.model, str):
            raise TypeError(f"Route({self.name!r}, model=...) must be a string, not {self.model!r}")
        if self.window is not None and (type(self.window) is not int or self.window <= 0):
            raise ValueError(f"Route({self.name!r}, window=...) must be a positive whole number, not {self.window!r}")
        if self.model is None:
            object.__setattr__(self, "model", told_by(self.handler, "model", None, str))
        if not isinstance(self.continues, bool):
            raise TypeError(f"Route({self.name!r}, continues=...) must be True or False, not {self.continues!r}")
        object.__setattr__(self, "drop", frozenset(self.drop))
        lacks = check_needs(f"Route({self.name!r}, lacks=...)", self.lacks)
        object.__setattr__(self, "lacks", lacks | told_by(self.handler, "lacks", frozenset()))
        # What every call would ask again; no fields, for they follow from the others. A subclass may say otherwise.
        self.leaf_count: int
        self._as_is: bool
        self._check: Any
        self._checks: bool
        self._send: Any
        own = type(self).adapt is not Route.adapt
        check = check_of(self.handler)
        vars(self).update(
            leaf_count=leaves_of(self.handler),
            _as_is=not (own or self.model or self.models or self.params or self.drop or self.rename),
            _check=check,
            _checks=check is not None or type(self).check is not Route.check,
            _send=direct(self.handler),
        )

    def adapt(self, request: Request) -> Request:
        """The request as this route sends it: its model, its parameters, and what was changed."""
        model = (self.models.get(request.model) if self.models else None) or self.model or request.model
        if not (self.params or self.drop or self.rename):
            return request if model == request.model else request.replace(model=model)
        params: dict[str, Any] = {}
        changes = dict(request.changes)
        for name, value in request.params.items():
            if name in self.drop:
                changes[name] = f"left out by route {self.name!r}"
            elif self.rename.get(name) in request.params:  # given under both names: the right one holds
                changes[name] = f"left out by route {self.name!r}, for {self.rename[name]!r} is given as well"
            elif name in self.rename:
                params[self.rename[name]] = value
                changes[name] = f"sent as {self.rename[name]!r} by route {self.name!r}"
            else:
                params[name] = value
        for name, value in self.params.items():
            if name in params and params[name] != value:
                changes[name] = f"set to {value!r} by route {self.name!r}"
            params[name] = value
        return request.replace(model=model, params=params, changes=changes)

    def __call__(self, request: Request) -> Any:
        """Sends the request, as this route sees it, to the handler."""
        return self._send(request if self._as_is else self.adapt(request))

    def check(self, request: Request) -> tuple[Problem, ...]:
        """What this route would refuse, each problem with the route's name."""
        if self._check is None or not (problems := self._check(self.adapt(request))):
            return ()
        return tuple(
            dataclasses.replace(problem, route=f"{self.name}/{problem.route}" if problem.route else self.name)
            for problem in problems
        )

    def map(self, change: Callable[[Route], Any], path: str = "") -> Route:
        """The same route with a changed leaf; in a nested router, with every leaf changed. `path` is its own."""
        handler = self.handler.map(change, path) if isinstance(self.handler, Router) else change(self)
        return dataclasses.replace(self, handler=handler)


class Router:
    """A handler made of routes. Subclasses say in `handle` which one is taken, by yielding `Via`.

    Args:
        routes: Routes, or handlers that become routes under their own name.

    Attributes:
        path: of the route that leads to it, in a stack; "" for the outermost router.

    Raises:
        ValueError: if there is no route, or two have the same name.
    """

    kind = "router"
    path = ""
    routes: tuple[Route, ...]

    def __init__(self, *routes: Any) -> None:
        self.routes = tuple(route if isinstance(route, Route) else Route(label(route), route) for route in routes)
        if not self.routes:
            raise ValueError(f"{type(self).__name__}() needs at least one route")
        names = [route.name for route in self.routes]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(
                f"two routes of one {type(self).__name__} are called {', '.join(twice)}: "
                f"give them names with Route('name', handler)"
            )

    @property
    def manner(self) -> str:
        """How it chooses, in two words, for `print(stack)`."""
        return ""

    def handle(self, request: Request) -> Steps:
        """Chooses a route by yielding `Via(route, request)`; gives the reply or raises."""
        raise TypeError(f"{type(self).__name__} needs a handle()")

    def plan(self, request: Request) -> tuple[Route, ...]:
        """The routes in the order in which they would be tried now; asking changes nothing."""
        return self.routes

    def rehearsal(self, routes: Sequence[Route]) -> Self:
        """A router that decides as this one does, over these routes, and shares with it nothing that changes."""
        twin = copy.copy(self)
        twin.routes = tuple(routes)
        return twin

    def why_not(self, error: ProviderError, call: Call) -> str:
        """Why it does not move on after `error`, in words, if it does not; "" if it cannot say."""
        return ""

    def __call__(self, request: Request) -> Reply:
        """Runs the router for one request in the calling thread."""
        if not request.under_way:
            request = request.under(Call())
        return drive(self.handle(request), None, request)

    def check(self, request: Request) -> tuple[Problem, ...]:
        """What the routes would refuse, all of them."""
        return found_by(self.routes, request)

    def map(self, change: Callable[[Route], Any], path: str = "") -> Self:
        """A new router whose leaves are what `change(route)` makes of them; this one stays as it is."""
        router = copy.copy(self)
        router.path = path
        router.routes = tuple(route.map(change, router.path_of(route)) for route in self.routes)
        return router

    def path_of(self, route: Route) -> str:
        """The path of one of its routes in the stack."""
        return f"{self.path}/{route.name}" if self.path else route.name

    def leaves(self, path: str = "") -> Iterator[tuple[str, Route]]:
        """Every leaf route with its path ("outer/inner"), in order; in either world."""
        for route in self.routes:
            where = f"{path}/{route.name}" if path else route.name
            inner = route.handler.handler if isinstance(route.handler, AsyncRouter) else route.handler
            if isinstance(inner, Router):
                yield from inner.leaves(where)
            else:
                yield where, route

    @property
    def leaf_count(self) -> int:
        """How many leaf routes there are, nested ones summed."""
        return sum(route.leaf_count for route in self.routes)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(route.name for route in self.routes)})"


class AsyncRouter(Through):
    """A router, and every router below it, driven on the event loop."""

    __slots__ = ()
    driven = True

    def __init__(self, router: Router) -> None:
        """Wraps `router`; its leaves must be async handlers or not wait."""
        driven = copy.copy(router)
        driven.routes = tuple(
            dataclasses.replace(route, handler=AsyncRouter(route.handler))
            if isinstance(route.handler, Router)
            else route
            for route in router.routes
        )
        super().__init__(driven)

    async def __call__(self, request: Request) -> Reply:
        """Runs the router for one request."""
        return await adrive(self.handler.handle(request), None, request)


def found_by(routes: Iterable[Route], request: Request) -> tuple[Problem, ...]:
    """What these routes would refuse, all of them."""
    problems: tuple[Problem, ...] = ()
    for route in routes:
        if route._checks:
            problems += route.check(request)
    return problems


def label(handler: Any) -> str:
    """What a handler is called where nobody named it: its provider, its own name, or its type's."""
    for attribute in ("provider", "name", "__name__"):
        found = getattr(handler, attribute, "")
        if isinstance(found, str) and found and found != "<lambda>":
            return found
    return type(handler).__name__.lower()

"""protect: a client that an application has already, with a stack beneath, that stays what it is."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from ..adapters.clients import is_protected, kind_of
from ..adapters.protect import FittedRoute, NativeRoute, protected
from ..middleware import Fallback, Strategy, standard
from ..pipeline import AsyncStack, Clock, Layer, Observer, Route, Stack
from ..pipeline.router import label
from .chain import models_are_known

__all__ = ["protect"]

C = TypeVar("C")


def protect(
    client: C,
    layers: Iterable[Layer | Callable[[Any], Any]] | None = None,
    fallback: Sequence[Any] = (),
    *,
    methods: Iterable[str] = (),
    strategy: str | Strategy = "in_order",
    panic: bool = False,
    clock: Clock | None = None,
    observers: Sequence[Observer] = (),
    cap: int | None = None,
) -> C:
    """Puts a stack beneath a client. The client that comes back has the same methods, arguments, results and errors.

        client = protect(OpenAI(), standard(), fallback=[Route("claude", Claude(), model="claude-sonnet-4-5")])
        client.chat.completions.create(model="gpt-4o", messages=[...])      # as before

    Protected are `chat.completions.create` and `responses.create` of OpenAI's client, `messages.create` of Anthropic's,
    `chat` and `generate` of Ollama's, their streams, and what the clients build on them (`parse`, `stream`).
    Everything else passes by: other endpoints, `with_raw_response`, `with_streaming_response`.

    A protected call is sent once for each try that the layers make; the client's own retries are off for it. The client
    that was given stays as it is, and shares its connections with the protected one, whose `mainstay` is the stack.

    Args:
        client: OpenAI(), Anthropic(), ollama.Client(), one of their async forms, or one of a class of its own.
        layers: outside in; the standard ones unless given. None of them checks the arguments: that is the provider's.
        fallback: who answers when the client cannot, in order: adapters, other handlers, Routes of them, or clients.
            Those of other protocols answer `chat.completions.create`, `messages.create` and `chat`, in the client's
            own types; parameters that they refuse are left out, and told in `changes`. Clients of the same library
            answer every method.
        methods: names of methods, such as "responses.create", that every fallback must be able to answer.
        strategy, panic: how the next route is chosen, as for `Fallback`.
        clock: time, sleep and random; the real ones unless given.
        observers: called with every event.
        cap: attempts that one call may make in all.

    Returns:
        The protected client; `isinstance` finds it to be of the client's own class.

    Raises:
        TypeError: if it is no client that is known, or is protected already, or a fallback is of the other world: an
            async client needs async handlers.
        ValueError: if a fallback cannot answer one of `methods`, speaks another protocol and does not say which model
            it uses, or two have the same name; or as for Stack.
    """
    kind = kind_of(client)
    if is_protected(client):
        raise TypeError("the client is protected already: give protect() the client that it was made of")
    if not isinstance(fallback, Iterable):
        raise TypeError(f"fallback is a list: write fallback=[...] around the {type(fallback).__name__}")
    first = Route(NativeRoute(client).provider, NativeRoute(client))
    others = [_route(item, client, number) for number, item in enumerate(fallback, 2)]
    _answers_all(methods, kind.family, others)
    handler: Any = first.handler
    if others:
        for other in others:  # each for itself: one of the same protocol is asked for the caller's model
            models_are_known([first, other])
        handler = Fallback(first, *others, strategy=strategy, panic=panic)
    make = AsyncStack if kind.is_async else Stack
    given = standard() if layers is None else layers
    return protected(client, make(given, handler, clock=clock, observers=observers, cap=cap))  # type: ignore[no-any-return]


def _route(item: Any, client: Any, number: int) -> Route:
    """One fallback as a route."""
    if isinstance(item, Route):
        if isinstance(item.handler, NativeRoute):
            return item
        known = {field.name: getattr(item, field.name) for field in dataclasses.fields(Route)}
        return FittedRoute(**{**known, "lacks": {*item.lacks, "native"}})
    if callable(item):
        return FittedRoute(label(item), item, lacks={"native"})
    try:
        theirs = kind_of(item)
    except TypeError:
        raise TypeError(
            f"fallback={[item]!r} is no handler: an adapter, a Route or a client is expected, not {type(item).__name__}"
        ) from None
    ours = kind_of(client)
    if theirs.is_async is not ours.is_async:
        world = "an async client" if ours.is_async else "a client without async"
        raise TypeError(f"the fallback {type(item).__name__}() does not go with {world}: both must be of one kind")
    if theirs.family == ours.family:
        return Route(f"{NativeRoute(item).provider}-{number}", NativeRoute(item, again=True))
    from ..adapters.clients import from_client

    handler = from_client(item)
    return FittedRoute(label(handler), handler, lacks={"native"})


def _answers_all(methods: Iterable[str], family: str, others: Sequence[Route]) -> None:
    from ..adapters.protect.methods import methods_of

    known = {method.name: method for method in methods_of(family).values()}
    if isinstance(methods, str):
        raise TypeError(f"methods={methods!r} is a list of names: write methods=[{methods!r}]")
    for name in methods:
        if name not in known:
            raise ValueError(f"methods={name!r} is not protected here: {', '.join(known)} can be")
        unable = [route.name for route in others if known[name].writer is None and "native" in route.lacks]
        if unable:
            raise ValueError(
                f"{name} has no like in other protocols, so {', '.join(map(repr, unable))} cannot answer it: only "
                f"clients of the same library can"
            )

"""Request: what the caller wants."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, overload

if TYPE_CHECKING:
    from .call import Call

__all__ = ["Message", "Request"]

Message = Mapping[str, Any]
"""An OpenAI-shaped message: `{"role": "user", "content": "..."}`; what users already have."""

_new = object.__new__
_NOTHING: Mapping[str, Any] = {}


class _NotUnderWay:
    """What a request has in place of its call until somebody drives it; then the call itself stands before it."""

    @overload
    def __get__(self, request: None, owner: type[Request]) -> Self: ...

    @overload
    def __get__(self, request: Request, owner: type[Request]) -> Call: ...

    def __get__(self, request: Request | None, owner: type[Request]) -> Self | Call:
        if request is None:
            return self
        raise RuntimeError("this Request is not under way: a Stack, or a layer's driver, gives it a Call")


@dataclass(frozen=True, repr=False, init=False)
class Request:
    """What the caller wants. Immutable: a layer that wants something else sends another Request on.

    Args:
        model: the model's name; a route may map it to its own.
        messages: a prompt, or OpenAI-shaped messages in order.
        params: generation parameters by name, such as `temperature`; they are checked by Validate.
        stream: True to get a Reply that is still arriving.
        changes: what routes did to the caller's parameters, by parameter name; ends up on the Reply.
        off: names of the layers that are switched off for this call.
        path: the path of the route that it is on, in a stack that is a route of another.
        native: what a protected client was called with, for the routes that call clients like it; None for all other
            requests. If its `alone` is true, the rest of the request only describes it, and no other route can answer.

    Attributes:
        call: the ledger of the logical call that this request belongs to; whoever drives the first layer sets it, and
            before that there is a RuntimeError.

    Raises:
        TypeError: if the model is not a string, or the messages are not a prompt or mappings with a role.
        ValueError: if the model is empty, or there is no message.
    """

    model: str
    messages: tuple[Message, ...]
    params: Mapping[str, Any]
    stream: bool
    changes: Mapping[str, str]
    off: frozenset[str]
    path: str
    _call: Call | None
    native: Any
    call = _NotUnderWay()  # no property, which every layer of every call would wait for

    def __init__(
        self,
        model: str,
        messages: str | Iterable[Message],
        params: Mapping[str, Any] = _NOTHING,
        stream: bool = False,
        changes: Mapping[str, str] = _NOTHING,
        off: frozenset[str] = frozenset(),
        path: str = "",
        _call: Call | None = None,
        native: Any = None,
    ) -> None:
        if _call is None:  # from the caller; what is under way was checked when it started
            model, messages, params = _model(model), _messages(messages), _params(params)
        # Every call makes one and copies it: one step for all fields, where a frozen dataclass takes one for each.
        vars(self).update(
            model=model,
            messages=messages,
            params=params,
            stream=stream,
            changes=changes,
            off=off,
            path=path,
            _call=_call,
            native=native,
        )
        if _call is not None:
            vars(self)["call"] = _call

    @property
    def under_way(self) -> bool:
        """Whether the request belongs to a call already."""
        return self._call is not None

    def under(self, call: Call, off: frozenset[str] = frozenset(), path: str = "") -> Request:
        """The same request as part of `call`, with the layers named in `off` switched off as well."""
        twin = _new(type(self))  # `_with` at hand: every call passes here
        known = twin.__dict__
        known.update(self.__dict__)
        known["_call"] = known["call"] = call
        if off:
            known["off"] = self.off | off
        if path:
            known["path"] = path
        return twin

    def on(self, route: str) -> Request:
        """The same request, of the same call, inside the route of that path."""
        return self._with(path=self.path_of(route))

    def path_of(self, route: str) -> str:
        """The whole path of a route of the stack that the request is in, as events tell it; "" is the stack itself."""
        return f"{self.path}/{route}" if self.path and route else route or self.path

    def replace(
        self,
        *,
        model: str | None = None,
        messages: str | Iterable[Message] | None = None,
        params: Mapping[str, Any] | None = None,
        stream: bool | None = None,
        changes: Mapping[str, str] | None = None,
    ) -> Request:
        """The same request, of the same call, with other contents where they are given."""
        made = self._with(
            model=self.model if model is None else _model(model),
            messages=self.messages if messages is None else _messages(messages),
            stream=self.stream if stream is None else stream,
            changes=self.changes if changes is None else changes,
        )
        if params is not None:
            # From the caller's hands they are checked and copied; on the way, routes and layers have done so.
            vars(made)["params"] = params if self.under_way else _params(params)
        return made

    def without_prompt(self) -> Request:
        """The same request, of the same call, without its messages: for what is kept until a stream ends."""
        return self._with(messages=())

    def _with(self, **fields: Any) -> Request:
        twin = _new(type(self))
        known = twin.__dict__
        known.update(self.__dict__)
        known.update(fields)
        return twin

    # Never the prompt, never a parameter's value: reprs end up in logs.
    def __repr__(self) -> str:
        return (
            f"Request(model={self.model!r}, messages=<{len(self.messages)}>, "
            f"params={sorted(self.params)}, stream={self.stream})"
        )


def _model(model: object) -> str:
    if not isinstance(model, str):
        raise TypeError(f"model must be a string such as 'gpt-4o', not {type(model).__name__}")
    if not model:
        raise ValueError("model is empty: give the name of a model such as 'gpt-4o'")
    return model


def _messages(messages: object) -> tuple[Message, ...]:
    if isinstance(messages, str):
        return ({"role": "user", "content": messages},)
    if not isinstance(messages, Iterable) or isinstance(messages, (bytes, Mapping)):
        raise TypeError(
            f"messages must be a prompt or a list of messages such as "
            f"{{'role': 'user', 'content': '...'}}, not {type(messages).__name__}"
        )
    result = tuple(messages)
    for number, message in enumerate(result):
        if not isinstance(message, Mapping):
            raise TypeError(f"messages[{number}] must be a mapping with a role, not {type(message).__name__}")
        if not isinstance(message.get("role"), str):
            raise TypeError(f"messages[{number}] has no role: 'system', 'user', 'assistant' or 'tool'")
    if not result:
        raise ValueError("messages is empty: at least one message is needed")
    return result


def _params(params: object) -> Mapping[str, Any]:
    if not isinstance(params, Mapping):
        raise TypeError(f"params must be a mapping such as {{'temperature': 0.2}}, not {type(params).__name__}")
    return dict(params)

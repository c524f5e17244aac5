"""Speech: how to say a request to one client, and how to read what it answers. The codecs do both; this is the join."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..codec import HttpCodec
from ..shapes import any_json

__all__ = ["EVENT", "LINE", "Speech", "names_of", "written"]

# The client has cut the stream; what it cut goes to the decoder as it stood on the wire.
EVENT = (b"data: ", b"\n\n")
LINE = (b"", b"\n")
_USUAL = frozenset({"model", "messages", "stream", "max_tokens"})


@dataclass(frozen=True, slots=True)
class Speech:
    """What one client is called with, and what it answers.

    Attributes:
        codec: the protocol.
        create: the client's method that makes a chat request.
        names: the names that the method takes.
        extra: what the method calls the JSON that it has no names for; "" if the body is put in at the seam.
        framing: what stands before and behind the JSON of an event of a stream: EVENT or LINE.
    """

    codec: HttpCodec
    create: Callable[..., Any]
    names: frozenset[str]
    extra: str
    framing: tuple[bytes, bytes]

    def arguments(self, body: bytes, total: float) -> dict[str, Any]:
        """What the method is called with.

        Args:
            body: what the codec has written.
            total: seconds that the client may think it has.
        """
        said: dict[str, Any] = any_json(body)
        known = {name: value for name, value in said.items() if name in self.names}
        unknown = {name: value for name, value in said.items() if name not in self.names}
        if self.extra:
            known["timeout"] = total
            if unknown:
                known[self.extra] = unknown
        return known

    def frame(self, event: Any) -> bytes:
        """An event of the client's stream, as the wire would have had it."""
        before, after = self.framing
        return before + written(event) + after


def names_of(method: Callable[..., Any]) -> frozenset[str]:
    """The names of the arguments that a method takes; those of any such method, if a tracer in its place hides them."""
    parameters: Mapping[str, inspect.Parameter] = inspect.signature(method).parameters
    hidden = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    return frozenset(parameters) | _USUAL if hidden else frozenset(parameters)


def written(native: Any) -> bytes:
    """A client's native object as the JSON that it came from: what was not in that is not in this."""
    if isinstance(native, str):
        return native.encode("utf-8", "replace")  # a page, which OpenAI's client hands on as it is
    try:
        text: str = native.model_dump_json(exclude_unset=True, by_alias=True, warnings=False)
        return text.encode()
    except ValueError:  # half a surrogate pair, for which pydantic's JSON has no words
        data = native.model_dump(exclude_unset=True, by_alias=True, warnings=False)
        return json.dumps(data, default=str).encode()

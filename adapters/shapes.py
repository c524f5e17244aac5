"""Shapes: JSON at the border, and values that servers and users write in more than one way.

The codecs share these readers, so that each of them can say what its protocol means and leave out how a text with
half a surrogate pair, a list of parts or a number of tokens may look.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, NoReturn, TypeVar

import msgspec

from ..pipeline import InvalidParameters, Problem, Unavailable

__all__ = [
    "Image",
    "Mender",
    "any_json",
    "calls_of",
    "count",
    "data_image",
    "from_json",
    "malformed",
    "parts_of",
    "refuse",
    "refuse_infinite",
    "texts_of",
    "to_json",
    "tool_arguments",
    "tool_input",
]

T = TypeVar("T")

# -- JSON ------------------------------------------------------------------------------------------------------

_SURROGATES = "utf-16", "surrogatepass"


def to_json(body: Any) -> bytes:
    """The body as JSON in UTF-8.

    Raises:
        InvalidParameters: if something in it has no JSON form.
    """
    try:
        return msgspec.json.encode(body, enc_hook=_plain)
    except UnicodeEncodeError:
        # Half a surrogate pair, from text that was cut: pairs are joined, halves become U+FFFD.
        text = json.dumps(body, ensure_ascii=False, default=_plain)
        return text.encode(*_SURROGATES).decode("utf-16", "replace").encode()
    except (TypeError, OverflowError, RecursionError) as error:
        raise InvalidParameters([Problem("messages", f"the request cannot be written as JSON: {error}")]) from None


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is no JSON type; use dict, list, str, int, float, bool or None")


def refuse_infinite(params: Mapping[str, Any]) -> None:
    """Refuses NaN and infinities, which JSON does not have; the encoder would write them as null."""
    for name, value in params.items():
        if type(value) is not str and not all(map(math.isfinite, _floats(value))):
            raise InvalidParameters(
                [Problem(name, f"`{name}` has a number that is not finite: JSON has no such value")]
            )


def _floats(value: Any) -> Iterator[float]:
    if isinstance(value, float):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _floats(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _floats(item)


def from_json(decoder: msgspec.json.Decoder[T], data: bytes) -> T:
    """What `data` says, as the decoder's type.

    Raises:
        Unavailable: with reason "malformed_response".
    """
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:  # the standard library takes what msgspec refuses: half a surrogate pair, cut between two tokens
        return msgspec.convert(json.loads(data), decoder.type)
    except (ValueError, msgspec.ValidationError, RecursionError):
        raise malformed("the answer is not what the protocol says") from None


def any_json(data: bytes) -> Any:
    return from_json(_ANY, data)


_ANY: msgspec.json.Decoder[Any] = msgspec.json.Decoder()


class Mender:
    """Joins surrogate pairs that were cut between two pieces of text; what stays half becomes U+FFFD."""

    __slots__ = ("_half",)

    def __init__(self) -> None:
        self._half = ""

    def __call__(self, text: str) -> str:
        """The text that can be handed out now."""
        if text.isascii() and not self._half:
            return text
        text = self._half + text
        self._half = ""
        if text and "\ud800" <= text[-1] <= "\udbff":
            self._half, text = text[-1], text[:-1]
        try:
            text.encode()
        except UnicodeEncodeError:
            return text.encode(*_SURROGATES).decode("utf-16", "replace")
        return text


# -- values ----------------------------------------------------------------------------------------------------


class Image(NamedTuple):
    """An image inside a message: its type, such as "image/png", and its bytes in base64."""

    media_type: str
    data: str


def calls_of(message: Mapping[str, Any]) -> list[tuple[Any, Mapping[str, Any]]]:
    """The tool calls in a message of the history: the id and the function of each.

    Raises:
        InvalidParameters: if they are not in OpenAI's shape.
    """
    found = []
    for call in message.get("tool_calls") or ():
        function = call.get("function") if isinstance(call, Mapping) else None
        if not isinstance(function, Mapping):
            refuse("messages", "a tool call needs {'id': '...', 'function': {'name': '...', 'arguments': '...'}}")
        found.append((call.get("id"), function))
    return found


def data_image(url: str) -> Image | None:
    """The image in a `data:` URI (RFC 2397), or None if it is another kind of address."""
    if url[:5].lower() != "data:":
        return None
    head, _, data = url[5:].partition(",")
    return Image(head.partition(";")[0] or "image/png", data)


def parts_of(content: Any) -> list[Mapping[str, Any]]:
    """A message's content as a list of parts, whether it is a text, parts or nothing.

    Raises:
        InvalidParameters: if it is none of these.
    """
    if content is None:
        return []
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if not isinstance(content, (list, tuple)):
        refuse("messages", f"a message's content must be a text or a list of parts, not {type(content).__name__}")
    parts = [{"type": "text", "text": part} if isinstance(part, str) else part for part in content]
    for part in parts:
        if not isinstance(part, Mapping):
            refuse("messages", f"a part of a message must be a text or a mapping, not {type(part).__name__}")
    return parts


def tool_arguments(arguments: Any, empty: str = "") -> str:
    """The arguments of a tool call as JSON text, whether the server wrote text or an object."""
    if isinstance(arguments, str):
        return arguments
    return empty if arguments is None else to_json(arguments).decode()


def tool_input(arguments: Any) -> Any:
    """The arguments of a tool call as an object, for the protocols that want one.

    Raises:
        InvalidParameters: if the text is no JSON, as models write it now and then.
    """
    if not isinstance(arguments, str):
        return arguments or {}
    try:
        return json.loads(arguments or "{}")
    except ValueError:
        refuse("messages", "the arguments of a tool call in the history are not valid JSON")


def count(value: Any) -> int | None:
    """A number of tokens as the server wrote it, or None if it wrote none."""
    return int(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def texts_of(messages: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Every text of the messages: what no error may repeat."""
    for message in messages:
        content = message.get("content")
        if isinstance(content, str):
            yield content
        elif isinstance(content, (list, tuple)):
            for part in content:
                text = part.get("text") if isinstance(part, Mapping) else part
                if isinstance(text, str):
                    yield text


# -- errors ----------------------------------------------------------------------------------------------------


def malformed(words: str) -> Unavailable:
    """The error for an answer that makes no sense."""
    return Unavailable(words, reason="malformed_response")


def refuse(parameter: str, words: str) -> NoReturn:
    """Refuses a request that the protocol has no words for."""
    raise InvalidParameters([Problem(parameter, words)])

"""Shapes: JSON at the border, and values that servers write in more than one way.

The codecs share these readers, so that each of them can say what its protocol means and leave out how a text that
came in parts or a number of tokens may look.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from secrets import token_hex
from types import NoneType
from typing import Any, NoReturn, TypeVar

import msgspec

from ..pipeline import InvalidParameters, Problem, Unavailable, Usage
from .mending import mended, mended_all

__all__ = [
    "any_json",
    "count",
    "from_json",
    "id_or_new",
    "malformed",
    "price",
    "refuse",
    "refuse_infinite",
    "texts_of",
    "to_json",
    "told",
    "tool_arguments",
    "unsayable",
]

T = TypeVar("T")

# -- JSON that goes out ----------------------------------------------------------------------------------------


def to_json(body: Any) -> bytes:
    """The body as JSON in UTF-8.

    Raises:
        InvalidParameters: if something in it has no JSON form.
    """
    try:
        try:
            return msgspec.json.encode(body, enc_hook=_plain)
        except UnicodeEncodeError:
            # Half a surrogate pair, from text that was cut: pairs are joined, halves become U+FFFD.
            text = json.dumps(body, ensure_ascii=False, allow_nan=False, default=_plain)
            return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidParameters([Problem("messages", f"the request cannot be written as JSON: {error}")]) from None


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is no JSON type; use dict, list, str, int, float, bool or None")


def unsayable(params: Mapping[str, Any], messages: Any = ()) -> list[Problem]:
    """What JSON cannot say: NaN and infinities, which the encoder would write as null, and endless nesting."""
    problems = []
    for name, value in params.items():
        if type(value) not in _SIMPLE and (flaw := _flaw(value)):
            problems.append(Problem(str(name), f"`{name}` {flaw}"))
    if flaw := _flaw(messages):
        problems.append(Problem("messages", f"a message {flaw}"))
    return problems


def refuse_infinite(params: Mapping[str, Any], messages: Any = ()) -> None:
    """Refuses what `unsayable` finds.

    Raises:
        InvalidParameters: with everything that it found.
    """
    problems = unsayable(params, messages)
    if problems:
        raise InvalidParameters(problems)


_SIMPLE = frozenset({str, int, bool, NoneType})


def _flaw(value: Any) -> str:
    try:
        return "" if _finite((value,)) else "has a number that is not finite: JSON has no such value"
    except RecursionError:
        return "is nested too deep"


def _finite(items: Iterable[Any]) -> bool:
    # This may see every value of every tool of every call: it goes by exact type first, and takes no generator.
    for item in items:
        kind = type(item)
        if kind is str or kind in _SIMPLE:
            continue
        if kind is dict:
            inner: Iterable[Any] = item.values()
        elif kind is list:
            inner = item
        elif isinstance(item, float):
            if not math.isfinite(item):
                return False
            continue
        elif isinstance(item, Mapping):
            inner = item.values()
        elif isinstance(item, (list, tuple)):
            inner = item
        else:
            continue
        if not _finite(inner):
            return False
    return True


# -- JSON that comes in ----------------------------------------------------------------------------------------


def from_json(decoder: msgspec.json.Decoder[T], data: bytes | str) -> T:
    """What `data` says, as the decoder's type.

    Raises:
        Unavailable: with reason "malformed_response".
    """
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        pass
    try:
        # The standard library takes what msgspec refuses: half a surrogate pair, cut between two tokens, and
        # numbers out of range. Python servers write NaN where they have no number: that is None.
        loaded = json.loads(data, parse_constant=_no_number, object_hook=_without_halves)
        return msgspec.convert(loaded, decoder.type)
    except (ValueError, msgspec.ValidationError, RecursionError):
        raise malformed("the answer is not what the protocol says") from None


def _no_number(name: str) -> None:
    return None


# Texts that come in pieces: half a pair may find the other half in the next one, and is mended by whoever joins them.
_PIECES = frozenset({"content", "text", "refusal", "reasoning", "reasoning_content", "thinking", "summary",
                     "arguments", "input", "partial_json"})  # fmt: skip


def _without_halves(item: dict[str, Any]) -> dict[str, Any]:
    """The object without lone halves in ids, names and all else that comes whole. What is in it was seen before."""
    return {mended(name): _without_half(name, value) for name, value in item.items()}


def _without_half(name: str, value: Any) -> Any:
    if isinstance(value, str):
        return value if name in _PIECES else mended(value)
    return mended_all(value) if name == "logprobs" else value


def any_json(data: bytes | str) -> Any:
    return from_json(_ANY, data)


_ANY: msgspec.json.Decoder[Any] = msgspec.json.Decoder()


# -- values ----------------------------------------------------------------------------------------------------


def tool_arguments(arguments: Any, empty: str = "") -> str:
    """The arguments of a tool call as JSON text, whether the server wrote text or an object."""
    if isinstance(arguments, str):
        return arguments
    if arguments is None:
        return empty
    try:
        return msgspec.json.encode(arguments).decode()
    except (ValueError, OverflowError):  # half a surrogate pair, which is mended later, or an endless integer
        return json.dumps(arguments, ensure_ascii=False, separators=(",", ":"))


def id_or_new(given: str | None) -> str:
    """The id of a tool call. Without one it gets one: its result refers to it, and other providers insist on it.

    It is made up at random, because a conversation may have many turns, and an id belongs to one call in all of them.
    """
    return given or f"call_{token_hex(6)}"


def count(value: Any) -> int | None:
    """A number of tokens as the server wrote it, or None if it wrote none."""
    if type(value) is int:
        return value
    return int(value) if type(value) is float and math.isfinite(value) else None


def price(value: Any) -> float | None:
    """An amount of money as the server wrote it, or None if it wrote none."""
    if type(value) not in (int, float):
        return None
    try:
        amount = float(value)
    except OverflowError:
        return None
    return amount if math.isfinite(amount) else None


def told(usage: Usage) -> Usage | None:
    """The usage, or None if the server told nothing of it."""
    return None if usage == _UNTOLD else usage


_UNTOLD = Usage()


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

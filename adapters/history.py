"""What a conversation so far is made of, as users write it: parts of a message, images, tool calls.

The codecs that translate messages share these readers. Whatever a user put into a message, they return it in the one
shape that they promise, or refuse the request with a sentence about it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec

from .shapes import refuse, unsayable

__all__ = [
    "Image",
    "address_of",
    "answered_call",
    "calls_of",
    "data_image",
    "id_instead",
    "own_reasoning",
    "parts_of",
    "remarks",
    "strange_keys",
    "text_of",
    "tool_input",
]


def own_reasoning(
    messages: Sequence[Mapping[str, Any]], kinds: tuple[str, ...]
) -> tuple[Sequence[Mapping[str, Any]], str]:
    """The messages without the `reasoning_details` of other providers, which only their makers can read.

    Args:
        messages: the conversation so far; `Reply.message` puts such details into it.
        kinds: how the types of the provider's own details begin; empty if it has none.

    Returns:
        The messages, the same ones if nothing had to be left out, and what was left out, in words.

    Raises:
        InvalidParameters: if the details are no list of mappings.
    """
    for message in messages:  # a loop, because every call comes along here, and hardly one has any
        if "reasoning_details" in message:
            break
    else:
        return messages, ""
    kept: list[Mapping[str, Any]] = []
    left_out = 0
    for message in messages:
        turn = {key: value for key, value in message.items() if key != "reasoning_details"}
        if details := message.get("reasoning_details"):
            if not isinstance(details, (list, tuple)) or not all(isinstance(detail, Mapping) for detail in details):
                refuse("messages", "`reasoning_details` must be a list of mappings, as `Reply.message` has them")
            own = [detail for detail in details if str(detail.get("type")).startswith(kinds)] if kinds else []
            left_out += len(details) - len(own)
            if own:
                turn["reasoning_details"] = own
        kept.append(turn)
    return kept, f"reasoning of other providers left out ({left_out})" if left_out else ""


def strange_keys(
    messages: Sequence[Mapping[str, Any]], known: frozenset[str], label: str, parts: frozenset[str] | None = None
) -> str:
    """What is in the messages and will not be sent, in words. What is None or empty is not worth a word.

    Args:
        messages: the conversation so far.
        known: the keys of a message that the codec translates.
        label: the provider's name for people.
        parts: the keys of a message's part that it translates; None if it sends them all.
    """
    strange: set[str] = set()
    for message in messages:
        if len(message) > 2 and not known.issuperset(message):  # two are the role and the content
            strange.update(str(key) for key in message.keys() - known if message[key])
        content = message.get("content")
        if isinstance(content, (list, tuple)):
            for part in content:
                if isinstance(part, Mapping):
                    strange.update(_strange_in(part, parts))
    names = ", ".join(f"`{name}`" for name in sorted(strange))
    return f"{names} left out, which {label} has no words for" if names else ""


def _strange_in(part: Mapping[str, Any], known: frozenset[str] | None) -> Iterator[str]:
    if known is not None:
        yield from (str(key) for key in part.keys() - known if part[key])
    image = part.get("image_url")
    if isinstance(image, Mapping):  # "auto" is what others do
        yield from (str(key) for key in image.keys() - {"url"} if image[key] and image[key] != "auto")


def remarks(*words: str) -> dict[str, str]:
    """What was done to the messages, for the reply's `changes`; empty if nothing was."""
    if not any(words):
        return {}
    return {"messages": "; ".join(filter(None, words))}


class Image(NamedTuple):
    """An image inside a message: its type, such as "image/png", and its bytes in base64."""

    media_type: str
    data: str


def calls_of(message: Mapping[str, Any]) -> list[tuple[str | None, Mapping[str, Any]]]:
    """The tool calls in a message: the id and the function of each.

    Raises:
        InvalidParameters: if they are not in OpenAI's shape.
    """
    calls = message.get("tool_calls")
    if not calls:
        return []
    if not isinstance(calls, (list, tuple)):
        refuse("messages", f"`tool_calls` must be a list, not {type(calls).__name__}")
    found = []
    for call in calls:
        function = call.get("function") if isinstance(call, Mapping) else None
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            refuse("messages", "a tool call needs {'id': '...', 'function': {'name': '...', 'arguments': '...'}}")
        found.append((_id(call, "id"), function))
    return found


def answered_call(message: Mapping[str, Any]) -> str | None:
    """The id of the tool call that a tool's message answers, or None if it has none.

    Raises:
        InvalidParameters: if it is no text.
    """
    return _id(message, "tool_call_id")


def id_instead(call_id: str) -> str:
    """What a provider gets in place of the id of a tool call that it does not take, such as "functions.f:0".

    The same id always becomes the same one, so that a result still finds its call.
    """
    return f"call_{sha256(call_id.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"


def _id(holder: Mapping[str, Any], key: str) -> str | None:
    found = holder.get(key)
    if found is not None and not isinstance(found, str):
        refuse("messages", f"the `{key}` of a tool call must be a string, not {type(found).__name__}")
    return found


def address_of(part: Mapping[str, Any]) -> str:
    """The URL in an `image_url` part.

    Raises:
        InvalidParameters: if there is none.
    """
    address = part.get("image_url")
    url = address.get("url") if isinstance(address, Mapping) else address
    if not isinstance(url, str):
        refuse("messages", "an image_url part needs {'image_url': {'url': '...'}}")
    return url


def data_image(url: str) -> Image | None:
    """The image in a `data:` URI (RFC 2397), or None if it is another kind of address.

    Raises:
        InvalidParameters: if its data is not in base64, which is the only form that providers take.
    """
    if url[:5].lower() != "data:":
        return None
    comma = url.find(",")  # a URI may have many megabytes: its data is copied once
    media_type, *rest = url[5 : max(comma, 5)].split(";")
    if "base64" not in (word.strip().lower() for word in rest):
        refuse("messages", "an image in a data URI must be in base64: 'data:image/png;base64,...'")
    return Image(media_type or "image/png", url[comma + 1 :])


def parts_of(content: Any) -> list[Mapping[str, Any]]:
    """A message's content as a list of parts, whether it is a text, parts or nothing.

    Raises:
        InvalidParameters: if it is none of these, or a text part has no text.
    """
    if content is None:
        return []
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if not isinstance(content, (list, tuple)):
        refuse("messages", f"a message's content must be a text or a list of parts, not {type(content).__name__}")
    parts: list[Mapping[str, Any]] = []
    for part in content:
        if isinstance(part, str):
            parts.append({"type": "text", "text": part})
        elif not isinstance(part, Mapping):
            refuse("messages", f"a part of a message must be a text or a mapping, not {type(part).__name__}")
        elif part.get("type") == "text" and not isinstance(part.get("text"), str):
            refuse("messages", "a part of type 'text' needs {'text': '...'}")
        else:
            parts.append(part)
    return parts


def text_of(part: Mapping[str, Any], key: str) -> str:
    """A text that a part of some other type has to have under its own key.

    Raises:
        InvalidParameters: if it has none.
    """
    text = part.get(key)
    if not isinstance(text, str):
        refuse("messages", f"a part of type {key!r} needs {{{key!r}: '...'}}")
    return text


def tool_input(arguments: Any) -> Mapping[str, Any]:
    """The arguments of a tool call as an object, for the protocols that want one.

    What is no JSON object, as models write it now and then, goes back as it is inside of one, under the name that
    Anthropic's guide to tools gives it: the conversation can go on, and the model sees what it wrote.

    Raises:
        InvalidParameters: if they are neither text nor a mapping.
    """
    if arguments is None or arguments == "":
        return {}
    if isinstance(arguments, Mapping):
        return arguments
    if not isinstance(arguments, str):
        refuse("messages", f"the arguments of a tool call must be JSON text, not {type(arguments).__name__}")
    found = _parsed(arguments)
    return found if isinstance(found, Mapping) else {"INVALID_JSON": arguments}


_OBJECT = msgspec.json.Decoder()


def _parsed(text: str) -> Any:
    try:
        return _OBJECT.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        pass
    try:  # with half a surrogate pair in it, which the encoder mends
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return None if unsayable({"": found}) else found

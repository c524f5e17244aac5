"""What a request needs of a route, in words: "tools", "images", "json_schema", "native".

The last is for a call of a protected client that only clients like it can answer.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from .request import Request

__all__ = ["NEEDS", "check_needs", "needs_of"]

NEEDS = ("tools", "images", "json_schema", "native")

_IMAGES = frozenset({"image_url", "input_image", "image"})


def needs_of(request: Request) -> frozenset[str]:
    """What a route must be able to do to answer the request."""
    needs = set()
    if request.params.get("tools") or any(_calls_tools(message) for message in request.messages):
        needs.add("tools")
    if any(_has_image(message.get("content")) for message in request.messages):
        needs.add("images")
    form = request.params.get("response_format")
    if isinstance(form, Mapping) and form.get("type") == "json_schema":
        needs.add("json_schema")
    if request.native is not None and request.native.alone:
        needs.add("native")
    return frozenset(needs)


def _calls_tools(message: Mapping[str, Any]) -> bool:
    return message.get("role") == "tool" or bool(message.get("tool_calls"))


def _has_image(content: Any) -> bool:
    if not isinstance(content, (list, tuple)):
        return False
    return any(isinstance(part, Mapping) and part.get("type") in _IMAGES for part in content)


def check_needs(what: str, words: Collection[str]) -> frozenset[str]:
    """The words as a set.

    Args:
        what: whose they are, for the message.
        words: some of NEEDS.

    Raises:
        ValueError: if one of them is unknown.
        TypeError: if it is a string and not a set of them.
    """
    if isinstance(words, str):
        raise TypeError(f"{what} is a set of words: write {{{words!r}}}")
    unknown = sorted(str(word) for word in words if word not in NEEDS)
    if unknown:
        raise ValueError(f"{what} must be among {', '.join(NEEDS)}, not {', '.join(unknown)}")
    return frozenset(words)

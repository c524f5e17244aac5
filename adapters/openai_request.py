"""What OpenAI itself refuses, and servers that speak like it take: requests are fitted to it here.

Its API answers 400 to a word that it does not know, anywhere in a message. Conversations come with words of other
providers, most of all where one of them has answered before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .history import id_instead
from .shapes import refuse, texts_of

__all__ = ["fit_openai"]

_FOREIGN = ("cache_control", "is_error")  # Claude's, as conversations and tools have them
_LONGEST_ID = 40  # characters of a tool call's id: "Expected a string with maximum length 40"


def fit_openai(body: dict[str, Any], changes: dict[str, str]) -> None:
    """Fits the body of a request, in place, and writes down what was left out.

    Raises:
        InvalidParameters: if 'json_object' is asked for without the word in the messages.
    """
    if _lacks_the_word(body):
        refuse("response_format", "OpenAI's 'json_object' needs the word 'json' somewhere in the messages")
    left_out: set[str] = set()
    body["messages"] = [_message(message, left_out) for message in body["messages"]]
    _note("messages", left_out, changes)
    tools = body.get("tools")
    if isinstance(tools, (list, tuple)):
        left_out = set()
        body["tools"] = [_without(tool, left_out) for tool in tools]
        _note("tools", left_out, changes)


def _note(name: str, left_out: set[str], changes: dict[str, str]) -> None:
    if left_out:
        words = f"{', '.join(f'`{key}`' for key in sorted(left_out))} left out, which OpenAI has no words for"
        changes[name] = f"{changes[name]}; {words}" if name in changes else words


def _message(message: Mapping[str, Any], left_out: set[str]) -> Mapping[str, Any]:
    message = _without(message, left_out)
    content, calls = message.get("content"), message.get("tool_calls")
    if isinstance(content, (list, tuple)) and any(_is_foreign(part) for part in content):
        message = {**message, "content": [_without(part, left_out) for part in content]}
    if "tool_call_id" in message and _is_long(message, "tool_call_id"):
        message = {**message, "tool_call_id": id_instead(message["tool_call_id"])}
    if isinstance(calls, (list, tuple)) and any(_is_long(call, "id") for call in calls):
        shorter = [{**call, "id": id_instead(call["id"])} if _is_long(call, "id") else call for call in calls]
        message = {**message, "tool_calls": shorter}
    return message


def _is_foreign(part: Any) -> bool:
    return isinstance(part, Mapping) and any(key in part for key in _FOREIGN)


def _without(part: Any, left_out: set[str]) -> Any:
    if not _is_foreign(part):
        return part
    left_out.update(key for key in _FOREIGN if part.get(key))
    return {key: value for key, value in part.items() if key not in _FOREIGN}


def _is_long(holder: Any, key: str) -> bool:
    return isinstance(holder, Mapping) and isinstance(id_ := holder.get(key), str) and len(id_) > _LONGEST_ID


def _lacks_the_word(body: Mapping[str, Any]) -> bool:
    """Whether 'json_object' is asked for without the word in the messages, which the API answers with a 400."""
    form = body.get("response_format")
    if not isinstance(form, Mapping) or form.get("type") != "json_object":
        return False
    return not any("json" in text.lower() for text in texts_of(body["messages"]))

"""What is asked of Claude: OpenAI-shaped messages and tools in the words of the Messages API.

Blocks of Claude's own (documents, thinking that has to go back, cache marks) pass as they are, and so do tools in
its own shape.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from .claude_answer import SERVER_BLOCKS, WHOLE
from .history import address_of, answered_call, calls_of, data_image, id_instead, parts_of, text_of, tool_input
from .shapes import refuse

__all__ = ["KEYS", "conversation", "translate_format", "translate_tools"]

_CHOICES: Mapping[str, str] = {"auto": "auto", "none": "none", "required": "any"}
_BLOCKS = frozenset(
    {
        *("text", "image", "document", "search_result", "container_upload"),
        *("thinking", "redacted_thinking", "tool_use", "tool_result"),
    }
)
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")  # "tool_use.id: String should match pattern"


KEYS = frozenset(
    {"role", "content", "tool_calls", "tool_call_id", "refusal", "is_error", "reasoning_details", "cache_control"}
)
"""The keys of a message that are translated."""


def conversation(messages: Iterable[Mapping[str, Any]]) -> tuple[Any, list[dict[str, Any]]]:
    """The system prompt, as text or as blocks, and the messages as Claude has them.

    Raises:
        InvalidParameters: if a message has something in it that Claude has no words for.
    """
    system: list[dict[str, Any]] = []
    turns: list[dict[str, Any]] = []
    results: list[dict[str, Any]] | None = None  # of the turn before: all results belong into one message
    for message in messages:
        role, content = message["role"], message.get("content")
        mark = message.get("cache_control")  # on the message, as some clients write it
        if mark and role not in ("assistant", "tool"):
            content = _marked(content, mark)
        if role == "user":
            results = None
            turns.append({"role": role, "content": _asked(content)})
        elif role == "assistant":
            results = None
            blocks = _answered(message, content)
            if blocks:
                turns.append({"role": role, "content": _mark_last(blocks, mark)})
        elif role == "tool":
            if results is None:
                results = []
                turns.append({"role": "user", "content": results})
            results += _mark_last([_result(message, content)], mark)
        elif role in ("system", "developer"):
            system += _blocks(content)
        else:
            # Not the role itself, which may be any text.
            refuse("messages", "Claude has the roles 'system', 'developer', 'user', 'assistant' and 'tool', no others")
    if not turns:
        refuse("messages", "Claude needs at least one message besides the system prompt")
    if all(block.keys() == {"type", "text"} for block in system):
        return "\n\n".join(block["text"] for block in system), turns
    return system, turns  # with cache marks or the like, which need their blocks


def _marked(content: Any, mark: Any) -> list[Mapping[str, Any]]:
    """The content with a cache mark on its last part, which is where the mark of a message belongs."""
    parts = parts_of(content)
    return [*parts[:-1], {**parts[-1], "cache_control": mark}] if parts else []


def _mark_last(blocks: list[dict[str, Any]], mark: Any) -> list[dict[str, Any]]:
    """The same for blocks that are ready; thinking takes no mark."""
    if mark and blocks[-1]["type"] not in ("thinking", "redacted_thinking"):
        blocks[-1]["cache_control"] = mark
    return blocks


def _asked(content: Any) -> Any:
    blocks: Any = content
    if isinstance(content, str):
        blank = not content or content.isspace()
    else:
        blocks = _blocks(content)
        blank = not blocks or any(map(_is_blank, blocks))
    if blank:
        refuse("messages", "Claude takes no user message without text or with a blank text in it")
    return blocks


def _is_blank(block: Mapping[str, Any]) -> bool:
    return block.get("type") == "text" and not block["text"].strip()


def _blocks(content: Any) -> list[dict[str, Any]]:
    return [_block(part) for part in parts_of(content)]


def _block(part: Mapping[str, Any]) -> dict[str, Any]:
    kind = part.get("type")
    if kind == "image_url":
        return _image(part)
    if not isinstance(kind, str) or not (kind in _BLOCKS or kind.endswith(SERVER_BLOCKS)):
        refuse("messages", "Claude takes text, images, documents and blocks of its own, no other parts")
    return dict(part)


def _image(part: Mapping[str, Any]) -> dict[str, Any]:
    url = address_of(part)
    rest = {key: value for key, value in part.items() if key not in ("type", "image_url")}
    image = data_image(url)
    if image is None:
        return {"type": "image", "source": {"type": "url", "url": url}, **rest}
    return {"type": "image", "source": {"type": "base64", "media_type": image.media_type, "data": image.data}, **rest}


def _answered(message: Mapping[str, Any], content: Any) -> list[dict[str, Any]]:
    details = message.get("reasoning_details") or ()
    for detail in details:
        if detail.get("type") == WHOLE:
            return [dict(block) for block in detail["content"] if not _is_blank(block)]
    refusal = message.get("refusal")
    blocks: list[dict[str, Any]]
    if isinstance(content, str):
        blocks = [{"type": "text", "text": content}]
    else:
        blocks = [_said(part) for part in parts_of(content)]
    if isinstance(refusal, str):
        blocks.append({"type": "text", "text": refusal})
    # The API itself returns empty texts, and refuses them when they come back.
    blocks = [block for block in blocks if not _is_blank(block)]
    blocks = [*map(dict, details), *blocks]  # thinking goes back first, and unchanged
    if message.get("tool_calls"):
        for call_id, function in calls_of(message):
            arguments = tool_input(function.get("arguments"))
            if not call_id:
                refuse("messages", "a tool call in the history needs an `id`, which its result then names")
            blocks.append({"type": "tool_use", "id": _id(call_id), "name": function["name"], "input": arguments})
    return blocks


def _said(part: Mapping[str, Any]) -> dict[str, Any]:
    if part.get("type") == "refusal":  # it is what the assistant said; Claude has no block of its own for it
        return {"type": "text", "text": text_of(part, "refusal")}
    return _block(part)


def _result(message: Mapping[str, Any], content: Any) -> dict[str, Any]:
    call_id = answered_call(message)
    if not call_id:
        refuse("messages", "a message of a tool needs the `tool_call_id` of the call that it answers")
    block = {
        "type": "tool_result",
        "tool_use_id": _id(call_id),
        "content": content if isinstance(content, str) else _blocks(content),
    }
    return {**block, "is_error": True} if message.get("is_error") else block


def _id(call_id: str) -> str:
    return call_id if _ID.fullmatch(call_id) else id_instead(call_id)


def translate_tools(params: dict[str, Any]) -> None:
    """Puts tools, the choice among them and `parallel_tool_calls` into Claude's shape, in place.

    Raises:
        InvalidParameters: if they are in no shape that is known.
    """
    tools = params.get("tools")
    if tools is not None:
        if not isinstance(tools, (list, tuple)):
            refuse("tools", f"`tools` must be a list, not {type(tools).__name__}")
        params["tools"] = [_tool(tool) for tool in tools]
    choice, parallel = params.get("tool_choice"), params.pop("parallel_tool_calls", None)
    if choice is not None:
        choice = _choice(choice)
    if parallel is False and tools:
        choice = {**(choice or {"type": "auto"})}
        if choice["type"] != "none":
            choice["disable_parallel_tool_use"] = True
    if choice is not None:
        params["tool_choice"] = choice


def _choice(choice: Any) -> dict[str, Any]:
    if isinstance(choice, str) and choice in _CHOICES:
        return {"type": _CHOICES[choice]}
    kind = choice.get("type") if isinstance(choice, Mapping) else None
    function = choice.get("function") if kind == "function" else None
    if isinstance(function, Mapping):
        return {"type": "tool", "name": function.get("name")}
    if not isinstance(kind, str) or kind == "function":
        refuse("tool_choice", "`tool_choice` must be 'auto', 'none', 'required' or a named function")
    return dict(choice)


def _tool(tool: Any) -> Any:
    function = tool.get("function") if isinstance(tool, Mapping) else None
    if not isinstance(function, Mapping):
        return tool  # in Claude's own shape
    flat = {key: value for key, value in function.items() if key != "parameters"}
    flat.update((key, value) for key, value in tool.items() if key not in ("type", "function"))  # a cache mark
    return {**flat, "input_schema": function.get("parameters") or {"type": "object", "properties": {}}}


def translate_format(params: dict[str, Any]) -> None:
    """Puts `output_config.format`, which arrives as OpenAI's `response_format`, into Claude's shape, in place.

    Raises:
        InvalidParameters: if Claude has no such format.
    """
    config = params.get("output_config")
    given = config.get("format") if isinstance(config, dict) else None
    if config is None or not isinstance(given, Mapping):
        return
    if given.get("type") == "text":
        del config["format"]
        if not config:
            del params["output_config"]
    elif given.get("type") == "json_object":
        refuse("response_format", "Claude has no 'json_object': give a schema, with 'json_schema'")
    elif isinstance(given.get("json_schema"), Mapping):
        config["format"] = {"type": "json_schema", "schema": given["json_schema"].get("schema") or {}}

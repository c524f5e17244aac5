"""What is asked of Claude: OpenAI-shaped messages and tools in the words of the Messages API.

Blocks of Claude's own (documents, thinking that has to go back, cache marks) pass as they are, and so do tools in
its own shape.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .shapes import calls_of, data_image, parts_of, refuse, tool_input

__all__ = ["conversation", "translate_format", "translate_tools"]

_CHOICES: Mapping[str, str] = {"auto": "auto", "none": "none", "required": "any"}


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
        if role in ("system", "developer"):
            system += _blocks(content)
        elif role == "tool":
            if results is None:
                results = []
                turns.append({"role": "user", "content": results})
            results.append(_result(message))
        elif role == "assistant":
            results = None
            blocks = _answered(message)
            if blocks:
                turns.append({"role": role, "content": blocks})
        else:
            results = None
            turns.append({"role": role, "content": content if isinstance(content, str) else _blocks(content)})
    if all(block.keys() == {"type", "text"} for block in system):
        return "\n\n".join(block["text"] for block in system), turns
    return system, turns  # with cache marks or the like, which need their blocks


def _blocks(content: Any) -> list[dict[str, Any]]:
    return [_block(part) for part in parts_of(content)]


def _block(part: Mapping[str, Any]) -> dict[str, Any]:
    if part.get("type") != "image_url":
        return dict(part)  # text, or a block of Claude's own, such as a document or thinking that goes back
    address = part.get("image_url")
    url = address.get("url") if isinstance(address, Mapping) else address
    if not isinstance(url, str):
        refuse("messages", "an image_url part needs {'image_url': {'url': '...'}}")
    rest = {key: value for key, value in part.items() if key not in ("type", "image_url")}
    image = data_image(url)
    if image is None:
        return {"type": "image", "source": {"type": "url", "url": url}, **rest}
    return {"type": "image", "source": {"type": "base64", "media_type": image.media_type, "data": image.data}, **rest}


def _answered(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    # The API itself returns empty texts, and refuses them when they come back.
    blocks = [
        block
        for block in _blocks(message.get("content"))
        if block.get("type") != "text" or block.get("text", "").strip()
    ]
    for call_id, function in calls_of(message):
        arguments = tool_input(function.get("arguments"))
        blocks.append({"type": "tool_use", "id": call_id, "name": function.get("name"), "input": arguments})
    return blocks


def _result(message: Mapping[str, Any]) -> dict[str, Any]:
    content = message.get("content")
    block = {
        "type": "tool_result",
        "tool_use_id": message.get("tool_call_id"),
        "content": content if isinstance(content, str) else _blocks(content),
    }
    return {**block, "is_error": True} if message.get("is_error") else block


def translate_tools(params: dict[str, Any]) -> None:
    """Puts tools, the choice among them and `parallel_tool_calls` into Claude's shape, in place."""
    if "tools" in params:
        params["tools"] = [_tool(tool) for tool in params["tools"]]
    choice, parallel = params.get("tool_choice"), params.pop("parallel_tool_calls", None)
    if isinstance(choice, str):
        if choice not in _CHOICES:
            refuse("tool_choice", "`tool_choice` must be 'auto', 'none', 'required' or a named function")
        choice = {"type": _CHOICES[choice]}
    elif isinstance(choice, Mapping) and choice.get("type") == "function":
        choice = {"type": "tool", "name": (choice.get("function") or {}).get("name")}
    if parallel is False and params.get("tools"):
        choice = {**(choice or {"type": "auto"})}
        if choice["type"] != "none":
            choice["disable_parallel_tool_use"] = True
    if choice is not None:
        params["tool_choice"] = choice


def _tool(tool: Any) -> Any:
    function = tool.get("function") if isinstance(tool, Mapping) else None
    if not isinstance(function, Mapping):
        return tool  # in Claude's own shape
    flat = {key: value for key, value in function.items() if key != "parameters"}
    return {**flat, "input_schema": function.get("parameters") or {"type": "object", "properties": {}}}


def translate_format(params: dict[str, Any]) -> None:
    """Puts `output_config.format`, which arrives as OpenAI's `response_format`, into Claude's shape, in place."""
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

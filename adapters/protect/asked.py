"""What a native call asks, in the words of a Request: layers see it, and routes of other protocols can answer it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

__all__ = ["DESCRIBED", "Asked", "asked_of_claude", "asked_of_ollama", "asked_of_openai", "described", "plain"]

_UNSET = frozenset({"NotGiven", "Omit"})  # the clients' words for an argument that was not given
_OPENAI_ONLY = ("functions", "function_call", "audio", "prediction", "web_search_options")
_CLAUDE_ONLY = ("container", "mcp_servers", "thread")  # what is kept or called at the provider
_CHOICES = {"auto": "auto", "any": "required", "none": "none"}
_THOUGHTS = ("thinking", "redacted_thinking")

DESCRIBED: tuple[Mapping[str, Any], ...] = ({"role": "user", "content": ""},)
"""The messages of a call that has none."""


class Asked(NamedTuple):
    """A native call in the words of a Request.

    Attributes:
        messages, params: as a Request has them.
        alone: whether only a client of the same shape can answer: the rest is a description.
    """

    messages: Sequence[Mapping[str, Any]]
    params: Mapping[str, Any]
    alone: bool = False


class _Foreign(Exception):
    """There is something in the call that no other protocol has words for."""


def plain(value: Any) -> Any:
    """The value without the clients' own types: models are mappings, iterators lists, what was not given is gone."""
    if value is None or isinstance(value, (str, bytes, int, float)):
        return value
    dump = getattr(value, "model_dump", None)
    if dump is not None and not isinstance(value, type):
        return dump(mode="json", exclude_unset=True, warnings=False)
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items() if type(item).__name__ not in _UNSET}
    if isinstance(value, (list, tuple, Iterator)):
        return [plain(item) for item in value]
    return value


def described(body: Mapping[str, Any]) -> Asked:
    """A call that only travels as it is: what it asks, as far as it is a prompt."""
    prompt = body.get("input", body.get("prompt"))
    params = {key: value for key, value in body.items() if key not in ("model", "input", "prompt", "stream")}
    if isinstance(prompt, str):
        return Asked(({"role": "user", "content": prompt},), params, alone=True)
    turns = [item for item in prompt or () if isinstance(item, Mapping) and isinstance(item.get("role"), str)]
    return Asked(turns or DESCRIBED, params, alone=True)


# -- OpenAI ----------------------------------------------------------------------------------------------------


def asked_of_openai(body: Mapping[str, Any]) -> Asked:
    """The arguments of `chat.completions.create`."""
    left = ("model", "messages", "stream", "stream_options")
    params = {key: value for key, value in body.items() if key not in left and value is not None}
    if "max_tokens" not in params and "max_completion_tokens" in params:
        params["max_tokens"] = params.pop("max_completion_tokens")  # which other protocols know by that name
    alone = (
        params.get("n", 1) != 1
        or any(name in params for name in _OPENAI_ONLY)
        or any(tool.get("type") != "function" for tool in params.get("tools") or ())
        or any(message.get("role") == "function" for message in body["messages"])
    )
    return Asked(body["messages"], params, alone)


# -- Claude ----------------------------------------------------------------------------------------------------


def asked_of_claude(body: Mapping[str, Any]) -> Asked:
    """The arguments of `messages.create`."""
    params: dict[str, Any] = {}
    try:
        if any(body.get(name) for name in _CLAUDE_ONLY):
            raise _Foreign
        for name, value in body.items():
            if name not in ("model", "messages", "system", "stream", "betas") and value is not None:
                _claude_param(name, value, params)
        messages = [] if not body.get("system") else [{"role": "system", "content": body["system"]}]
        for message in body["messages"]:
            messages += _claude_turn(message)
    except _Foreign:
        turns = [{"role": turn["role"], "content": turn.get("content")} for turn in body["messages"]]
        return Asked(turns, {key: body[key] for key in body if key not in ("model", "messages", "stream")}, alone=True)
    return Asked(messages, params)


def _claude_param(name: str, value: Any, params: dict[str, Any]) -> None:
    if name == "stop_sequences":
        params["stop"] = value
    elif name == "tools":
        params[name] = [_claude_tool(tool) for tool in value]
    elif name == "tool_choice":
        if value.get("type") == "tool":
            params[name] = {"type": "function", "function": {"name": value["name"]}}
        else:
            params[name] = _CHOICES.get(value.get("type"), "auto")
        if value.get("disable_parallel_tool_use"):
            params["parallel_tool_calls"] = False
    elif name == "output_config":
        form, effort = value.get("format"), value.get("effort")
        if form:
            params["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": form.get("schema") or {}},
            }
        if effort:
            params["reasoning_effort"] = effort
    elif name == "metadata":
        if value.get("user_id"):
            params["user"] = value["user_id"]
    else:
        params[name] = value


def _claude_tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    if tool.get("type") not in (None, "custom") or "input_schema" not in tool:
        raise _Foreign
    function = {key: value for key, value in tool.items() if key not in ("type", "input_schema", "cache_control")}
    made: dict[str, Any] = {"type": "function", "function": {**function, "parameters": tool["input_schema"]}}
    return {**made, "cache_control": tool["cache_control"]} if tool.get("cache_control") else made


def _claude_turn(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    role, content = message["role"], message.get("content")
    if isinstance(content, str):
        yield {"role": role, "content": content}
        return
    parts: list[dict[str, Any]] = []
    calls: list[dict[str, Any]] = []
    thoughts: list[Any] = []
    for block in content or ():
        kind = block.get("type")
        if kind == "text":
            parts.append(dict(block))
        elif kind == "image":
            parts.append(_claude_image(block))
        elif kind == "tool_result":
            yield _claude_result(block)
        elif kind == "tool_use":
            asked = {"name": block["name"], "arguments": json.dumps(block.get("input") or {}, ensure_ascii=False)}
            calls.append({"id": block["id"], "type": "function", "function": asked})
        elif kind in _THOUGHTS:
            thoughts.append(block)
        else:
            raise _Foreign
    if not (parts or calls or thoughts):
        return
    turn: dict[str, Any] = {"role": role, "content": _joined(parts)}
    if calls:
        turn["tool_calls"] = calls
    if thoughts:
        turn["reasoning_details"] = thoughts
    yield turn


def _joined(parts: list[dict[str, Any]]) -> Any:
    if len(parts) == 1 and parts[0].keys() == {"type", "text"}:
        return parts[0]["text"]
    return parts or None


def _claude_image(block: Mapping[str, Any]) -> dict[str, Any]:
    source = block.get("source") or {}
    if source.get("type") == "url":
        url = source["url"]
    elif source.get("type") == "base64" and isinstance(source.get("data"), str):
        url = f"data:{source['media_type']};base64,{source['data']}"
    else:
        raise _Foreign
    return {"type": "image_url", "image_url": {"url": url}}


def _claude_result(block: Mapping[str, Any]) -> dict[str, Any]:
    content = block.get("content")
    if not isinstance(content, str):
        parts = list(content or ())
        if any(part.get("type") not in ("text", "image") for part in parts):
            raise _Foreign
        content = [_claude_image(part) if part["type"] == "image" else part for part in parts]
    turn = {"role": "tool", "tool_call_id": block["tool_use_id"], "content": content}
    return {**turn, "is_error": True} if block.get("is_error") else turn


# -- Ollama ----------------------------------------------------------------------------------------------------


def asked_of_ollama(body: Mapping[str, Any]) -> Asked:
    """The arguments of `chat`, as the client writes them."""
    params = {key: body[key] for key in ("tools", "keep_alive", "logprobs", "top_logprobs") if body.get(key)}
    for name, value in (body.get("options") or {}).items():
        params["max_tokens" if name == "num_predict" else name] = value
    form, think = body.get("format"), body.get("think")
    if form == "json":
        params["response_format"] = {"type": "json_object"}
    elif isinstance(form, Mapping):
        params["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "schema": form}}
    if think is not None:
        params["reasoning_effort"] = "none" if think is False else think
    waiting: list[str] = []  # ids of calls, which the client has none of; results come in their order
    return Asked([_ollama_turn(message, at, waiting) for at, message in enumerate(body["messages"])], params)


def _ollama_turn(message: Mapping[str, Any], at: int, waiting: list[str]) -> dict[str, Any]:
    turn: dict[str, Any] = {"role": message["role"], "content": message.get("content") or ""}
    if message.get("images"):
        texts = [{"type": "text", "text": turn["content"]}] if turn["content"] else []
        turn["content"] = [*texts, *map(_ollama_image, message["images"])]
    if message.get("tool_calls"):
        turn["tool_calls"] = []
        waiting.clear()
        for number, call in enumerate(message["tool_calls"]):
            function = call["function"]
            arguments = json.dumps(function.get("arguments") or {}, ensure_ascii=False)
            waiting.append(call.get("id") or f"call_{at}_{number}")
            asked = {"name": function["name"], "arguments": arguments}
            turn["tool_calls"].append({"id": waiting[-1], "type": "function", "function": asked})
    if message["role"] == "tool":
        turn["tool_call_id"] = message.get("tool_call_id") or (waiting.pop(0) if waiting else f"call_{at}")
    return turn


def _ollama_image(data: str) -> dict[str, Any]:
    kind = {"/9j/": "jpeg", "R0lG": "gif", "UklG": "webp"}.get(data[:4], "png")  # how these begin in base64
    return {"type": "image_url", "image_url": {"url": f"data:image/{kind};base64,{data}"}}

"""What Anthropic refuses in the body of a messages request, in its own words."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from typing import Any

from .dialect import is_number, words
from .seen import objects

FIELDS = words(
    "cache_control container context_management diagnostics inference_geo max_tokens mcp_servers messages metadata "
    "model output_config service_tier speed stop_sequences stream system temperature thinking tool_choice tools "
    "top_k top_p user_profile_id"
)
_SAMPLING = ("temperature", "top_p", "top_k")
_STRICT_VERSION = "2026-10-21"  # from this version on, sampling parameters are unknown fields
_BLOCKS = words("container_upload document image redacted_thinking search_result text thinking tool_result tool_use")
_LEAST_BUDGET = 1024


def signed(thinking: str) -> str:
    """The signature of a block of thinking, by which one that comes back changed is found out.

    Args:
        thinking: the text of the block.

    Returns:
        The signature, in base64.
    """
    return b64encode(sha256(thinking.encode("utf-8", "surrogatepass")).digest()).decode()


def check_body(body: dict[str, Any], version: str) -> str | None:
    """Find the first thing that the provider would refuse.

    Args:
        body: the parsed body.
        version: the `anthropic-version` of the request.

    Returns:
        The message of the error, or None if the body is good.
    """
    return _check_fields(body, version) or _check_messages(body["messages"])


def _check_fields(body: dict[str, Any], version: str) -> str | None:
    for name in ("model", "messages", "max_tokens"):
        if body.get(name) is None:
            return f"{name}: Field required"
    for name in body:
        if name not in FIELDS or (version >= _STRICT_VERSION and name in _SAMPLING):
            return f"{name}: Extra inputs are not permitted"
    if not isinstance(body["model"], str):
        return "model: Input should be a valid string"
    limit = body["max_tokens"]
    if isinstance(limit, bool) or not isinstance(limit, int):
        return "max_tokens: Input should be a valid integer"
    if limit < 0:
        return "max_tokens: Input should be greater than or equal to 0"
    for name in ("temperature", "top_p"):
        value = body.get(name)
        if value is None:
            continue
        if not is_number(value):
            return f"{name}: Input should be a valid number"
        if not 0 <= value <= 1:
            return f"{name}: Input should be {'less than or equal to 1' if value > 1 else 'greater than or equal to 0'}"
    top_k = body.get("top_k")
    if top_k is not None and (isinstance(top_k, bool) or not isinstance(top_k, int)):
        return "top_k: Input should be a valid integer"
    if top_k is not None and top_k < 0:
        return "top_k: Input should be greater than or equal to 0"
    if body.get("service_tier") not in (None, "auto", "standard_only"):
        return "service_tier: Input should be 'auto' or 'standard_only'"
    return (
        _check_stops(body.get("stop_sequences"))
        or _check_metadata(body.get("metadata"))
        or _check_thinking(body.get("thinking"), limit, bool(body.get("tools")))
        or _check_tools(body.get("tools"), body.get("tool_choice"))
    )


def _check_stops(stops: object) -> str | None:
    if stops is None:
        return None
    if not isinstance(stops, list):
        return "stop_sequences: Input should be a valid list"
    for place, stop in enumerate(stops):
        if not isinstance(stop, str):
            return f"stop_sequences.{place}: Input should be a valid string"
        if not stop:
            return "stop_sequences: each stop sequence must be non-empty"
        if stop.isspace():
            return "stop_sequences: each stop sequence must contain non-whitespace"
    return None


def _check_metadata(metadata: object) -> str | None:
    if metadata is None:
        return None
    if not isinstance(metadata, dict):
        return "metadata: Input should be an object"
    unknown = next((name for name in metadata if name != "user_id"), None)
    if unknown is not None:
        return f"metadata.{unknown}: Extra inputs are not permitted"
    if not isinstance(metadata.get("user_id"), str | None):
        return "metadata.user_id: Input should be a valid string"
    return None


def _check_thinking(thinking: object, limit: int, tools: bool) -> str | None:
    if not isinstance(thinking, dict) or thinking.get("type") != "enabled":
        return None
    tokens = thinking.get("budget_tokens")
    if tokens is None:
        return "thinking.enabled.budget_tokens: Field required"
    if isinstance(tokens, bool) or not isinstance(tokens, int):
        return "thinking.enabled.budget_tokens: Input should be a valid integer"
    if tokens < _LEAST_BUDGET:
        return f"thinking.enabled.budget_tokens: Input should be greater than or equal to {_LEAST_BUDGET}"
    if tokens >= limit and not tools:  # with tools a beta lets it be larger
        return "`max_tokens` must be greater than `thinking.budget_tokens`"
    return None


def _check_tools(tools: object, choice: object) -> str | None:
    for place, tool in enumerate(objects(tools)):
        if tool.get("type", "custom") == "custom" and "input_schema" not in tool:
            return f"tools.{place}.custom.input_schema: Field required"
    if choice is None:
        return None
    if not isinstance(choice, dict):
        return "tool_choice: Input should be an object"
    if choice.get("type") not in ("auto", "any", "none", "tool"):
        return (
            f"tool_choice: Input tag '{choice.get('type')}' found using 'type' does not match any of the expected tags"
        )
    return None


def _check_messages(messages: object) -> str | None:
    if not isinstance(messages, list):
        return "messages: Input should be a valid list"
    if not messages:
        return "messages: at least one message is required"
    for place, message in enumerate(messages):
        role = message.get("role") if isinstance(message, dict) else None
        # Recent models take a system message inside a conversation, none takes it at the start.
        if role == "system" and place == 0:
            return (
                'messages: Unexpected role "system". The Messages API accepts a top-level `system` parameter, not '
                '"system" as an input message role.'
            )
        if role not in ("user", "assistant", "system"):
            return f"messages.{place}.role: Input should be 'user' or 'assistant'"
        content = message.get("content")
        if content is None:
            return f"messages.{place}.content: Field required"
        if content == "" and not (role == "assistant" and place == len(messages) - 1):
            text = "all messages must have non-empty content except for the optional final assistant message"
            return f"messages.{place}: {text}"
        wrong = _check_blocks(place, content)
        if wrong is not None:
            return wrong
    return _check_tool_results(messages)


def _check_blocks(place: int, content: object) -> str | None:
    for number, block in enumerate(objects(content)):
        kind, text = block.get("type"), block.get("text")
        if kind == "text" and not text:
            return "messages: text content blocks must be non-empty"
        if kind == "text" and isinstance(text, str) and text.isspace():
            return "messages: text content blocks must contain non-whitespace text"
        if kind == "thinking" and block.get("signature") != signed(str(block.get("thinking"))):
            return f"messages.{place}.content.{number}: Invalid `signature` in `thinking` block"
        if not isinstance(kind, str) or not (kind in _BLOCKS or kind.endswith(("_tool_use", "_tool_result"))):
            where = f"messages.{place}.content.{number}"
            expected = ", ".join(f"'{name}'" for name in sorted(_BLOCKS))
            return f"{where}: Input tag '{kind}' found using 'type' does not match any of the expected tags: {expected}"
    return None


def _check_tool_results(messages: list[dict[str, Any]]) -> str | None:
    for place, message in enumerate(messages):
        asked = _ids(message, "tool_use", "id") if message.get("role") == "assistant" else []
        following = messages[place + 1] if place + 1 < len(messages) else {}
        missing = [found for found in asked if found not in _ids(following, "tool_result", "tool_use_id")]
        if missing:
            text = "`tool_use` ids were found without `tool_result` blocks immediately after"
            return f"messages.{place}: {text}: {', '.join(missing)}"
    return None


def _ids(message: dict[str, Any], kind: str, name: str) -> list[str]:
    blocks = objects(message.get("content"))
    return [str(block.get(name)) for block in blocks if block.get("type") == kind]

"""What OpenAI refuses in the body of a chat request, in its own words."""

from __future__ import annotations

from typing import Any

from .dialect import Problem, is_number, words
from .seen import objects

BAD = "invalid_request_error"

FIELDS = words(
    "audio frequency_penalty function_call functions logit_bias logprobs max_completion_tokens max_tokens messages "
    "metadata modalities model moderation n parallel_tool_calls prediction presence_penalty prompt_cache_key "
    "prompt_cache_options prompt_cache_retention reasoning_effort response_format safety_identifier seed "
    "service_tier stop store stream stream_options temperature tool_choice tools top_logprobs top_p user verbosity "
    "web_search_options"
)
_RANGES = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "frequency_penalty": (-2, 2),
    "presence_penalty": (-2, 2),
}


def check_body(body: object) -> Problem | None:
    """Find the first thing that the provider would refuse.

    Args:
        body: the parsed body, or its bytes if they are not JSON.

    Returns:
        The error, or None if the body is good.
    """
    if not isinstance(body, dict):
        hint = "(HINT: This likely means you aren't using your HTTP library correctly.)"
        return Problem(400, f"We could not parse the JSON body of your request. {hint}", BAD)
    unknown = next((name for name in body if name not in FIELDS), None)
    if unknown is not None:
        return _wrong(unknown, "unknown_parameter", f"Unknown parameter: '{unknown}'.")
    if not isinstance(body.get("model"), str) or not body["model"]:
        return Problem(400, "you must provide a model parameter", BAD)
    return _check_messages(body) or _check_params(body)


def _wrong(param: str, code: str | None, message: str) -> Problem:
    return Problem(400, message, BAD, code, param)


def _check_messages(body: dict[str, Any]) -> Problem | None:
    messages = body.get("messages")
    if messages is None:
        return _wrong("messages", "missing_required_parameter", "Missing required parameter: 'messages'.")
    if not isinstance(messages, list):
        return _wrong("messages", "invalid_type", "Invalid type for 'messages': expected an array of objects.")
    if not messages:
        text = "Expected an array with minimum length 1, but got an empty array instead."
        return _wrong("messages", "empty_array", f"Invalid 'messages': empty array. {text}")
    roles = ("developer", "system", "user", "assistant", "tool", "function")
    for place, message in enumerate(messages):
        role = message.get("role") if isinstance(message, dict) else None
        if role not in roles:
            where = f"messages[{place}].role"
            supported = ", ".join(f"'{name}'" for name in roles)
            return _wrong(where, "invalid_value", f"Invalid value: '{role}'. Supported values are: {supported}.")
        for number, call in enumerate(objects(message.get("tool_calls"))):
            function = call.get("function")
            if not isinstance(function, dict) or not isinstance(function.get("arguments"), str):
                where = f"messages[{place}].tool_calls[{number}].function.arguments"
                return _wrong(where, "invalid_type", f"Invalid type for '{where}': expected a string.")
    return None


def _check_params(body: dict[str, Any]) -> Problem | None:
    for name, (low, high) in _RANGES.items():
        value = body.get(name)
        if value is None:
            continue
        if not is_number(value):
            return _wrong(name, "invalid_type", f"Invalid type for '{name}': expected a decimal.")
        if not low <= value <= high:
            side, sign, bound = ("above", "<=", high) if value > high else ("below", ">=", low)
            text = f"decimal {side} {'maximum' if side == 'above' else 'minimum'} value."
            code = f"decimal_{side}_{'max' if side == 'above' else 'min'}_value"
            return _wrong(
                name, code, f"Invalid '{name}': {text} Expected a value {sign} {bound}, but got {value} instead."
            )
    options = body.get("stream_options")
    if options is not None and not isinstance(options, dict):
        return _wrong("stream_options", "invalid_type", "Invalid type for 'stream_options': expected an object.")
    if options is not None and not body.get("stream"):
        text = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        return _wrong("stream_options", None, text)
    if "parallel_tool_calls" in body and not body.get("tools"):
        text = "'parallel_tool_calls' is only allowed when 'tools' are specified."
        return _wrong("parallel_tool_calls", None, f"Invalid value for 'parallel_tool_calls': {text}")
    return None

"""What OpenAI refuses in the body of a chat request, in its own words."""

from __future__ import annotations

from typing import Any

from .dialect import Problem, is_number, words
from .seen import objects, text_of

BAD = "invalid_request_error"

FIELDS = words(
    "audio frequency_penalty function_call functions logit_bias logprobs max_completion_tokens max_tokens messages "
    "metadata modalities model moderation n parallel_tool_calls prediction presence_penalty prompt_cache_key "
    "prompt_cache_options prompt_cache_retention reasoning_effort response_format safety_identifier seed "
    "service_tier stop store stream stream_options temperature tool_choice tools top_logprobs top_p user verbosity "
    "web_search_options"
)
_INT64 = 2**63
# The lowest and the highest value; None is no limit.
_DECIMALS: dict[str, tuple[float | None, float | None]] = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "frequency_penalty": (-2, 2),
    "presence_penalty": (-2, 2),
}
_INTEGERS: dict[str, tuple[float | None, float | None]] = {
    "max_completion_tokens": (1, None),
    "max_tokens": (1, None),
    "n": (1, 128),
    "top_logprobs": (0, 20),
    "seed": (-_INT64, _INT64 - 1),
}
_CHOICES = {
    "reasoning_effort": ("none", "minimal", "low", "medium", "high", "xhigh", "max"),
    "verbosity": ("low", "medium", "high"),
    "service_tier": ("auto", "default", "flex", "scale", "priority", "fast"),
}
_MAX_STOPS = 4


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
    for name, (low, high) in _DECIMALS.items():
        wrong = _check_number(name, body.get(name), "decimal", low, high)
        if wrong is not None:
            return wrong
    for name, (low, high) in _INTEGERS.items():
        wrong = _check_number(name, body.get(name), "integer", low, high)
        if wrong is not None:
            return wrong
    for name, choices in _CHOICES.items():
        if body.get(name) is not None and body[name] not in choices:
            return _unsupported(name, body[name], choices)
    return (
        _check_stop(body.get("stop"))
        or _check_biases(body.get("logit_bias"))
        or _check_tools(body)
        or _check_together(body)
    )


def _check_number(name: str, value: object, kind: str, low: float | None, high: float | None) -> Problem | None:
    if value is None:
        return None
    if not is_number(value) or (kind == "integer" and not isinstance(value, int)):
        return _wrong(name, "invalid_type", f"Invalid type for '{name}': expected {_article(kind)} {kind}.")
    above = high is not None and value > high
    if not above and (low is None or value >= low):
        return None
    side, sign, bound = ("above", "<=", high) if above else ("below", ">=", low)
    text = f"{kind} {side} {'maximum' if above else 'minimum'} value."
    code = f"{kind}_{side}_{'max' if above else 'min'}_value"
    return _wrong(name, code, f"Invalid '{name}': {text} Expected a value {sign} {bound}, but got {value} instead.")


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


def _unsupported(name: str, value: object, choices: tuple[str, ...]) -> Problem:
    supported = ", ".join(f"'{choice}'" for choice in choices)
    return _wrong(name, "invalid_value", f"Invalid value: '{value}'. Supported values are: {supported}.")


def _check_stop(stop: object) -> Problem | None:
    if stop is None or isinstance(stop, str):
        return None
    if not isinstance(stop, list) or not all(isinstance(item, str) for item in stop):
        text = "expected one of an array of strings or a string."
        return _wrong("stop", "invalid_type", f"Invalid type for 'stop': {text}")
    if len(stop) <= _MAX_STOPS:
        return None
    text = f"Expected an array with maximum length {_MAX_STOPS}, but got an array with length {len(stop)} instead."
    return _wrong("stop", "array_above_max_length", f"Invalid 'stop': array too long. {text}")


def _check_biases(biases: object) -> Problem | None:
    if biases is None:
        return None
    if not isinstance(biases, dict):
        return _wrong("logit_bias", "invalid_type", "Invalid type for 'logit_bias': expected an object.")
    checked = (_check_number(f"logit_bias.{token}", bias, "decimal", -100, 100) for token, bias in biases.items())
    return next((wrong for wrong in checked if wrong is not None), None)


def _check_tools(body: dict[str, Any]) -> Problem | None:
    tools, choice = body.get("tools"), body.get("tool_choice")
    for name in ("tool_choice", "parallel_tool_calls"):
        if body.get(name) is not None and not tools:
            text = f"'{name}' is only allowed when 'tools' are specified."
            return _wrong(name, None, f"Invalid value for '{name}': {text}")
    if tools is not None and not isinstance(tools, list):
        return _wrong("tools", "invalid_type", "Invalid type for 'tools': expected an array of objects.")
    for place, tool in enumerate(tools or ()):
        function = tool.get("function") if isinstance(tool, dict) else None
        if not isinstance(tool, dict) or (tool.get("type") == "function" and not isinstance(function, dict)):
            where = f"tools[{place}]"
            return _wrong(where, "invalid_type", f"Invalid type for '{where}': expected an object.")
    choices = ("none", "auto", "required")
    if choice is not None and not isinstance(choice, dict) and choice not in choices:
        return _unsupported("tool_choice", choice, choices)
    return None


def _check_together(body: dict[str, Any]) -> Problem | None:
    """What is right by itself, and wrong beside something else or without it."""
    options = body.get("stream_options")
    if options is not None and not isinstance(options, dict):
        return _wrong("stream_options", "invalid_type", "Invalid type for 'stream_options': expected an object.")
    if options is not None and not body.get("stream"):
        text = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        return _wrong("stream_options", None, text)
    if body.get("top_logprobs") is not None and body.get("logprobs") is not True:
        text = "'top_logprobs' is only allowed when 'logprobs' is enabled."
        return _wrong("top_logprobs", None, f"Invalid value for 'top_logprobs': {text}")
    form = body.get("response_format")
    if isinstance(form, dict) and form.get("type") == "json_object":
        said = " ".join(text_of(message.get("content")) for message in objects(body["messages"]))
        if "json" not in said.lower():
            text = "to use 'response_format' of type 'json_object'."
            return _wrong("messages", None, f"'messages' must contain the word 'json' in some form, {text}")
    return None

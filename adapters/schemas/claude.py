"""The parameters of Claude's Messages API, as data.

Source: Anthropic's Messages API reference. `tools`, `tool_choice`, `parallel_tool_calls` and `response_format` go out
of `to_wire` in OpenAI's shape under their wire name: their translation is the codec's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..params import Schema
from ..values import Param
from .checks import GivenTwice, is_named, listed, needs_tools
from .claude_models import MODEL_RULES
from .openai import ONE_ANSWER

__all__ = ["CLAUDE", "CLAUDE_WITHOUT_SAMPLING"]

_EFFORTS = ("low", "medium", "high", "xhigh", "max")
_LEAST_BUDGET = 1024  # tokens


def claude_format(value: Mapping[Any, Any]) -> str:
    if value.get("type") == "text":
        return ""
    if value.get("type") == "json_schema" and any(
        isinstance(value.get(key), Mapping) for key in ("json_schema", "schema")
    ):
        return ""
    return "{'type': 'text'} or {'type': 'json_schema', 'json_schema': {...}}; Claude has no 'json_object'"


def claude_metadata(value: Mapping[Any, Any]) -> str:
    fine = all(key == "user_id" and isinstance(item, str) for key, item in value.items())
    return "" if fine else "{'user_id': '...'}, the only key that Claude takes"


def claude_stops(value: str | Sequence[str]) -> str:
    blank = not value.strip() if isinstance(value, str) else not all(item.strip() for item in value)
    return "strings that are not blank" if blank else ""


def claude_tools(value: Sequence[Any]) -> str:
    for tool in value:
        function = tool.get("function") if isinstance(tool, Mapping) else None
        named = function if isinstance(function, Mapping) else tool
        if not isinstance(named, Mapping) or not isinstance(named.get("name"), str):
            return "a list of {'type': 'function', 'function': {'name': '...', ...}}, or of tools as Claude has them"
        if named is tool and "parameters" in tool:
            return "tools with `input_schema`, which is Claude's word for `parameters`, or tools in OpenAI's shape"
    return ""


def claude_choice(value: str | Mapping[Any, Any]) -> str:
    if isinstance(value, str) or value.get("type") in ("auto", "any", "none"):
        return ""
    if value.get("type") == "tool" and isinstance(value.get("name"), str):
        return ""
    if value.get("type") == "function" and is_named(value):
        return ""
    return "'auto', 'none', 'required' or {'type': 'function', 'function': {'name': '...'}}"


def budget(value: Mapping[Any, Any]) -> str:
    if value.get("type") != "enabled":
        return ""
    tokens = value.get("budget_tokens")
    fine = isinstance(tokens, int) and not isinstance(tokens, bool) and tokens >= _LEAST_BUDGET
    return "" if fine else f"{{'type': 'enabled', 'budget_tokens': ...}} with at least {_LEAST_BUDGET} tokens"


def _same_thinking(value: Any, params: Mapping[str, Any], model: str) -> str:
    return "" if params.get("thinking") is None else "and `thinking` are the same: give only one"


def _withdrawn(value: Any, params: Mapping[str, Any], model: str) -> str:
    return "is refused by this version of Claude's API: leave it out, or use version 2023-06-01"


def _sent_budget(value: Any) -> Any:
    return {"type": "enabled", "budget_tokens": value}


CLAUDE = Schema(
    "claude",
    "Claude",
    (
        Param("max_tokens", "integer", 0, about="The most tokens to make; the protocol requires it."),
        Param("temperature", "number", 0, 1, about="Sampling temperature, at most 1; refused by models after 4.6."),
        Param("top_p", "number", 0, 1, about="Nucleus sampling; some models refuse it together with `temperature`."),
        Param("top_k", "integer", 0, about="How many likely tokens are considered."),
        Param(
            "stop",
            ("string", "strings"),
            aliases=("stop_sequences",),
            wire="stop_sequences",
            test=claude_stops,
            convert=listed,
            about="Strings that end the answer; none may be blank.",
        ),
        ONE_ANSWER,
        Param("tools", "array", test=claude_tools, about="Functions that the model may call."),
        Param(
            "tool_choice",
            ("string", "object"),
            choices=("auto", "none", "required"),
            test=claude_choice,
            about="'none', 'auto', 'required' or a named function.",
        ),
        Param("parallel_tool_calls", "boolean", about="Whether several tools may be called at once."),
        Param("response_format", "object", wire="output_config.format", test=claude_format, about="JSON of a schema."),
        Param(
            "reasoning_effort",
            "string",
            choices=_EFFORTS,
            aliases=("effort",),
            wire="output_config.effort",
            about="How much the model thinks.",
            hint="to switch thinking off, give thinking={'type': 'disabled'}",
        ),
        Param(
            "reasoning_budget",
            "integer",
            _LEAST_BUDGET,
            wire="thinking",
            convert=_sent_budget,
            about="The most tokens to think, for models up to 4.6; less than `max_tokens`.",
        ),
        Param("thinking", "object", test=budget, about="Extended thinking: 'enabled', 'adaptive' or 'disabled'."),
        Param("output_config", "object", about="Effort and format, as the protocol has them."),
        Param("user", "string", wire="metadata.user_id", about="An opaque id of your own user."),
        Param("metadata", "object", test=claude_metadata, about="Only `user_id`."),
        Param("service_tier", "string", choices=("auto", "standard_only"), about="The tier that serves the request."),
        Param("speed", "string", choices=("standard", "fast"), about="Faster answers where a model has them."),
        Param("inference_geo", "string", about="Where the model runs, such as 'us'."),
        Param("cache_control", "object", about="Caches the prompt up to here."),
        Param("container", ("string", "object"), about="A container of the code tool to use again."),
        Param("mcp_servers", "array", about="Remote tool servers; needs a beta header."),
        Param("context_management", "object", about="Editing of a long context; needs a beta header."),
        Param("diagnostics", "object", about="Asks for diagnostics."),
        Param("user_profile_id", "string", about="The id of a user profile."),
    ),
    rules=(
        ("parallel_tool_calls", needs_tools),
        ("user", GivenTwice("metadata", "user_id")),
        ("reasoning_effort", GivenTwice("output_config", "effort")),
        ("response_format", GivenTwice("output_config", "format")),
        ("reasoning_budget", _same_thinking),
        *MODEL_RULES,
    ),
)

# What `CLAUDE` is from version 2026-10-21 of the API on.
CLAUDE_WITHOUT_SAMPLING = replace(
    CLAUDE, rules=(*CLAUDE.rules, *((name, _withdrawn) for name in ("temperature", "top_p", "top_k")))
)

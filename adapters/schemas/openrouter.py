"""The parameters of OpenRouter, as data.

Source: OpenRouter's OpenAPI description and documentation. A parameter that it, or the provider behind it, does not
know is dropped without a word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..params import Schema
from ..values import Param
from .checks import GivenTwice, Inside, function_tools, needs_logprobs, openai_format
from .openai import EFFORTS, ONE_ANSWER, shared

__all__ = ["OPENROUTER"]

_QUANTIZATIONS = (
    *("int4", "int8", "fp4", "mxfp4", "nvfp4", "fp6"),
    *("fp8", "mxfp8", "fp16", "bf16", "fp32", "unknown"),
)
_LONGEST_SESSION = 256  # characters


def _quantizations(value: Sequence[str]) -> str:
    fine = all(item in _QUANTIZATIONS for item in value)
    return "" if fine else f"a list of {', '.join(_QUANTIZATIONS)}"


def _session(value: str) -> str:
    return "" if len(value) <= _LONGEST_SESSION else f"a string of at most {_LONGEST_SESSION} characters"


def _format(value: Mapping[Any, Any]) -> str:
    if value.get("type") == "python" or (value.get("type") == "grammar" and isinstance(value.get("grammar"), str)):
        return ""
    wanted = openai_format(value)
    return f"{wanted}, {{'type': 'grammar', 'grammar': '...'}} or {{'type': 'python'}}" if wanted else ""


def _plugins(value: Sequence[Any]) -> str:
    fine = all(isinstance(plugin, Mapping) and isinstance(plugin.get("id"), str) for plugin in value)
    return "" if fine else "a list of {'id': '...', ...}"


def _one_measure(value: Any, params: Mapping[str, Any], model: str) -> str:
    """A budget, on its own or within `reasoning`, and an effort, on its own or within `reasoning`."""
    reasoning = params.get("reasoning")
    within = reasoning if isinstance(reasoning, Mapping) else {}
    budget = value.get("max_tokens") if isinstance(value, Mapping) else value
    efforts = (params.get("reasoning_effort"), within.get("effort"))
    if budget is None or efforts == (None, None):
        return ""
    return "says how many tokens to think where an effort is given too: give only one of the two"


_REASONING = Schema(
    "openrouter",
    "`reasoning`",
    (
        Param("effort", "string", choices=EFFORTS, about="How much to think."),
        Param("max_tokens", "integer", 0, about="The most tokens to think."),
        Param("exclude", "boolean", about="Leaves the thoughts out of the answer."),
        Param("enabled", "boolean", about="Whether to think at all."),
        Param("summary", "string", about="How the thoughts are summed up."),
    ),
)

_PROVIDER = Schema(
    "openrouter",
    "`provider`",
    (
        Param("order", "strings", about="The providers to try, in this order."),
        Param("only", "strings", about="The only providers to try."),
        Param("ignore", "strings", about="Providers not to try."),
        Param("allow_fallbacks", "boolean", about="Whether others may be tried."),
        Param("require_parameters", "boolean", about="Only providers that know every parameter of the request."),
        Param("data_collection", "string", choices=("allow", "deny"), about="Whether a provider may keep the prompt."),
        Param("zdr", "boolean", about="Only providers that keep nothing."),
        Param("enforce_distillable_text", "boolean", about="Only models whose text may be used for training."),
        Param("quantizations", "strings", test=_quantizations, about="Only models of these precisions."),
        Param(
            "sort",
            ("string", "object"),
            choices=("price", "throughput", "latency", "exacto"),
            about="What providers are sorted by.",
        ),
        Param("preferred_min_throughput", ("number", "object"), 0, about="Tokens per second that are preferred."),
        Param("preferred_max_latency", ("number", "object"), 0, about="The latency that is preferred, in seconds."),
        Param("max_price", "object", about="The highest price, in USD per million tokens."),
    ),
)

OPENROUTER = Schema(
    "openrouter",
    "OpenRouter",
    (
        # `max_completion_tokens` is the newer name; the providers behind it nearly all list this one.
        Param(
            "max_tokens",
            "integer",
            1,
            aliases=("max_completion_tokens",),
            about="The most tokens to make, reasoning included.",
        ),
        *shared("temperature"),
        Param("top_p", "number", 0, 1, low_exclusive=True, about="Nucleus sampling: above 0."),
        Param("top_k", "integer", 0, about="How many likely tokens are considered; 0 is all."),
        Param("min_p", "number", 0, 1, about="The least probability, relative to the likeliest token."),
        Param("top_a", "number", 0, 1, about="The least probability, by the square of the likeliest one's."),
        *shared("frequency_penalty", "presence_penalty"),
        Param(
            "repeat_penalty",
            "number",
            0,
            2,
            low_exclusive=True,
            aliases=("repetition_penalty",),
            wire="repetition_penalty",
            about="Lowers tokens that occurred; 1 is off.",
        ),
        *shared("seed", "stop", "logit_bias", "logprobs", "top_logprobs"),
        ONE_ANSWER,
        Param("response_format", "object", test=_format, about="Text, JSON, JSON of a schema, a grammar or Python."),
        Param("structured_outputs", "boolean", about="Whether a schema is enforced."),
        Param("tools", "array", test=function_tools, about="Functions that the model may call."),
        *shared("tool_choice", "parallel_tool_calls"),
        Param(
            "reasoning_effort",
            "string",
            choices=EFFORTS,
            wire="reasoning.effort",
            about="How much a reasoning model thinks.",
        ),
        Param(
            "reasoning_budget",
            "integer",
            0,
            wire="reasoning.max_tokens",
            about="The most tokens to think.",
        ),
        Param("reasoning", "object", about="`effort` or `max_tokens`, `exclude`, `enabled`, `summary`."),
        Param(
            "verbosity",
            "string",
            choices=("low", "medium", "high", "xhigh", "max"),
            about="How long answers are.",
        ),
        Param("include_reasoning", "boolean", about="Of old: whether the thoughts are in the answer."),
        Param("usage", "object", about="Of old: usage always comes."),
        Param("stream_options", "object", about="Of old: usage always comes."),
        Param("models", "strings", about="Models to try in turn."),
        Param("provider", "object", about="Which providers may serve the request, and in which order."),
        Param("route", "string", choices=("fallback", "sort"), about="How `models` are tried; deprecated."),
        Param("plugins", "array", test=_plugins, about="Plugins: [{'id': 'web'}]."),
        Param("transforms", "strings", about="Of old: ['middle-out'] cuts prompts that are too long."),
        *shared("service_tier", "user", "metadata", "prompt_cache_key", "modalities", "audio", "prediction"),
        Param("session_id", "string", test=_session, about="Groups the requests of one session."),
        Param("image_config", "object", about="Options of image output."),
        Param("cache_control", "object", about="Caches the prompt up to here."),
        Param("trace", "object", about="Labels for observability."),
        Param("debug", "object", about="`echo_upstream_body`, for streams."),
    ),
    rules=(
        ("top_logprobs", needs_logprobs),
        ("reasoning_effort", GivenTwice("reasoning", "effort")),
        ("reasoning_budget", GivenTwice("reasoning", "max_tokens")),
        ("reasoning_budget", _one_measure),
        ("reasoning", _one_measure),
        ("reasoning", Inside(_REASONING)),
        ("provider", Inside(_PROVIDER)),
    ),
)

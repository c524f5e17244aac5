"""The parameters of OpenAI's chat completions, and of the many servers that speak that protocol, as data.

Source: OpenAI's OpenAPI description. `tools`, `tool_choice` and `parallel_tool_calls` go out of `to_wire` as they came.
"""

from __future__ import annotations

from dataclasses import replace

from ..params import Schema
from ..values import Param
from .checks import (
    biases,
    filled_stops,
    metadata,
    needs_logprobs,
    needs_tools,
    openai_choice,
    openai_format,
    openai_tools,
    unless_empty,
    unsaid,
)
from .openai_models import REASONING_RULES

__all__ = ["EFFORTS", "ONE_ANSWER", "OPENAI", "OPENAI_COMPATIBLE", "shared"]

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_INT64 = 2**63

_SHARED: tuple[Param, ...] = (
    Param("temperature", "number", 0, 2, about="Sampling temperature; higher is more random."),
    Param("top_p", "number", 0, 1, about="Nucleus sampling: the share of probability that is considered."),
    Param("frequency_penalty", "number", -2, 2, about="Lowers tokens by how often they occurred."),
    Param("presence_penalty", "number", -2, 2, about="Lowers tokens that occurred at all."),
    Param("n", "integer", 1, 128, about="How many answers to make."),
    Param(
        "stop",
        ("string", "strings"),
        max_items=4,
        test=filled_stops,
        convert=unless_empty,
        about="Strings that end the answer.",
    ),
    Param("seed", "integer", -_INT64, _INT64 - 1, about="Best effort at the same answer again."),
    Param("logprobs", "boolean", about="Return the log probabilities of the tokens."),
    Param("top_logprobs", "integer", 0, 20, about="How many likely tokens to return; needs `logprobs`."),
    Param("logit_bias", "object", test=biases, about="Token id to bias, -100 to 100."),
    Param("response_format", "object", test=openai_format, about="Text, JSON, or JSON of a schema."),
    Param("tools", "array", test=openai_tools, about="Functions that the model may call."),
    Param(
        "tool_choice",
        ("string", "object"),
        choices=("none", "auto", "required"),
        test=openai_choice,
        about="'none', 'auto', 'required' or a named function.",
    ),
    Param("parallel_tool_calls", "boolean", about="Whether several tools may be called at once."),
    Param("reasoning_effort", "string", choices=EFFORTS, about="How much a reasoning model thinks."),
    Param("verbosity", "string", choices=("low", "medium", "high"), about="How long answers are."),
    Param(
        "service_tier",
        "string",
        choices=("auto", "default", "flex", "scale", "priority", "fast"),
        about="The tier that serves the request.",
    ),
    Param("store", "boolean", about="Whether the answer is stored at the provider."),
    Param("metadata", "object", max_items=16, test=metadata, about="Up to 16 labels of your own."),
    Param("user", "string", about="An id of your own user, against abuse."),
    Param("safety_identifier", "string", about="An id of your own user, against abuse; replaces `user`."),
    Param("prompt_cache_key", "string", about="Groups requests that share a prefix."),
    Param("prompt_cache_options", "object", about="How the prompt is cached."),
    Param("prompt_cache_retention", "string", about="How long a cached prompt is kept."),
    Param("stream_options", "object", about="Options of a stream, such as `include_usage`."),
    Param("modalities", "strings", about="'text', 'audio'."),
    Param("audio", "object", about="Voice and format of audio output."),
    Param("prediction", "object", about="Text that is likely to come, to be faster."),
    Param("web_search_options", "object", about="Options of the built-in web search."),
    Param("moderation", "object", about="Moderation of input and output."),
)


def shared(*names: str) -> tuple[Param, ...]:
    """Parameters that another provider takes exactly as OpenAI does."""
    found = {param.name: param for param in _SHARED}
    return tuple(found[name] for name in names)


# For providers that have no word for it: whoever asks for one answer asks for what they do anyway.
ONE_ANSWER = Param(
    "n",
    "integer",
    1,
    1,
    convert=unsaid,
    about="How many answers to make: 1.",
    hint="make one request for each answer",
)


OPENAI = Schema(
    "openai",
    "OpenAI",
    (
        # The API calls `max_tokens` deprecated, and reasoning models refuse it.
        Param(
            "max_tokens",
            "integer",
            1,
            aliases=("max_completion_tokens",),
            wire="max_completion_tokens",
            about="The most tokens to make, reasoning included.",
        ),
        *_SHARED,
    ),
    rules=(
        ("top_logprobs", needs_logprobs),
        ("tool_choice", needs_tools),
        ("parallel_tool_calls", needs_tools),
        *REASONING_RULES,
    ),
)


def _loose(param: Param) -> Param:
    """The same parameter without limits: how far a value may go is each compatible server's own business."""
    types = {"logit_bias": ("object", "array"), "logprobs": ("boolean", "integer")}.get(param.name, param.types)
    return replace(param, types=types, low=None, high=None, choices=(), max_items=None, test=None)


OPENAI_COMPATIBLE = Schema(
    "openai-compatible",
    "the OpenAI protocol",
    (
        # Many compatible servers ignore `max_completion_tokens`: each name goes out as it came in.
        Param("max_tokens", "integer", about="The most tokens to make."),
        Param("max_completion_tokens", "integer", about="The most tokens to make, where the server knows it."),
        *map(_loose, _SHARED),
    ),
    lenient=True,
)

"""The parameters of OpenAI, of servers that speak its protocol, of Claude and of Ollama, as data.

Sources: OpenAI's OpenAPI description of chat completions, Anthropic's Messages API reference, Ollama's API
documentation and source. `tools`, `tool_choice`, `parallel_tool_calls` and, for Claude, `response_format` go out of
`to_wire` in OpenAI's shape under their wire name: their translation is the codec's.
"""

from __future__ import annotations

from dataclasses import replace

from .params import Schema
from .schema_checks import (
    GivenTwice,
    NeedsTools,
    Withdrawn,
    biases,
    budget,
    claude_choice,
    claude_format,
    claude_metadata,
    claude_stops,
    claude_tools,
    filled_stops,
    listed,
    metadata,
    needs_logprobs,
    ollama_format,
    ollama_tools,
    one_sampling,
    openai_choice,
    openai_format,
    openai_tools,
    sent_ollama_format,
    sent_think,
    unless_empty,
)
from .values import Param

__all__ = [
    "CLAUDE",
    "CLAUDE_WITHOUT_SAMPLING",
    "LLAMA_CPP",
    "OLLAMA",
    "OPENAI",
    "OPENAI_COMPATIBLE",
    "OPENROUTER",
]

_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_CLAUDE_EFFORTS = ("low", "medium", "high", "xhigh", "max")
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
    Param("reasoning_effort", "string", choices=_EFFORTS, about="How much a reasoning model thinks."),
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
    rules=(needs_logprobs, NeedsTools("tool_choice"), NeedsTools("parallel_tool_calls")),
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
            choices=_CLAUDE_EFFORTS,
            aliases=("effort",),
            wire="output_config.effort",
            about="How much the model thinks.",
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
        one_sampling,
        NeedsTools("parallel_tool_calls"),
        GivenTwice("user", "metadata", "user_id"),
        GivenTwice("reasoning_effort", "output_config", "effort"),
        GivenTwice("effort", "output_config", "effort"),
        GivenTwice("response_format", "output_config", "format"),
    ),
)

# What `CLAUDE` is from version 2026-10-21 of the API on.
CLAUDE_WITHOUT_SAMPLING = replace(
    CLAUDE, rules=(*CLAUDE.rules, *(Withdrawn(name) for name in ("temperature", "top_p", "top_k")))
)


def _option(name: str, types: tuple[str, ...] | str, low: float | None = None, high: float | None = None) -> Param:
    """A parameter of the model's runner: Ollama takes these inside `options`, and ignores them anywhere else."""
    return Param(name, types, low, high, wire=f"options.{name}", about=f"Runner option `{name}`.")


OLLAMA = Schema(
    "ollama",
    "Ollama",
    (
        Param(
            "max_tokens",
            "integer",
            -2,
            aliases=("num_predict",),
            wire="options.num_predict",
            about="The most tokens to make; -1 is no limit.",
        ),
        _option("temperature", "number", 0),
        _option("top_p", "number", 0, 1),
        _option("top_k", "integer", 0),
        _option("min_p", "number", 0, 1),
        _option("typical_p", "number", 0, 1),
        _option("repeat_penalty", "number", 0),
        _option("repeat_last_n", "integer", -1),
        _option("frequency_penalty", "number"),
        _option("presence_penalty", "number"),
        _option("seed", "integer"),
        Param("stop", ("string", "strings"), wire="options.stop", convert=listed, about="Strings that end the answer."),
        _option("num_ctx", "integer", 1),
        _option("num_keep", "integer", -1),
        _option("num_batch", "integer", 1),
        _option("num_gpu", "integer", -1),
        _option("main_gpu", "integer", 0),
        _option("num_thread", "integer", 0),
        _option("use_mmap", "boolean"),
        _option("draft_num_predict", "integer", 0),
        Param("keep_alive", ("number", "string"), about="How long the model stays loaded: seconds, '5m', -1, 0."),
        Param(
            "response_format",
            ("string", "object"),
            choices=("json",),
            aliases=("format",),
            wire="format",
            test=ollama_format,
            convert=sent_ollama_format,
            about="'json', a JSON schema, or OpenAI's response_format.",
        ),
        Param(
            "reasoning_effort",
            ("boolean", "string"),
            choices=("none", "low", "medium", "high", "max"),
            aliases=("think",),
            wire="think",
            convert=sent_think,
            about="Whether, or how much, a thinking model thinks.",
        ),
        Param("tools", "array", test=ollama_tools, about="Functions that the model may call."),
        Param("logprobs", "boolean", about="Return the log probabilities of the tokens."),
        Param("top_logprobs", "integer", 0, 20, about="How many likely tokens to return; needs `logprobs`."),
        Param("truncate", "boolean", about="Cut a history that is too long."),
        Param("shift", "boolean", about="Shift the context when it is full."),
    ),
)

OPENROUTER = replace(OPENAI_COMPATIBLE, provider="openrouter", label="OpenRouter")
LLAMA_CPP = replace(OPENAI_COMPATIBLE, provider="llama_cpp", label="llama.cpp")

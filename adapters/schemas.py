"""The parameters of OpenAI, of servers that speak its protocol, of Claude and of Ollama, as data.

Sources: OpenAI's OpenAPI description of chat completions, Anthropic's Messages API reference, Ollama's API
documentation and source. `tools`, `tool_choice`, `parallel_tool_calls` and, for Claude, `response_format` go out of
`to_wire` in OpenAI's shape under their wire name: their translation is the codec's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..pipeline import Problem
from .params import Schema
from .values import Param

__all__ = ["CLAUDE", "OLLAMA", "OPENAI", "OPENAI_COMPATIBLE"]

_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_CLAUDE_EFFORTS = ("low", "medium", "high", "xhigh", "max")
_INT64 = 2**63


def _biases(value: Mapping[Any, Any]) -> str:
    fine = all(
        isinstance(token, (str, int)) and type(bias) in (int, float) and -100 <= bias <= 100
        for token, bias in value.items()
    )
    return "" if fine else "a mapping of token ids to numbers from -100 to 100"


def _metadata(value: Mapping[Any, Any]) -> str:
    fine = all(
        isinstance(key, str) and len(key) <= 64 and isinstance(item, str) and len(item) <= 512
        for key, item in value.items()
    )
    return "" if fine else "a mapping of strings of at most 64 characters to strings of at most 512"


def _format(value: Mapping[Any, Any]) -> str:
    if value.get("type") in ("text", "json_object"):
        return ""
    if value.get("type") == "json_schema" and isinstance(value.get("json_schema"), Mapping):
        return ""
    return "{'type': 'text'}, {'type': 'json_object'} or {'type': 'json_schema', 'json_schema': {...}}"


def _claude_format(value: Mapping[Any, Any]) -> str:
    if value.get("type") == "text":
        return ""
    if value.get("type") == "json_schema" and any(
        isinstance(value.get(key), Mapping) for key in ("json_schema", "schema")
    ):
        return ""
    return "{'type': 'text'} or {'type': 'json_schema', 'json_schema': {...}}; Claude has no 'json_object'"


def _claude_metadata(value: Mapping[Any, Any]) -> str:
    fine = all(key == "user_id" and isinstance(item, str) for key, item in value.items())
    return "" if fine else "{'user_id': '...'}, the only key that Claude takes"


def _claude_stops(value: str | Sequence[str]) -> str:
    blank = not value.strip() if isinstance(value, str) else not all(item.strip() for item in value)
    return "strings that are not blank" if blank else ""


def _ollama_format(value: str | Mapping[Any, Any]) -> str | Mapping[Any, Any] | None:
    if isinstance(value, Mapping):
        if value.get("type") == "text":
            return None
        if value.get("type") == "json_object":
            return "json"
        wrapped = value.get("json_schema")
        if value.get("type") == "json_schema" and isinstance(wrapped, Mapping):
            schema = wrapped.get("schema")
            return schema if isinstance(schema, Mapping) else "json"
    return value


def _listed(value: str | Sequence[str]) -> list[str] | None:
    return [value] if isinstance(value, str) else list(value) or None


# An empty list of stops is refused by some models, and means what leaving it out means.
def _unless_empty(value: str | Sequence[str]) -> str | list[str] | None:
    return value if isinstance(value, str) else list(value) or None


def _think(value: bool | str) -> bool | str:
    return False if value == "none" else value


def _needs_logprobs(params: Mapping[str, Any], model: str) -> Problem | None:
    if "top_logprobs" not in params or params["top_logprobs"] is None or params.get("logprobs"):
        return None
    return Problem("top_logprobs", "`top_logprobs` needs `logprobs` to be True")


# Claude 4.1, 4.5 and 4.6: "`temperature` and `top_p` cannot both be specified for this model."
_ONE_SAMPLING = re.compile(r"(opus-4-1|(sonnet|haiku)-4-5|(opus|sonnet)-4-6)(?!\d)")


def _one_sampling(params: Mapping[str, Any], model: str) -> Problem | None:
    if params.get("temperature") is None or params.get("top_p") is None or not _ONE_SAMPLING.search(model):
        return None
    return Problem("top_p", f"`temperature` and `top_p` cannot both be given to {model}: use only one")


_SHARED: tuple[Param, ...] = (
    Param("temperature", "number", 0, 2, about="Sampling temperature; higher is more random."),
    Param("top_p", "number", 0, 1, about="Nucleus sampling: the share of probability that is considered."),
    Param("frequency_penalty", "number", -2, 2, about="Lowers tokens by how often they occurred."),
    Param("presence_penalty", "number", -2, 2, about="Lowers tokens that occurred at all."),
    Param("n", "integer", 1, 128, about="How many answers to make."),
    Param("stop", ("string", "strings"), max_items=4, convert=_unless_empty, about="Strings that end the answer."),
    Param("seed", "integer", -_INT64, _INT64 - 1, about="Best effort at the same answer again."),
    Param("logprobs", "boolean", about="Return the log probabilities of the tokens."),
    Param("top_logprobs", "integer", 0, 20, about="How many likely tokens to return; needs `logprobs`."),
    Param("logit_bias", "object", test=_biases, about="Token id to bias, -100 to 100."),
    Param("response_format", "object", test=_format, about="Text, JSON, or JSON of a schema."),
    Param("tools", "array", about="Functions that the model may call."),
    Param("tool_choice", ("string", "object"), about="'none', 'auto', 'required' or a named function."),
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
    Param("metadata", "object", max_items=16, test=_metadata, about="Up to 16 labels of your own."),
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
    rules=(_needs_logprobs,),
)

OPENAI_COMPATIBLE = Schema(
    "openai-compatible",
    "the OpenAI protocol",
    (
        # Many compatible servers ignore `max_completion_tokens`: each name goes out as it came in.
        Param("max_tokens", "integer", -1, about="The most tokens to make."),
        Param("max_completion_tokens", "integer", -1, about="The most tokens to make, where the server knows it."),
        *_SHARED,
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
            test=_claude_stops,
            convert=_listed,
            about="Strings that end the answer; none may be blank.",
        ),
        Param("tools", "array", about="Functions that the model may call."),
        Param("tool_choice", ("string", "object"), about="'none', 'auto', 'required' or a named function."),
        Param("parallel_tool_calls", "boolean", about="Whether several tools may be called at once."),
        Param("response_format", "object", wire="output_config.format", test=_claude_format, about="JSON of a schema."),
        Param(
            "reasoning_effort",
            "string",
            choices=_CLAUDE_EFFORTS,
            aliases=("effort",),
            wire="output_config.effort",
            about="How much the model thinks.",
        ),
        Param("thinking", "object", about="Extended thinking: 'enabled', 'adaptive' or 'disabled'."),
        Param("output_config", "object", about="Effort and format, as the protocol has them."),
        Param("user", "string", wire="metadata.user_id", about="An opaque id of your own user."),
        Param("metadata", "object", test=_claude_metadata, about="Only `user_id`."),
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
    rules=(_one_sampling,),
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
        Param(
            "stop", ("string", "strings"), wire="options.stop", convert=_listed, about="Strings that end the answer."
        ),
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
            convert=_ollama_format,
            about="'json', a JSON schema, or OpenAI's response_format.",
        ),
        Param(
            "reasoning_effort",
            ("boolean", "string"),
            choices=("none", "low", "medium", "high", "max"),
            aliases=("think",),
            wire="think",
            convert=_think,
            about="Whether, or how much, a thinking model thinks.",
        ),
        Param("tools", "array", about="Functions that the model may call."),
        Param("logprobs", "boolean", about="Return the log probabilities of the tokens."),
        Param("top_logprobs", "integer", 0, 20, about="How many likely tokens to return; needs `logprobs`."),
        Param("truncate", "boolean", about="Cut a history that is too long."),
        Param("shift", "boolean", about="Shift the context when it is full."),
    ),
)

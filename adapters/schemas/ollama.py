"""The parameters of Ollama's own protocol, as data.

Source: Ollama's API documentation and source. `tools` go out of `to_wire` as they came.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..params import Schema
from ..values import Param
from .checks import listed, needs_logprobs
from .openai import ONE_ANSWER

__all__ = ["OLLAMA"]


def ollama_format(value: str | Mapping[Any, Any]) -> str:
    if isinstance(value, str) or value.get("type") != "json_schema" or isinstance(value.get("json_schema"), Mapping):
        return ""
    return "'json', a JSON schema, or {'type': 'json_schema', 'json_schema': {...}}"


def ollama_tools(value: Sequence[Any]) -> str:
    return "" if all(isinstance(tool, Mapping) for tool in value) else "a list of tools, each a mapping"


def sent_ollama_format(value: Any) -> Any:
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


def sent_think(value: Any) -> Any:
    return False if value == "none" else value


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
        ONE_ANSWER,
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
    rules=(("top_logprobs", needs_logprobs),),
)

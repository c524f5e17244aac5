"""The parameters of llama.cpp's server, as data.

Source: the README and the source of llama.cpp's server, and its answers. It ignores a parameter that it does not know,
and moves most values that are out of range to the nearest end of it: both are refused here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..params import Schema
from ..values import Param
from .checks import filled_stops, function_tools, needs_logprobs, unless_empty
from .openai import EFFORTS, shared

__all__ = ["LLAMA_CPP", "OnlyShape", "llama_biases", "wanted_json"]

_INT32 = 2**31 - 1
_INT64 = 2**63 - 1
_UINT32 = 2**32 - 1


def llama_biases(value: Mapping[Any, Any] | Sequence[Any]) -> str:
    pairs = value.items() if isinstance(value, Mapping) else value
    fine = all(
        isinstance(pair, (list, tuple))
        and len(pair) == 2
        and (type(pair[0]) is int or isinstance(pair[0], str))
        and (pair[1] is False or (type(pair[1]) in (int, float) and abs(pair[1]) < math.inf))
        for pair in pairs
    )
    return "" if fine else "a mapping, or a list of pairs, of tokens to numbers or False (never this token)"


def _some(value: Sequence[str]) -> str:
    return "" if value else "a list of at least one string"


def wanted_json(value: Any) -> Any:
    """The JSON schema that a `response_format` asks for; None for text."""
    if not isinstance(value, Mapping) or value.get("type") == "text":
        return None
    wrapped = value.get("json_schema")
    schema = wrapped.get("schema") if isinstance(wrapped, Mapping) else value.get("schema")
    return schema if isinstance(schema, Mapping) else {}


@dataclass(frozen=True, slots=True)
class OnlyShape:
    """A parameter that says what an answer looks like, and cannot hold together with `others`."""

    others: tuple[str, ...]

    def __call__(self, value: Any, params: Mapping[str, Any], model: str) -> str:
        for name in self.others:
            other = params.get(name)
            if name == "response_format":
                other = wanted_json(other)
            if other is not None and other != []:
                return f"and `{name}` both say what an answer looks like: give only one"
        return ""


LLAMA_CPP = Schema(
    "llama_cpp",
    "llama.cpp",
    (
        Param(
            "max_tokens",
            "integer",
            -1,
            _INT32,
            aliases=("n_predict", "max_completion_tokens"),
            about="The most tokens to make; -1 is no limit.",
        ),
        Param("temperature", "number", 0, about="Sampling temperature; 0 takes the likeliest token."),
        Param("top_k", "integer", 0, _INT32, about="How many likely tokens are considered; 0 is all."),
        Param("top_p", "number", 0, 1, about="Nucleus sampling: the share of probability that is considered."),
        Param("min_p", "number", 0, 1, about="The least probability, relative to the likeliest token."),
        Param("top_n_sigma", "number", about="Keeps tokens within so many deviations; -1 is off."),
        Param("typical_p", "number", 0, 1, aliases=("typ_p",), about="Typical sampling; 1 is off."),
        Param("repeat_penalty", "number", about="Lowers tokens that occurred; 1 is off."),
        Param("repeat_last_n", "integer", 0, _INT32, about="How many tokens back penalties look; 0 is off."),
        Param("presence_penalty", "number", about="Lowers tokens that occurred at all; 0 is off."),
        Param("frequency_penalty", "number", about="Lowers tokens by how often they occurred; 0 is off."),
        Param("dry_multiplier", "number", about="Strength of DRY, which stops repetition; 0 is off."),
        Param("dry_base", "number", 1, about="Base of DRY's penalty."),
        Param("dry_allowed_length", "integer", 0, _INT32, about="The longest repetition that DRY allows."),
        Param("dry_penalty_last_n", "integer", 0, _INT32, about="How many tokens back DRY looks; 0 is off."),
        Param("dry_sequence_breakers", "strings", test=_some, about="Strings over which DRY does not look back."),
        Param("xtc_probability", "number", 0, 1, about="How often XTC takes the likeliest tokens away; 0 is off."),
        Param("xtc_threshold", "number", 0, 1, about="From which probability on XTC takes tokens away."),
        Param("dynatemp_range", "number", about="How far the temperature moves by entropy; 0 is off."),
        Param("dynatemp_exponent", "number", about="How entropy becomes temperature."),
        Param("mirostat", "integer", 0, 2, about="Mirostat sampling: 0 is off, 1 or 2 its version."),
        Param("mirostat_tau", "number", about="Mirostat's target entropy."),
        Param("mirostat_eta", "number", about="Mirostat's learning rate."),
        Param("adaptive_target", "number", None, 1, about="The probability that adaptive sampling aims at; -1 is off."),
        Param("adaptive_decay", "number", 0, 0.99, about="How slowly adaptive sampling forgets."),
        Param("samplers", ("strings", "string"), about="The samplers in their order."),
        Param("min_keep", "integer", 0, _INT32, about="How many tokens each sampler leaves at least."),
        Param("seed", "integer", -1, _UINT32, about="The seed; -1 is random."),
        Param(
            "stop",
            ("string", "strings"),
            test=filled_stops,
            convert=unless_empty,
            about="Strings that end the answer.",
        ),
        # How many answers there may be is the server's number of slots; a reply holds one.
        Param("n", "integer", 1, aliases=("n_cmpl",), about="How many answers to make: 1."),
        Param("ignore_eos", "boolean", about="Goes on after the end of the answer."),
        Param("logit_bias", ("object", "array"), test=llama_biases, about="Token, by id or text, to bias or False."),
        *shared("logprobs"),
        Param("top_logprobs", "integer", 0, _INT32, about="How many likely tokens to return; needs `logprobs`."),
        Param("post_sampling_probs", "boolean", about="Return probabilities as the samplers leave them."),
        Param("grammar", "string", about="A grammar in GBNF that the answer follows."),
        Param("json_schema", "object", about="A JSON schema that the answer follows."),
        *shared("response_format"),
        Param("tools", "array", test=function_tools, about="Functions that the model may call."),
        *shared("tool_choice", "parallel_tool_calls"),
        Param("reasoning_effort", "string", choices=EFFORTS, about="How much a model thinks; 'none' switches it off."),
        Param(
            "reasoning_budget",
            "integer",
            -1,
            _INT32,
            aliases=("reasoning_budget_tokens", "thinking_budget_tokens"),
            wire="reasoning_budget_tokens",
            about="The most tokens to think; -1 is no limit.",
        ),
        Param(
            "reasoning_format",
            "string",
            choices=("none", "deepseek", "deepseek-legacy", "auto"),
            about="Where the thinking stands in an answer.",
        ),
        Param("chat_template_kwargs", "object", about="What the model's chat template is given."),
        Param("add_generation_prompt", "boolean", about="Whether the template opens the answer."),
        Param("continue_final_message", ("boolean", "string"), about="Goes on with the last message."),
        Param("cache_prompt", "boolean", about="Uses again what an earlier request has in common with this one."),
        Param("id_slot", "integer", -1, _INT32, about="The slot that serves the request; -1 is any."),
        Param(
            "num_keep",
            "integer",
            -1,
            _INT32,
            aliases=("n_keep",),
            wire="n_keep",
            about="Tokens of the prompt that stay when the context is full.",
        ),
        Param("n_discard", "integer", 0, _INT32, about="Tokens that go when the context is full; 0 is half of them."),
        Param("lora", "array", about="Adapters and their scale: [{'id': 0, 'scale': 0.5}]."),
        Param("t_max_predict_ms", "integer", -1, _INT64, about="The longest time to make tokens, in milliseconds."),
        Param("timings_per_token", "boolean", about="Tells the speed with every token."),
        Param("return_progress", "boolean", about="Tells in a stream how much of the prompt was read."),
        *shared("stream_options"),
    ),
    rules=(
        ("top_logprobs", needs_logprobs),
        ("grammar", OnlyShape(("json_schema", "response_format", "tools"))),
        ("json_schema", OnlyShape(("response_format",))),
    ),
)

"""The parameters of `llama-completion`, llama.cpp's command line, as data: a wire name is a long flag without dashes.

Source: the help text of llama-completion and its source. A flag that takes no value goes out as True, one that may be
given several times as a list; everything else is the flag's one value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..params import Schema
from ..values import Param
from .checks import filled_stops, listed, openai_format
from .llama_cpp import OnlyShape, llama_biases, wanted_json
from .openai import ONE_ANSWER

__all__ = ["LLAMA_PROCESS"]

_UINT32 = 2**32
_NEVER = "-inf"  # the bias that forbids a token


def _if_set(value: Any) -> Any:
    return True if value is True else None


def _ids_only(value: Mapping[Any, Any] | Sequence[Any]) -> str:
    wanted = llama_biases(value)
    if wanted:
        return wanted
    tokens = value if isinstance(value, Mapping) else [pair[0] for pair in value]
    fine = all(isinstance(token, int) or (token.isascii() and token.isdigit()) for token in tokens)
    return "" if fine else "biases by token id; the command line takes no text in place of an id"


def _sent_biases(value: Any) -> Any:
    """One `TOKEN+BIAS` for each token."""
    if not isinstance(value, (Mapping, list, tuple)) or _ids_only(value):
        return value
    pairs = value.items() if isinstance(value, Mapping) else value
    return [f"{token}{_NEVER if bias is False else format(bias, '+')}" for token, bias in pairs] or None


def _sent_breakers(value: Any) -> Any:
    return list(value) or ["none"] if isinstance(value, (list, tuple)) else value


def _sent_samplers(value: Any) -> Any:
    return ";".join(map(str, value)) if isinstance(value, (list, tuple)) else value


def _sent_format(value: Any) -> Any:
    return wanted_json(value) if isinstance(value, Mapping) else value


def _flag(
    name: str,
    types: tuple[str, ...] | str,
    low: float | None = None,
    high: float | None = None,
    flag: str = "",
    about: str = "",
    **more: Any,
) -> Param:
    """A parameter and its flag; the flag's name, with underscores, is accepted too."""
    flag = flag or name.replace("_", "-")
    own = flag.replace("-", "_")
    aliases = (*more.pop("aliases", ()), *((own,) if own != name else ()))
    return Param(name, types, low, high, wire=flag, aliases=aliases, about=about or f"The flag --{flag}.", **more)


LLAMA_PROCESS = Schema(
    "llama_cpp",
    "llama-completion",
    (
        _flag(
            "max_tokens",
            "integer",
            -2,
            flag="predict",
            aliases=("n_predict",),
            about="The most tokens to make; -1 is no limit, -2 until the context is full.",
        ),
        _flag("temperature", "number", 0, flag="temp", about="Sampling temperature; 0 takes the likeliest token."),
        _flag("top_k", "integer", 0, about="How many likely tokens are considered; 0 is all."),
        _flag("top_p", "number", 0, 1, about="Nucleus sampling: the share of probability that is considered."),
        _flag("min_p", "number", 0, 1, about="The least probability, relative to the likeliest token."),
        _flag("top_n_sigma", "number", flag="top-nsigma", about="Keeps tokens within so many deviations; -1 is off."),
        _flag("typical_p", "number", 0, 1, flag="typical", about="Locally typical sampling; 1 is off."),
        _flag("repeat_penalty", "number", about="Lowers tokens that occurred; 1 is off."),
        _flag("repeat_last_n", "integer", -1, about="How many tokens back penalties look; -1 is the whole context."),
        _flag("presence_penalty", "number", about="Lowers tokens that occurred at all; 0 is off."),
        _flag("frequency_penalty", "number", about="Lowers tokens by how often they occurred; 0 is off."),
        _flag("dry_multiplier", "number", about="Strength of DRY, which stops repetition; 0 is off."),
        _flag("dry_base", "number", about="Base of the penalty of DRY."),
        _flag("dry_allowed_length", "integer", about="The longest repetition that DRY allows."),
        _flag("dry_penalty_last_n", "integer", 0, about="How many tokens back DRY looks; 0 is off."),
        _flag(
            "dry_sequence_breakers",
            "strings",
            flag="dry-sequence-breaker",
            convert=_sent_breakers,
            about="Strings over which DRY does not look back.",
        ),
        _flag("xtc_probability", "number", 0, 1, about="How often XTC takes the likeliest tokens away; 0 is off."),
        _flag("xtc_threshold", "number", 0, 1, about="From which probability on XTC takes tokens away."),
        _flag("dynatemp_range", "number", 0, about="How far the temperature moves by entropy; 0 is off."),
        _flag("dynatemp_exponent", "number", flag="dynatemp-exp", about="How entropy becomes temperature."),
        _flag("mirostat", "integer", 0, 2, about="Mirostat sampling: 0 is off, 1 or 2 its version."),
        _flag("mirostat_tau", "number", flag="mirostat-ent", about="Mirostat's target entropy."),
        _flag("mirostat_eta", "number", flag="mirostat-lr", about="Mirostat's learning rate."),
        _flag("adaptive_target", "number", about="The probability that adaptive sampling aims at; -1 is off."),
        _flag("adaptive_decay", "number", 0, 0.99, about="How slowly adaptive sampling forgets."),
        _flag("samplers", ("strings", "string"), convert=_sent_samplers, about="Samplers in order, or joined by ';'."),
        _flag("seed", "integer", -1, _UINT32 - 1, about="The seed; -1 is random."),
        _flag(
            "stop",
            ("string", "strings"),
            flag="reverse-prompt",
            test=filled_stops,
            convert=listed,
            about="Strings that end the answer.",
        ),
        ONE_ANSWER,
        _flag("logit_bias", ("object", "array"), test=_ids_only, convert=_sent_biases, about="Token id to bias."),
        _flag("ignore_eos", "boolean", convert=_if_set, about="Goes on after the end of the answer."),
        _flag("grammar", "string", about="A grammar in GBNF that the answer follows."),
        Param(
            "response_format",
            "object",
            wire="json-schema",
            test=openai_format,
            convert=_sent_format,
            about="Text, JSON, or JSON of a schema.",
        ),
        _flag("json_schema", "object", about="A JSON schema that the answer follows."),
        _flag("num_ctx", "integer", 0, flag="ctx-size", about="Tokens of context; 0 is what the model was made for."),
        _flag("num_keep", "integer", -1, flag="keep", about="Tokens of the prompt that stay when the context is full."),
        _flag("num_batch", "integer", 1, flag="batch-size", about="Tokens of the prompt that are read at once."),
        _flag("num_thread", "integer", -1, flag="threads", about="Processor threads; -1 is as many as fit."),
        _flag("num_gpu", "integer", -1, flag="gpu-layers", about="Layers that are held by the GPU."),
        _flag("main_gpu", "integer", 0, about="The GPU that is used, or that holds what is not split."),
    ),
    rules=(
        ("grammar", OnlyShape(("json_schema", "response_format"))),
        ("json_schema", OnlyShape(("response_format",))),
    ),
)

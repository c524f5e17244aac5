"""Whose parameter is it, and what did they mean? The tables and the search behind "did you mean".

A wrong name is nearly always the right name of another provider, another spelling of the right name, or a typo,
in that order; the search goes the same way. Nothing here runs for a good request.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Final

__all__ = ["ALIASES", "NEAREST", "OWNERS", "OWN_FIELDS", "explain", "named"]

_LONGEST = 60  # characters of a wrong name that are looked at and shown; difflib is quadratic, and a name is short

OWN_FIELDS: Final[Mapping[str, str]] = {
    "model": "it is the request's own field; give it as the request's model",
    "messages": "they are the request's own field; give them as the request's messages",
    "prompt": "it is the request's own field; give it as the request's messages",
    "input": "it is the request's own field; give it as the request's messages",
    "stream": "it is the request's own field; ask for a stream with the request's `stream`",
    "system": "give a message with the role 'system'",
    "system_prompt": "give a message with the role 'system'",
    "system_instruction": "give a message with the role 'system'",
    "instructions": "give a message with the role 'system'",
    "preamble": "give a message with the role 'system'",
    "timeout": "the provider never sees it; set the adapter's timeouts or a deadline",
    "api_key": "it belongs to the provider's configuration, never to a request",
    "base_url": "it belongs to the provider's configuration",
}
"""Names that are not a provider's parameters at all, and where they belong."""

OWNERS: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        ("num_predict", "num_ctx", "num_keep", "num_gpu", "num_thread", "num_batch", "main_gpu", "use_mmap",
         "use_mlock", "low_vram", "f16_kv", "numa", "keep_alive", "repeat_penalty", "repeat_last_n", "think",
         "format", "options", "raw", "template", "suffix", "context", "truncate", "shift", "draft_num_predict",
         "top_k"),
        "Ollama",
    ),
    **dict.fromkeys(
        ("n_predict", "n_ctx", "n_keep", "n_probs", "n_cmpl", "n_discard", "mirostat", "mirostat_tau", "mirostat_eta",
         "mirostat_ent", "mirostat_lr", "typical_p", "typ_p", "typical", "top_n_sigma", "dry_multiplier", "dry_base",
         "dry_allowed_length", "dry_penalty_last_n", "dry_sequence_breakers", "xtc_probability", "xtc_threshold",
         "dynatemp_range", "dynatemp_exponent", "grammar", "json_schema", "ignore_eos", "cache_prompt", "id_slot",
         "samplers", "lora", "t_max_predict_ms", "timings_per_token", "reasoning_format", "reasoning_budget_tokens",
         "chat_template_kwargs", "reverse_prompt", "antiprompt", "ctx_size", "temp", "tfs_z", "penalize_newline",
         "min_keep", "post_sampling_probs", "reasoning_budget", "thinking_budget_tokens", "min_p", "t_max_prompt_ms",
         "return_progress", "return_tokens", "response_fields", "add_generation_prompt", "continue_final_message",
         "adaptive_target", "adaptive_decay"),
        "llama.cpp",
    ),
    **dict.fromkeys(
        ("stop_sequences", "max_tokens_to_sample", "thinking", "output_config", "cache_control", "effort", "user_id",
         "inference_geo", "container", "betas", "mcp_servers", "context_management", "budget_tokens", "speed"),
        "Claude",
    ),
    **dict.fromkeys(
        ("repetition_penalty", "top_a", "provider", "models", "route", "transforms", "plugins", "reasoning",
         "include_reasoning", "structured_outputs", "session_id", "image_config", "trace", "usage", "debug"),
        "OpenRouter",
    ),
    **dict.fromkeys(
        ("max_completion_tokens", "frequency_penalty", "presence_penalty", "logit_bias", "logprobs", "top_logprobs",
         "n", "seed", "stop", "response_format", "reasoning_effort", "verbosity", "service_tier", "store",
         "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "safety_identifier", "modalities",
         "audio", "prediction", "web_search_options", "moderation", "stream_options", "functions", "function_call",
         "best_of", "parallel_tool_calls", "tools", "tool_choice", "user", "metadata", "include_usage"),
        "OpenAI",
    ),
    **dict.fromkeys(("max_output_tokens", "truncation", "previous_response_id", "include", "text", "background",
                     "max_tool_calls", "conversation"), "OpenAI Responses"),
    **dict.fromkeys(("max_new_tokens", "num_return_sequences", "do_sample", "num_beams", "length_penalty"),
                    "Hugging Face"),
    **dict.fromkeys(("maxOutputTokens", "stopSequences", "candidate_count", "candidateCount", "safety_settings",
                     "thinking_budget", "generationConfig"), "Google"),
    **dict.fromkeys(("guided_json", "guided_regex", "guided_choice", "max_model_len", "use_beam_search"), "vLLM"),
    **dict.fromkeys(("random_seed", "safe_prompt"), "Mistral"),
    "enable_thinking": "Qwen",
}  # fmt: skip
"""Known parameters by name, and whose they are."""

ALIASES: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        ("num_predict", "n_predict", "max_new_tokens", "max_length", "maxTokens", "max_output_tokens",
         "maxOutputTokens", "max_tokens_to_sample", "max_completion_tokens", "max_gen_len"),
        "max_tokens",
    ),
    **dict.fromkeys(("stop_sequences", "stopSequences", "stops", "stop_words", "reverse_prompt", "antiprompt"), "stop"),
    **dict.fromkeys(("repetition_penalty", "repeat_penalty", "rep_pen", "penalty_repeat"), "repeat_penalty"),
    **dict.fromkeys(("temp", "temprature", "temperture"), "temperature"),
    **dict.fromkeys(("topP", "top-p", "nucleus"), "top_p"),
    **dict.fromkeys(("topK", "top-k"), "top_k"),
    **dict.fromkeys(("num_ctx", "n_ctx", "ctx_size", "context_length", "max_model_len"), "num_ctx"),
    "mirostat_ent": "mirostat_tau",
    "mirostat_lr": "mirostat_eta",
    **dict.fromkeys(("typ_p", "typical"), "typical_p"),
    "functions": "tools",
    "function_call": "tool_choice",
    **dict.fromkeys(
        ("think", "thinking", "reasoning", "enable_thinking", "include_reasoning", "effort"), "reasoning_effort"
    ),
    **dict.fromkeys(
        ("thinking_budget", "budget_tokens", "reasoning_budget_tokens", "thinking_budget_tokens"), "reasoning_budget"
    ),
    "include_usage": "stream_options",
    **dict.fromkeys(("format", "json_mode", "json_schema", "guided_json", "structured_outputs"), "response_format"),
    "random_seed": "seed",
    **dict.fromkeys(("candidate_count", "candidateCount", "num_return_sequences", "best_of", "n_cmpl"), "n"),
    "user_id": "user",
    "n_probs": "top_logprobs",
    "n_keep": "num_keep",
    **dict.fromkeys(("keepalive", "keep-alive"), "keep_alive"),
}  # fmt: skip
"""A wrong name, and the canonical name of what was meant."""

NEAREST: Final[Mapping[str, tuple[str, ...]]] = {
    "repeat_penalty": ("frequency_penalty",),
    "frequency_penalty": ("repeat_penalty",),
    "presence_penalty": ("repeat_penalty",),
    "min_p": ("top_p",),
    "typical_p": ("top_p",),
    "top_k": ("top_p",),
    "reasoning_budget": ("reasoning_effort",),
}
"""What comes nearest to a canonical parameter where a provider does not have it."""

_REMARKS: Final[Mapping[str, str]] = {
    "num_ctx": "the context length is fixed by the model or the server",
    "options": "give the keys inside it as parameters",
    "n": "make one request for each answer",
    **dict.fromkeys(("stream_options", "usage"), "usage is always asked for"),
    **dict.fromkeys(("raw", "template", "suffix", "context"), "it is for completing a text; give messages"),
    "tfs_z": "llama.cpp and Ollama have taken it out",
}

_AT_START = "llama.cpp's server takes it when it is started, as "
_TEXT_ONLY = "the command line completes text; llama.cpp's server has it"
_REMARKS_OF: Final[Mapping[str, Mapping[str, str]]] = {
    "llama.cpp": {
        "num_ctx": f"{_AT_START}-c",
        "num_gpu": f"{_AT_START}-ngl",
        "num_thread": f"{_AT_START}-t",
        "num_batch": f"{_AT_START}-b",
        "main_gpu": f"{_AT_START}-mg",
        "use_mmap": f"{_AT_START}--no-mmap",
        "shift": f"{_AT_START}--context-shift",
        "keep_alive": f"{_AT_START}--sleep-idle-seconds",
    },
    "llama-completion": dict.fromkeys(
        ("tools", "tool_choice", "parallel_tool_calls", "logprobs", "top_logprobs", "reasoning_effort",
         "reasoning_budget", "chat_template_kwargs"),
        _TEXT_ONLY,
    ),
    "Ollama": dict.fromkeys(("mirostat", "mirostat_tau", "mirostat_eta"), "today's Ollama ignores it"),
}  # fmt: skip


def named(name: str) -> str:
    """A wrong name as a message may show it: short, on one line."""
    short = name if len(name) <= _LONGEST else name[:_LONGEST] + "..."
    return short if short.isprintable() else ascii(short)[1:-1]


def explain(name: str, label: str, known: Iterable[str]) -> str:
    """Says what is wrong with a name that a provider does not have.

    Args:
        name: the name as it was given.
        label: the provider's name for people, such as "OpenAI".
        known: the names and aliases that the provider does have.

    Returns:
        One sentence: whose parameter it is, and what to write in its place.
    """
    have = set(known)
    if name in OWN_FIELDS:
        return f"`{name}` is not a parameter: {OWN_FIELDS[name]}"
    short = name[:_LONGEST]
    if name in OWNERS or name in ALIASES:
        return _foreign(name, name, label, have)
    folded = _folded(short)
    for candidate in have:
        if _folded(candidate) == folded:
            return f"unknown parameter `{named(name)}`: did you mean `{candidate}`?"
    for other in (*ALIASES, *OWNERS):
        if _folded(other) == folded:
            return _foreign(name, other, label, have)
    close = difflib.get_close_matches(short, sorted(have), n=1, cutoff=0.75)
    if close:
        return f"unknown parameter `{named(name)}`: did you mean `{close[0]}`?"
    elsewhere = difflib.get_close_matches(short, sorted({*OWNERS, *ALIASES}), n=1, cutoff=0.75)
    if elsewhere:
        return _foreign(name, elsewhere[0], label, have)
    return f"unknown parameter `{named(name)}`: {label} has no such parameter"


def _foreign(name: str, meant: str, label: str, have: set[str]) -> str:
    """The sentence for a name that others have; `meant` is its correct spelling."""
    canonical = ALIASES.get(meant, meant)
    owner = OWNERS.get(meant, "")
    if not owner and canonical not in have:
        meant, owner = canonical, OWNERS.get(canonical, "")
    if owner in (label, ""):
        whose = f"unknown parameter `{named(name)}`"
    elif name == meant:
        whose = f"`{named(name)}` is {_article(owner)} {owner} parameter"
    else:
        whose = f"`{named(name)}` looks like `{meant}`, {_article(owner)} {owner} parameter"
    if canonical in have:
        foreign = owner not in (label, "")
        return f"{whose}; {label} has `{canonical}`" if foreign else f"{whose}: did you mean `{canonical}`?"
    remark = _REMARKS_OF.get(label, {}).get(canonical) or _REMARKS.get(canonical)
    if remark:
        return f"{whose}: {remark}"
    for nearest in NEAREST.get(canonical, ()):
        if nearest in have:
            return f"{whose}; {label} has `{nearest}`"
    return f"{whose}; {label} has nothing like it"


def _article(owner: str) -> str:
    return "an" if owner[0] in "AEIOU" else "a"


def _folded(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())

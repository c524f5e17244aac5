"""What spans say of a request, of a reply and of an error; no prompt, no answer and no key is in any of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from ..pipeline import Outcome, ProviderError, Reply, Usage
from . import semconv as names

__all__ = ["of_error", "of_params", "of_reply"]

Facts: TypeAlias = dict[str, Any]


def _whole(value: Any) -> int | None:
    return value if type(value) is int else None


def _number(value: Any) -> float | None:
    good = type(value) is int or (type(value) is float and math.isfinite(value))
    return float(value) if good else None


def _choices(value: Any) -> int | None:
    return value if type(value) is int and value != 1 else None  # by convention only where it is not 1


def _word(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _effort(value: Any) -> str | None:
    return _word(value.get("effort")) if isinstance(value, Mapping) else None


def _form(value: Any) -> str | None:
    """The kind of output that OpenAI's `response_format` or Ollama's `format` asks for."""
    word = value.get("type", "json_schema") if isinstance(value, Mapping) else value
    return {"text": "text", "json": "json", "json_object": "json", "json_schema": "json", "object": "json"}.get(
        word if isinstance(word, str) else ""
    )


# The parameters that the conventions have a name for, as callers of the several providers call them. Stop sequences are
# not among them: they are the caller's own words, and so are recorded with the content only.
_KNOWN: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "max_tokens": (names.MAX_TOKENS, _whole),
    "max_completion_tokens": (names.MAX_TOKENS, _whole),
    "n_predict": (names.MAX_TOKENS, _whole),
    "num_predict": (names.MAX_TOKENS, _whole),
    "temperature": (names.TEMPERATURE, _number),
    "top_p": (names.TOP_P, _number),
    "top_k": (names.TOP_K, _whole),
    "frequency_penalty": (names.FREQUENCY_PENALTY, _number),
    "presence_penalty": (names.PRESENCE_PENALTY, _number),
    "seed": (names.SEED, _whole),
    "n": (names.CHOICE_COUNT, _choices),
    "response_format": (names.OUTPUT_TYPE, _form),
    "format": (names.OUTPUT_TYPE, _form),
    "reasoning_effort": (names.REASONING_LEVEL, _word),
    "think": (names.REASONING_LEVEL, _word),
    "reasoning": (names.REASONING_LEVEL, _effort),
    "output_config": (names.REASONING_LEVEL, _effort),
}


def of_params(params: Mapping[str, Any], found: Facts) -> None:
    """Adds to `found` what the parameters of a request say about it, as far as the conventions have a name for it."""
    for name, value in params.items():
        known = _KNOWN.get(name)
        if known is not None:
            attribute, read = known
            fact = read(value)
            if fact is not None:
                found[attribute] = fact


def of_reply(reply: Reply, found: Facts) -> None:
    """Adds to `found` what a reply says about itself now that it is over."""
    if reply.model:
        found[names.RESPONSE_MODEL] = reply.model
    if reply.id:
        found[names.RESPONSE_ID] = reply.id
    # By convention "error" where a reason was expected and never came.
    reason = reply.finish_reason or ("error" if reply.outcome is Outcome.ERROR else None)
    if reason:
        found[names.FINISH_REASONS] = (reason,)
    if reply.status is not None:
        found[names.STATUS_CODE] = reply.status
        if (request_id := reply.request_id) is not None:
            found[names.REQUEST_ID] = request_id
    if reply.usage is not None:
        _of_usage(reply.usage, found)


def of_error(error: BaseException, found: Facts) -> None:
    """Adds to `found` what an error says: why, with which status, for how long; and what was used up before it."""
    if not isinstance(error, ProviderError):
        return
    if error.status is not None:
        found[names.STATUS_CODE] = error.status
    if error.reason:
        found[names.REASON] = error.reason
    if error.retry_after is not None:
        found[names.RETRY_AFTER] = error.retry_after
    if error.request_id:
        found[names.REQUEST_ID] = error.request_id
    if error.partial is not None and error.partial.usage is not None and names.INPUT_TOKENS not in found:
        _of_usage(error.partial.usage, found)


def _of_usage(usage: Usage, found: Facts) -> None:
    if usage.prompt_tokens is not None:
        found[names.INPUT_TOKENS] = usage.prompt_tokens
    if usage.completion_tokens is not None:
        found[names.OUTPUT_TOKENS] = usage.completion_tokens
    if usage.cached_tokens is not None:
        found[names.CACHED_TOKENS] = usage.cached_tokens
    if usage.reasoning_tokens is not None:
        found[names.REASONING_TOKENS] = usage.reasoning_tokens
    if usage.cost is not None:
        found[names.COST] = float(usage.cost)

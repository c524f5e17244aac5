"""What Claude's models do not take: from Opus 4.7 on no sampling and no thinking by budget, and more before it.

Sources: Anthropic's guides, the answers of the API. Names are those of the API and of the clouds that serve Claude:
"claude-opus-4-7", dated, "us.anthropic.claude-opus-4-7-v1:0", "claude-opus-4-7@20260416".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ..params import Rule
from ..suggestions import named

__all__ = ["MODEL_RULES", "is_adaptive"]

# A date after the name has eight digits, and is no version.
_NAME = re.compile(r"claude-(opus|sonnet|haiku|fable|mythos)-(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)")

# "`temperature` is deprecated for this model", "\"thinking.type.enabled\" is not supported for this model".
_ADAPTIVE_FROM = {"opus": (4, 7), "sonnet": (5, 0), "haiku": (5, 5), "fable": (5, 0), "mythos": (5, 0)}

# "`temperature` and `top_p` cannot both be specified for this model."
_ONE_SAMPLING = {"opus": ((4, 1), (4, 6)), "sonnet": ((4, 5), (4, 6)), "haiku": ((4, 5),)}


@lru_cache(maxsize=256)
def _version(model: str) -> tuple[str, tuple[int, int]]:
    found = _NAME.search(model)
    return (found[1], (int(found[2]), int(found[3] or 0))) if found else ("", (0, 0))


def is_adaptive(model: str) -> bool:
    """Whether the model thinks as it sees fit; such a one takes no sampling, no budget and no prefilled answer."""
    family, version = _version(model)
    first = _ADAPTIVE_FROM.get(family)
    return first is not None and version >= first


def _thinks(params: Mapping[str, Any]) -> bool:
    thinking = params.get("thinking")
    asked = isinstance(thinking, Mapping) and thinking.get("type") in ("enabled", "adaptive")
    return asked or params.get("reasoning_budget") is not None


@dataclass(frozen=True, slots=True)
class _Sampling:
    """A sampling parameter, which new models do not take.

    Args:
        default: the value that changes nothing, and is taken.
        thinking: what is wrong with any other while a model thinks that does take it.
    """

    default: float | None = None
    thinking: str = ""

    def __call__(self, value: Any, params: Mapping[str, Any], model: str) -> str:
        if value == self.default:
            return ""
        if is_adaptive(model):
            return f"is refused by {named(model)}, which takes no sampling parameters: leave it out"
        return self.thinking if _thinks(params) else ""


def _one_sampling(value: Any, params: Mapping[str, Any], model: str) -> str:
    family, version = _version(model)
    if params.get("temperature") is None or version not in _ONE_SAMPLING.get(family, ()):
        return ""
    return f"and `temperature` cannot both be given to {named(model)}: use only one"


def _budget(value: Any, params: Mapping[str, Any], model: str) -> str:
    if not is_adaptive(model):
        return ""
    return f"is refused by {named(model)}: give thinking={{'type': 'adaptive'}} and `reasoning_effort`"


def _thinking(value: Mapping[str, Any], params: Mapping[str, Any], model: str) -> str:
    refused = value.get("type") == "enabled" and _budget(value, params, model)
    return f"of the type 'enabled' {refused}" if refused else ""


MODEL_RULES: tuple[tuple[str, Rule], ...] = (
    ("temperature", _Sampling(1, "must be 1, or left out, while Claude thinks")),
    ("top_p", _Sampling(1)),
    ("top_p", _one_sampling),
    ("top_k", _Sampling(thinking="cannot be given while Claude thinks: leave it out")),
    ("thinking", _thinking),
    ("reasoning_budget", _budget),
)

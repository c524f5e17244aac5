"""What OpenAI's models do not take: a model that reasons refuses most of what steers sampling.

Sources: OpenAI's guides and reference, the answers of the API. Only a model's exact name counts, dated or fine-tuned,
because the name of a deployment may be anything; and where reports conflict, nothing is refused here: the API's own
error then says more than a guess.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from ..params import Rule
from ..suggestions import named

__all__ = ["REASONING_RULES"]

_DATED = r"(-\d{4}-\d{2}-\d{2})?"
_ALWAYS = re.compile(rf"(o1|o3|o4|gpt-5)(-(mini|nano|preview|pro|codex))?{_DATED}")
# From 5.1 on most models can stop reasoning, and some do so unless told otherwise. Chat models never reason.
_OPTIONAL = re.compile(rf"gpt-(5\.\d+|[6-9](\.\d+)?)(-(?!chat)[a-z]+)*{_DATED}")
# o1 and o3-mini are said to take `stop`, and not to.
_WITHOUT_STOP = re.compile(rf"(o3|o4-mini|gpt-5(-mini|-nano)?){_DATED}")
_WITHOUT_EFFORT = {
    "minimal": re.compile(rf"gpt-6{_DATED}"),
    "none": re.compile(rf"gpt-6(\.1-sol|-astra){_DATED}"),
}


def _base(model: str) -> str:
    """The model that a fine-tuned one is made of: "ft:o4-mini-2025-04-16:org::id"."""
    return model.removeprefix("ft:").partition(":")[0]


@lru_cache(maxsize=256)
def _reasons(model: str) -> Literal["", "optionally", "always"]:
    base = _base(model)
    if _ALWAYS.fullmatch(base):
        return "always"
    return "optionally" if _OPTIONAL.fullmatch(base) else ""


@dataclass(frozen=True, slots=True)
class _WhileReasoning:
    """A parameter that a model does not take while it reasons.

    Args:
        default: the value that changes nothing, and is taken.
        optionally: whether models that can stop reasoning are known to refuse it too, while they reason.
    """

    default: Any
    optionally: bool = False

    def __call__(self, value: Any, params: Mapping[str, Any], model: str) -> str:
        reasons = _reasons(model)
        if not reasons or value == self.default:
            return ""
        if reasons == "always":
            return f"is refused by {named(model)}, which always reasons: leave it out"
        if not self.optionally or params.get("reasoning_effort") in (None, "none"):
            return ""
        return f"is refused by {named(model)} while it reasons: leave it out, or set `reasoning_effort` to 'none'"


def _stop(value: Any, params: Mapping[str, Any], model: str) -> str:
    if not value or not _WITHOUT_STOP.fullmatch(_base(model)):
        return ""
    return f"is refused by {named(model)}: leave it out, and cut the answer yourself"


def _effort(value: Any, params: Mapping[str, Any], model: str) -> str:
    refused = _WITHOUT_EFFORT.get(value)
    if refused is None or not refused.fullmatch(_base(model)):
        return ""
    return f"must not be {value!r} with {named(model)}: use 'low' or more, or leave it out"


REASONING_RULES: tuple[tuple[str, Rule], ...] = (
    ("temperature", _WhileReasoning(1, optionally=True)),
    ("top_p", _WhileReasoning(1, optionally=True)),
    ("logprobs", _WhileReasoning(False, optionally=True)),
    ("frequency_penalty", _WhileReasoning(0)),
    ("presence_penalty", _WhileReasoning(0)),
    ("logit_bias", _WhileReasoning({})),
    ("stop", _stop),
    ("reasoning_effort", _effort),
)

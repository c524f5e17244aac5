"""Log probabilities as the chat protocols write them: OpenAI's, those that follow it, and Ollama's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .seen import Seen

_MOST = 20  # what OpenAI, OpenRouter and Ollama allow for `top_logprobs`


def logprobs(seen: Seen, parts: Sequence[str]) -> list[dict[str, Any]] | None:
    """The log probabilities of an answer, made up, the same every time.

    Args:
        seen: the request, which says whether they are wanted and how many alternatives.
        parts: the tokens of the answer, or some of them.

    Returns:
        An entry for each token, or None if the request asks for none.
    """
    if seen.fields.get("logprobs") is not True:
        return None
    top = seen.fields.get("top_logprobs")
    wanted = min(top, _MOST) if type(top) is int else 0
    return [{**_entry(part, 0), "top_logprobs": [_entry(part, rank) for rank in range(wanted)]} for part in parts]


def _entry(token: str, rank: int) -> dict[str, Any]:
    """The token itself, or with a rank above 0 one that was less likely."""
    text = token + "'" * rank
    return {
        "token": text,
        "logprob": -0.125 * (len(token) % 8 + 1) - 2.0 * rank,
        "bytes": list(text.encode("utf-8", "surrogatepass")),
    }

"""Chunk, and what answers are made of: tool calls, usage, and what had arrived of an answer that broke off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Chunk", "Partial", "ToolCall", "ToolCallDelta", "Usage", "assemble"]


@dataclass(frozen=True, slots=True)
class Usage:
    """What the provider says it counted. What it did not say is None, never 0.

    `prompt_tokens` includes `cached_tokens`; `completion_tokens` includes `reasoning_tokens`; `cost` is in the
    provider's currency, usually US dollars.
    """

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost: float | None = None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function that the model wants called; `arguments` is the JSON text as the model wrote it."""

    id: str
    name: str
    arguments: str = field(repr=False)

    def parse(self) -> Any:
        """The arguments as Python data.

        Raises:
            ValueError: if the model wrote something that is not JSON.
        """
        import json

        return json.loads(self.arguments or "{}")


@dataclass(slots=True)
class ToolCallDelta:
    """A fragment of a tool call: `index` says of which; `arguments` is to be appended."""

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass(slots=True)
class Chunk:
    """One step of an answer that is still arriving. Everything is optional; most chunks are text alone.

    Attributes:
        text, reasoning: what is to be appended.
        tool_calls: fragments of tool calls.
        finish_reason: one of "stop", "length", "tool_calls", "content_filter", "error", "unknown": the protocol's
            proof that the answer is whole.
        native_finish_reason: the provider's own word for it.
        usage: tokens so far; what comes later replaces it.
        id, model: what the provider calls the answer and itself.
        refusal: what the model says in place of an answer, where the protocol keeps that apart.
        logprobs: a mapping for each token, in OpenAI's shape: "token", "logprob", "bytes", "top_logprobs".
        reasoning_details: whole pieces of reasoning as the provider wants them back, with their signatures.
        restarted: what came before this chunk is void, and the answer begins anew with it; why, in words. "" in any
            stream for which nobody asked for that.
        continued: the next route goes on from here with the same answer; why, in words. "" as above.
    """

    text: str = ""
    reasoning: str = ""
    tool_calls: Sequence[ToolCallDelta] = ()
    finish_reason: str | None = None
    native_finish_reason: str | None = None
    usage: Usage | None = None
    id: str | None = None
    model: str | None = None
    refusal: str = ""
    logprobs: Sequence[Mapping[str, Any]] = ()
    reasoning_details: Sequence[Mapping[str, Any]] = ()
    restarted: str = ""
    continued: str = ""

    @property
    def meaningful(self) -> bool:
        """Whether it moves the answer on: text, a tool call or the end. Roles, pings and usage do not."""
        return bool(self.text or self.reasoning or self.tool_calls or self.finish_reason or self.refusal)


@dataclass(frozen=True, slots=True)
class Partial:
    """What had arrived of an answer that broke off: text, tool-call fragments, usage. Not for use as an answer."""

    text: str = field(default="", repr=False)
    reasoning: str = field(default="", repr=False)
    tool_calls: tuple[ToolCall, ...] = ()
    usage: Usage | None = None
    refusal: str = field(default="", repr=False)


def assemble(calls: Mapping[int, Any]) -> tuple[ToolCall, ...]:
    """Tool calls from their fragments: by index, an id, a name and the pieces of the arguments."""
    return tuple(ToolCall(entry[0], entry[1], "".join(entry[2])) for _, entry in sorted(calls.items()))

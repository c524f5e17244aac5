"""What a sandbox answers when all goes well.

An `Answer` says what the model "said" in words that no protocol owns; each dialect turns it into its own
bytes. So one test text runs against all protocols.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

DEFAULT_TEXT = "Hello from the sandbox, all is well."

# A word with the blanks before it, as tokens of real models look; blanks at the very end stand alone.
_PIECE = re.compile(r"\s*\S+|\s+")


def pieces(text: str) -> tuple[str, ...]:
    """Cut a text into word pieces; joined again they are the text.

    Args:
        text: any text, may be empty.

    Returns:
        The pieces in order; empty for an empty text.
    """
    return tuple(_PIECE.findall(text))


def check_amount(value: object, name: str, unit: str = "seconds") -> float:
    """Accept a finite, non-negative number and nothing else.

    Args:
        value: what the caller passed.
        name: the argument's name, for the message.
        unit: what is counted, for the message.

    Returns:
        The value as a float.

    Raises:
        TypeError: if it is not a number.
        ValueError: if it is negative, infinite or NaN.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number of {unit}, not {value!r}")
    if not math.isfinite(value) or value < 0:
        raise ValueError(f"{name} must be a finite number of {unit}, 0 or more, not {value!r}")
    return float(value)


def check_count(value: object, name: str, least: int = 0) -> int:
    """Accept a whole number that is at least `least`.

    Args:
        value: what the caller passed.
        name: the argument's name, for the message.
        least: the smallest number allowed.

    Returns:
        The value.

    Raises:
        TypeError: if it is not an int.
        ValueError: if it is too small.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number, not {value!r}")
    if value < least:
        raise ValueError(f"{name} must be {least} or more, not {value!r}")
    return value


@dataclass(frozen=True, slots=True)
class ToolUse:
    """One call of a tool that the model asks for.

    Args:
        name: the tool's name.
        arguments: what it is called with, a JSON object.
        id: the call's id; None lets the dialect make one, the same every time.
    """

    name: str
    # Not part of the hash: a dict has none, and equal objects still have equal hashes.
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)
    id: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise TypeError(f"ToolUse: name must be a non-empty string, not {self.name!r}")
        if not isinstance(self.arguments, Mapping):
            raise TypeError(f"ToolUse: arguments must be a mapping (a JSON object), not {self.arguments!r}")


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """A good answer, in the words of no protocol.

    Args:
        text: what the model says. Left out, it is a fixed short sentence, or empty if there are tool calls or
            a refusal, or the joined `chunks`.
        tool_calls: the tools the model wants called.
        reasoning: what it thought, shown by all but OpenAI unless the request switched it off; OpenAI only
            counts it.
        encrypted_reasoning: what it thought as data that only the provider can read: a redacted block at
            Claude, an encrypted piece at OpenRouter; the others have no such thing.
        refusal: what it says in place of an answer. OpenAI and OpenRouter keep it apart; Claude says it as text
            and gives it as the reason for the end; the others only say it.
        finish: `stop`, `length`, `tool_calls` or `content_filter`, translated by the dialect; any other word
            is sent as it is, such as `error`, by which OpenRouter says that the upstream failed. None means
            `tool_calls` if there are any, else `stop`.
        native_finish: the word of whoever made the answer, if that is not who sends it: OpenRouter tells both.
        prompt_tokens: None counts the words of the prompt.
        completion_tokens: None counts the pieces of text and reasoning, and one for each tool call.
        cached_tokens: how many of the prompt's tokens came from a cache.
        cost: in US dollars, which OpenRouter tells.
        chunks: how the text is cut for streaming; None cuts it into words.
        delay: seconds before the first byte.

    Raises:
        TypeError, ValueError: if a value is of the wrong kind, or `chunks` do not add up to `text`.
    """

    text: str = DEFAULT_TEXT
    tool_calls: tuple[ToolUse, ...] = ()
    reasoning: str = ""
    encrypted_reasoning: str = ""
    refusal: str = ""
    finish: str | None = None
    native_finish: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int = 0
    cost: float = 0.0
    chunks: tuple[str, ...] | None = None
    delay: float = 0.0

    def __post_init__(self) -> None:
        for name in ("text", "reasoning", "encrypted_reasoning", "refusal"):
            if not isinstance(getattr(self, name), str):
                raise TypeError(f"Answer: {name} must be a string, not {getattr(self, name)!r}")
        calls = tuple(self.tool_calls)
        for call in calls:
            if not isinstance(call, ToolUse):
                raise TypeError(f"Answer: tool_calls must hold ToolUse objects, not {call!r}")
        object.__setattr__(self, "tool_calls", calls)
        if self.chunks is not None:
            if isinstance(self.chunks, str):
                raise TypeError("Answer: chunks must be a tuple of strings, not one string")
            chunks = tuple(self.chunks)
            object.__setattr__(self, "chunks", chunks)
            if self.text == DEFAULT_TEXT:
                object.__setattr__(self, "text", "".join(chunks))
            elif "".join(chunks) != self.text:
                raise ValueError("Answer: the chunks must add up to the text; give one of the two")
        elif (calls or self.refusal) and self.text == DEFAULT_TEXT:
            object.__setattr__(self, "text", "")
        for name in ("prompt_tokens", "completion_tokens"):
            if getattr(self, name) is not None:
                check_count(getattr(self, name), f"Answer: {name}")
        check_count(self.cached_tokens, "Answer: cached_tokens")
        object.__setattr__(self, "cost", check_amount(self.cost, "Answer: cost", "dollars"))
        object.__setattr__(self, "delay", check_amount(self.delay, "Answer: delay"))

    def __repr__(self) -> str:
        told = ((item, getattr(self, item.name)) for item in fields(self))
        shown = [f"{item.name}={value!r}" for item, value in told if value != item.default]
        return f"Answer({', '.join(shown)})"

    @property
    def parts(self) -> tuple[str, ...]:
        """The text as it is cut for streaming; empty parts are left out."""
        return tuple(part for part in self.chunks if part) if self.chunks is not None else pieces(self.text)

    @property
    def in_words(self) -> Answer:
        """The same for protocols that do not keep a refusal apart: it is part of the text."""
        if not self.refusal:
            return self
        return replace(self, text=self.text + self.refusal, refusal="", chunks=(*self.parts, *pieces(self.refusal)))

    @property
    def finish_reason(self) -> str:
        """The canonical word for why the answer ended."""
        return self.finish or ("tool_calls" if self.tool_calls else "stop")

    @property
    def reasoning_tokens(self) -> int:
        """How many of the completion's tokens were spent on thinking."""
        return len(pieces(self.reasoning))

    @property
    def output_tokens(self) -> int:
        """The number of completion tokens, given or counted."""
        if self.completion_tokens is not None:
            return self.completion_tokens
        return len(self.in_words.parts) + self.reasoning_tokens + len(self.tool_calls)

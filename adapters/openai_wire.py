"""An answer of the chat completions protocol, typed: whole, or one chunk of a stream.

Compatible servers write many fields in more than one way; what may differ is `Any` here, and read with care. Typed
decoding takes the place of walking through dicts: a chunk costs half a microsecond.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

__all__ = ["Answer", "Call", "Choice", "Function", "Message"]


class Function(Struct):
    name: str | None = None
    arguments: Any = None  # JSON text; some servers send the object


class Custom(Struct):
    """A call of a custom tool: its input is free text."""

    name: str | None = None
    input: Any = None


class Call(Struct):
    index: int | None = None
    id: str | None = None
    function: Function | None = None
    custom: Custom | None = None

    @property
    def asked(self) -> Function:
        """The function, or the custom tool in its place."""
        if self.function is not None:
            return self.function
        return Function() if self.custom is None else Function(self.custom.name, self.custom.input)


class Message(Struct):
    """A message, or in a stream a change of it."""

    content: Any = None  # text; some servers send parts
    refusal: str | None = None
    reasoning: Any = None  # OpenRouter, Ollama
    reasoning_content: Any = None  # DeepSeek, llama.cpp, vLLM
    reasoning_details: Any = None  # OpenRouter: what has to go back
    tool_calls: list[Call] | None = None
    function_call: Function | None = None  # what came before tool calls; some servers still send it

    @property
    def calls(self) -> list[Call]:
        """The tool calls, or the one function call of old."""
        if self.tool_calls:
            return self.tool_calls
        return [] if self.function_call is None else [Call(index=0, function=self.function_call)]


class Choice(Struct):
    index: int | None = None
    message: Message | None = None
    delta: Message | None = None
    finish_reason: str | None = None
    native_finish_reason: Any = None  # OpenRouter: the word of whoever made the answer
    logprobs: Any = None
    error: Any = None


class Answer(Struct):
    """A whole answer, or one chunk of it."""

    choices: list[Choice] | None = None
    usage: Any = None
    id: Any = None
    model: Any = None
    error: Any = None

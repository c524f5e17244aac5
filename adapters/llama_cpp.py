"""llama.cpp's server: the chat completions protocol with the samplers of llama.cpp.

Protocol: the README of llama.cpp's server and its answers. An unknown parameter is ignored by the server, and a value
out of range is clamped without a word, which is why the schema is strict.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..pipeline import Request
from .history import parts_of, text_of
from .openai import OpenAICodec
from .rule import Rule
from .schemas import LLAMA_CPP

__all__ = ["LlamaCppCodec"]


class LlamaCppCodec(OpenAICodec):
    """Chat completions as llama.cpp's server has them."""

    path = "/v1/chat/completions"

    def __init__(self, rules: Sequence[Rule] = ()) -> None:
        super().__init__(LLAMA_CPP, "llama_cpp", "llama.cpp", rules)

    def body(self, request: Request) -> tuple[dict[str, Any], Mapping[str, str]]:
        if any(message["role"] == "assistant" for message in request.messages):
            request = request.replace(messages=map(_spoken, request.messages))
        return super().body(request)


def _spoken(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """The message with a refusal as the text that it is: the server passes over it where OpenAI has it."""
    refusal, content = message.get("refusal"), message.get("content")
    if isinstance(content, (list, tuple)):
        content = [
            {"type": "text", "text": text_of(part, "refusal")} if part.get("type") == "refusal" else part
            for part in parts_of(content)
        ]
    if not isinstance(refusal, str) or not refusal:
        return message if content is message.get("content") else {**message, "content": content}
    said = [*parts_of(content), {"type": "text", "text": refusal}]
    rest = {key: value for key, value in message.items() if key != "refusal"}
    return {**rest, "content": said if content else refusal}

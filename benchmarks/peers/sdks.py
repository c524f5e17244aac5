"""The providers' own clients, as their documentation has them: with two retries, and no second provider."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .peer import PARAMS, PROMPT, Peer

__all__ = ["Anthropic", "OpenAI"]

_MESSAGES: Any = [{"role": "user", "content": PROMPT}]


class OpenAI(Peer):
    """`client.chat.completions.create(...)`."""

    def __init__(self, primary: str, backup: str = "", timeout: float = 60.0) -> None:
        super().__init__(primary, backup, timeout)
        import openai

        self.client = openai.OpenAI(api_key="sk-bench", base_url=f"{primary}/v1", timeout=timeout)

    def ask(self) -> str:
        answer = self.client.chat.completions.create(model=self.model, messages=_MESSAGES, **PARAMS)
        return answer.choices[0].message.content or ""

    def stream(self) -> Iterator[str]:
        chunks = self.client.chat.completions.create(model=self.model, messages=_MESSAGES, stream=True, **PARAMS)
        for chunk in chunks:
            if chunk.choices:
                yield chunk.choices[0].delta.content or ""


class Anthropic(Peer):
    """`client.messages.create(...)`, which takes fewer parameters."""

    model = "claude-sonnet-4-5"

    def __init__(self, primary: str, backup: str = "", timeout: float = 60.0) -> None:
        super().__init__(primary, backup, timeout)
        import anthropic

        self.client = anthropic.Anthropic(api_key="sk-bench", base_url=primary, timeout=timeout)

    def ask(self) -> str:
        answer = self.client.messages.create(model=self.model, messages=_MESSAGES, max_tokens=100)
        return "".join(block.text for block in answer.content if block.type == "text")

    def stream(self) -> Iterator[str]:
        for event in self.client.messages.create(model=self.model, messages=_MESSAGES, max_tokens=100, stream=True):
            if event.type == "content_block_delta" and event.delta.type == "text_delta":
                yield event.delta.text

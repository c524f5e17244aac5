"""LangChain: `ChatOpenAI(...).with_fallbacks([...])`, each with its default retries."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .peer import PARAMS, PROMPT, Peer

__all__ = ["LangChain"]


class LangChain(Peer):
    """`invoke` and `stream` of a chat model with a fallback."""

    falls_back = True

    def __init__(self, primary: str, backup: str = "", timeout: float = 60.0) -> None:
        super().__init__(primary, backup, timeout)
        from langchain_openai import ChatOpenAI

        models: list[Any] = [
            ChatOpenAI(model=self.model, api_key="sk-bench", base_url=f"{base}/v1", timeout=timeout, **PARAMS)
            for base in (primary, backup)
            if base
        ]
        self.chat = models[0].with_fallbacks(models[1:]) if backup else models[0]

    def ask(self) -> str:
        return str(self.chat.invoke(PROMPT).content)

    def stream(self) -> Iterator[str]:
        for chunk in self.chat.stream(PROMPT):
            yield str(chunk.content)

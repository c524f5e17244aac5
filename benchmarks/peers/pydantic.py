"""pydantic-ai: one request to a `FallbackModel`, without the agent around it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .peer import PARAMS, PROMPT, Peer

__all__ = ["PydanticAI"]


class PydanticAI(Peer):
    """`direct.model_request_sync` and `direct.model_request_stream_sync`. Its clients are bound to one event loop."""

    falls_back = True
    threads = 1

    def __init__(self, primary: str, backup: str = "", timeout: float = 60.0) -> None:
        super().__init__(primary, backup, timeout)
        from openai import AsyncOpenAI
        from pydantic_ai.models.fallback import FallbackModel
        from pydantic_ai.models.openai import OpenAIChatModel
        from pydantic_ai.providers.openai import OpenAIProvider

        models: list[Any] = [
            OpenAIChatModel(
                self.model,
                provider=OpenAIProvider(
                    openai_client=AsyncOpenAI(api_key="sk-bench", base_url=f"{base}/v1", timeout=timeout)
                ),
            )
            for base in (primary, backup)
            if base
        ]
        self.chat = FallbackModel(*models) if backup else models[0]
        self.settings: Any = {
            "temperature": PARAMS["temperature"],
            "top_p": PARAMS["top_p"],
            "max_tokens": PARAMS["max_tokens"],
            "presence_penalty": PARAMS["presence_penalty"],
        }

    def ask(self) -> str:
        from pydantic_ai.direct import model_request_sync
        from pydantic_ai.messages import ModelRequest

        answer = model_request_sync(
            self.chat, [ModelRequest.user_text_prompt(PROMPT)], model_settings=self.settings, instrument=False
        )
        return "".join(part.content for part in answer.parts if part.part_kind == "text")

    def stream(self) -> Iterator[str]:
        from pydantic_ai.direct import model_request_stream_sync
        from pydantic_ai.messages import ModelRequest

        with model_request_stream_sync(
            self.chat, [ModelRequest.user_text_prompt(PROMPT)], model_settings=self.settings, instrument=False
        ) as events:
            for event in events:
                if event.event_kind == "part_start" and event.part.part_kind == "text":
                    yield event.part.content
                elif event.event_kind == "part_delta" and event.delta.part_delta_kind == "text":
                    yield event.delta.content_delta

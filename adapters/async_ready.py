"""The adapters that are ready to use on asyncio; arguments, keys and addresses are those of the ones for threads."""

from __future__ import annotations

from typing import Any

from .async_adapter import AsyncAdapter
from .async_process import AsyncProcessTransport
from .llama_program import LlamaCppProcessBase
from .llama_server import LlamaCppBase
from .process import Programs
from .ready import ClaudeBase, OllamaBase, OpenAIBase, OpenRouterBase

__all__ = ["AsyncClaude", "AsyncLlamaCpp", "AsyncLlamaCppProcess", "AsyncOllama", "AsyncOpenAI", "AsyncOpenRouter"]


class AsyncOpenAI(OpenAIBase, AsyncAdapter):
    __doc__ = OpenAIBase.__doc__


class AsyncClaude(ClaudeBase, AsyncAdapter):
    __doc__ = ClaudeBase.__doc__


class AsyncOllama(OllamaBase, AsyncAdapter):
    __doc__ = OllamaBase.__doc__


class AsyncOpenRouter(OpenRouterBase, AsyncAdapter):
    __doc__ = OpenRouterBase.__doc__


class AsyncLlamaCpp(LlamaCppBase, AsyncAdapter):
    __doc__ = LlamaCppBase.__doc__


class AsyncLlamaCppProcess(LlamaCppProcessBase, AsyncAdapter):
    __doc__ = LlamaCppProcessBase.__doc__

    @staticmethod
    def _over_pipes(binary: str, **options: Any) -> Programs:
        return AsyncProcessTransport(binary, **options)

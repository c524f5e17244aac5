"""The adapters that are ready to use on asyncio; arguments, keys and addresses are those of the ones for threads."""

from __future__ import annotations

from .async_adapter import AsyncAdapter
from .llama_server import LlamaCppBase
from .ready import ClaudeBase, OllamaBase, OpenAIBase, OpenRouterBase

__all__ = ["AsyncClaude", "AsyncLlamaCpp", "AsyncOllama", "AsyncOpenAI", "AsyncOpenRouter"]


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

"""How to speak to one provider: codecs, transports, and the two joined as adapters.

Names are handed on when they are first used, so that importing this package loads no HTTP library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..pipeline.lazy import handing_on

if TYPE_CHECKING:
    from .adapter import Adapter, Transport
    from .async_adapter import AsyncAdapter, AsyncTransport
    from .async_http import AsyncHttpTransport
    from .async_ready import AsyncClaude, AsyncLlamaCpp, AsyncLlamaCppProcess, AsyncOllama, AsyncOpenAI, AsyncOpenRouter
    from .claude import ClaudeCodec
    from .codec import Codec, HttpCall, HttpCodec, StreamDecoder
    from .endpoints import Model
    from .http import HttpTransport
    from .llama_cpp import LlamaCppCodec
    from .llama_program import LlamaCppProcess
    from .llama_server import LlamaCpp
    from .ollama import OllamaCodec
    from .openai import OpenAICodec
    from .openrouter import OpenRouterCodec
    from .params import Schema
    from .probing import Probe
    from .ready import Claude, Ollama, OpenAI, OpenRouter
    from .rule import Rule

_HOMES = {
    "Adapter": "adapter",
    "AsyncAdapter": "async_adapter",
    "AsyncClaude": "async_ready",
    "AsyncHttpTransport": "async_http",
    "AsyncLlamaCpp": "async_ready",
    "AsyncLlamaCppProcess": "async_ready",
    "AsyncOllama": "async_ready",
    "AsyncOpenAI": "async_ready",
    "AsyncOpenRouter": "async_ready",
    "AsyncTransport": "async_adapter",
    "Claude": "ready",
    "ClaudeCodec": "claude",
    "Codec": "codec",
    "HttpCall": "codec",
    "HttpCodec": "codec",
    "HttpTransport": "http",
    "LlamaCpp": "llama_server",
    "LlamaCppCodec": "llama_cpp",
    "LlamaCppProcess": "llama_program",
    "Model": "endpoints",
    "Ollama": "ready",
    "OllamaCodec": "ollama",
    "OpenAI": "ready",
    "OpenAICodec": "openai",
    "OpenRouter": "ready",
    "OpenRouterCodec": "openrouter",
    "Probe": "probing",
    "Rule": "rule",
    "Schema": "params",
    "StreamDecoder": "codec",
    "Transport": "adapter",
}

__all__ = [
    "Adapter",
    "AsyncAdapter",
    "AsyncClaude",
    "AsyncHttpTransport",
    "AsyncLlamaCpp",
    "AsyncLlamaCppProcess",
    "AsyncOllama",
    "AsyncOpenAI",
    "AsyncOpenRouter",
    "AsyncTransport",
    "Claude",
    "ClaudeCodec",
    "Codec",
    "HttpCall",
    "HttpCodec",
    "HttpTransport",
    "LlamaCpp",
    "LlamaCppCodec",
    "LlamaCppProcess",
    "Model",
    "Ollama",
    "OllamaCodec",
    "OpenAI",
    "OpenAICodec",
    "OpenRouter",
    "OpenRouterCodec",
    "Probe",
    "Rule",
    "Schema",
    "StreamDecoder",
    "Transport",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = handing_on(__name__, _HOMES)

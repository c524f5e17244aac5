"""How to speak to one provider: codecs, transports, and the two joined as adapters.

Names are handed on when they are first used, so that importing this package loads no HTTP library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..pipeline.lazy import handing_on

if TYPE_CHECKING:
    from .adapter import Adapter
    from .claude import ClaudeCodec
    from .codec import Codec, HttpCall, StreamDecoder
    from .http import HttpTransport, Transport
    from .ollama import OllamaCodec
    from .openai import OpenAICodec
    from .params import Schema
    from .ready import Claude, Ollama, OpenAI

_HOMES = {
    "Adapter": "adapter",
    "Claude": "ready",
    "ClaudeCodec": "claude",
    "Codec": "codec",
    "HttpCall": "codec",
    "HttpTransport": "http",
    "Ollama": "ready",
    "OllamaCodec": "ollama",
    "OpenAI": "ready",
    "OpenAICodec": "openai",
    "Schema": "params",
    "StreamDecoder": "codec",
    "Transport": "http",
}

__all__ = [
    "Adapter",
    "Claude",
    "ClaudeCodec",
    "Codec",
    "HttpCall",
    "HttpTransport",
    "Ollama",
    "OllamaCodec",
    "OpenAI",
    "OpenAICodec",
    "Schema",
    "StreamDecoder",
    "Transport",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = handing_on(__name__, _HOMES)

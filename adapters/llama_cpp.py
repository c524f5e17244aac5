"""llama.cpp's server: the chat completions protocol with the samplers of llama.cpp.

Protocol: the README of llama.cpp's server and its answers. An unknown parameter is ignored by the server, and a value
out of range is clamped without a word, which is why the schema is strict.
"""

from __future__ import annotations

from .openai import OpenAICodec
from .schemas import LLAMA_CPP

__all__ = ["LlamaCppCodec"]


class LlamaCppCodec(OpenAICodec):
    """Chat completions as llama.cpp's server has them."""

    path = "/v1/chat/completions"

    def __init__(self) -> None:
        super().__init__(LLAMA_CPP, "llama_cpp", "llama.cpp")

"""OpenAI's client as a route: OpenAI, AzureOpenAI, and whoever speaks like it behind another address."""

from __future__ import annotations

from typing import Any

from ..codec import HttpCodec
from ..llama_cpp import LlamaCppCodec
from ..openai import OpenAICodec
from ..openrouter import OpenRouterCodec
from ..schemas import OPENAI, OPENAI_COMPATIBLE
from .speech import EVENT, Speech, names_of

__all__ = ["speech"]


def speech(client: Any, provider: str, compatible: bool) -> Speech:
    """How to speak to this client.

    Args:
        client: the copy that is called.
        provider: whose parameters and errors they are: "openrouter" and "llama_cpp" have their own.
        compatible: whether parameters that OpenAI does not have are let through.
    """
    create = client.chat.completions.create
    return Speech(_codec(provider, compatible), create, names_of(create), "extra_body", EVENT)


def _codec(provider: str, compatible: bool) -> HttpCodec:
    if provider == "openrouter":
        return OpenRouterCodec()
    if provider == "llama_cpp":
        return LlamaCppCodec()
    return OpenAICodec(OPENAI_COMPATIBLE if compatible else OPENAI, provider)

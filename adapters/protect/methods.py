"""The methods that are protected, by the path that they send to; what else a client does passes by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from ...pipeline import Reply
from ..claude import ClaudeCodec
from ..clients.speech import EVENT
from ..codec import HttpCodec
from ..ollama import OllamaCodec
from ..openai import OpenAICodec
from ..schemas import OPENAI_COMPATIBLE
from .asked import Asked, asked_of_claude, asked_of_ollama, asked_of_openai, described
from .read import ReadEvent, chat_events, generate_events, generated, responded, response_events
from .written import ClaudeWriter, OllamaWriter, OpenAIWriter, Writer

__all__ = ["PROVIDERS", "Method", "methods_of"]

PROVIDERS: Mapping[str, str] = {"openai": "openai", "anthropic": "claude", "ollama": "ollama"}
"""Whose protocol a client speaks, by its library."""


@dataclass(frozen=True)
class Method:
    """One protected method.

    Args:
        name: what the client calls it.
        ask: says its arguments in the words of a Request.
        reply: reads a whole answer.
        reader: makes what reads a stream.
        writer: writes replies of other routes in its own protocol; None if no other protocol has the like.
        codec: says a Request that a layer or a route has changed; None if there is none.
    """

    name: str
    ask: Callable[[Mapping[str, Any]], Asked]
    reply: Callable[[bytes], Reply]
    reader: Callable[[], ReadEvent]
    writer: type[Writer] | None = None
    codec: HttpCodec | None = None


def _chat(
    name: str,
    codec: HttpCodec,
    ask: Callable[[Mapping[str, Any]], Asked],
    writer: type[Writer],
    frame: tuple[bytes, bytes] = EVENT,
) -> Method:
    reader = chat_events(codec, *frame)
    return Method(name, ask, lambda data: codec.decode(200, {}, data), reader, writer, codec)


@cache
def methods_of(family: str) -> Mapping[str, Method]:
    """The protected methods of a library's clients, by path.

    Args:
        family: "openai", "anthropic" or "ollama".
    """
    if family == "openai":
        codec = OpenAICodec(OPENAI_COMPATIBLE)  # the client takes anything, and many servers speak its protocol
        return {
            "/chat/completions": _chat("chat.completions.create", codec, asked_of_openai, OpenAIWriter),
            "/responses": Method("responses.create", described, responded, response_events),
        }
    if family == "anthropic":
        messages = _chat("messages.create", ClaudeCodec(), asked_of_claude, ClaudeWriter)
        return {"/v1/messages": messages, "/v1/messages?beta=true": messages}
    ollama = OllamaCodec()
    return {
        "/api/chat": _chat("chat", ollama, asked_of_ollama, OllamaWriter, (b"", b"\n")),
        "/api/generate": Method("generate", described, generated(ollama), generate_events(ollama)),
    }

"""Ollama's client as a route.

Its own types leave out what they do not know (`truncate`, the ids of tool calls, most of a tool's JSON schema), and
refuse what the server would take. So the body that the codec has written is put in at the seam, and the client's
method sees no more of it than it needs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..ollama import OllamaCodec
from .speech import LINE, Speech, names_of

__all__ = ["speech"]


def speech(client: Any) -> Speech:
    """How to speak to this client, the copy that is called."""

    def create(model: str, messages: Sequence[Mapping[str, Any]], stream: bool) -> Any:
        said = [{"role": message["role"], "content": message["content"]} for message in messages]
        return client.chat(model=model, messages=said, stream=stream)

    return Speech(OllamaCodec(), create, names_of(create), "", LINE)

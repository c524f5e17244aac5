"""Anthropic's client as a route: Anthropic, and its forms for Bedrock, Vertex and Foundry."""

from __future__ import annotations

from typing import Any

from ..claude import ClaudeCodec
from .speech import EVENT, Speech, names_of

__all__ = ["speech"]

_VERSION = "2023-06-01"


def speech(client: Any, max_tokens: int) -> Speech:
    """How to speak to this client.

    Args:
        client: the copy that is called; the version in its headers says which parameters there are.
        max_tokens: what is sent if the caller sets none, because the protocol requires it.
    """
    version = {str(name).lower(): str(value) for name, value in client.default_headers.items()}
    codec = ClaudeCodec(version=version.get("anthropic-version", _VERSION), max_tokens=max_tokens)
    create = client.messages.create
    return Speech(codec, create, names_of(create), "extra_body", EVENT)

"""The stacks that are measured, one file each; a worker process imports the one that it runs."""

from __future__ import annotations

from importlib import import_module

from .peer import Peer

__all__ = ["PEERS", "peer_named"]

# name -> (module, class, title)
PEERS: dict[str, tuple[str, str, str]] = {
    "requests": ("raw", "Requests", "raw requests"),
    "urllib3": ("raw", "Urllib3", "raw urllib3"),
    "mainstay": ("ours", "Mainstay", "mainstay"),
    "mainstay-recording": ("ours", "Recording", "mainstay, recording"),
    "mainstay-careful": ("ours", "Careful", "mainstay, with all that it has"),
    "naive": ("naive", "Naive", "tenacity + pybreaker"),
    "openai": ("sdks", "OpenAI", "openai SDK"),
    "anthropic": ("sdks", "Anthropic", "anthropic SDK"),
    "langchain": ("langchain", "LangChain", "LangChain with_fallbacks"),
    "pydantic-ai": ("pydantic", "PydanticAI", "pydantic-ai FallbackModel"),
    "litellm": ("lite", "LiteLLM", "litellm"),
    "litellm-router": ("lite", "Router", "litellm Router"),
}


def peer_named(name: str) -> type[Peer]:
    """The class of that name, imported with all that it needs."""
    module, attribute, _ = PEERS[name]
    found: type[Peer] = getattr(import_module(f"{__name__}.{module}"), attribute)
    return found

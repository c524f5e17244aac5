"""Which providers are at hand: keys in the environment, an Ollama that answers, an OpenAI-compatible server.

For the command line. An application says what it wants with `create_provider`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from .provider import Provider
from .registry import create_provider

__all__ = ["compatible", "discover", "sandboxed", "served_models"]

# What is asked for where the user names no model: small, cheap, and there for every key.
_MODELS: Mapping[str, str] = {"openai": "gpt-4o-mini", "claude": "claude-haiku-4-5"}
_KEYS: Mapping[str, tuple[str, ...]] = {
    "openai": ("OPENAI_API_KEY",),
    "claude": ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"),
}
# Whose models are called so.
_FAMILIES: Mapping[str, tuple[str, ...]] = {"openai": ("gpt-", "chatgpt-", "o1", "o3", "o4"), "claude": ("claude-",)}
# A local server answers in milliseconds or is not there.
_GLANCE = 0.5


def discover(model: str | None = None, only: str | None = None) -> list[Provider]:
    """The providers that can be used right now, in order of preference.

    Args:
        model: the model wanted; its provider goes first, the others keep a model of their own.
        only: the kind of provider to use, or None for all.
    """
    found: list[Provider] = []
    for kind, names in _KEYS.items():
        if only in (None, kind) and any(os.environ.get(name) for name in names):
            found.append(create_provider(kind, {"model": _MODELS[kind]}))
    if only in (None, "ollama"):
        found += _ollama(model)
    if model is None or not found:
        return found
    families = _FAMILIES.items()
    owner = next((kind for kind, starts in families if model.startswith(starts)), found[0].name)
    first = next((provider for provider in found if provider.name == owner), found[0])
    chosen = Provider(first.name, first.adapter, model=model)
    return [chosen, *(provider for provider in found if provider is not first)]


def compatible(base_url: str, model: str | None = None, key: str | None = None) -> Provider:
    """An OpenAI-compatible server as a provider; its first model unless one is named.

    Args:
        base_url: with the version in its path, such as `http://127.0.0.1:8080/v1`.
        model: the model to ask for.
        key: the server's own key. OpenAI's, in OPENAI_API_KEY, is not for others and is never sent there.

    Raises:
        ValueError: if no model is named and the server lists none.
    """
    if model is None:
        listed = served_models(f"{base_url.rstrip('/')}/models", "data", "id", key)
        if not listed:
            raise ValueError(f"{base_url} lists no models: name one with --model")
        model = listed[0]
    settings: dict[str, Any] = {"base_url": base_url, "compatible": True, "api_key": key, "model": model}
    return create_provider("openai", settings, name="server")


def sandboxed() -> tuple[Provider, Any]:
    """A provider that is a sandbox in this process, and the sandbox, which is to be closed."""
    from ..adapters.sandbox import Sandbox

    server = Sandbox("openai")
    provider = create_provider("openai", {"base_url": server.url, "api_key": "sandbox", "model": "sandbox"})
    return provider, server


def _ollama(model: str | None) -> list[Provider]:
    provider = create_provider("ollama", {})
    models = served_models(f"{provider.adapter.transport.base_url}/api/tags", "models", "name")
    if not models:
        provider.close()
        return []
    chosen = model if model in models else models[0]
    return [Provider("ollama", provider.adapter, model=chosen)]


def served_models(url: str, field: str, name: str, key: str | None = None) -> list[str]:
    """The models that a server lists, or none if it does not answer at once.

    Args:
        url: of the list.
        field: of the answer that holds the list.
        name: of an entry's field that holds the name.
        key: the server's key, if it needs one.
    """
    import requests

    headers = {"Authorization": f"Bearer {key}"} if key else None
    try:
        answer = requests.get(url, timeout=_GLANCE, headers=headers).json()
        return [str(entry[name]) for entry in answer[field]]
    except (requests.RequestException, ValueError, KeyError, TypeError):
        return []  # not there, or not what it was taken for: both mean that it cannot be used

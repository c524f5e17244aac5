"""Which providers are at hand: keys in the environment, local servers that answer, an OpenAI-compatible server.

For the command line. An application says what it wants with `create_provider`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ..adapters import sockets  # noqa: F401 - the HTTP library takes as long to load as a local server has to answer
from ..pipeline import ProviderError
from .provider import Provider
from .registry import create_provider

__all__ = ["GLANCE", "KINDS", "LOCAL", "compatible", "discover", "has_key", "sandboxed", "settings_of"]

# What is asked for where the user names no model: small, cheap, and there for every key.
_MODELS: Mapping[str, str] = {
    "openai": "gpt-4o-mini",
    "claude": "claude-haiku-4-5",
    "openrouter": "openai/gpt-4o-mini",
}
_KEYS: Mapping[str, tuple[str, ...]] = {
    "openai": ("OPENAI_API_KEY",),
    "claude": ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"),
    "openrouter": ("OPENROUTER_API_KEY",),
    "ollama": ("OLLAMA_API_KEY",),
    "llama_cpp": ("LLAMA_API_KEY",),
}
# Whose models are called so. (gpt-oss is an open model, which OpenAI does not serve.)
_FAMILIES: Mapping[str, tuple[str, ...]] = {
    "openai": ("gpt-3", "gpt-4", "gpt-5", "gpt-6", "chatgpt-", "o1", "o3", "o4"),
    "claude": ("claude-",),
}
KINDS = tuple(_KEYS)
"""What is looked for, in order of preference."""
LOCAL = ("ollama", "llama_cpp")
"""Servers that are there without a key, if they answer."""

# A local server answers in milliseconds or is not there; one that the user names may take its time.
GLANCE = 0.5
"""Seconds that a local server has to answer, if nobody named it."""
_PATIENCE = 10.0


def discover(model: str | None = None, only: str | None = None) -> list[Provider]:
    """The providers that can be used right now, in order of preference.

    Args:
        model: the model wanted; the provider whose model it is goes first, the others keep one of their own.
        only: the kind of provider to use, or None for all.

    Raises:
        ValueError: if the address of a local server is none.
        ProviderError: if the local server in `only` answers, but refuses to tell its models.
    """
    found: dict[str, Provider] = {}
    owner = ""
    for kind in [only] if only else _KEYS:
        if kind in LOCAL:
            local, served = _local(kind, model, named=only is not None)
            if local is not None:
                found[kind] = local
                owner = owner or (kind if served else "")
        elif has_key(kind):
            found[kind] = create_provider(kind, {**settings_of(kind), "model": _MODELS[kind]})
    if model is None or not found:
        return list(found.values())
    first = found.get(owner or _family(model)) or next(iter(found.values()))
    chosen = Provider(first.name, first.adapter, model=first.route.model if owner else model)
    return [chosen, *(provider for provider in found.values() if provider is not first)]


def has_key(kind: str) -> bool:
    """Whether the environment has a key for that kind of provider."""
    return any(os.environ.get(name) for name in _KEYS[kind])


def settings_of(kind: str) -> dict[str, Any]:
    """What `create_provider` has to be told about that kind of provider on this machine."""
    # llama.cpp's server reads its port from this variable, and no client of it has one of its own.
    port = os.environ.get("LLAMA_ARG_PORT")
    return {"base_url": f"http://127.0.0.1:{port}"} if kind == "llama_cpp" and port else {}


def compatible(base_url: str, model: str | None = None, key: str | None = None) -> Provider:
    """An OpenAI-compatible server as a provider; its first model unless one is named.

    Args:
        base_url: with the version in its path, such as `http://127.0.0.1:8080/v1`.
        model: the model to ask for.
        key: the server's own key. OpenAI's, in OPENAI_API_KEY, is not for others and is never sent there.

    Raises:
        ValueError: if the URL is none, or no model is named and the server lists none.
        ProviderError: if the server cannot be asked for its models.
    """
    with create_provider("openai_compatible", {"base_url": base_url, "api_key": key}) as provider:
        if model is None:
            models = provider.models(_PATIENCE)
            if not models:
                raise ValueError(f"{base_url} lists no models: name one with --model")
            model = models[0].id
    return Provider("server", provider.adapter, model=model)


def sandboxed(model: str | None = None) -> tuple[Provider, Any]:
    """A provider that is a sandbox in this process, and the sandbox, which is to be closed."""
    from ..adapters.sandbox import Sandbox

    server = Sandbox("openai")
    settings = {"base_url": server.url, "api_key": "sandbox", "model": model or "sandbox"}
    return create_provider("openai", settings, name="sandbox"), server


def _local(kind: str, model: str | None, *, named: bool) -> tuple[Provider | None, bool]:
    """A local server that answers and has a model, and whether it has the one that is wanted."""
    with create_provider(kind, settings_of(kind)) as provider:
        try:
            models = [model.id for model in provider.models(GLANCE)]
        except ProviderError as error:
            if named and error.status is not None:
                raise
            models = []  # nobody asked for it by name, or it is simply not there
    if not models:
        return None, False
    # Ollama's own rule: a name without a tag means the one tagged "latest".
    wanted = next((name for name in models if model is not None and name in (model, f"{model}:latest")), None)
    return Provider(kind, provider.adapter, model=wanted or models[0]), wanted is not None


def _family(model: str) -> str:
    # OpenRouter's names begin with that of an author: "openai/gpt-4o".
    owner = "openrouter" if "/" in model else ""
    return next((kind for kind, starts in _FAMILIES.items() if model.startswith(starts)), owner)

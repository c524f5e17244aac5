"""Which providers are at hand: keys in the environment, an Ollama that answers, an OpenAI-compatible server.

For the command line. An application says what it wants with `create_provider`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

import msgspec

from ..adapters.classify import classify_response
from ..adapters.codec import HttpCall
from ..adapters.http import HttpTransport
from ..pipeline import ProviderError, Secret, Unavailable
from .provider import Provider
from .registry import create_provider

__all__ = ["compatible", "discover", "sandboxed", "served_models"]

# What is asked for where the user names no model: small, cheap, and there for every key.
_MODELS: Mapping[str, str] = {"openai": "gpt-4o-mini", "claude": "claude-haiku-4-5"}
_KEYS: Mapping[str, tuple[str, ...]] = {
    "openai": ("OPENAI_API_KEY",),
    "claude": ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"),
}
# Whose models are called so. (gpt-oss is an open model, which OpenAI does not serve.)
_FAMILIES: Mapping[str, tuple[str, ...]] = {
    "openai": ("gpt-3", "gpt-4", "gpt-5", "gpt-6", "chatgpt-", "o1", "o3", "o4"),
    "claude": ("claude-",),
}
# A local server answers in milliseconds or is not there; one that the user names may take its time.
_GLANCE = 0.5
_PATIENCE = 10.0


def discover(model: str | None = None, only: str | None = None) -> list[Provider]:
    """The providers that can be used right now, in order of preference.

    Args:
        model: the model wanted; the provider whose model it is goes first, the others keep one of their own.
        only: the kind of provider to use, or None for all.
    """
    found: dict[str, Provider] = {}
    for kind, variables in _KEYS.items():
        if only in (None, kind) and any(os.environ.get(name) for name in variables):
            found[kind] = create_provider(kind, {"model": _MODELS[kind]})
    local, served = _ollama(model) if only in (None, "ollama") else (None, False)
    if local is not None:
        found["ollama"] = local
    if model is None or not found:
        return list(found.values())
    owner = "ollama" if served else _family(model)
    first = found.get(owner) or next(iter(found.values()))
    chosen = Provider(first.name, first.adapter, model=first.route.model if served else model)
    return [chosen, *(provider for provider in found.values() if provider is not first)]


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
    if model is None:
        models = served_models(base_url, "/models", "data", "id", key=key, patience=_PATIENCE)
        if not models:
            raise ValueError(f"{base_url} lists no models: name one with --model")
        model = models[0]
    settings: dict[str, Any] = {"base_url": base_url, "compatible": True, "api_key": key, "model": model}
    return create_provider("openai", settings, name="server")


def sandboxed(model: str | None = None) -> tuple[Provider, Any]:
    """A provider that is a sandbox in this process, and the sandbox, which is to be closed."""
    from ..adapters.sandbox import Sandbox

    server = Sandbox("openai")
    settings = {"base_url": server.url, "api_key": "sandbox", "model": model or "sandbox"}
    return create_provider("openai", settings, name="sandbox"), server


def served_models(
    base_url: str, path: str, field: str, name: str, *, key: str | None = None, patience: float = _GLANCE
) -> list[str]:
    """The models that a server lists.

    Args:
        base_url: of the server.
        path: of the list.
        field: of the answer that holds the list.
        name: of an entry's field that holds the name.
        key: the server's key, if it needs one.
        patience: seconds that the answer may take.

    Raises:
        ValueError: if the URL is none.
        ProviderError: if the server does not answer, or refuses to.
    """
    # The adapters' own transport: no netrc, no redirect, and errors that say what happened.
    headers = {"Authorization": Secret(f"Bearer {key}")} if key else {}
    transport = HttpTransport(base_url, provider="server", headers=headers)
    until = time.monotonic() + patience
    try:
        call = HttpCall(path, {"Accept": "application/json"}, b"", method="GET")
        incoming = transport.send(call, connect=min(patience, 5.0), until=until, now=time.monotonic)
        try:
            body = incoming.read_all(until)
        finally:
            incoming.close()
    finally:
        transport.close()
    if incoming.status != 200:
        raise classify_response("server", incoming.status, incoming.headers, body) or Unavailable(
            status=incoming.status, provider="server"
        )
    try:
        return [str(entry[name]) for entry in msgspec.json.decode(body)[field]]
    except (msgspec.DecodeError, KeyError, TypeError) as error:
        raise Unavailable("this is no list of models", provider="server", reason="malformed_response") from error


def _ollama(model: str | None) -> tuple[Provider | None, bool]:
    """An Ollama that answers and has a model, and whether it has the one that is wanted."""
    provider = create_provider("ollama", {})
    try:
        models = served_models(provider.adapter.transport.base_url, "/api/tags", "models", "name")
    except ProviderError:
        models = []  # nobody asked for it by name, so it is simply not there
    if not models:
        provider.close()
        return None, False
    # Ollama's own rule: a name without a tag means the one tagged "latest".
    wanted = next((name for name in models if model is not None and name in (model, f"{model}:latest")), None)
    return Provider("ollama", provider.adapter, model=wanted or models[0]), wanted is not None


def _family(model: str) -> str:
    return next((kind for kind, starts in _FAMILIES.items() if model.startswith(starts)), "")

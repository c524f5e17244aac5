"""create_provider: from a name and some settings to a provider that can be asked."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping
from typing import Any, NamedTuple, Unpack

from .front import FrontOptions
from .provider import AsyncProvider, Provider

__all__ = ["KINDS", "create_async_provider", "create_provider"]

# The kinds of provider, each with the adapter that speaks to it; loaded when it is first asked for.
KINDS: Mapping[str, str] = {
    "openai": "OpenAI",
    "openai_compatible": "OpenAI",
    "claude": "Claude",
    "anthropic": "Claude",
    "openrouter": "OpenRouter",
    "ollama": "Ollama",
    "llama_cpp": "LlamaCpp",
    "llama_cpp_process": "LlamaCppProcess",
}

# What makes a kind out of an adapter that serves several.
_PRESET: Mapping[str, Mapping[str, Any]] = {"openai_compatible": {"compatible": True}}

# What is the route's affair, and not the adapter's.
_ROUTE = ("model", "models", "params", "drop", "rename", "window", "lacks", "continues")


def create_provider(
    kind: str, config: Mapping[str, Any] | None = None, *, name: str | None = None, **options: Unpack[FrontOptions]
) -> Provider:
    """Makes a provider with the standard layers in front.

        provider = create_provider("openai", {"api_key": "..."})
        reply = provider.execute("gpt-4o", "Why is the sky blue?", parameters={"temperature": 0.2})

    Args:
        kind: "openai"; "openai_compatible", a server that speaks like it, at a `base_url` of its own; "claude" (or
            "anthropic"); "openrouter"; "ollama"; "llama_cpp", llama.cpp's server; or "llama_cpp_process", its program,
            run on this machine.
        config: options of the adapter (`api_key`, `base_url`, `timeouts`, ...) and of the route (`model`,
            `models`, `params`, `drop`, `rename`, `window`, `lacks`, `continues`). Keys that are missing come from
            the environment variables of the official SDKs.
        name: what errors and status call it; the kind unless given.
        options: as for `Front` (layers, clock, observers, health).

    Raises:
        ValueError: if the kind or an option is unknown.
        AuthenticationFailed: if a key is needed and there is none.
    """
    made = _made(kind, config, "")
    return Provider(name or kind, made.adapter, **made.route, **options)


def create_async_provider(
    kind: str, config: Mapping[str, Any] | None = None, *, name: str | None = None, **options: Unpack[FrontOptions]
) -> AsyncProvider:
    """Makes a provider for asyncio; arguments and errors are those of `create_provider`.

    provider = create_async_provider("openai", {"api_key": "..."})
    reply = await provider.execute("gpt-4o", "Why is the sky blue?")
    """
    made = _made(kind, config, "Async")
    return AsyncProvider(name or kind, made.adapter, **made.route, **options)


class _Made(NamedTuple):
    """An adapter, and what the route says."""

    adapter: Any
    route: dict[str, Any]


def _made(kind: str, config: Mapping[str, Any] | None, world: str) -> _Made:
    from .. import adapters

    if kind not in KINDS:
        raise ValueError(f"unknown provider {kind!r}{_near(kind, KINDS)}: there is {', '.join(KINDS)}")
    adapter_class = getattr(adapters, world + KINDS[kind])
    settings = {**_PRESET.get(kind, {}), **(config or {})}
    route = {key: settings.pop(key) for key in _ROUTE if key in settings}
    known = [key for key in inspect.signature(adapter_class).parameters if key != "model"]
    for key in settings:
        if key not in known:
            allowed = [*known, *_ROUTE]
            raise ValueError(f"{kind} has no option {key!r}{_near(key, allowed)}: there is {', '.join(allowed)}")
    return _Made(adapter_class(model=route.get("model"), **settings), route)


def _near(word: str, known: Any) -> str:
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.7)
    return f" (did you mean {near[0]!r}?)" if near else ""

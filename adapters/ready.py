"""The adapters that are ready to use, with keys and addresses from where the official clients have them.

What prepares codec, address and headers is the same in both worlds: `async_ready` joins it with asyncio.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..pipeline import Secret, Timeouts
from .adapter import Adapter, Joined, Transport
from .claude import ClaudeCodec
from .codec import HttpCall
from .environment import base_url_of, bearer, key_of, ollama_host
from .ollama import OllamaCodec
from .openai import OpenAICodec
from .openrouter import OpenRouterCodec
from .rule import Rule, checked
from .schemas import OPENAI, OPENAI_COMPATIBLE

if TYPE_CHECKING:
    import requests

    from .async_adapter import AsyncTransport

__all__ = [
    "Claude",
    "ClaudeBase",
    "Ollama",
    "OllamaBase",
    "OpenAI",
    "OpenAIBase",
    "OpenRouter",
    "OpenRouterBase",
]


class OpenAIBase(Joined):
    """OpenAI chat completions, or a server that speaks like it.

    Args:
        api_key: the key; None reads OPENAI_API_KEY.
        base_url: with the version in its path, and a query if every request needs it (`?api-version=...`); None
            reads OPENAI_BASE_URL, else `https://api.openai.com/v1`.
        model: the model for callers that name none.
        organization, project: None reads OPENAI_ORG_ID and OPENAI_PROJECT_ID.
        timeouts: the four clocks.
        compatible: True for a server of somebody else that speaks the protocol: it needs no key, gets none but
            `api_key` if `base_url` is given, and may take parameters that OpenAI does not have.
        provider: the name in replies and errors, and whose errors they are read as; "openai", or for a compatible
            server "openai-compatible", unless something like "openrouter" is given.
        headers: further headers for every request; what holds a key as Secret.
        rules: what errors mean in your eyes, such as those of a gateway in between; they go before the adapter's own.
        pool: connections kept open.
        session: a `requests.Session` to send through; only in threads.
        transport: in place of HTTP; the arguments about HTTP are then not used.

    Raises:
        AuthenticationFailed: if there is no key, or it cannot be a key.
        ValueError: if the URL is none.
    """

    def __init__(
        self,
        api_key: str | Secret | None = None,
        *,
        base_url: str | None = None,
        model: str | None = None,
        organization: str | None = None,
        project: str | None = None,
        timeouts: Timeouts | None = None,
        compatible: bool = False,
        provider: str | None = None,
        headers: Mapping[str, str | Secret] | None = None,
        rules: Sequence[Rule] = (),
        pool: int = 64,
        session: requests.Session | None = None,
        transport: Transport[HttpCall] | AsyncTransport[HttpCall] | None = None,
    ) -> None:
        provider = provider or ("openai-compatible" if compatible else "openai")
        foreign = compatible and base_url is not None  # OpenAI's own key is not for others
        own = () if foreign else ("OPENAI_API_KEY",)
        key = key_of(provider, api_key, own, required=not compatible and transport is None)
        url = base_url_of(base_url, "OPENAI_BASE_URL", "https://api.openai.com/v1")
        known: dict[str, str | Secret | None] = {
            "Authorization": bearer(key),
            "OpenAI-Organization": organization or (None if foreign else os.environ.get("OPENAI_ORG_ID")),
            "OpenAI-Project": project or (None if foreign else os.environ.get("OPENAI_PROJECT_ID")),
            **(headers or {}),
        }
        super().__init__(
            OpenAICodec(OPENAI_COMPATIBLE if compatible else OPENAI, provider, rules=checked(rules)),
            transport
            or self._over_http(url, provider=provider, headers=known, secrets=(key,), pool=pool, session=session),
            model=model,
            timeouts=timeouts,
            secrets=(key,),
        )


class ClaudeBase(Joined):
    """Anthropic's Messages API.

    Args:
        api_key: sent as `x-api-key`; None reads ANTHROPIC_API_KEY.
        auth_token: sent as a bearer token in place of a key; None reads ANTHROPIC_AUTH_TOKEN if there is no key.
        base_url: without `/v1`; None reads ANTHROPIC_BASE_URL, else `https://api.anthropic.com`.
        model: the model for callers that name none.
        version: the `anthropic-version`. From 2026-10-21 on the API refuses sampling parameters.
        max_tokens: what is sent if the caller sets none, because the protocol requires it; 1 or more.
        timeouts, provider, headers, rules, pool, session, transport: as for OpenAI.

    Raises:
        AuthenticationFailed: if there is no key, or it cannot be a key.
        ValueError: if the URL is none, or `max_tokens` is less than 1.
    """

    def __init__(
        self,
        api_key: str | Secret | None = None,
        *,
        auth_token: str | Secret | None = None,
        base_url: str | None = None,
        model: str | None = None,
        version: str = "2023-06-01",
        max_tokens: int = 4096,
        timeouts: Timeouts | None = None,
        provider: str = "claude",
        headers: Mapping[str, str | Secret] | None = None,
        rules: Sequence[Rule] = (),
        pool: int = 64,
        session: requests.Session | None = None,
        transport: Transport[HttpCall] | AsyncTransport[HttpCall] | None = None,
    ) -> None:
        # One of the two, never both: some servers refuse a request that carries two keys.
        key = token = Secret("")
        if auth_token is None:
            key = key_of(provider, api_key, ("ANTHROPIC_API_KEY",), required=False)
        if not key:
            names = ("ANTHROPIC_AUTH_TOKEN",) if api_key is None else ()
            token = key_of(provider, auth_token, names, required=False)
        if not key and not token:
            key_of(provider, None, ("ANTHROPIC_API_KEY",), required=transport is None)
        url = base_url_of(base_url, "ANTHROPIC_BASE_URL", "https://api.anthropic.com")
        known: dict[str, str | Secret | None] = {"x-api-key": key, "Authorization": bearer(token), **(headers or {})}
        secrets = (key or token,)
        super().__init__(
            ClaudeCodec(version=version, max_tokens=max_tokens, rules=checked(rules)),
            transport
            or self._over_http(url, provider="claude", headers=known, secrets=secrets, pool=pool, session=session),
            model=model,
            timeouts=timeouts,
            secrets=secrets,
            provider=provider,
        )


class OllamaBase(Joined):
    """Ollama's own API, local or in its cloud.

    A first call may load the model for minutes: give `Timeouts(first_event=300)` or so where that happens.

    Args:
        base_url: None reads OLLAMA_HOST (a host, host:port or URL), else `http://127.0.0.1:11434`.
        api_key: for the cloud; None reads OLLAMA_API_KEY. None is needed locally.
        model: the model for callers that name none.
        timeouts, provider, headers, rules, pool, session, transport: as for OpenAI.

    Raises:
        AuthenticationFailed: if the key cannot be a key.
        ValueError: if the URL is none.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        api_key: str | Secret | None = None,
        model: str | None = None,
        timeouts: Timeouts | None = None,
        provider: str = "ollama",
        headers: Mapping[str, str | Secret] | None = None,
        rules: Sequence[Rule] = (),
        pool: int = 64,
        session: requests.Session | None = None,
        transport: Transport[HttpCall] | AsyncTransport[HttpCall] | None = None,
    ) -> None:
        key = key_of(provider, api_key, ("OLLAMA_API_KEY",), required=False)
        url = ollama_host(base_url or os.environ.get("OLLAMA_HOST"))
        known: dict[str, str | Secret | None] = {"Authorization": bearer(key), **(headers or {})}
        super().__init__(
            OllamaCodec(checked(rules)),
            transport
            or self._over_http(url, provider="ollama", headers=known, secrets=(key,), pool=pool, session=session),
            model=model,
            timeouts=timeouts,
            secrets=(key,),
            provider=provider,
        )


class OpenRouterBase(Joined):
    """OpenRouter: the models of many providers behind one key.

    Args:
        api_key: the key; None reads OPENROUTER_API_KEY.
        base_url: None is `https://openrouter.ai/api/v1`.
        model: the model for callers that name none, such as "anthropic/claude-sonnet-4.5".
        app_url, app_title: what OpenRouter's rankings call the application; None tells nothing.
        timeouts, provider, headers, rules, pool, session, transport: as for OpenAI.

    Raises:
        AuthenticationFailed: if there is no key, or it cannot be a key.
        ValueError: if the URL is none.
    """

    def __init__(
        self,
        api_key: str | Secret | None = None,
        *,
        base_url: str | None = None,
        model: str | None = None,
        app_url: str | None = None,
        app_title: str | None = None,
        timeouts: Timeouts | None = None,
        provider: str = "openrouter",
        headers: Mapping[str, str | Secret] | None = None,
        rules: Sequence[Rule] = (),
        pool: int = 64,
        session: requests.Session | None = None,
        transport: Transport[HttpCall] | AsyncTransport[HttpCall] | None = None,
    ) -> None:
        key = key_of(provider, api_key, ("OPENROUTER_API_KEY",), required=transport is None)
        url = base_url or "https://openrouter.ai/api/v1"
        known: dict[str, str | Secret | None] = {
            "Authorization": bearer(key),
            "HTTP-Referer": app_url,
            "X-OpenRouter-Title": app_title,
            **(headers or {}),
        }
        super().__init__(
            OpenRouterCodec(checked(rules)),
            transport
            or self._over_http(url, provider="openrouter", headers=known, secrets=(key,), pool=pool, session=session),
            model=model,
            timeouts=timeouts,
            secrets=(key,),
            provider=provider,
        )


class OpenAI(OpenAIBase, Adapter):
    __doc__ = OpenAIBase.__doc__


class Claude(ClaudeBase, Adapter):
    __doc__ = ClaudeBase.__doc__


class Ollama(OllamaBase, Adapter):
    __doc__ = OllamaBase.__doc__


class OpenRouter(OpenRouterBase, Adapter):
    __doc__ = OpenRouterBase.__doc__

"""Keys and addresses from the environment, under the names that the official clients read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from urllib.parse import urlsplit

from ..pipeline import AuthenticationFailed, Secret

__all__ = ["base_url_of", "bearer", "key_of", "ollama_host"]

_OLLAMA_PORT = 11434


def key_of(provider: str, given: str | Secret | None, variables: Sequence[str], *, required: bool) -> Secret:
    """The key, given or from the environment.

    Args:
        provider: whose key, for the error.
        given: goes before the environment; None asks the environment.
        variables: names of environment variables, the first that is set wins.
        required: False if the provider can be asked without one.

    Returns:
        The key; an empty Secret if there is none and none is required.

    Raises:
        AuthenticationFailed: with reason "missing_key" or "bad_key"; it never shows the key.
    """
    origin = "api_key"
    if given is None:
        for name in variables:
            if os.environ.get(name):
                given, origin = os.environ[name], name
                break
    key = Secret(given or "")
    if not key:
        if required:
            names = " or ".join(variables)
            raise AuthenticationFailed(
                "no API key", provider=provider, reason="missing_key", hint=f"set {names}, or pass api_key=..."
            )
        return key
    text = key.reveal()
    # Checked here, because libraries further down put the header, key and all, into their exceptions.
    if not text.isascii() or not text.isprintable() or any(map(str.isspace, text)):
        raise AuthenticationFailed(
            f"the API key in {origin} holds a blank, a line end or a character outside ASCII",
            provider=provider,
            reason="bad_key",
            hint=f"check {origin}: often it is a line end behind the key",
        )
    return key


def bearer(key: Secret) -> Secret:
    """The value of an Authorization header with this key; empty if there is none."""
    return Secret(f"Bearer {key.reveal()}" if key else "")


def base_url_of(given: str | None, variable: str, default: str) -> str:
    """The base URL, given or from the environment or the provider's own."""
    return given or os.environ.get(variable) or default


def ollama_host(host: str | None) -> str:
    """The base URL that OLLAMA_HOST means, by the rules of Ollama's own client.

    A bare host or host:port means http and port 11434; a URL without a port means the scheme's own port; no host
    means this machine, and so does 0.0.0.0, which is an address to listen on.
    """
    host = (host or "").strip()
    scheme, separator, rest = host.partition("://")
    if not separator:
        scheme, rest = "http", host
    port = {"http": 80, "https": 443}.get(scheme, _OLLAMA_PORT) if separator else _OLLAMA_PORT
    parts = urlsplit(f"{scheme}://{rest}")
    name = parts.hostname or "127.0.0.1"
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(name, name)  # noqa: S104 - it is replaced, not bound
    if ":" in name:
        name = f"[{name}]"
    return f"{scheme}://{name}:{parts.port or port}{parts.path.rstrip('/')}"

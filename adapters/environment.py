"""Keys and addresses, given or from the environment, under the names that the official clients read."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import SplitResult, quote, urlsplit

from ..pipeline import AuthenticationFailed, Secret

__all__ = ["Address", "address_of", "base_url_of", "bearer", "key_of", "ollama_host"]

_OLLAMA_PORT = 11434
_BLANK = re.compile(r"[\s\x00-\x1f\x7f\\]")
_QUOTED = "%/:=&?~+!$,;'@()*[]"  # what a path or a query may hold as it is


class Address(NamedTuple):
    """Where a provider is.

    Attributes:
        base: scheme, host, port and the part of the path that all requests share, without a slash at its end.
        query: what follows the path of each request, with its question mark; "" if nothing does.
        host, port: where to connect.
    """

    base: str
    query: str
    host: str
    port: int


def address_of(url: str) -> Address:
    """Takes a base URL apart.

    Raises:
        ValueError: if it is none, or holds what a base URL must not. The URL is not quoted: it may hold a key.
    """
    url = url.strip()
    if not url.lower().startswith(("http://", "https://")):
        raise ValueError("base_url must begin with http:// or https://")
    parts = _split(url)
    port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    path = quote(parts.path.rstrip("/"), safe=_QUOTED)
    query = f"?{quote(parts.query, safe=_QUOTED)}" if parts.query else ""
    return Address(f"{parts.scheme}://{parts.netloc}{path}", query, parts.hostname or "", port)


def _split(url: str, *, host: bool = True) -> SplitResult:
    """The parts of a URL; what `urllib` says about a bad one quotes it, and is therefore not passed on."""
    parts = port = None
    with suppress(ValueError):
        parts = urlsplit(url)
        port = parts.port or (0 if parts.netloc.endswith(":0") else 1)
    # A password may hold a slash, a blank or a question mark, which ends the host early: then this is a bad port.
    if parts is not None and ("@" in parts.netloc or (not port and "@" in url)):
        raise ValueError("base_url must not hold a user or a password: give api_key=... or headers=...")
    if not port or parts is None or _BLANK.search(url) or (host and not parts.hostname):
        raise ValueError("base_url has no valid host or port")
    if parts.fragment:
        raise ValueError("base_url must not have a fragment (#...): it would never be sent")
    return parts


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

    Raises:
        ValueError: if it is none; it is not quoted.
    """
    host = (host or "").strip()
    scheme, separator, rest = host.partition("://")
    if not separator:
        scheme, rest = "http", host
    port = {"http": 80, "https": 443}.get(scheme.lower(), _OLLAMA_PORT) if separator else _OLLAMA_PORT
    parts = _split(f"{scheme}://{rest}", host=False)
    name = parts.hostname or "127.0.0.1"
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(name, name)  # noqa: S104 - it is replaced, not bound
    if ":" in name:
        name = f"[{name}]"
    query = f"?{parts.query}" if parts.query else ""
    return f"{scheme}://{name}:{parts.port or port}{parts.path.rstrip('/')}{query}"

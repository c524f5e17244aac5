"""What is known of a wrapped client, whichever world it is for: who it is, where it sends to, what it may not tell."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...pipeline import Problem, Request, Secret, Timeouts
from ..redact import spelled
from .copies import Kind
from .speech import Speech

__all__ = ["Wrapped"]

_KEYS = ("authorization", "x-api-key", "api-key")
_SECRETS = ("api_key", "auth_token", "admin_api_key", "access_token", "aws_secret_key", "aws_session_token")


class Wrapped:
    """What the handlers for threads and for asyncio have in common; `from_client` makes them.

    Attributes:
        codec: the protocol.
        model: the model for callers that name none, or None.
        timeouts: the four clocks.
        provider: the name in replies and errors.
        label: whose protocol it is, for people.
        address: host and port of the provider, for traces.
        speech: how the client is spoken to.
        limits: seconds of the client's own timeout, by the words of httpx, as far as they hold.
        secrets: its keys, which no error may show.
    """

    def __init__(
        self, client: Any, kind: Kind, speech: Speech, model: str | None, timeouts: Timeouts | None, provider: str
    ) -> None:
        self._client = client  # held, so that its connections stay open
        self.speech = speech
        self.codec = speech.codec
        self.model = model
        self.timeouts = timeouts or Timeouts()
        self.limits = _limits_of(client) if timeouts is None else {}
        self.provider = provider
        self.label = speech.codec.label
        self.address = _address_of(client)
        self.secrets = spelled(_secrets_of(client))
        self.__name__ = f"{kind.family}.{type(client).__name__}"  # as `print(stack)` shows it

    def check(self, request: Request) -> tuple[Problem, ...]:
        """Everything that is wrong with the request, found without sending it; empty if it may be sent."""
        return self.codec.check(request)

    def __repr__(self) -> str:
        model = f", model={self.model!r}" if self.model else ""
        return f"<{self.__name__} as a handler, provider={self.provider!r}{model}>"


def _address_of(client: Any) -> tuple[str, int] | None:
    url: Any = (client if hasattr(client, "base_url") else client._client).base_url
    return (url.host, url.port or (443 if url.scheme == "https" else 80)) if url.host else None


def _limits_of(client: Any) -> dict[str, float]:
    """The seconds of a client's own timeout, by the words of httpx; what is not limited is left out."""
    timeout: Any = (client if hasattr(client, "timeout") else client._client).timeout
    names = ("connect", "read", "write", "pool")
    found = {name: timeout if isinstance(timeout, (int, float)) else getattr(timeout, name, None) for name in names}
    return {name: seconds for name, seconds in found.items() if seconds is not None}


def _secrets_of(client: Any) -> Iterator[Secret]:
    """The keys that a client has, by the names that they have in one client or another, and in its headers."""
    headers = client.default_headers if hasattr(client, "default_headers") else client._client.headers
    known = [getattr(client, name, None) for name in _SECRETS]
    known += [value for name, value in headers.items() if str(name).lower() in _KEYS]
    for value in known:
        if isinstance(value, str) and value:
            yield Secret(value)
            yield Secret(value.rpartition(" ")[2])  # without its scheme

"""What a transport over HTTP knows before it sends anything: where to, with which headers, and what not to show."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote

from ..pipeline import AuthenticationFailed, ErrorClass, ProviderError, Secret, TimedOut
from .classify import classify_exception
from .codec import HttpCall
from .environment import address_of
from .incoming import WAITED
from .links import waited
from .redact import TELLING, spelled

__all__ = ["Origin", "Surroundings", "surroundings"]

_SCHEMES = re.compile(r"(?:Bearer|Basic|Token)\s+", re.I)
_SHORTEST = 4  # characters; a shorter secret is none, and starring it out would only make a riddle of every message
_SHORTEST_IN_QUERY = 8  # there, most values are no secrets: `?v=1`


class Origin:
    """What the transports of both worlds have in common; the arguments are those of HttpTransport.

    Attributes:
        base_url: the URL without its query.
        address: host and port.
        secrets: all that no error may show.

    Raises:
        ValueError: if the URL is none, has a user, a password or a fragment, a header cannot be sent, or the pool is
            smaller than 1.
        AuthenticationFailed: with reason "bad_key", if a key cannot be sent.
    """

    def __init__(
        self,
        base_url: str,
        *,
        provider: str = "",
        headers: Mapping[str, str | Secret | None] | None = None,
        secrets: Iterable[Secret] = (),
        pool: int = 64,
    ) -> None:
        self.base_url, self._query, host, port = address_of(base_url)
        self.address = (host, port)
        if pool < 1:
            raise ValueError(f"pool must be 1 or more, not {pool!r}")
        self.provider = provider
        given = {"User-Agent": "mainstay", **(headers or {})}
        self._headers = {name: _sendable(name, value, provider) for name, value in given.items() if value}
        found = [*secrets, *_secrets_in(self._headers), *_values_of(self._query)]
        self.secrets = tuple(dict.fromkeys(secret for secret in found if len(secret.reveal()) >= _SHORTEST))
        self._pool = pool

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_url + ('?***' if self._query else '')!r})"

    def _url(self, call: HttpCall) -> str:
        query = self._query.replace("?", "&", 1) if "?" in call.path else self._query
        return f"{self.base_url}{call.path or '/'}{query}"

    def _revealed(self) -> dict[str, str]:
        """The headers as they are sent, keys and all."""
        return {n: v.reveal() if isinstance(v, Secret) else v for n, v in self._headers.items()}

    def _spelled(self, proxies: Iterable[str]) -> tuple[Secret, ...]:
        """All secrets, those of the proxies too, in every way in which they may be written."""
        return spelled((*self.secrets, *_passwords_in(proxies)))

    def _meaning(self, error: Exception, connecting: bool) -> ProviderError:
        if waited(error):
            return TimedOut(reason=WAITED)
        meant = classify_exception(self.provider, error)
        # A connection that had no more time than the whole has run out of that.
        if meant.error_class is ErrorClass.TIMEOUT and not (connecting and meant.reason == "connect"):
            meant.reason = WAITED
        return meant


class Surroundings(NamedTuple):
    """What the environment says about the way to a provider.

    Attributes:
        proxies: by scheme.
        verify: whether certificates are verified, or the path of those that count.
        cert: the client's own.
    """

    proxies: Mapping[str, str]
    verify: bool | str
    cert: Any


def surroundings(base_url: str, session: Any) -> Surroundings:
    """The environment's word, by the rules of `requests`: HTTPS_PROXY, NO_PROXY, REQUESTS_CA_BUNDLE and the like.

    Looked up for every call, this would cost as much as a quarter of it; none of it changes.
    """
    found = session.merge_environment_settings(base_url, {}, True, None, None)
    return Surroundings(found["proxies"] or {}, found["verify"], found["cert"])


def _secrets_in(headers: Mapping[str, str | Secret]) -> Iterator[Secret]:
    for name, value in headers.items():
        if isinstance(value, Secret) or TELLING.search(name):
            text = value.reveal() if isinstance(value, Secret) else value
            yield Secret(text)
            yield Secret(_SCHEMES.sub("", text, count=1))


def _values_of(query: str) -> Iterator[Secret]:
    pieces = [piece.partition("=")[2] for piece in query[1:].split("&")]
    for value in (*pieces, *(value for _, value in parse_qsl(query[1:]))):
        if len(value) >= _SHORTEST_IN_QUERY:
            yield Secret(value)


def _passwords_in(proxies: Iterable[str]) -> Iterator[Secret]:
    for proxy in proxies:
        user, at, _ = proxy.rpartition("@")
        name, _, password = user.rpartition("//")[2].partition(":")
        if at and len(password) >= _SHORTEST:
            yield Secret(password)
            yield Secret(unquote(password))
            pair = f"{unquote(name)}:{unquote(password)}"
            yield Secret(base64.b64encode(pair.encode("latin-1", "replace")).decode())  # as requests sends it


def _sendable(name: str, value: str | Secret, provider: str) -> str | Secret:
    text = value.reveal() if isinstance(value, Secret) else value
    if text.isascii() and text.isprintable() and text == text.strip():
        return value
    trouble = "a blank at its edge, a line end or a character outside ASCII"
    if isinstance(value, Secret):
        raise AuthenticationFailed(f"the key in the header {name} has {trouble}", provider=provider, reason="bad_key")
    raise ValueError(f"the header {name} has {trouble}")

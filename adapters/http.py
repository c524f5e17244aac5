"""HTTP over `requests`: bytes out, bytes in, under a clock; nothing here knows what they mean.

What `requests` does around a request, and a provider's client must not have, is left out: following redirects (it
would repeat a POST as a GET, and carry `x-api-key` to another host), cookies, and the `.netrc` that replaces an
Authorization header. What users rely on stays: proxies, `NO_PROXY` and CA bundles from the environment, looked up
once instead of for every call, pooled connections, and whatever is mounted on a session that they bring.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ..pipeline import AuthenticationFailed, ErrorClass, ProviderError, Secret, TimedOut, TruncatedStream, Unavailable
from .classify import classify_exception
from .codec import HttpCall

if TYPE_CHECKING:
    import requests

__all__ = ["MAX_BODY", "WAITED", "HttpTransport", "Incoming", "Transport"]

MAX_BODY = 64 * 1024 * 1024
"""The longest body of a complete reply that is accepted, in bytes, after decompression."""

WAITED = "read"
"""The reason of a TimedOut that says: the moment came; only who set the moment knows which clock that is."""

_PIECE = 65536
Now = Callable[[], float]


class Incoming:
    """A response whose headers are here and whose body is arriving.

    One thread reads; any thread may close.

    Attributes:
        status: the HTTP status.
        headers: the headers; names are case-insensitive.
    """

    __slots__ = ("_closed", "_encoded", "_now", "_provider", "_raw", "_reading", "_wire", "headers", "status")

    def __init__(self, response: requests.Response, provider: str, now: Now) -> None:
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers
        self._raw: Any = response.raw
        self._provider = provider
        self._now = now
        # None where a user's own session brings connections of another kind: see _clamp.
        self._wire: Any = getattr(getattr(self._raw, "connection", None), "wire", None)
        self._encoded = "content-encoding" in self.headers
        self._reading = threading.Lock()
        self._closed = False

    def read(self, until: float) -> bytes:
        """The next piece of the body, as soon as there is one.

        Args:
            until: the moment on the clock at which waiting ends.

        Returns:
            At most 128 KiB; b"" at the end of the body, or once it is closed.

        Raises:
            TimedOut: with reason WAITED, if the moment comes first.
            TruncatedStream: if the connection breaks.
            Unavailable: with reason "malformed_response", if the body is not encoded as its headers say.
        """
        try:
            with self._reading:
                if self._closed:
                    return b""
                if self._wire is not None:
                    self._wire.until = until
                else:
                    self._clamp(until)
                data: bytes = self._raw.read1(_PIECE, decode_content=self._encoded)
                if data and self._wire is not None and not self._encoded:
                    data += self._wire.at_hand()
        except Exception as error:
            closed = self._closed
            self.close()
            if closed:  # by another thread, which woke this one
                return b""
            raise self._meaning(error) from error
        if self._closed:
            self._dispose()
            return b""
        return data

    def read_all(self, until: float, limit: int = MAX_BODY) -> bytes:
        """The rest of the body; the connection is free for the next request afterwards.

        Raises:
            ProviderError: as `read`; Unavailable with reason "malformed_response" beyond `limit` bytes.
        """
        pieces: list[bytes] = []
        size = 0
        while piece := self.read(until):
            pieces.append(piece)
            size += len(piece)
            if size > limit:
                self.close()
                raise Unavailable(f"the answer has more than {limit} bytes", reason="malformed_response")
        return b"".join(pieces)

    def close(self) -> None:
        """Ends the response; unless its body was read to the end, closes its connection at once. Can be repeated."""
        self._closed = True
        if self._wire is not None:
            self._wire.wake()
        self._dispose()

    def _dispose(self) -> None:
        # urllib3's own close is not made for two threads: whoever reads does it when it is back.
        if self._reading.acquire(blocking=False):
            try:
                self._raw.close()
            finally:
                self._reading.release()

    def _clamp(self, until: float) -> None:
        left = until - self._now()
        if left <= 0:
            raise TimeoutError("timed out")
        sock = getattr(getattr(self._raw, "connection", None), "sock", None)
        if sock is not None:
            sock.settimeout(min(left, threading.TIMEOUT_MAX))

    def _meaning(self, error: Exception) -> ProviderError:
        meant = classify_exception(self._provider, error)
        if meant.error_class is ErrorClass.TIMEOUT:
            meant.reason = WAITED
        if meant.error_class is ErrorClass.UNAVAILABLE and meant.reason != "malformed_response":
            return TruncatedStream()  # however it broke, it broke in the middle
        return meant


class Transport(Protocol):
    """What moves bytes: see HttpTransport."""

    def send(self, call: HttpCall, *, connect: float, until: float, now: Now) -> Incoming:
        """Sends a request and waits for the status and headers of its response."""

    def close(self) -> None:
        """Frees what it holds."""


class _Opened(NamedTuple):
    """What is looked up once, on first use. Never shown: the headers hold the key."""

    sockets: ModuleType
    session: requests.Session
    settings: dict[str, Any]
    headers: dict[str, str]


def shown_url(url: str) -> str:
    """The URL as it may be shown: without a user and password."""
    return re.sub(r"//[^/@]*@", "//***@", url)


class HttpTransport:
    """Sends to one base URL, over pooled connections. Thread-safe.

    Args:
        base_url: where the provider is, with the part of the path that all requests share.
        provider: whose errors these are, for the classifier.
        headers: sent with every request, unless empty; what holds a key as Secret.
        secrets: the keys themselves, so that no error can show one.
        pool: connections kept open for reuse, 1 or more; more threads than that open further ones.
        session: a `requests.Session` of the caller's, with its adapters, proxies and certificates; it is not
            closed. What it mounts itself is not held to the clock as strictly: a timeout for each receive.

    Raises:
        ValueError: if the URL is none, or a header cannot be sent.
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
        session: requests.Session | None = None,
    ) -> None:
        self.base_url = base_url.strip().rstrip("/")
        if not self.base_url.lower().startswith(("http://", "https://")):
            raise ValueError("base_url must begin with http:// or https://")
        if pool < 1:
            raise ValueError(f"pool must be 1 or more, not {pool!r}")
        self.provider = provider
        given = {"User-Agent": "mainstay", **(headers or {})}
        self._headers = {name: _sendable(name, value, provider) for name, value in given.items() if value}
        self.secrets = tuple(secret for secret in secrets if secret)
        self._pool = pool
        self._session = session
        self._opened: _Opened | None = None
        self._opening = threading.Lock()

    def send(self, call: HttpCall, *, connect: float, until: float, now: Now) -> Incoming:
        """Sends a request and waits for the status and headers of its response.

        Args:
            call: the request.
            connect: seconds that a connection may take, for each address that the name has.
            until: the moment on the clock at which waiting ends, for all of it.
            now: the clock.

        Raises:
            TimedOut: with reason "connect", or WAITED for the rest.
            ProviderError: if the provider cannot be reached.
        """
        opened = self._opened or self._open()
        url = self.base_url + call.path
        headers = {**opened.headers, **call.headers, "Content-Length": str(len(call.body))}
        prepared = opened.sockets.prepared(call.method, url, headers, call.body)
        left = until - now()
        if left <= 0:
            raise TimedOut(reason=WAITED)
        opened.sockets.MOMENT.set(until, now)
        try:
            response = opened.session.get_adapter(url).send(
                prepared, stream=True, timeout=(min(connect, left), left), **opened.settings
            )
        except Exception as error:  # noqa: BLE001 - requests lets urllib3's, ssl's and the system's own through
            raise self._meaning(error, connecting=connect < left) from self._harmless(error)
        return Incoming(response, self.provider, now)

    def close(self) -> None:
        """Closes the idle connections; those in use close when their response ends. It can be used again."""
        with self._opening:
            opened, self._opened = self._opened, None
        if opened is not None and self._session is None:
            opened.session.close()

    def __repr__(self) -> str:
        return f"HttpTransport({shown_url(self.base_url)!r})"

    def _open(self) -> _Opened:
        import requests

        from . import sockets

        with self._opening:
            if self._opened is None:
                session = self._session
                if session is None:
                    session = requests.Session()
                    adapter = sockets.ClockedAdapter(pool_maxsize=self._pool, max_retries=0)
                    session.mount("https://", adapter)
                    session.mount("http://", adapter)
                # Looked up for every call, this would cost as much as a quarter of it; none of it changes.
                found = session.merge_environment_settings(self.base_url, {}, True, None, None)
                self._opened = _Opened(
                    sockets,
                    session,
                    {name: found[name] for name in ("proxies", "verify", "cert")},
                    {n: v.reveal() if isinstance(v, Secret) else v for n, v in self._headers.items()},
                )
            return self._opened

    def _meaning(self, error: Exception, connecting: bool) -> ProviderError:
        meant = classify_exception(self.provider, error)
        # A connection that had no more time than the whole has run out of that.
        if meant.error_class is ErrorClass.TIMEOUT and not (connecting and meant.reason == "connect"):
            meant.reason = WAITED
        return meant

    def _harmless(self, error: Exception) -> Exception | None:
        """The error as a cause: without the request, which has the key in its headers; None if its text has it."""
        if getattr(error, "request", None) is not None:
            error.request = None  # type: ignore[attr-defined]
        text = repr(error)
        return None if any(secret.reveal() in text for secret in self.secrets) else error


def _sendable(name: str, value: str | Secret, provider: str) -> str | Secret:
    text = value.reveal() if isinstance(value, Secret) else value
    if text.isascii() and text.isprintable() and text == text.strip():
        return value
    trouble = "a blank at its edge, a line end or a character outside ASCII"
    if isinstance(value, Secret):
        raise AuthenticationFailed(f"the key in the header {name} has {trouble}", provider=provider, reason="bad_key")
    raise ValueError(f"the header {name} has {trouble}")

"""HTTP over `requests`: bytes out, bytes in, under a clock; nothing here knows what they mean.

What `requests` does around a request, and a provider's client must not have, is left out: following redirects (it
would repeat a POST as a GET, and carry `x-api-key` to another host), cookies, and the `.netrc` that replaces an
Authorization header. What users rely on stays: proxies, `NO_PROXY` and CA bundles from the environment, looked up
once instead of for every call, pooled connections, and whatever is mounted on a session that they bring.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from ..pipeline import Secret, TimedOut
from .codec import HttpCall
from .incoming import MAX_BODY, WAITED, HttpIncoming, Now
from .links import harmless
from .origin import Origin, surroundings

if TYPE_CHECKING:
    import requests

__all__ = ["MAX_BODY", "WAITED", "HttpTransport"]

_MOST_HEADS = 32


class _Opened(NamedTuple):
    """What is looked up once, on first use. Never shown: the headers hold the key.

    Attributes:
        process: whose connections these are. A forked process has copies of its parent's, and would get its answers.
        heads: of requests that were sent, by all that they depend on: see `warm.py`.
    """

    process: int
    sockets: ModuleType
    session: requests.Session
    settings: dict[str, Any]
    headers: dict[str, str]
    secrets: tuple[Secret, ...]
    heads: dict[Any, Any]


_inherited: list[_Opened] = []  # kept for ever: to free it would take locks that a fork may have left taken
_transports: weakref.WeakSet[HttpTransport] = weakref.WeakSet()


def _renew_locks() -> None:
    for transport in list(_transports):
        transport._opening = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)


class HttpTransport(Origin):
    """Sends to one base URL, over pooled connections. Thread-safe; after a fork, each process has its own.

    Resolving the name of a host cannot be interrupted: if that takes longer than the time there is, the error comes
    when the resolver returns.

    Args:
        base_url: where the provider is, with the part of the path that all requests share. A query in it
            (`?api-version=...`) follows the path of every request; its values are never shown.
        provider: whose errors these are, for the classifier.
        headers: sent with every request, unless empty; what holds a key as Secret.
        secrets: the keys themselves, so that no error can show one. What is a Secret in the headers, or by its name
            holds a key, is one of them anyway.
        pool: connections kept open for reuse, 1 or more; more threads than that open further ones.
        session: a `requests.Session` of the caller's, with its adapters, proxies and certificates; it is not
            closed, but in a forked process, whose idle connections are its parent's. What it mounts itself is not
            held to the clock as strictly: a timeout for each receive.

    Attributes:
        base_url: the URL without its query.
        address: host and port.
        secrets: all that no error may show.

    Raises:
        ValueError: if the URL is none, has a user, a password or a fragment, or a header cannot be sent.
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
        super().__init__(base_url, provider=provider, headers=headers, secrets=secrets, pool=pool)
        self._session = session
        self._opened: _Opened | None = None
        self._opening = threading.Lock()
        _transports.add(self)

    def send(self, call: HttpCall, *, connect: float, until: float, now: Now) -> HttpIncoming:
        """Sends a request and waits for the status and headers of its response.

        Args:
            call: the request.
            connect: seconds that a connection may take: all addresses of the name, proxies and TLS.
            until: the moment on the clock at which waiting ends, for all of it.
            now: the clock.

        Raises:
            TimedOut: with reason "connect", or WAITED for the rest.
            ProviderError: if the provider cannot be reached.
        """
        opened = self._opened
        if opened is None or opened.process != os.getpid():
            opened = self._open()
        left = until - now()
        if left <= 0:
            raise TimedOut(reason=WAITED)
        opened.sockets.MOMENT.set(until, connect, now)
        kind = call.method, call.path, *call.headers.items()
        head = opened.heads.get(kind)
        try:
            response = None if head is None else head.send(call.body)
            if response is None:
                response = self._send(opened, call, kind, (min(connect, left), left))
            return HttpIncoming(response, self.provider, now, opened.secrets)
        except Exception as error:  # noqa: BLE001 - requests lets urllib3's, ssl's and the system's own through
            failure = self._meaning(error, connecting=connect < left)
            cause = harmless(error, opened.secrets)
        try:
            raise failure from cause  # out here, so that the original is no context either, unless it is the cause
        finally:
            # The traceback holds this frame, which would hold the key.
            del failure, cause, opened, head

    def _send(
        self, opened: _Opened, call: HttpCall, kind: tuple[Any, ...], timeout: tuple[float, float]
    ) -> requests.Response:
        """The usual way, through requests and urllib3; what it sent can be sent again over a warm connection."""
        url = self._url(call)
        headers = {**opened.headers, **call.headers, "Content-Length": str(len(call.body))}
        prepared = opened.sockets.prepared(call.method, url, headers, call.body)
        adapter: Any = opened.session.get_adapter(url)
        response: requests.Response = adapter.send(prepared, stream=True, timeout=timeout, **opened.settings)
        if self._session is None and type(adapter) is opened.sockets.ClockedAdapter:
            pool = adapter.get_connection_with_tls_context(prepared, **opened.settings)
            head = opened.sockets.Head.of(pool, call.method, opened.sockets.MOMENT.head)
            if len(opened.heads) >= _MOST_HEADS:
                opened.heads.clear()
            if head is not None:
                opened.heads[kind] = head
        return response

    def close(self) -> None:
        """Closes the idle connections; those in use close when their response ends. It can be used again."""
        with self._opening:
            opened, self._opened = self._opened, None
        if opened is None:
            return
        if opened.process != os.getpid():
            self._leave(opened)
        elif self._session is None:
            opened.session.close()

    def _open(self) -> _Opened:
        import requests

        from . import sockets

        with self._opening:
            opened = self._opened
            if opened is not None and opened.process != os.getpid():
                self._leave(opened)
                opened = None
            if opened is None:
                session = self._session
                if session is None:
                    session = requests.Session()
                    adapter = sockets.ClockedAdapter(pool_maxsize=self._pool, max_retries=0)
                    session.mount("https://", adapter)
                    session.mount("http://", adapter)
                found = surroundings(self.base_url, session)
                self._opened = opened = _Opened(
                    os.getpid(),
                    sockets,
                    session,
                    found._asdict(),
                    self._revealed(),
                    self._spelled(found.proxies.values()),
                    {},
                )
            return opened

    def _leave(self, opened: _Opened) -> None:
        """Gives up what a fork brought along: only our copies are closed, nothing is shut down or said to a server."""
        _inherited.append(opened)
        if self._session is not None:
            opened.session.close()
        else:
            for adapter in opened.session.adapters.values():
                if isinstance(adapter, opened.sockets.ClockedAdapter):
                    adapter.abandon()

"""An answer that is arriving: pieces of it as soon as they are there, until a moment, or until it is closed."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..pipeline import ErrorClass, ProviderError, Secret, TimedOut, TruncatedStream, Unavailable
from .classify import classify_exception
from .links import harmless, waited
from .worlds import Waits, run

if TYPE_CHECKING:
    import requests

__all__ = ["MAX_BODY", "WAITED", "Arrival", "HttpIncoming", "Incoming", "Now", "broken"]

MAX_BODY = 64 * 1024 * 1024
"""The longest body of a complete reply that is accepted, in bytes, after decompression."""

WAITED = "read"
"""The reason of a TimedOut that says: the moment came; only who set the moment knows which clock that is."""

_PIECE = 65536
Now = Callable[[], float]


class Arrival(ABC):
    """An answer that has begun and whose body is arriving, whatever carries it, and in whichever world.

    Attributes:
        status: the HTTP status; 200 for what has none.
        headers: the headers; names are case-insensitive.
    """

    __slots__ = ("headers", "status")

    status: int
    headers: Mapping[str, str]

    @abstractmethod
    def read(self, until: float) -> Any:
        """The next piece of the body; see Incoming."""

    @abstractmethod
    def read_all(self, until: float, limit: int = MAX_BODY) -> Any:
        """The rest of the body; see Incoming."""

    @abstractmethod
    def close(self) -> None:
        """Ends the answer and frees what carries it, at once. Can be repeated."""

    def _all(self, until: float, limit: int) -> Waits[bytes]:
        pieces: list[bytes] = []
        size = 0
        while piece := (yield self.read(until)):
            pieces.append(piece)
            size += len(piece)
            if size > limit:
                self.close()
                raise Unavailable(f"the answer has more than {limit} bytes", reason="malformed_response")
        return b"".join(pieces)


class Incoming(Arrival):
    """An answer that is arriving, for threads: one reads; any may close."""

    __slots__ = ()

    @abstractmethod
    def read(self, until: float) -> bytes:
        """The next piece of the body, as soon as there is one.

        Args:
            until: the moment on the clock at which waiting ends.

        Returns:
            At most 128 KiB; b"" at the good end of the body, or once it is closed.

        Raises:
            TimedOut: with reason WAITED, if the moment comes first.
            ProviderError: what became of it otherwise. After an error, it is closed.
        """

    def read_all(self, until: float, limit: int = MAX_BODY) -> bytes:
        """The rest of the body; what carried it is free for the next request afterwards.

        Raises:
            ProviderError: as `read`; Unavailable with reason "malformed_response" beyond `limit` bytes.
        """
        return run(self._all(until, limit))

    @abstractmethod
    def close(self) -> None:
        """Ends the answer and frees what carries it, at once. Can be repeated, from any thread."""


class HttpIncoming(Incoming):
    """A response whose headers are here and whose body is arriving."""

    __slots__ = ("_closed", "_encoded", "_now", "_provider", "_raw", "_reading", "_secrets", "_wire")

    def __init__(self, response: requests.Response, provider: str, now: Now, secrets: Sequence[Secret] = ()) -> None:
        """Wraps a response.

        Args:
            response: it, with its body unread.
            provider: whose errors these are, for the classifier.
            now: the clock.
            secrets: what no error may show.
        """
        self.status = response.status_code
        self.headers = response.headers
        self._raw: Any = response.raw
        self._provider = provider
        self._secrets = secrets
        self._now = now
        # None where a user's own session brings connections of another kind: see _clamp.
        self._wire: Any = getattr(getattr(self._raw, "connection", None), "wire", None)
        self._encoded = "content-encoding" in self.headers
        self._reading = threading.Lock()
        self._closed = False

    def read(self, until: float) -> bytes:
        """As the base says.

        Raises:
            TimedOut: with reason WAITED, if the moment comes first.
            TruncatedStream: if the connection breaks.
            Unavailable: with reason "malformed_response", if the body is not encoded as its headers say.
        """
        data, failure, cause = b"", None, None
        try:
            with self._reading:
                if self._closed:
                    return b""
                if self._wire is not None:
                    self._wire.until = until
                else:
                    self._clamp(until)
                data = self._raw.read1(_PIECE, decode_content=self._encoded)
                if data and self._wire is not None and not self._encoded:
                    data += self._wire.at_hand()
        except Exception as error:  # noqa: BLE001 - urllib3 lets http.client's, ssl's and the system's own through
            closed = self._closed
            self.close()
            if closed:  # by another thread, which woke this one
                return b""
            failure, cause = broken(self._provider, error), harmless(error, self._secrets)
        if failure is None:
            if not self._closed:
                return data
            self._dispose()
            return b""
        try:
            raise failure from cause  # out here, so that the original is no context either, unless it is the cause
        finally:
            del failure, cause  # whose traceback holds this frame

    def close(self) -> None:
        """Ends the response; unless its body was read to the end, closes its connection at once."""
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


def broken(provider: str, error: Exception) -> ProviderError:
    """What it means that a body stopped arriving with this error."""
    if waited(error):
        return TimedOut(reason=WAITED)
    meant = classify_exception(provider, error)
    if meant.error_class is ErrorClass.TIMEOUT:
        meant.reason = WAITED
    if meant.error_class is ErrorClass.UNAVAILABLE and meant.reason != "malformed_response":
        return TruncatedStream()  # however it broke, it broke in the middle
    return meant

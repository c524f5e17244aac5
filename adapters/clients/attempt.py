"""One attempt at a client: what is sent, and what becomes of it. It neither sends nor waits: the two handlers do."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any, TypeVar

from ...pipeline import Call, ProviderError, Reply, Request, TimedOut
from ..arriving import Clocks
from ..classify import classify_response
from ..cleaning import clean, request_id_in
from ..incoming import WAITED
from ..links import asked
from .failures import classify_native, is_failure
from .hearing import Hearing
from .seam import Watch
from .wrapped import Wrapped

__all__ = ["Attempt"]

R = TypeVar("R", bound=Reply)

_SHORTEST = 0.001  # seconds: httpx takes 0 for "do not wait at all"


class Attempt:
    """One attempt at a client: its clocks, what is sent, what came back, and what an exception of it means."""

    __slots__ = ("_changes", "_wrapped", "clocks", "request", "watch")

    def __init__(self, wrapped: Wrapped, request: Request) -> None:
        self._wrapped = wrapped
        self.request = request
        self.clocks = Clocks(wrapped.timeouts, request.call if request.under_way else Call(), request.stream)
        self.watch = Watch(self.clocks.now, self.clocks.until(), self._timeout())
        self._changes: Mapping[str, str] = {}

    def _timeout(self) -> dict[str, float]:
        """Seconds in the words of httpx, whose "read" is the silence between two bytes, everywhere in an answer."""
        timeouts, stream = self._wrapped.timeouts, self.request.stream
        first, end = self.left(), self.left(math.inf)
        # A first event that must come sooner than it usually may: the deadline is near, or other routes are left.
        read = first if first < timeouts.first(stream) else max(first, timeouts.gap if stream else first)
        connect = max(min(self.clocks.connect, end), _SHORTEST)
        seconds = {"connect": connect, "read": min(read, end), "write": first, "pool": connect}
        return {name: min(value, self._wrapped.limits.get(name, value)) for name, value in seconds.items()}

    def left(self, moment: float | None = None) -> float:
        """Seconds until the moment, by default that of the first event, or an earlier end of all."""
        return max(self.clocks.until(moment) - self.clocks.now(), _SHORTEST)

    def arguments(self) -> dict[str, Any]:
        """What the client's method is called with."""
        speech = self._wrapped.speech
        call = speech.codec.encode(self.request)
        self._changes = call.changes
        if not speech.extra:
            self.watch.body = call.body
        return speech.arguments(call.body, self.left(math.inf))

    def unstreamed(self) -> bool:
        """Whether the server answers without a stream although one was asked for."""
        watch = self.watch
        return self.request.stream and watch.response is not None and not self._wrapped.codec.streams(watch.headers)

    def hearing(self) -> Hearing:
        """What hears the stream."""
        return Hearing(self._wrapped.speech, self.clocks, self.told)

    def whole(self, body: bytes, native: object = None) -> Reply:
        """The reply in a whole answer."""
        reply = self._wrapped.codec.decode(200, self.watch.headers, body)
        reply.provider = self._wrapped.provider
        reply.model = reply.model or self.request.model
        if native is not None:
            reply._raw = lambda: native
        return reply

    def done(self, reply: R) -> R:
        """The reply, with what the headers say of it and what the codec did to the caller's parameters."""
        response = self.watch.response
        if response is not None:
            reply.status = response.status_code
            reply._request_id = partial(request_id_in, self.watch.headers, self._wrapped.secrets)
        if self._changes:
            reply.changes = {**self._changes, **reply.changes}
        return reply

    def is_bug(self, raised: Exception) -> bool:
        """Whether an exception is none of the provider's doing: nothing was answered, and nothing about it failed."""
        return self.watch.response is None and not is_failure(raised)

    def told(self, raised: BaseException | None, moment: float | None = None) -> ProviderError:
        """The error to raise for what was raised, or with None for the moment that came."""
        wrapped = self._wrapped
        error = self.clocks.too_late(moment) if raised is None else self._meaning(raised)
        native = error.__cause__
        if isinstance(error, TimedOut) and error.reason == WAITED and error.status is None:
            error = self.clocks.too_late(moment)
        error.provider = wrapped.provider
        error.model = error.model or self.request.model
        if error.request_id is None:
            error.request_id = request_id_in(self.watch.headers)
        error.with_traceback(None)  # whose frames hold what was sent and answered
        error.__cause__ = error.__context__ = None
        clean(error, wrapped.secrets, self.request)
        error.__cause__ = native  # it is the client's own, whatever it says
        return error

    def _meaning(self, raised: BaseException) -> ProviderError:
        provider, watch = self._wrapped.codec.provider, self.watch
        body = asked(watch.response, "_content")  # what httpx has read, if it has read it all
        if isinstance(body, bytes) and watch.response.is_success and not isinstance(raised, ProviderError):
            # The client could not understand it; the classifier may.
            meant = classify_response(provider, watch.response.status_code, watch.headers, body)
            if meant is not None:
                meant.__cause__ = raised
                return meant
        return classify_native(raised, provider=provider, streaming=watch.response is not None)

"""The adapter for llama.cpp's own server, which is there before its model is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from ..pipeline import Call, ProviderError, Reply, Request, Secret, Timeouts, Unavailable
from .adapter import Adapter, Joined, Transport
from .codec import HttpCall
from .environment import bearer, key_of
from .llama_cpp import LlamaCppCodec
from .rule import Rule, checked
from .worlds import Waits

if TYPE_CHECKING:
    import requests

    from .async_adapter import AsyncTransport

__all__ = ["LlamaCpp", "LlamaCppBase"]

_HEALTH = HttpCall("/health", {"Accept": "application/json"}, b"", method="GET")
_PAUSE = 0.5  # seconds between two looks at a server that is loading


class LlamaCppBase(Joined):
    """llama.cpp's own server, `llama-server`.

    While the server loads its model it answers 503; the adapter then waits on `/health` and asks again, unless
    another route could answer. That counts as one attempt: nothing but the waiting was refused.

    Args:
        base_url: with or without `/v1`; None is `http://127.0.0.1:8080`.
        api_key: what the server was started with (`--api-key`); None reads LLAMA_API_KEY. Most servers have none.
        model: the model for callers that name none; only a server with several models looks at it.
        load_wait: seconds to wait for a model that is loading, 0 or more; never longer than the call's deadline.
        timeouts, provider, headers, rules, pool, session, transport: as for OpenAI.

    Raises:
        AuthenticationFailed: if the key cannot be a key.
        ValueError: if the URL is none, or `load_wait` is negative.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        api_key: str | Secret | None = None,
        model: str | None = None,
        load_wait: float = 120.0,
        timeouts: Timeouts | None = None,
        provider: str = "llama_cpp",
        headers: Mapping[str, str | Secret] | None = None,
        rules: Sequence[Rule] = (),
        pool: int = 64,
        session: requests.Session | None = None,
        transport: Transport[HttpCall] | AsyncTransport[HttpCall] | None = None,
    ) -> None:
        if not load_wait >= 0:
            raise ValueError(f"load_wait must be 0 seconds or more, not {load_wait!r}")
        key = key_of(provider, api_key, ("LLAMA_API_KEY",), required=False)
        url = (base_url or "http://127.0.0.1:8080").rstrip("/").removesuffix("/v1")
        known: dict[str, str | Secret | None] = {"Authorization": bearer(key), **(headers or {})}
        self.load_wait = load_wait
        super().__init__(
            LlamaCppCodec(checked(rules)),
            transport
            or self._over_http(url, provider="llama_cpp", headers=known, secrets=(key,), pool=pool, session=session),
            model=model,
            timeouts=timeouts,
            secrets=(key,),
            provider=provider,
        )

    def _attempt(self, request: Request) -> Waits[Reply]:
        try:
            return (yield from super()._attempt(request))
        except Unavailable as error:
            if error.reason != "loading" or not (yield from self._loaded(request)):
                raise
        return (yield from super()._attempt(request))

    def _loaded(self, request: Request) -> Waits[bool]:
        """Waits until the model is there; False if that takes too long, or another route need not wait for it."""
        call = request.call if request.under_way else Call()
        if call.routes_left > 0:
            return False
        clock = call.clock
        until = clock.now() + self.load_wait
        if call.deadline is not None:
            until = min(until, call.deadline)
        while clock.now() + _PAUSE < until:
            yield self._sleep(clock, _PAUSE)
            moment = min(until, clock.now() + self.timeouts.connect)
            try:
                health = yield self.transport.send(_HEALTH, connect=self.timeouts.connect, until=moment, now=clock.now)
                with closing(health):
                    yield health.read_all(moment)
            except ProviderError:
                return False  # it went away while it was loading: the error that began this says enough
            if health.status == 200:
                return True
        return False


class LlamaCpp(LlamaCppBase, Adapter):
    __doc__ = LlamaCppBase.__doc__

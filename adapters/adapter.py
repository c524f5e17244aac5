"""Adapter: a codec and a transport, joined into a handler; and the three that are ready to use.

An adapter tries once. It retries nothing, remembers nothing and hides nothing: that is what layers are for. What it
owes them is the truth about one attempt: a reply that is whole, or an error of the right class, in the time allowed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import closing
from types import TracebackType
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from ..pipeline import Call, Problem, ProviderError, Reply, Request, Secret, TimedOut, Timeouts
from .arriving import Arriving, Clocks
from .classify import safe_detail
from .claude import ClaudeCodec
from .codec import Codec
from .environment import base_url_of, bearer, key_of, ollama_host
from .http import WAITED, HttpTransport, Incoming, Transport
from .ollama import OllamaCodec
from .openai import OpenAICodec
from .schemas import OPENAI, OPENAI_COMPATIBLE
from .shapes import texts_of

if TYPE_CHECKING:
    import requests

__all__ = ["Adapter", "Claude", "Ollama", "OpenAI"]


class Adapter:
    """A handler that speaks to one provider. Thread-safe; connections are pooled and shared.

    Args:
        codec: the protocol.
        transport: what moves the bytes.
        model: the model for callers that name none; None if there is none.
        timeouts: the four clocks.
        secrets: keys that no error may show.
        provider: the name in replies and errors; None is the codec's.
    """

    def __init__(
        self,
        codec: Codec,
        transport: Transport,
        *,
        model: str | None = None,
        timeouts: Timeouts | None = None,
        secrets: Iterable[Secret] = (),
        provider: str | None = None,
    ) -> None:
        self.codec = codec
        self.transport = transport
        self.model = model
        self.timeouts = timeouts or Timeouts()
        self.provider = provider or codec.provider
        self.label = codec.label
        self._secrets = tuple(secrets)

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port of the provider, for traces; None if the transport has no URL."""
        url = urlsplit(getattr(self.transport, "base_url", ""))
        if not url.hostname:
            return None
        return url.hostname, url.port or (443 if url.scheme == "https" else 80)

    def check(self, request: Request) -> tuple[Problem, ...]:
        """Everything that is wrong with the request, found without sending it; empty if it may be sent."""
        return self.codec.check(request)

    def __call__(self, request: Request) -> Reply:
        """Makes one attempt.

        Args:
            request: with the provider's own name of the model.

        Returns:
            A finished reply, or, for a stream, one that is arriving and whose first meaningful event is in hand.

        Raises:
            InvalidParameters: if the protocol has no words for the request; nothing was sent.
            TimedOut: with reason "connect", "first_event", "gap" or "total", by the clock that ran out.
            DeadlineExceeded: if the call's own deadline came first.
            TruncatedStream: if the answer broke off.
            ProviderError: of the class that the provider's answer means.
        """
        clocks = Clocks(self.timeouts, request.call if request.under_way else Call(), request.stream)
        incoming: Incoming | None = None

        def tell(error: ProviderError) -> ProviderError:
            return self._tell(error, request, incoming)

        try:
            call = self.codec.encode(request)
            incoming = self.transport.send(call, connect=clocks.connect, until=clocks.until(), now=clocks.now)
            if request.stream and 200 <= incoming.status < 300 and self.codec.streams(incoming.headers):
                chunks = Arriving(incoming, self.codec.decoder(), clocks, tell)
                reply = Reply.stream(chunks, provider=self.provider, model=request.model)
            else:
                with closing(incoming):
                    body = incoming.read_all(clocks.until())
                reply = self.codec.decode(incoming.status, incoming.headers, body)
                reply.provider = self.provider
                reply.model = reply.model or request.model
                if request.stream:  # the server does not stream: its one answer is a stream of one chunk
                    reply = Reply.stream(iter(reply), provider=self.provider, model=reply.model)
        except TimedOut as error:
            if error.reason != WAITED:  # the provider's own time-out, or one that the stream has told
                tell(error)
                raise
            raise tell(clocks.too_late()) from error.__cause__
        except ProviderError as error:
            tell(error)
            raise
        if call.changes:
            reply.changes = {**call.changes, **reply.changes}
        return reply

    def close(self) -> None:
        """Closes idle connections. The adapter can be used again."""
        self.transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        model = f", model={self.model!r}" if self.model else ""
        return f"{type(self).__name__}({self.transport!r}{model})"

    def _tell(self, error: ProviderError, request: Request, incoming: Incoming | None) -> ProviderError:
        """Completes an error: who, what, which request; without keys and without the prompt."""
        error.provider = self.provider
        error.model = error.model or request.model
        if incoming is not None and error.request_id is None:
            headers = incoming.headers
            error.request_id = headers.get("x-request-id") or headers.get("request-id")
        if error.detail:
            error.detail = safe_detail(error.detail, self._secrets, texts_of(request.messages))
        return error


class OpenAI(Adapter):
    """OpenAI chat completions, or a server that speaks like it.

    Args:
        api_key: the key; None reads OPENAI_API_KEY.
        base_url: with the version in its path; None reads OPENAI_BASE_URL, else `https://api.openai.com/v1`.
        model: the model for callers that name none.
        organization, project: None reads OPENAI_ORG_ID and OPENAI_PROJECT_ID.
        timeouts: the four clocks.
        compatible: True for a server of somebody else that speaks the protocol: it needs no key, gets none but
            `api_key` if `base_url` is given, and may take parameters that OpenAI does not have.
        provider: the name in replies and errors, and whose errors they are read as; "openai", or for a compatible
            server "openai-compatible", unless something like "openrouter" is given.
        headers: further headers for every request.
        pool: connections kept open.
        session: a `requests.Session` to send through.
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
        headers: Mapping[str, str] | None = None,
        pool: int = 64,
        session: requests.Session | None = None,
        transport: Transport | None = None,
    ) -> None:
        provider = provider or ("openai-compatible" if compatible else "openai")
        foreign = compatible and base_url is not None  # OpenAI's own key is not for others
        own = () if foreign else ("OPENAI_API_KEY",)
        key = key_of(provider, api_key, own, required=not compatible and transport is None)
        url = base_url_of(base_url, "OPENAI_BASE_URL", "https://api.openai.com/v1")
        known = {
            "Authorization": bearer(key),
            "OpenAI-Organization": organization or (None if foreign else os.environ.get("OPENAI_ORG_ID")),
            "OpenAI-Project": project or (None if foreign else os.environ.get("OPENAI_PROJECT_ID")),
            **(headers or {}),
        }
        super().__init__(
            OpenAICodec(OPENAI_COMPATIBLE if compatible else OPENAI, provider),
            transport
            or HttpTransport(url, provider=provider, headers=known, secrets=(key,), pool=pool, session=session),
            model=model,
            timeouts=timeouts,
            secrets=(key,),
        )


class Claude(Adapter):
    """Anthropic's Messages API.

    Args:
        api_key: sent as `x-api-key`; None reads ANTHROPIC_API_KEY.
        auth_token: sent as a bearer token in place of a key; None reads ANTHROPIC_AUTH_TOKEN if there is no key.
        base_url: without `/v1`; None reads ANTHROPIC_BASE_URL, else `https://api.anthropic.com`.
        model: the model for callers that name none.
        version: the `anthropic-version`. From 2026-10-21 on the API refuses sampling parameters.
        max_tokens: what is sent if the caller sets none, because the protocol requires it; 1 or more.
        timeouts, provider, headers, pool, session, transport: as for OpenAI.

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
        headers: Mapping[str, str] | None = None,
        pool: int = 64,
        session: requests.Session | None = None,
        transport: Transport | None = None,
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
            ClaudeCodec(version=version, max_tokens=max_tokens),
            transport
            or HttpTransport(url, provider="claude", headers=known, secrets=secrets, pool=pool, session=session),
            model=model,
            timeouts=timeouts,
            secrets=secrets,
            provider=provider,
        )


class Ollama(Adapter):
    """Ollama's own API, local or in its cloud.

    A first call may load the model for minutes: give `Timeouts(first_event=300)` or so where that happens.

    Args:
        base_url: None reads OLLAMA_HOST (a host, host:port or URL), else `http://127.0.0.1:11434`.
        api_key: for the cloud; None reads OLLAMA_API_KEY. None is needed locally.
        model: the model for callers that name none.
        timeouts, provider, headers, pool, session, transport: as for OpenAI.

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
        headers: Mapping[str, str] | None = None,
        pool: int = 64,
        session: requests.Session | None = None,
        transport: Transport | None = None,
    ) -> None:
        key = key_of(provider, api_key, ("OLLAMA_API_KEY",), required=False)
        url = ollama_host(base_url or os.environ.get("OLLAMA_HOST"))
        known: dict[str, str | Secret | None] = {"Authorization": bearer(key), **(headers or {})}
        super().__init__(
            OllamaCodec(),
            transport
            or HttpTransport(url, provider="ollama", headers=known, secrets=(key,), pool=pool, session=session),
            model=model,
            timeouts=timeouts,
            secrets=(key,),
            provider=provider,
        )

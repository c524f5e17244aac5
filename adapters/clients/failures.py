"""Says what an exception of somebody else's client means: native error -> ProviderError, with the native one as cause.

Nothing is imported for it. A client's error carries the answer (`status_code`, `response`, `body`), wraps what its HTTP
library raised, or is that itself: Anthropic's and Ollama's clients let errors in the middle of a stream through as they
are. Ollama's hides them behind `from None`, which leaves them in the context.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from ...pipeline import ErrorClass, ProviderError, TruncatedStream, Unavailable
from ..classify import classify_event, classify_exception, classify_payload, classify_response
from ..links import asked, chain

__all__ = ["classify_native", "is_failure"]

_PROVIDERS: Mapping[str, str] = {"openai": "openai", "anthropic": "claude", "ollama": "ollama"}
# Whose exceptions are about the connection or the answer, whatever they are called.
_TALKERS = frozenset(
    {*_PROVIDERS, "httpx", "httpx2", "httpcore", "httpcore2", "h11", "h2", "anyio", "requests", "urllib3", "aiohttp",
     "http", "ssl", "socket"}
)  # fmt: skip
# What clients raise about an answer that they cannot understand.
_PUZZLED = (ValueError, TypeError, AttributeError, LookupError)


def classify_native(error: BaseException, *, provider: str = "", streaming: bool = False) -> ProviderError:
    """Classifies what a client raised, with its status, headers and body where it has them.

    Args:
        error: the exception. A ProviderError is returned as it is.
        provider: as for `classify_response`; "" is the one whose client raised it.
        streaming: whether the answer had begun to arrive: then a connection that breaks is a TruncatedStream.

    Returns:
        The error of one of the seven classes, with `error` as its `__cause__`. Raise it as it is.
    """
    if isinstance(error, ProviderError):
        return error
    provider = provider or _PROVIDERS.get(_root(error), "")
    meant = _answered(provider, error)
    if meant is None:
        meant = classify_exception(provider, _revealed(error))
        if meant.reason == "unknown" and isinstance(error, _PUZZLED):
            meant = Unavailable(reason="malformed_response", provider=provider)
        broken = meant.error_class is ErrorClass.UNAVAILABLE and meant.reason != "malformed_response"
        if streaming and broken and not isinstance(meant, TruncatedStream):
            meant = TruncatedStream(provider=provider)  # however it broke, it broke in the middle
    meant.__cause__ = error
    return meant


def is_failure(error: BaseException) -> bool:
    """Whether an exception is about the connection or the answer, so that it is not a bug in the code that asked."""
    if isinstance(error, (ProviderError, ConnectionError, TimeoutError)) or type(error) is OSError:
        return True
    return _root(error) in _TALKERS or _status_of(error) >= 300


def _root(error: BaseException) -> str:
    return type(error).__module__.partition(".")[0]


def _answered(provider: str, error: BaseException) -> ProviderError | None:
    """By the answer that the exception carries; None if it carries none that says anything."""
    status, response = _status_of(error), _response_of(error)
    body = next((found for name in ("body", "error") if _is_body(found := asked(error, name))), None)
    headers = _headers_of(response)
    if status >= 300:
        content = asked(response, "_content")  # what was read of it; to ask for `content` might read from the network
        if isinstance(content, bytes) and content:
            return classify_response(provider, status, headers, content)
        return classify_payload(provider, status, headers, body if body is not None else _words(error))
    if body is None or type(error).__name__ == "APIResponseValidationError":
        return None
    # The answer was good as far as its status goes: an event of a stream, or the error that stood in it.
    meant = classify_event(provider, body if isinstance(body, dict) and "error" in body else {"error": body})
    if meant is not None and meant.request_id is None:
        meant.request_id = headers.get("x-request-id") or headers.get("request-id")
    return meant


def _status_of(error: BaseException) -> int:
    for place, name in ((error, "status_code"), (asked(error, "response"), "status_code"), (error, "status")):
        found = asked(place, name)
        if isinstance(found, int) and not isinstance(found, bool) and 100 <= found <= 599:
            return int(found)
    return 0


def _response_of(error: BaseException) -> Any:
    for link in chain(error, hidden=True):
        response = asked(link, "response")
        if asked(response, "headers") is not None:
            return response
    return None


def _headers_of(response: Any) -> dict[str, str]:
    with suppress(Exception):  # a foreign mapping may fail in any way
        return {str(name).lower(): str(value) for name, value in response.headers.items()}
    return {}


def _is_body(found: object) -> bool:
    return bool(found) and isinstance(found, (dict, list, str, bytes))


def _words(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - a foreign exception may fail in any way
        return ""


def _revealed(error: BaseException) -> BaseException:
    """The exception of the HTTP library where Ollama's client has hidden it behind a plain ConnectionError."""
    hidden = error.__context__
    if type(error) is ConnectionError and error.__suppress_context__ and hidden is not None:
        return hidden
    return error

"""An exception and those inside it: who they are, what they say, and what of it may be shown or kept."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Iterator
from typing import Any

from ..pipeline import Secret

__all__ = ["asked", "chain", "harmless", "kinds", "quoted", "said", "waited"]

_DEEPEST = 12

# urllib3 derives a refused connection from a connect timeout, http.client one that was closed without an answer from an
# answer that makes no sense, and aiohttp a body that broke off from the same. None is what its ancestor says.
_NO_KIN_OF_THEIRS = frozenset(
    {"NewConnectionError", "RemoteDisconnected", "TransferEncodingError", "ContentLengthError"}
)

# What http.client, urllib3 and aiohttp raise about bytes that make no sense, most of them with these bytes.
_QUOTING = frozenset(
    {"HTTPException", "InvalidChunkLength", "ProtocolError", "DecodeError", "HeaderParsingError", "ValueError"}
    | {"HttpProcessingError", "ClientPayloadError", "ClientResponseError"}
)


def chain(error: BaseException, *, hidden: bool = False) -> Iterator[BaseException]:
    """The exception and those inside it: urllib3 and requests wrap the real one in `reason` or in the arguments.

    With those that `from None` has hidden only if asked for: they do not count, but they are there.
    """
    waiting: list[BaseException] = [error]
    seen: set[int] = set()
    while waiting and len(seen) < _DEEPEST:
        link = waiting.pop(0)
        if id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        args = asked(link, "args")
        inner = [asked(link, "reason"), link.__cause__, *(args[:4] if isinstance(args, tuple) else ())]
        if hidden or not link.__suppress_context__:
            inner.append(link.__context__)
        waiting.extend(item for item in inner if isinstance(item, BaseException))


def asked(thing: object, name: str) -> Any:
    """The attribute, or None if there is none or it cannot be had: httpx's `request` raises if there is none."""
    try:
        return getattr(thing, name, None)
    except Exception:  # noqa: BLE001 - a foreign property may fail in any way
        return None


def kinds(error: BaseException) -> Iterator[str]:
    """The names of the exception's class and its ancestors, as far as they are to be believed."""
    for kind in type(error).__mro__:
        yield kind.__name__
        if kind.__name__ in _NO_KIN_OF_THEIRS:
            return


def said(error: BaseException) -> str:
    """Its text; "" if it cannot print itself: its class still counts."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - a foreign exception may fail in any way
        return ""


def waited(error: BaseException) -> bool:
    """Whether a socket's own timeout is behind it, and not one for connecting.

    urllib3 calls a send that ran out of time an aborted connection. A timeout with an errno is the system's, which
    gave the connection up: that one is no clock of ours.
    """
    found = False
    for link in chain(error):
        if "ConnectTimeoutError" in kinds(link):
            return False
        found = found or (isinstance(link, TimeoutError) and link.errno is None)
    return found


def harmless(error: BaseException, secrets: Iterable[Secret]) -> BaseException | None:
    """The error as it may be kept as a cause, or None if its text, or that of an error inside it, has a secret.

    Its frames are emptied: they hold the request with its key, the prompt, and each other, in circles.
    """
    texts: list[str] = []
    for link in chain(error, hidden=True):
        traceback.clear_frames(link.__traceback__)
        try:
            if asked(link, "request") is not None:
                link.request = None  # type: ignore[attr-defined]  # requests' exceptions carry it, headers and all
            if asked(link, "request_info") is not None:
                link.request_info = None  # type: ignore[attr-defined]  # aiohttp's, which has it as an argument too
                link.args = ()
            texts += str(link), repr(link)
        except Exception:  # noqa: BLE001 - what cannot be emptied or read may hold anything
            return None
    text = "\n".join(texts)
    return None if any(secret.reveal() in text for secret in secrets) else error


def quoted(error: BaseException | None) -> str:
    """What those errors in the chain say that quote the server's bytes; "" if none does."""
    if error is None:
        return ""
    return "\n".join(said(link) for link in chain(error, hidden=True) if not _QUOTING.isdisjoint(kinds(link)))

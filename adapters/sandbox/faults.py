"""Everything that can go wrong at a provider, as values that can be put into a script.

A fault says what happens in words that no protocol owns; the dialect knows the bytes and the plan knows the
order of events.

Faults that act on an answer in the making (`cut`, `stall`, `malformed`, …) take it from `answer=`, or, left
out, from the server's default answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import EllipsisType
from typing import Any

from .answer import Answer, check_amount, check_count
from .fault import Fault, How, check_answer, check_body, check_error, check_headers, check_retry_after, check_then

__all__ = [
    "Fault",
    "bad_key",
    "content_filter",
    "context_length",
    "cut",
    "disconnect",
    "drip",
    "empty",
    "error_event",
    "error_in_200",
    "hang",
    "html",
    "malformed",
    "model_not_found",
    "no_terminator",
    "overloaded",
    "pings",
    "quota",
    "rate_limit",
    "reset",
    "slow_first_byte",
    "stall",
    "status",
]


def status(
    code: int,
    *,
    type: str | None = None,  # noqa: A002 - the field's name in every protocol
    code_: str | int | EllipsisType | None = ...,
    message: str | None = None,
    retry_after: float | str | None = None,
    headers: Mapping[str, str] | Iterable[tuple[str, str]] | None = None,
    body: str | bytes | Mapping[str, Any] | None = None,
) -> Fault:
    """An HTTP error in the dialect's own shape.

    Args:
        code: the HTTP status, 200 to 599.
        type: the error's type; None is what the provider uses with this status.
        code_: the error's code; `...` is what the provider uses, None is a null.
        message: the error's text; None is what the provider says.
        retry_after: the Retry-After header, in seconds, or a string that is sent as it is.
        headers: further headers; they replace those of the same name.
        body: sent exactly so, in place of the dialect's body. What begins with `<` is sent as HTML, what
            begins with a brace or bracket as JSON, anything else as plain text.

    Returns:
        The fault.

    Raises:
        TypeError, ValueError: if a value is of the wrong kind or out of range.
    """
    if not 200 <= check_count(code, "code") <= 599:
        raise ValueError(f"code must be an HTTP status from 200 to 599, not {code!r}")
    return Fault(
        "status",
        status=code,
        type=type,
        code=code_,
        message=message,
        retry_after=check_retry_after(retry_after),
        headers=check_headers(headers),
        body=check_body(body),
    )


def quota() -> Fault:
    """No credit left: OpenAI 429 `insufficient_quota`, Claude 400, OpenRouter 402, Ollama 429 `usage limit`.

    llama.cpp's server counts nothing and refuses this fault.
    """
    return Fault("quota")


def bad_key() -> Fault:
    """The key is wrong: 401."""
    return Fault("bad_key")


def model_not_found() -> Fault:
    """The model does not exist: 404; 400 at llama.cpp."""
    return Fault("model_not_found")


def context_length() -> Fault:
    """The prompt is too long for the model: 400."""
    return Fault("context_length")


def content_filter() -> Fault:
    """The provider's policy refuses the content: 400; 403 at OpenRouter.

    Ollama and llama.cpp's server have no such thing and refuse this fault.
    """
    return Fault("content_filter")


def overloaded() -> Fault:
    """The provider is overloaded: 503; Claude 529."""
    return Fault("overloaded")


def rate_limit(retry_after: float | str | None = None) -> Fault:
    """Too many requests: 429.

    Args:
        retry_after: the Retry-After header, in seconds, or a string that is sent as it is; None sends none.

    Returns:
        The fault.
    """
    return Fault("rate_limit", retry_after=check_retry_after(retry_after))


def slow_first_byte(seconds: float, then: Answer | Fault | None = None) -> Fault:
    """Nothing for a while, then the answer.

    Args:
        seconds: how long before the status line.
        then: what is answered after that; None is the server's default answer.

    Returns:
        The fault.
    """
    return Fault("slow_first_byte", seconds=check_amount(seconds, "seconds"), then=check_then(then))


def drip(
    interval: float | None = None,
    *,
    bytes_per_second: float | None = None,
    then: Answer | Fault | None = None,
) -> Fault:
    """The body arrives byte by byte; the status and headers arrive at once.

    Args:
        interval: seconds between two bytes.
        bytes_per_second: the same, the other way round; give one of the two.
        then: what is answered in this way; None is the server's default answer.

    Returns:
        The fault.
    """
    if (interval is None) == (bytes_per_second is None):
        raise ValueError("drip needs either interval or bytes_per_second")
    if bytes_per_second is not None:
        if check_amount(bytes_per_second, "bytes_per_second") == 0:
            raise ValueError("bytes_per_second must be more than 0")
        interval = 1 / bytes_per_second
    return Fault("drip", interval=check_amount(interval, "interval"), then=check_then(then))


def stall(after: int = 1, *, answer: Answer | None = None) -> Fault:
    """The answer begins, then silence; the connection stays open.

    Args:
        after: content events of a stream that get through; a complete answer stops half-way in its body.
        answer: what is begun.

    Returns:
        The fault.
    """
    return Fault("stall", after=check_count(after, "after"), answer=check_answer(answer))


def pings(interval: float = 0.05) -> Fault:
    """A stream of signs of life without content, for ever; a complete request hangs.

    Args:
        interval: seconds between two pings.

    Returns:
        The fault.
    """
    return Fault("pings", interval=check_amount(interval, "interval"))


def cut(after: int = 1, how: How = "close", *, answer: Answer | None = None) -> Fault:
    """The answer breaks off.

    Args:
        after: content events of a stream that get through; a complete answer breaks off half-way in its body.
        how: `close` drops the TCP connection, `reset` resets it, `clean` ends the HTTP body as if all were
            well, without the protocol's own end.
        answer: what is cut.

    Returns:
        The fault.
    """
    if how not in ("close", "reset", "clean"):
        raise ValueError(f"how must be 'close', 'reset' or 'clean', not {how!r}")
    return Fault("cut", after=check_count(after, "after"), how=how, answer=check_answer(answer))


def no_terminator(*, answer: Answer | None = None) -> Fault:
    """A stream that ends well in HTTP, without its last event: no `[DONE]`, no `message_stop`, no done line.

    A complete answer has no such event and is sent as it is.
    """
    return Fault("no_terminator", answer=check_answer(answer))


def malformed(after: int = 1, *, answer: Answer | None = None) -> Fault:
    """Broken JSON: the body of a complete answer, or one event of a stream that goes on after it.

    Args:
        after: good content events before the broken one; if there are not so many, the last one is broken.
        answer: what is spoilt.

    Returns:
        The fault.
    """
    return Fault("malformed", after=check_count(after, "after"), answer=check_answer(answer))


def error_in_200(error: Fault | None = None) -> Fault:
    """Status 200 with an error inside: as the body, or as the only event of a stream.

    Args:
        error: an HTTP error of this module whose body is used; None is the provider's usual one.

    Returns:
        The fault.
    """
    return Fault("error_in_200", error=check_error(error))


def error_event(after: int = 1, *, error: Fault | None = None, answer: Answer | None = None) -> Fault:
    """A stream that reports an error half-way, and closes. A complete request gets it as an HTTP error.

    Args:
        after: content events before it.
        error: an HTTP error of this module whose body is used; None is the provider's usual one.
        answer: what is begun.

    Returns:
        The fault.
    """
    return Fault(
        "error_event", after=check_count(after, "after"), error=check_error(error), answer=check_answer(answer)
    )


def html() -> Fault:
    """Status 200 with the login page of some proxy."""
    return Fault("html")


def empty() -> Fault:
    """Status 200 with an empty body."""
    return Fault("empty")


def reset() -> Fault:
    """The connection is reset before any byte of the response."""
    return Fault("reset")


def disconnect() -> Fault:
    """The connection is closed before any byte of the response."""
    return Fault("disconnect")


def hang() -> Fault:
    """No answer, ever; the connection stays open until the client or the server closes it."""
    return Fault("hang")

"""Fault: one thing that goes wrong at a provider, as a value, and the checks of what it is made of.

A `Fault` is plain data: it can be compared, hashed, pickled and printed. The functions of `faults` make them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from types import EllipsisType
from typing import Any, Literal

from .answer import Answer, check_amount

How = Literal["close", "reset", "clean"]

NAMED = frozenset(
    {"quota", "bad_key", "model_not_found", "context_length", "content_filter", "overloaded", "rate_limit"}
)
"""Errors that have a meaning rather than a status: which status and body they have depends on the dialect."""

_SPOILING = frozenset({"slow_first_byte", "drip", "stall", "cut", "no_terminator", "malformed", "error_event"})


@dataclass(frozen=True, slots=True, repr=False)
class Fault:
    """One thing that goes wrong. Made by the functions of `faults`, not by hand.

    Args:
        kind: the name of the function that made it.
        status, type, code, message, retry_after, headers, body: of an HTTP error; None (for `code`: `...`)
            stands for the dialect's own value.
        after: the number of content events that still get through.
        seconds: how long to wait before the first byte.
        interval: seconds between two bytes or two pings.
        how: how a cut ends the connection.
        then: what is answered, slowly.
        answer: the answer that is spoilt; None is the server's default.
        error: the error that is reported inside a stream or a 200.
    """

    kind: str
    status: int | None = None
    type: str | None = None
    code: str | int | EllipsisType | None = ...
    message: str | None = None
    retry_after: float | str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    after: int | None = None
    seconds: float | None = None
    interval: float | None = None
    how: How | None = None
    then: Answer | Fault | None = None
    answer: Answer | None = None
    error: Fault | None = None

    def __repr__(self) -> str:
        shown = []
        for item in fields(self)[1:]:
            value = getattr(self, item.name)
            if value != item.default:
                name = {"status": "", "code": "code_="}.get(item.name, f"{item.name}=")
                shown.append(f"{name}{value!r}")
        return f"faults.{self.kind}({', '.join(shown)})"

    @property
    def is_error(self) -> bool:
        """Whether it is an HTTP error with a body, and nothing else."""
        return self.kind == "status" or self.kind in NAMED

    @property
    def spoils_answer(self) -> bool:
        """Whether it acts on an answer and was given none."""
        return self.kind in _SPOILING and self.answer is None and self.then is None


def check_retry_after(value: object) -> float | str | None:
    if value is None or isinstance(value, str):
        return value  # a string is sent as it is: an HTTP date, or nonsense on purpose
    return check_amount(value, "retry_after")


def check_headers(headers: Mapping[str, str] | Iterable[tuple[str, str]] | None) -> tuple[tuple[str, str], ...]:
    pairs = headers.items() if isinstance(headers, Mapping) else headers or ()
    result = tuple((str(name), str(value)) for name, value in pairs)
    for name, value in result:
        if not name or any(char in name + value for char in "\r\n"):
            raise ValueError(f"headers must be names and values without line ends, not {(name, value)!r}")
    return result


def check_body(body: str | bytes | Mapping[str, Any] | None) -> bytes | None:
    if body is None or isinstance(body, bytes):
        return body
    if isinstance(body, str):
        return body.encode()
    if isinstance(body, Mapping | list):
        return json.dumps(body, ensure_ascii=False).encode()
    raise TypeError(f"body must be a str, bytes or a dict, not {body!r}")


def check_error(error: object) -> Fault | None:
    if error is None or (isinstance(error, Fault) and error.is_error):
        return error
    raise TypeError(f"error must be an HTTP error such as faults.status(500) or faults.quota(), not {error!r}")


def check_answer(answer: object) -> Answer | None:
    if answer is None or isinstance(answer, Answer):
        return answer
    raise TypeError(f"answer must be an Answer or None, not {answer!r}")


def check_then(then: object) -> Answer | Fault | None:
    if then is None or isinstance(then, Answer | Fault):
        return then
    raise TypeError(f"then must be an Answer, a Fault or None, not {then!r}")

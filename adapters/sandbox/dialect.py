"""What all protocols have in common: the questions that a server asks of each.

A `Dialect` is pure: it maps a request and an answer to bytes and knows nothing of sockets, faults' timing or
threads. So it can be tested without a server, and one more protocol is one more file.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from http import HTTPStatus
from types import EllipsisType
from typing import Any, ClassVar, Literal, TypeGuard

from .answer import Answer
from .fault import Fault
from .seen import Seen

Headers = tuple[tuple[str, str], ...]
Kind = Literal["frame", "content", "finish", "usage", "end"]


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a stream.

    Args:
        data: its bytes, with their framing.
        kind: `content` carries text, thinking or a part of a tool call; `finish` says why it ended; `usage`
            only counts; `end` is the protocol's proof of the end; `frame` is all the rest.
    """

    data: bytes
    kind: Kind


@dataclass(frozen=True, slots=True)
class HttpReply:
    """A whole response: status, headers and body."""

    status: int
    headers: Headers
    body: bytes


@dataclass(frozen=True, slots=True)
class Problem:
    """An error before it has the shape of a protocol.

    Args:
        status: the HTTP status.
        message: its text.
        type: the protocol's type of error.
        code: the protocol's code, or None.
        param: the field that is wrong, or None.
        extra: further members of the body.
    """

    status: int
    message: str
    type: str = ""
    code: str | int | None = None
    param: str | None = None
    extra: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Rules:
    """What a server accepts: the one good key, and the models it has; None is any. Nothing while it is `loading`."""

    key: str | None = None
    models: frozenset[str] | None = None
    loading: bool = False


def dump(value: object) -> bytes:
    """JSON as the providers write it: compact, UTF-8; half a surrogate pair, which UTF-8 has not, as an escape."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")


def words(text: str) -> frozenset[str]:
    """The words of a text, for tables of names that read better as a paragraph than as a column."""
    return frozenset(text.split())


def phrase(status: int) -> str:
    """The reason phrase of a status, or `Error` for one that has none."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a JSON value is a number; true and false are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def bearer(seen: Seen) -> str:
    """The key in a request's Authorization header, or an empty string."""
    scheme, _, key = seen.headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def halves(text: str) -> tuple[str, ...]:
    """A text in two pieces, as providers send the arguments of a tool call."""
    middle = (len(text) + 1) // 2
    return tuple(part for part in (text[:middle], text[middle:]) if part)


def break_json(event: bytes) -> bytes:
    """The same event with its JSON cut in half; the framing stays whole."""
    start = event.index(b"{")
    body = event[start:].rstrip(b"\n")
    return event[:start] + body[: len(body) // 2] + event[start + len(body) :]


class Dialect(ABC):
    """One protocol, as bytes."""

    name: ClassVar[str]
    base_path: ClassVar[str]
    chat_path: ClassVar[str]
    ping: ClassVar[bytes]
    json_type: ClassVar[str] = "application/json"
    stream_type: ClassVar[str] = "text/event-stream; charset=utf-8"
    stream_default: ClassVar[bool] = False
    can_load: ClassVar[bool] = False  # whether the server is there before its model is
    request_id_header: ClassVar[str] = ""
    sample_models: ClassVar[tuple[str, ...]]

    @abstractmethod
    def check(self, seen: Seen, rules: Rules) -> Problem | None:
        """Say what the provider would refuse in a chat request, or None if it is good."""

    @abstractmethod
    def complete(self, seen: Seen, answer: Answer) -> bytes:
        """The body of a complete answer."""

    @abstractmethod
    def stream(self, seen: Seen, answer: Answer) -> list[Event]:
        """The events of a streamed answer."""

    @abstractmethod
    def other(self, seen: Seen, rules: Rules) -> HttpReply:
        """Answer a request that is not for the chat endpoint: the list of models, or a 404."""

    @abstractmethod
    def problem(self, status: int, retry_after: float | str | None = None) -> Problem:
        """The provider's usual error with this status."""

    @abstractmethod
    def named(self, name: str, model: str, retry_after: float | str | None = None) -> Problem:
        """The provider's error with this meaning (`quota`, `bad_key`, …); ValueError if it has none."""

    @abstractmethod
    def usual_problem(self) -> Problem:
        """The error that the provider most often reports inside a stream."""

    @abstractmethod
    def error_body(self, problem: Problem, number: int) -> bytes:
        """An error as the body of a response."""

    @abstractmethod
    def error_event(self, problem: Problem, seen: Seen) -> bytes:
        """An error as an event of a stream."""

    def streams(self, seen: Seen) -> bool:
        """Whether the request wants a stream."""
        stream = seen.fields.get("stream")
        return stream if isinstance(stream, bool) else self.stream_default

    def request_id(self, number: int) -> str:
        """The id of a request, the same every time for the same number."""
        return f"req_{number:012d}"

    def headers(self, number: int) -> Headers:
        """The headers that are on every response."""
        return ((self.request_id_header, self.request_id(number)),) if self.request_id_header else ()

    def json_reply(self, status: int, value: object, number: int) -> HttpReply:
        """A response with a JSON body."""
        return HttpReply(status, (("content-type", self.json_type), *self.headers(number)), dump(value))

    def problem_reply(self, problem: Problem, number: int) -> HttpReply:
        """An error as a whole response; the edge's own statuses come as its HTML page."""
        if problem.status in _EDGE and self.request_id_header:
            return HttpReply(problem.status, _EDGE_HEADERS, _edge_page(problem.status))
        headers = (("content-type", self.json_type), *self.headers(number))
        return HttpReply(problem.status, headers, self.error_body(problem, number))

    def problem_of(self, fault: Fault | None, seen: Seen) -> Problem:
        """The error that a fault stands for."""
        if fault is None:
            return self.usual_problem()
        if fault.status is not None:
            found = self.problem(fault.status, fault.retry_after)
        else:
            found = self.named(fault.kind, str(seen.fields.get("model")), fault.retry_after)
        if fault.type is not None:
            found = replace(found, type=fault.type)
        if fault.message is not None:
            found = replace(found, message=fault.message)
        if not isinstance(fault.code, EllipsisType):
            found = replace(found, code=fault.code)
        return found

    def fault_reply(self, fault: Fault, seen: Seen) -> HttpReply:
        """An HTTP error as a whole response, with what the fault says about headers and body."""
        reply = self.problem_reply(self.problem_of(fault, seen), seen.number)
        headers = reply.headers
        if fault.body is not None:
            headers = (("content-type", _guess_type(fault.body)), *self.headers(seen.number))
            reply = replace(reply, body=fault.body)
        given = fault.headers
        if fault.retry_after is not None:
            given = (("retry-after", _seconds(fault.retry_after)), *given)
        replaced = {name.lower() for name, _ in given}
        kept = tuple(pair for pair in headers if pair[0].lower() not in replaced)
        return replace(reply, headers=(*kept, *given))


_EDGE = frozenset({520, 521, 522, 523, 524, 525, 526, 527, 530})
_EDGE_HEADERS: Headers = (
    ("content-type", "text/html; charset=UTF-8"),
    ("server", "cloudflare"),
    ("cf-ray", "8f00000000000000-ZRH"),
)


def _edge_page(status: int) -> bytes:
    title = f"{status}: Web server is returning an unknown error"
    return (
        f"<!DOCTYPE html>\n<html><head><title>{title}</title></head>"
        f"<body><h1>Error {status}</h1><p>cloudflare</p></body></html>\n"
    ).encode()


def _guess_type(body: bytes) -> str:
    first = body.lstrip()[:1]
    if first == b"<":
        return "text/html; charset=utf-8"
    return "application/json" if first in (b"{", b"[") else "text/plain; charset=utf-8"


def _seconds(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return str(int(value)) if value == int(value) else repr(value)


def go_duration(value: float | str | None) -> str:
    """Seconds as OpenAI writes them in its messages: `20ms`, `1.2s`, `6m0s`.

    Args:
        value: seconds; None, or a string that is no number, is a short default.

    Returns:
        The text.
    """
    if value is None or isinstance(value, str):
        return "20ms"
    if value < 1:
        return f"{round(value * 1000)}ms"
    minutes, rest = divmod(value, 60)
    return f"{int(minutes)}m{rest:g}s" if minutes else f"{rest:g}s"

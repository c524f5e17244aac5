"""Codec: how to say a request in a provider's words, and how to understand its answer. No I/O, no clock, no keys.

A codec is pure, so that it can be tested with byte literals, and so that one codec serves every transport. What all
protocols have in common stands here: the steps of a codec, those of one that speaks JSON over HTTP, and the life of a
stream decoder.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from ..pipeline import Chunk, InvalidParameters, Problem, ProviderError, Reply, Request, TruncatedStream, Unavailable
from .classify import classify_event, classify_response
from .params import Schema
from .rule import Rule
from .shapes import any_json, refuse_infinite, to_json, unsayable
from .written import Written, forget, keep, known, take

__all__ = ["Codec", "Headers", "HttpCall", "HttpCodec", "ProcessCall", "StreamDecoder", "WireCall", "in_stream"]

T = TypeVar("T")
Headers = Mapping[str, str]

_SHORT = 100_000  # bytes of a body


class WireCall(Protocol):
    """What a codec makes of a request and a transport sends: an HttpCall, a ProcessCall.

    Attributes:
        changes: what the codec did to the caller's parameters, by name, in words.
    """

    @property
    def changes(self) -> Mapping[str, str]: ...


C = TypeVar("C", bound=WireCall)


@dataclass(frozen=True, slots=True)
class HttpCall:
    """One HTTP request, ready to be sent; keys are added by the transport.

    Args:
        path: what is appended to the base URL.
        headers: what the protocol asks for; the transport adds its own.
        body: the JSON text; never shown, it holds the prompt.
        stream: whether a stream is expected.
        changes: what the codec did to the caller's parameters, by name, in words.
    """

    path: str
    headers: Headers
    body: bytes = field(repr=False)
    stream: bool = False
    changes: Mapping[str, str] = field(default_factory=dict)
    method: str = "POST"


@dataclass(frozen=True, slots=True)
class ProcessCall:
    """One run of a program.

    Args:
        arguments: those of the command line, without the program; never shown, they hold what the caller wrote.
        prompt: its input; never shown.
        stops: texts at the first of which its answer is over, in UTF-8; none may be empty.
        stream: whether a stream is expected; the program writes as it goes in either case.
        changes: what the codec did to the caller's parameters, by name, in words.
    """

    arguments: tuple[str, ...] = field(repr=False)
    prompt: bytes = field(repr=False)
    stops: tuple[bytes, ...] = field(default=(), repr=False)
    stream: bool = False
    changes: Mapping[str, str] = field(default_factory=dict)


class Codec(ABC, Generic[C]):
    """One protocol. Immutable; one codec serves all threads.

    Attributes:
        provider: the protocol's owner, as classifiers and schemas know it: "openai", "claude", "ollama".
        label: its name for people.
        schema: the parameters that it takes.
        rules: what errors mean in the caller's eyes; they go before those of the tables.
    """

    provider: str
    label: str
    schema: Schema
    rules: Sequence[Rule] = ()

    def check(self, request: Request) -> tuple[Problem, ...]:
        """Everything that is wrong with the request, found without sending it; empty if it may be sent."""
        problems = self.schema.check(request.params, request.model)
        # What is wrong by itself is left out of the rest, which relies on good values.
        request = _without(request, problems)
        try:
            self._try(request)
        except InvalidParameters as error:
            problems += error.problems
            known = {problem.parameter for problem in problems}
            infinite = unsayable(_without(request, problems).params, request.messages)
            problems += tuple(problem for problem in infinite if problem.parameter not in known)
        return problems

    def _try(self, request: Request) -> None:
        """Raises InvalidParameters if the request cannot be said."""
        self.encode(request)

    @abstractmethod
    def encode(self, request: Request) -> C:
        """Says the request in the provider's words.

        Raises:
            InvalidParameters: if it cannot be said.
        """

    @abstractmethod
    def decode(self, status: int, headers: Headers, body: bytes) -> Reply:
        """Understands a whole answer.

        Raises:
            ProviderError: of the class that the answer means, if it is an error or makes no sense.
        """

    def streams(self, headers: Headers) -> bool:
        """Whether what arrives is a stream, if one was asked for."""
        return True

    @abstractmethod
    def decoder(self) -> StreamDecoder:
        """A decoder for one stream."""


class HttpCodec(Codec[HttpCall]):
    """A protocol of JSON over HTTP.

    Attributes:
        path: what is appended to the base URL.
    """

    path: ClassVar[str]

    def check(self, request: Request) -> tuple[Problem, ...]:
        """Everything that is wrong with the request, found without sending it; empty if it may be sent."""
        if not request.under_way:
            return super().check(request)
        if known(self, request):
            return ()
        problems = super().check(request)
        if problems:
            forget(request)
        return problems

    def encode(self, request: Request) -> HttpCall:
        """Says the request in the provider's words.

        Raises:
            InvalidParameters: if it cannot be said, or not in JSON.
        """
        kept = take(self, request) if request.under_way else None
        body, changes = self._written(request) if kept is None else (kept.body, kept.changes)
        return HttpCall(self.path, self.headers(request.stream), body, request.stream, changes)

    def _try(self, request: Request) -> None:
        body, changes = self._written(request)
        if request.under_way:
            keep(Written(self, request, body, changes))

    def _written(self, request: Request) -> tuple[bytes, Mapping[str, str]]:
        body, changes = self.body(request)
        try:
            data = to_json(body)
        except InvalidParameters:
            refuse_infinite(request.params, request.messages)  # which can say where it is
            raise
        # The encoder writes NaN and infinities as null, among others. To search a short body for it is faster than to
        # walk through all values; a long one is long because of its texts, which a walk passes by.
        if len(data) > _SHORT or b"null" in data:
            refuse_infinite(request.params, request.messages)
        return data, changes

    def decode(self, status: int, headers: Headers, body: bytes) -> Reply:
        if not 200 <= status < 300:
            raise self.meaning(status, headers, body) or Unavailable(status=status)
        try:
            return self.reply(body)
        except TruncatedStream:
            raise
        except ProviderError as error:
            # A 200 may hold an error, or the page of some proxy: the classifier knows them better.
            raise (self.meaning(status, headers, body) or error) from None

    def meaning(self, status: int, headers: Headers, body: bytes) -> ProviderError | None:
        """What the classifier says of a whole answer; None if it is a good one."""
        return classify_response(self.provider, status, headers, body, rules=self.rules)

    def streams(self, headers: Headers) -> bool:
        """Whether a 200 is a stream, if one was asked for: some servers cannot and send JSON, some proxies a page."""
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        return kind not in ("application/json", "text/html")

    @abstractmethod
    def headers(self, stream: bool) -> Headers:
        """The headers that the protocol asks for."""

    @abstractmethod
    def body(self, request: Request) -> tuple[dict[str, Any], Mapping[str, str]]:
        """The request as JSON data, and what was done to the caller's parameters.

        Raises:
            InvalidParameters: if the protocol has no words for it.
        """

    @abstractmethod
    def reply(self, body: bytes) -> Reply:
        """The reply in the body of a 200.

        Raises:
            ProviderError: with reason "malformed_response" if there is none in it, whatever the cause.
        """


def _without(request: Request, problems: Iterable[Problem]) -> Request:
    wrong = {problem.parameter for problem in problems}
    if not wrong:
        return request
    return request.replace(
        params={name: value for name, value in request.params.items() if isinstance(name, str) and name not in wrong}
    )


class _Framing(Protocol[T]):
    def feed(self, data: bytes) -> list[T]: ...
    def flush(self) -> list[T]: ...


class StreamDecoder(ABC):
    """Understands one stream: bytes in, chunks out. Not thread-safe.

    Attributes:
        done: the protocol's own end has come; nothing that follows belongs to the answer.
        error: what the provider reported in the stream, or what made it unreadable. The chunks that came before
            it are handed out first; there are none after it.
    """

    __slots__ = ("_framing", "done", "error")

    def __init__(self, framing: _Framing[Any]) -> None:
        self._framing = framing
        self.done = False
        self.error: ProviderError | None = None

    def feed(self, data: bytes) -> list[Chunk]:
        """Takes the next bytes, any number of them; returns the chunks that became complete."""
        chunks: list[Chunk] = []
        if self.done or self.error is not None:
            return chunks
        try:
            for frame in self._framing.feed(data):
                self._take(frame, chunks)
                if self.done:
                    break
        except ProviderError as error:
            self.error = error
        return chunks

    def end(self) -> list[Chunk]:
        """Says that the connection has ended. A last frame without its end counts if it proves the end, or an error."""
        last: list[Chunk] = []
        if self.done or self.error is not None:
            return last
        try:
            for frame in self._framing.flush():
                self._take(frame, last)
        except ProviderError as error:
            if error.reason != "malformed_response":  # the frame was cut, and the stream with it
                self.error = error
            return []
        return last if self.done or any(chunk.finish_reason for chunk in last) else []

    @abstractmethod
    def _take(self, frame: Any, chunks: list[Chunk]) -> None:
        """Understands one frame; appends to `chunks`, sets `done`, or raises a ProviderError."""


def in_stream(provider: str, data: bytes, rules: Sequence[Rule]) -> ProviderError:
    """The error that an event of a stream reports."""
    return classify_event(provider, any_json(data), rules=rules) or Unavailable(reason="upstream")

"""Resuming: what a Fallback does about a stream that breaks off after its first token, if it was asked to do anything.

    raise       the error, with what came in `partial`
    restart     the next route is asked the same; the chunk that is marked `restarted` voids what came before it
    continue    the next route that `continues` is given the text so far as the assistant's last message, and goes on
                with it; the chunk from which on it does is marked `continued`

Whatever is done is told in the chunk, and in the reply's `changes["stream"]`. The walk along the routes goes on as
after any failure: the loss is raised in it where it handed the answer over, so the same eligibility, deadline and cap
hold. There is one difference: a route that broke off after its first token has answered, so it may well do so again. It
goes to the end of the routes that wait, and so the next route may be the same one, if the error's class may be repeated
as long as tries are left and needs no wait (UNAVAILABLE, without a Retry-After), and no router further out has other
routes to try.

The error is raised in every mode once a fragment of a tool call was handed on, for somebody may have begun to act on
it; and when the finish reason has come. With "continue" also where there is no text to go on with (nothing but
reasoning or white space, or a refusal), and where the caller wants the answer in an enforced form such as JSON: a
provider enforces it from the first character on, and would begin a second document. A limit such as `max_tokens` holds
for each answer by itself.

The caller holds one reply. Its chunks come from the replies of one route after another: each of them settles the layers
of its route at its own end, and the one that the caller holds settles the layers of the call, once, at the real end.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Sequence
from itertools import takewhile
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

from ..pipeline import AsyncReply, Chunk, ProviderError, Reply, Request, Route, Steps, StreamResumed, Via
from ..pipeline.layer import adrive, drive

__all__ = ["Answer", "AsyncResumed", "MidStream", "Resumed", "Walk", "check_mid_stream", "resumable"]

MidStream: TypeAlias = Literal["raise", "restart", "continue"]
"""What to do when a stream breaks off after its first token."""

# Parameters that enforce the form of the whole answer, by their names at the providers.
_ENFORCING = ("response_format", "format", "grammar", "json_schema")


class Answer(NamedTuple):
    """What a walk hands over: a reply, and the name of the route it comes from."""

    route: str
    reply: Reply


Walk: TypeAlias = Generator[Via | Answer, Any, Reply]
"""A walk along routes that goes on when what it handed over breaks off."""


def check_mid_stream(mode: MidStream, routes: Sequence[Route]) -> MidStream:
    """The mode itself, if there is such a one and the routes can do it.

    Raises:
        ValueError: if not.
    """
    if mode not in get_args(MidStream):
        raise ValueError(f"mid_stream must be one of {', '.join(get_args(MidStream))}, not {mode!r}")
    if mode == "continue" and not any(route.continues for route in routes):
        raise ValueError("mid_stream='continue' needs a route that can do so: say Route(..., continues=True)")
    return mode


def resumable(walk: Walk, request: Request, mode: MidStream) -> Steps:
    """The steps to the first answer; it goes on with the next one when it breaks off."""
    answer: Any = yield from _to_the_next(walk, None, request)
    if answer.reply.outcome is not None:  # whole: nothing can break off any more
        return answer.reply  # type: ignore[no-any-return]
    if isinstance(answer.reply, AsyncReply):
        return AsyncResumed.over(_AsyncRelay(walk, request, mode, answer))
    return Resumed.over(_Relay(walk, request, mode, answer))


def _to_the_next(walk: Walk, loss: ProviderError | None, request: Request) -> Steps:
    """The steps of the walk to its next answer, which is returned; they send `request` in place of the walk's own."""
    try:
        effect = next(walk) if loss is None else walk.throw(loss)
        while not isinstance(effect, Answer):
            try:
                reply = yield Via(effect.route, request)
            except BaseException as error:  # noqa: BLE001 - the walk decides what to make of it
                effect = walk.throw(error)
            else:
                effect = walk.send(reply)
        return effect  # type: ignore[return-value]
    finally:
        del loss  # its traceback has this frame


class Resumed(Reply):
    """The reply that the caller holds. What it has accumulated begins anew where an answer does."""

    __slots__ = ()
    _events: _Relay

    @classmethod
    def over(cls, relay: _Relay) -> Resumed:
        """A reply whose chunks come from the relay."""
        self = cls._arriving(relay, "", "")
        self._turn()
        first = _taken(relay.reply)
        self._absorb(first)
        self._held.append(first)
        return self

    def _turn(self) -> None:
        """Takes over what a new answer tells of itself; what it counted and signed is its own alone."""
        reply = self._events.reply
        self.provider, self.model, self.id = reply.provider, reply.model, reply.id
        self.attempts, self.changes = reply.attempts, reply.changes
        self.status, self._request_id = reply.status, reply._request_id
        self.usage, self.reasoning_details = None, ()

    def _absorb(self, chunk: Chunk) -> None:
        if told := chunk.restarted or chunk.continued:
            if chunk.restarted:
                self._text, self._reasoning, self._calls, self._refusal, self.logprobs = [], [], {}, "", ()
            earlier = self.changes.get("stream")
            self._turn()
            self.changes = {**self.changes, "stream": f"{earlier}; {told}" if earlier else told}
        super()._absorb(chunk)

    def _over(self, error: BaseException | None) -> BaseException | None:
        if isinstance(error, ProviderError):
            error.partial = self.partial  # of all routes together, as the caller has seen it
        return super()._over(error)

    def _run_settles(self) -> None:
        self._events.close()  # the layers of the route come before those of the call
        self.usage = self._events.reply.usage  # which may have put a price into it
        super()._run_settles()


class AsyncResumed(Resumed, AsyncReply):
    """The same for asyncio."""

    __slots__ = ()


class _Relay:
    """The chunks of one answer after another, as those of one stream."""

    __slots__ = ("_ahead", "_dropped", "_mode", "_request", "_route", "_said", "_walk", "reply")

    _walk: Walk | None
    _request: Request | None

    def __init__(self, walk: Walk, request: Request, mode: MidStream, first: Answer) -> None:
        self._walk = walk
        self._request = request
        self._mode = mode
        self._route, self.reply = first
        self._said = ""  # by the answers before this one
        self._ahead = ""  # the white space at its end, which this answer was not shown and will say again
        self._dropped = 0  # how much of that it has said by now

    def __next__(self) -> Chunk:
        if self.reply.outcome is not None:  # a whole answer, which was one chunk; or it was closed
            raise StopIteration
        try:
            return self._fitting(next(self.reply))
        except ProviderError as error:
            loss = error
        try:
            walk, request = self._walk, self._next_request()
            if walk is None or request is None:
                raise loss
            answer: Any = drive(_to_the_next(walk, loss, request), None, request)
            return self._taken_up(answer, request)
        finally:  # the error's traceback holds this frame: if that held the error, only a collection would free both
            del self, loss

    def close(self) -> None:
        """Ends the answer that is under way, and the walk with it, unless a thread is just going on with that."""
        self._walk = self._request = None  # whoever keeps the reply does not keep the prompt
        self.reply.close()

    def _next_request(self) -> Request | None:
        """What the next route is to be asked; None if none may be."""
        request, so_far = self._request, self.reply.partial
        if request is None or so_far.tool_calls or self.reply.finish_reason is not None:
            return None
        if self._mode == "restart":
            return request
        said = self._said + so_far.text[self._dropped :]
        shown = said.rstrip()  # Claude refuses white space at the end of what it is to continue
        if not shown or so_far.refusal or any(request.params.get(name) for name in _ENFORCING):
            return None
        self._said, self._ahead, self._dropped = said, said[len(shown) :], 0
        return _continuing(request, shown)

    def _taken_up(self, answer: Answer, request: Request) -> Chunk:
        """The first chunk of the next answer, marked."""
        lost, (self._route, self.reply) = self._route, answer
        request.call.emit(StreamResumed(lost, answer.route, self._mode))
        chunk = self._fitting(_taken(self.reply))
        where = f"on route {self._route!r} after route {lost!r} broke off"
        if self._mode == "restart":
            return dataclasses.replace(chunk, restarted=f"begun anew {where}")
        return dataclasses.replace(chunk, continued=f"continued {where}")

    def _fitting(self, chunk: Chunk) -> Chunk:
        """The chunk without the white space that was handed on already."""
        if chunk.restarted and self._said:  # by a router inside: this part of the answer alone
            self._said, self._ahead, self._dropped = self._said.rstrip(), "", 0
            return dataclasses.replace(chunk, text=self._said + chunk.text)
        if not (self._ahead and chunk.text):
            return chunk
        again = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(self._ahead, chunk.text, strict=False))))
        self._dropped += again
        self._ahead = self._ahead[again:] if again == len(chunk.text) else ""
        return dataclasses.replace(chunk, text=chunk.text[again:])


class _AsyncRelay(_Relay):
    """The same for asyncio."""

    __slots__ = ()

    async def __anext__(self) -> Chunk:
        if self.reply.outcome is not None:
            raise StopAsyncIteration
        try:
            return self._fitting(await anext(self.reply))  # type: ignore[call-overload]  # an AsyncReply
        except ProviderError as error:
            loss = error
        try:
            walk, request = self._walk, self._next_request()
            if walk is None or request is None:
                raise loss
            answer: Any = await adrive(_to_the_next(walk, loss, request), None, request)
            return self._taken_up(Answer(answer.route, AsyncReply.of(answer.reply)), request)
        finally:  # as in _Relay
            del self, loss

    async def aclose(self) -> None:
        """As `close`, and frees the connection of the answer that is under way."""
        self.close()
        if isinstance(self.reply, AsyncReply):
            await self.reply._aclose_events()


def _taken(reply: Reply) -> Chunk:
    """All that has arrived of an answer, as one chunk; what it held back is part of it."""
    if reply.outcome is None:
        reply._held.clear()
    return reply._as_chunk()


def _continuing(request: Request, said: str) -> Request:
    """The request with what was said as the assistant's last message; one that it ended with already is prolonged."""
    *before, last = request.messages
    if last["role"] != "assistant":
        message: dict[str, Any] = {"role": "assistant", "content": said}
        return request.replace(messages=(*request.messages, message))
    begun = last.get("content") or ""
    content = begun + said if isinstance(begun, str) else [*begun, {"type": "text", "text": said}]
    return request.replace(messages=(*before, {**last, "content": content}))

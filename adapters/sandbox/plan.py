"""What a step of the script means on the wire: a sequence of four actions.

Head, Body, Pause, End: a plan says what is sent, when, and how it ends, but touches no socket. The
connection only carries it out. So every fault can be read, and tested, as a list.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from .answer import Answer
from .dialect import Dialect, Event, Headers, HttpReply, break_json
from .fault import Fault
from .seen import Seen

_LOGIN_PAGE = (
    b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head>"
    b'<body><h1>Sign in to continue</h1><form method="post" action="/login"></form></body></html>\n'
)


@dataclass(frozen=True, slots=True)
class Head:
    """Send the status line and headers. `length` None: the body's length is not known beforehand."""

    status: int
    headers: Headers
    length: int | None = None


@dataclass(frozen=True, slots=True)
class Body:
    """Send bytes of the body, in one write."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Pause:
    """Send nothing for some seconds; None is for ever."""

    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class End:
    """End the response: properly (`clean`), by dropping the connection, or by resetting it.

    `keep` False closes the connection after a clean end, too.
    """

    how: Literal["clean", "close", "reset"] = "clean"
    keep: bool = True


Action = Head | Body | Pause | End


def reply_plan(reply: HttpReply) -> Iterator[Action]:
    """The plan of a whole response, sent at once."""
    yield Head(reply.status, reply.headers, len(reply.body))
    yield Body(reply.body)
    yield End()


class Planner:
    """Makes the plan for one request.

    Args:
        dialect: the protocol to speak.
        seen: the request.
        default: the answer that faults act on if they bring none.
    """

    def __init__(self, dialect: Dialect, seen: Seen, default: Answer) -> None:
        self._dialect = dialect
        self._seen = seen
        self._default = default
        self._streams = dialect.streams(seen)

    def plan(self, step: Answer | Fault) -> Iterator[Action]:
        """What to do for one step of the script.

        Args:
            step: a good answer or a fault.

        Returns:
            The actions in order. The last one is an End, or a Pause without an end.
        """
        if isinstance(step, Answer):
            return self._good(step)
        if step.is_error:
            return reply_plan(self._dialect.fault_reply(step, self._seen))
        return self._fault(step)

    def _good(self, answer: Answer) -> Iterator[Action]:
        if answer.delay:
            yield Pause(answer.delay)
        if self._streams:
            yield from self._send(self._events(answer))
        else:
            yield from reply_plan(self._reply(self._dialect.complete(self._seen, answer)))

    def _fault(self, fault: Fault) -> Iterator[Action]:
        answer = fault.answer or self._default
        after = fault.after or 0
        match fault.kind:
            case "slow_first_byte":
                yield Pause(fault.seconds)
                yield from self.plan(fault.then or self._default)
            case "drip":
                yield from _drip(self.plan(fault.then or self._default), fault.interval or 0.0)
            case "reset" | "disconnect":
                yield End("reset" if fault.kind == "reset" else "close")
            case "hang":
                yield Pause()
            case "pings":
                yield from self._pings(fault.interval or 0.0)
            case "html":
                headers = (("content-type", "text/html; charset=utf-8"),)
                yield from reply_plan(HttpReply(200, headers, _LOGIN_PAGE))
            case "empty":
                yield from self._send([]) if self._streams else reply_plan(self._reply(b""))
            case "error_in_200":
                yield from self._error_in_200(fault)
            case "error_event":
                yield from self._error_event(fault, answer, after)
            case "no_terminator":
                yield from self._no_terminator(answer)
            case "malformed":
                yield from self._malformed(answer, after)
            case "stall":
                yield from self._broken_off(answer, after, Pause())
            case "cut":
                yield from self._broken_off(answer, after, End(fault.how or "close"))
            case kind:
                raise ValueError(f"there is no fault called {kind!r}; use the functions of the module faults")

    def _events(self, answer: Answer) -> list[Event]:
        return self._dialect.stream(self._seen, answer)

    def _reply(self, body: bytes) -> HttpReply:
        headers = (("content-type", self._dialect.json_type), *self._dialect.headers(self._seen.number))
        return HttpReply(200, headers, body)

    def _stream_head(self) -> Head:
        headers = (("content-type", self._dialect.stream_type), ("cache-control", "no-cache"))
        return Head(200, (*headers, *self._dialect.headers(self._seen.number)))

    def _send(self, events: Iterable[Event], end: Action = End()) -> Iterator[Action]:
        yield self._stream_head()
        for event in events:
            yield Body(event.data)
        yield end

    def _pings(self, interval: float) -> Iterator[Action]:
        if not self._streams:
            yield Pause()
            return
        yield self._stream_head()
        while True:
            yield Body(self._dialect.ping)
            yield Pause(interval)

    def _error_in_200(self, fault: Fault) -> Iterator[Action]:
        problem = self._dialect.problem_of(fault.error, self._seen)
        if self._streams:
            data = self._dialect.error_event(problem, self._seen)
            yield from self._send([Event(data, "content")])
        else:
            yield from reply_plan(self._reply(self._dialect.error_body(problem, self._seen.number)))

    def _error_event(self, fault: Fault, answer: Answer, after: int) -> Iterator[Action]:
        problem = self._dialect.problem_of(fault.error, self._seen)
        if not self._streams:
            if fault.error is not None:
                yield from reply_plan(self._dialect.fault_reply(fault.error, self._seen))
            else:
                yield from reply_plan(self._dialect.problem_reply(problem, self._seen.number))
            return
        data = self._dialect.error_event(problem, self._seen)
        events = [*_beginning(self._events(answer), after), Event(data, "content")]
        yield from self._send(events, End(keep=False))

    def _no_terminator(self, answer: Answer) -> Iterator[Action]:
        if self._streams:
            yield from self._send(event for event in self._events(answer) if event.kind != "end")
        else:
            yield from self._good(answer)

    def _malformed(self, answer: Answer, after: int) -> Iterator[Action]:
        if not self._streams:
            yield from reply_plan(self._reply(_half(self._dialect.complete(self._seen, answer))))
            return
        events = self._events(answer)
        contents = [place for place, event in enumerate(events) if event.kind == "content"]
        if not contents:  # an answer without content has nothing but frames; the first one with JSON is broken then
            contents = [next(place for place, event in enumerate(events) if b"{" in event.data)]
        victim = contents[min(after, len(contents) - 1)]
        events[victim] = Event(break_json(events[victim].data), events[victim].kind)
        yield from self._send(events)

    def _broken_off(self, answer: Answer, after: int, end: Pause | End) -> Iterator[Action]:
        if self._streams:
            yield from self._send(_beginning(self._events(answer), after), end)
            return
        reply = self._reply(self._dialect.complete(self._seen, answer))
        # A clean end of half a body cannot announce a length that it then does not reach.
        clean = isinstance(end, End) and end.how == "clean"
        yield Head(200, reply.headers, None if clean else len(reply.body))
        yield Body(_half(reply.body))
        yield end


def _beginning(events: list[Event], after: int) -> list[Event]:
    """The stream up to and with its n-th content event; for 0, all that comes before the first.

    What closes a stream is never among it, even if it has fewer content events.
    """
    kept: list[Event] = []
    count = 0
    for event in events:
        if event.kind in ("finish", "usage", "end") or (event.kind == "content" and count == after):
            break
        count += event.kind == "content"
        kept.append(event)
        if after and count == after:
            break
    return kept


def _half(body: bytes) -> bytes:
    return body[: len(body) // 2]


def _drip(actions: Iterator[Action], interval: float) -> Iterator[Action]:
    for action in actions:
        if isinstance(action, Body):
            for place in range(len(action.data)):
                yield Body(action.data[place : place + 1])
                yield Pause(interval)
        else:
            yield action

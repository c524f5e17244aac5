"""Reply: what came back, whole or still arriving.

One type serves both modes, so that a layer never asks which one it has. What a layer wants to do when the
answer is over (close a span, settle a breaker) it registers with `on_end`; it never wraps the iterator, so a
token costs the same under one layer and under twenty.

A stream has three ways to end, and each is settled exactly once, whichever thread gets there first:

    ok      the protocol's proof of the end came: a chunk with a finish reason
    error   anything else that the provider did; `partial` has what came before
    closed  the caller gave up: close(), leaving a `with`, an interrupt, or the last reference dropped
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, Self

from .chunk import Chunk, Partial, ToolCall, ToolCallDelta, Usage, assemble
from .closing import Closing
from .complaints import complain, remark
from .dropping import dropping
from .errors import ErrorClass, ProviderError, TruncatedStream

if TYPE_CHECKING:
    from .call import Attempt

__all__ = ["Outcome", "Reply"]

# What may still go wrong once the finish reason is there, without making the answer less whole.
_AFTER_FINISH = frozenset({ErrorClass.UNAVAILABLE, ErrorClass.TIMEOUT})


class Outcome(Enum):
    """How a reply ended."""

    OK = "ok"
    ERROR = "error"
    CLOSED = "closed"


Settle = Callable[["Reply"], None]


class Reply(Closing):
    """What came back. A finished reply has everything; a streaming one is iterated, and has it at the end.

    Use a stream in a `with` block, or to its end; a stream that is dropped is closed, but only when Python
    gets round to it.

        with stack(Request("gpt-4o", "Why is the sky blue?", stream=True)) as reply:
            for chunk in reply:
                print(chunk.text, end="")

    Attributes:
        provider, model, id: who answered, as what, and the provider's id of the answer.
        finish_reason: "stop", "length", "tool_calls", "content_filter" or "unknown"; None until it ends.
        native_finish_reason: the provider's own word for it.
        usage: tokens, or None if the provider told none.
        logprobs: a mapping for each token, in OpenAI's shape, if they were asked for and have arrived.
        reasoning_details: pieces of the reasoning as the provider wants them back; `message` has them.
        changes: what was done to the caller's parameters on the way, by name, in words; "stream" is one that broke off.
        status: of the HTTP response, or None where there is none.
        attempts: every attempt of the call, this one included.
        outcome, error: how the reply ended; None while it is arriving.
    """

    __slots__ = (
        "__weakref__",
        "_calls",
        "_events",
        "_held",
        "_raw",
        "_reasoning",
        "_refusal",
        "_request_id",
        "_settles",
        "_text",
        "_unsettled",
        "attempts",
        "changes",
        "error",
        "events_seen",
        "finish_reason",
        "id",
        "logprobs",
        "model",
        "native_finish_reason",
        "outcome",
        "provider",
        "reasoning_details",
        "status",
        "usage",
    )

    _held: deque[Chunk]  # what arrived before the reply was handed out
    _settles: deque[Settle]
    _unsettled: list[bool]

    def __init__(
        self,
        text: str = "",
        *,
        reasoning: str = "",
        tool_calls: Sequence[ToolCall] = (),
        finish_reason: str | None = "stop",
        native_finish_reason: str | None = None,
        usage: Usage | None = None,
        provider: str = "",
        model: str = "",
        id: str = "",  # noqa: A002 - the field's own name on every wire
        raw: Callable[[], Any] | None = None,
        changes: Mapping[str, str] | None = None,
        refusal: str = "",
        logprobs: Sequence[Mapping[str, Any]] = (),
        reasoning_details: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """Builds a finished reply; `Reply.stream` builds one that is still arriving.

        Args:
            raw: gives the provider's own answer when asked; the other arguments are attributes.
        """
        self._text: Any = text
        self._reasoning: Any = reasoning
        self._calls: Any = tool_calls
        self._refusal = refusal
        self.logprobs = logprobs
        self.reasoning_details = reasoning_details
        self.finish_reason = finish_reason
        self.native_finish_reason = native_finish_reason
        self.usage = usage
        self.provider = provider
        self.model = model
        self.id = id
        self.changes = changes or {}
        self.attempts: Sequence[Attempt] = ()
        self.outcome: Outcome | None = Outcome.OK
        self.error: BaseException | None = None
        self.events_seen = 0
        self.status: int | None = None
        self._request_id: Callable[[], str | None] | None = None
        self._raw = raw
        self._events: Any = None

    # -- building a stream ---------------------------------------------------------------------------------

    @classmethod
    def stream(cls, events: Iterator[Chunk], *, provider: str = "", model: str = "") -> Self:
        """A reply that is still arriving, made once the first meaningful chunk is in hand.

        Whatever fails before that chunk is raised here, so that a retry or a fallback can still help.

        Args:
            events: the chunks, the last of them with a finish reason. Its `close()`, if it has one, is called
                when the reply ends.
            provider: who answers.
            model: as what, until a chunk says better.

        Raises:
            TruncatedStream: if the chunks end before anything meaningful came.
            ProviderError: whatever the chunks raise.
        """
        self = cls._arriving(iter(events), provider, model)
        try:
            while True:
                chunk = next(self._events)
                self._absorb(chunk)
                if chunk.meaningful:
                    self._held.append(chunk)
                    return self
        except StopIteration:
            error = self._over(None)
        except BaseException as raised:  # noqa: BLE001 - every exit must close the connection; it is raised again
            error = self._over(raised)
        self._close_events()
        assert error is not None  # no chunk brought a finish reason, so the end was no good end
        try:
            raise error
        finally:  # the error's traceback holds this frame: if that held the error, only a collection would free both
            del self, error

    @classmethod
    def _arriving(cls, events: Any, provider: str, model: str) -> Self:
        self = cls(finish_reason=None, provider=provider, model=model)
        self._text, self._reasoning, self._calls = [], [], {}
        self._events = events
        self._held = deque()
        self._settles = deque()
        self._unsettled = [True]
        self.outcome = None
        return self

    # -- settlement ----------------------------------------------------------------------------------------

    def on_end(self, settle: Settle) -> None:
        """Has `settle(reply)` called exactly once when the reply is over; at once if it is over already.

        Callbacks run in order of registration, inner layers first, in the thread that ends the reply. One that
        raises is logged; the others still run. It may be a garbage collection that ends the reply: a
        callback must not wait for a lock.
        """
        if self._events is None:
            _run(settle, self)
            return
        self._settles.append(settle)
        if self.outcome is not None:  # ended by another thread between the two lines
            self._run_settles()

    def _settle(self, outcome: Outcome, error: BaseException | None = None) -> bool:
        try:
            self._unsettled.pop()  # atomic: whoever gets it settles, nobody else does
        except IndexError:
            return False
        self.error = error
        self.outcome = outcome
        self._run_settles()
        return True

    def _run_settles(self) -> None:
        while True:
            try:
                settle = self._settles.popleft()
            except IndexError:
                return
            _run(settle, self)

    # -- what arrives --------------------------------------------------------------------------------------

    def _absorb(self, chunk: Chunk) -> None:
        self.events_seen += 1
        if chunk.text:
            self._text.append(chunk.text)
        if chunk.reasoning:
            self._reasoning.append(chunk.reasoning)
        for delta in chunk.tool_calls:
            entry = self._calls.setdefault(delta.index, ["", "", []])
            entry[0] = delta.id or entry[0]
            entry[1] = delta.name or entry[1]
            entry[2].append(delta.arguments)
        if chunk.finish_reason:
            self.finish_reason = chunk.finish_reason
            self.native_finish_reason = chunk.native_finish_reason
        if chunk.usage is not None:
            self.usage = chunk.usage
        if chunk.id:
            self.id = chunk.id
        if chunk.model:
            self.model = chunk.model
        if chunk.refusal:
            self._refusal += chunk.refusal
        if chunk.logprobs:
            self.logprobs = _longer(self.logprobs, chunk.logprobs)
        if chunk.reasoning_details:
            self.reasoning_details = _longer(self.reasoning_details, chunk.reasoning_details)

    def _truncated(self) -> TruncatedStream:
        return TruncatedStream(provider=self.provider, model=self.model)

    def _given_up(self) -> Outcome:
        # Whoever stops at the finish reason has the whole answer; what may follow is usage and a farewell.
        return Outcome.CLOSED if self.finish_reason is None else Outcome.OK

    def _over(self, error: BaseException | None) -> BaseException | None:
        """Settles after the chunks ended; gives the error that the consumer must see, if there is one."""
        if self.outcome is not None and (error is None or isinstance(error, Exception)):
            return None  # closed while it was being read: whatever the reader met is what the closing did
        if error is None and self.finish_reason is None:
            error = self._truncated()
        if self.finish_reason and isinstance(error, ProviderError) and error.error_class in _AFTER_FINISH:
            error = None  # the answer is whole; only the farewell was lost
        if isinstance(error, ProviderError):
            error.partial = error.partial or self.partial
            error.attempts = error.attempts or self.attempts
        if error is None:
            self._settle(Outcome.OK)
        elif isinstance(error, Exception):
            self._settle(Outcome.ERROR, error)
        else:
            self._settle(Outcome.CLOSED)
        return error

    # -- reading -------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Chunk]:
        return self if self._events is not None else iter((self._as_chunk(),))

    def __next__(self) -> Chunk:
        if self._events is None:
            raise TypeError("this reply is complete: iterate it with `for`, or read `.text`")
        if self.outcome is not None:
            raise StopIteration
        if self._held:
            return self._held.popleft()
        try:
            chunk: Chunk = next(self._events)
        except StopIteration:
            error = self._over(None)
        except BaseException as raised:  # noqa: BLE001 - every exit must settle; it is raised again below
            error = self._over(raised)
        else:
            self._absorb(chunk)
            if self.outcome is not None:  # closed by another thread, which could not close what was being read
                self._close_events()
            return chunk
        self._close_events()
        if error is None:
            raise StopIteration
        try:
            raise error
        finally:  # as in `stream`
            del self, error

    def read(self) -> Self:
        """Waits for the rest of the answer, so that `.text` and the others can be read; returns the reply."""
        try:
            for _ in self:
                pass
            return self
        finally:  # as in `stream`
            del self

    def close(self) -> None:
        """Gives up the rest of the answer and frees the connection. Does nothing on a reply that is over."""
        if self._events is not None and self._settle(self._given_up()):
            self._close_events()

    def __del__(self) -> None:
        if getattr(self, "_events", None) is not None and self.outcome is None:
            with dropping():
                self.close()

    def _close_events(self) -> None:
        close = getattr(self._events, "close", None)
        if close is not None:
            try:
                close()
            except Exception:  # noqa: BLE001 - the answer, or the error that ended it, matters more
                # Most likely a generator that another thread is reading: that thread closes it (`__next__`).
                remark("the end of a stream could not be closed")

    # -- the answer ----------------------------------------------------------------------------------------

    @property
    def text(self) -> str:
        """The whole text. On a stream only after its good end: a part is never taken for the whole."""
        return self._text if self._events is None else "".join(self._whole(self._text))

    @property
    def reasoning(self) -> str:
        """The model's reasoning, where the provider shows it."""
        return self._reasoning if self._events is None else "".join(self._whole(self._reasoning))

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The functions that the model wants called, in order."""
        return tuple(self._calls) if self._events is None else assemble(self._whole(self._calls))

    @property
    def refusal(self) -> str:
        """What the model said in place of an answer, where the protocol keeps that apart; "" for an answer."""
        return self._refusal if self._events is None else str(self._whole(self._refusal))

    @property
    def message(self) -> dict[str, Any]:
        """The answer as the message that goes into the conversation: OpenAI-shaped, as requests have them.

        It keeps what the provider wants back unchanged, such as the signatures of its reasoning; the codecs of
        other providers leave that out.
        """
        calls = self.tool_calls
        # No content is only allowed where something else is in its place.
        content = self.text or (None if self.refusal or calls else "")
        message: dict[str, Any] = {"role": "assistant", "content": content}
        if self.refusal:
            message["refusal"] = self.refusal
        if calls:
            message["tool_calls"] = [
                {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
                for call in calls
            ]
        if self.reasoning_details:
            message["reasoning_details"] = [dict(detail) for detail in self.reasoning_details]
        return message

    @property
    def partial(self) -> Partial:
        """What has arrived so far, whatever became of it."""
        if self._events is None:
            return Partial(self._text, self._reasoning, tuple(self._calls), self.usage, self._refusal)
        text, reasoning = "".join(self._text), "".join(self._reasoning)
        return Partial(text, reasoning, assemble(self._calls), self.usage, self._refusal)

    @property
    def spent(self) -> Usage:
        """Tokens and cost of all attempts of the call, this one and those before it; what is not known is None."""
        from .spending import spent

        return spent(self.attempts)

    @property
    def request_id(self) -> str | None:
        """The provider's id of the request, for its support and its logs; None if it told none."""
        return self._request_id() if self._request_id is not None else None

    @property
    def raw(self) -> Any:
        """The provider's own answer: decoded JSON, or a client's native object; None for a stream."""
        return self._raw() if self._raw is not None else None

    def _whole(self, parts: Any) -> Any:
        if self.outcome is Outcome.OK:
            return parts
        if self.outcome is None:
            raise RuntimeError(f"the reply is still arriving: iterate it, or call {self._read_hint} first")
        raise RuntimeError("the reply did not arrive whole: `.partial` has what came of it")

    _read_hint = "read()"

    def _as_chunk(self) -> Chunk:
        so_far = self.partial
        deltas = [ToolCallDelta(i, call.id, call.name, call.arguments) for i, call in enumerate(so_far.tool_calls)]
        return Chunk(
            so_far.text,
            so_far.reasoning,
            deltas,
            self.finish_reason,
            self.native_finish_reason,
            self.usage,
            self.id,
            self.model,
            so_far.refusal,
            tuple(self.logprobs),  # the reply's own lists grow while it arrives
            tuple(self.reasoning_details),
        )

    def __repr__(self) -> str:
        state = "arriving" if self.outcome is None else self.outcome.value
        return (
            f"<{type(self).__name__} {state} provider={self.provider!r} model={self.model!r} "
            f"finish_reason={self.finish_reason!r} usage={self.usage}>"
        )


def _longer(known: Any, more: Sequence[Any]) -> list[Any]:
    """The list with more at its end: the same one if it is a list, so that a long answer is not copied each time."""
    if isinstance(known, list):
        known.extend(more)
        return known
    return [*known, *more]


def _run(settle: Settle, reply: Reply) -> None:
    try:
        settle(reply)
    except Exception:  # noqa: BLE001 - a layer's bug must not hide the answer, nor the other layers' settlement
        complain("%r failed at the end of a reply", settle)

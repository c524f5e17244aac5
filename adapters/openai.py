"""OpenAI chat completions, and the many servers that speak like it.

Protocol: OpenAI's OpenAPI description, `POST /chat/completions`. Requests are OpenAI-shaped already, so this codec
translates little; it knows what compatible servers do differently, and takes it as it comes: usage before or after
the finish reason, chunks without choices, tool calls without an index, text in parts, a stream without `[DONE]`.
Providers with a little more of their own (OpenRouter, llama.cpp) build on this codec.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.json import Decoder

from ..pipeline import Chunk, Reply, Request, ToolCall, ToolCallDelta, Usage
from .classify import classify_event
from .codec import Headers, HttpCodec, StreamDecoder, in_stream
from .history import own_reasoning, remarks
from .mending import Menders, mended, mended_all
from .openai_request import fit_openai
from .openai_wire import Answer, Call, Choice, Message
from .params import Schema
from .rule import Rule
from .schemas import OPENAI
from .shapes import (
    any_json,
    count,
    from_json,
    id_or_new,
    malformed,
    price,
    refuse,
    texts_of,
    to_json,
    told,
    tool_arguments,
)
from .stream import SSE, Event

__all__ = ["ChatDecoder", "OpenAICodec"]

_FINISH: Mapping[str, str] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}


_ANSWER = Decoder(Answer)
_JSON: Headers = {"Content-Type": "application/json", "Accept": "application/json"}
_EVENTS: Headers = {"Content-Type": "application/json", "Accept": "text/event-stream", "Accept-Encoding": "identity"}


class OpenAICodec(HttpCodec):
    """Chat completions.

    Args:
        schema: the parameters: OpenAI's own, or those of compatible servers.
        provider: who speaks the protocol, for classifiers and replies.
        label: its name for people.
        rules: the caller's own for errors.
    """

    path = "/chat/completions"
    asks_usage = True  # without `include_usage` the API tells no usage at all for a stream
    reasoning_kinds: tuple[str, ...] = ()  # of the pieces of reasoning that go back in a conversation

    def __init__(
        self, schema: Schema = OPENAI, provider: str = "openai", label: str = "", rules: Sequence[Rule] = ()
    ) -> None:
        self.schema = schema
        self.provider = provider
        self.rules = rules
        self.label = label or ("OpenAI" if provider == "openai" else provider)

    def headers(self, stream: bool) -> Headers:
        return _EVENTS if stream else _JSON

    def body(self, request: Request) -> tuple[dict[str, Any], Mapping[str, str]]:
        messages, foreign = own_reasoning(request.messages, self.reasoning_kinds)
        body = {"model": request.model, "messages": messages, **self.schema.to_wire(request.params)}
        changes = remarks(foreign)
        if not self.schema.lenient and self.provider == "openai":
            fit_openai(body, changes)
        if "n" in body and body["n"] != 1:
            refuse("n", "`n` must be 1: a reply holds one answer; ask again for another")
        if request.stream:
            body["stream"] = True
            if self.asks_usage:
                options = body.get("stream_options")
                body["stream_options"] = {"include_usage": True, **(options if isinstance(options, Mapping) else {})}
        elif "stream_options" in body:
            refuse("stream_options", "`stream_options` is only for streams: leave it out, or set stream=True")
        return body, changes

    def reply(self, body: bytes) -> Reply:
        answer = from_json(_ANSWER, body)
        if answer.error:
            raise in_stream(self.provider, body, self.rules)
        if not answer.choices or (message := answer.choices[0].message) is None:
            raise malformed("the answer has no message")
        choice = answer.choices[0]
        reason = choice.finish_reason
        if choice.error or reason == "error":
            raise _broken(choice, self.provider, self.rules)
        return Reply(
            mended(_text(message.content)),
            refusal=mended(message.refusal or ""),
            reasoning=mended(_reasoning(message)),
            tool_calls=[
                ToolCall(id_or_new(call.id), call.asked.name or "", mended(tool_arguments(call.asked.arguments)))
                for call in message.calls
                if call.function is not None or call.custom is not None
            ],
            finish_reason=_FINISH.get(reason or "", "unknown"),
            native_finish_reason=_native(choice),
            usage=_usage(answer.usage),
            logprobs=_logprobs(choice.logprobs),
            reasoning_details=_details(message.reasoning_details),
            provider=self.provider,
            model=answer.model if isinstance(answer.model, str) else "",
            id=answer.id if isinstance(answer.id, str) else "",
            raw=lambda: any_json(body),
        )

    def decoder(self) -> StreamDecoder:
        return ChatDecoder(self.provider, self.rules)


class ChatDecoder(StreamDecoder):
    """Understands one stream of chat completion chunks."""

    __slots__ = ("_at", "_called", "_ids", "_last", "_mend", "_named", "_provider", "_rules")

    def __init__(self, provider: str, rules: Sequence[Rule] = ()) -> None:
        super().__init__(SSE())
        self._provider = provider
        self._rules = rules
        self._mend = Menders()
        self._named = False  # whether the answer's id and model were told
        self._ids: list[str] = []  # of the tool calls, in the order in which they began
        self._called: set[int] = set()  # the tool calls whose function was named
        self._at: dict[int, int] = {}  # the server's index -> the number of the call that it means now
        self._last = -1  # the call that a fragment without an index belongs to

    def _take(self, frame: Event, chunks: list[Chunk]) -> None:
        name, data = frame
        if name == "error":
            raise in_stream(self._provider, data, self._rules)
        if not data.startswith(b"{"):
            self._take_odd(data, chunks)
            return
        answer = from_json(_ANSWER, data)
        if answer.error:
            raise in_stream(self._provider, data, self._rules)
        if not answer.choices and answer.usage is None:
            # It says nothing of an answer; servers have more than one way to say an error.
            error = classify_event(self._provider, any_json(data), rules=self._rules)
            if error is not None:
                raise error
        chunk = Chunk()
        for choice in answer.choices or ():
            if choice.error:
                raise _broken(choice, self._provider, self._rules)
            if choice.index:  # another answer of n > 1, which was not asked for
                continue
            if choice.delta is not None:
                self._change(choice.delta, chunk)
            if choice.logprobs:
                chunk.logprobs = _logprobs(choice.logprobs)
            reason = choice.finish_reason
            if reason:
                if reason == "error":
                    raise _broken(choice, self._provider, self._rules)
                chunk.finish_reason = _FINISH.get(reason, "unknown")
                chunk.native_finish_reason = _native(choice)
                self._finish(chunk)
        if answer.usage is not None:
            chunk.usage = _usage(answer.usage)
        if not self._named and answer.id:
            self._named = True
            chunk.id = answer.id if isinstance(answer.id, str) else None
            chunk.model = answer.model if isinstance(answer.model, str) else None
        chunks.append(chunk)

    def _take_odd(self, data: bytes, chunks: list[Chunk]) -> None:
        stripped = data.strip()
        if stripped == b"[DONE]":
            self.done = True
        elif stripped.startswith(b"{"):
            self._take(("", stripped), chunks)
        elif stripped:
            # null, a number or a list says nothing, and is skipped; what is no JSON at all is an error.
            any_json(stripped)

    def _change(self, delta: Message, chunk: Chunk) -> None:
        if delta.content:
            chunk.text = self._mend.text(_text(delta.content))
        if delta.refusal:
            chunk.refusal = self._mend.refusal(delta.refusal)
        if delta.reasoning_content or delta.reasoning:
            chunk.reasoning = self._mend.reasoning(_reasoning(delta))
        if delta.tool_calls or delta.function_call:
            chunk.tool_calls = [part for call in delta.calls if (part := self._fragment(call)) is not None]

    def _finish(self, chunk: Chunk) -> None:
        """Completes the chunk that has the finish reason."""
        self._mend.finish(chunk)
        for number, known in enumerate(self._ids):
            if not known:
                self._ids[number] = id_or_new(None)
                chunk.tool_calls = (*chunk.tool_calls, ToolCallDelta(number, self._ids[number]))

    def _fragment(self, call: Call) -> ToolCallDelta | None:
        number = self._number(call)
        asked = call.asked
        arguments = self._mend.arguments(number, tool_arguments(asked.arguments))
        if not (call.id or asked.name or arguments):
            return None  # it moves nothing on, so it must not count as a sign of progress
        return ToolCallDelta(number, call.id or "", asked.name or "", arguments)

    def _number(self, call: Call) -> int:
        """Which call a fragment belongs to.

        By its index; but some servers give none, and some give 0 to every call: an id that is not the id of the
        call at this index begins the next call, and where there is neither index nor id, a name does.
        """
        place = call.index
        number = self._last if place is None else self._at.get(place, -1)
        known = self._ids[number] if number >= 0 else ""
        if call.id:
            other = number >= 0 and call.id != known and (known != "" or place is None)
        else:
            other = place is None and bool(call.asked.name) and number in self._called
        if other and call.id in self._ids:
            number = self._ids.index(call.id)
        elif other or number < 0:
            number = len(self._ids)
            self._ids.append("")
        if call.asked.name:
            self._called.add(number)
        if call.id:
            self._ids[number] = call.id
        if place is not None:
            self._at[place] = number
        self._last = number
        return number


def _broken(choice: Choice, provider: str, rules: Sequence[Rule]) -> Exception:
    told = choice.error or {"message": "the provider reported an error"}
    return in_stream(provider, to_json({"error": told}), rules)


def _native(choice: Choice) -> str | None:
    native = choice.native_finish_reason
    return native if isinstance(native, str) and native else choice.finish_reason


def _logprobs(logprobs: Any) -> list[dict[str, Any]]:
    found = logprobs.get("content") or logprobs.get("refusal") if isinstance(logprobs, dict) else None
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def _details(details: Any) -> list[dict[str, Any]]:
    return [mended_all(detail) for detail in details if isinstance(detail, dict)] if isinstance(details, list) else []


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "".join(texts_of([{"content": content}]))


def _reasoning(message: Message) -> str:
    return _text(message.reasoning_content or message.reasoning)


def _usage(usage: Any) -> Usage | None:
    if not usage or not isinstance(usage, dict):
        return None
    prompt, completion = usage.get("prompt_tokens_details"), usage.get("completion_tokens_details")
    return told(
        Usage(
            count(usage.get("prompt_tokens")),
            count(usage.get("completion_tokens")),
            count(usage.get("total_tokens")),
            count(prompt.get("cached_tokens")) if isinstance(prompt, dict) else None,
            count(completion.get("reasoning_tokens")) if isinstance(completion, dict) else None,
            price(usage.get("cost")),  # OpenRouter
        )
    )

"""Claude: Anthropic's Messages API, `POST /v1/messages`.

Its shape differs from OpenAI's: system prompts stand beside the messages, content is a list of blocks, tool calls
and results are blocks too, arguments are objects, and `max_tokens` is required. In a stream every event has a name,
blocks open and close, usage counts up, and only `message_stop` proves the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct
from msgspec.json import Decoder

from ..pipeline import Chunk, Reply, Request, ToolCall, ToolCallDelta, Usage
from .claude_request import conversation, translate_format, translate_tools
from .codec import Codec, Headers, StreamDecoder, in_stream
from .schemas import CLAUDE
from .shapes import Mender, any_json, count, from_json, malformed, tool_arguments
from .stream import SSE, Event

__all__ = ["ClaudeCodec"]

_FINISH: Mapping[str, str] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


class _Block(Struct):
    """A block of content, or in a stream a change of one."""

    type: str = ""
    text: str | None = None
    thinking: str | None = None
    id: str | None = None
    name: str | None = None
    input: Any = None
    partial_json: str | None = None
    stop_reason: str | None = None  # of a message_delta, which has the same place in its event


class _Message(Struct):
    id: str | None = None
    model: str | None = None
    content: list[_Block] | None = None
    stop_reason: str | None = None
    usage: dict[str, Any] | None = None
    error: Any = None


class _Event(Struct):
    type: str = ""
    index: int = 0
    delta: _Block | None = None
    content_block: _Block | None = None
    message: _Message | None = None
    usage: dict[str, Any] | None = None
    error: Any = None


_MESSAGE = Decoder(_Message)
_EVENT = Decoder(_Event)


class ClaudeCodec(Codec):
    """The Messages API.

    Args:
        version: the `anthropic-version`. From 2026-10-21 on the API refuses sampling parameters.
        max_tokens: what is sent if the caller sets none, 1 or more; it is recorded in the reply's `changes`.

    Raises:
        ValueError: if `max_tokens` is less than 1.
    """

    path = "/v1/messages"

    def __init__(self, *, version: str = "2023-06-01", max_tokens: int = 4096) -> None:
        if max_tokens < 1:
            raise ValueError(f"max_tokens must be 1 or more, not {max_tokens!r}")
        self.provider = "claude"
        self.label = "Claude"
        self.schema = CLAUDE
        self.max_tokens = max_tokens
        json = {"Content-Type": "application/json", "Accept": "application/json", "anthropic-version": version}
        self._json: Headers = json
        self._events: Headers = {**json, "Accept": "text/event-stream", "Accept-Encoding": "identity"}

    def headers(self, stream: bool) -> Headers:
        return self._events if stream else self._json

    def body(self, request: Request) -> tuple[dict[str, Any], Mapping[str, str]]:
        params = self.schema.to_wire(request.params)
        translate_tools(params)
        translate_format(params)
        system, messages = conversation(request.messages)
        body = {"model": request.model, "messages": messages, **params}
        if system:
            body["system"] = system
        if request.stream:
            body["stream"] = True
        changes: Mapping[str, str] = {}
        if "max_tokens" not in body:
            body["max_tokens"] = self.max_tokens
            changes = {
                "max_tokens": f"set to {self.max_tokens}, the codec's default, because Claude's protocol requires it"
            }
        return body, changes

    def reply(self, body: bytes) -> Reply:
        message = from_json(_MESSAGE, body)
        if message.error:
            raise in_stream(self.provider, body)
        if message.content is None:
            raise malformed("the answer has no content")
        blocks = message.content
        return Reply(
            "".join(block.text for block in blocks if block.type == "text" and block.text),
            reasoning="".join(block.thinking for block in blocks if block.thinking),
            tool_calls=[
                ToolCall(block.id or "", block.name or "", tool_arguments(block.input, "{}"))
                for block in blocks
                if block.type == "tool_use"
            ],
            finish_reason=_FINISH.get(message.stop_reason or "", "unknown"),
            native_finish_reason=message.stop_reason,
            usage=_usage(message.usage),
            provider=self.provider,
            model=message.model or "",
            id=message.id or "",
            raw=lambda: any_json(body),
        )

    def decoder(self) -> StreamDecoder:
        return _Decoder(self.provider)


class _Decoder(StreamDecoder):
    __slots__ = ("_calls", "_mend", "_provider", "_silent", "_stop", "_usage")

    def __init__(self, provider: str) -> None:
        super().__init__(SSE())
        self._provider = provider
        self._mend = Mender()
        self._calls: dict[int, int] = {}  # the block of a tool call -> the number of the call
        self._silent: set[int] = set()  # tool calls without arguments so far
        self._stop: str | None = None
        self._usage: dict[str, Any] = {}  # cumulative: what comes later replaces what was told before

    def _take(self, frame: Event, chunks: list[Chunk]) -> None:
        name, data = frame
        if not data.strip():
            return
        event = from_json(_EVENT, data)
        kind = event.type or name
        if event.error or kind == "error":
            raise in_stream(self._provider, data)
        if kind == "content_block_delta":
            if event.delta is not None:
                self._change(event.index, event.delta, chunks)
        elif kind == "content_block_start":
            if event.content_block is not None:
                self._open(event.index, event.content_block, chunks)
        elif kind == "content_block_stop":
            call = self._calls.get(event.index)
            if call in self._silent:  # a call without arguments is a call with an empty object
                chunks.append(Chunk(tool_calls=(ToolCallDelta(call, arguments="{}"),)))
        elif kind == "message_start":
            message = event.message or _Message()
            # The number of output tokens is provisional here.
            self._usage.update({**(message.usage or {}), "output_tokens": None})
            chunks.append(Chunk(usage=_usage(self._usage), id=message.id, model=message.model))
        elif kind == "message_delta":
            if event.delta is not None and event.delta.stop_reason:
                self._stop = event.delta.stop_reason
            if event.usage:
                self._usage.update({key: value for key, value in event.usage.items() if value is not None})
                chunks.append(Chunk(usage=_usage(self._usage)))
        elif kind == "message_stop":
            finish = _FINISH.get(self._stop or "", "unknown")
            chunks.append(Chunk(finish_reason=finish, native_finish_reason=self._stop))
            self.done = True
        # Everything else is skipped: pings, and what the API says it may add in future.

    def _open(self, index: int, block: _Block, chunks: list[Chunk]) -> None:
        if block.type == "tool_use":
            call = self._calls[index] = len(self._calls)
            arguments = tool_arguments(block.input) if block.input else ""
            if not arguments:
                self._silent.add(call)
            chunks.append(Chunk(tool_calls=(ToolCallDelta(call, block.id or "", block.name or "", arguments),)))
        else:
            self._change(index, block, chunks)

    def _change(self, index: int, delta: _Block, chunks: list[Chunk]) -> None:
        if delta.text:
            chunks.append(Chunk(self._mend(delta.text)))
        elif delta.thinking:
            chunks.append(Chunk(reasoning=delta.thinking))
        elif delta.partial_json and (call := self._calls.get(index)) is not None:
            self._silent.discard(call)
            chunks.append(Chunk(tool_calls=(ToolCallDelta(call, arguments=delta.partial_json),)))


def _usage(usage: dict[str, Any] | None) -> Usage | None:
    if not usage:
        return None
    read, written = count(usage.get("cache_read_input_tokens")), count(usage.get("cache_creation_input_tokens"))
    fresh, completion = count(usage.get("input_tokens")), count(usage.get("output_tokens"))
    prompt = None if fresh is None else fresh + (read or 0) + (written or 0)
    total = None if prompt is None or completion is None else prompt + completion
    details = usage.get("output_tokens_details")
    thinking = count(details.get("thinking_tokens")) if isinstance(details, dict) else None
    return Usage(prompt, completion, total, read, thinking)

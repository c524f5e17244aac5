"""Claude: Anthropic's Messages API, `POST /v1/messages`.

Its shape differs from OpenAI's: system prompts stand beside the messages, content is a list of blocks, tool calls
and results are blocks too, arguments are objects, and `max_tokens` is required. In a stream every event has a name,
blocks open and close, usage counts up, and only `message_stop` proves the end. The API says that new events, blocks
and changes of blocks will come: what is unknown is skipped, whatever is in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct
from msgspec.json import Decoder

from ..pipeline import Chunk, Reply, Request, ToolCall, ToolCallDelta, Usage
from .claude_request import KEYS, conversation, translate_format, translate_tools
from .codec import Headers, HttpCodec, StreamDecoder, in_stream
from .history import own_reasoning, remarks, strange_keys
from .mending import Menders, mended, mended_all
from .schemas import CLAUDE, CLAUDE_WITHOUT_SAMPLING
from .schemas.claude_models import is_adaptive
from .shapes import any_json, count, from_json, malformed, refuse, told, tool_arguments
from .stream import SSE, Event
from .suggestions import named

__all__ = ["ClaudeCodec"]

_WITHOUT_SAMPLING = "2026-10-21"  # from this version on `temperature`, `top_p` and `top_k` are unknown fields
_THOUGHTS = ("thinking", "redacted_thinking")  # blocks that have to go back unchanged before tool results
_FINISH: Mapping[str, str] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


class _Message(Struct):
    """A whole answer. Blocks stay as they come: the API says that it will add kinds with fields of their own."""

    id: Any = None
    model: Any = None
    content: Any = None
    stop_reason: Any = None
    usage: Any = None
    error: Any = None


class _Event(Struct):
    """One event of a stream. Only its type says what its other fields are."""

    type: Any = ""
    index: Any = None
    delta: Any = None
    content_block: Any = None
    message: Any = None
    usage: Any = None
    error: Any = None


_MESSAGE = Decoder(_Message)
_EVENT = Decoder(_Event)


class ClaudeCodec(HttpCodec):
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
        self.schema = CLAUDE_WITHOUT_SAMPLING if version >= _WITHOUT_SAMPLING else CLAUDE
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
        said, foreign = own_reasoning(request.messages, _THOUGHTS)
        system, messages = conversation(said)
        if messages[-1]["role"] == "assistant" and is_adaptive(request.model):
            refuse("messages", f"{named(request.model)} begins no answer for you: the last message must be the user's")
        changes = remarks(foreign, strange_keys(said, KEYS, "Claude"))
        body = {"model": request.model, "messages": messages, **params}
        if system:
            body["system"] = system
        if request.stream:
            body["stream"] = True
        if "max_tokens" not in body:
            body["max_tokens"] = self.max_tokens
            why = f"set to {self.max_tokens}, the codec's default, because Claude's protocol requires it"
            changes["max_tokens"] = why
        _check_budget(body, request.params)
        return body, changes

    def reply(self, body: bytes) -> Reply:
        message = from_json(_MESSAGE, body)
        if message.error:
            raise in_stream(self.provider, body)
        if not isinstance(message.content, list):
            raise malformed("the answer has no content")
        blocks = [block for block in message.content if isinstance(block, dict)]
        native = _word(message.stop_reason)
        return Reply(
            mended("".join(_text(block, "text") for block in blocks if block.get("type") == "text")),
            reasoning=mended("".join(_text(block, "thinking") for block in blocks if block.get("type") == "thinking")),
            reasoning_details=[mended_all(block) for block in blocks if block.get("type") in _THOUGHTS],
            tool_calls=[
                ToolCall(
                    _word(block.get("id")) or "",
                    _word(block.get("name")) or "",
                    mended(tool_arguments(block.get("input"), "{}")),
                )
                for block in blocks
                if block.get("type") == "tool_use"
            ],
            finish_reason=_FINISH.get(native or "", "unknown"),
            native_finish_reason=native,
            usage=_usage(message.usage),
            provider=self.provider,
            model=_word(message.model) or "",
            id=_word(message.id) or "",
            raw=lambda: any_json(body),
        )

    def decoder(self) -> StreamDecoder:
        return _Decoder(self.provider)


def _check_budget(body: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    thinking, limit = body.get("thinking"), body["max_tokens"]
    budget = thinking.get("budget_tokens") if isinstance(thinking, Mapping) else None
    # With tools a beta lets a budget span several turns, so that it may be larger.
    if type(budget) is int and type(limit) is int and budget >= limit and not body.get("tools"):
        name = "thinking" if given.get("thinking") is not None else "reasoning_budget"
        unless = "" if given.get("max_tokens") is not None else " unless given"
        refuse(name, f"`{name}` may use {budget} tokens, but `max_tokens` is {limit}{unless}: it must be more")


class _Thought:
    """A block of thinking as it arrives; whole, it can go back."""

    __slots__ = ("block", "pieces")

    def __init__(self, block: dict[str, Any]) -> None:
        self.block = block
        self.pieces: list[tuple[str, str]] = []

    def whole(self) -> dict[str, Any]:
        for key in dict(self.pieces):
            grown = "".join(words for name, words in self.pieces if name == key)
            self.block[key] = _text(self.block, key) + grown
        return dict(mended_all(self.block))


class _Decoder(StreamDecoder):
    __slots__ = ("_calls", "_mend", "_provider", "_silent", "_stop", "_thoughts", "_usage")

    def __init__(self, provider: str) -> None:
        super().__init__(SSE())
        self._provider = provider
        self._mend = Menders()
        self._calls: dict[int | None, int] = {}  # the block of a tool call -> the number of the call
        self._silent: set[int] = set()  # tool calls without arguments so far
        self._stop: str | None = None
        self._thoughts: dict[int | None, _Thought] = {}  # blocks of thinking that are open
        self._usage: dict[str, Any] = {}  # cumulative: what comes later replaces what was told before

    def _take(self, frame: Event, chunks: list[Chunk]) -> None:
        name, data = frame
        if not data.strip():
            return
        event = from_json(_EVENT, data)
        kind = event.type or name
        if event.error or "error" in (kind, name):  # llama.cpp's server writes the bare error, of a type of its own
            raise in_stream(self._provider, data)
        if kind == "content_block_delta":
            delta = event.delta
            if isinstance(delta, dict):
                if delta.get("type") == "text_delta":  # what nearly every event is
                    if words := _text(delta, "text"):
                        chunks.append(Chunk(self._mend.text(words)))
                else:
                    self._change(event.index, delta, chunks)
        elif kind == "content_block_start":
            if isinstance(event.content_block, dict):
                self._open(event.index, event.content_block, chunks)
        elif kind == "content_block_stop":
            call = self._calls.get(_place(event.index))
            if call in self._silent:  # a call without arguments is a call with an empty object
                chunks.append(Chunk(tool_calls=(ToolCallDelta(call, arguments="{}"),)))
            if (thought := self._thoughts.pop(_place(event.index), None)) is not None:
                chunks.append(Chunk(reasoning_details=(thought.whole(),)))
        elif kind == "message_start":
            message = event.message if isinstance(event.message, dict) else {}
            # The number of output tokens is provisional here.
            self._count(message.get("usage"), {"output_tokens": None})
            model, id_ = _word(message.get("model")), _word(message.get("id"))
            chunks.append(Chunk(usage=_usage(self._usage), id=id_, model=model))
        elif kind == "message_delta":
            stop = event.delta.get("stop_reason") if isinstance(event.delta, dict) else None
            self._stop = _word(stop) or self._stop
            if event.usage:
                self._count(event.usage, {})
                chunks.append(Chunk(usage=_usage(self._usage)))
        elif kind == "message_stop":
            last = Chunk(finish_reason=_FINISH.get(self._stop or "", "unknown"), native_finish_reason=self._stop)
            self._mend.finish(last)
            chunks.append(last)
            self.done = True
        # Everything else is skipped: pings, and what the API says it may add in future.

    def _count(self, usage: Any, more: Mapping[str, Any]) -> None:
        if isinstance(usage, dict):
            self._usage.update({key: value for key, value in usage.items() if value is not None})
        self._usage.update(more)

    def _open(self, index: Any, block: dict[str, Any], chunks: list[Chunk]) -> None:
        kind = block.get("type")
        if kind == "tool_use":
            call = self._calls[_place(index)] = len(self._calls)
            arguments = self._mend.arguments(call, tool_arguments(block.get("input") or None))
            if not arguments:
                self._silent.add(call)
            id_, name = _word(block.get("id")) or "", _word(block.get("name")) or ""
            chunks.append(Chunk(tool_calls=(ToolCallDelta(call, id_, name, arguments),)))
        elif kind == "text" and (words := _text(block, "text")):
            chunks.append(Chunk(self._mend.text(words)))
        elif kind in _THOUGHTS:
            self._thoughts[_place(index)] = _Thought(block)
            if words := _text(block, "thinking"):
                chunks.append(Chunk(reasoning=self._mend.reasoning(words)))

    def _change(self, index: Any, delta: dict[str, Any], chunks: list[Chunk]) -> None:
        kind = delta.get("type")
        if kind in ("thinking_delta", "signature_delta"):
            key = kind.removesuffix("_delta")
            if words := _text(delta, key):
                if (thought := self._thoughts.get(_place(index))) is not None:
                    thought.pieces.append((key, words))
                if key == "thinking":
                    chunks.append(Chunk(reasoning=self._mend.reasoning(words)))
        elif kind == "input_json_delta":
            call = self._calls.get(_place(index))
            fragment = _text(delta, "partial_json")
            if call is not None and fragment:
                self._silent.discard(call)
                arguments = self._mend.arguments(call, fragment)
                chunks.append(Chunk(tool_calls=(ToolCallDelta(call, arguments=arguments),)))


def _text(block: dict[str, Any], key: str) -> str:
    """The text of a block whose type is known: what is no text there makes no sense."""
    text = block.get(key)
    if isinstance(text, str):
        return text
    if text is None:
        return ""
    raise malformed(f"the answer has a block with {key!r} that is no text")


def _word(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _place(index: Any) -> int | None:
    return index if isinstance(index, int) else None


def _usage(usage: Any) -> Usage | None:
    if not usage or not isinstance(usage, dict):
        return None
    read, written = count(usage.get("cache_read_input_tokens")), count(usage.get("cache_creation_input_tokens"))
    fresh, completion = count(usage.get("input_tokens")), count(usage.get("output_tokens"))
    prompt = None if fresh is None else fresh + (read or 0) + (written or 0)
    total = None if prompt is None or completion is None else prompt + completion
    details = usage.get("output_tokens_details")
    thinking = count(details.get("thinking_tokens")) if isinstance(details, dict) else None
    return told(Usage(prompt, completion, total, read, thinking))

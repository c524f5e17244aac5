"""A reply in the words of another protocol: what a server of that protocol would have sent.

The client's own code then makes its own types of it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import uuid4

from ...pipeline import Chunk, Reply, ToolCall, Usage
from ..history import tool_input
from ..shapes import id_or_new

__all__ = ["ClaudeWriter", "OllamaWriter", "OpenAIWriter", "Writer"]

_OPENAI = ("stop", "length", "tool_calls", "content_filter")
_CLAUDE = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}


class Writer(Protocol):
    """Writes one reply. A stream's chunks go in one by one; what they leave open is closed at the end."""

    def __init__(self, body: Mapping[str, Any]) -> None: ...

    def whole(self, reply: Reply) -> dict[str, Any]:
        """A finished reply."""
        ...

    def chunk(self, chunk: Chunk, reply: Reply) -> list[dict[str, Any]]:
        """The events of one chunk."""
        ...

    def end(self, reply: Reply) -> list[dict[str, Any]]:
        """The events of a good end."""
        ...


class OpenAIWriter:
    """Chat completions."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        options = body.get("stream_options")
        self._counts = bool(options.get("include_usage")) if isinstance(options, Mapping) else False
        self._created = int(time.time())
        self._begun = False
        self._called = 0
        self._id = f"chatcmpl-{uuid4().hex}"

    def whole(self, reply: Reply) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": reply.text or None, "refusal": reply.refusal or None}
        if not (reply.text or reply.refusal or reply.tool_calls):
            message["content"] = ""
        if reply.tool_calls:
            message["tool_calls"] = [
                {
                    "id": id_or_new(call.id),
                    "type": "function",
                    "function": {"name": call.name, "arguments": call.arguments},
                }
                for call in reply.tool_calls
            ]
        if reply.reasoning:
            message["reasoning_content"] = reply.reasoning  # the word that compatible servers have for it
        choice = {
            "index": 0,
            "message": message,
            "finish_reason": _openai_end(reply),
            "logprobs": {"content": list(reply.logprobs), "refusal": None} if reply.logprobs else None,
        }
        answer = {**self._head(reply, "chat.completion"), "choices": [choice]}
        return {**answer, "usage": _openai_usage(reply.usage)} if reply.usage is not None else answer

    def chunk(self, chunk: Chunk, reply: Reply) -> list[dict[str, Any]]:
        delta: dict[str, Any] = {}
        if not self._begun:
            self._begun = True
            delta["role"] = "assistant"
        if chunk.text:
            delta["content"] = chunk.text
        if chunk.refusal:
            delta["refusal"] = chunk.refusal
        if chunk.reasoning:
            delta["reasoning_content"] = chunk.reasoning
        if chunk.tool_calls:
            delta["tool_calls"] = [self._part(part) for part in chunk.tool_calls]
        if not delta:
            return []
        choice: dict[str, Any] = {"index": 0, "delta": delta, "finish_reason": None}
        if chunk.logprobs:
            choice["logprobs"] = {"content": list(chunk.logprobs), "refusal": None}
        return [{**self._head(reply, "chat.completion.chunk"), "choices": [choice]}]

    def _part(self, part: Any) -> dict[str, Any]:
        made: dict[str, Any] = {"index": part.index, "function": {"arguments": part.arguments}}
        if part.index >= self._called:
            self._called = part.index + 1
            made |= {"id": id_or_new(part.id), "type": "function"}
        if part.name:
            made["function"]["name"] = part.name
        return made

    def end(self, reply: Reply) -> list[dict[str, Any]]:
        head = self._head(reply, "chat.completion.chunk")
        last = {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": _openai_end(reply)}]}
        if not self._counts or reply.usage is None:
            return [last]
        return [last, {**head, "choices": [], "usage": _openai_usage(reply.usage)}]

    def _head(self, reply: Reply, kind: str) -> dict[str, Any]:
        return {"id": reply.id or self._id, "object": kind, "created": self._created, "model": reply.model}


def _openai_end(reply: Reply) -> str:
    return reply.finish_reason if reply.finish_reason in _OPENAI else "stop"


def _openai_usage(usage: Usage) -> dict[str, Any]:
    told: dict[str, Any] = {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }
    if usage.cached_tokens is not None:
        told["prompt_tokens_details"] = {"cached_tokens": usage.cached_tokens}
    if usage.reasoning_tokens is not None:
        told["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning_tokens}
    return told


class ClaudeWriter:
    """The Messages API. Blocks open when something of them comes, and close when the next one does."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self._begun = False
        self._open: tuple[str, int] | None = None  # what the open block is: text, or the call of a number
        self._blocks: dict[tuple[str, int], int] = {}
        self._id = f"msg_{uuid4().hex}"

    def whole(self, reply: Reply) -> dict[str, Any]:
        content: list[dict[str, Any]] = []
        if reply.text or reply.refusal:
            content.append({"type": "text", "text": reply.text + reply.refusal, "citations": None})
        content += [_claude_call(call) for call in reply.tool_calls]
        return {**self._head(reply), "content": content, **_claude_end(reply), "usage": _claude_usage(reply.usage)}

    def _head(self, reply: Reply) -> dict[str, Any]:
        return {"id": reply.id or self._id, "type": "message", "role": "assistant", "model": reply.model}

    def chunk(self, chunk: Chunk, reply: Reply) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = []
        if not self._begun:
            self._begin(reply, events)
        if text := chunk.text + chunk.refusal:
            at = self._at(("text", 0), {"type": "text", "text": "", "citations": None}, events)
            events.append(_change(at, {"type": "text_delta", "text": text}))
        for part in chunk.tool_calls:
            block = {"type": "tool_use", "id": id_or_new(part.id), "name": part.name, "input": {}}
            at = self._at(("tool_use", part.index), block, events)
            if part.arguments:
                events.append(_change(at, {"type": "input_json_delta", "partial_json": part.arguments}))
        return events

    def _begin(self, reply: Reply, events: list[dict[str, Any]]) -> None:
        self._begun = True
        start: dict[str, Any] = {"content": [], "stop_reason": None, "stop_sequence": None}
        usage = _claude_usage(reply.usage) | {"output_tokens": 0}  # as the API does: it counts up
        events.append({"type": "message_start", "message": {**self._head(reply), **start, "usage": usage}})

    def _at(self, what: tuple[str, int], block: dict[str, Any], events: list[dict[str, Any]]) -> int:
        """The index of a block; it is opened if it is new."""
        at = self._blocks.get(what)
        if at is None:
            self._close(events)
            at = self._blocks[what] = len(self._blocks)
            self._open = what
            events.append({"type": "content_block_start", "index": at, "content_block": block})
        return at

    def _close(self, events: list[dict[str, Any]]) -> None:
        if self._open is not None:
            events.append({"type": "content_block_stop", "index": self._blocks[self._open]})
            self._open = None

    def end(self, reply: Reply) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = []
        if not self._begun:
            self._begin(reply, events)
        self._close(events)
        events.append({"type": "message_delta", "delta": _claude_end(reply), "usage": _claude_usage(reply.usage)})
        events.append({"type": "message_stop"})
        return events


def _change(at: int, delta: dict[str, Any]) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": at, "delta": delta}


def _claude_call(call: ToolCall) -> dict[str, Any]:
    return {"type": "tool_use", "id": id_or_new(call.id), "name": call.name, "input": dict(tool_input(call.arguments))}


def _claude_end(reply: Reply) -> dict[str, Any]:
    return {"stop_reason": _CLAUDE.get(reply.finish_reason or "", "end_turn"), "stop_sequence": None}


def _claude_usage(usage: Usage | None) -> dict[str, Any]:
    if usage is None:
        return {"input_tokens": None, "output_tokens": None}  # not known, which is not 0
    prompt, cached = usage.prompt_tokens, usage.cached_tokens
    fresh = None if prompt is None else prompt - (cached or 0)
    told = {"input_tokens": fresh, "output_tokens": usage.completion_tokens}
    return {**told, "cache_read_input_tokens": cached} if cached is not None else told


class OllamaWriter:
    """Ollama's chat. Tool calls come whole, so in a stream they come at its end."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self._created = datetime.now(UTC).isoformat().replace("+00:00", "Z")

    def whole(self, reply: Reply) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": reply.text + reply.refusal}
        if reply.reasoning:
            message["thinking"] = reply.reasoning
        return self._last(reply, message)

    def chunk(self, chunk: Chunk, reply: Reply) -> list[dict[str, Any]]:
        message: dict[str, Any] = {"role": "assistant", "content": chunk.text + chunk.refusal}
        if chunk.reasoning:
            message["thinking"] = chunk.reasoning
        if not (message["content"] or chunk.reasoning):
            return []
        return [{"model": reply.model, "created_at": self._created, "message": message, "done": False}]

    def end(self, reply: Reply) -> list[dict[str, Any]]:
        return [self._last(reply, {"role": "assistant", "content": ""})]

    def _last(self, reply: Reply, message: dict[str, Any]) -> dict[str, Any]:
        if reply.tool_calls:
            message["tool_calls"] = [
                {"function": {"name": call.name, "arguments": dict(tool_input(call.arguments))}}
                for call in reply.tool_calls
            ]
        line: dict[str, Any] = {"model": reply.model, "created_at": self._created, "message": message, "done": True}
        line["done_reason"] = "length" if reply.finish_reason == "length" else "stop"
        if reply.usage is not None and reply.usage.prompt_tokens is not None:
            line["prompt_eval_count"] = reply.usage.prompt_tokens
        if reply.usage is not None and reply.usage.completion_tokens is not None:
            line["eval_count"] = reply.usage.completion_tokens
        return line

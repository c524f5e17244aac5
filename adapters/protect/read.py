"""Reads native answers for the layers: the codecs do, after the client's objects have become JSON again.

So there is one reading of each protocol, whoever cut its stream. What the caller gets is the native object itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from ...pipeline import Chunk, ProviderError, Reply, ToolCall, ToolCallDelta, Unavailable, Usage
from ..classify import classify_event, classify_response
from ..clients.speech import written
from ..codec import HttpCodec
from ..shapes import any_json, count, to_json, told

__all__ = ["ReadEvent", "chat_events", "generate_events", "generated", "responded", "response_events"]

ReadEvent = Callable[[Any], list[Chunk]]
"""Takes one native event; gives its chunks."""


def chat_events(codec: HttpCodec, before: bytes, after: bytes) -> Callable[[], ReadEvent]:
    """Makes readers of streams.

    Args:
        codec: whose decoder reads them.
        before, after: what makes a frame of an event's JSON.
    """

    make = _json_events(codec, before, after)

    def reader() -> ReadEvent:
        read = make()
        return lambda event: read(written(event))

    return reader


def _json_events(codec: HttpCodec, before: bytes, after: bytes) -> Callable[[], Callable[[bytes], list[Chunk]]]:
    def reader() -> Callable[[bytes], list[Chunk]]:
        decoder = codec.decoder()

        def read(event: bytes) -> list[Chunk]:
            chunks = decoder.feed(before + event + after)
            if decoder.error is not None:
                raise decoder.error
            return chunks

        return read

    return reader


# -- OpenAI's responses ----------------------------------------------------------------------------------------


def responded(data: bytes) -> Reply:
    """A whole answer of the Responses API.

    Raises:
        ProviderError: if it says that it failed, or makes no sense.
    """
    answer = any_json(data)
    if not isinstance(answer, dict) or not isinstance(answer.get("output"), list):
        raise classify_response("openai", 200, {}, data) or Unavailable(reason="malformed_response")
    if answer.get("status") == "failed":
        raise _failed({"type": "response.failed", "response": answer})
    texts, refusals, thoughts, calls = [], [], [], []
    for item in answer["output"]:
        kind = item.get("type")
        if kind == "message":
            texts += [part["text"] for part in item.get("content") or () if part.get("type") == "output_text"]
            refusals += [part["refusal"] for part in item.get("content") or () if part.get("type") == "refusal"]
        elif kind == "function_call":
            calls.append(ToolCall(item.get("call_id") or "", item.get("name") or "", item.get("arguments") or ""))
        elif kind == "reasoning":
            thoughts += [part.get("text") or "" for part in item.get("summary") or ()]
    return Reply(
        "".join(texts),
        refusal="".join(refusals),
        reasoning="".join(thoughts),
        tool_calls=calls,
        finish_reason=_response_end(answer, bool(calls)),
        native_finish_reason=answer.get("status"),
        usage=_response_usage(answer.get("usage")),
        model=answer.get("model") or "",
        id=answer.get("id") or "",
    )


def response_events() -> ReadEvent:
    """A reader of one stream of the Responses API."""
    calls: dict[int, int] = {}  # the place in the output -> the number of the call

    def read(event: Any) -> list[Chunk]:
        data = json.loads(written(event))
        kind = data.get("type") or ""
        if kind in ("response.output_text.delta", "response.refusal.delta"):
            text = data.get("delta") or ""
            return [Chunk(text) if kind == "response.output_text.delta" else Chunk(refusal=text)]
        if kind in ("response.reasoning_text.delta", "response.reasoning_summary_text.delta"):
            return [Chunk(reasoning=data.get("delta") or "")]
        if kind == "response.output_item.added" and (item := data.get("item") or {}).get("type") == "function_call":
            number = calls.setdefault(data.get("output_index", 0), len(calls))
            return [Chunk(tool_calls=[ToolCallDelta(number, item.get("call_id") or "", item.get("name") or "")])]
        if kind == "response.function_call_arguments.delta":
            number = calls.setdefault(data.get("output_index", 0), len(calls))
            return [Chunk(tool_calls=[ToolCallDelta(number, arguments=data.get("delta") or "")])]
        if kind in ("response.completed", "response.incomplete"):
            answer = data.get("response") or {}
            last = Chunk(finish_reason=_response_end(answer, bool(calls)), native_finish_reason=answer.get("status"))
            last.usage = _response_usage(answer.get("usage"))
            last.id, last.model = answer.get("id"), answer.get("model")
            return [last]
        if kind in ("error", "response.failed", "response.error"):
            raise _failed(data)
        return []

    return read


def _failed(data: Mapping[str, Any]) -> ProviderError:
    return classify_event("openai", data) or Unavailable(reason="upstream")


def _response_end(answer: Mapping[str, Any], calls: bool) -> str:
    if answer.get("status") == "incomplete":
        reason = (answer.get("incomplete_details") or {}).get("reason")
        return {"max_output_tokens": "length", "content_filter": "content_filter"}.get(str(reason), "unknown")
    if answer.get("status") in (None, "completed"):
        return "tool_calls" if calls else "stop"
    return "unknown"  # queued, or given up by the caller: it is an answer all the same


def _response_usage(usage: Any) -> Usage | None:
    if not isinstance(usage, dict):
        return None
    cached, thought = usage.get("input_tokens_details"), usage.get("output_tokens_details")
    return told(
        Usage(
            count(usage.get("input_tokens")),
            count(usage.get("output_tokens")),
            count(usage.get("total_tokens")),
            count(cached.get("cached_tokens")) if isinstance(cached, dict) else None,
            count(thought.get("reasoning_tokens")) if isinstance(thought, dict) else None,
        )
    )


# -- Ollama's generate -----------------------------------------------------------------------------------------


def generated(codec: HttpCodec) -> Callable[[bytes], Reply]:
    """Makes the reader of whole answers of `/api/generate`, which are those of chat but for one word."""
    return lambda data: codec.decode(200, {}, _as_chat(data))


def generate_events(codec: HttpCodec) -> Callable[[], ReadEvent]:
    """Makes readers of its streams."""
    make = _json_events(codec, b"", b"\n")

    def reader() -> ReadEvent:
        read = make()
        return lambda event: read(_as_chat(written(event)))

    return reader


def _as_chat(data: bytes) -> bytes:
    line = any_json(data)
    if not isinstance(line, dict) or "response" not in line:
        return data
    message = {"role": "assistant", "content": line.pop("response"), "thinking": line.pop("thinking", None)}
    return to_json({**line, "message": message})

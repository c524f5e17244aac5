"""Ollama's own API, `POST /api/chat`: one JSON object per line, durations and options of its own.

Its traps are defused here: it streams unless told not to, so `stream` is always sent; it cuts a history that is too
long without a word, so `truncate` is false unless the caller says otherwise, and the error comes out; it reports
"stop" for tool calls; and it can end an answer without the line that says it is done.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.json import Decoder

from ..pipeline import Chunk, Partial, Reply, Request, ToolCall, ToolCallDelta, TruncatedStream, Usage
from .codec import Headers, HttpCodec, StreamDecoder, in_stream
from .history import (
    address_of,
    answered_call,
    calls_of,
    data_image,
    own_reasoning,
    parts_of,
    remarks,
    strange_keys,
    text_of,
    tool_input,
)
from .mending import Menders, mended
from .rule import Rule
from .schemas import OLLAMA
from .shapes import any_json, count, from_json, id_or_new, malformed, refuse, tool_arguments
from .stream import Lines

__all__ = ["OllamaCodec"]

_KNOWN = frozenset(
    {
        "role",
        "content",
        "images",
        "thinking",
        "tool_calls",
        "tool_call_id",
        "tool_name",
        "name",
        "refusal",
        "reasoning_details",
    }
)
_PARTS = frozenset({"type", "text", "image_url", "refusal"})
_THOUGHT = "ollama.thinking"  # the type of a detail that only Ollama reads
_HEADERS: Headers = {"Content-Type": "application/json", "Accept": "application/json"}
_EVENTS: Headers = {"Content-Type": "application/json", "Accept": "application/x-ndjson", "Accept-Encoding": "identity"}


class _Function(Struct):
    name: str | None = None
    arguments: Any = None


class _Call(Struct):
    id: str | None = None
    function: _Function | None = None


class _Message(Struct):
    content: str | None = None
    thinking: str | None = None
    tool_calls: list[_Call] | None = None


class _Line(Struct):
    """A whole answer, or one line of it."""

    model: str | None = None
    message: _Message | None = None
    done: bool = False
    done_reason: str | None = None
    prompt_eval_count: Any = None
    eval_count: Any = None
    logprobs: Any = None
    error: Any = None


_LINE = Decoder(_Line)


class OllamaCodec(HttpCodec):
    """The chat API. History that is too long is an error, not cut: `truncate` is sent as false unless it is given."""

    path = "/api/chat"

    def __init__(self, rules: Sequence[Rule] = ()) -> None:
        self.provider = "ollama"
        self.label = "Ollama"
        self.rules = rules
        self.schema = OLLAMA

    def headers(self, stream: bool) -> Headers:
        return _EVENTS if stream else _HEADERS

    def body(self, request: Request) -> tuple[dict[str, Any], Mapping[str, str]]:
        messages, foreign = own_reasoning(request.messages, (_THOUGHT,))
        return {
            "model": request.model,
            "messages": _conversation(messages),
            "stream": request.stream,
            "truncate": False,
            **self.schema.to_wire(request.params),
        }, remarks(foreign, strange_keys(messages, _KNOWN, "Ollama", _PARTS))

    def reply(self, body: bytes) -> Reply:
        line = from_json(_LINE, body)
        if line.error:
            raise in_stream(self.provider, body, self.rules)
        message = line.message
        if message is None:
            raise malformed("the answer has no message")
        text, reasoning = mended(message.content or ""), mended(message.thinking or "")
        calls = tuple(ToolCall(part.id, part.name, mended(part.arguments)) for part in _calls(message.tool_calls, 0))
        if not line.done:  # its guard against repetition ends an answer like this
            raise TruncatedStream(partial=Partial(text, reasoning, calls, _usage(line)))
        return Reply(
            text,
            reasoning=reasoning,
            tool_calls=calls,
            finish_reason=_finish(line, bool(calls)),
            native_finish_reason=line.done_reason,
            usage=_usage(line),
            logprobs=_logprobs(line),
            reasoning_details=_details(reasoning),
            provider=self.provider,
            model=line.model or "",
            raw=lambda: any_json(body),
        )

    def decoder(self) -> StreamDecoder:
        return _Decoder(self.provider, self.rules)


class _Decoder(StreamDecoder):
    __slots__ = ("_calls", "_mend", "_named", "_provider", "_rules", "_thoughts")

    def __init__(self, provider: str, rules: Sequence[Rule]) -> None:
        super().__init__(Lines())
        self._provider = provider
        self._rules = rules
        self._mend = Menders()
        self._named = False
        self._calls = 0
        self._thoughts: list[str] = []

    def _take(self, frame: bytes, chunks: list[Chunk]) -> None:
        line = from_json(_LINE, frame)
        if line.error:
            raise in_stream(self._provider, frame, self._rules)
        chunk = Chunk()
        message = line.message
        if message is not None:
            if message.content:
                chunk.text = self._mend.text(message.content)
            if message.thinking:
                chunk.reasoning = self._mend.reasoning(message.thinking)
                self._thoughts.append(chunk.reasoning)
            if message.tool_calls:
                chunk.tool_calls = _calls(message.tool_calls, self._calls)
                for part in chunk.tool_calls:  # they come whole
                    part.arguments = mended(part.arguments)
                self._calls += len(chunk.tool_calls)
        if line.logprobs:
            chunk.logprobs = _logprobs(line)
        if not self._named and line.model:
            self._named = True
            chunk.model = line.model
        if line.done:
            chunk.usage = _usage(line)
            chunk.finish_reason = _finish(line, self._calls > 0)
            chunk.native_finish_reason = line.done_reason
            self._mend.finish(chunk)
            chunk.reasoning_details = _details("".join(self._thoughts))
            self.done = True
        chunks.append(chunk)


def _details(thinking: str) -> list[dict[str, str]]:
    """The thinking as it goes back: models that think go on from it when they get the results of tools."""
    return [{"type": _THOUGHT, "thinking": thinking}] if thinking else []


def _finish(line: _Line, calls: bool) -> str:
    if calls:
        return "tool_calls"
    reason = line.done_reason
    if reason is None:  # releases before 0.1.30 gave none
        return "stop"
    return reason if reason in ("stop", "length") else "unknown"


def _calls(calls: Iterable[_Call] | None, first: int) -> list[ToolCallDelta]:
    """Tool calls, which come whole."""
    named = [(call.id, call.function) for call in calls or () if call.function is not None]
    return [
        ToolCallDelta(index, id_or_new(id_), function.name or "", tool_arguments(function.arguments, "{}"))
        for index, (id_, function) in enumerate(named, first)
    ]


def _logprobs(line: _Line) -> list[dict[str, Any]]:
    found = line.logprobs
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def _usage(line: _Line) -> Usage | None:
    # A count of zero is left out on the wire (a prompt that was cached whole): absent means unknown.
    prompt, completion = count(line.prompt_eval_count), count(line.eval_count)
    if prompt is None and completion is None:
        return None
    return Usage(prompt, completion, None if prompt is None or completion is None else prompt + completion)


# -- what is asked ---------------------------------------------------------------------------------------------


def _conversation(messages: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    names: dict[str | None, Any] = {}  # the id of a tool call -> the tool's name, which is how Ollama matches results
    turns: list[dict[str, Any]] = []
    for message in messages:
        role = message["role"]
        turn: dict[str, Any] = {"role": "system" if role == "developer" else role, **_content(message)}
        calls = calls_of(message)
        if calls:
            turn["tool_calls"] = [_asked(call_id, function) for call_id, function in calls]
            names.update((call_id, function.get("name")) for call_id, function in calls)
        thoughts = [detail["thinking"] for detail in message.get("reasoning_details") or ()]
        if thoughts:
            turn["thinking"] = "".join(thoughts)
        for own in ("thinking", "images"):  # as Ollama's own client writes them
            if message.get(own):
                turn[own] = [*turn.get(own, ()), *message[own]] if own == "images" else message[own]
        if role == "tool":
            call_id = answered_call(message)
            name = message.get("name") or message.get("tool_name") or names.get(call_id)
            if call_id:
                turn["tool_call_id"] = call_id
            if name:
                turn["tool_name"] = name
        turns.append(turn)
    return turns


def _content(message: Mapping[str, Any]) -> dict[str, Any]:
    content, refusal = message.get("content"), message.get("refusal")
    if isinstance(content, str) and not refusal:
        return {"content": content}
    texts: list[str] = []
    images: list[str] = []
    for part in parts_of(content):
        kind = part.get("type")
        if kind == "text":
            texts.append(part["text"])
        elif kind == "image_url":
            images.append(_image(address_of(part)))
        elif kind == "refusal":
            texts.append(text_of(part, "refusal"))
        else:
            refuse("messages", "Ollama takes text and images, no other parts")
    if isinstance(refusal, str):  # it is what the assistant said; Ollama has no other word for it
        texts.append(refusal)
    turn: dict[str, Any] = {"content": "\n".join(filter(None, texts))}
    return {**turn, "images": images} if images else turn


def _image(url: str) -> str:
    image = data_image(url)
    if image is None:
        refuse("messages", "Ollama fetches no images: give it as a data URI, 'data:image/png;base64,...'")
    return image.data


def _asked(call_id: str | None, function: Mapping[str, Any]) -> dict[str, Any]:
    asked = {"function": {"name": function.get("name"), "arguments": tool_input(function.get("arguments"))}}
    return {"id": call_id, **asked} if call_id else asked

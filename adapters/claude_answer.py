"""What Claude answers: the decoder of its streams, and what of an answer has to go back unchanged.

In a stream every event has a name, blocks open and close, usage counts up, and only `message_stop` proves the end. The
API says that new events, blocks and changes of blocks will come: what is unknown is skipped, whatever is in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.json import Decoder

from ..pipeline import Chunk, ToolCallDelta, Usage
from .codec import StreamDecoder, in_stream
from .history import tool_input
from .mending import Menders, mended_all
from .rule import Rule
from .shapes import count, from_json, malformed, told, tool_arguments
from .stream import SSE, Event

__all__ = [
    "FINISH",
    "OWN_DETAILS",
    "SERVER_BLOCKS",
    "THOUGHTS",
    "WHOLE",
    "ClaudeDecoder",
    "details_of",
    "usage_of",
    "word",
    "words_of",
]

THOUGHTS = ("thinking", "redacted_thinking")  # blocks that have to go back unchanged before tool results
FINISH: Mapping[str, str] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}

WHOLE = "claude.content"
"""The type of a detail that holds all blocks of an answer, because their order means something."""

OWN_DETAILS = (*THOUGHTS, WHOLE)
SERVER_BLOCKS = ("_tool_use", "_tool_result")
"""How the types of blocks end that Anthropic's own tools make; "tool_use" itself, and its result, are the caller's."""

_SERVERS = 9
_USUAL = {"thinking": 0, "redacted_thinking": 0, "text": 1, "tool_use": 2}
# What of a block comes piece by piece, by its type; of a call it is the text of an object.
_GROWING = {"text": "text", "thinking": "thinking"}


class _Event(Struct):
    """One event of a stream. Only its type says what its other fields are."""

    type: Any = ""
    index: Any = None
    delta: Any = None
    content_block: Any = None
    message: Any = None
    usage: Any = None
    error: Any = None


_EVENT = Decoder(_Event)


def details_of(blocks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What has to go back unchanged: the thinking, or all blocks where a message could not tell their order.

    A message tells thinking, then text, then tool calls. An answer that thinks between its tool calls, or in which
    Anthropic's own tools were used, is more than that; and one that was paused is gone on with as it is. A block of a
    kind that nobody knows yet is left out: whether it arrived whole cannot be told.
    """
    known = [(rank, block) for block in blocks if (rank := _rank(block)) is not None]
    ranks, blocks = [rank for rank, _ in known], [block for _, block in known]
    if _SERVERS in ranks or ranks != sorted(ranks):
        return [{"type": WHOLE, "content": [mended_all(block) for block in blocks]}]
    return [mended_all(block) for block in blocks if block.get("type") in THOUGHTS]


def _rank(block: Mapping[str, Any]) -> int | None:
    kind = str(block.get("type"))
    return _SERVERS if kind.endswith(SERVER_BLOCKS) else _USUAL.get(kind)


class _Block:
    """A block as it arrives."""

    __slots__ = ("block", "cited", "grown", "signed")

    def __init__(self, block: dict[str, Any]) -> None:
        self.block = block
        self.grown: list[str] = []
        self.signed: list[str] = []
        self.cited: list[Any] = []

    def whole(self) -> dict[str, Any]:
        """The block as a complete answer has it."""
        whole, grown = dict(self.block), "".join(self.grown)
        if key := _GROWING.get(str(whole.get("type"))):
            whole[key] = words_of(whole, key) + grown
        elif grown:
            whole["input"] = tool_input(grown)
        if self.signed:
            whole["signature"] = words_of(whole, "signature") + "".join(self.signed)
        if self.cited:
            whole["citations"] = [*(whole.get("citations") or ()), *self.cited]
        return whole


class ClaudeDecoder(StreamDecoder):
    """Understands one stream of the Messages API."""

    __slots__ = ("_blocks", "_calls", "_mend", "_provider", "_rules", "_silent", "_stop", "_usage")

    def __init__(self, provider: str, rules: Sequence[Rule] = ()) -> None:
        super().__init__(SSE())
        self._provider = provider
        self._rules = rules
        self._mend = Menders()
        self._calls: dict[int | None, int] = {}  # the block of a tool call -> the number of the call
        self._silent: set[int] = set()  # tool calls without arguments so far
        self._stop: str | None = None
        self._blocks: dict[int | None, _Block] = {}  # in the order in which they began
        self._usage: dict[str, Any] = {}  # cumulative: what comes later replaces what was told before

    def _take(self, frame: Event, chunks: list[Chunk]) -> None:
        name, data = frame
        if not data.strip():
            return
        event = from_json(_EVENT, data)
        kind = event.type or name
        if event.error or "error" in (kind, name):  # llama.cpp's server writes the bare error, of a type of its own
            raise in_stream(self._provider, data, self._rules)
        if kind == "content_block_delta":
            delta = event.delta
            if isinstance(delta, dict):
                if delta.get("type") == "text_delta":  # what nearly every event is
                    if words := words_of(delta, "text"):
                        chunks.append(Chunk(self._mend.text(words)))
                        if (block := self._blocks.get(_place(event.index))) is not None:
                            block.grown.append(words)
                else:
                    self._change(event.index, delta, chunks)
        elif kind == "content_block_start":
            if isinstance(event.content_block, dict):
                self._open(event.index, event.content_block, chunks)
        elif kind == "content_block_stop":
            call = self._calls.get(_place(event.index))
            if call in self._silent:  # a call without arguments is a call with an empty object
                chunks.append(Chunk(tool_calls=(ToolCallDelta(call, arguments="{}"),)))
        elif kind == "message_start":
            message = event.message if isinstance(event.message, dict) else {}
            # The number of output tokens is provisional here.
            self._count(message.get("usage"), {"output_tokens": None})
            model, id_ = word(message.get("model")), word(message.get("id"))
            chunks.append(Chunk(usage=usage_of(self._usage), id=id_, model=model))
        elif kind == "message_delta":
            stop = event.delta.get("stop_reason") if isinstance(event.delta, dict) else None
            self._stop = word(stop) or self._stop
            if event.usage:
                self._count(event.usage, {})
                chunks.append(Chunk(usage=usage_of(self._usage)))
        elif kind == "message_stop":
            last = Chunk(finish_reason=FINISH.get(self._stop or "", "unknown"), native_finish_reason=self._stop)
            last.reasoning_details = details_of([block.whole() for block in self._blocks.values()])
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
        self._blocks[_place(index)] = _Block(block)
        if kind == "tool_use":
            call = self._calls[_place(index)] = len(self._calls)
            arguments = self._mend.arguments(call, tool_arguments(block.get("input") or None))
            if not arguments:
                self._silent.add(call)
            id_, name = word(block.get("id")) or "", word(block.get("name")) or ""
            chunks.append(Chunk(tool_calls=(ToolCallDelta(call, id_, name, arguments),)))
        elif kind == "text" and (words := words_of(block, "text")):
            chunks.append(Chunk(self._mend.text(words)))
        elif kind == "thinking" and (words := words_of(block, "thinking")):
            chunks.append(Chunk(reasoning=self._mend.reasoning(words)))

    def _change(self, index: Any, delta: dict[str, Any], chunks: list[Chunk]) -> None:
        kind, block = delta.get("type"), self._blocks.get(_place(index))
        if kind == "thinking_delta":
            if words := words_of(delta, "thinking"):
                chunks.append(Chunk(reasoning=self._mend.reasoning(words)))
                if block is not None:
                    block.grown.append(words)
        elif kind == "input_json_delta":
            call = self._calls.get(_place(index))
            fragment = words_of(delta, "partial_json")
            if block is not None:
                block.grown.append(fragment)
            if call is not None and fragment:
                self._silent.discard(call)
                arguments = self._mend.arguments(call, fragment)
                chunks.append(Chunk(tool_calls=(ToolCallDelta(call, arguments=arguments),)))
        elif kind == "signature_delta" and block is not None:
            block.signed.append(words_of(delta, "signature"))
        elif kind == "citations_delta" and block is not None:
            block.cited.append(delta.get("citation"))


def words_of(block: dict[str, Any], key: str) -> str:
    """The text of a block whose type is known: what is no text there makes no sense."""
    text = block.get(key)
    if isinstance(text, str):
        return text
    if text is None:
        return ""
    raise malformed(f"the answer has a block with {key!r} that is no text")


def word(value: Any) -> str | None:
    """The value if it is a string."""
    return value if isinstance(value, str) else None


def _place(index: Any) -> int | None:
    return index if isinstance(index, int) else None


def usage_of(usage: Any) -> Usage | None:
    """The usage: of the prompt the API counts apart what is fresh, read from the cache and written to it."""
    if not usage or not isinstance(usage, dict):
        return None
    read, written = count(usage.get("cache_read_input_tokens")), count(usage.get("cache_creation_input_tokens"))
    fresh, completion = count(usage.get("input_tokens")), count(usage.get("output_tokens"))
    prompt = None if fresh is None else fresh + (read or 0) + (written or 0)
    total = None if prompt is None or completion is None else prompt + completion
    details = usage.get("output_tokens_details")
    thinking = count(details.get("thinking_tokens")) if isinstance(details, dict) else None
    return told(Usage(prompt, completion, total, read, thinking))

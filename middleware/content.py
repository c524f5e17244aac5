"""Content: what was asked and answered, on the spans of the attempts. Off unless somebody asks for it.

The shapes are those of OpenTelemetry's GenAI conventions, as JSON, which is how span attributes carry structure:

    gen_ai.system_instructions   the system messages at the beginning
    gen_ai.input.messages        the rest of the conversation
    gen_ai.tool.definitions      the tools that were offered
    gen_ai.output.messages       the answer, or as much of it as came

Stop sequences go with them: they are the caller's words as well.

Texts are cut message by message; the JSON itself is never cut, so that it can be parsed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import takewhile
from typing import Any

from ..pipeline import Reply, Request
from ..pipeline.complaints import logger
from . import semconv as names

__all__ = ["Content", "wanted"]

_VARIABLE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_ON_SPANS = {"NO_CONTENT": False, "SPAN_ONLY": True, "EVENT_ONLY": False, "SPAN_AND_EVENT": True}
_SYSTEM = ("system", "developer")
_log = logger()


@dataclass(frozen=True)
class Content:
    """What of a conversation is recorded.

    Args:
        limit: characters of each message that are kept, 0 or more; None keeps all.
        input: whether instructions, messages and tools are recorded.
        output: whether answers are.

    Raises:
        ValueError: if the limit is none.
    """

    limit: int | None = None
    input: bool = True
    output: bool = True

    def __post_init__(self) -> None:
        if self.limit is not None and (type(self.limit) is not int or self.limit < 0):
            raise ValueError(f"Content(limit=...) must be a number of characters, 0 or more, not {self.limit!r}")

    def of_request(self, request: Request) -> dict[str, Any]:
        """The attributes for what was asked."""
        return _tried(self._of_request, request) if self.input else {}

    def of_reply(self, reply: Reply) -> dict[str, Any]:
        """The attributes for what was answered, whole or not."""
        return _tried(self._of_reply, reply) if self.output else {}

    def _of_request(self, request: Request) -> dict[str, Any]:
        system = list(takewhile(lambda message: message["role"] in _SYSTEM, request.messages))
        instructions = [part for message in system for part in self._parts(message)]
        messages = [self._message(message) for message in request.messages[len(system) :]]
        tools = request.params.get("tools")
        found: dict[str, Any] = {names.INPUT_MESSAGES: _json(messages)}
        if instructions:
            found[names.SYSTEM_INSTRUCTIONS] = _json(instructions)
        if isinstance(tools, Sequence) and not isinstance(tools, str) and tools:
            found[names.TOOL_DEFINITIONS] = _json([_tool(tool) for tool in tools])
        stops = request.params.get("stop") or request.params.get("stop_sequences")
        if stops:
            found[names.STOP_SEQUENCES] = [stops] if isinstance(stops, str) else [str(stop) for stop in stops]
        return found

    def _of_reply(self, reply: Reply) -> dict[str, Any]:
        so_far = reply.partial
        cut = _Cut(self.limit)
        parts: list[dict[str, Any]] = []
        if so_far.reasoning:
            parts.append({"type": "reasoning", "content": cut(so_far.reasoning)})
        parts += [_text(cut(text)) for text in (so_far.text, so_far.refusal) if text]
        parts += [_called(call.id, call.name, call.arguments, cut) for call in so_far.tool_calls]
        if not parts:
            return {}
        message = {"role": "assistant", "parts": parts, "finish_reason": reply.finish_reason or "error"}
        return {names.OUTPUT_MESSAGES: _json([message])}

    def _message(self, message: Mapping[str, Any]) -> dict[str, Any]:
        told: dict[str, Any] = {"role": message["role"], "parts": list(self._parts(message))}
        if isinstance(name := message.get("name"), str):
            told["name"] = name
        return told

    def _parts(self, message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        cut = _Cut(self.limit)
        content = message.get("content")
        if message["role"] == "tool":
            whole = content if isinstance(content, str) else _json(content)
            yield {"type": "tool_call_response", "id": message.get("tool_call_id"), "response": cut(whole)}
            return
        for part in [content] if isinstance(content, str) else content or ():
            yield _part(part, cut)
        for call in message.get("tool_calls") or ():
            asked = call.get("function") or {}
            yield _called(call.get("id"), asked.get("name", ""), asked.get("arguments", ""), cut)


def _tried(told: Callable[[Any], dict[str, Any]], subject: Any) -> dict[str, Any]:
    try:
        return told(subject)
    except Exception:  # noqa: BLE001 - a message of a strange shape is the adapter's to refuse, not ours
        _log.debug("the content of a span could not be recorded", exc_info=True)
        return {}


class _Cut:
    """Cuts the texts of one message, so that they have so many characters together."""

    def __init__(self, limit: int | None) -> None:
        self.left = limit

    def __call__(self, text: str) -> str:
        if self.left is None:
            return text
        kept = text[: self.left]
        self.left -= len(kept)
        return kept if len(kept) == len(text) else f"{kept}…"


def _part(part: Any, cut: _Cut) -> dict[str, Any]:
    if isinstance(part, str):
        return _text(cut(part))
    kind = str(part.get("type", ""))
    if isinstance(text := part.get(kind if kind == "refusal" else "text"), str):
        return _text(cut(text))
    if kind == "image_url":
        image = part["image_url"]
        return _linked(str(image["url"] if isinstance(image, Mapping) else image), "image")
    if kind == "input_audio":
        return {"type": "blob", "modality": "audio", "mime_type": f"audio/{part['input_audio'].get('format')}"}
    return {"type": kind or "unknown"}  # a part that only one provider has


def _linked(url: str, modality: str) -> dict[str, Any]:
    if not url.startswith("data:"):
        return {"type": "uri", "modality": modality, "uri": url}
    # What is inline is never recorded: a span is no place for megabytes.
    return {"type": "blob", "modality": modality, "mime_type": url[5:].partition(";")[0].partition(",")[0]}


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "content": text}


def _called(call_id: Any, name: str, arguments: Any, cut: _Cut) -> dict[str, Any]:
    whole = arguments if isinstance(arguments, str) else _json(arguments)
    kept: Any = cut(whole)
    if kept == whole:
        with suppress(ValueError):  # then as the model wrote it
            kept = json.loads(whole)
    return {"type": "tool_call", "id": call_id, "name": name, "arguments": kept}


def _tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    inner = tool.get("function")
    told = inner if isinstance(inner, Mapping) else tool
    kept = {name: told[name] for name in ("name", "description", "parameters", "input_schema") if name in told}
    if "input_schema" in kept:  # Claude's word
        kept["parameters"] = kept.pop("input_schema")
    return {"type": tool.get("type", "function"), **kept}


def _json(data: Any) -> str:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"), default=_plain)


def _plain(item: Any) -> Any:
    return dict(item) if isinstance(item, Mapping) else str(item)


def wanted(option: Content | bool | None) -> Content | None:
    """What to record: as the option says, or, if that is None, as the environment does.

    `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT` is NO_CONTENT (the default), SPAN_ONLY, EVENT_ONLY or
    SPAN_AND_EVENT, as for OpenTelemetry's own instrumentations. Content is never put into events here.
    """
    if option is None:
        return _by_environment(os.environ.get(_VARIABLE, "").strip().upper())
    if isinstance(option, bool):
        return Content() if option else None
    return option


@lru_cache
def _by_environment(word: str) -> Content | None:
    if word == "EVENT_ONLY":
        _log.warning("%s=%s records nothing here: content is put on spans only", _VARIABLE, word)
    elif word and word not in _ON_SPANS:
        _log.warning("%s=%s: one of %s is expected; no content is recorded", _VARIABLE, word, ", ".join(_ON_SPANS))
    return Content() if _ON_SPANS.get(word) else None

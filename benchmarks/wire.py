"""What the fake provider says, in both dialects, as bytes that are made once."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

__all__ = ["CLAUDE", "OPENAI", "TEXT", "WORDS", "Dialect", "chunk", "whole"]

WORDS = [f"word{number} " for number in range(20)]
"""The answer that every fault script gives when it is good; what is shorter, or other, is wrong."""
TEXT = "".join(WORDS)

_STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
CHUNKED = _STREAM + b"Transfer-Encoding: chunked\r\n\r\n"
CLOSING = _STREAM + b"Connection: close\r\n\r\n"
LAST = b"0\r\n\r\n"


def whole(body: bytes, status: str = "200 OK", more: str = "") -> bytes:
    """A complete JSON response."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nx-request-id: req_bench\r\n{more}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def chunk(data: bytes) -> bytes:
    """One HTTP chunk."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def _event(data: Any, name: str = "") -> bytes:
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {data if isinstance(data, str) else json.dumps(data, separators=(',', ':'))}\n\n".encode()


@dataclass(frozen=True)
class Dialect:
    """How one protocol says it."""

    name: str

    def answer(self, text: str) -> bytes:
        """A complete response."""
        return _answer(self.name, text)

    def error(self, status: str, more: str = "") -> bytes:
        """A complete response that is an error."""
        kind = "rate_limit_error" if status.startswith("429") else "server_error"
        if self.name == "claude" and status.startswith("5"):
            kind = "api_error"
        error = {"message": "The server had an error.", "type": kind}
        return whole(json.dumps({"type": "error", "error": error}).encode(), status, more)

    def begin(self) -> bytes:
        """The events before the first word."""
        if self.name == "openai":
            return _openai({"role": "assistant", "content": ""})
        message = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "claude-sonnet-4-5",
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {"input_tokens": 9, "output_tokens": 1},
        }
        block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
        return _event({"type": "message_start", "message": message}, "message_start") + _event(
            block, "content_block_start"
        )

    def word(self, text: str) -> bytes:
        """One word, as an event."""
        if self.name == "openai":
            return _openai({"content": text})
        delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}
        return _event(delta, "content_block_delta")

    def finish(self) -> bytes:
        """The events behind the last word."""
        if self.name == "openai":
            return _openai({}, "stop") + _event("[DONE]")
        delta = {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 20},
        }
        stop = {"type": "content_block_stop", "index": 0}
        return (
            _event(stop, "content_block_stop")
            + _event(delta, "message_delta")
            + _event({"type": "message_stop"}, "message_stop")
        )

    def broken(self) -> bytes:
        """An error inside of a stream."""
        error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
        return _event(error, "error" if self.name == "claude" else "")


OPENAI = Dialect("openai")
CLAUDE = Dialect("claude")


def _openai(delta: dict[str, Any], reason: str | None = None) -> bytes:
    # As api.openai.com writes it, 286 bytes for a word.
    return _event(
        {
            "id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT",
            "object": "chat.completion.chunk",
            "created": 1741569952,
            "model": "gpt-4o-mini-2024-07-18",
            "service_tier": "default",
            "system_fingerprint": "fp_b8bc95a0ac",
            "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}],
            "obfuscation": "0123456789",
        }
    )


@lru_cache(maxsize=64)
def _answer(dialect: str, text: str) -> bytes:
    if dialect == "claude":
        return whole(
            json.dumps(
                {
                    "id": "msg_01XFDUDYJgAACzvnptvVoYEL",
                    "type": "message",
                    "role": "assistant",
                    "model": "claude-sonnet-4-5",
                    "content": [{"type": "text", "text": text}],
                    "stop_reason": "end_turn",
                    "stop_sequence": None,
                    "usage": {"input_tokens": 19, "output_tokens": 20},
                }
            ).encode()
        )
    details = {"cached_tokens": 0, "audio_tokens": 0}
    more = {"reasoning_tokens": 0, "audio_tokens": 0, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0}
    message = {"role": "assistant", "content": text, "refusal": None, "annotations": []}
    return whole(
        json.dumps(
            {
                "id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT",
                "object": "chat.completion",
                "created": 1741569952,
                "model": "gpt-4o-mini-2024-07-18",
                "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
                "usage": {
                    "prompt_tokens": 19,
                    "completion_tokens": 20,
                    "total_tokens": 39,
                    "prompt_tokens_details": details,
                    "completion_tokens_details": more,
                },
                "service_tier": "default",
                "system_fingerprint": "fp_b8bc95a0ac",
            }
        ).encode()
    )

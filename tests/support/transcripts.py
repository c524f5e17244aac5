"""Transcripts: streams of all providers, byte for byte, and ways to read them. No sockets."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mainstay.adapters import Adapter, HttpCall
from mainstay.adapters.claude import ClaudeCodec
from mainstay.adapters.codec import HttpCodec
from mainstay.adapters.incoming import Incoming
from mainstay.adapters.llama_cpp import LlamaCppCodec
from mainstay.adapters.ollama import OllamaCodec
from mainstay.adapters.openai import OpenAICodec
from mainstay.adapters.openrouter import OpenRouterCodec
from mainstay.pipeline import Chunk, ProviderError, Reply, Request

FOLDER = Path(__file__).parent.parent / "adapters" / "data" / "transcripts"
CODECS: Mapping[str, Callable[[], HttpCodec]] = {
    "openai": OpenAICodec,
    "openrouter": OpenRouterCodec,
    "claude": ClaudeCodec,
    "ollama": OllamaCodec,
    "llama_cpp": LlamaCppCodec,
    "llama_cpp_messages": ClaudeCodec,  # its /v1/messages
}
MADE_UP = ""  # stands for an id that the codec makes up at random
NOTHING: Mapping[str, Any] = {
    "text": "",
    "reasoning": "",
    "refusal": "",
    "tool_calls": [],
    "usage": None,
    "logprobs": [],
    "reasoning_details": [],
    "id": "",
    "native_finish_reason": None,
}
"""What the replies say of which `expected.json` says nothing."""


@dataclass(frozen=True)
class Transcript:
    """One stream and what it says.

    Attributes:
        server: whose stream it is, a key of CODECS.
        expected: `told` of the reply, or `failed` of the error.
    """

    name: str
    server: str
    data: bytes
    expected: Mapping[str, Any]

    @property
    def whole(self) -> bool:
        """Whether it is an answer; otherwise it ends with an error."""
        return "error" not in self.expected

    def read(self, pieces: Iterable[bytes]) -> Reply:
        """The reply that an adapter makes of these bytes, to its end."""
        transport = Pieces(pieces, self.name)
        return Adapter(CODECS[self.server](), transport)(Request("m", "Hi", stream=True)).read()

    def outcome(self, pieces: Iterable[bytes]) -> Mapping[str, Any]:
        """What becomes of these bytes: `told` of the reply, or `failed` of the error."""
        try:
            return self.told(self.read(pieces))
        except ProviderError as error:
            return failed(error)

    def told(self, reply: Reply) -> dict[str, Any]:
        """Everything that the reply says."""
        usage = reply.usage
        return {
            "text": reply.text,
            "reasoning": reply.reasoning,
            "refusal": reply.refusal,
            "tool_calls": [[self.stable(call.id), call.name, call.arguments] for call in reply.tool_calls],
            "finish_reason": reply.finish_reason,
            "native_finish_reason": reply.native_finish_reason,
            "usage": usage and [
                usage.prompt_tokens, usage.completion_tokens, usage.total_tokens,
                usage.cached_tokens, usage.reasoning_tokens, usage.cost,
            ],
            "logprobs": [[entry.get("token"), entry.get("logprob")] for entry in reply.logprobs],
            "reasoning_details": list(reply.reasoning_details),
            "id": reply.id,
            "model": reply.model,
        }  # fmt: skip

    def chunks(self, pieces: Iterable[bytes]) -> list[Chunk]:
        """What a decoder makes of these bytes, pieces without any byte included."""
        decoder = CODECS[self.server]().decoder()
        chunks = [chunk for piece in pieces for chunk in decoder.feed(piece)] + decoder.end()
        for chunk in chunks:
            for call in chunk.tool_calls:
                call.id = self.stable(call.id)
        return chunks

    def stable(self, id_: str) -> str:
        """The id of a tool call, or MADE_UP if the server did not write it."""
        return id_ if id_.encode() in self.data else MADE_UP


def failed(error: ProviderError) -> dict[str, Any]:
    """What an error says, and what had come before it."""
    assert error.partial is None or isinstance(error.partial.text, str)
    return {
        "error": [error.error_class.value, error.reason],
        "partial": error.partial.text if error.partial is not None else "",
    }


def transcripts() -> list[Transcript]:
    """All of them."""
    expected = json.loads((FOLDER / "expected.json").read_text())
    files = {file.relative_to(FOLDER).as_posix(): file for file in FOLDER.glob("*/*")}
    assert expected.keys() == files.keys()
    return [
        Transcript(name, file.parent.name, file.read_bytes(), words if "error" in words else {**NOTHING, **words})
        for name, words in expected.items()
        for file in [files[name]]
    ]


class Pieces(Incoming):
    """A transport, and its one answer, that has these bytes to give."""

    def __init__(self, pieces: Iterable[bytes], name: str) -> None:
        self.status = 200
        self.headers = {"content-type": "application/x-ndjson" if name.endswith(".ndjson") else "text/event-stream"}
        self._pieces = filter(None, pieces)  # an empty piece would be the end

    def send(self, call: HttpCall, *, connect: float, until: float, now: Callable[[], float]) -> Incoming:
        return self

    def read(self, until: float) -> bytes:
        return next(self._pieces, b"")

    def close(self) -> None:
        self._pieces = filter(None, ())

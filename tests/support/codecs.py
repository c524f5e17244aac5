"""A codec on the bench: what the tests of all codecs share. No sockets."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from mainstay.adapters.codec import HttpCodec
from mainstay.pipeline import Chunk, Reply, Request


class CodecBench:
    """Feeds a codec literal bytes, and shows what it would send."""

    def __init__(self, codec: HttpCodec, model: str) -> None:
        self.codec = codec
        self.model = model

    def chunks_of(self, pieces: Iterable[bytes]) -> list[Chunk]:
        decoder = self.codec.decoder()
        chunks = [chunk for piece in pieces for chunk in decoder.feed(piece)]
        chunks += decoder.end()
        if decoder.error is not None:
            raise decoder.error
        return chunks

    def read(self, data: bytes) -> Reply:
        return Reply.stream(iter(self.chunks_of([data]))).read()

    def body(
        self, messages: str | Sequence[dict[str, Any]] = "Hi", stream: bool = False, **params: Any
    ) -> dict[str, Any]:
        found = json.loads(self.codec.encode(Request(self.model, messages, params, stream)).body)
        assert isinstance(found, dict)
        return found

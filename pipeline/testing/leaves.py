"""Handlers that do what a script says, in either world."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

from ..async_reply import AsyncReply
from ..chunk import Chunk
from ..reply import Reply
from ..request import Request

__all__ = ["AsyncLeaf", "Flow", "Leaf"]


@dataclass
class Flow:
    """A stream of these texts, and then the error, or its good end unless it is not `whole`.

    `seen` is what was taken of it, and "freed" when it was closed.
    """

    texts: tuple[str, ...] = ("one", "two")
    error: BaseException | None = None
    whole: bool = True
    seen: list[str] = field(default_factory=list)

    def chunks(self) -> Iterator[Chunk]:
        """The stream, for threads."""
        try:
            for text in self.texts:
                self.seen.append(text)
                yield Chunk(text=text)
            if self.error is not None:
                error, self.error = self.error, None
                try:
                    raise error
                finally:  # as in Leaf
                    del error
            if self.whole:
                yield Chunk(finish_reason="stop")
        finally:
            self.seen.append("freed")

    async def achunks(self) -> AsyncIterator[Chunk]:
        """The stream, for asyncio."""
        chunks = self.chunks()
        try:
            for chunk in chunks:
                yield chunk
        finally:
            chunks.close()  # type: ignore[attr-defined]


class Leaf:
    """A handler that does what it is told: one entry for each call, the last one for ever.

    An entry is a text to answer, an error to raise, a Flow to stream, or a function that gives one of these.
    """

    provider = "leaf"

    def __init__(self, *entries: Any) -> None:
        self.entries = list(entries) or ["answer"]
        self.calls = 0
        self.models: list[str] = []

    def _entry(self, request: Request) -> Any:
        self.calls += 1
        self.models.append(request.model)
        entry = self.entries[0] if len(self.entries) == 1 else self.entries.pop(0)
        made = entry() if callable(entry) else entry
        if isinstance(made, BaseException):
            try:
                raise made
            finally:  # its traceback holds this frame: if that held it too, only a collection would free both
                del made, entry
        return made

    def __call__(self, request: Request) -> Any:
        made = self._entry(request)
        return Reply.stream(made.chunks()) if isinstance(made, Flow) else Reply(made)


class AsyncLeaf(Leaf):
    """A Leaf for asyncio."""

    async def __call__(self, request: Request) -> Any:
        made = self._entry(request)
        await asyncio.sleep(0)
        return await AsyncReply.stream(made.achunks()) if isinstance(made, Flow) else Reply(made)

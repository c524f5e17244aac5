"""OpenRouter: one key for the models of many providers, over the chat completions protocol.

Protocol: OpenRouter's OpenAPI description. What differs from OpenAI: errors inside a 200 and in the middle of a stream,
comments that keep a slow stream alive, the upstream's own finish reason beside the normalised one, usage with its cost
without being asked, and reasoning in pieces that have to go back unchanged. An unsupported parameter is dropped by the
server without a word, which is why the schema is strict.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..pipeline import Chunk
from .codec import StreamDecoder
from .mending import mended_all
from .openai import ChatDecoder, OpenAICodec
from .openai_wire import Message
from .rule import Rule
from .schemas import OPENROUTER

__all__ = ["OpenRouterCodec"]

_TEXTS = ("text", "summary", "data", "signature")  # come in fragments


class OpenRouterCodec(OpenAICodec):
    """Chat completions as OpenRouter has them."""

    asks_usage = False  # it always comes
    reasoning_kinds = ("reasoning.",)

    def __init__(self, rules: Sequence[Rule] = ()) -> None:
        super().__init__(OPENROUTER, "openrouter", "OpenRouter", rules)

    def decoder(self) -> StreamDecoder:
        return _Decoder(self.provider, self.rules)


class _Decoder(ChatDecoder):
    __slots__ = ("_details", "_open", "_texts")

    def __init__(self, provider: str, rules: Sequence[Rule] = ()) -> None:
        super().__init__(provider, rules)
        self._details: dict[Any, dict[str, Any]] = {}  # by index, type and number
        self._open: dict[Any, Any] = {}  # by index and type, which is how fragments belong together: the latest of them
        self._texts: dict[Any, list[str]] = {}  # by the same and the key

    def _change(self, delta: Message, chunk: Chunk) -> None:
        super()._change(delta, chunk)
        if isinstance(delta.reasoning_details, list):
            for fragment in delta.reasoning_details:
                if isinstance(fragment, dict):
                    self._gather(fragment)

    def _gather(self, fragment: dict[str, Any]) -> None:
        group = (str(fragment.get("index")), str(fragment.get("type")))
        place = self._open.get(group)
        if place is None or _differ(fragment.get("id"), self._details[place].get("id")):
            place = self._open[group] = (*group, len(self._details))
        whole = self._details.setdefault(place, {})
        for key, value in fragment.items():
            if key in _TEXTS and isinstance(value, str):
                self._texts.setdefault((place, key), []).append(value)
            elif value is not None or key not in whole:
                whole[key] = value

    def _finish(self, chunk: Chunk) -> None:
        super()._finish(chunk)
        for (place, key), pieces in self._texts.items():
            self._details[place][key] = "".join(pieces)
        chunk.reasoning_details = mended_all(list(self._details.values()))
        self._details, self._open, self._texts = {}, {}, {}  # some upstreams say twice that they finished


def _differ(id_: Any, known: Any) -> bool:
    """Whether two fragments are of two pieces: both have an id, and not the same."""
    return bool(id_ and known) and id_ != known

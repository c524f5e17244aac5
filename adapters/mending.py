"""Mending: text whose surrogate pairs were cut.

JSON may hold half of a UTF-16 surrogate pair (`"\\ud83d"`), and servers that stream token by token do write emoji in
two halves. Python text with a lone half cannot be printed, logged or sent, so none leaves a codec.
"""

from __future__ import annotations

from typing import Any

from ..pipeline import Chunk, ToolCallDelta

__all__ = ["Mender", "Menders", "mended", "mended_all"]

_LOST = "\ufffd"


def mended(text: str) -> str:
    """A whole text without lone halves: pairs are joined, what is alone becomes U+FFFD."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def mended_all(value: Any) -> Any:
    """JSON data whose texts are whole, all without lone halves."""
    if isinstance(value, str):
        return mended(value)
    if isinstance(value, list):
        return [mended_all(item) for item in value]
    if isinstance(value, dict):
        return {mended(name): mended_all(item) for name, item in value.items()}
    return value


class Mender:
    """The same for text that comes in pieces. Half a pair at the end of a piece is kept until the next one."""

    __slots__ = ("_half",)

    def __init__(self) -> None:
        self._half = ""

    def __call__(self, text: str) -> str:
        """The text that can be handed out now."""
        if text.isascii() and not self._half:
            return text
        text = self._half + text
        self._half = ""
        if text and "\ud800" <= text[-1] <= "\udbff":
            self._half, text = text[-1], text[:-1]
        return mended(text)

    def flush(self) -> str:
        """The end of the text: U+FFFD if half a pair was kept, else nothing."""
        half, self._half = self._half, ""
        return _LOST if half else ""


class Menders:
    """The menders of one stream: text, reasoning, refusal and each tool call's arguments are texts of their own."""

    __slots__ = ("_arguments", "reasoning", "refusal", "text")

    def __init__(self) -> None:
        self.text = Mender()
        self.reasoning = Mender()
        self.refusal = Mender()
        self._arguments: dict[int, Mender] = {}

    def arguments(self, call: int, text: str) -> str:
        """A piece of the arguments of the call with this number."""
        mender = self._arguments.get(call)
        if mender is None:
            if text.isascii():  # as nearly all are: a call gets its own mender when it needs one
                return text
            mender = self._arguments[call] = Mender()
        return mender(text)

    def finish(self, chunk: Chunk) -> None:
        """Puts what was kept into the last chunk of the answer."""
        chunk.text += self.text.flush()
        chunk.reasoning += self.reasoning.flush()
        chunk.refusal += self.refusal.flush()
        for call, mender in self._arguments.items():
            if lost := mender.flush():
                chunk.tool_calls = (*chunk.tool_calls, ToolCallDelta(call, arguments=lost))

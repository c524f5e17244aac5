"""What llama-completion writes: the text as it is made, something at its end, and on stderr what it cost.

Text and messages go through a thread that is not waited for at the exit (since April 2026), so that either may lose
its end, and exit code 0 proves nothing: what the program writes last must be there.
"""

from __future__ import annotations

import re

from ..pipeline import Chunk, TruncatedStream, Usage
from .codec import StreamDecoder
from .stream import Output, begun

__all__ = ["LlamaOutputDecoder"]

_EOS = " [end of text]"
_END = "\n\n"
_SAMPLED = re.compile(r"sampl\w+ time = .*ms / +(\d+)")
_PROMPTED = re.compile(r"prompt eval time = .*ms / +(\d+)")


class LlamaOutputDecoder(StreamDecoder):
    """Takes off what the program adds to the text: " [end of text]" if the model ended it, and two or three line ends.

    A text that itself ends in " [end of text]" cannot be told from one that the model ended there.
    """

    __slots__ = ("_held",)

    def __init__(self) -> None:
        super().__init__(Output())
        self._held = ""

    def _take(self, frame: tuple[str, str], chunks: list[Chunk]) -> None:
        kind, text = frame
        if kind == "text":
            text = self._held + text
            sure = len(text) - _doubtful(text)
            self._held = text[sure:]
            if sure:
                chunks.append(Chunk(text[:sure]))
            return
        rest, finish, native = self._held, "stop", "word"
        if kind == "exit":
            if (body := rest.rstrip("\n")) != rest and body.endswith(_EOS):
                rest, native = body.removesuffix(_EOS), "eos"
            elif rest.endswith(_END) and _PROMPTED.search(text):  # which comes behind it
                rest, finish, native = rest.removesuffix(_END), "length", "limit"
            else:
                raise TruncatedStream("the program ended without the end of its answer")
        chunks.append(Chunk(rest, finish_reason=finish, native_finish_reason=native, usage=_usage(text)))
        self.done = True


def _doubtful(text: str) -> int:
    """How much of the end of the text may be what the program adds."""
    body = text.rstrip("\n")
    if body.endswith(_EOS):
        return len(text) - len(body) + len(_EOS)
    return min(len(text) - len(body), len(_END)) or begun(text, (_EOS,))


def _usage(told: str) -> Usage | None:
    sampled, prompted = _SAMPLED.findall(told), _PROMPTED.findall(told)
    # What was sampled includes the prompt; nothing is counted for an answer of no tokens.
    if not sampled or not prompted or sampled[-1] == "0":
        return None
    return Usage(int(prompted[-1]), int(sampled[-1]) - int(prompted[-1]), int(sampled[-1]))

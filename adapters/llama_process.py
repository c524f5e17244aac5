"""llama.cpp as a program of this machine: `llama-completion`, one run for each call, no server.

Protocol: the source of llama-completion, its help text, and what it was seen to do. Its traps are defused here. It
takes up conversation mode by itself, and then waits for input. Its reverse prompts (`-r`) are also looked for at the
end of the prompt, where one ends the answer before it begins, and they stay in the answer: stop strings are ours to
find. `--log-disable` would silence the text as well, and `-lv 0` the errors. `llama-cli` is another program since
December 2025: it shows a banner, and exits with 0 when it fails. What it writes is understood in `llama_output.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ..pipeline import (
    InvalidParameters,
    Message,
    Partial,
    Reply,
    Request,
    TruncatedStream,
)
from .codec import Codec, Headers, ProcessCall, StreamDecoder
from .history import calls_of, own_reasoning, parts_of, remarks, strange_keys, text_of
from .llama_output import LlamaOutputDecoder
from .schemas import LLAMA_PROCESS
from .shapes import refuse, refuse_infinite, to_json

__all__ = ["LlamaProcessCodec", "Template"]

Template = Callable[[Sequence[Message]], str]
"""Writes a conversation as a model's own chat format has it, up to where the answer begins."""

_ALWAYS = ("-f", "/dev/stdin", "-no-cnv", "--no-display-prompt", "--no-escape", "--simple-io")
_STOPS = "reverse-prompt"
_LONGEST = 131_071  # bytes of one argument: Linux takes no more (MAX_ARG_STRLEN, with its end)

_SPEAKERS = {"user": "User", "assistant": "Assistant"}
_KNOWN = frozenset({"role", "content", "refusal", "tool_calls"})
_NEXT = "\nUser:"  # a model that goes on writes the user's next turn as well


class LlamaProcessCodec(Codec[ProcessCall]):
    """The command line of llama-completion. The request's model is the path of a GGUF file.

    Args:
        template: how conversations are written; None for plain text, see LlamaCppProcess.
    """

    def __init__(self, template: Template | None = None) -> None:
        self.provider = "llama_cpp"
        self.label = "llama-completion"
        self.schema = LLAMA_PROCESS
        self._template = template

    def encode(self, request: Request) -> ProcessCall:
        """Says the request as a command line and a prompt.

        Raises:
            InvalidParameters: if it cannot be said.
        """
        # A command line has no types: what the program would make of a wrong value, nobody knows.
        if problems := self.schema.check(request.params, request.model):
            raise InvalidParameters(problems)
        refuse_infinite(request.params)
        prompt, stops, changes = self._prompt(request.messages)
        arguments = ["-m", _sayable("model", request.model), *_ALWAYS]
        for name, value in request.params.items():
            for flag, sent in self.schema.to_wire({name: value}).items():
                if flag == _STOPS:
                    stops = (*stops, *sent)
                else:
                    arguments += (_sayable(name, word) for word in _words(flag, sent))
        # The program takes one line end off the end of its input.
        return ProcessCall(tuple(arguments), _utf8(prompt) + b"\n", tuple(map(_utf8, stops)), request.stream, changes)

    def decode(self, status: int, headers: Headers, body: bytes) -> Reply:
        decoder = self.decoder()
        chunks = decoder.feed(body)
        text = "".join(chunk.text for chunk in chunks)
        if not decoder.done:
            error = decoder.error or TruncatedStream()
            error.partial = Partial(text)
            raise error
        end = chunks[-1]
        return Reply(
            text,
            finish_reason=end.finish_reason,
            native_finish_reason=end.native_finish_reason,
            usage=end.usage,
            provider=self.provider,
        )

    def decoder(self) -> StreamDecoder:
        return LlamaOutputDecoder()

    def _prompt(self, messages: Sequence[Message]) -> tuple[str, tuple[str, ...], Mapping[str, str]]:
        """The prompt, where the model would go on with what is not its answer, and what was left out."""
        if self._template is not None:
            prompt = self._template(messages)
            if not isinstance(prompt, str):
                raise TypeError(f"the template must give a string, not {type(prompt).__name__}")
            return prompt, (), {}
        messages, foreign = own_reasoning(messages, ())
        changes = remarks(foreign, strange_keys(messages, _KNOWN, self.label))
        if len(messages) == 1 and messages[0]["role"] == "user":
            return _said(messages[0]), (), changes
        return _plain(messages), (_NEXT,), changes


def _plain(messages: Sequence[Message]) -> str:
    turns = []
    for message in messages:
        speaker = _SPEAKERS.get(message["role"])
        turns.append(f"{speaker}: {_said(message)}\n" if speaker else f"{_said(message)}\n\n")
    if messages[-1]["role"] == "assistant":
        return "".join(turns).removesuffix("\n")
    return "".join(turns) + "Assistant:"


def _said(message: Message) -> str:
    if message["role"] not in (*_SPEAKERS, "system", "developer"):
        refuse("messages", "llama-completion takes messages of the system, the user and the assistant: no tools")
    if calls_of(message):
        refuse("messages", "llama-completion has no tools: a message with `tool_calls` cannot be said")
    # A refusal is what the assistant said; plain text has no other word for it.
    texts = [refusal] if isinstance(refusal := message.get("refusal"), str) else []
    for part in parts_of(message.get("content")):
        if part.get("type") not in ("text", "refusal"):
            refuse("messages", "llama-completion takes text, no other parts")
        texts.append(text_of(part, part["type"]))
    return "\n".join(texts)


def _words(flag: str, value: Any) -> Iterator[str]:
    """A flag as the words of a command line."""
    for each in value if isinstance(value, list) else (value,):
        yield f"--{flag}"
        if isinstance(each, Mapping):
            yield to_json(each).decode()
        elif each is not True:
            yield str(each)


def _sayable(name: str, word: str) -> str:
    try:
        size = len(word.encode(errors="surrogateescape"))  # as the system gives names that are not UTF-8
    except UnicodeEncodeError:
        refuse(name, f"`{name}` has half a character in it, which no command line can say")
    if "\0" in word:
        refuse(name, f"`{name}` has a NUL in it, which no command line can say")
    if size > _LONGEST:
        refuse(name, f"`{name}` takes {size} bytes; a command line takes {_LONGEST} for one argument")
    return word


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:  # half a surrogate pair, from text that was cut: pairs are joined, halves become U+FFFD
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()

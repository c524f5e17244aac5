"""The chat completions protocol, as bytes: what all who speak it have in common.

It began as OpenAI's. Others took it over and changed it; what they changed are the methods that they override.
"""

from __future__ import annotations

from itertools import chain, zip_longest
from typing import Any, ClassVar, NamedTuple

from .answer import Answer, pieces
from .dialect import Dialect, Event, Kind, Problem, dump, halves
from .logprobs import logprobs
from .seen import Seen

CREATED = 1760000000  # fixed, so that the same request always gets the same bytes


class Delta(NamedTuple):
    """What one chunk changes in one choice."""

    kind: Kind
    change: dict[str, Any]
    finish: str | None = None
    logprobs: dict[str, Any] | None = None


class ChatCompletions(Dialect):
    """Chat completions, complete and as a stream."""

    id_prefix: ClassVar[str] = "chatcmpl-"
    opening: ClassVar[dict[str, Any]] = {"role": "assistant", "content": ""}  # the first delta, which says nothing yet
    most_choices: ClassVar[int] = 1
    usage_unasked: ClassVar[bool] = False  # whether a stream tells its usage without being asked

    def complete(self, seen: Seen, answer: Answer) -> bytes:
        return dump(self.whole(seen, answer))

    def whole(self, seen: Seen, answer: Answer) -> dict[str, Any]:
        """A complete answer."""
        message = self.message(seen, answer)
        found = self.logprobs(seen, answer)
        choices = [
            self.choice(answer, index, {"message": message}, answer.finish_reason, found)
            for index in range(self.choices(seen))
        ]
        return {**self.envelope(seen, "chat.completion"), "choices": choices, "usage": self.usage(seen, answer)}

    def stream(self, seen: Seen, answer: Answer) -> list[Event]:
        deltas = self.deltas(seen, answer)
        choices = [
            [(item.kind, self.choice(answer, index, {"delta": item.change}, *item[2:])) for item in deltas]
            for index in range(self.choices(seen))
        ]
        mixed = [item for item in chain.from_iterable(zip_longest(*choices)) if item is not None]
        steps: list[tuple[Kind, list[dict[str, Any]]]] = [(kind, [choice]) for kind, choice in mixed]
        if self.tells_usage(seen):
            steps.append(("usage", []))
        events = [Event(_data(self.chunk(seen, answer, kind, found)), kind) for kind, found in steps]
        return [*events, Event(b"data: [DONE]\n\n", "end")]

    def envelope(self, seen: Seen, kind: str) -> dict[str, Any]:
        """What is on every answer and every chunk of it."""
        return {
            "id": f"{self.id_prefix}{seen.number:012d}",
            "object": kind,
            "created": CREATED,
            "model": seen.fields.get("model"),
        }

    def choices(self, seen: Seen) -> int:
        """How many answers the request gets."""
        n = seen.fields.get("n")
        return n if type(n) is int and 1 <= n <= self.most_choices else 1

    def choice(
        self,
        answer: Answer,
        index: int,
        said: dict[str, Any],
        finish: str | None = None,
        found: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """One choice: a message or a delta, and what stands beside it."""
        return {"index": index, **said, "logprobs": found, "finish_reason": finish}

    def message(self, seen: Seen, answer: Answer) -> dict[str, Any]:
        """The message of a complete answer."""
        message: dict[str, Any] = {"role": "assistant", "content": self.text(answer)}
        if answer.tool_calls:
            message["tool_calls"] = [
                {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
                for call_id, name, arguments in calls(seen, answer)
            ]
        return message

    def text(self, answer: Answer) -> str | None:
        """The content of a complete answer."""
        return answer.text if answer.text or not (answer.tool_calls or answer.refusal) else None

    def deltas(self, seen: Seen, answer: Answer) -> list[Delta]:
        """What each chunk of one choice changes, in order."""
        deltas = [Delta("frame", self.opening), *self.thinking(seen, answer), *self.speaking(seen, answer)]
        for place, (call_id, name, arguments) in enumerate(calls(seen, answer)):
            first = {"index": place, "id": call_id, "type": "function", "function": {"name": name, "arguments": ""}}
            rest = ({"index": place, "function": {"arguments": part}} for part in halves(arguments))
            deltas.extend(Delta("content", {"tool_calls": [call]}) for call in (first, *rest))
        return [*deltas, Delta("finish", {}, answer.finish_reason)]

    def thinking(self, seen: Seen, answer: Answer) -> list[Delta]:
        """The deltas of the reasoning, if the protocol shows it."""
        return []

    def speaking(self, seen: Seen, answer: Answer) -> list[Delta]:
        """The deltas of the text and of the refusal, with log probabilities if they are wanted."""
        said = [("content", part) for part in answer.parts] + [("refusal", part) for part in pieces(answer.refusal)]
        return [Delta("content", {name: part}, None, self.probabilities(seen, name, (part,))) for name, part in said]

    def logprobs(self, seen: Seen, answer: Answer) -> dict[str, Any] | None:
        """The log probabilities of a complete answer, or None."""
        if answer.refusal:
            return self.probabilities(seen, "refusal", pieces(answer.refusal))
        return self.probabilities(seen, "content", answer.parts)

    def probabilities(self, seen: Seen, name: str, parts: tuple[str, ...]) -> dict[str, Any] | None:
        """The log probabilities of a text, or None if the request asks for none."""
        found = logprobs(seen, parts)
        return None if found is None else {"content": None, "refusal": None, name: found}

    def usage(self, seen: Seen, answer: Answer) -> dict[str, Any]:
        """What was counted."""
        prompt = seen.prompt_words if answer.prompt_tokens is None else answer.prompt_tokens
        completion = answer.output_tokens * self.choices(seen)
        return {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": answer.cached_tokens},
        }

    def tells_usage(self, seen: Seen) -> bool:
        """Whether a stream tells what was counted."""
        options = seen.fields.get("stream_options")
        return self.usage_unasked or (isinstance(options, dict) and bool(options.get("include_usage")))

    def chunk(self, seen: Seen, answer: Answer, kind: Kind, choices: list[dict[str, Any]]) -> dict[str, Any]:
        """One chunk of a stream."""
        usage = {"usage": self.usage(seen, answer)} if kind == "usage" else {}
        return {**self.envelope(seen, "chat.completion.chunk"), "choices": choices, **usage}

    def error_event(self, problem: Problem, seen: Seen) -> bytes:
        return b"data: " + self.error_body(problem, seen.number) + b"\n\n"


def calls(seen: Seen, answer: Answer) -> list[tuple[str, str, str]]:
    """The tool calls of an answer: id, name and arguments as JSON."""
    return [
        (call.id or f"call_{seen.number:06d}{place:02d}", call.name, dump(dict(call.arguments)).decode())
        for place, call in enumerate(answer.tool_calls)
    ]


def _data(chunk: dict[str, Any]) -> bytes:
    return b"data: " + dump(chunk) + b"\n\n"

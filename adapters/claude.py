"""Claude: Anthropic's Messages API, `POST /v1/messages`.

Its shape differs from OpenAI's: system prompts stand beside the messages, content is a list of blocks, tool calls
and results are blocks too, arguments are objects, and `max_tokens` is required. In a stream every event has a name,
blocks open and close, usage counts up, and only `message_stop` proves the end. The API says that new events, blocks
and changes of blocks will come: what is unknown is skipped, whatever is in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.json import Decoder

from ..pipeline import Reply, Request, ToolCall
from .claude_answer import FINISH, OWN_DETAILS, THOUGHTS, ClaudeDecoder, details_of, usage_of, word, words_of
from .claude_request import KEYS, conversation, translate_format, translate_tools
from .codec import Headers, HttpCodec, StreamDecoder, in_stream
from .history import own_reasoning, remarks, strange_keys
from .mending import mended
from .rule import Rule
from .schemas import CLAUDE, CLAUDE_WITHOUT_SAMPLING
from .schemas.claude_models import is_adaptive
from .shapes import any_json, from_json, malformed, refuse, tool_arguments
from .suggestions import named

__all__ = ["ClaudeCodec"]

_WITHOUT_SAMPLING = "2026-10-21"  # from this version on `temperature`, `top_p` and `top_k` are unknown fields


class _Message(Struct):
    """A whole answer. Blocks stay as they come: the API says that it will add kinds with fields of their own."""

    id: Any = None
    model: Any = None
    content: Any = None
    stop_reason: Any = None
    usage: Any = None
    error: Any = None


_MESSAGE = Decoder(_Message)


class ClaudeCodec(HttpCodec):
    """The Messages API.

    Args:
        version: the `anthropic-version`. From 2026-10-21 on the API refuses sampling parameters.
        max_tokens: what is sent if the caller sets none, 1 or more; it is recorded in the reply's `changes`.
        rules: the caller's own for errors.

    Raises:
        ValueError: if `max_tokens` is less than 1.
    """

    path = "/v1/messages"

    def __init__(self, *, version: str = "2023-06-01", max_tokens: int = 4096, rules: Sequence[Rule] = ()) -> None:
        if max_tokens < 1:
            raise ValueError(f"max_tokens must be 1 or more, not {max_tokens!r}")
        self.provider = "claude"
        self.label = "Claude"
        self.rules = rules
        self.schema = CLAUDE_WITHOUT_SAMPLING if version >= _WITHOUT_SAMPLING else CLAUDE
        self.max_tokens = max_tokens
        json = {"Content-Type": "application/json", "Accept": "application/json", "anthropic-version": version}
        self._json: Headers = json
        self._events: Headers = {**json, "Accept": "text/event-stream", "Accept-Encoding": "identity"}

    def headers(self, stream: bool) -> Headers:
        return self._events if stream else self._json

    def body(self, request: Request) -> tuple[dict[str, Any], Mapping[str, str]]:
        params = self.schema.to_wire(request.params)
        translate_tools(params)
        translate_format(params)
        said, foreign = own_reasoning(request.messages, OWN_DETAILS)
        system, messages = conversation(said)
        if messages[-1]["role"] == "assistant" and is_adaptive(request.model):
            refuse("messages", f"{named(request.model)} begins no answer for you: the last message must be the user's")
        changes = remarks(foreign, strange_keys(said, KEYS, "Claude"))
        body = {"model": request.model, "messages": messages, **params}
        if system:
            body["system"] = system
        if request.stream:
            body["stream"] = True
        if "max_tokens" not in body:
            body["max_tokens"] = self.max_tokens
            why = f"set to {self.max_tokens}, the codec's default, because Claude's protocol requires it"
            changes["max_tokens"] = why
        _check_budget(body, request.params)
        if _goes_on_without_thinking(body):
            del body["thinking"]
            changes["thinking"] = "left out: the tools were called without thinking, and Claude cannot begin in between"
        return body, changes

    def reply(self, body: bytes) -> Reply:
        message = from_json(_MESSAGE, body)
        if message.error:
            raise in_stream(self.provider, body, self.rules)
        if not isinstance(message.content, list):
            raise malformed("the answer has no content")
        blocks = [block for block in message.content if isinstance(block, dict)]
        native = word(message.stop_reason)
        return Reply(
            mended("".join(words_of(block, "text") for block in blocks if block.get("type") == "text")),
            reasoning=mended(
                "".join(words_of(block, "thinking") for block in blocks if block.get("type") == "thinking")
            ),
            reasoning_details=details_of(blocks),
            tool_calls=[
                ToolCall(
                    word(block.get("id")) or "",
                    word(block.get("name")) or "",
                    mended(tool_arguments(block.get("input"), "{}")),
                )
                for block in blocks
                if block.get("type") == "tool_use"
            ],
            finish_reason=FINISH.get(native or "", "unknown"),
            native_finish_reason=native,
            usage=usage_of(message.usage),
            provider=self.provider,
            model=word(message.model) or "",
            id=word(message.id) or "",
            raw=lambda: any_json(body),
        )

    def decoder(self) -> StreamDecoder:
        return ClaudeDecoder(self.provider, self.rules)


def _check_budget(body: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    thinking, limit = body.get("thinking"), body["max_tokens"]
    budget = thinking.get("budget_tokens") if isinstance(thinking, Mapping) else None
    # With tools a beta lets a budget span several turns, so that it may be larger.
    if type(budget) is int and type(limit) is int and budget >= limit and not body.get("tools"):
        name = "thinking" if given.get("thinking") is not None else "reasoning_budget"
        unless = "" if given.get("max_tokens") is not None else " unless given"
        refuse(name, f"`{name}` may use {budget} tokens, but `max_tokens` is {limit}{unless}: it must be more")


def _goes_on_without_thinking(body: Mapping[str, Any]) -> bool:
    """Whether results answer tool calls of a turn without thinking, as another provider's model made it.

    "Expected `thinking` or `redacted_thinking`, but found `tool_use`": a turn is thought through from its beginning.
    """
    thinking, messages = body.get("thinking"), body["messages"]
    if not isinstance(thinking, Mapping) or thinking.get("type") != "enabled" or len(messages) < 2:
        return False
    called, answered = messages[-2]["content"], messages[-1]["content"]
    results = isinstance(answered, list) and any(block["type"] == "tool_result" for block in answered)
    return results and called[0]["type"] not in THOUGHTS

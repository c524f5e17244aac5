"""The providers' own clients understand every good answer of the sandbox, and the adapters understand the same.

One table of answers, five providers, complete and streamed. OpenAI's client is also the one that people use with
OpenRouter and llama.cpp's server.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import anthropic
import ollama
import openai
import pytest

from mainstay.adapters.sandbox import Answer, Sandbox
from mainstay.pipeline import Request, ToolCall, Usage
from support.good_answers import CASES, FUNCTIONS, LOGPROBS, MESSAGES, SCHEMA, Case

DIALECTS = ("openai", "claude", "openrouter", "ollama", "llama_cpp")
CHAT = ("openai", "openrouter", "llama_cpp")  # whose client is OpenAI's
TABLE = [
    pytest.param(name, dialect, stream, id=f"{name}, {dialect}, {'stream' if stream else 'complete'}")
    for name, case in CASES.items()
    for dialect in DIALECTS
    for stream in (False, True)
    if dialect not in case.but
]

# The providers' words for the end, and the library's.
OWN = {"stop": "stop", "length": "length", "tool_calls": "tool_calls", "content_filter": "content_filter"}
FINISH = {
    "openai": OWN,
    "claude": {"end_turn": "stop", "max_tokens": "length", "tool_use": "tool_calls", "refusal": "content_filter"},
    "openrouter": OWN,
    "ollama": {"stop": "stop", "length": "length"},
    "llama_cpp": OWN,
}


@dataclass
class Said:
    """What a client made of an answer. Arguments are JSON values: blanks between them are nobody's business."""

    text: str = ""
    refusal: str = ""
    reasoning: str = ""
    calls: list[tuple[str | None, str, Any]] = field(default_factory=list)
    finish: str | None = None
    usage: Usage | None = None
    logprobs: list[Any] = field(default_factory=list)
    id: str = ""
    native: str | None = None
    details: list[Any] = field(default_factory=list)


def whole(text: str | None) -> str:
    """A text whose surrogate pairs came in halves, as any client shows it: joined."""
    return (text or "").encode("utf-16", "surrogatepass").decode("utf-16")


def tokens(entries: Any) -> list[Any]:
    def pair(entry: Any) -> tuple[str, float]:
        return entry["token"], entry["logprob"]

    return [(*pair(entry), [pair(other) for other in entry["top_logprobs"] or ()]) for entry in entries or ()]


def by_openai(dialect: str, server: Sandbox, params: Mapping[str, Any], stream: bool) -> Said:
    base = server.url + ("/v1" if dialect == "llama_cpp" else "")
    with openai.OpenAI(base_url=base, api_key="sk-test", max_retries=0) as client:
        create = client.chat.completions
        if stream:
            counted = {"include_usage": True}
            with create.stream(model="m", messages=MESSAGES, stream_options=counted, **params) as events:
                heard = [choice for event in events if event.type == "chunk" for choice in event.chunk.choices]
                reply = events.current_completion_snapshot
        else:
            reply = create.create(model="m", messages=MESSAGES, **params)
            heard = reply.choices
    choice = reply.choices[0]
    message, extra, usage = choice.message, choice.message.model_extra or {}, reply.usage
    counted_reasoning = usage.completion_tokens_details and usage.completion_tokens_details.reasoning_tokens
    logprobs = choice.logprobs and (choice.logprobs.content or choice.logprobs.refusal)
    return Said(
        whole(message.content),
        message.refusal or "",
        extra.get("reasoning") or extra.get("reasoning_content") or "",
        [(c.id, c.function.name, json.loads(c.function.arguments)) for c in message.tool_calls or ()],
        FINISH[dialect][choice.finish_reason],
        Usage(
            usage.prompt_tokens,
            usage.completion_tokens,
            usage.total_tokens,
            usage.prompt_tokens_details.cached_tokens,
            counted_reasoning,
            (usage.model_extra or {}).get("cost"),
        ),
        tokens([entry.model_dump() for entry in logprobs or ()]),
        reply.id,
        (heard[-1].model_extra or {}).get("native_finish_reason") or choice.finish_reason,
        extra.get("reasoning_details") or [],
    )


def by_anthropic(dialect: str, server: Sandbox, params: Mapping[str, Any], stream: bool) -> Said:
    asked: dict[str, Any] = {"model": "m", "max_tokens": 4096, "messages": MESSAGES}
    if "tools" in params:
        asked["tools"] = [
            {"name": f["name"], "description": f["description"], "input_schema": f["parameters"]} for f in FUNCTIONS
        ]
    if "response_format" in params:
        asked["output_config"] = {"format": {"type": "json_schema", "schema": SCHEMA}}
    with anthropic.Anthropic(base_url=server.url, api_key="sk-test", max_retries=0) as client:
        if stream:
            with client.messages.stream(**asked) as events:
                message = events.get_final_message()
        else:
            message = client.messages.create(**asked)
    blocks, usage = message.content, message.usage
    prompt = usage.input_tokens + usage.cache_creation_input_tokens + usage.cache_read_input_tokens
    return Said(
        whole("".join(block.text for block in blocks if block.type == "text")),
        "",
        "".join(block.thinking for block in blocks if block.type == "thinking"),
        [(block.id, block.name, block.input) for block in blocks if block.type == "tool_use"],
        FINISH[dialect][message.stop_reason],
        Usage(
            prompt,
            usage.output_tokens,
            prompt + usage.output_tokens,
            usage.cache_read_input_tokens,
            usage.output_tokens_details.thinking_tokens,
        ),
        [],
        message.id,
        message.stop_reason,
        [block.model_dump() for block in blocks if block.type in ("thinking", "redacted_thinking")],
    )


def by_ollama(dialect: str, server: Sandbox, params: Mapping[str, Any], stream: bool) -> Said:
    asked = dict(params)
    if "response_format" in asked:
        del asked["response_format"]
        asked["format"] = SCHEMA
    client = ollama.Client(host=server.url)
    try:
        parts = client.chat("m", MESSAGES, stream=stream, **asked)
        parts = list(parts) if stream else [parts]
    finally:
        client._client.close()  # the client has no close of its own
    last = parts[-1]
    prompt, completion = last.prompt_eval_count, last.eval_count
    calls = [call.function for part in parts for call in part.message.tool_calls or ()]
    total = None if prompt is None or completion is None else prompt + completion
    return Said(
        "".join(part.message.content or "" for part in parts),
        "",
        "".join(part.message.thinking or "" for part in parts),
        [(None, call.name, dict(call.arguments)) for call in calls],  # the client drops the ids
        "tool_calls" if calls else FINISH[dialect][last.done_reason],
        None if prompt is None and completion is None else Usage(prompt, completion, total),
        tokens([entry.model_dump() for part in parts for entry in part.logprobs or ()]),
        "",
        last.done_reason,
        [],
    )


CLIENTS: dict[str, Callable[[str, Sandbox, Mapping[str, Any], bool], Said]] = {
    **dict.fromkeys(CHAT, by_openai),
    "claude": by_anthropic,
    "ollama": by_ollama,
}


def by_adapter(dialect: str, adapter: Any, params: Mapping[str, Any], stream: bool) -> Said:
    reply = adapter(Request("m", MESSAGES, params, stream))
    calls: tuple[ToolCall, ...] = reply.read().tool_calls
    return Said(
        reply.text,
        reply.refusal,
        reply.reasoning,
        [(None if dialect == "ollama" else call.id, call.name, call.parse()) for call in calls],
        reply.finish_reason,
        reply.usage,
        tokens(reply.logprobs),
        reply.id,
        reply.native_finish_reason,
        list(reply.reasoning_details),
    )


@pytest.fixture
def world(either: Any) -> Any:
    """Every test of this file is run in both worlds."""
    return either


@pytest.mark.parametrize(("name", "dialect", "stream"), TABLE)
def test_the_adapter_hears_what_the_official_client_hears(name: str, dialect: str, stream: bool, bench: Any) -> None:
    case = CASES[name]
    server, adapter = bench(dialect)
    server.default = case.answer
    theirs = CLIENTS[dialect](dialect, server, case.params, stream)
    check_heard(dialect, theirs, case)
    server.reset_counts()  # ids follow the number of the request
    ours = by_adapter(dialect, adapter, case.params, stream)
    if dialect == "openrouter" and stream:  # OpenAI's client joins their `format` like a text
        ours.details = theirs.details = []
    if dialect == "ollama" and theirs.reasoning:  # ours for the way back
        theirs.details = [{"type": "ollama.thinking", "thinking": theirs.reasoning}]
    assert ours == theirs


def check_heard(dialect: str, said: Said, case: Case) -> None:
    """That the client heard the answer, so that two are not equal because both heard nothing."""
    answer = case.answer
    apart = dialect in ("openai", "openrouter")
    text = whole(answer.text if apart else answer.in_words.text)
    assert (said.text, said.refusal) == (text, answer.refusal if apart else "")
    assert said.reasoning == ("" if dialect == "openai" else answer.reasoning)
    assert [call[1:] for call in said.calls] == [(call.name, call.arguments) for call in answer.tool_calls]
    refused = dialect == "claude" and answer.refusal
    assert said.finish == ("content_filter" if refused else answer.finish_reason)
    assert bool(said.logprobs) == bool(case.params.get("logprobs"))
    assert "".join(token for token, _, _ in said.logprobs) in ("", answer.in_words.text)
    if answer.prompt_tokens:
        assert said.usage is not None
        assert (said.usage.prompt_tokens, said.usage.completion_tokens) == (answer.prompt_tokens, answer.output_tokens)
        assert said.usage.cached_tokens == (None if dialect == "ollama" else answer.cached_tokens)
    if dialect == "openrouter":
        assert said.usage is not None
        assert said.usage.cost == answer.cost
        assert said.native == (answer.native_finish or answer.finish_reason)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dialect", ["openai", "openrouter", "ollama", "llama_cpp"])
def test_logprobs_have_their_bytes(dialect: str, stream: bool, bench: Any) -> None:
    server, adapter = bench(dialect)
    server.default = Answer("Sonne 🌞")
    reply = adapter(Request("m", MESSAGES, LOGPROBS, stream)).read()
    assert [bytes(entry["bytes"]).decode() for entry in reply.logprobs] == ["Sonne", " 🌞"]
    assert [len(entry["top_logprobs"]) for entry in reply.logprobs] == [2, 2]

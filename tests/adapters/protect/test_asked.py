"""What a native call asks, in the words of a Request: said again by the codec of the same protocol, it is the same."""

from __future__ import annotations

from typing import Any

import pytest

from mainstay.adapters import ClaudeCodec, OllamaCodec, OpenAICodec
from mainstay.adapters.protect.asked import asked_of_claude, asked_of_ollama, asked_of_openai, plain
from mainstay.pipeline import Request
from support.asked import CLAUDE_TOOLS, PIXEL, SCHEMA, TOOLS, WEATHER

USER = {"role": "user", "content": "What is the weather in Rome?"}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Rome"}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "25 °C"}
CACHED = {"type": "ephemeral"}

CLAUDE: dict[str, dict[str, Any]] = {
    "text": {},
    "system": {"system": "Be short."},
    "system in blocks": {"system": [{"type": "text", "text": "Be short.", "cache_control": CACHED}]},
    "sampling": {"temperature": 0.5, "top_p": 0.9, "top_k": 5, "stop_sequences": ["END"]},
    "tools": {"tools": CLAUDE_TOOLS},
    "a choice": {"tools": CLAUDE_TOOLS, "tool_choice": {"type": "tool", "name": "weather"}},
    "any tool": {"tools": CLAUDE_TOOLS, "tool_choice": {"type": "any", "disable_parallel_tool_use": True}},
    "a cached tool": {"tools": [{**CLAUDE_TOOLS[0], "cache_control": CACHED}]},
    "a format": {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}, "effort": "low"}},
    "a user": {"metadata": {"user_id": "u-1"}},
    "thinking": {"thinking": {"type": "enabled", "budget_tokens": 1024}},
    "tier": {"service_tier": "auto"},
    "a conversation": {
        "tools": CLAUDE_TOOLS,
        "messages": [
            USER,
            {"role": "assistant", "content": [{"type": "text", "text": "Let me look."}, CALL]},
            {"role": "user", "content": [RESULT]},
            {"role": "assistant", "content": [{"type": "text", "text": "25 °C."}]},
            {"role": "user", "content": "And tomorrow?"},
        ],
    },
    "a failed tool": {
        "messages": [
            USER,
            {"role": "assistant", "content": [CALL]},
            {"role": "user", "content": [{**RESULT, "is_error": True}]},
        ]
    },
    "thinking goes back": {
        "messages": [
            USER,
            {
                "role": "assistant",
                "content": [{"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}, CALL],
            },
            {"role": "user", "content": [RESULT]},
        ]
    },
    "an image": {
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
                    {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
                    {"type": "text", "text": "What is this?"},
                ],
            }
        ]
    },
}


@pytest.mark.parametrize("name", CLAUDE)
def test_messages_come_back_from_the_codec_as_they_were(name: str) -> None:
    body = {"model": "claude-sonnet-4-5", "max_tokens": 2048, "messages": [USER], **CLAUDE[name]}
    asked = asked_of_claude(body)
    assert not asked.alone
    said, changes = ClaudeCodec().body(Request(body["model"], asked.messages, asked.params))
    assert said == body
    assert not changes


@pytest.mark.parametrize("name", CLAUDE)
def test_messages_are_said_in_openais_words(name: str) -> None:
    body = {"model": "m", "max_tokens": 2048, "messages": [USER], **CLAUDE[name]}
    asked = asked_of_claude(body)
    said, _ = OpenAICodec().body(Request("gpt-4o", asked.messages, asked.params))
    assert [message["role"] for message in said["messages"]][:1] in (["system"], ["user"])
    assert "tool_result" not in str(said)
    assert "tool_use" not in str(said)


@pytest.mark.parametrize(
    "more",
    [
        {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
        {"messages": [{"role": "user", "content": [{"type": "document", "source": {"type": "text", "data": "x"}}]}]},
        {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "file", "file_id": "f"}}]}]},
        {"messages": [USER, {"role": "assistant", "content": [{"type": "server_tool_use", "id": "s", "input": {}}]}]},
        {"mcp_servers": [{"type": "url", "url": "https://example.com", "name": "x"}]},
    ],
    ids=["server tool", "document", "file", "server block", "remote tools"],
)
def test_what_only_claude_has_goes_to_claude_alone(more: dict[str, Any]) -> None:
    assert asked_of_claude({"model": "m", "max_tokens": 9, "messages": [USER], **more}).alone


OLLAMA: dict[str, dict[str, Any]] = {
    "text": {},
    "options": {"options": {"temperature": 0.5, "num_predict": 20, "num_ctx": 4096, "seed": 1, "stop": ["END"]}},
    "a schema": {"format": SCHEMA},
    "JSON": {"format": "json"},
    "no thinking": {"think": False},
    "thinking": {"think": "low"},
    "kept": {"keep_alive": "5m"},
    "logprobs": {"logprobs": True, "top_logprobs": 2},
    "tools": {"tools": TOOLS},
    "an image": {"messages": [{"role": "user", "content": "What is this?", "images": [PIXEL]}]},
}


@pytest.mark.parametrize("name", OLLAMA)
def test_ollamas_chat_comes_back_from_the_codec_as_it_was(name: str) -> None:
    body = {"model": "m", "stream": False, "messages": [USER], **OLLAMA[name]}
    asked = asked_of_ollama(body)
    said, changes = OllamaCodec().body(Request("m", asked.messages, asked.params))
    assert said == {**body, "truncate": False}
    assert not changes


def test_results_of_ollamas_tools_find_their_calls() -> None:
    calls = [{"function": {"name": name, "arguments": {}}} for name in ("weather", "time")]
    turns = [
        USER,
        {"role": "assistant", "content": "", "tool_calls": calls},
        {"role": "tool", "content": "25 °C", "tool_name": "weather"},
        {"role": "tool", "content": "noon", "tool_name": "time"},
    ]
    _, answer, first, second = asked_of_ollama({"messages": turns}).messages
    ids = [call["id"] for call in answer["tool_calls"]]
    assert len(set(ids)) == 2
    assert [first["tool_call_id"], second["tool_call_id"]] == ids


def test_openais_words_are_the_words_of_a_request() -> None:
    body = {
        "model": "gpt-4o",
        "messages": [USER],
        "max_completion_tokens": 5,
        "tools": TOOLS,
        "stream": True,
        "stream_options": {"include_usage": True},
        "seed": None,
    }
    asked = asked_of_openai(body)
    assert (asked.messages, asked.params, asked.alone) == ([USER], {"max_tokens": 5, "tools": TOOLS}, False)


@pytest.mark.parametrize(
    "more",
    [
        {"n": 2},
        {"functions": [{"name": "weather", "parameters": WEATHER}]},
        {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "mp3"}},
        {"tools": [{"type": "custom", "custom": {"name": "code"}}]},
        {"messages": [{"role": "function", "name": "f", "content": "x"}]},
    ],
)
def test_what_only_openai_has_goes_to_openai_alone(more: dict[str, Any]) -> None:
    assert asked_of_openai({"model": "m", "messages": [USER], **more}).alone


def test_plain() -> None:
    from anthropic import omit
    from anthropic.types import TextBlock

    body = {"a": omit, "b": (TextBlock(type="text", text="x"), {"c": omit, "d": 1}), "e": iter([1]), "f": None}
    assert plain(body) == {"b": [{"type": "text", "text": "x"}, {"d": 1}], "e": [1], "f": None}

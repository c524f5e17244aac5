"""Claude's thinking: it goes back unchanged, signature and all, before the results of tools."""

from __future__ import annotations

import json
from typing import Any

from mainstay.adapters.claude import ClaudeCodec
from mainstay.adapters.ollama import OllamaCodec
from mainstay.adapters.openai import OpenAICodec
from mainstay.pipeline import Reply, Request
from support.codecs import CodecBench

CODEC = ClaudeCodec()
BENCH = CodecBench(CODEC, "claude-x")

THOUGHT = {"type": "thinking", "thinking": "Let me see.", "signature": "EqQBCg=="}
SEALED = {"type": "redacted_thinking", "data": "EmwKAhgB"}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "get_w", "input": {"city": "Rome"}}


def event(kind: str, **rest: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **rest})}\n\n".encode()


def block(index: int, start: dict[str, Any], *deltas: dict[str, Any]) -> bytes:
    return b"".join(
        [
            event("content_block_start", index=index, content_block=start),
            *(event("content_block_delta", index=index, delta=delta) for delta in deltas),
            event("content_block_stop", index=index),
        ]
    )


STREAM = (
    event("message_start", message={"id": "msg_1", "model": "claude-x-1", "usage": {"input_tokens": 9}})
    + block(
        0,
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "thinking_delta", "thinking": "Let me "},
        {"type": "thinking_delta", "thinking": "see."},
        {"type": "signature_delta", "signature": "EqQB"},
        {"type": "signature_delta", "signature": "Cg=="},
    )
    + block(1, SEALED)
    + block(2, {"type": "text", "text": ""}, {"type": "text_delta", "text": "I shall look."})
    + block(3, {**CALL, "input": {}}, {"type": "input_json_delta", "partial_json": '{"city": "Rome"}'})
    + event("message_delta", delta={"stop_reason": "tool_use"}, usage={"output_tokens": 20})
    + event("message_stop")
)
WHOLE = json.dumps(
    {
        "id": "msg_1",
        "model": "claude-x-1",
        "content": [THOUGHT, SEALED, {"type": "text", "text": "I shall look."}, CALL],
        "stop_reason": "tool_use",
        "usage": {"input_tokens": 9, "output_tokens": 20},
    }
).encode()


def replies() -> tuple[Reply, Reply]:
    return CODEC.decode(200, {}, WHOLE), BENCH.read(STREAM)


def test_the_blocks_are_kept_whole() -> None:
    for reply in replies():
        assert (reply.reasoning, reply.text) == ("Let me see.", "I shall look.")
        assert reply.reasoning_details == [THOUGHT, SEALED]


def test_they_go_back_first_and_unchanged() -> None:
    for reply in replies():
        result = {"role": "tool", "tool_call_id": "toolu_1", "content": "Sunny"}
        sent = BENCH.body([{"role": "user", "content": "?"}, reply.message, result])
        assert sent["messages"][1] == {
            "role": "assistant",
            "content": [THOUGHT, SEALED, {"type": "text", "text": "I shall look."}, CALL],
        }


def test_no_other_provider_gets_them_and_the_reply_will_say_so() -> None:
    for codec in (OpenAICodec(), OllamaCodec()):
        for reply in replies():
            call = codec.encode(Request("m", [{"role": "user", "content": "?"}, reply.message]))
            assert b"EqQB" not in call.body
            assert b"I shall look." in call.body
            assert call.changes["messages"] == "reasoning of other providers left out (2)"


def test_cache_marks_are_kept_wherever_they_are_written() -> None:
    mark = {"type": "ephemeral"}
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}, "cache_control": mark}
    sent = BENCH.body(
        [
            {"role": "system", "content": [{"type": "text", "text": "Rules", "cache_control": mark}]},
            {"role": "user", "content": "Long text", "cache_control": mark},
            {
                "role": "user",
                "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
                "cache_control": mark,
            },
        ],
        tools=[tool],
    )
    assert sent["system"] == [{"type": "text", "text": "Rules", "cache_control": mark}]
    assert sent["messages"][0]["content"] == [{"type": "text", "text": "Long text", "cache_control": mark}]
    assert [part.get("cache_control") for part in sent["messages"][1]["content"]] == [None, mark]
    assert sent["tools"] == [{"name": "f", "input_schema": {"type": "object"}, "cache_control": mark}]


def test_a_cache_mark_on_a_turn_of_tools_is_on_its_last_block() -> None:
    mark = {"type": "ephemeral"}
    asked = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    sent = BENCH.body(
        [
            {"role": "user", "content": "?"},
            {"role": "assistant", "content": None, "tool_calls": [asked], "cache_control": mark},
            {"role": "tool", "tool_call_id": "c1", "content": "x", "cache_control": mark},
        ]
    )
    call = {"type": "tool_use", "id": "c1", "name": "f", "input": {}, "cache_control": mark}
    result = {"type": "tool_result", "tool_use_id": "c1", "content": "x", "cache_control": mark}
    assert sent["messages"][1:] == [
        {"role": "assistant", "content": [call]},
        {"role": "user", "content": [result]},
    ]


def test_what_claude_has_no_words_for_is_told_not_dropped_in_silence() -> None:
    call = CODEC.encode(Request("m", [{"role": "user", "content": "?", "name": "Ann", "annotations": None}]))
    assert call.changes["messages"] == "`name` left out, which Claude has no words for"


def test_newer_models_begin_no_answer_and_say_so_before_anything_is_sent() -> None:
    prefill = [{"role": "user", "content": "?"}, {"role": "assistant", "content": "Well,"}]
    assert not CODEC.check(Request("claude-sonnet-4-5", prefill))
    (problem,) = CODEC.check(Request("claude-opus-4-7", prefill))
    assert (problem.parameter, problem.message) == (
        "messages",
        "claude-opus-4-7 begins no answer for you: the last message must be the user's",
    )
    assert not CODEC.check(Request("claude-opus-4-7", [*prefill, {"role": "user", "content": "?"}]))

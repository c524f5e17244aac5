"""Claude's thinking: it goes back unchanged, signature and all, before the results of tools."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mainstay.adapters.claude import ClaudeCodec
from mainstay.adapters.ollama import OllamaCodec
from mainstay.adapters.openai import OpenAICodec
from mainstay.adapters.openrouter import OpenRouterCodec
from mainstay.adapters.schemas import OPENAI_COMPATIBLE
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


SEARCH = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "Rome"}}
FOUND = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [{"type": "web_search_result"}]}
CITED = {
    "type": "text",
    "text": "It is sunny.",
    "citations": [{"type": "web_search_result_location", "cited_text": "s"}],
}
SECOND = {"type": "thinking", "thinking": "And now?", "signature": "c2Vj"}
SAID = {"type": "text", "text": "I shall look."}
INTERLEAVED = [THOUGHT, SAID, SECOND, CALL]
PAUSED = [SAID, SEARCH, FOUND, CITED]


def streamed(blocks: list[dict[str, Any]], stop: str) -> bytes:
    parts = [event("message_start", message={"id": "msg_1", "model": "claude-x-1", "usage": {"input_tokens": 9}})]
    for index, whole in enumerate(blocks):
        match whole["type"]:
            case "text":
                start = {"type": "text", "text": ""}
                deltas = [{"type": "text_delta", "text": piece} for piece in (whole["text"][:4], whole["text"][4:])]
                deltas += [{"type": "citations_delta", "citation": one} for one in whole.get("citations", ())]
            case "thinking":
                start = {"type": "thinking", "thinking": "", "signature": ""}
                deltas = [
                    {"type": "thinking_delta", "thinking": whole["thinking"]},
                    {"type": "signature_delta", "signature": whole["signature"]},
                ]
            case "tool_use" | "server_tool_use":
                start, text = {**whole, "input": {}}, json.dumps(whole["input"])
                deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in ("", text[:5], text[5:])]
            case _:
                start, deltas = whole, []
        parts.append(block(index, start, *deltas))
    parts += [event("message_delta", delta={"stop_reason": stop}, usage={"output_tokens": 20}), event("message_stop")]
    return b"".join(parts)


@pytest.mark.parametrize(("blocks", "stop"), [(INTERLEAVED, "tool_use"), (PAUSED, "pause_turn")])
@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_whose_order_means_something_goes_back_whole(
    blocks: list[dict[str, Any]], stop: str, stream: bool
) -> None:
    if stream:
        reply = BENCH.read(streamed(blocks, stop))
    else:
        reply = CODEC.decode(200, {}, json.dumps({"content": blocks, "stop_reason": stop}).encode())
    assert reply.text == "".join(one["text"] for one in blocks if one["type"] == "text")
    sent = BENCH.body([{"role": "user", "content": "?"}, reply.message])
    assert sent["messages"][1] == {"role": "assistant", "content": blocks}
    for codec in (OpenAICodec(), OllamaCodec()):
        call = codec.encode(Request("m", [{"role": "user", "content": "?"}, reply.message]))
        assert b"srvtoolu" not in call.body
        assert reply.text.encode() in call.body
        assert call.changes["messages"] == "reasoning of other providers left out (1)"


def test_tools_that_another_model_called_without_thinking_are_answered_without_it() -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    turns: list[dict[str, Any]] = [
        {"role": "user", "content": "?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "Sunny"},
    ]
    thinking = {"thinking": {"type": "enabled", "budget_tokens": 2000}}
    made = CODEC.encode(Request("claude-sonnet-4-5", turns, thinking))
    assert "thinking" not in json.loads(made.body)
    assert made.changes["thinking"].startswith("left out: the tools were called without thinking")
    thought = {**turns[1], "reasoning_details": [THOUGHT]}
    kept = CODEC.encode(Request("claude-sonnet-4-5", [turns[0], thought, turns[2]], thinking))
    assert json.loads(kept.body)["thinking"] == thinking["thinking"]
    later = CODEC.encode(Request("claude-sonnet-4-5", [*turns, {"role": "user", "content": "And now?"}], thinking))
    assert "thinking" in json.loads(later.body)


@pytest.mark.parametrize("arguments", ["[1]", '{"x": NaN}', '{"city": "Ro', "none"])
@pytest.mark.parametrize("codec", [CODEC, OllamaCodec()], ids=["claude", "ollama"])
def test_arguments_that_are_no_object_do_not_end_a_conversation(
    codec: ClaudeCodec | OllamaCodec, arguments: str
) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": arguments}}
    turns = [{"role": "user", "content": "?"}, {"role": "assistant", "content": None, "tool_calls": [call]}]
    sent = json.loads(codec.encode(Request("claude-sonnet-4-5", turns)).body)["messages"][1]
    given = sent["content"][0]["input"] if codec is CODEC else sent["tool_calls"][0]["function"]["arguments"]
    assert given == {"INVALID_JSON": arguments}


MARK = {"type": "ephemeral"}
MARKED: list[dict[str, Any]] = [
    {"role": "system", "content": [{"type": "text", "text": "Rules", "cache_control": MARK}]},
    {"role": "user", "content": "Hi", "cache_control": MARK},
    {"role": "tool", "tool_call_id": "c", "content": "no", "is_error": True},
]


def test_openai_gets_no_marks_that_only_others_know_and_the_reply_will_say_so() -> None:
    tool = {"type": "function", "function": {"name": "f"}, "cache_control": MARK}
    call = OpenAICodec().encode(Request("gpt-4o", MARKED, {"tools": [tool]}))
    sent = json.loads(call.body)
    assert sent["messages"] == [
        {"role": "system", "content": [{"type": "text", "text": "Rules"}]},
        {"role": "user", "content": "Hi"},
        {"role": "tool", "tool_call_id": "c", "content": "no"},
    ]
    assert sent["tools"] == [{"type": "function", "function": {"name": "f"}}]
    assert call.changes["messages"] == "`cache_control`, `is_error` left out, which OpenAI has no words for"
    assert call.changes["tools"] == "`cache_control` left out, which OpenAI has no words for"
    assert "cache_control" in MARKED[1]


def test_others_that_speak_like_openai_get_them_as_they_are() -> None:
    for codec in (OpenAICodec(OPENAI_COMPATIBLE, "someone"), OpenRouterCodec()):
        call = codec.encode(Request("m", MARKED))
        assert json.loads(call.body)["messages"] == MARKED
        assert not call.changes


def test_ollamas_thinking_goes_back_to_it_and_to_nobody_else() -> None:
    codec = OllamaCodec()
    lines = [
        {"model": "m", "message": {"content": "", "thinking": "Let me "}, "done": False},
        {"model": "m", "message": {"content": "", "thinking": "see."}, "done": False},
        {"model": "m", "message": {"content": "Yes."}, "done": True, "done_reason": "stop"},
    ]
    data = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    whole = {"model": "m", "message": {"content": "Yes.", "thinking": "Let me see."}, "done": True}
    for reply in (CodecBench(codec, "m").read(data), codec.decode(200, {}, json.dumps(whole).encode())):
        turns = [{"role": "user", "content": "?"}, reply.message]
        sent = json.loads(codec.encode(Request("m", turns)).body)["messages"][1]
        assert sent == {"role": "assistant", "content": "Yes.", "thinking": "Let me see."}
        assert "Let me see." not in CODEC.encode(Request("claude-x", turns)).body.decode()

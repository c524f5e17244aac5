"""The Claude codec: byte literals in, bytes and chunks out; no sockets."""
# ruff: noqa: E501 - transcripts stand as they came over the wire

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.adapters.claude import ClaudeCodec
from mainstay.pipeline import (
    ErrorClass,
    InvalidParameters,
    ProviderError,
    QuotaExceeded,
    Request,
    ToolCall,
    TruncatedStream,
    Unavailable,
    Usage,
)
from support.codecs import CodecBench

CODEC = ClaudeCodec()
JSON = {"content-type": "application/json"}

TRANSCRIPT = rb"""event: message_start
data: {"type":"message_start","message":{"id":"msg_01AbC","type":"message","role":"assistant","model":"claude-x-1","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":12,"cache_creation_input_tokens":3,"cache_read_input_tokens":5,"output_tokens":1}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Hmm"}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"c2ln"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: content_block_start
data: {"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}

event: ping
data: {"type":"ping"}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"Let me look. "}}

event: content_block_stop
data: {"type":"content_block_stop","index":1}

event: content_block_start
data: {"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"toolu_01X","name":"get_time","input":{}}}

event: content_block_delta
data: {"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"tz\": \"Eu"}}

event: content_block_delta
data: {"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"rope/Paris\"}"}}

event: content_block_stop
data: {"type":"content_block_stop","index":2}

event: content_block_start
data: {"type":"content_block_start","index":3,"content_block":{"type":"tool_use","id":"toolu_02X","name":"now","input":{}}}

event: content_block_stop
data: {"type":"content_block_stop","index":3}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":31}}

event: message_stop
data: {"type":"message_stop"}

"""
CALLS = (ToolCall("toolu_01X", "get_time", '{"tz": "Europe/Paris"}'), ToolCall("toolu_02X", "now", "{}"))


def event(data: str) -> bytes:
    return f"event: {json.loads(data)['type']}\ndata: {data}\n\n".encode()


def text(words: str) -> bytes:
    return event(
        json.dumps({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": words}})
    )


END = event('{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}}') + event(
    '{"type":"message_stop"}'
)


BENCH = CodecBench(CODEC, "claude-x")
chunks_of, read, body = BENCH.chunks_of, BENCH.read, BENCH.body


class TestEncode:
    def test_ids_of_other_providers_become_such_as_claude_takes_and_still_match(self) -> None:
        ids = ["functions.f:0", "functions.f:1", "c" * 80, "\ud83d", "call_1"]
        calls = [{"id": id_, "type": "function", "function": {"name": "f", "arguments": "{}"}} for id_ in ids]
        asked = {"role": "assistant", "content": None, "tool_calls": calls}
        results = [{"role": "tool", "tool_call_id": id_, "content": "x"} for id_ in ids]
        _, turn, answers = body([{"role": "user", "content": "?"}, asked, *results])["messages"]
        sent = [block["id"] for block in turn["content"]]
        assert sent == [block["tool_use_id"] for block in answers["content"]]
        assert all(re.fullmatch("[a-zA-Z0-9_-]{1,64}", id_) for id_ in sent)
        assert len(set(sent)) == len(ids)
        assert sent[-1] == "call_1"

    @pytest.mark.parametrize(
        ("params", "words"),
        [
            (
                {"reasoning_budget": 5000},
                "`reasoning_budget` may use 5000 tokens, but `max_tokens` is 4096 unless given",
            ),
            (
                {"thinking": {"type": "enabled", "budget_tokens": 5000}, "max_tokens": 5000},
                "`thinking` may use 5000 tokens, but `max_tokens` is 5000:",
            ),
        ],
    )
    def test_a_budget_that_is_too_large_is_told_of_the_parameter_that_was_given(
        self, params: dict[str, Any], words: str
    ) -> None:
        (problem,) = CODEC.check(Request("claude-sonnet-4-5", "Hi", params))
        assert problem.parameter in params
        assert problem.message.startswith(words)

    @pytest.mark.parametrize("id_", [None, ""])
    def test_a_call_without_an_id_is_refused(self, id_: str | None) -> None:
        call = {"id": id_, "type": "function", "function": {"name": "f", "arguments": "{}"}}
        with pytest.raises(InvalidParameters, match="needs an `id`"):
            body([{"role": "user", "content": "?"}, {"role": "assistant", "tool_calls": [call]}])

    def test_the_least(self) -> None:
        call = CODEC.encode(Request("claude-x", "Hi"))
        assert call.path == "/v1/messages"
        assert call.headers["anthropic-version"] == "2023-06-01"
        assert json.loads(call.body) == {
            "model": "claude-x",
            "messages": [{"role": "user", "content": "Hi"}],
            "max_tokens": 4096,
        }

    def test_what_the_wire_requires_is_supplied_and_recorded(self) -> None:
        assert "4096" in CODEC.encode(Request("claude-x", "Hi")).changes["max_tokens"]
        assert CODEC.encode(Request("claude-x", "Hi", {"max_tokens": 5})).changes == {}
        assert body(max_tokens=5)["max_tokens"] == 5
        other = ClaudeCodec(max_tokens=7, version="2026-10-21").encode(Request("claude-x", "Hi"))
        assert (json.loads(other.body)["max_tokens"], other.headers["anthropic-version"]) == (7, "2026-10-21")
        with pytest.raises(ValueError, match="max_tokens must be 1 or more"):
            ClaudeCodec(max_tokens=0)

    def test_a_stream(self) -> None:
        call = CODEC.encode(Request("claude-x", "Hi", stream=True))
        assert json.loads(call.body)["stream"] is True
        assert call.headers["Accept-Encoding"] == "identity"

    def test_system_prompts_stand_beside_the_messages(self) -> None:
        found = body(
            [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Hi"},
                {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
            ]
        )
        assert found["system"] == "Be brief.\n\nBe kind."
        assert found["messages"] == [{"role": "user", "content": "Hi"}]
        mark = {"type": "text", "text": "Long.", "cache_control": {"type": "ephemeral"}}
        assert body([{"role": "system", "content": [mark]}, {"role": "user", "content": "Hi"}])["system"] == [mark]

    def test_images(self) -> None:
        found = body(
            [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "What?"},
                        {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,AAAA"}},
                        {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
                        {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}},
                    ],
                }
            ]
        )
        assert found["messages"][0]["content"] == [
            {"type": "text", "text": "What?"},
            {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "AAAA"}},
            {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
            {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}},
        ]

    def test_tool_calls_and_their_results(self) -> None:
        function = {"name": "f", "arguments": '{"x": 1}'}
        found = body(
            [
                {"role": "user", "content": "Do it."},
                {
                    "role": "assistant",
                    "content": " ",
                    "tool_calls": [
                        {"id": "a", "type": "function", "function": function},
                        {"id": "b", "type": "function", "function": {"name": "g", "arguments": ""}},
                    ],
                },
                {"role": "tool", "tool_call_id": "a", "content": "1"},
                {"role": "tool", "tool_call_id": "b", "content": [{"type": "text", "text": "2"}], "is_error": True},
                {"role": "user", "content": "And?"},
                {"role": "assistant", "content": ""},
            ]
        )
        assert found["messages"] == [
            {"role": "user", "content": "Do it."},
            {
                "role": "assistant",
                "content": [
                    {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}},
                    {"type": "tool_use", "id": "b", "name": "g", "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "a", "content": "1"},
                    {
                        "type": "tool_result",
                        "tool_use_id": "b",
                        "content": [{"type": "text", "text": "2"}],
                        "is_error": True,
                    },
                ],
            },
            {"role": "user", "content": "And?"},
        ]

    def test_tools(self) -> None:
        schema = {"type": "object", "properties": {"x": {"type": "integer"}}}
        own = {"name": "h", "input_schema": schema}
        found = body(
            tools=[
                {"type": "function", "function": {"name": "f", "description": "d", "parameters": schema}},
                {"type": "function", "function": {"name": "g"}},
                own,
            ]
        )
        assert found["tools"] == [
            {"name": "f", "description": "d", "input_schema": schema},
            {"name": "g", "input_schema": {"type": "object", "properties": {}}},
            own,
        ]

    @pytest.mark.parametrize(
        ("params", "choice"),
        [
            ({"tool_choice": "auto"}, {"type": "auto"}),
            ({"tool_choice": "none"}, {"type": "none"}),
            ({"tool_choice": "required"}, {"type": "any"}),
            ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, {"type": "tool", "name": "f"}),
            ({"tool_choice": {"type": "tool", "name": "f"}}, {"type": "tool", "name": "f"}),
            ({"parallel_tool_calls": False}, {"type": "auto", "disable_parallel_tool_use": True}),
            (
                {"parallel_tool_calls": False, "tool_choice": "required"},
                {"type": "any", "disable_parallel_tool_use": True},
            ),
            ({"parallel_tool_calls": True}, None),
        ],
    )
    def test_tool_choice(self, params: dict[str, Any], choice: dict[str, Any] | None) -> None:
        found = body(tools=[{"name": "f", "input_schema": {}}], **params)
        assert found.get("tool_choice") == choice
        assert "parallel_tool_calls" not in found

    def test_other_parameters(self) -> None:
        schema = {"type": "object"}
        given_format = {"type": "json_schema", "json_schema": {"name": "n", "strict": True, "schema": schema}}
        found = body(stop="x", user="u", reasoning_effort="low", response_format=given_format, temperature=0.5)
        assert found["stop_sequences"] == ["x"]
        assert found["metadata"] == {"user_id": "u"}
        assert found["output_config"] == {"effort": "low", "format": {"type": "json_schema", "schema": schema}}
        assert "output_config" not in body(response_format={"type": "text"})

    @pytest.mark.parametrize(
        ("messages", "params", "parameter"),
        [
            ("Hi", {"response_format": {"type": "json_object"}}, "response_format"),
            ("Hi", {"tool_choice": "perhaps"}, "tool_choice"),
            ("Hi", {"tool_choice": {"type": "function", "function": "x"}}, "tool_choice"),
            ("Hi", {"tools": 5}, "tools"),
            ("Hi", {"thinking": {"type": "enabled", "budget_tokens": 4096}}, "thinking"),
            ("Hi", {"thinking": {"type": "enabled", "budget_tokens": 2000}, "max_tokens": 2000}, "thinking"),
            ("", {}, "messages"),
            (" \n", {}, "messages"),
            ([{"role": "user", "content": []}], {}, "messages"),
            (
                [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": " "}]}],
                {},
                "messages",
            ),
            ([{"role": "user", "content": [{"type": "text", "text": None}]}], {}, "messages"),
            ([{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}], {}, "messages"),
            ([{"role": "user", "content": [{"type": "file", "file": {}}]}], {}, "messages"),
            ([{"role": "user", "content": [{"type": "refusal", "refusal": "No."}]}], {}, "messages"),
            ([{"role": "user", "content": [{"type": ["text"], "text": "a"}]}], {}, "messages"),
            (
                [{"role": "user", "content": [{"type": "image_url", "image_url": "data:image/svg+xml,<svg/>"}]}],
                {},
                "messages",
            ),
            ([{"role": "function", "name": "f", "content": "x"}], {}, "messages"),
            ([{"role": "system", "content": "only"}], {}, "messages"),
            ([{"role": "assistant", "content": "x", "tool_calls": 5}], {}, "messages"),
            ([{"role": "user", "content": [{"type": "image_url"}]}], {}, "messages"),
            (
                [{"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": 5}}]}],
                {},
                "messages",
            ),
        ],
    )
    def test_what_cannot_be_said_is_refused(self, messages: Any, params: dict[str, Any], parameter: str) -> None:
        with pytest.raises(InvalidParameters) as caught:
            body(messages, **params)
        assert [problem.parameter for problem in caught.value.problems] == [parameter]
        assert parameter in [problem.parameter for problem in CODEC.check(Request("claude-x", messages, params))]

    def test_a_refusal_is_what_the_assistant_said(self) -> None:
        said = [
            {"role": "assistant", "content": [{"type": "text", "text": "No."}]},
            {"role": "user", "content": "Why?"},
        ]
        for turn in ({"content": None, "refusal": "No."}, {"content": [{"type": "refusal", "refusal": "No."}]}):
            assert body([{"role": "assistant", **turn}, {"role": "user", "content": "Why?"}])["messages"] == said

    def test_blocks_of_its_own_go_back_as_they_came(self) -> None:
        blocks = [
            {"type": "thinking", "thinking": "Hmm", "signature": "c2ln"},
            {"type": "redacted_thinking", "data": "x"},
            {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
            {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
        ]
        assert body([{"role": "assistant", "content": blocks}])["messages"][0]["content"] == blocks

    def test_the_version_says_whether_sampling_may_be_sent(self) -> None:
        for version, wrong in (("2023-06-01", []), ("2026-10-21", ["temperature", "top_k"])):
            found = ClaudeCodec(version=version).check(Request("m", "Hi", {"temperature": 0.5, "top_k": 3}))
            assert [problem.parameter for problem in found] == wrong

    def test_a_budget_below_the_limit_is_fine(self) -> None:
        thinking = {"type": "enabled", "budget_tokens": 1024}
        assert CODEC.check(Request("m", "Hi", {"thinking": thinking, "max_tokens": 1025})) == ()


WHOLE: dict[str, Any] = {
    "id": "msg_01AbC",
    "type": "message",
    "role": "assistant",
    "model": "claude-x-1",
    "content": [
        {"type": "thinking", "thinking": "Hmm", "signature": "c2ln"},
        {"type": "text", "text": "Let me "},
        {"type": "text", "text": "look. "},
        {"type": "tool_use", "id": "toolu_01X", "name": "get_time", "input": {"tz": "Europe/Paris"}},
        {"type": "tool_use", "id": "toolu_02X", "name": "now", "input": {}},
    ],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": {
        "input_tokens": 12,
        "cache_creation_input_tokens": 3,
        "cache_read_input_tokens": 5,
        "output_tokens": 31,
        "output_tokens_details": {"thinking_tokens": 4},
    },
}


class TestDecode:
    def test_a_whole_answer(self) -> None:
        reply = CODEC.decode(200, JSON, json.dumps(WHOLE).encode())
        assert (reply.text, reply.reasoning) == ("Let me look. ", "Hmm")
        assert [(call.id, call.name, call.parse()) for call in reply.tool_calls] == [
            ("toolu_01X", "get_time", {"tz": "Europe/Paris"}),
            ("toolu_02X", "now", {}),
        ]
        assert (reply.finish_reason, reply.native_finish_reason) == ("tool_calls", "tool_use")
        assert (reply.id, reply.model, reply.provider) == ("msg_01AbC", "claude-x-1", "claude")
        assert reply.usage == Usage(20, 31, 51, 5, 4)
        assert reply.raw == WHOLE

    @pytest.mark.parametrize(
        ("native", "canonical"),
        [
            ("end_turn", "stop"),
            ("stop_sequence", "stop"),
            ("max_tokens", "length"),
            ("tool_use", "tool_calls"),
            ("model_context_window_exceeded", "length"),
            ("refusal", "content_filter"),
            ("pause_turn", "unknown"),
            ("new_thing", "unknown"),
            (None, "unknown"),
        ],
    )
    def test_finish_reasons(self, native: str | None, canonical: str) -> None:
        data = json.dumps({**WHOLE, "content": [], "stop_reason": native, "usage": None}).encode()
        reply = CODEC.decode(200, JSON, data)
        assert (reply.text, reply.finish_reason, reply.native_finish_reason) == ("", canonical, native)
        assert reply.usage is None

    def test_what_is_new_is_skipped(self) -> None:
        new = [
            {"type": "new", "text": {"a": 1}, "id": 5, "thinking": 7},
            {"text": "x"},
            7,
            {"type": "text", "text": "Hi"},
        ]
        reply = CODEC.decode(
            200, JSON, json.dumps({"content": new, "model": 5, "usage": [1], "stop_reason": {}}).encode()
        )
        assert (reply.text, reply.reasoning, reply.model, reply.usage) == ("Hi", "", "", None)

    def test_half_a_surrogate_pair_is_mended(self) -> None:
        data = b'{"content":[{"type":"text","text":"a\\ud83d"},{"type":"thinking","thinking":"\\ude00"}]}'
        reply = CODEC.decode(200, JSON, data)
        assert (reply.text, reply.reasoning) == ("a\ufffd", "\ufffd")

    @pytest.mark.parametrize("data", [b"", b"<html></html>", b"null", b'{"content":', b"{}", b'{"content":7}'])
    def test_nonsense_is_malformed(self, data: bytes) -> None:
        with pytest.raises(Unavailable) as caught:
            CODEC.decode(200, JSON, data)
        assert caught.value.reason == "malformed_response"

    @pytest.mark.parametrize("status", [200, 400])
    def test_errors_are_classified_whatever_the_status(self, status: int) -> None:
        message = "Your credit balance is too low to access the Anthropic API."
        data = {"type": "error", "error": {"type": "invalid_request_error", "message": message}}
        with pytest.raises(QuotaExceeded):
            CODEC.decode(status, JSON, json.dumps(data).encode())


class TestStream:
    def test_a_whole_answer(self) -> None:
        reply = read(TRANSCRIPT)
        assert (reply.text, reply.reasoning, reply.tool_calls) == ("Let me look. ", "Hmm", CALLS)
        assert (reply.finish_reason, reply.native_finish_reason) == ("tool_calls", "tool_use")
        assert (reply.id, reply.model, reply.usage) == ("msg_01AbC", "claude-x-1", Usage(20, 31, 51, 5))

    @given(st.lists(st.integers(0, 5000), max_size=8))
    def test_no_cut_of_the_bytes_shows(self, places: list[int]) -> None:
        edges = [0, *sorted(place % len(TRANSCRIPT) for place in places), len(TRANSCRIPT)]
        assert chunks_of([TRANSCRIPT[a:b] for a, b in pairwise(edges)]) == chunks_of([TRANSCRIPT])

    def test_byte_by_byte(self) -> None:
        assert chunks_of([bytes([byte]) for byte in TRANSCRIPT]) == chunks_of([TRANSCRIPT])

    def test_a_part_is_never_taken_for_the_whole(self) -> None:
        proof = TRANSCRIPT.index(b'"message_stop"}') + len(b'"message_stop"}')
        for end in range(len(TRANSCRIPT)):
            if end < proof:
                with pytest.raises(TruncatedStream):
                    read(TRANSCRIPT[:end])
            else:
                assert read(TRANSCRIPT[:end]).tool_calls == CALLS

    def test_a_stop_reason_alone_proves_nothing(self) -> None:
        with pytest.raises(TruncatedStream):
            read(text("Hi") + END.partition(b"event: message_stop")[0])

    def test_the_prompt_is_counted_even_if_the_answer_breaks_off(self) -> None:
        usage = [chunk.usage for chunk in chunks_of([TRANSCRIPT[:400]]) if chunk.usage]
        assert usage == [Usage(20, None, None, 5)]

    @pytest.mark.parametrize(
        "odd",
        [
            '{"type":"ping"}',
            '{"type":"future_thing","delta":{"text":"x"}}',
            '{"type":"future_thing","delta":"abc"}',
            '{"type":"future_thing","message":"hi","usage":5,"index":null}',
            '{"type":"future_thing","index":["a"],"content_block":5}',
            '{"type":"ping","delta":"x"}',
            '{"type":"content_block_delta","index":0,"delta":{"type":"future_delta","text":{"a":1}}}',
            '{"type":"content_block_delta","index":0,"delta":{"type":"future_delta","text":"x"}}',
            '{"type":"content_block_start","index":1,"content_block":{"type":"new","text":["x"],"id":5,"name":{}}}',
            '{"type":"content_block_stop","index":{}}',
            '{"type":"message_delta","delta":{"stop_reason":7},"usage":[1]}',
            '{"type":"message_start","message":{"id":5,"model":{},"usage":5}}',
            '{"type":"content_block_delta","index":0}',
            '{"type":"content_block_delta","index":0,"delta":{"type":"future_delta","future":"x"}}',
            '{"type":"content_block_delta","index":9,"delta":{"type":"input_json_delta","partial_json":"{}"}}',
            '{"type":"content_block_start","index":9,"content_block":{"type":"server_tool_use","name":"web","input":{}}}',
        ],
    )
    def test_what_is_new_is_skipped(self, odd: str) -> None:
        assert read(event(odd) + text("Hi") + END).text == "Hi"

    def test_a_block_of_a_known_kind_that_makes_no_sense_is_malformed(self) -> None:
        with pytest.raises(Unavailable):
            read(event('{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":5}}') + END)

    def test_usage_that_was_not_told_is_none(self) -> None:
        end = event('{"type":"message_delta","delta":{"stop_reason":"end_turn"}}') + event('{"type":"message_stop"}')
        assert read(event('{"type":"message_start","message":{"id":"m"}}') + text("Hi") + end).usage is None

    def test_half_a_surrogate_pair_is_mended(self) -> None:
        thought = '{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"%s"}}'
        reply = read(event(thought % "\\ud83d") + event(thought % "\\ude00") + text("a\ud83d") + END)
        assert (reply.text, reply.reasoning) == ("a\ufffd", "😀")

    def test_an_error_comes_after_the_chunks_before_it(self) -> None:
        decoder = CODEC.decoder()
        error = event('{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}')
        assert [chunk.text for chunk in decoder.feed(text("Hel") + error + text("lo"))] == ["Hel"]
        assert isinstance(decoder.error, Unavailable)
        assert decoder.error.reason == "overloaded"

    @pytest.mark.parametrize(
        ("data", "error_class"),
        [
            (
                b'event: error\ndata: {"type":"error","error":{"type":"rate_limit_error","message":"x"}}\n\n',
                "rate_limit",
            ),
            (b'event: error\ndata: {"type":"error","error":{"type":"api_error","message":"x"}}', "unavailable"),
            (b"event: content_block_delta\ndata: {\n\n", "unavailable"),
        ],
    )
    def test_errors_inside(self, data: bytes, error_class: str) -> None:
        with pytest.raises(ProviderError) as caught:
            chunks_of([data])
        assert caught.value.error_class is ErrorClass(error_class)

    def test_text_and_arguments_that_come_with_the_start_of_their_block(self) -> None:
        start = '{"type":"content_block_start","index":%d,"content_block":%s}'
        data = event(start % (0, '{"type":"text","text":"Hi"}')) + event(
            start % (1, '{"type":"tool_use","id":"a","name":"f","input":{"x":1}}')
        )
        reply = read(data + event('{"type":"content_block_stop","index":1}') + END)
        assert (reply.text, reply.tool_calls) == ("Hi", (ToolCall("a", "f", '{"x":1}'),))


@pytest.mark.parametrize(
    "message",
    [
        {"content": 7},
        {"content": [7]},
        {"content": "x", "tool_calls": [7]},
        {"content": "x", "tool_calls": [{"id": "a"}]},
        {"content": "x", "tool_calls": [{"id": 5, "function": {"name": "f"}}]},
        {"content": "x", "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": [1]}}]},
        {"role": "tool", "content": "x"},
        {"role": "tool", "content": "x", "tool_call_id": ["a"]},
    ],
)
def test_a_history_out_of_shape_is_refused(message: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameters):
        body([{"role": "assistant", **message}])

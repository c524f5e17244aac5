"""The OpenAI codec: byte literals in, bytes and chunks out; no sockets."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.adapters.openai import OpenAICodec
from mainstay.adapters.schemas import OPENAI_COMPATIBLE
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

CODEC = OpenAICodec()
JSON = {"content-type": "application/json"}

HEAD = b'{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1760000000,"model":"gpt-4o-mini-2024-07-18",'


def event(rest: bytes) -> bytes:
    return b"data: " + HEAD + rest + b"\n\n"


def delta(change: bytes, finish: bytes = b"null") -> bytes:
    return event(
        b'"choices":[{"index":0,"delta":%b,"logprobs":null,"finish_reason":%b}],"usage":null}' % (change, finish)
    )


TEXT = (
    delta(b'{"role":"assistant","content":"","refusal":null}')
    + delta(b'{"content":"Hel"}')
    + delta('{"content":"lo ü😀"}'.encode())
    + delta(b"{}", b'"stop"')
    + event(b'"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}')
    + b"data: [DONE]\n\n"
)
TOOLS = (
    delta(
        b'{"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"call_1","type":"function",'
        b'"function":{"name":"get_w","arguments":""}}]}'
    )
    + delta(b'{"tool_calls":[{"index":0,"function":{"arguments":"{\\"city\\":"}}]}')
    + delta(b'{"tool_calls":[{"index":0,"function":{"arguments":"\\"Rome\\"}"}}]}')
    + delta(b'{"tool_calls":[{"index":1,"id":"call_2","function":{"name":"now","arguments":"{}"}}]}')
    + delta(b"{}", b'"tool_calls"')
    + b"data: [DONE]\n\n"
)


def nested(depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for _ in range(depth):
        found = {"a": found}
    return found


BENCH = CodecBench(CODEC, "gpt-4o")
chunks_of, read, body = BENCH.chunks_of, BENCH.read, BENCH.body


class TestEncode:
    def test_ids_of_other_providers_that_are_too_long_are_made_shorter_and_still_match(self) -> None:
        ids = ["c" * 41, "c" * 42, "c" * 40]
        calls = [{"id": id_, "type": "function", "function": {"name": "f", "arguments": "{}"}} for id_ in ids]
        asked = {"role": "assistant", "content": None, "tool_calls": calls}
        messages = [asked, *({"role": "tool", "tool_call_id": id_, "content": "x"} for id_ in ids)]
        turn, *answers = body(messages)["messages"]
        sent = [call["id"] for call in turn["tool_calls"]]
        assert sent == [answer["tool_call_id"] for answer in answers]
        assert max(map(len, sent)) == 40
        assert len(set(sent)) == len(ids)
        assert sent[2] == ids[2]
        assert CodecBench(OpenAICodec(OPENAI_COMPATIBLE), "m").body(messages)["messages"] == messages

    def test_the_least(self) -> None:
        call = CODEC.encode(Request("gpt-4o", "Hi"))
        assert (call.method, call.path, call.stream) == ("POST", "/chat/completions", False)
        assert call.headers["Content-Type"] == "application/json"
        assert json.loads(call.body) == {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]}
        assert "Hi" not in repr(call)

    def test_parameters_go_under_their_wire_names(self) -> None:
        found = body(temperature=0.2, max_tokens=5, stop=["x"], seed=None)
        assert found == {**body(), "temperature": 0.2, "max_completion_tokens": 5, "stop": ["x"]}

    def test_messages_pass_as_they_are(self) -> None:
        messages: list[dict[str, Any]] = [
            {"role": "system", "content": "Be brief."},
            {"role": "developer", "content": "Be kind."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is it?"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                    {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
                ],
            },
            {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "type": "function", "function": {}}]},
            {"role": "tool", "tool_call_id": "c", "content": "ok"},
        ]
        assert body(messages)["messages"] == messages

    def test_a_stream_asks_for_usage(self) -> None:
        call = CODEC.encode(Request("gpt-4o", "Hi", stream=True))
        found = json.loads(call.body)
        assert (found["stream"], found["stream_options"]) == (True, {"include_usage": True})
        assert call.headers["Accept-Encoding"] == "identity"
        options = body(stream=True, stream_options={"include_obfuscation": False})["stream_options"]
        assert options == {"include_usage": True, "include_obfuscation": False}
        assert body(stream=True, stream_options={"include_usage": False})["stream_options"] == {"include_usage": False}

    @pytest.mark.parametrize(
        ("params", "parameter"),
        [
            ({"n": 2}, "n"),
            ({"stream_options": {}}, "stream_options"),
            ({"temperature": float("nan")}, "temperature"),
            ({"metadata": {"a": [float("inf")]}}, "metadata"),
            ({"tools": [{"type": "custom", "x": (1, {"y": float("nan")})}]}, "tools"),
            ({"prediction": nested(5000)}, "prediction"),
        ],
    )
    def test_what_cannot_be_said_is_refused(self, params: dict[str, Any], parameter: str) -> None:
        with pytest.raises(InvalidParameters) as caught:
            CODEC.encode(Request("gpt-4o", "Hi", params))
        assert [problem.parameter for problem in caught.value.problems] == [parameter]
        assert parameter in [problem.parameter for problem in CODEC.check(Request("gpt-4o", "Hi", params))]

    def test_check_lists_every_problem_once(self) -> None:
        problems = CODEC.check(Request("gpt-4o", "Hi", {"n": 200, "top_k": 3}))
        assert [problem.parameter for problem in problems] == ["n", "top_k"]
        assert CODEC.check(Request("gpt-4o", "Hi", {"n": 1, "temperature": 1})) == ()

    @pytest.mark.parametrize("flaw", [float("nan"), [float("inf")], nested(5000), object(), {(1,): 2}])
    def test_check_knows_what_encode_will_refuse(self, flaw: Any) -> None:
        request = Request("gpt-4o", [{"role": "user", "content": "Hi", "x": flaw}])
        with pytest.raises(InvalidParameters) as caught:
            CODEC.encode(request)
        assert CODEC.check(request) == caught.value.problems

    def test_check_lists_what_stands_in_several_places(self) -> None:
        request = Request(
            "gpt-4o", [{"role": "user", "content": [float("inf")]}], {"n": 2, "seed": "x", "audio": {"a": float("nan")}}
        )
        assert [problem.parameter for problem in CODEC.check(request)] == ["seed", "n", "audio", "messages"]

    def test_a_none_is_no_infinity(self) -> None:
        tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": ["null", "string"], "x": None}}}]
        assert CODEC.check(Request("gpt-4o", [{"role": "assistant", "content": None}], {"tools": tools})) == ()

    def test_what_is_no_json_is_refused(self) -> None:
        with pytest.raises(InvalidParameters, match="object is no JSON type"):
            body([{"role": "user", "content": object()}])

    def test_half_a_surrogate_pair_is_mended(self) -> None:
        assert body("a\ud83d\ude00b\ud83d")["messages"][0]["content"] == "a😀b�"

    def test_compatible_servers_get_what_they_were_given(self) -> None:
        codec = OpenAICodec(OPENAI_COMPATIBLE, "someone")
        found = json.loads(codec.encode(Request("m", "Hi", {"max_tokens": 5, "repeat_penalty": 1.1})).body)
        assert (found["max_tokens"], found["repeat_penalty"]) == (5, 1.1)
        assert codec.provider == codec.label == "someone"


WHOLE: dict[str, Any] = {
    "id": "chatcmpl-abc",
    "object": "chat.completion",
    "model": "gpt-4o-mini-2024-07-18",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hi", "refusal": None, "annotations": []},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {
        "prompt_tokens": 9,
        "completion_tokens": 2,
        "total_tokens": 11,
        "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 1},
    },
}


def whole(finish: Any = "stop", **message: Any) -> bytes:
    return json.dumps({**WHOLE, "choices": [{"index": 0, "message": message, "finish_reason": finish}]}).encode()


class TestDecode:
    def test_a_whole_answer(self) -> None:
        reply = CODEC.decode(200, JSON, json.dumps(WHOLE).encode())
        assert (reply.text, reply.finish_reason, reply.native_finish_reason) == ("Hi", "stop", "stop")
        assert (reply.id, reply.model, reply.provider) == ("chatcmpl-abc", "gpt-4o-mini-2024-07-18", "openai")
        assert reply.usage == Usage(9, 2, 11, 4, 1)
        assert reply.raw == WHOLE

    def test_tool_calls(self) -> None:
        calls = [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}]
        reply = CODEC.decode(200, JSON, whole("tool_calls", content=None, tool_calls=calls))
        assert (reply.text, reply.finish_reason) == ("", "tool_calls")
        assert reply.tool_calls == (ToolCall("call_1", "f", '{"a": 1}'),)

    @pytest.mark.parametrize(
        ("native", "canonical"),
        [
            ("stop", "stop"),
            ("length", "length"),
            ("tool_calls", "tool_calls"),
            ("function_call", "tool_calls"),
            ("content_filter", "content_filter"),
            ("eos", "unknown"),
            (None, "unknown"),
        ],
    )
    def test_finish_reasons(self, native: str | None, canonical: str) -> None:
        reply = CODEC.decode(200, JSON, whole(native, content=""))
        assert (reply.finish_reason, reply.native_finish_reason) == (canonical, native)

    @pytest.mark.parametrize(
        ("message", "text", "reasoning"),
        [
            ({"content": "a", "reasoning_content": "b"}, "a", "b"),
            ({"content": "a", "reasoning": "b"}, "a", "b"),
            ({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, "ab", ""),
            ({"content": None}, "", ""),
        ],
    )
    def test_text_in_all_its_forms(self, message: dict[str, Any], text: str, reasoning: str) -> None:
        reply = CODEC.decode(200, JSON, whole(**message))
        assert (reply.text, reply.reasoning) == (text, reasoning)

    @pytest.mark.parametrize(
        ("message", "call"),
        [
            (
                {"tool_calls": [{"id": "c", "type": "custom", "custom": {"name": "sh", "input": "ls -l"}}]},
                ToolCall("c", "sh", "ls -l"),
            ),
            ({"function_call": {"name": "f", "arguments": "{}"}}, ToolCall("", "f", "{}")),
        ],
    )
    def test_tool_calls_of_other_kinds(self, message: dict[str, Any], call: ToolCall) -> None:
        (found,) = CODEC.decode(200, JSON, whole("tool_calls", content=None, **message)).tool_calls
        assert found == (call if call.id else replace(call, id=found.id))

    @pytest.mark.parametrize(
        ("usage", "expected"),
        [
            (b'{"prompt_tokens":1e999}', None),
            (b'{"prompt_tokens":NaN,"completion_tokens":2}', Usage(None, 2)),
            (b'{"prompt_tokens":-Infinity,"completion_tokens":2.0}', Usage(None, 2)),
            (b'{"prompt_tokens":1,"cost":1' + b"0" * 400 + b"}", Usage(1)),
            (b'{"prompt_tokens":1,"cost":0.25}', Usage(1, cost=0.25)),
            (b'{"prompt_tokens":true,"cost":false}', None),
            (b'{"queue_time":1}', None),
            (b"5", None),
        ],
    )
    def test_numbers_that_are_none(self, usage: bytes, expected: Usage | None) -> None:
        data = b'{"choices":[{"message":{"content":"a"},"finish_reason":"stop"}],"usage":' + usage + b"}"
        reply = CODEC.decode(200, JSON, data)
        assert (reply.text, reply.usage) == ("a", expected)
        told = delta(b'{"content":"a"}', b'"stop"') + event(b'"choices":[],"usage":' + usage + b"}")
        assert (read(told).text, read(told).usage) == ("a", expected)

    def test_absent_usage_is_none(self) -> None:
        data = {key: value for key, value in WHOLE.items() if key != "usage"}
        assert CODEC.decode(200, JSON, json.dumps(data).encode()).usage is None

    def test_half_a_surrogate_pair_is_no_error(self) -> None:
        function = {"name": "f", "arguments": "\ud83d\ude00\ude00"}
        message = {"content": "a\ud83d", "reasoning": "\ude00b", "tool_calls": [{"id": "c", "function": function}]}
        reply = CODEC.decode(200, JSON, whole(**message))
        assert (reply.text, reply.reasoning, reply.tool_calls[0].arguments) == ("a\ufffd", "\ufffdb", "😀\ufffd")

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"<html>login</html>",
            b"null",
            b"[]",
            b'{"choices":',
            b"{}",
            b'{"choices":[]}',
            b'{"choices":[{}]}',
            b'{"choices":7}',
            b"\xff\xfe",
            b"[" * 100000,
        ],
    )
    def test_nonsense_is_malformed(self, data: bytes) -> None:
        with pytest.raises(Unavailable) as caught:
            CODEC.decode(200, JSON, data)
        assert caught.value.reason == "malformed_response"

    @pytest.mark.parametrize("status", [200, 429])
    def test_errors_are_classified_whatever_the_status(self, status: int) -> None:
        data = {"error": {"message": "You exceeded your current quota", "type": "x", "code": "insufficient_quota"}}
        with pytest.raises(QuotaExceeded):
            CODEC.decode(status, JSON, json.dumps(data).encode())


class TestStream:
    def test_text(self) -> None:
        reply = read(TEXT)
        assert (reply.text, reply.finish_reason, reply.usage) == ("Hello ü😀", "stop", Usage(9, 2, 11))
        assert (reply.id, reply.model) == ("chatcmpl-1", "gpt-4o-mini-2024-07-18")

    def test_tool_calls(self) -> None:
        reply = read(TOOLS)
        assert reply.tool_calls == (ToolCall("call_1", "get_w", '{"city":"Rome"}'), ToolCall("call_2", "now", "{}"))
        assert reply.finish_reason == "tool_calls"

    @given(st.sampled_from([TEXT, TOOLS]), st.lists(st.integers(0, 5000), max_size=8))
    def test_no_cut_of_the_bytes_shows(self, data: bytes, places: list[int]) -> None:
        edges = [0, *sorted(place % len(data) for place in places), len(data)]
        assert chunks_of([data[a:b] for a, b in pairwise(edges)]) == chunks_of([data])

    def test_byte_by_byte(self) -> None:
        assert chunks_of([bytes([byte]) for byte in TEXT]) == chunks_of([TEXT])

    @pytest.mark.parametrize("data", [TEXT, TOOLS], ids=["text", "tools"])
    def test_a_part_is_never_taken_for_the_whole(self, data: bytes) -> None:
        complete = read(data)
        proof = data.index(b'"usage":null}', data.index(b'"finish_reason":"')) + len(b'"usage":null}')
        for end in range(len(data)):
            if end < proof:
                with pytest.raises(TruncatedStream):
                    read(data[:end])
            else:
                reply = read(data[:end])
                assert (reply.text, reply.tool_calls) == (complete.text, complete.tool_calls)

    def test_done_ends_it_whatever_follows(self) -> None:
        decoder = CODEC.decoder()
        decoder.feed(TEXT + delta(b'{"content":"more"}'))
        assert decoder.done
        assert decoder.feed(TEXT) == decoder.end() == []

    @pytest.mark.parametrize(
        "done", [b"data:[DONE]\n\n", b"data: [DONE] \n\n", b"data: [DONE]\r\n\r\n", b"data: [DONE]"]
    )
    def test_the_end_in_all_its_forms(self, done: bytes) -> None:
        decoder = CODEC.decoder()
        decoder.feed(delta(b'{"content":"[DONE]"}', b'"stop"') + done)
        decoder.end()
        assert decoder.done

    @pytest.mark.parametrize(
        "odd",
        [
            b": OPENROUTER PROCESSING\n\n",
            b"data:\n\n",
            b"data: null\n\n",
            b"data: []\n\n",
            b"data: 7\n\n",
            b"event: future\ndata: {}\n\n",
            b'data: {"choices":[]}\n\n',
            b'data: {"choices":[{}]}\n\n',
            b'data: {"choices":null}\n\n',
            b'data: {"choices":[{"delta":null}]}\n\n',
            b'data: {"choices":[{"delta":{"content":null}}]}\n\n',
            b'data: {"choices":[{"delta":{"tool_calls":[{"index":0}]}}]}\n\n',
            b'data: {"choices":[{"index":1,"delta":{"content":"other"},"finish_reason":"stop"}]}\n\n',
        ],
    )
    def test_what_says_nothing_is_skipped(self, odd: bytes) -> None:
        assert not any(chunk.meaningful for chunk in chunks_of([odd]))
        assert read(odd + TEXT).text == "Hello ü😀"

    def test_an_error_comes_after_the_chunks_before_it(self) -> None:
        decoder = CODEC.decoder()
        error = (
            b'data: {"error":{"message":"The server had an error","type":"server_error","param":null,"code":null}}\n\n'
        )
        chunks = decoder.feed(delta(b'{"content":"Hel"}') + error + delta(b'{"content":"lo"}'))
        assert [chunk.text for chunk in chunks] == ["Hel"]
        assert isinstance(decoder.error, Unavailable)
        assert decoder.feed(TEXT) == []

    @pytest.mark.parametrize(
        ("data", "error_class", "reason"),
        [
            (b'data: {"error":"overloaded, try later"}\n\n', ErrorClass.UNAVAILABLE, None),
            (b'data: {"choices":[{"error":{"code":429,"message":"slow down"}}]}\n\n', ErrorClass.RATE_LIMIT, None),
            (b'data: {"choices":[{"delta":{},"finish_reason":"error"}]}\n\n', ErrorClass.UNAVAILABLE, None),
            (b'data: {"choices": [\n\n', ErrorClass.UNAVAILABLE, "malformed_response"),
            (b"data: <html>\n\n", ErrorClass.UNAVAILABLE, "malformed_response"),
            (b'data: {"choices": 7}\n\n', ErrorClass.UNAVAILABLE, "malformed_response"),
            (b'data: {"error":{"message":"x","code":"insufficient_quota"}}', ErrorClass.QUOTA, None),
            (
                b'data: {"object":"error","message":"maximum context length is 10 tokens","code":400}\n\n',
                ErrorClass.INVALID_REQUEST,
                "context_length",
            ),
            (
                b'event: error\ndata: {"message":"Incorrect API key provided","code":401}\n\n',
                ErrorClass.AUTHENTICATION,
                None,
            ),
            (b'event: error\ndata: {"detail":"x"}\n\n', ErrorClass.UNAVAILABLE, None),
            (b"event: error\ndata: out of memory\n\n", ErrorClass.UNAVAILABLE, None),
        ],
    )
    def test_errors_inside(self, data: bytes, error_class: ErrorClass, reason: str | None) -> None:
        with pytest.raises(ProviderError) as caught:
            chunks_of([data])
        assert caught.value.error_class is error_class
        assert reason in (None, caught.value.reason)

    def test_usage_before_the_finish_reason(self) -> None:
        data = event(b'"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}')
        assert read(data + delta(b'{"content":"a"}', b'"stop"')).usage == Usage(1, 2, 3)

    def test_tool_calls_without_an_index(self) -> None:
        data = (
            delta(b'{"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{"}}]}')
            + delta(b'{"tool_calls":[{"function":{"arguments":"}"}}]}')
            + delta(b'{"tool_calls":[{"id":"b","function":{"name":"g","arguments":{"x":1}}}]}', b'"tool_calls"')
        )
        assert read(data).tool_calls == (ToolCall("a", "f", "{}"), ToolCall("b", "g", '{"x":1}'))

    @pytest.mark.parametrize("together", [True, False])
    def test_tool_calls_with_neither_index_nor_id(self, together: bool) -> None:
        calls = [b'{"function":{"name":"a","arguments":"{}"}}', b'{"function":{"name":"b","arguments":"{}"}}']
        parts = [b",".join(calls)] if together else calls
        data = b"".join(delta(b'{"tool_calls":[%b]}' % part) for part in parts) + delta(b"{}", b'"tool_calls"')
        reply = BENCH.read(data)
        assert [(call.name, call.arguments) for call in reply.tool_calls] == [("a", "{}"), ("b", "{}")]
        assert len({call.id for call in reply.tool_calls if call.id}) == 2

    def test_tool_calls_without_an_id_get_one_that_their_results_can_name(self) -> None:
        data = delta(b'{"tool_calls":[{"index":0,"function":{"name":"a","arguments":"{"}}]}')
        data += delta(b'{"tool_calls":[{"index":0,"function":{"arguments":"}"}}]}') + delta(b"{}", b'"tool_calls"')
        complete = whole("tool_calls", tool_calls=[{"function": {"name": "a", "arguments": "{}"}}])
        for reply in (BENCH.read(data), CODEC.decode(200, JSON, complete)):
            (call,) = reply.tool_calls
            assert call.id.startswith("call_")
            assert reply.message["tool_calls"][0]["id"] == call.id
            assert (call.name, call.arguments) == ("a", "{}")

    def test_tool_calls_that_all_have_the_same_index(self) -> None:
        part = b'{"tool_calls":[{"index":0,"id":"%b","function":{"name":"%b","arguments":"%b"}}]}'
        rest = b'{"tool_calls":[{"index":0,"function":{"arguments":"2}"}}]}'
        data = (
            delta(part % (b"a", b"f", b"{}"))
            + delta(part % (b"b", b"g", b"["))
            + delta(rest)
            + delta(part % (b"b", b"", b"]"))
            + delta(b"{}", b'"tool_calls"')
        )
        assert read(data).tool_calls == (ToolCall("a", "f", "{}"), ToolCall("b", "g", "[2}]"))

    def test_tool_calls_of_other_kinds(self) -> None:
        custom = (
            delta(b'{"tool_calls":[{"index":0,"id":"c","type":"custom","custom":{"name":"sh","input":""}}]}')
            + delta(b'{"tool_calls":[{"index":0,"custom":{"input":"ls "}}]}')
            + delta(b'{"tool_calls":[{"index":0,"custom":{"input":"-l"}}]}', b'"tool_calls"')
        )
        assert read(custom).tool_calls == (ToolCall("c", "sh", "ls -l"),)
        legacy = delta(b'{"function_call":{"name":"f","arguments":""}}') + delta(
            b'{"function_call":{"arguments":"{}"}}', b'"function_call"'
        )
        (found,) = read(legacy).tool_calls
        assert (found.name, found.arguments) == ("f", "{}")

    @pytest.mark.parametrize(
        "change",
        [
            b'{"content":"%b"}',
            b'{"reasoning_content":"%b"}',
            b'{"tool_calls":[{"index":0,"function":{"arguments":"%b"}}]}',
        ],
    )
    @pytest.mark.parametrize(
        ("pieces", "expected"),
        [
            ([b"a\\ud83d", b"\\ude00b"], "a😀b"),
            ([b"\\ud83d", b"x", b"\\ude00"], "\ufffdx\ufffd"),
            ([b"a\\ud83d"], "a\ufffd"),
        ],
    )
    def test_halves_of_a_pair_in_every_channel(self, change: bytes, pieces: list[bytes], expected: str) -> None:
        reply = read(b"".join(delta(change % piece) for piece in pieces) + delta(b"{}", b'"stop"'))
        arguments = "".join(call.arguments for call in reply.tool_calls)
        assert reply.text + reply.reasoning + arguments == expected

    def test_a_surrogate_pair_cut_between_two_tokens_is_joined(self) -> None:
        data = delta(b'{"content":"a\\ud83d"}') + delta(b'{"content":"\\ude00b"}') + delta(b"{}", b'"stop"')
        assert read(data).text == "a😀b"
        alone = delta(b'{"content":"\\ude00"}') + delta(b'{"content":"b"}', b'"stop"')
        assert read(alone).text == "�b"

    @pytest.mark.parametrize(
        ("kind", "expected"),
        [
            ("text/event-stream", True),
            ("text/event-stream; charset=utf-8", True),
            ("", True),
            ("text/plain", True),
            ("application/json", False),
            ("Application/JSON; charset=utf-8", False),
            ("text/html", False),
        ],
    )
    def test_what_is_a_stream(self, kind: str, expected: bool) -> None:
        assert CODEC.streams({"content-type": kind}) is expected

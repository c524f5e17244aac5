"""The Ollama codec: byte literals in, bytes and chunks out; no sockets."""
# ruff: noqa: E501 - transcripts stand as they came over the wire

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.adapters.ollama import OllamaCodec
from mainstay.pipeline import (
    InvalidParameters,
    ModelNotFound,
    ProviderError,
    Reply,
    Request,
    TruncatedStream,
    Unavailable,
    Usage,
)
from support.codecs import CodecBench

CODEC = OllamaCodec()
JSON = {"content-type": "application/json; charset=utf-8"}

TRANSCRIPT = (
    b'{"model":"m:latest","created_at":"2026-11-01T10:00:00.1Z","message":{"role":"assistant","content":"","thinking":"Hmm"},"done":false}\n'
    b'{"model":"m:latest","created_at":"2026-11-01T10:00:00.2Z","message":{"role":"assistant","content":"Hel"},"done":false}\n'
    b'{"model":"m:latest","created_at":"2026-11-01T10:00:00.3Z","message":{"role":"assistant","content":"lo \xc3\xbc"},"done":false}\n'
    b'{"model":"m:latest","created_at":"2026-11-01T10:00:00.4Z","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop",'
    b'"total_duration":900000000,"load_duration":100000000,"prompt_eval_count":12,"prompt_eval_duration":50000000,"eval_count":2,"eval_duration":90000000}\n'
)


def line(message: str, rest: str = '"done":false') -> bytes:
    return f'{{"model":"m:latest","message":{message},{rest}}}\n'.encode()


CALLS = line(
    '{"role":"assistant","content":"","tool_calls":[{"id":"call_ab","function":{"index":0,"name":"f","arguments":{"a":1}}}]}'
)
CALLS += line('{"content":"","tool_calls":[{"function":{"name":"g","arguments":{}}}]}')
DONE = line('{"role":"assistant","content":""}', '"done":true,"done_reason":"stop"')


BENCH = CodecBench(CODEC, "m")
chunks_of, read, body = BENCH.chunks_of, BENCH.read, BENCH.body


class TestEncode:
    def test_stream_is_always_said_and_history_never_cut(self) -> None:
        assert CODEC.encode(Request("m", "Hi")).path == "/api/chat"
        least = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": False, "truncate": False}
        assert body() == least
        assert body(stream=True) == {**least, "stream": True}
        assert body(truncate=True)["truncate"] is True

    def test_options_are_nested(self) -> None:
        found = body(temperature=0.2, max_tokens=5, stop="x", keep_alive="5m", response_format={"type": "json_object"})
        assert found["options"] == {"temperature": 0.2, "num_predict": 5, "stop": ["x"]}
        assert (found["keep_alive"], found["format"]) == ("5m", "json")

    def test_messages(self) -> None:
        call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}
        found = body(
            [
                {"role": "system", "content": "Be brief."},
                {"role": "developer", "content": "Be kind."},
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "What is it?"},
                        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                        {"type": "text", "text": "Quick."},
                    ],
                },
                {"role": "assistant", "content": None, "tool_calls": [call], "thinking": "Hmm"},
                {"role": "tool", "tool_call_id": "c1", "content": "ok"},
            ]
        )
        assert found["messages"] == [
            {"role": "system", "content": "Be brief."},
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": "What is it?\nQuick.", "images": ["AAAA"]},
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"id": "c1", "function": {"name": "f", "arguments": {"x": 1}}}],
                "thinking": "Hmm",
            },
            {"role": "tool", "content": "ok", "tool_call_id": "c1", "tool_name": "f"},
        ]

    def test_likely_tokens_need_log_probabilities_which_the_server_does_not_say(self) -> None:
        (problem,) = CODEC.check(Request("m", "Hi", {"top_logprobs": 2}))
        assert problem.message == "`top_logprobs` needs `logprobs` to be True"
        assert CODEC.check(Request("m", "Hi", {"top_logprobs": 2, "logprobs": True})) == ()

    def test_a_refusal_behind_a_text_is_not_lost(self) -> None:
        (turn,) = body([Reply("Well,", refusal="no.").message])["messages"]
        assert turn == {"role": "assistant", "content": "Well,\nno."}

    def test_what_it_has_no_words_for_in_a_part_is_told(self) -> None:
        text = {"type": "text", "text": "?", "cache_control": {"type": "ephemeral"}}
        image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}}
        call = CODEC.encode(Request("m", [{"role": "user", "content": [text, image]}]))
        assert call.changes["messages"] == "`cache_control`, `detail` left out, which Ollama has no words for"
        image["image_url"] = {"url": "data:image/png;base64,AA==", "detail": "auto"}
        assert not CODEC.encode(Request("m", [{"role": "user", "content": [image]}])).changes

    def test_a_refusal_is_what_the_assistant_said(self) -> None:
        parts = [{"type": "refusal", "refusal": "No."}]
        assert body([{"role": "assistant", "content": parts}])["messages"][0]["content"] == "No."
        assert body([{"role": "assistant", "content": None, "refusal": "No."}])["messages"][0]["content"] == "No."

    @pytest.mark.parametrize(
        "part",
        [
            {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
            {"type": "image_url"},
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
            {"type": "image_url", "image_url": {"url": "data:image/svg+xml,<svg/>"}},
            {"type": "text", "text": 5},
            {"type": "text", "text": None},
            {"type": "refusal"},
        ],
    )
    def test_what_cannot_be_said_is_refused(self, part: dict[str, Any]) -> None:
        messages = [{"role": "user", "content": [part]}]
        with pytest.raises(InvalidParameters, match=r"Ollama|needs|base64"):
            body(messages)
        assert [problem.parameter for problem in CODEC.check(Request("m", messages))] == ["messages"]


WHOLE: dict[str, Any] = {
    "model": "m:latest",
    "created_at": "2026-11-01T10:00:00.123456789Z",
    "message": {"role": "assistant", "content": "Hi", "thinking": "Hmm"},
    "done": True,
    "done_reason": "stop",
    "total_duration": 900000000,
    "prompt_eval_count": 12,
    "eval_count": 2,
}


class TestDecode:
    def test_a_whole_answer(self) -> None:
        reply = CODEC.decode(200, JSON, json.dumps(WHOLE).encode())
        assert (reply.text, reply.reasoning, reply.finish_reason) == ("Hi", "Hmm", "stop")
        assert (reply.model, reply.provider, reply.usage) == ("m:latest", "ollama", Usage(12, 2, 14))
        assert reply.raw == WHOLE

    def test_tool_calls_finish_as_tool_calls(self) -> None:
        calls = [{"function": {"name": "f", "arguments": {"a": 1}}}, {"id": "x", "function": {"name": "g"}}]
        data = json.dumps({**WHOLE, "message": {"role": "assistant", "content": "", "tool_calls": calls}}).encode()
        reply = CODEC.decode(200, JSON, data)
        assert [(call.name, call.arguments) for call in reply.tool_calls] == [("f", '{"a":1}'), ("g", "{}")]
        assert reply.tool_calls[1].id == "x"
        assert (reply.finish_reason, reply.native_finish_reason) == ("tool_calls", "stop")

    @pytest.mark.parametrize(
        ("native", "canonical"),
        [
            ("stop", "stop"),
            ("length", "length"),
            ("load", "unknown"),
            ("unload", "unknown"),
            ("", "unknown"),
            (None, "stop"),
        ],
    )
    def test_finish_reasons(self, native: str | None, canonical: str) -> None:
        reply = CODEC.decode(200, JSON, json.dumps({**WHOLE, "done_reason": native}).encode())
        assert (reply.finish_reason, reply.native_finish_reason) == (canonical, native)

    def test_absent_counts_are_unknown(self) -> None:
        data = {key: value for key, value in WHOLE.items() if key != "prompt_eval_count"}
        assert CODEC.decode(200, JSON, json.dumps(data).encode()).usage == Usage(None, 2, None)
        del data["eval_count"]
        assert CODEC.decode(200, JSON, json.dumps(data).encode()).usage is None

    def test_an_answer_that_is_not_done_is_truncated(self) -> None:
        with pytest.raises(TruncatedStream) as caught:
            CODEC.decode(200, JSON, json.dumps({**WHOLE, "done": False}).encode())
        assert caught.value.partial is not None
        assert caught.value.partial.text == "Hi"

    @pytest.mark.parametrize("data", [b"", b"<html></html>", b"null", b'{"message":', b"{}", b'{"message":7}'])
    def test_nonsense_is_malformed(self, data: bytes) -> None:
        with pytest.raises(Unavailable) as caught:
            CODEC.decode(200, JSON, data)
        assert caught.value.reason == "malformed_response"

    @pytest.mark.parametrize("status", [200, 404])
    def test_errors_are_classified_whatever_the_status(self, status: int) -> None:
        with pytest.raises(ModelNotFound):
            CODEC.decode(status, JSON, b'{"error":"model \'x\' not found"}')


class TestStream:
    def test_a_whole_answer(self) -> None:
        reply = read(TRANSCRIPT)
        assert (reply.text, reply.reasoning, reply.finish_reason) == ("Hello ü", "Hmm", "stop")
        assert (reply.model, reply.usage) == ("m:latest", Usage(12, 2, 14))

    def test_tool_calls(self) -> None:
        reply = read(CALLS + DONE)
        assert [(call.name, call.arguments) for call in reply.tool_calls] == [("f", '{"a":1}'), ("g", "{}")]
        assert reply.tool_calls[0].id == "call_ab"
        assert (reply.finish_reason, reply.native_finish_reason, reply.usage) == ("tool_calls", "stop", None)

    def test_logprobs(self) -> None:
        entry = {"token": "Hel", "logprob": -0.5, "bytes": [72, 101, 108], "top_logprobs": [{"token": "Hel"}]}
        told = f'"logprobs":[{json.dumps(entry)}],"done":false'
        stream = line('{"content":"Hel"}', told) + line('{"content":"lo"}', told) + DONE
        assert list(read(stream).logprobs) == [entry, entry]
        whole = CODEC.decode(200, JSON, json.dumps({**WHOLE, "logprobs": [entry, 5, None]}).encode())
        assert list(whole.logprobs) == [entry]
        assert list(read(line('{"content":"x"}', '"logprobs":"odd","done":false') + DONE).logprobs) == []

    def test_ids_that_are_made_up_are_never_the_same(self) -> None:
        ids = [call.id for _ in range(20) for call in read(CALLS + DONE).tool_calls if call.id != "call_ab"]
        assert len({*ids}) == len(ids) == 20
        assert all(made_up.startswith("call_") for made_up in ids)

    def test_half_a_surrogate_pair_is_mended(self) -> None:
        data = line('{"thinking":"\\ud83d"}') + line('{"thinking":"\\ude00","content":"a\\ud83d"}') + DONE
        assert (read(data).text, read(data).reasoning) == ("a\ufffd", "😀")

    @given(st.lists(st.integers(0, 5000), max_size=8))
    def test_no_cut_of_the_bytes_shows(self, places: list[int]) -> None:
        edges = [0, *sorted(place % len(TRANSCRIPT) for place in places), len(TRANSCRIPT)]
        assert chunks_of([TRANSCRIPT[a:b] for a, b in pairwise(edges)]) == chunks_of([TRANSCRIPT])

    def test_byte_by_byte(self) -> None:
        assert chunks_of([bytes([byte]) for byte in TRANSCRIPT]) == chunks_of([TRANSCRIPT])

    @pytest.mark.parametrize("data", [TRANSCRIPT, CALLS + DONE], ids=["text", "tools"])
    def test_a_part_is_never_taken_for_the_whole(self, data: bytes) -> None:
        for end in range(len(data) - 1):
            with pytest.raises(TruncatedStream):
                read(data[:end])
        assert read(data[:-1]).text == read(data).text  # only the last line end is missing

    @pytest.mark.parametrize("odd", [b"\n", b"\r\n", b" \n", line("null"), line("{}"), line('{"content":null}')])
    def test_what_says_nothing_is_skipped(self, odd: bytes) -> None:
        assert not any(chunk.meaningful for chunk in chunks_of([odd]))
        assert read(odd + TRANSCRIPT).text == "Hello ü"

    def test_carriage_returns(self) -> None:
        assert read(TRANSCRIPT.replace(b"\n", b"\r\n")).text == "Hello ü"

    def test_done_ends_it_whatever_follows(self) -> None:
        decoder = CODEC.decoder()
        decoder.feed(TRANSCRIPT + TRANSCRIPT)
        assert decoder.done
        assert decoder.feed(TRANSCRIPT) == decoder.end() == []

    @pytest.mark.parametrize("end", [b"\n", b""])
    def test_an_error_comes_after_the_chunks_before_it(self, end: bytes) -> None:
        decoder = CODEC.decoder()
        error = b'{"error":"an error was encountered while running the model: unexpected EOF"}' + end
        chunks = decoder.feed(line('{"content":"Hel"}') + error) + decoder.end()
        assert [chunk.text for chunk in chunks] == ["Hel"]
        assert isinstance(decoder.error, Unavailable)

    def test_a_broken_line_is_malformed(self) -> None:
        with pytest.raises(ProviderError) as caught:
            chunks_of([line('{"content":"Hel"}') + b'{"message":{"content":"lo"\n'])
        assert caught.value.reason == "malformed_response"

"""The OpenRouter codec: byte literals in, chunks out; no sockets. What it shares with OpenAI is tested there."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.adapters.openrouter import OpenRouterCodec
from mainstay.pipeline import ErrorClass, ProviderError, Reply, Request
from support.codecs import CodecBench

CODEC = OpenRouterCodec()
BENCH = CodecBench(CODEC, "acme/model-1")
JSON = {"content-type": "application/json"}

COMMENT = b": OPENROUTER PROCESSING\n\n"


def event(**rest: Any) -> bytes:
    data = {"id": "gen-1-x", "provider": "Acme", "model": "acme/model-2", "object": "chat.completion.chunk", **rest}
    return b"data: " + json.dumps(data, ensure_ascii=False).encode() + b"\n\n"


def delta(finish: str | None = None, native: str | None = None, **change: Any) -> bytes:
    choice = {"index": 0, "delta": change, "finish_reason": finish, "native_finish_reason": native}
    return event(choices=[choice])


USAGE = {
    "prompt_tokens": 9,
    "completion_tokens": 5,
    "total_tokens": 14,
    "cost": 0.00014,
    "completion_tokens_details": {"reasoning_tokens": 3},
}
TEXT_DETAIL = {"type": "reasoning.text", "format": "anthropic-claude-v1", "index": 0}
SEALED = {"type": "reasoning.encrypted", "id": "rs_1", "format": "openai-responses-v1", "index": 1}
STREAM = (
    COMMENT
    + delta(role="assistant", content="", reasoning="Let ", reasoning_details=[{**TEXT_DETAIL, "text": "Let "}])
    + COMMENT
    + delta(role="assistant", content="", reasoning="me see.", reasoning_details=[{**TEXT_DETAIL, "text": "me see."}])
    + delta(content="", reasoning_details=[{**TEXT_DETAIL, "text": None, "signature": "sig"}])
    + delta(content="", reasoning_details=[{**SEALED, "data": "gAAA"}])
    + delta(content="Yes")
    + delta(content=" 😀", finish="stop", native="end_turn")
    + event(choices=[{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}], usage=USAGE)
    + b"data: [DONE]\n\n"
)
DETAILS = [{**TEXT_DETAIL, "text": "Let me see.", "signature": "sig"}, {**SEALED, "data": "gAAA"}]


def whole(**message: Any) -> bytes:
    choice = {"index": 0, "finish_reason": "stop", "native_finish_reason": "end_turn", "message": message}
    return json.dumps({"id": "gen-1", "model": "acme/model-2", "choices": [choice], "usage": USAGE}).encode()


def test_a_whole_answer_keeps_the_upstreams_word_the_cost_and_the_model_that_answered() -> None:
    reply = CODEC.decode(200, JSON, whole(content="Yes", reasoning="Let me see.", reasoning_details=DETAILS))
    assert (reply.text, reply.reasoning) == ("Yes", "Let me see.")
    assert (reply.finish_reason, reply.native_finish_reason) == ("stop", "end_turn")
    assert (reply.provider, reply.model, reply.id) == ("openrouter", "acme/model-2", "gen-1")
    assert reply.usage is not None
    assert (reply.usage.cost, reply.usage.reasoning_tokens) == (0.00014, 3)
    assert reply.reasoning_details == DETAILS


def test_a_stream_says_the_same() -> None:
    reply = BENCH.read(STREAM)
    assert (reply.text, reply.reasoning) == ("Yes 😀", "Let me see.")
    assert (reply.finish_reason, reply.native_finish_reason) == ("stop", "end_turn")
    assert reply.usage is not None
    assert (reply.usage.cost, reply.usage.total_tokens) == (0.00014, 14)
    assert reply.reasoning_details == DETAILS


@given(st.lists(st.integers(0, len(STREAM)), max_size=6).map(sorted))
def test_no_cut_of_the_bytes_shows(places: list[int]) -> None:
    edges = [0, *places, len(STREAM)]
    pieces = [STREAM[start:end] for start, end in pairwise(edges)]
    reply = Reply.stream(iter(BENCH.chunks_of(pieces))).read()
    assert (reply.text, reply.reasoning_details) == ("Yes 😀", DETAILS)


def test_reasoning_goes_back_unchanged_and_that_of_others_stays_away() -> None:
    reply = CODEC.decode(200, JSON, whole(content="Yes", reasoning_details=DETAILS))
    foreign = {"role": "assistant", "content": "Hm", "reasoning_details": [{"type": "thinking", "signature": "s"}]}
    request = Request("m", [{"role": "user", "content": "?"}, reply.message, foreign])
    call = CODEC.encode(request)
    sent = json.loads(call.body)["messages"]
    assert sent[1] == reply.message
    assert sent[2] == {"role": "assistant", "content": "Hm"}
    assert call.changes == {"messages": "reasoning of other providers left out (1)"}
    assert "reasoning_details" in request.messages[2]


def test_pieces_of_reasoning_with_ids_of_their_own_are_not_joined() -> None:
    pieces = [{**SEALED, "id": id_, "data": data} for id_, data in (("rs_1", "gAAA"), ("rs_2", "gBBB"))]
    together = delta(reasoning_details=pieces) + delta(content="Yes", finish="stop")
    one_by_one = b"".join(delta(reasoning_details=[piece]) for piece in pieces) + delta(content="Yes", finish="stop")
    for data in (together, one_by_one):
        assert BENCH.read(data).reasoning_details == pieces


def test_usage_is_not_asked_for_because_it_always_comes() -> None:
    assert "stream_options" not in BENCH.body(stream=True)


@pytest.mark.parametrize(
    ("error", "error_class", "reason"),
    [
        ({"code": 502, "message": "Provider returned error"}, ErrorClass.UNAVAILABLE, None),
        ({"code": "server_error", "message": "Provider disconnected"}, ErrorClass.UNAVAILABLE, None),
        ({"code": "rate_limit_exceeded", "message": "Rate limit exceeded"}, ErrorClass.RATE_LIMIT, None),
        ({"code": 402, "message": "Insufficient credits"}, ErrorClass.QUOTA, "credit"),
    ],
)
@pytest.mark.parametrize("place", ["answer", "choice", "stream", "stream choice"])
def test_errors_inside_a_200(place: str, error: dict[str, Any], error_class: ErrorClass, reason: str | None) -> None:
    failed = {"index": 0, "delta": {"content": ""}, "finish_reason": "error"}
    with pytest.raises(ProviderError) as caught:
        match place:
            case "answer":
                CODEC.decode(200, JSON, json.dumps({"error": error, "choices": [{"message": {}}]}).encode())
            case "choice":
                choice = {"finish_reason": "error", "error": error, "message": {"content": "Hal"}}
                CODEC.decode(200, JSON, json.dumps({"choices": [choice]}).encode())
            case "stream":
                BENCH.chunks_of([delta(content="Hel"), event(error=error, choices=[failed])])
            case _:
                BENCH.chunks_of([delta(content="Hel"), event(choices=[{**failed, "error": error}])])
    assert caught.value.error_class is error_class
    if reason is not None:
        assert caught.value.reason == reason


def test_a_debug_chunk_and_a_late_end_are_skipped() -> None:
    stream = event(choices=[], debug={"echo": 1}) + delta(content="Hi") + delta(finish="stop") + COMMENT
    assert BENCH.read(stream).text == "Hi"

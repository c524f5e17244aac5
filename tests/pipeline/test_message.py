"""Reply.message: the answer as it goes back into the conversation; refusals, logprobs and details on the way there."""

from __future__ import annotations

from typing import Any

import pytest

from mainstay.pipeline import Chunk, Reply, ToolCall, ToolCallDelta, TruncatedStream

THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": "s1"}


def arriving(*chunks: Chunk) -> Reply:
    return Reply.stream(iter(chunks))


def test_a_text() -> None:
    assert Reply("Hi").message == {"role": "assistant", "content": "Hi"}
    assert arriving(Chunk("H"), Chunk("i", finish_reason="stop")).read().message == Reply("Hi").message


def test_an_empty_answer_has_an_empty_text_which_every_provider_takes_back() -> None:
    assert Reply(finish_reason="length").message == {"role": "assistant", "content": ""}


def test_tool_calls_have_openais_shape() -> None:
    call = ToolCall("c1", "f", '{"a": 1}')
    whole = Reply(tool_calls=[call]).message
    assert whole == {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}],
    }
    pieces = (
        Chunk(tool_calls=[ToolCallDelta(0, "c1", "f", '{"a"')]),
        Chunk(tool_calls=[ToolCallDelta(0, arguments=": 1}")], finish_reason="tool_calls"),
    )
    assert arriving(*pieces).read().message == whole


def test_what_the_provider_wants_back_is_kept_apart_from_the_text() -> None:
    whole = Reply("Hi", reasoning="Hm.", reasoning_details=[THOUGHT])
    assert whole.message == {"role": "assistant", "content": "Hi", "reasoning_details": [THOUGHT]}
    streamed = arriving(
        Chunk(reasoning="Hm."), Chunk(reasoning_details=(THOUGHT,)), Chunk("Hi"), Chunk(finish_reason="stop")
    )
    assert streamed.read().message == whole.message
    whole.message["reasoning_details"][0]["signature"] = "changed"
    assert whole.message["reasoning_details"] == [THOUGHT]


def test_a_refusal_is_no_text() -> None:
    reply = arriving(Chunk(refusal="I can"), Chunk(refusal="not."), Chunk(finish_reason="stop")).read()
    assert (reply.text, reply.refusal) == ("", "I cannot.")
    assert reply.message == {"role": "assistant", "content": None, "refusal": "I cannot."}
    assert Reply(refusal="No.").refusal == "No."


def test_the_beginning_of_a_refusal_is_a_sign_of_life_and_part_of_what_broke_off() -> None:
    reply = arriving(Chunk(), Chunk(refusal="I can"))
    assert reply.partial.refusal == "I can"
    with pytest.raises(RuntimeError, match="still arriving"):
        _ = reply.refusal
    with pytest.raises(TruncatedStream) as caught:
        reply.read()
    assert caught.value.partial is not None
    assert caught.value.partial.refusal == "I can"
    assert "I can" not in repr(caught.value.partial)


def test_logprobs_are_gathered() -> None:
    entries: list[dict[str, Any]] = [{"token": name, "logprob": -0.5} for name in "abc"]
    reply = arriving(
        Chunk("a", logprobs=entries[:1]), Chunk("bc", logprobs=entries[1:]), Chunk(finish_reason="stop")
    ).read()
    assert reply.logprobs == entries
    assert len(entries) == 3


def test_a_complete_reply_iterates_as_one_chunk_with_everything() -> None:
    reply = Reply("Hi", refusal="No.", logprobs=[{"token": "Hi"}], reasoning_details=[THOUGHT])
    (chunk,) = reply
    assert (chunk.refusal, list(chunk.logprobs), list(chunk.reasoning_details)) == ("No.", [{"token": "Hi"}], [THOUGHT])
    again = Reply.stream(iter(reply)).read()
    assert again.message == reply.message

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from mainstay.middleware import Fallback, Trace
from mainstay.middleware.content import Content
from mainstay.pipeline import Reply, Request, Route, Stack, ToolCall, TruncatedStream

VARIABLE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
NAMES = {
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.system_instructions",
    "gen_ai.tool.definitions",
    "gen_ai.request.stop_sequences",
}
CONVERSATION = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "What is the weather?", "name": "ann"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"at":"x"}'}}
        ],
    },
    {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "And this?"},
            {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        ],
    },
]
TOOL = {"type": "function", "function": {"name": "weather", "description": "It", "parameters": {"type": "object"}}}
ASK = Request("m", CONVERSATION, {"tools": [TOOL], "stop": ["END"]})


def told(tracing: Any, **options: Any) -> dict[str, Any]:
    (span,) = tracing.attempts
    assert not NAMES & set(tracing.calls[0].attributes)  # on the attempts only
    found = {name: value for name, value in span.attributes.items() if name in NAMES}
    return {name: json.loads(value) if isinstance(value, str) else value for name, value in found.items()}


def test_the_shapes_are_those_of_the_conventions(tracing: Any) -> None:
    answer = Reply("Sunny.", reasoning="I know.", tool_calls=[ToolCall("2", "look", '{"far": true}')])
    Stack([Trace(tracing.provider, content=True)], lambda request: answer)(ASK)
    assert told(tracing) == {
        "gen_ai.system_instructions": [{"type": "text", "content": "Be brief."}],
        "gen_ai.input.messages": [
            {"role": "user", "parts": [{"type": "text", "content": "What is the weather?"}], "name": "ann"},
            {
                "role": "assistant",
                "parts": [{"type": "tool_call", "id": "call_1", "name": "weather", "arguments": {"at": "x"}}],
            },
            {"role": "tool", "parts": [{"type": "tool_call_response", "id": "call_1", "response": "sunny"}]},
            {
                "role": "user",
                "parts": [
                    {"type": "text", "content": "And this?"},
                    {"type": "uri", "modality": "image", "uri": "https://example.org/a.png"},
                    {"type": "blob", "modality": "image", "mime_type": "image/png"},
                    {"type": "blob", "modality": "audio", "mime_type": "audio/wav"},
                ],
            },
        ],
        "gen_ai.tool.definitions": [
            {"type": "function", "name": "weather", "description": "It", "parameters": {"type": "object"}}
        ],
        "gen_ai.output.messages": [
            {
                "role": "assistant",
                "parts": [
                    {"type": "reasoning", "content": "I know."},
                    {"type": "text", "content": "Sunny."},
                    {"type": "tool_call", "id": "2", "name": "look", "arguments": {"far": True}},
                ],
                "finish_reason": "stop",
            }
        ],
        "gen_ai.request.stop_sequences": ("END",),
    }


@pytest.mark.parametrize("content", [None, False])
def test_nothing_is_recorded_unless_somebody_asks_for_it(
    monkeypatch: pytest.MonkeyPatch, tracing: Any, content: bool | None
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    Stack([Trace(tracing.provider, content=content)], lambda request: Reply("an answer"))(ASK)
    assert told(tracing) == {}


@pytest.mark.parametrize(
    ("word", "recorded"),
    [("SPAN_ONLY", True), ("span_and_event", True), ("NO_CONTENT", False), ("EVENT_ONLY", False), ("true", False)],
)
def test_the_standard_variable_says_it_where_no_option_does(
    monkeypatch: pytest.MonkeyPatch, tracing: Any, word: str, recorded: bool
) -> None:
    monkeypatch.setenv(VARIABLE, word)
    Stack([Trace(tracing.provider)], lambda request: Reply("an answer"))(ASK)
    assert set(told(tracing)) == (NAMES if recorded else set())


def test_an_option_goes_before_the_variable(monkeypatch: pytest.MonkeyPatch, tracing: Any) -> None:
    monkeypatch.setenv(VARIABLE, "SPAN_ONLY")
    Stack([Trace(tracing.provider, content=False)], lambda request: Reply("an answer"))(ASK)
    assert told(tracing) == {}


def test_a_word_that_nobody_knows_is_told(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv(VARIABLE, "everything")
    with caplog.at_level(logging.WARNING, "mainstay"):
        Stack([Trace()], lambda request: Reply(""))
    assert "SPAN_AND_EVENT is expected" in caplog.text


def test_texts_are_cut_message_by_message_and_the_json_stays_whole(tracing: Any) -> None:
    long = [{"role": "user", "content": "x" * 50}, {"role": "user", "content": [{"type": "text", "text": "abc"}] * 5}]
    call = ToolCall("1", "f", json.dumps({"a": "b" * 50}))
    stack = Stack(
        [Trace(tracing.provider, content=Content(limit=7))], lambda r: Reply("y" * 9, reasoning="zz", tool_calls=[call])
    )
    stack(Request("m", long))
    found = told(tracing)
    first, second = found["gen_ai.input.messages"]
    assert first["parts"] == [{"type": "text", "content": "xxxxxxx…"}]
    assert [part["content"] for part in second["parts"]] == ["abc", "abc", "a…", "…", "…"]
    reasoning, text, called = found["gen_ai.output.messages"][0]["parts"]
    assert (reasoning["content"], text["content"], called["arguments"]) == ("zz", "yyyyy…", "…")


def test_half_of_it_can_be_left_out(tracing: Any) -> None:
    Stack([Trace(tracing.provider, content=Content(input=False))], lambda request: Reply("an answer"))(ASK)
    assert set(told(tracing)) == {"gen_ai.output.messages"}


def test_what_came_of_a_stream_that_broke_is_recorded(tracing: Any, kit: Any, ask_stream: Request) -> None:
    stack = Stack([Trace(tracing.provider, content=True)], kit.Leaf(kit.Flow(("half",), whole=False)))
    with pytest.raises(TruncatedStream):
        stack(ask_stream).read()
    (message,) = told(tracing)["gen_ai.output.messages"]
    assert (message["parts"], message["finish_reason"]) == ([{"type": "text", "content": "half"}], "error")


def test_each_attempt_has_what_it_was_sent(tracing: Any, kit: Any) -> None:
    route = Route("a", kit.Leaf(), params={"stop": "ROUTE"})
    Stack([Trace(tracing.provider, content=True)], Fallback(route))(Request("m", "Hi"))
    assert told(tracing)["gen_ai.request.stop_sequences"] == ("ROUTE",)


def test_a_message_of_a_strange_shape_is_the_adapter_s_to_refuse(tracing: Any) -> None:
    strange = Request("m", [{"role": "user", "content": [7]}, {"role": "assistant", "tool_calls": 3}])
    stack = Stack([Trace(tracing.provider, content=True)], lambda request: Reply("fine"))
    assert stack(strange).text == "fine"
    assert set(told(tracing)) == {"gen_ai.output.messages"}


def test_an_answer_of_a_strange_shape_leaves_no_span_open(tracing: Any) -> None:
    call = ToolCall("1", "f", object())  # type: ignore[arg-type]
    Stack([Trace(tracing.provider, content=True)], lambda request: Reply("", tool_calls=[call, None]))(ASK)  # type: ignore[list-item]
    assert "gen_ai.output.messages" not in told(tracing)


@pytest.mark.parametrize("limit", [-1, 1.5, True, "10"])
def test_a_wrong_limit_is_refused(limit: Any) -> None:
    with pytest.raises(ValueError, match="limit"):
        Content(limit=limit)


def test_something_else_in_its_place_is_refused() -> None:
    with pytest.raises(TypeError, match="content"):
        Trace(content="yes")  # type: ignore[arg-type]

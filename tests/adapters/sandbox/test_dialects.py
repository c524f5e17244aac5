"""The dialects by themselves: whatever is sent to them, they answer, and in their own shape."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.adapters.sandbox import Answer, Seen, ToolUse, faults
from mainstay.adapters.sandbox.chat_completions import ChatCompletions
from mainstay.adapters.sandbox.claude import Claude
from mainstay.adapters.sandbox.dialect import Dialect, Rules, go_duration
from mainstay.adapters.sandbox.llama_cpp import LlamaCpp
from mainstay.adapters.sandbox.ollama import Ollama
from mainstay.adapters.sandbox.openai import OpenAI
from mainstay.adapters.sandbox.openrouter import OpenRouter
from mainstay.adapters.sandbox.plan import Body, End, Head, Pause, Planner

DIALECTS: list[Dialect] = [OpenAI(), Claude(), OpenRouter(), Ollama(), LlamaCpp()]
HEADERS = {"authorization": "Bearer k", "x-api-key": "k", "anthropic-version": "2023-06-01"}
NAMES = [
    *("model", "messages", "max_tokens", "stream", "stream_options", "temperature", "tools", "system", "thinking"),
    *("format", "think", "options", "keep_alive", "n", "parallel_tool_calls", "logprobs", "top_logprobs"),
    *("reasoning", "reasoning_effort", "response_format"),
]

junk = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "content", "type", "text", "tool_calls", "function", "arguments", "stop", "id"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
messages = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "system", "tool"]) | junk, "content": st.text() | junk},
        optional={"tool_calls": st.lists(st.fixed_dictionaries({"function": junk}), max_size=2) | junk},
    )
    | junk,
    max_size=3,
)
answers = st.builds(
    Answer,
    st.text(st.characters(), max_size=20),
    tool_calls=st.lists(st.builds(ToolUse, st.just("f"), st.dictionaries(st.text(), junk)), max_size=2).map(tuple),
    reasoning=st.text(max_size=9),
    encrypted_reasoning=st.text(max_size=9),
    refusal=st.text(max_size=9),
)


def seen_with(body: Any) -> Seen:
    raw = json.dumps(body).encode()
    return Seen(1, "POST", "/", "", HEADERS, body, raw)


def check_answers(dialect: Dialect, body: Any, answer: Answer) -> None:
    seen = seen_with(body)
    problem = dialect.check(seen, Rules(models=frozenset({"m"})))
    if problem is not None:
        assert problem.status >= 400
        assert problem.message
        assert json.loads(dialect.error_body(problem, 1))["error"]
        return
    assert isinstance(json.loads(dialect.complete(seen, answer)), dict)
    events = dialect.stream(seen, answer)
    assert events[-1].kind == "end"
    for event in events:
        assert event.data.endswith(b"\n")
        if b"{" in event.data:
            json.loads(event.data[event.data.index(b"{") :])


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
@given(body=st.dictionaries(st.sampled_from(NAMES), junk) | junk, answer=answers)
def test_any_body_is_answered(dialect: Dialect, body: Any, answer: Answer) -> None:
    check_answers(dialect, body, answer)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
@given(said=messages, name=st.sampled_from(NAMES), value=junk, answer=answers)
def test_an_almost_good_body_is_answered(
    dialect: Dialect, said: list[Any], name: str, value: Any, answer: Answer
) -> None:
    body = {"model": "m", "messages": said, "max_tokens": 9, name: value}
    check_answers(dialect, body, answer)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
@given(answer=answers)
def test_streamed_and_complete_say_the_same(dialect: Dialect, answer: Answer) -> None:
    seen = seen_with({"model": "m", "messages": [{"role": "user", "content": "x"}], "max_tokens": 9})
    complete = json.loads(dialect.complete(seen, answer))
    events = [json.loads(e.data[e.data.index(b"{") :]) for e in dialect.stream(seen, answer) if b"{" in e.data]
    if isinstance(dialect, ChatCompletions):
        message = complete["choices"][0]["message"]
        deltas = [choice["delta"] for event in events for choice in event["choices"]]
        for name in ("content", "refusal", "reasoning", "reasoning_content"):
            assert (message.get(name) or "") == "".join(delta.get(name) or "" for delta in deltas)
    elif dialect.name == "claude":
        redacted = [block for block in complete["content"] if block["type"] == "redacted_thinking"]
        opened = [event["content_block"] for event in events if event["type"] == "content_block_start"]
        assert redacted == [block for block in opened if block["type"] == "redacted_thinking"]
        whole = [b.get("text") or b.get("thinking") or b.get("input") for b in complete["content"]]
        parts: dict[int, Any] = {}
        for event in events:
            if event["type"] == "content_block_start":
                parts[event["index"]] = ""
            if event["type"] == "content_block_delta":
                delta = event["delta"]
                parts[event["index"]] += delta.get("text") or delta.get("thinking") or delta.get("partial_json") or ""
        kinds = [block["type"] for block in complete["content"]]
        said = [json.loads(p or "{}") if k == "tool_use" else p for k, p in zip(kinds, parts.values(), strict=True)]
        assert [item or "" for item in said] == [item or "" for item in whole]
    else:
        assert complete["message"]["content"] == "".join(event["message"]["content"] for event in events)
        calls = [event["message"]["tool_calls"] for event in events if "tool_calls" in event["message"]]
        assert calls == ([complete["message"]["tool_calls"]] if answer.tool_calls else [])


def plan_of(fault: Any, *, stream: bool) -> list[Any]:
    seen = seen_with({"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": stream})
    return list(Planner(Ollama(), seen, Answer("one two")).plan(fault))


def test_a_plan_can_be_read() -> None:
    assert plan_of(faults.hang(), stream=True) == [Pause()]
    assert plan_of(faults.reset(), stream=True) == [End("reset")]
    head, first, pause = plan_of(faults.stall(after=1), stream=True)
    assert isinstance(head, Head)
    assert isinstance(first, Body)
    assert b"one" in first.data
    assert pause == Pause()
    assert plan_of(Answer("x", delay=2), stream=False)[0] == Pause(2.0)
    assert plan_of(faults.error_event(), stream=True)[-1] == End(keep=False)


def test_a_fault_made_by_hand_is_refused() -> None:
    with pytest.raises(ValueError, match="no fault called 'flood'"):
        plan_of(faults.Fault("flood"), stream=True)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "20ms"), ("x", "20ms"), (0, "0ms"), (0.644, "644ms"), (1, "1s"), (1.2, "1.2s"), (360, "6m0s")],
)
def test_durations(seconds: Any, text: str) -> None:
    assert go_duration(seconds) == text

"""A whole loop of tools through every adapter: ask, answer the calls with `Reply.message` and the results, be told."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest

from mainstay.adapters.sandbox import Answer, Sandbox, ToolUse
from mainstay.pipeline import Request
from support.asked import CLAUDE_TOOLS, DIALECTS, TOOLS, USER

ASKING = Answer(
    "Let me look.",
    reasoning="They want two things.",
    encrypted_reasoning="c2VjcmV0",
    tool_calls=(ToolUse("weather", {"city": "Rome"}, "call_1"), ToolUse("time", {}, "call_2")),
)
CALLS = [
    {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Rome"}'}},
    {"id": "call_2", "type": "function", "function": {"name": "time", "arguments": "{}"}},
]
ANSWERED = {"role": "assistant", "content": "Let me look.", "tool_calls": CALLS}
RESULTS = [
    {"role": "tool", "tool_call_id": "call_1", "content": "result of weather({'city': 'Rome'})"},
    {"role": "tool", "tool_call_id": "call_2", "content": "result of time({})"},
]
# What the second request says of the first turn; Claude's is what its own client sends.
SECOND_TURN: dict[str, list[dict[str, Any]]] = {
    "openai": [ANSWERED, *RESULTS],
    "openrouter": [
        {
            **ANSWERED,
            "reasoning_details": [
                {
                    "type": "reasoning.text",
                    "text": "They want two things.",
                    "signature": "c2FuZGJveA==",
                    "format": "anthropic-claude-v1",
                    "index": 0,
                },
                {"type": "reasoning.encrypted", "data": "c2VjcmV0", "format": "anthropic-claude-v1", "index": 1},
            ],
        },
        *RESULTS,
    ],
    "ollama": [
        {
            **ANSWERED,
            "thinking": "They want two things.",
            "tool_calls": [
                {"id": "call_1", "function": {"name": "weather", "arguments": {"city": "Rome"}}},
                {"id": "call_2", "function": {"name": "time", "arguments": {}}},
            ],
        },
        {**RESULTS[0], "tool_name": "weather"},
        {**RESULTS[1], "tool_name": "time"},
    ],
    "llama_cpp": [ANSWERED, *RESULTS],
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_loop_of_tools(dialect: str, stream: bool, bench: Any) -> None:
    server, adapter = bench(dialect)
    server.script(ASKING, Answer("It is sunny, and noon."))
    messages: list[dict[str, Any]] = [USER]
    while True:
        reply = adapter(Request("m", messages, {"tools": TOOLS}, stream)).read()
        if not reply.tool_calls:
            break
        messages.append(reply.message)
        for call in reply.tool_calls:
            result = f"result of {call.name}({call.parse()})"
            messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
    assert reply.text == "It is sunny, and noon."
    assert reply.finish_reason == "stop"
    assert reply.changes.keys() <= {"max_tokens"}
    first, second = (seen.body for seen in server.seen)
    assert first["messages"] == [USER]
    assert second == {**first, "messages": [USER, *(SECOND_TURN.get(dialect) or by_anthropic())]}


def by_anthropic() -> list[dict[str, Any]]:
    """The second turn as Anthropic's client sends it, with the blocks as they came."""
    with Sandbox("claude") as server, anthropic.Anthropic(base_url=server.url, api_key="k") as client:
        server.script(ASKING)
        asked: dict[str, Any] = {"model": "m", "max_tokens": 4096, "tools": CLAUDE_TOOLS}
        message = client.messages.create(messages=[USER], **asked)
        results = [
            {"type": "tool_result", "tool_use_id": result["tool_call_id"], "content": result["content"]}
            for result in RESULTS
        ]
        answered = {"role": "assistant", "content": message.content}
        client.messages.create(messages=[USER, answered, {"role": "user", "content": results}], **asked)
        sent: list[dict[str, Any]] = server.seen[1].body["messages"][1:]
        return sent


def test_what_one_provider_thought_is_left_out_for_another(bench: Any) -> None:
    claude, thinker = bench("claude")
    claude.default = ASKING
    said = [USER, thinker(Request("m", [USER], {"tools": TOOLS})).message, *RESULTS]
    for dialect in ("openai", "openrouter", "ollama", "llama_cpp"):
        server, adapter = bench(dialect)
        reply = adapter(Request("m", said, {"tools": TOOLS}))
        assert "reasoning" in reply.changes["messages"]
        assert "They want" not in server.seen[0].raw.decode()
        assert server.seen[0].body["messages"][1]["content"] == "Let me look."

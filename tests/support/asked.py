"""Requests that applications make, in the library's words and, where these differ, in those of a provider's client."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

DIALECTS = ("openai", "claude", "openrouter", "ollama", "llama_cpp")
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
WEATHER = {"type": "object", "properties": {"city": {"type": "string", "description": "Where"}}, "required": ["city"]}
TIME = {"type": "object", "properties": {}}
TOOLS = [
    {"type": "function", "function": {"name": "weather", "description": "Tells the weather", "parameters": WEATHER}},
    {"type": "function", "function": {"name": "time", "description": "Tells the time", "parameters": TIME}},
]
CLAUDE_TOOLS = [
    {"name": "weather", "description": "Tells the weather", "input_schema": WEATHER},
    {"name": "time", "description": "Tells the time", "input_schema": TIME},
]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FORM = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA, "strict": True}}
USER = {"role": "user", "content": "What is the weather in Rome, as JSON?"}
HISTORY = [
    USER,
    {
        "role": "assistant",
        "content": "Let me look.",
        "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Rome"}'}},
            {"id": "call_2", "type": "function", "function": {"name": "time", "arguments": ""}},
        ],
    },
    {"role": "tool", "tool_call_id": "call_1", "content": "25 °C"},
    {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "noon"}]},
    {"role": "user", "content": "And now?"},
]


@dataclass(frozen=True)
class Sent:
    """A request, and for providers with words of their own what their client is given in place of it.

    None is for a provider that cannot be asked this: the adapter must say so.
    """

    messages: list[dict[str, Any]] = field(default_factory=lambda: [USER])
    params: Mapping[str, Any] = field(default_factory=dict)
    own: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)


def pictured(url: str) -> list[dict[str, Any]]:
    parts = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": url}}]
    return [{"role": "user", "content": parts}]


def shown(source: dict[str, Any]) -> dict[str, Any]:
    """The picture as Claude has it."""
    blocks = [{"type": "text", "text": "What is this?"}, {"type": "image", "source": source}]
    return {"messages": [{"role": "user", "content": blocks}]}


REQUESTS = {
    "a prompt": Sent(),
    "several system messages": Sent(
        [{"role": "system", "content": "Be brief."}, USER, {"role": "developer", "content": "Answer in Latin."}],
        own={
            "claude": {"messages": [USER], "system": "Be brief.\n\nAnswer in Latin."},
            "ollama": {
                "messages": [
                    {"role": "system", "content": "Be brief."},
                    USER,
                    {"role": "system", "content": "Answer in Latin."},
                ]
            },
        },
    ),
    "a picture by its address": Sent(
        pictured("https://example.org/cat.png"),
        own={"claude": shown({"type": "url", "url": "https://example.org/cat.png"}), "ollama": None},
    ),
    "a picture in the request": Sent(
        pictured(f"data:image/png;base64,{PIXEL}"),
        own={
            "claude": shown({"type": "base64", "media_type": "image/png", "data": PIXEL}),
            "ollama": {"messages": [{"role": "user", "content": "What is this?", "images": [PIXEL]}]},
        },
    ),
    "tools": Sent(params={"tools": TOOLS}, own={"claude": {"tools": CLAUDE_TOOLS}}),
    "tools, one at a time": Sent(
        params={"tools": TOOLS, "tool_choice": "required", "parallel_tool_calls": False},
        own={
            "claude": {"tools": CLAUDE_TOOLS, "tool_choice": {"type": "any", "disable_parallel_tool_use": True}},
            "ollama": None,
        },
    ),
    "a named tool": Sent(
        params={"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "time"}}},
        own={"claude": {"tools": CLAUDE_TOOLS, "tool_choice": {"type": "tool", "name": "time"}}, "ollama": None},
    ),
    "parallel calls and their results": Sent(
        HISTORY,
        {"tools": TOOLS},
        {
            "claude": {
                "tools": CLAUDE_TOOLS,
                "messages": [
                    USER,
                    {
                        "role": "assistant",
                        "content": [
                            {"type": "text", "text": "Let me look."},
                            {"type": "tool_use", "id": "call_1", "name": "weather", "input": {"city": "Rome"}},
                            {"type": "tool_use", "id": "call_2", "name": "time", "input": {}},
                        ],
                    },
                    {
                        "role": "user",
                        "content": [
                            {"type": "tool_result", "tool_use_id": "call_1", "content": "25 °C"},
                            {
                                "type": "tool_result",
                                "tool_use_id": "call_2",
                                "content": [{"type": "text", "text": "noon"}],
                            },
                        ],
                    },
                    {"role": "user", "content": "And now?"},
                ],
            },
            "ollama": {
                "tools": TOOLS,
                "messages": [
                    USER,
                    {
                        "role": "assistant",
                        "content": "Let me look.",
                        "tool_calls": [
                            {"function": {"name": "weather", "arguments": {"city": "Rome"}}},
                            {"function": {"name": "time", "arguments": {}}},
                        ],
                    },
                    {"role": "tool", "content": "25 °C", "tool_name": "weather"},
                    {"role": "tool", "content": "noon", "tool_name": "time"},
                    {"role": "user", "content": "And now?"},
                ],
            },
        },
    ),
    "a JSON object": Sent(
        params={"response_format": {"type": "json_object"}}, own={"claude": None, "ollama": {"format": "json"}}
    ),
    "JSON of a schema": Sent(
        params={"response_format": FORM},
        own={
            "claude": {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
            "ollama": {"format": SCHEMA},
        },
    ),
    "a stop": Sent(
        params={"stop": "END"},
        own={"claude": {"stop_sequences": ["END"]}, "ollama": {"options": {"stop": ["END"]}}},
    ),
    "stops": Sent(
        params={"stop": ["END", "\n\nQ:"]},
        own={"claude": {"stop_sequences": ["END", "\n\nQ:"]}, "ollama": {"options": {"stop": ["END", "\n\nQ:"]}}},
    ),
    "an effort": Sent(
        params={"reasoning_effort": "high"},
        own={
            "claude": {"output_config": {"effort": "high"}},
            "openrouter": {"extra_body": {"reasoning": {"effort": "high"}}},
            "ollama": {"think": "high"},
        },
    ),
    "thinking with a budget": Sent(
        params={"thinking": {"type": "enabled", "budget_tokens": 2048}, "max_tokens": 4096},
        own=dict.fromkeys(("openai", "openrouter", "ollama", "llama_cpp")),
    ),
    "sampling": Sent(
        params={"temperature": 0.5, "max_tokens": 300},
        own={
            "openai": {"temperature": 0.5, "max_completion_tokens": 300},
            "claude": {"extra_body": {"temperature": 0.5}, "max_tokens": 300},
            "ollama": {"options": {"temperature": 0.5, "num_predict": 300}},
        },
    ),
    "the same again": Sent(
        params={"seed": 7, "top_p": 0.9},
        own={"claude": None, "ollama": {"options": {"seed": 7, "top_p": 0.9}}},
    ),
    "log probabilities": Sent(params={"logprobs": True, "top_logprobs": 3}, own={"claude": None}),
    "a user": Sent(
        params={"user": "u-1"}, own={"claude": {"metadata": {"user_id": "u-1"}}, "ollama": None, "llama_cpp": None}
    ),
}

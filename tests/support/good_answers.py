"""One table of good answers: what the sandbox can be told to answer, and the parameters that are asked with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mainstay.adapters.sandbox import Answer, ToolUse

__all__ = ["CASES", "FUNCTIONS", "LOGPROBS", "MESSAGES", "SCHEMA", "Case"]

MESSAGES = [{"role": "user", "content": "What is the weather in Rome, and what time is it?"}]
FUNCTIONS = [
    {"name": "get_weather", "description": "Tells the weather", "parameters": {"type": "object", "properties": {}}},
    {"name": "get_time", "description": "Tells the time", "parameters": {"type": "object", "properties": {}}},
]
TOOLS = {"tools": [{"type": "function", "function": function} for function in FUNCTIONS]}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FORM = {"response_format": {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA, "strict": True}}}
LOGPROBS = {"logprobs": True, "top_logprobs": 2}
WEATHER = ToolUse("get_weather", {"city": "Rome", "days": [1, 2.5, None], "unit": {"name": "°C", "exact": True}})


@dataclass(frozen=True)
class Case:
    """An answer, the parameters that are asked with, and the providers that cannot give it."""

    answer: Answer
    params: Mapping[str, Any] = field(default_factory=dict)
    but: tuple[str, ...] = ()


CASES = {
    "text": Case(Answer("The sky is blue, because of the air.")),
    "nothing": Case(Answer("")),
    "unicode": Case(Answer('Grüße 🌞 \u2028 "quoted" \\ 👩‍👩‍👧 \u202eright to left\u202c \t\n\r\n done')),
    # Go, which Ollama is written in, has no half surrogate pairs.
    "a pair cut in two": Case(Answer(chunks=("Sun \ud83d", "\udf1e", " and")), but=("ollama",)),
    "a tool": Case(Answer(tool_calls=(WEATHER,)), TOOLS),
    "text and a tool": Case(Answer("Let me look. ", tool_calls=(WEATHER,)), TOOLS),
    "parallel tools": Case(Answer(tool_calls=(WEATHER, ToolUse("get_time", {"zone": "Rome 🏛"}), WEATHER)), TOOLS),
    "a tool without arguments": Case(Answer(tool_calls=(ToolUse("get_time"), ToolUse("get_time", id="own_1"))), TOOLS),
    "reasoning": Case(Answer("Sunny.", reasoning="They ask for two things 🤔, so two.")),
    "only reasoning": Case(Answer("", reasoning="So much to think", finish="length")),
    "reasoning and a tool": Case(Answer(reasoning="I need the weather.", tool_calls=(WEATHER,)), TOOLS),
    "encrypted reasoning": Case(Answer("Sunny.", reasoning="Hm.", encrypted_reasoning="c2VjcmV0")),
    "refusal": Case(Answer(refusal="I cannot help with that, sorry.")),
    "logprobs": Case(Answer("Sunny, 25 °C 🌞"), LOGPROBS, but=("claude",)),
    "logprobs without others": Case(Answer("Sunny today"), {"logprobs": True}, but=("claude",)),
    "logprobs of a refusal": Case(Answer(refusal="No, sorry."), LOGPROBS, but=("claude",)),
    "JSON of a schema": Case(Answer('{"city": "Rome"}'), FORM),
    "length": Case(Answer("It is", finish="length")),
    "content filter": Case(Answer("It", finish="content_filter"), but=("ollama",)),
    "usage": Case(Answer("one", prompt_tokens=90_000, completion_tokens=8_192, cached_tokens=88_000)),
    "usage of reasoning": Case(Answer("one", reasoning="two three", prompt_tokens=5, cached_tokens=5)),
    "usage of nothing": Case(Answer("", prompt_tokens=0)),
    "the upstream's word": Case(Answer("Sunny.", native_finish="end_turn", cost=0.00123)),
}

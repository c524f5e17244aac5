"""What holds for every codec, whatever it is given."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.adapters.claude import ClaudeCodec
from mainstay.adapters.codec import HttpCodec
from mainstay.adapters.ollama import OllamaCodec
from mainstay.adapters.openai import OpenAICodec
from mainstay.adapters.schemas import OPENAI_COMPATIBLE
from mainstay.pipeline import Chunk, Problem, ProviderError, Reply, Request

CODECS: list[HttpCodec] = [
    OpenAICodec(),
    OpenAICodec(OPENAI_COMPATIBLE, "someone"),
    ClaudeCodec(),
    ClaudeCodec(version="2026-10-21"),
    OllamaCodec(),
]
PARAMS = sorted({name for codec in CODECS for name in codec.schema.json_schema()["properties"]})
KEYS = [
    *("type", "text", "content", "refusal", "function", "name", "arguments", "image_url", "url", "id", "json_schema"),
    *("schema", "format", "effort", "user_id", "budget_tokens", "custom", "tool_calls", "input_schema"),
]
WORDS = [
    *("text", "image_url", "function", "refusal", "enabled", "tool", "auto", "required", "json_schema", "json_object"),
    *("data:image/png;base64,AA", "data:,x", "{", "{}", "5", "NaN", '{"a": 1e999}', "\ud83d", ""),
]

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(WORDS) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=10,
)
messages = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["system", "developer", "user", "assistant", "tool", "function"]) | st.text()},
        optional=dict.fromkeys(("content", "tool_calls", "refusal", "tool_call_id", "name", "thinking"), anything),
    ),
    min_size=1,
    max_size=4,
)


@given(
    st.sampled_from(CODECS),
    messages,
    st.dictionaries(st.sampled_from(PARAMS) | st.text(max_size=5) | st.integers(), anything, max_size=4),
    st.booleans(),
)
def test_whatever_is_asked_is_said_or_refused(
    codec: HttpCodec, said: list[dict[str, Any]], params: dict[Any, Any], stream: bool
) -> None:
    request = Request("m", said, params, stream)
    problems = codec.check(request)
    assert all(isinstance(problem, Problem) and problem.message for problem in problems)
    try:
        codec.encode(request)
    except ProviderError:
        assert problems  # nothing that passes the check is refused when it is sent


@pytest.mark.parametrize(
    ("codec", "params"),
    [
        (ClaudeCodec(), {"max_tokens": "x", "thinking": {"type": "enabled", "budget_tokens": 2000}}),
        (ClaudeCodec(), {"tools": [5], "tool_choice": "none", "parallel_tool_calls": False}),
        (ClaudeCodec(), {"output_config": 5, "response_format": 5, "metadata": "x", "user": 5, "stop": 5}),
        (OllamaCodec(), {"stop": 5, "reasoning_effort": [], "response_format": {"type": ["json_schema"]}}),
        (OpenAICodec(), {"stop": 5, "n": "x", "stream_options": 5, "tools": 5}),
    ],
)
def test_parameters_that_nobody_checked_are_said_or_refused(codec: HttpCodec, params: dict[str, Any]) -> None:
    for stream in (False, True):
        with contextlib.suppress(ProviderError):
            codec.encode(Request("m", "Hi", params, stream))
        assert codec.check(Request("m", "Hi", params, stream))


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: f"{codec.label} {id(codec.schema)}")
@given(st.binary(max_size=40) | st.text(max_size=20).map(str.encode))
def test_whatever_is_answered_is_a_reply_or_an_error(codec: HttpCodec, data: bytes) -> None:
    with contextlib.suppress(ProviderError):
        assert isinstance(codec.decode(200, {}, data), Reply)
    decoder = codec.decoder()
    for piece in (b"data: ", data, b"\n\n"):
        assert all(isinstance(chunk, Chunk) for chunk in decoder.feed(piece))
    assert decoder.error is None or isinstance(decoder.error, ProviderError)
    decoder.end()

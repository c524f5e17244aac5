"""What of a provider's message may be shown: keys in every spelling, and prompts in every form."""

from __future__ import annotations

import base64
import json
import pickle
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.adapters.redact import repeats, safe_detail, shorten, spelled, texts_of
from mainstay.pipeline import Secret


@given(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=12, max_size=60),
    st.text(max_size=5),
)
def test_no_spelling_of_a_key_is_shown(key: str, before: str) -> None:
    spellings = [
        key,
        quote(key, safe=""),
        json.dumps(key)[1:-1],
        base64.b64encode(key.encode()).decode(),
        base64.urlsafe_b64encode(key.encode()).decode(),
    ]
    for spelling in spellings:
        text = f"{before} {spelling}!"
        for secret in spelled([Secret(key)]):
            text = secret.hide_in(text)
        assert spelling not in text
        assert "***" in text


def test_a_placeholder_is_no_secret() -> None:
    assert spelled([Secret("x"), Secret(""), Secret("abc")]) == ()


def test_a_key_at_the_cut() -> None:
    key = Secret("9f8e7d6c5b4a39281706f5e4d3c2b1a09f8e7d6c")
    for before in range(240, 310):
        assert key.reveal()[:6] not in safe_detail("w " * (before // 2) + key.reveal() + " tail" * 99, [key], [])
    for blanks in range(3900, 4001):
        assert key.reveal()[:6] not in safe_detail(" " * blanks + key.reveal() + " tail", [key], [])
    short = shorten("word " * 55 + key.reveal() + " tail" * 99)
    assert len(short) <= 300
    assert type(pickle.loads(pickle.dumps(short))) is str


def test_the_texts_of_a_request() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "high"}}
    result = {"type": "tool_result", "tool_use_id": "id-1", "content": [{"type": "text", "text": "nested"}]}
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": ["plain", image, result], "name": "Bob Smith"},
        {"role": "user", "content": [{"source": {"type": "base64", "media_type": "a/b", "data": "A" * 99}}]},
        {"role": "user", "content": [{"source": {"type": "text", "data": "a document " * 9}}], "images": ["A" * 99]},
        {"role": "assistant", "tool_calls": [{"id": "x", "function": {"name": "look", "arguments": {"a": "b c"}}}]},
    ]
    params = {"stop": ["a b"], "tool_choice": "auto", "tools": [{"name": "get_the_weather_of", "description": "a c"}]}
    messages[0]["self"] = messages
    assert sorted(set(texts_of(messages, params))) == [
        "Bob Smith", "a b", "a c", "a document " * 9, "b c", "look", "nested", "plain",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "prompt"),
    [
        ("could not take: a b c d e f g h i j k", "a b\nc d\r\n\te f  g h\ni j"),
        ("a\nb c d e f g h i j k", "x a b c d e f g h i j k"),
        (r": \u041c\u043e\u0439 \u041c\u043e\u0439 \u041c\u043e\u0439 \u041c\u043e\u0439", "\u041c\u043e\u0439 " * 4),
        ("\\ud83d\\ude00\\ud83d\\ude00\\ud83d\\ude00\\ud83d\\ude00", "\U0001f600" * 4),
        ("John \u0416 Nobody has it", '{"a": "John \\u0416 Nobody has it"}'),
    ],
)  # fmt: skip
def test_a_prompt_in_another_form(text: str, prompt: str) -> None:
    assert repeats([text], [prompt])
    assert safe_detail(text, [], [prompt]) == ""

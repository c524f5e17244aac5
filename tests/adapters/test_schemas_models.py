"""What single models refuse: said before anything is sent, and never of a model that takes it."""

from __future__ import annotations

from typing import Any

import pytest

from mainstay.adapters.params import Schema
from mainstay.adapters.schemas import CLAUDE, OPENAI, OPENAI_COMPATIBLE, OPENROUTER


def said(schema: Schema, params: dict[str, Any], model: str) -> list[str]:
    return [problem.message for problem in schema.check(params, model)]


SAMPLING: list[dict[str, Any]] = [{"temperature": 0.2}, {"temperature": 0}, {"top_p": 0.9}, {"logprobs": True}]
OTHERS: list[dict[str, Any]] = [{"frequency_penalty": 0.5}, {"presence_penalty": -1}, {"logit_bias": {"5": 1}}]
DEFAULTS = {"temperature": 1, "top_p": 1.0, "logprobs": False, "frequency_penalty": 0, "logit_bias": {}, "stop": []}

ALWAYS = [
    *("o1", "o1-mini", "o1-preview", "o1-2024-12-17", "o3", "o3-mini", "o3-mini-2025-01-31", "o4-mini"),
    *("gpt-5", "gpt-5-mini", "gpt-5-nano", "gpt-5-2025-08-07", "gpt-5-mini-2025-08-07", "gpt-5-pro", "gpt-5-codex"),
    "ft:o4-mini-2025-04-16:my-org::abc123",
]
OPTIONALLY = ["gpt-5.1", "gpt-5.2", "gpt-5.2-pro", "gpt-5.1-2025-11-13", "gpt-5.5", "gpt-6", "gpt-6.1-sol"]
NEVER = [
    *("gpt-4o", "gpt-4o-2024-08-06", "gpt-4.1-mini", "gpt-3.5-turbo", "chatgpt-4o-latest", "ft:gpt-4o:o3:gpt-5:x", ""),
    *("gpt-5-chat-latest", "gpt-5.1-chat-latest", "gpt-5.2-chat", "gpt-6-chat-latest"),
    *("my-gpt-5", "gpt-5-prod-eu", "team-o3", "o3x", "openai/gpt-5", "GPT-5-deployment", "o30", "gpt-55", "gpt-5-2025"),
]


@pytest.mark.parametrize("model", ALWAYS)
def test_a_model_that_always_reasons_takes_no_sampling(model: str) -> None:
    for params in (*SAMPLING, *OTHERS):
        (name,) = params
        for effort in ({}, {"reasoning_effort": "low"}):
            message = f"`{name}` is refused by {model}, which always reasons: leave it out"
            assert said(OPENAI, {**params, **effort}, model) == [message]
    assert said(OPENAI, {**DEFAULTS, "max_tokens": 5, "reasoning_effort": "high"}, model) == []
    every = {"temperature": 0, "top_p": 0.5, "frequency_penalty": 1}
    assert [problem.parameter for problem in OPENAI.check(every, model)] == list(every)


@pytest.mark.parametrize("model", OPTIONALLY)
def test_a_model_that_can_stop_reasoning_takes_sampling_unless_it_reasons(model: str) -> None:
    for params in SAMPLING:
        (name,) = params
        assert said(OPENAI, params, model) == []
        (message,) = said(OPENAI, {**params, "reasoning_effort": "high"}, model)
        assert message.startswith(f"`{name}` is refused by {model} while it reasons: leave it out, or set")
        if model != "gpt-6.1-sol":
            assert said(OPENAI, {**params, "reasoning_effort": "none"}, model) == []
    for params in (*OTHERS, DEFAULTS, {"stop": ["x"]}):
        assert said(OPENAI, {**params, "reasoning_effort": "high"}, model) == []


@pytest.mark.parametrize("model", NEVER)
def test_other_models_are_not_misjudged(model: str) -> None:
    for params in (*SAMPLING, *OTHERS, {"stop": "x"}):
        for effort in ({}, {"reasoning_effort": "minimal"}, {"reasoning_effort": "none"}):
            assert said(OPENAI, {**params, **effort}, model) == []


@pytest.mark.parametrize("schema", [OPENAI_COMPATIBLE, OPENROUTER], ids=lambda schema: schema.label)
@pytest.mark.parametrize("model", [*ALWAYS, "openai/o3", "openai/gpt-5"])
def test_only_openai_itself_judges_its_models(schema: Schema, model: str) -> None:
    assert said(schema, {"temperature": 0.2, "stop": "x", "presence_penalty": 1}, model) == []


@pytest.mark.parametrize(
    ("model", "refused"),
    [
        *[
            (model, True)
            for model in ("o3", "o3-2025-04-16", "o4-mini", "gpt-5", "gpt-5-mini", "gpt-5-nano-2025-08-07")
        ],
        *[
            (model, False)
            for model in ("o1", "o1-mini", "o3-mini", "gpt-5.1", "gpt-5.2", "gpt-5-chat-latest", "gpt-4o")
        ],
    ],
)
def test_stop_where_it_is_known_to_be_refused(model: str, refused: bool) -> None:
    expected = [f"`stop` is refused by {model}: leave it out, and cut the answer yourself"] if refused else []
    assert said(OPENAI, {"stop": ["\n"]}, model) == said(OPENAI, {"stop": "\n"}, model) == expected
    assert said(OPENAI, {"stop": []}, model) == []


@pytest.mark.parametrize(
    ("model", "effort", "refused"),
    [
        ("gpt-6", "minimal", True),
        ("gpt-6-2026-06-01", "minimal", True),
        ("gpt-6", "none", False),
        ("gpt-6-astra", "none", True),
        ("gpt-6.1-sol", "none", True),
        ("gpt-6-astra", "low", False),
        ("gpt-5", "minimal", False),
    ],
)
def test_efforts_that_a_model_has_not(model: str, effort: str, refused: bool) -> None:
    message = f"`reasoning_effort` must not be {effort!r} with {model}: use 'low' or more, or leave it out"
    assert said(OPENAI, {"reasoning_effort": effort}, model) == ([message] if refused else [])


ADAPTIVE = [
    *("claude-opus-4-7", "claude-opus-4-7-20260416", "claude-opus-4-8", "claude-opus-5", "claude-opus-5-5"),
    *("claude-sonnet-5", "claude-sonnet-5-5-20260901", "claude-haiku-5-5", "claude-fable-5", "claude-mythos-5-1"),
    *("anthropic.claude-opus-4-7-v1:0", "us.anthropic.claude-sonnet-5-20260630-v1:0", "claude-opus-4-7@20260416"),
    *("anthropic/claude-opus-4.7", "claude-opus-4-10"),
]
CLASSIC = [
    *("claude-opus-4-20250514", "claude-opus-4-0", "claude-opus-4-1-20250805", "claude-opus-4-5", "claude-opus-4-6"),
    *("claude-sonnet-4-20250514", "claude-sonnet-4-5", "claude-sonnet-4-6", "claude-haiku-4-5-20251001"),
    *("claude-3-5-haiku-latest", "claude-3-7-sonnet-20250219", "claude-3-opus-20240229", "claude-2.1", ""),
    *("anthropic.claude-opus-4-20250514-v1:0", "claude-opus-4@20250514", "my-opus-5", "claude-x-1"),
]


@pytest.mark.parametrize("model", ADAPTIVE)
def test_new_claude_models_take_no_sampling_and_no_budget(model: str) -> None:
    for params in ({"temperature": 0.2}, {"top_p": 0.9}, {"top_k": 5}):
        (name,) = params
        message = f"`{name}` is refused by {model}, which takes no sampling parameters: leave it out"
        assert said(CLAUDE, params, model) == [message]
    advice = f"is refused by {model}: give thinking={{'type': 'adaptive'}} and `reasoning_effort`"
    enabled = {"type": "enabled", "budget_tokens": 2048}
    assert said(CLAUDE, {"thinking": enabled}, model) == [f"`thinking` of the type 'enabled' {advice}"]
    assert said(CLAUDE, {"reasoning_budget": 2048}, model) == [f"`reasoning_budget` {advice}"]
    fine = {"temperature": 1, "top_p": 1, "thinking": {"type": "adaptive"}, "reasoning_effort": "low", "max_tokens": 9}
    assert said(CLAUDE, fine, model) == []
    assert said(CLAUDE, {"thinking": {"type": "disabled"}}, model) == []


@pytest.mark.parametrize("model", CLASSIC)
def test_older_claude_models_take_them(model: str) -> None:
    for params in ({"temperature": 0.2}, {"top_p": 0.9, "top_k": 5}, {"reasoning_budget": 2048}):
        assert said(CLAUDE, params, model) == []
    assert said(CLAUDE, {"thinking": {"type": "enabled", "budget_tokens": 2048}}, model) == []


@pytest.mark.parametrize("thinking", [{"type": "enabled", "budget_tokens": 2048}, {"type": "adaptive"}])
def test_while_claude_thinks_the_temperature_is_1_and_there_is_no_top_k(thinking: dict[str, Any]) -> None:
    model = "claude-opus-4-6"
    (message,) = said(CLAUDE, {"thinking": thinking, "temperature": 0.5}, model)
    assert message == "`temperature` must be 1, or left out, while Claude thinks"
    (message,) = said(CLAUDE, {"top_k": 5, "thinking": thinking}, model)
    assert message == "`top_k` cannot be given while Claude thinks: leave it out"
    assert said(CLAUDE, {"thinking": thinking, "temperature": 1}, model) == []
    assert said(CLAUDE, {"thinking": {"type": "disabled"}, "temperature": 0.5, "top_k": 5}, model) == []


@pytest.mark.parametrize(
    ("model", "refused"),
    [
        *[(model, True) for model in ("claude-opus-4-1", "claude-sonnet-4-5@20250929", "claude-haiku-4-5-20251001")],
        *[(model, True) for model in ("claude-opus-4-6", "anthropic.claude-sonnet-4-6-v1:0")],
        *[(model, False) for model in ("claude-opus-4-20250514", "claude-3-5-haiku-latest", "claude-opus-4-10", "")],
    ],
)
def test_temperature_or_top_p(model: str, refused: bool) -> None:
    messages = said(CLAUDE, {"temperature": 1, "top_p": 1}, model)
    assert messages == ([f"`top_p` and `temperature` cannot both be given to {model}: use only one"] if refused else [])


@pytest.mark.parametrize("effort", ["none", "minimal"])
def test_claude_thinks_or_it_does_not(effort: str) -> None:
    (message,) = said(CLAUDE, {"reasoning_effort": effort}, "claude-opus-4-6")
    assert message == (
        f"`reasoning_effort` must be 'low', 'medium', 'high', 'xhigh' or 'max', not {effort!r} (str): "
        "to switch thinking off, give thinking={'type': 'disabled'}"
    )


def test_a_budget_is_thinking() -> None:
    assert CLAUDE.to_wire({"reasoning_budget": 2048}) == {"thinking": {"type": "enabled", "budget_tokens": 2048}}
    (message,) = said(CLAUDE, {"reasoning_budget": 2048, "thinking": {"type": "adaptive"}}, "claude-opus-4-6")
    assert message == "`reasoning_budget` and `thinking` are the same: give only one"
    (message,) = said(CLAUDE, {"reasoning_budget": 2048, "temperature": 0.5}, "claude-opus-4-6")
    assert message.startswith("`temperature` must be 1")


@pytest.mark.parametrize("schema", [OPENAI, CLAUDE], ids=lambda schema: schema.label)
def test_a_long_name_is_cut(schema: Schema) -> None:
    model = "ft:o3:" + "x" * 5000 if schema is OPENAI else "claude-opus-5-" + "x" * 5000
    (message,) = said(schema, {"temperature": 0.5}, model)
    assert len(message) < 250

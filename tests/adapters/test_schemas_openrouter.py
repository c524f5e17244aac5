"""OpenRouter drops what it does not know: everything is checked here, also what stands inside its own mappings."""

from __future__ import annotations

from typing import Any

import pytest

from mainstay.adapters.schemas import OPENROUTER


def said(params: dict[str, Any]) -> list[str]:
    return [problem.message for problem in OPENROUTER.check(params)]


def test_names_on_the_wire() -> None:
    params = {"max_tokens": 5, "repeat_penalty": 1.1, "reasoning_effort": "low", "top_k": 3, "seed": None, "stop": []}
    assert OPENROUTER.to_wire(params) == {
        "max_tokens": 5,
        "repetition_penalty": 1.1,
        "reasoning": {"effort": "low"},
        "top_k": 3,
    }
    assert OPENROUTER.to_wire({"max_completion_tokens": 5}) == {"max_tokens": 5}
    assert OPENROUTER.to_wire({"repetition_penalty": 1.1}) == {"repetition_penalty": 1.1}
    assert OPENROUTER.to_wire({"reasoning_budget": 500}) == {"reasoning": {"max_tokens": 500}}


@pytest.mark.parametrize("first", ["reasoning_effort", "reasoning"])
def test_an_effort_joins_the_reasoning_around_it(first: str) -> None:
    given: dict[str, Any] = {"reasoning_effort": "low", "reasoning": {"exclude": True}}
    params = {name: given[name] for name in sorted(given, key=lambda name: name != first)}
    assert said(params) == []
    assert OPENROUTER.to_wire(params) == {"reasoning": {"effort": "low", "exclude": True}}
    assert given["reasoning"] == {"exclude": True}


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"max_tokens": 1, "max_completion_tokens": 1},
            "`max_tokens` and `max_completion_tokens` are the same parameter: give only one",
        ),
        (
            {"repeat_penalty": 1, "repetition_penalty": 1},
            "`repeat_penalty` and `repetition_penalty` are the same parameter: give only one",
        ),
        (
            {"reasoning_effort": "low", "reasoning": {"effort": "high"}},
            "`reasoning_effort` and `effort` in `reasoning` are the same: give only one",
        ),
        (
            {"reasoning_budget": 500, "reasoning": {"max_tokens": 500}},
            "`reasoning_budget` and `max_tokens` in `reasoning` are the same: give only one",
        ),
        *[
            (params, f"`{name}` says how many tokens to think where an effort is given too: give only one of the two")
            for name, params in (
                ("reasoning", {"reasoning": {"effort": "high", "max_tokens": 500}}),
                ("reasoning", {"reasoning": {"max_tokens": 500}, "reasoning_effort": "low"}),
                ("reasoning", {"reasoning": {"effort": "high", "max_tokens": 500}, "reasoning_effort": None}),
                ("reasoning_budget", {"reasoning_budget": 500, "reasoning_effort": "low"}),
                ("reasoning_budget", {"reasoning_budget": 500, "reasoning": {"effort": "low"}}),
            )
        ],
        ({"top_logprobs": 3}, "`top_logprobs` needs `logprobs` to be True"),
    ],
)
def test_what_is_given_twice(params: dict[str, Any], message: str) -> None:
    assert said(params) == [message]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("provider", {"ordr": ["a"]}, "unknown parameter `ordr`: did you mean `order`?"),
        ("provider", {"allowFallbacks": True}, "unknown parameter `allowFallbacks`: did you mean `allow_fallbacks`?"),
        ("provider", {"allow_fallbacks": "yes"}, "`allow_fallbacks` must be True or False, not 'yes' (str)"),
        ("provider", {"data_collection": "never"}, "`data_collection` must be 'allow' or 'deny'"),
        ("provider", {"quantizations": ["int3"]}, "`quantizations` must be a list of int4, int8"),
        ("provider", {"sort": "cheapest"}, "'price', 'throughput', 'latency', 'exacto' or a mapping"),
        ("provider", {"preferred_min_throughput": -1}, "`preferred_min_throughput` must be a number of at least 0"),
        ("provider", {5: True}, "a parameter's name must be a string"),
        ("reasoning", {"efort": "low"}, "unknown parameter `efort`: did you mean `effort`?"),
        ("reasoning", {"effort": "much"}, "`effort` must be 'none', 'minimal'"),
        ("reasoning", {"max_tokens": True}, "`max_tokens` must be an integer of at least 0, not True"),
        ("reasoning", {"exclude": 1}, "`exclude` must be True or False"),
    ],
)
def test_mappings_are_checked_inside(name: str, value: dict[Any, Any], words: str) -> None:
    (message,) = said({name: value})
    assert message.startswith(f"`{name}` is wrong inside: ")
    assert words in message


def test_every_problem_inside_a_mapping_is_listed() -> None:
    (message,) = said({"provider": {"ordr": ["a"], "zdr": "yes"}})
    assert "`ordr`" in message
    assert "`zdr`" in message


@pytest.mark.parametrize(
    "routing",
    [
        {},
        {"order": ["a"], "only": ["a"], "ignore": [], "allow_fallbacks": True, "require_parameters": True},
        {"data_collection": "deny", "zdr": True, "enforce_distillable_text": False, "quantizations": ["fp8", "bf16"]},
        {
            "sort": "price",
            "preferred_min_throughput": 10,
            "preferred_max_latency": {"p90": 3},
            "max_price": {"prompt": 1},
        },
        {"sort": {"by": "latency", "partition": "none"}, "order": None},
    ],
)
def test_routing_that_is_fine(routing: dict[str, Any]) -> None:
    assert said({"provider": routing}) == []
    assert OPENROUTER.to_wire({"provider": routing}) == {"provider": routing}


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("session_id", "x" * 257, "a string of at most 256 characters, not a str of 257 characters"),
        ("plugins", ["web"], "a list of {'id': '...', ...}"),
        ("plugins", [{"id": 5}], "a list of {'id': '...', ...}"),
        ("response_format", {"type": "xml"}, "{'type': 'grammar', 'grammar': '...'} or {'type': 'python'}"),
        ("response_format", {"type": "grammar"}, "{'type': 'grammar', 'grammar': '...'}"),
        ("stop", list("abcde"), "a list of at most 4 strings"),
        ("models", "a/b", "a list of strings"),
        ("metadata", {str(number): "x" for number in range(17)}, "at most 16 entries"),
    ],
)
def test_bad_values(name: str, value: Any, words: str) -> None:
    (message,) = said({name: value})
    assert message.startswith(f"`{name}` must be ")
    assert words in message


@pytest.mark.parametrize(
    "form",
    [{"type": "text"}, {"type": "json_object"}, {"type": "grammar", "grammar": "root ::= x"}, {"type": "python"}],
)
def test_forms_of_an_answer(form: dict[str, Any]) -> None:
    assert said({"response_format": form}) == []


def test_names_of_old_are_taken_though_usage_always_comes() -> None:
    assert (
        said({"stream_options": {"include_usage": True}, "usage": {"include": True}, "include_reasoning": True}) == []
    )

"""llama.cpp, as a server and as a program: what it would ignore or bend is refused, and each flag has its name."""

from __future__ import annotations

from typing import Any

import pytest

from mainstay.adapters.params import Schema
from mainstay.adapters.schemas import LLAMA_CPP, LLAMA_PROCESS

ANSWER = {"type": "object", "properties": {"a": {"type": "integer"}}}
FORM = {"type": "json_schema", "json_schema": {"name": "x", "schema": ANSWER}}
TOOLS = [{"type": "function", "function": {"name": "f"}}]
BOTH = pytest.mark.parametrize("schema", [LLAMA_CPP, LLAMA_PROCESS], ids=lambda schema: schema.label)


def said(schema: Schema, params: dict[str, Any]) -> list[str]:
    return [problem.message for problem in schema.check(params)]


@pytest.mark.parametrize("name", ["max_tokens", "n_predict", "max_completion_tokens"])
def test_every_name_for_the_most_tokens_is_one_parameter(name: str) -> None:
    assert LLAMA_CPP.check({name: -1}) == ()
    assert LLAMA_CPP.to_wire({name: 5}) == {"max_tokens": 5}
    assert said(LLAMA_CPP, {name: -2}) == [f"`{name}` must be an integer from -1 to 2147483647, not -2"]


def test_names_of_the_server() -> None:
    assert LLAMA_CPP.to_wire({"reasoning_budget": 5, "num_keep": 3, "typ_p": 0.5, "stop": [], "n_cmpl": 1}) == {
        "reasoning_budget_tokens": 5,
        "n_keep": 3,
        "typical_p": 0.5,
        "n": 1,
    }
    assert LLAMA_CPP.to_wire({"thinking_budget_tokens": 5}) == {"reasoning_budget_tokens": 5}
    assert said(LLAMA_CPP, {"reasoning_budget_tokens": 5, "thinking_budget_tokens": 5})


@BOTH
@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"grammar": "root ::= x"}, {"json_schema": ANSWER}),
        ({"grammar": "root ::= x"}, {"json_schema": {}}),
        ({"grammar": "root ::= x"}, {"response_format": FORM}),
        ({"grammar": "root ::= x"}, {"response_format": {"type": "json_object"}}),
        ({"json_schema": ANSWER}, {"response_format": FORM}),
    ],
)
def test_an_answer_has_one_shape(schema: Schema, first: dict[str, Any], second: dict[str, Any]) -> None:
    (name,), (other,) = first, second
    for params in ({**first, **second}, {**second, **first}):
        assert said(schema, params) == [f"`{name}` and `{other}` both say what an answer looks like: give only one"]
    assert said(schema, first) == said(schema, second) == []
    assert said(schema, {**first, other: None}) == []


def test_a_grammar_does_not_hold_together_with_tools() -> None:
    params = {"tools": TOOLS, "grammar": "root ::= x"}
    assert said(LLAMA_CPP, params) == ["`grammar` and `tools` both say what an answer looks like: give only one"]


@BOTH
def test_plain_text_and_no_tools_are_no_shape(schema: Schema) -> None:
    params: dict[str, Any] = {"grammar": "root ::= x", "response_format": {"type": "text"}}
    assert said(schema, params) == []
    assert said(LLAMA_CPP, {**params, "tools": []}) == []


@BOTH
@pytest.mark.parametrize(
    "bias", [{"15043": 1}, {15043: -0.5, "29905": False}, [[15043, 1.5], ["29905", False]], {}, []]
)
def test_biases(schema: Schema, bias: Any) -> None:
    assert said(schema, {"logit_bias": bias}) == []


@BOTH
@pytest.mark.parametrize(
    "bias", [{"15043": True}, {"15043": float("nan")}, {"15043": "1"}, [[1]], [5], [[1.5, 1]], [[True, 1]], {None: 1}]
)
def test_biases_that_the_server_would_skip(schema: Schema, bias: Any) -> None:
    (message,) = said(schema, {"logit_bias": bias})
    assert "of tokens to numbers or False" in message


def test_a_token_is_its_text_only_at_the_server() -> None:
    assert said(LLAMA_CPP, {"logit_bias": {"Hello": False}}) == []
    (message,) = said(LLAMA_PROCESS, {"logit_bias": {"Hello": False}})
    assert "the command line takes no text in place of an id" in message


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("dry_sequence_breakers", [], "a list of at least one string"),
        ("dry_base", 0.5, "a number of at least 1"),
        ("mirostat", 3, "an integer from 0 to 2"),
        ("adaptive_decay", 1, "a number from 0 to 0.99"),
        ("stop", 5, "a string or a list of strings"),
        ("stop", [""], "strings that are not empty"),
        ("seed", 2**32, "an integer from -1 to"),
        ("n", 0, "an integer of at least 1"),
        ("response_format", {"type": "xml"}, "{'type': 'json_object'}"),
        ("reasoning_format", "qwen", "'none', 'deepseek', 'deepseek-legacy' or 'auto'"),
        ("top_logprobs", 3, "needs `logprobs` to be True"),
    ],
)
def test_what_the_server_would_bend_or_refuse(name: str, value: Any, words: str) -> None:
    (message,) = said(LLAMA_CPP, {name: value})
    assert words in message


@pytest.mark.parametrize(
    ("params", "flags"),
    [
        ({"max_tokens": 5}, {"predict": 5}),
        ({"n_predict": -2}, {"predict": -2}),
        ({"temperature": 0}, {"temp": 0}),
        ({"temp": 0.5}, {"temp": 0.5}),
        ({"top_k": 1, "top_p": 1, "min_p": 0}, {"top-k": 1, "top-p": 1, "min-p": 0}),
        ({"top_n_sigma": 1.5, "typical_p": 0.9}, {"top-nsigma": 1.5, "typical": 0.9}),
        ({"repeat_penalty": 1.1, "repeat_last_n": -1}, {"repeat-penalty": 1.1, "repeat-last-n": -1}),
        ({"presence_penalty": 1, "frequency_penalty": -1}, {"presence-penalty": 1, "frequency-penalty": -1}),
        (
            {"mirostat": 2, "mirostat_tau": 5, "mirostat_eta": 0.1},
            {"mirostat": 2, "mirostat-ent": 5, "mirostat-lr": 0.1},
        ),
        ({"mirostat_ent": 5, "mirostat_lr": 0.1}, {"mirostat-ent": 5, "mirostat-lr": 0.1}),
        ({"dry_multiplier": 0.8, "dry_base": 1.75}, {"dry-multiplier": 0.8, "dry-base": 1.75}),
        ({"dry_allowed_length": 2, "dry_penalty_last_n": 64}, {"dry-allowed-length": 2, "dry-penalty-last-n": 64}),
        ({"dry_sequence_breakers": ["\n"]}, {"dry-sequence-breaker": ["\n"]}),
        ({"dry_sequence_breakers": []}, {"dry-sequence-breaker": ["none"]}),
        ({"xtc_probability": 0.5, "xtc_threshold": 0.1}, {"xtc-probability": 0.5, "xtc-threshold": 0.1}),
        ({"dynatemp_range": 0.5, "dynatemp_exponent": 1}, {"dynatemp-range": 0.5, "dynatemp-exp": 1}),
        ({"samplers": ["top_k", "temperature"]}, {"samplers": "top_k;temperature"}),
        ({"samplers": "top_k;min_p"}, {"samplers": "top_k;min_p"}),
        ({"seed": -1}, {"seed": -1}),
        ({"stop": "x"}, {"reverse-prompt": ["x"]}),
        ({"stop": ["x", "y"]}, {"reverse-prompt": ["x", "y"]}),
        ({"stop": []}, {}),
        ({"logit_bias": {"5": 1, 6: -0.5, "7": False}}, {"logit-bias": ["5+1", "6-0.5", "7-inf"]}),
        ({"logit_bias": [[5, 1]]}, {"logit-bias": ["5+1"]}),
        ({"logit_bias": {}}, {}),
        ({"ignore_eos": True}, {"ignore-eos": True}),
        ({"ignore_eos": False}, {}),
        ({"grammar": "root ::= x"}, {"grammar": "root ::= x"}),
        ({"response_format": FORM}, {"json-schema": ANSWER}),
        ({"response_format": {"type": "json_object"}}, {"json-schema": {}}),
        ({"response_format": {"type": "text"}}, {}),
        ({"json_schema": ANSWER}, {"json-schema": ANSWER}),
        ({"num_ctx": 512, "num_keep": -1, "num_batch": 8}, {"ctx-size": 512, "keep": -1, "batch-size": 8}),
        ({"num_thread": 2, "num_gpu": 0, "main_gpu": 1}, {"threads": 2, "gpu-layers": 0, "main-gpu": 1}),
    ],
)
def test_flags(params: dict[str, Any], flags: dict[str, Any]) -> None:
    assert said(LLAMA_PROCESS, params) == []
    assert LLAMA_PROCESS.to_wire(params) == flags


def test_a_flag_is_one_name_and_its_spelling_with_underscores_is_taken() -> None:
    for param in LLAMA_PROCESS.params:
        assert "." not in param.wire, "a dot would make a path of it"
        if param.name == "n":  # which is never sent
            continue
        assert LLAMA_PROCESS.canonical(param.wire.replace("-", "_")) is not None


@pytest.mark.parametrize("name", ["tools", "tool_choice", "logprobs", "reasoning_effort", "reasoning_budget"])
def test_the_program_completes_text(name: str) -> None:
    (message,) = said(LLAMA_PROCESS, {name: 1})
    assert message.endswith(": the command line completes text; llama.cpp's server has it")

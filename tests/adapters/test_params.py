"""Schemas: every problem is found and well said, nothing changes in silence, a good request costs next to nothing."""

from __future__ import annotations

import math
import pickle
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.adapters.params import Param, Schema
from mainstay.adapters.schemas import (
    CLAUDE,
    CLAUDE_WITHOUT_SAMPLING,
    LLAMA_CPP,
    LLAMA_PROCESS,
    OLLAMA,
    OPENAI,
    OPENAI_COMPATIBLE,
    OPENROUTER,
)
from mainstay.pipeline import Problem

CHATS = [OPENAI, OPENAI_COMPATIBLE, CLAUDE, OPENROUTER, OLLAMA, LLAMA_CPP]
SCHEMAS = [*CHATS, LLAMA_PROCESS]


def said(schema: Schema, params: dict[Any, Any], model: str = "m") -> list[str]:
    return [problem.message for problem in schema.check(params, model)]


@pytest.mark.parametrize("schema", CHATS, ids=lambda schema: schema.label)
def test_good_parameters_pass(schema: Schema) -> None:
    params = {
        "temperature": 0.2,
        "max_tokens": 100,
        "top_p": 1,
        "stop": ["a", "b"],
        "reasoning_effort": "low",
        "tools": [],
    }
    assert schema.check(params) == ()
    assert schema.check({}) == ()


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.label)
def test_none_means_not_set(schema: Schema) -> None:
    nothing = dict.fromkeys(schema.names)
    assert schema.check(nothing) == ()
    assert schema.to_wire(nothing) == {}


@pytest.mark.parametrize(
    ("schema", "name", "value", "words"),
    [
        (OPENAI, "temperature", "hot", "`temperature` must be a number from 0 to 2, not 'hot' (str)"),
        (OPENAI, "temperature", 2.5, "`temperature` must be a number from 0 to 2, not 2.5"),
        (OPENAI, "temperature", math.nan, "`temperature` must be a number from 0 to 2, not nan"),
        (OPENAI, "temperature", math.inf, "`temperature` must be a number from 0 to 2, not inf"),
        (OPENAI, "temperature", True, "`temperature` must be a number from 0 to 2, not True"),
        (OPENAI, "n", True, "`n` must be an integer from 1 to 128, not True"),
        (OPENAI, "n", 1.0, "`n` must be an integer from 1 to 128, not 1.0"),
        (OPENAI, "max_tokens", 0, "`max_tokens` must be an integer of at least 1, not 0"),
        (OPENAI, "logprobs", 1, "`logprobs` must be True or False, not 1"),
        (OPENAI, "stop", list("abcde"), "`stop` must be a string or a list of at most 4 strings, not a list of 5"),
        (OPENAI, "verbosity", "loud", "`verbosity` must be 'low', 'medium' or 'high', not 'loud' (str)"),
        (OPENAI, "seed", 2**64, "not 18446744073709551616"),
        (OPENAI, "seed", 10**30, "not an integer of more than 20 digits"),
        (OPENAI, "user", 5, "`user` must be a string, not 5"),
        (
            OPENAI,
            "logit_bias",
            {"50256": -101},
            "`logit_bias` must be a mapping of token ids to numbers from -100 to 100",
        ),
        (OPENAI, "metadata", {str(i): "x" for i in range(17)}, "`metadata` must be a mapping of at most 16 entries"),
        (OPENAI, "response_format", {"type": "xml"}, "'json_object'"),
        (CLAUDE, "temperature", 1.5, "`temperature` must be a number from 0 to 1, not 1.5"),
        (CLAUDE, "stop", ["x", "\n"], "`stop` must be strings that are not blank"),
        (CLAUDE, "metadata", {"team": "x"}, "the only key that Claude takes"),
        (CLAUDE, "reasoning_effort", "minimal", "'low', 'medium', 'high', 'xhigh' or 'max'"),
        (CLAUDE, "response_format", {"type": "json_object"}, "Claude has no 'json_object'"),
        (OLLAMA, "temperature", -0.1, "`temperature` must be a number of at least 0, not -0.1"),
        (OLLAMA, "frequency_penalty", math.nan, "`frequency_penalty` must be a finite number, not nan"),
        (OLLAMA, "reasoning_effort", "minimal", "True, False, 'none', 'low', 'medium', 'high' or 'max'"),
        (OLLAMA, "response_format", "xml", "'json' or a mapping"),
        (OPENAI, "tools", [5], "`tools` must be a list of {'type': 'function', 'function': {'name': '...', 'parame"),
        (OPENAI, "tools", [{"type": "function", "function": {"name": "a b"}}], "names of at most 64 letters"),
        (OPENAI, "stop", "", "`stop` must be strings that are not empty"),
        (OPENAI, "stop", ["a", ""], "`stop` must be strings that are not empty"),
        (CLAUDE, "tools", [5], "`tools` must be a list of"),
        (CLAUDE, "tool_choice", {"type": "function", "function": "x"}, "`tool_choice` must be 'auto', 'none'"),
        (CLAUDE, "tool_choice", {"type": "banana"}, "`tool_choice` must be 'auto', 'none'"),
        (CLAUDE, "thinking", {"type": "enabled", "budget_tokens": 1023}, "at least 1024 tokens"),
        (CLAUDE, "tool_choice", {"type": "tool", "name": 5}, "`tool_choice` must be 'auto', 'none'"),
        (OLLAMA, "tools", [5], "`tools` must be a list of tools, each a mapping"),
        (OLLAMA, "response_format", {"type": "json_schema", "json_schema": None}, "`response_format` must be 'json'"),
        (OPENAI_COMPATIBLE, "temperature", "hot", "`temperature` must be a finite number"),
        (OPENAI_COMPATIBLE, "min_p", math.nan, "`min_p` must be a finite number"),
    ],
)
def test_bad_values_are_named(schema: Schema, name: str, value: Any, words: str) -> None:
    (problem,) = schema.check({name: value, **({"logprobs": True} if name != "logprobs" and schema is OPENAI else {})})
    assert problem.parameter == name
    assert words in problem.message


@pytest.mark.parametrize(
    ("schema", "name", "message"),
    [
        (OPENAI, "repeat_penalty", "`repeat_penalty` is an Ollama parameter; OpenAI has `frequency_penalty`"),
        (OPENAI, "temprature", "unknown parameter `temprature`: did you mean `temperature`?"),
        (OPENAI, "Temperature", "unknown parameter `Temperature`: did you mean `temperature`?"),
        (OPENAI, "topP", "unknown parameter `topP`: did you mean `top_p`?"),
        (OPENAI, "presence_penality", "unknown parameter `presence_penality`: did you mean `presence_penalty`?"),
        (OPENAI, "num_predict", "`num_predict` is an Ollama parameter; OpenAI has `max_tokens`"),
        (OPENAI, "maxOutputTokens", "`maxOutputTokens` is a Google parameter; OpenAI has `max_tokens`"),
        (OPENAI, "stop_sequences", "`stop_sequences` is a Claude parameter; OpenAI has `stop`"),
        (OPENAI, "num_ctx", "`num_ctx` is an Ollama parameter: the context length is fixed by the model or the server"),
        (OPENAI, "options", "`options` is an Ollama parameter: give the keys inside it as parameters"),
        (OPENAI, "functions", "unknown parameter `functions`: did you mean `tools`?"),
        (OPENAI, "zork", "unknown parameter `zork`: OpenAI has no such parameter"),
        (OPENAI, "model", "`model` is not a parameter: it is the request's own field; give it as the request's model"),
        (
            OPENAI,
            "stream",
            "`stream` is not a parameter: it is the request's own field; ask for a stream with the request's `stream`",
        ),
        (OPENAI, "system", "`system` is not a parameter: give a message with the role 'system'"),
        (CLAUDE, "seed", "`seed` is an OpenAI parameter; Claude has nothing like it"),
        (CLAUDE, "think", "`think` is an Ollama parameter; Claude has `reasoning_effort`"),
        (CLAUDE, "max_completion_tokens", "`max_completion_tokens` is an OpenAI parameter; Claude has `max_tokens`"),
        (OLLAMA, "repetition_penalty", "`repetition_penalty` is an OpenRouter parameter; Ollama has `repeat_penalty`"),
        (
            OLLAMA,
            "mirostat_taw",
            "`mirostat_taw` looks like `mirostat_tau`, a llama.cpp parameter: today's Ollama ignores it",
        ),
        (OLLAMA, "keep-alive", "unknown parameter `keep-alive`: did you mean `keep_alive`?"),
        (
            OPENAI_COMPATIBLE,
            "messages",
            "`messages` is not a parameter: they are the request's own field; give them as the request's messages",
        ),
    ],
)
def test_unknown_names_are_explained(schema: Schema, name: str, message: str) -> None:
    assert schema.check({name: 1}) == (Problem(name, message),)


def test_a_lenient_schema_lets_unknown_names_through() -> None:
    params = {"min_p": 0.1, "chat_template_kwargs": {"enable_thinking": False}, "max_completion_tokens": 5}
    assert OPENAI_COMPATIBLE.check(params) == ()
    assert OPENAI_COMPATIBLE.to_wire(params) == params


def test_every_problem_is_listed() -> None:
    found = OPENAI.check({"temperature": 9, "temprature": 1, "top_k": 4, "n": 1, "stop": 5, "model": "m"})
    assert [problem.parameter for problem in found] == ["temperature", "temprature", "top_k", "stop", "model"]


def test_a_parameter_may_be_given_once() -> None:
    (message,) = said(OPENAI, {"max_tokens": 1, "max_completion_tokens": 2})
    assert message == "`max_tokens` and `max_completion_tokens` are the same parameter: give only one"
    assert said(CLAUDE, {"stop": "a", "stop_sequences": ["b"]})
    assert said(OLLAMA, {"think": True, "reasoning_effort": None}) == []


def test_long_content_is_never_shown() -> None:
    secret = "the secret recipe of my grandmother"
    for value in (secret, [secret], {"x": secret}, secret.encode(), object()):
        for schema in SCHEMAS:
            assert secret not in str(said(schema, {"temperature": value, "stop": {"a": secret}, "n": value}))
    assert "more than 20 digits" in said(OPENAI, {"seed": 10**5000})[0]  # which Python would refuse to print
    assert len(said(OPENAI, {"x" * 100_000: 1})[0]) < 200


def test_rules_across_parameters() -> None:
    assert said(OPENAI, {"top_logprobs": 3}) == ["`top_logprobs` needs `logprobs` to be True"]
    assert said(OPENAI, {"top_logprobs": 3, "logprobs": True}) == []
    both = {"temperature": 0.5, "top_p": 0.5}
    assert said(CLAUDE, both, "claude-3-5-haiku-latest") == []
    (message,) = said(CLAUDE, both, "claude-sonnet-4-5-20250929")
    assert "use only one" in message


TOOLS = [{"type": "function", "function": {"name": "f"}}]


@pytest.mark.parametrize("choice", ["banana", {"type": "function", "function": "x"}, {"type": "function"}, {}])
def test_a_choice_among_tools_names_one(choice: Any) -> None:
    (message,) = said(OPENAI, {"tools": TOOLS, "tool_choice": choice})
    assert message.startswith("`tool_choice` must be 'none', 'auto', 'required' or")


@pytest.mark.parametrize("name", ["tool_choice", "parallel_tool_calls"])
@pytest.mark.parametrize("tools", [{}, {"tools": None}, {"tools": []}])
def test_what_needs_tools(name: str, tools: dict[str, Any]) -> None:
    value = {"tool_choice": "auto", "parallel_tool_calls": False}[name]
    message = f"`{name}` is only allowed together with `tools`"
    assert said(OPENAI, {name: value, **tools}) == [message]
    assert said(OPENAI, {name: value, "tools": TOOLS}) == []
    assert said(OPENAI, {name: None, **tools}) == []
    assert said(CLAUDE, {name: value, **tools}) == ([message] if name == "parallel_tool_calls" else [])


@pytest.mark.parametrize(
    ("params", "name"),
    [
        ({"user": "a", "metadata": {"user_id": "b"}}, "user"),
        ({"output_config": {"effort": "low"}, "reasoning_effort": "high"}, "reasoning_effort"),
        ({"effort": "high", "output_config": {"effort": "low"}}, "effort"),
        ({"output_config": {"format": {"type": "text"}}, "response_format": {"type": "text"}}, "response_format"),
    ],
)
def test_two_ways_to_the_same_place_are_one_too_many(params: dict[str, Any], name: str) -> None:
    assert [problem.parameter for problem in CLAUDE.check(params)] == [name]
    (left,) = params.keys() - {name}
    assert said(CLAUDE, {left: params[left]}) == said(CLAUDE, {name: params[name]}) == []


@pytest.mark.parametrize("name", ["temperature", "top_p", "top_k"])
def test_claude_withdrew_sampling(name: str) -> None:
    (message,) = said(CLAUDE_WITHOUT_SAMPLING, {name: 1})
    assert message.startswith(f"`{name}` is refused by this version of Claude's API")
    assert said(CLAUDE_WITHOUT_SAMPLING, {name: None, "max_tokens": 5}) == []


@pytest.mark.parametrize(
    "params",
    [
        {"temperature": 3},
        {"frequency_penalty": 5},
        {"stop": list("abcde")},
        {"verbosity": "max"},
        {"response_format": {"type": "grammar", "grammar": "root ::= x"}},
        {"reasoning_effort": "ultra"},
        {"logit_bias": [[1, 5]]},
        {"parallel_tool_calls": True},
    ],
)
def test_how_far_a_value_goes_is_a_compatible_servers_own_business(params: dict[str, Any]) -> None:
    assert said(OPENAI_COMPATIBLE, params) == []
    assert said(OPENAI, params) != []


def test_wire_names_of_openai() -> None:
    assert OPENAI.to_wire({"max_tokens": 5, "temperature": 0, "seed": None}) == {
        "max_completion_tokens": 5,
        "temperature": 0,
    }
    assert OPENAI.to_wire({"max_completion_tokens": 5}) == {"max_completion_tokens": 5}
    assert OPENAI_COMPATIBLE.to_wire({"max_tokens": 5}) == {"max_tokens": 5}
    assert OPENAI.to_wire({"stop": []}) == {}  # some models refuse an empty list, which means the same as none


def test_wire_names_of_claude() -> None:
    schema = {"type": "object"}
    wire = CLAUDE.to_wire(
        {"stop": "x", "user": "u1", "reasoning_effort": "low", "response_format": schema, "max_tokens": 9}
    )
    assert wire == {
        "stop_sequences": ["x"],
        "metadata": {"user_id": "u1"},
        "output_config": {"effort": "low", "format": schema},
        "max_tokens": 9,
    }


def test_wire_names_of_ollama() -> None:
    params = {"max_tokens": 5, "temperature": 0.1, "stop": "x", "keep_alive": "5m", "reasoning_effort": "none"}
    assert OLLAMA.to_wire(params) == {
        "options": {"num_predict": 5, "temperature": 0.1, "stop": ["x"]},
        "keep_alive": "5m",
        "think": False,
    }
    answer = {"type": "object", "properties": {}}
    wrapped = {"type": "json_schema", "json_schema": {"name": "x", "schema": answer}}
    assert OLLAMA.to_wire({"response_format": wrapped}) == {"format": answer}
    assert OLLAMA.to_wire({"response_format": answer}) == {"format": answer}
    assert OLLAMA.to_wire({"response_format": {"type": "json_object"}}) == {"format": "json"}
    assert OLLAMA.to_wire({"response_format": {"type": "text"}}) == {}
    assert OLLAMA.to_wire({"format": "json", "think": True, "num_predict": 3}) == {
        "format": "json",
        "think": True,
        "options": {"num_predict": 3},
    }


def test_a_nested_parameter_joins_the_mapping_around_it() -> None:
    config = {"format": {"type": "json_schema", "schema": {}}}
    for params in (
        {"output_config": config, "reasoning_effort": "low"},
        {"reasoning_effort": "low", "output_config": config},
    ):
        assert CLAUDE.to_wire(params)["output_config"] == {**config, "effort": "low"}
    assert "effort" not in config  # the caller's own is left alone


def test_schemas_are_data() -> None:
    mine = Schema("mine", "Mine", (Param("top_p", "number", 0, 1, low_exclusive=True, wire="a.b.c"),))
    assert said(mine, {"top_p": 0}) == ["`top_p` must be a number above 0 and at most 1, not 0"]
    assert mine.to_wire({"top_p": 1}) == {"a": {"b": {"c": 1}}}
    assert mine.json_schema()["properties"]["top_p"]["exclusiveMinimum"] == 0
    schemas = [*SCHEMAS, CLAUDE_WITHOUT_SAMPLING]
    assert pickle.loads(pickle.dumps(schemas)) == schemas
    assert mine.canonical("top_p") == "top_p"
    assert OPENAI.canonical("max_completion_tokens") == "max_tokens"
    assert OPENAI.canonical("zork") is None


def test_a_wrong_schema_is_refused() -> None:
    with pytest.raises(ValueError, match="'x' is defined twice"):
        Schema("mine", "Mine", (Param("x", "any"), Param("y", "any", aliases=("x",))))
    with pytest.raises(ValueError, match="a rule is about 'y', which is no parameter"):
        Schema("mine", "Mine", (Param("x", "any"),), rules=(("y", lambda value, params, model: "is bad"),))
    with pytest.raises(ValueError, match="parameter 'x': types"):
        Param("x", "float")
    with pytest.raises(ValueError, match="low"):
        Param("x", "number", 2, 1)


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30) | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=4),
    max_leaves=8,
)
NAMES = st.sampled_from([name for schema in SCHEMAS for name in schema.json_schema()["properties"]])


@given(
    st.sampled_from(SCHEMAS),
    st.dictionaries(NAMES | st.text(max_size=80) | st.integers(), VALUES, max_size=6),
    st.text(),
)
def test_check_never_crashes_and_what_passes_can_be_sent(schema: Schema, params: dict[Any, Any], model: str) -> None:
    problems = schema.check(params, model)
    assert all(isinstance(problem, Problem) and problem.message for problem in problems)
    if not problems:
        assert isinstance(schema.to_wire(params), dict)


@given(st.sampled_from([*SCHEMAS, CLAUDE_WITHOUT_SAMPLING]), st.dictionaries(NAMES, VALUES, max_size=6))
def test_what_nobody_checked_can_be_sent_too(schema: Schema, params: dict[str, Any]) -> None:
    assert isinstance(schema.to_wire(params), dict)  # Validate is off: the provider itself will say what is wrong


def test_a_rule_is_about_every_name_of_its_parameter() -> None:
    def odd(value: Any, params: Any, model: str) -> str:
        return f"is odd with {model}" if value % 2 else ""

    mine = Schema("mine", "Mine", (Param("x", "integer", 0, aliases=("y",)),), rules=(("x", odd), ("x", odd)))
    assert said(mine, {"x": 1}) == ["`x` is odd with m", "`x` is odd with m"]
    assert said(mine, {"y": 1}) == ["`y` is odd with m", "`y` is odd with m"]
    assert said(mine, {"x": 2}) == said(mine, {"x": None}) == []
    assert said(mine, {"x": -1}) == ["`x` must be an integer of at least 0, not -1"]  # a bad value breaks no rules
    assert said(mine, {"x": 2, "z": 1, "y": 3})[-2:] == ["`y` is odd with m", "`y` is odd with m"]


def test_a_hint_ends_the_message() -> None:
    mine = Schema("mine", "Mine", (Param("x", "boolean", hint="ask for nothing"),))
    assert said(mine, {"x": 1}) == ["`x` must be True or False, not 1: ask for nothing"]


@given(st.floats(allow_nan=True, allow_infinity=True) | st.integers())
def test_ranges(value: float) -> None:
    assert (OPENAI.check({"temperature": value}) == ()) == (math.isfinite(value) and 0 <= value <= 2)
    assert (CLAUDE.check({"temperature": value}) == ()) == (math.isfinite(value) and 0 <= value <= 1)


def test_a_good_check_is_cheap() -> None:
    params = {"temperature": 0.2, "max_tokens": 100, "top_p": 0.9, "seed": 3}
    best = math.inf
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(2_000):
            OPENAI.check(params)
        best = min(best, (time.perf_counter() - start) / 2_000)
    assert best < 20e-6  # it takes between 1 and 2 us

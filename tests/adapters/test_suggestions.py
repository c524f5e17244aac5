"""A wrong name is explained at every provider: whose parameter it is, and what to write in its place."""

from __future__ import annotations

import pytest

from mainstay.adapters.params import Schema
from mainstay.adapters.schemas import CLAUDE, LLAMA_CPP, LLAMA_PROCESS, OLLAMA, OPENAI, OPENROUTER

SCHEMAS = (OPENAI, CLAUDE, OPENROUTER, OLLAMA, LLAMA_CPP, LLAMA_PROCESS)

# What was written, whose it is ("" if nobody's), and the canonical name of what was meant.
MEANT = [
    *[
        (name, owner, "max_tokens")
        for name, owner in (
            ("num_predict", "Ollama"),
            ("n_predict", "llama.cpp"),
            ("max_new_tokens", "Hugging Face"),
            ("max_length", ""),
            ("maxTokens", ""),
            ("max_output_tokens", "OpenAI Responses"),
            ("maxOutputTokens", "Google"),
            ("max_tokens_to_sample", "Claude"),
            ("max_completion_tokens", "OpenAI"),
        )
    ],
    *[
        (name, owner, "stop")
        for name, owner in (
            ("stop_sequences", "Claude"),
            ("stopSequences", "Google"),
            ("stops", ""),
            ("stop_words", ""),
            ("reverse_prompt", "llama.cpp"),
            ("antiprompt", "llama.cpp"),
        )
    ],
    ("repetition_penalty", "OpenRouter", "repeat_penalty"),
    ("repeat_penalty", "Ollama", "repeat_penalty"),
    ("rep_pen", "", "repeat_penalty"),
    ("penalty_repeat", "", "repeat_penalty"),
    ("topP", "", "top_p"),
    ("top-p", "", "top_p"),
    ("nucleus", "", "top_p"),
    ("topK", "", "top_k"),
    ("temp", "llama.cpp", "temperature"),
    ("temprature", "", "temperature"),
    ("temperture", "", "temperature"),
    ("num_ctx", "Ollama", "num_ctx"),
    ("n_ctx", "llama.cpp", "num_ctx"),
    ("ctx_size", "llama.cpp", "num_ctx"),
    ("context_length", "", "num_ctx"),
    ("max_model_len", "vLLM", "num_ctx"),
    ("mirostat_ent", "llama.cpp", "mirostat_tau"),
    ("mirostat_lr", "llama.cpp", "mirostat_eta"),
    ("typ_p", "llama.cpp", "typical_p"),
    ("typical", "llama.cpp", "typical_p"),
    ("functions", "OpenAI", "tools"),
    ("function_call", "OpenAI", "tool_choice"),
    ("think", "Ollama", "reasoning_effort"),
    ("thinking", "Claude", "reasoning_effort"),
    ("reasoning", "OpenRouter", "reasoning_effort"),
    ("enable_thinking", "Qwen", "reasoning_effort"),
    ("include_reasoning", "OpenRouter", "reasoning_effort"),
    ("effort", "Claude", "reasoning_effort"),
    ("thinking_budget", "Google", "reasoning_budget"),
    ("budget_tokens", "Claude", "reasoning_budget"),
    ("reasoning_budget_tokens", "llama.cpp", "reasoning_budget"),
    ("format", "Ollama", "response_format"),
    ("json_mode", "", "response_format"),
    ("json_schema", "llama.cpp", "response_format"),
    ("guided_json", "vLLM", "response_format"),
    ("structured_outputs", "OpenRouter", "response_format"),
    ("random_seed", "Mistral", "seed"),
    ("candidate_count", "Google", "n"),
    ("num_return_sequences", "Hugging Face", "n"),
    ("best_of", "OpenAI", "n"),
    ("n_cmpl", "llama.cpp", "n"),
    ("user_id", "Claude", "user"),
    ("n_probs", "llama.cpp", "top_logprobs"),
    ("keepalive", "", "keep_alive"),
    ("keep-alive", "", "keep_alive"),
]


def said(schema: Schema, name: str) -> str:
    (problem,) = schema.check({name: 1})
    return problem.message


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.label)
@pytest.mark.parametrize(("name", "owner", "meant"), MEANT, ids=[name for name, _, _ in MEANT])
def test_what_was_meant_is_said(schema: Schema, name: str, owner: str, meant: str) -> None:
    known = schema.canonical(name)
    if known is not None:  # the provider's own word for it, or a parameter of its own
        assert known in (meant, name)
        return
    message = said(schema, name)
    assert message.startswith((f"`{name}` ", f"unknown parameter `{name}`"))
    if owner and owner != schema.label:
        assert f"{owner} parameter" in message
    if meant in schema.names:
        assert f"`{meant}`" in message.removeprefix(f"`{name}`")
    else:
        assert f"{schema.label} has " in message or ": " in message


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.label)
@pytest.mark.parametrize("name", ["system", "system_prompt", "instructions", "preamble"])
def test_a_system_prompt_is_a_message(schema: Schema, name: str) -> None:
    assert said(schema, name) == f"`{name}` is not a parameter: give a message with the role 'system'"


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.label)
@pytest.mark.parametrize(("name", "owner"), [("safe_prompt", "Mistral"), ("safety_settings", "Google")])
def test_what_nobody_else_has(schema: Schema, name: str, owner: str) -> None:
    assert said(schema, name) == f"`{name}` is a {owner} parameter; {schema.label} has nothing like it"


@pytest.mark.parametrize("schema", [CLAUDE, OPENROUTER, OLLAMA, LLAMA_PROCESS], ids=lambda schema: schema.label)
def test_several_answers_are_several_requests(schema: Schema) -> None:
    (problem,) = schema.check({"n": 2})
    assert problem.message.endswith(": make one request for each answer")
    assert schema.check({"n": 1}) == ()  # it is what they do anyway
    assert schema.to_wire({"n": 1}) == {}


def test_nearest() -> None:
    assert (
        said(OPENAI, "repetition_penalty")
        == "`repetition_penalty` is an OpenRouter parameter; OpenAI has `frequency_penalty`"
    )
    assert said(CLAUDE, "repeat_penalty") == "`repeat_penalty` is an Ollama parameter; Claude has nothing like it"
    assert (
        said(OPENAI, "Num-Predict")
        == "`Num-Predict` looks like `num_predict`, an Ollama parameter; OpenAI has `max_tokens`"
    )
    assert said(OPENAI, "topK") == "`topK` looks like `top_k`, an Ollama parameter; OpenAI has `top_p`"
    assert said(OPENAI, "thinking_budget") == "`thinking_budget` is a Google parameter; OpenAI has `reasoning_effort`"


@pytest.mark.parametrize(
    ("name", "flag"),
    [
        ("num_ctx", "-c"),
        ("n_ctx", "-c"),
        ("num_gpu", "-ngl"),
        ("num_thread", "-t"),
        ("num_batch", "-b"),
        ("main_gpu", "-mg"),
        ("use_mmap", "--no-mmap"),
        ("shift", "--context-shift"),
        ("keep_alive", "--sleep-idle-seconds"),
    ],
)
def test_what_llama_cpps_server_takes_when_it_starts(name: str, flag: str) -> None:
    assert said(LLAMA_CPP, name).endswith(f": llama.cpp's server takes it when it is started, as {flag}")


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.label)
def test_options_are_given_as_parameters(schema: Schema) -> None:
    assert said(schema, "options").endswith(": give the keys inside it as parameters")


@pytest.mark.parametrize(
    ("schema", "tool", "words"),
    [
        (OPENAI, {"type": "function", "function": {"name": "f", "input_schema": {}}}, "'parameters': {...}"),
        (OPENAI, {"name": "f", "input_schema": {}}, "'parameters': {...}"),
        (OPENROUTER, {"type": "function", "function": {"name": "f", "input_schema": {}}}, "'parameters': {...}"),
        (LLAMA_CPP, {"name": "f", "input_schema": {}}, "'parameters': {...}"),
        (CLAUDE, {"name": "f", "parameters": {}}, "`input_schema`, which is Claude's word for `parameters`"),
    ],
)
def test_tools_in_the_words_of_another_provider(schema: Schema, tool: dict[str, object], words: str) -> None:
    (problem,) = schema.check({"tools": [tool]})
    assert words in problem.message

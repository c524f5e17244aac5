"""The table of llama.cpp's parameters against a real server: both take the same and refuse the same."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from mainstay.adapters.schemas import LLAMA_CPP

ANSWER = {"type": "object", "properties": {"a": {"type": "boolean"}}}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
SAMPLES: dict[str, Any] = {
    "max_tokens": 2,
    "stop": ["zork"],
    "seed": -1,
    "n": 1,
    "dry_sequence_breakers": ["\n"],
    "samplers": ["top_k", "temperature"],
    "logit_bias": {"5": -1.5, "6": False},
    "grammar": 'root ::= "yes"',
    "json_schema": ANSWER,
    "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": ANSWER}},
    "tools": [TOOL],
    "tool_choice": "none",
    "reasoning_effort": "low",
    "reasoning_format": "auto",
    "chat_template_kwargs": {"enable_thinking": False},
    "lora": [],
    "stream_options": {"include_usage": True},
    "continue_final_message": False,
}


def status(url: str, params: dict[str, Any]) -> int:
    message = {"role": "user", "content": "Say something"}
    body = {"model": "tiny", "messages": [message], "max_tokens": 2, **LLAMA_CPP.to_wire(params)}
    return requests.post(f"{url}/chat/completions", json=body, timeout=30).status_code


@pytest.mark.parametrize("param", LLAMA_CPP.params, ids=lambda param: param.name)
def test_the_server_takes_what_the_table_takes(llama_url: str, param: Any) -> None:
    needs: dict[str, Any] = {"top_logprobs": {"logprobs": True}, "tool_choice": {"tools": [TOOL]}}.get(param.name, {})
    low = 1 if param.low is None else param.low
    value = SAMPLES.get(param.name, True if param.types == ("boolean",) else low)
    for name in (param.name, *param.aliases):
        params = {name: value, **needs}
        assert LLAMA_CPP.check(params) == ()
        assert status(llama_url, params) == 200


@pytest.mark.parametrize(
    "params",
    [
        {"max_tokens": -2},
        {"repeat_last_n": -1},
        {"dry_allowed_length": -1},
        {"dry_penalty_last_n": -1},
        {"dry_sequence_breakers": []},
        {"adaptive_decay": 1.0},
        {"n": 0},
        {"reasoning_budget": -2},
        {"response_format": {"type": "xml"}},
        {"top_logprobs": 3},
        {"temperature": "hot"},
        {"grammar": 'root ::= "yes"', "json_schema": ANSWER},
        {"grammar": 'root ::= "yes"', "tools": [TOOL]},
    ],
    ids=str,
)
def test_the_table_refuses_what_the_server_refuses(llama_url: str, params: dict[str, Any]) -> None:
    assert LLAMA_CPP.check(params) != ()
    assert status(llama_url, params) in (400, 500)

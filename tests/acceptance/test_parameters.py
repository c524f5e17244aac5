"""Parameters: everything that is wrong is told at once, before anything is sent."""

from __future__ import annotations

from typing import Any

import pytest

from mainstay.middleware import Fallback, standard
from mainstay.pipeline import InvalidParameters, Request, Route, Stack

WRONG = {
    "openai": {"temprature": 1, "repeat_penalty": 1.1, "top_p": "most", "temperature": 9},
    "claude": {"temprature": 1, "frequency_penalty": 1.1, "top_p": "most", "temperature": 1.5},
    "openrouter": {"temprature": 1, "num_ctx": 4096, "top_p": 0, "temperature": 9},
    "llama_cpp": {"temprature": 1, "num_ctx": 4096, "top_p": 7, "temperature": -5},
    "ollama": {"temprature": 1, "tool_choice": "auto", "temperature": "hot", "top_p": 3},
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dialect", WRONG)
def test_four_wrong_parameters_give_one_error_that_lists_all_four(dialect: str, stream: bool, bench: Any) -> None:
    server, adapter = bench(dialect)
    with pytest.raises(InvalidParameters) as caught:
        Stack(standard(), adapter)(Request("m", "hello", WRONG[dialect], stream=stream))
    assert {problem.parameter for problem in caught.value.problems} == set(WRONG[dialect])
    for name in WRONG[dialect]:
        assert f"`{name}`" in str(caught.value)
    assert "did you mean `temperature`" in str(caught.value)
    assert server.connections == 0


def test_whose_parameter_it_is_is_said(bench: Any) -> None:
    _, adapter = bench("openai")
    with pytest.raises(InvalidParameters, match=r"Ollama.*OpenAI has `frequency_penalty`"):
        Stack(standard(), adapter)(Request("m", "hello", {"repeat_penalty": 1.1}))


def test_all_routes_are_checked_and_a_route_says_what_it_leaves_out(bench: Any) -> None:
    _, openai = bench("openai")
    server, claude = bench("claude")
    request = Request("m", "hello", {"seed": 7})
    with pytest.raises(InvalidParameters) as caught:
        Stack(standard(), Fallback(openai, Route("claude", claude, model="c")))(request)
    assert [problem.route for problem in caught.value.problems] == ["claude"]

    stack = Stack(standard(), Fallback(Route("claude", claude, model="c", drop=frozenset({"seed"}))))
    reply = stack(request)
    assert "seed" not in server.seen[-1].body
    assert "left out by route 'claude'" in reply.changes["seed"]
    assert "4096" in reply.changes["max_tokens"]

"""The official Ollama client against the sandbox."""

from __future__ import annotations

from collections.abc import Iterator

import ollama
import pytest

from mainstay.adapters.sandbox import Answer, Sandbox, ToolUse, faults

MESSAGES = [{"role": "user", "content": "Why is the sky blue?"}]
TOOLS = [{"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}]


@pytest.fixture
def server() -> Iterator[Sandbox]:
    with Sandbox("ollama", models={"llama3.2"}) as sandbox:
        yield sandbox


@pytest.fixture
def client(server: Sandbox) -> Iterator[ollama.Client]:
    made = ollama.Client(host=server.url)
    yield made
    made._client.close()  # the client has no close of its own


def test_complete(server: Sandbox, client: ollama.Client) -> None:
    server.default = Answer("Rayleigh scattering, my friend", finish="length")
    reply = client.chat("llama3.2", MESSAGES, options={"temperature": 0.1, "stop": ["x"]})
    assert reply.message.content == "Rayleigh scattering, my friend"
    assert (reply.done, reply.done_reason) == (True, "length")
    assert (reply.prompt_eval_count, reply.eval_count) == (5, 4)
    assert reply.model == "llama3.2"


def test_counts_of_zero_are_left_out(server: Sandbox, client: ollama.Client) -> None:
    server.default = Answer("x", prompt_tokens=0)
    assert client.chat("llama3.2", MESSAGES).prompt_eval_count is None


def test_stream(server: Sandbox, client: ollama.Client) -> None:
    parts = list(client.chat("llama3.2:latest", MESSAGES, stream=True))
    assert "".join(part.message.content for part in parts) == "Hello from the sandbox, all is well."
    assert [part.done for part in parts] == [False] * 7 + [True]
    assert parts[-1].eval_count == 7


def test_tools(server: Sandbox, client: ollama.Client) -> None:
    server.default = Answer(tool_calls=(ToolUse("look_up", {"word": "sky"}), ToolUse("look_up", {"word": "blue"})))
    reply = client.chat("llama3.2", MESSAGES, tools=TOOLS)
    assert [call.function.arguments for call in reply.message.tool_calls] == [{"word": "sky"}, {"word": "blue"}]
    assert reply.done_reason == "stop"
    parts = list(client.chat("llama3.2", MESSAGES, tools=TOOLS, stream=True))
    assert [len(part.message.tool_calls or ()) for part in parts] == [2, 0]


def test_thinking(server: Sandbox, client: ollama.Client) -> None:
    server.default = Answer("Blue.", reasoning="Light scatters.")
    assert client.chat("llama3.2", MESSAGES, think=True).message.thinking == "Light scatters."
    assert client.chat("llama3.2", MESSAGES, think=False).message.thinking is None
    parts = list(client.chat("llama3.2", MESSAGES, think="high", stream=True))
    assert [part.message.thinking for part in parts] == ["Light", " scatters.", None, None]


def test_log_probabilities(server: Sandbox, client: ollama.Client) -> None:
    server.default = Answer("Blue sky")
    reply = client.chat("llama3.2", MESSAGES, logprobs=True, top_logprobs=1)
    assert [entry.token for entry in reply.logprobs] == ["Blue", " sky"]
    parts = list(client.chat("llama3.2", MESSAGES, logprobs=True, stream=True))
    assert [[entry.token for entry in part.logprobs or ()] for part in parts] == [["Blue"], [" sky"], []]
    with pytest.raises(ollama.ResponseError, match="top_logprobs must be between 0 and 20"):
        client.chat("llama3.2", MESSAGES, logprobs=True, top_logprobs=21)


def test_line_separators_are_escaped_as_in_go(server: Sandbox, client: ollama.Client) -> None:
    server.default = Answer("one\u2028two <b>&</b>")
    parts = client.chat("llama3.2", MESSAGES, stream=True)  # the client splits at them, were they there
    assert "".join(part.message.content for part in parts) == "one\u2028two <b>&</b>"


def test_only_loading_a_model(server: Sandbox, client: ollama.Client) -> None:
    assert client.chat("llama3.2", []).done_reason == "load"
    assert client.chat("llama3.2", [], keep_alive=0).done_reason == "unload"


def test_models(server: Sandbox, client: ollama.Client) -> None:
    assert [model.model for model in client.list().models] == ["llama3.2:latest"]


@pytest.mark.parametrize(
    ("fault", "status", "message"),
    [
        (faults.bad_key(), 401, "unauthorized"),
        (faults.model_not_found(), 404, "model 'llama3.2' not found"),
        (faults.quota(), 429, "session usage limit"),
        (faults.rate_limit(), 429, "too many"),
        (faults.context_length(), 400, "longer than the context length"),
        (faults.overloaded(), 503, "server busy, please try again.  maximum pending"),
        (faults.status(500), 500, "unexpectedly stopped"),
        (faults.status(502, message="no route"), 502, "no route"),
    ],
    ids=repr,
)
def test_errors(server: Sandbox, client: ollama.Client, fault: faults.Fault, status: int, message: str) -> None:
    server.script(fault)
    with pytest.raises(ollama.ResponseError, match=message) as caught:
        client.chat("llama3.2", MESSAGES)
    assert caught.value.status_code == status


def test_what_the_server_refuses(server: Sandbox, client: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError, match="model 'nope' not found"):
        client.chat("nope", MESSAGES)
    with pytest.raises(ollama.ResponseError, match='option "temperature" must be of type float32') as caught:
        client.chat("llama3.2", MESSAGES, options={"temperature": "hot"})
    assert caught.value.status_code == 500
    with pytest.raises(ollama.ResponseError, match="404 page not found"):
        client.embed("llama3.2", "x")


def test_error_in_a_stream(server: Sandbox, client: ollama.Client) -> None:
    server.script(faults.error_event(after=1))
    heard = []
    with pytest.raises(ollama.ResponseError, match="unexpected EOF"):
        heard.extend(part.message.content for part in client.chat("llama3.2", MESSAGES, stream=True))
    assert heard == ["Hello"]


def test_the_client_takes_a_truncated_stream_for_a_whole_one(server: Sandbox, client: ollama.Client) -> None:
    server.script(faults.no_terminator())
    assert not any(part.done for part in client.chat("llama3.2", MESSAGES, stream=True))

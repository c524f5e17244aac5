"""What only llama.cpp's server does. Expected bodies are those of a real server, shortened."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest

from mainstay.adapters.sandbox import Answer, Sandbox, faults

Ask = Callable[..., Any]
ASK: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Say hello"}]}


# What a real server answered.
CHAT = (
    b'{"choices":[{"finish_reason":"length","index":0,"message":{"role":"assistant","content":" come be"},"logprobs":'
    b'{"content":[{"id":434,"token":" come","bytes":[32,99],"logprob":-2.18,"top_logprobs":[{"id":434,"token":" come",'
    b'"bytes":[32,99],"logprob":-2.18}]}]}}],"created":1795355497,"model":"tiny","system_fingerprint":"b0-unknown",'
    b'"object":"chat.completion","usage":{"completion_tokens":2,"prompt_tokens":29,"total_tokens":31,'
    b'"prompt_tokens_details":{"cached_tokens":28}},"id":"chatcmpl-eooC1SqszJPjeJZTZnbHAGGV6ugcFpsY","timings":'
    b'{"cache_n":28,"prompt_n":1,"prompt_ms":0.533,"prompt_per_token_ms":0.533,"prompt_per_second":1876.17,'
    b'"predicted_n":2,"predicted_ms":0.308,"predicted_per_token_ms":0.308,"predicted_per_second":3246.75}}'
)
CHUNK = (
    b'{"choices":[{"finish_reason":null,"index":0,"delta":{"content":" be"}}],"created":1795355497,"id":"chatcmpl",'
    b'"model":"tiny","system_fingerprint":"b0-unknown","object":"chat.completion.chunk"}'
)
MODELS = (
    b'{"models":[{"name":"tiny","model":"tiny","modified_at":"","size":"","digest":"","type":"model","description":"",'
    b'"tags":[""],"capabilities":["completion"],"parameters":"","details":{"parent_model":"","format":"gguf","family":"",'
    b'"families":[""],"parameter_size":"","quantization_level":""}}],"object":"list","data":[{"id":"tiny","aliases":'
    b'["tiny"],"tags":[],"object":"model","architecture":{"input_modalities":["text"],"output_modalities":["text"]},'
    b'"created":1795355496,"owned_by":"llamacpp","meta":{"vocab_type":1,"n_vocab":443,"n_ctx":256,"n_ctx_train":2048,'
    b'"n_embd":64,"n_params":138944,"size":555776,"ftype":"all F32"}}]}'
)
TOO_LONG = (
    b'{"error":{"code":400,"message":"request (814 tokens) exceeds the available context size (256 tokens), try '
    b'increasing it","type":"exceed_context_size_error","n_prompt_tokens":814,"n_ctx":256}}'
)


def shape(value: Any) -> Any:
    """The names and kinds in JSON data, without the values."""
    if isinstance(value, dict):
        return {name: shape(item) for name, item in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


@pytest.fixture
def server() -> Iterator[Sandbox]:
    with Sandbox("llama_cpp") as sandbox:
        yield sandbox


@pytest.fixture
def client(server: Sandbox) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="any", max_retries=0) as made:
        yield made


@pytest.fixture
def get(connect: Ask) -> Ask:
    def send(server: Sandbox, path: str, method: str = "GET", **headers: str) -> Any:
        return connect(server).send(b"", path=path, method=method, connection="close", **headers).read()

    return send


def test_answers_have_the_shape_of_a_real_server_s(server: Sandbox, connect: Ask, ask: Ask, get: Ask) -> None:
    server.script(Answer("come be"), Answer("come be"), faults.context_length())
    whole = connect(server).send({**ASK, "logprobs": True, "top_logprobs": 1}, connection="close").read()
    assert shape(whole.json) == shape(json.loads(CHAT))
    assert whole.headers["content-type"] == "application/json; charset=utf-8"
    streamed = ask(server, stream=True)
    assert shape(streamed.events[1]) == shape(json.loads(CHUNK))
    assert streamed.headers["content-type"] == "text/event-stream"
    assert shape(ask(server).json) == shape(json.loads(TOO_LONG))
    assert shape(get(server, "/v1/models").json) == shape(json.loads(MODELS))


def test_complete(server: Sandbox, client: openai.OpenAI) -> None:
    server.default = Answer("Hello you", reasoning="Hm.", prompt_tokens=29, cached_tokens=28)
    reply = client.chat.completions.create(**ASK).model_dump()
    assert reply["choices"][0]["message"]["reasoning_content"] == "Hm."
    assert reply["usage"]["prompt_tokens_details"]["cached_tokens"] == 28
    assert reply["timings"]["cache_n"] == 28
    assert (reply["timings"]["prompt_n"], reply["timings"]["predicted_n"]) == (1, 3)
    message = client.chat.completions.create(**ASK, reasoning_effort="none").choices[0].message
    assert "reasoning_content" not in message.model_dump()


def test_choices_are_counted_once(server: Sandbox, client: openai.OpenAI) -> None:
    server.default = Answer("one two three")
    reply = client.chat.completions.create(**ASK, n=2)
    assert (len(reply.choices), reply.usage.completion_tokens) == (2, 3)


def test_stream(server: Sandbox, ask: Ask) -> None:
    server.default = Answer("come be", finish="length")
    events = ask(server, stream=True).events
    assert [event["choices"][0]["delta"] for event in events[:-1]] == [
        {"role": "assistant", "content": None},
        {"content": "come"},
        {"content": " be"},
        {},
    ]
    assert not any("usage" in event for event in events[:-1])
    assert ["timings" in event for event in events[:-1]] == [False, False, False, True]
    assert events[-1] == "[DONE]"


def test_usage_in_a_stream_if_it_is_asked_for(server: Sandbox, connect: Ask) -> None:
    body = {**ASK, "stream": True, "stream_options": {"include_usage": True}}
    *_, finish, usage, done = connect(server).send(body, connection="close").read().events
    assert finish["choices"][0]["finish_reason"] == "stop"
    assert "timings" not in finish
    assert (usage["choices"], usage["usage"]["completion_tokens"], done) == ([], 7, "[DONE]")
    assert usage["timings"]["predicted_n"] == 7


def test_tokens_have_their_numbers_in_logprobs(server: Sandbox, connect: Ask) -> None:
    body = {**ASK, "logprobs": True, "top_logprobs": 2}
    choice = connect(server).send(body, connection="close").read().json["choices"][0]
    assert choice["logprobs"].keys() == {"content"}
    entry = choice["logprobs"]["content"][0]
    assert isinstance(entry["id"], int)
    assert [isinstance(other["id"], int) for other in entry["top_logprobs"]] == [True, True]


def test_loading(server: Sandbox, client: openai.OpenAI, get: Ask) -> None:
    loading = {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}
    assert server.loading is False
    server.loading = True
    for path in ("/health", "/v1/health", "/v1/models", "/nowhere"):
        answered = get(server, path)
        assert (answered.status, answered.json) == (503, loading)
    with pytest.raises(openai.InternalServerError, match="Loading model"):
        client.chat.completions.create(**ASK)
    server.loading = False
    assert get(server, "/health").json == {"status": "ok"}
    assert client.chat.completions.create(**ASK).choices[0].finish_reason == "stop"


@pytest.mark.parametrize("dialect", ["openai", "claude", "openrouter", "ollama"])
def test_no_other_server_says_that_it_is_loading(dialect: str) -> None:
    with Sandbox(dialect) as server, pytest.raises(ValueError, match=f"{dialect} has no server that says"):
        server.loading = True


def test_paths(get: Ask) -> None:
    missing = {"error": {"code": 404, "message": "File Not Found", "type": "not_found_error"}}
    refused = {"error": {"code": 401, "message": "Invalid API Key", "type": "authentication_error"}}
    with Sandbox("llama_cpp", key="sekrit") as server:
        for path in ("/health", "/v1/health"):
            assert get(server, path).json == {"status": "ok"}
        for path in ("/v1/models", "/props", "/nowhere"):  # the key comes first
            assert (get(server, path).status, get(server, path).json) == (401, refused)
        for good in ({"authorization": "Bearer sekrit"}, {"x_api_key": "sekrit"}):
            assert get(server, "/v1/models", **good).json["data"][0]["id"] == "model.gguf"
        assert get(server, "/props", **good).json["default_generation_settings"]["n_ctx"] == 4096
        for method, path in (("GET", "/nowhere"), ("POST", "/v1/models"), ("GET", "/v1/chat/completions")):
            answered = get(server, path, method, **good)
            assert (answered.status, answered.json) == (404, missing)
        assert answered.headers["server"] == "llama.cpp"


def test_a_server_without_a_key_takes_any(server: Sandbox, ask: Ask, client: openai.OpenAI) -> None:
    assert ask(server).status == 200
    assert client.chat.completions.create(**ASK).choices


def test_a_router_knows_its_models() -> None:
    with (
        Sandbox("llama_cpp", models={"one", "two"}) as server,
        openai.OpenAI(base_url=f"{server.url}/v1", api_key="any", max_retries=0) as client,
    ):
        assert [model.id for model in client.models.list()] == ["one", "two"]
        assert client.chat.completions.create(**{**ASK, "model": "two"}).model == "two"
        with pytest.raises(openai.BadRequestError, match="model 'm' not found"):
            client.chat.completions.create(**ASK)


def test_a_prompt_that_is_too_long(server: Sandbox, client: openai.OpenAI) -> None:
    server.script(faults.context_length())
    with pytest.raises(openai.BadRequestError, match="exceeds the available context size") as caught:
        client.chat.completions.create(**ASK)
    assert caught.value.body["type"] == "exceed_context_size_error"
    assert caught.value.body["n_prompt_tokens"] > caught.value.body["n_ctx"]


@pytest.mark.parametrize("fault", [faults.quota(), faults.content_filter()], ids=repr)
def test_it_has_neither_quota_nor_filter(server: Sandbox, fault: faults.Fault) -> None:
    with pytest.raises(ValueError, match="neither quota nor filter"):
        server.script(fault)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"messages": None}, "'messages' is required"),
        ({"messages": "hello"}, "Expected 'messages' to be an array"),
        ({"messages": [{"content": "x"}]}, "Missing 'role' in message"),
        ({"max_tokens": -2}, "Field 'max_tokens': Value must be between -1 <= value <= 2147483647, but got -2"),
        ({"n": 9}, "Field 'n': Value must be between 1 <= value <= 4, but got 9"),
        ({"temperature": "hot"}, "[json.exception.type_error.302] type must be number, but is string"),
        ({"top_logprobs": 2}, "top_logprobs requires logprobs to be set to true"),
        ({"response_format": {"type": "xml"}}, "response_format type must be one of"),
    ],
)
def test_what_it_refuses(server: Sandbox, connect: Ask, params: dict[str, Any], message: str) -> None:
    answered = connect(server).send({**ASK, **params}, connection="close").read()
    assert (answered.status, answered.json["error"]["type"]) == (400, "invalid_request_error")
    assert message in answered.json["error"]["message"]


def test_what_it_ignores_or_clamps(server: Sandbox, connect: Ask) -> None:
    params = {"temperature": -5, "top_p": 7, "unknown": 1, "messages": [], "user": "u", "temprature": 1}
    assert connect(server).send({**ASK, **params}, connection="close").read().status == 200


def test_a_body_that_is_no_json_is_its_own_failure(server: Sandbox, connect: Ask) -> None:
    answered = connect(server).send(b"{", connection="close").read()
    assert (answered.status, answered.json["error"]["type"]) == (500, "server_error")
    assert answered.json["error"]["message"].startswith("[json.exception.parse_error.101]")

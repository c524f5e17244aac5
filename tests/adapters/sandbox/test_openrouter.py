"""What only OpenRouter does, as OpenAI's client sees it, which is what people use with it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest

from mainstay.adapters.sandbox import Answer, Sandbox, faults

Ask = Callable[..., Any]
ASK: dict[str, Any] = {"model": "acme/one", "messages": [{"role": "user", "content": "Is anybody there?"}]}


@pytest.fixture
def server() -> Iterator[Sandbox]:
    with Sandbox("openrouter", key="sk-or-good", models={"acme/one", "acme/two"}) as sandbox:
        yield sandbox


@pytest.fixture
def client(server: Sandbox) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=server.url, api_key="sk-or-good", max_retries=0) as made:
        yield made


def test_complete(server: Sandbox, client: openai.OpenAI) -> None:
    server.default = Answer("Yes.", reasoning="Hm hm.", cost=0.25, native_finish="end_turn")
    response = client.chat.completions.with_raw_response.create(**ASK)
    reply = response.parse().model_dump()
    choice = reply["choices"][0]
    assert response.headers["x-generation-id"] == reply["id"] == "gen-000000000001"
    assert reply["provider"] == "Acme"
    assert (choice["finish_reason"], choice["native_finish_reason"]) == ("stop", "end_turn")
    assert choice["message"]["reasoning"] == "Hm hm."
    assert [detail["type"] for detail in choice["message"]["reasoning_details"]] == ["reasoning.text"]
    assert reply["usage"]["cost"] == 0.25
    assert reply["usage"]["completion_tokens_details"]["reasoning_tokens"] == 2


def test_a_stream_tells_its_usage_unasked_and_last(server: Sandbox, client: openai.OpenAI) -> None:
    server.default = Answer("Yes, I am.", reasoning="Hm hm.", encrypted_reasoning="eA==")
    with client.chat.completions.create(**ASK, stream=True) as stream:
        chunks = [chunk.model_dump() for chunk in stream]
    assert [bool(chunk["choices"]) for chunk in chunks] == [True] * (len(chunks) - 1) + [False]
    assert [chunk.get("usage") is not None for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks[:-1]]
    assert {delta["role"] for delta in deltas} == {"assistant"}  # on every chunk
    details = [detail for delta in deltas for detail in delta.get("reasoning_details") or ()]
    assert [(detail["type"], detail["index"]) for detail in details] == [
        ("reasoning.text", 0),
        ("reasoning.text", 0),
        ("reasoning.encrypted", 1),
    ]
    assert "".join(delta["content"] for delta in deltas) == "Yes, I am."


def test_a_comment_comes_before_the_first_chunk(server: Sandbox, connect: Ask) -> None:
    answered = connect(server).send({**ASK, "stream": True}, authorization="Bearer sk-or-good", connection="close")
    assert answered.read().chunks[0] == b": OPENROUTER PROCESSING\n\n"


@pytest.mark.parametrize(
    "params",
    [
        {"reasoning": {"exclude": True}},
        {"reasoning": {"enabled": False}},
        {"reasoning": {"effort": "none"}},
        {"reasoning_effort": "none"},
        {"include_reasoning": False},
    ],
)
def test_reasoning_that_is_not_wanted(server: Sandbox, client: openai.OpenAI, params: dict[str, Any]) -> None:
    server.default = Answer("Yes.", reasoning="Hm.", encrypted_reasoning="eA==")
    message = client.chat.completions.create(**ASK, extra_body=params).choices[0].message.model_dump()
    assert (message["reasoning"], message.get("reasoning_details")) == (None, None)
    with client.chat.completions.create(**ASK, extra_body=params, stream=True) as stream:
        assert not any("reasoning" in chunk.choices[0].delta.model_dump() for chunk in stream if chunk.choices)


def test_a_failure_of_the_upstream_inside_a_choice(server: Sandbox, client: openai.OpenAI) -> None:
    server.default = Answer("Half an", finish="error")
    choice = client.chat.completions.create(**ASK).choices[0].model_dump()
    assert (choice["finish_reason"], choice["error"]["code"]) == ("error", 502)
    assert choice["message"]["content"] == "Half an"
    with client.chat.completions.create(**ASK, stream=True) as stream:
        last = [choice.model_dump() for chunk in stream for choice in chunk.choices][-1]
    assert (last["finish_reason"], last["error"]["code"]) == ("error", 502)


@pytest.mark.parametrize(
    ("fault", "status", "code", "marker"),
    [
        (faults.bad_key(), 401, 401, "User not found."),
        (faults.quota(), 402, 402, "Insufficient credits"),
        (faults.status(403), 403, 403, '"error_type":"permission_denied"'),
        (faults.content_filter(), 403, 403, '"reasons":["violence"]'),
        (faults.context_length(), 400, 400, "maximum context length"),
        (faults.rate_limit(retry_after=3), 429, 429, '"raw":"{'),
        (faults.model_not_found(), 404, None, '"code":"no_endpoints"'),
        (faults.overloaded(), 503, None, '"code":"temporarily_unavailable"'),
        (faults.status(500, code_="server_error"), 500, "server_error", "Internal Server Error"),
        (faults.status(400, code_=None), 400, None, '"http_status":400'),
    ],
    ids=repr,
)
def test_errors(
    server: Sandbox, client: openai.OpenAI, fault: faults.Fault, status: int, code: Any, marker: str
) -> None:
    server.script(fault, faults.error_in_200(fault))
    with pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(**ASK)
    assert caught.value.status_code == status
    error = json.loads(caught.value.response.text)["error"]
    assert error.get("code") == code
    assert marker in caught.value.response.text
    inside = client.chat.completions.create(**ASK).model_dump()
    assert (inside["error"], inside["user_id"]) == (error, "user_sandbox")


@pytest.mark.parametrize("code", [502, "server_error"])
def test_an_error_in_a_stream(server: Sandbox, ask: Ask, code: Any) -> None:
    with Sandbox("openrouter") as other:
        other.script(faults.error_event(after=1, error=faults.status(502, code_=code)))
        last = ask(other, stream=True).events[-1]
    assert last["error"]["code"] == code
    assert (last["id"], last["provider"], last["object"]) == ("gen-000000000001", "Acme", "chat.completion.chunk")
    assert [choice["finish_reason"] for choice in last["choices"]] == ["error"]


def test_what_it_refuses_and_what_it_ignores(server: Sandbox, client: openai.OpenAI) -> None:
    create = client.chat.completions.create
    create(**ASK, extra_body={"top_k": -1, "mirostat": 2, "temperature": 9})
    with pytest.raises(openai.BadRequestError, match="acme/three is not a valid model ID"):
        create(**{**ASK, "model": "acme/three"})
    with pytest.raises(openai.BadRequestError, match="specify"):
        create(model="acme/one", messages=[])
    with pytest.raises(openai.BadRequestError, match="with a role"):
        create(model="acme/one", messages=[{"content": "x"}])
    with pytest.raises(openai.AuthenticationError, match="User not found"):
        client.with_options(api_key="sk-or-bad").chat.completions.create(**ASK)
    with pytest.raises(openai.NotFoundError):
        client.embeddings.create(model="m", input="x")


def test_a_model_is_chosen_if_none_is_named(connect: Ask) -> None:
    with Sandbox("openrouter") as server:
        answered = connect(server).send({"messages": ASK["messages"]}, connection="close").read()
        assert answered.json["model"] == "openai/gpt-4o"


def test_the_list_of_models_is_public_and_the_key_is_looked_at_elsewhere(server: Sandbox, connect: Ask) -> None:
    def get(path: str, key: str) -> Any:
        wire = connect(server).send(b"", path=path, method="GET", authorization=key, connection="close")
        return wire.read()

    listed = get("/api/v1/models", "").json["data"]
    assert [model["id"] for model in listed] == ["acme/one", "acme/two"]
    assert isinstance(listed[0]["pricing"]["prompt"], str)
    assert listed[0]["context_length"] > 0
    assert "tools" in listed[0]["supported_parameters"]
    assert get("/api/v1/key", "").status == 401
    assert get("/api/v1/key", "Bearer sk-or-bad").status == 401
    assert get("/api/v1/key", "Bearer sk-or-good").json["data"]["limit_remaining"] > 0
    assert get("/api/v1/chat/completions", "").status == 405
    assert get("/api/v1/nowhere", "").status == 404

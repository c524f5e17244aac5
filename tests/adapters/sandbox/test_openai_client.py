"""The official OpenAI client against the sandbox."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from mainstay.adapters.sandbox import Answer, Sandbox, ToolUse, faults

MESSAGES = [{"role": "user", "content": "What is the weather in Rome?"}]
TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}]
WEATHER = Answer(tool_calls=(ToolUse("get_weather", {"city": "Rome"}), ToolUse("get_time", {"tz": "Europe/Rome"})))


@pytest.fixture
def server() -> Iterator[Sandbox]:
    with Sandbox("openai", key="sk-good", models={"gpt-4o", "gpt-4o-mini"}) as sandbox:
        yield sandbox


@pytest.fixture
def client(server: Sandbox) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=server.url, api_key="sk-good", max_retries=0) as made:
        yield made


def test_complete(server: Sandbox, client: openai.OpenAI) -> None:
    server.default = Answer("Sunny, 25 °C 🌞", cached_tokens=2)
    reply = client.chat.completions.create(model="gpt-4o", messages=MESSAGES, temperature=0.5)
    assert reply.choices[0].message.content == "Sunny, 25 °C 🌞"
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage.prompt_tokens == 6
    assert reply.usage.completion_tokens == 4
    assert reply.usage.total_tokens == 10
    assert reply.usage.prompt_tokens_details.cached_tokens == 2
    assert reply._request_id == "req_000000000001"
    assert server.seen[0].body["temperature"] == 0.5
    assert server.seen[0].headers["authorization"] == "Bearer sk-good"
    assert server.seen[0].prompt == "What is the weather in Rome?"


def test_stream(server: Sandbox, client: openai.OpenAI) -> None:
    server.default = Answer(chunks=("Sun", "ny, ", "25 °C"), finish="length")
    with client.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True) as stream:
        chunks = list(stream)
    assert [chunk.choices[0].delta.content for chunk in chunks] == ["", "Sun", "ny, ", "25 °C", None]
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * 4 + ["length"]
    assert all("usage" not in chunk.model_fields_set for chunk in chunks)


def test_usage_in_a_stream(server: Sandbox, client: openai.OpenAI) -> None:
    with client.chat.completions.create(
        model="gpt-4o", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    ) as stream:
        chunks = list(stream)
    assert [chunk.usage for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == 7


def test_tools(server: Sandbox, client: openai.OpenAI) -> None:
    server.default = WEATHER
    choice = client.chat.completions.create(model="gpt-4o", messages=MESSAGES, tools=TOOLS).choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None
    assert [call.function.name for call in choice.message.tool_calls] == ["get_weather", "get_time"]
    assert json.loads(choice.message.tool_calls[0].function.arguments) == {"city": "Rome"}
    assert choice.message.tool_calls[0].id != choice.message.tool_calls[1].id


def test_tools_in_a_stream(server: Sandbox, client: openai.OpenAI) -> None:
    server.default = WEATHER
    calls: dict[int, list[str]] = {}
    with client.chat.completions.create(model="gpt-4o", messages=MESSAGES, tools=TOOLS, stream=True) as stream:
        for chunk in stream:
            for call in chunk.choices[0].delta.tool_calls or ():
                if call.id:
                    calls[call.index] = [call.function.name, ""]
                calls[call.index][1] += call.function.arguments
    assert {place: (name, json.loads(text)) for place, (name, text) in calls.items()} == {
        0: ("get_weather", {"city": "Rome"}),
        1: ("get_time", {"tz": "Europe/Rome"}),
    }


def test_stream_helper(server: Sandbox, client: openai.OpenAI) -> None:
    server.default = WEATHER
    with client.chat.completions.stream(model="gpt-4o", messages=MESSAGES, tools=TOOLS) as stream:
        stream.until_done()
        message = stream.get_final_completion().choices[0].message
    assert json.loads(message.tool_calls[1].function.arguments) == {"tz": "Europe/Rome"}


def test_several_choices(server: Sandbox, client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(model="gpt-4o", messages=MESSAGES, n=3)
    assert [choice.index for choice in reply.choices] == [0, 1, 2]
    with client.chat.completions.create(model="gpt-4o", messages=MESSAGES, n=2, stream=True) as stream:
        finished = [chunk.choices[0].index for chunk in stream if chunk.choices[0].finish_reason]
    assert finished == [0, 1]


def test_models(server: Sandbox, client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["gpt-4o", "gpt-4o-mini"]
    assert client.models.retrieve("gpt-4o").id == "gpt-4o"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-0")
    assert server.count == 0
    assert len(server.seen) == 3


@pytest.mark.parametrize(
    ("fault", "kind", "code"),
    [
        (faults.status(400), openai.BadRequestError, "invalid_value"),
        (faults.bad_key(), openai.AuthenticationError, "invalid_api_key"),
        (faults.status(403), openai.PermissionDeniedError, "unsupported_country_region_territory"),
        (faults.model_not_found(), openai.NotFoundError, "model_not_found"),
        (faults.status(409), openai.ConflictError, None),
        (faults.status(422), openai.UnprocessableEntityError, None),
        (faults.rate_limit(retry_after=7), openai.RateLimitError, "rate_limit_exceeded"),
        (faults.quota(), openai.RateLimitError, "insufficient_quota"),
        (faults.context_length(), openai.BadRequestError, "context_length_exceeded"),
        (faults.content_filter(), openai.BadRequestError, "invalid_prompt"),
        (faults.overloaded(), openai.InternalServerError, "server_is_overloaded"),
        (faults.status(500, message="Boom", code_="boom"), openai.InternalServerError, "boom"),
        (faults.status(502, body="<html>Bad gateway</html>"), openai.InternalServerError, None),
        (faults.status(524), openai.InternalServerError, None),
    ],
    ids=repr,
)
def test_errors(
    server: Sandbox, client: openai.OpenAI, fault: faults.Fault, kind: type[openai.APIStatusError], code: str | None
) -> None:
    server.script(fault)
    with pytest.raises(kind) as caught:
        client.chat.completions.create(model="gpt-4o", messages=MESSAGES)
    assert caught.value.code == code
    if fault.retry_after is not None:
        assert caught.value.response.headers["retry-after"] == "7"
        assert "Please try again in 7s" in caught.value.message


def test_what_the_provider_refuses(server: Sandbox, client: openai.OpenAI) -> None:
    create = client.chat.completions.create
    with pytest.raises(openai.NotFoundError) as missing:
        create(model="gpt-0", messages=MESSAGES)
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as unknown:
        create(model="gpt-4o", messages=MESSAGES, extra_body={"top_k": 3})
    assert (unknown.value.code, unknown.value.param) == ("unknown_parameter", "top_k")
    with pytest.raises(openai.BadRequestError, match="decimal above maximum"):
        create(model="gpt-4o", messages=MESSAGES, temperature=3)
    with pytest.raises(openai.BadRequestError, match="empty array"):
        create(model="gpt-4o", messages=[])
    with pytest.raises(openai.BadRequestError, match="only allowed when 'stream' is enabled"):
        create(model="gpt-4o", messages=MESSAGES, stream_options={"include_usage": True})
    with pytest.raises(openai.BadRequestError, match="only allowed when 'tools' are specified"):
        create(model="gpt-4o", messages=MESSAGES, parallel_tool_calls=False)
    with pytest.raises(openai.AuthenticationError) as wrong:
        client.with_options(api_key="sk-bad").chat.completions.create(model="gpt-4o", messages=MESSAGES)
    assert wrong.value.code == "invalid_api_key"
    with pytest.raises(openai.NotFoundError, match="Invalid URL"):
        client.embeddings.create(model="gpt-4o", input="x")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"top_logprobs": 3}, "'top_logprobs' is only allowed when 'logprobs' is enabled"),
        ({"response_format": {"type": "json_object"}}, "must contain the word 'json' in some form"),
        ({"max_tokens": 0}, "Invalid 'max_tokens': integer below minimum value. Expected a value >= 1"),
        ({"max_completion_tokens": 1.5}, "Invalid type for 'max_completion_tokens': expected an integer"),
        ({"stop": list("abcde")}, "maximum length 4, but got an array with length 5"),
        ({"stop": [1]}, "Invalid type for 'stop'"),
        ({"n": 129}, "Invalid 'n': integer above maximum value. Expected a value <= 128"),
        ({"reasoning_effort": "ultra"}, "Invalid value: 'ultra'. Supported values are: 'none'"),
        ({"seed": "x"}, "Invalid type for 'seed'"),
        ({"seed": True}, "Invalid type for 'seed'"),
        ({"logit_bias": {"5": 101}}, "Invalid 'logit_bias.5': decimal above maximum value"),
        ({"logit_bias": [1]}, "Invalid type for 'logit_bias'"),
        ({"tool_choice": "auto"}, "'tool_choice' is only allowed when 'tools' are specified"),
        ({"tools": TOOLS, "tool_choice": "banana"}, "Invalid value: 'banana'. Supported values are: 'none'"),
        ({"tools": [5]}, r"Invalid type for 'tools\[0\]': expected an object"),
        ({"tools": 5}, "Invalid type for 'tools'"),
    ],
)
def test_parameters_that_the_provider_refuses(client: openai.OpenAI, params: dict[str, Any], message: str) -> None:
    with pytest.raises(openai.BadRequestError, match=message):
        client.chat.completions.create(model="gpt-4o", messages=MESSAGES, extra_body=params)


def test_parameters_that_the_provider_takes(client: openai.OpenAI) -> None:
    said = [{"role": "user", "content": [{"type": "text", "text": "Write JSON."}]}]
    form = {"type": "json_object"}
    params = {"stop": list("abcd"), "n": 1, "seed": -3, "logit_bias": {"5": -100}, "logprobs": True, "top_logprobs": 20}
    reply = client.chat.completions.create(
        model="gpt-4o", messages=said, response_format=form, tools=TOOLS, extra_body=params
    )
    assert reply.choices[0].finish_reason == "stop"


def test_error_in_a_stream(server: Sandbox, client: openai.OpenAI) -> None:
    server.script(faults.error_event(after=2))
    heard = []
    with (
        pytest.raises(openai.APIError, match="The server had an error"),
        client.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True) as stream,
    ):
        heard.extend(chunk.choices[0].delta.content for chunk in stream)
    assert heard == ["", "Hello", " from"]
    server.script(faults.cut(after=2))
    with (
        pytest.raises(openai.APIConnectionError),
        client.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True) as stream,
    ):
        list(stream)


def test_retries_of_the_client_are_counted(server: Sandbox, client: openai.OpenAI) -> None:
    server.script(faults.rate_limit(retry_after=0.001), faults.disconnect(), Answer("third"))
    patient = client.with_options(max_retries=2)
    assert patient.chat.completions.create(model="gpt-4o", messages=MESSAGES).choices[0].message.content == "third"
    assert server.count == 3


def test_refused_connection(server: Sandbox, client: openai.OpenAI) -> None:
    server.refuse()
    with pytest.raises(openai.APIConnectionError):
        client.chat.completions.create(model="gpt-4o", messages=MESSAGES)

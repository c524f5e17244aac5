"""The official Anthropic client against the sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs

import anthropic
import pytest

from mainstay.adapters.sandbox import Answer, Sandbox, ToolUse, faults

ASK = {"model": "claude-x", "max_tokens": 100, "messages": [{"role": "user", "content": "What is the time in Paris?"}]}
TOOLS = [{"name": "get_time", "description": "Tells the time", "input_schema": {"type": "object"}}]
THOUGHT = Answer("Let me look.", reasoning="They want the time.", tool_calls=(ToolUse("get_time", {"tz": "Paris"}),))


@pytest.fixture
def server() -> Iterator[Sandbox]:
    with Sandbox("claude", key="sk-good", models={"claude-x"}) as sandbox:
        yield sandbox


@pytest.fixture
def client(server: Sandbox) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=server.url, api_key="sk-good", max_retries=0) as made:
        yield made


def test_complete(server: Sandbox, client: anthropic.Anthropic) -> None:
    server.default = Answer("It is noon ☀", prompt_tokens=10, cached_tokens=4)
    message = client.messages.create(**ASK, system="Be brief.")
    assert [block.text for block in message.content] == ["It is noon ☀"]
    assert message.stop_reason == "end_turn"
    assert (message.usage.input_tokens, message.usage.cache_read_input_tokens) == (6, 4)
    assert message.usage.output_tokens == 4
    assert message._request_id == "req_000000000001"
    assert server.seen[0].path == "/v1/messages"
    assert server.seen[0].prompt_words == 8


def test_stream(server: Sandbox, client: anthropic.Anthropic) -> None:
    with client.messages.create(**ASK, stream=True) as stream:
        kinds = [event.type for event in stream]
    assert kinds[0] == "message_start"
    assert kinds[1] == "content_block_start"
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert kinds.count("content_block_delta") == 7


def test_stream_helper(server: Sandbox, client: anthropic.Anthropic) -> None:
    server.default = THOUGHT
    with client.messages.stream(**ASK, tools=TOOLS) as stream:
        assert "".join(stream.text_stream) == "Let me look."
        final = stream.get_final_message()
    assert [block.type for block in final.content] == ["thinking", "text", "tool_use"]
    assert final.content[0].thinking == "They want the time."
    assert final.content[0].signature
    assert final.content[2].input == {"tz": "Paris"}
    assert final.stop_reason == "tool_use"
    assert final.usage.output_tokens == THOUGHT.output_tokens


def test_tools(server: Sandbox, client: anthropic.Anthropic) -> None:
    server.default = THOUGHT
    message = client.messages.create(**ASK, tools=TOOLS)
    assert [block.type for block in message.content] == ["thinking", "text", "tool_use"]
    assert message.content[2].input == {"tz": "Paris"}
    assert message.content[2].id.startswith("toolu_")


def test_a_tool_without_arguments(server: Sandbox, client: anthropic.Anthropic) -> None:
    server.default = Answer(tool_calls=(ToolUse("now", id="toolu_mine"),))
    with client.messages.stream(**ASK, tools=TOOLS) as stream:
        final = stream.get_final_message()
    assert [(block.id, block.input) for block in final.content] == [("toolu_mine", {})]


def test_thinking_switched_off(server: Sandbox, client: anthropic.Anthropic) -> None:
    server.default = THOUGHT
    message = client.messages.create(**ASK, thinking={"type": "disabled"})
    assert [block.type for block in message.content] == ["text", "tool_use"]


def test_models(server: Sandbox, client: anthropic.Anthropic) -> None:
    assert [model.id for model in client.models.list()] == ["claude-x"]
    assert client.models.retrieve("claude-x").id == "claude-x"
    with pytest.raises(anthropic.NotFoundError):
        client.models.retrieve("claude-nope")


def test_models_come_in_pages() -> None:
    names = [f"model-{number:02d}" for number in range(25)]
    with Sandbox("claude", models=names) as server, anthropic.Anthropic(base_url=server.url, api_key="k") as client:
        assert [model.id for model in client.models.list(limit=10)] == names
        pages = [parse_qs(request.query).get("after_id") for request in server.seen]
        assert pages == [None, ["model-09"], ["model-19"]]
        before = client.models.list(limit=2, before_id="model-05")
        assert ([model.id for model in before.data], before.has_more) == (["model-03", "model-04"], True)
        with pytest.raises(anthropic.BadRequestError, match="limit: Input should be a valid integer"):
            client.models.list(limit=1001)


def test_a_refusal(server: Sandbox, client: anthropic.Anthropic) -> None:
    server.default = Answer(refusal="I will not say.")
    message = client.messages.create(**ASK)
    assert ([block.text for block in message.content], message.stop_reason) == (["I will not say."], "refusal")


def test_thinking_has_to_come_back_as_it_was(server: Sandbox, client: anthropic.Anthropic) -> None:
    server.default = THOUGHT
    first = client.messages.create(**ASK, tools=TOOLS)
    result = {"type": "tool_result", "tool_use_id": first.content[2].id, "content": "noon"}
    said = [*ASK["messages"], {"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
    client.messages.create(**{**ASK, "messages": said}, tools=TOOLS)
    first.content[0].thinking += " And more."
    with pytest.raises(anthropic.BadRequestError, match=r"content\.0: Invalid `signature` in `thinking` block"):
        client.messages.create(**{**ASK, "messages": said}, tools=TOOLS)


@pytest.mark.parametrize(
    ("fault", "kind", "marker"),
    [
        (faults.status(400), anthropic.BadRequestError, "invalid_request_error"),
        (faults.bad_key(), anthropic.AuthenticationError, "invalid x-api-key"),
        (faults.status(403), anthropic.PermissionDeniedError, "permission_error"),
        (faults.model_not_found(), anthropic.NotFoundError, "model: claude-x"),
        (faults.rate_limit(retry_after=2), anthropic.RateLimitError, "rate_limit_error"),
        (faults.quota(), anthropic.BadRequestError, "credit balance is too low"),
        (faults.context_length(), anthropic.BadRequestError, "prompt is too long"),
        (faults.content_filter(), anthropic.BadRequestError, "content filtering policy"),
        (faults.overloaded(), anthropic.InternalServerError, "overloaded_error"),
        (faults.status(529), anthropic.InternalServerError, "Overloaded"),
        (faults.status(500), anthropic.InternalServerError, "api_error"),
        (faults.status(429, code_="enforced_spend_limit_reached"), anthropic.RateLimitError, "enforced_spend_limit"),
        (faults.status(413), anthropic.APIStatusError, "request_too_large"),
    ],
    ids=repr,
)
def test_errors(
    server: Sandbox,
    client: anthropic.Anthropic,
    fault: faults.Fault,
    kind: type[anthropic.APIStatusError],
    marker: str,
) -> None:
    server.script(fault)
    with pytest.raises(kind, match=marker) as caught:
        client.messages.create(**ASK)
    assert caught.value.request_id == "req_000000000001"
    assert caught.value.body["request_id"] == "req_000000000001"
    assert caught.value.response.headers.get("retry-after") == ("2" if fault.retry_after else None)


def test_what_the_provider_refuses(server: Sandbox, client: anthropic.Anthropic) -> None:
    def refused(message: str, **changes: object) -> None:
        with pytest.raises(anthropic.BadRequestError, match=message):
            client.messages.create(**{**ASK, **changes})

    old = {"anthropic-version": "2023-06-01"}
    refused("top_k: Extra inputs are not permitted", extra_body={"top_k": 3})  # the client's own, newer version
    refused("temperature: Input should be less than or equal to 1", extra_body={"temperature": 1.5}, extra_headers=old)
    refused("seed: Extra inputs are not permitted", extra_body={"seed": 1}, extra_headers=old)
    refused("at least one message is required", messages=[])
    refused('Unexpected role "system"', messages=[{"role": "system", "content": "x"}])
    refused("non-empty", messages=[{"role": "user", "content": [{"type": "text", "text": ""}]}])
    unanswered = {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}]}
    refused("without `tool_result` blocks", messages=[*ASK["messages"], unanswered, *ASK["messages"]])
    with pytest.raises(anthropic.NotFoundError, match="model: claude-nope"):
        client.messages.create(**{**ASK, "model": "claude-nope"})
    with pytest.raises(anthropic.AuthenticationError):
        client.with_options(api_key="sk-bad").messages.create(**ASK)
    client.messages.create(**ASK, extra_body={"temperature": 1}, extra_headers=old)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"stop_sequences": ["a", " \n"]}, "each stop sequence must contain non-whitespace"),
        ({"stop_sequences": [""]}, "each stop sequence must be non-empty"),
        ({"stop_sequences": "a"}, "stop_sequences: Input should be a valid list"),
        ({"metadata": {"team": "x"}}, "metadata.team: Extra inputs are not permitted"),
        ({"metadata": {"user_id": 5}}, "metadata.user_id: Input should be a valid string"),
        ({"thinking": {"type": "enabled"}}, "budget_tokens: Field required"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1023}}, "greater than or equal to 1024"),
        ({"thinking": {"type": "enabled", "budget_tokens": 99999}}, "`max_tokens` must be greater than"),
        ({"tool_choice": "auto"}, "tool_choice: Input should be an object"),
        ({"tool_choice": {"type": "function"}}, "tool_choice: Input tag 'function'"),
        ({"top_k": -1}, "top_k: Input should be greater than or equal to 0"),
        ({"top_k": 1.5}, "top_k: Input should be a valid integer"),
        ({"service_tier": "gold"}, "service_tier: Input should be 'auto' or 'standard_only'"),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "Input tag 'input_audio'"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": " "}]}]}, "non-whitespace text"),
    ],
)
def test_parameters_that_the_provider_refuses(
    client: anthropic.Anthropic, params: dict[str, Any], message: str
) -> None:
    old = {"anthropic-version": "2023-06-01"}
    with pytest.raises(anthropic.BadRequestError, match=message):
        client.messages.create(**ASK, extra_body=params, extra_headers=old)


def test_error_in_a_stream(server: Sandbox, client: anthropic.Anthropic) -> None:
    server.script(faults.error_event(after=1, error=faults.overloaded()))
    heard = []
    with pytest.raises(anthropic.APIStatusError, match="Overloaded"), client.messages.stream(**ASK) as stream:
        heard.extend(stream.text_stream)
    assert heard == ["Hello"]

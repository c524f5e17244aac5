"""What exceptions of other people's clients mean, made by those clients over real sockets."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import httpx2
import ollama
import openai
import pytest

from mainstay.adapters.clients import classify_native, is_failure, kind_of, without_retries
from mainstay.adapters.sandbox import Sandbox, faults
from mainstay.pipeline import ErrorClass, RateLimited, TruncatedStream

ASKED: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hello?"}]}


def raised(name: str, url: str) -> BaseException:
    """What the bare client raises."""
    try:
        match name:
            case "openai":
                with openai.OpenAI(base_url=url, api_key="sk-test", max_retries=0) as client:
                    client.chat.completions.create(**ASKED)
            case "claude":
                with anthropic.Anthropic(base_url=url, api_key="sk-test", max_retries=0) as client:
                    client.messages.create(max_tokens=9, **ASKED)
            case _:
                with ollama.Client(host=url) as client:
                    client.chat(**ASKED)
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


@pytest.fixture(params=["openai", "claude", "ollama"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def server(name: str) -> Iterator[Sandbox]:
    with Sandbox(name) as sandbox:
        yield sandbox


def test_an_answer_is_judged_by_its_headers_and_its_body(name: str, server: Sandbox) -> None:
    server.always(faults.rate_limit(retry_after=7))
    native = raised(name, server.url)
    error = classify_native(native)
    assert isinstance(error, RateLimited)
    assert (error.provider, error.status, error.retry_after) == (name, 429, 7)
    assert error.__cause__ is native
    assert error.request_id or name == "ollama"


def test_a_code_in_the_body_beats_the_status(name: str, server: Sandbox) -> None:
    server.always(faults.quota())
    assert classify_native(raised(name, server.url)).error_class is ErrorClass.QUOTA


def test_a_refused_connection_is_seen_behind_whatever_the_client_says(name: str) -> None:
    with Sandbox(name, refusing=True) as server:
        native = raised(name, server.url)
    error = classify_native(native, provider="mine")
    assert (error.error_class, error.reason, error.provider) == (
        ErrorClass.UNAVAILABLE,
        "connection_refused",
        "mine",
    )
    assert error.__cause__ is native


@pytest.mark.parametrize(
    "native",
    [
        httpx.ReadError("[Errno 104] Connection reset by peer"),
        httpx2.RemoteProtocolError("peer closed connection without sending complete message body"),
        httpx2.ReadError(""),
        ssl.SSLError("record layer failure"),
        ConnectionResetError(),
    ],
)
def test_a_connection_that_breaks_in_the_middle_of_an_answer_truncates_it(native: Exception) -> None:
    assert isinstance(classify_native(native, provider="claude", streaming=True), TruncatedStream)
    assert classify_native(native).error_class is ErrorClass.UNAVAILABLE


@pytest.mark.parametrize(
    ("body", "meaning"),
    [
        ({"message": "slow down", "type": "rate_limit_error"}, ErrorClass.RATE_LIMIT),
        ({"error": {"message": "no money", "code": "insufficient_quota"}}, ErrorClass.QUOTA),
    ],
)
def test_an_error_event_is_judged_by_what_it_says(body: Any, meaning: ErrorClass) -> None:
    request = httpx2.Request("POST", "http://localhost/")
    error = classify_native(openai.APIError("words", request, body=body), streaming=True)
    assert error.error_class is meaning


def test_an_event_of_a_good_response_is_no_error_of_its_status() -> None:
    response = httpx2.Response(
        200, request=httpx2.Request("POST", "http://localhost/"), headers={"request-id": "req_9"}
    )
    body = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    error = classify_native(anthropic.APIStatusError("words", response=response, body=body), streaming=True)
    assert (error.error_class, error.reason, error.request_id) == (ErrorClass.UNAVAILABLE, "overloaded", "req_9")


def test_what_a_client_cannot_understand_is_the_providers_fault() -> None:
    assert classify_native(AttributeError("'list' object has no attribute 'get'")).reason == "malformed_response"


def test_our_own_errors_stay_what_they_are() -> None:
    error = RateLimited(provider="openai")
    assert classify_native(error) is error
    assert error.__cause__ is None


@pytest.mark.parametrize("error", [httpx.ReadTimeout(""), ConnectionRefusedError(), TimeoutError(), OSError(113, "no")])
def test_failures_of_connections_are_no_bugs(error: Exception) -> None:
    assert is_failure(error)


@pytest.mark.parametrize("error", [ValueError("timed out"), FileNotFoundError("x"), KeyError("status"), TypeError()])
def test_bugs_are_no_failures(error: Exception) -> None:
    assert not is_failure(error)


CLIENTS = [
    (openai.OpenAI, {"api_key": "k"}, ("openai", False)),
    (openai.AsyncOpenAI, {"api_key": "k"}, ("openai", True)),
    (
        openai.AzureOpenAI,
        {"api_key": "k", "azure_endpoint": "https://x.openai.azure.com", "api_version": "2024-10-21"},
        ("openai", False),
    ),
    (anthropic.Anthropic, {"api_key": "k"}, ("anthropic", False)),
    (anthropic.AsyncAnthropic, {"api_key": "k"}, ("anthropic", True)),
    (ollama.Client, {}, ("ollama", False)),
    (ollama.AsyncClient, {}, ("ollama", True)),
]


@pytest.mark.parametrize(("made", "options", "kind"), CLIENTS, ids=lambda item: getattr(item, "__name__", ""))
def test_clients_are_told_apart_and_copied(made: Any, options: dict[str, Any], kind: tuple[str, bool]) -> None:
    client = made(**options)
    before = dict(vars(client))
    copied = without_retries(client)
    assert kind_of(client) == kind_of(copied) == kind
    assert type(copied) is type(client)
    assert copied is not client
    assert copied._client is client._client  # its connections
    assert getattr(copied, "max_retries", 0) == 0
    assert getattr(client, "max_retries", 2) == 2
    assert vars(client) == before


def test_a_subclass_is_what_its_base_is() -> None:
    class Own(openai.OpenAI):
        pass

    assert kind_of(Own(api_key="k")) == ("openai", False)


@pytest.mark.parametrize(
    ("thing", "words"),
    [
        (openai, "the module openai is no client"),
        (openai.OpenAI, "the class OpenAI, not an object of it"),
        ("openai", r"str is no client.*from_callable\(function\) takes anything else"),
    ],
)
def test_anything_else_is_refused_with_advice(thing: object, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        kind_of(thing)


def test_a_class_that_cannot_be_copied_says_why() -> None:
    class Own(openai.OpenAI):
        def __init__(self, key: str) -> None:
            super().__init__(api_key=key)

    with pytest.raises(TypeError, match="Own cannot be copied"):
        without_retries(Own("k"))

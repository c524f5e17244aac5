"""What applications send arrives at each provider as its own client would have sent it.

One table of requests in the library's words. Beside each stands the same in a provider's own words where they differ;
the provider's client sends that, and the sandbox must have seen the same body twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anthropic
import ollama
import openai
import pytest

from mainstay.adapters.sandbox import Sandbox
from mainstay.middleware import standard
from mainstay.pipeline import InvalidParameters, Request, Stack
from support.asked import DIALECTS, HISTORY, REQUESTS, TOOLS

TABLE = [
    pytest.param(name, dialect, stream, id=f"{name}, {dialect}, {'stream' if stream else 'complete'}")
    for name in REQUESTS
    for dialect in DIALECTS
    for stream in (False, True)
]


def send_by_openai(server: Sandbox, asked: dict[str, Any], stream: bool) -> None:
    base = server.url + ("/v1" if server.dialect == "llama_cpp" else "")
    if stream and server.dialect != "openrouter":  # which tells its usage unasked
        asked["stream_options"] = {"include_usage": True}
    with openai.OpenAI(base_url=base, api_key="sk-test", max_retries=0) as client:
        if stream:
            client.chat.completions.create(model="m", **asked, stream=True).close()
        else:
            client.chat.completions.create(model="m", **asked)


def send_by_anthropic(server: Sandbox, asked: dict[str, Any], stream: bool) -> None:
    old = {"anthropic-version": "2023-06-01"}  # with which sampling parameters are taken
    asked = {"max_tokens": 4096, **asked}
    with anthropic.Anthropic(base_url=server.url, api_key="k", max_retries=0, default_headers=old) as client:
        if stream:
            client.messages.create(model="m", **asked, stream=True).close()
        else:
            client.messages.create(model="m", **asked)


def send_by_ollama(server: Sandbox, asked: dict[str, Any], stream: bool) -> None:
    client = ollama.Client(host=server.url)
    try:
        replies = client.chat("m", **asked, stream=stream)
        if stream:
            list(replies)
    finally:
        client._client.close()  # the client has no close of its own


CLIENTS: dict[str, Callable[[Sandbox, dict[str, Any], bool], None]] = {
    "openai": send_by_openai,
    "claude": send_by_anthropic,
    "openrouter": send_by_openai,
    "ollama": send_by_ollama,
    "llama_cpp": send_by_openai,
}


def comparable(dialect: str, body: dict[str, Any]) -> dict[str, Any]:
    """The body without what one side says and the other leaves to the server, which then does the same."""
    if dialect != "ollama":
        return body
    body = {name: value for name, value in body.items() if value not in ([], {}) and name != "truncate"}
    for message in body["messages"]:  # Ollama's client knows no ids
        message.pop("tool_call_id", None)
        for call in message.get("tool_calls", ()):
            call.pop("id", None)
    return body


@pytest.mark.parametrize(("name", "dialect", "stream"), TABLE)
def test_the_body_is_what_the_official_client_sends(name: str, dialect: str, stream: bool, bench: Any) -> None:
    sent = REQUESTS[name]
    server, adapter = bench(dialect)
    own = sent.own.get(dialect, sent.params)
    stack, request = Stack(standard(), adapter), Request("m", sent.messages, sent.params, stream)
    if own is None:
        with pytest.raises(InvalidParameters):
            stack(request)
        assert server.seen == ()
        return
    stack(request).read()
    CLIENTS[dialect](server, {"messages": sent.messages, **own}, stream)
    ours, theirs = (comparable(dialect, seen.body) for seen in server.seen)
    assert ours == theirs


def test_ollama_is_told_not_to_cut_the_history_and_which_call_a_result_is_of(bench: Any) -> None:
    server, adapter = bench("ollama")
    adapter(Request("m", HISTORY, {"tools": TOOLS}))
    body = server.seen[0].body
    assert body["truncate"] is False
    assert [call["id"] for call in body["messages"][1]["tool_calls"]] == ["call_1", "call_2"]
    assert [message.get("tool_call_id") for message in body["messages"]] == [None, None, "call_1", "call_2", None]

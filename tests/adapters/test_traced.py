"""What the spans of real adapters say of the wire, and what replies know of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import requests

from mainstay.adapters import Ollama, OpenAI
from mainstay.adapters.sandbox import Sandbox, faults
from mainstay.middleware import Trace
from mainstay.pipeline import ProviderError, Request, Stack
from support.raw_server import READY, RawServer

PATHS = {
    "openai": "/chat/completions",
    "openrouter": "/chat/completions",
    "claude": "/v1/messages",
    "ollama": "/api/chat",
    "llama_cpp": "/v1/chat/completions",
}


@pytest.fixture(params=list(PATHS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("stream", [False, True], ids=["complete", "stream"])
def test_an_attempt_says_what_was_asked_over_http_and_what_came(tracing: Any, kind: str, stream: bool) -> None:
    with (
        Sandbox(kind) as server,
        READY[kind](f"{server.url}?sig=0123456789abcdef") as adapter,
        Stack([Trace(tracing.provider)], adapter) as stack,
    ):
        with stack(Request("m", "Hi", stream=stream)) as reply:
            reply.read()
        (span,) = tracing.attempts
        url, port = server.url, server.port
    told = span.attributes
    assert (told["http.request.method"], told["http.response.status_code"]) == ("POST", 200)
    assert told["url.full"] == f"{url}{PATHS[kind]}"
    assert (told["server.address"], told["server.port"]) == ("127.0.0.1", port)
    assert (told.get("mainstay.request_id"), reply.status) == (reply.request_id, 200)
    assert (reply.request_id is not None) == (kind in ("openai", "openrouter", "claude"))
    assert ("gen_ai.response.time_to_first_chunk" in told) == stream
    assert "0123456789abcdef" not in repr(dict(told))


def test_an_error_says_its_status_and_the_request_that_the_provider_knows_it_by(tracing: Any, kind: str) -> None:
    with Sandbox(kind) as server, READY[kind](server.url) as adapter:
        server.script(faults.overloaded())
        with pytest.raises(ProviderError) as caught:
            Stack([Trace(tracing.provider)], adapter)(Request("m", "Hi"))
    (span,) = tracing.attempts
    assert span.attributes["http.response.status_code"] == caught.value.status
    assert span.attributes.get("mainstay.request_id") == caught.value.request_id


def test_where_nothing_was_reached_there_is_no_status(tracing: Any) -> None:
    with Ollama("http://127.0.0.1:1") as adapter, pytest.raises(ProviderError):
        Stack([Trace(tracing.provider)], adapter)(Request("m", "Hi"))
    (span,) = tracing.attempts
    assert span.attributes["url.full"] == "http://127.0.0.1:1/api/chat"
    assert "http.response.status_code" not in span.attributes


@pytest.mark.parametrize("sent", ["sk-test", "not an id at all", "x" * 200])
def test_what_is_no_id_or_has_a_key_in_it_is_none(tracing: Any, sent: str) -> None:
    body = b'{"choices":[{"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}]}'
    lines = "HTTP/1.1 200 OK", "Content-Type: application/json", f"Content-Length: {len(body)}", f"x-request-id: {sent}"
    head = "\r\n".join((*lines, "", "")).encode()
    with RawServer(lambda heard: [head + body]) as server, OpenAI("sk-test", base_url=server.url) as adapter:
        reply = Stack([Trace(tracing.provider)], adapter)(Request("m", "Hi"))
    assert (reply.text, reply.request_id) == ("Hi", None)
    assert "mainstay.request_id" not in tracing.attempts[0].attributes


def test_a_gateway_can_be_handed_the_trace_by_a_session_of_its_own_and_nobody_else_is(
    tracing: Any, page_class: type[requests.adapters.HTTPAdapter]
) -> None:
    with Sandbox("openai") as gateway, Sandbox("openai") as other, requests.Session() as session:
        session.mount(gateway.url, page_class())
        with (
            OpenAI("sk-test", base_url=gateway.url, session=session) as told,
            OpenAI("sk-test", base_url=other.url) as untold,
        ):
            for adapter in (told, untold):
                Stack([Trace(tracing.provider)], adapter)(Request("m", "Hi"))
        (at_gateway,), (at_other,) = gateway.seen, other.seen
    context = tracing.attempts[0].context
    told_ids = at_gateway.headers["traceparent"].split("-")[1:3]
    assert told_ids == [f"{context.trace_id:032x}", f"{context.span_id:016x}"]
    assert not [name for name in at_other.headers if name.lower() in ("traceparent", "tracestate", "baggage")]
    assert "baggage" not in at_gateway.headers


@pytest.fixture
def page_class() -> type[requests.adapters.HTTPAdapter]:
    """The class as docs/tracing.md has it."""
    page = (Path(__file__).parents[2] / "docs" / "tracing.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```py\n(import requests\n.*?)\nsession = ", page, re.DOTALL)
    names: dict[str, Any] = {}
    exec(block, names)
    return names["Traced"]

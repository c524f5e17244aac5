"""The adapter for llama.cpp's server: what is its own, and the wait for a model that is loading."""

from __future__ import annotations

import json
import sys
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from mainstay.adapters import LlamaCpp, LlamaCppCodec
from mainstay.middleware import Deadline, Fallback, standard
from mainstay.pipeline import ErrorClass, ProviderError, Reply, Request, Route, Stack, Unavailable, VirtualClock

LOADING = (503, {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}})
READY = (200, {"status": "ok"})
ANSWER = (
    200,
    {
        "choices": [{"finish_reason": "stop", "index": 0, "message": {"role": "assistant", "content": "Hi"}}],
        "model": "tiny",
        "id": "chatcmpl-1",
        "usage": {"completion_tokens": 1, "prompt_tokens": 5, "total_tokens": 6},
        "timings": {"cache_n": 0},
    },
)
Answer = tuple[int, Mapping[str, object]]


@pytest.mark.parametrize(
    ("said", "content"),
    [
        (Reply(refusal="No.").message, "No."),
        (
            Reply("Well,", refusal="no.").message,
            [{"type": "text", "text": "Well,"}, {"type": "text", "text": "no."}],
        ),
        (
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
            [{"type": "text", "text": "No."}],
        ),
        (Reply("Hi").message, "Hi"),
    ],
)
def test_a_refusal_of_another_provider_is_what_the_assistant_said(said: Mapping[str, object], content: object) -> None:
    question = {"role": "user", "content": "?"}
    body = json.loads(LlamaCppCodec().encode(Request("m", [question, said, question])).body)
    assert body["messages"] == [question, {"role": "assistant", "content": content}, question]


class Loading:
    """A server whose answers to /health and to the rest are written down beforehand; the last one stays."""

    def __init__(self, health: deque[Answer], rest: deque[Answer]) -> None:
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("content-length") or 0))
                outer.asked.append(self.path)
                answers = health if self.path == "/health" else rest
                status, body = answers[0] if len(answers) == 1 else answers.popleft()
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json; charset=utf-8")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_POST = do_GET

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@contextmanager
def serving(
    health: list[tuple[int, Mapping[str, object]]], rest: list[tuple[int, Mapping[str, object]]]
) -> Iterator[Loading]:
    loading = Loading(deque(health), deque(rest))
    thread = threading.Thread(target=loading.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield loading
    finally:
        loading.server.shutdown()
        loading.server.server_close()
        thread.join()


@pytest.fixture(autouse=True)
def world(either: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Every test of this file is run in both worlds: the names are those of the world in turn."""
    for name in ("LlamaCpp", "Stack"):
        monkeypatch.setattr(sys.modules[__name__], name, getattr(either, name))
    return either


def ask(adapter: LlamaCpp, clock: VirtualClock) -> Reply:
    return Stack([], adapter, clock=clock)(Request("tiny", "Hi"))


def test_the_path_is_the_same_with_and_without_v1() -> None:
    with serving([READY], [ANSWER]) as server:
        for url in (server.url, f"{server.url}/v1", f"{server.url}/v1/"):
            with LlamaCpp(url) as adapter:
                assert adapter(Request("tiny", "Hi")).text == "Hi"
        assert server.asked == ["/v1/chat/completions"] * 3


def test_a_loading_model_is_waited_for_on_health_and_asked_once_more() -> None:
    clock = VirtualClock(0)
    with serving([LOADING, LOADING, READY], [LOADING, ANSWER]) as server, LlamaCpp(server.url) as adapter:
        reply = ask(adapter, clock)
        assert reply.text == "Hi"
        assert server.asked == ["/v1/chat/completions", *["/health"] * 3, "/v1/chat/completions"]
        assert len(reply.attempts) == 1
        assert clock.now() == pytest.approx(1.5)


def test_it_is_not_waited_for_longer_than_was_said() -> None:
    clock = VirtualClock(0)
    with serving([LOADING], [LOADING]) as server, LlamaCpp(server.url, load_wait=3.0) as adapter:
        with pytest.raises(Unavailable) as caught:
            ask(adapter, clock)
        assert caught.value.reason == "loading"
        assert clock.now() == pytest.approx(2.5)
        assert server.asked.count("/v1/chat/completions") == 1


def test_no_wait_at_all() -> None:
    clock = VirtualClock(0)
    with serving([READY], [LOADING]) as server, LlamaCpp(server.url, load_wait=0) as adapter:
        with pytest.raises(Unavailable):
            ask(adapter, clock)
        assert server.asked == ["/v1/chat/completions"]
        assert clock.now() == 0


def test_nor_longer_than_the_deadline_of_the_call() -> None:
    clock = VirtualClock(0)
    with serving([LOADING], [LOADING]) as server, LlamaCpp(server.url) as adapter:
        with Stack([Deadline(2.0)], adapter, clock=clock) as stack, pytest.raises(Unavailable):
            stack(Request("tiny", "Hi"))
        assert clock.now() == pytest.approx(1.5)


def test_with_another_route_at_hand_nobody_waits_for_it(world: Any) -> None:
    clock = VirtualClock(0)
    with serving([LOADING], [LOADING]) as slow, serving([READY], [ANSWER]) as quick:
        routes = Fallback(*(Route(n, world.own(LlamaCpp(s.url))) for n, s in (("big", slow), ("small", quick))))
        with Stack(standard(), routes, clock=clock) as stack:
            reply = stack(Request("tiny", "Hi"))
        assert reply.text == "Hi"
        assert "/health" not in slow.asked


def test_a_server_that_dies_while_it_loads_is_told_as_loading() -> None:
    clock = VirtualClock(0)
    gone = (500, {"error": {"code": 500, "message": "x"}})
    with (
        serving([gone], [LOADING]) as server,
        LlamaCpp(server.url, load_wait=2.0) as adapter,
        pytest.raises(Unavailable) as caught,
    ):
        ask(adapter, clock)
    assert caught.value.reason == "loading"


def test_the_key_is_the_servers_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-for-others")
    monkeypatch.setenv("LLAMA_API_KEY", "llama-key")
    with LlamaCpp() as adapter:
        assert adapter.transport.base_url == "http://127.0.0.1:8080"
        assert [secret.reveal() for secret in adapter.transport.secrets] == ["llama-key", "Bearer llama-key"]


@pytest.mark.parametrize("wrong", [-1, float("nan")])
def test_a_wrong_wait(wrong: float) -> None:
    with pytest.raises(ValueError, match="load_wait must be 0 seconds or more"):
        LlamaCpp(load_wait=wrong)


def test_errors_have_its_own_meaning() -> None:
    message = "[json.exception.type_error.302] type must be number, but is string"
    body = json.dumps({"error": {"code": 500, "message": message, "type": "server_error"}}).encode()
    with pytest.raises(ProviderError) as caught:
        LlamaCppCodec().decode(500, {}, body)
    assert caught.value.error_class is ErrorClass.INVALID_REQUEST

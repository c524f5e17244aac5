"""A key and a prompt, planted wherever they may be, must not come out of an error: not by any door."""

from __future__ import annotations

import json
import logging
import pickle
import re
import socket
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mainstay.adapters import Adapter, Claude, HttpTransport, Ollama, OpenAI
from mainstay.adapters.redact import repeats, safe_detail, shorten, texts_of
from mainstay.pipeline import Call, ErrorClass, ProviderError, Request, Secret, Stack

KEY = "hunter2/Qwertz+0815=hunter2"
OTHER = "Tenant-Geheim-4711"
PASSWORD = "Proxy-Passwort-99"
PROMPT = "roses are red\nviolets blue\nmy pin is 4711\ncall me Bob \u0416\u0443\u043a \U0001f600"
ARGUMENTS = '{"patient": "John Q Nobody", "has": "a flu"}'
STOP = "the stop text of mine"
NEEDLES = ("hunter2", "Qwertz", OTHER, PASSWORD, "violets", "my pin", "\\u0416", "Nobody", "stop text")
JSON = b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\nx-request-id: %b\r\ncontent-length: %d\r\n\r\n%b"
SSE = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ntransfer-encoding: chunked\r\n\r\n"
MODES = pytest.mark.parametrize("stream", [False, True], ids=["complete", "stream"])


class Echo:
    """A server that answers each connection with what `play` makes of the request's headers and body."""

    def __init__(self) -> None:
        self.play: Callable[[dict[str, str], bytes], bytes] = lambda headers, body: b""
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self) -> None:
        while True:
            try:
                conn, _ = self.listener.accept()
            except OSError:
                return
            with conn, conn.makefile("rb") as file:
                conn.settimeout(20)
                file.readline()
                headers = {}
                while (line := file.readline().decode().strip()) != "":
                    name, _, value = line.partition(": ")
                    headers[name.lower()] = value
                body = file.read(int(headers.get("content-length", "0")))
                conn.sendall(self.play(headers, body))

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(20)


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.close()


@pytest.fixture(params=["openai", "claude", "ollama"])
def make(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Adapter]:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    for owner in ("OPENAI", "ANTHROPIC", "OLLAMA"):  # the environment is one of the places
        monkeypatch.setenv(f"{owner}_API_KEY", KEY)

    def build(base: str) -> Adapter:
        headers = {"X-Tenant": Secret(OTHER)}
        if request.param == "openai":
            return OpenAI(base_url=f"{base}/v1?sig={OTHER}", headers=headers)
        if request.param == "claude":
            return Claude(base_url=f"{base}?sig={OTHER}", headers=headers)
        return Ollama(f"{base}?sig={OTHER}", headers=headers)

    return build


def history() -> list[dict[str, Any]]:
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": ARGUMENTS}}
    return [
        {"role": "user", "content": PROMPT},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "a", "content": "the flu of John Q Nobody is over"},
        {"role": "user", "content": [{"type": "text", "text": PROMPT}]},
    ]


def failure(adapter: Adapter, stream: bool) -> ProviderError:
    call = Call()
    request = Request("m", history(), {"stop": [STOP]}, stream).under(call)
    with adapter, pytest.raises(ProviderError) as caught:
        Stack([], adapter)(request).read()
    return caught.value


def links(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        yield from links(error.__context__ if error.__context__ is not error.__cause__ else None)
        error = error.__cause__


def shown(error: ProviderError, adapter: Adapter, log: str) -> str:
    """Everything that a program, a person or a log can see of it."""
    error.__traceback__ = None  # the lines of this file, which name what is looked for
    parts = [repr(adapter), log, "".join(traceback.format_exception(error)), pickle.dumps(error).decode("latin-1")]
    for link in links(error):
        parts += str(link), repr(link), repr(vars(link)), repr(link.args)
    parts += map(repr, error.attempts)
    return "\n".join(parts)


def body_error(words: str, code: str, request_id: str, status: int = 400) -> bytes:
    data = json.dumps(
        {"type": "error", "error": {"message": words, "type": code, "code": code}, "request_id": request_id}
    ).encode()
    return JSON % (status, request_id.encode("latin-1", "replace").replace(b"\n", b" "), len(data), data)


def spoken(headers: dict[str, str], body: bytes) -> list[str]:
    """What a server may quote of a request."""
    key = (headers.get("x-api-key") or headers["authorization"]).removeprefix("Bearer ")
    escaped = json.dumps(PROMPT)[1:-1]
    flat = " ".join(PROMPT.split())
    return [key, OTHER, PROMPT, flat, escaped, json.dumps(escaped), ARGUMENTS, "the flu of John Q Nobody", STOP]


PLACES: dict[str, Callable[[str], bytes]] = {
    "message": lambda words: body_error(f"cannot take {words} here", "odd", "req_1"),
    "long message": lambda words: body_error("word " * 50 + f"token {words}" + " tail" * 500, "odd", "req_1"),
    "model": lambda words: body_error(f"model '{words}' not found", "odd", "req_1", 404),
    "code": lambda words: body_error("bad", words, "req_1"),
    "request id": lambda words: body_error("bad", "odd", words),
    "in a 200": lambda words: body_error(f"credential {words}", words, words, 200),
    "text": lambda words: b"HTTP/1.1 500 X\r\nconnection: close\r\n\r\nfailed: " + words.encode(),
    "status line": lambda words: words.replace("\n", " ").encode() + b"\r\n",
    "header line": lambda words: b"HTTP/1.1 200 OK\r\n" + words.replace("\n", " ").encode() + b"\r\n\r\n",
    "chunk line": lambda words: SSE % b"text/event-stream" + words.replace("\n", " ").encode() + b"\r\n",
    "event": lambda words: (
        SSE % b"text/event-stream"
        + chunk(b"event: error\ndata: " + json.dumps({"type": "error", "error": {"message": words}}).encode() + b"\n\n")
    ),
    "line": lambda words: SSE % b"application/x-ndjson" + chunk(json.dumps({"error": words}).encode() + b"\n"),
    "no JSON": lambda words: SSE % b"text/event-stream" + chunk(b"data: {" + words.encode() + b"\n\n"),
}


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data)


@MODES
@pytest.mark.parametrize("place", PLACES)
def test_what_a_server_quotes_is_not_shown(
    echo: Echo, make: Callable[..., Adapter], place: str, stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for number in range(9):
        echo.play = lambda headers, body, number=number: PLACES[place](spoken(headers, body)[number])
        adapter = make(f"http://127.0.0.1:{echo.port}")
        error = failure(adapter, stream)
        text = shown(error, adapter, caplog.text)
        assert [needle for needle in NEEDLES if needle in text] == [], (place, number)


@MODES
def test_a_proxy_is_not_shown(
    make: Callable[..., Adapter], stream: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closed = listener.getsockname()[1]
    for host in (f"127.0.0.1:{closed}", "127.0.0.1:99999", "", "[nonsense"):
        monkeypatch.setenv("http_proxy", f"http://user:{PASSWORD}@{host}")
        monkeypatch.setenv("no_proxy", "")
        adapter = make("http://provider.invalid")
        text = shown(failure(adapter, stream), adapter, caplog.text)
        assert [needle for needle in NEEDLES if needle in text] == []


@MODES
def test_a_proxy_that_quotes_its_password(
    echo: Echo, make: Callable[..., Adapter], stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    echo.play = lambda headers, body: b"HTTP/1.1 407 %b\r\n\r\n" % headers["proxy-authorization"].encode()
    monkeypatch.setenv("https_proxy", f"http://user:{PASSWORD}@127.0.0.1:{echo.port}")
    monkeypatch.setenv("no_proxy", "")
    adapter = make("https://provider.invalid")
    text = shown(failure(adapter, stream), adapter, "")
    assert not re.search(rf"{PASSWORD}|dXNlcjpQcm94", text)


def test_what_is_no_secret_is_shown(echo: Echo, make: Callable[..., Adapter]) -> None:
    echo.play = lambda headers, body: body_error("max_tokens: must be 1 or more", "rate_limit_error", "req_1", 429)
    error = failure(make(f"http://127.0.0.1:{echo.port}"), False)
    assert (error.error_class, error.code, error.request_id) == (ErrorClass.RATE_LIMIT, "rate_limit_error", "req_1")
    assert error.detail == "max_tokens: must be 1 or more"
    assert type(error.detail) is str


def test_a_hint_names_the_model_that_was_asked_for(echo: Echo) -> None:
    echo.play = lambda headers, body: body_error("model 'another' not found", "x", "req_1", 404)
    with Ollama(f"http://127.0.0.1:{echo.port}") as adapter, pytest.raises(ProviderError) as caught:
        adapter(Request("llama3.2", "Hi there"))
    assert caught.value.hint == "run `ollama pull llama3.2`"


def test_a_key_at_the_cut() -> None:
    key = Secret("9f8e7d6c5b4a39281706f5e4d3c2b1a09f8e7d6c")
    for before in range(240, 310):
        assert key.reveal()[:6] not in safe_detail("w " * (before // 2) + key.reveal() + " tail" * 99, [key], [])
    for blanks in range(3900, 4001):
        assert key.reveal()[:6] not in safe_detail(" " * blanks + key.reveal() + " tail", [key], [])
    short = shorten("word " * 55 + key.reveal() + " tail" * 99)
    assert len(short) <= 300
    assert type(pickle.loads(pickle.dumps(short))) is str


def test_the_texts_of_a_request() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "high"}}
    result = {"type": "tool_result", "tool_use_id": "id-1", "content": [{"type": "text", "text": "nested"}]}
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": ["plain", image, result], "name": "Bob Smith"},
        {"role": "user", "content": [{"source": {"type": "base64", "media_type": "a/b", "data": "A" * 99}}]},
        {"role": "user", "content": [{"source": {"type": "text", "data": "a document " * 9}}], "images": ["A" * 99]},
        {"role": "assistant", "tool_calls": [{"id": "x", "function": {"name": "look", "arguments": {"a": "b c"}}}]},
    ]
    params = {"stop": ["a b"], "tool_choice": "auto", "tools": [{"name": "get_the_weather_of", "description": "a c"}]}
    messages[0]["self"] = messages
    assert sorted(set(texts_of(messages, params))) == [
        "Bob Smith", "a b", "a c", "a document " * 9, "b c", "look", "nested", "plain",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "prompt"),
    [
        ("could not take: a b c d e f g h i j k", "a b\nc d\r\n\te f  g h\ni j"),
        ("a\nb c d e f g h i j k", "x a b c d e f g h i j k"),
        (r": \u041c\u043e\u0439 \u041c\u043e\u0439 \u041c\u043e\u0439 \u041c\u043e\u0439", "\u041c\u043e\u0439 " * 4),
        ("\\ud83d\\ude00\\ud83d\\ude00\\ud83d\\ude00\\ud83d\\ude00", "\U0001f600" * 4),
        ("John \u0416 Nobody has it", '{"a": "John \\u0416 Nobody has it"}'),
    ],
)  # fmt: skip
def test_a_prompt_in_another_form(text: str, prompt: str) -> None:
    assert repeats([text], [prompt])
    assert safe_detail(text, [], [prompt]) == ""


def test_headers_that_hold_keys() -> None:
    headers = {"Authorization": f"Bearer {KEY}", "X-Tenant": Secret(OTHER), "X-Plain": "plain", "X-Token": "abc"}
    transport = HttpTransport("http://127.0.0.1", headers=headers)
    assert {secret.reveal() for secret in transport.secrets} == {f"Bearer {KEY}", KEY, OTHER}

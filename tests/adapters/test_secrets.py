"""A key and a prompt, planted wherever they may be, must not come out of an error: not by any door."""

from __future__ import annotations

import base64
import json
import logging
import os
import pickle
import re
import socket
import sys
import traceback
from collections.abc import Callable, Iterator
from operator import methodcaller
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from mainstay.adapters import Adapter, Claude, HttpTransport, LlamaCpp, LlamaCppProcess, Ollama, OpenAI, OpenRouter
from mainstay.middleware import CircuitBreaker, Log, Trace, TraceCall
from mainstay.pipeline import Call, ErrorClass, Event, ProviderError, Request, Secret, Stack
from mainstay.providers import Provider
from support import bridge
from support.fake_llama import fake_llama
from support.raw_server import Heard, RawServer

KEY = "hunter2/Qwertz+0815=hunter2"
OTHER = "Tenant-Geheim-4711"
PASSWORD = "Proxy-Passwort-99"
PROMPT = "roses are red\nviolets blue\nmy pin is 4711\ncall me Bob \u0416\u0443\u043a \U0001f600"
ARGUMENTS = '{"patient": "John Q Nobody", "has": "a flu"}'
STOP = "the stop text of mine"
NEEDLES = (
    *(
        "hunter2",
        "Qwertz",
        base64.b64encode(b"hunter2")[:8].decode(),
        base64.b64encode(b"Bearer hunter2")[:16].decode(),
    ),
    *(OTHER, PASSWORD, "violets", "my pin", "\\u0416", "Nobody", "stop text"),
)
JSON = b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\nx-request-id: %b\r\ncontent-length: %d\r\n\r\n%b"
SSE = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ntransfer-encoding: chunked\r\n\r\n"
MODES = pytest.mark.parametrize("stream", [False, True], ids=["complete", "stream"])


@pytest.fixture(autouse=True)
def world(either: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Every test of this file is run in both worlds: the names of the adapters are those of the world in turn."""
    for name in ("Claude", "HttpTransport", "LlamaCpp", "LlamaCppProcess", "Ollama", "OpenAI", "OpenRouter", "Stack"):
        monkeypatch.setattr(sys.modules[__name__], name, getattr(either, name))
    return either


@pytest.fixture
def echo() -> Iterator[RawServer]:
    with RawServer() as server:
        yield server


@pytest.fixture(params=["openai", "claude", "openrouter", "ollama", "llama_cpp"])
def make(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Adapter]:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    for owner in ("OPENAI", "ANTHROPIC", "OPENROUTER", "OLLAMA", "LLAMA"):  # the environment is one of the places
        monkeypatch.setenv(f"{owner}_API_KEY", KEY)

    def build(base: str) -> Adapter:
        query, headers = f"?sig={OTHER}", {"X-Tenant": Secret(OTHER)}
        if request.param == "openai":
            return OpenAI(base_url=f"{base}/v1{query}", headers=headers)
        if request.param == "claude":
            return Claude(base_url=base + query, headers=headers)
        if request.param == "openrouter":
            return OpenRouter(base_url=f"{base}/api/v1{query}", headers=headers)
        return (Ollama if request.param == "ollama" else LlamaCpp)(base + query, headers=headers)

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


def assert_clean(*texts: str) -> None:
    text = "\n".join(texts)
    assert [needle for needle in NEEDLES if needle in text] == []


def shown(error: ProviderError, adapter: Adapter) -> str:
    """Everything that a program or a person can see of it, and tools that show the variables of frames."""
    parts = [repr(adapter), repr(vars(getattr(adapter, "_it", adapter)))]
    parts += pickle.dumps(error).decode("latin-1"), pickle.dumps(error.detached()).decode("latin-1")
    for link in links(error):
        parts += str(link), repr(link), repr(vars(link)), repr(link.args)
        # Without the frames of these two files, which name what is looked for.
        for frame in traceback.StackSummary.extract(traceback.walk_tb(link.__traceback__), capture_locals=True):
            if frame.filename not in (__file__, bridge.__file__):
                parts += frame.line or "", repr(frame.locals)
    parts += map(repr, error.attempts)
    return "\n".join(parts)


def body_error(words: str, code: str, request_id: str, status: int = 400) -> bytes:
    data = json.dumps(
        {"type": "error", "error": {"message": words, "type": code, "code": code}, "request_id": request_id}
    ).encode()
    return JSON % (status, request_id.encode("latin-1", "replace").replace(b"\n", b" "), len(data), data)


def spoken(heard: Heard) -> list[str]:
    """What a server may quote of a request."""
    key = (heard.headers.get("x-api-key") or heard.headers["authorization"]).removeprefix("Bearer ")
    escaped = json.dumps(PROMPT)[1:-1]
    flat = " ".join(PROMPT.split())
    url = quote(key, safe="")
    low = url.replace("%2F", "%2f").replace("%2B", "%2b").replace("%3D", "%3d")
    keys = [key, OTHER, f"begin{key}end", f"Bearer {key}", f"{key}:{key}", url, low]
    keys += [key.replace("/", "\\/"), json.dumps({"key": json.dumps({"key": key})})]
    keys += [base64.b64encode(text.encode()).decode() for text in (key, f"Bearer {key}", f"me:{key}")]
    return [*keys, PROMPT, flat, escaped, json.dumps(escaped), ARGUMENTS, "the flu of John Q Nobody", STOP]


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
    "redirect": lambda words: (
        b"HTTP/1.1 307 X\r\nlocation: /" + words.replace("\n", " ").encode() + b"\r\ncontent-length: 0\r\n\r\n"
    ),
    "other headers": lambda words: (
        b"HTTP/1.1 401 X\r\nwww-authenticate: %b\r\nretry-after: %b\r\nx-echo: %b\r\ncontent-length: 0\r\n\r\n"
        % ((words.replace("\n", " ").encode(),) * 3)
    ),
    "line": lambda words: SSE % b"application/x-ndjson" + chunk(json.dumps({"error": words}).encode() + b"\n"),
    "no JSON": lambda words: SSE % b"text/event-stream" + chunk(b"data: {" + words.encode() + b"\n\n"),
}


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data)


@MODES
@pytest.mark.parametrize("place", PLACES)
def test_what_a_server_quotes_is_not_shown(
    echo: RawServer, make: Callable[..., Adapter], place: str, stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    words: list[str] = []

    def play(heard: Heard) -> list[bytes | float]:
        words[:] = words or spoken(heard)
        return [PLACES[place](words.pop())]

    echo.play = play
    while words or not echo.heard:
        adapter = make(echo.url)
        error = failure(adapter, stream)
        assert_clean(shown(error, adapter))
    assert_clean(caplog.text)


@MODES
@pytest.mark.parametrize("place", ["message", "code", "in a 200", "status line", "event", "line"])
def test_nobody_who_watches_sees_it(
    echo: RawServer, make: Callable[..., Adapter], place: str, stream: bool, tracing: Any, caplog: Any
) -> None:
    """Not in spans, in the lines of the log, in events, in the status or in the picture of the stack."""
    caplog.set_level(logging.DEBUG)
    events: list[Event] = []
    layers = [TraceCall(tracing.provider), Log(), CircuitBreaker(failures=1), Trace(tracing.provider)]
    words: list[str] = []

    def play(heard: Heard) -> list[bytes | float]:
        words[:] = words or spoken(heard)[::4]
        return [PLACES[place](words.pop())]

    echo.play = play
    while words or not echo.heard:
        with Provider("it", make(echo.url), layers=layers, observers=[events.append]) as provider:
            with pytest.raises(ProviderError):
                (provider.stream if stream else provider.execute)("m", history(), {"stop": [STOP]}).read()
            assert_clean(repr(provider), str(provider.status()), str(provider.stack), str(provider.stack.describe()))
    assert_clean(caplog.text, *map(repr, events), *(span.to_json() for span in tracing.spans))
    assert len(tracing.calls) == len(tracing.attempts) == len(echo.heard)


@pytest.mark.parametrize("ask", [methodcaller("models"), methodcaller("probe")], ids=["models", "probe"])
@pytest.mark.parametrize("place", ["message", "code", "request id", "in a 200", "text", "status line", "redirect"])
def test_nor_does_a_probe_show_it(
    echo: RawServer, make: Callable[..., Adapter], place: str, ask: Callable[[Adapter], Any], caplog: Any
) -> None:
    caplog.set_level(logging.DEBUG)
    words: list[str] = []

    def play(heard: Heard) -> list[bytes | float]:
        words[:] = words or spoken(heard)[:12:2]  # what has to do with keys
        return [PLACES[place](words.pop())]

    echo.play = play
    while words or not echo.heard:
        with make(echo.url) as adapter, pytest.raises(ProviderError) as caught:
            ask(adapter)
        assert_clean(shown(caught.value, adapter))
    assert_clean(caplog.text)


@MODES
@pytest.mark.skipif(os.name != "posix", reason="programs need POSIX")
def test_what_a_program_complains_about_is_not_shown(
    tmp_path: Path, stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    said = "' '.join(given.decode().split())"
    for number, words in enumerate(
        (
            f"os.environ['HF_TOKEN'] + {said}",
            f"'Bearer {KEY}'",
            "' '.join(sys.argv)",
            f"json.dumps(given.decode()) + {said}",
        )
    ):
        for code in (1, 0):
            llama = fake_llama(
                tmp_path, f"log('error: invalid argument: ' + {words}); sys.exit({code})", f"{number}{code}"
            )
            adapter = LlamaCppProcess("m", binary=str(llama.path), environment={"HF_TOKEN": OTHER})
            request = Request("m", PROMPT, {"stop": [STOP], "grammar": f'root ::= "{ARGUMENTS}"'}, stream)
            with pytest.raises(ProviderError) as caught:
                Stack([], adapter)(request).read()
            assert_clean(shown(caught.value, adapter), repr(adapter.codec.encode(request)))
    assert_clean(caplog.text)


def test_a_placeholder_is_no_key(echo: RawServer) -> None:
    echo.play = lambda heard: [body_error("the context is exceeded by x tokens", "x", "req_x")]
    with OpenAI("x", base_url=echo.url, compatible=True) as adapter:
        assert failure(adapter, stream=False).detail == "the context is exceeded by x tokens"


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
        assert_clean(shown(failure(adapter, stream), adapter), caplog.text)


@MODES
def test_a_proxy_that_quotes_its_password(
    echo: RawServer, make: Callable[..., Adapter], stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    echo.play = lambda heard: [b"HTTP/1.1 407 %b\r\n\r\n" % heard.headers["proxy-authorization"].encode()]
    monkeypatch.setenv("https_proxy", f"http://user:{PASSWORD}@127.0.0.1:{echo.port}")
    monkeypatch.setenv("no_proxy", "")
    adapter = make("https://provider.invalid")
    text = shown(failure(adapter, stream), adapter)
    assert not re.search(rf"{PASSWORD}|dXNlcjpQcm94", text)


def test_what_is_no_secret_is_shown(echo: RawServer, make: Callable[..., Adapter]) -> None:
    echo.play = lambda heard: [body_error("max_tokens: must be 1 or more", "rate_limit_error", "req_1", 429)]
    error = failure(make(echo.url), False)
    assert (error.error_class, error.code, error.request_id) == (ErrorClass.RATE_LIMIT, "rate_limit_error", "req_1")
    assert error.detail == "max_tokens: must be 1 or more"
    assert type(error.detail) is str


def test_a_hint_names_the_model_that_was_asked_for(echo: RawServer) -> None:
    echo.play = lambda heard: [body_error("model 'another' not found", "x", "req_1", 404)]
    with Ollama(echo.url) as adapter, pytest.raises(ProviderError) as caught:
        adapter(Request("llama3.2", "Hi there"))
    assert caught.value.hint == "run `ollama pull llama3.2`"


def test_headers_that_hold_keys() -> None:
    headers = {"Authorization": f"Bearer {KEY}", "X-Tenant": Secret(OTHER), "X-Plain": "plain", "X-Token": "abc"}
    transport = HttpTransport("http://127.0.0.1", headers=headers)
    assert {secret.reveal() for secret in transport.secrets} == {f"Bearer {KEY}", KEY, OTHER}

"""A client made of a bare socket: it shows each byte, and how the connection ended."""

from __future__ import annotations

import json
import select
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from mainstay.adapters.sandbox import Sandbox

DIALECTS = ("openai", "claude", "openrouter", "ollama", "llama_cpp")
PATHS = {
    "openai": "/v1/chat/completions",
    "claude": "/v1/messages",
    "openrouter": "/api/v1/chat/completions",
    "ollama": "/api/chat",
    "llama_cpp": "/v1/chat/completions",
}
HEADERS = {
    "openai": {"authorization": "Bearer sk-test"},
    "claude": {"x-api-key": "sk-test", "anthropic-version": "2023-06-01"},
    "openrouter": {"authorization": "Bearer sk-test"},
    "ollama": {},
    "llama_cpp": {},
}


def chat_body(dialect: str, **changes: Any) -> dict[str, Any]:
    body: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hi there"}], "stream": False}
    if dialect == "claude":
        body["max_tokens"] = 100
    return {name: value for name, value in {**body, **changes}.items() if value is not ...}


@dataclass
class Answered:
    """What came over the wire: `ended` is how the connection ended, `whole` whether the HTTP message did."""

    raw: bytes
    ended: str
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    chunks: list[bytes] = field(default_factory=list)
    whole: bool = False

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def events(self) -> list[Any]:
        """The JSON of each event of a stream; other data as text."""
        text = self.body.decode()
        if "x-ndjson" in self.headers.get("content-type", ""):
            return [json.loads(line) for line in text.split("\n") if line]
        data = [line.removeprefix("data: ") for line in text.split("\n") if line.startswith("data: ")]
        return [json.loads(item) if item.startswith("{") else item for item in data]


def parse(raw: bytes, ended: str) -> Answered:
    answered = Answered(raw, ended)
    head, blank, rest = raw.partition(b"\r\n\r\n")
    if not blank:
        return answered
    first, *lines = head.decode("latin-1").split("\r\n")
    answered.status = int(first.split()[1])
    answered.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    if answered.headers.get("transfer-encoding") == "chunked":
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            if size == b"0":
                answered.whole = rest == b"\r\n"
                break
            chunk, rest = rest[: int(size, 16)], rest[int(size, 16) + 2 :]
            answered.chunks.append(chunk)
        answered.body = b"".join(answered.chunks)
    else:
        answered.body = rest
        length = answered.headers.get("content-length")
        answered.whole = ended == "eof" if length is None else len(rest) == int(length)
    return answered


class Wire:
    """One connection to a sandbox."""

    def __init__(self, server: Sandbox) -> None:
        self.server = server
        self.path = PATHS[server.dialect]
        self.sock = socket.create_connection(("127.0.0.1", server.port), timeout=10)

    def send(self, body: Any = None, *, path: str | None = None, method: str = "POST", **headers: str) -> Wire:
        dialect = self.server.dialect
        data = body if isinstance(body, bytes) else json.dumps(chat_body(dialect) if body is None else body).encode()
        sent = {"host": "sandbox", **HEADERS[dialect], "content-length": str(len(data))}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        lines = [f"{method} {path or self.path} HTTP/1.1"]
        lines.extend(f"{name}: {value}" for name, value in sent.items() if value != "")
        self.sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode() + data)
        return self

    def ask(self, *, stream: bool = False, keep: bool = False) -> Wire:
        body = chat_body(self.server.dialect, stream=stream)
        return self.send(body, connection="keep-alive" if keep else "close")

    def read(self) -> Answered:
        """Read to the end of the connection."""
        raw = b""
        while True:
            try:
                data = self.sock.recv(65536)
            except ConnectionResetError:
                return parse(raw, "reset")
            if not data:
                return parse(raw, "eof")
            raw += data

    def read_until(self, enough: Callable[[Answered], bool]) -> Answered:
        """Read until enough has come; the connection must still be open then."""
        raw = b""
        while not enough(parse(raw, "open")):
            data = self.sock.recv(65536)
            assert data, f"the connection ended early, after {raw!r}"
            raw += data
        return parse(raw, "open")

    def silent(self) -> bool:
        """Whether nothing comes for a moment, not even the end."""
        return not select.select([self.sock], [], [], 0.05)[0]

    def close(self) -> None:
        self.sock.close()


@pytest.fixture(params=DIALECTS)
def server(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """A sandbox, once for each dialect."""
    with Sandbox(request.param) as sandbox:
        yield sandbox


@pytest.fixture
def connect() -> Iterator[Callable[[Sandbox], Wire]]:
    """Opens connections and closes them after the test."""
    wires: list[Wire] = []

    def open_wire(sandbox: Sandbox) -> Wire:
        wires.append(Wire(sandbox))
        return wires[-1]

    yield open_wire
    for wire in wires:
        wire.close()


@pytest.fixture
def ask(connect: Callable[[Sandbox], Wire]) -> Callable[..., Answered]:
    """Sends one chat request on a connection of its own and reads to its end."""
    return lambda sandbox, **changes: connect(sandbox).ask(**changes).read()


@pytest.fixture
def text_of() -> Callable[[Answered], str]:
    """Joins the text in what was answered, complete or streamed, in whichever protocol."""

    def join(answered: Answered) -> str:
        kind = answered.headers.get("content-type", "")
        items = answered.events if "stream" in kind or "ndjson" in kind else [answered.json]
        found = []
        for item in items:
            if not isinstance(item, dict):
                continue
            for choice in item.get("choices", ()):
                found.append((choice.get("message") or choice.get("delta")).get("content"))
            if isinstance(item.get("content"), list):
                found.extend(block.get("text") for block in item["content"])
            if item.get("type") == "content_block_delta":
                found.append(item["delta"].get("text"))
            if "done" in item:
                found.append(item["message"]["content"])
        return "".join(text for text in found if text)

    return join

"""Warm connections: what is sent and understood over them is what is sent and understood over a first one."""

from __future__ import annotations

import gzip
import re
import socket
import time
from collections.abc import Callable, Iterator
from http.client import HTTPResponse
from io import BufferedReader, BytesIO
from threading import Semaphore, Thread
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from urllib3.connectionpool import HTTPConnectionPool

from mainstay.adapters.codec import HttpCall
from mainstay.adapters.http import HttpTransport
from mainstay.adapters.incoming import Incoming
from mainstay.adapters.sockets import Head
from mainstay.adapters.warm import begin
from mainstay.pipeline import ErrorClass, ProviderError, Secret

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server:
    """Says one thing after the other, one for each request, on as many connections as come."""

    def __init__(self, *answers: bytes | None) -> None:
        self.answers = list(answers)
        self.requests: list[bytes] = []
        self.connections = 0
        self.closed = Semaphore(0)  # released for each connection that is over
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._threads.append(Thread(target=self._serve, args=[connection]))
            self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            self._say(connection)
        self.closed.release()

    def _say(self, connection: socket.socket) -> None:
        while (request := _request(connection)) is not None:
            self.requests.append(request)
            answer = self.answers.pop(0)
            if answer is None:
                return
            connection.sendall(answer)
            if b"connection: close" in answer.lower():
                return

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)


def _request(connection: socket.socket) -> bytes | None:
    got = b""
    while True:
        head, mark, body = got.partition(b"\r\n\r\n")
        if mark and len(body) >= int(head.lower().partition(b"content-length:")[2].split()[0]):
            return got
        try:
            piece = connection.recv(65536)
        except OSError:
            return None
        if not piece:
            return None
        got += piece


@pytest.fixture
def serve() -> Iterator[Callable[..., tuple[Server, HttpTransport]]]:
    made: list[Any] = []

    def start(*answers: bytes | None, **options: Any) -> tuple[Server, HttpTransport]:
        server = Server(*answers)
        transport = HttpTransport(f"{server.url}/v1", provider="openai", **options)
        made.extend((server, transport))
        return server, transport

    yield start
    for item in reversed(made):  # a server waits for its connections
        item.close()


def send(transport: HttpTransport, body: bytes = b'{"a": 1}', path: str = "/x", **headers: str) -> Incoming:
    now = time.monotonic
    call = HttpCall(path, {"Content-Type": "application/json", **headers}, body)
    return transport.send(call, connect=5, until=now() + 10, now=now)


def read(incoming: Incoming) -> bytes:
    return incoming.read_all(time.monotonic() + 10)


FOLD = re.compile(r"\r?\n[ \t]+")  # older versions of urllib3 leave the line end in a folded field


def told(transport: HttpTransport) -> Any:
    """All that there is to know of an answer, or of the error in its place."""
    try:
        incoming = send(transport)
        fields = {name.lower(): FOLD.sub(" ", value) for name, value in incoming.headers.items()}
        return incoming.status, fields, FOLD.sub(" ", incoming.headers.get("X-One") or ""), read(incoming)
    except ProviderError as error:
        return type(error), error.error_class, error.reason


CHUNKS = b"5\r\nhello\r\n6;x=y\r\n world\r\n"
ANSWERS = {
    "length": b"HTTP/1.1 201 Made\r\nX-One: 1\r\nContent-Length: 5\r\n\r\nhello",
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS + b"0\r\n\r\n",
    "trailer": b"HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n" + CHUNKS + b"0\r\nX-Late: 1\r\n\r\n",
    "until it closes": b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello",
    "no reason": b"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello",
    "twice": b"HTTP/1.1 200 OK\r\nX-One: 1\r\nx-one: 2\r\nContent-Length: 5\r\n\r\nhello",
    "blanks": b"HTTP/1.1 200 OK\r\nX-One: \t one two\r\nX-Two:\r\ncontent-length:5\r\n\r\nhello",
    "folded": b"HTTP/1.1 200 OK\r\nX-One: one\r\n two\r\nContent-Length: 5\r\n\r\nhello",
    "bare line ends": b"HTTP/1.1 200 OK\nX-One: 1\nContent-Length: 5\n\nhello",
    "latin": b"HTTP/1.1 200 OK\r\nX-One: \xe9\r\nContent-Length: 5\r\n\r\nhello",
    "old": b"HTTP/1.0 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
    "error": b"HTTP/1.1 429 Slow Down\r\nRetry-After: 1\r\nContent-Length: 5\r\n\r\nhello",
    "nothing": b"HTTP/1.1 204 No Content\r\nX-One: 1\r\n\r\n",
    "empty": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "informed": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nX-One: 0\r\n\r\n" + OK,
    "gzip": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b"
    % (len(gzip.compress(b"hello", mtime=0)), gzip.compress(b"hello", mtime=0)),
    "no gzip": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello",
    "cut": b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 9\r\n\r\nhello",
    "cut chunks": b"HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS,
    "odd chunks": b"HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n",
    "cut head": b"HTTP/1.1 200 OK\r\nConnection: close\r\nX-One",
    "no HTTP": b"SSH-2.0-OpenSSH\r\nConnection: close\r\n\r\n",
    "no colon": b"HTTP/1.1 200 OK\r\nConnection: close\r\nX-One 1\r\nContent-Length: 5\r\n\r\nhello",
    "no answer": None,
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_an_answer_means_the_same(serve: Any, answer: bytes | None) -> None:
    first, transport = serve(answer)
    cold = told(transport)
    second, transport = serve(OK, answer)
    read(send(transport))
    assert told(transport) == cold
    assert (first.connections, second.connections) == (1, 1)
    assert first.requests[0].replace(first.url[7:].encode(), b"") == second.requests[1].replace(
        second.url[7:].encode(), b""
    )


@pytest.mark.parametrize("name", ["length", "chunks", "trailer", "gzip", "nothing", "empty", "informed", "error"])
def test_the_connection_goes_on(serve: Any, name: str) -> None:
    server, transport = serve(OK, ANSWERS[name], OK, OK)
    for _ in range(2):
        read(send(transport))
    assert [read(send(transport)) for _ in range(2)] == [b"ok", b"ok"]
    assert server.connections == 1


@pytest.mark.parametrize("name", ["until it closes", "old"])
def test_a_connection_that_ends_is_not_used_again(serve: Any, name: str) -> None:
    server, transport = serve(OK, ANSWERS[name], OK)
    assert [read(send(transport)) for _ in range(3)] == [b"ok", b"hello", b"ok"]
    assert server.connections == 2


def test_a_body_that_is_not_read_takes_its_connection_along(serve: Any) -> None:
    server, transport = serve(OK, ANSWERS["length"], OK)
    read(send(transport))
    send(transport).close()
    assert read(send(transport)) == b"ok"
    assert server.connections == 2


def test_a_connection_that_was_closed_while_it_was_idle_is_not_used(serve: Any) -> None:
    unsaid = OK.replace(b"\r\n\r\n", b"\r\nX: Connection: close\r\n\r\n")  # said where only our server heeds it
    server, transport = serve(unsaid, OK)
    read(send(transport))
    assert server.closed.acquire(timeout=10)
    assert read(send(transport)) == b"ok"
    assert server.connections == 2


def test_all_that_is_sent_is_sent_again_but_the_body(serve: Any) -> None:
    server, transport = serve(*[OK] * 3, headers={"Authorization": Secret("Bearer sk-key"), "X-Mine": "1"})
    long = b'"%b"' % (b"x" * 200_000)
    for body in (b"[1]", b"[]", long):
        read(send(transport, body))
    heads, bodies = zip(*(request.split(b"\r\n\r\n", 1) for request in server.requests), strict=True)
    assert list(bodies) == [b"[1]", b"[]", long]
    assert heads[1] == heads[0].replace(b"Content-Length: 3", b"Content-Length: 2")
    assert heads[2] == heads[0].replace(b"Content-Length: 3", b"Content-Length: 200002")
    assert b"Authorization: Bearer sk-key" in heads[1]


def test_paths_and_headers_are_not_mixed_up(serve: Any) -> None:
    server, transport = serve(*[OK] * 6)
    for _ in range(2):
        read(send(transport, path="/x"))
        read(send(transport, path="/y"))
        read(send(transport, path="/x", Accept="text/event-stream"))
    seen = [(request.split()[1], b"Accept: text/event-stream" in request) for request in server.requests]
    assert seen == [(b"/v1/x", False), (b"/v1/y", False), (b"/v1/x", True)] * 2
    assert server.connections == 1


def test_closing_forgets_the_connections(serve: Any) -> None:
    server, transport = serve(OK, OK)
    read(send(transport))
    transport.close()
    assert read(send(transport)) == b"ok"
    assert server.connections == 2


@pytest.mark.parametrize(
    ("owner", "name"),
    [(requests.adapters.HTTPAdapter, "send"), (requests.Session, "get_adapter"), (HTTPConnectionPool, "urlopen")],
)
def test_who_puts_himself_in_between_sees_every_request(
    serve: Any, monkeypatch: pytest.MonkeyPatch, owner: type, name: str
) -> None:
    server, transport = serve(OK, OK, OK)
    read(send(transport))
    seen: list[str] = []
    original = getattr(owner, name)

    def watched(self: Any, *args: Any, **kwargs: Any) -> Any:
        seen.append(name)
        return original(self, *args, **kwargs)

    monkeypatch.setattr(owner, name, watched)
    read(send(transport))
    monkeypatch.undo()
    read(send(transport))
    assert seen == [name]
    assert (len(server.requests), server.connections) == (3, 1)


def test_a_session_of_the_caller_sees_every_request(serve: Any) -> None:
    class Watching(requests.adapters.HTTPAdapter):
        seen = 0

        def send(self, *args: Any, **kwargs: Any) -> requests.Response:
            self.seen += 1
            return super().send(*args, **kwargs)

    session, watching = requests.Session(), Watching()
    session.mount("http://", watching)
    server, transport = serve(OK, OK, session=session)
    with session:
        read(send(transport))
        read(send(transport))
    assert (watching.seen, len(server.requests)) == (2, 2)


@pytest.mark.parametrize(
    "sent", [b"", b"POST / HTTP/1.1\r\n\r\n", b"\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n"]
)
def test_a_head_without_a_length_is_not_sent_again(sent: bytes) -> None:
    assert Head.of(HTTPConnectionPool("127.0.0.1"), "POST", sent) is None


def test_a_request_that_the_server_breaks_off_is_unavailable(serve: Any) -> None:
    _, transport = serve(OK, None)
    read(send(transport))
    with pytest.raises(ProviderError) as caught:
        send(transport, b'"%b"' % (b"x" * 5_000_000))
    assert caught.value.error_class is ErrorClass.UNAVAILABLE
    assert caught.value.reason == "connection_reset"


class _Heard:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, *_: Any) -> BufferedReader:
        return BufferedReader(BytesIO(self._data))  # type: ignore[arg-type]


_NAMES = st.sampled_from(["X-One", "x-one", "Content-Length", "Connection", "Transfer-Encoding", "Keep-Alive", "Date"])
_VALUES = st.sampled_from(
    ["", "0", "5", "-1", "5x", "close", "Keep-Alive", "chunked", "Chunked", "a, b", " x ", "\xe9"]
)


@given(
    st.sampled_from(["HTTP/1.1 200 OK", "HTTP/1.0 200 OK", "HTTP/1.1 204 No", "HTTP/1.1 304", "HTTP/1.1 500  a b "]),
    st.lists(st.tuples(_NAMES, _VALUES)),
)
def test_a_head_is_understood_as_http_client_does(status: str, fields: list[tuple[str, str]]) -> None:
    lines = [status, *(f"{name}: {value}" for name, value in fields), "", "hello"]
    data = "\r\n".join(lines).encode("latin-1")
    known, ours = (HTTPResponse(_Heard(data), method="POST") for _ in range(2))  # type: ignore[arg-type]
    known.begin()
    found = begin(ours)
    names = ("status", "reason", "version", "chunked", "length", "will_close")
    # Of several that contradict each other, http.client takes the first one.
    if len({name.lower() for name, _ in fields}) == len(fields):
        assert [getattr(ours, name) for name in names] == [getattr(known, name) for name in names]
    assert set(found) == {name.lower() for name in known.headers}
    assert ours.fp.read() == known.fp.read() == b"hello"
    ours.close()
    known.close()

"""The HTTP transport over real sockets: clocks, closing, keep-alive, what of `requests` is kept and what is not."""

from __future__ import annotations

import gzip
import io
import re
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from http.client import HTTPResponse
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from mainstay.adapters.codec import HttpCall
from mainstay.adapters.environment import ollama_host
from mainstay.adapters.http import HttpTransport
from mainstay.adapters.incoming import WAITED, Incoming
from mainstay.adapters.sandbox import Sandbox
from mainstay.adapters.sockets import Wire
from mainstay.pipeline import (
    AuthenticationFailed,
    ErrorClass,
    ProviderError,
    Secret,
    TimedOut,
    TruncatedStream,
    Unavailable,
)
from support.bridge import InThreads

CALL = HttpCall("/x", {"Content-Type": "application/json"}, b'{"a": 1}')
KEY = "sk-very-secret"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
CLOSED = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n"

IN_THREADS = pytest.mark.parametrize("either", [InThreads], ids=["threads"], indirect=True)  # what only they have

Play = Callable[["Server", socket.socket], None]


class Server:
    """A bare server: reads a request on each connection, over and over, and lets `play` do the rest."""

    def __init__(self, play: Play | bytes, context: ssl.SSLContext | None = None) -> None:
        self.play = play
        self.context = context
        self.go = threading.Event()  # set when the test is over, or when it says so
        self.gone = threading.Event()  # set when a client has closed its connection
        self.requests: list[bytes] = []
        self.connections = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.threads = [threading.Thread(target=self.accept)]
        self.threads[0].start()

    def accept(self) -> None:
        while True:
            try:
                conn, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self.serve, args=(conn,))
            self.threads.append(thread)
            thread.start()

    def serve(self, conn: socket.socket) -> None:
        try:
            if self.context is not None:
                conn = self.context.wrap_socket(conn, server_side=True)
            with conn:
                while self.request(conn):
                    if isinstance(self.play, bytes):
                        conn.sendall(self.play)
                    else:
                        self.play(self, conn)
                        return
        except OSError:
            conn.close()
        finally:
            self.gone.set()

    def request(self, conn: socket.socket) -> bool:
        got = b""
        while b'{"a": 1}' not in got and not got.startswith(b"\x16\x03"):  # the body, or a TLS greeting
            piece = conn.recv(65536)
            if not piece:
                return False
            got += piece
        self.requests.append(got)
        return True

    def close(self) -> None:
        self.go.set()
        if self.listener.fileno() >= 0:
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in self.threads:
            thread.join(10)


@pytest.fixture(autouse=True)
def world(either: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Every test of this file is run in both worlds: the name of the transport is that of the world in turn."""
    monkeypatch.setattr(sys.modules[__name__], "HttpTransport", either.HttpTransport)
    return either


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(play: Play | bytes, context: ssl.SSLContext | None = None) -> Server:
        servers.append(Server(play, context))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def transport() -> Iterator[Callable[..., HttpTransport]]:
    made: list[HttpTransport] = []

    def make(server: Server, **options: Any) -> HttpTransport:
        made.append(HttpTransport(f"http://127.0.0.1:{server.port}", provider="openai", **options))
        return made[-1]

    yield make
    for item in made:
        item.close()


def send(transport: HttpTransport, seconds: float = 10) -> Incoming:
    now = time.monotonic
    return transport.send(CALL, connect=5, until=now() + seconds, now=now)


def whole(transport: HttpTransport, seconds: float = 10) -> bytes:
    return send(transport, seconds).read_all(time.monotonic() + seconds)


class TestReading:
    def test_a_response(self, serve: Any, transport: Any) -> None:
        server = serve(b"HTTP/1.1 201 Made\r\nX-Request-ID: r1\r\ncontent-length: 2\r\n\r\nok")
        incoming = send(transport(server, headers={"X-Own": "1", "X-None": None}))
        assert (incoming.status, incoming.headers["x-request-id"]) == (201, "r1")
        assert incoming.read_all(time.monotonic() + 5) == b"ok"
        sent = server.requests[0].lower()
        assert sent.startswith(b"post /x http/1.1\r\n")
        for header in (b"content-length: 8", b"content-type: application/json", b"x-own: 1", b"user-agent: mainstay"):
            assert header in sent
        assert b"x-none" not in sent

    @pytest.mark.parametrize("head", [CHUNKED, CLOSED], ids=["chunked", "close-delimited"])
    def test_each_piece_comes_as_it_arrives(self, serve: Any, transport: Any, head: bytes) -> None:
        def play(server: Server, conn: socket.socket) -> None:
            conn.sendall(head + (b"3\r\none\r\n" if head is CHUNKED else b"one"))
            assert server.go.wait(10)
            conn.sendall(b"3\r\ntwo\r\n0\r\n\r\n" if head is CHUNKED else b"two")

        server = serve(play)
        incoming = send(transport(server))
        assert incoming.read(time.monotonic() + 10) == b"one"
        server.go.set()
        assert incoming.read(time.monotonic() + 10) == b"two"
        assert incoming.read(time.monotonic() + 10) == b""
        assert incoming.read(time.monotonic() + 10) == b""

    def test_connections_are_kept_and_reused(self, serve: Any, transport: Any) -> None:
        server = serve(OK)
        client = transport(server)
        assert [whole(client) for _ in range(5)] == [b"ok"] * 5
        assert server.connections == 1
        server = serve(CHUNKED + b"2\r\nok\r\n0\r\n\r\n")
        client = transport(server)
        assert [whole(client) for _ in range(5)] == [b"ok"] * 5
        assert server.connections == 1
        client.close()
        assert whole(client) == b"ok"
        assert server.connections == 2

    def test_a_body_has_a_longest_size(self, serve: Any, transport: Any) -> None:
        server = serve(b"HTTP/1.1 200 OK\r\ncontent-length: 2000\r\n\r\n" + b"x" * 2000)
        with pytest.raises(Unavailable, match="more than 1000 bytes"):
            send(transport(server)).read_all(time.monotonic() + 5, limit=1000)

    def test_compressed_bodies(self, serve: Any, transport: Any) -> None:
        data = gzip.compress(b"ok" * 100)
        head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n"
        assert whole(transport(serve(head % len(data) + data))) == b"ok" * 100
        with pytest.raises(Unavailable) as caught:
            whole(transport(serve(head % 4 + b"nope")))
        assert caught.value.reason == "malformed_response"

    def test_an_empty_body(self, serve: Any, transport: Any) -> None:
        server = serve(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        client = transport(server)
        assert [whole(client), whole(client)] == [b"", b""]
        assert server.connections == 1


class Pieces:
    """A socket that has these bytes to give, one piece for each receive."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces

    def makefile(self, mode: str, buffering: int) -> io.BytesIO:
        return io.BytesIO()

    def settimeout(self, seconds: float) -> None:
        assert seconds > 0

    def recv_into(self, buffer: Any) -> int:
        piece = self.pieces.pop(0) if self.pieces else b""
        if len(piece) > len(buffer):
            self.pieces.insert(0, piece[len(buffer) :])
        size = min(len(piece), len(buffer))
        buffer[:size] = piece[:size]
        return size


class TestChunksAtHand:
    def response(self, pieces: list[bytes]) -> tuple[Wire, HTTPResponse]:
        wire = Wire(Pieces(pieces), 100.0, lambda: 0.0)
        response = wire.response = HTTPResponse(wire)  # type: ignore[arg-type]
        response.begin()
        return wire, response

    @given(
        st.lists(st.binary(min_size=1, max_size=40) | st.sampled_from([b"\r\n", b"0\r\n\r\n", b"5\r\n"]), max_size=8),
        st.sampled_from([b"", b";x=y", b" "]),
        st.sampled_from([b"", b"x-trailer: 1\r\n"]),
        st.lists(st.integers(0, 400), max_size=6),
    )
    def test_nothing_is_lost_or_made_up(
        self, chunks: list[bytes], tail: bytes, trailer: bytes, cuts: list[int]
    ) -> None:
        body = (
            b"".join(b"%x%b\r\n%b\r\n" % (len(chunk), tail, chunk) for chunk in chunks) + b"0\r\n" + trailer + b"\r\n"
        )
        edges = [0, *sorted(cut % len(body) for cut in cuts), len(body)]
        wire, response = self.response([CHUNKED, *(body[a:b] for a, b in pairwise(edges) if a < b)])
        got = b""
        while data := response.read1(65536):
            got += data + wire.at_hand()
        assert got == b"".join(chunks)
        assert response.isclosed()
        assert wire.at_hand() == b""

    def test_what_is_there_comes_at_once_and_what_is_not_is_not_waited_for(self) -> None:
        wire, response = self.response([CHUNKED + b"1\r\na\r\n2\r\nbc\r\n1\r\nd\r\n3\r\nef"])
        assert response.read1(65536) + wire.at_hand() == b"abcd"
        assert wire.at_hand() == b""

    @pytest.mark.parametrize("odd", [b"zz\r\nx\r\n", b"-1\r\nx\r\n", b"0\r\n\r\n", b"\r\n\r\n"])
    def test_what_is_odd_is_left_to_the_library(self, odd: bytes) -> None:
        wire, response = self.response([CHUNKED + b"1\r\na\r\n" + odd])
        assert response.read1(65536) + wire.at_hand() == b"a"

    def test_other_bodies_have_no_chunks(self) -> None:
        wire, response = self.response([b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n1\r\na\r\n1\r\n"])
        assert response.read1(1) == b"1"
        assert wire.at_hand() == b""


class TestBreaking:
    @pytest.mark.parametrize(
        "data",
        [
            b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\nok",
            CHUNKED + b"2\r\nok\r\n",
            CHUNKED + b"20\r\nok",
            CHUNKED + b"zz",
        ],
        ids=["length", "chunks", "chunk", "no chunk"],
    )
    def test_a_cut_body_is_truncated(self, serve: Any, transport: Any, world: Any, data: bytes) -> None:
        server = serve(lambda _, conn: conn.sendall(data))
        with pytest.raises(Unavailable) as caught:
            whole(transport(server))
        # aiohttp cannot tell garbage that comes together with the headers from garbage in them.
        told = isinstance(caught.value, TruncatedStream)
        assert told or (world.name, data[-2:], caught.value.reason) == ("asyncio", b"zz", "malformed_response")
        assert caught.value.__cause__ is not None or not told

    @pytest.mark.parametrize(
        ("data", "reason"),
        [(b"", None), (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "malformed_response")],
        ids=["nothing", "no HTTP"],
    )
    def test_no_response_at_all(self, serve: Any, transport: Any, data: bytes, reason: str | None) -> None:
        server = serve(lambda _, conn: conn.sendall(data))
        with pytest.raises(ProviderError) as caught:
            whole(transport(server))
        assert caught.value.error_class is ErrorClass.UNAVAILABLE
        assert reason in (None, caught.value.reason)

    def test_nobody_listens(self, serve: Any) -> None:
        server = serve(OK)
        server.close()
        with pytest.raises(Unavailable) as caught:
            whole(HttpTransport(f"http://127.0.0.1:{server.port}"))
        assert caught.value.reason == "connection_refused"

    def test_tls_with_a_server_that_has_none(self, serve: Any) -> None:
        server = serve(lambda _, conn: conn.sendall(OK))
        with pytest.raises(Unavailable) as caught:
            whole(HttpTransport(f"https://127.0.0.1:{server.port}"))
        assert caught.value.reason == "tls"

    @pytest.mark.parametrize(("connect", "reason"), [(0.3, "connect"), (5, WAITED)])
    def test_a_handshake_that_hangs(self, serve: Any, connect: float, reason: str) -> None:
        server = serve(lambda server, conn: server.go.wait(10))
        client = HttpTransport(f"https://127.0.0.1:{server.port}")
        until = time.monotonic() + (10 if reason == "connect" else 0.3)
        with pytest.raises(TimedOut) as caught:
            client.send(CALL, connect=connect, until=until, now=time.monotonic)
        assert caught.value.reason == reason


class TestClock:
    @pytest.mark.parametrize(
        "head",
        [
            b"",
            b"HTTP/1.1 200 OK\r\n",
            b"HTTP/1.1 200 OK\r\nx-long: ",
            CHUNKED,
            CHUNKED + b"ffff\r\n",
            CLOSED,
            b"HTTP/1.1 200 OK\r\ncontent-length: 99999\r\n\r\n",
        ],
        ids=["silence", "status", "headers", "chunk head", "chunk", "close-delimited", "length"],
    )
    def test_a_drip_ends_on_time(self, serve: Any, transport: Any, head: bytes) -> None:
        def play(server: Server, conn: socket.socket) -> None:
            conn.sendall(head)
            while head and not server.go.wait(0.02):
                conn.sendall(b"0")
            server.go.wait(10)

        client = transport(serve(play))
        start = time.monotonic()
        with pytest.raises(TimedOut) as caught:
            whole(client, 0.4)
        assert caught.value.reason == WAITED
        assert 0.39 <= time.monotonic() - start < 1.5

    def test_the_moment_may_move_between_reads(self, serve: Any, transport: Any) -> None:
        def play(server: Server, conn: socket.socket) -> None:
            conn.sendall(CLOSED + b"one")
            server.go.wait(10)

        incoming = send(transport(serve(play)))
        assert incoming.read(time.monotonic() + 10) == b"one"
        with pytest.raises(TimedOut):
            incoming.read(time.monotonic() + 0.05)
        assert incoming.read(time.monotonic() + 10) == b""  # an error ends it

    def test_no_time_no_connection(self, serve: Any, transport: Any) -> None:
        server = serve(OK)
        with pytest.raises(TimedOut):
            whole(transport(server), 0)
        assert server.connections == 0

    def test_sending_has_the_time_of_the_whole(self, serve: Any, transport: Any) -> None:
        # The connect timeout is for connecting: a long prompt may take longer to send.
        def play(server: Server, conn: socket.socket) -> None:
            server.go.wait(0.6)
            while len(conn.recv(1 << 20)) == 1 << 20:
                pass
            conn.sendall(OK)

        server = serve(play)
        call = HttpCall("/x", {}, b'{"a": 1}' + b" " * (32 << 20))
        incoming = transport(server).send(call, connect=0.3, until=time.monotonic() + 20, now=time.monotonic)
        assert incoming.status == 200
        incoming.close()

    def test_a_virtual_clock_decides(self, serve: Any, transport: Any) -> None:
        client = transport(serve(OK))
        incoming = client.send(CALL, connect=5, until=110.0, now=lambda: 100.0)
        assert incoming.read(110.0) == b"ok"


class TestConnecting:
    def test_sending_that_stalls_is_waiting(self, serve: Any, transport: Any) -> None:
        server = serve(lambda server, conn: server.go.wait(20))
        client = transport(server)
        call = HttpCall("/x", {}, b'{"a": 1}' + b" " * (32 << 20))
        with pytest.raises(TimedOut) as caught:
            client.send(call, connect=5, until=time.monotonic() + 0.4, now=time.monotonic)
        assert caught.value.reason == WAITED

    @pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\n\r\n"], ids=["CONNECT", "TLS"])
    def test_a_proxy_keeps_to_the_clock_of_the_connection(self, answer: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("no_proxy", "")
        with socket.create_server(("127.0.0.1", 0)) as listener:
            monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{listener.getsockname()[1]}")

            def play() -> None:
                conn, _ = listener.accept()
                with conn:
                    assert b"CONNECT" in conn.recv(65536)
                    conn.sendall(answer)
                    while conn.recv(65536):  # until the client gives up
                        pass

            thread = threading.Thread(target=play)
            thread.start()
            client = HttpTransport("https://provider.invalid")
            start = time.monotonic()
            with pytest.raises(TimedOut) as caught:
                client.send(CALL, connect=0.3, until=start + 20, now=time.monotonic)
            assert caught.value.reason == "connect"
            assert time.monotonic() - start < 5
            thread.join(20)
            client.close()

    @IN_THREADS
    @pytest.mark.parametrize(
        ("connect", "total", "parts", "reason"),
        [
            (1.0, 1.0, [1.0], WAITED),
            (5.0, 60.0, [2.0, 2.0, 1.0], "connect"),
            (12.0, 60.0, [3.0, 3.0, 3.0, 3.0], "connect"),
            (60.0, 3.0, [2.0, 1.0], WAITED),
        ],
    )
    def test_many_silent_addresses(
        self, connect: float, total: float, parts: list[float], reason: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock, tried = [100.0], []

        class Silent:
            def __init__(self, *_: object) -> None: ...

            def setsockopt(self, *_: object) -> None: ...

            def close(self) -> None: ...

            def settimeout(self, seconds: float) -> None:
                self.seconds = seconds

            def connect(self, address: object) -> None:
                tried.append(self.seconds)
                clock[0] += self.seconds
                raise TimeoutError("timed out")

        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"10.255.255.{n}", 80)) for n in range(4)]
        client = HttpTransport("http://many.invalid")
        client._open()
        with monkeypatch.context() as patch, pytest.raises(TimedOut) as caught:
            patch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
            patch.setattr(socket, "socket", Silent)
            client.send(CALL, connect=connect, until=100.0 + total, now=lambda: clock[0])
        assert (tried, caught.value.reason) == (pytest.approx(parts), reason)

    @IN_THREADS
    def test_a_resolver_that_takes_all_the_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = [100.0]

        def resolve(*_: object, **__: object) -> Any:
            clock[0] += 9
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 1))]

        client = HttpTransport("http://slow.invalid")
        client._open()
        with monkeypatch.context() as patch, pytest.raises(TimedOut):
            patch.setattr(socket, "getaddrinfo", resolve)
            client.send(CALL, connect=5, until=108.0, now=lambda: clock[0])

    def test_the_next_address_is_tried(self, serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        server = serve(OK)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            closed = listener.getsockname()[1]
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in (closed, server.port)]
        client = HttpTransport(f"http://two.invalid:{server.port}")
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        monkeypatch.setenv("no_proxy", "*")
        assert whole(client) == b"ok"
        client.close()

    @pytest.mark.parametrize("first", [b"100 Continue", b"102 Processing", b"103 Early Hints\r\nlink: x"])
    def test_informational_responses_are_skipped(self, serve: Any, transport: Any, first: bytes) -> None:
        server = serve((b"HTTP/1.1 " + first + b"\r\n\r\n") * 3 + OK)
        client = transport(server)
        assert [whole(client) for _ in range(3)] == [b"ok"] * 3
        assert server.connections == 1


class TestClosing:
    def held(self, serve: Any, head: bytes) -> Server:
        def play(server: Server, conn: socket.socket) -> None:
            conn.sendall(head)
            assert conn.recv(1) == b""  # until the client closes

        found = serve(play)
        assert isinstance(found, Server)
        return found

    @pytest.mark.parametrize("head", [CHUNKED + b"2\r\nok\r\n", CLOSED + b"ok"], ids=["chunked", "close-delimited"])
    def test_it_wakes_the_thread_that_reads(self, serve: Any, transport: Any, head: bytes) -> None:
        server = self.held(serve, head)
        incoming = send(transport(server))
        assert incoming.read(time.monotonic() + 10) == b"ok"
        got: list[bytes] = []
        reader = threading.Thread(target=lambda: got.append(incoming.read(time.monotonic() + 60)))
        reader.start()
        closers = [threading.Thread(target=incoming.close) for _ in range(4)]
        for thread in [*closers, reader]:
            if thread is not reader:
                thread.start()
        for thread in [*closers, reader]:
            thread.join(10)
            assert not thread.is_alive()
        assert got == [b""]
        assert server.gone.wait(10)

    def test_it_closes_at_once(self, serve: Any, transport: Any) -> None:
        server = self.held(serve, CHUNKED + b"2\r\nok\r\n")
        incoming = send(transport(server))
        incoming.close()
        incoming.close()
        assert server.gone.wait(10)
        assert incoming.read(time.monotonic() + 10) == b""

    def test_closing_late_spares_the_next_request(self, serve: Any, transport: Any) -> None:
        server = serve(OK)
        client = transport(server)
        first = send(client)
        assert first.read_all(time.monotonic() + 10) == b"ok"
        second = send(client)  # on the same connection
        first.close()
        assert second.read_all(time.monotonic() + 10) == b"ok"
        assert server.connections == 1

    def test_many_threads(self) -> None:
        with Sandbox("openai") as server:
            client = HttpTransport(server.url, headers={"Authorization": Secret(f"Bearer {KEY}")})
            call = HttpCall("/chat/completions", {}, b'{"model": "m", "messages": [{"role": "user", "content": "Hi"}]}')
            got: list[int] = []

            def ask() -> None:
                incoming = client.send(call, connect=5, until=time.monotonic() + 10, now=time.monotonic)
                incoming.read_all(time.monotonic() + 10)
                got.append(incoming.status)

            with server.hold(16):
                threads = [threading.Thread(target=ask) for _ in range(16)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join(20)
            client.close()
            assert got == [200] * 16


class TestWhatRequestsWouldDo:
    def test_redirects_are_not_followed(self, serve: Any, transport: Any) -> None:
        server = serve(b"HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\nset-cookie: a=b\r\ncontent-length: 0\r\n\r\n")
        client = transport(server)
        assert [send(client).status for _ in range(2)] == [302, 302]
        assert [request.split(b" ")[1] for request in server.requests] == [b"/x", b"/x"]
        assert b"cookie" not in server.requests[1].lower()

    def test_netrc_is_ignored(
        self, serve: Any, transport: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login somebody password else\n")
        monkeypatch.setenv("NETRC", str(netrc))
        server = serve(OK)
        whole(transport(server, headers={"Authorization": Secret(f"Bearer {KEY}")}))
        assert f"Bearer {KEY}".encode() in server.requests[0]

    def test_proxies_of_the_environment_are_used(self, serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        proxy = serve(OK)
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        client = HttpTransport("http://provider.invalid/v1")
        assert [whole(client), whole(client)] == [b"ok", b"ok"]
        assert proxy.requests[0].startswith(b"POST http://provider.invalid/v1/x HTTP/1.1\r\n")
        assert proxy.connections == 1
        client.close()

    def test_no_proxy_is_heeded(self, serve: Any, transport: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert whole(transport(serve(OK))) == b"ok"

    @IN_THREADS
    def test_a_session_of_the_caller(self, serve: Any, transport: Any) -> None:
        def drip(server: Server, conn: socket.socket) -> None:
            conn.sendall(CLOSED + b"one")
            while not server.go.wait(0.02):
                conn.sendall(b"0")

        server = serve(OK)
        with requests.Session() as session:
            client = transport(server, session=session)
            assert [whole(client) for _ in range(3)] == [b"ok"] * 3
            assert server.connections == 1
            client.close()  # leaves the session to its owner
            assert session.post(f"http://127.0.0.1:{server.port}/x", data=b'{"a": 1}').text == "ok"
            with pytest.raises(TimedOut):
                whole(transport(serve(drip), session=session), 0.4)


class TestKeys:
    @pytest.mark.parametrize("key", [f"{KEY}\n", f"{KEY}\u00e9", f" {KEY}", f"{KEY}\r\nx: y", f"{KEY}\x00"])
    def test_a_key_that_cannot_be_sent_is_refused_and_not_shown(self, key: str) -> None:
        with pytest.raises(AuthenticationFailed) as caught:
            HttpTransport("http://127.0.0.1", headers={"x-api-key": Secret(key)})
        assert caught.value.reason == "bad_key"
        assert KEY not in f"{caught.value!r} {caught.value.__cause__!r} {caught.value.__context__!r}"

    def test_a_header_that_cannot_be_sent_is_refused(self) -> None:
        with pytest.raises(ValueError, match="the header X-A has"):
            HttpTransport("http://127.0.0.1", headers={"X-A": "b\nc"})

    def test_no_error_holds_the_key(self, serve: Any) -> None:
        server = serve(OK)
        server.close()
        url = f"http://127.0.0.1:{server.port}"
        client = HttpTransport(url, headers={"Authorization": Secret(f"Bearer {KEY}")}, secrets=[Secret(KEY)])
        with pytest.raises(ProviderError) as caught:
            whole(client)
        assert KEY not in f"{caught.value!r} {caught.value.__cause__!r}"
        assert getattr(caught.value.__cause__, "request", None) is None
        assert KEY not in repr(client)

    def test_a_cause_that_shows_the_key_is_left_out(self) -> None:
        client = HttpTransport(f"http://{KEY}.invalid", secrets=[Secret(KEY)])
        with pytest.raises(ProviderError) as caught:
            whole(client)
        assert caught.value.__cause__ is None

    @pytest.mark.parametrize("url", ["", "api.openai.com/v1", "ftp://example.com"])
    def test_an_address_that_is_none_is_refused(self, url: str) -> None:
        with pytest.raises(ValueError, match="must begin with http"):
            HttpTransport(url)

    @pytest.mark.parametrize(
        "url",
        [
            "https://me:hidden@example.com/v1/",
            "https://me@hidden.com/v1/",
            "http://u:hid/den@127.0.0.1:1/v1",
            "http://u:hid den@/v1",
            "http://u:hidden@:80/v1",
            "http://u:p@hidden@h/v1",
            "http://u:hidden@\u2100.com/v1",
            "http://[hidden/v1",
            "http://hidden:99999/v1",
            "http://hidden:0/v1",
            "http://hidden:x/v1",
            "http://hid den/v1",
            "http://example.com/v1#hidden",
            "http:///hidden",
        ],
    )
    def test_what_an_address_must_not_hold_is_refused_and_not_shown(self, url: str) -> None:
        for make in (HttpTransport, ollama_host):
            if make is ollama_host and url == "http:///hidden":
                continue  # no host is this machine
            with pytest.raises(ValueError, match="base_url") as caught:
                make(url)
            text = "".join(traceback.format_exception(caught.value)).split("ValueError: ", 1)[1]
            assert not {"hid", "den", "me@", "99999"} & set(re.findall(r"hid|den|me@|99999", text))
            assert caught.value.__context__ is None

    def test_a_query_follows_the_path_and_is_not_shown(self, serve: Any) -> None:
        server = serve(OK)
        client = HttpTransport(f"http://127.0.0.1:{server.port}/v1/?api-version=2024-06-01&sig=a%2Fb%2Fc%2Fd%2Fe")
        assert whole(client) == b"ok"
        assert server.requests[0].split(b" ")[1] == b"/v1/x?api-version=2024-06-01&sig=a%2Fb%2Fc%2Fd%2Fe"
        assert repr(client).removeprefix("Async") == f"HttpTransport('http://127.0.0.1:{server.port}/v1?***')"
        assert {secret.reveal() for secret in client.secrets} == {"2024-06-01", "a%2Fb%2Fc%2Fd%2Fe", "a/b/c/d/e"}
        assert client.address == ("127.0.0.1", server.port)
        client.close()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
def test_tls(serve: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, certificate = str(tmp_path / "key.pem"), str(tmp_path / "cert.pem")
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            key,
            "-out",
            certificate,
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def hold(server: Server, conn: socket.socket) -> None:
        conn.sendall(CHUNKED + b"2\r\nok\r\n")
        conn.recv(1)

    server = serve(OK, context)
    client = HttpTransport(f"https://127.0.0.1:{server.port}")
    with pytest.raises(Unavailable) as caught:  # nobody vouches for it
        whole(client)
    assert caught.value.reason == "tls"
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", certificate)
    client.close()
    connections = server.connections
    assert [whole(client) for _ in range(3)] == [b"ok"] * 3
    assert server.connections == connections + 1
    client.close()

    held = serve(hold, context)
    client = HttpTransport(f"https://127.0.0.1:{held.port}")
    incoming = send(client)
    assert incoming.read(time.monotonic() + 10) == b"ok"
    closer = threading.Timer(0.1, incoming.close)
    closer.start()
    assert incoming.read(time.monotonic() + 30) == b""
    closer.join()
    assert held.gone.wait(10)
    start = time.monotonic()
    incoming = send(client)
    assert incoming.read(time.monotonic() + 10) == b"ok"
    with pytest.raises(TimedOut):
        incoming.read(start + 0.3)
    client.close()


def test_heavy_libraries_load_on_first_use() -> None:
    code = (
        "import sys; import mainstay.adapters; assert 'msgspec' not in sys.modules;"
        "from mainstay.adapters import OpenAI; OpenAI('k');"
        "assert not {'requests', 'urllib3', 'http.client', 'ssl'} & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

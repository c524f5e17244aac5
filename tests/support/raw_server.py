"""A server on loopback that says exactly what a test tells it to, byte for byte and pause by pause."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from mainstay import adapters
from mainstay.adapters import Adapter

__all__ = ["READY", "Heard", "Play", "RawServer", "chunked", "head", "ready"]


def ready(world: Any) -> dict[str, Callable[..., Any]]:
    """The ready adapters of a world, by the server that they are made for: each takes a base URL and options."""

    def keyed(make: Callable[..., Any]) -> Callable[..., Any]:
        return lambda url, **options: make(base_url=url, **{"api_key": "sk-test", **options})

    return {
        "openai": keyed(world.OpenAI),
        "openrouter": keyed(world.OpenRouter),
        "claude": keyed(world.Claude),
        "ollama": lambda url, **options: world.Ollama(url, **options),
        "llama_cpp": lambda url, **options: world.LlamaCpp(url, **options),
        # The Messages API of llama.cpp's server, by the adapter for Claude.
        "llama_cpp_messages": keyed(world.Claude),
    }


READY: Mapping[str, Callable[..., Adapter]] = ready(adapters)
"""Those of the world of threads."""


@dataclass(frozen=True)
class Heard:
    """A request as it came."""

    line: str
    headers: Mapping[str, str]
    body: bytes


Play = Callable[[Heard], Iterable[bytes | float]]
"""What to say to a request: bytes are sent, a number is a pause in seconds. After the last, the connection closes."""


class RawServer:
    """Answers each request on a connection of its own. Stops at the end of its `with` block, in the middle of a pause.

    Attributes:
        url: its address.
        heard: the requests so far.
        left: how many connections the client closed before all was said.
    """

    def __init__(self, play: Play = lambda heard: ()) -> None:
        self.play = play
        self.heard: list[Heard] = []
        self.left = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._stop, self._stopped = socket.socketpair()
        self._changed = threading.Condition()
        self._threads = [threading.Thread(target=self._accept, name="raw server")]
        self._threads[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.close()
        for thread in self._threads:
            thread.join(20)
        self._stopped.close()
        self._listener.close()

    def wait_until_left(self, count: int) -> bool:
        """Waits, 10 s at most, until so many connections were closed by the client."""
        with self._changed:
            return self._changed.wait_for(lambda: self.left >= count, 10)

    def _accept(self) -> None:
        while self._listener in select.select([self._listener, self._stopped], [], [])[0]:
            thread = threading.Thread(target=self._serve, args=[self._listener.accept()[0]], name="raw server")
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            heard = _hear(connection)
            if heard is None:
                return
            self.heard.append(heard)
            for step in self.play(heard):
                if isinstance(step, bytes):
                    try:
                        connection.sendall(step)
                        continue
                    except OSError:
                        pass
                elif not (ready := select.select([connection, self._stopped], [], [], step)[0]):
                    continue
                elif self._stopped in ready:
                    return
                with self._changed:
                    self.left += 1
                    self._changed.notify_all()
                return


def _hear(connection: socket.socket) -> Heard | None:
    connection.settimeout(20)
    with connection.makefile("rb") as file:
        line = file.readline().decode("latin-1").strip()
        if not line:
            return None
        headers = {}
        while (field := file.readline().decode("latin-1").strip()) != "":
            name, _, value = field.partition(": ")
            headers[name.lower()] = value
        return Heard(line, headers, file.read(int(headers.get("content-length", "0"))))


def head(kind: str, *fields: str, status: str = "200 OK") -> bytes:
    """The head of a response with this content type."""
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", *fields]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode()


def chunked(pieces: Iterable[bytes | float]) -> Iterable[bytes | float]:
    """A body in HTTP chunks, one for each piece, pauses where they were."""
    for piece in pieces:
        if isinstance(piece, bytes):
            yield b"%x\r\n%b\r\n" % (len(piece), piece)
        else:
            yield piece
    yield b"0\r\n\r\n"

"""serve_status: how each route is doing, over HTTP, for a person, a dashboard or Prometheus.

    GET /           the status as JSON: {"time": ..., "routes": {...}}; the fields are those of `Health.status`
    GET /metrics    the same in Prometheus' text format, version 0.0.4

It listens on loopback unless told otherwise: it asks nobody for a password. It tells no keys and no prompts, but which
providers there are and how they are doing, which is nobody else's affair.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ..pipeline.closing import Closing
from ..pipeline.complaints import logger
from .prometheus import as_prometheus

__all__ = ["StatusServer", "serve_status"]

_log = logger()
Status = Mapping[str, Mapping[str, Any]]
_PATIENCE = 5.0  # seconds that a client may take to ask
_AT_ONCE = 16  # clients
_all: weakref.WeakSet[StatusServer] = weakref.WeakSet()


def serve_status(source: Any, port: int = 0, host: str = "127.0.0.1") -> StatusServer:
    """Serves the status of a stack, a provider, a chain or a manager until it is closed.

        with serve_status(stack, 9464) as server:
            print(server.url)

    Args:
        source: what has a `status()`, or a function that gives one.
        port: to listen on; 0 takes a free one, which `server.url` tells.
        host: to listen on; only this machine is let in unless this says otherwise.

    Raises:
        OSError: if the port cannot be had.
        TypeError: if the source cannot be asked.
    """
    status = getattr(source, "status", source)
    if not callable(status):
        raise TypeError(f"serve_status() takes what has a status(), or a function, not {type(source).__name__}")
    return StatusServer(status, port, host)


class StatusServer(Closing):
    """A small HTTP server in threads of its own; see `serve_status`. In a forked child it does not go on.

    Attributes:
        url: where it listens, such as "http://127.0.0.1:9464".
    """

    def __init__(self, status: Callable[[], Status], port: int, host: str) -> None:
        self._server = _Server(status, port, host)
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self._server.server_address[1]}"
        # It looks every so often whether it is to end: a fifth of a second is no wait, and no work.
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.2,), name="mainstay-status", daemon=True
        )
        self._thread.start()
        _all.add(self)

    @property
    def alive(self) -> bool:
        """Whether it serves."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Ends it and frees the port. Once is enough, and more do no harm."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def _forked(self) -> None:
        self._server.socket.close()  # the child's copy, which would keep the port from its parent

    def __repr__(self) -> str:
        return f"<StatusServer {self.url}>"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = os.name == "posix"  # elsewhere two could have one port

    def __init__(self, status: Callable[[], Status], port: int, host: str) -> None:
        self.status = status
        self._room = threading.BoundedSemaphore(_AT_ONCE)
        if ":" in host:
            self.address_family = socket.AF_INET6
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        """Binds without looking up the host's name, as the standard server would, which may take seconds."""
        if self.allow_reuse_address:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serves one client in a thread of its own, if there is room for one more."""
        if self._room.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serves one client."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away or said nothing is no affair of the application's."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _PATIENCE
    server_version = "mainstay"
    sys_version = ""

    def do_GET(self) -> None:
        tell = _PAGES.get(self.path.partition("?")[0])
        if tell is None:
            self._answer(404, _PLAIN, "there is / (JSON) and /metrics (Prometheus)\n")
            return
        try:
            kind, text = tell(self.server.status())
        except Exception:  # noqa: BLE001 - the application's own function; who asks must not wait for nothing
            _log.exception("the status could not be told")
            self._answer(500, _PLAIN, "the status could not be told: the application's log says why\n")
        else:
            self._answer(200, kind, text)

    do_HEAD = do_GET  # noqa: N815 - the standard library's name

    def _answer(self, status: int, kind: str, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Says nothing: the standard server would print."""


def _as_json(status: Status) -> tuple[str, str]:
    return "application/json", json.dumps({"time": time.time(), "routes": status}, indent=1)


def _as_metrics(status: Status) -> tuple[str, str]:
    return "text/plain; version=0.0.4; charset=utf-8", as_prometheus(status)


_PLAIN = "text/plain; charset=utf-8"
_PAGES = {"/": _as_json, "/status": _as_json, "/metrics": _as_metrics}


def _after_fork() -> None:
    for server in tuple(_all):
        server._forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

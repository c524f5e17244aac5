"""A port on loopback and the threads behind it: one that accepts, one for each connection.

It can be closed and opened again on the same port, and closing it for good leaves no thread and no socket.
What is said on the connections is not its business.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
from collections.abc import Callable
from threading import Lock, Thread, current_thread

BACKLOG = 1024  # a burst of clients is queued, not refused


class Listener:
    """A reserved port; it refuses connections until `accept` is called.

    Args:
        serve: called in a thread of its own with each connected socket and the client's address. The socket
            is closed when it returns.
        opened: called when a connection was accepted.
        closed: called just before a connection is closed, so before the client can know.
        name: the beginning of the threads' names.
    """

    def __init__(
        self,
        serve: Callable[[socket.socket, tuple[str, int]], None],
        *,
        opened: Callable[[], None],
        closed: Callable[[], None],
        name: str,
    ) -> None:
        self._serve = serve
        self._opened = opened
        self._closed = closed
        self._name = name
        self._control = Lock()  # one change of state at a time: accept, refuse, close
        self._lock = Lock()  # guards the two below, for moments only
        self._open: dict[socket.socket, bool] = {}  # each connection, and whether it is busy with an answer
        self._threads: list[Thread] = []
        self._acceptor: Thread | None = None
        self.closing = False
        self.refusing = True
        self._socket = _bound(0)
        self.port: int = self._socket.getsockname()[1]
        # Each pair: closing or writing to the first end makes the second readable.
        self._wake_end, self.wake = socket.socketpair()
        self._stop_end, self._stop = socket.socketpair()

    def accept(self) -> None:
        """Listen, if it does not yet.

        Raises:
            RuntimeError: if it is closed for good.
        """
        with self._control:
            if self.closing:
                raise RuntimeError("the sandbox is closed; make a new one")
            if self._acceptor is None:
                self._socket.listen(BACKLOG)
                self.refusing = False
                self._acceptor = Thread(target=self._accept_loop, name=f"{self._name}-accept", daemon=True)
                self._acceptor.start()

    def refuse(self) -> None:
        """Stop listening and close idle connections; busy ones are for their owner to end. Keeps the port."""
        with self._control:
            if self.closing or self._acceptor is None:
                return
            self.refusing = True
            self._stop_accepting()
            # Bound but not listening: connecting is refused, and the port cannot be given to anybody else,
            # not even to a client's own end of the connection, which would then talk to itself.
            self._socket = _bound(self.port)
            self._shut_down(idle_only=True)

    def close(self) -> None:
        """Close all sockets, wake all that waits on `wake`, join all threads but the calling one."""
        with self._lock:
            first, self.closing = not self.closing, True
        if first:
            self._wake_end.close()
            with self._control:
                self._stop_accepting()
                self._shut_down(idle_only=False)
        with self._lock:
            threads = list(self._threads)
        if current_thread() in threads and not first:
            return  # two answer functions that close at once must not wait for each other
        # Not under the lock: an answer function may be calling refuse() in one of these threads.
        for thread in threads:
            if thread is not current_thread():
                thread.join()
        for sock in (self.wake, self._stop_end, self._stop):
            sock.close()

    def busy(self, sock: socket.socket, is_busy: bool) -> None:
        """Take note whether a connection is busy with an answer."""
        with self._lock:
            self._open[sock] = is_busy

    def _stop_accepting(self) -> None:
        acceptor, self._acceptor = self._acceptor, None
        if acceptor is not None:
            self._stop_end.send(b"x")
            acceptor.join()
        self._socket.close()

    def _shut_down(self, *, idle_only: bool) -> None:
        with self._lock:
            for sock, is_busy in self._open.items():
                if not (is_busy and idle_only):
                    with contextlib.suppress(OSError):  # the client was faster
                        sock.shutdown(socket.SHUT_RDWR)

    def _accept_loop(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            selector.register(self._stop, selectors.EVENT_READ)
            while True:
                ready = {key.fileobj for key, _ in selector.select()}
                if self._stop in ready:
                    self._stop.recv(1)
                    return
                try:
                    sock, address = self._socket.accept()
                except OSError:
                    continue  # gone again before we took it
                sock.setblocking(True)
                self._opened()
                thread = Thread(target=self._run, args=(sock, address), name=f"{self._name}-client", daemon=True)
                with self._lock:
                    self._open[sock] = False
                    self._threads = [old for old in self._threads if old.is_alive()]
                    thread.start()
                    self._threads.append(thread)

    def _run(self, sock: socket.socket, address: tuple[str, int]) -> None:
        try:
            with contextlib.suppress(OSError):  # the client's going is no error
                self._serve(sock, address)
        finally:
            with self._lock:
                del self._open[sock]
            self._closed()
            sock.close()


def _bound(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if os.name == "posix":  # elsewhere the option means that others may take the port
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", port))
        sock.setblocking(False)  # a client that goes before it is accepted must not block the acceptor
    except OSError:
        sock.close()
        raise
    return sock

"""Link: one process's way to Redis, for all its routes: whether it is there, who we are, and what is written behind.

A settled call never waits for Redis: its circuit is put into a queue, and one daemon thread tells the fleet. The
thread is started where a call asks, never where one is settled: that may be a finalizer, which must start none. After
a fork the child is somebody else to the fleet, with a queue and a thread of its own.

When Redis does not answer, that is one log line, and nobody asks it again for a while: one thread at a time finds out
whether it is back, so that not each of many waits for the timeout.
"""

from __future__ import annotations

import os
import secrets
import threading
import weakref
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeAlias

from ..pipeline.complaints import logger
from .redis_storage import SCRIPT, RedisStorage, Said, View

__all__ = ["Link"]

_log = logger()
_Queue: TypeAlias = "SimpleQueue[Callable[[], None] | None]"
_links: weakref.WeakSet[Link] = weakref.WeakSet()


def _after_fork() -> None:
    for link in tuple(_links):
        link.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Link:
    """The way to Redis. Thread-safe; times in seconds on the callers' clock.

    Attributes:
        me: this process, as the fleet knows it.
        queue: what the thread has still to do.
        outage: whether Redis is away, so that each process goes by what it knows.
        patience: how long to wait for somebody else's question.
        fresh: how long an answer is good for.
    """

    def __init__(self, client: Any, prefix: str, timeout: float, fresh: float, pause: float) -> None:
        """Opens nothing yet.

        Args:
            client: of Redis.
            prefix: what all keys begin with.
            timeout: of a connection, and of an answer.
            fresh: how long an answer is good for.
            pause: between two looks whether Redis is back.
        """
        self._client = client
        self._script = client.register_script(SCRIPT)
        self._prefix = prefix
        self._pause = pause
        self.patience = 2 * timeout  # a connection, and an answer
        self.fresh = fresh
        self.outage = False
        self._retry_at = 0.0
        self._closed = False
        self.renew()
        _links.add(self)

    def renew(self) -> None:
        """Makes the link of this process, when it is new."""
        self.me = secrets.token_hex(8)
        self.queue: _Queue = SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        # A link that is dropped without a close lets its thread end.
        self._dropped = weakref.finalize(self, self.queue.put, None)
        self._dropped.atexit = False

    def storage(self, route: str) -> RedisStorage:
        """The storage of one route. The braces keep its keys in one slot of a cluster."""
        return RedisStorage(self._client, self._script, f"{{{self._prefix}:{route}}}")

    # -- asking ----------------------------------------------------------------------------------------------

    def away(self, now: float) -> bool:
        """Whether Redis is not worth asking at that moment."""
        return self.outage and (self._closed or now < self._retry_at)

    def ready(self, now: float) -> bool:
        """Whether to ask Redis; during an outage, one asker at a time is told so."""
        if not self.outage:
            return True
        with self._lock:
            if self.away(now):
                return False
            self._retry_at = now + self._pause
            return True

    def exchange(self, storage: RedisStorage, said: Said, now: float) -> View | None:
        """One round trip; None if Redis did not answer as it should, which is noted, and never raised."""
        try:
            view = storage.exchange(said)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with Redis, no call may fail for it
            self._note(error, now)
            return None
        if self.outage:
            self._note(None, now)
        return view

    def _note(self, error: Exception | None, now: float) -> None:
        with self._lock:
            changed = self.outage == (error is None)
            self.outage = error is not None or self._closed
            self._retry_at = now + self._pause
        if not changed or self._closed:
            return
        if error is None:
            _log.info("Redis is back: circuit breakers go by the fleet again")
        else:
            # The kind alone: an error's text may name a host, a user or what was sent.
            _log.warning(
                "Redis does not answer (%s): circuit breakers go by what this process knows, and look again every %g s",
                type(error).__name__,
                self._pause,
            )

    # -- writing behind --------------------------------------------------------------------------------------

    def start(self) -> None:
        """Sees to it that there is a thread."""
        if self._thread is not None:
            return
        with self._lock:
            if self._thread is None and not self._closed:
                thread = threading.Thread(target=_work, args=(self.queue,), name="mainstay-fleet", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # no thread is to be had; what is new is told with the next question
                    return
                self._thread = thread

    def close(self) -> None:
        """Has the thread finish what it has to do, and ends it; from now on, Redis counts as away."""
        with self._lock:
            self._closed, thread = True, self._thread
        self._dropped()
        if thread is not None:
            thread.join()
        self.outage = True


def _work(queue: _Queue) -> None:
    while (task := queue.get()) is not None:
        task()
        del task  # a thread that waits keeps nothing alive

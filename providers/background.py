"""Background: a daemon thread for what no call may wait for, such as probes and alerts.

It does one step at a time, and the step says when the next one is due. It goes on in a forked child, in a thread of the
child's own; it ends when it is closed, or when nobody holds what it works for.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import TypeAlias

from ..pipeline.complaints import logger

__all__ = ["Background"]

_log = logger()
# True: something may be due; False: end.
_Queue: TypeAlias = "SimpleQueue[bool]"
_AFTER_A_BUG = 10.0
_all: weakref.WeakSet[Background] = weakref.WeakSet()


class Background:
    """Runs the steps of its owner. Thread-safe.

    Args:
        name: of the thread, after "mainstay-".
        step: a method of the owner, which is not kept alive by this; returns seconds until it is to be called again,
            or None to wait for `wake`.
    """

    def __init__(self, name: str, step: Callable[[], float | None]) -> None:
        self._name = f"mainstay-{name}"
        self._step = weakref.WeakMethod(step)
        self._thread: threading.Thread | None = None
        self._renew()
        _all.add(self)

    def _renew(self) -> None:
        self._queue: _Queue = SimpleQueue()
        self._end = weakref.finalize(self, self._queue.put, False)
        self._end.atexit = False

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Starts the thread, which begins with a step. Not to be called where a garbage collection may be under way.

        Raises:
            RuntimeError: if it was started before, or there is no thread to be had.
        """
        if self._thread is not None:
            raise RuntimeError(f"the thread {self._name} has been started before")
        self._thread = threading.Thread(target=_work, args=(self._queue, self._step), name=self._name, daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Has the next step done now. Never waits, so that it may be called from anywhere."""
        self._queue.put(True)

    def close(self, patience: float = 1.0) -> None:
        """Ends the thread behind the step that is under way, and waits for that so many seconds at most."""
        self._end()
        thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join(patience)

    def _forked(self) -> None:
        if self._thread is not None:
            self._thread = None
            self._end.detach()
            self._renew()
            self.start()


def _work(queue: _Queue, step: Callable[[], Callable[[], float | None] | None]) -> None:
    more, delay = True, None
    while more:
        do = step()
        if do is None:
            return
        try:
            delay = do()
        except Exception:  # noqa: BLE001 - what works for others must not end because of one bug
            _log.exception("%s failed", threading.current_thread().name)
            delay = _AFTER_A_BUG
        del do  # a thread that waits keeps nothing alive
        try:
            more = queue.get(timeout=delay)
        except Empty:
            continue


def _after_fork() -> None:
    for background in tuple(_all):
        try:
            background._forked()
        except RuntimeError as error:  # no thread is to be had in this child: it goes without
            _log.warning("%s does not go on after a fork: %s", background._name, error)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

"""Health: which route is sick, since when, and why; and who is told when that changes.

An observer: it only listens, so it can be given to any stack (`Stack(observers=[health])`). It never waits: an
attempt may end in a garbage collection, in a thread that is reading the status at that moment; so what it hears
goes through a queue if the lock is taken, and whoever has the lock takes it in.

Theory. The word of a route's breaker is the word on its health: sick is what is not closed. A route without one is sick
after as many failures in a row as would open a breaker, or after one error that opens a breaker at once; one good try
makes it well, and so does a window without any. Two failed probes in a row make any route sick, until one goes well;
a good probe takes back no more than that, for it has asked for a list of models, and not for an answer.

What happens is told by events, in the thread where it happens. Two things have no event, and are found at the next
look at the status: a breaker that was moved by hand, and time that has passed, such as that of a rest.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

from ..pipeline import AttemptEnded, BreakerChanged, Event, ProviderError, RouteRests
from ..pipeline.complaints import logger
from ..pipeline.dropping import is_dropping
from ..pipeline.watching import Watched
from . import options
from .health_route import HealthChange, RouteHealth
from .permit import CLOSED, RESTING

__all__ = ["Health"]

_log = logger()


class Health:
    """Keeps score of every route. Thread-safe; goes on in a forked child, with what was known at the fork.

        health = Health()
        health.on_change(print)
        stack = Stack(standard(), Fallback(openai, claude), observers=[health])
        stack.status()["openai"]["healthy"]

    Args:
        window: seconds that `success_rate`, `p50` and `p95` look back; five minutes, in which even a calm application
            has asked a few times.
        wall: gives the time of day as UNIX seconds, for the moments in the status; the system's unless given.

    Raises:
        ValueError: if the window is none.
    """

    def __init__(self, window: float = 300.0, wall: Callable[[], float] | None = None) -> None:
        self.window = window
        options.seconds(self, "window", window)
        self._wall = wall or time.time
        self._heard: SimpleQueue[AttemptEnded | BreakerChanged | RouteRests] = SimpleQueue()
        self._changes: SimpleQueue[HealthChange] = SimpleQueue()
        self._routes: dict[str, RouteHealth] = {}
        self._guarded: frozenset[str] = frozenset()
        # By stack its running halves, and of these the breakers.
        self._stacks: weakref.WeakKeyDictionary[Any, tuple[Any, dict[str, tuple[Any, ...]]]]
        self._stacks = weakref.WeakKeyDictionary()
        self._callbacks: dict[object, Callable[[HealthChange], object]] = {}  # never changed, but replaced
        self._renew()
        _all.add(self)

    def _renew(self) -> None:
        self._lock = threading.Lock()
        self._telling = threading.Lock()

    # -- listening -----------------------------------------------------------------------------------------

    def __call__(self, event: Event) -> None:
        """Listens to one event."""
        if isinstance(event, (AttemptEnded, BreakerChanged, RouteRests)):
            if self._heard.empty() and self._lock.acquire(blocking=False):  # the usual case, at half the cost
                try:
                    self._take(event)
                finally:
                    self._lock.release()
            else:
                self._heard.put(event)
            self._sweep()

    def watch(self, stack: Watched) -> None:
        """Takes note of a stack that has this observer; a Stack says so itself when it is built."""
        guarded = {path for path, breakers in self._breakers(stack).items() if breakers}
        with self._lock:
            self._guarded |= guarded
            known = guarded & self._routes.keys()
            for path in known:
                self._routes[path].guarded = True
        if known:  # it may be in the place of one that is gone, and whose breaker was open
            self.status()
        self._sweep()

    def on_change(self, callback: Callable[[HealthChange], object]) -> Callable[[], None]:
        """Has `callback` called with each change of a route's health or breaker, in order and one at a time.

        It is called in the thread where the change happened, under no lock, before the call goes on: it should be
        quick. What a garbage collection brings is told by whoever comes next, and not in the middle of it. A callback
        that raises is logged and harms nobody.

        Args:
            callback: takes a HealthChange.

        Returns:
            A function that ends it.

        Raises:
            TypeError: if it cannot be called.
        """
        if not callable(callback):
            raise TypeError(f"on_change(callback) takes a function of a HealthChange, not {callback!r}")
        token = object()
        with self._lock:
            self._callbacks = {**self._callbacks, token: callback}
        self._sweep()
        return lambda: self._forget(token)

    def _forget(self, token: object) -> None:
        with self._lock:
            self._callbacks = {one: callback for one, callback in self._callbacks.items() if one is not token}
        self._sweep()

    def probed(self, route: str, seconds: float, error: ProviderError | None = None) -> None:
        """Takes in what a probe found, which was no attempt: it counts in `probe`, and two bad ones make a route sick.

        Args:
            route: its path.
            seconds: that the probe took.
            error: why the route would not answer, or None if it would.
        """
        at = self._wall()
        with self._lock:
            self._drain()
            known = self._of(route)
            known.probed(seconds, error, at)
            self._compare(route, known, known.ended)
        self._sweep()

    # -- looking -------------------------------------------------------------------------------------------

    def status(self, *stacks: Watched) -> dict[str, dict[str, Any]]:
        """How each route is doing, by its path; what is new since the last look is told to callbacks.

        Args:
            stacks: whose routes; of all that this watches unless given.

        Returns:
            A dict per route:
            `healthy`: whether it is worth sending to; `state`: "closed", "open", "half-open", "isolated" or
            "resting" (a route without a breaker is always "closed"); `reason`: what closed the route, or its
            last error; `attempts` and `errors`: so far; `since`: UNIX time in seconds since when it is not
            well, or None; `reopens_at`: UNIX time at which it admits again, or None; `recent`: the tries of the
            latest window that say something about the route; `success_rate`: theirs, from 0 to 1, or None without
            any; `p50` and `p95`: their seconds, to 2.5 %; `last_error`: the class of the last error, or None;
            `probe`: None, or what the last active probe found (`ok`, `at`, `seconds`, `error`, `reason`).
        """
        looks: dict[str, tuple[float, bool, dict[str, Any], int]] = {}
        # Without the lock: a breaker may have news to tell, and an observer may ask for the status in turn.
        for stack in stacks or self._watched():
            now = stack.clock.now()
            for path, breakers in self._breakers(stack).items():
                shots = [breaker.snapshot(now) for breaker in breakers]
                shot = next((shot for shot in shots if shot["state"] != "closed"), shots[0] if shots else _CLOSED)
                if path not in looks or looks[path][2]["state"] == "closed":
                    number = max((shot["number"] for shot in shots), default=0)
                    looks[path] = now, bool(shots), shot, number
        wall = self._wall()
        with self._lock:
            self._drain()
            status = {path: self._one(path, *look, wall) for path, look in looks.items()}
        self._sweep()
        return status

    def _watched(self) -> list[Watched]:
        return [stack for stack in (found() for found in self._stacks.keyrefs()) if stack is not None]

    def _breakers(self, stack: Watched) -> dict[str, tuple[Any, ...]]:
        """The breakers on the way to each route."""
        running = stack.running()
        known = self._stacks.get(stack)
        if known is None or known[0] is not running:  # a switch was thrown
            found = {
                path: tuple(half for half in halves if hasattr(half, "snapshot")) for path, halves in running.items()
            }
            known = self._stacks[stack] = running, found
        return known[1]

    def _one(
        self, path: str, now: float, guarded: bool, shot: dict[str, Any], number: int, wall: float
    ) -> dict[str, Any]:
        route, state, because = self._of(path), shot["state"], shot["because"]
        recent = route.recent
        recent.turn(now)
        route.guarded = guarded
        tried = recent.good + recent.bad
        if not tried and state == "closed":
            route.well()
        healthy = route.healthy(state)
        if number >= route.number:  # else an event knows better than this snapshot
            route.move(state, shot["until"], because, number)
            self._compare(path, route, now)
        p50, p95 = recent.quantiles(0.5, 0.95)
        opened = shot["since"] if state not in ("closed", "resting") else None
        since = None if healthy else route.since(opened, now, wall)
        return {
            "healthy": healthy,
            "state": state,
            "reason": route.why(state, because)[1],
            "attempts": route.attempts,
            "errors": route.errors,
            "since": since,
            "reopens_at": None if shot["until"] is None else wall + shot["until"] - now,
            "recent": tried,
            "success_rate": recent.good / tried if tried else None,
            "p50": p50,
            "p95": p95,
            "last_error": route.last_class or None,
            "probe": route.probe and dict(route.probe),
        }

    # -- taking in, under the lock -------------------------------------------------------------------------

    def _of(self, path: str) -> RouteHealth:
        route = self._routes.get(path)
        if route is None:
            route = self._routes[path] = RouteHealth(self.window)
            route.guarded = path in self._guarded
        return route

    def _drain(self) -> None:
        while True:
            try:
                event = self._heard.get_nowait()
            except Empty:
                return
            self._take(event)

    def _take(self, event: AttemptEnded | BreakerChanged | RouteRests) -> None:
        if isinstance(event, AttemptEnded):
            attempt = event.attempt
            route = self._of(attempt.route)
            route.take(attempt)
            if route.state == RESTING and route.until is not None and attempt.started >= route.until:
                route.move(CLOSED, None, None, route.number)  # it was admitted, so the rest is over
            self._compare(attempt.route, route, route.ended)
            return
        for path in self._below(event.route):
            route = self._of(path)
            if isinstance(event, RouteRests):
                if route.state in (CLOSED, RESTING):
                    route.move(RESTING, event.until, event.error, route.number)
                    self._compare(path, route, route.ended)
            elif event.number >= route.number:  # else a later change, or a look, was here before it
                route.move(event.after, event.until, event.error, event.number)
                self._compare(path, route, route.ended)

    def _below(self, path: str) -> list[str]:
        """The routes that a breaker of this path guards: its own, or all those of a stack inside, or of the call."""
        known = self._routes.keys() | self._guarded
        if path in known:
            return [path]
        return [one for one in known if not path or one.startswith(f"{path}/")] or [path]

    def _compare(self, path: str, route: RouteHealth, now: float) -> None:
        """Notes a change against what was last told."""
        before = route.told
        after = route.told = (route.healthy(route.state), route.state)
        if after == before or not self._callbacks:
            return
        at = self._wall()
        kind, reason = route.why(route.state, route.because)
        self._changes.put(
            HealthChange(
                route=path,
                healthy=after[0],
                was_healthy=before[0],
                state=after[1],
                was_state=before[1],
                reason=reason,
                error=kind or None,
                since=None if after[0] else route.since(None, now, at),
                reopens_at=None if route.until is None else at + route.until - now,
                at=at,
            )
        )

    # -- telling, under no lock ----------------------------------------------------------------------------

    def _sweep(self) -> None:
        # Again and again: something may have been queued while a lock was ours, and its bringer has left.
        while not self._heard.empty():
            lock = self._lock
            if not lock.acquire(blocking=False):
                break
            try:
                self._drain()
            finally:
                lock.release()
        while not self._changes.empty() and not is_dropping():
            # Nobody waits for this one. It says who is telling, so that changes are told in order.
            telling = self._telling
            if not telling.acquire(blocking=False):
                return
            try:
                self._tell()
            finally:
                telling.release()  # the same one, though a callback may have forked

    def _tell(self) -> None:
        while True:
            try:
                change = self._changes.get_nowait()
            except Empty:
                return
            for callback in self._callbacks.values():
                try:
                    callback(change)
                except Exception:  # noqa: BLE001 - somebody else's code; no call must suffer for it
                    _log.exception("a callback failed on a change of route %r", change.route)


_CLOSED: dict[str, Any] = {"state": "closed", "since": None, "until": None, "because": None}
_all: weakref.WeakSet[Health] = weakref.WeakSet()


def _after_fork() -> None:
    # Another thread may have held a lock at the fork, and will never give it back here.
    for health in tuple(_all):
        health._renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

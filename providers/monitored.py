"""Monitored: what a provider, a chain and a manager have in common for those who watch them."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakMethod

from ..middleware import Health, HealthChange
from ..pipeline import AsyncStack, Stack

if TYPE_CHECKING:
    from .prober import Prober
    from .status_server import StatusServer

__all__ = ["Monitored"]


class Monitored:
    """Status, changes, probes and an endpoint, for what has a `health` and stacks. Subclasses say which in `_stacks`.

    Attributes:
        health: the score that is kept.
    """

    health: Health
    _prober: Prober | None = None
    _status_server: StatusServer | None = None

    def _stacks(self) -> Iterable[Stack | AsyncStack]:
        raise TypeError(f"{type(self).__name__} needs a _stacks()")

    def status(self) -> dict[str, dict[str, Any]]:
        """How each route is doing, by its path; see `Health.status` for the fields."""
        stacks = tuple(self._stacks())
        return self.health.status(*stacks) if stacks else {}

    def on_change(self, callback: Callable[[HealthChange], object]) -> Callable[[], None]:
        """Has `callback` called when a route becomes sick or well or its breaker changes; see `Health.on_change`.

        `LogAlert()` and `WebhookAlert(url)` are ready ones.
        """
        return self.health.on_change(callback)

    def probe_every(self, interval: float = 60.0, *, timeout: float = 10.0, jitter: float = 0.1) -> Prober:
        """Has every route that can be probed asked now and then, from a thread, until this is closed.

        No chat request is made, and no breaker is asked or moved: what is found stands in the status, under `probe`,
        and two failed ones in a row make a route sick until one goes well. Adapters of an event loop are asked on the
        loop that is running now.

        Args:
            interval: seconds between two probes of one route.
            timeout: seconds for each.
            jitter: by what share of it an interval is longer or shorter, by chance.

        Raises:
            RuntimeError: if it is done already, or an event loop is needed and none is running.
            ValueError: if a number is out of its range.
        """
        from .prober import Prober

        if not 0 < timeout < float("inf"):
            raise ValueError(f"timeout must be a number of seconds, more than 0, not {timeout!r}")
        if self._prober is not None and self._prober.alive:
            raise RuntimeError("routes are probed already: close that Prober first")
        loop = None
        with suppress(RuntimeError):
            loop = asyncio.get_running_loop()
        if loop is None and any(inspect.iscoroutinefunction(probe.func) for probe in self._probes(timeout).values()):
            raise RuntimeError("these routes live on an event loop: call probe_every() where it is running")
        me = WeakMethod(self._probes)  # whoever drops this without closing it is not probed for ever

        def probes() -> Mapping[str, Callable[[], Any]]:
            found = me()
            return found(timeout) if found is not None else {}

        stacks = tuple(self._stacks())
        clock = stacks[0].clock if stacks else None
        prober = Prober(self.health, probes, interval=interval, jitter=jitter, clock=clock, loop=loop)
        prober.start()
        self._prober = prober
        return prober

    def _probes(self, timeout: float) -> dict[str, Any]:
        from .prober import probes_of

        return {path: probe for stack in self._stacks() for path, probe in probes_of(stack, timeout).items()}

    def serve_status(self, port: int = 0, host: str = "127.0.0.1") -> StatusServer:
        """Serves the status over HTTP, as JSON and for Prometheus, until this is closed; see `serve_status`.

        Args:
            port: to listen on; 0 takes a free one, which `server.url` tells.
            host: to listen on; only this machine is let in unless this says otherwise.

        Raises:
            RuntimeError: if it is done already.
            OSError: if the port cannot be had.
        """
        from .status_server import serve_status

        if self._status_server is not None and self._status_server.alive:
            raise RuntimeError(f"the status is served already, at {self._status_server.url}")
        self._status_server = serve_status(self, port, host)
        return self._status_server

    def _unwatch(self) -> None:
        """Ends the probes and the endpoint."""
        prober, self._prober = self._prober, None
        server, self._status_server = self._status_server, None
        if server is not None:
            server.close()
        if prober is not None:
            prober.close()

    async def _aunwatch(self) -> None:
        """The same without holding the event loop, on which a probe may be under way."""
        await asyncio.to_thread(self._unwatch)

"""Prober: asks each route now and then whether it would answer, so that a sick one is known before a request pays.

No chat request is made (see `Adapter.probe`), and no breaker is asked or moved: what is found is told to Health, and
stands in the status beside what attempts have shown.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from ..middleware import Health
from ..pipeline import AsyncStack, Clock, ProviderError, Stack
from ..pipeline.closing import Closing
from ..pipeline.complaints import logger
from .background import Background

__all__ = ["Prober", "probes_of"]

_log = logger()


class Prober(Closing):
    """Probes routes one after the other, in a thread of its own. Goes on in a forked child.

    Args:
        health: told what was found.
        probes: gives, by the path of each route, a function that asks it: `probes_of(stack)`. Asked anew each time, so
            that routes may come and go.
        interval: seconds between two probes of one route, more than 0.
        jitter: by what share of it an interval is longer or shorter, by chance, from 0 to 1: so a fleet does not ask
            as one.
        clock: time and chance; the real ones unless given.
        loop: the event loop on which probes run that are coroutines; needed for these only.

    Raises:
        ValueError: if a number is out of its range.
    """

    def __init__(
        self,
        health: Health,
        probes: Callable[[], Mapping[str, Callable[[], Any]]],
        *,
        interval: float = 60.0,
        jitter: float = 0.1,
        clock: Clock | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        if not 0 < interval < float("inf"):
            raise ValueError(f"interval must be a number of seconds, more than 0, not {interval!r}")
        if not 0 <= jitter <= 1:
            raise ValueError(f"jitter must be a share from 0 to 1, not {jitter!r}")
        self._health = health
        self._probes = probes
        self._interval = interval
        self._jitter = jitter
        self._clock = clock or Clock()
        self._loop = loop
        self._due: dict[str, float] = {}
        self._background = Background("prober", self.step)

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._background.alive

    def start(self) -> None:
        """Starts the thread, which asks all routes at once, and then each at its time.

        Raises:
            RuntimeError: if it was started before.
        """
        self._background.start()

    def close(self) -> None:
        """Ends the thread; a probe that is under way is waited for one second at most, and ends by its own timeout."""
        self._background.close()

    def step(self) -> float:
        """Asks the route that has been due for longest, if one is due; gives the seconds until the next one is."""
        probes = self._probes()
        now = self._clock.now()
        self._due = {path: self._due.get(path, now) for path in probes}
        if not probes:
            return self._interval
        path = min(self._due, key=self._due.__getitem__)
        if self._due[path] <= now:
            self._ask(path, probes[path])
            spread = self._clock.uniform(1.0 - self._jitter, 1.0 + self._jitter)
            self._due[path] = self._clock.now() + self._interval * spread
        return max(0.0, min(self._due.values()) - self._clock.now())

    def _ask(self, path: str, probe: Callable[[], Any]) -> None:
        start = self._clock.now()
        error: ProviderError | None = None
        try:
            found = probe()
            if inspect.isawaitable(found):
                self._await(found)
        except ProviderError as raised:
            error = raised.detached()
        except Exception:  # noqa: BLE001 - a bug, which says nothing of the route
            _log.exception("the probe of route %r failed", path)
            return
        self._health.probed(path, self._clock.now() - start, error)

    def _await(self, found: Any) -> None:
        if self._loop is None:
            found.close()
            raise TypeError("a probe that is a coroutine needs Prober(loop=...)")
        asyncio.run_coroutine_threadsafe(found, self._loop).result()


def probes_of(stack: Stack | AsyncStack, timeout: float = 10.0) -> dict[str, Callable[[], Any]]:
    """What asks each route of a stack that can be asked, stacks inside included; see `Adapter.probe`.

    Args:
        stack: whose routes.
        timeout: seconds for each probe, more than 0.
    """
    return {
        path: partial(route.handler.probe, route.model, timeout)
        for path, route in stack.leaves()
        if callable(getattr(route.handler, "probe", None))
    }

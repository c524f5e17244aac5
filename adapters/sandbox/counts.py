"""What a server counts: requests, connections, and how many at once. One lock, one condition."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from threading import Condition

from .seen import Seen


class Counts:
    """The counters of one server, safe between threads.

    `condition` guards them all; it is notified after each change, so that a test can wait for a state
    instead of sleeping.
    """

    def __init__(self) -> None:
        self.condition = Condition()
        self.seen: list[Seen] = []
        self.chats = 0
        self.connections = 0
        self.open = 0
        self.in_flight = 0
        self.peak = 0

    def reset(self) -> None:
        """Forget the past; what is open or in flight stays counted."""
        with self.condition:
            self.seen.clear()
            self.chats = self.connections = 0
            self.peak = self.in_flight
            self.condition.notify_all()

    def opened(self) -> None:
        """A connection was accepted."""
        with self.condition:
            self.connections += 1
            self.open += 1
            self.condition.notify_all()

    def closed(self) -> None:
        """A connection is about to be closed."""
        with self.condition:
            self.open -= 1
            self.condition.notify_all()

    def arrived(self, seen: Seen) -> Seen:
        """A request arrived.

        Args:
            seen: the request, without its number.

        Returns:
            The same with its number.
        """
        with self.condition:
            numbered = replace(seen, number=len(self.seen) + 1)
            self.seen.append(numbered)
            self.condition.notify_all()
            return numbered

    def chat_began(self) -> None:
        """A chat request is being answered from now on."""
        with self.condition:
            self.chats += 1
            self.in_flight += 1
            self.peak = max(self.peak, self.in_flight)
            self.condition.notify_all()

    def chat_ended(self) -> None:
        """A chat request is not being answered any more."""
        with self.condition:
            self.in_flight -= 1
            self.condition.notify_all()

    def wait_until(self, true: Callable[[], bool], timeout: float) -> bool:
        """Wait until `true` returns True; it is asked after each change.

        Args:
            true: what to wait for.
            timeout: seconds.

        Returns:
            Whether it came true in time.
        """
        with self.condition:
            return self.condition.wait_for(true, timeout)

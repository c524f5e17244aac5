"""A gate that makes "n requests at the same time" certain instead of likely."""

from __future__ import annotations

from collections.abc import Callable
from threading import Condition
from time import monotonic
from types import TracebackType
from typing import Literal

from .answer import check_amount, check_count

_LOOK = 0.05  # seconds between two looks whether a waiting client is still there


class Hold:
    """Holds every chat answer back until `size` of them wait, then lets all go, and all later ones.

    As a context manager it stops holding when the block is left.

    Args:
        size: how many requests must wait at once.
        timeout: seconds after which the first waiting request gives up, and all others with it.
    """

    def __init__(self, size: int, timeout: float) -> None:
        self.size = check_count(size, "hold", least=1)
        self.timeout = check_amount(timeout, "timeout")
        self._condition = Condition()
        self._waiting = 0
        self._state: Literal["closed", "open", "broken"] = "closed"
        self._complaint = ""

    def __enter__(self) -> Hold:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    @property
    def waiting(self) -> int:
        """How many requests are waiting now."""
        with self._condition:
            return self._waiting

    def release(self) -> None:
        """Let all go that wait, and all that come."""
        with self._condition:
            self._state = "open"
            self._condition.notify_all()

    def wait(self, gone: Callable[[], bool]) -> str | None:
        """Wait at the gate.

        Args:
            gone: whether the client has gone, or the server is closing; then there is no use in waiting.

        Returns:
            None to go on, or the complaint to answer with if the others never came.
        """
        with self._condition:
            deadline = monotonic() + self.timeout
            self._waiting += 1
            if self._waiting >= self.size and self._state == "closed":
                self.release()
            try:
                while self._state == "closed" and not gone():
                    left = deadline - monotonic()
                    if left <= 0:
                        self._state = "broken"
                        self._complaint = (
                            f"sandbox: hold({self.size}) gave up after {self.timeout:g} s: "
                            f"only {self._waiting} of {self.size} requests came"
                        )
                        self._condition.notify_all()
                    else:
                        self._condition.wait(min(left, _LOOK))
            finally:
                self._waiting -= 1
            return self._complaint if self._state == "broken" else None

"""Call and Attempt: the ledger of one logical call, shared by every layer that the call passes through.

Retries and routes multiply unless somebody counts them together. The Call is that somebody: one cap on
attempts, one deadline, one place where each attempt is written down.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .clock import Clock
from .complaints import complain
from .errors import DeadlineExceeded, ErrorClass, ProviderError

if TYPE_CHECKING:
    from .chunk import Usage
    from .events import Event
    from .spending import PriceTable

__all__ = ["Attempt", "Call", "Observer"]

_CLOCK = Clock()

Observer = Callable[["Event"], None]
"""Anything that wants to know: called with each event of a call, in the thread where it happened.

That may be a thread in the middle of a garbage collection, when a dropped stream ends: an observer must not wait for a
lock. (A `queue.SimpleQueue` takes what it hears without one; Health does so.)
"""


@dataclass(slots=True)
class Attempt:
    """One real try at one adapter: one HTTP request, one process run, one SDK call. Times are the call's clock.

    Attributes:
        number: 1 for the first attempt of the call.
        route, provider, model: where it went.
        resend: how many attempts of the call went to the same route before this one.
        started, first_event, ended: seconds; None for what has not happened yet.
        outcome: "running", "ok", "error", or "closed" (the caller gave up; nobody's failure).
        error_class, reason, status, retry_after: of its error, if it had one.
        usage: tokens, or None where the provider told none.
        events: how many chunks its stream brought; 0 for a complete reply.
    """

    number: int
    route: str
    provider: str
    model: str
    resend: int
    started: float
    first_event: float | None = None
    ended: float | None = None
    outcome: str = "running"
    error_class: ErrorClass | None = None
    reason: str = ""
    status: int | None = None
    retry_after: float | None = None
    usage: Usage | None = None
    events: int = 0

    @property
    def duration(self) -> float | None:
        """Seconds from start to end, or None while it runs."""
        return None if self.ended is None else self.ended - self.started


class Call:
    """The ledger of one logical call: deadline, attempts made, routes left, observers. Travels with the Request.

    Attributes:
        clock: time, sleep and random of this call.
        cap: how many attempts the call may make in all.
        attempts: every attempt so far, in order.
        observers: who hears of everything.
        deciding: who hears of everything but attempts.
        deadline: the moment on the clock after which nothing is begun, or None.
        routes_left: untried leaf routes that a router may still choose after the present one.
        spent: whether a route was left untried because the cap was reached.
        prices: what the call is counted by, or None.
        forced: whether a router wants a route tried although its breaker is open.
        slots: what layers keep for the length of the call, by a key of their own.
    """

    __slots__ = (
        "attempts",
        "cap",
        "clock",
        "deadline",
        "deciding",
        "forced",
        "observers",
        "prices",
        "routes_left",
        "slots",
        "spent",
    )

    def __init__(self, clock: Clock = _CLOCK, cap: int = 6, observers: Sequence[Observer] = ()) -> None:
        """Opens a ledger.

        Args:
            clock: where time, sleep and random come from.
            cap: attempts allowed in all, 1 or more.
            observers: called with every event.
        """
        self.clock = clock
        self.cap = cap
        self.observers: tuple[Observer, ...] = tuple(observers)
        self.deciding: tuple[Observer, ...] = ()
        self.attempts: list[Attempt] = []
        self.deadline: float | None = None
        self.routes_left = 0
        self.spent = False
        self.forced = False
        self.prices: PriceTable | None = None
        self.slots: dict[Any, Any] = {}

    @property
    def attempts_left(self) -> int:
        """How many attempts may still be made."""
        return self.cap - len(self.attempts)

    @property
    def time_left(self) -> float | None:
        """Seconds until the deadline, 0 if it has passed, None if there is none."""
        return None if self.deadline is None else max(0.0, self.deadline - self.clock.now())

    def fits(self, seconds: float) -> bool:
        """Whether a wait of that many seconds would end before the deadline."""
        return self.deadline is None or self.clock.now() + seconds < self.deadline

    def too_late(self) -> DeadlineExceeded:
        """The error to raise in place of something that does not fit the deadline."""
        error = DeadlineExceeded("the call's deadline has passed", attempts=self.attempts)
        error.deadline = self.deadline
        return error

    def is_over(self, error: ProviderError) -> bool:
        """Whether the error means that the time of the whole call is up, so that nothing more may be tried."""
        if not isinstance(error, DeadlineExceeded) or self.deadline is None:
            return False
        return error.deadline is None or error.deadline >= self.deadline

    def observe(self, observer: Observer, attempts: bool = True) -> None:
        """Adds an observer for the rest of the call.

        Args:
            observer: called with each event.
            attempts: False if it need not hear of attempts that begin and end: they are by far the most events, and
                are not even made where nobody wants them.
        """
        if attempts:
            self.observers = (*self.observers, observer)
        else:
            self.deciding = (*self.deciding, observer)

    def emit(self, event: Event, attempt: bool = False) -> None:
        """Tells the observers. One that raises is logged and never breaks the call.

        Args:
            event: what has happened.
            attempt: whether that is an attempt's beginning or end, of which not all want to hear.
        """
        for observer in self.observers if attempt else (*self.observers, *self.deciding):
            try:
                observer(event)
            except Exception:  # noqa: BLE001 - somebody else's code; the call must not suffer for it
                complain("observer %r failed on %s", observer, type(event).__name__)

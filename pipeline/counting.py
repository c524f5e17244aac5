"""The innermost wrapper of every route: it counts.

A Stack puts it around every leaf, whatever the leaf is (an adapter, a wrapped client, a user's function), so
that an attempt is counted where it really leaves and nowhere else.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Coroutine
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, TypeAlias

from .around import Around
from .call import Attempt, Call
from .complaints import complain
from .errors import AttemptsSpent, ProviderError, RouteRefused
from .events import AttemptEnded, AttemptStarted, StreamBroke
from .layer import Layer
from .reply import Outcome, Reply
from .request import Request
from .spending import PriceTable

__all__ = ["Count"]

_Kept: TypeAlias = tuple[Call, Attempt, Request]
_OK = Outcome.OK  # whose `value` takes as long to read as all else at the end of a good attempt


@dataclass(frozen=True)
class Count(Around, Layer):
    """Opens and closes the Attempt in the ledger, tells observers, and refuses beyond the cap.

    Args:
        route: the name of the route whose leaf is wrapped.
        provider: the name of who answers there.
    """

    route: str = ""
    provider: str = ""
    kind: ClassVar[str] = "count"
    # Not annotated, so no fields: it is no part of the user's list, and has no say in these. No layer of a
    # user's has this name, so nobody switches the counting off by accident.
    name = "<count>"
    scope = "route"

    def rehearsal(self) -> Count:
        """Itself: it writes into the call's ledger only."""
        return self

    def before(self, request: Request) -> _Kept:
        """Opens an attempt."""
        call = request.call
        if len(call.attempts) >= call.cap:
            raise AttemptsSpent(f"the call has made its {call.cap} attempts", route=self.route, provider=self.provider)
        route = f"{request.path}/{self.route}" if request.path else self.route
        attempts, before = call.attempts, 0
        for earlier in attempts:
            before += earlier.route == route
        attempt = Attempt(len(attempts) + 1, route, self.provider, request.model, before, call.clock.now())
        attempts.append(attempt)
        if call.observers:
            call.emit(AttemptStarted(attempt), attempt=True)
        return call, attempt, request

    def after(self, kept: _Kept, reply: Reply) -> None:
        """Writes into the reply what it does not know itself, and ends the attempt with it."""
        call, attempt, request = kept
        if not isinstance(reply, Reply):
            raise _no_reply(self.route, reply)
        attempt.first_event = now = call.clock.now()
        reply.attempts = call.attempts
        if request.changes:
            reply.changes = {**request.changes, **reply.changes}
        if not reply.provider:
            reply.provider = self.provider
        if not reply.model:
            reply.model = request.model

        if reply.outcome is None:
            reply.on_end(partial(_settle, call, attempt))
        elif reply.outcome is _OK and call.prices is None and not call.observers:  # `_settle` at hand: by far the most
            attempt.usage, attempt.events = reply.usage, reply.events_seen
            attempt.ended, attempt.outcome = now, "ok"
        else:
            _settle(call, attempt, reply)

    def failed(self, kept: _Kept, error: BaseException) -> None:
        """Ends the attempt with the error."""
        call, attempt, _ = kept
        _end(call, attempt, error)


def _settle(call: Call, attempt: Attempt, reply: Reply) -> None:
    if call.prices is not None:
        _price(call.prices, attempt, reply)
    attempt.usage = reply.usage
    attempt.events = reply.events_seen
    _end(call, attempt, reply.error, reply.outcome)
    if reply.outcome is Outcome.ERROR:
        call.emit(StreamBroke(attempt))


def _no_reply(route: str, given: object) -> TypeError:
    advice = ""
    if isinstance(given, Coroutine):
        given.close()  # nobody will await it
        advice = ": an async handler belongs into an AsyncStack"
    return TypeError(f"the handler of {route!r} returned {type(given).__name__}, not a Reply{advice}")


def _price(prices: PriceTable, attempt: Attempt, reply: Reply) -> None:
    """Puts the cost into the usage, if the provider told none; of an answer that is not whole it is not known."""
    usage = reply.usage
    if usage is None or usage.cost is not None or reply.outcome is not Outcome.OK:
        return
    try:
        cost = prices.cost(usage, reply.model or attempt.model, attempt.provider)
    except Exception:  # noqa: BLE001 - a price list must not break an answer
        complain("the price of %r could not be told", attempt.model)
        return
    reply.usage = dataclasses.replace(usage, cost=cost)


def _end(call: Call, attempt: Attempt, error: BaseException | None, outcome: Outcome | None = None) -> None:
    if attempt.ended is not None:  # whoever told of the end was interrupted, and the interrupt is no second end
        return
    attempt.ended = call.clock.now()
    if isinstance(error, ProviderError) and not isinstance(error, RouteRefused):
        attempt.outcome = "error"
        attempt.error_class = error.error_class
        attempt.reason = error.reason
        attempt.status = error.status
        attempt.retry_after = error.retry_after
        if attempt.usage is None and error.partial is not None:
            attempt.usage = error.partial.usage  # told before the first event, with which there would be a reply
        error.route = error.route or attempt.route
        error.provider = error.provider or attempt.provider
        error.model = error.model or attempt.model
        error.attempts = call.attempts
    elif isinstance(error, Exception):
        attempt.outcome, attempt.reason = "error", type(error).__name__
    else:
        # No error at all: as the reply says. An interrupt or a cancellation: the caller's, nobody's failure.
        attempt.outcome = "closed" if outcome is None else "ok" if outcome is _OK else outcome.value
    if call.observers:
        call.emit(AttemptEnded(attempt), attempt=True)

"""Fleet: circuits that many processes share through Redis, so that what one has learnt of a route all know.

Theory. Each process keeps the state machine of `circuit.py`, by which it admits and judges at any time, and the fleet
has a record of the route. Before an admission the process asks the fleet, in one round trip that also tells what is
new here; in between, and while Redis is away, it goes by what it knows.

    the fleet's answer            what this process does
    the era that it knew          goes on as it was; failures and rest of others are added to its own
    the era that it has begun     the same: its change of state, or its turn to probe, is now everybody's
    another era                   takes the state over: a new generation, so that what is under way is late
    none                          goes on by itself, and tells all that happened when Redis is back

Closed and open are the fleet's states. Half-open is an open one whose break is over: a probe then needs a lease from
the fleet, which gives as many as `probes` says, and one to a process. A lease ends by a verdict, by a new era, or by
itself; the process's own lease of the same length began earlier, so that it never outlives the fleet's. Without Redis,
and when it has lost its records, the most there can be is one probe in each process.

What the fleet shares is the state and its break, failures in a row, openings, rest, and `isolate()` and `close()`. The
share of failures and of slow ones is each process's own; what it leads to is everybody's.

An answer is good for a moment, and no longer than until the next failure: so of a provider that dies, each thread of
each process meets at most one failure before it asks.
"""

from __future__ import annotations

import secrets
import threading
from typing import Any, NamedTuple

from .circuit import Circuit
from .fleet_link import Link
from .permit import CLOSED, HALF_OPEN, ISOLATED, OPEN, Change, Permit, Refusal, Rules, Verdict
from .redis_storage import Said, Unsaid, View

__all__ = ["FleetCircuit"]

_NEVER = float("-inf")
# The era in which all begin: closed, and nothing has happened.
_FIRST = "0"


class _Question(NamedTuple):
    who: str
    answered: threading.Event


class FleetCircuit(Circuit):
    """The circuit of one route in one process, joined with the fleet's. Thread-safe."""

    def __init__(self, rules: Rules, route: str, link: Link) -> None:
        """Starts closed, in the era in which nothing has happened.

        Args:
            rules: the numbers; of all processes the same.
            route: its name, by which the fleet knows it.
            link: the way to Redis.
        """
        self._storage = link.storage(route)
        super().__init__(rules, route, self._storage)
        self._storage.unsaid = Unsaid()
        self._link = link
        self._era = _FIRST
        self._ask_at = _NEVER
        self._asking: _Question | None = None
        self._now = 0.0  # the latest moment that is known, for what the thread does
        self._by_hand = 0  # how often a person has intervened since the fleet was last told of it
        self._lease = ("", _NEVER)  # whom the fleet has let probe, and until when
        self._queued: object = None  # the queue that this circuit is in

    # -- asking ----------------------------------------------------------------------------------------------

    def due(self, now: float) -> bool:
        """Whether the caller is to `ask` before it is admitted: the last answer is no longer good, or on its way."""
        return (now >= self._ask_at or self._asking is not None) and not self._link.away(now)

    def ask(self, now: float, lease: float) -> Change | None:
        """Exchanges what is known with the fleet: one round trip, which never raises. Who comes meanwhile waits for it.

        Args:
            now: the moment.
            lease: how long a probe may take to its first event, in seconds; a probe is asked for if one is possible.

        Returns:
            The change of state that came of it, for the observers of the call.
        """
        question = _Question(self._link.me, threading.Event())
        with self._lock:
            other = self._asking
            if other is not None and other.who != question.who:
                other = None  # a fork took it along, and nobody here will answer it
            mine = other is None and now >= self._ask_at and self._link.ready(now)
            if mine:
                self._asking = question
        self._sweep()
        if other is not None:
            other.answered.wait(self._link.patience)
        if not mine:
            return None
        try:
            self._link.start()
            return self._exchange(now, lease)
        finally:
            self._asking = None
            question.answered.set()

    def _tell_fleet(self) -> None:
        """What the thread does: the same without a question. A state to be taken over is left for who asks."""
        self._queued, now = None, self._now
        if self._has_news() and self._link.ready(now):
            self._exchange(now, None)

    def _exchange(self, now: float, lease: float | None) -> Change | None:
        said, view = self._say(now, lease), None
        try:
            view = self._link.exchange(self._storage, said, now)
        finally:  # if it is interrupted, everything is still to be said
            change = self._hear(said, view, now, follow=lease is not None)
        return change

    def _say(self, now: float, lease: float | None) -> Said:
        """What there is to tell; without a lease, there is no question in it."""
        with self._lock:
            if lease is not None:
                self._now, self._ask_at = now, now + self._link.fresh
            unsaid, self._storage.unsaid = self._storage.unsaid, Unsaid()
            said = Said(
                era=self._era,
                next=secrets.token_hex(8),
                me=self._link.me,
                by_hand=self._by_hand,
                unsaid=unsaid,
                state=ISOLATED if self._isolated else CLOSED if self._state == CLOSED else OPEN,
                wait=0.0 if self._until is None else self._until - now,
                openings=self._openings,
                failures=self._storage.counter,
                because=self._because,
                rest=0.0 if self._rest_until is None else self._rest_until - now,
                rest_because=self._rest_because,
                lease=lease if lease is not None and self._may_probe(now) else 0.0,
                probes=self._rules.probes,
            )
        self._sweep()
        return said

    def _hear(self, said: Said, view: View | None, now: float, follow: bool = True) -> Change | None:
        """Takes the fleet's answer in; `now` is when it was asked."""
        with self._lock:
            before = self._state
            if self._era != said.era:  # somebody has heard later news meanwhile; a lease in this answer runs out
                self._ask_at = _NEVER
            elif view is None:
                self._storage.unsaid = said.unsaid.then(self._storage.unsaid)
            else:
                self._join(said, view, now, follow)
            change = self._change(before) if self._state != before else None
        self._sweep()
        return change

    def _join(self, said: Said, view: View, now: float, follow: bool) -> None:
        if view.era == said.next:
            self._era = view.era
            if said.by_hand == self._by_hand:
                self._by_hand = 0
        elif view.era != said.era:
            if not follow or self._by_hand:  # who asks next follows; what a person wants goes before the fleet
                self._ask_at = _NEVER
                return
            self._follow(view, now)
        unsaid = self._storage.unsaid
        if not (unsaid.moved or unsaid.cleared):
            self._storage.counter = view.failures + unsaid.failed
            self._dirty = self._storage.counter > 0
        if view.rest > 0 and (self._rest_until is None or now + view.rest > self._rest_until):
            self._rest_until, self._rest_because = now + view.rest, view.rest_because
        if self._state == view.state == OPEN and not unsaid.moved:
            self._until = now + view.wait
        if view.granted:
            self._lease = said.me, now + said.lease

    def _follow(self, view: View, now: float) -> None:
        """Takes the fleet's state over, whatever it was here. The machine is moved even if its state is the same."""
        self._era = view.era
        self._isolated = view.state == ISOLATED
        if view.state == OPEN:
            self._machine.open()
        else:
            self._machine.close()
        self._forget()
        self._since = now
        self._rest_until = self._rest_because = None
        self._lease = ("", _NEVER)
        if view.state == OPEN:
            self._until, self._because, self._openings = now + view.wait, view.because, view.openings
        self._storage.unsaid = Unsaid()

    # -- probes ----------------------------------------------------------------------------------------------

    def _may_probe(self, now: float) -> bool:
        """Whether a lease would be used: not while a probe of our own is silent, or as many are under way as may be."""
        live = [permit for permit in self._probes if permit.lease is not None and permit.lease > now]
        return len(live) <= self._rules.probes and all(permit.reply is not None for permit in live)

    def _probe(self, now: float, lease: float) -> Permit | Refusal:
        if self._link.outage:
            return super()._probe(now, lease)
        holder, until = self._lease
        if holder != self._link.me or until <= now:  # nobody's turn here; or a fork took it along
            return Refusal(HALF_OPEN, min(lease, self._rules.break_min), self._because)
        answer = super()._probe(now, min(lease, until - now))
        if isinstance(answer, Permit):
            self._lease = ("", _NEVER)
        return answer

    # -- news ------------------------------------------------------------------------------------------------

    def _take(self, result: Any) -> None:
        generation, probing = self._generation, result.permit in self._probes
        super()._take(result)
        if result.verdict not in (Verdict.GOOD, Verdict.NONE):
            self._ask_at = _NEVER
        same = self._generation == generation == result.permit.generation
        rested = same and result.verdict is Verdict.REST
        self._now = max(self._now, result.now)
        self._note(Unsaid(rested=rested, release=same and probing))

    def _note(self, news: Unsaid) -> None:
        """Has the thread tell the fleet what is new, if there is something. Never waits."""
        self._storage.unsaid = self._storage.unsaid.then(news)
        if self._has_news() and self._queued is not self._link.queue:
            self._queued = self._link.queue
            self._link.queue.put(self._tell_fleet)

    def _has_news(self) -> bool:
        return self._by_hand > 0 or self._storage.unsaid != Unsaid()

    def isolate(self, now: float | None = None) -> None:
        """Admits nobody, in the whole fleet, until `close()`."""
        super().isolate(now)
        self._force()

    def close(self, now: float | None = None) -> None:
        """Closes, in the whole fleet, whatever the state; failures, breaks and rest are forgotten."""
        super().close(now)
        self._force()

    def _force(self) -> None:
        self._link.start()
        with self._lock:
            self._by_hand += 1
            self._note(Unsaid())
        self._sweep()

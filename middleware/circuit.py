"""Circuit: the state machine of one breaker. Pure: it is told the time, does no I/O, and calls nobody.

Theory. Each try needs a permit, and brings it back with a verdict. Between the two, no lock is held: pybreaker
keeps the state, the count of failures in a row and the storage, but is driven step by step from outside
(`pybreaker.CircuitBreaker.call` would hold its lock for the whole try, and let one through at a time).

    state        event                               next state
    closed       5 failures in a row                 open, for a break
    closed       half of 10 or more recent tries bad open, for a break
    closed       enough of them slow                 open, for a break
    closed       a fatal error (bad key, no credit)  open, for a long break
    open         the break is over, somebody asks    half-open
    half-open    a probe went well                   closed
    half-open    a probe failed, or was slow         open, for a longer break
    any          isolate()                           isolated
    any          close()                             closed

Half-open admits one probe, on a lease: a probe that never reports expires. A permit belongs to a generation,
which every change of state ends: a result that comes late changes nothing. A verdict is good, slow, bad, fatal, a
wish for rest, or none at all; none at all (an error that is the caller's fault, a cancelled call) is not a
success, and moves nothing.

Beside the state there is rest: a route that asked to be left alone (a rate limit with Retry-After) admits
nobody until then. Rest is no failure.

Settling never waits. A reply may be settled by the garbage collector, in a thread that holds this very lock;
so verdicts go through a queue, and whoever gets the lock empties it.
"""

from __future__ import annotations

import itertools
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeAlias

import pybreaker

from ..pipeline import ProviderError, Reply
from .permit import CLOSED, HALF_OPEN, ISOLATED, OPEN, RESTING, Change, Permit, Refusal, Rules, Verdict
from .window import Window

__all__ = ["Circuit", "Circuits"]


class _Result(NamedTuple):
    permit: Permit
    verdict: Verdict
    error: ProviderError | None
    now: float
    random: Callable[[], float]
    tell: Callable[[Change], None]


# Of changes: threads may tell theirs in another order than they happened in.
_numbers = itertools.count(1)
_Told: TypeAlias = tuple[Callable[[Change], None], Change]


class _Bad(Exception):
    """Stands for any failure in pybreaker's count, so that no real error, with its frames, is kept there."""


class _Generations(pybreaker.CircuitBreakerListener):
    def __init__(self, circuit: Circuit) -> None:
        self._circuit = circuit

    def state_change(self, cb: Any, old_state: Any, new_state: Any) -> None:
        self._circuit._state_changed(new_state.name)


class Circuit:
    """The breaker of one route. Thread-safe; every time is given in seconds on the callers' clock."""

    def __init__(self, rules: Rules, name: str = "", storage: pybreaker.CircuitBreakerStorage | None = None) -> None:
        """Starts closed.

        Args:
            rules: the numbers.
            name: of the route, for pybreaker.
            storage: pybreaker's, which must not wait; in memory unless given.
        """
        self._rules = rules
        self._lock = threading.Lock()
        self._results: SimpleQueue[_Result] = SimpleQueue()
        self._window = Window(rules.window)
        self._isolated = False
        self._openings = 0
        self._generation = 0
        self._number = next(_numbers)  # being made is its first change: it may take the place of another
        self._dirty = False  # whether pybreaker counts failures that a success would have to clear
        self._probes: list[Permit] = []
        self._until: float | None = None
        self._rest_until: float | None = None
        self._because: ProviderError | None = None
        self._rest_because: ProviderError | None = None
        self._state = CLOSED
        self._since: float | None = None
        self._machine = pybreaker.CircuitBreaker(
            fail_max=rules.failures,
            name=name,
            listeners=[_Generations(self)],
            state_storage=storage,
            throw_new_error_on_trip=False,
        )

    # -- admission -----------------------------------------------------------------------------------------

    def admit(self, now: float, lease: float, tell: Callable[[Change], None]) -> Permit | Refusal:
        """A permit for one try, or why there is none.

        Args:
            now: the moment.
            lease: how long a probe may take to its first event, in seconds.
            tell: called with each change of state, outside the lock.
        """
        with self._lock:
            changes = None if self._results.empty() else self._drain()
            before = self._state
            answer = self._admit(now, lease)
            if self._state != before:
                changes = [*(changes or ()), (tell, self._change(before))]
        if changes:
            _tell(changes)
        self._sweep()
        return answer

    def _admit(self, now: float, lease: float) -> Permit | Refusal:
        if self._isolated:
            return Refusal(ISOLATED, None, None)
        if self._state == OPEN:
            until = self._later(self._until)
            if until is not None and now < until:
                return Refusal(OPEN, until - now, self._because)
            self._machine.half_open()
            self._since = now
            self._until = None
        if self._rest_until is not None:
            if now < self._rest_until:
                return Refusal(RESTING, self._rest_until - now, self._rest_because)
            self._rest_until = self._rest_because = None
        if self._state == CLOSED:
            return Permit(self._generation, now)
        return self._probe(now, lease)

    def _later(self, until: float | None) -> float | None:
        """The later of a moment and the end of the rest, as far as there are any."""
        return max((moment for moment in (until, self._rest_until) if moment is not None), default=None)

    def _probe(self, now: float, lease: float) -> Permit | Refusal:
        for permit in self._probes:
            reply = permit.reply() if permit.reply is not None else None
            if reply is not None and reply.events_seen > permit.seen:
                permit.seen = reply.events_seen
                permit.lease = now + permit.gap
        self._probes = [permit for permit in self._probes if permit.lease is not None and permit.lease > now]
        silent = [permit for permit in self._probes if permit.reply is None]
        # One further probe may start once another one's stream has begun to arrive.
        if len(silent) >= self._rules.probes or len(self._probes) > self._rules.probes:
            # The lease says when the probe is given up at the latest; most are over far sooner.
            ends = min(permit.lease for permit in self._probes if permit.lease is not None)
            return Refusal(HALF_OPEN, min(ends - now, self._rules.break_min), self._because)
        permit = Permit(self._generation, now, now + lease)
        self._probes.append(permit)
        return permit

    def arriving(self, permit: Permit, reply: Reply, now: float, gap: float) -> None:
        """Tells that a probe's stream has begun to arrive: from now on each event renews its lease by `gap`."""
        with self._lock:
            permit.reply, permit.seen, permit.gap = weakref.ref(reply), reply.events_seen, gap
            permit.lease = now + gap
        self._sweep()

    # -- settlement ----------------------------------------------------------------------------------------

    def settle(
        self,
        permit: Permit,
        verdict: Verdict,
        error: ProviderError | None,
        now: float,
        random: Callable[[], float],
        tell: Callable[[Change], None],
    ) -> None:
        """Brings a permit back. Never waits: if the lock is taken, its holder takes the verdict in.

        Args:
            permit: as admitted.
            verdict: what the try says about the route.
            error: the error behind a verdict that is not good.
            now: the moment.
            random: a float in [0, 1) when called.
            tell: called with each change of state, outside the lock.
        """
        self._results.put(_Result(permit, verdict, error, now, random, tell))
        self._sweep()

    def admit_closed(self) -> int | None:
        """The generation of a closed circuit to which nothing has happened; None if it takes more to say.

        It is all there is to the usual permit. Takes no lock: a change of state at this moment makes the permit one of
        the past, as if it had come just before.
        """
        generation = self._generation  # first: what is seen after it may only be newer
        if self._state != CLOSED or self._isolated or self._rest_until is not None or not self._results.empty():
            return None
        return generation

    def settle_good(self, generation: int, sent: float, now: Callable[[], float]) -> bool:
        """Brings a permit of the usual kind back, with the usual verdict, if it can be done at once; False if not.

        A closed circuit has nothing to tell then, and the queue is spared, which costs more than all the rest.
        """
        if self._state != CLOSED or not self._lock.acquire(False):  # by name it takes twice as long
            return False
        try:
            if self._state != CLOSED or self._dirty or not self._results.empty():
                return False
            if generation == self._generation and not self._isolated:
                self._window.add_good(sent, now)
        finally:
            self._lock.release()
        if not self._results.empty():
            self._sweep()
        return True

    def _sweep(self) -> None:
        # Again and again: a verdict may have been queued while the lock was ours, and its bringer has left.
        while not self._results.empty():
            if not self._lock.acquire(blocking=False):
                return
            try:
                changes = self._drain()
            finally:
                self._lock.release()
            _tell(changes)

    def _drain(self) -> list[_Told]:
        changes: list[_Told] = []
        while not self._results.empty():  # only the holder of the lock takes out
            result = self._results.get_nowait()
            before, rest = self._state, self._rest_until
            self._take(result)
            if self._state != before:
                changes.append((result.tell, self._change(before)))
            elif self._rest_until is not None and (rest or 0.0) <= result.now < self._rest_until:
                changes.append((result.tell, Change(before, RESTING, self._rest_because, self._rest_until)))
        return changes

    def _take(self, result: _Result) -> None:
        permit, verdict, now = result.permit, result.verdict, result.now
        if permit.generation != self._generation or self._isolated:
            return
        if permit.lease is not None:
            if permit not in self._probes:
                return  # its lease ran out, and somebody else may be probing
            self._probes.remove(permit)
        if verdict is Verdict.GOOD:
            self._good(permit, now)
        elif verdict is Verdict.SLOW:
            self._slow(result)
        elif verdict is Verdict.BAD:
            self._bad(result)
        elif verdict is Verdict.FATAL:
            self._open(result, self._long(result))
        elif verdict is Verdict.REST and result.error is not None and result.error.retry_after is not None:
            until = now + result.error.retry_after
            if self._rest_until is None or until > self._rest_until:
                self._rest_until, self._rest_because = until, result.error.detached()

    def _good(self, permit: Permit, now: float, slow: bool = False) -> None:
        if self._state == HALF_OPEN:
            self._record(None)  # pybreaker closes
            self._since = now
            self._forget()
        elif self._dirty:
            self._record(None)
            self._dirty = False
        self._window.add(True, now, permit.sent, slow)

    def _slow(self, result: _Result) -> None:
        """An answer that let itself be waited for: no failure in a row, but too many of them are one trouble."""
        if self._state == HALF_OPEN:
            self._bad(result)
            return
        self._good(result.permit, result.now, slow=True)
        count = sum(self._window.counts(result.now))
        if count >= self._rules.minimum and self._window.slow(result.now) >= self._rules.slow_ratio * count:
            self._break(result)

    def _bad(self, result: _Result) -> None:
        self._window.add(False, result.now, result.permit.sent)
        self._dirty = True
        before = self._generation
        self._record(_Bad())  # pybreaker opens at the last of so many failures, or at a probe's failure
        good, bad = self._window.counts(result.now)
        enough = good + bad >= self._rules.minimum and bad >= self._rules.ratio * (good + bad)
        if self._generation != before or enough:
            self._break(result)

    def _break(self, result: _Result) -> None:
        longest = min(self._rules.break_max, self._rules.break_min * 2.0 ** min(self._openings, 1000))
        self._open(result, self._jittered(longest, result))

    def _jittered(self, longest: float, result: _Result) -> float:
        """Equal jitter: half of it sure, half by chance, so that a fleet does not come back as one."""
        return longest / 2 + longest / 2 * result.random()

    def _long(self, result: _Result) -> float:
        """The date given, if one was: a Retry-After below the first break is no date, but somebody's default."""
        given = result.error.retry_after if result.error is not None else None
        if given is not None and given >= self._rules.break_min:
            return given
        return self._jittered(self._rules.long_break, result)

    def _open(self, result: _Result, duration: float) -> None:
        """Opens for that many seconds, or longer if there is a longer Retry-After."""
        error = result.error
        if error is not None and error.retry_after is not None:
            duration = max(duration, error.retry_after)
        if self._state != OPEN:
            self._machine.open()
        self._openings += 1
        self._until = result.now + duration
        self._since = result.now
        self._because = error.detached() if error is not None else None
        self._window.clear()

    def _record(self, failure: _Bad | None) -> None:
        """One step of pybreaker's own machine; under our lock, around nothing, so its lock is free at once."""
        with suppress(_Bad, pybreaker.CircuitBreakerError):  # what it is told, it hands back
            self._machine.call(_report, failure)
        if failure is not None:
            # Its frames hold it, it holds them and the real error: a cycle, with the prompt in it.
            failure.__traceback__ = failure.__context__ = None

    def _state_changed(self, state: str) -> None:
        self._state = state
        self._next()

    def _next(self) -> None:
        """Begins a new generation."""
        self._generation += 1
        self._number = next(_numbers)
        self._probes = []

    def _forget(self) -> None:
        self._openings = 0
        self._dirty = False
        self._until = self._because = None
        self._window.clear()

    # -- by hand -------------------------------------------------------------------------------------------

    def isolate(self, now: float | None = None) -> None:
        """Admits nobody until `close()`."""
        with self._lock:
            self._isolated = True
            self._since = now
            self._next()
        self._sweep()

    def close(self, now: float | None = None) -> None:
        """Closes, whatever the state; failures, breaks and rest are forgotten."""
        with self._lock:
            self._isolated = False
            self._rest_until = self._rest_because = None
            self._since = now
            self._machine.close()  # always a new generation: what is under way belongs to the past
            self._forget()
        self._sweep()

    def snapshot(self, now: float) -> dict[str, Any]:
        """The state as plain data: `state`, `since` and `until` (moments on the clock), `because`, `failures`.

        `number` is that of the last change, and grows from one to the next of all circuits in this process.
        """
        with self._lock:
            changes = self._drain()
            state, until, because = self._state, self._until, self._because
            if self._isolated:
                state, until, because = ISOLATED, None, None
            elif self._rest_until is not None and now < self._rest_until:
                until = self._later(until)
                if state == CLOSED:
                    state, because = RESTING, self._rest_because
            shot = {
                "state": state,
                "since": self._since,
                "until": until,
                "because": because,
                "failures": self._machine.fail_counter,
                "number": self._number,
            }
        _tell(changes)
        self._sweep()
        return shot

    def _change(self, before: str) -> Change:
        return Change(before, self._state, self._because, self._until, self._number)


def _report(failure: _Bad | None) -> None:
    if failure is not None:
        raise failure


def _tell(changes: list[_Told]) -> None:
    for tell, change in changes:
        tell(change)


class Circuits:
    """Circuits that several stacks share on purpose, by the path of the route. Thread-safe.

    Passed to the `CircuitBreaker`s of each stack, so that what one has learnt of a route all know.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._circuits: dict[str, Circuit] = {}

    def of(self, route: str, rules: Rules) -> Circuit:
        """The circuit of that route; the first to ask says by which rules it goes."""
        with self._lock:
            circuit = self._circuits.get(route)
            if circuit is None:
                circuit = self._circuits[route] = self._new(route, rules)
            return circuit

    def _new(self, route: str, rules: Rules) -> Circuit:
        return Circuit(rules, route)

    # Layers pickle; what arrives elsewhere has learnt nothing yet, and is shared with nobody here.
    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), ()

"""RedisStorage: pybreaker's Redis storage, which never waits where pybreaker asks it.

pybreaker's own makes a round trip for each look at the state and for each count. Here pybreaker reads and writes
this process's memory; what it wrote, and what the fleet has decided since, is exchanged in one round trip, by one
script that runs alone in the server. The record of a route is two keys:

    {prefix:route}:pybreaker:circuit   hash: era, state, until, openings, failures, because, rest, rest_because
    {prefix:route}:pybreaker:probes    sorted set: who is probing, by the end of the lease

Every change of state begins a new era, under a name that nobody else gives, and so does a probe after one whose lease
ran out. Who speaks of an older era is late: it moves nothing, and is told how things are. So two that open at once
open once, and a late probe closes nothing.

All moments in Redis are on the server's clock, in ms; what crosses the wire is how long something still lasts. Clocks
of machines may differ as they like: each process adds such a time to its own clock when the answer is there, so that
it is late by one round trip at most, and never early.

A record that is gone (a server without a disk, a day without a change) is written anew by whoever has something to say.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

import pybreaker

from ..pipeline import ErrorClass, ProviderError
from .permit import CLOSED, HALF_OPEN

__all__ = ["SCRIPT", "RedisStorage", "Said", "Unsaid", "View"]

# A record outlives its last change, and any break in it, by a day: long after that nobody remembers either.
# One that a person isolated has no end but by hand.
SCRIPT = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local circuit, probes = KEYS[1], KEYS[2]
local said = cjson.decode(ARGV[1])
local day = 86400000

local function number(field) return tonumber(redis.call('HGET', circuit, field) or 0) end
local function word(field, otherwise) return redis.call('HGET', circuit, field) or otherwise end

local era = redis.call('HGET', circuit, 'era')
local lost = not era
era = era or said.era
local wrote = false
if said.forced or said.era == era then
  local failures = (said.cleared and 0 or number('failures')) + said.failed
  if lost or said.forced or said.moved then failures = said.failures end
  if said.forced or said.moved or (lost and said.state ~= 'closed') then
    era = said.next
    redis.call('DEL', probes)
    redis.call('HSET', circuit, 'era', era, 'state', said.state, 'until', now + said.wait, 'openings', said.openings,
      'because', said.because, 'failures', failures)
    if said.forced then redis.call('HDEL', circuit, 'rest', 'rest_because') end
    wrote = true
  elseif failures ~= number('failures') then
    redis.call('HSET', circuit, 'era', era, 'failures', failures)
    wrote = true
  end
  if (said.rested or lost) and said.rest > 0 and now + said.rest > number('rest') then
    redis.call('HSET', circuit, 'era', era, 'rest', now + said.rest, 'rest_because', said.rest_because)
    wrote = true
  end
end
if said.release then redis.call('ZREM', probes, said.me) end

local state, ends, rest = word('state', 'closed'), number('until'), number('rest')
if wrote and state == 'isolated' then
  redis.call('PERSIST', circuit)
elseif wrote then
  redis.call('PEXPIRE', circuit, math.max(ends, rest, now) - now + day)
end

local granted = false
if said.lease > 0 and state == 'open' and ends <= now and rest <= now then
  if redis.call('ZREMRANGEBYSCORE', probes, '-inf', now) > 0 then
    era = said.next
    redis.call('HSET', circuit, 'era', era)
  end
  if redis.call('ZSCORE', probes, said.me) or redis.call('ZCARD', probes) < said.probes then
    redis.call('ZADD', probes, now + said.lease, said.me)
    redis.call('PEXPIRE', probes, day)
    granted = true
  end
end
return cjson.encode({era = era, state = state, wait = math.max(ends - now, 0), openings = number('openings'),
  failures = number('failures'), because = word('because', ''), rest = math.max(rest - now, 0),
  rest_because = word('rest_because', ''), granted = granted})
"""


@dataclass(frozen=True, slots=True)
class Unsaid:
    """What has happened in this process, and the fleet does not know.

    `moved`: the state changed; `cleared`, then `failed`: a success ended the row of failures, then so many more;
    `rested`: the route asked for rest; `release`: a probe came back without a verdict.
    """

    moved: bool = False
    cleared: bool = False
    failed: int = 0
    rested: bool = False
    release: bool = False

    def then(self, later: Unsaid) -> Unsaid:
        """Both as one. A change of state makes an end of what was counted before it."""
        over = later.moved or later.cleared
        return Unsaid(
            self.moved or later.moved,
            self.cleared or later.cleared,
            later.failed + (0 if over else self.failed),
            self.rested or later.rested,
            self.release or later.release,
        )


class Said(NamedTuple):
    """What one exchange tells the fleet; times in seconds from now.

    `era` is the one that this process knows, `next` the name of the one that it begins if it may. `by_hand` is how
    often a person intervened, who has a say in any era. `me` asks for a probe's lease of `lease` seconds, if not 0.
    """

    era: str
    next: str
    me: str
    by_hand: int
    unsaid: Unsaid
    state: str
    wait: float
    openings: int
    failures: int
    because: ProviderError | None
    rest: float
    rest_because: ProviderError | None
    lease: float
    probes: int

    def encoded(self) -> str:
        """The script's argument: class and reason are all that it tells of an error."""
        fields = self._asdict()
        fields.update(asdict(fields.pop("unsaid")), forced=fields.pop("by_hand") > 0)
        for name in ("wait", "rest", "lease"):
            fields[name] = max(0, round(1000 * fields[name]))
        for name in ("because", "rest_because"):
            error: ProviderError | None = fields[name]
            fields[name] = "" if error is None else f"{error.error_class}:{error.reason}"
        return json.dumps(fields)


class View(NamedTuple):
    """How the fleet sees a route; `wait` and `rest` in seconds from now. `granted`: the asker may probe."""

    era: str
    state: str
    wait: float
    openings: int
    failures: int
    because: ProviderError | None
    rest: float
    rest_because: ProviderError | None
    granted: bool

    @staticmethod
    def decoded(answer: str | bytes) -> View:
        """Reads the script's answer."""
        fields: dict[str, Any] = json.loads(answer)
        for name in ("wait", "rest"):
            fields[name] = fields[name] / 1000
        for name in ("because", "rest_because"):
            kind, _, reason = fields[name].partition(":")
            fields[name] = ProviderError.of(ErrorClass(kind), reason=reason) if kind else None
        return View(**fields)


class RedisStorage(pybreaker.CircuitRedisStorage):
    """The storage of one route's breaker. Not thread-safe but for `exchange`: its owner holds a lock.

    Attributes:
        unsaid: what the fleet is still to be told.
    """

    def __init__(self, client: Any, script: Any, namespace: str) -> None:
        """Starts closed, and asks nobody.

        Args:
            client: of Redis.
            script: what its `register_script` made of SCRIPT; shared by all routes.
            namespace: what the keys begin with.
        """
        self.unsaid = Unsaid()
        self._script = script
        super().__init__(CLOSED, client, namespace)
        self._keys = [self._namespace("circuit"), self._namespace("probes")]

    def exchange(self, said: Said) -> View:
        """Tells the fleet, and hears from it: the one round trip there is. Whatever the client raises comes through."""
        return View.decoded(self._script(keys=self._keys, args=[said.encoded()]))

    # -- what pybreaker sees: memory ---------------------------------------------------------------------------

    def _initialize_redis_state(self, state: str) -> None:
        self._state, self._counter = state, 0

    @property
    def state(self) -> str:
        """The state in this process."""
        return self._state

    @state.setter
    def state(self, state: str) -> None:
        self._state = state
        if state != HALF_OPEN:  # which the fleet calls open: its break is over, and whose turn it is is in the leases
            self.unsaid = self.unsaid.then(Unsaid(moved=True))

    @property
    def counter(self) -> int:
        """Failures in a row, in the fleet as far as it is known."""
        return self._counter

    @counter.setter
    def counter(self, count: int) -> None:
        self._counter = count

    def increment_counter(self) -> None:
        """Counts a failure."""
        self._counter += 1
        self.unsaid = replace(self.unsaid, failed=self.unsaid.failed + 1)

    def reset_counter(self) -> None:
        """Counts from 0 again."""
        self._counter = 0
        self.unsaid = self.unsaid.then(Unsaid(cleared=True))

    @property
    def success_counter(self) -> int:
        """One: the first good probe closes, so that there is nothing to count."""
        return 1

    def increment_success_counter(self) -> None:
        """Counts nothing."""

    def reset_success_counter(self) -> None:
        """Counts nothing."""

    @property
    def opened_at(self) -> datetime | None:
        """Nothing: the circuit keeps its own time, which no wall clock can move."""
        return None

    @opened_at.setter
    def opened_at(self, now: datetime) -> None:
        pass

"""RedisCircuits: what an application passes to its breakers, so that many processes share one view of each route."""

from __future__ import annotations

from functools import partial
from typing import Any
from urllib.parse import urlsplit

from . import options
from .circuit import Circuit, Circuits
from .fleet import FleetCircuit
from .fleet_link import Link
from .permit import Rules

__all__ = ["RedisCircuits"]


class RedisCircuits(Circuits):
    """Circuits that many processes share through Redis, by the path of the route. Thread-safe.

    Passed to the `CircuitBreaker`s of each stack: `CircuitBreaker(circuits=RedisCircuits("redis://cache:6379/0"))`.
    A call costs one round trip before it, a call that comes within `fresh` seconds of another one none. Redis down or
    slow fails no call: each process then goes by what it knows, as without Redis, says so once on the logger
    "mainstay", and looks again every `pause` seconds. Needs `pip install 'mainstay[redis]'`, and Redis 5 or later.

    All processes that give one prefix and one route's name share that route: they should mean the same provider and
    the same key by it, and have the same numbers in their breakers.

    Args:
        redis: a URL ("redis://", "rediss://" or "unix://"), or a `redis.Redis` of your own, which keeps its own
            timeouts and retries: they should be as short as `timeout`, and none.
        prefix: what all keys in Redis begin with.
        timeout: of connecting, and of each answer, in seconds; 0.05 s, fifty times what an answer takes within a data
            centre. Looking up the host's name is not part of it: the system's resolver has its own.
        fresh: how long an answer is good for, in seconds, 0 or more; 0.05 s, less than any model takes to answer.
        pause: seconds between two looks whether Redis is back; 5 s.

    Raises:
        ValueError: if an option is out of its range.
        TypeError: if `redis` is neither a URL nor a client for threads.
        ImportError: if the package `redis` is not installed.
    """

    def __init__(
        self,
        redis: Any,
        *,
        prefix: str = "mainstay",
        timeout: float = 0.05,
        fresh: float = 0.05,
        pause: float = 5.0,
    ) -> None:
        super().__init__()
        if not isinstance(prefix, str) or not prefix:
            raise ValueError(f"RedisCircuits(prefix=...) must be a word, not {prefix!r}")
        options.seconds(self, "timeout", timeout)
        options.seconds(self, "fresh", fresh, zero=True)
        options.seconds(self, "pause", pause)
        self._made = partial(type(self), redis, prefix=prefix, timeout=timeout, fresh=fresh, pause=pause)
        self._own = isinstance(redis, str)
        self._client = _client(redis, timeout) if self._own else _checked(redis)
        self._link = Link(self._client, prefix, timeout, fresh, pause)

    def _new(self, route: str, rules: Rules) -> Circuit:
        return FleetCircuit(rules, route, self._link)

    def close(self) -> None:
        """Tells the fleet what it is still to be told, ends the thread and the connections.

        The circuits go on, each process for itself. Before a process ends, this makes sure that what happened last
        is told; a client that was passed in stays open.
        """
        self._link.close()
        if self._own:
            self._client.close()

    # What arrives elsewhere connects anew; a client of somebody's own cannot be taken along.
    def __reduce__(self) -> tuple[Any, ...]:
        if not self._own:
            raise TypeError("RedisCircuits with a client of your own cannot be pickled: give a URL instead")
        return self._made, ()


def _client(url: str, timeout: float) -> Any:
    if urlsplit(url).scheme not in ("redis", "rediss", "unix"):  # the rest of it may be a password
        raise ValueError("RedisCircuits(redis=...) must be a URL that begins with redis://, rediss:// or unix://")
    try:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ImportError as error:
        raise ImportError("RedisCircuits needs the package redis: pip install 'mainstay[redis]'") from error
    return redis.Redis.from_url(
        url, socket_timeout=timeout, socket_connect_timeout=timeout, retry=Retry(NoBackoff(), 0)
    )


def _checked(client: Any) -> Any:
    from inspect import iscoroutinefunction

    if not hasattr(client, "register_script") or iscoroutinefunction(getattr(client, "execute_command", None)):
        raise TypeError(
            f"RedisCircuits(redis=...) must be a URL or a redis.Redis (not redis.asyncio: the layer asks from a "
            f"thread of its own there), not {type(client).__name__}"
        )
    return client

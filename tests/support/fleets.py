"""A fleet on the bench: what its tests share."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from mainstay.middleware.fleet import FleetCircuit
from mainstay.middleware.fleet_link import Link
from mainstay.middleware.permit import Change, Permit, Refusal, Rules, Verdict
from mainstay.pipeline import AuthenticationFailed

NUMBERS = {
    "failures": 5,
    "ratio": 0.5,
    "minimum": 1000,
    "window": 60.0,
    "break_min": 5.0,
    "break_max": 300.0,
    "long_break": 300.0,
    "probes": 1,
}


class FakeRedis:
    """Keeps the records as the script does, in plain Python, on a clock that is moved by hand; and can be away."""

    def __init__(self) -> None:
        self.now = 5000.0
        self.down = False
        self.trips = 0
        self.flush()

    def flush(self) -> None:
        """Loses everything, as a server without a disk that starts again."""
        self.records: dict[str, dict[str, Any]] = {}
        self.leases: dict[str, dict[str, float]] = {}

    def register_script(self, text: str) -> Callable[..., str]:
        return self.run

    def run(self, keys: list[str], args: list[str]) -> str:
        if self.down:
            raise ConnectionError("a line that names host:6379")
        self.trips += 1
        return json.dumps(self.answer(*keys, json.loads(args[0])))

    def answer(self, circuit: str, probes: str, said: dict[str, Any]) -> dict[str, Any]:
        now = round(self.now * 1000)
        kept, lost = self.records.get(circuit), circuit not in self.records
        record = kept or {
            "era": said["era"],
            "state": "closed",
            "until": 0,
            "openings": 0,
            "failures": 0,
            "because": "",
            "rest": 0,
            "rest_because": "",
        }
        wrote = False
        leases = self.leases.setdefault(probes, {})
        if said["forced"] or said["era"] == record["era"]:
            failures = (0 if said["cleared"] else record["failures"]) + said["failed"]
            if lost or said["forced"] or said["moved"]:
                failures = said["failures"]
            if said["forced"] or said["moved"] or (lost and said["state"] != "closed"):
                wrote = True
                leases.clear()
                record |= {name: said[name] for name in ("state", "openings", "because")}
                record |= {"era": said["next"], "until": now + said["wait"]}
                if said["forced"]:
                    record |= {"rest": 0, "rest_because": ""}
            wrote |= failures != record["failures"]
            record["failures"] = failures
            if (said["rested"] or lost) and said["rest"] > 0 and now + said["rest"] > record["rest"]:
                wrote = True
                record |= {"rest": now + said["rest"], "rest_because": said["rest_because"]}
        if wrote:
            self.records[circuit] = record
        if said["release"]:
            leases.pop(said["me"], None)
        granted = False
        if said["lease"] > 0 and record["state"] == "open" and record["until"] <= now and record["rest"] <= now:
            for name in [name for name, end in leases.items() if end <= now]:
                del leases[name]
                record["era"] = said["next"]
            granted = said["me"] in leases or len(leases) < said["probes"]
            if granted:
                leases[said["me"]] = now + said["lease"]
        return {
            **{name: record[name] for name in ("era", "state", "openings", "failures", "because", "rest_because")},
            "wait": max(record["until"] - now, 0),
            "rest": max(record["rest"] - now, 0),
            "granted": granted,
        }


class CheckedRedis(FakeRedis):
    """A real server on the hand-moved clock, each of whose answers must be what the plain Python gives."""

    def __init__(self, client: Any) -> None:
        self.client = client
        super().__init__()

    def flush(self) -> None:
        super().flush()
        self.client.flushall()

    def register_script(self, text: str) -> Callable[..., str]:
        clock = "redis.call('TIME')"
        assert clock in text
        self.script = self.client.register_script(text.replace(clock, "{redis.call('GET', 'clock'), 0}"))
        return self.run

    def run(self, keys: list[str], args: list[str]) -> str:
        expected = super().run(keys, args)
        self.client.set("clock", repr(self.now))
        answer: bytes = self.script(keys=keys, args=args)
        assert json.loads(answer) == json.loads(expected)
        return answer.decode()


class HandLink(Link):
    """A link without a thread: what it would do waits in the queue until the test does it."""

    def __init__(self, client: Any, fresh: float = 0.0, pause: float = 5.0) -> None:
        super().__init__(client, "test", 0.05, fresh, pause)

    def start(self) -> None:
        pass

    def tasks(self) -> Iterator[Callable[[], None]]:
        while not self.queue.empty():
            task = self.queue.get_nowait()
            if task is not None:
                yield task

    def flush(self) -> None:
        """Does all that is in the queue."""
        for task in self.tasks():
            task()


class Process:
    """One process of a fleet, and one route: a circuit that asks when it has to; its clock has an offset of its own."""

    def __init__(self, redis: Any, offset: float = 0.0, rules: Rules | None = None, **options: Any) -> None:
        self.redis, self.offset = redis, offset
        self.link = HandLink(redis, **options)
        self.circuit = FleetCircuit(rules or Rules(**NUMBERS), "openai", self.link)
        self.told: list[Change] = []

    @property
    def now(self) -> float:
        return self.redis.now + self.offset

    def ask(self, lease: float = 60.0) -> None:
        if self.circuit.due(self.now):
            change = self.circuit.ask(self.now, lease)
            if change is not None:
                self.told.append(change)

    def admit(self, lease: float = 60.0) -> Permit | Refusal:
        self.ask(lease)
        return self.circuit.admit(self.now, lease, self.told.append)

    def permit(self) -> Permit:
        answer = self.admit()
        assert isinstance(answer, Permit)
        return answer

    def refusal(self) -> Refusal:
        answer = self.admit()
        assert isinstance(answer, Refusal)
        return answer

    def settle(self, permit: Permit, verdict: Any, error: Any = None, write: bool = True) -> None:
        self.circuit.settle(permit, verdict, error, self.now, lambda: 0.5, self.told.append)
        if write:
            self.link.flush()

    def trip(self, error: Any = None) -> None:
        self.settle(self.permit(), Verdict.FATAL, error or AuthenticationFailed("never tell", reason="bad_key"))

    @property
    def shot(self) -> dict[str, Any]:
        return self.circuit.snapshot(self.now)

    @property
    def state(self) -> str:
        return str(self.shot["state"])

"""A circuit on the bench: what its tests share."""

from __future__ import annotations

from typing import Any

from mainstay.middleware.circuit import Circuit
from mainstay.middleware.permit import Change, Permit, Refusal, Rules, Verdict
from mainstay.pipeline import Chunk, ProviderError, Reply, Unavailable

LEASE, GAP = 60.0, 20.0
GOOD, BAD, FATAL, REST, NONE = Verdict.GOOD, Verdict.BAD, Verdict.FATAL, Verdict.REST, Verdict.NONE
DOWN = Unavailable("down")


class Bench:
    """A circuit with a hand-moved clock; `told` has every change of state."""

    def __init__(self, chance: float = 0.5, **rules: Any) -> None:
        numbers = {
            "failures": 5,
            "ratio": 0.5,
            "minimum": 10,
            "window": 60.0,
            "break_min": 5.0,
            "break_max": 300.0,
            "long_break": 300.0,
            "probes": 1,
        }
        self.circuit = Circuit(Rules(**{**numbers, **rules}), "openai")
        self.now, self.chance = 1000.0, chance
        self.told: list[Change] = []

    def admit(self, lease: float = 60.0) -> Permit | Refusal:
        return self.circuit.admit(self.now, lease, self.told.append)

    def permit(self) -> Permit:
        answer = self.admit()
        assert isinstance(answer, Permit)
        return answer

    def refusal(self) -> Refusal:
        answer = self.admit()
        assert isinstance(answer, Refusal)
        return answer

    def settle(self, permit: Permit, verdict: Verdict, error: ProviderError | None = None) -> None:
        if verdict is BAD and error is None:
            error = DOWN
        self.circuit.settle(permit, verdict, error, self.now, lambda: self.chance, self.told.append)
        assert self.circuit._machine.current_state == self.circuit._state  # pybreaker is really the machine

    def tries(self, *verdicts: Verdict) -> None:
        for verdict in verdicts:
            self.settle(self.permit(), verdict)

    @property
    def state(self) -> str:
        return self.circuit.snapshot(self.now)["state"]

    def open(self) -> None:
        self.tries(*[BAD] * 5)
        assert self.state == "open"

    def probe(self) -> Permit:
        self.open()
        self.now += 5
        permit = self.permit()
        assert self.state == "half-open"
        return permit


class ProbeBench(Bench):
    """A circuit that one failure opens, and no share of failures."""

    def __init__(self, failures: int = 1, probes: int = 1) -> None:
        super().__init__(failures=failures, probes=probes, minimum=1000)

    def probe(self) -> Permit:
        self.settle(self.permit(), BAD)
        self.now += 300
        return self.permit()

    def arrive(self, permit: Permit) -> Reply:
        reply = Reply.stream(iter([Chunk("a")] * 50))
        self.circuit.arriving(permit, reply, self.now, GAP)
        return reply

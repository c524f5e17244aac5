"""A naive model of a circuit, and any order of admissions, verdicts, events, waits and interventions to try it by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, precondition, rule

from mainstay.middleware.circuit import Circuit
from mainstay.middleware.permit import Permit, Refusal, Rules, Verdict
from mainstay.pipeline import Unavailable

FAILURES, RATIO, MINIMUM, WINDOW, SHORT, LONGEST, LONG = 3, 0.5, 4, 10.0, 4.0, 64.0, 32.0
LEASE, GAP, SLOW_RATIO = 6.0, 3.0, 0.75


@dataclass(eq=False)
class Try:
    """One try as the model sees it."""

    permit: Permit
    era: int
    sent: float
    lease: float | None
    arriving: Any = None
    news: bool = False


@dataclass
class Stream:
    """Stands for a reply that is arriving."""

    events_seen: int = 1


class Model(RuleBasedStateMachine):
    tries = Bundle("tries")

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.circuit = self.made(Rules(FAILURES, RATIO, MINIMUM, WINDOW, SHORT, LONGEST, LONG, 1, SLOW_RATIO))
        self.told: list[Any] = []
        self.expected: list[tuple[str, str]] = []
        # The model: a word, an era that every change ends, and lists.
        self.state, self.era = "closed", 0
        self.by_hand = False
        self.row, self.openings = 0, 0
        self.history: list[tuple[float, bool, bool]] = []  # sent, good, slow
        self.until, self.rest = 0.0, 0.0
        self.probing: list[Try] = []

    def made(self, rules: Rules) -> Any:
        return Circuit(rules)

    # -- the model's own rules -----------------------------------------------------------------------------

    def move(self, state: str) -> None:
        self.expected.append((self.state, state))
        self.state, self.probing = state, []
        self.era += 1

    def open_for(self, seconds: float, told: float | None) -> None:
        self.move("open")
        self.openings += 1
        self.history = []
        self.until = self.now + max(0.75 * seconds, told or 0.0)

    def recent(self) -> list[tuple[bool, bool]]:
        return [(good, slow) for sent, good, slow in self.history if int(self.now) - int(sent) < WINDOW]

    def admits(self) -> bool:
        if self.by_hand:
            return False
        if self.state == "open":
            if self.now < max(self.until, self.rest):
                return False
            self.move("half-open")
        if self.now < self.rest:
            return False
        if self.state == "closed":
            return True
        for probe in self.probing:
            if probe.news:
                probe.lease, probe.news = self.now + GAP, False
        self.probing = [probe for probe in self.probing if probe.lease > self.now]
        return all(probe.arriving for probe in self.probing) and len(self.probing) < 2

    def judge(self, one: Try, verdict: Verdict, told: float | None) -> None:
        if one.era != self.era or (one.lease is not None and one not in self.probing):
            return
        if one in self.probing:
            self.probing.remove(one)
        if verdict is Verdict.SLOW and self.state == "half-open":
            verdict = Verdict.BAD
        if verdict in (Verdict.GOOD, Verdict.SLOW):
            self.row = 0
            if self.state == "half-open":
                self.move("closed")
                self.openings, self.history = 0, []
            self.history.append((one.sent, True, verdict is Verdict.SLOW))
            recent = self.recent()
            tired = len(recent) >= MINIMUM and sum(slow for _, slow in recent) >= SLOW_RATIO * len(recent)
            if verdict is Verdict.SLOW and tired:
                self.open_for(min(LONGEST, SHORT * 2**self.openings), told)
        elif verdict is Verdict.BAD:
            self.row += 1
            self.history.append((one.sent, False, False))
            recent = self.recent()
            many = len(recent) >= MINIMUM and sum(not good for good, _ in recent) >= RATIO * len(recent)
            if self.state == "half-open" or self.row >= FAILURES or many:
                self.open_for(min(LONGEST, SHORT * 2**self.openings), told)
        elif verdict is Verdict.FATAL:
            dated = told is not None and told >= SHORT
            self.open_for(told / 0.75 if dated else LONG, told)
        elif verdict is Verdict.REST and told is not None:
            if told and self.rest <= self.now:
                self.expected.append((self.state, "resting"))
            self.rest = max(self.rest, self.now + told)

    # -- what happens --------------------------------------------------------------------------------------

    @rule(target=tries)
    def admit(self) -> Any:
        live = [probe for probe in self.probing if probe.lease > self.now and not probe.arriving]
        answer = self.circuit.admit(self.now, LEASE, self.told.append)
        assert isinstance(answer, Permit) == self.admits()
        if isinstance(answer, Refusal):
            if answer.wait is not None:
                assert answer.wait > 0
            return None
        if answer.lease is None:
            assert self.state == "closed"
            return Try(answer, self.era, self.now, None)
        assert live == []  # never two live probes before a first event
        one = Try(answer, self.era, self.now, self.now + LEASE)
        self.probing.append(one)
        return one

    @rule(one=consumes(tries), verdict=st.sampled_from(Verdict), told=st.sampled_from([None, 0.0, 2.0, 9.0, 50.0]))
    def settle(self, one: Try | None, verdict: Verdict, told: float | None) -> None:
        if one is None:
            return
        late = one.era != self.era or (one.lease is not None and one not in self.probing)
        before = self.circuit.snapshot(self.now)
        error = None if verdict in (Verdict.GOOD, Verdict.NONE) else Unavailable(retry_after=told)
        self.judge(one, verdict, told)
        self.circuit.settle(one.permit, verdict, error, self.now, lambda: 0.5, self.told.append)
        if late:
            assert self.circuit.snapshot(self.now) == before

    @rule(one=tries)
    def first_event(self, one: Try | None) -> None:
        if one is None or one.lease is None or one.arriving:
            return
        one.arriving, one.lease = Stream(), self.now + GAP
        self.circuit.arriving(one.permit, one.arriving, self.now, GAP)

    @rule(one=tries)
    def event(self, one: Try | None) -> None:
        if one is not None and one.arriving:
            one.arriving.events_seen += 1
            one.news = True

    @rule(seconds=st.sampled_from([0.5, 1.0, 2.0, 3.0, 6.0, 40.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.era % 4 == 3)
    @rule()
    def isolate(self) -> None:
        self.circuit.isolate()
        self.by_hand, self.probing = True, []
        self.era += 1

    @precondition(lambda self: self.by_hand or self.era % 4 == 2)
    @rule()
    def close(self) -> None:
        self.circuit.close()
        self.by_hand, self.state, self.probing, self.history = False, "closed", [], []
        self.row = self.openings = 0
        self.until = self.rest = 0.0
        self.era += 1

    # -- what always holds ---------------------------------------------------------------------------------

    @invariant()
    def states_agree(self) -> None:
        shot = self.circuit.snapshot(self.now)
        resting = self.state == "closed" and self.now < self.rest
        assert shot["state"] == ("isolated" if self.by_hand else "resting" if resting else self.state)
        assert self.circuit._machine.current_state == self.state
        if shot["state"] == "open":
            assert max(shot["until"], self.now) == max(self.until, self.rest, self.now)
        if self.state == "closed":
            assert shot["failures"] == self.row

    @invariant()
    def every_change_was_told_once_and_in_order(self) -> None:
        assert [(change.before, change.after) for change in self.told] == self.expected

    def teardown(self) -> None:
        """However it was treated, no permit is lost: in the end it admits, and a good probe closes it."""
        if self.by_hand:
            self.circuit.close()
        self.now += 10_000
        answer = self.circuit.admit(self.now, LEASE, self.told.append)
        assert isinstance(answer, Permit)
        self.circuit.settle(answer, Verdict.GOOD, None, self.now, lambda: 0.5, self.told.append)
        assert self.circuit.snapshot(self.now)["state"] == "closed"

"""Three processes, any number of threads in each, one Redis, and any order of everything that they do."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mainstay.middleware.permit import Permit, Rules, Verdict
from mainstay.middleware.redis_storage import Said, View
from mainstay.pipeline import Unavailable

from .fleets import FakeRedis, Process

LEASE = 6.0
RULES = Rules(2, 0.5, 4, 10.0, 4.0, 64.0, 32.0, 1)
# Clocks of processes begin anywhere.
OFFSETS = (0.0, 1_000_000.0, -4000.0)
WHICH = st.integers(0, 10**6)


@dataclass(eq=False)
class Flight:
    """One exchange under way: said, perhaps answered by the server, not yet heard."""

    process: Process
    said: Said
    asked: float
    writer: bool
    sent: bool = False
    view: View | None = None


@dataclass(eq=False)
class Try:
    """One try under way. `by_fleet`: it probes by a lease of the fleet's, in that era."""

    process: Process
    permit: Permit
    era: str
    by_fleet: bool

    @property
    def probing(self) -> bool:
        lease = self.permit.lease
        return lease is not None and lease > self.process.now


class FleetModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.redis = self.server()
        self.processes = [Process(self.redis, offset, RULES, fresh=0.25) for offset in OFFSETS]
        self.flights: list[Flight] = []
        self.tries: list[Try] = []

    def server(self) -> FakeRedis:
        return FakeRedis()

    # -- what a thread does ----------------------------------------------------------------------------------

    @rule(who=st.sampled_from(range(3)), impatient=st.booleans())
    def call(self, who: int, impatient: bool) -> None:
        process = self.processes[who]
        asking = any(flight.process is process and not flight.writer for flight in self.flights)
        if asking and not impatient:
            return  # waits for that answer, and would then be admitted or not as who asked
        if not asking and process.circuit.due(process.now) and process.link.ready(process.now):
            self.flights.append(Flight(process, process.circuit._say(process.now, LEASE), process.now, False))
        else:
            self.admit(process)

    def admit(self, process: Process) -> None:
        by_fleet, era = not process.link.outage, process.circuit._era
        answer = process.circuit.admit(process.now, LEASE, process.told.append)
        if not isinstance(answer, Permit):
            assert answer.wait is None or answer.wait > 0
            return
        one = Try(process, answer, era, by_fleet)
        if answer.lease is not None:
            probing = [other for other in self.tries if other.probing]
            assert not any(other.process is process and self.current(other) for other in probing)
            assert not by_fleet or not any(other.by_fleet and other.era == era for other in probing)
        self.tries.append(one)

    def current(self, one: Try) -> bool:
        return one.permit.generation == one.process.circuit._generation

    @precondition(lambda self: self.tries)
    @rule(which=WHICH, verdict=st.sampled_from(Verdict), told=st.sampled_from([None, 2.0, 9.0]))
    def settle(self, which: int, verdict: Verdict, told: float | None) -> None:
        one = self.tries.pop(which % len(self.tries))
        circuit, late = one.process.circuit, not self.current(one)
        before = one.process.shot, circuit._storage.unsaid, circuit._era
        error = None if verdict in (Verdict.GOOD, Verdict.NONE) else Unavailable(retry_after=told)
        one.process.settle(one.permit, verdict, error, write=False)
        if late:
            assert (one.process.shot, circuit._storage.unsaid, circuit._era) == before

    @rule(who=st.sampled_from(range(3)))
    def write(self, who: int) -> None:
        """The thread of a process takes one circuit out of its queue."""
        process = self.processes[who]
        circuit = process.circuit
        for _ in process.link.tasks():
            circuit._queued = None
            if circuit._has_news() and process.link.ready(process.now):
                self.flights.append(Flight(process, circuit._say(process.now, None), process.now, True))

    # -- what becomes of a question --------------------------------------------------------------------------

    @precondition(lambda self: any(not flight.sent for flight in self.flights))
    @rule(which=WHICH, answer_lost=st.booleans())
    def reach_redis(self, which: int, answer_lost: bool) -> None:
        flights = [flight for flight in self.flights if not flight.sent]
        flight = flights[which % len(flights)]
        flight.sent = True
        link, storage = flight.process.link, flight.process.circuit._storage
        if answer_lost and not self.redis.down:
            storage.exchange(flight.said)
            link._note(TimeoutError(), flight.asked)
        else:
            flight.view = link.exchange(storage, flight.said, flight.asked)

    @precondition(lambda self: any(flight.sent for flight in self.flights))
    @rule(which=WHICH)
    def hear(self, which: int) -> None:
        flights = [flight for flight in self.flights if flight.sent]
        flight = flights[which % len(flights)]
        self.flights.remove(flight)
        process = flight.process
        process.circuit._hear(flight.said, flight.view, flight.asked, follow=not flight.writer)
        if not flight.writer:
            self.admit(process)

    # -- the world -------------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.25, 0.5, 1.0, 3.0, 6.0, 40.0]))
    def wait(self, seconds: float) -> None:
        self.redis.now += seconds

    @rule()
    def redis_goes_or_comes(self) -> None:
        self.redis.down = not self.redis.down

    @precondition(lambda self: self.redis.trips % 7 == 6)
    @rule()
    def redis_loses_everything(self) -> None:
        self.redis.flush()

    @precondition(lambda self: self.redis.trips % 5 == 4)
    @rule(who=st.sampled_from(range(3)), isolate=st.booleans())
    def intervene(self, who: int, isolate: bool) -> None:
        process = self.processes[who]
        (process.circuit.isolate if isolate else process.circuit.close)(process.now)

    # -- what always holds -----------------------------------------------------------------------------------

    @invariant()
    def pybreaker_is_the_machine(self) -> None:
        for process in self.processes:
            assert process.circuit._machine.current_state == process.circuit._state

    @rule()
    def once_all_have_spoken_they_agree(self) -> None:
        """Everything arrives, each process asks again, and all are what the record says."""
        self.arrive()
        (record,) = self.redis.records.values() or [{"state": "closed", "until": 0, "era": None}]
        for process in self.processes:
            state = process.state
            if process.circuit._rest_until is not None and state == "resting":
                state = "closed"
            assert ("open" if state == "half-open" else state) == record["state"]
            assert record["era"] in (None, process.circuit._era)
            if state == "open":
                left = record["until"] / 1000 - self.redis.now
                assert abs(max(process.circuit._until - process.now, 0) - max(left, 0)) < 0.002

    def arrive(self) -> None:
        self.redis.down = False
        for flight in self.flights:
            if not flight.sent:
                flight.view = flight.process.link.exchange(flight.process.circuit._storage, flight.said, flight.asked)
            flight.process.circuit._hear(flight.said, flight.view, flight.asked, follow=not flight.writer)
        self.flights = []
        for process in self.processes * 3:
            process.link._retry_at = process.circuit._ask_at = float("-inf")
            process.link.flush()
            process.link._retry_at = process.circuit._ask_at = float("-inf")
            process.circuit.ask(process.now, 0.0)

    def teardown(self) -> None:
        """However it was treated, no permit is lost: in the end each process admits, and all are closed."""
        self.arrive()
        if self.processes[0].state == "isolated":
            self.processes[0].circuit.close(self.processes[0].now)
        self.redis.now += 10_000
        for process in self.processes * 2:
            process.settle(process.permit(), Verdict.GOOD)
            self.redis.now += 1
        assert [process.state for process in self.processes] == ["closed"] * 3

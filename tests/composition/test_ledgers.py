"""Random scripts of faults: every attempt is one call of a handler and one span, and both worlds agree."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import CapturingLogger

from mainstay.middleware import CircuitBreaker, Deadline, Fallback, Health, Log, Retry, Trace, TraceCall, Validate
from mainstay.pipeline import (
    AttemptEnded,
    AttemptStarted,
    DeadlineExceeded,
    ErrorClass,
    FellBack,
    ProviderError,
    Request,
    RetryScheduled,
    Route,
    VirtualClock,
)

FAULT = st.one_of(
    st.just("answer"),
    st.just("stream"),
    st.just("cut"),
    st.just("bug"),
    st.tuples(
        st.sampled_from(list(ErrorClass)),
        st.sampled_from(["", "context_length", "content_filter", "overloaded"]),
        st.sampled_from([None, 0.0, 1.0, 30.0, 500.0]),
        st.sampled_from([None, None, None, True, False]),
        st.sampled_from([0.0, 0.5, 7.0]),
    ),
)
SCRIPTS = st.lists(st.lists(FAULT, min_size=1, max_size=5), min_size=1, max_size=4)
ENDS = st.sampled_from(["read", "close", "leave"])


def entry(kit: Any, clock: VirtualClock, fault: Any) -> Any:
    """What a leaf does for a fault of the script; each time anew."""

    def act(request: Request) -> Any:
        if fault in ("answer", "stream"):
            return kit.Flow() if request.stream else "answer"
        if fault == "cut":
            return kit.Flow(whole=False) if request.stream else "answer"
        if fault == "bug":
            return ZeroDivisionError()
        kind, reason, retry_after, retry, seconds = fault
        clock.advance(seconds)
        return ProviderError.of(kind, reason=reason, retry_after=retry_after, retry=retry)

    return act


class Run:
    """One world's run of a script, and everything that was written down on the way."""

    def __init__(self, kit: Any, world: Any, tracing: Any, script: Any, end: str, windows: bool, mode: Any) -> None:
        tracing.exporter.clear()
        clock = VirtualClock()
        self.lines = CapturingLogger()
        self.heard: list[Any] = []
        self.leaves = [world.leaf(*(entry(kit, clock, fault) for fault in faults)) for faults in script]
        health = Health(wall=lambda: 0.0)
        layers = [
            TraceCall(tracing.provider),
            Deadline(60.0),
            Log(self.lines),
            Validate(),
            Retry(scope="call", name="again", attempts=2),
            Retry(),
            CircuitBreaker(failures=2),
            Trace(tracing.provider),
        ]
        routes = [
            Route(f"r{number}", leaf, window=number + 1 if windows else None, continues=True)
            for number, leaf in enumerate(self.leaves)
        ]
        router = Fallback(*routes, content_filter=windows, mid_stream=mode)
        stack = world.stack(layers, router, clock=clock, observers=[health, self.heard.append])
        self.cap = stack.cap
        self.results: list[Any] = []
        self.ledgers: list[Any] = []
        for _ in range(3):
            try:
                reply = world.run(stack, Request("m", "Why?", stream=True), end)
                self.results.append((reply.outcome, reply.partial))
                attempts = reply.attempts
            except ProviderError as error:
                self.results.append((type(error), str(error)))
                attempts = error.attempts
            except ZeroDivisionError:
                self.results.append("bug")
                attempts = [e.attempt for e in self.heard if isinstance(e, AttemptStarted)][-1:]
            self.ledgers.append(
                [(a.number, a.route, a.resend, a.outcome, a.reason, a.started, a.ended) for a in attempts]
            )
        self.slept = clock.slept
        self.status = health.status(stack)
        self.spans = [(s.name, s.attributes["mainstay.outcome"], len(s.events)) for s in tracing.spans]
        self.attempt_spans = len(tracing.attempts)
        self.call_spans = len(tracing.calls)
        self.events = [type(event).__name__ for event in self.heard]

    def count(self, *kinds: type) -> int:
        return sum(isinstance(event, kinds) for event in self.heard)


# The SDK's exporter is emptied for each example, so the fixture may be shared.
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=SCRIPTS, end=ENDS, windows=st.booleans(), mode=st.sampled_from(["raise", "restart", "continue"]))
def test_attempts_are_calls_are_spans_are_lines_and_both_worlds_agree(
    kit: Any, tracing: Any, script: Any, end: str, windows: bool, mode: str
) -> None:
    told = []
    for world in (kit.Threads, kit.Loop):
        run = Run(kit, world, tracing, script, end, windows, mode)
        calls = sum(leaf.calls for leaf in run.leaves)
        assert calls == run.count(AttemptStarted) == run.count(AttemptEnded) == run.attempt_spans
        assert sum(call.args == ("attempt",) for call in run.lines.calls) == calls
        assert sum(call.args == ("retry",) for call in run.lines.calls) == run.count(RetryScheduled)
        assert sum(call.args == ("fallback",) for call in run.lines.calls) == run.count(FellBack)
        assert sum(entry["attempts"] for entry in run.status.values()) == calls
        assert run.call_spans == 3
        assert all(len(ledger) <= run.cap for ledger in run.ledgers)
        told.append((run.results, run.ledgers, run.slept, run.status, run.spans, run.events))
    assert told[0] == told[1]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=SCRIPTS, seconds=st.sampled_from([0.1, 0.6, 8.0, 40.0]))
def test_no_sleep_ends_after_the_deadline_and_nothing_is_begun_after_it(kit: Any, script: Any, seconds: float) -> None:
    clock = VirtualClock()
    leaves = [kit.Leaf(*(entry(kit, clock, fault) for fault in faults)) for faults in script]
    started: list[float] = []
    moments: list[float] = []
    clock.sleep = lambda wait: (clock._sleep(wait), moments.append(clock.now()))[0]
    router = Fallback(*(Route(f"r{number}", leaf) for number, leaf in enumerate(leaves)))
    stack = kit.Threads.stack(
        [Deadline(seconds), Retry(scope="call", name="again"), Retry()],
        router,
        clock=clock,
        observers=[lambda event: started.append(clock.now()) if isinstance(event, AttemptStarted) else None],
    )
    try:
        kit.Threads.run(stack, Request("m", "Why?"))
    except (ProviderError, ZeroDivisionError) as error:
        late = isinstance(error, DeadlineExceeded)
        assert not late or clock.now() >= 1000.0 + seconds
    assert all(moment < 1000.0 + seconds for moment in started + moments)


@pytest.mark.parametrize("streams", [False, True])
def test_the_ledger_of_a_reply_tells_how_it_came_about(either_world: Any, kit: Any, streams: bool) -> None:
    first = either_world.leaf(ProviderError.of(ErrorClass.UNAVAILABLE, reason="overloaded", status=529))
    second = either_world.leaf(kit.Flow() if streams else "answer", name="second")
    layers = [Retry(), CircuitBreaker(), Trace()]
    routes = Route("a", first, "small"), Route("b", second, "big")
    stack = either_world.stack(layers, Fallback(*routes), clock=VirtualClock())
    reply = either_world.run(stack, Request("m", "Why?", stream=streams), "read")
    assert [(a.number, a.route, a.provider, a.model, a.resend, a.outcome, a.status) for a in reply.attempts] == [
        (1, "a", "leaf", "small", 0, "error", 529),
        (2, "a", "leaf", "small", 1, "error", 529),
        (3, "b", "second", "big", 0, "ok", None),
    ]

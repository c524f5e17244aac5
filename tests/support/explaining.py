"""Random stacks, errors and leaves: what the tests of `explain` share."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from mainstay.middleware import Backoff, CircuitBreaker, Deadline, Fallback, Policy, Retry, RetryBudget
from mainstay.pipeline import ErrorClass, ProviderError, Reply, Request, Route, Stack, Timeouts, VirtualClock

NAMES = ("a", "b", "c", "d")


class Leaf:
    """Fails with what `errors` has next, after `takes` seconds; then it goes on with the last one."""

    def __init__(self, name: str, clock: VirtualClock, *errors: ProviderError, takes: float = 0.0) -> None:
        self.provider = name
        self.timeouts = Timeouts(connect=min(5.0, takes or 5.0), total=takes or 600.0)
        self.calls = 0
        self._clock = clock
        self._takes = takes
        self._errors = list(errors)

    def __call__(self, request: Request) -> Reply:
        self.calls += 1
        left = request.call.time_left
        self._clock.advance(self._takes if left is None else min(self._takes, left))
        raise (self._errors[0] if len(self._errors) == 1 else self._errors.pop(0)).detached()


@st.composite
def errors(draw: Any) -> ProviderError:
    """Any error of a provider, with or without what it may say about a repetition."""
    return ProviderError.of(
        draw(st.sampled_from(list(ErrorClass))),
        reason=draw(st.sampled_from(["", "loading", "context_length", "content_filter"])),
        retry_after=draw(st.sampled_from([None, None, 0.5, 2.0, 30.0, 200.0])),
        retry=draw(st.sampled_from([None, None, True, False])),
    )


backoffs = st.sampled_from([Backoff(), Backoff.constant(1.0), Backoff(1.0, 4.0, jitter="none")])
policies = st.builds(Policy, st.integers(1, 4), st.none() | backoffs)


@st.composite
def retries(draw: Any, **fields: Any) -> Retry:
    """Any Retry."""
    return Retry(
        draw(st.integers(1, 4)),
        draw(st.integers(1, 3)),
        draw(backoffs),
        draw(
            st.dictionaries(st.sampled_from(["loading", "timeout", "unavailable", "rate_limit"]), policies, max_size=2)
        ),
        patience=draw(st.sampled_from([0.0, 2.0, 5.0])),
        max_wait=draw(st.sampled_from([5.0, 120.0])),
        budget=draw(st.none() | st.builds(RetryBudget, floor=st.integers(1, 3))),
        **fields,
    )


@st.composite
def stacks(draw: Any, leaf: Any, clock: VirtualClock) -> Stack:
    """Any stack of the layers that decide, over one to four routes; `leaf(name)` makes what stands at each end."""
    layers: list[Any] = [draw(retries())]
    if draw(st.booleans()):
        layers.insert(0, draw(retries(scope="call", name="again")))
    if draw(st.booleans()):
        layers.append(CircuitBreaker(failures=draw(st.integers(1, 6)), minimum=draw(st.integers(2, 10))))
    if draw(st.booleans()):
        layers.insert(0, Deadline(draw(st.sampled_from([3.0, 60.0, 600.0]))))
    names = NAMES[: draw(st.integers(1, len(NAMES)))]
    windows = st.sampled_from([None, 1000, 2000])
    router = Fallback(
        *(Route(name, leaf(name), window=draw(windows)) for name in names),
        content_filter=draw(st.booleans()),
        panic=draw(st.booleans()),
    )
    return Stack(layers, router, clock=clock, cap=draw(st.none() | st.integers(len(names), 12)))

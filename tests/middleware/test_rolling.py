"""Rolling: held against a list of all there was."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.middleware.rolling import Rolling

TRIES = st.lists(
    st.tuples(st.booleans(), st.floats(0.0, 5000.0), st.floats(0.0, 50.0)),  # good, seconds, time since the last
    max_size=200,
)


@given(tries=TRIES, after=st.floats(0.0, 150.0))
def test_it_knows_what_a_list_of_all_tries_knows(tries: list[tuple[bool, float, float]], after: float) -> None:
    rolling, now, everything = Rolling(100.0), 1000.0, []
    for good, seconds, since in tries:
        now += since
        rolling.add(good, seconds, now)
        everything.append((good, seconds, now))
    now += after
    rolling.turn(now)
    kept = [(good, seconds) for good, seconds, at in everything if at // 10 > now // 10 - 10]
    assert (rolling.good, rolling.bad) == (sum(good for good, _ in kept), sum(not good for good, _ in kept))
    times = sorted(seconds for _, seconds in kept)
    for share, found in zip((0.0, 0.5, 0.95, 1.0), rolling.quantiles(0.0, 0.5, 0.95, 1.0), strict=True):
        if not times:
            assert found is None
        else:
            exact = times[min(len(times) - 1, int(share * len(times)))]
            assert found == pytest.approx(exact, rel=0.025, abs=1.1e-4)


def test_its_memory_has_a_bound() -> None:
    rolling = Rolling(100.0)
    for number in range(100_000):
        rolling.add(True, 1.0001**number, number / 1000)
    assert len(rolling._bins) <= 400
    assert all(len(bucket.bins) <= 400 for bucket in rolling._buckets)
    assert rolling.good == 100_000
    rolling.turn(1e9)
    assert (rolling.good, rolling.bad, rolling._bins) == (0, 0, {})


def test_a_try_that_has_left_the_window_is_let_go() -> None:
    rolling = Rolling(100.0)
    rolling.add(True, 1.0, 1000.0)
    rolling.add(False, 1.0, 899.0)
    rolling.add(False, 1.0, 915.0)
    assert (rolling.good, rolling.bad) == (1, 1)

from __future__ import annotations

import asyncio
import time

import pytest

from mainstay.pipeline import Clock, VirtualClock


def test_the_real_clock_is_monotonic_time_and_real_sleep() -> None:
    clock = Clock()
    assert clock.now is time.monotonic
    assert clock.sleep is time.sleep
    assert 0 <= clock.random() < 1


def test_every_part_of_a_clock_can_be_replaced() -> None:
    slept: list[float] = []
    clock = Clock(now=lambda: 7.0, sleep=slept.append, random=lambda: 0.25)
    clock.sleep(3)
    assert (clock.now(), slept, clock.random()) == (7.0, [3], 0.25)


def test_uniform_draws_from_the_clock_s_own_chance() -> None:
    assert Clock(random=lambda: 0.0).uniform(2, 6) == 2
    assert Clock(random=lambda: 0.25).uniform(2, 6) == 3


def test_the_real_clock_sleeps_on_the_loop_without_holding_it() -> None:
    async def main() -> list[str]:
        order: list[str] = []

        async def sleeper() -> None:
            await Clock().asleep(0.001)
            order.append("slept")

        task = asyncio.create_task(sleeper())
        await asyncio.sleep(0)
        order.append("went on")
        await task
        return order

    assert asyncio.run(main()) == ["went on", "slept"]


def test_a_virtual_clock_stands_still_until_it_is_told_to_move() -> None:
    clock = VirtualClock(start=5)
    assert (clock.now(), clock.now()) == (5, 5)
    clock.advance(0)
    clock.advance(2.5)
    assert clock.now() == 7.5


def test_sleeping_moves_a_virtual_clock_at_once_and_is_written_down() -> None:
    clock = VirtualClock(start=0)
    clock.sleep(3)
    asyncio.run(clock.asleep(4))
    assert (clock.now(), clock.slept) == (7, [3, 4])


def test_a_virtual_clock_has_no_chance_of_its_own() -> None:
    assert VirtualClock().random() == 0.5
    assert VirtualClock(random=lambda: 0.1).uniform(0, 10) == 1


@pytest.mark.parametrize("seconds", [-1, -0.001, float("nan")])
def test_a_virtual_clock_never_goes_back(seconds: float) -> None:
    clock = VirtualClock(start=9)
    with pytest.raises(ValueError, match="0 or more"):
        clock.advance(seconds)
    assert clock.now() == 9

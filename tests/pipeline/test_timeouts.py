from __future__ import annotations

from typing import Any

import pytest

from mainstay.pipeline import Timeouts


def test_the_defaults_are_those_that_the_text_names() -> None:
    assert Timeouts() == Timeouts(connect=5.0, first_event=60.0, gap=60.0, total=600.0)


@pytest.mark.parametrize("name", ["connect", "first_event", "gap", "total"])
@pytest.mark.parametrize("value", [0, -1, float("inf"), float("nan"), True, "5"])
def test_a_clock_that_is_no_positive_number_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"Timeouts\({name}=\.\.\.\) must be a positive number"):
        Timeouts(**{name: value})


@pytest.mark.parametrize("name", ["connect", "first_event", "gap"])
def test_a_part_is_not_longer_than_the_whole(name: str) -> None:
    with pytest.raises(ValueError, match=rf"Timeouts\({name}=700\) is longer than total=600"):
        Timeouts(**{name: 700})


def test_a_part_that_is_not_given_is_no_longer_than_the_whole() -> None:
    assert Timeouts(total=30) == Timeouts(connect=5, first_event=30, gap=30, total=30)
    assert Timeouts(gap=2, total=3) == Timeouts(connect=3, first_event=3, gap=2, total=3)


def test_a_part_may_be_as_long_as_the_whole() -> None:
    assert Timeouts(connect=1, first_event=2, gap=2, total=2).total == 2


def test_the_first_wait_of_a_stream_is_its_first_event_and_of_a_whole_reply_the_whole() -> None:
    timeouts = Timeouts(first_event=3, gap=4, total=9)
    assert (timeouts.first(stream=True), timeouts.first(stream=False)) == (3, 9)

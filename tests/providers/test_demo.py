"""The demo: every prompt is answered whole, or cut and said so; by whom, and what it costs to do without."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from mainstay.providers.demo import PROMPTS, Play, Played


def test_no_prompt_is_lost_with_the_stack_and_many_are_without_it() -> None:
    played: list[Played] = []
    with Play() as play:
        play.run(played.append)

    assert [one.number for one in played] == list(range(1, PROMPTS + 1))
    assert play.stacked.asked == play.direct.asked == PROMPTS
    assert not play.stacked.lost
    assert play.stacked.cut == 1
    assert play.stacked.whole == PROMPTS - 1
    assert set(play.stacked.by) == {"openai", "claude", "ollama"}
    assert sum(play.direct.lost.values()) > PROMPTS // 4
    moves = {(change.route, change.after) for one in played for change in one.changes}
    assert {("openai", "open"), ("openai", "half-open"), ("openai", "closed")} <= moves
    assert len([span for span in play.spans if span.name.startswith("chat ")]) >= 3


def test_the_command_ends_in_time_without_a_terminal_and_returns_0() -> None:
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "mainstay.providers.cli", "demo"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONWARNINGS": "error", "COLUMNS": "120"},
    )
    took = time.monotonic() - begun  # a promise of the command itself, over real sockets
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "60 prompts" in done.stdout
    assert "with the stack" in done.stdout
    assert "mainstay chat" in done.stdout
    assert "\x1b" not in done.stdout
    assert took < 20

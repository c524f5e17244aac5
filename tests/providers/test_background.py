"""A thread of the background: begins, is woken, ends, and goes on in a forked child."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from queue import Queue

import pytest

from mainstay.providers.background import Background


class Owner:
    def __init__(self, *delays: float | Exception | None) -> None:
        self.delays = list(delays)
        self.steps: Queue[str] = Queue()
        self.background = Background("test", self.step)

    def step(self) -> float | None:
        delay = self.delays.pop(0) if self.delays else None
        self.steps.put(threading.current_thread().name)
        if isinstance(delay, Exception):
            raise delay
        return delay


def test_it_does_a_step_at_once_when_one_is_due_and_when_it_is_woken() -> None:
    owner = Owner(0.0, 0.0, None)
    owner.background.start()
    assert [owner.steps.get(timeout=20) for _ in range(3)] == ["mainstay-test"] * 3
    owner.background.wake()
    owner.steps.get(timeout=20)
    assert owner.background.alive
    owner.background.close(20)
    assert not owner.background.alive
    assert owner.steps.empty()


def test_a_step_that_fails_is_logged_and_the_next_one_comes(caplog: pytest.LogCaptureFixture) -> None:
    owner = Owner(ZeroDivisionError("mine"), None)
    owner.background.start()
    owner.steps.get(timeout=20)
    owner.background.wake()
    owner.steps.get(timeout=20)
    owner.background.close(20)
    assert [record.getMessage() for record in caplog.records] == ["mainstay-test failed"]


def test_it_is_started_once_and_may_be_closed_often() -> None:
    owner = Owner()
    owner.background.close()
    owner = Owner()
    owner.background.start()
    with pytest.raises(RuntimeError, match="has been started before"):
        owner.background.start()
    owner.background.close(20)
    owner.background.close(20)


def test_it_ends_when_nobody_holds_its_owner_any_more() -> None:
    owner = Owner(None)
    owner.background.start()
    owner.steps.get(timeout=20)
    thread = owner.background._thread
    del owner
    gc.collect()
    assert thread is not None
    thread.join(20)
    assert not thread.is_alive()


PROGRAM = """
import os, queue
from mainstay.providers.background import Background
class Owner:
    def __init__(self):
        self.steps = queue.Queue()
        self.background = Background("test", self.step)
    def step(self):
        self.steps.put(os.getpid())
started, idle, closed = Owner(), Owner(), Owner()
for owner in (started, closed):
    owner.background.start()
    assert owner.steps.get(timeout=20) == os.getpid()
closed.background.close(20)
child = os.fork()
started.steps = queue.Queue() if not child else started.steps
if not child:
    started.background.wake()
    ok = started.steps.get(timeout=20) == os.getpid() and started.background.alive
    ok = ok and not idle.background.alive and not closed.background.alive
    started.background.close(20)
    os._exit(0 if ok else 1)
_, status = os.waitpid(child, 0)
assert status == 0, status
started.background.wake()
assert started.steps.get(timeout=20) == os.getpid()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_it_goes_on_in_a_forked_child_if_it_ran() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr

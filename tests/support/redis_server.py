"""A real Redis server on loopback, for one test: a free port, nothing on disk, and an end."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import redis


class RedisServer:
    """Starts `redis-server` from PATH; `kill` ends it at once, as a crash would, and `start` brings it back, empty."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("redis-server")
        if program is None:
            pytest.skip("NOTHING is tested against a real Redis: there is no redis-server on PATH")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        options = {"bind": "127.0.0.1", "port": self.port, "save": "", "appendonly": "no", "dir": folder}
        self._command = [program, *(str(word) for name, value in options.items() for word in (f"--{name}", value))]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.client: Any = redis.Redis(port=self.port, decode_responses=True)
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 30
        while True:
            try:
                self.client.ping()
                return
            except Exception:
                assert self._process.poll() is None, "redis-server did not start"
                assert time.monotonic() < end, "redis-server does not answer"
                time.sleep(0.01)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(30)

    def close(self) -> None:
        self.kill()
        self.client.close()

    def scripts_run(self) -> int:
        """How many round trips the breakers have made."""
        stats = self.client.info("commandstats")
        return sum(int(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"]) for name in ("evalsha", "eval"))

    def state(self, route: str) -> str | None:
        """What the record of a route says."""
        return self.client.hget(f"{{mainstay:{route}}}:pybreaker:circuit", "state")  # type: ignore[no-any-return]

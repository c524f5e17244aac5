"""`mainstay top`: what it shows, when it gives up, and how it ends; on a real terminal and without one."""

from __future__ import annotations

import io
import json
import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import requests
from rich.console import Console

from mainstay.adapters.sandbox import Sandbox, faults
from mainstay.providers import ProviderManager, serve_status, top

Serve = Callable[..., Sandbox]
COMMAND = [sys.executable, "-m", "mainstay.providers.cli", "top"]
WELL = {
    "healthy": True,
    "state": "closed",
    "reason": "",
    "attempts": 1200,
    "errors": 3,
    "since": None,
    "reopens_at": None,
    "recent": 120,
    "success_rate": 0.975,
    "p50": 0.42,
    "p95": 12.3,
    "last_error": "timeout",
    "probe": None,
}
SICK = {
    **WELL,
    "healthy": False,
    "state": "open",
    "reason": "connection_refused",
    "since": 900.0,
    "reopens_at": 1004.0,
    "success_rate": 0.0,
    "last_error": "unavailable",
    "probe": {"ok": False, "at": 990.0, "seconds": 0.1, "error": "timeout", "reason": "connect"},
}
ANSWER: Any = {"time": 1000.0, "routes": {"openai": SICK, "eu/[claude]": WELL}}


class Saying(requests.adapters.BaseAdapter):
    """Answers everything with this body."""

    def __init__(self, body: str) -> None:
        super().__init__()
        self._body = body

    def send(self, request: Any, **options: Any) -> requests.Response:
        response = requests.Response()
        response.status_code, response._content = 200, self._body.encode()
        return response

    def close(self) -> None:
        pass


def drawn(width: int, answer: Any = ANSWER, trouble: str = "") -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(top.frame(answer, "http://here", console, trouble))
    return [line.rstrip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]


def test_a_wide_terminal_shows_everything() -> None:
    head, _, *table = drawn(140)
    assert re.fullmatch(r"http://here   \d\d:\d\d:\d\d   2 routes, 1 sick", head)
    assert [re.sub(r" {2,}", "|", line) for line in table] == [
        "route|breaker|sick for|admits in|attempts|errors|good|p50|p95|last error|reason|probe",
        "openai|sick|open|1 m 40 s|4 s|1200|3|0.0 %|420 ms|12.3 s|unavailable|connection_refused|timeout",
        "eu/[claude]|well|closed|1200|3|97.5 %|420 ms|12.3 s|timeout",
    ]


def test_what_another_process_tells_is_no_command_to_this_terminal() -> None:
    odd = {**SICK, "reason": "\x1b]0;owned\x07", "last_error": "a\nb"}
    picture = "\n".join(drawn(200, {"time": 1000.0, "routes": {"\x1b[2Jopenai\n": odd}}))
    assert not {"\x1b", "\x07"} & set(picture)
    assert ("\ufffd[2Jopenai\ufffd" in picture, "a\ufffdb" in picture) == (True, True)


@pytest.mark.parametrize("width", range(50, 140, 10))
def test_a_narrow_one_leaves_out_columns_and_cuts_no_word(width: int) -> None:
    lines = drawn(width)
    assert max(map(len, lines)) <= width
    assert "…" not in "".join(lines)
    (row,) = [line for line in lines if line.startswith("openai")]
    assert all(word in row for word in ("sick", "open", "1 m 40 s", "unavailable"))


def test_an_old_picture_says_why_it_is_one() -> None:
    assert drawn(100, trouble="nothing answers")[1] == "nothing answers"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-3, "0 s"), (0.4, "0 s"), (59.4, "59 s"), (60, "1 m 0 s"), (7325, "2 h 2 m"), (200_000, "2 d 7 h")],
)
def test_a_length_of_time_is_told_in_its_two_largest_units(seconds: float, words: str) -> None:
    assert top._span(seconds) == words


# -- run as a user runs it -------------------------------------------------------------------------------------


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "PYTHONWARNINGS": "error", "http_proxy": "http://127.0.0.1:1"}
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, check=False, timeout=60, env=environment
    )


@pytest.mark.parametrize("once", [(), ("--once",)])
def test_without_a_terminal_or_if_asked_to_it_shows_the_status_once(serve: Serve, once: tuple[str, ...]) -> None:
    server = serve("openai")
    server.always(faults.bad_key())
    with ProviderManager() as manager:
        manager.add_provider("openai", {"base_url": server.url, "api_key": "sk-1"})
        manager.add_provider("claude", {"base_url": serve("claude").url, "api_key": "sk-2"})
        with suppress(RuntimeError):
            manager.execute("openai", "gpt-4o", "Hi")
        done = run(manager.serve_status().url.removeprefix("http://"), *once)
    assert (done.returncode, done.stderr) == (0, "")
    assert "2 routes, 1 sick" in done.stdout
    (row,) = [line for line in done.stdout.splitlines() if line.startswith("openai")]
    assert re.search(r"sick +open .* 1 +1 +0.0 % .*authentication", row)


def test_where_nothing_answers_it_says_so_and_returns_1() -> None:
    done = run("http://127.0.0.1:1")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "mainstay: nothing answers at http://127.0.0.1:1: is that the URL that serve_status() told?\n"


def test_what_is_no_status_is_said_and_returns_1(serve: Serve) -> None:
    done = run(serve("ollama").url)
    assert (done.returncode, done.stdout) == (1, "")
    assert "no status of Mainstay's" in done.stderr
    assert run("http://[nonsense").returncode == 1


@pytest.mark.parametrize("lacking", ["time", "probe", "state"])
def test_a_status_that_lacks_something_is_none(lacking: str) -> None:
    row = {name: value for name, value in WELL.items() if name != lacking}
    body = json.dumps({name: value for name, value in {"time": 1.0, "routes": {"a": row}}.items() if name != lacking})
    with requests.Session() as session:
        session.mount("http://", Saying(body))
        with pytest.raises(top.Silent, match="no status of Mainstay's"):
            top.fetch(session, "http://here")


@pytest.mark.parametrize("arguments", [(), ("http://127.0.0.1:1", "--interval", "0"), ("a", "b")])
def test_a_wrong_command_returns_2(arguments: tuple[str, ...]) -> None:
    assert run(*arguments).returncode == 2


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_on_a_terminal_it_follows_what_happens_until_ctrl_c() -> None:
    import pty

    answers = [{"openai": WELL}, {"openai": SICK}]
    terminal, inner = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120", "LINES": "20"}
    with serve_status(lambda: answers[0]) as server:
        command = [*COMMAND, server.url, "--interval", "0.1"]
        shown = subprocess.Popen(command, stdin=inner, stdout=inner, stderr=inner, env=environment)
        os.close(inner)
        try:
            read_until(terminal, "all well")
            answers.pop(0)
            read_until(terminal, "1 sick")
            server.close()
            read_until(terminal, "nothing answers")  # and goes on waiting for it
            shown.send_signal(signal.SIGINT)
            rest = read_until(terminal, None)
            assert shown.wait(20) == 0
        finally:
            shown.kill()
            shown.wait()
            os.close(terminal)
    assert "Traceback" not in rest
    assert "\x1b[?1049l" in rest  # the screen is given back as it was
    assert "\x1b[?25h" in rest  # with its cursor


def read_until(terminal: int, words: str | None) -> str:
    """What is shown up to these words, or up to the end."""
    seen = ""
    while words is None or words not in seen:
        ready, _, _ = select.select([terminal], [], [], 30)
        assert ready, seen
        try:
            data = os.read(terminal, 65536)
        except OSError:  # Linux' way to say that nobody writes any more
            data = b""
        if not data:
            assert words is None, seen
            break
        seen += data.decode(errors="replace")
    return seen

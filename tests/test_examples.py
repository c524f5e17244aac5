"""Every example is run, against the sandbox: it does what its first lines say."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from mainstay.adapters.sandbox import Answer, Sandbox, faults
from support.redis_server import RedisServer

FOLDER = Path(__file__).parent.parent / "examples"
BLUE = Answer("Because of the air.")


def run(name: str, *arguments: str) -> str:
    """Runs an example as its user would; gives what it prints."""
    keys = {"OPENAI_API_KEY": "sk-test", "ANTHROPIC_API_KEY": "sk-test"}
    done = subprocess.run(
        [sys.executable, "-W", "error", FOLDER / f"{name}.py", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, **keys},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def loaded(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def openai() -> Iterator[Sandbox]:
    with Sandbox("openai") as server:
        server.always(BLUE)
        yield server


@pytest.fixture
def claude() -> Iterator[Sandbox]:
    with Sandbox("claude") as server:
        server.always(BLUE)
        yield server


def test_every_example_is_run() -> None:
    here = Path(__file__).read_text()
    for file in FOLDER.glob("*.py"):
        assert f'("{file.stem}"' in here, f"no test runs {file.name}"
        assert len(file.read_text().splitlines()) < 80, f"{file.name} is no short example any more"


def test_custom_stack(openai: Sandbox, claude: Sandbox) -> None:
    openai.always(faults.quota())
    printed = run("custom_stack", openai.url, claude.url)
    assert "retry → breaker → Claude" in printed
    assert printed.endswith("claude answers: Because of the air.\n")
    assert (openai.count, claude.count) == (1, 1)


def test_own_layer() -> None:
    with Sandbox("ollama") as server:
        server.always(BLUE)
        printed = run("own_layer", server.url)
        assert "Answer in at most 5 words." in str(server.seen[-1].body)
    assert printed == "[4 words, ok]\nBecause of the air.\nBecause of the air.[4 words, ok]\n"


def test_fastapi_endpoint(openai: Sandbox, claude: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    from fastapi.testclient import TestClient

    for name, server in (("OPENAI", openai), ("ANTHROPIC", claude)):
        monkeypatch.setenv(f"{name}_API_KEY", "sk-test")
        monkeypatch.setenv(f"{name}_BASE_URL", server.url)
    openai.always(faults.quota())
    with TestClient(loaded("fastapi_endpoint").app) as client:
        answer = client.post("/chat", json={"prompt": "Why is the sky blue?"})
        assert (answer.status_code, answer.headers["x-provider"]) == (200, "claude")
        assert answer.text == "Because of the air."
        assert client.get("/health").json()["openai"]["healthy"] is False
        claude.always(faults.rate_limit(7))
        answer = client.post("/chat", json={"prompt": "Why is the sky blue?"})
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "8")
        assert "rate limited" in answer.json()["error"]


def test_redis_fleet(openai: Sandbox, tmp_path: Path) -> None:
    redis: Any = RedisServer(tmp_path)
    try:
        openai.always(faults.quota())
        printed = run("redis_fleet", redis.url, openai.url).splitlines()
    finally:
        redis.close()
    assert printed == [
        "failed after 1 requests: insufficient_quota",
        *["refused without a request: insufficient_quota"] * 3,
    ]
    assert openai.count == 1


def test_wrapped_client(openai: Sandbox) -> None:
    with Sandbox("ollama") as ollama:
        assert run("wrapped_client", openai.url, ollama.url) == "Because of the air. openai 1\n"
        assert openai.seen[-1].headers["x-team"] == "search"
        openai.always(faults.quota())
        ollama.always(BLUE)
        assert run("wrapped_client", openai.url, ollama.url) == "Because of the air. ollama 2\n"
    assert openai.count == 2


def test_protected_client(openai: Sandbox, claude: Sandbox) -> None:
    assert run("protected_client", openai.url, claude.url) == "Because of the air.\nBecause of the air.\n"
    assert (openai.count, claude.count) == (2, 0)
    openai.always(faults.quota())
    claude.always(Answer("Ask the other one."))
    assert run("protected_client", openai.url, claude.url) == "Ask the other one.\nAsk the other one.\n"
    assert (openai.count, claude.count) == (3, 2)  # the second time the breaker is open
    claude.always(faults.bad_key())
    assert run("protected_client", openai.url, claude.url) == "AllRoutesFailed after 2 requests\n"
    assert (openai.count, claude.count) == (4, 3)


def test_collector(openai: Sandbox) -> None:
    came: dict[str, bytes] = {}

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            came[self.path] = self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Collector) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            printed = run("collector", f"http://127.0.0.1:{server.server_port}", openai.url)
        finally:
            server.shutdown()
            thread.join()
    assert printed == "Because of the air.\n"
    assert set(came) == {"/v1/traces", "/v1/metrics"}

"""A real llama.cpp server on loopback, with a tiny model of random weights made on the spot."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tiny.gguf"
    command = [sys.executable, str(HERE / "tiny_gguf.py"), str(path), "--ctx", "32768"]
    subprocess.run(command, check=True, capture_output=True)
    return path


@contextmanager
def serving(model: Path, *arguments: str) -> Iterator[str]:
    """Runs a server; gives its URL once it listens. The arguments are those of serve_llama.py after the port."""
    process = subprocess.Popen(
        [sys.executable, str(HERE / "serve_llama.py"), str(model), "0", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if line.startswith("listening"):
                yield line.split()[1].rstrip("/")
                break
        else:
            pytest.fail(f"the llama.cpp server ended with {process.wait()} before it listened")
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


@pytest.fixture(scope="session")
def llama_url(tiny_model: Path) -> Iterator[str]:
    """The base URL of the server's OpenAI-compatible half: two slots of 256 tokens, answers of 64 at most."""
    with serving(tiny_model) as url:
        yield f"{url}/v1"


@pytest.fixture(scope="session")
def locked_url(tiny_model: Path) -> Iterator[str]:
    """The URL of a server that asks for the key "sekrit": one slot, whose answers take tens of seconds if they may."""
    with serving(tiny_model, "sekrit", "32768") as url:
        yield url

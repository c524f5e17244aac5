"""A real llama.cpp server on loopback, with a tiny model of random weights made on the spot."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tiny.gguf"
    subprocess.run([sys.executable, str(HERE / "tiny_gguf.py"), str(path)], check=True, capture_output=True)
    return path


@pytest.fixture(scope="session")
def llama_url(tiny_model: Path) -> Iterator[str]:
    """The base URL of the server's OpenAI-compatible half."""
    process = subprocess.Popen(
        [sys.executable, str(HERE / "serve_llama.py"), str(tiny_model), "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if line.startswith("listening"):
                yield f"{line.split()[1].rstrip('/')}/v1"
                break
        else:
            pytest.fail(f"the llama.cpp server ended with {process.wait()} before it listened")
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()

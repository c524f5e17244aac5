"""llama.cpp as a program: what can be found out without running it."""

from __future__ import annotations

from pathlib import Path

import pytest

from mainstay.adapters import LlamaCppProcess, Model
from mainstay.pipeline import ErrorClass, ModelNotFound, ProviderError, Unavailable, VirtualClock
from mainstay.providers import create_provider


@pytest.fixture
def binary(tmp_path: Path) -> str:
    """A program that fails if it is run."""
    path = tmp_path / "llama-completion"
    path.write_text("#!/bin/sh\nexit 1\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "tiny.gguf"
    path.write_bytes(b"GGUF\x03\x00\x00\x00")
    return str(path)


def test_the_model_is_the_file(binary: str, file: str) -> None:
    assert LlamaCppProcess(file, binary=binary).models() == (Model(file, "tiny.gguf"),)
    assert LlamaCppProcess(binary=binary).models() == ()


def test_a_probe_finds_program_and_file_without_running_anything(binary: str, file: str) -> None:
    with create_provider("llama_cpp_process", {"binary": binary, "model": file}, clock=VirtualClock()) as provider:
        assert provider.models() == (Model(file, "tiny.gguf"),)
        probe = provider.probe()
    assert (probe.latency, probe.key, probe.model) == (0, False, Model(file, "tiny.gguf"))
    assert LlamaCppProcess(binary=binary).probe().model is None


def test_a_program_that_is_not_there_is_told_with_what_to_do(tmp_path: Path, file: str) -> None:
    adapter = LlamaCppProcess(file, binary=str(tmp_path / "nothing"), provider="mine")
    with pytest.raises(Unavailable, match=r"^mine: the program .*nothing was not found; install llama\.cpp") as caught:
        adapter.probe()
    assert caught.value.reason == "binary_missing"


def test_the_program_is_looked_up_on_the_path_that_it_will_be_given(binary: str, file: str) -> None:
    environment = {"PATH": str(Path(binary).parent)}
    assert LlamaCppProcess(file, environment=environment).probe().model is not None
    with pytest.raises(Unavailable, match="was not found"):
        LlamaCppProcess(file, environment={"PATH": "/nowhere"}).probe()


@pytest.mark.parametrize("name", ["missing.gguf", "", "llama-completion/tiny.gguf"])
def test_a_file_that_is_not_there_is_a_model_that_is_not_found(tmp_path: Path, binary: str, name: str) -> None:
    path = str(tmp_path / name)
    with pytest.raises(ModelNotFound, match="is no file; check the model's path or name") as caught:
        LlamaCppProcess(path, binary=binary).probe()
    assert (caught.value.model, caught.value.provider) == (path, "llama_cpp")


@pytest.mark.parametrize("content", [b"", b"GGU", b"ggml", b"<html>Not found</html>"])
def test_a_file_of_another_kind_is_no_model(tmp_path: Path, binary: str, content: bytes) -> None:
    path = tmp_path / "other.gguf"
    path.write_bytes(content)
    for ask in (LlamaCppProcess(str(path), binary=binary).probe, LlamaCppProcess(str(path), binary=binary).models):
        with pytest.raises(ProviderError, match="it is no GGUF file") as caught:
            ask()
        assert (caught.value.error_class, caught.value.reason) == (ErrorClass.UNAVAILABLE, "bad_model_file")


def test_a_timeout_that_is_none_is_refused_here_too(binary: str, file: str) -> None:
    with pytest.raises(ValueError, match="timeout must be a number of seconds"):
        LlamaCppProcess(file, binary=binary).probe(timeout=0)

"""Real input: a real llama.cpp server is asked for its models, and whether it would answer."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from mainstay.adapters import LlamaCpp, OpenAI
from mainstay.pipeline import ModelNotFound
from mainstay.providers import create_provider


def test_the_server_tells_its_model_and_the_window_of_one_slot(llama_url: str) -> None:
    with LlamaCpp(llama_url) as llama, OpenAI(base_url=llama_url, compatible=True) as compatible:
        for adapter in (llama, compatible):
            (model,) = adapter.models()
            assert (model.id, model.window) == ("tiny", 256)
            assert model.raw["owned_by"] == "llamacpp"


def test_a_probe_finds_it_there_without_a_key_under_any_name(llama_url: str) -> None:
    with create_provider("llama_cpp", {"base_url": llama_url}) as provider:
        for name in (None, "tiny", "another"):
            probe = provider.probe(name)
            assert probe.key is False
            assert probe.latency > 0
            assert (probe.model.id if probe.model else None) == ("tiny" if name else None)


def test_as_a_compatible_server_it_is_held_to_the_name(llama_url: str) -> None:
    with OpenAI(base_url=llama_url, compatible=True) as adapter:
        assert adapter.probe("tiny").model is not None
        with pytest.raises(ModelNotFound):
            adapter.probe("another")


def test_check_says_so_in_json(llama_url: str) -> None:
    environment = {"PATH": os.environ["PATH"], "PYTHONWARNINGS": "error"}
    command = [sys.executable, "-m", "mainstay.providers.cli", "check", "--base-url", llama_url, "--json"]
    done = subprocess.run(
        [*command, "--model", "tiny"], capture_output=True, text=True, check=False, timeout=60, env=environment
    )
    assert done.returncode == 0, done.stderr
    (told,) = json.loads(done.stdout)
    assert (told["ok"], told["reachable"], told["key"], told["model"]) == (True, "yes", "not needed", "yes")

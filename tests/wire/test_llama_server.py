"""Real input: the command line and the OpenAI adapter against a real llama.cpp server."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from mainstay.adapters import OpenAI
from mainstay.middleware import standard
from mainstay.pipeline import ErrorClass, ProviderError, Request, Stack


def ask(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "PYTHONWARNINGS": "error"}
    command = [sys.executable, "-m", "mainstay.providers.cli", "ask", "--base-url", url, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment)


def test_ask_gets_a_complete_answer(llama_url: str) -> None:
    done = ask(llama_url, "--json", "--param", "seed=1", "--param", "max_tokens=16", "Say something")
    assert done.returncode == 0, done.stderr
    reply = json.loads(done.stdout)
    assert reply["text"].strip()
    assert reply["finish_reason"] in ("stop", "length")
    assert 0 < reply["usage"]["completion_tokens"] <= 16
    assert reply["usage"]["prompt_tokens"] > 0
    assert len(reply["attempts"]) == 1


def test_ask_gets_a_streamed_answer_that_is_the_same_text(llama_url: str) -> None:
    options = ("--param", "seed=1", "--param", "temperature=0", "--param", "max_tokens=16", "Say something")
    complete, streamed = ask(llama_url, *options), ask(llama_url, "--stream", *options)
    assert streamed.returncode == 0, streamed.stderr
    assert streamed.stdout == complete.stdout
    assert streamed.stdout.strip()


def test_a_stream_arrives_in_pieces_and_proves_its_end(llama_url: str) -> None:
    with OpenAI(base_url=llama_url, compatible=True) as llama:
        with Stack(standard(), llama)(
            Request("tiny", "Hello", {"max_tokens": 12, "temperature": 0}, stream=True)
        ) as reply:
            pieces = [chunk.text for chunk in reply if chunk.text]
        assert len(pieces) > 1
        assert reply.finish_reason in ("stop", "length")
        assert reply.usage is not None
        assert reply.usage.completion_tokens is not None


def test_a_prompt_beyond_the_window_is_told_as_that(llama_url: str) -> None:
    with OpenAI(base_url=llama_url, compatible=True) as llama, pytest.raises(ProviderError) as caught:
        Stack(standard(), llama)(Request("tiny", "word " * 600))
    assert (caught.value.error_class, caught.value.reason) == (ErrorClass.INVALID_REQUEST, "context_length")
    assert len(caught.value.attempts) == 1

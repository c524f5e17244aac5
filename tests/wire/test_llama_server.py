"""Real input: the command line and the adapters against a real llama.cpp server."""

from __future__ import annotations

import gc
import json
import os
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mainstay.adapters import Adapter, Claude, LlamaCpp, OpenAI
from mainstay.middleware import standard
from mainstay.pipeline import (
    ErrorClass,
    InvalidParameters,
    ProviderError,
    Reply,
    Request,
    Stack,
    TimedOut,
    Timeouts,
)


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


SAY = Request("tiny", "Say something", {"temperature": 0, "max_tokens": 12})
STREAM = SAY.replace(stream=True)
OBJECT = {"type": "object", "properties": {"ok": {"type": "boolean"}, "n": {"enum": [1, 2]}}, "required": ["ok", "n"]}


@pytest.fixture
def llama(llama_url: str) -> Iterator[LlamaCpp]:
    with LlamaCpp(llama_url) as adapter:
        yield adapter


def ask_with(adapter: Adapter, request: Request = SAY, **params: Any) -> Reply:
    return adapter(request.replace(params={**request.params, **params})).read()


def failure(adapter: Adapter, request: Request) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        adapter(request).read()
    return caught.value


class TestChat:
    def test_an_answer_and_a_stream_say_the_same(self, llama: LlamaCpp) -> None:
        complete, streamed = ask_with(llama), ask_with(llama, STREAM)
        assert complete.text == streamed.text
        assert complete.text.strip()
        assert complete.finish_reason == streamed.finish_reason
        assert complete.finish_reason in ("stop", "length")
        for reply in (complete, streamed):
            assert reply.usage is not None
            assert reply.usage.prompt_tokens
            assert reply.usage.completion_tokens
            assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens
            assert (reply.provider, reply.model) == ("llama_cpp", "tiny")
            assert reply.id.startswith("chatcmpl-")

    def test_the_official_client_gets_the_same(self, llama: LlamaCpp, llama_url: str) -> None:
        openai = pytest.importorskip("openai")
        ours = ask_with(llama)
        with openai.OpenAI(api_key="x", base_url=llama_url, max_retries=0) as client:
            question: Any = {"model": "tiny", "messages": SAY.messages, **SAY.params}
            theirs = client.chat.completions.create(**question)
            pieces = [
                chunk.choices[0].delta.content for chunk in client.chat.completions.create(**question, stream=True)
            ]
        assert ours.text == theirs.choices[0].message.content == "".join(piece or "" for piece in pieces)
        assert ours.native_finish_reason == theirs.choices[0].finish_reason
        assert ours.usage is not None
        assert (ours.usage.prompt_tokens, ours.usage.completion_tokens) == (
            theirs.usage.prompt_tokens,
            theirs.usage.completion_tokens,
        )

    @pytest.mark.parametrize("stream", [False, True], ids=["complete", "stream"])
    def test_a_schema_is_kept_to(self, llama: LlamaCpp, stream: bool) -> None:
        form = {"type": "json_schema", "json_schema": {"name": "x", "schema": OBJECT}}
        reply = ask_with(llama, SAY.replace(stream=stream), response_format=form, max_tokens=60)
        said = json.loads(reply.text)
        assert said.keys() == {"ok", "n"}
        assert said["ok"] in (True, False)
        assert said["n"] in (1, 2)
        assert reply.finish_reason == "stop"

    def test_a_grammar_is_kept_to(self, llama: LlamaCpp) -> None:
        assert ask_with(llama, grammar='root ::= "yes" | "no"').text in ("yes", "no")

    def test_a_seed_repeats_what_was_said(self, llama: LlamaCpp) -> None:
        texts = [ask_with(llama, seed=seed, temperature=2, min_p=0.01).text for seed in (1, 1, 2)]
        assert texts[0] == texts[1] != texts[2]

    @pytest.mark.parametrize("stream", [False, True], ids=["complete", "stream"])
    def test_log_probabilities(self, llama: LlamaCpp, stream: bool) -> None:
        reply = ask_with(llama, SAY.replace(stream=stream), logprobs=True, top_logprobs=2, max_tokens=4)
        assert "".join(entry["token"] for entry in reply.logprobs) == reply.text
        assert all(entry["logprob"] < 0 and len(entry["top_logprobs"]) == 2 for entry in reply.logprobs)

    @pytest.mark.parametrize("stream", [False, True], ids=["complete", "stream"])
    def test_a_prompt_beyond_the_window(self, llama: LlamaCpp, stream: bool) -> None:
        error = failure(llama, Request("tiny", "word " * 600, stream=stream))
        assert (error.error_class, error.reason, error.status) == (ErrorClass.INVALID_REQUEST, "context_length", 400)
        assert "word word" not in repr(vars(error))

    def test_several_answers_are_refused_before_they_are_asked_for(self, llama: LlamaCpp) -> None:
        with pytest.raises(InvalidParameters) as caught:
            ask_with(llama, n=2)
        assert [problem.parameter for problem in caught.value.problems] == ["n"]


class TestKeys:
    @pytest.mark.parametrize("key", [None, "wrong"])
    @pytest.mark.parametrize("stream", [False, True], ids=["complete", "stream"])
    def test_a_wrong_key(self, locked_url: str, key: str | None, stream: bool) -> None:
        with LlamaCpp(locked_url, api_key=key) as adapter:
            error = failure(adapter, SAY.replace(stream=stream))
        assert (error.error_class, error.reason, error.status) == (ErrorClass.AUTHENTICATION, "bad_key", 401)
        assert "--api-key" in error.hint

    def test_the_right_one(self, locked_url: str) -> None:
        with LlamaCpp(locked_url, api_key="sekrit") as adapter:
            assert ask_with(adapter).text.strip()


def is_busy(url: str) -> bool:
    """Whether the one slot of the server is at work."""
    request = urllib.request.Request(f"{url}/slots", headers={"Authorization": "Bearer sekrit"})
    with urllib.request.urlopen(request, timeout=10) as response:
        (slot,) = json.load(response)
        return bool(slot["is_processing"])


def becomes_idle(url: str) -> bool:
    """Waits, 5 s at most, until the slot is free; what the tests ask for takes many times as long."""
    pause = threading.Event()
    return any(not is_busy(url) or pause.wait(0.01) for _ in range(500))


class TestClosing:
    ENDLESS = STREAM.replace(params={"max_tokens": -1, "ignore_eos": True})

    @pytest.mark.parametrize("leave", ["close", "with", "drop"])
    def test_a_stream_that_is_given_up_frees_its_slot(self, locked_url: str, leave: str) -> None:
        with LlamaCpp(locked_url, api_key="sekrit") as adapter:
            reply = adapter(self.ENDLESS)
            assert next(reply).text
            assert is_busy(locked_url)
            if leave == "close":
                reply.close()
            elif leave == "with":
                with reply:
                    pass
            del reply
            gc.collect()
            assert becomes_idle(locked_url)
            assert ask_with(adapter).text.strip()

    def test_a_deadline_frees_it_too(self, locked_url: str) -> None:
        with LlamaCpp(locked_url, api_key="sekrit", timeouts=Timeouts(total=0.5)) as adapter:
            error = failure(adapter, self.ENDLESS)
            assert isinstance(error, TimedOut)
            assert error.partial is not None
            assert len(error.partial.text) > 100
        with LlamaCpp(locked_url, api_key="sekrit", timeouts=Timeouts(total=5)) as adapter:
            assert ask_with(adapter).text.strip()  # it would have to wait for the only slot


def test_a_server_that_is_loading_its_model_is_waited_for(tiny_model: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = [sys.executable, str(Path(__file__).parent / "serve_llama.py"), str(tiny_model), str(port)]
    seen = set()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            with LlamaCpp(f"http://127.0.0.1:{port}", load_wait=30) as adapter:
                for _ in range(5000):  # the model is loaded within a second or so of the first answer
                    try:
                        text = ask_with(adapter).text
                    except ProviderError as error:
                        seen.add(error.reason)
                        threading.Event().wait(0.005)
                    else:
                        break
                assert text.strip()
        finally:
            process.terminate()
    assert seen <= {"connection_refused"}  # and at no time that it is loading


class TestMessages:
    """Its `/v1/messages`, through the adapter for Claude."""

    @pytest.fixture
    def claude(self, locked_url: str) -> Iterator[Claude]:
        with Claude("sekrit", base_url=locked_url) as adapter:
            yield adapter

    def test_an_answer_and_a_stream_say_the_same(self, claude: Claude, locked_url: str) -> None:
        complete, streamed = ask_with(claude), ask_with(claude, STREAM)
        with LlamaCpp(locked_url, api_key="sekrit") as adapter:
            chat = ask_with(adapter)
        assert complete.text == streamed.text == chat.text
        assert complete.finish_reason == streamed.finish_reason == chat.finish_reason
        for reply in (complete, streamed):
            assert reply.usage is not None
            assert chat.usage is not None
            assert reply.usage.total_tokens == chat.usage.total_tokens
            assert (reply.provider, reply.model) == ("claude", "tiny")

    @pytest.mark.parametrize("stream", [False, True], ids=["complete", "stream"])
    def test_errors(self, claude: Claude, locked_url: str, stream: bool) -> None:
        error = failure(claude, Request("tiny", "word " * 40_000, stream=stream))
        assert (error.error_class, error.reason) == (ErrorClass.INVALID_REQUEST, "context_length")
        with Claude("wrong", base_url=locked_url) as adapter:
            error = failure(adapter, SAY.replace(stream=stream))
        assert (error.error_class, error.reason) == (ErrorClass.AUTHENTICATION, "bad_key")

    def test_a_stream_that_is_given_up_frees_its_slot(self, claude: Claude, locked_url: str) -> None:
        with claude(STREAM.replace(params={"max_tokens": 30_000})) as reply:
            next(reply)
        assert becomes_idle(locked_url)

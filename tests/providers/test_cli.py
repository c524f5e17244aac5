"""The command line, run as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mainstay.adapters.sandbox import Answer, Sandbox, ToolUse, faults

# No key, and no Ollama at its usual place.
BARE = {
    "SERVER_KEY": "sk-right",
    "PATH": os.environ["PATH"],
    "OLLAMA_HOST": "http://127.0.0.1:1",
    "PYTHONWARNINGS": "error",
}


def _at(server: Sandbox) -> tuple[str, ...]:
    return "--base-url", server.url, "--key-env", "SERVER_KEY"


def run(*arguments: str, stdin: str | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mainstay.providers.cli", *arguments],
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**BARE, **environment},
    )


def test_without_any_provider_the_sandbox_answers_and_one_line_says_so() -> None:
    done = run("ask", "hello")
    assert (done.returncode, done.stdout) == (0, "Hello from the sandbox, all is well.\n")
    assert done.stderr.count("\n") == 1
    assert "OPENAI_API_KEY" in done.stderr
    assert "sandbox" in done.stderr


def test_the_prompt_may_come_from_standard_input() -> None:
    with Sandbox("openai") as server:
        server.always(lambda seen: Answer(f"You said: {seen.prompt}"))
        done = run("ask", *_at(server), stdin="a piped prompt\n")
    assert done.stdout == "You said: a piped prompt\n"


def test_nothing_to_ask_is_said_and_returns_2() -> None:
    done = run("ask", stdin="")
    assert done.returncode == 2
    assert "nothing to ask" in done.stderr


@pytest.mark.parametrize("stream", [(), ("--stream",)])
def test_a_compatible_server_is_asked_for_its_first_model_with_its_own_key(stream: tuple[str, ...]) -> None:
    with Sandbox("openai", key="sk-right") as server:
        done = run("ask", *_at(server), "--param", "temperature=0.2", *stream, "hi", OPENAI_API_KEY="sk-not-for-others")
        body = server.seen[-1].body
    assert (done.returncode, done.stdout) == (0, "Hello from the sandbox, all is well.\n")
    assert body["temperature"] == 0.2
    assert body["model"]


def test_keys_in_the_environment_choose_the_providers_and_the_next_one_answers() -> None:
    with Sandbox("openai") as openai, Sandbox("claude") as claude:
        openai.always(faults.quota())
        claude.always(Answer("from Claude"))
        done = run(
            "ask",
            "--json",
            "hi",
            OPENAI_API_KEY="sk-1",
            OPENAI_BASE_URL=openai.url,
            ANTHROPIC_API_KEY="sk-2",
            ANTHROPIC_BASE_URL=claude.url,
        )
    reply = json.loads(done.stdout)
    assert (reply["text"], reply["provider"], reply["finish_reason"]) == ("from Claude", "claude", "stop")
    assert [(a["route"], a["outcome"], a["error"]) for a in reply["attempts"]] == [
        ("openai", "error", "quota"),
        ("claude", "ok", None),
    ]


def test_an_ollama_that_answers_is_used_with_its_first_model() -> None:
    with Sandbox("ollama", models={"llama3.2:latest"}) as server:
        server.always(Answer("from the llama"))
        done = run("ask", "hi", OLLAMA_HOST=server.url)
        body = server.seen[-1].body
    assert (done.returncode, done.stdout, done.stderr) == (0, "from the llama\n", "")
    assert body["model"] == "llama3.2:latest"


def test_a_model_goes_to_the_provider_whose_it_is() -> None:
    with Sandbox("openai") as openai, Sandbox("claude") as claude:
        done = run(
            "ask",
            "--model",
            "claude-sonnet-4-5",
            "hi",
            OPENAI_API_KEY="sk-1",
            OPENAI_BASE_URL=openai.url,
            ANTHROPIC_API_KEY="sk-2",
            ANTHROPIC_BASE_URL=claude.url,
        )
        assert (done.returncode, openai.count, claude.count) == (0, 0, 1)
        assert claude.seen[-1].body["model"] == "claude-sonnet-4-5"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("ask", "--provider", "openai", "hi"), "set OPENAI_API_KEY"),
        (("ask", "--provider", "claude", "hi"), "set ANTHROPIC_API_KEY"),
        (("ask", "--provider", "ollama", "hi"), "ollama serve"),
        (("ask", "--param", "temperature", "hi"), "temperature=0.2"),
        (("ask", "--provider", "openai", "--base-url", "http://127.0.0.1:1/v1", "hi"), "leave --provider out"),
        (("ask", "--base-url", "notaurl", "hi"), "http://"),
        (("ask", "--param", "seed=1", "--param", "seed=2", "hi"), "given twice"),
        (("ask", "--base-url", "http://127.0.0.1:1/v1", "--key-env", "NOT_SET", "hi"), "--key-env NOT_SET"),
        (("ask", "--key-env", "SERVER_KEY", "hi"), "--base-url is expected"),
    ],
)
def test_a_wrong_command_says_what_to_do_and_returns_2(arguments: tuple[str, ...], said: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("model", ["llama3.2", "gpt-oss:20b"])
def test_a_prompt_for_a_local_model_goes_nowhere_else(model: str) -> None:
    with Sandbox("openai") as openai, Sandbox("ollama", models={"gpt-oss:20b", "llama3.2:latest"}) as ollama:
        done = run(
            "ask",
            "--model",
            model,
            "my private words",
            OPENAI_API_KEY="k",
            OPENAI_BASE_URL=openai.url,
            OLLAMA_HOST=ollama.url,
        )
        assert (done.returncode, openai.count, ollama.count) == (0, 0, 1)
        assert ollama.seen[-1].body["model"].startswith(model)


def test_a_server_that_is_not_there_is_told_as_that_and_returns_1() -> None:
    done = run("ask", "--base-url", "http://127.0.0.1:1/v1", "hi")
    assert done.returncode == 1
    assert "connection refused" in done.stderr


def test_a_server_that_refuses_its_list_of_models_is_told_as_that_and_returns_1() -> None:
    with Sandbox("openai", key="sk-other") as server:
        done = run("ask", *_at(server), "hi")
    assert done.returncode == 1
    assert "authentication failed" in done.stderr
    assert "sk-right" not in done.stderr


def test_the_netrc_of_the_user_goes_to_nobody(tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login u password NETRCPW\n")
    (tmp_path / ".netrc").chmod(0o600)
    with Sandbox("openai", key="sk-right") as server:
        done = run("ask", *_at(server), "hi", HOME=str(tmp_path), NETRC=str(tmp_path / ".netrc"))
        assert {seen.headers["authorization"] for seen in server.seen} == {"Bearer sk-right"}
    assert done.returncode == 0


def test_a_prompt_that_is_no_text_is_told_as_that() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mainstay.providers.cli", "ask"],
        input=b"\xff\xfe\xfd",
        capture_output=True,
        check=False,
        timeout=60,
        env={**BARE, "PYTHONIOENCODING": "utf-8:strict"},
    )
    assert done.returncode == 2
    assert b"is not text" in done.stderr


def test_the_sandbox_answers_as_the_model_that_was_named() -> None:
    done = run("ask", "--provider", "sandbox", "--model", "foo", "--json", "hi")
    assert json.loads(done.stdout)["model"] == "foo"


def test_a_wrong_parameter_is_refused_before_anything_is_sent_and_returns_1() -> None:
    with Sandbox("openai") as server:
        done = run(
            "ask",
            "--provider",
            "openai",
            "--param",
            "temprature=1",
            "hi",
            OPENAI_API_KEY="k",
            OPENAI_BASE_URL=server.url,
        )
        assert server.count == 0
    assert done.returncode == 1
    assert "did you mean `temperature`" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_cut_stream_shows_what_came_and_says_that_it_was_cut() -> None:
    with Sandbox("openai") as server:
        server.always(faults.cut(2, answer=Answer("one two three four")))
        plain = run("ask", "--stream", *_at(server), "hi")
        as_json = run("ask", "--stream", "--json", *_at(server), "hi")
    assert plain.returncode == as_json.returncode == 1
    assert plain.stdout == "one two\n"
    assert "truncated stream" in plain.stderr
    *chunks, last = map(json.loads, as_json.stdout.splitlines())
    assert "".join(chunk["text"] for chunk in chunks) == "one two"
    assert last["error"]["partial"] == "one two"
    assert last["error"]["reason"] == "truncated_stream"


def test_tool_calls_are_shown_and_json_streams_end_with_the_whole_reply() -> None:
    tools: Any = [{"type": "function", "function": {"name": "now", "parameters": {"type": "object"}}}]
    with Sandbox("openai") as server:
        server.always(Answer("", tool_calls=(ToolUse("now", {"tz": "UTC"}, id="call_1"),)))
        param = f"tools={json.dumps(tools)}"
        plain = run("ask", "--param", param, *_at(server), "hi")
        streamed = run("ask", "--json", "--stream", "--param", param, *_at(server), "hi")
    assert 'now({"tz"' in plain.stdout
    last = json.loads(streamed.stdout.splitlines()[-1])
    assert (last["finish_reason"], last["tool_calls"][0]["name"]) == ("tool_calls", "now")


def test_no_key_is_ever_printed() -> None:
    with Sandbox("openai", key="sk-other") as server:
        done = run("ask", "--provider", "openai", "hi", OPENAI_API_KEY="sk-planted-secret", OPENAI_BASE_URL=server.url)
    assert done.returncode == 1
    assert "authentication failed" in done.stderr
    assert "planted" not in done.stdout + done.stderr

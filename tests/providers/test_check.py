"""`mainstay check`, and what `mainstay ask` finds by itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Any

import pytest
from click.testing import CliRunner, Result

from mainstay.adapters.sandbox import Answer, Sandbox
from mainstay.providers import ProviderManager, checking, discover
from mainstay.providers.cli import main
from support.raw_server import Heard, RawServer, head

Serve = Callable[..., Sandbox]
KEY = "sk-planted-secret"
NOWHERE = "http://127.0.0.1:1"
OWN = ("OPENAI", "ANTHROPIC", "OPENROUTER", "OLLAMA", "LLAMA")


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key, and no local server at its usual place."""
    for name in ("API_KEY", "AUTH_TOKEN", "BASE_URL", "ORG_ID", "PROJECT_ID"):
        for owner in OWN:
            monkeypatch.delenv(f"{owner}_{name}", raising=False)
    monkeypatch.setenv("OLLAMA_HOST", NOWHERE)
    monkeypatch.setenv("LLAMA_ARG_PORT", "1")


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Callable[[Sandbox], None]:
    """Puts a sandbox where its provider is looked for, with a key if the sandbox needs one."""
    places: dict[str, dict[str, Any]] = {}

    def put(server: Sandbox) -> None:
        name = {"claude": "ANTHROPIC"}.get(server.dialect, server.dialect.upper())
        if server.dialect in ("openai", "claude"):
            monkeypatch.setenv(f"{name}_BASE_URL", server.url)
        elif server.dialect == "ollama":
            monkeypatch.setenv("OLLAMA_HOST", server.url)
        elif server.dialect == "llama_cpp":
            monkeypatch.setenv("LLAMA_ARG_PORT", str(server.port))
        else:
            places[server.dialect] = {"base_url": server.url}
        if server.dialect not in discover.LOCAL:
            monkeypatch.setenv(f"{name}_API_KEY", KEY)

    known = discover.settings_of
    for module in (discover, checking):
        monkeypatch.setattr(module, "settings_of", lambda kind: {**known(kind), **places.get(kind, {})})
    return put


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(main, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert KEY not in result.output
    return result


def told(result: Result) -> dict[str, dict[str, Any]]:
    return {each["provider"]: each for each in json.loads(result.stdout)}


# -- check ---------------------------------------------------------------------------------------------------


def test_everything_that_is_configured_is_checked_on_a_line_of_its_own(serve: Serve, place: Any) -> None:
    for dialect in ("openai", "claude", "openrouter", "ollama", "llama_cpp"):
        place(serve(dialect))
    result = run("check")
    titles, *lines = result.stdout.splitlines()
    assert result.exit_code == 0
    assert titles.split() == ["provider", "reachable", "key", "model", "latency"]
    assert [line.split()[0] for line in lines] == ["openai", "claude", "openrouter", "ollama", "llama_cpp"]
    keys = ["yes", "yes", "yes", "not needed", "not needed"]
    for line, key in zip(lines, keys, strict=True):
        assert line[titles.index("reachable") :].startswith("yes ")
        assert line[titles.index("key") :].startswith(f"{key} ")
        assert line[titles.index("model") :].startswith("unknown ")
        assert line.endswith(" ms")


def test_one_that_would_not_answer_is_told_with_what_to_do_and_returns_1(serve: Serve, place: Any) -> None:
    place(serve("openai"))
    place(serve("claude", key="sk-another"))
    result = run("check")
    assert result.exit_code == 1
    good, bad = result.stdout.splitlines()[1:]
    assert good.startswith("openai ")
    assert good.endswith(" ms")
    assert bad.split()[:4] == ["claude", "yes", "no", "unknown"]
    assert bad.endswith("authentication failed: bad key (401, request req_000000000001); check ANTHROPIC_API_KEY")


def test_json_says_the_same_for_scripts(serve: Serve, place: Any) -> None:
    place(serve("openai", models={"gpt-4o"}))
    place(serve("ollama"))
    result = run("check", "openai", "ollama", "claude", "--model", "gpt-4o", "--json")
    openai, ollama, claude = told(result).values()
    assert result.exit_code == 1
    assert openai.pop("latency_ms") > 0
    assert openai == {
        "provider": "openai", "ok": True, "reachable": "yes", "key": "yes", "model": "yes", "error": None,
    }  # fmt: skip
    assert (ollama["ok"], ollama["reachable"], ollama["key"], ollama["model"]) == (False, "yes", "unknown", "no")
    assert ollama["error"]["class"] == "model_not_found"
    assert ollama["error"]["hint"] == "run `ollama pull gpt-4o`"
    assert (claude["ok"], claude["reachable"], claude["key"], claude["latency_ms"]) == (False, "unknown", "no", None)
    assert claude["error"]["reason"] == "missing_key"


@pytest.mark.parametrize(
    ("name", "reachable", "key", "hint"),
    [
        ("openai", "unknown", "no", "set OPENAI_API_KEY"),
        ("claude", "unknown", "no", "set ANTHROPIC_API_KEY"),
        ("openrouter", "unknown", "no", "set OPENROUTER_API_KEY"),
        ("ollama", "no", "unknown", "ollama serve"),
        ("llama_cpp", "no", "unknown", "llama-server -m"),
    ],
)
def test_one_that_is_named_is_checked_even_if_it_is_not_configured(
    name: str, reachable: str, key: str, hint: str
) -> None:
    result = run("check", name, "--json")
    found = told(result)[name]
    assert result.exit_code == 1
    assert (found["reachable"], found["key"], found["model"]) == (reachable, key, "unknown")
    assert hint in found["error"]["hint"]
    assert hint in run("check", name).stdout


def test_a_name_given_twice_is_checked_once(serve: Serve, place: Any) -> None:
    place(serve("openai"))
    assert list(told(run("check", "openai", "openai", "--json"))) == ["openai"]


def test_a_local_server_with_a_key_in_the_environment_is_checked_even_if_it_does_not_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LLAMA_API_KEY", KEY)
    assert list(told(run("check", "--json"))) == ["llama_cpp"]


def test_a_llama_server_that_loads_its_model_is_there_but_would_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def play(heard: Heard) -> Iterable[bytes]:
        said = b'{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}'
        fields = f"Content-Length: {len(said)}", "Connection: close"
        yield head("application/json", *fields, status="503 Service Unavailable") + said

    with RawServer(play) as server:
        monkeypatch.setenv("LLAMA_ARG_PORT", str(server.port))
        result = run("check", "--json")
    found = told(result)["llama_cpp"]
    assert (result.exit_code, found["reachable"], found["error"]["reason"]) == (1, "yes", "loading")


def test_another_server_at_the_port_of_a_local_one_is_not_taken_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def play(heard: Heard) -> Iterable[bytes]:
        yield head("text/html", "Connection: close", status="403 Forbidden") + b"<html>Log in first</html>"

    with RawServer(play) as server:
        monkeypatch.setenv("LLAMA_ARG_PORT", str(server.port))
        result = run("check")
        assert len(server.heard) == 1
    assert result.exit_code == 2


def test_with_nothing_to_check_it_says_what_to_set_and_returns_2() -> None:
    result = run("check")
    assert result.exit_code == 2
    for word in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "OPENROUTER_API_KEY", "Ollama", "llama-server"):
        assert word in result.stderr
    assert result.stdout == ""


def test_a_compatible_server_is_checked_with_its_own_key(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-for-others")
    monkeypatch.setenv("SERVER_KEY", KEY)
    server = serve("openai", key=KEY, models={"tiny"})
    at = ("check", "--base-url", server.url, "--json")
    good = run(*at, "--key-env", "SERVER_KEY", "--model", "tiny")
    assert (good.exit_code, told(good)["server"]["key"], told(good)["server"]["model"]) == (0, "yes", "yes")
    assert server.seen[-1].headers["authorization"] == f"Bearer {KEY}"
    without = run(*at)
    assert (without.exit_code, told(without)["server"]["key"]) == (1, "no")
    assert "authorization" not in server.seen[-1].headers
    lacking = run(*at, "--key-env", "SERVER_KEY", "--model", "other")
    assert (lacking.exit_code, told(lacking)["server"]["model"]) == (1, "no")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("chatgpt",), "is not one of"),
        (("openai", "--base-url", f"{NOWHERE}/v1"), "leave the names out"),
        (("--base-url", "notaurl"), "http://"),
        (("--base-url", f"{NOWHERE}/v1", "--key-env", "NOT_SET"), "--key-env NOT_SET"),
        (("--key-env", "HOME"), "--base-url is expected"),
        (("openai", "--timeout", "soon"), "--timeout"),
    ],
)
def test_a_wrong_command_says_what_to_do_and_returns_2(arguments: tuple[str, ...], said: str) -> None:
    result = run("check", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr


@pytest.mark.parametrize("timeout", ["0", "-1", "nan"])
def test_a_timeout_that_is_none_is_a_wrong_command(serve: Serve, place: Any, timeout: str) -> None:
    place(serve("openai"))
    result = run("check", "--timeout", timeout)
    assert result.exit_code == 2
    assert "timeout must be a number of seconds" in result.stderr


def test_a_host_that_is_none_is_a_wrong_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "http://")
    monkeypatch.setenv("LLAMA_ARG_PORT", "none")
    result = run("check")
    assert result.exit_code == 2
    assert "no valid host or port" in result.stderr


def test_all_are_asked_at_the_same_time() -> None:
    meet = threading.Barrier(3)

    def play(heard: Heard) -> Iterable[bytes]:
        meet.wait(10)  # nobody is answered before all have been asked
        data = b'{"data": []}'
        yield head("application/json", f"Content-Length: {len(data)}", "Connection: close") + data

    with ExitStack() as stack:
        manager = stack.enter_context(ProviderManager())
        for name in ("a", "b", "c"):
            server = stack.enter_context(RawServer(play))
            manager.add_provider(name, {"base_url": server.url}, kind="openai_compatible")
        found = manager.probe()
    assert list(found) == ["a", "b", "c"]
    assert not any(isinstance(outcome, Exception) for outcome in found.values())


def test_the_command_itself_warns_of_nothing_and_shows_no_key(serve: Serve) -> None:
    openai, claude = serve("openai"), serve("claude", key="sk-another")
    environment = {
        "PATH": os.environ["PATH"], "PYTHONWARNINGS": "error", "OLLAMA_HOST": NOWHERE, "LLAMA_ARG_PORT": "1",
        "OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": openai.url,
        "ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": claude.url,
    }  # fmt: skip
    command = [sys.executable, "-m", "mainstay.providers.cli", "check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment)
    assert (done.returncode, done.stderr, done.stdout.count("\n")) == (1, "", 3)
    assert "planted" not in done.stdout


# -- ask -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("only", [(), ("--provider", "openrouter")])
def test_ask_uses_the_key_of_openrouter(serve: Serve, place: Any, only: tuple[str, ...]) -> None:
    server = serve("openrouter", key=KEY)
    place(server)
    result = run("ask", *only, "hi")
    assert (result.exit_code, result.stderr) == (0, "")
    assert server.seen[-1].body["model"] == "openai/gpt-4o-mini"


def test_ask_sends_a_model_with_an_author_to_openrouter(serve: Serve, place: Any) -> None:
    openai, openrouter = serve("openai"), serve("openrouter")
    place(openai)
    place(openrouter)
    assert run("ask", "--model", "anthropic/claude-sonnet-4.5", "hi").exit_code == 0
    assert (openai.count, openrouter.count) == (0, 1)
    assert run("ask", "hi").exit_code == 0
    assert (openai.count, openrouter.count) == (1, 1)


@pytest.mark.parametrize("only", [(), ("--provider", "llama_cpp")])
def test_ask_finds_a_llama_server_that_answers(serve: Serve, place: Any, only: tuple[str, ...]) -> None:
    server = serve("llama_cpp")
    server.always(Answer("from the llama"))
    place(server)
    result = run("ask", *only, "hi")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "from the llama\n", "")
    assert server.seen[-1].body["model"] == "model.gguf"


def test_ask_prefers_keys_to_local_servers_unless_they_have_the_model(serve: Serve, place: Any) -> None:
    openai, llama = serve("openai"), serve("llama_cpp", models={"mine.gguf", "yours.gguf"})
    place(openai)
    place(llama)
    assert run("ask", "hi").exit_code == 0
    assert (openai.count, llama.count) == (1, 0)
    assert run("ask", "--model", "gpt-4o", "hi").exit_code == 0
    assert (openai.count, llama.count) == (2, 0)
    assert run("ask", "--model", "yours.gguf", "hi").exit_code == 0
    assert (openai.count, llama.count) == (2, 1)


def test_ask_tells_why_a_local_server_that_is_named_refuses(
    serve: Serve, place: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    place(serve("llama_cpp", key="sk-another"))
    monkeypatch.setenv("LLAMA_API_KEY", KEY)
    result = run("ask", "--provider", "llama_cpp", "hi")
    assert result.exit_code == 1
    assert "check the key against the server's `--api-key`" in result.stderr
    unnamed = run("ask", "hi")
    assert unnamed.exit_code == 0
    assert "the built-in sandbox answers" in unnamed.stderr


@pytest.mark.parametrize(("name", "said"), [("openrouter", "set OPENROUTER_API_KEY"), ("llama_cpp", "llama-server -m")])
def test_ask_says_how_to_have_the_one_that_is_named(name: str, said: str) -> None:
    result = run("ask", "--provider", name, "hi")
    assert result.exit_code == 2
    assert said in result.stderr

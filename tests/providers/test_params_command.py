"""`mainstay params`: what a provider takes, as a table and as JSON Schema."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from mainstay.adapters.schemas import CLAUDE, LLAMA_PROCESS, OPENAI
from mainstay.providers.cli import main
from mainstay.providers.params_view import rows, schema_of, show

PROVIDERS = ["openai", "openai-compatible", "openai_compatible", "claude", "anthropic", "openrouter", "ollama"]
LOCAL = ["llama_cpp", "llama-cpp", "llama_process", "llama_cpp_process"]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["params", *arguments])


@pytest.mark.parametrize("name", [*PROVIDERS, *LOCAL, "OpenAI"])
def test_every_parameter_is_in_the_table_and_in_the_schema(name: str) -> None:
    table, exported = run(name), run(name, "--json")
    assert table.exit_code == exported.exit_code == 0
    names = [line.split()[0] for line in table.output.splitlines() if line[:1].strip()]
    assert names[0] == "parameter"
    schema = schema_of(name)
    assert names[1 : 1 + len(schema.names)] == list(schema.names)
    assert json.loads(exported.output) == json.loads(json.dumps(schema.json_schema()))


def test_a_row_says_what_is_taken_and_how_it_is_sent() -> None:
    (temperature,) = (row for row in rows(OPENAI) if row.name == "temperature")
    assert temperature.takes == "a number from 0 to 2"
    assert (temperature.wire, temperature.aliases) == ("", "")
    assert temperature.about == "Sampling temperature; higher is more random."
    (most,) = (row for row in rows(OPENAI) if row.name == "max_tokens")
    assert (most.wire, most.aliases) == ("max_completion_tokens", "max_completion_tokens")
    (effort,) = (row for row in rows(CLAUDE) if row.name == "reasoning_effort")
    assert (effort.wire, effort.aliases) == ("output_config.effort", "effort")


@pytest.mark.parametrize(
    ("provider", "model", "refused"),
    [
        (
            "openai",
            "gpt-5",
            {"temperature", "top_p", "frequency_penalty", "presence_penalty", "stop", "logprobs", "logit_bias"},
        ),
        ("openai", "gpt-6", {"reasoning_effort"}),
        ("openai", "gpt-4o", set[str]()),
        ("claude", "claude-opus-4-7", {"temperature", "top_p", "top_k", "thinking", "reasoning_budget"}),
        ("claude", "claude-sonnet-4-6", set[str]()),
        ("ollama", "gpt-5", set[str]()),
    ],
)
def test_what_a_model_refuses_is_said_in_its_place(provider: str, model: str, refused: set[str]) -> None:
    said = {row.name for row in rows(schema_of(provider), model) if f" {model}" in row.about}
    assert said == refused
    printed = run(provider, "--model", model)
    assert printed.exit_code == 0
    assert (f" {model}" in printed.output) == bool(refused)


def test_an_unknown_provider_is_named_with_the_nearest_one() -> None:
    done = run("olama")
    assert done.exit_code == 2
    assert "unknown provider 'olama' (did you mean 'ollama'?): there is openai, " in " ".join(done.output.split())
    assert "did you mean" not in run("zork").output


def test_json_schema_knows_no_models() -> None:
    done = run("openai", "--json", "--model", "gpt-5")
    assert done.exit_code == 2
    assert "leave --model or --json out" in done.output


@pytest.mark.parametrize("width", [40, 80, 200])
def test_no_line_is_wider_than_the_terminal_and_nothing_is_lost(width: int) -> None:
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=True, color_system=None, legacy_windows=False)
    show(LLAMA_PROCESS, console=console)
    lines = file.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    said = "".join("".join(lines).split())
    if width == 200:
        assert all("".join(row.about.split()) in said for row in rows(LLAMA_PROCESS))
    assert "…" not in said


def test_a_lenient_provider_says_so() -> None:
    assert "Any other parameter is sent as it is" in run("openai-compatible").output
    assert "Any other parameter" not in run("openai").output


def test_as_a_user_runs_it() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mainstay.providers.cli", "params", "claude"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={"PATH": os.environ["PATH"], "PYTHONWARNINGS": "error"},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "output_config.effort" in done.stdout

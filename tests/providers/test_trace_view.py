"""The trace of a call, drawn in the terminal."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from contextlib import suppress

from click.testing import CliRunner, Result
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from rich.console import Console

from mainstay.adapters.sandbox import Sandbox, faults
from mainstay.middleware import CircuitBreaker, Fallback, Retry, Trace
from mainstay.pipeline import (
    AllRoutesFailed,
    ProviderError,
    RateLimited,
    Reply,
    Request,
    Route,
    Stack,
    Unavailable,
    Usage,
    VirtualClock,
)
from mainstay.providers import trace_view
from mainstay.providers.cli import main

BARE = dict.fromkeys(("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "OPENROUTER_API_KEY"))

ASK = Request("gpt-4o", "the prompt")


def run(*arguments: str) -> Result:
    # No key, and no Ollama at its usual place.
    return CliRunner().invoke(
        main, arguments, env={**BARE, "OLLAMA_HOST": "http://127.0.0.1:1", "SERVER_KEY": "sk-right"}
    )


def at(server: Sandbox) -> tuple[str, ...]:
    return "--base-url", server.url, "--key-env", "SERVER_KEY"


def drawn(*leaves: Callable[[Request], Reply]) -> list[str]:
    """The lines of one call's tree, without their moments and lengths."""
    routes = [Route(name, leaf) for name, leaf in zip("abc", leaves, strict=False)]
    out = io.StringIO()
    with trace_view.recorded() as (provider, spans):
        layers = [Retry(), CircuitBreaker(), Trace(provider)]
        with suppress(ProviderError):
            Stack(layers, Fallback(*routes), clock=VirtualClock())(ASK).read()
        trace_view.show(spans.get_finished_spans(), Console(file=out, width=120))
    plain = re.sub(r"\+ *\d+ ms  ", "", out.getvalue())
    return [re.sub(r"  \d+ ms  ", "  # ms  ", line) for line in plain.splitlines()]


def failing(error: ProviderError) -> Callable[[Request], Reply]:
    def leaf(request: Request) -> Reply:
        raise error

    return leaf


def test_attempts_and_decisions_stand_in_the_order_in_which_they_happened() -> None:
    busy = RateLimited(status=429, retry_after=30.0, reason="tokens")
    usage = Usage(10, 5, cached_tokens=4, cost=0.00125)
    assert drawn(
        failing(Unavailable(status=503, reason="overloaded")), failing(busy), lambda r: Reply("", usage=usage)
    ) == [
        "mainstay chat gpt-4o  # ms  4 attempts  ok from c",
        "├── chat gpt-4o  a  # ms  503 unavailable (overloaded)",
        "├── retry  a again in 250 ms: unavailable (overloaded)",
        "├── chat gpt-4o  a  # ms  503 unavailable (overloaded)",
        "├── fallback  a → b: unavailable (overloaded)",
        "├── chat gpt-4o  b  # ms  429 rate_limit (tokens)",
        "├── route rests  b: rate_limit (tokens), for 30.00 s",
        "├── fallback  b → c: rate_limit (tokens)",
        "└── chat gpt-4o  c  # ms  ok  10 (4 cached) → 5 tokens  $0.001250",
    ]


def test_a_call_that_failed_says_why() -> None:
    lines = drawn(failing(Unavailable(reason="dns")), failing(Unavailable(reason="dns")))
    assert lines[0] == "mainstay chat gpt-4o  # ms  5 attempts  unavailable (dns)"
    assert AllRoutesFailed.__name__ not in "".join(lines)


def test_a_route_that_is_called_in_brackets_is_no_markup() -> None:
    out = io.StringIO()
    with trace_view.recorded() as (provider, spans):
        Stack([Trace(provider)], Fallback(Route("[red]", lambda request: Reply("fine"))))(ASK)
        trace_view.show(spans.get_finished_spans(), Console(file=out))
    assert "ok from [red]" in out.getvalue()


def test_what_is_recorded_goes_nowhere_else_and_no_global_is_set() -> None:
    before = trace.get_tracer_provider()
    with trace_view.recorded() as (provider, _):
        assert isinstance(provider, TracerProvider)
        assert trace.get_tracer_provider() is before
        assert provider is not before


def test_ask_draws_the_trace_on_standard_error_and_leaves_the_answer_alone() -> None:
    with Sandbox("openai") as server:
        server.script(faults.overloaded())
        done = run("ask", "the-prompt", "--trace", *at(server))
    assert (done.exit_code, done.stdout) == (0, "Hello from the sandbox, all is well.\n")
    assert "2 attempts  ok from" in done.stderr
    assert "503 unavailable (overloaded)" in done.stderr
    assert "retry  " in done.stderr
    assert "tokens" in done.stderr
    assert "the-prompt" not in done.stderr
    assert "sk-right" not in done.stderr


def test_ask_draws_it_for_a_stream_and_for_json_too() -> None:
    done = run("ask", "hello", "--trace", "--stream", "--json")
    assert json.loads(done.stdout.splitlines()[-1])["text"] == "Hello from the sandbox, all is well."
    assert "first chunk after" in done.stderr


def test_ask_draws_it_where_no_provider_answered() -> None:
    with Sandbox("openai") as server:
        server.always(faults.bad_key())
        done = run("ask", "hello", "--trace", *at(server))
    assert done.exit_code == 1
    assert "401 authentication" in done.stderr


def test_without_the_option_nothing_is_drawn() -> None:
    assert "chat" not in run("ask", "hello").stderr

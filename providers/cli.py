"""The command line: `mainstay ask`, `check`, `params`, `top` and `demo`."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

try:
    import click
except ImportError:
    sys.exit("the command line needs two more packages: pip install 'mainstay[cli]'")

from ..pipeline import ProviderError

if TYPE_CHECKING:
    from ..pipeline import Layer
    from .provider import Provider

__all__ = ["main"]

_NEEDS = {
    "openai": "set OPENAI_API_KEY",
    "claude": "set ANTHROPIC_API_KEY",
    "openrouter": "set OPENROUTER_API_KEY",
    "ollama": "run `ollama serve`",
    "llama_cpp": "run `llama-server -m MODEL.gguf`",
}
_KINDS = tuple(_NEEDS)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mainstay", prog_name="mainstay")
def main() -> None:
    """Keeps an application up when its LLM providers fail."""


@main.command()
@click.argument("prompt", required=False)
@click.option("--model", help="The model to ask for; each provider has a default.")
@click.option("--provider", type=click.Choice([*_KINDS, "sandbox"]), help="Use only this one.")
@click.option("--base-url", metavar="URL", help="An OpenAI-compatible server to ask, such as http://127.0.0.1:8080/v1.")
@click.option("--key-env", metavar="NAME", help="The environment variable that holds that server's key.")
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="A parameter, such as temperature=0.2.")
@click.option("--stream", is_flag=True, help="Show the answer as it arrives.")
@click.option("--json", "as_json", is_flag=True, help="Print the reply as JSON; with --stream, one line per chunk.")
@click.option("--otlp", metavar="URL", help="Send traces and metrics to a collector, such as http://127.0.0.1:4318.")
@click.option("--trace", is_flag=True, help="Draw on standard error what happened: attempts, retries, errors, tokens.")
def ask(
    prompt: str | None,
    model: str | None,
    provider: str | None,
    base_url: str | None,
    key_env: str | None,
    params: tuple[str, ...],
    stream: bool,
    as_json: bool,
    otlp: str | None,
    trace: bool,
) -> None:
    """Asks PROMPT (or standard input) of the providers whose keys are in the environment.

    OPENAI_API_KEY, ANTHROPIC_API_KEY and OPENROUTER_API_KEY are looked for, and an Ollama or a llama-server that
    answers. With none of them the built-in sandbox answers. Returns 0 for a whole answer, 1 if no provider gave one,
    2 for a wrong command.
    """
    from . import ask_view
    from .chain import ProviderChain

    if prompt in (None, "-"):
        prompt = _piped() if prompt == "-" or not sys.stdin.isatty() else ""
    if not prompt:
        raise click.UsageError("there is nothing to ask: give a prompt, or pipe one in")
    if base_url and provider:
        raise click.UsageError("--base-url names the server to ask: leave --provider out")
    key = _key_of(base_url, key_env)
    parameters = _parameters(params)
    with contextlib.ExitStack() as open_things:
        if otlp:
            open_things.enter_context(_exporting(otlp))
        try:
            try:
                providers = _providers(model, provider, base_url, key, open_things)
            except ValueError as error:
                raise click.UsageError(str(error)) from error
            layers = _traced(open_things) if trace else None
            chain = open_things.enter_context(ProviderChain([(p.name, p) for p in providers], layers=layers))
            asked = providers[0].route.model or model or ""
            if stream:
                ask_view.stream(chain.stream(asked, prompt, parameters), as_json)
            else:
                ask_view.show(chain.execute(asked, prompt, parameters), as_json)
        except ProviderError as error:
            ask_view.fail(error, as_json)
            sys.exit(1)


@main.command()
@click.argument("names", nargs=-1, type=click.Choice(_KINDS), metavar="[NAME]...")
@click.option("--model", help="A model that each of them should have.")
@click.option("--base-url", metavar="URL", help="An OpenAI-compatible server to check in place of them.")
@click.option("--key-env", metavar="NAME", help="The environment variable that holds that server's key.")
@click.option("--timeout", type=float, default=10.0, show_default=True, help="Seconds for each of them.")
@click.option("--json", "as_json", is_flag=True, help="Print a list of JSON objects.")
def check(
    names: tuple[str, ...],
    model: str | None,
    base_url: str | None,
    key_env: str | None,
    timeout: float,
    as_json: bool,
) -> None:
    """Checks whether providers would answer: openai, claude, openrouter, ollama, llama_cpp.

    Without a NAME, those whose keys are in the environment, and an Ollama or a llama-server that answers. No model is
    asked anything, so that it costs nothing. Returns 0 if all would answer, 1 if one would not, 2 for a wrong command
    or if there is none to check.
    """
    from . import check_view, checking

    if base_url and names:
        raise click.UsageError("--base-url names the server to check: leave the names out")
    key = _key_of(base_url, key_env)
    try:
        if base_url:
            checks = checking.check_server(base_url, key, model, timeout)
        else:
            checks = checking.check(names, model, timeout)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if not checks:
        raise click.UsageError(
            "there is nothing to check: set OPENAI_API_KEY, ANTHROPIC_API_KEY or OPENROUTER_API_KEY, start Ollama or "
            f"llama-server, or name one of {', '.join(_KINDS)}"
        )
    click.echo(check_view.as_json(checks) if as_json else check_view.as_text(checks))
    sys.exit(any(check.error for check in checks))


@main.command()
def demo() -> None:
    """Shows the stack at work on three sandboxed providers that fail by a script; takes under 20 seconds.

    Returns 0 if every prompt was answered whole or, where its stream was cut after the first token, reported
    as cut with the partial text.
    """
    from .demo_view import show

    sys.exit(show())


@main.command()
@click.argument("provider")
@click.option("--model", help="Say what this model refuses.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON Schema (2020-12).")
def params(provider: str, model: str | None, as_json: bool) -> None:
    """Lists the parameters of PROVIDER: what each takes, and its name on the wire.

    Returns 0, or 2 for a provider that there is not.
    """
    from . import params_view

    try:
        schema = params_view.schema_of(provider)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if not as_json:
        params_view.show(schema, model or "")
    elif model:
        raise click.UsageError("JSON Schema knows no models: leave --model or --json out")
    else:
        click.echo(json.dumps(schema.json_schema(), indent=2))


@main.command()
@click.argument("url")
@click.option(
    "--interval", type=click.FloatRange(min=0.1), default=1.0, show_default=True, help="Seconds between looks."
)
@click.option("--once", is_flag=True, help="Show the status once, and return.")
def top(url: str, interval: float, once: bool) -> None:
    """Shows how each route of a running process is doing, live, from the URL that its serve_status() listens at.

    Returns 0 when it is ended with Ctrl-C, 1 if no status is served at URL, 2 for a wrong command.
    """
    from . import top as view

    sys.exit(view.show(url, interval, once))


def _traced(open_things: contextlib.ExitStack) -> list[Layer]:
    """The standard layers, whose spans are drawn at the end."""
    from ..middleware import standard
    from . import trace_view

    provider, spans = open_things.enter_context(trace_view.recorded())
    open_things.callback(lambda: trace_view.show(spans.get_finished_spans()))
    return standard(tracer_provider=provider)


def _providers(
    model: str | None, only: str | None, base_url: str | None, key: str | None, open_things: contextlib.ExitStack
) -> list[Provider]:
    from . import discover

    if base_url:
        return [discover.compatible(base_url, model, key)]
    found = [] if only == "sandbox" else discover.discover(model, only)
    if found:
        return found
    if only in _NEEDS:
        raise click.UsageError(f"{only} is not at hand: {_NEEDS[only]}")
    if only is None:
        click.echo(
            "mainstay: no OPENAI_API_KEY, ANTHROPIC_API_KEY or OPENROUTER_API_KEY, no Ollama, no llama-server found; "
            "the built-in sandbox answers",
            err=True,
        )
    provider, server = discover.sandboxed(model)
    open_things.callback(server.close)
    return [provider]


@contextlib.contextmanager
def _exporting(collector: str) -> Iterator[None]:
    """Hands traces and metrics over; says so if the collector did not take them."""
    from .telemetry import export

    # The SDK's own complaints would be printed among the answers; the line below says what matters.
    logging.getLogger("opentelemetry").addHandler(logging.NullHandler())
    try:
        telemetry = export(collector, service=os.environ.get("OTEL_SERVICE_NAME") or "mainstay")
    except (ImportError, RuntimeError, ValueError) as error:
        raise click.UsageError(f"--otlp: {error}") from error
    try:
        yield
    finally:
        if not telemetry.shutdown() and telemetry.endpoint:
            click.echo(f"mainstay: the collector at {telemetry.endpoint} did not take everything", err=True)


def _key_of(base_url: str | None, key_env: str | None) -> str | None:
    key = os.environ.get(key_env or "")
    if key_env and not (base_url and key):
        raise click.UsageError(f"--key-env {key_env}: a variable with the key of the server at --base-url is expected")
    return key


def _piped() -> str:
    try:
        return sys.stdin.read().strip()
    except UnicodeDecodeError as error:
        raise click.UsageError("the prompt on standard input is not text in this terminal's encoding") from error


def _parameters(texts: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for text in texts:
        name, value = _parameter(text)
        if name in found:
            raise click.UsageError(f"--param {name} is given twice: which of the two is meant?")
        found[name] = value
    return found


def _parameter(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise click.UsageError(f"--param {text!r} should look like temperature=0.2")
    try:
        return name.strip(), json.loads(value)
    except ValueError:
        return name.strip(), value  # a word, as in --param reasoning_effort=low


if __name__ == "__main__":
    main()

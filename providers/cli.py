"""The command line: `mainstay ask` and `mainstay demo`."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import TYPE_CHECKING, Any

try:
    import click
except ImportError:
    sys.exit("the command line needs two more packages: pip install 'mainstay[cli]'")

from ..pipeline import Partial, ProviderError, Reply

if TYPE_CHECKING:
    from .provider import Provider

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mainstay", prog_name="mainstay")
def main() -> None:
    """Keeps an application up when its LLM providers fail."""


@main.command()
@click.argument("prompt", required=False)
@click.option("--model", help="The model to ask for; each provider has a default.")
@click.option("--provider", type=click.Choice(["openai", "claude", "ollama", "sandbox"]), help="Use only this one.")
@click.option("--base-url", metavar="URL", help="An OpenAI-compatible server to ask, such as http://127.0.0.1:8080/v1.")
@click.option("--key-env", metavar="NAME", help="The environment variable that holds that server's key.")
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="A parameter, such as temperature=0.2.")
@click.option("--stream", is_flag=True, help="Show the answer as it arrives.")
@click.option("--json", "as_json", is_flag=True, help="Print the reply as JSON; with --stream, one line per chunk.")
def ask(
    prompt: str | None,
    model: str | None,
    provider: str | None,
    base_url: str | None,
    key_env: str | None,
    params: tuple[str, ...],
    stream: bool,
    as_json: bool,
) -> None:
    """Asks PROMPT (or standard input) of the providers whose keys are in the environment.

    OPENAI_API_KEY and ANTHROPIC_API_KEY are looked for, and an Ollama that answers. With none of them the
    built-in sandbox answers. Returns 0 for a whole answer, 1 if no provider gave one, 2 for a wrong command.
    """
    from .chain import ProviderChain

    if prompt in (None, "-"):
        prompt = _piped() if prompt == "-" or not sys.stdin.isatty() else ""
    if not prompt:
        raise click.UsageError("there is nothing to ask: give a prompt, or pipe one in")
    if base_url and provider:
        raise click.UsageError("--base-url names the server to ask: leave --provider out")
    if key_env and not (base_url and os.environ.get(key_env)):
        raise click.UsageError(f"--key-env {key_env}: a variable with the key of the server at --base-url is expected")
    parameters = _parameters(params)
    with contextlib.ExitStack() as open_things:
        try:
            try:
                providers = _providers(model, provider, base_url, os.environ.get(key_env or ""), open_things)
            except ValueError as error:
                raise click.UsageError(str(error)) from error
            chain = open_things.enter_context(ProviderChain([(p.name, p) for p in providers]))
            asked = providers[0].route.model or model or ""
            if stream:
                _stream(chain.stream(asked, prompt, parameters), as_json)
            else:
                _show(chain.execute(asked, prompt, parameters), as_json)
        except ProviderError as error:
            if as_json:
                click.echo(json.dumps({"error": _error(error)}, ensure_ascii=False))
            click.echo(f"mainstay: {str(error).removeprefix('mainstay: ')}", err=True)
            sys.exit(1)


@main.command()
def demo() -> None:
    """Shows the stack at work on three sandboxed providers that fail by a script; takes under 20 seconds.

    Returns 0 if every prompt was answered whole or, where its stream was cut after the first token, reported
    as cut with the partial text.
    """
    from .demo_view import show

    sys.exit(show())


def _providers(
    model: str | None, only: str | None, base_url: str | None, key: str | None, open_things: contextlib.ExitStack
) -> list[Provider]:
    from . import discover

    if base_url:
        return [discover.compatible(base_url, model, key)]
    found = [] if only == "sandbox" else discover.discover(model, only)
    if found:
        return found
    if only in ("openai", "claude", "ollama"):
        needs = {"openai": "set OPENAI_API_KEY", "claude": "set ANTHROPIC_API_KEY", "ollama": "run `ollama serve`"}
        raise click.UsageError(f"{only} is not at hand: {needs[only]}")
    if only is None:
        click.echo(
            "mainstay: no OPENAI_API_KEY, no ANTHROPIC_API_KEY and no Ollama found; the built-in sandbox answers",
            err=True,
        )
    provider, server = discover.sandboxed(model)
    open_things.callback(server.close)
    return [provider]


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


def _show(reply: Reply, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(_reply(reply), ensure_ascii=False))
        return
    click.echo(reply.text)
    for call in reply.tool_calls:
        click.echo(f"{call.name}({call.arguments})")


def _stream(reply: Reply, as_json: bool) -> None:
    with reply:
        try:
            for chunk in reply:
                if as_json:
                    if chunk.text or chunk.reasoning:
                        line = {"text": chunk.text, **({"reasoning": chunk.reasoning} if chunk.reasoning else {})}
                        click.echo(json.dumps(line, ensure_ascii=False))
                else:
                    click.echo(chunk.text, nl=False)
                    sys.stdout.flush()
        finally:
            if not as_json:
                click.echo()
    if as_json:
        click.echo(json.dumps(_reply(reply), ensure_ascii=False))
    else:
        for call in reply.tool_calls:
            click.echo(f"{call.name}({call.arguments})")


def _reply(reply: Reply) -> dict[str, Any]:
    return {
        "text": reply.text,
        "provider": reply.provider,
        "model": reply.model,
        "finish_reason": reply.finish_reason,
        "tool_calls": _calls(reply),
        "usage": _fields(reply.usage),
        "changes": dict(reply.changes),
        "attempts": [_attempt(attempt) for attempt in reply.attempts],
    }


def _error(error: ProviderError) -> dict[str, Any]:
    return {
        "class": str(error.error_class),
        "reason": error.reason,
        "message": str(error),
        "status": error.status,
        "retry_after": error.retry_after,
        "partial": error.partial.text if error.partial is not None else None,
        "attempts": [_attempt(attempt) for attempt in error.attempts],
    }


def _calls(source: Reply | Partial) -> list[dict[str, str]]:
    return [{"id": call.id, "name": call.name, "arguments": call.arguments} for call in source.tool_calls]


def _attempt(attempt: Any) -> dict[str, Any]:
    kept = ("number", "route", "provider", "model", "outcome", "reason", "status")
    seconds = attempt.duration
    return {
        **{name: getattr(attempt, name) for name in kept},
        "error": str(attempt.error_class) if attempt.error_class else None,
        "seconds": None if seconds is None else round(seconds, 3),
    }


def _fields(usage: Any) -> dict[str, Any] | None:
    from dataclasses import asdict

    return None if usage is None else {key: value for key, value in asdict(usage).items() if value is not None}


if __name__ == "__main__":
    main()

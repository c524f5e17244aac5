"""How a reply, or the error in its place, is shown on the command line."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Any

import click

from ..pipeline import Attempt, Partial, ProviderError, Reply, Usage

__all__ = ["fail", "show", "stream"]


def show(reply: Reply, as_json: bool) -> None:
    """Shows a complete reply: its text and tool calls, or all of it as JSON."""
    if as_json:
        click.echo(json.dumps(_reply(reply), ensure_ascii=False))
        return
    click.echo(reply.text or reply.refusal)
    for call in reply.tool_calls:
        click.echo(f"{call.name}({call.arguments})")


def stream(reply: Reply, as_json: bool) -> None:
    """Shows a reply as it arrives; as JSON, one line for each chunk and one for the whole."""
    with reply:
        try:
            for chunk in reply:
                if as_json:
                    if chunk.text or chunk.reasoning:
                        line = {"text": chunk.text, **({"reasoning": chunk.reasoning} if chunk.reasoning else {})}
                        click.echo(json.dumps(line, ensure_ascii=False))
                else:
                    click.echo(chunk.text or chunk.refusal, nl=False)
                    sys.stdout.flush()
        finally:
            if not as_json:
                click.echo()
    if as_json:
        click.echo(json.dumps(_reply(reply), ensure_ascii=False))
    else:
        for call in reply.tool_calls:
            click.echo(f"{call.name}({call.arguments})")


def fail(error: ProviderError, as_json: bool) -> None:
    """Shows an error, on standard error; as JSON on standard output as well."""
    if as_json:
        click.echo(json.dumps({"error": _error(error)}, ensure_ascii=False))
    click.echo(f"mainstay: {str(error).removeprefix('mainstay: ')}", err=True)


def _reply(reply: Reply) -> dict[str, Any]:
    return {
        "text": reply.text,
        **({"refusal": reply.refusal} if reply.refusal else {}),
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


def _attempt(attempt: Attempt) -> dict[str, Any]:
    kept = ("number", "route", "provider", "model", "outcome", "reason", "status")
    seconds = attempt.duration
    return {
        **{name: getattr(attempt, name) for name in kept},
        "error": str(attempt.error_class) if attempt.error_class else None,
        "seconds": None if seconds is None else round(seconds, 3),
    }


def _fields(usage: Usage | None) -> dict[str, Any] | None:
    return None if usage is None else {key: value for key, value in asdict(usage).items() if value is not None}

"""Clients of others, made into handlers, and what is heard through them; threads and asyncio alike."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import anthropic
import ollama
import openai

from mainstay.adapters import Claude, LlamaCpp, Ollama, OpenAI, OpenRouter
from mainstay.adapters.clients import from_client
from mainstay.adapters.sandbox import Sandbox
from mainstay.pipeline import AsyncReply, Partial, ProviderError, Reply, Request, Timeouts

__all__ = ["ADAPTERS", "DIALECTS", "Heard", "client_of", "hear", "heard_by_adapter", "heard_by_client", "wrapped"]

DIALECTS = ("openai", "claude", "openrouter", "ollama", "llama_cpp")
ADAPTERS: dict[str, type[Any]] = {
    "openai": OpenAI,
    "claude": Claude,
    "openrouter": OpenRouter,
    "ollama": Ollama,
    "llama_cpp": LlamaCpp,
}
OLD = {"anthropic-version": "2023-06-01"}  # with which sampling parameters are taken, as our own adapter asks


def client_of(dialect: str, url: str, is_async: bool, **options: Any) -> Any:
    """The client that people use with a provider."""
    match dialect:
        case "claude":
            made = anthropic.AsyncAnthropic if is_async else anthropic.Anthropic
            return made(base_url=url, api_key="sk-test", default_headers=OLD, **options)
        case "ollama":
            return (ollama.AsyncClient if is_async else ollama.Client)(host=url, **options)
    url += "/v1" if dialect == "llama_cpp" else ""
    return (openai.AsyncOpenAI if is_async else openai.OpenAI)(base_url=url, api_key="sk-test", **options)


def wrapped(dialect: str, client: Any, timeouts: Timeouts | None = None) -> Any:
    """The client as a handler."""
    return from_client(client, provider=dialect, timeouts=timeouts)


@dataclass
class Heard:
    """Everything that a handler tells of one request."""

    text: str = ""
    refusal: str = ""
    reasoning: str = ""
    calls: list[Any] = field(default_factory=list)
    finish: str | None = None
    native: str | None = None
    usage: Any = None
    logprobs: list[Any] = field(default_factory=list)
    details: list[Any] = field(default_factory=list)
    id: str = ""
    model: str = ""
    provider: str = ""
    changes: dict[str, str] = field(default_factory=dict)
    status: int | None = None
    request_id: str | None = None
    error: dict[str, Any] | None = None
    raised: ProviderError | None = field(default=None, compare=False)
    raw: Any = field(default=None, compare=False)


def without_bytes(entry: Any) -> dict[str, Any]:
    known = {name: value for name, value in entry.items() if name != "bytes"}
    return {**known, "top_logprobs": list(map(without_bytes, known.get("top_logprobs") or ()))}


def told(dialect: str, reply: Reply) -> Heard:
    kept = dialect != "ollama"  # whose client drops the ids of tool calls, and the bytes of tokens
    return Heard(
        reply.text,
        reply.refusal,
        reply.reasoning,
        [(call.id if kept else None, call.name, call.arguments) for call in reply.tool_calls],
        reply.finish_reason,
        reply.native_finish_reason,
        reply.usage,
        [dict(entry) if kept else without_bytes(entry) for entry in reply.logprobs],
        [dict(entry) for entry in reply.reasoning_details],
        reply.id,
        reply.model,
        reply.provider,
        dict(reply.changes),
        reply.status,
        reply.request_id,
        raw=reply.raw,
    )


def failed(error: ProviderError) -> Heard:
    names = ("error_class", "reason", "provider", "model", "status", "code", "retry_after", "request_id", "retry",
             "hint", "detail")  # fmt: skip
    partial = error.partial or Partial()
    facts = {"type": type(error), "partial": partial, **{name: getattr(error, name) for name in names}}
    return Heard(error=facts, raised=error)


def hear(dialect: str, handler: Callable[[Request], Reply], request: Request) -> Heard:
    try:
        return told(dialect, handler(request).read())
    except ProviderError as error:
        return failed(error)


async def ahear(dialect: str, handler: Callable[[Request], Any], request: Request) -> Heard:
    try:
        reply: AsyncReply = await handler(request)
        return told(dialect, await reply.read())
    except ProviderError as error:
        return failed(error)


def heard_by_adapter(server: Sandbox, request: Request, timeouts: Timeouts | None = None) -> Heard:
    options: dict[str, Any] = {"base_url": server.url, "timeouts": timeouts or Timeouts()}
    if server.dialect != "ollama":
        options["api_key"] = "sk-test"
    with ADAPTERS[server.dialect](**options) as adapter:
        return hear(server.dialect, adapter, request)


def heard_by_client(server: Sandbox, request: Request, is_async: bool, timeouts: Timeouts | None = None) -> Heard:
    """What is heard through a client of its own, which is closed afterwards."""
    dialect = server.dialect
    if not is_async:
        with client_of(dialect, server.url, is_async=False) as client:
            return hear(dialect, wrapped(dialect, client, timeouts), request)

    async def ask() -> Heard:
        async with client_of(dialect, server.url, is_async=True) as client:
            return await ahear(dialect, wrapped(dialect, client, timeouts), request)

    return asyncio.run(ask())

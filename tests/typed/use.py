"""A user's program, never run: the type checker must understand it, and find what is wrong in it.

`make types` checks it against the installed package. Where a line is wrong on purpose, the comment names the error that
the checker must report; a comment that is not needed is an error too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, assert_type

import anthropic
import openai

from mainstay.adapters import Claude, OpenAI, OpenRouter
from mainstay.adapters.sandbox import Answer, Sandbox, faults
from mainstay.middleware import CircuitBreaker, Fallback, Retry, standard
from mainstay.pipeline import (
    AsyncReply,
    AsyncStack,
    Chunk,
    Event,
    Handler,
    Layer,
    Middleware,
    ProviderError,
    Reply,
    Request,
    Route,
    Stack,
    Steps,
    ToolCall,
    Usage,
    middleware,
    send,
)
from mainstay.providers import Provider, ProviderChain, ProviderManager, WebhookAlert, create_provider, protect


def misspell() -> None:
    from mainstay.adapters import OpenAi  # type: ignore[attr-defined]
    from mainstay.middleware import Retyr  # type: ignore[attr-defined]
    from mainstay.providers import create_provder  # type: ignore[attr-defined]

    print(OpenAi, Retyr, create_provder)


def compose() -> None:
    claude = Claude("sk-2", model="claude-sonnet-4-5")
    route = Route("claude", claude, drop={"seed"}, params={"max_tokens": 1000})
    with Stack(standard(deadline=30), Fallback(OpenAI("sk-1"), route), observers=[listen]) as stack:
        reply = stack(Request("gpt-4o", "Hello?", {"temperature": 0.2}))
        assert_type(reply, Reply)
        assert_type(reply.text, str)
        assert_type(reply.usage, Usage | None)
        assert_type(reply.tool_calls, tuple[ToolCall, ...])
        with stack(Request("gpt-4o", [{"role": "user", "content": "Hello?"}], stream=True)) as stream:
            for chunk in stream:
                assert_type(chunk, Chunk)
    handlers: list[Handler] = [stack, claude]
    layers: list[Middleware] = [Retry(), CircuitBreaker()]
    assert handlers
    assert layers
    Stack(["retry"], claude)  # type: ignore[list-item]
    Stack([Retry()], "claude")  # type: ignore[arg-type]
    Retry(attempts="3")  # type: ignore[arg-type]


def on_loopback() -> None:
    with Sandbox("openrouter") as server, OpenRouter("sk-1", base_url=server.url) as adapter:
        server.script(Answer(refusal="No.", cost=0.01), faults.quota())
        assert_type(adapter(Request("m", "Hello?")).refusal, str)
    with Sandbox("llama_cpp") as local:
        local.loading = True
        local.loading = "yes"  # type: ignore[assignment]


def listen(event: Event) -> None:
    """Observers take any event."""


@middleware
def polite(request: Request) -> Steps:
    reply = yield request
    return reply  # type: ignore[no-any-return]


@middleware(name="kind", scope="route")
def kind(request: Request) -> Steps:
    reply = yield from send(request)
    assert_type(reply, Reply)
    return reply


class Shout(Layer):
    name = "shout"

    def handle(self, request: Request) -> Steps:
        reply: Reply = yield request
        return reply


assert_type(polite, Layer)
assert_type(kind, Layer)


async def answer(request: Request) -> AsyncReply:
    async def chunks() -> AsyncIterator[Chunk]:
        yield Chunk("Hello", finish_reason="stop")

    return await AsyncReply.stream(chunks())


async def on_a_loop() -> None:
    async with AsyncStack([Shout(), Retry()], answer) as stack:
        reply = await stack(Request("m", "Hello?", stream=True))
        assert_type(reply, AsyncReply)
        async for chunk in reply:
            assert_type(chunk, Chunk)
        async with await stack(Request("m", "Hello?", stream=True)) as other:
            assert_type((await other.read()).text, str)


def front_door() -> None:
    provider = create_provider("openai", {"api_key": "sk-1"})
    assert_type(provider, Provider)
    chain = ProviderChain([("openai", provider), ("claude", create_provider("claude", {"model": "c"}))])
    assert_type(chain.status(), dict[str, dict[str, Any]])
    with chain.serve_status(9464) as server:
        assert_type(server.url, str)
    manager = ProviderManager(observers=[listen])
    assert_type(manager.get_provider_status(), dict[str, dict[str, Any]])
    assert_type(manager.on_change(lambda change: print(change.turned)), Callable[[], None])
    assert_type(manager.probe_every(30.0).alive, bool)
    with WebhookAlert("https://hooks.example.com/x") as alert:
        provider.on_change(alert)
    provider.on_change(print)
    provider.on_change(lambda: None)  # type: ignore[misc, arg-type]
    try:
        assert_type(manager.execute_with_fallback("gpt-4o", "Hello?").provider, str)
    except ProviderError as error:
        assert_type(error.retry_after, float | None)
    create_provider("openai", layres=[])  # type: ignore[call-arg]
    ProviderManager(colck=None)  # type: ignore[call-arg]


def a_client_stays_what_it_is() -> None:
    assert_type(protect(openai.OpenAI(), [Retry()], fallback=[openai.OpenAI()]), openai.OpenAI)
    assert_type(protect(anthropic.AsyncAnthropic()), anthropic.AsyncAnthropic)

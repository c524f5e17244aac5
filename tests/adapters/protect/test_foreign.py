"""Another provider's answer in the client's own types: nothing of what it said is lost on the way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from typing import Any

import anthropic
import ollama
import openai
import pytest

from mainstay.adapters import Claude, Ollama, OpenAI
from mainstay.adapters.clients import from_client
from mainstay.adapters.sandbox import Answer, Sandbox, faults
from mainstay.pipeline import Reply, Request, Route, middleware
from mainstay.providers import protect
from support.good_answers import CASES, WEATHER
from support.protecting import MESSAGES, WORLDS, Unhurried, awaited, drained, entered, params_for, see
from support.wrapped import client_of

OTHERS = {"openai": ("claude", "ollama"), "claude": ("openai", "ollama"), "ollama": ("openai", "claude")}
FINISH = {
    "openai": {"stop": "stop", "length": "length", "tool_calls": "tool_calls", "content_filter": "content_filter"},
    "claude": {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"},
    "ollama": {"stop": "stop", "length": "length", "tool_calls": "stop", "content_filter": "stop"},
}
ADAPTERS: dict[str, Any] = {"openai": OpenAI, "claude": Claude, "ollama": Ollama}
TABLE = [
    pytest.param(name, dialect, other, stream, is_async, id=f"{name}, {dialect} by {other}, {is_async=}, {stream=}")
    for name, case in CASES.items()
    for dialect, others in OTHERS.items()
    for other in others
    for stream in (False, True)
    for is_async in WORLDS
    if dialect not in case.but and other not in case.but
    if not is_async or name in ("text", "text and a tool", "parallel tools", "length")
    if (name, other) != ("usage of nothing", "ollama")  # which tells none, see below
]


@asynccontextmanager
async def pair(dialect: str, other: str, is_async: bool) -> AsyncIterator[tuple[Sandbox, Sandbox, Route]]:
    """A server that is down, another that is not, and a route to it."""
    with ExitStack() as stack:
        down = stack.enter_context(Sandbox(dialect))
        down.always(faults.status(503))
        up = stack.enter_context(Sandbox(other))
        if is_async:
            async with client_of(other, up.url, is_async=True) as spare:
                yield down, up, Route("other", from_client(spare), model="theirs")
        else:
            options = {} if other == "ollama" else {"api_key": "sk-test"}
            adapter = stack.enter_context(ADAPTERS[other](base_url=up.url, **options))
            yield down, up, Route("other", adapter, model="theirs")


@pytest.mark.parametrize(("name", "dialect", "other", "stream", "is_async"), TABLE)
def test_everything_arrives(name: str, dialect: str, other: str, stream: bool, is_async: bool) -> None:
    case = CASES[name]
    params = params_for(dialect, case.params)
    if stream and dialect == "openai":
        params["stream_options"] = {"include_usage": True}

    async def run() -> None:
        async with pair(dialect, other, is_async) as (down, up, route):
            up.default = case.answer
            async with entered(client_of(dialect, down.url, is_async)) as client:
                seen = await see(dialect, protect(client, fallback=[route], clock=Unhurried()), stream, **params)
        assert seen.error is None
        check(dialect, stream, heard(dialect, other, case), seen.answers)

    asyncio.run(run())


def heard(dialect: str, other: str, case: Any) -> Reply:
    """What our own adapter makes of the same answer."""
    with Sandbox(other) as server:
        server.default = case.answer
        options = {} if other == "ollama" else {"api_key": "sk-test"}
        with ADAPTERS[other](base_url=server.url, **options) as adapter:
            return adapter(Request("theirs", MESSAGES, case.params))


def check(dialect: str, stream: bool, reply: Reply, answers: list[Any]) -> None:
    calls = [(call.name, json.loads(call.arguments or "{}")) for call in reply.tool_calls]
    usage = reply.usage
    assert usage is not None
    told = (usage.prompt_tokens, usage.completion_tokens)
    finish = FINISH[dialect][reply.finish_reason or ""]
    if dialect == "openai":
        chat = openai.types.chat
        assert all(isinstance(one, chat.ChatCompletionChunk if stream else chat.ChatCompletion) for one in answers)
        found = openai_said(answers, stream)
    elif dialect == "claude":
        found = claude_said(answers, stream)
    else:
        assert all(isinstance(one, ollama.ChatResponse) for one in answers)
        found = ollama_said(answers)
    text = reply.text if dialect == "openai" else reply.text + reply.refusal
    assert found == (text, calls, finish, told)


def openai_said(answers: list[Any], stream: bool) -> tuple[Any, ...]:
    if not stream:
        (answer,) = answers
        message = answer.choices[0].message
        calls = [(call.function.name, json.loads(call.function.arguments or "{}")) for call in message.tool_calls or ()]
        used = (answer.usage.prompt_tokens, answer.usage.completion_tokens)
        return message.content or "", calls, answer.choices[0].finish_reason, used
    *chunks, last = answers
    assert last.choices == []
    parts: dict[int, list[str]] = {}
    for chunk in chunks:
        for call in chunk.choices[0].delta.tool_calls or ():
            if call.id:
                parts[call.index] = [call.function.name, ""]
            parts[call.index][1] += call.function.arguments
    return (
        "".join(chunk.choices[0].delta.content or "" for chunk in chunks),
        [(name, json.loads(arguments or "{}")) for name, arguments in parts.values()],
        chunks[-1].choices[0].finish_reason,
        (last.usage.prompt_tokens, last.usage.completion_tokens),
    )


def claude_said(answers: list[Any], stream: bool) -> tuple[Any, ...]:
    if stream:
        from anthropic.lib.streaming._messages import accumulate_event

        message, buffers = None, {}
        for event in answers:
            message = accumulate_event(
                event=event, current_snapshot=message, json_bufs=buffers, output_format=anthropic.NOT_GIVEN
            )
        assert answers[-1].type == "message_stop"
    else:
        (message,) = answers
        assert isinstance(message, anthropic.types.Message)
    assert message is not None
    return (
        "".join(block.text for block in message.content if block.type == "text"),
        [(block.name, block.input) for block in message.content if block.type == "tool_use"],
        message.stop_reason,
        (
            (message.usage.input_tokens or 0) + (message.usage.cache_read_input_tokens or 0)
            if message.usage.input_tokens is not None
            else None,
            message.usage.output_tokens,
        ),
    )


def ollama_said(answers: list[Any]) -> tuple[Any, ...]:
    last = answers[-1]
    assert last.done
    return (
        "".join(one.message.content or "" for one in answers),
        [(call.function.name, dict(call.function.arguments)) for call in last.message.tool_calls or ()],
        last.done_reason,
        (last.prompt_eval_count, last.eval_count),
    )


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dialect", ["openai", "claude"])
def test_usage_that_nobody_told_is_none(dialect: str, stream: bool) -> None:
    async def run() -> Any:
        async with pair(dialect, "ollama", is_async=False) as (down, up, route):
            up.default = CASES["usage of nothing"].answer
            with client_of(dialect, down.url, is_async=False) as client:
                protected = protect(client, fallback=[route], clock=Unhurried())
                return (await see(dialect, protected, stream, **params_for(dialect, {}))).answers[-2 * stream]

    usage = asyncio.run(run()).usage
    assert usage is None or (usage.input_tokens, usage.output_tokens) == (None, None)


@pytest.mark.parametrize("is_async", WORLDS)
def test_anthropics_stream_helper_over_another_providers_answer(is_async: bool) -> None:
    async def run() -> Any:
        async with pair("claude", "openai", is_async) as (down, up, route):
            up.default = Answer("Let me look. ", tool_calls=(WEATHER,))
            async with entered(client_of("claude", down.url, is_async)) as client:
                protected = protect(client, fallback=[route], clock=Unhurried())
                async with entered(protected.messages.stream(model="m", max_tokens=99, messages=MESSAGES)) as stream:
                    texts = await drained(stream.text_stream)
                    return texts, await awaited(stream.get_final_message())

    texts, message = asyncio.run(run())
    assert texts == ["Let", " me", " look.", " "]
    assert [block.type for block in message.content] == ["text", "tool_use"]
    assert message.content[1].input == WEATHER.arguments
    assert (message.stop_reason, message.model) == ("tool_use", "theirs")


@pytest.mark.parametrize("is_async", WORLDS)
def test_openais_stream_helper_over_another_providers_answer(is_async: bool) -> None:
    async def run() -> Any:
        async with pair("openai", "claude", is_async) as (down, up, route):
            up.default = Answer("Sunny.")
            async with entered(client_of("openai", down.url, is_async)) as client:
                protected = protect(client, fallback=[route], clock=Unhurried())
                async with entered(protected.chat.completions.stream(model="m", messages=MESSAGES)) as stream:
                    await drained(stream)
                    return await awaited(stream.get_final_completion())

    completion = asyncio.run(run())
    assert completion.choices[0].message.content == "Sunny."
    assert completion.model == "theirs"


@pytest.mark.parametrize("is_async", WORLDS)
def test_parse_over_another_providers_answer(is_async: bool) -> None:
    from pydantic import BaseModel

    class Place(BaseModel):
        city: str

    async def run() -> Any:
        async with pair("openai", "claude", is_async) as (down, up, route):
            up.default = Answer('{"city": "Rome"}')
            async with entered(client_of("openai", down.url, is_async)) as client:
                protected = protect(client, fallback=[route], clock=Unhurried())
                asked = {"model": "m", "messages": MESSAGES, "response_format": Place}
                parsed = await awaited(protected.chat.completions.parse(**asked))
                assert up.seen[-1].body["output_config"]["format"]["schema"]["required"] == ["city"]
                return parsed

    assert asyncio.run(run()).choices[0].message.parsed == Place(city="Rome")


@pytest.mark.parametrize("is_async", WORLDS)
def test_anthropics_beta_methods_over_another_providers_answer(is_async: bool) -> None:
    async def run() -> None:
        async with pair("claude", "openai", is_async) as (down, up, route):
            up.default = Answer("Sunny.")
            async with entered(client_of("claude", down.url, is_async)) as client:
                beta = protect(client, fallback=[route], clock=Unhurried()).beta.messages
                asked = {"model": "m", "max_tokens": 99, "messages": MESSAGES}
                message = await awaited(beta.create(**asked))
                assert isinstance(message, anthropic.types.beta.BetaMessage)
                assert message.content[0].text == "Sunny."
                async with entered(beta.stream(**asked)) as stream:
                    last = await awaited(stream.get_final_message())
                assert isinstance(last, anthropic.types.beta.BetaMessage)
                assert last.content[0].text == "Sunny."

    asyncio.run(run())


@pytest.mark.parametrize("is_async", WORLDS)
def test_parameters_that_the_other_refuses_are_left_out_and_told(is_async: bool) -> None:
    told: list[Any] = []

    @middleware
    def watch(request: Request) -> Any:
        reply = yield request
        told.append(dict(reply.changes))
        return reply

    async def run() -> None:
        async with pair("openai", "claude", is_async) as (down, up, route):  # noqa: SIM117 - the next needs its url
            async with entered(client_of("openai", down.url, is_async)) as client:
                protected = protect(client, [watch], fallback=[route], clock=Unhurried())
                asked = {"seed": 1, "temperature": 1.7, "stop": ["END"], "logit_bias": {"1": 2}}
                answer = await awaited(protected.chat.completions.create(model="m", messages=MESSAGES, **asked))
                assert answer.model == "theirs"
                assert asked.keys() & up.seen[-1].body.keys() == set()
                assert up.seen[-1].body["stop_sequences"] == ["END"]

    asyncio.run(run())
    assert {"seed", "temperature", "logit_bias"} <= told[0].keys()

"""A protected client and the bare one see the same, on every good answer that the sandbox has."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from mainstay.adapters.sandbox import Sandbox
from mainstay.providers import protect
from support.good_answers import CASES
from support.protecting import MESSAGES, WORLDS, entered, params_for, see
from support.wrapped import client_of

DIALECTS = ("openai", "claude", "openrouter", "ollama", "llama_cpp")
TABLE = [
    pytest.param(name, dialect, stream, is_async, id=f"{name}, {dialect}, {is_async=}, {stream=}")
    for name, case in CASES.items()
    for dialect in DIALECTS
    for stream in (False, True)
    for is_async in WORLDS
    if dialect not in case.but
    if not is_async or dialect not in ("openrouter", "llama_cpp")  # whose client is OpenAI's
]


@pytest.mark.parametrize(("name", "dialect", "stream", "is_async"), TABLE)
def test_results_are_equal(name: str, dialect: str, stream: bool, is_async: bool) -> None:
    case = CASES[name]
    params = params_for(dialect, case.params)
    if stream and dialect in ("openai", "openrouter", "llama_cpp"):
        params["stream_options"] = {"include_usage": True}

    async def run() -> None:
        with Sandbox(dialect) as server:
            server.default = case.answer
            async with entered(client_of(dialect, server.url, is_async)) as bare:
                protected = protect(bare)
                assert isinstance(protected, type(bare))
                theirs = await see(dialect, bare, stream, **params)
                sent = server.seen[-1]
                server.reset_counts()  # ids follow the number of the request
                ours = await see(dialect, protected, stream, **params)
                assert server.seen[-1].body == sent.body
                assert server.count == 1
            assert (theirs.error, ours.error) == (None, None)
            assert ours.dumped == theirs.dumped
            assert ours.dumped

    asyncio.run(run())


@pytest.mark.parametrize("is_async", WORLDS)
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if "claude" not in case.but])
def test_anthropics_stream_helper_is_equal(name: str, is_async: bool) -> None:
    case = CASES[name]
    params = {**params_for("claude", case.params), "model": "m", "messages": MESSAGES}

    async def events(client: Any) -> list[Any]:
        async with entered(client.messages.stream(**params)) as stream:
            if is_async:
                heard = [event.model_dump() async for event in stream]
                return [*heard, (await stream.get_final_message()).model_dump(), stream.request_id]
            return [
                *(event.model_dump() for event in stream),
                stream.get_final_message().model_dump(),
                stream.request_id,
            ]

    async def run() -> None:
        with Sandbox("claude") as server:
            server.default = case.answer
            async with entered(client_of("claude", server.url, is_async)) as bare:
                theirs = await events(bare)
                server.reset_counts()
                assert await events(protect(bare)) == theirs
                assert len(theirs) > 3

    asyncio.run(run())


@pytest.mark.parametrize("is_async", WORLDS)
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if "openai" not in case.but])
def test_openais_stream_helper_is_equal(name: str, is_async: bool) -> None:
    case = CASES[name]
    params = {**params_for("openai", case.params), "model": "m", "messages": MESSAGES}
    if "tools" in params:  # the helper of 2.x parses the arguments, and wants to know that it can
        params["tools"] = [{**tool, "function": {**tool["function"], "strict": True}} for tool in params["tools"]]

    async def events(client: Any) -> list[Any]:
        async with entered(client.chat.completions.stream(**params)) as stream:
            if is_async:
                heard = [event.model_dump() async for event in stream]
                return [*heard, stream.current_completion_snapshot.model_dump()]
            return [*(event.model_dump() for event in stream), stream.current_completion_snapshot.model_dump()]

    async def run() -> None:
        with Sandbox("openai") as server:
            server.default = case.answer
            async with entered(client_of("openai", server.url, is_async)) as bare:
                theirs = await events(bare)
                server.reset_counts()
                assert await events(protect(bare)) == theirs
                assert len(theirs) > 1

    asyncio.run(run())

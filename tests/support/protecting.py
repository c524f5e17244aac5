"""Clients of others, protected and bare, asked the same: what a caller gets to see of an answer or an error.

The tests are written once, as coroutines: what a client gives is awaited if it can be, so that clients for threads and
for asyncio go the same way.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anthropic
import ollama
import openai

from mainstay.pipeline import Clock

__all__ = [
    "BASES",
    "MESSAGES",
    "WORLDS",
    "Seen",
    "Unhurried",
    "ask",
    "awaited",
    "drained",
    "entered",
    "params_for",
    "see",
]

WORLDS = (False, True)  # whether the client is async
MESSAGES = [{"role": "user", "content": "What is the weather in Rome, and what time is it?"}]

BASES: dict[str, tuple[type[BaseException], ...]] = {
    "openai": (openai.APIError,),
    "openrouter": (openai.APIError,),
    "llama_cpp": (openai.APIError,),
    "claude": (anthropic.APIError,),
    "ollama": (ollama.ResponseError, ConnectionError),
}
"""What an application catches around its client."""


async def awaited(value: Any) -> Any:
    """The value, or what comes of it when it is awaited."""
    return await value if inspect.isawaitable(value) else value


async def drained(stream: Any) -> list[Any]:
    """Everything that a stream gives."""
    if hasattr(stream, "__aiter__"):
        return [item async for item in stream]
    return list(stream)


@asynccontextmanager
async def entered(manager: Any) -> AsyncIterator[Any]:
    """A `with` block, or an `async with` block."""
    if hasattr(manager, "__aenter__") and not isinstance(manager, (openai.OpenAI, anthropic.Anthropic, ollama.Client)):
        async with manager as value:
            yield value
    else:
        with manager as value:
            yield value


def params_for(dialect: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a case, which has OpenAI's words, in those of a client."""
    if dialect == "claude":
        asked: dict[str, Any] = {"max_tokens": 4096}
        if "tools" in params:
            asked["tools"] = [
                {"name": f["name"], "description": f["description"], "input_schema": f["parameters"]}
                for f in (tool["function"] for tool in params["tools"])
            ]
        if "response_format" in params:
            schema = params["response_format"]["json_schema"]["schema"]
            asked["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
        return asked
    asked = dict(params)
    if dialect == "ollama" and "response_format" in asked:
        asked["format"] = asked.pop("response_format")["json_schema"]["schema"]
    return asked


def ask(dialect: str, client: Any, stream: bool, **params: Any) -> Any:
    """What the client's chat method gives, which may have to be awaited."""
    asked = {"model": "m", "messages": MESSAGES, **params}
    if dialect == "claude":
        return client.messages.create(stream=stream, **asked)
    if dialect == "ollama":
        return client.chat(stream=stream, **asked)
    return client.chat.completions.create(stream=stream, **asked)


@dataclass
class Seen:
    """What the caller saw."""

    answers: list[Any] = field(default_factory=list)
    error: BaseException | None = None

    @property
    def dumped(self) -> list[Any]:
        return [(type(answer), answer.model_dump()) for answer in self.answers]

    @property
    def text(self) -> str:
        """The text of all answers, whichever client they are of."""
        return "".join(map(_text, self.answers))


def _text(answer: Any) -> str:
    if isinstance(answer, ollama.ChatResponse):
        return answer.message.content or ""
    if hasattr(answer, "choices"):
        choice = answer.choices[0] if answer.choices else None
        part = choice and (choice.message if hasattr(choice, "message") else choice.delta)
        return (part and part.content) or ""
    if answer.type == "message":
        return "".join(block.text for block in answer.content if block.type == "text")
    delta = getattr(answer, "delta", None)
    return getattr(delta, "text", None) or ""


async def see(dialect: str, client: Any, stream: bool, **params: Any) -> Seen:
    """Asks, and keeps what came, up to an error if there is one."""
    seen = Seen()
    try:
        answer = await awaited(ask(dialect, client, stream, **params))
        if not stream:
            seen.answers.append(answer)
        elif hasattr(answer, "__aiter__"):
            async for item in answer:
                seen.answers.append(item)
        else:
            for item in answer:
                seen.answers.append(item)
    except Exception as error:
        seen.error = error
    return seen


class Unhurried(Clock):
    """Real time for sockets, and sleeps that are over at once, and have passed on the clock all the same."""

    __slots__ = ("_leapt",)

    def __init__(self) -> None:
        self._leapt = 0.0
        super().__init__(now=lambda: time.monotonic() + self._leapt, sleep=self._leap, random=lambda: 0.5)

    def _leap(self, seconds: float) -> None:
        self._leapt += seconds

    async def asleep(self, seconds: float) -> None:
        self._leap(seconds)

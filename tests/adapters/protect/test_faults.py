"""Every fault that the sandbox knows, at a protected client: what its caller sees, and how many requests were made.

With another route behind it, the caller gets that one's answer in the client's own types. Alone, the caller gets an
error of the type that the bare client raises, or one that is of its base type and of ours.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from mainstay.adapters import Claude, OpenAI
from mainstay.adapters.clients import from_client
from mainstay.adapters.sandbox import Answer, Sandbox
from mainstay.middleware import standard
from mainstay.pipeline import AllRoutesFailed, ErrorClass, ProviderError, Route, TruncatedStream
from mainstay.providers import protect
from support.fault_table import CASES, GOOD, INVALID, TIMEOUT, TRIES
from support.protecting import BASES, WORLDS, Unhurried, entered, params_for, see
from support.wrapped import client_of

DIALECTS = ("openai", "claude", "ollama")
TABLE = [
    pytest.param(name, dialect, stream, is_async, id=f"{name}, {dialect}, {is_async=}, {stream=}")
    for name, case in CASES.items()
    for dialect in DIALECTS
    for stream in (False, True)
    for is_async in WORLDS
    if dialect not in case.but
]
OTHER = "The other one answers."


def meaning_of(name: str, dialect: str, stream: bool) -> Any:
    if (name, dialect, stream) == ("pings only", "ollama", True):  # empty lines, which that client takes for no JSON
        return ErrorClass.UNAVAILABLE
    return CASES[name].meaning(stream)


def is_endless(name: str, stream: bool) -> bool:
    """A client's own timeout is about silence: only a deadline ends these."""
    return stream and name == "pings only"


def patience(name: str, dialect: str, stream: bool) -> float:
    """Seconds that the client waits: few only where silence is what it must see."""
    if name == "stall" and stream:  # after some tokens, which must have come by then
        return 0.3
    return 0.1 if meaning_of(name, dialect, stream) is TIMEOUT else 5


@pytest.mark.parametrize(("name", "dialect", "stream", "is_async"), TABLE)
def test_with_another_route(name: str, dialect: str, stream: bool, is_async: bool) -> None:
    case = CASES[name]
    meaning = meaning_of(name, dialect, stream)
    endless = is_endless(name, stream)
    spare_dialect = "claude" if dialect == "openai" else "openai"

    async def run() -> None:
        with Sandbox(dialect) as server, Sandbox(spare_dialect) as other:
            server.always(case.fault())
            other.always(Answer(OTHER))
            timeout = patience(name, dialect, stream)
            async with entered(client_of(dialect, server.url, is_async, timeout=timeout)) as bare:
                if is_async:
                    spare = client_of(spare_dialect, other.url, is_async=True)
                    route = Route("other", from_client(spare), model="theirs")
                else:
                    spare = (Claude if dialect == "openai" else OpenAI)(base_url=other.url, api_key="sk-test")
                    route = Route("other", spare, model="theirs")
                layers = standard(deadline=1.0 if endless else 600.0)
                protected = protect(bare, layers, fallback=[route], clock=Unhurried())
                seen = await see(dialect, protected, stream, **params_for(dialect, {}))
                if is_async:
                    await spare.close()
                else:
                    spare.close()
            if meaning == "cut":
                check_cut(dialect, seen, server)
                assert other.count == 0
            elif meaning is None:
                assert (seen.error, seen.text) == (None, GOOD.text)
                assert (server.count, other.count) == (1, 0)
            elif meaning is INVALID:
                check_error(dialect, seen, INVALID)
                assert (server.count, other.count) == (1, 0)
            else:
                assert isinstance(meaning, ErrorClass)
                assert (seen.error, seen.text) == (None, OTHER)
                assert server.count == (1 if case.patient else TRIES[meaning][0])
                assert other.count == 1

    asyncio.run(run())


@pytest.mark.parametrize(("name", "dialect", "stream", "is_async"), TABLE)
def test_alone(name: str, dialect: str, stream: bool, is_async: bool) -> None:
    case = CASES[name]
    meaning, endless = meaning_of(name, dialect, stream), is_endless(name, stream) and dialect != "ollama"

    async def run() -> None:
        with Sandbox(dialect) as server:
            server.always(case.fault())
            asked, timeout = params_for(dialect, {}), patience(name, dialect, stream)
            async with entered(client_of(dialect, server.url, is_async, timeout=timeout)) as given:
                bare = given if dialect == "ollama" else given.with_options(max_retries=0)
                theirs = None if endless else (await see(dialect, bare, stream, **asked)).error
                server.reset_counts()
                protected = protect(given, standard(deadline=0.5 if endless else 600.0), clock=Unhurried())
                seen = await see(dialect, protected, stream, **asked)
            if meaning == "cut":
                check_cut(dialect, seen, server)
            elif meaning is None:
                assert (seen.error, seen.text, server.count) == (None, GOOD.text, 1)
                assert theirs is None
            else:
                assert isinstance(meaning, ErrorClass)
                check_error(dialect, seen, meaning)
                assert server.count == (1 if endless else TRIES[meaning][1])
            # pydantic's own error cannot be made by anybody else; what takes its place is of the client's base type.
            if theirs is not None and type(theirs).__name__ != "ValidationError":
                assert isinstance(seen.error, type(theirs)), (seen.error, theirs)

    asyncio.run(run())


def check_error(dialect: str, seen: Any, meaning: ErrorClass) -> None:
    error = seen.error
    assert error is not None
    ours: ProviderError = error.provider_error
    assert ours.error_class is meaning
    assert not isinstance(ours, AllRoutesFailed)
    if not (dialect == "ollama" and meaning is TIMEOUT):  # for which that client has no word of its own
        assert isinstance(error, BASES[dialect])


def check_cut(dialect: str, seen: Any, server: Sandbox) -> None:
    """After the first token nothing is retried or replaced, and a part is never taken for the whole."""
    error = seen.error
    assert error is not None
    ours: ProviderError = error.provider_error
    assert ours.error_class in (ErrorClass.UNAVAILABLE, ErrorClass.TIMEOUT)
    assert seen.text
    assert GOOD.text.startswith(seen.text)
    assert ours.partial is not None
    assert ours.partial.text == seen.text
    assert isinstance(ours, TruncatedStream) or ours.reason != "truncated_stream"
    if not (dialect == "ollama" and ours.error_class is TIMEOUT):
        assert isinstance(error, BASES[dialect])
    assert server.count == 1

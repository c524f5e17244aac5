"""What the caller of a protected client catches: the client's own types, with our error on them."""

from __future__ import annotations

import asyncio
import copy
import gc
import pickle
import weakref
from typing import Any

import anthropic
import httpx
import ollama
import openai
import pytest

from mainstay.adapters.sandbox import Sandbox, faults
from mainstay.middleware import CircuitBreaker, Deadline, Retry
from mainstay.pipeline import (
    AllRoutesFailed,
    AuthenticationFailed,
    CircuitOpen,
    DeadlineExceeded,
    ErrorClass,
    InvalidRequest,
    ModelNotFound,
    ProviderError,
    QuotaExceeded,
    RateLimited,
    RouteResting,
    TimedOut,
    Unavailable,
    middleware,
)
from mainstay.providers import protect
from support.protecting import BASES, MESSAGES, WORLDS, Unhurried, entered, params_for, see
from support.wrapped import client_of

DIALECTS = ("openai", "claude", "ollama")
OURS: list[tuple[ProviderError, str, type[BaseException]]] = [
    (AuthenticationFailed(), "AuthenticationError", ollama.ResponseError),
    (QuotaExceeded(), "RateLimitError", ollama.ResponseError),
    (RateLimited(retry_after=7.0), "RateLimitError", ollama.ResponseError),
    (RouteResting(retry_after=7.0), "RateLimitError", ollama.ResponseError),
    (TimedOut(), "APITimeoutError", httpx.ReadTimeout),
    (DeadlineExceeded(), "APITimeoutError", httpx.ReadTimeout),
    (Unavailable(), "APIConnectionError", ollama.ResponseError),
    (Unavailable(status=503), "InternalServerError", ollama.ResponseError),
    (ModelNotFound(), "NotFoundError", ollama.ResponseError),
    (InvalidRequest(), "BadRequestError", ollama.ResponseError),
    (CircuitOpen(because=Unavailable(status=502), retry_after=3.0), "InternalServerError", ollama.ResponseError),
    (AllRoutesFailed([RateLimited(), Unavailable()]), "RateLimitError", ollama.ResponseError),
]


def raised_by(dialect: str, error: ProviderError) -> Any:
    """What a caller sees where a layer raises `error`."""

    @middleware
    def refuse(request: Any) -> Any:
        raise error
        yield

    with Sandbox(dialect) as server, client_of(dialect, server.url, is_async=False) as client:
        return asyncio.run(see(dialect, protect(client, [refuse]), False, **params_for(dialect, {}))).error


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(("ours", "name", "ollamas"), OURS, ids=[f"{type(e).__name__} {n}" for e, n, _ in OURS])
def test_an_error_without_a_native_one_is_both(
    ours: ProviderError, name: str, ollamas: type[BaseException], dialect: str
) -> None:
    error = raised_by(dialect, copy.copy(ours))
    theirs = ollamas if dialect == "ollama" else getattr({"openai": openai, "claude": anthropic}[dialect], name)
    assert isinstance(error, theirs)
    assert isinstance(error, type(ours))
    assert str(error) == str(error.provider_error)
    assert error.error_class is ours.error_class
    assert error.retry_after == ours.retry_after
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again)) == (type(ours), str(error))
    assert error.detached().__traceback__ is None


@pytest.mark.parametrize("dialect", ["openai", "claude"])
def test_it_has_what_the_clients_errors_have(dialect: str) -> None:
    error = raised_by(dialect, RateLimited(retry_after=7.0))
    assert (error.status_code, error.body, error.request.method) == (429, None, "POST")
    assert error.response.headers["retry-after"] == "7"
    assert error.message == str(error)
    timeout = raised_by(dialect, DeadlineExceeded())
    assert timeout.request.url.path.endswith({"openai": "/chat/completions", "claude": "/messages"}[dialect])
    assert timeout.message == str(timeout)


def test_ollamas_has_a_status() -> None:
    error = raised_by("ollama", RateLimited())
    assert (error.status_code, error.error) == (429, str(error))


@pytest.mark.parametrize("is_async", WORLDS)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_clients_own_error_is_raised_itself(dialect: str, is_async: bool) -> None:
    async def run() -> Any:
        with Sandbox(dialect) as server:
            server.always(faults.rate_limit(retry_after=60))
            async with entered(client_of(dialect, server.url, is_async)) as client:
                return await see(
                    dialect, protect(client, [Retry(max_wait=1.0, patience=1.0)]), False, **params_for(dialect, {})
                )

    error = asyncio.run(run()).error
    assert type(error).__module__.startswith(("openai", "anthropic", "ollama"))
    assert not isinstance(error, ProviderError)
    ours = error.provider_error
    assert isinstance(ours, RateLimited)
    assert (ours.retry_after, len(ours.attempts)) == (60, 1)
    assert ours.__cause__ is None  # neither holds what holds it
    if dialect != "ollama":
        assert error.response.headers["retry-after"] == "60"


@pytest.mark.parametrize("is_async", WORLDS)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_open_breaker_is_of_the_type_that_opened_it(dialect: str, is_async: bool) -> None:
    async def run() -> Any:
        with Sandbox(dialect) as server:
            server.always(faults.status(500))
            async with entered(client_of(dialect, server.url, is_async)) as client:
                protected = protect(client, [CircuitBreaker(failures=1)])
                params = params_for(dialect, {})
                first, second = [(await see(dialect, protected, False, **params)).error for _ in range(2)]
            assert server.count == 1
            return first, second

    first, second = asyncio.run(run())
    assert isinstance(second, type(first))
    assert isinstance(second, CircuitOpen)
    assert isinstance(second, BASES[dialect])
    assert second.retry_after > 0


@pytest.mark.parametrize("is_async", WORLDS)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_all_routes_failed_is_of_the_first_ones_type(dialect: str, is_async: bool) -> None:
    async def run() -> Any:
        with Sandbox(dialect) as server, Sandbox(dialect) as other:
            server.always(faults.bad_key())
            other.always(faults.status(503))
            async with (
                entered(client_of(dialect, server.url, is_async)) as client,
                entered(client_of(dialect, other.url, is_async)) as spare,
            ):
                protected = protect(client, [], fallback=[spare])
                return (await see(dialect, protected, False, **params_for(dialect, {}))).error

    error = asyncio.run(run())
    assert isinstance(error, AllRoutesFailed)
    theirs = {
        "openai": openai.AuthenticationError,
        "claude": anthropic.AuthenticationError,
        "ollama": ollama.ResponseError,
    }
    assert isinstance(error, theirs[dialect])
    assert error.status_code == 401
    assert [one.error_class for one in error.errors] == [ErrorClass.AUTHENTICATION, ErrorClass.UNAVAILABLE]


def test_a_bug_passes_as_it_is() -> None:
    @middleware
    def broken(request: Any) -> Any:
        raise ZeroDivisionError
        yield

    with Sandbox("openai") as server, client_of("openai", server.url, is_async=False) as client:
        with pytest.raises(ZeroDivisionError):
            protect(client, [broken]).chat.completions.create(model="m", messages=MESSAGES)
        with pytest.raises(TypeError, match="Missing required arguments"):
            protect(client).chat.completions.create(messages=MESSAGES)
        with pytest.raises(TypeError):  # of the client's encoder
            protect(client).chat.completions.create(model="m", messages=MESSAGES, user=object())
        assert server.count == 0


def test_what_the_caller_makes_of_an_answer_is_no_failure_of_the_provider() -> None:
    from pydantic import BaseModel, ValidationError

    from mainstay.adapters.sandbox import Answer

    class Place(BaseModel):
        city: str

    with Sandbox("openai") as server, client_of("openai", server.url, is_async=False) as client:
        protected = protect(client, clock=Unhurried())
        asked: dict[str, Any] = {"model": "m", "messages": MESSAGES, "response_format": Place}
        server.default = Answer('{"town": "Rome"}')
        with pytest.raises(ValidationError):
            protected.chat.completions.parse(**asked)
        server.default = Answer('{"ci', finish="length")
        with pytest.raises(openai.LengthFinishReasonError):
            protected.chat.completions.parse(**asked)
        assert server.count == 2


@pytest.mark.parametrize("dialect", DIALECTS)
def test_no_key_and_no_prompt_in_our_errors(dialect: str) -> None:
    secret = "a rather long prompt that nobody else may see, ever"
    with Sandbox(dialect) as server, client_of(dialect, server.url, is_async=False) as client:
        server.always(faults.status(400, message=f"bad input: {secret} with sk-test"))
        params = {**params_for(dialect, {}), "messages": [{"role": "user", "content": secret}]}
        error = asyncio.run(see(dialect, protect(client, []), False, **params)).error
    assert error is not None
    ours = error.provider_error
    assert secret not in str(ours) + repr(ours) + repr(vars(ours))
    assert "sk-test" not in str(ours) + repr(vars(ours))


@pytest.mark.parametrize("is_async", WORLDS)
def test_a_deadline_is_a_timeout(is_async: bool) -> None:
    async def run() -> Any:
        with Sandbox("openai") as server:
            server.always(faults.hang())
            async with entered(client_of("openai", server.url, is_async)) as client:
                return (await see("openai", protect(client, [Deadline(0.3)]), False)).error

    error = asyncio.run(run())
    assert isinstance(error, openai.APITimeoutError)
    assert isinstance(error.provider_error, DeadlineExceeded)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("fault", [faults.status(500), faults.disconnect(), faults.cut(3)], ids=["500", "lost", "cut"])
def test_an_error_is_freed_with_its_last_reference(fault: Any, dialect: str, stream: bool) -> None:
    """What a cycle held would keep every frame, and the prompt, until a collection."""
    with Sandbox(dialect) as server, client_of(dialect, server.url, is_async=False) as client:
        server.always(fault)
        protected = protect(client, [Retry()], clock=Unhurried())
        gc.collect()
        gc.disable()
        try:
            seen = asyncio.run(see(dialect, protected, stream, **params_for(dialect, {})))
            assert seen.error is not None
            known = weakref.ref(seen.error)
            seen.error = None
            assert known() is None
        finally:
            gc.enable()

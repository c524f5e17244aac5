"""How a wrapped client behaves: to its owner, to its connections, in time, and in a stack."""

from __future__ import annotations

import asyncio
import gc
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import httpx
import ollama
import openai
import pytest

from mainstay.adapters.clients import from_client
from mainstay.adapters.sandbox import Answer, Sandbox, Seen, faults
from mainstay.middleware import Deadline, Fallback, standard
from mainstay.pipeline import (
    AsyncStack,
    Clock,
    DeadlineExceeded,
    ProviderError,
    Request,
    Route,
    Stack,
    TimedOut,
    Timeouts,
    TruncatedStream,
)
from support.raw_server import Heard, RawServer, head
from support.wrapped import client_of, wrapped

THREE = ("openai", "claude", "ollama")
DIALECT = pytest.mark.parametrize("dialect", THREE)
WORDS = tuple(f"word{number} " for number in range(8))
ASKED = Request("m", "How are you?")
STREAMED = Request("m", "How are you?", stream=True)


@pytest.fixture
def server(dialect: str) -> Iterator[Sandbox]:
    with Sandbox(dialect) as sandbox:
        yield sandbox
        assert sandbox.wait_until(lambda box: box.open_connections == 0)


@pytest.fixture
def client(dialect: str, server: Sandbox) -> Iterator[Any]:
    with client_of(dialect, server.url, is_async=False) as made:
        yield made


def echo(seen: Seen) -> Answer:
    return Answer(seen.prompt)


# -- to its owner ----------------------------------------------------------------------------------------------


@DIALECT
def test_the_client_stays_what_it_is(dialect: str, server: Sandbox, client: Any) -> None:
    before, http = dict(vars(client)), dict(vars(client._client))
    handler = wrapped(dialect, client)
    handler(ASKED)
    handler(STREAMED).read()
    assert vars(client) == before
    assert vars(client._client).keys() == http.keys()
    assert type(client._client).__module__.partition(".")[0] not in ("mainstay", "tests")
    del handler
    gc.collect()
    assert wrapped(dialect, client)(ASKED).text  # its connections are still open


def test_its_own_retries_go_on_where_it_is_called_itself() -> None:
    with Sandbox("openai") as server, client_of("openai", server.url, is_async=False, max_retries=1) as client:
        wrapped("openai", client)
        server.script(faults.status(500), Answer("The second time."))
        answer = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}])
        assert answer.choices[0].message.content == "The second time."
        assert server.count == 2


@DIALECT
def test_hidden_retries_never_multiply(dialect: str, server: Sandbox, client: Any) -> None:
    server.always(faults.status(500))
    stack = Stack(standard(), wrapped(dialect, client), clock=Clock(sleep=lambda seconds: None))
    with pytest.raises(ProviderError) as caught:
        stack(ASKED)
    assert server.count == len(caught.value.attempts) == 3  # as the guidance allows on an only route


def test_a_client_that_is_closed_is_a_bug_and_no_failure() -> None:
    client = openai.OpenAI(api_key="k", base_url="http://127.0.0.1:9/")
    handler = from_client(client)
    client.close()
    with pytest.raises(RuntimeError, match="closed") as caught:
        handler(ASKED)
    assert not isinstance(caught.value, ProviderError)


def test_nothing_is_imported_unless_it_is_wrapped() -> None:
    code = (
        "import sys, mainstay.adapters.clients as c; c.kind_of, c.from_client, c.from_callable\n"
        "found = {'openai', 'anthropic', 'ollama', 'httpx', 'httpx2', 'requests'} & set(sys.modules)\n"
        "assert not found, found\n"
        "import ollama; c.from_client(ollama.Client())\n"
        "found = {'openai', 'anthropic'} & set(sys.modules)\n"
        "assert not found, found\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# -- what it is taken for --------------------------------------------------------------------------------------


def test_a_stack_draws_it_by_its_own_name() -> None:
    with openai.OpenAI(api_key="k") as first, anthropic.Anthropic(api_key="k") as second:
        a, b = from_client(first), from_client(second, model="claude-sonnet-4-5")
        drawn = str(Stack([], Fallback(a, b)))
        assert "openai.OpenAI" in drawn
        assert "anthropic.Anthropic" in drawn
        assert "unchecked" not in drawn
        assert repr(b) == "<anthropic.Anthropic as a handler, provider='claude', model='claude-sonnet-4-5'>"
        assert (a.provider, a.address) == ("openai", ("api.openai.com", 443))
        assert (b.provider, b.address) == ("claude", ("api.anthropic.com", 443))


def test_azure_is_openai_at_another_address() -> None:
    azure = openai.AzureOpenAI(api_key="k", azure_endpoint="https://mine.openai.azure.com", api_version="2024-10-21")
    with azure:
        handler = from_client(azure, provider="azure")
        assert (handler.provider, handler.address) == ("azure", ("mine.openai.azure.com", 443))


def test_parameters_are_checked_as_the_servers() -> None:
    own = Request("gpt-4o", "Hi", {"repetition_penalty": 1.1})
    with openai.OpenAI(api_key="k", base_url="http://127.0.0.1:9/v1") as client:
        (problem,) = from_client(client).check(own)
        assert problem.parameter == "repetition_penalty"
        assert from_client(client, compatible=True).check(own) == ()
        assert from_client(client, compatible=True).provider == "openai-compatible"
        assert from_client(client, provider="openrouter").check(own) == ()


def test_what_the_servers_alone_know_goes_beside_what_the_client_knows() -> None:
    with Sandbox("openrouter") as server, client_of("openai", server.url, is_async=False) as client:
        from_client(client, compatible=True)(Request("m", "Hi", {"repetition_penalty": 1.1, "temperature": 0}))
        assert (server.seen[0].body["repetition_penalty"], server.seen[0].body["temperature"]) == (1.1, 0)


def test_a_tracer_in_place_of_the_method_sees_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    original, traced = openai.resources.chat.completions.Completions.create, []

    def create(*args: Any, **options: Any) -> Any:
        traced.append(options["model"])
        return original(*args, **options)

    monkeypatch.setattr(openai.resources.chat.completions.Completions, "create", create)
    with Sandbox("openrouter") as server, client_of("openrouter", server.url, is_async=False) as client:
        wrapped("openrouter", client)(Request("m", "Hi", {"repetition_penalty": 1.1, "temperature": 0}))
        assert traced == ["m"]
        assert (server.seen[0].body["repetition_penalty"], server.seen[0].body["temperature"]) == (1.1, 0)


def test_the_version_that_a_client_sends_says_which_parameters_there_are() -> None:
    hot = Request("claude-sonnet-4-5", "Hi", {"temperature": 0.2})
    for version, known in (("2023-06-01", True), ("2026-10-21", False)):
        with anthropic.Anthropic(api_key="k", default_headers={"anthropic-version": version}) as client:
            assert (from_client(client).check(hot) == ()) is known


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"compatible": True}, "compatible=True is for OpenAI's client"),
        ({"max_tokens": 9}, "is for Anthropic's client"),
    ],
)
def test_options_for_others_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        from_client(ollama.Client(), **options)


def test_clocks_are_no_number_of_seconds() -> None:
    with pytest.raises(TypeError, match=r"timeouts=5 must be the four clocks, such as Timeouts\(total=60\)"):
        from_client(ollama.Client(), timeouts=5)  # type: ignore[arg-type]


def test_a_server_that_does_not_stream_answers_with_a_stream_of_one_chunk() -> None:
    body = b'{"id":"x","model":"m","choices":[{"message":{"content":"All at once."},"finish_reason":"stop"}]}'

    def play(heard: Heard) -> Iterator[bytes]:
        yield head("application/json", f"Content-Length: {len(body)}") + body

    with RawServer(play) as server, openai.OpenAI(api_key="k", base_url=server.url) as client:
        reply = from_client(client)(STREAMED)
        assert [chunk.text for chunk in reply] == ["All at once."]

        async def ask() -> list[str]:
            async with openai.AsyncOpenAI(api_key="k", base_url=server.url) as client:
                return [chunk.text async for chunk in await from_client(client)(STREAMED)]

        assert asyncio.run(ask()) == ["All at once."]


def test_an_error_shows_neither_key_nor_prompt() -> None:
    prompt = "the plans of the castle and its seven hidden doors"
    quoting = faults.status(400, body=f'{{"error": {{"message": "sk-test-42-secret cannot say: {prompt}"}}}}')
    with Sandbox("openai") as server:
        server.always(quoting)
        with openai.OpenAI(base_url=server.url, api_key="sk-test-42-secret") as client:
            with pytest.raises(ProviderError) as caught:
                from_client(client)(Request("m", prompt))
            for text in (str(caught.value), repr(caught.value), caught.value.detail):
                assert "sk-test-42-secret" not in text
                assert "castle" not in text
            assert isinstance(caught.value.__cause__, openai.BadRequestError)


# -- its connections -------------------------------------------------------------------------------------------


@DIALECT
def test_a_stream_that_is_closed_early_frees_its_connection(dialect: str, server: Sandbox, client: Any) -> None:
    server.always(faults.stall(3, answer=Answer(chunks=WORDS)))
    with wrapped(dialect, client)(STREAMED) as reply:
        assert next(reply).text
        assert server.in_flight == 1
    assert server.wait_until(lambda box: box.in_flight == 0)
    assert reply.error is None
    server.always(Answer("Here again."))
    assert wrapped(dialect, client)(ASKED).text == "Here again."


@DIALECT
def test_a_stream_that_is_dropped_frees_its_connection(dialect: str, server: Sandbox, client: Any) -> None:
    server.always(faults.stall(3, answer=Answer(chunks=WORDS)))
    reply = wrapped(dialect, client)(STREAMED)
    assert next(reply).text
    del reply
    gc.collect()
    assert server.wait_until(lambda box: box.in_flight == 0)


@DIALECT
def test_a_stream_that_is_closed_early_on_a_loop(dialect: str, server: Sandbox) -> None:
    server.always(faults.stall(3, answer=Answer(chunks=WORDS)))

    async def ask() -> None:
        async with client_of(dialect, server.url, is_async=True) as client:
            handler = wrapped(dialect, client)
            async with await handler(STREAMED) as reply:
                assert (await anext(reply)).text
            assert await asyncio.to_thread(server.wait_until, lambda box: box.in_flight == 0)
            server.always(Answer("Here again."))
            assert (await handler(ASKED)).text == "Here again."

    asyncio.run(ask())


@DIALECT
@pytest.mark.parametrize("request_", [ASKED, STREAMED], ids=["complete", "stream"])
def test_a_task_that_is_cancelled_frees_its_connection(dialect: str, request_: Request, server: Sandbox) -> None:
    server.always(faults.hang())

    async def ask() -> None:
        async with client_of(dialect, server.url, is_async=True) as client:
            asking = asyncio.ensure_future(AsyncStack(standard(), wrapped(dialect, client))(request_))
            assert await asyncio.to_thread(server.wait_until, lambda box: box.in_flight == 1)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            assert await asyncio.to_thread(server.wait_until, lambda box: box.in_flight == 0)

    asyncio.run(ask())
    assert server.count == 1


@DIALECT
def test_a_thread_that_waits_lets_go_when_another_closes(dialect: str, server: Sandbox, client: Any) -> None:
    server.always(faults.stall(2, answer=Answer(chunks=WORDS)))
    reply = wrapped(dialect, client, Timeouts(gap=0.5, first_event=0.5))(STREAMED)
    heard: list[str] = []
    reading = threading.Thread(target=lambda: heard.extend(chunk.text for chunk in reply))
    reading.start()
    assert server.wait_until(lambda box: box.in_flight == 1)
    reply.close()
    reading.join(10)
    assert not reading.is_alive()
    assert reply.error is None
    assert server.wait_until(lambda box: box.in_flight == 0)


@DIALECT
def test_connections_are_used_again(dialect: str, server: Sandbox, client: Any) -> None:
    handler = wrapped(dialect, client)
    for _ in range(5):
        handler(ASKED)
    assert server.connections == 1


# -- time ------------------------------------------------------------------------------------------------------


def took(ask: Callable[[], object]) -> float:
    start = time.monotonic()
    ask()
    return time.monotonic() - start


@DIALECT
@pytest.mark.parametrize("is_async", [False, True], ids=["thread", "loop"])
@pytest.mark.parametrize("request_", [ASKED, STREAMED], ids=["complete", "stream"])
def test_the_deadline_of_the_call_ends_an_attempt(
    dialect: str, request_: Request, is_async: bool, server: Sandbox
) -> None:
    server.always(faults.hang())

    async def on_a_loop() -> None:
        async with client_of(dialect, server.url, is_async=True) as client:
            with pytest.raises(DeadlineExceeded):
                await AsyncStack([Deadline(0.3)], wrapped(dialect, client))(request_)

    def in_a_thread() -> None:
        with client_of(dialect, server.url, is_async=False) as client, pytest.raises(DeadlineExceeded):
            Stack([Deadline(0.3)], wrapped(dialect, client))(request_)

    assert took((lambda: asyncio.run(on_a_loop())) if is_async else in_a_thread) < 30
    assert server.count == 1


@DIALECT
def test_a_server_that_drips_does_not_hold_a_thread_for_ever(dialect: str, server: Sandbox, client: Any) -> None:
    server.always(faults.drip(0.02, then=Answer("No byte is late, and yet all of it is. " * 200)))
    with pytest.raises(TimedOut) as caught:
        wrapped(dialect, client, Timeouts(total=0.3))(ASKED)
    assert caught.value.reason == "total"


@DIALECT
def test_the_timeout_of_the_client_itself_holds_unless_clocks_are_given(dialect: str, server: Sandbox) -> None:
    server.always(faults.slow_first_byte(0.5, Answer("Slow and sure.")))
    with client_of(dialect, server.url, is_async=False, timeout=0.1) as client:
        with pytest.raises(TimedOut):
            wrapped(dialect, client)(ASKED)
        assert wrapped(dialect, client, Timeouts())(ASKED).text == "Slow and sure."


@DIALECT
def test_half_of_the_deadline_is_kept_for_the_other_route(dialect: str, server: Sandbox, client: Any) -> None:
    server.always(faults.hang())
    with Sandbox("openai") as other, client_of("openai", other.url, is_async=False) as spare:
        routes = Fallback(Route("first", wrapped(dialect, client)), Route("other", wrapped("openai", spare)))
        reply = Stack([Deadline(2)], routes)(STREAMED)
        assert reply.read().text
        assert [attempt.reason for attempt in reply.attempts] == ["first_event", ""]


@DIALECT
def test_a_cut_stream_says_what_had_come(dialect: str, server: Sandbox, client: Any) -> None:
    server.always(faults.cut(3, answer=Answer(chunks=WORDS)))
    reply = wrapped(dialect, client)(STREAMED)
    with pytest.raises(TruncatedStream) as caught:
        reply.read()
    assert caught.value.partial is not None
    assert caught.value.partial.text
    assert "".join(WORDS).startswith(caught.value.partial.text)


# -- many at once ----------------------------------------------------------------------------------------------


@DIALECT
def test_many_threads_share_one_client(dialect: str, server: Sandbox, client: Any) -> None:
    server.default = echo
    handler, barrier, heard = wrapped(dialect, client), threading.Barrier(24), {}

    def ask(number: int) -> None:
        barrier.wait()
        heard[number] = handler(Request("m", f"number {number}", stream=number % 2 == 0)).read().text

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert heard == {number: f"number {number}" for number in range(24)}
    assert server.count == 24


@DIALECT
def test_many_tasks_share_one_client(dialect: str, server: Sandbox) -> None:
    server.default = echo

    async def main() -> list[str]:
        async with client_of(dialect, server.url, is_async=True) as client:
            handler = wrapped(dialect, client)

            async def ask(number: int) -> str:
                reply = await handler(Request("m", f"number {number}", stream=number % 2 == 0))
                return str((await reply.read()).text)

            return await asyncio.gather(*map(ask, range(48)))

    assert asyncio.run(main()) == [f"number {number}" for number in range(48)]
    assert server.count == 48


def test_an_older_http_client_in_a_newer_one() -> None:
    """OpenAI's newest client sends through httpx2, unless it is given an httpx client."""
    with Sandbox("openai") as server, httpx.Client() as http:
        client = openai.OpenAI(base_url=server.url, api_key="sk-test", http_client=http)
        assert from_client(client)(ASKED).text
        server.always(faults.cut(2, answer=Answer(chunks=WORDS)))
        with pytest.raises(TruncatedStream):
            from_client(client)(STREAMED).read()


@DIALECT
def test_tasks_that_are_cancelled_at_any_moment_leave_nothing_behind(dialect: str, server: Sandbox) -> None:
    server.default = Answer(chunks=WORDS)
    moments = random.Random(7)

    async def main() -> None:
        async with client_of(dialect, server.url, is_async=True) as client:
            handler, settled = wrapped(dialect, client), []

            async def ask(number: int) -> None:
                async with await handler(Request("m", "Hi", stream=number % 2 == 0)) as reply:
                    reply.on_end(settled.append)
                    await reply.read()

            tasks = [asyncio.ensure_future(ask(number)) for number in range(100)]
            for task in moments.sample(tasks, len(tasks)):
                for _ in range(moments.randrange(40)):
                    await asyncio.sleep(0)
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            assert asyncio.CancelledError in set(map(type, outcomes)) <= {type(None), asyncio.CancelledError}
            assert len(settled) == len(set(map(id, settled)))
            assert all(reply.outcome is not None for reply in settled)
            assert await asyncio.to_thread(server.wait_until, lambda box: box.in_flight == 0)
            assert asyncio.all_tasks() == {asyncio.current_task()}
            server.always(Answer("Here again."))
            assert (await handler(ASKED)).text == "Here again."

    asyncio.run(main())

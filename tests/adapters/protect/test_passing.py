"""What a protected client leaves alone, keeps through copies, and does with methods that no other protocol has."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import Any

import anthropic
import ollama
import openai
import pytest

from mainstay.adapters import AsyncClaude, Claude
from mainstay.adapters import OpenAI as OurOpenAI
from mainstay.adapters.clients import from_client
from mainstay.adapters.sandbox import Answer, Sandbox, faults
from mainstay.middleware import CircuitBreaker, Deadline, Retry, standard
from mainstay.pipeline import CircuitOpen, InvalidRequest, Request, Route, middleware
from mainstay.providers import protect
from support.protecting import MESSAGES, WORLDS, Unhurried, ask, awaited, drained, entered, params_for
from support.raw_server import RawServer, head
from support.wrapped import client_of

DIALECTS = ("openai", "claude", "ollama")


# -- the client, and copies of the protected one ---------------------------------------------------------------


@pytest.mark.parametrize("is_async", WORLDS)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_client_stays_as_it_is(dialect: str, is_async: bool) -> None:
    async def run() -> None:
        with Sandbox(dialect) as server:
            server.always(faults.status(503))
            async with entered(client_of(dialect, server.url, is_async)) as client:
                before, kind = dict(vars(client)), type(client)
                protected = protect(client, [])
                assert protected is not client
                assert vars(client) == before
                assert type(client) is kind
                assert isinstance(protected, kind)
                assert type(protected).__name__ == kind.__name__
                with pytest.raises(Exception, match="503"):
                    await awaited(ask(dialect, protected, stream=False, **params_for(dialect, {})))
                assert server.count == 1  # without layers, one try: its own retries are off

    asyncio.run(run())


@pytest.mark.parametrize("is_async", WORLDS)
@pytest.mark.parametrize("dialect", ["openai", "claude"])
def test_copies_are_protected_by_the_same_stack(dialect: str, is_async: bool) -> None:
    async def run() -> None:
        with Sandbox(dialect) as server:
            server.always(faults.status(500))
            async with entered(client_of(dialect, server.url, is_async)) as client:
                protected = protect(client, [CircuitBreaker(failures=1)])
                for copied in (protected, protected.with_options(timeout=7, max_retries=5), protected.copy()):
                    assert copied.mainstay is protected.mainstay
                    with pytest.raises((openai.InternalServerError, anthropic.InternalServerError)):
                        await awaited(ask(dialect, copied, stream=False, **params_for(dialect, {})))
                assert server.count == 1

    asyncio.run(run())


def test_a_copys_options_are_used() -> None:
    with Sandbox("openai") as server, client_of("openai", server.url, is_async=False) as client:
        copied = protect(client, []).with_options(default_headers={"x-team": "blue"})
        copied.chat.completions.create(model="m", messages=MESSAGES, extra_headers={"x-one": "1"})
        assert (server.seen[0].headers["x-team"], server.seen[0].headers["x-one"]) == ("blue", "1")


@pytest.mark.parametrize("is_async", WORLDS)
def test_a_copy_over_connections_of_its_own_keeps_to_the_deadline(is_async: bool) -> None:
    async def run() -> None:
        with Sandbox("openai") as server:
            server.always(faults.hang())
            http: Any = openai.DefaultAsyncHttpxClient() if is_async else openai.DefaultHttpxClient()
            async with entered(client_of("openai", server.url, is_async)) as client, entered(http):
                copied = protect(client, [Deadline(0.2)]).copy(http_client=http).with_options(timeout=20)
                began = time.monotonic()
                with pytest.raises(openai.APITimeoutError):
                    await awaited(ask("openai", copied, stream=False, **params_for("openai", {})))
                assert time.monotonic() - began < 10

    asyncio.run(run())


def test_a_class_of_ones_own_is_kept() -> None:
    class Ours(openai.OpenAI):
        def greet(self) -> str:
            return f"hello from {self.base_url}"

    with Sandbox("openai") as server, Ours(base_url=server.url, api_key="sk-test") as client:
        protected = protect(client)
        assert isinstance(protected, Ours)
        assert protected.greet() == client.greet()


# -- what passes by --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_async", WORLDS)
def test_other_endpoints_pass_by_with_the_clients_own_retries(is_async: bool) -> None:
    async def run() -> None:
        with Sandbox("openai", models={"gpt-4o"}) as server:
            async with entered(client_of("openai", server.url, is_async)) as client:
                protected = protect(client, [CircuitBreaker(failures=1)])
                models = await drained(await awaited(protected.models.list()) if is_async else protected.models.list())
                assert [model.id for model in models] == ["gpt-4o"]
                server.script(faults.status(500), Answer("raw"))
                raw = await awaited(
                    protected.chat.completions.with_raw_response.create(model="gpt-4o", messages=MESSAGES)
                )
                assert raw.parse().choices[0].message.content == "raw"
                assert raw.headers["content-type"] == "application/json"
                assert server.count == 2  # the client's own retry, which no layer knows of

    asyncio.run(run())


def test_streaming_responses_pass_by() -> None:
    with Sandbox("openai") as server, client_of("openai", server.url, is_async=False) as client:
        create = protect(client).chat.completions.with_streaming_response.create
        with create(model="m", messages=MESSAGES) as response:
            assert json.loads(response.read())["object"] == "chat.completion"


def test_anthropics_raw_responses_and_token_counts_pass_by() -> None:
    with (
        RawServer(json_play(200, {"input_tokens": 7})) as server,
        anthropic.Anthropic(base_url=server.url, api_key="k") as client,
    ):
        assert protect(client).messages.count_tokens(model="m", messages=MESSAGES).input_tokens == 7


# -- Anthropic's own middleware --------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("is_async", WORLDS)
def test_anthropics_own_middleware_runs_once_for_each_attempt(is_async: bool, stream: bool) -> None:
    seen: list[int] = []

    def watch(request: Any, call_next: Any) -> Any:
        response = call_next(request)
        seen.append(response.status_code)
        return response

    async def awatch(request: Any, call_next: Any) -> Any:
        response = await call_next(request)
        seen.append(response.status_code)
        return response

    async def run() -> None:
        with Sandbox("claude") as server, Sandbox("openai") as other:
            server.script(faults.status(503), faults.status(503))
            options = {"middleware": [awatch if is_async else watch]}
            async with (
                entered(client_of("claude", server.url, is_async, **options)) as client,
                entered(client_of("openai", other.url, is_async)) as spare,
            ):
                protected = protect(client, [Retry()], fallback=[Route("o", from_client(spare), model="gpt-4o")],
                                    clock=Unhurried())  # fmt: skip
                asked = {"model": "m", "max_tokens": 9, "messages": MESSAGES}
                answer = await awaited(protected.messages.create(stream=stream, **asked))
                if stream:
                    await drained(answer)
                assert seen == [503, 503]  # inside the stack: it saw both attempts, and not the other's answer
                assert (server.count, other.count) == (2, 1)
                seen.clear()
                more = protected.with_middleware(awatch if is_async else watch)
                assert more.mainstay is protected.mainstay
                await awaited(more.messages.create(**asked))
                assert seen == [200, 200]

    asyncio.run(run())


# -- methods that no other protocol has ------------------------------------------------------------------------

CLOSE = "Connection: close"  # as the server does: no client may count on it
RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "status": "completed",
    "model": "gpt-4o",
    "output": [
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "Sunny.", "annotations": []}],
        },
        {"id": "fc_1", "type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"},
    ],
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
    "usage": {
        "input_tokens": 3,
        "output_tokens": 2,
        "total_tokens": 5,
        "input_tokens_details": {"cached_tokens": 1},
        "output_tokens_details": {"reasoning_tokens": 0},
    },
}
CREATED = {"type": "response.created", "sequence_number": 0, "response": {**RESPONSE, "status": "in_progress"}}
DELTA = {"type": "response.output_text.delta", "sequence_number": 1, "item_id": "msg_1", "output_index": 0,
         "content_index": 0, "delta": "Sunny.", "logprobs": []}  # fmt: skip
COMPLETED = {"type": "response.completed", "sequence_number": 2, "response": RESPONSE}
FAILED = {
    "type": "response.failed",
    "sequence_number": 2,
    "response": {**RESPONSE, "status": "failed", "error": {"code": "server_error", "message": "sorry"}},
}


def json_play(status: int, data: Any) -> Any:
    body = json.dumps(data).encode()
    words = {200: "200 OK", 503: "503 Service Unavailable"}[status]
    return lambda heard: [head("application/json", f"Content-Length: {len(body)}", CLOSE, status=words), body]


def events_play(*events: Any) -> Any:
    body = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events).encode()
    return lambda heard: [head("text/event-stream", CLOSE), body]


def lines_play(*lines: Any) -> Any:
    body = "".join(json.dumps(line) + "\n" for line in lines).encode()
    return lambda heard: [head("application/x-ndjson", CLOSE), body]


@pytest.mark.parametrize("is_async", WORLDS)
def test_responses_are_equal_and_the_layers_see_them(is_async: bool) -> None:
    told: list[Any] = []

    @middleware
    def watch(request: Request) -> Any:
        reply = yield request
        reply.on_end(lambda reply: told.append((reply.text, reply.finish_reason, reply.usage, reply.outcome.value)))
        return reply

    async def run() -> None:
        with RawServer() as server:
            async with entered(client_of("openai", server.url, is_async)) as client:
                protected = protect(client, [watch])
                server.play = json_play(200, RESPONSE)
                asked = {"model": "gpt-4o", "input": "What is the weather?"}
                theirs = await awaited(client.responses.create(**asked))
                assert await awaited(protected.responses.create(**asked)) == theirs
                server.play = events_play(CREATED, DELTA, COMPLETED)
                theirs = await drained(await awaited(client.responses.create(stream=True, **asked)))
                assert await drained(await awaited(protected.responses.create(stream=True, **asked))) == theirs
                assert len(theirs) == 3

    asyncio.run(run())
    (whole, streamed) = told
    assert (whole[0], whole[1], whole[3]) == ("Sunny.", "tool_calls", "ok")
    assert (streamed[0], streamed[1], streamed[3]) == ("Sunny.", "stop", "ok")
    assert (whole[2].prompt_tokens, whole[2].completion_tokens, whole[2].cached_tokens) == (3, 2, 1)
    assert streamed[2] == whole[2]


@pytest.mark.parametrize("is_async", WORLDS)
@pytest.mark.parametrize(
    ("stream", "play"),
    [
        (False, json_play(503, {"error": {"message": "overloaded", "type": "server_error"}})),
        (False, json_play(200, {**RESPONSE, "status": "failed", "error": {"code": "server_error", "message": "no"}})),
        (True, json_play(503, {"error": {"message": "overloaded", "type": "server_error"}})),
        (True, events_play(CREATED, FAILED)),
        (True, events_play(CREATED)),
    ],
    ids=["503", "failed", "503, stream", "failed, stream", "cut"],
)
def test_responses_fall_back_to_a_client_like_it(play: Any, stream: bool, is_async: bool) -> None:
    async def run() -> None:
        good = events_play(CREATED, DELTA, COMPLETED) if stream else json_play(200, RESPONSE)
        with RawServer(play) as server, RawServer(good) as spare, Sandbox("claude") as claude:
            async with (
                entered(client_of("openai", server.url, is_async)) as client,
                entered(client_of("openai", spare.url, is_async)) as other,
                entered(client_of("claude", claude.url, is_async)) as third,
            ):
                routes = [Route("claude", from_client(third), model="c"), other]
                protected = protect(client, [Retry()], fallback=routes, clock=Unhurried())
                answer = await awaited(protected.responses.create(model="gpt-4o", input="Hi", stream=stream))
                last = (await drained(answer))[-1].response if stream else answer
                assert last.output_text == "Sunny."
                assert (len(server.heard), len(spare.heard), claude.count) == (2, 1, 0)

    asyncio.run(run())


def test_a_cut_response_is_told() -> None:
    with RawServer(events_play(CREATED, DELTA)) as server, client_of("openai", server.url, is_async=False) as client:
        stream = protect(client, []).responses.create(model="gpt-4o", input="Hi", stream=True)
        with pytest.raises(openai.APIConnectionError) as caught:
            list(stream)
        assert caught.value.provider_error.partial.text == "Sunny."


LINE = {"model": "m", "created_at": "2026-01-01T00:00:00Z", "response": "Sunny", "done": False}
LAST = {**LINE, "response": "", "done": True, "done_reason": "stop", "prompt_eval_count": 3, "eval_count": 2}


@pytest.mark.parametrize("is_async", WORLDS)
def test_ollamas_generate(is_async: bool) -> None:
    async def run() -> None:
        with RawServer(json_play(200, {**LAST, "response": "Sunny"})) as server, Sandbox("openai") as other:
            async with (
                entered(client_of("ollama", server.url, is_async)) as client,
                entered(client_of("openai", other.url, is_async)) as spare,
            ):
                routes = [Route("other", from_client(spare), model="gpt-4o")]
                protected = protect(client, [], fallback=routes)
                theirs = await awaited(client.generate("m", "Hi"))
                assert await awaited(protected.generate("m", "Hi")) == theirs
                assert isinstance(theirs, ollama.GenerateResponse)
                server.play = lines_play(LINE, LAST)
                theirs = await drained(await awaited(client.generate("m", "Hi", stream=True)))
                assert await drained(await awaited(protected.generate("m", "Hi", stream=True))) == theirs
                server.play = lines_play(LINE)
                with pytest.raises(ollama.ResponseError, match="truncated"):
                    await drained(await awaited(protected.generate("m", "Hi", stream=True)))
                server.play = json_play(503, {"error": "busy"})
                with pytest.raises(ollama.ResponseError, match="busy"):
                    await awaited(protected.generate("m", "Hi"))
                assert other.count == 0

    asyncio.run(run())


def test_what_only_the_client_can_answer_is_not_asked_of_others() -> None:
    with Sandbox("openai") as server, Sandbox("claude") as other, Claude(base_url=other.url, api_key="k") as claude:
        server.always(faults.status(503))
        with client_of("openai", server.url, is_async=False) as client:
            protected = protect(client, [], fallback=[Route("claude", claude, model="c")])
            with pytest.raises(openai.InternalServerError):
                protected.chat.completions.create(model="m", messages=MESSAGES, n=2)
            assert (server.count, other.count) == (1, 0)


# -- layers and routes that change a request -------------------------------------------------------------------


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_layer_may_change_what_is_asked(dialect: str) -> None:
    @middleware
    def shout(request: Request) -> Any:
        changed = [{**message, "content": message["content"].upper()} for message in request.messages]
        return (yield request.replace(messages=changed, params={**request.params, "temperature": 0.5}))

    with Sandbox(dialect) as server, client_of(dialect, server.url, is_async=False) as client:
        list(ask(dialect, protect(client, [shout]), stream=True, **params_for(dialect, {})))
        body = server.seen[0].body
        assert body["messages"][0]["content"] == MESSAGES[0]["content"].upper()
        assert body.get("temperature", body.get("options", {}).get("temperature")) == 0.5
        assert body["stream"] is True
        assert not {"stream_options", "truncate"} & body.keys()


def test_a_limit_keeps_the_name_that_it_has() -> None:
    @middleware
    def shorter(request: Request) -> Any:
        assert request.params["max_tokens"] == 9
        return (yield request.replace(params={**request.params, "max_tokens": 5}))

    with Sandbox("openai") as server, client_of("openai", server.url, is_async=False) as client:
        protect(client, [shorter]).chat.completions.create(model="m", messages=MESSAGES, max_completion_tokens=9)
        assert server.seen[0].body == {"model": "m", "messages": MESSAGES, "max_completion_tokens": 5}


def test_what_has_no_other_words_cannot_be_changed() -> None:
    @middleware
    def shout(request: Request) -> Any:
        return (yield request.replace(params={"temperature": 0.5}))

    with Sandbox("openai") as server, client_of("openai", server.url, is_async=False) as client:
        with pytest.raises(openai.BadRequestError, match="can only be sent as it came") as caught:
            protect(client, [shout]).responses.create(model="m", input="Hi")
        assert isinstance(caught.value, InvalidRequest)
        assert server.count == 0


def test_a_route_may_have_its_own_model() -> None:
    @middleware
    def cheaper(request: Request) -> Any:
        return (yield request.replace(model="gpt-4o-mini"))

    with Sandbox("openai") as server, client_of("openai", server.url, is_async=False) as client:
        answer = protect(client, [cheaper]).chat.completions.create(model="gpt-4o", messages=MESSAGES, seed=1)
        assert answer.model == "gpt-4o-mini"
        assert server.seen[0].body["seed"] == 1


def test_messages_that_can_be_read_once_are_sent_again() -> None:
    with Sandbox("claude") as server, client_of("claude", server.url, is_async=False) as client:
        server.script(faults.status(500), Answer("again"))
        protected = protect(client, [Retry()], clock=Unhurried())
        protected.messages.create(model="m", max_tokens=9, messages=(message for message in MESSAGES))
        assert [seen.body["messages"] for seen in server.seen] == [MESSAGES, MESSAGES]


# -- building --------------------------------------------------------------------------------------------------


def test_what_makes_no_sense_is_refused() -> None:
    claude = Claude(api_key="k")
    with openai.OpenAI(api_key="k") as client, anthropic.Anthropic(api_key="k") as other:
        with pytest.raises(TypeError, match="no client that is known"):
            protect(object())
        with pytest.raises(TypeError, match="protected already"):
            protect(protect(client))
        with pytest.raises(TypeError, match="its retries would multiply"):
            protect(client, fallback=[protect(client)])
        with pytest.raises(TypeError, match="no handler"):
            protect(client, fallback=[7])
        with pytest.raises(TypeError, match="does not go with a client without async"):
            protect(client, fallback=[openai.AsyncOpenAI(api_key="k")])
        with pytest.raises(TypeError, match=r"fallback is a list: .* around the Claude"):
            protect(client, fallback=claude)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=r"layers are a list: write \[Retry\(\.\.\.\)\]"):
            protect(client, Retry())  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="'claude' is async: it belongs into an AsyncStack"):
            protect(client, fallback=[AsyncClaude("k", model="c")])
        with pytest.raises(TypeError, match="'claude' would hold the event loop"):
            protect(openai.AsyncOpenAI(api_key="k"), fallback=[Claude("k", model="c")])
        with pytest.raises(TypeError, match="its retries would multiply"):
            from_client(protect(client))
        with pytest.raises(ValueError, match="does not say which model it uses"):
            protect(client, fallback=[claude])
        with pytest.raises(ValueError, match="has no like in other protocols, so 'claude' cannot answer it"):
            protect(client, fallback=[Route("claude", claude, model="c")], methods=["responses.create"])
        with pytest.raises(ValueError, match="not protected here"):
            protect(client, methods=["embeddings.create"])
        with pytest.raises(TypeError, match="a list of names"):
            protect(client, methods="responses.create")
        with pytest.raises(ValueError, match="two routes of one Fallback are called openai"):
            protect(client, fallback=[OurOpenAI("k")])
        protect(client, fallback=[openai.OpenAI(api_key="k2")], methods=["responses.create"])
        protect(other, fallback=[Route("openai", OurOpenAI("k"), model="gpt-4o")], methods=["messages.create"])


def test_it_is_drawn() -> None:
    with openai.OpenAI(api_key="k") as client:
        route = Route("claude", Claude(api_key="k"), model="claude-opus-4-8")
        assert str(protect(client, fallback=[route]).mainstay).splitlines()[2:] == [
            "   ├─ openai                    retry → breaker → trace → openai.OpenAI (unchecked)",
            "   └─ claude  claude-opus-4-8   retry → breaker → trace → Claude",
        ]


def test_closing_it_closes_the_other_routes_too() -> None:
    with Sandbox("openai") as server, Sandbox("claude") as other:
        server.always(faults.status(401))
        claude = Claude(base_url=other.url, api_key="k")
        with protect(
            client_of("openai", server.url, is_async=False), [], fallback=[Route("claude", claude, model="c")]
        ) as protected:
            protected.chat.completions.create(model="m", messages=MESSAGES)
            assert other.open_connections == 1
        assert protected.is_closed()
        assert server.wait_until(lambda s: s.open_connections == 0)
        assert other.wait_until(lambda s: s.open_connections == 0)


def test_many_threads_take_the_time_of_one() -> None:
    with Sandbox("openai") as server, client_of("openai", server.url, is_async=False) as client, server.hold(8):
        protected = protect(client, standard())
        answers: list[str] = []

        def call() -> None:
            answer = protected.chat.completions.create(model="m", messages=MESSAGES)
            answers.append(answer.choices[0].message.content or "")

        threads = [threading.Thread(target=call) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(answers) == 8  # all were in flight at once, or the sandbox would have answered 500
        assert server.peak_in_flight == 8


def test_an_open_breaker_sends_nothing() -> None:
    with Sandbox("openai") as server, client_of("openai", server.url, is_async=False) as client:
        protected = protect(client, [CircuitBreaker()])
        protected.mainstay.part("breaker").isolate()
        with pytest.raises(CircuitOpen):
            protected.chat.completions.create(model="m", messages=MESSAGES)
        assert server.count == 0

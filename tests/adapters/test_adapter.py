"""Adapters over real sockets, against the sandbox: answers, streams, faults, clocks, keys."""

from __future__ import annotations

import contextlib
import gc
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from mainstay.adapters import Adapter, Claude, HttpCall, Ollama, OllamaCodec, OpenAI, OpenAICodec
from mainstay.adapters.environment import ollama_host
from mainstay.adapters.sandbox import Answer, Fault, Sandbox, ToolUse, faults
from mainstay.pipeline import (
    AuthenticationFailed,
    Call,
    DeadlineExceeded,
    ErrorClass,
    InvalidParameters,
    Outcome,
    ProviderError,
    Reply,
    Request,
    Secret,
    Stack,
    TimedOut,
    Timeouts,
    TruncatedStream,
    Unavailable,
    Usage,
)

KEY = "sk-very-secret-key"
PROMPT = "Tell me about the weather in Rome, please."
MODES = pytest.mark.parametrize("stream", [False, True], ids=["complete", "stream"])
DIALECTS = ("openai", "claude", "ollama")
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }
]


@pytest.fixture(autouse=True)
def world(either: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Every test of this file is run in both worlds: the names of the adapters are those of the world in turn."""
    for name in ("Adapter", "Claude", "Ollama", "OpenAI", "Stack"):
        monkeypatch.setattr(sys.modules[__name__], name, getattr(either, name))
    return either


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key and no address comes from the environment, unless a test puts it there."""
    for owner in ("OPENAI", "ANTHROPIC", "OLLAMA"):
        for name in ("API_KEY", "AUTH_TOKEN", "BASE_URL", "ORG_ID", "PROJECT_ID", "HOST"):
            monkeypatch.delenv(f"{owner}_{name}", raising=False)


def adapter_for(server: Sandbox, **options: Any) -> Adapter:
    if server.dialect == "openai":
        return OpenAI(KEY, base_url=server.url, **options)
    if server.dialect == "claude":
        return Claude(KEY, base_url=server.url, **options)
    return Ollama(server.url, api_key=KEY, **options)


@pytest.fixture(params=DIALECTS)
def server(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    with Sandbox(request.param) as server:
        yield server


@pytest.fixture
def adapter(server: Sandbox) -> Iterator[Adapter]:
    with adapter_for(server) as adapter:
        yield adapter


def ask(adapter: Adapter, stream: bool = False, **params: Any) -> Reply:
    """The finished reply."""
    reply = adapter(Request("m", PROMPT, params, stream))
    return reply.read() if stream else reply


def failure(adapter: Adapter, stream: bool, request: Request | None = None) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        adapter(request or Request("m", PROMPT, stream=stream)).read()
    return caught.value


class TestAnswers:
    @MODES
    def test_text_and_usage(self, server: Sandbox, adapter: Adapter, stream: bool) -> None:
        server.always(Answer("Sunny, 21 °C 😀", prompt_tokens=7, completion_tokens=5))
        reply = ask(adapter, stream, temperature=0.5, max_tokens=20)
        assert (reply.text, reply.finish_reason, reply.outcome) == ("Sunny, 21 °C 😀", "stop", Outcome.OK)
        assert (reply.provider, reply.model) == (server.dialect, "m")
        assert reply.usage is not None
        assert (reply.usage.prompt_tokens, reply.usage.completion_tokens, reply.usage.total_tokens) == (7, 5, 12)
        assert bool(reply.raw) is not stream
        assert server.seen[-1].prompt == PROMPT

    @MODES
    def test_tool_calls(self, server: Sandbox, adapter: Adapter, stream: bool) -> None:
        server.always(Answer(tool_calls=(ToolUse("get_weather", {"city": "Rome"}), ToolUse("get_weather"))))
        reply = ask(adapter, stream, tools=TOOLS)
        assert [(call.name, call.parse()) for call in reply.tool_calls] == [
            ("get_weather", {"city": "Rome"}),
            ("get_weather", {}),
        ]
        assert reply.finish_reason == "tool_calls"
        history: list[dict[str, Any]] = [
            {"role": "user", "content": PROMPT},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
                    for call in reply.tool_calls
                ],
            },
            *({"role": "tool", "tool_call_id": call.id, "content": "Sunny"} for call in reply.tool_calls),
        ]
        server.always(Answer("It is sunny."))
        assert adapter(Request("m", history, {"tools": TOOLS})).text == "It is sunny."

    @MODES
    def test_reasoning(self, stream: bool) -> None:
        for dialect in ("claude", "ollama"):
            with Sandbox(dialect) as server, adapter_for(server) as adapter:
                server.always(Answer("Yes.", reasoning="Let me think."))
                reply = ask(adapter, stream)
                assert (reply.text, reply.reasoning) == ("Yes.", "Let me think.")

    @MODES
    @pytest.mark.parametrize("finish", ["length", "content_filter"])
    def test_finish_reasons(self, server: Sandbox, adapter: Adapter, stream: bool, finish: str) -> None:
        if (server.dialect, finish) == ("ollama", "content_filter"):
            pytest.skip("Ollama has no content filter")
        server.always(Answer("x", finish=finish))
        assert ask(adapter, stream).finish_reason == finish

    @MODES
    def test_connections_are_reused(self, server: Sandbox, adapter: Adapter, stream: bool) -> None:
        for _ in range(10):
            ask(adapter, stream)
        assert server.connections == 1
        assert failure(adapter, stream, Request("m", PROMPT, {"temperature": "hot"}, stream)).status
        ask(adapter, stream)
        assert server.connections <= 2

    @MODES
    def test_close_delimited_streams(self, stream: bool) -> None:
        for dialect in DIALECTS:
            with Sandbox(dialect, close_delimited=True) as server, adapter_for(server) as adapter:
                assert ask(adapter, stream).text.startswith("Hello")

    def test_a_server_that_does_not_stream(self, server: Sandbox, adapter: Adapter) -> None:
        server.always(Answer("whole"))
        server.always(faults.status(200, body=ask(adapter).raw))
        reply = adapter(Request("m", PROMPT, stream=True))
        assert [chunk.text for chunk in reply] == ["whole"]
        assert reply.finish_reason == "stop"

    def test_under_a_stack(self, server: Sandbox, adapter: Adapter) -> None:
        reply = Stack([], adapter)(Request("m", PROMPT, stream=True))
        assert "".join(chunk.text for chunk in reply).startswith("Hello")
        assert [attempt.outcome for attempt in reply.attempts] == ["ok"]

    def test_what_the_codec_changed_is_recorded(self) -> None:
        with Sandbox("claude") as server, adapter_for(server, max_tokens=77) as adapter:
            for stream in (False, True):
                assert "77" in ask(adapter, stream).changes["max_tokens"]
                assert ask(adapter, stream, max_tokens=5).changes == {}
            assert [seen.fields["max_tokens"] for seen in server.seen] == [77, 5, 77, 5]

    def test_many_threads_take_the_time_of_one(self, server: Sandbox, adapter: Adapter) -> None:
        texts: list[str] = []
        with server.hold(12):
            threads = [
                threading.Thread(target=lambda s=n % 2 == 0: texts.append(ask(adapter, s).text)) for n in range(12)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(20)
        assert len(texts) == 12
        assert len(set(texts)) == 1


MALFORMED = (ErrorClass.UNAVAILABLE, "malformed_response")
CUT = (ErrorClass.UNAVAILABLE, "truncated_stream")
DOWN = (ErrorClass.UNAVAILABLE, None)
BOTH: list[tuple[Fault, tuple[ErrorClass, str | None]]] = [
    (faults.status(500), DOWN),
    (faults.status(503), DOWN),
    (faults.status(502, body="<html>Bad Gateway</html>"), DOWN),
    (faults.status(401), (ErrorClass.AUTHENTICATION, None)),
    (faults.status(408), (ErrorClass.TIMEOUT, None)),
    (faults.status(400, message="bad"), (ErrorClass.INVALID_REQUEST, None)),
    (faults.status(302, headers={"location": "/x"}), (ErrorClass.INVALID_REQUEST, "redirect")),
    (faults.rate_limit(3), (ErrorClass.RATE_LIMIT, None)),
    (faults.quota(), (ErrorClass.QUOTA, None)),
    (faults.bad_key(), (ErrorClass.AUTHENTICATION, "bad_key")),
    (faults.model_not_found(), (ErrorClass.MODEL_NOT_FOUND, None)),
    (faults.context_length(), (ErrorClass.INVALID_REQUEST, "context_length")),
    (faults.overloaded(), (ErrorClass.UNAVAILABLE, "overloaded")),
    (faults.cut(how="close"), CUT),
    (faults.cut(how="reset"), CUT),
    (faults.malformed(), MALFORMED),
    (faults.malformed(after=0), MALFORMED),
    (faults.error_in_200(), DOWN),
    (faults.error_in_200(faults.quota()), (ErrorClass.QUOTA, None)),
    (faults.html(), MALFORMED),
    (faults.empty(), (ErrorClass.UNAVAILABLE, None)),
    (faults.reset(), (ErrorClass.UNAVAILABLE, "connection_reset")),
    (faults.disconnect(), (ErrorClass.UNAVAILABLE, "connection_reset")),
    (faults.error_event(after=2), DOWN),
    (faults.error_event(after=0, error=faults.rate_limit()), (ErrorClass.RATE_LIMIT, None)),
]


class TestFaults:
    @MODES
    @pytest.mark.parametrize(("fault", "expected"), BOTH, ids=[repr(fault) for fault, _ in BOTH])
    def test_the_class_of_each(
        self, server: Sandbox, adapter: Adapter, stream: bool, fault: Fault, expected: tuple[ErrorClass, str | None]
    ) -> None:
        server.script(fault)
        error = failure(adapter, stream)
        assert error.error_class is expected[0]
        assert expected[1] in (None, error.reason)
        assert error.provider == server.dialect
        assert error.model == "m"
        if fault.kind == "error_event":  # behind a body that is whole the server closes, when it gets to it
            adapter.close()
        assert ask(adapter, stream).text.startswith("Hello")  # and nothing of it is left
        assert server.count == 2

    @pytest.mark.parametrize("how", ["close", "reset", "clean"])
    def test_a_cut_stream_keeps_what_came(self, server: Sandbox, adapter: Adapter, how: Any) -> None:
        server.script(faults.cut(3, how, answer=Answer(chunks=("one ", "two ", "three ", "four"))))
        error = failure(adapter, stream=True)
        assert isinstance(error, TruncatedStream)
        assert error.partial is not None
        assert error.partial.text.startswith("one ")

    def test_a_stream_without_its_end(self, server: Sandbox, adapter: Adapter) -> None:
        server.script(faults.no_terminator())
        if server.dialect == "openai":  # the finish reason came, so the answer is whole
            assert ask(adapter, stream=True).finish_reason == "stop"
        else:
            assert isinstance(failure(adapter, stream=True), TruncatedStream)

    def test_an_error_in_a_stream_keeps_what_came(self, server: Sandbox, adapter: Adapter) -> None:
        server.script(faults.error_event(2, answer=Answer(chunks=("one ", "two ", "three "))))
        error = failure(adapter, stream=True)
        assert error.error_class is ErrorClass.UNAVAILABLE
        assert error.partial is not None
        assert error.partial.text == "one two "

    def test_before_the_first_token_it_is_the_call_that_fails(self, server: Sandbox, adapter: Adapter) -> None:
        for fault in (faults.cut(0), faults.error_event(0), faults.malformed(0)):
            server.script(fault)
            with pytest.raises(Unavailable):
                adapter(Request("m", PROMPT, stream=True))

    @MODES
    def test_nobody_listens(self, server: Sandbox, adapter: Adapter, stream: bool) -> None:
        server.refuse()
        assert failure(adapter, stream).reason == "connection_refused"

    @MODES
    def test_the_facts_of_an_error(self, server: Sandbox, adapter: Adapter, stream: bool) -> None:
        server.script(faults.rate_limit(3))
        error = failure(adapter, stream)
        assert (error.status, error.retry_after) == (429, 3)
        if server.dialect != "ollama":  # which gives no ids
            assert error.request_id == "req_000000000001"
            server.script(faults.error_event(1))
            assert failure(adapter, True).request_id == "req_000000000002"

    @MODES
    def test_no_error_shows_the_key_or_the_prompt(self, server: Sandbox, adapter: Adapter, stream: bool) -> None:
        for words in (f"I do not understand {PROMPT!r}", f"Your key {KEY} is odd."):
            server.script(faults.status(400, message=words))
            error = failure(adapter, stream)
            shown = f"{error} {error!r} {error.detail} {error.__cause__!r} {error.__dict__}"
            assert PROMPT not in shown
            assert KEY not in shown

    def test_a_request_without_words_is_not_sent(self, server: Sandbox, adapter: Adapter) -> None:
        request = Request("m", [{"role": "user", "content": object()}])
        with pytest.raises(InvalidParameters):
            adapter(request)
        assert server.count == 0


class Canned:
    """A transport, and its one response, that has these bytes to give."""

    status = 200
    headers: Mapping[str, str] = {}

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = list(pieces)
        self.closed = 0

    def send(self, call: HttpCall, *, connect: float, until: float, now: Callable[[], float]) -> Any:
        return self

    def read(self, until: float) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""

    def close(self) -> None:
        self.closed += 1


class TestTheEndOfTheConnection:
    LINE = b'{"message":{"content":"Hel"},"done":false}\n'

    def test_may_bring_an_error_without_its_line_end(self) -> None:
        canned = Canned(self.LINE, b'{"error":"model runner has unexpectedly stopped"}')
        error = failure(Adapter(OllamaCodec(), canned), stream=True)
        assert error.reason == "crashed"
        assert error.partial is not None
        assert error.partial.text == "Hel"
        assert canned.closed

    def test_may_bring_the_proof_without_its_line_end(self) -> None:
        canned = Canned(self.LINE, b'{"message":{"content":"lo"},"done":true,"done_reason":"stop"}')
        assert ask(Adapter(OllamaCodec(), canned), stream=True).text == "Hello"
        assert canned.closed

    def test_may_come_before_anything(self) -> None:
        for pieces in ((), (b"\n",), (b'{"message":{"content":""}}\n',)):
            canned = Canned(*pieces)
            with pytest.raises(TruncatedStream):
                Adapter(OllamaCodec(), canned)(Request("m", PROMPT, stream=True))
            assert canned.closed


class Elapsed:
    def __enter__(self) -> Elapsed:
        self.start = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.monotonic() - self.start


def timed(server: Sandbox, fault: Fault | Answer, request: Request, **clocks: float) -> tuple[ProviderError, float]:
    server.script(fault)
    with adapter_for(server, timeouts=Timeouts(**clocks)) as adapter, Elapsed() as elapsed:
        error = failure(adapter, request.stream, request)
    assert error.provider == server.dialect
    return error, elapsed.seconds


COMPLETE, STREAM = Request("m", PROMPT), Request("m", PROMPT, stream=True)
LONG = Answer(chunks=("one ",) * 50)
ONE: dict[str, float] = {"connect": 0.3, "first_event": 0.3, "gap": 0.3, "total": 0.3}


class TestClocks:
    @pytest.mark.parametrize(
        ("fault", "request_", "clocks", "reason"),
        [
            (faults.hang(), COMPLETE, ONE, "total"),
            (faults.drip(0.01, then=LONG), COMPLETE, ONE, "total"),
            (faults.stall(), COMPLETE, ONE, "total"),
            (faults.hang(), STREAM, {"first_event": 0.3}, "first_event"),
            (faults.pings(0.02), STREAM, {"first_event": 0.3}, "first_event"),
            (faults.stall(0), STREAM, {"first_event": 0.3}, "first_event"),
            (faults.drip(0.02, then=LONG), STREAM, {"first_event": 0.3}, "first_event"),
            (faults.stall(3), STREAM, {"gap": 0.3}, "gap"),
            (faults.drip(0.001, then=Answer(chunks=("one ",) * 5000)), STREAM, {**ONE, "first_event": 0.29}, None),
        ],
        ids=["hang", "drip", "stall", "s-hang", "s-pings", "s-stall", "s-drip", "s-gap", "s-total"],
    )
    def test_the_clock_that_ran_out(
        self, server: Sandbox, fault: Fault, request_: Request, clocks: dict[str, float], reason: str | None
    ) -> None:
        error, seconds = timed(server, fault, request_, **clocks)
        assert isinstance(error, TimedOut)
        assert not isinstance(error, DeadlineExceeded)
        assert reason in (None, error.reason)
        assert 0.28 < seconds < 2
        assert server.wait_until(lambda s: s.open_connections == 0)

    def test_the_total_of_a_stream(self) -> None:
        with Sandbox("ollama") as server:
            answer = Answer(chunks=("x",) * 5000)
            clocks = {"connect": 0.3, "first_event": 1.2, "gap": 1.2, "total": 1.5}
            error, seconds = timed(server, faults.drip(0.0005, then=answer), STREAM, **clocks)
        assert error.reason == "total"
        assert error.partial is not None
        assert error.partial.text
        assert 0.5 < seconds < 2

    @pytest.mark.parametrize("request_", [COMPLETE, STREAM], ids=["complete", "stream"])
    @pytest.mark.parametrize("fault", [faults.hang(), faults.stall(1, answer=LONG)], ids=["hang", "stall"])
    def test_the_deadline_of_the_call(self, server: Sandbox, request_: Request, fault: Fault) -> None:
        call = Call()
        call.deadline = call.clock.now() + 0.3
        error, seconds = timed(server, fault, request_.under(call))
        assert isinstance(error, DeadlineExceeded)
        assert (error.deadline, error.model) == (call.deadline, "m")
        assert call.is_over(error)
        assert 0.28 < seconds < 2

    @pytest.mark.parametrize("request_", [COMPLETE, STREAM], ids=["complete", "stream"])
    def test_while_routes_are_left_half_of_it_is_theirs(self, server: Sandbox, request_: Request) -> None:
        call = Call()
        call.routes_left = 1
        call.deadline = call.clock.now() + 1.0
        error, seconds = timed(server, faults.hang(), request_.under(call))
        assert (type(error), error.reason) == (TimedOut, "first_event")
        assert 0.4 < seconds < 0.95

    @pytest.mark.parametrize("stream", [False, True], ids=["complete", "stream"])
    @pytest.mark.parametrize("deadline", [False, True], ids=["clock", "deadline"])
    def test_a_prompt_that_nobody_reads(self, stream: bool, deadline: bool) -> None:
        clocks = Timeouts(total=20 if deadline else 0.4)
        with socket.create_server(("127.0.0.1", 0)) as listener:  # it accepts, and never reads
            call = Call()
            call.deadline = call.clock.now() + 0.4 if deadline else None
            request = Request("m", "x" * 30_000_000, stream=stream).under(call)
            port = listener.getsockname()[1]
            with Ollama(f"http://127.0.0.1:{port}", timeouts=clocks) as adapter, Elapsed() as elapsed:
                error = failure(adapter, stream, request)
        assert type(error) is (DeadlineExceeded if deadline else TimedOut)
        assert deadline or error.reason in ("total", "first_event")
        assert elapsed.seconds < 5

    @pytest.mark.parametrize("request_", [COMPLETE, STREAM], ids=["complete", "stream"])
    def test_too_late_from_the_start(self, server: Sandbox, request_: Request) -> None:
        for routes_left in (0, 1):
            call = Call()
            call.routes_left = routes_left
            call.deadline = call.clock.now() - 1
            assert isinstance(timed(server, Answer(), request_.under(call))[0], DeadlineExceeded)
        assert server.connections == 0

    def test_a_slow_reader_does_not_run_out_of_gap(self, server: Sandbox) -> None:
        with adapter_for(server, timeouts=Timeouts(gap=0.2)) as adapter:
            reply = adapter(Request("m", PROMPT, stream=True))
            threading.Event().wait(0.4)  # the reader's own time
            assert reply.read().finish_reason == "stop"

    @pytest.mark.parametrize("reason", ["connect"])
    def test_connect(self, reason: str) -> None:
        class Slow:
            def send(self, call: HttpCall, *, connect: float, until: float, now: Callable[[], float]) -> Any:
                raise TimedOut(reason=reason)

            def close(self) -> None: ...

        error = failure(Adapter(OpenAICodec(), Slow()), stream=False)
        assert (error.reason, error.provider, error.model) == ("connect", "openai", "m")


class TestClosing:
    def test_a_closed_stream_closes_its_connection(self, server: Sandbox, adapter: Adapter) -> None:
        server.always(faults.stall(2, answer=LONG))
        for leave in (Reply.close, lambda reply: reply.__exit__(None, None, None)):
            reply = adapter(Request("m", PROMPT, stream=True))
            assert next(reply).text == "one "
            leave(reply)
            assert reply.outcome is Outcome.CLOSED
            assert server.wait_until(lambda s: s.open_connections == 0)
            reply.close()

    def test_a_dropped_stream_closes_its_connection(self, server: Sandbox, adapter: Adapter) -> None:
        server.always(faults.stall(2, answer=LONG))
        reply = adapter(Request("m", PROMPT, stream=True))
        del reply
        gc.collect()
        assert server.wait_until(lambda s: s.open_connections == 0)

    def test_another_thread_may_close(self, server: Sandbox, adapter: Adapter) -> None:
        server.always(faults.stall(1, answer=LONG))
        reply = adapter(Request("m", PROMPT, stream=True))
        next(reply)
        waiting = threading.Event()

        def read() -> None:
            waiting.set()
            with contextlib.suppress(ProviderError):
                reply.read()

        reader = threading.Thread(target=read)
        reader.start()
        assert waiting.wait(10)
        reply.close()
        reader.join(10)
        assert not reader.is_alive()
        assert reply.outcome is Outcome.CLOSED
        assert server.wait_until(lambda s: s.open_connections == 0)


class TestOfficialClients:
    """The same request through the provider's own client gives the same."""

    def answers(self) -> Iterator[Answer]:
        yield Answer("Sunny, 21 °C", prompt_tokens=7, completion_tokens=5, cached_tokens=3)
        yield Answer(
            "", tool_calls=(ToolUse("get_weather", {"city": "Rome"}), ToolUse("get_weather", {"city": "Oslo"}))
        )

    def test_openai(self) -> None:
        openai = pytest.importorskip("openai")
        with Sandbox("openai") as server, adapter_for(server) as adapter:
            with openai.OpenAI(api_key=KEY, base_url=server.url, max_retries=0) as client:
                for answer in self.answers():
                    server.always(answer)
                    theirs = client.chat.completions.create(
                        model="m", messages=[{"role": "user", "content": PROMPT}], tools=TOOLS, max_completion_tokens=9
                    )
                    message, usage = theirs.choices[0].message, theirs.usage
                    for stream in (False, True):
                        ours = ask(adapter, stream, tools=TOOLS, max_tokens=9)
                        assert ours.text == (message.content or "")
                        assert ours.native_finish_reason == theirs.choices[0].finish_reason
                        assert [(call.name, call.arguments) for call in ours.tool_calls] == [
                            (call.function.name, call.function.arguments) for call in message.tool_calls or ()
                        ]
                        assert ours.usage == Usage(
                            usage.prompt_tokens,
                            usage.completion_tokens,
                            usage.total_tokens,
                            usage.prompt_tokens_details.cached_tokens,
                            usage.completion_tokens_details.reasoning_tokens,
                        )
            assert server.seen[0].body == server.seen[1].body

    def test_claude(self) -> None:
        anthropic = pytest.importorskip("anthropic")
        tools = [{"name": "get_weather", "input_schema": TOOLS[0]["function"]["parameters"]}]  # type: ignore[index]
        with Sandbox("claude") as server, adapter_for(server) as adapter:
            with anthropic.Anthropic(api_key=KEY, base_url=server.url, max_retries=0) as client:
                for answer in self.answers():
                    server.always(answer)
                    theirs = client.messages.create(
                        model="m", messages=[{"role": "user", "content": PROMPT}], tools=tools, max_tokens=9
                    )
                    for stream in (False, True):
                        ours = ask(adapter, stream, tools=TOOLS, max_tokens=9)
                        texts = [block.text for block in theirs.content if block.type == "text"]
                        assert ours.text == "".join(texts)
                        assert ours.native_finish_reason == theirs.stop_reason
                        assert [(call.name, call.parse()) for call in ours.tool_calls] == [
                            (block.name, block.input) for block in theirs.content if block.type == "tool_use"
                        ]
                        usage = theirs.usage
                        cached = usage.cache_read_input_tokens or 0
                        written = usage.cache_creation_input_tokens or 0
                        assert ours.usage is not None
                        assert ours.usage.prompt_tokens == usage.input_tokens + cached + written
                        assert ours.usage.completion_tokens == usage.output_tokens
            assert server.seen[0].body == server.seen[1].body

    def test_ollama(self) -> None:
        ollama = pytest.importorskip("ollama")
        with Sandbox("ollama") as server, adapter_for(server) as adapter:
            client = ollama.Client(server.url)
            for answer in self.answers():
                server.always(answer)
                theirs = client.chat(
                    "m", [{"role": "user", "content": PROMPT}], tools=TOOLS, options={"num_predict": 9}
                )
                for stream in (False, True):
                    ours = ask(adapter, stream, tools=TOOLS, max_tokens=9)
                    assert ours.text == theirs.message.content
                    assert ours.native_finish_reason == theirs.done_reason
                    assert [(call.name, call.parse()) for call in ours.tool_calls] == [
                        (call.function.name, call.function.arguments) for call in theirs.message.tool_calls or ()
                    ]
                    assert ours.usage is not None
                    assert (ours.usage.prompt_tokens, ours.usage.completion_tokens) == (
                        theirs.prompt_eval_count,
                        theirs.eval_count,
                    )
            client._client.close()
            assert {**server.seen[0].fields, "truncate": False} == server.seen[1].fields


class TestConstruction:
    def test_openai_from_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with Sandbox("openai", key="sk-env") as server:
            monkeypatch.setenv("OPENAI_API_KEY", "sk-env")
            monkeypatch.setenv("OPENAI_BASE_URL", server.url)
            monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
            monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-1")
            with OpenAI(headers={"X-Own": "1"}) as adapter:
                ask(adapter)
            headers = server.seen[0].headers
            assert headers["authorization"] == "Bearer sk-env"
            assert (headers["openai-organization"], headers["openai-project"]) == ("org-1", "proj-1")
            assert headers["x-own"] == "1"
            with OpenAI(Secret("sk-other")) as adapter:
                assert failure(adapter, False).error_class is ErrorClass.AUTHENTICATION

    def test_claude_from_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with Sandbox("claude") as server:
            monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
            monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "token")
            with Claude() as adapter:
                ask(adapter)
            monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant")
            with Claude(version="2026-10-21") as adapter:
                ask(adapter)
            with Claude(auth_token="own") as adapter:
                ask(adapter)
            sent = [(seen.headers.get("x-api-key"), seen.headers.get("authorization")) for seen in server.seen]
            assert sent == [(None, "Bearer token"), ("sk-ant", None), (None, "Bearer own")]
            assert [seen.headers["anthropic-version"] for seen in server.seen[:2]] == ["2023-06-01", "2026-10-21"]

    def test_ollama_from_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with Sandbox("ollama") as server:
            monkeypatch.setenv("OLLAMA_HOST", f"0.0.0.0:{server.port}")
            with Ollama(model="llama3.2") as adapter:
                ask(adapter)
                assert adapter.model == "llama3.2"
            monkeypatch.setenv("OLLAMA_API_KEY", "key")
            with Ollama() as adapter:
                ask(adapter)
            assert [seen.headers.get("authorization") for seen in server.seen] == [None, "Bearer key"]

    @pytest.mark.parametrize(
        ("make", "variable"), [(OpenAI, "OPENAI_API_KEY"), (Claude, "ANTHROPIC_API_KEY")], ids=["openai", "claude"]
    )
    def test_a_missing_key_names_its_variable(
        self, make: type[OpenAI | Claude], variable: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with pytest.raises(AuthenticationFailed, match=f"set {variable}") as caught:
            make()
        assert caught.value.reason == "missing_key"
        monkeypatch.setenv(variable, f"{KEY}\n")
        with pytest.raises(AuthenticationFailed, match=f"check {variable}") as caught:
            make()
        assert caught.value.reason == "bad_key"
        assert KEY not in f"{caught.value!r}"

    def test_a_compatible_server_needs_no_key_and_gets_none_of_openai(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-env")
        monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
        with Sandbox("openai", key="sk-own") as server:
            with OpenAI(base_url=server.url, compatible=True, provider="mine") as adapter:
                error = failure(adapter, False)
            assert (error.provider, error.error_class) == ("mine", ErrorClass.AUTHENTICATION)
            with OpenAI("sk-own", base_url=server.url, compatible=True) as adapter:
                assert ask(adapter, max_tokens=5).provider == "openai-compatible"
            assert "authorization" not in server.seen[0].headers
            assert "openai-organization" not in server.seen[1].headers
            assert server.seen[1].fields["max_tokens"] == 5

    def test_reprs_hold_no_secret(self) -> None:
        for adapter in (OpenAI(KEY, model="gpt-4o"), Claude(KEY), Ollama(api_key=KEY)):
            assert KEY not in repr(adapter)
        shown = repr(OpenAI(KEY, model="gpt-4o")).replace("Async", "")
        assert shown == "OpenAI(HttpTransport('https://api.openai.com/v1'), model='gpt-4o')"

    def test_check_asks_the_schema_and_the_codec(self) -> None:
        problems = OpenAI(KEY).check(Request("m", PROMPT, {"top_k": 1, "n": 2}))
        assert [problem.parameter for problem in problems] == ["top_k", "n"]

    @pytest.mark.parametrize(
        ("host", "url"),
        [
            (None, "http://127.0.0.1:11434"),
            ("", "http://127.0.0.1:11434"),
            ("1.2.3.4", "http://1.2.3.4:11434"),
            (":56789", "http://127.0.0.1:56789"),
            ("0.0.0.0", "http://127.0.0.1:11434"),
            ("http://1.2.3.4", "http://1.2.3.4:80"),
            ("https://1.2.3.4", "https://1.2.3.4:443"),
            ("example.com:56789/path/", "http://example.com:56789/path"),
            ("example.com/", "http://example.com:11434"),
            ("https://example.com:56789/path", "https://example.com:56789/path"),
            ("[0001:002:003:0004::1]:56789", "http://[0001:002:003:0004::1]:56789"),
            ("https://[0001:002:003:0004::1]", "https://[0001:002:003:0004::1]:443"),
            ("[::]", "http://[::1]:11434"),
        ],
    )
    def test_ollama_host(self, host: str | None, url: str) -> None:
        assert ollama_host(host) == url

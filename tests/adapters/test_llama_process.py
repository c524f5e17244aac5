"""llama-completion: its command line, its prompts, its output in any pieces, and the adapter over real processes."""

from __future__ import annotations

import contextlib
import gc
import json
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.adapters import LlamaCppProcess, OpenAI
from mainstay.adapters.llama_process import LlamaProcessCodec
from mainstay.adapters.sandbox import Answer, Sandbox
from mainstay.adapters.stream import Output, Spoken
from mainstay.middleware import Deadline, Fallback, Retry, standard
from mainstay.pipeline import (
    Chunk,
    DeadlineExceeded,
    ErrorClass,
    InvalidParameters,
    Message,
    Outcome,
    Partial,
    ProviderError,
    Reply,
    Request,
    Stack,
    TimedOut,
    Timeouts,
    TruncatedStream,
    Unavailable,
    Usage,
)
from support.fake_llama import FakeLlama, alive, fake_llama, held

PROMPT = "Tell me about the weather in Rome, please."
ALWAYS = ("-f", "/dev/stdin", "-no-cnv", "--no-display-prompt", "--no-escape", "--simple-io")
PERF = b"""\
0.00.008.698 I common_perf_print:    sampling time =       0.05 ms
0.00.008.699 I common_perf_print:    samplers time =       0.04 ms /    10 tokens
0.00.008.700 I common_perf_print: prompt eval time =       0.24 ms /     6 tokens (    0.04 ms per token)
0.00.008.701 I common_perf_print:        eval time =       0.21 ms /     3 runs   (    0.07 ms per token)
"""
OLD_PERF = b"""\
llama_perf_sampler_print:    sampling time =       0.05 ms /    10 runs   (    0.00 ms per token)
llama_perf_context_print: prompt eval time =       0.24 ms /     6 tokens (    0.04 ms per token)
llama_perf_context_print:        eval time =       0.21 ms /     3 runs   (    0.07 ms per token)
"""
MODES = pytest.mark.parametrize("stream", [False, True], ids=["complete", "stream"])
CODEC = LlamaProcessCodec()


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def written(text: bytes, how: str = "exit", told: bytes = PERF, stops: Sequence[bytes] = ()) -> bytes:
    """What the transport makes of a program's output."""
    spoken = Spoken(stops)
    return spoken.feed(text) + spoken.end(how, told)


def chunks_of(pieces: Sequence[bytes]) -> tuple[list[Chunk], ProviderError | None]:
    decoder = CODEC.decoder()
    chunks = [chunk for piece in pieces for chunk in decoder.feed(piece)]
    return chunks + decoder.end(), decoder.error


class TestCommandLine:
    def arguments(self, **params: Any) -> tuple[str, ...]:
        call = CODEC.encode(Request("/models/a model.gguf", "Hi", params))
        assert call.arguments[:8] == ("-m", "/models/a model.gguf", *ALWAYS)
        return call.arguments[8:]

    def test_flags(self) -> None:
        assert self.arguments() == ()
        assert self.arguments(max_tokens=5, temperature=0.5, top_k=40, top_p=1, min_p=0.05, seed=-1) == (
            *("--predict", "5", "--temp", "0.5", "--top-k", "40", "--top-p", "1", "--min-p", "0.05", "--seed", "-1"),
        )
        assert self.arguments(num_ctx=512, num_thread=2, num_gpu=0, n_predict=None) == (
            *("--ctx-size", "512", "--threads", "2", "--gpu-layers", "0"),
        )
        assert self.arguments(ignore_eos=True) == ("--ignore-eos",)
        assert self.arguments(ignore_eos=False) == ()
        assert self.arguments(logit_bias={"5": -1, "7": False}) == ("--logit-bias", "5-1", "--logit-bias", "7-inf")
        assert self.arguments(grammar='root ::= "x"') == ("--grammar", 'root ::= "x"')

    def test_json(self) -> None:
        schema = {"type": "object", "properties": {"città": {"type": "string"}}}
        name, text = self.arguments(
            response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
        )
        assert (name, json.loads(text)) == ("--json-schema", schema)
        assert self.arguments(response_format={"type": "json_object"}) == ("--json-schema", "{}")
        assert self.arguments(response_format={"type": "text"}) == ()

    def test_stops_are_no_flags(self) -> None:
        call = CODEC.encode(Request("m", "Hi", {"stop": ["END", "é"]}))
        assert call.arguments == ("-m", "m", *ALWAYS)
        assert call.stops == (b"END", "é".encode())
        assert CODEC.encode(Request("m", "Hi", {"stop": "END"})).stops == (b"END",)

    @pytest.mark.parametrize(
        ("params", "parameter"),
        [
            ({"tools": []}, "tools"),
            ({"n": 2}, "n"),
            ({"log_disable": True}, "log_disable"),
            ({"temperature": "hot"}, "temperature"),
            ({"stop": 5}, "stop"),
            ({"grammar": "a\0b"}, "grammar"),
            ({"grammar": "\ud83d"}, "grammar"),
            ({"grammar": "x" * 131_072}, "grammar"),
            (
                {"response_format": {"type": "json_schema", "json_schema": {"schema": {"maximum": float("nan")}}}},
                "response_format",
            ),
        ],
    )
    def test_what_cannot_be_said_is_refused(self, params: dict[str, Any], parameter: str) -> None:
        request = Request("m", "Hi", params)
        assert [problem.parameter for problem in CODEC.check(request)] == [parameter]
        with pytest.raises(InvalidParameters):
            CODEC.encode(request)

    def test_a_model_that_is_no_path(self) -> None:
        with pytest.raises(InvalidParameters, match="`model` has a NUL"):
            CODEC.encode(Request("a\0b", "Hi"))


class TestPrompts:
    def prompt(self, *messages: dict[str, Any]) -> tuple[str, tuple[bytes, ...]]:
        call = CODEC.encode(Request("m", messages))
        return call.prompt.decode(), call.stops

    def test_a_single_message_is_the_prompt(self) -> None:
        assert self.prompt({"role": "user", "content": "Once upon\n"}) == ("Once upon\n\n", ())
        assert self.prompt({"role": "user", "content": [{"type": "text", "text": t} for t in "ab"]}) == ("a\nb\n", ())
        assert CODEC.encode(Request("m", "\ud83d\ude00 \ud83d")).prompt == "😀 �\n".encode()

    def test_a_conversation_is_plain_text(self) -> None:
        system = {"role": "system", "content": "Be brief."}
        asked = {"role": "user", "content": "Hi"}
        said = {"role": "assistant", "content": "Hello!"}
        stop = (b"\nUser:",)
        assert self.prompt(system, asked) == ("Be brief.\n\nUser: Hi\nAssistant:\n", stop)
        assert self.prompt(asked, said, asked) == ("User: Hi\nAssistant: Hello!\nUser: Hi\nAssistant:\n", stop)
        assert self.prompt(asked, said) == ("User: Hi\nAssistant: Hello!\n", stop)  # gone on with
        assert self.prompt(asked, {"role": "assistant", "refusal": "No."}, asked)[0].startswith(
            "User: Hi\nAssistant: No.\nUser"
        )
        call = CODEC.encode(Request("m", [system, asked], {"stop": "END"}))
        assert call.stops == (b"\nUser:", b"END")

    def test_a_template(self) -> None:
        def chat(messages: Sequence[Message]) -> str:
            return "".join(f"<{message['role']}>{message['content']}" for message in messages) + "<assistant>"

        codec = LlamaProcessCodec(chat)
        call = codec.encode(Request("m", [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}]))
        assert (call.prompt, call.stops) == (b"<system>S<user>U<assistant>\n", ())
        broken: Any = lambda _: None  # noqa: E731
        with pytest.raises(TypeError, match="the template must give a string, not NoneType"):
            LlamaProcessCodec(broken).encode(Request("m", "Hi"))

    @pytest.mark.parametrize(
        "message",
        [
            {"role": "tool", "content": "x", "tool_call_id": "1"},
            {"role": "someone", "content": "x"},
            {"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}]},
            {"role": "user", "content": 5},
        ],
    )
    def test_what_cannot_be_said_is_refused(self, message: dict[str, Any]) -> None:
        request = Request("m", [{"role": "user", "content": "Hi"}, message])
        assert [problem.parameter for problem in CODEC.check(request)] == ["messages"]

    def test_what_is_left_out_is_told(self) -> None:
        details = [{"type": "thinking", "thinking": "hm"}]
        message = {"role": "assistant", "content": "x", "reasoning_details": details, "annotations": [1]}
        call = CODEC.encode(Request("m", [{"role": "user", "content": "Hi"}, message]))
        assert "reasoning" in call.changes["messages"]
        assert "`annotations`" in call.changes["messages"]


OUTPUTS = [
    (b"Hello [end of text]\n\n\n", PERF, "Hello", "stop", "eos"),
    (b"Hello [end of text]\n\n", PERF, "Hello", "stop", "eos"),
    (b"Hello [end of text]\n", b"", "Hello", "stop", "eos"),  # the rest was lost, but nothing of the text
    (b"Hello\n\n", PERF, "Hello", "length", "limit"),
    (b"Hello\n\n", OLD_PERF, "Hello", "length", "limit"),
    (b"Hello\n\n\n\n\n", PERF, "Hello\n\n\n", "length", "limit"),
    (b"\n\n", PERF, "", "length", "limit"),
    (b" [end of text]\n\n\n", PERF, "", "stop", "eos"),
    (b"An [end of text] and more [end of te\n\n", PERF, "An [end of text] and more [end of te", "length", "limit"),
    (b"\n\n [end of text] \n\n", PERF, "\n\n [end of text] ", "length", "limit"),
    ("é😀\n\n".encode(), PERF, "é😀", "length", "limit"),
    (b"\xff\xc3\n\n", PERF, "��", "length", "limit"),
    (b"a\0b\n\n", PERF, "a�b", "length", "limit"),
]


class TestOutput:
    @pytest.mark.parametrize(("text", "told", "answer", "finish", "native"), OUTPUTS)
    def test_whole(self, text: bytes, told: bytes, answer: str, finish: str, native: str) -> None:
        data = written(text, told=told)
        reply = CODEC.decode(200, {}, data)
        assert (reply.text, reply.finish_reason, reply.native_finish_reason) == (answer, finish, native)
        assert reply.usage == (Usage(6, 4, 10) if told else None)
        for place in range(len(data) + 1):
            chunks, error = chunks_of([data[:place], b"", data[place:]])
            streamed = Reply.stream(iter(chunks)).read()
            assert error is None
            assert (streamed.text, streamed.finish_reason, streamed.usage) == (answer, finish, reply.usage)

    def test_stopped(self) -> None:
        chunks, _ = chunks_of([written(b"one [end\n STOP two", "stop", PERF, [b"STOP"])])
        assert "".join(chunk.text for chunk in chunks) == "one [end\n "
        assert (chunks[-1].finish_reason, chunks[-1].native_finish_reason) == ("stop", "word")

    @pytest.mark.parametrize(
        ("text", "told"), [(b"", PERF), (b"", b""), (b"Hel", PERF), (b"Hello\n", b""), (b"A paragraph.\n\n", b"")]
    )
    def test_an_end_that_was_lost_is_no_end(self, text: bytes, told: bytes) -> None:
        data = written(text, told=told)
        with pytest.raises(TruncatedStream) as caught:
            CODEC.decode(200, {}, data)
        assert isinstance(caught.value.partial, Partial)
        assert text.decode().startswith(caught.value.partial.text)
        assert isinstance(chunks_of([data])[1], TruncatedStream)

    def test_usage_of_nothing(self) -> None:
        told = PERF.replace(b"   10 tokens", b"    0 tokens").replace(b"    6 tokens", b"    1 tokens")
        assert CODEC.decode(200, {}, written(b"\n\n", told=told)).usage is None

    def test_too_long_a_word_on_the_end(self) -> None:
        parser = Output(limit=10)
        with pytest.raises(Unavailable, match="more than 10 bytes") as caught:
            parser.feed(b"text\0exit\n" + b"x" * 10)
        assert caught.value.reason == "malformed_response"

    @given(
        st.lists(
            st.sampled_from([b" [end of text]", b" [end", b" of text]", b"\n", "é😀".encode(), b"\xff", b"x", b"\0"])
        ),
        st.lists(st.integers(0, 500), max_size=8),
    )
    def test_any_pieces_give_the_same_text(self, parts: list[bytes], places: list[int]) -> None:
        data = written(b"".join(parts))
        whole, error = chunks_of([data])
        found, other = chunks_of(cut(data, places))
        assert "".join(chunk.text for chunk in found) == "".join(chunk.text for chunk in whole)
        assert [(chunk.native_finish_reason, chunk.usage) for chunk in found if chunk.finish_reason] == [
            (chunk.native_finish_reason, chunk.usage) for chunk in whole if chunk.finish_reason
        ]
        assert type(error) is type(other)
        assert (error is None) is bool(whole and whole[-1].finish_reason)

    @given(st.sampled_from([text for text, *_ in OUTPUTS]), st.integers(0, 500))
    def test_no_part_of_it_is_taken_for_the_whole(self, text: bytes, size: int) -> None:
        data = written(text)
        chunks, error = chunks_of([data[: size % len(data)]])
        assert error is None
        assert not any(chunk.finish_reason for chunk in chunks)
        with pytest.raises(TruncatedStream):
            CODEC.decode(200, {}, data[: size % len(data)])


def first_stop(text: bytes, stops: Sequence[bytes]) -> bytes:
    """The text up to the stop that is complete first; of two that are, the longer one."""
    for end in range(len(text) + 1):
        found = [stop for stop in stops if text[:end].endswith(stop)]
        if found:
            return text[: end - max(map(len, found))]
    return text


class TestStops:
    @given(
        st.lists(st.sampled_from([b"a", b"b", b"ab", b"\n", "é".encode()]), max_size=20).map(b"".join),
        st.lists(st.lists(st.sampled_from([b"a", b"b", b"\n", "é".encode()]), min_size=1, max_size=4).map(b"".join)),
        st.lists(st.integers(0, 100), max_size=8),
    )
    def test_any_pieces_end_at_the_first(self, text: bytes, stops: list[bytes], places: list[int]) -> None:
        spoken = Spoken(stops)
        got = b""
        for piece in cut(text, places):
            got += spoken.feed(piece)
            assert first_stop(text, stops).startswith(got)  # nothing has to be taken back
        assert spoken.found is (first_stop(text, stops) != text or any(text.endswith(stop) for stop in stops))
        assert Output().feed(got + spoken.end("x", b"told")) == Output().feed(first_stop(text, stops) + b"\0x\ntold\0")

    def test_only_what_may_be_a_stop_is_held_back(self) -> None:
        spoken = Spoken([b"STOP"])
        assert [spoken.feed(piece) for piece in (b"one S", b"TO", b"ne ST", b"STO", b"P!")] == [
            *(b"one ", b"", b"STOne ", b"ST", b""),
        ]
        assert spoken.found


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["", "x", "\ud83d", "\0", "json_schema"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "schema", "json_schema", "text", "5"]), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(
    st.lists(
        st.fixed_dictionaries(
            {"role": st.sampled_from(["system", "user", "assistant", "tool"])},
            optional=dict.fromkeys(("content", "tool_calls", "refusal", "reasoning_details", "name"), anything),
        ),
        min_size=1,
        max_size=3,
    ),
    st.dictionaries(
        st.sampled_from(sorted(CODEC.schema.json_schema()["properties"])) | st.text(max_size=5), anything, max_size=4
    ),
)
def test_whatever_is_asked_is_said_or_refused(said: list[dict[str, Any]], params: dict[str, Any]) -> None:
    request = Request("m", said, params)
    problems = CODEC.check(request)
    try:
        call = CODEC.encode(request)
    except InvalidParameters:
        assert problems
    else:
        assert not problems
        assert all(isinstance(word, str) and "\0" not in word for word in call.arguments)
        assert all(call.stops)


@given(st.binary(max_size=60))
def test_whatever_is_answered_is_a_reply_or_an_error(data: bytes) -> None:
    with contextlib.suppress(ProviderError):
        assert isinstance(CODEC.decode(200, {}, data), Reply)


# -- the adapter over real processes ---------------------------------------------------------------------------

Make = Callable[..., LlamaCppProcess]


@pytest.fixture
def fake(tmp_path: Path) -> Callable[..., FakeLlama]:
    return lambda code, name="llama-completion": fake_llama(tmp_path, code, name)


@pytest.fixture
def world(either: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Both worlds in turn: the names are those of the world in turn."""
    for name in ("LlamaCppProcess", "OpenAI", "Stack"):
        monkeypatch.setattr(sys.modules[__name__], name, getattr(either, name))
    return either


@pytest.fixture(autouse=True)
def _nothing_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    if "world" in request.fixturenames:
        request.getfixturevalue("world")  # which has descriptors of its own
    gc.collect()
    before = held()
    yield
    gc.collect()
    assert held() == before


def adapter_for(llama: FakeLlama, **options: Any) -> LlamaCppProcess:
    return LlamaCppProcess("m.gguf", binary=str(llama.path), **options)


def ask(adapter: LlamaCppProcess, stream: bool, prompt: str = PROMPT, **params: Any) -> Reply:
    reply = adapter(Request("m.gguf", prompt, params, stream))
    return reply.read() if stream else reply


def failure(adapter: LlamaCppProcess, stream: bool, **params: Any) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        ask(adapter, stream, **params)
    return caught.value


@pytest.mark.usefixtures("world")
class TestAdapter:
    @MODES
    def test_an_answer(self, fake: Callable[..., FakeLlama], stream: bool) -> None:
        llama = fake("say('Sun'); say('ny, 21 \u00b0C'.encode()[:8]); say('\u00b0C'.encode()[1:]); end()")
        with adapter_for(llama) as adapter:
            reply = ask(adapter, stream, max_tokens=9)
        assert (reply.text, reply.finish_reason, reply.outcome) == ("Sunny, 21 °C", "stop", Outcome.OK)
        assert (reply.provider, reply.model, reply.native_finish_reason) == ("llama_cpp", "m.gguf", "eos")
        assert reply.usage == Usage(6, 4, 10)
        assert llama.call["arguments"] == ["-m", "m.gguf", *ALWAYS, "--predict", "9"]
        assert llama.call["given"] == f"{PROMPT}\n"
        assert llama.call["environment"]["GGML_NO_BACKTRACE"] == "1"
        assert adapter.address is None
        assert (
            repr(adapter).replace("Async", "")
            == f"LlamaCppProcess(ProcessTransport({str(llama.path)!r}), model='m.gguf')"
        )

    @MODES
    def test_stop_strings(self, fake: Callable[..., FakeLlama], stream: bool) -> None:
        llama = fake("interruptible(); say('one\\nUs'); say('er: two'); hang()")
        with adapter_for(llama) as adapter:
            reply = ask(adapter, stream, stop=["\nUser:", "x"])
        assert (reply.text, reply.finish_reason, reply.usage) == ("one", "stop", Usage(6, 4, 10))

    @MODES
    def test_a_crash(self, fake: Callable[..., FakeLlama], stream: bool) -> None:
        with adapter_for(fake("say('par'); os.abort()")) as adapter:
            error = failure(adapter, stream)
        assert (error.error_class, error.reason) == (ErrorClass.UNAVAILABLE, "crashed")
        assert (error.provider, error.model) == ("llama_cpp", "m.gguf")
        assert (error.partial.text if error.partial else None) == ("par" if stream else None)

    @MODES
    @pytest.mark.parametrize("last_words", ["", "0.00.008.031 E cmn  common_init_: failed to load model 'x'"])
    def test_a_file_tells_what_the_program_could_not(
        self, fake: Callable[..., FakeLlama], tmp_path: Path, stream: bool, last_words: str
    ) -> None:
        llama = fake(f"{last_words!r} and log({last_words!r}); sys.exit(1)")
        broken, good = tmp_path / "broken.gguf", tmp_path / "good.gguf"
        broken.write_bytes(b"not a model")
        good.write_bytes(b"GGUF\x03\x00\x00\x00")
        found = []
        with adapter_for(llama) as adapter:
            for path in (tmp_path / "none.gguf", broken, good):
                with pytest.raises(ProviderError) as caught:
                    reply = adapter(Request(str(path), PROMPT, stream=stream))
                    reply.read()
                assert (caught.value.provider, caught.value.model) == ("llama_cpp", str(path))
                found.append((caught.value.error_class, caught.value.reason))
        assert found == [
            (ErrorClass.MODEL_NOT_FOUND, "model"),
            (ErrorClass.UNAVAILABLE, "bad_model_file"),
            (ErrorClass.UNAVAILABLE, "model_load" if last_words else "exit"),
        ]

    @MODES
    def test_an_error_never_shows_the_prompt(self, fake: Callable[..., FakeLlama], stream: bool) -> None:
        with adapter_for(fake("log('error: invalid argument: ' + given.decode()); sys.exit(1)")) as adapter:
            error = failure(adapter, stream)
        assert error.error_class is ErrorClass.INVALID_REQUEST
        assert PROMPT[5:25] not in f"{error!r} {error} {error.__dict__}"

    @MODES
    def test_an_end_that_was_lost(self, fake: Callable[..., FakeLlama], stream: bool) -> None:
        with adapter_for(fake("say('Hello'); sys.exit(0)")) as adapter:
            error = failure(adapter, stream)
        assert isinstance(error, TruncatedStream)
        assert error.partial is not None
        assert error.partial.text == "Hello"

    @MODES
    def test_clocks(self, fake: Callable[..., FakeLlama], stream: bool) -> None:
        with adapter_for(fake("hang()"), timeouts=Timeouts(total=0.5)) as adapter:
            error = failure(adapter, stream)
        assert (type(error), error.reason) == (TimedOut, "total")

    def test_a_gap(self, fake: Callable[..., FakeLlama]) -> None:
        with adapter_for(fake("say('x'); hang()"), timeouts=Timeouts(gap=0.5, total=60)) as adapter:
            error = failure(adapter, stream=True)
        assert (type(error), error.reason) == (TimedOut, "gap")
        assert error.partial is not None
        assert error.partial.text == "x"

    @pytest.mark.parametrize("way", ["close", "leave", "drop"])
    def test_who_gives_up_kills_it(self, fake: Callable[..., FakeLlama], way: str) -> None:
        llama = fake("say('x'); hang()")
        with adapter_for(llama) as adapter:
            reply: Reply | None = adapter(Request("m", PROMPT, stream=True))
            assert reply is not None
            assert next(reply).text == "x"
            if way == "close":
                reply.close()
            elif way == "leave":
                with reply:
                    pass
            reply = None
            gc.collect()
        assert not alive(llama.call["pid"])

    def test_closing_the_adapter_leaves_what_is_under_way(self, fake: Callable[..., FakeLlama]) -> None:
        adapter = adapter_for(fake("say('x'); end()"))
        with adapter(Request("m", PROMPT, stream=True)) as reply:
            adapter.close()
            assert reply.read().text == "x"
        assert ask(adapter, stream=False).text == "x"

    def test_many_threads(self, fake: Callable[..., FakeLlama]) -> None:
        adapter = adapter_for(fake("say(b'about ' + given.strip()); end()"))
        got: dict[int, str] = {}

        def run(number: int) -> None:
            got[number] = ask(adapter, bool(number % 2), f"topic {number}").text

        threads = [threading.Thread(target=run, args=(number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert got == {number: f"about topic {number}" for number in range(16)}

    def test_the_other_program_is_refused(self) -> None:
        for binary in ("llama-cli", "/usr/bin/llama-cli"):
            with pytest.raises(ValueError, match="binary must be llama-completion, not llama-cli"):
                LlamaCppProcess(binary=binary)

    @MODES
    def test_nothing_starts_for_what_cannot_be_said(self, fake: Callable[..., FakeLlama], stream: bool) -> None:
        llama = fake("end()")
        with adapter_for(llama) as adapter:
            assert isinstance(failure(adapter, stream, tools=[]), InvalidParameters)
        assert llama.calls == []


@pytest.mark.usefixtures("world")
class TestInAStack:
    FLAKY = (
        "count = len(os.listdir(os.path.dirname(file.name)))\nif count < 2: say('par'); os.abort()\nsay('well'); end()"
    )

    def test_a_crash_is_tried_again(self, fake: Callable[..., FakeLlama]) -> None:
        llama = fake(self.FLAKY)
        with Stack(standard(), adapter_for(llama)) as stack:
            reply = stack(Request("m.gguf", PROMPT))
        assert (reply.text, len(reply.attempts), len(llama.calls)) == ("well", 2, 2)

    @MODES
    def test_another_route_answers(self, fake: Callable[..., FakeLlama], world: Any, stream: bool) -> None:
        llama = fake("os.abort()")
        with Sandbox("openai") as server, OpenAI("sk-key", base_url=server.url) as other:
            server.always(Answer("from afar"))
            stack = Stack(standard(), Fallback(world.own(adapter_for(llama)), world.own(other)))
            reply = stack(Request("m.gguf", PROMPT, stream=stream)).read()
        assert (reply.text, reply.provider) == ("from afar", "openai")
        assert len(llama.calls) >= 1

    def test_a_deadline(self, fake: Callable[..., FakeLlama]) -> None:
        llama = fake("hang()")
        with pytest.raises(DeadlineExceeded):
            Stack([Deadline(1.0), Retry()], adapter_for(llama))(Request("m.gguf", PROMPT))
        assert not alive(llama.call["pid"])

"""Local servers, processes, transports: labelled errors, exceptions provoked for real, what must mean nothing."""

from __future__ import annotations

import http
import json
import socket
import struct
import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests
import requests.adapters
import urllib3
from hypothesis import given, settings
from hypothesis import strategies as st

from mainstay.adapters.classify import (
    classify_event,
    classify_exception,
    classify_exception_text,
    classify_payload,
    classify_process,
    classify_response,
)
from mainstay.adapters.hints import with_model
from mainstay.adapters.links import harmless
from mainstay.pipeline import ErrorClass, ProviderError, Secret
from support.labelled import classified, rows

LABELLED = rows("local_errors.jsonl")
NOW = 1696004797.0
A, Q, R = ErrorClass.AUTHENTICATION, ErrorClass.QUOTA, ErrorClass.RATE_LIMIT
T, U = ErrorClass.TIMEOUT, ErrorClass.UNAVAILABLE
M, BAD = ErrorClass.MODEL_NOT_FOUND, ErrorClass.INVALID_REQUEST


# The rules have seen the first batch, and never the second: that one says what they are worth.
@pytest.mark.parametrize(("batch", "least"), [(1, 0.99), (2, 0.96)])
def test_labelled_errors(batch: int, least: float) -> None:
    right: Counter[bool] = Counter()
    total: Counter[bool] = Counter()
    misses, waits = [], []
    for row in LABELLED:
        if row["batch"] != batch:
            continue
        error = classified(row, NOW)
        total[row["debatable"]] += 1
        if error is not None and error.error_class.name == row["class"]:
            right[row["debatable"]] += 1
        else:
            misses.append((row["id"], row["class"], error))
        stated = row["retry_after_s"]
        if stated is not None and (error is None or error.retry_after != pytest.approx(stated)):
            waits.append((row["id"], stated, error))
    assert right[False] >= least * total[False], misses
    assert right.total() >= 0.9 * total.total(), misses
    assert not waits


@contextmanager
def serving(*scripts: Callable[[socket.socket], object]) -> Iterator[int]:
    """Accepts a connection for each script, one after the other, and lets it do what it wants with it."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        for script in scripts:
            connection, _ = listener.accept()
            with connection:
                script(connection)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        thread.join(10)
        listener.close()
        assert not thread.is_alive()


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def says(*parts: bytes) -> Callable[[socket.socket], None]:
    def script(connection: socket.socket) -> None:
        connection.recv(65536)
        for part in parts:
            connection.sendall(part)

    return script


def silent(*parts: bytes) -> Callable[[socket.socket], None]:
    """Says it, and then nothing more until the client has gone."""

    def script(connection: socket.socket) -> None:
        says(*parts)(connection)
        while connection.recv(65536):
            pass

    return script


def resets(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def caught(call: Callable[[], object]) -> BaseException:
    with pytest.raises(Exception) as info:
        call()
    return info.value


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("script", "error_class", "reason"),
    [
        (resets, U, "connection_reset"),
        (says(), U, "connection_reset"),
        (silent(), T, "read"),
        (silent(CHUNKED, b"3\r\nabc\r\n"), T, "read"),
        (says(CHUNKED, b"3\r\nabc\r\n"), U, "truncated_stream"),
        (says(CHUNKED, b"9\r\nabc"), U, "truncated_stream"),
        (says(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nabc"), U, "truncated_stream"),
        (says(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc"), U, "malformed_response"),
        (says(b"SSH-2.0-OpenSSH_9.6\r\n"), U, "malformed_response"),
        (says(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 70_000 + b"\r\n\r\n"), U, "malformed_response"),
    ],
)
def test_what_requests_raises(script: Callable[[socket.socket], None], error_class: ErrorClass, reason: str) -> None:
    with serving(script) as port:
        error = caught(lambda: requests.post(f"http://127.0.0.1:{port}/", json={}, timeout=0.3).content)
    found = classify_exception("ollama", error)
    assert (found.error_class, found.reason) == (error_class, reason)
    # A log has only the text, and that has to be enough.
    from_log = classify_exception_text("ollama", f"{type(error).__module__}.{type(error).__name__}: {error}")
    assert (from_log.error_class, from_log.reason) == (error_class, reason)


def test_what_requests_raises_without_a_server(closed_port: int) -> None:
    there = f"http://127.0.0.1:{closed_port}"
    cases: list[tuple[Callable[[], object], ErrorClass, str]] = [
        (lambda: requests.get(there, timeout=5), U, "connection_refused"),
        (lambda: requests.get("http://127.0.0.1/", proxies={"http": there}, timeout=5), U, "proxy"),
        (lambda: requests.get("https://127.0.0.1/", proxies={"https": there}, timeout=5), U, "proxy"),
        (lambda: requests.get("127.0.0.1:11434/api/chat"), BAD, "bad_url"),
        (lambda: requests.get("http://:11434/api/chat"), BAD, "bad_url"),
        (lambda: requests.get("htp://127.0.0.1/"), BAD, "bad_url"),
        (lambda: requests.get(there, headers={"authorization": "Bearer sk-secret\n"}), A, "bad_key"),
    ]
    for call, error_class, reason in cases:
        error = classify_exception("llama_cpp", caught(call))
        assert (error.error_class, error.reason) == (error_class, reason)
        assert "sk-secret" not in repr(vars(error))


def test_what_requests_raises_of_a_name_that_nobody_has(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*args: object, **options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert classify_exception("x", caught(lambda: requests.get("http://nobody.invalid"))).reason == "dns"


def test_https_to_a_port_that_speaks_http_is_about_tls() -> None:
    with serving(says(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as port:
        error = classify_exception("x", caught(lambda: requests.get(f"https://127.0.0.1:{port}/", timeout=5)))
    assert (error.error_class, error.reason) == (U, "tls")


def test_a_proxy_that_wants_a_password_is_about_the_proxy() -> None:
    refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
    with serving(says(refusal)) as port:
        proxies = {"https": f"http://127.0.0.1:{port}"}
        error = classify_exception("x", caught(lambda: requests.get("https://127.0.0.1/", proxies=proxies, timeout=5)))
    assert (error.error_class, error.reason) == (U, "proxy")


def test_retries_that_requests_has_spent() -> None:
    session = requests.Session()
    retries = urllib3.Retry(total=1, status_forcelist=[429], backoff_factor=0)
    session.mount("http://", requests.adapters.HTTPAdapter(max_retries=retries))
    limited = says(b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    with session, serving(limited, limited) as port:
        error = classify_exception("x", caught(lambda: session.get(f"http://127.0.0.1:{port}/", timeout=5)))
    assert (error.error_class, error.status) == (R, 429)


MISSING = json.dumps({"error": "model 'nope' not found"}).encode()
NOT_FOUND = (
    b"HTTP/1.1 404 Not Found\r\nRetry-After: 3\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
    % (
        len(MISSING),
        MISSING,
    )
)


def test_an_answer_that_an_exception_carries_is_read() -> None:
    def raise_for_status(url: str) -> None:
        requests.get(url, timeout=5).raise_for_status()

    calls: list[Callable[[str], object]] = [raise_for_status]
    httpx = pytest.importorskip("httpx")
    calls.append(lambda url: httpx.get(url, trust_env=False).raise_for_status())
    ollama = pytest.importorskip("ollama")

    def ask_ollama(url: str) -> None:
        with ollama.Client(url, trust_env=False) as client:
            client.chat("nope", [])

    calls.append(ask_ollama)
    openai = pytest.importorskip("openai")

    def ask_openai(url: str) -> None:
        with openai.OpenAI(base_url=url, api_key="sk-x", max_retries=0) as client:
            client.models.list()

    calls.append(ask_openai)
    for call in calls:
        with serving(says(NOT_FOUND)) as port:
            error = classify_exception("ollama", caught(lambda: call(f"http://127.0.0.1:{port}")))  # noqa: B023
        assert (error.error_class, error.reason, error.status) == (M, "model", 404)
        assert error.hint == "run `ollama pull nope`"


def test_what_urllib_says_of_an_answer() -> None:
    with serving(says(NOT_FOUND)) as port:
        raised = caught(lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=5))
    assert isinstance(raised, urllib.error.HTTPError)
    with raised:
        error = classify_exception("ollama", raised)
    assert (error.error_class, error.status) == (BAD, 404)


def test_what_other_clients_raise(closed_port: int) -> None:
    httpx, openai, ollama = (pytest.importorskip(name) for name in ("httpx", "openai", "ollama"))

    def ask(url: str) -> None:
        with openai.OpenAI(base_url=url, api_key="sk-x", max_retries=0, timeout=0.3) as client:
            client.models.list()

    def ask_ollama(url: str) -> None:
        with ollama.Client(url, trust_env=False) as client:
            client.chat("m", [])

    there = f"http://127.0.0.1:{closed_port}"
    for call, reason in (
        (lambda: httpx.get(there, trust_env=False), "connection_refused"),
        (lambda: ask(there), "connection_refused"),
        (lambda: ask_ollama(there), "connection"),
    ):
        error = classify_exception("ollama", caught(call))
        assert (error.error_class, error.reason) == (U, reason)
        assert "ollama serve" in error.hint

    for script, error_class, reason in (
        (silent(), T, "read"),
        (says(), U, "connection_reset"),
        (resets, U, "connection_reset"),
        (says(CHUNKED, b"3\r\nabc\r\n"), U, "truncated_stream"),
    ):
        for get in (lambda url: httpx.get(url, timeout=0.3, trust_env=False), ask):
            with serving(script) as port:
                error = classify_exception("x", caught(lambda: get(f"http://127.0.0.1:{port}")))  # noqa: B023
            assert (error.error_class, error.reason) == (error_class, reason)


def test_a_status_is_found_wherever_a_client_keeps_it() -> None:
    class ClientResponseError(Exception):  # as aiohttp's
        status = http.HTTPStatus.TOO_MANY_REQUESTS
        headers = {"Retry-After": "7"}

    error = classify_exception("x", ClientResponseError("429, message='Too Many Requests'"))
    assert (error.error_class, error.status, error.retry_after) == (R, 429, 7)


@pytest.mark.parametrize(
    "text",
    [
        "httpx.ProxyError: 407 Proxy Authentication Required",
        "aiohttp.client_exceptions.ClientPayloadError: <TransferEncodingError: 400, message='Not enough data'>",
    ],
)
def test_a_number_in_the_text_of_a_transport_is_no_status(text: str) -> None:
    error = classify_exception_text("x", text)
    assert (error.error_class, error.status) == (U, None)
    assert classify_exception_text("x", "openai.APIStatusError: Error code: 407").status == 407


@pytest.mark.parametrize(
    ("number", "error_class", "reason"),
    [
        ("[Errno 111] x", U, "connection_refused"),
        ("[Errno 61] x", U, "connection_refused"),
        ("[WinError 10061] x", U, "connection_refused"),
        ("[Errno 110] x", T, "connect"),
        ("[Errno 60] x", T, "connect"),
        ("[WinError 10060] x", T, "connect"),
        ("[WinError 10054] x", U, "connection_reset"),
        ("[WinError 10053] x", U, "connection_reset"),
        ("[WinError 10051] x", U, "unreachable"),
        ("[WinError 10065] x", U, "unreachable"),
    ],
)
def test_numbers_of_the_system_whose_words_are_in_any_language(
    number: str, error_class: ErrorClass, reason: str
) -> None:
    text = f"Max retries exceeded with url: /v1 (Caused by NewConnectionError('<X object at 0x1>: {number}'))"
    error = classify_exception_text("x", text)
    assert (error.error_class, error.reason) == (error_class, reason)


LOADED = "llama_model_loader: loaded meta data\nprint_info: mem required = 10959 MB\nload: failed_to_load.gguf\n"


def test_a_process_that_ended_well_may_say_what_it_likes() -> None:
    said = LOADED + "error: failed to load model\nout of memory\nwhat(): std::bad_alloc\n"
    assert classify_process("llama_cpp", 0, said) is None
    grammar = classify_process("llama_cpp", 0, LOADED + "parse: error parsing grammar: expecting ')'")
    assert grammar is not None
    assert grammar.error_class is BAD


@pytest.mark.parametrize(
    "harmless_line",
    [
        "warning: failed to mlock 1848-byte buffer (after previously locking 0 bytes): Cannot allocate memory",
        "0.01.105.316 W warning: failed to mlock 1848-byte buffer: Cannot allocate memory",
        "main: warning: changing RoPE frequency base, unknown model architecture ahead",
        "0.00.651.452 I srv  load_model: out of memory errors are logged here",
        "llama_model_load: loading model from 'prompt is too long.gguf' - please wait ...",
        "main: error handling of 'out of memory, invalid magic, prompt is too long' begins",
        'main: error while echoing "--model is required"',
        "ggml_metal_init: hasUnifiedMemory = true; total system memory: 64 GB",
        "model not loaded by default: ok",
    ],
)
def test_lines_that_do_not_say_what_a_process_died_of(harmless_line: str) -> None:
    for code, reason in ((-11, "crashed"), (1, "exit"), (-9, "out_of_memory")):
        error = classify_process("llama_cpp", code, LOADED + harmless_line + "\n")
        assert error is not None
        assert (error.error_class, error.reason) == (U, reason)


def test_words_of_a_pair_belong_to_one_line() -> None:
    stderr = "main: error: the model is one\ncheck: grammar failed: rule not found\n"
    error = classify_process("llama_cpp", 1, stderr)
    assert error is not None
    assert error.error_class is U


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        ("cudaMalloc failed: out of memory", "out_of_memory"),
        ("gguf_init_from_file: invalid magic number 67676a74", "bad_model_file"),
        ("check_tensor_dims: error: tensor 'blk.0.ffn_down.weight' not found", "bad_model_file"),
    ],
)
def test_what_is_finer_goes_before_what_follows_from_it(first: str, reason: str) -> None:
    follows = "llama_model_load: error loading model: llama_model_loader: failed to load model from x.gguf"
    error = classify_process("llama_cpp", 1, f"{first}\n{follows}\nmain: error: unable to create context\n")
    assert error is not None
    assert error.reason == reason
    assert error.detail.startswith(first.split(":")[0])


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (
            500,
            'error parsing tool call: raw=\'{"q": "rate limit, invalid api key, not found"}\', err=invalid character',
        ),
        (500, "Failed to parse input at pos 231: insufficient credits, prompt is too long"),
        (500, 'llama-server returned invalid tool call arguments for "f": unexpected end of JSON input'),
        (500, "failed to parse XML: XML syntax error on line 1: element <tool_call> closed by </arg_value>"),
    ],
)
@pytest.mark.parametrize("provider", ["ollama", "llama_cpp"])
def test_a_server_that_cannot_read_its_own_model_is_at_fault(provider: str, status: int, message: str) -> None:
    error = classify_payload(provider, status, {}, {"error": message})
    assert error is not None
    assert error.error_class is U


def test_an_old_health_answer_says_that_the_model_is_loading() -> None:
    error = classify_payload("llama_cpp", 503, {}, {"status": "loading model"})
    assert error is not None
    assert error.reason == "loading"


@pytest.mark.parametrize(
    ("provider", "status", "body", "hint"),
    [
        (
            "ollama",
            404,
            {"error": 'model "hf.co/x/y:Q4_K_M" not found, try pulling it first'},
            "pull hf.co/x/y:Q4_K_M`",
        ),
        ("ollama", 500, {"error": "model requires more system memory (8 GiB) than is available"}, "smaller model"),
        ("ollama", 500, {"error": "llama runner process has terminated: signal: killed"}, "smaller model"),
        ("ollama", 500, {"error": "llama runner process has terminated: exit status 2"}, "log"),
        ("ollama", 500, {"error": "unknown model architecture: 'x'"}, "update Ollama"),
        ("ollama", 400, {"error": '"m" does not support thinking'}, "ollama show"),
        ("ollama", 400, {"error": "the input length exceeds the context length"}, "num_ctx"),
        ("ollama", 401, {"error": "unauthorized"}, "ollama signin"),
        ("ollama", 403, {"error": "this model requires a subscription"}, "ollama.com/settings"),
        ("ollama", 404, "404 page not found", "base URL"),
        ("ollama", 502, "", "NO_PROXY"),
        ("ollama", 500, {"error": "pull model manifest: 412: requires a newer version of Ollama."}, "update Ollama"),
        ("ollama", 500, {"error": "pull model manifest: file does not exist"}, "ollama.com/library"),
        ("ollama", 500, {"error": "error starting llama-server: llama-server binary not found"}, "install it again"),
        ("llama_cpp", 503, {"error": {"message": "Loading model", "type": "unavailable_error"}}, "wait"),
        ("llama_cpp", 400, {"error": {"message": "x", "type": "exceed_context_size_error"}}, "--ctx-size"),
        ("llama_cpp", 401, {"error": {"message": "Invalid API Key", "type": "authentication_error"}}, "--api-key"),
        ("llama_cpp", 500, {"error": {"message": "model name=m failed to load", "type": "server_error"}}, "log"),
    ],
)
def test_hints_say_what_to_do(provider: str, status: int, body: Any, hint: str) -> None:
    error = classify_payload(provider, status, {}, body)
    assert error is not None
    assert hint in error.hint


def test_hints_of_processes() -> None:
    for stderr, code, hint in (
        ("error loading model: unknown model architecture: 'x'", 1, "update llama.cpp"),
        ("terminate called after throwing an instance of 'std::bad_alloc'", -6, "smaller model"),
        ("error while loading shared libraries: libllama.so", 127, "install llama.cpp"),
        ("main: error: couldn't bind HTTP server socket", 1, "port"),
        ("failed to open GGUF file 'x.gguf' (No such file or directory)", 1, "path"),
        ("", -11, "log"),
    ):
        error = classify_process("llama_cpp", code, stderr)
        assert error is not None
        assert hint in error.hint


def test_the_model_that_was_asked_for_takes_the_place_of_what_the_server_called_one() -> None:
    error = classify_payload("ollama", 404, {}, {"error": "model 'evil' not found"})
    assert error is not None
    assert with_model(error.hint, "llama3.2") == "run `ollama pull llama3.2`"
    newer = classify_payload("ollama", 500, {}, {"error": "requires a newer version of Ollama."})
    assert newer is not None
    assert with_model(newer.hint, "llama3.2") == newer.hint


class Hostile(Exception):
    """Everything that it can be asked for fails."""

    def __str__(self) -> str:
        raise ValueError

    __repr__ = __str__

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("__"):
            return super().__getattribute__(name)
        raise RuntimeError(name)


class Odd(Exception):
    def __init__(self, attributes: dict[str, Any]) -> None:
        super().__init__("odd")
        self.__dict__.update(attributes)

    @property
    def request(self) -> None:
        raise RuntimeError("The .request property has not been set.")


class BadMapping(dict[str, str]):
    def items(self) -> Any:
        raise OSError


def test_exceptions_that_cannot_be_asked() -> None:
    assert classify_exception("x", Hostile()).error_class is U
    assert classify_exception("x", Odd({"status_code": 429, "headers": BadMapping(a="b")})).error_class is R
    odd = Odd({})
    assert harmless(odd, [Secret("sk-1")]) is odd
    assert harmless(Hostile(), [Secret("sk-1")]) is None  # nobody can say what is in it


def test_exceptions_in_rings_and_chains() -> None:
    first, last = ValueError("x"), ConnectionRefusedError(111, "Connection refused")
    first.__cause__, last.__context__ = last, first
    assert classify_exception("x", first).reason == "connection_refused"
    error: BaseException = TimeoutError("timed out")
    for _ in range(5000):
        outer = RuntimeError("wrapped")
        outer.__cause__ = error
        error = outer
    assert isinstance(classify_exception("x", error), ProviderError)
    assert isinstance(classify_exception("x", ValueError("x" * 5_000_000)), ProviderError)


def test_bodies_that_hold_themselves() -> None:
    ring: dict[str, Any] = {"message": "x"}
    ring.update(error=ring, metadata={"raw": ring}, details=[ring], response=ring, choices=[ring], errors=[ring])
    for status in (200, 400, 500, None):
        assert isinstance(classify_payload("ollama", status, {}, ring), ProviderError)
    assert isinstance(classify_event("llama_cpp", ring), ProviderError)


PROVIDERS = st.sampled_from(["ollama", "llama_cpp", "openai", "claude", "", "x"])
LINES = st.lists(
    st.sampled_from(
        ["error: ", "'", '"', "failed to load", "[json.exception.", "0.0 W ", "{", "\n", "what():", "status 5"]
    )
    | st.text(max_size=12),
    max_size=30,
).map("".join)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12) | st.binary(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
ATTRIBUTES = st.dictionaries(
    st.sampled_from(["status", "status_code", "code", "response", "headers", "body", "error", "reason", "_content"]),
    VALUES,
    max_size=5,
)


@settings(max_examples=200)
@given(PROVIDERS, LINES, st.none() | st.integers() | st.sampled_from([0, 1, 127, 137, -6, -9, -11, 3221225477]))
def test_no_process_crashes_it(provider: str, stderr: str, code: int | None) -> None:
    error = classify_process(provider, code, stderr)
    assert error is None or isinstance(error, ProviderError)
    assert code in (0, None) or error is not None
    assert isinstance(classify_exception_text(provider, stderr, code), ProviderError)


@settings(max_examples=200)
@given(PROVIDERS, ATTRIBUTES, ATTRIBUTES, st.lists(VALUES, max_size=3))
def test_no_exception_crashes_it(
    provider: str, attributes: dict[str, Any], of_its_answer: dict[str, Any], args: list[Any]
) -> None:
    error = Odd({**attributes, "response": Odd(of_its_answer)} if of_its_answer else attributes)
    error.args = tuple(args)
    error.__context__ = Odd(of_its_answer)
    found = classify_exception(provider, error)
    assert isinstance(found, ProviderError)
    assert found.retry_after is None or found.retry_after >= 0
    str(found)


@settings(max_examples=200)
@given(PROVIDERS, st.none() | st.integers(), st.dictionaries(st.text(), st.text(), max_size=3), st.binary() | LINES)
def test_no_answer_crashes_it(provider: str, status: int | None, headers: dict[str, str], body: bytes | str) -> None:
    error = classify_response(provider, status, headers, body)
    assert error is None or isinstance(error, ProviderError)
    event = classify_event(provider, body)
    assert event is None or isinstance(event, ProviderError)


# llama.cpp's server throws for faults of the caller and for its own alike, and reports both with a 500; Ollama runs it
# and hands its words on.
THEIRS = [
    "Multimodal data provided, but model does not support multimodal requests.",
    '"prompt" must not be empty',
    "Only no echo is supported",
    "Failed to download image",
    "Failed to download image from the given address",
    "Failed to load image or audio file",
    "Invalid url value",
    "Invalid url format: ftp",
    'JSON schema conversion failed:\nUnrecognized schema: {"type": "x"}',
    "input (5000 tokens) is too large to process. increase the physical batch size (current batch size: 512)",
]
OWN = [
    "Compute error.",
    "Invalid input batch.",
    "failed to decode image batch",
    "failed to load model from the file",
    "Chunk not found",
    "std::bad_alloc",
    "decode() failed: no KV slot",
    "failed to restore the state of the slot",
]


@pytest.mark.parametrize("provider", ["llama_cpp", "ollama"])
@pytest.mark.parametrize(("words", "error_class"), [*((w, BAD) for w in THEIRS), *((w, U) for w in OWN)])
def test_whose_fault_a_local_500_is(provider: str, words: str, error_class: ErrorClass) -> None:
    body = {"error": words} if provider == "ollama" else {"error": {"code": 500, "message": words, "type": "x"}}
    error = classify_response(provider, 500, {}, json.dumps(body))
    assert error is not None
    assert error.error_class is error_class


def test_a_model_that_takes_one_image_is_asked_for_too_much_whatever_the_status() -> None:
    words = "this model only supports one image while more than one image requested"
    for status in (400, 500):
        error = classify_response("ollama", status, {}, json.dumps({"error": words}))
        assert error is not None
        assert error.error_class is BAD

"""The classifier: real, labelled bodies, every shape of error, waits, and what must never be shown."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainstay.adapters.classify import (
    Rule,
    classify_event,
    classify_exception,
    classify_exception_text,
    classify_payload,
    classify_process,
    classify_response,
    safe_detail,
)
from mainstay.pipeline import ErrorClass, ProviderError, Secret, TruncatedStream

ROWS = [json.loads(line) for line in (Path(__file__).parent / "data" / "errors.jsonl").read_text("utf-8").splitlines()]
PROVIDERS = [
    "openai",
    "claude",
    "anthropic",
    "openrouter",
    "ollama",
    "llama_cpp",
    "llama.cpp",
    "openai-compatible",
    "x",
]
# The moment at which the one row with a date and without a Date header was answered.
NOW = 1696004797.0
A, Q, R = ErrorClass.AUTHENTICATION, ErrorClass.QUOTA, ErrorClass.RATE_LIMIT
T, U = ErrorClass.TIMEOUT, ErrorClass.UNAVAILABLE
M, BAD = ErrorClass.MODEL_NOT_FOUND, ErrorClass.INVALID_REQUEST


def _events(body: str) -> Iterator[Any]:
    for raw in body.splitlines():
        line = raw.strip()
        if line.startswith(("data:", "error:")):
            line = line.split(":", 1)[1].strip()
        if line and not line.startswith(("event:", ":")) and line != "[DONE]":
            try:
                yield json.loads(line)
            except ValueError:
                yield line


def _classified(row: dict[str, Any]) -> ProviderError | None:
    provider = "" if row["provider"] == "transport" else row["provider"]
    match row["kind"]:
        case "http":
            return classify_response(provider, row["status"], row["headers"] or {}, row["body"] or "", now=NOW)
        case "stream":
            found = (classify_event(provider, event, now=NOW) for event in _events(row["body"]))
            return next((error for error in found if error is not None), None)
        case "subprocess":
            return classify_process(provider, row.get("exit_code"), row["body"] or "")
    return classify_exception_text(provider, row["exception"], row["status"], now=NOW)


def test_labelled_errors(capsys: pytest.CaptureFixture[str]) -> None:
    total: Counter[tuple[str, bool]] = Counter()
    right: Counter[tuple[str, bool]] = Counter()
    misses, waits = [], []
    for row in ROWS:
        error = _classified(row)
        key = (row["provider"], bool(row["debatable"]))
        total[key] += 1
        if error is not None and error.error_class.name == row["class"]:
            right[key] += 1
        else:
            misses.append((row["id"], row["class"], error))
        stated = row["retry_after_s"]
        if stated is not None and (error is None or error.retry_after != pytest.approx(stated)):
            waits.append((row["id"], stated, error))
    with capsys.disabled():
        print("\nprovider      certain    debatable")
        for name in sorted({provider for provider, _ in total}):
            cells = (f"{right[name, flag]:>3} of {total[name, flag]:<3}" for flag in (False, True))
            print(f"{name:<12}", *cells)
    # The threshold of what nobody could label otherwise is higher than that of all.
    certain = sum(count for (_, debatable), count in right.items() if not debatable)
    assert certain >= 0.98 * sum(count for (_, debatable), count in total.items() if not debatable), misses
    assert right.total() >= 0.9 * total.total(), misses
    assert not waits


def _openai(message: str, kind: str = "invalid_request_error", code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def _claude(kind: str, message: str, **more: Any) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message, **more}, "request_id": "req_1"}


def _router(code: int | str, message: str, **metadata: Any) -> dict[str, Any]:
    return {"error": {"message": message, "code": code, "metadata": metadata}}


TRAPS: list[tuple[str, int, Any, ErrorClass, str]] = [
    # Codes and words against the status.
    ("openai", 429, _openai("You exceeded your current quota", "insufficient_quota"), Q, "insufficient_quota"),
    ("openai", 403, _openai("Project has no access", code="model_not_found"), M, "model"),
    ("openai", 400, _openai("too long", code="string_above_max_length"), BAD, "bad_parameter"),
    ("openai", 429, _openai("Request too large for gpt-4o", "tokens", "rate_limit_exceeded"), BAD, "too_large"),
    (
        "openai",
        404,
        _openai("This is a chat model, not supported in the v1/completions endpoint."),
        BAD,
        "bad_endpoint",
    ),
    ("openai", 400, _openai("Timeout while downloading https://x/y.png"), BAD, "bad_parameter"),
    ("openai", 503, _openai("That model is currently overloaded with other requests."), U, "overloaded"),
    ("openai-compatible", 402, _openai("Insufficient Balance", code="invalid_request_error"), Q, "insufficient_quota"),
    ("openai-compatible", 500, {"error": 'option "top_k" must be of type integer'}, BAD, "bad_parameter"),
    ("claude", 400, _claude("invalid_request_error", "Your credit balance is too low"), Q, "insufficient_quota"),
    (
        "claude",
        429,
        _claude("rate_limit_error", "x", details={"error_code": "contract_spend_limit_reached"}),
        Q,
        "spend_limit",
    ),
    ("claude", 404, _claude("not_found_error", "model: claude-nope"), M, "model"),
    ("claude", 404, _claude("not_found_error", "Not Found"), BAD, "bad_endpoint"),
    ("claude", 500, _claude("overloaded_error", "Overloaded"), U, "overloaded"),
    ("claude", 529, _claude("overloaded_error", "Overloaded"), U, "overloaded"),
    (
        "openrouter",
        429,
        _router(429, "Rate limit exceeded: limit_rpm/acme/m. High demand for acme/m: 8 requests per minute."),
        R,
        "requests",
    ),
    ("openai-compatible", 429, {"message": "Model is busy: high demand, please retry shortly"}, U, "overloaded"),
    ("openrouter", 403, _router(403, "flagged", reasons=["x"], flagged_input="rate limit"), BAD, "content_filter"),
    ("openrouter", 403, _router(403, "Your key may not do this"), A, "permission"),
    ("openrouter", 400, _router(400, "acme/x is not a valid model ID"), M, "model"),
    ("openrouter", 402, _router(402, "Prompt tokens limit exceeded: 9 > 3"), Q, "credit"),
    (
        "openrouter",
        502,
        _router(502, "Provider returned error", raw='{"error":{"message":"prompt is too long: 9 > 3"}}'),
        BAD,
        "context_length",
    ),
    ("ollama", 404, {"error": "model 'x' not found"}, M, "model"),
    ("ollama", 404, "404 page not found", BAD, "bad_endpoint"),
    ("ollama", 403, "", A, "permission"),
    ("ollama", 500, {"error": 'option "temperature" must be of type float32'}, BAD, "bad_parameter"),
    (
        "ollama",
        500,
        {"error": "model requires more system memory (8 GiB) than is available (4 GiB)"},
        U,
        "out_of_memory",
    ),
    (
        "ollama",
        400,
        {"error": '{"error":{"code":400,"message":"x","type":"exceed_context_size_error"}}'},
        BAD,
        "context_length",
    ),
    (
        "llama_cpp",
        500,
        {"error": {"code": 500, "message": "[json.exception.parse_error.1] x", "type": "server_error"}},
        BAD,
        "bad_json",
    ),
    (
        "llama_cpp",
        500,
        {"error": {"code": 500, "message": "Compute error.", "type": "server_error"}},
        U,
        "server_error",
    ),
    ("llama_cpp", 503, {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}, U, "loading"),
    (
        "llama_cpp",
        501,
        {"error": {"code": 501, "message": "x", "type": "not_supported_error"}},
        BAD,
        "unsupported_parameter",
    ),
    # Statuses alone, and pages of gateways.
    ("openai", 302, "", BAD, "redirect"),
    ("openai", 408, "", T, "upstream"),
    ("openai", 409, "", U, "conflict"),
    ("openai", 413, "<html><title>413 Request Entity Too Large</title></html>", BAD, "too_large"),
    ("openai", 403, "<html><title>Just a moment...</title></html>", A, "blocked"),
    ("openai", 429, "error code: 1015", R, "requests"),
    ("openai", 524, "<!DOCTYPE html><html>", T, "upstream"),
    ("openai", 526, "", U, "tls"),
    ("openai", 599, "", T, "upstream"),
    ("openai", 418, "", BAD, "bad_parameter"),
    ("claude", 404, {"detail": "Not Found"}, BAD, "bad_endpoint"),
    # Errors inside a 200.
    ("openrouter", 200, _router(429, "slow"), R, "requests"),
    ("openrouter", 200, _router("server_error", "gone"), U, "server_error"),
    (
        "openrouter",
        200,
        {"choices": [{"error": {"code": 502, "message": "x"}, "finish_reason": "error"}]},
        U,
        "gateway",
    ),
    (
        "openai",
        200,
        {"object": "response", "status": "failed", "error": {"code": "rate_limit_exceeded", "message": ""}},
        R,
        "requests",
    ),
    ("openai", 200, "", U, "malformed_response"),
    ("openai", 200, "<html><title>Sign in</title></html>", U, "malformed_response"),
    ("openai", 200, {"id": "x", "choices": []}, U, "malformed_response"),
    ("claude", 200, {"type": "message"}, U, "malformed_response"),
    ("ollama", 200, {"done": True}, U, "malformed_response"),
    ("llama_cpp", 200, {"timings": {}}, U, "malformed_response"),
]


@pytest.mark.parametrize(("provider", "status", "body", "error_class", "reason"), TRAPS)
def test_traps(provider: str, status: int, body: Any, error_class: ErrorClass, reason: str) -> None:
    error = classify_response(provider, status, {}, body if isinstance(body, str) else json.dumps(body))
    assert error is not None
    assert (error.error_class, error.reason) == (error_class, reason)
    assert error.provider == provider


@pytest.mark.parametrize(
    ("provider", "body"),
    [
        ("openai", {"choices": [{"message": {"content": ""}, "finish_reason": "length"}], "error": None}),
        ("openai", {"object": "response", "status": "completed", "output": [], "error": None}),
        ("claude", {"type": "message", "content": [], "stop_reason": "end_turn"}),
        ("claude", {"type": "message", "content": [], "stop_reason": "refusal"}),
        ("openrouter", {"choices": [{"message": {"content": None}, "finish_reason": "stop"}]}),
        ("ollama", {"message": {"role": "assistant", "content": "rate limit"}, "done": True}),
        ("ollama", {"response": "", "done": True}),
        ("llama_cpp", {"content": "insufficient_quota", "stop": True}),
        ("something", {"choices": [{"message": {"content": "x"}}]}),
    ],
)
def test_good_answers_are_no_errors(provider: str, body: dict[str, Any]) -> None:
    assert classify_response(provider, 200, {}, json.dumps(body).encode()) is None
    assert classify_payload(provider, 200, {}, body) is None


@pytest.mark.parametrize(
    ("provider", "event", "error_class"),
    [
        ("openai", _openai("The server had an error", "server_error"), U),
        ("openai", {"error": "Overloaded"}, U),
        (
            "openai",
            {
                "type": "response.failed",
                "response": {"status": "failed", "error": {"code": "insufficient_quota", "message": ""}},
            },
            Q,
        ),
        ("openai", {"type": "error", "code": "rate_limit_exceeded", "message": "x", "param": None}, R),
        ("claude", _claude("overloaded_error", "Overloaded"), U),
        ("claude", _claude("rate_limit_error", "x"), R),
        (
            "openrouter",
            {**_router("server_error", "Provider disconnected"), "choices": [{"finish_reason": "error"}]},
            U,
        ),
        ("openrouter", {"choices": [{"delta": {}, "finish_reason": "error"}]}, U),
        ("ollama", {"error": "an error was encountered while running the model: unexpected EOF"}, U),
        ("llama_cpp", {"error": {"code": 400, "message": "x", "type": "exceed_context_size_error"}}, BAD),
        ("llama_cpp", {"code": 500, "message": "x", "type": "server_error"}, U),
        ("llama_cpp", '{"error":{"code":500,"message":"x","type":"server_error"}}', U),
        ("openai", "{cut", U),
        ("openai", b"<html>", U),
    ],
)
def test_errors_in_a_stream(provider: str, event: Any, error_class: ErrorClass) -> None:
    error = classify_event(provider, event)
    assert error is not None
    assert error.error_class is error_class


@pytest.mark.parametrize(
    "event",
    [
        {"choices": [{"delta": {"content": '{"error": "rate limit"}'}, "finish_reason": None}], "error": None},
        {"choices": [], "usage": {}},
        {"type": "ping"},
        {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "error"}},
        {"type": "response.completed", "response": {"error": None}},
        {"model": "m", "message": {"content": "error"}, "done": False},
        {"content": "x", "stop": False},
        "[DONE]",
        "",
        [1, 2],
        None,
    ],
)
def test_good_events_are_no_errors(event: Any) -> None:
    for provider in PROVIDERS:
        assert classify_event(provider, event) is None


def _raised(name: str, *bases: type[BaseException]) -> type[BaseException]:
    return type(name, bases or (Exception,), {})


REQUESTS = _raised("RequestException", OSError)
CONNECTION = _raised("ConnectionError", REQUESTS)
TIMEOUT = _raised("Timeout", REQUESTS)


@pytest.mark.parametrize(
    ("error", "error_class", "reason"),
    [
        (_raised("ConnectTimeout", CONNECTION, TIMEOUT)("x"), T, "connect"),
        (_raised("ReadTimeout", TIMEOUT)("x"), T, "read"),
        (CONNECTION("HTTPConnectionPool(host='h', port=1): Read timed out."), T, "read"),
        (CONNECTION(_raised("ReadTimeoutError")("pool")), T, "read"),
        (CONNECTION("Failed to establish a new connection: [Errno 111] Connection refused"), U, "connection_refused"),
        (CONNECTION("Caused by NameResolutionError: Failed to resolve 'h'"), U, "dns"),
        (CONNECTION(("Connection aborted.", "RemoteDisconnected('Remote end closed')")), U, "connection_reset"),
        (_raised("ProxyError", CONNECTION)("refused: Connection refused"), U, "proxy"),
        (_raised("SSLError", CONNECTION)("x"), U, "tls"),
        (_raised("ChunkedEncodingError", REQUESTS)("Response ended prematurely"), U, "truncated_stream"),
        (_raised("ProtocolError")("Connection broken: IncompleteRead(3)"), U, "truncated_stream"),
        (_raised("ContentDecodingError", REQUESTS)("x"), U, "malformed_response"),
        (_raised("TooManyRedirects", REQUESTS)("x"), BAD, "redirect"),
        (_raised("InvalidURL", REQUESTS, ValueError)("x"), BAD, "bad_url"),
        (_raised("InvalidHeader", REQUESTS, ValueError)("in header value: 'Bearer sk-secret'"), A, "bad_key"),
        (_raised("RetryError", REQUESTS)("too many 503 error responses"), U, "overloaded"),
        (_raised("RetryError", REQUESTS)("too many 429 error responses"), R, "requests"),
        (CONNECTION("something new"), U, "connection"),
        (TimeoutError("timed out"), T, "timeout"),
        (ConnectionRefusedError(111, "Connection refused"), U, "connection_refused"),
        (BrokenPipeError(), U, "connection_reset"),
        (FileNotFoundError("llama-completion"), U, "binary_missing"),
        (RuntimeError("who knows"), U, "unknown"),
    ],
)
def test_exceptions_by_class_name_and_text(error: BaseException, error_class: ErrorClass, reason: str) -> None:
    found = classify_exception("ollama", error)
    assert (found.error_class, found.reason) == (error_class, reason)
    assert "sk-secret" not in str(found)
    assert "sk-secret" not in repr(vars(found))
    assert not found.detail


def test_the_cause_inside_an_exception_counts() -> None:
    outer = CONNECTION("lost")
    outer.__cause__ = _raised("gaierror", OSError)(-2, "x")
    assert classify_exception("openai", outer).reason == "dns"
    outer.__cause__ = outer  # a ring must not be walked for ever
    assert classify_exception("openai", outer).reason == "connection"


def test_a_provider_error_stays_what_it_is() -> None:
    error = ProviderError.of(ErrorClass.QUOTA)
    assert classify_exception("openai", error) is error


def test_an_exception_that_cannot_be_printed() -> None:
    class Silent(Exception):
        def __str__(self) -> str:
            raise ValueError("no")

    assert classify_exception("openai", Silent()).error_class is U


def test_a_client_exception_is_classified_by_its_answer() -> None:
    class Answer:
        status_code = 429
        headers = {"Retry-After": "7", "X-Request-Id": "req_7"}

    class RateLimitError(Exception):
        response = Answer()
        status_code = 429
        body = {"message": "You exceeded your current quota", "code": "insufficient_quota"}

    error = classify_exception("openai", RateLimitError("Error code: 429"))
    assert error.error_class is Q
    assert (error.status, error.code, error.request_id) == (429, "insufficient_quota", "req_7")


@pytest.mark.parametrize(
    ("code", "stderr", "error_class", "reason"),
    [
        (1, "error: invalid argument: --nope", BAD, "bad_parameter"),
        (1, 'error while handling argument "-f": error: failed to open file', BAD, "bad_parameter"),
        (1, "prompt is too long (1202 tokens, max 508)", BAD, "context_length"),
        (1, "failed to open GGUF file 'x' (No such file or directory)\nerror: unable to create context", M, "model"),
        (1, "error: --model is required", M, "model"),
        (1, "gguf_init_from_file: failed to read magic\nfailed to load model 'x'", U, "bad_model_file"),
        (1, "error: failed to create context with model", U, "model_load"),
        (-6, "terminate called: failed to parse grammar", BAD, "bad_parameter"),
        (0, "parse: error parsing grammar: expecting ')'", BAD, "bad_parameter"),
        (-6, "what():  std::bad_alloc", U, "out_of_memory"),
        (-9, "", U, "out_of_memory"),
        (-11, "", U, "crashed"),
        (3221225477, "", U, "crashed"),
        (127, "", U, "binary_missing"),
        (-15, "", U, "terminated"),
        (1, "", U, "exit"),
        (None, "Error: could not connect to ollama app, is it running?", U, "connection_refused"),
    ],
)
def test_processes(code: int | None, stderr: str, error_class: ErrorClass, reason: str) -> None:
    error = classify_process("llama_cpp", code, stderr)
    assert error is not None
    assert (error.error_class, error.reason) == (error_class, reason)


@pytest.mark.parametrize("code", [1, -11, 255])
def test_a_process_that_says_nothing_shows_its_exit_code(code: int) -> None:
    error = classify_process("llama_cpp", code, "")
    assert error is not None
    assert error.detail == f"exit code {code}"


def test_a_process_that_ended_well() -> None:
    assert classify_process("llama_cpp", 0, "0.1 I loaded\nerror is a word of the prompt") is None
    assert classify_process("llama_cpp", None, "") is None


def _wait(headers: dict[str, str], body: Any = "", status: int = 429, **more: Any) -> float | None:
    error: ProviderError | None = classify_response(
        "openai", status, headers, body if isinstance(body, str) else json.dumps(body), **more
    )
    assert error is not None
    wait: float | None = error.retry_after
    return wait


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After-Ms": "1500"}, 1.5),
        ({"retry-after-ms": "0", "retry-after": "1"}, 1),
        ({"retry-after": "2.5"}, 2.5),
        ({"retry-after": "0"}, 0),
        ({"retry-after": "Fri, 29 Sep 2023 16:26:57 GMT", "date": "Fri, 29 Sep 2023 16:26:37 GMT"}, 20),
        ({"retry-after": "Fri, 29 Sep 2023 16:26:57 GMT"}, 20),
        ({"retry-after": "Fri, 29 Sep 2023 16:20:00 GMT"}, 0),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "6m0s"}, 360),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "86ms"}, 0.086),
        ({"x-ratelimit-remaining-tokens": "9", "x-ratelimit-reset-tokens": "6m0s"}, None),
        (
            {
                "anthropic-ratelimit-requests-remaining": "0",
                "anthropic-ratelimit-requests-reset": "2023-09-29T16:26:47Z",
            },
            10,
        ),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1696004827000"}, 30),
        ({"retry-after": "1696004827"}, 30),
        ({"retry-after": "1696004827000"}, 30),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "9" * 500}, None),
        ({}, None),
    ],
)
def test_waits_from_headers(headers: dict[str, str], seconds: float | None) -> None:
    assert _wait(headers, now=NOW) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Please try again in 6.5s. Visit", 6.5),
        ("Please try again in 1m30s.", 90),
        ("Please try again in 86ms.", 0.086),
        ("Please try again in 1h2m3s.", 3723),
        ("Please retry after 6 seconds.", 6),
        ("Please wait 42567 seconds before retrying.", 42567),
        ("try again in about 2 minutes", 120),
        ("Request was throttled. Expected available in 20 seconds.", 20),
        ("or try again in 3 days 4 hours 5 minutes.", 273900),
        ("Please try again later.", None),
        ("Try again with 4 messages", None),
    ],
)
def test_waits_from_sentences(text: str, seconds: float | None) -> None:
    assert _wait({}, _openai(f"Rate limit reached. {text}")) == (None if seconds is None else pytest.approx(seconds))


def test_milliseconds_are_no_binary_fractions() -> None:
    assert _wait({}, _openai("Please try again in 86ms.")) == 0.086
    assert _wait({"retry-after": "86ms"}) == 0.086


def test_waits_from_bodies() -> None:
    assert _wait({}, {"error": {"message": "x", "availability": {"retry_after": 40}}}) == 40
    metadata = {"headers": {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int((NOW + 5) * 1000))}}
    assert _wait({}, _router(429, "x", **metadata), now=NOW) == pytest.approx(5)
    details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "38s"}]
    assert _wait({}, {"error": {"code": 429, "message": "exceeded your current quota", "details": details}}) == 38
    assert _wait({}, {"error": {"message": "x", "retry_after": float(10**9)}}) == 10**9


def test_a_spend_limit_says_until_when() -> None:
    body = _claude("invalid_request_error", "You will regain access on 2023-09-30 at 00:00 UTC.")
    error = classify_response("claude", 400, {}, json.dumps(body), now=NOW)
    assert error is not None
    assert (error.error_class, error.retry_after) == (Q, pytest.approx(1696032000 - NOW))


def test_a_wait_is_no_part_of_an_error_that_waiting_does_not_cure() -> None:
    assert _wait({"retry-after": "5"}, _openai("Unsupported value: x (try again in 12s)"), 400) is None


def test_what_an_error_carries() -> None:
    headers = {"X-Should-Retry": "false", "Request-Id": "req_9", "Retry-After": "3"}
    error = classify_response("anthropic", 429, headers, json.dumps(_claude("rate_limit_error", "Slow")))
    assert error is not None
    assert (error.retry, error.request_id, error.retry_after) == (False, "req_9", 3)
    assert (error.code, error.detail, error.provider) == ("rate_limit_error", "Slow", "anthropic")
    error = classify_response("claude", 500, {"x-should-retry": "true"}, json.dumps(_claude("api_error", "x")))
    assert error is not None
    assert (error.retry, error.request_id) == (True, "req_1")


@pytest.mark.parametrize(
    ("provider", "status", "body", "hint"),
    [
        ("ollama", 404, {"error": "model 'llama3.2' not found"}, "ollama pull llama3.2"),
        ("openai", 401, _openai("x", code="invalid_api_key"), "OPENAI_API_KEY"),
        ("claude", 401, _claude("authentication_error", "x"), "ANTHROPIC_API_KEY"),
        ("openrouter", 402, _router(402, "Insufficient credits"), "openrouter.ai/settings/credits"),
    ],
)
def test_hints(provider: str, status: int, body: Any, hint: str) -> None:
    error = classify_response(provider, status, {}, json.dumps(body))
    assert error is not None
    assert hint in error.hint


def test_a_refused_connection_to_a_local_server_says_how_to_start_it() -> None:
    assert "ollama serve" in classify_exception("ollama", ConnectionRefusedError()).hint
    assert "llama-server" in classify_exception("llama.cpp", ConnectionRefusedError()).hint
    assert not classify_exception("openai", ConnectionRefusedError()).hint


def test_a_cut_connection_is_a_truncated_stream() -> None:
    assert isinstance(classify_exception("openai", _raised("IncompleteRead")("x")), TruncatedStream)


@pytest.mark.parametrize(
    "key",
    [
        "sk-proj-abcdefgh12345678",
        "sk-ant-api03-abcdefgh",
        "AIzaSyA1234567890abcdef",
        "gsk_abcdefghijkl",
        "0123456789abcdef0123456789abcdef",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc",
    ],
)
@pytest.mark.parametrize(
    "around", ["Incorrect API key provided: {}. See", "Bearer {} is bad", "x-api-key: {}", "bad key {}"]
)
def test_keys_are_starred_out(key: str, around: str) -> None:
    error = classify_response("openai", 401, {}, json.dumps(_openai(around.format(key))))
    assert error is not None
    assert key not in repr(vars(error))
    assert "***" in error.detail


def test_detail_is_short_plain_and_free_of_html() -> None:
    error = classify_response("openai", 400, {}, json.dumps(_openai("word " * 1000)))
    assert error is not None
    assert len(error.detail) <= 300
    error = classify_response("openai", 502, {}, "<html><head><title>502\nBad Gateway</title></head><body>x</body>")
    assert error is not None
    assert error.detail == "502 Bad Gateway"


def test_words_that_quote_the_request_mean_nothing() -> None:
    message = 'Failed to parse messages: x; messages = [{"role":"user","content":"rate limit, insufficient credits"}]'
    error = classify_response("llama_cpp", 500, {}, json.dumps({"error": {"code": 500, "message": message}}))
    assert error is not None
    assert error.error_class is BAD
    assert "insufficient" not in error.detail
    body = {"detail": [{"msg": "Field required", "input": {"content": "invalid api key"}}]}
    error = classify_response("openai-compatible", 422, {}, json.dumps(body))
    assert error is not None
    assert error.error_class is BAD


def test_rules_of_the_user_go_first() -> None:
    mine = Rule(ErrorClass.RATE_LIMIT, "nightly", markers=("come back at dawn",), hint="sleep")
    body = json.dumps(_openai("We are tired; come back at dawn", "server_error"))
    for status in (400, 500, 200):
        error = classify_response("openai", status, {}, body, rules=[mine])
        assert error is not None
        assert (error.error_class, error.reason, error.hint) == (R, "nightly", "sleep")
    by_code = Rule(ErrorClass.UNAVAILABLE, "mine", codes=("insufficient_quota",))
    error = classify_response("openai", 429, {}, json.dumps(_openai("x", code="insufficient_quota")), rules=[by_code])
    assert error is not None
    assert error.error_class is U


@pytest.mark.parametrize("name", ["codes", "markers", "kinds"])
def test_a_rule_that_could_not_mean_what_it_says_is_refused(name: str) -> None:
    with pytest.raises(TypeError, match=f"{name} must be a tuple"):
        Rule(Q, "mine", **{name: "one string"})
    for wrong in ("Quota Used Up", ""):
        with pytest.raises(ValueError, match=f"{name} must be words in lower case"):
            Rule(Q, "mine", **{name: ("fine", wrong)})
    with pytest.raises(ValueError, match="must be words in lower case"):
        Rule(Q, "mine", markers=(("two", "Words"),))


def test_safe_detail() -> None:
    prompt = "Tell me about the secret recipe of my grandmother"
    assert safe_detail("bad value at the secret recipe of", [], [prompt]) == ""
    assert safe_detail("bad value", [], [prompt]) == "bad value"
    assert safe_detail("'hello' is not allowed", [], ["hello"]) == ""
    assert safe_detail("a b c is not allowed", [], ["a b"]) == "a b c is not allowed"  # three characters are no prompt
    assert safe_detail('at "say \\"something quoted here\\""', [], ['please say "something quoted here" now']) == ""
    assert safe_detail("key zzz-yyy-1 is wrong", [Secret("zzz-yyy-1")], []) == "key *** is wrong"


@given(st.text(max_size=60), st.text(max_size=200), st.integers(0, 200))
def test_safe_detail_finds_every_window(detail: str, prompt: str, at: int) -> None:
    detail, prompt = " ".join(detail.split()), " ".join(prompt.split())  # of several blanks only one is counted
    mixed = prompt[:at] + detail + prompt[at:]
    if len(detail) >= 16:
        assert safe_detail(detail, [], [mixed]) == ""
    windows = {detail[i : i + 16] for i in range(len(detail) - 15)}
    if any(window in prompt for window in windows):
        assert safe_detail(detail, [], [prompt]) == ""


def test_safe_detail_takes_linear_time() -> None:
    detail = "the model's maximum context length is 8192 tokens " * 6
    prompts = ["word salad with context " * 100_000, " " * 2_000_000]
    start = time.perf_counter()
    safe_detail(detail, [], prompts)
    assert time.perf_counter() - start < 5


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "error",
                    "code",
                    "type",
                    "message",
                    "metadata",
                    "raw",
                    "details",
                    "choices",
                    "status",
                    "response",
                    "availability",
                    "retry_after",
                    "headers",
                    "object",
                    "detail",
                    "errors",
                    "msg",
                ]
            )
            | st.text(max_size=8),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)
STATUS = st.none() | st.integers(-1, 700)
HEADERS = st.dictionaries(
    st.sampled_from(["retry-after", "Retry-After-Ms", "date", "x-ratelimit-remaining", "x-ratelimit-reset", "x"]),
    st.text(max_size=20),
    max_size=4,
)


@settings(max_examples=300)
@given(
    st.sampled_from(PROVIDERS), STATUS, HEADERS, st.binary(max_size=200) | JSON.map(lambda x: json.dumps(x).encode())
)
def test_no_body_crashes_it(provider: str, status: int | None, headers: dict[str, str], body: bytes) -> None:
    error = classify_response(provider, status, headers, body)
    assert error is None or isinstance(error, ProviderError)
    assert error is not None or (status is not None and 200 <= status < 300)
    if error is not None:
        assert len(error.detail) <= 300
        assert error.retry_after is None or 0 <= error.retry_after < float("inf")
        str(error)


@settings(max_examples=200)
@given(st.sampled_from(PROVIDERS), JSON | st.binary(max_size=50))
def test_no_event_crashes_it(provider: str, event: Any) -> None:
    error = classify_event(provider, event)
    assert error is None or isinstance(error, ProviderError)


@given(st.sampled_from(PROVIDERS), st.text(max_size=200), st.none() | st.integers(-70000, 70000))
def test_no_process_and_no_text_crashes_it(provider: str, text: str, code: int | None) -> None:
    error = classify_process(provider, code, text)
    assert error is None or isinstance(error, ProviderError)
    assert isinstance(classify_exception_text(provider, text), ProviderError)
    assert isinstance(classify_exception(provider, RuntimeError(text)), ProviderError)


def test_deeply_nested_bodies() -> None:
    for body in ("[" * 100_000, '{"error":' * 50_000, json.dumps({"error": '{"error": "' + "x" * 9 + '"}'})):
        assert isinstance(classify_response("openai", 500, {}, body), ProviderError)
    nested: Any = "x"
    for _ in range(300):
        nested = {"error": nested, "metadata": {"raw": nested}}
    assert isinstance(classify_payload("openai", 500, {}, nested), ProviderError)


def test_huge_bodies_are_quick() -> None:
    start = time.perf_counter()
    for filler in ("a", '"message":"', "key ", "error: ", "<html ", "try again in 1m "):
        body = filler * (1_000_000 // len(filler))
        classify_response("openai", 500, {}, body)
        classify_exception_text("openai", body)
        classify_process("llama_cpp", 1, body)
    assert time.perf_counter() - start < 20


def test_a_good_event_costs_next_to_nothing() -> None:
    event = {"id": "x", "choices": [{"index": 0, "delta": {"content": "hi"}, "finish_reason": None}]}
    start = time.perf_counter()
    for _ in range(10_000):
        classify_event("openai", event)
    assert time.perf_counter() - start < 0.5  # 50 us each: an order of magnitude above what it takes


@pytest.mark.parametrize(
    ("provider", "status", "body", "error_class", "reason"),
    [
        (
            "claude",
            400,
            _claude("invalid_request_error", "tools: Tool names must be unique. Found duplicate: rate_limit_status"),
            BAD,
            "bad_parameter",
        ),
        ("openai", 400, _openai("Tool 'rate_limit' has too many requests in its schema"), BAD, "bad_parameter"),
        ("openai", 404, _openai("Tool 'model' not found"), BAD, "bad_endpoint"),
        ("openai", 404, _openai("The model `gpt-9` does not exist"), M, "model"),
        ("openai", 429, _openai("Rate limit reached on tokens per min"), R, "tokens"),
        (
            "claude",
            400,
            _claude("invalid_request_error", "x", details={"error_code": "request_body_timeout"}),
            T,
            "upstream",
        ),
        ("claude", 400, _claude("invalid_request_error", "messages.1.tool_use.name: timeout"), BAD, "bad_parameter"),
        ("ollama", 405, "405 method not allowed", BAD, "bad_endpoint"),
        ("ollama", 400, {"error": '"llama3.2" does not support thinking'}, BAD, "unsupported_feature"),
    ],
)
def test_words_that_a_status_makes_meaningless(
    provider: str, status: int, body: Any, error_class: ErrorClass, reason: str
) -> None:
    error = classify_payload(provider, status, {}, body)
    assert error is not None
    assert (error.error_class, error.reason) == (error_class, reason)


def test_a_code_is_taken_whole_or_not_at_all() -> None:
    error = classify_response("x", 500, {}, "Error: {'code': '" + "k" * 99 + "'}")
    assert error is not None
    assert error.code is None

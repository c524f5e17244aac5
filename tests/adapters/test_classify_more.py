"""The classifier beyond its first corpus: more real errors, what may overrule a status, and what is only quoted."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainstay.adapters.classify import Rule, classify_exception_text, classify_payload, classify_response
from mainstay.adapters.rules import GENERIC
from mainstay.pipeline import ErrorClass, ProviderError
from support.labelled import classified, rows

ROWS = rows("more_errors.jsonl")
NOW = 1_790_000_000.0  # Mon, 21 Sep 2026 14:13:20 GMT
A, Q, R = ErrorClass.AUTHENTICATION, ErrorClass.QUOTA, ErrorClass.RATE_LIMIT
T, U = ErrorClass.TIMEOUT, ErrorClass.UNAVAILABLE
M, BAD = ErrorClass.MODEL_NOT_FOUND, ErrorClass.INVALID_REQUEST


def _vendor(row: dict[str, Any]) -> str:
    return str(row["id"]).rsplit("-", 1)[0]


def _is_right(row: dict[str, Any]) -> bool:
    error = classified(row, NOW)
    return error is not None and error.error_class.name == row["class"]


def test_more_labelled_errors(capsys: pytest.CaptureFixture[str]) -> None:
    total = Counter((_vendor(row), row["debatable"]) for row in ROWS)
    right = Counter((_vendor(row), row["debatable"]) for row in ROWS if _is_right(row))
    with capsys.disabled():
        print("\nserver        certain    debatable")
        for name in sorted({vendor for vendor, _ in total}):
            cells = (f"{right[name, flag]:>3} of {total[name, flag]:<3}" for flag in (False, True))
            print(f"{name:<12}", *cells)
    misses = [row["id"] for row in ROWS if not _is_right(row)]
    certain = sum(count for (_, debatable), count in total.items() if not debatable)
    assert sum(count for (_, debatable), count in right.items() if not debatable) >= 0.95 * certain, misses
    assert right.total() >= 0.9 * total.total(), misses


def test_further_errors() -> None:
    """What servers' sources say that they answer, and what clients raise: plain cases, so none may be missed."""
    further = rows("further_errors.jsonl")
    assert len(further) >= 400
    assert [row["id"] for row in further if not _is_right(row)] == []
    waits = {row["id"]: row["retry_after_s"] for row in further if row["retry_after_s"] is not None}
    assert {row["id"]: _wait(row) for row in further if row["id"] in waits} == pytest.approx(waits)


def _wait(row: dict[str, Any]) -> float | None:
    error = classified(row, NOW)
    return None if error is None else error.retry_after


def test_a_server_of_unknown_make_is_read_as_well() -> None:
    compatible = [{**row, "provider": "openai-compatible"} for row in ROWS if row["provider"] == "openai"]
    certain = [row for row in compatible if not row["debatable"]]
    misses = [row["id"] for row in certain if not _is_right(row)]
    assert len(misses) <= 0.05 * len(certain), misses


def _classified(provider: str, status: int, body: Any) -> ProviderError:
    error = classify_payload(provider, status, {}, body, now=NOW)
    assert error is not None
    return error


def _error(message: str, kind: str | None = None, code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


# A 5xx is the server's word that the fault is its own.


@pytest.mark.parametrize("provider", ["openai", "anthropic", "openrouter", "ollama", "llama_cpp", "openai-compatible"])
@pytest.mark.parametrize(
    "message",
    [
        "An unexpected error occurred: unauthorized",
        "upstream said: login required",
        "The model x was not found in the cache",
        "Cannot POST /v1/models/x",
        "permission denied: /var/run/engine.sock",
        "account is suspended on node 7",
        "Service Unavailable, please retry after 30 seconds",
    ],
)
@pytest.mark.parametrize("status", [500, 502, 503])
def test_words_about_the_caller_do_not_overrule_a_5xx(provider: str, message: str, status: int) -> None:
    assert _classified(provider, status, _error(message)).error_class is U
    assert _classified(provider, status, message).error_class is U


@pytest.mark.parametrize(
    ("status", "body", "error_class"),
    [
        # The provider's own code says it.
        (500, _error("x", code="invalid_api_key"), A),
        (503, _error("x", code="model_not_found"), M),
        (500, _error("x", "authentication_error"), A),
        (500, _error("x", "invalid_request_error"), BAD),
        (500, "litellm.AuthenticationError: AuthenticationError: OpenAIException - x", A),
        # Words that mean one thing only, which gateways are known to send with a 500.
        (500, _error("insufficient balance (1008)", "api_error"), Q),
        (502, _error("This model's maximum context length is 8192 tokens."), BAD),
        (500, _error("Incorrect API key provided: sk-x"), A),
        (500, _error("Rate limit reached for gpt-4o on requests per min"), R),
    ],
)
@pytest.mark.parametrize("provider", ["openai", "openai-compatible"])
def test_what_does_overrule_a_5xx(provider: str, status: int, body: Any, error_class: ErrorClass) -> None:
    assert _classified(provider, status, body).error_class is error_class


def test_the_callers_own_words_overrule_any_status() -> None:
    mine = Rule(ErrorClass.AUTHENTICATION, "badge", markers=("show your badge",))
    for status in (200, 400, 500, 503):
        error = classify_payload("openai", status, {}, _error("Please show your badge"), rules=[mine])
        assert error is not None
        assert (error.error_class, error.reason) == (A, "badge")


def test_a_rule_for_all_that_is_about_the_caller_says_where_it_overrules_a_5xx() -> None:
    # Whoever adds a row must think of it: no row may say "any status" by leaving the statuses out.
    loud = [rule for rule in GENERIC if rule.markers and rule.error_class not in (U, T) and 503 in rule.statuses]
    assert {rule.reason for rule in loud} <= {
        "too_large", "tokens", "requests", "slow_down", "concurrency", "daily_limit",
        "insufficient_quota", "spend_limit", "context_length",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, "tools.0.name: 'is_overloaded' is too long"),
        (400, "unknown argument: unauthorized_mode"),
        (400, "Tool choice 'get_model' not found in 'tools' parameter."),
        (400, "Function call 'timeout' was not expected"),
        (422, "Unknown field `rate_limit` in the request"),
        (404, "Route POST:/v1/models/chat not found"),
        (404, "Cannot POST /v1/model/x"),
        (404, "The requested URL was not found. See https://example.org/docs/model-not-found"),
        (400, "Bad value. See https://example.org/docs/insufficient-quota and https://example.org/context-window"),
    ],
)
@pytest.mark.parametrize("provider", ["openai", "anthropic", "openrouter", "openai-compatible"])
def test_names_paths_and_addresses_say_nothing(provider: str, status: int, message: str) -> None:
    assert _classified(provider, status, _error(message, "invalid_request_error")).error_class is BAD


@pytest.mark.parametrize(
    ("status", "page", "error_class", "reason"),
    [
        (403, "<html><head><title>Attention Required! | Cloudflare</title></head></html>", A, "blocked"),
        (404, "<!DOCTYPE html><html><title>Error 404 (Not Found)!!1</title>the model", BAD, "bad_endpoint"),
        (500, "<html><title>500 Internal Server Error</title>unauthorized</html>", U, "server_error"),
        (502, "<html><title>502 Bad Gateway</title></html>", U, "gateway"),
        (504, "<html><title>504 Gateway Time-out</title></html>", T, "upstream"),
        (429, "<html><title>429 Too Many Requests</title></html>", R, "requests"),
    ],
)  # fmt: skip
def test_pages_are_read_by_their_title(status: int, page: str, error_class: ErrorClass, reason: str) -> None:
    error = classify_response("openai", status, {"content-type": "text/html"}, page)
    assert error is not None
    assert (error.error_class, error.reason) == (error_class, reason)


# What a message quotes of the request changes nothing.

MARKERS = sorted({marker for rule in GENERIC for marker in rule.markers if isinstance(marker, str)})
ECHOED = st.lists(st.sampled_from(MARKERS) | st.text("abc ", max_size=10), max_size=6).map(" ".join)
QUOTING: list[tuple[str, int, Any]] = [
    # llama.cpp prints the conversation that it could not read.
    ("llama_cpp", 500, lambda words: _error(f"Failed to parse messages: x; messages = [{words}]")),
    # FastAPI and pydantic show the input next to what is wrong with it.
    ("openai", 422, lambda words: {"detail": [{"loc": ["body"], "msg": "Field required", "input": words}]}),
    ("openai", 400, lambda words: _error(f"Field required [type=missing, input_value='{words}', input_type=str]")),
    ("anthropic", 400, lambda words: _error(f"Bad message: {{'role': 'user', 'content': '{words}'}}")),
    # Google says where the value stood, its type, and the value.
    ("openai", 400, lambda words: _error(f"Invalid value at 'contents[0]' (type.googleapis.com/Part), \"{words}\"")),
    # Groq and OpenRouter hand it over in a field of its own.
    ("openai", 400, lambda words: {"error": {"message": "Failed to call a function", "failed_generation": words}}),
    ("openrouter", 403, lambda words: {"error": {"code": 403, "message": "flagged",
                                                 "metadata": {"reasons": ["x"], "flagged_input": words}}}),
    # The name of a tool is the caller's.
    ("openai", 400, lambda words: _error(f"Tool '{words[:60]}' is not one of the tools")),
]  # fmt: skip


@settings(max_examples=150)
@given(st.sampled_from(QUOTING), ECHOED)
def test_quoted_words_do_not_change_the_class(quoting: tuple[str, int, Any], words: str) -> None:
    provider, status, body = quoting
    words = words.replace("'", "").replace('"', "").replace("`", "")
    plain, quoted = (_classified(provider, status, body(text)) for text in ("hello", words))
    assert (quoted.error_class, quoted.reason) == (plain.error_class, plain.reason)


# Exceptions of which the text is left.


@pytest.mark.parametrize(
    ("text", "error_class"),
    [
        ("GatewayAuthenticationError: Unauthenticated request", A),
        # Clients that found no key at all: Bedrock's and Vertex's, and the wording of others.
        ("botocore.exceptions.NoCredentialsError: Unable to locate credentials", A),
        ("google.auth.exceptions.DefaultCredentialsError: Your default credentials were not found.", A),
        ("Error: no credentials found for profile main", A),
        ("grpc.RpcError: StatusCode.DEADLINE_EXCEEDED", T),
        ("AzureRateLimitError: slow", R),
        ("VendorBadRequestError: no", BAD),
        ("openai.PermissionDeniedError: Error code: 403 - {'detail': 'Forbidden'}", A),
        ("openai.APIStatusError: Error code: 413 - {'message': 'Request Too Long'}", BAD),
        ("openai.InternalServerError: Error code: 503 - {'detail': 'unauthorized'}", U),
    ],
)
def test_an_exception_is_one_of_those_that_its_name_ends_with(text: str, error_class: ErrorClass) -> None:
    assert classify_exception_text("openai", text).error_class is error_class


def test_minimax_says_it_in_a_200() -> None:
    failed = {"choices": None, "base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}
    error = _classified("openai-compatible", 200, failed)
    assert (error.error_class, error.detail) == (Q, "insufficient balance")
    good = {"choices": [{"message": {"content": "x"}}], "base_resp": {"status_code": 0, "status_msg": "success"}}
    assert classify_payload("openai-compatible", 200, {}, good) is None

"""How long a provider asks to wait: every form, from headers, sentences and bodies, and nothing absurd."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.adapters.classify import classify_payload, classify_response
from mainstay.pipeline import ProviderError
from support.labelled import classified, rows

ROWS = [row for row in rows("more_errors.jsonl") if row["retry_after_s"] is not None]
NOW = 1_790_000_000.0  # Mon, 21 Sep 2026 14:13:20 GMT


def _error(message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": None, "param": None, "code": None}}


def _classified(provider: str, status: int, body: Any, **headers: str) -> ProviderError:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    error = classify_payload(provider, status, names, body, now=NOW)
    assert error is not None
    return error


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_the_stated_wait_is_found(row: dict[str, Any]) -> None:
    error = classified(row, NOW)
    assert error is not None
    assert error.retry_after == pytest.approx(row["retry_after_s"])


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry-after-ms": "1200", "retry-after": "2"}, 1.2),
        ({"Retry-After": "34"}, 34),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after": "Mon, 21 Sep 2026 14:14:00 GMT"}, 40),
        # The provider's clock is its own: an hour behind ours, and 40 seconds are still 40 seconds.
        ({"retry-after": "Mon, 21 Sep 2026 13:14:00 GMT", "date": "Mon, 21 Sep 2026 13:13:20 GMT"}, 40),
        ({"retry-after": "Mon, 21 Sep 2026 14:00:00 GMT"}, 0),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "1h2m3.5s"}, 3723.5),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "86ms"}, 0.086),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1790000030"}, 30),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1790000030000"}, 30),
        ({"ratelimit-remaining": "0", "ratelimit-reset": "42"}, 42),
        (
            {
                "anthropic-ratelimit-input-tokens-remaining": "0",
                "anthropic-ratelimit-input-tokens-reset": "2026-09-21T14:13:32Z",
            },
            12,
        ),
        # Anthropic's subscriptions tell of several windows at once; which one it is that refuses, they say themselves.
        (
            {
                "anthropic-ratelimit-unified-status": "rejected",
                "anthropic-ratelimit-unified-reset": "1790000900",
                "anthropic-ratelimit-unified-overage-status": "rejected",
                "anthropic-ratelimit-unified-overage-reset": "1792000000",
            },
            900,
        ),
        ({"anthropic-ratelimit-unified-status": "allowed", "anthropic-ratelimit-unified-reset": "1790000900"}, None),
        # The longest of what is used up; a limit that is not used up says nothing.
        (
            {
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "2s",
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "7s",
            },
            7,
        ),
        ({"x-ratelimit-remaining-tokens": "1", "x-ratelimit-reset-tokens": "7s"}, None),
        ({"x-ratelimit-remaining-tokens": "0"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "NaN"}, None),
        ({"retry-after": "Infinity"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after-ms": "nan", "retry-after": "3"}, 3),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "tomorrow"}, None),
        # Long is not absurd: whether to wait for it is the layers' business.
        ({"retry-after": "31536000"}, 31536000),
    ],
)
def test_waits_in_headers(headers: dict[str, str], wait: float | None) -> None:
    error = classify_payload("openai", 429, headers, _error("slow"), now=NOW)
    assert error is not None
    assert error.retry_after == (None if wait is None else pytest.approx(wait))


@pytest.mark.parametrize(
    ("text", "wait"),
    [
        ("Please try again in 6.5s. Visit the dashboard", 6.5),
        ("try again in 1m30s", 90),
        ("try again in 86ms", 0.086),
        ("try again in 114h18m0s", 411480),
        ("Try again in 20 minutes", 1200),
        ("Please retry after 34 seconds.", 34),
        ("Please retry in 58.821668433s.", 58.821668433),
        ("please try again after 1 seconds", 1),
        ("Please wait 36 seconds before retrying.", 36),
        ("Weekly usage limit reached. Resets in 6hr 29min.", 23340),
        ("try again in 1 hour and 5 minutes", 3900),
        ("limit reached; resets at 2026-09-21T14:15:00Z", 100),
        ("You will regain access on 2026-09-22 at 00:00 UTC.", 35200),
        ("Please try again at 2026-09-21 16:14:00+02:00", 40),
        ("Please try again.", None),
        ("retry with 3 messages", None),
        ("Limit 30000, Used 29937, Requested 385", None),
        ("try again in -5 seconds", None),
    ],
)
def test_waits_in_sentences(text: str, wait: float | None) -> None:
    error = _classified("openai", 429, _error(f"Rate limit reached. {text}"))
    assert error.retry_after == (None if wait is None else pytest.approx(wait))


@pytest.mark.parametrize(
    ("error", "wait"),
    [
        ({"retry_after": 40}, 40),
        ({"retry_after": "40s"}, 40),
        ({"availability": {"retry_after": 7}}, 7),
        ({"resets_in_seconds": 13872, "resets_at": 1}, 13872),
        ({"resets_at": 1_790_000_030}, 30),
        ({"resets_at": "2026-09-21T14:13:30Z"}, 10),
        ({"details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "26.5s"}]}, 26.5),
        ({"metadata": {"headers": {"X-RateLimit-Reset": "1790000005000"}}}, 5),
        ({"retry_after": -1}, None),
        ({"retry_after": True}, None),
        ({"retry_after": [1]}, None),
        ({"resets_at": None}, None),
    ],
)
def test_waits_in_bodies(error: dict[str, Any], wait: float | None) -> None:
    found = _classified("openrouter", 429, {"error": {"message": "slow", **error}})
    assert found.retry_after == (None if wait is None else pytest.approx(wait))


@pytest.mark.parametrize(("value", "retry"), [("true", True), ("False", False), ("maybe", None), ("", None)])
def test_the_provider_may_say_whether_to_try_again(value: str, retry: bool | None) -> None:
    assert _classified("anthropic", 500, _error("x"), x_should_retry=value).retry is retry


@given(
    st.dictionaries(
        st.sampled_from(["retry-after", "retry-after-ms", "x-ratelimit-reset", "x-ratelimit-remaining", "date"]),
        st.text(max_size=40) | st.floats().map(str) | st.integers().map(str),
    ),
    st.dictionaries(
        st.sampled_from(["retry_after", "resets_at", "retryDelay", "message", "metadata", "headers"]),
        st.text(max_size=40) | st.floats() | st.integers() | st.none(),
    ),
)
def test_no_wait_is_absurd(headers: dict[str, str], error: dict[str, Any]) -> None:
    found = classify_response("openai", 429, headers, json.dumps({"error": error}), now=NOW)
    assert found is not None
    assert found.retry_after is None or 0 <= found.retry_after < float("inf")

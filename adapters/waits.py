"""How long a provider asks us to wait: headers, bodies and sentences, turned into seconds.

Sources: RFC 9110 (Retry-After), OpenAI API reference (rate limit headers are Go durations, `retry-after-ms`),
Anthropic API reference (rate limit headers are RFC 3339 instants), OpenRouter documentation (`availability`,
`X-RateLimit-Reset`), Google's `RetryInfo`.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

__all__ = ["duration", "wait_from_body", "wait_from_headers", "wait_from_text"]

_GO = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|[smhd])")
_SENTENCE = re.compile(
    r"(?:try again|retry|retrying|wait|resets?|available(?: again)?)(?: again| your request)?\W{1,3}"
    r"(?:in|after|for|at least)?\s?(?:about |approximately |at least )?"
    r"((?:\d{1,12}(?:\.\d{1,12})?\s?"
    r"(?:milliseconds?|ms|seconds?|secs?|minutes?|mins?|hours?|hrs?|days?|[smhd])(?![a-z]),?\s?(?:and )?){1,4})",
    re.I,
)
_PART = re.compile(r"(\d+(?:\.\d+)?)\s?([a-zµ]+)", re.I)
_INSTANT = re.compile(
    r"(?:regain access|resets?|try again|retry|available(?: again)?) (?:on |at |after )?(\d{4}-\d\d-\d\d)"
    r"(?:(?:T| at | )(\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?)([+-]\d\d:\d\d)?)?",
    re.I,
)
_EPOCH_MS = 1e11  # an epoch time above it is in milliseconds
_EPOCH = 1e9  # a wait above it is an instant, below it a number of seconds
_UNITS: Mapping[str, float] = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600, "d": 86400}
_BODY_KEYS = ("retry_after", "retry_after_seconds", "retryafter", "retry_after_s", "resets_in_seconds", "retrydelay")
_BODY_INSTANTS = ("resets_at", "reset_at")


def seconds(value: object) -> float | None:
    """A number of seconds that makes sense, or None: not NaN, not infinite, not negative, not a bool."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and number >= 0 else None


def duration(text: str) -> float | None:
    """Reads a duration such as "6m0s", "120ms", "1h2m3.5s", "38s" or a bare number of seconds; None if it is none."""
    text = text.strip()
    if len(text) > 40:
        return None
    plain = seconds(text)
    if plain is not None:
        return plain
    if not re.fullmatch(r"(?:\d+(?:\.\d+)?(?:ms|us|µs|ns|[smhd]))+", text):
        return None
    return _sum((number, _UNITS[unit]) for number, unit in _GO.findall(text))


def _sum(parts: Iterable[tuple[str, float]]) -> float | None:
    """Seconds, without what binary fractions add to them: 86 ms are 0.086."""
    return seconds(round(sum(float(number) * unit for number, unit in parts), 9))


def wait_from_headers(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """The wait that the headers state: `retry-after-ms`, then `retry-after`, then limits that are used up.

    Args:
        headers: names in lower case.
        now: seconds since the epoch, against which dates are read if there is no `date` header; None asks the clock.
    """
    clock = _clock(headers, now)
    stated = [seconds(headers.get("retry-after-ms"))]
    if stated[0] is not None:
        stated[0] /= 1000
    stated.append(_retry_after(headers.get("retry-after", ""), clock))
    numbers = [number for number in stated if number is not None]
    if numbers:
        return next((number for number in numbers if number > 0), 0.0)
    waits: list[float | None] = []
    for name, value in headers.items():
        # OpenAI: x-ratelimit-remaining-tokens and x-ratelimit-reset-tokens; Anthropic: the word comes last.
        if "ratelimit" in name and "remaining" in name and seconds(value) == 0:
            waits.append(_reset(headers.get(name.replace("remaining", "reset"), ""), clock))
    # Anthropic's subscriptions have no "remaining": they say whether all windows together refuse, and until when.
    if headers.get("anthropic-ratelimit-unified-status") == "rejected":
        waits.append(_reset(headers.get("anthropic-ratelimit-unified-reset", ""), clock))
    return max((wait for wait in waits if wait is not None), default=None)


def wait_from_body(error: Mapping[str, Any], now: float | None = None) -> float | None:
    """The wait that an error object states: OpenRouter's `availability` and `metadata`, Google's `RetryInfo`."""
    places: list[Any] = [error, error.get("availability"), error.get("metadata")]
    details = error.get("details")
    places.extend(details[:20] if isinstance(details, list) else [details])
    for place in places:
        if not isinstance(place, Mapping):
            continue
        stated = {key.lower(): value for key, value in place.items() if isinstance(key, str)}
        waits = [duration(value) if isinstance(value, str) else seconds(value) for value in map(stated.get, _BODY_KEYS)]
        waits.extend(_reset(str(stated[key]), _clock({}, now)) for key in _BODY_INSTANTS if key in stated)
        for wait in waits:
            if wait is not None:
                return wait
        nested = place.get("headers")
        if isinstance(nested, Mapping):
            names = {str(name).lower(): str(value) for name, value in nested.items()}
            wait = wait_from_headers(names, now)
            if wait is None and names.get("x-ratelimit-reset"):
                wait = _reset(names["x-ratelimit-reset"], _clock(names, now))
            if wait is not None:
                return wait
    return None


def wait_from_text(text: str, now: float | None = None) -> float | None:
    """The wait that a sentence states: "Please try again in 6m0s", "retry after 20 seconds"."""
    found = _SENTENCE.search(text)
    if found:
        return _sum((number, _unit(unit)) for number, unit in _PART.findall(found[1]))
    instant = _INSTANT.search(text)
    if instant:
        return _until(f"{instant[1]}T{instant[2] or '00:00'}{instant[3] or '+00:00'}", _clock({}, now))
    return None


def _unit(word: str) -> float:
    word = word.lower()
    return _UNITS["ms"] if word.startswith(("ms", "milli")) else _UNITS.get(word[0], 1)


def _clock(headers: Mapping[str, str], now: float | None) -> Callable[[], float]:
    """What the time is for the provider: its own Date header knows nothing of our clock being wrong."""

    def clock() -> float:
        date = _http_date(headers.get("date", ""))
        if date is not None:
            return date
        return time.time() if now is None else now

    return clock


def _retry_after(value: str, clock: Callable[[], float]) -> float | None:
    plain = duration(value)
    if plain is not None:
        return _left(plain, clock)
    date = _http_date(value)
    return None if date is None else max(0.0, date - clock())


def _http_date(value: str) -> float | None:
    if not value or len(value) > 60:
        return None
    try:
        date = parsedate_to_datetime(value)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _reset(value: str, clock: Callable[[], float]) -> float | None:
    wait = duration(value)
    return _until(value, clock) if wait is None else _left(wait, clock)


def _left(number: float, clock: Callable[[], float]) -> float:
    """The seconds, also where they are an instant, in seconds or milliseconds since the epoch."""
    if number <= _EPOCH:
        return number
    return max(0.0, (number / 1000 if number > _EPOCH_MS else number) - clock())


def _until(value: str, clock: Callable[[], float]) -> float | None:
    if not value or len(value) > 60:
        return None
    try:
        date = datetime.fromisoformat(value)
        return max(0.0, (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - clock())
    except (ValueError, OverflowError):
        return None

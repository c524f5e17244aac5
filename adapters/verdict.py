"""The one order in which an error is judged, and the making of the ProviderError.

1. codes and types that mean exactly one thing beat everything: `insufficient_quota` in a 429 is no rate limit;
2. words in the provider's message beat the status: "credit balance is too low" in a 400 is about money;
3. types that only repeat a status ("rate_limit_error") beat the status, which may be a gateway's;
4. the status.

The caller's own rules go before all of it: whoever writes one knows better. Of the tables the provider's go first, in
each step. A 5xx is the server's word that the fault is its own: of the rules for all, words about the caller's fault
overrule it only where the rule lists it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..pipeline import ErrorClass, ProviderError, TruncatedStream
from .answers import Found
from .hints import hint_for
from .provider_rules import PROVIDER_RULES, status_rule
from .redact import shorten
from .rules import GENERIC, Rule
from .waits import wait_from_body, wait_from_headers, wait_from_text

__all__ = ["REQUEST_IDS", "canonical", "holds", "judged", "made", "matching"]

_CANONICAL: Mapping[str, str] = {
    "anthropic": "claude",
    "llama.cpp": "llama_cpp",
    "llamacpp": "llama_cpp",
    "llama-cpp": "llama_cpp",
}
_SERVERS = (ErrorClass.UNAVAILABLE, ErrorClass.TIMEOUT)
_WORDS_5XX = tuple(rule for rule in GENERIC if rule.statuses or rule.error_class in _SERVERS)
# Of a server that only speaks OpenAI's protocol any provider's meaning may hold, Ollama's 500 for a bad value as well;
# but only after what all have in common, since llama.cpp's broadest words are no other's.
_COMPATIBLE: tuple[Rule, ...] = tuple(
    rule
    for rules in PROVIDER_RULES.values()
    for rule in rules
    if rule.reason not in ("credit", "bad_endpoint", "key_limit", "unsupported_feature")
)
REQUEST_IDS = ("x-request-id", "request-id", "x-generation-id", "apim-request-id", "x-amzn-requestid")
_WAITING = frozenset({ErrorClass.RATE_LIMIT, ErrorClass.QUOTA, ErrorClass.UNAVAILABLE, ErrorClass.TIMEOUT})
_MODEL_WORDS = re.compile(r"\b(?:model|deployment)\b")


def canonical(provider: str) -> str:
    """The name under which a provider's tables stand."""
    return _CANONICAL.get(provider, provider)


def judged(
    provider: str,
    status: int,
    headers: Mapping[str, str],
    found: Found,
    rules: Sequence[Rule],
    now: float | None,
) -> ProviderError:
    stated = status if status >= 300 else found.status
    rule = matching(provider, found, stated, rules)
    if rule is not None:
        error_class, reason, hint = rule.error_class, rule.reason, rule.hint
    else:
        error_class, reason = status_rule(stated, bool(_MODEL_WORDS.search(found.words)) and not found.html)
        hint = ""
        if (found.html and stated == 403) or "cf-mitigated" in headers:
            reason = "blocked"
    # Inside a 200 the body's own status is the one that means something (OpenRouter documentation: errors).
    return made(provider, error_class, reason, hint, found, stated or status or None, headers, now)


def matching(provider: str, found: Found, status: int, rules: Sequence[Rule]) -> Rule | None:
    """The first rule that fits, step by step: codes, words, types. None leaves it to the status."""
    if rules:
        theirs = _for(status, tuple(rules))
        if (rule := _fitting(found, theirs, theirs)) is not None:
            return rule
    own = PROVIDER_RULES.get(canonical(provider))
    first, last = (own, ()) if own is not None else ((), _COMPATIBLE)
    table = _for(status, (*first, *GENERIC, *last))
    return _fitting(found, table, table if status < 500 else _for(status, (*first, *_WORDS_5XX, *last)))


def _fitting(found: Found, table: tuple[Rule, ...], worded: tuple[Rule, ...]) -> Rule | None:
    codes, words = {code.lower() for code in (*found.codes, *found.signs)}, found.words
    if codes:
        for rule in table:
            if not codes.isdisjoint(rule.codes):
                return rule
    if words:
        for rule in worded:
            if any(holds(words, marker) for marker in rule.markers):
                return rule
    if codes:
        for rule in table:
            if not codes.isdisjoint(rule.kinds):
                return rule
    return None


def _for(status: int, rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
    return tuple(rule for rule in rules if not rule.statuses or status in rule.statuses)


def holds(words: str, marker: str | tuple[str, ...]) -> bool:
    if isinstance(marker, str):
        return marker in words
    at = 0
    for part in marker:
        at = words.find(part, at)
        if at < 0:
            return False
        at += len(part)
    return True


def made(
    provider: str,
    error_class: ErrorClass,
    reason: str,
    hint: str,
    found: Found,
    status: int | None,
    headers: Mapping[str, str],
    now: float | None,
) -> ProviderError:
    should = headers.get("x-should-retry", "").lower()
    request_id = next((headers[name] for name in REQUEST_IDS if headers.get(name)), found.request_id)
    fields: dict[str, Any] = {
        "reason": reason,
        "provider": provider,
        "status": status,
        "code": next((code for code in found.codes if code), None),
        "retry_after": _wait(error_class, found, headers, now),
        "request_id": request_id[:200] if request_id else None,
        "retry": {"true": True, "false": False}.get(should),
        "hint": hint or hint_for(canonical(provider), error_class, reason, found.message),
        "detail": shorten(found.shown),
    }
    if reason == "truncated_stream":
        return TruncatedStream(**fields)
    return ProviderError.of(error_class, **fields)


def _wait(error_class: ErrorClass, found: Found, headers: Mapping[str, str], now: float | None) -> float | None:
    if error_class not in _WAITING:
        return None
    wait = wait_from_headers(headers, now)
    if wait is None:
        wait = wait_from_body(found.body, now)
    if wait is None and found.message:
        wait = wait_from_text(found.message[:4000], now)
    if wait is None and found.more:
        wait = wait_from_text(found.more[:4000], now)
    return wait

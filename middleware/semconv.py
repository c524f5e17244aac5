"""The names that traces and metrics use: OpenTelemetry's GenAI and HTTP conventions, and our own `mainstay.*`.

They stand here, and not in the conventions' own package, because that package marks every GenAI name as moved
and lacks the newer ones; on the wire the strings are the same (semantic conventions 1.41 to 1.44).
"""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["INSTRUMENTS", "PROVIDERS", "REASONS", "SCHEMA_URL", "Instrument"]

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.41.0"

# What was asked for.
OPERATION_NAME: Final = "gen_ai.operation.name"
PROVIDER_NAME: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
REQUEST_STREAM: Final = "gen_ai.request.stream"
MAX_TOKENS: Final = "gen_ai.request.max_tokens"
TEMPERATURE: Final = "gen_ai.request.temperature"
TOP_P: Final = "gen_ai.request.top_p"
TOP_K: Final = "gen_ai.request.top_k"
FREQUENCY_PENALTY: Final = "gen_ai.request.frequency_penalty"
PRESENCE_PENALTY: Final = "gen_ai.request.presence_penalty"
SEED: Final = "gen_ai.request.seed"
STOP_SEQUENCES: Final = "gen_ai.request.stop_sequences"
CHOICE_COUNT: Final = "gen_ai.request.choice.count"
REASONING_LEVEL: Final = "gen_ai.request.reasoning.level"
OUTPUT_TYPE: Final = "gen_ai.output.type"

# What came of it.
RESPONSE_MODEL: Final = "gen_ai.response.model"
RESPONSE_ID: Final = "gen_ai.response.id"
FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
TIME_TO_FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
CACHED_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"
REASONING_TOKENS: Final = "gen_ai.usage.reasoning.output_tokens"

# What was said, if it is to be recorded.
INPUT_MESSAGES: Final = "gen_ai.input.messages"
OUTPUT_MESSAGES: Final = "gen_ai.output.messages"
SYSTEM_INSTRUCTIONS: Final = "gen_ai.system_instructions"
TOOL_DEFINITIONS: Final = "gen_ai.tool.definitions"

# How it went over the wire.
REQUEST_METHOD: Final = "http.request.method"
STATUS_CODE: Final = "http.response.status_code"
RESEND_COUNT: Final = "http.request.resend_count"
URL: Final = "url.full"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"
ERROR_TYPE: Final = "error.type"

# Our own.
OUTCOME: Final = "mainstay.outcome"
ATTEMPTS: Final = "mainstay.attempts"
ATTEMPT: Final = "mainstay.attempt"
ROUTE: Final = "mainstay.route"
TARGET: Final = "mainstay.target"
REASON: Final = "mainstay.reason"
RETRY_AFTER: Final = "mainstay.retry_after"
REQUEST_ID: Final = "mainstay.request_id"
COST: Final = "mainstay.cost"
DELAY: Final = "mainstay.delay"
MODE: Final = "mainstay.mode"
BEFORE: Final = "mainstay.breaker.before"
AFTER: Final = "mainstay.breaker.after"
PARAMETERS: Final = "mainstay.parameters"
CHANGED: Final = "mainstay.parameters.changed"

# What is decided has a moment and no length, so it is an event of the call's span.
RETRY_EVENT: Final = "mainstay.retry"
SKIPPED_EVENT: Final = "mainstay.route.skipped"
DOUBTED_EVENT: Final = "mainstay.route.doubted"
RESTS_EVENT: Final = "mainstay.route.rests"
FALLBACK_EVENT: Final = "mainstay.fallback"
BREAKER_EVENT: Final = "mainstay.breaker"
BROKE_EVENT: Final = "mainstay.stream.broke"
RESUMED_EVENT: Final = "mainstay.stream.resumed"
PARAMETERS_EVENT: Final = "mainstay.parameters.doubted"

# Our provider names, where the convention has another.
PROVIDERS: Final = {"claude": "anthropic"}

# -- metrics ---------------------------------------------------------------------------------------------------


class Instrument(NamedTuple):
    """One metric: `kind` is "histogram", "counter" or "gauge"; `labels` are the only attributes that it may have."""

    kind: str
    unit: str
    about: str
    labels: tuple[str, ...]
    buckets: tuple[float, ...] = ()


TOKEN_TYPE: Final = "gen_ai.token.type"  # noqa: S105 - a name of the convention
REFUSAL: Final = "mainstay.refusal"
STATE: Final = "mainstay.breaker.state"
OTHER: Final = "_OTHER"  # the conventions' word for a value that is not in the set

# Published by the GenAI conventions up to 1.41, with the buckets that they advise.
DURATION: Final = "gen_ai.client.operation.duration"
FIRST_CHUNK: Final = "gen_ai.client.operation.time_to_first_chunk"
PER_CHUNK: Final = "gen_ai.client.operation.time_per_output_chunk"
TOKEN_USAGE: Final = "gen_ai.client.token.usage"  # noqa: S105 - a name of the convention
# No convention has a word for these.
CALL_DURATION: Final = "mainstay.call.duration"
ATTEMPT_COUNT: Final = "mainstay.attempts"
RETRIES: Final = "mainstay.retries"
FALLBACKS: Final = "mainstay.fallbacks"
REFUSALS: Final = "mainstay.refusals"
DOUBTS: Final = "mainstay.doubts"
RESTS: Final = "mainstay.rests"
RESUMES: Final = "mainstay.resumes"
TRANSITIONS: Final = "mainstay.breaker.transitions"

_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_TOKENS = tuple(4.0**power for power in range(14))
_WHERE = (OPERATION_NAME, PROVIDER_NAME, REQUEST_MODEL, ROUTE)
_WHY = (ERROR_TYPE, REASON)

INSTRUMENTS: Final = {
    DURATION: Instrument("histogram", "s", "Duration of an attempt.", (*_WHERE, ERROR_TYPE), _SECONDS),
    FIRST_CHUNK: Instrument("histogram", "s", "Time to the first chunk of a stream.", _WHERE, _SECONDS),
    PER_CHUNK: Instrument("histogram", "s", "Time per chunk after a stream's first, its mean.", _WHERE, _SECONDS),
    TOKEN_USAGE: Instrument("histogram", "{token}", "Tokens of an attempt.", (*_WHERE, TOKEN_TYPE), _TOKENS),
    CALL_DURATION: Instrument(
        "histogram", "s", "Duration of a call, with all its attempts and waits.", (OUTCOME, ERROR_TYPE), _SECONDS
    ),
    ATTEMPT_COUNT: Instrument("counter", "{attempt}", "Attempts that left.", (ROUTE, PROVIDER_NAME, OUTCOME, *_WHY)),
    RETRIES: Instrument("counter", "{retry}", "Further tries of the same route.", (ROUTE, *_WHY)),
    FALLBACKS: Instrument("counter", "{fallback}", "Moves from one route to another.", (ROUTE, TARGET, *_WHY)),
    REFUSALS: Instrument("counter", "{refusal}", "Routes skipped without an attempt.", (ROUTE, REFUSAL, *_WHY)),
    DOUBTS: Instrument("counter", "{refusal}", "What a breaker that only observes would refuse.", (ROUTE, *_WHY)),
    RESTS: Instrument("counter", "{rest}", "Rests that routes asked for.", (ROUTE, *_WHY)),
    RESUMES: Instrument("counter", "{stream}", "Streams that broke and went on elsewhere.", (ROUTE, TARGET, MODE)),
    TRANSITIONS: Instrument("counter", "{transition}", "Changes of a breaker's state.", (ROUTE, BEFORE, AFTER)),
    STATE: Instrument("gauge", "{breaker}", "Breakers of a route in a state.", (ROUTE, STATE)),
    COST: Instrument("counter", "{USD}", "US dollars, as far as known.", (ROUTE, PROVIDER_NAME, REQUEST_MODEL)),
}

# The reasons of errors, as this library gives them: all that may become a label.
REASONS: Final = frozenset({
    "account_disabled", "bad_endpoint", "bad_json", "bad_key", "bad_model_file", "bad_parameter", "bad_url",
    "billing", "binary_missing", "blocked", "build", "cancelled", "concurrency", "conflict", "connect",
    "connection", "connection_refused", "connection_reset", "content_filter", "context_length", "crashed",
    "credit", "daily_limit", "deadline", "dns", "first_event", "gap", "gateway", "insufficient_quota",
    "key_limit", "loading", "malformed_response", "max_tokens", "missing_key", "model", "model_load",
    "not_supported", "organization", "out_of_memory", "overloaded", "permission", "plan", "pool", "proxy", "read",
    "redirect", "region", "requests", "routing", "server_error", "signin", "slow", "slow_down", "spend_limit",
    "startup", "storage", "subscription", "terminated", "timeout", "tls", "tokens", "too_early", "too_large",
    "total", "truncated_stream", "unreachable", "unsupported_feature", "unsupported_parameter", "upstream",
    "usage_limit",
})  # fmt: skip

"""The names that traces use: OpenTelemetry's GenAI and HTTP conventions, and our own `mainstay.*`.

They stand here, and not in the conventions' own package, because that package marks every GenAI name as moved
and lacks the newer ones; on the wire the strings are the same (semantic conventions 1.41 to 1.44).
"""

from __future__ import annotations

from typing import Final

__all__ = ["PROVIDERS", "SCHEMA_URL"]

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

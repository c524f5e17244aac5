"""The names that traces use: OpenTelemetry's GenAI and HTTP conventions, and our own `mainstay.*`.

They stand here, and not in the conventions' own package, because that package marks every GenAI name as moved
and lacks the newer ones; on the wire the strings are the same (semantic conventions 1.41 to 1.44).
"""

from __future__ import annotations

from typing import Final

__all__ = ["PARAMETERS", "PROVIDERS"]

OPERATION_NAME: Final = "gen_ai.operation.name"
PROVIDER_NAME: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
REQUEST_STREAM: Final = "gen_ai.request.stream"
RESPONSE_MODEL: Final = "gen_ai.response.model"
RESPONSE_ID: Final = "gen_ai.response.id"
FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
TIME_TO_FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
CACHED_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"
REASONING_TOKENS: Final = "gen_ai.usage.reasoning.output_tokens"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"
STATUS_CODE: Final = "http.response.status_code"
RESEND_COUNT: Final = "http.request.resend_count"
ERROR_TYPE: Final = "error.type"

OUTCOME: Final = "mainstay.outcome"
ATTEMPTS: Final = "mainstay.attempts"
ROUTE: Final = "mainstay.route"
REASON: Final = "mainstay.reason"
RETRY_AFTER: Final = "mainstay.retry_after"
DELAY: Final = "mainstay.delay"
CHANGED: Final = "mainstay.parameters.changed"

# Parameters that describe a request without saying what it is about, by the name that callers use.
PARAMETERS: Final = {
    "max_tokens": "gen_ai.request.max_tokens",
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "top_k": "gen_ai.request.top_k",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "presence_penalty": "gen_ai.request.presence_penalty",
    "seed": "gen_ai.request.seed",
}

# Our provider names, where the convention has another.
PROVIDERS: Final = {"claude": "anthropic"}

"""What providers' errors mean, as tables: codes, words in messages, statuses.

A rule is a row. Where a provider's own meaning differs from everybody's, the row stands in that provider's table
(`provider_rules.py`), which goes first. Rows were collected from the providers' API references and from the texts
that their servers are known to send; `verdict.py` has the one order in which they are asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ..pipeline import ErrorClass

__all__ = ["GENERIC", "Rule"]

A, Q, R = ErrorClass.AUTHENTICATION, ErrorClass.QUOTA, ErrorClass.RATE_LIMIT
T, U = ErrorClass.TIMEOUT, ErrorClass.UNAVAILABLE
M, I = ErrorClass.MODEL_NOT_FOUND, ErrorClass.INVALID_REQUEST  # noqa: E741 - the letters of one table


@dataclass(frozen=True, slots=True)
class Rule:
    """One row: what an error means if it looks like this.

    Args:
        error_class: one of the seven classes.
        reason: a finer word, such as "context_length".
        codes: codes or types of the provider that mean exactly this, in lower case. They beat everything.
        markers: words in the provider's message, in lower case; a tuple in place of a string is several words
            that must all be there, in this order. They beat `kinds` and the status.
        kinds: types that say little more than a status does ("rate_limit_error"). They only beat the status.
        statuses: the HTTP statuses that the rule is for, 0 for "none known"; empty is any, except that the markers
            of a rule for all about the caller's fault then do not overrule a 5xx (`verdict.py`).
        hint: what a person should do; "" leaves it to the table of hints.
    """

    error_class: ErrorClass
    reason: str
    codes: tuple[str, ...] = ()
    markers: tuple[str | tuple[str, ...], ...] = ()
    kinds: tuple[str, ...] = ()
    statuses: tuple[int, ...] = ()
    hint: str = ""


# Statuses under which "timed out" in a message is about the server, not about an image that it should have fetched.
_SERVER = (0, 200, 403, 408, 424, 429, 498, 499, 500, 502, 503, 504, 520, 522, 524, 529)
# Words so plain that they overrule any status: gateways report these faults of the caller as their own failure.
_ANY = tuple(range(600))
# Statuses under which a local server says that a model could not be loaded.
_LOADING = (0, 200, 500, 502, 503)
# Statuses under which broken JSON is the request's; with 500 it is what the model or an upstream wrote.
_REQUEST = (0, 200, 400, 413, 415, 422)
# Statuses under which words about limits mean one; elsewhere they are the name of a tool, or quoted.
_LIMIT = (0, 200, 402, 403, 413, 429, *range(500, 600))

GENERIC: Final[tuple[Rule, ...]] = (
    # What cannot ever fit, although the status says "later".
    Rule(I, "too_large", statuses=_ANY,
         markers=("request too large for", "tokens must be reduced", "request entity too large"),
         codes=("request_too_large", "payload_too_large", "image_dimensions_too_large")),
    # Google says "exceeded your current quota" of a limit per minute too; it then says how long to wait.
    Rule(Q, "daily_limit", codes=("quota_per_day",)),
    Rule(R, "tokens", statuses=_ANY, codes=("retryinfo",),
         markers=("too many tokens, please wait", ("exceeded", "quota", "please retry in"))),
    Rule(Q, "insufficient_quota", statuses=_ANY,
         codes=("insufficient_quota", "credit_balance_exhausted", "insufficient_credits", "insufficient_balance",
                "insufficient_user_quota", "exceeded_current_quota_error", "insufficient_funds", "arrearage",
                "allocationquota.freetieronly", "payment_required", "out_of_credits", "no_credits"),
         markers=("exceeded your current quota", "balance is too low", "insufficient credit", "insufficient balance",
                  "insufficient fund", "insufficient account balance", "insufficient quota", "requires more credits",
                  "not enough credits", "can only afford", "used all available credits", "out of credits",
                  "have any credits", "have no credits", "purchase more credits", "credits exhausted",
                  "credits have been exhausted", "quota has been exhausted", "quota is exhausted", "quota exhausted",
                  "out of call volume quota", "balance is not enough", "negative balance",
                  # Gateways from China say it in Chinese: balance, allowance, in arrears, top up.
                  "余额不足", "额度不足", "额度已用", "欠费", "请充值")),
    Rule(Q, "spend_limit", statuses=_ANY,
         codes=("billing_hard_limit_reached", "organization_spend_limit_exceeded", "project_spend_limit_exceeded",
                "organization_usage_limit_exceeded", "enforced_spend_limit_reached", "contract_spend_limit_reached",
                "linked_organization_spend_limit_reached", "budget_exceeded", "spend_limit_exceeded"),
         markers=("spend limit", "spending limit", "billing hard limit", "specified api usage limits",
                  "specified workspace api usage limits", "regain access on", "budget has been exceeded",
                  "exceeded budget", "budget exceeded", "over budget", "hard limit has been reached")),
    Rule(Q, "billing",
         codes=("billing_not_active", "billing_error", "linked_organization_billing_unavailable", "billing_required"),
         markers=("account is not active", "check your billing", "payment required", "billing is not enabled",
                  "enable billing", "requires billing", "overdue payment", "in good standing")),
    Rule(Q, "plan", markers=("requires a subscription", "extra usage", "not included in your plan",
                             "requires a paid", "upgrade your plan", "upgrade to a paid", "subscription plan")),
    Rule(Q, "usage_limit",
         codes=("usage_limit_reached", "usage_limit_exceeded", "usage_not_included", "gousagelimiterror"),
         markers=("usage limit", "session limit", "weekly limit", "monthly limit", "monthly quota")),
    Rule(Q, "daily_limit", markers=("free-models-per-day", "bymodelbyday", "byday.", "per 86400s", "daily quota",
                                    "daily usage", "daily free")),
    Rule(Q, "key_limit", markers=("key limit exceeded", "prompt tokens limit exceeded", "key budget")),
    Rule(Q, "storage", codes=("storage_quota_exceeded",)),
    Rule(I, "context_length", statuses=_ANY,
         codes=("context_length_exceeded", "token_limit_exceeded", "exceed_context_size_error",
                "contextwindowexceedederror", "context_window_exceeded", "string_too_long", "input_too_long",
                "model_context_window_exceeded", "max_tokens_exceeded"),
         markers=("maximum context length", "context_length_exceeded", "context length exceeded",
                  "prompt is too long", "prompt too long", "input is too long", "exceed context limit",
                  "exceeds context limit", "available context size", "exceed_context_size_error",
                  "longer than the model's context", "longer than the context", "exceeds the context",
                  "exceeds the model's context", "exceeds model context", "exceed the context", "context window",
                  "input tokens exceed", "input length exceeds", "maximum prompt length", "prompt length exceeds",
                  "too many input tokens", "reduce the length of the messages", "reduce the length of the input",
                  ("token count", "exceeds"), ("prompt contains", "tokens", "maximum"), "context overflow",
                  ("input token", "exceeds the maximum"), "exceeds the model's maximum",
                  "exceeded model token limit", "input is too large to process",
                  ("prompt", "exceeds", "max_model_len"), "greater than the context length",
                  ("total number of tokens", "exceed"), ("requested tokens", "exceed context"),
                  ("context size", "exceeded"), "prompt is too big")),
    Rule(I, "content_filter", codes=("content_policy_violation", "invalid_prompt", "content_filter",
                                     "moderation_blocked", "refusal", "responsibleaipolicyviolation", "bio_policy",
                                     "data_inspection_failed", "contentpolicyviolationerror", "content_filtered",
                                     "safety_error", "input_moderation", "prompt_blocked", "cyber_policy"),
         markers=("content management policy", "content policy", "content_policy", "content filter",
                  "content_filter", "safety system", "prompt was flagged", "input was flagged",
                  "request was flagged", "been flagged as", "flagged as potentially", "flagged for",
                  "response was filtered", "requires moderation", "request blocked", "prompt was blocked",
                  "inappropriate content", "content exists risk", "for safety reasons", "our usage polic",
                  "violates our polic", "unsafe content", "sensitive content", "sensitive information",
                  "harmful content", "prohibited content", "limited access to this content"),
         statuses=(0, 200, 400, 403, 409, 422, 451, 500)),
    Rule(A, "account_disabled", codes=("account_deactivated", "organization_on_hold", "account_suspended"),
         markers=tuple(f"{who} {state}" for who in ("organization", "account", "workspace", "project", "user", "key")
                       for state in ("has been disabled", "has been deactivated", "has been suspended",
                                     "has been restricted", "has been blocked", "is disabled", "is deactivated",
                                     "is suspended", "is blocked", "suspended", "deactivated"))),
    Rule(A, "organization", codes=("invalid_organization", "mismatched_organization", "no_organization",
                                   "ip_not_authorized", "invalid_project"),
         markers=("must be a member of an organization", "organization header should match",
                  "no longer a member of the organization", "no such organization", "ip not authorized")),
    Rule(A, "region", codes=("unsupported_country_region_territory", "region_restricted", "unsupported_region"),
         markers=("country, region, or territory not supported", "location is not supported",
                  "not supported in your country", "not available in your country", "not available in your region")),
    Rule(A, "bad_key",
         codes=("invalid_api_key", "unauthorized", "unauthenticated", "invalid_authentication", "api_key_invalid",
                "invalid_token", "token_expired", "expiredtokenexception", "unrecognizedclientexception",
                "incorrectapikeyerror", "missing_api_key", "invalid_iam_token", "invalid_api_key_error",
                "invalid_authentication_error", "incorrect_api_key_error", "no_api_key"),
         markers=("incorrect api key", "invalid api key", "invalid api-key", "invalid x-api-key", "invalid api_key",
                  "invalid_api_key", "api key not valid", "api key is not valid", ("api key", "is invalid"),
                  "api key not found", "api key expired", "api key has expired", "didn't provide an api key",
                  "not provide an api key", "no api key", "missing api key", "api key is missing",
                  "api key missing", "api key is required", "api key required", "api_key client option must be set",
                  "could not resolve authentication method", "no auth credentials", "no cookie auth credentials",
                  "missing authentication", "missing authorization", "missing credentials",
                  "invalid authentication", "authentication fail", "invalid credential", "invalid bearer token",
                  "token expired", "token has expired", "oauth token", "invalid subscription key",
                  "security token included in the request", "couldn't find a secret", "invalid access token",
                  "incorrect authentication"), statuses=(0, 200, 400, 401, 403, 404, 500, 502)),
    # So short that a 400 or a 500 may well quote them: the name of a tool, a scope, an upstream's log.
    Rule(A, "bad_key", statuses=(0, 200, 401, 403),
         markers=("unauthorized", "not authenticated", "authentication required", "login required",
                  "bad credentials", "invalid token", "user not found")),
    Rule(A, "permission", codes=("permission_denied", "access_denied", "accessdeniedexception",
                                 "insufficient_permissions", "missing_scope", "request_forbidden", "forbidden"),
         markers=("permission denied", "insufficient permission", "do not have permission",
                  "does not have permission", "not authorized to", "not authorised to", "access denied",
                  "missing scopes", "account does not have access"), statuses=(0, 200, 400, 401, 403)),
    # "unknown model architecture" is a file that the server cannot read, not a model that it does not have.
    Rule(U, "out_of_memory", statuses=_LOADING,
         markers=("out of memory", "out-of-memory", "system memory", "insufficient memory", "unable to allocate",
                  "failed to allocate", "cannot allocate memory", "signal: killed")),
    Rule(U, "bad_model_file", statuses=_LOADING,
         markers=("unknown model architecture", "unknown pre-tokenizer", "missing tensor", ("tensor", "not found"),
                  "wrong number of tensors")),
    Rule(U, "model_load", statuses=_LOADING,
         markers=("error loading model", "unable to load model", "failed to load", "model load",
                  ("timed out waiting for", "to start"))),  # no answer that took too long: it did not start
    Rule(U, "loading", markers=("loading model", "model is loading", "currently loading", "is still loading")),
    # The model exists, and can do less than was asked for.
    Rule(I, "routing", codes=("privacy_restricted", "constraint_filtered"),
         markers=("no endpoints found that", "no endpoints found matching", "data policy", "no allowed providers",
                  "no endpoints available matching")),
    Rule(M, "model",
         codes=("model_not_found", "model_deprecated", "no_endpoints", "model_unavailable_upstream",
                "free_variant_ended", "deploymentnotfound", "model_not_available", "model_decommissioned",
                "unknown_model", "modelnotfound", "invalid_model", "invalid_model_error", "modelnotfounderror",
                "model_not_found_error", "unsupported_model", "model_not_supported", "modelerror", "nosuchmodel"),
         markers=("model_not_found", ("model", "does not exist"), ("model", "not found"), ("model", "not exist"),
                  ("function", "not found for account"), "not a valid model", "invalid model id",
                  "invalid model name", "invalid model:", "no such model", "unknown model",
                  "model identifier is invalid", ("model", "has been deprecated"), ("model", "has been retired"),
                  ("model", "decommissioned"), ("model", "no longer available"), ("model", "no longer supported"),
                  ("model", "been discontinued"), ("model", "end of its life"), "have access to model",
                  "have access to the model", "have access to this model", "no endpoints found for",
                  "model is not supported", "model not supported", "unsupported model", "try pulling it first",
                  "no longer compatible with", ("model", "is not available"), ("model", "not loaded"),
                  "deployment for this resource does not exist", ("pull model manifest", "does not exist"))),
    Rule(I, "bad_endpoint", codes=("unknown_url", "wrong_endpoint"),
         markers=("invalid url", "unknown request url", "file not found", "404 page not found", "not a chat model",
                  "not a completion model", "supported in the v1/", "supported in v1/", "unexpected endpoint",
                  "no static resource", "cannot post", "not found: /", "no route matched")),
    Rule(I, "unsupported_parameter", codes=("unsupported_parameter", "unsupported_value", "unknown_parameter",
                                            "not_supported_error", "unsupportedparamserror", "unsupported_feature"),
         markers=("unsupported parameter", "unsupported value", "extra inputs are not permitted",
                  "is deprecated for this model", "cannot both be specified", "not supported for this model",
                  "not supported with this model", "not supported by this model", "not supported by this server",
                  "unrecognized request argument", "unknown parameter", "does not support", "doesn't support",
                  "unsupported content part", "input is not supported", "not oai compatible", "unknown field")),
    Rule(I, "max_tokens", codes=("invalid_max_tokens",),
         markers=("max_tokens is too large", "maximum tokens you requested",
                  "maximum allowed number of output tokens", "max_tokens must be",
                  "max_tokens or model output limit")),
    Rule(I, "bad_json", statuses=_REQUEST, codes=("invalid_json", "json_parse_error"),
         markers=("could not parse the json", "is not valid json", "invalid json", "[json.exception.parse_error",
                  "failed to parse the request body", "malformed json", "json decode error",
                  "unexpected end of json")),
    Rule(I, "bad_parameter",
         codes=("invalid_value", "missing_required_parameter", "invalid_type", "string_above_max_length",
                "array_above_max_length", "string_below_min_length", "array_below_min_length", "empty_array",
                "integer_above_max_value", "integer_below_min_value", "decimal_above_max_value",
                "decimal_below_min_value", "invalid_base64", "invalid_image", "invalid_image_url",
                "invalid_image_format", "invalid_function_parameters", "failed_to_download_image",
                "image_parse_error", "image_too_large", "invalid_parameter_error", "invalidparameter",
                "missing_parameter", "tool_use_failed", "json_validate_failed", "data_residency_mismatch",
                "invalid_schema", "invalid_input", "precondition_failed", "invalid_json_schema",
                "invalid_parameter", "unprocessable_entity"),
         markers=("[json.exception.", "field required", "missing required parameter", "invalid value",
                  "invalid type", "for parameter", "must be of type", "is not of type", "input should be",
                  "invalid parameter", "anthropic-version", "`tool_use` ids", "`tool_result` block", "tool_call_id",
                  "tool_calls' must be", "must contain the word", "response_format type must be",
                  "failed to parse grammar", "failed to initialize samplers", "requires --jinja",
                  "missing request body", "invalid format", "must be non-empty", "is a required property",
                  "invalid schema", "roles must alternate", "conversation roles", "missing field", "invalid image",
                  "bad request", "badrequesterror", "is not one of", "unable to download",
                  "error while downloading", "missing messages"),
         statuses=(0, 200, 400, 404, 405, 409, 413, 422, 424, 500, 501)),
    Rule(T, "upstream", codes=("request_body_timeout",)),  # a 400
    Rule(T, "upstream", statuses=_SERVER,
         codes=("timeout", "timeout_error", "modeltimeoutexception", "deadline_exceeded", "request_timeout",
                "upstream_timeout", "vector_store_timeout", "gateway_timeout"),
         markers=("timed out", "timeout", "deadline exceeded", "deadline expired")),
    Rule(R, "upstream", codes=("capacity_exhausted",), markers=("rate-limited upstream", "rate limited upstream")),
    Rule(R, "daily_limit", statuses=_LIMIT,
         markers=(("rate limit", "per day"), ("rate limit", "(rpd)"), ("rate limit", "(tpd)"))),
    Rule(R, "tokens", statuses=_LIMIT,
         markers=("tokens per min", "token rate limit", "tokens per hour", ("number of request tokens", "exceeded"))),
    Rule(R, "requests", statuses=(429,), markers=("rate limit exceeded", "rate limit reached")),  # even by high demand
    Rule(U, "overloaded", statuses=_SERVER,
         codes=("server_is_overloaded", "overloaded_error", "engine_overloaded", "engine_overloaded_error",
                "provider_overloaded", "temporarily_unavailable", "serviceunavailableexception",
                "server_overloaded", "modelnotreadyexception", "model_overloaded", "system_busy", "over_capacity",
                "overloaded"),
         markers=("overloaded", "server busy", "server is busy", "at capacity", "over capacity", "no capacity",
                  "high demand", "high load", "temporarily unavailable", "no instances available", "heavy load",
                  ("no slot", "available"), "no healthy", "no available channel", "system is busy",
                  "service is busy", "engine is currently", "capacity exceeded", "currently unavailable")),
    Rule(U, "upstream",
         codes=("provider_unavailable", "provider_disconnected", "modelstreamerrorexception", "upstream_error",
                "bad_gateway"), markers=("provider disconnected", "upstream connect error", "upstream error"),
         statuses=(0, 200, 500, 502, 503)),
    Rule(U, "crashed",
         markers=("cuda error", "unexpectedly stopped", "while running the model", "process has terminated",
                  "process no longer running", "enginedeaderror", "engine core", "has crashed")),
    Rule(U, "conflict", codes=("conflict_error",)),
    Rule(R, "daily_limit", kinds=("daily_limit_exceeded",)),
    Rule(R, "slow_down", codes=("slow_down", "ramp_limit_exceeded", "limit_burst_rate"),
         markers=("rate increased too quickly",)),
    Rule(R, "slow_down", markers=("slow down",), statuses=_LIMIT),
    Rule(R, "concurrency", codes=("concurrency_limit_exceeded",)),
    Rule(R, "concurrency", statuses=_LIMIT,
         markers=("concurrency limit", "concurrent requests", "too many concurrent")),
    Rule(R, "requests", statuses=_LIMIT,
         markers=("rate limit", "rate-limit", "ratelimit", "rate_limit", "too many requests", "requests per ",
                  "throttl", "quota exceeded", "resource has been exhausted", "resource exhausted", "request limit",
                  "error code: 1015", "requests too fast", "too frequent")),
    Rule(R, "tokens", kinds=("tokens",)),
    Rule(R, "requests",
         kinds=("requests", "rate_limit_exceeded", "rate_limit_error", "ratelimitreached", "ratelimiterror",
                "rate_limited", "rate_limit", "throttlingexception", "throttling", "too_many_requests",
                "toomanyrequests", "toomanyrequestsexception", "resource_exhausted", "request_limit_exceeded",
                "limit_requests", "quotaexceeded", "quota_exceeded", "error_rate_limited")),
    Rule(U, "connection", statuses=_SERVER,
         markers=("connection refused", "could not connect", "connection error", "connection reset",
                  "not responding", "econnrefused", "econnreset", "fetch failed", "connect failed", "network error",
                  "socket hang up", "is it running")),
    Rule(U, "server_error", markers=("internal server error", "server had an error", "server experienced an error",
                                     "bad gateway", "unexpected error", "service unavailable", "compute error",
                                     "error occurred while processing", "provider returned error"), statuses=(0, 200)),
    # What types say where neither a code nor a word is known.
    Rule(A, "bad_key", kinds=("authentication_error", "authentication", "authenticationerror", "auth_error",
                              "autherror", "unauthorizederror")),
    Rule(A, "permission", kinds=("permission_error", "permissiondeniederror", "permissionerror")),
    Rule(U, "overloaded", kinds=("capacity", "unavailable_error", "service_unavailable_error",
                                 "service_unavailable", "serviceunavailableerror", "unavailable", "overloadederror")),
    Rule(T, "upstream", kinds=("apitimeouterror", "timeouterror")),
    Rule(I, "bad_parameter", statuses=(0, 200, 500),
         kinds=("invalid_request_error", "invalid_request", "badrequesterror", "validationexception",
                "invalid_argument", "bad_request", "validation_error", "invalidrequesterror", "bad_request_error",
                "failed_precondition", "unprocessableentityerror", "invalid_request_body")),
    Rule(U, "server_error", statuses=(0, 200),
         kinds=("api_error", "server_error", "internalserverexception", "internal_server_error", "internal_error",
                "internalservererror", "internal", "apierror", "apiconnectionerror", "unknown_error")),
)  # fmt: skip

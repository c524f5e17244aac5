"""What one provider's errors mean where they differ from everybody's, and what a status means by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ..pipeline import ErrorClass
from .rules import Rule

__all__ = ["PROVIDER_RULES", "STATUSES", "status_rule"]

A, Q, R = ErrorClass.AUTHENTICATION, ErrorClass.QUOTA, ErrorClass.RATE_LIMIT
T, U = ErrorClass.TIMEOUT, ErrorClass.UNAVAILABLE
M, I = ErrorClass.MODEL_NOT_FOUND, ErrorClass.INVALID_REQUEST  # noqa: E741 - the letters of one table

# What llama.cpp's server says of a request that it cannot serve, with a 500; Ollama runs it, and hands the words on.
_LLAMA_SERVER = (
    Rule(I, "bad_parameter", statuses=(400, 500),
         markers=("failed to load image", ("failed to download", "image"), "invalid url ",
                  ("schema", "conversion failed"), "must not be empty")),
    Rule(I, "unsupported_feature", statuses=(400, 500),
         markers=(("model", "does not support"), ("only", "is supported"), "only supports")),
)  # fmt: skip

PROVIDER_RULES: Final[Mapping[str, tuple[Rule, ...]]] = {
    "openai": (
        Rule(Q, "usage_limit", markers=("hit your usage limit",)),
    ),
    "claude": (
        # A 404 of the Messages API is about the model only if it names one ("model: claude-...").
        Rule(M, "model", markers=("model: ", "model identifier"), statuses=(404,)),
        Rule(I, "bad_endpoint", kinds=("not_found_error",), statuses=(404,)),
        Rule(A, "region", markers=("request not allowed",), statuses=(403,)),
    ),
    "openrouter": (
        Rule(Q, "credit", statuses=(402,), markers=("credits", "prompt tokens limit exceeded", "tokens limit"),
             hint="add credit at https://openrouter.ai/settings/credits"),
        # What remains of a 403 after moderation: the key's own cap, then permissions.
        Rule(Q, "key_limit", statuses=(402, 403), markers=("limit exceeded",),
             hint="raise the key's limit at https://openrouter.ai/settings/keys"),
        Rule(I, "content_filter", codes=("input_flagged",), statuses=(403,)),
        Rule(U, "conflict", codes=("precondition_failed",), statuses=(409,)),
    ),
    "ollama": (
        *_LLAMA_SERVER,
        # The server does not check values; the runner reports them as its own failure.
        Rule(I, "bad_parameter", markers=(("option", "must be of"), "invalid think value", "invalid model name",
                                          "model is required", "top_logprobs must be"), statuses=(0, 400, 500)),
        Rule(I, "unsupported_feature", markers=("does not support",), statuses=(0, 400)),
        Rule(I, "unsupported_feature", markers=("data required for image input",)),
        # The server's own runner, behind a port of its own, is gone: 'Post "http://127.0.0.1:38703/load": EOF'.
        Rule(U, "crashed", markers=('post "": eof', "read tcp 127.0.0.1:"), statuses=(0, 500)),
        Rule(U, "binary_missing", markers=("binary not found",), hint="a part of Ollama is missing; install it again"),
        Rule(M, "model", markers=("requires a newer version of ollama",),
             hint="update Ollama: https://ollama.com/download"),
        Rule(A, "signin", markers=("unauthorized",), statuses=(401,)),
        Rule(Q, "subscription", markers=("requires a subscription",)),
        Rule(M, "model", markers=("no longer compatible with your version",), statuses=(0, 400, 404, 500)),
        Rule(M, "model", markers=("file does not exist",), statuses=(0, 400, 404, 500),
             hint="check the model's name at https://ollama.com/library"),
        Rule(U, "connection_refused", markers=("server not responding", "could not connect to ollama",
                                               "could not find ollama"), statuses=(0,)),
    ),
    "llama_cpp": (
        *_LLAMA_SERVER,
        # Client faults that the server reports with 500.
        Rule(I, "bad_json", markers=("[json.exception.parse_error",)),
        Rule(I, "bad_parameter", markers=("[json.exception.", "is required", "requires --jinja", "must be",
                                          "cannot use", "cannot have", "cannot determine", "unsupported param",
                                          "failed to parse messages", "failed to parse tools", "failed to parse json",
                                          ("at row", "column"), ("while executing", "in source"), "jinja exception",
                                          "expected '", "unable to generate parser", "failed to initialize samplers",
                                          "is not allowed"), statuses=(400, 500)),
        Rule(I, "unsupported_parameter", markers=("is not supported", "not supported -"), statuses=(400, 500, 501)),
        Rule(U, "connection", markers=("proxy error: ",), statuses=(500,)),  # the router's, to the model's own server
        Rule(M, "model", markers=(("model", "not found"),), statuses=(0, 400, 404)),
        Rule(I, "bad_endpoint", kinds=("not_found_error",), statuses=(404,)),
    ),
}  # fmt: skip

STATUSES: Final[Mapping[int, tuple[ErrorClass, str]]] = {
    405: (I, "bad_endpoint"),
    **dict.fromkeys((400, 406, 411, 412, 414, 415, 416, 422, 431), (I, "bad_parameter")),
    501: (I, "not_supported"),
    401: (A, "bad_key"),
    403: (A, "permission"),
    407: (A, "proxy"),
    402: (Q, "credit"),
    408: (T, "upstream"),
    409: (U, "conflict"),
    413: (I, "too_large"),
    421: (U, "connection"),
    424: (U, "upstream"),
    425: (U, "too_early"),
    429: (R, "requests"),
    451: (A, "region"),
    499: (U, "cancelled"),
    502: (U, "gateway"),
    503: (U, "overloaded"),
    **dict.fromkeys((504, 522, 524, 598, 599), (T, "upstream")),
    **dict.fromkeys((520, 521, 523, 527, 530), (U, "gateway")),
    **dict.fromkeys((525, 526), (U, "tls")),
    529: (U, "overloaded"),
}
"""What a status means by itself (RFC 9110; 520 to 530 are Cloudflare's, 529 is Anthropic's "overloaded")."""


def status_rule(status: int, mentions_model: bool) -> tuple[ErrorClass, str]:
    """What a status means if nothing else is known; 0 or a good status is an error of unknown kind."""
    if status in (404, 410):
        return (M, "model") if mentions_model else (I, "bad_endpoint")
    known = STATUSES.get(status)
    if known is not None:
        return known
    if 300 <= status < 400:
        return I, "redirect"
    if 400 <= status < 500:
        return I, "bad_parameter"
    return U, "server_error" if status >= 500 else "upstream"

"""OpenAI: chat completions, its own errors, and the list of models."""

from __future__ import annotations

from typing import Any, ClassVar
from urllib.parse import unquote

from .answer import Answer
from .chat_completions import CREATED, ChatCompletions, Delta
from .dialect import HttpReply, Kind, Problem, Rules, bearer, dump, go_duration, phrase
from .openai_checks import BAD, check_body
from .seen import Seen

_SERVER_ERROR = "The server had an error while processing your request. Sorry about that!"
_USUAL: dict[int, tuple[str, str | None, str]] = {
    400: (BAD, "invalid_value", "Invalid value in the request."),
    401: (
        BAD,
        "invalid_api_key",
        (
            "Incorrect API key provided: sk-*****. You can find your API key at "
            "https://platform.openai.com/account/api-keys."
        ),
    ),
    403: ("request_forbidden", "unsupported_country_region_territory", "Country, region, or territory not supported"),
    404: (BAD, "unknown_url", "Invalid URL (POST /v1/chat/completions)"),
    408: ("server_error", None, "Request timed out."),
    409: ("server_error", None, "Conflict."),
    413: (BAD, None, "Request entity too large"),
    500: ("server_error", None, _SERVER_ERROR),
    502: ("server_error", None, "Bad gateway."),
    503: (
        "service_unavailable_error",
        "server_is_overloaded",
        "The server is currently overloaded with other requests. Sorry about that! Please try again later.",
    ),
    504: ("server_error", None, "Gateway timeout."),
}


class OpenAI(ChatCompletions):
    """`POST /v1/chat/completions`, and the list of models."""

    name = "openai"
    base_path = "/v1"
    chat_path = "/v1/chat/completions"
    ping = b": keep-alive\n\n"
    request_id_header = "x-request-id"
    opening: ClassVar[dict[str, Any]] = {"role": "assistant", "content": "", "refusal": None}
    most_choices = 128
    sample_models: ClassVar[tuple[str, ...]] = ("gpt-4o", "gpt-4o-mini")

    def check(self, seen: Seen, rules: Rules) -> Problem | None:
        refused = self._check_key(seen, rules)
        if refused is not None:
            return refused
        wrong = check_body(seen.body)
        if wrong is not None:
            return wrong
        model = seen.body["model"]
        if rules.models is not None and model not in rules.models:
            return self.named("model_not_found", model)
        return None

    def _check_key(self, seen: Seen, rules: Rules) -> Problem | None:
        key = bearer(seen)
        if not key:
            return Problem(
                401,
                "You didn't provide an API key. You need to provide your API key in an Authorization header using "
                "Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
                BAD,
            )
        return self.problem(401) if rules.key is not None and key != rules.key else None

    def envelope(self, seen: Seen, kind: str) -> dict[str, Any]:
        return {**super().envelope(seen, kind), "service_tier": "default", "system_fingerprint": "fp_sandbox"}

    def message(self, seen: Seen, answer: Answer) -> dict[str, Any]:
        return {**super().message(seen, answer), "refusal": answer.refusal or None, "annotations": []}

    def deltas(self, seen: Seen, answer: Answer) -> list[Delta]:
        deltas = super().deltas(seen, answer)
        if not answer.tool_calls or answer.in_words.text:
            return deltas
        # Without text before it, the first call shares its chunk with the role.
        _, first, *rest = deltas
        return [first._replace(change={"role": "assistant", "content": None, **first.change}), *rest]

    def usage(self, seen: Seen, answer: Answer) -> dict[str, Any]:
        usage = super().usage(seen, answer)
        usage["prompt_tokens_details"]["audio_tokens"] = 0
        details = ("audio_tokens", "accepted_prediction_tokens", "rejected_prediction_tokens")
        thought = {"reasoning_tokens": answer.reasoning_tokens, **dict.fromkeys(details, 0)}
        return {**usage, "completion_tokens_details": thought}

    def chunk(self, seen: Seen, answer: Answer, kind: Kind, choices: list[dict[str, Any]]) -> dict[str, Any]:
        chunk = super().chunk(seen, answer, kind, choices)
        if self.tells_usage(seen):
            chunk.setdefault("usage", None)
        options = seen.fields.get("stream_options") or {}
        if options.get("include_obfuscation") is not False:
            chunk["obfuscation"] = "x" * (1 + len(str(choices)) % 7)
        return chunk

    def other(self, seen: Seen, rules: Rules) -> HttpReply:
        path = seen.path.rstrip("/")
        if path != "/v1/models" and not path.startswith("/v1/models/"):
            if path == self.chat_path:
                message, code, status = "Only POST requests are accepted.", "method_not_supported", 405
            else:
                message, code, status = f"Invalid URL ({seen.method} {seen.path})", "unknown_url", 404
            return self.problem_reply(Problem(status, message, BAD, code), seen.number)
        refused = self._check_key(seen, rules)
        if refused is not None:
            return self.problem_reply(refused, seen.number)
        names = sorted(rules.models) if rules.models is not None else list(self.sample_models)
        if path == "/v1/models":
            return self.json_reply(200, {"object": "list", "data": [_model(name) for name in names]}, seen.number)
        name = unquote(path.removeprefix("/v1/models/"))
        if rules.models is not None and name not in rules.models:
            return self.problem_reply(self.named("model_not_found", name), seen.number)
        return self.json_reply(200, _model(name), seen.number)

    def problem(self, status: int, retry_after: float | str | None = None) -> Problem:
        if status == 429:
            return Problem(
                429,
                "Rate limit reached for gpt-4o in organization org-sandbox on tokens per min (TPM): Limit 30000, "
                f"Used 29937, Requested 385. Please try again in {go_duration(retry_after)}.",
                "tokens",
                "rate_limit_exceeded",
            )
        usual = (BAD if status < 500 else "server_error", None, phrase(status))
        kind, code, message = _USUAL.get(status, usual)
        return Problem(status, message, kind, code)

    def named(self, name: str, model: str, retry_after: float | str | None = None) -> Problem:
        if name == "rate_limit":
            return self.problem(429, retry_after)
        if name in ("bad_key", "overloaded"):
            return self.problem(401 if name == "bad_key" else 503)
        kind = "insufficient_quota"
        found = {
            "quota": Problem(
                429,
                "You exceeded your current quota, please check your plan and billing details. For more information "
                "on this error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors.",
                kind,
                kind,
            ),
            "model_not_found": Problem(
                404, f"The model `{model}` does not exist or you do not have access to it.", BAD, "model_not_found"
            ),
            "context_length": Problem(
                400,
                "This model's maximum context length is 128000 tokens. However, your messages resulted in 128213 "
                "tokens. Please reduce the length of the messages.",
                BAD,
                "context_length_exceeded",
                "messages",
            ),
            "content_filter": Problem(
                400,
                "Invalid prompt: your prompt was flagged as potentially violating our usage policy. Please try again "
                "with a different prompt.",
                BAD,
                "invalid_prompt",
            ),
        }
        return found[name]

    def usual_problem(self) -> Problem:
        return self.problem(500)

    def error_body(self, problem: Problem, number: int) -> bytes:
        error = {
            "message": problem.message,
            "type": problem.type,
            "param": problem.param,
            "code": problem.code,
            **dict(problem.extra),
        }
        return dump({"error": error})


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "system"}

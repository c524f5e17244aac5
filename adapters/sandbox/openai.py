"""OpenAI's chat completions protocol, as bytes."""

from __future__ import annotations

from itertools import chain, zip_longest
from typing import Any, ClassVar

from .answer import Answer
from .dialect import (
    Dialect,
    Event,
    HttpReply,
    Kind,
    Problem,
    Rules,
    dump,
    go_duration,
    halves,
    phrase,
)
from .openai_checks import BAD, check_body
from .seen import Seen

CREATED = 1760000000  # fixed, so that the same request always gets the same bytes

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


class OpenAI(Dialect):
    """`POST /v1/chat/completions`, and the list of models."""

    name = "openai"
    base_path = "/v1"
    chat_path = "/v1/chat/completions"
    ping = b": keep-alive\n\n"
    request_id_header = "x-request-id"
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
        scheme, _, key = seen.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            return Problem(
                401,
                "You didn't provide an API key. You need to provide your API key in an Authorization header using "
                "Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
                BAD,
            )
        return self.problem(401) if rules.key is not None and key.strip() != rules.key else None

    def complete(self, seen: Seen, answer: Answer) -> bytes:
        message: dict[str, Any] = {
            "role": "assistant",
            "content": answer.text if answer.text or not answer.tool_calls else None,
            "refusal": None,
            "annotations": [],
        }
        if answer.tool_calls:
            message["tool_calls"] = [
                {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
                for call_id, name, arguments in _calls(seen, answer)
            ]
        reply = {
            **_envelope(seen, "chat.completion"),
            "choices": [
                {"index": index, "message": message, "logprobs": None, "finish_reason": answer.finish_reason}
                for index in range(_choices(seen))
            ],
            "usage": _usage(seen, answer),
            "service_tier": "default",
        }
        return dump(reply)

    def stream(self, seen: Seen, answer: Answer) -> list[Event]:
        options = seen.fields.get("stream_options") or {}
        counted = bool(options.get("include_usage"))
        padded = options.get("include_obfuscation") is not False
        envelope = _envelope(seen, "chat.completion.chunk")

        def event(kind: Kind, choices: list[dict[str, Any]], usage: dict[str, Any] | None = None) -> Event:
            chunk: dict[str, Any] = {**envelope, "choices": choices}
            if counted:
                chunk["usage"] = usage
            if padded:
                chunk["obfuscation"] = "x" * (1 + len(str(choices)) % 7)
            return Event(b"data: " + dump(chunk) + b"\n\n", kind)

        deltas = _deltas(seen, answer)
        choices = [
            [
                event(kind, [{"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}])
                for kind, delta, finish in deltas
            ]
            for index in range(_choices(seen))
        ]
        events = [item for item in chain.from_iterable(zip_longest(*choices)) if item is not None]
        if counted:
            events.append(event("usage", [], _usage(seen, answer)))
        return [*events, Event(b"data: [DONE]\n\n", "end")]

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
        name = path.removeprefix("/v1/models/")
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

    def error_event(self, problem: Problem, number: int) -> bytes:
        return b"data: " + self.error_body(problem, number) + b"\n\n"


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "system"}


def _choices(seen: Seen) -> int:
    n = seen.fields.get("n")
    return n if isinstance(n, int) and 1 <= n <= 128 else 1


def _envelope(seen: Seen, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{seen.number:012d}",
        "object": kind,
        "created": CREATED,
        "model": seen.fields.get("model"),
        "system_fingerprint": "fp_sandbox",
    }


def _usage(seen: Seen, answer: Answer) -> dict[str, Any]:
    prompt = seen.prompt_words if answer.prompt_tokens is None else answer.prompt_tokens
    completion = answer.output_tokens * _choices(seen)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": answer.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": answer.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _calls(seen: Seen, answer: Answer) -> list[tuple[str, str, str]]:
    return [
        (call.id or f"call_{seen.number:06d}{place:02d}", call.name, dump(dict(call.arguments)).decode())
        for place, call in enumerate(answer.tool_calls)
    ]


def _deltas(seen: Seen, answer: Answer) -> list[tuple[Kind, dict[str, Any], str | None]]:
    """What each chunk of one choice changes: kind of event, delta, finish reason."""
    opening: dict[str, Any] = {"role": "assistant", "content": "", "refusal": None}
    deltas: list[tuple[Kind, dict[str, Any], str | None]] = []
    if answer.parts or not answer.tool_calls:
        deltas.append(("frame", opening, None))
        deltas.extend(("content", {"content": part}, None) for part in answer.parts)
    for place, (call_id, name, arguments) in enumerate(_calls(seen, answer)):
        first = {"index": place, "id": call_id, "type": "function", "function": {"name": name, "arguments": ""}}
        # Without text before it, the first call shares its chunk with the role.
        start = {"role": "assistant", "content": None} if not deltas else {}
        deltas.append(("content", {**start, "tool_calls": [first]}, None))
        deltas.extend(
            ("content", {"tool_calls": [{"index": place, "function": {"arguments": part}}]}, None)
            for part in halves(arguments)
        )
    return [*deltas, ("finish", {}, answer.finish_reason)]

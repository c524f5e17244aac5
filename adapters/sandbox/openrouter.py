"""OpenRouter: chat completions with the upstream's own words, its cost, its reasoning, and errors of two shapes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

from .answer import Answer, pieces
from .chat_completions import CREATED, ChatCompletions, Delta
from .dialect import Event, HttpReply, Problem, Rules, bearer, dump, phrase
from .seen import Seen

_PROVIDER = "Acme"  # who made the answer
_FORMAT = "anthropic-claude-v1"  # of the pieces of reasoning
_UPSTREAM: tuple[tuple[str, Any], ...] = (
    ("raw", '{"error":{"message":"the model is temporarily rate-limited upstream"}}'),
    ("provider_name", _PROVIDER),
)
# Status -> the fine reason, the message, and what else the metadata holds.
_USUAL: dict[int, tuple[str, str, tuple[tuple[str, Any], ...]]] = {
    400: ("invalid_request", "Invalid request", ()),
    401: ("unauthorized", "User not found.", ()),
    402: ("payment_required", "Insufficient credits. Add more using https://openrouter.ai/credits", ()),
    403: ("permission_denied", "Your key may not do this", ()),
    408: ("timeout", "Request timed out", ()),
    409: ("precondition_failed", "Conflict", ()),
    413: ("payload_too_large", "Payload too large", ()),
    422: ("unprocessable", "Unprocessable request", ()),
    429: ("rate_limit_exceeded", "Provider returned error", _UPSTREAM),
    500: ("server", "Internal Server Error", ()),
    502: ("provider_unavailable", "Provider returned error", _UPSTREAM[1:]),
    503: ("provider_overloaded", "Provider is overloaded", _UPSTREAM[1:]),
    504: ("timeout", "Provider timed out", _UPSTREAM[1:]),
    529: ("provider_overloaded", "Provider is overloaded", _UPSTREAM[1:]),
}


class OpenRouter(ChatCompletions):
    """`POST /api/v1/chat/completions`, the list of models, and the look at the key.

    `Answer(finish="error")` is how it says inside a choice that the upstream failed.
    """

    name = "openrouter"
    base_path = "/api/v1"
    chat_path = "/api/v1/chat/completions"
    ping = b": OPENROUTER PROCESSING\n\n"
    stream_type = "text/event-stream"
    request_id_header = "x-generation-id"
    id_prefix = "gen-"
    usage_unasked = True
    sample_models: ClassVar[tuple[str, ...]] = ("openai/gpt-4o", "anthropic/claude-sonnet-4.5")

    def check(self, seen: Seen, rules: Rules) -> Problem | None:
        refused = self._check_key(seen, rules)
        if refused is not None:
            return refused
        body = seen.body
        if not isinstance(body, dict):
            return replace(self.problem(400), message="The request body is not valid JSON")
        messages, model = body.get("messages"), body.get("model")
        if not messages:
            return replace(self.problem(400), message='Input required: specify "prompt" or "messages"')
        if not isinstance(messages, list) or not all(isinstance(item, dict) and "role" in item for item in messages):
            return replace(self.problem(400), message="messages: expected an array of messages with a role")
        # A model may be left out: the account's default is meant then.
        if model is not None and not isinstance(model, str):
            return replace(self.problem(400), message="model: expected a string")
        if model is not None and rules.models is not None and model not in rules.models:
            return replace(self.problem(400), message=f"{model} is not a valid model ID")
        return None

    def _check_key(self, seen: Seen, rules: Rules) -> Problem | None:
        key = bearer(seen)
        if not key:
            return replace(self.problem(401), message="No auth credentials found")
        return self.problem(401) if rules.key is not None and key != rules.key else None

    def request_id(self, number: int) -> str:
        return f"{self.id_prefix}{number:012d}"

    def envelope(self, seen: Seen, kind: str) -> dict[str, Any]:
        envelope = super().envelope(seen, kind)
        return {**envelope, "model": envelope["model"] or self.sample_models[0], "provider": _PROVIDER}

    def choice(self, answer: Answer, *args: Any) -> dict[str, Any]:
        choice = super().choice(answer, *args)
        finish = choice["finish_reason"]
        choice["native_finish_reason"] = finish and (answer.native_finish or finish)
        return {**choice, "error": self._error(self.usual_problem())} if finish == "error" else choice

    def message(self, seen: Seen, answer: Answer) -> dict[str, Any]:
        message = {**super().message(seen, answer), "refusal": answer.refusal or None, "reasoning": None}
        if _shows(seen) and (answer.reasoning or answer.encrypted_reasoning):
            message["reasoning"] = answer.reasoning or None
            message["reasoning_details"] = _details(answer, (answer.reasoning,) if answer.reasoning else ())
        return message

    def text(self, answer: Answer) -> str | None:
        return answer.text or None  # upstreams that say nothing say null

    def stream(self, seen: Seen, answer: Answer) -> list[Event]:
        return [Event(self.ping, "frame"), *super().stream(seen, answer)]

    def deltas(self, seen: Seen, answer: Answer) -> list[Delta]:
        # The role is on every chunk, so no chunk is needed to open with it.
        spoken = super().deltas(seen, answer)[1:]
        return [item._replace(change={"role": "assistant", "content": "", **item.change}) for item in spoken]

    def thinking(self, seen: Seen, answer: Answer) -> list[Delta]:
        if not _shows(seen):
            return []
        return [
            Delta("content", {"reasoning": detail.get("text"), "reasoning_details": [detail]})
            for detail in _details(answer, pieces(answer.reasoning))
        ]

    def usage(self, seen: Seen, answer: Answer) -> dict[str, Any]:
        return {
            **super().usage(seen, answer),
            "completion_tokens_details": {"reasoning_tokens": answer.reasoning_tokens},
            "cost": answer.cost,
            "is_byok": False,
            "cost_details": {"upstream_inference_cost": None},
        }

    def other(self, seen: Seen, rules: Rules) -> HttpReply:
        path = seen.path.rstrip("/").removeprefix(self.base_path)
        if seen.path.rstrip("/") == self.chat_path:
            return self.problem_reply(self.problem(405), seen.number)
        if path == "/models":  # public
            names = self.sample_models if rules.models is None else sorted(rules.models)
            return self.json_reply(200, {"data": [_model(name) for name in names]}, seen.number)
        if path != "/key":
            return self.problem_reply(self.problem(404), seen.number)
        refused = self._check_key(seen, rules)
        if refused is not None:
            return self.problem_reply(refused, seen.number)
        return self.json_reply(200, {"data": _KEY}, seen.number)

    def problem(self, status: int, retry_after: float | str | None = None) -> Problem:
        kind, message, metadata = _USUAL.get(status, ("", phrase(status), ()))
        return Problem(status, message, kind, status, extra=metadata)

    def named(self, name: str, model: str, retry_after: float | str | None = None) -> Problem:
        status = {"quota": 402, "bad_key": 401, "rate_limit": 429}.get(name)
        if status is not None:
            return self.problem(status)
        flagged = {"reasons": ["violence"], "flagged_input": "…", "provider_name": _PROVIDER, "model_slug": model}
        length = "This endpoint's maximum context length is 131072 tokens. However, you requested about 207791 tokens."
        return {
            "content_filter": Problem(403, "Your input was flagged", "", 403, extra=tuple(flagged.items())),
            "context_length": Problem(400, length, "context_length_exceeded", 400),
            # What concerns availability has the newer shape, without a code.
            "model_not_found": _unavailable(404, f"No endpoints found for {model}.", "not_found", "no_endpoints"),
            "overloaded": _unavailable(503, "Provider is overloaded", "provider_overloaded", "temporarily_unavailable"),
        }[name]

    def usual_problem(self) -> Problem:
        return self.problem(502)

    def error_body(self, problem: Problem, number: int) -> bytes:
        return dump({"error": self._error(problem), "user_id": "user_sandbox"})

    def _error(self, problem: Problem) -> dict[str, Any]:
        if problem.code is None:
            kind = {"error_type": problem.type, "http_status": problem.status}
            return {"message": problem.message, **kind, **dict(problem.extra)}
        metadata = {**({"error_type": problem.type} if problem.type else {}), **dict(problem.extra)}
        return {"code": problem.code, "message": problem.message, **({"metadata": metadata} if metadata else {})}

    def error_event(self, problem: Problem, seen: Seen) -> bytes:
        choice = {"index": 0, "delta": {"content": ""}, "finish_reason": "error"}
        chunk = {**self.envelope(seen, "chat.completion.chunk"), "error": self._error(problem), "choices": [choice]}
        return b"data: " + dump(chunk) + b"\n\n"


_KEY = {
    "label": "sk-or-v1-san...box",
    "limit": 100,
    "limit_remaining": 74.5,
    "limit_reset": "monthly",
    "usage": 25.5,
    "usage_daily": 1.5,
    "is_free_tier": False,
    "byok_usage": 0,
}


def _model(name: str) -> dict[str, Any]:
    return {
        "id": name,
        "canonical_slug": name,
        "name": name,
        "created": CREATED,
        "description": "",
        "context_length": 131072,
        "architecture": {"input_modalities": ["text", "image"], "output_modalities": ["text"], "tokenizer": "Other"},
        "pricing": {"prompt": "0.0000025", "completion": "0.00001", "request": "0", "image": "0"},
        "top_provider": {"context_length": 131072, "max_completion_tokens": 16384, "is_moderated": True},
        "per_request_limits": None,
        "supported_parameters": ["max_tokens", "temperature", "tools", "tool_choice", "response_format", "reasoning"],
        "default_parameters": {},
    }


def _unavailable(status: int, message: str, kind: str, code: str) -> Problem:
    availability = {"code": code, "retryable": status >= 500, "affected_providers": [_PROVIDER]}
    return Problem(status, message, kind, extra=(("availability", availability),))


def _shows(seen: Seen) -> bool:
    """Whether the request leaves the reasoning on, and wants to see it."""
    fields = seen.fields
    asked = fields.get("reasoning")
    asked = asked if isinstance(asked, dict) else {}
    off = asked.get("exclude") is True or asked.get("enabled") is False or fields.get("include_reasoning") is False
    return not off and "none" not in (asked.get("effort"), fields.get("reasoning_effort"))


def _details(answer: Answer, texts: tuple[str, ...]) -> list[dict[str, Any]]:
    """The reasoning in the pieces that have to go back: the text in one or many, and what is encrypted."""
    read = {"type": "reasoning.text", "format": _FORMAT, "index": 0}
    details = [{**read, "text": text} for text in texts]
    if details:
        details[-1]["signature"] = "c2FuZGJveA=="
    if answer.encrypted_reasoning:
        sealed = {"type": "reasoning.encrypted", "data": answer.encrypted_reasoning, "format": _FORMAT, "index": 1}
        details.append(sealed)
    return details

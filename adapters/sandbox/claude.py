"""Anthropic's messages protocol, as bytes."""

from __future__ import annotations

from typing import Any, ClassVar

from .answer import Answer, pieces
from .claude_checks import check_body
from .dialect import Dialect, Event, HttpReply, Kind, Problem, Rules, dump, halves, phrase
from .seen import Seen

_STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
_BAD = "invalid_request_error"
_USUAL: dict[int, tuple[str, str]] = {
    400: (_BAD, "messages.0.content: Input should be a valid string"),
    401: ("authentication_error", "invalid x-api-key"),
    402: ("billing_error", "There is a problem with your billing. Please go to Plans & Billing."),
    403: ("permission_error", "Your API key does not have permission to use the specified resource."),
    404: ("not_found_error", "Not found"),
    408: ("timeout_error", "Request timed out"),
    409: ("conflict_error", "The resource was changed by another request."),
    413: ("request_too_large", "Request exceeds the maximum size"),
    422: (_BAD, "Unprocessable request"),
    429: (
        "rate_limit_error",
        "This request would exceed your organization's rate limit of 30,000 input tokens per minute",
    ),
    500: ("api_error", "Internal server error"),
    504: ("timeout_error", "Request timed out"),
    529: ("overloaded_error", "Overloaded"),
}


class Claude(Dialect):
    """`POST /v1/messages`, and the list of models."""

    name = "claude"
    base_path = ""
    chat_path = "/v1/messages"
    ping = b'event: ping\ndata: {"type":"ping"}\n\n'
    request_id_header = "request-id"
    sample_models: ClassVar[tuple[str, ...]] = ("claude-sonnet-4-5", "claude-haiku-4-5")

    def check(self, seen: Seen, rules: Rules) -> Problem | None:
        refused = self._check_headers(seen, rules)
        if refused is not None:
            return refused
        body = seen.body
        if not isinstance(body, dict):
            return Problem(400, "The request body is not valid JSON: expected value: line 1 column 1 (char 0)", _BAD)
        wrong = check_body(body, seen.headers["anthropic-version"])
        if wrong is not None:
            return Problem(400, wrong, _BAD)
        if rules.models is not None and body["model"] not in rules.models:
            return self.named("model_not_found", body["model"])
        return None

    def _check_headers(self, seen: Seen, rules: Rules) -> Problem | None:
        key = seen.headers.get("x-api-key")
        if key is None:  # when both arrive, the API goes by x-api-key
            scheme, _, token = seen.headers.get("authorization", "").partition(" ")
            key = token if scheme.lower() == "bearer" else ""
        if not key.strip():
            return Problem(401, "x-api-key header is required", "authentication_error")
        if rules.key is not None and key.strip() != rules.key:
            return self.problem(401)
        if not seen.headers.get("anthropic-version"):
            return Problem(400, "anthropic-version: header is required", _BAD)
        return None

    def complete(self, seen: Seen, answer: Answer) -> bytes:
        message = _message(seen, answer)
        message["content"] = [whole for _, whole, _ in _blocks(seen, answer)]
        message["stop_reason"] = _stop_reason(answer)
        message["usage"] = _usage(seen, answer, answer.output_tokens)
        return dump(message)

    def stream(self, seen: Seen, answer: Answer) -> list[Event]:
        events = [_event("frame", "message_start", message=_message(seen, answer))]
        ping = Event(self.ping, "frame")
        for index, (skeleton, _, deltas) in enumerate(_blocks(seen, answer)):
            events.append(_event("frame", "content_block_start", index=index, content_block=skeleton))
            if index == 0:
                events.append(ping)
            events.extend(_event("content", "content_block_delta", index=index, delta=delta) for delta in deltas)
            events.append(_event("frame", "content_block_stop", index=index))
        if ping not in events:
            events.append(ping)
        change = {"stop_reason": _stop_reason(answer), "stop_sequence": None}
        usage = {"output_tokens": answer.output_tokens}
        events.append(_event("finish", "message_delta", delta=change, usage=usage))
        return [*events, _event("end", "message_stop")]

    def other(self, seen: Seen, rules: Rules) -> HttpReply:
        path = seen.path.rstrip("/")
        if path == self.chat_path:
            return self.problem_reply(Problem(405, "Method Not Allowed", _BAD), seen.number)
        if path != "/v1/models" and not path.startswith("/v1/models/"):
            return self.problem_reply(self.problem(404), seen.number)
        refused = self._check_headers(seen, rules)
        if refused is not None:
            return self.problem_reply(refused, seen.number)
        names = sorted(rules.models) if rules.models is not None else list(self.sample_models)
        if path == "/v1/models":
            ends = {"first_id": names[0] if names else None, "last_id": names[-1] if names else None}
            listing = {"data": [_model(name) for name in names], "has_more": False, **ends}
            return self.json_reply(200, listing, seen.number)
        name = path.removeprefix("/v1/models/")
        if rules.models is not None and name not in rules.models:
            return self.problem_reply(self.named("model_not_found", name), seen.number)
        return self.json_reply(200, _model(name), seen.number)

    def problem(self, status: int, retry_after: float | str | None = None) -> Problem:
        kind, message = _USUAL.get(status, (_BAD if status < 500 else "api_error", phrase(status)))
        return Problem(status, message, kind)

    def named(self, name: str, model: str, retry_after: float | str | None = None) -> Problem:
        status = {"bad_key": 401, "overloaded": 529, "rate_limit": 429}.get(name)
        if status is not None:
            return self.problem(status)
        if name == "model_not_found":
            return Problem(404, f"model: {model}", "not_found_error")
        message = {
            "quota": "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to "
            "upgrade or purchase credits.",
            "context_length": "prompt is too long: 207791 tokens > 200000 maximum",
            "content_filter": "Output blocked by content filtering policy",
        }[name]
        return Problem(400, message, _BAD)

    def usual_problem(self) -> Problem:
        return self.problem(529)

    def error_body(self, problem: Problem, number: int) -> bytes:
        error: dict[str, Any] = {"type": problem.type, "message": problem.message}
        if problem.code is not None:
            error["details"] = {"error_code": problem.code}
        return dump({"type": "error", "error": error | dict(problem.extra), "request_id": self.request_id(number)})

    def error_event(self, problem: Problem, number: int) -> bytes:
        return b"event: error\ndata: " + self.error_body(problem, number) + b"\n\n"


def _model(name: str) -> dict[str, Any]:
    return {"type": "model", "id": name, "display_name": name, "created_at": "2026-01-01T00:00:00Z"}


def _stop_reason(answer: Answer) -> str:
    return _STOP_REASONS.get(answer.finish_reason, answer.finish_reason)


def _usage(seen: Seen, answer: Answer, output: int) -> dict[str, Any]:
    prompt = seen.prompt_words if answer.prompt_tokens is None else answer.prompt_tokens
    return {
        "input_tokens": max(0, prompt - answer.cached_tokens),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": answer.cached_tokens,
        "output_tokens": output,
        "service_tier": "standard",
    }


def _message(seen: Seen, answer: Answer) -> dict[str, Any]:
    """The message as a stream opens it: nothing said yet, a provisional count."""
    return {
        "id": f"msg_{seen.number:012d}",
        "type": "message",
        "role": "assistant",
        "model": seen.fields.get("model"),
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": _usage(seen, answer, 1),
    }


def _blocks(seen: Seen, answer: Answer) -> list[tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]]]]:
    """Each content block in three forms: as a stream opens it, whole, and the deltas between."""
    blocks: list[tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]]]] = []
    thinking = seen.fields.get("thinking")
    off = isinstance(thinking, dict) and thinking.get("type") == "disabled"
    if answer.reasoning and not off:
        deltas = [{"type": "thinking_delta", "thinking": part} for part in pieces(answer.reasoning)]
        deltas.append({"type": "signature_delta", "signature": "c2FuZGJveA=="})
        whole = {"type": "thinking", "thinking": answer.reasoning, "signature": "c2FuZGJveA=="}
        blocks.append(({"type": "thinking", "thinking": "", "signature": ""}, whole, deltas))
    if answer.text:
        deltas = [{"type": "text_delta", "text": part} for part in answer.parts]
        blocks.append(({"type": "text", "text": ""}, {"type": "text", "text": answer.text}, deltas))
    for place, call in enumerate(answer.tool_calls):
        call_id = call.id or f"toolu_{seen.number:010d}{place:02d}"
        block = {"type": "tool_use", "id": call_id, "name": call.name, "input": {}}
        fragments = ("", *halves(dump(dict(call.arguments)).decode())) if call.arguments else ("",)
        deltas = [{"type": "input_json_delta", "partial_json": part} for part in fragments]
        blocks.append((block, {**block, "input": dict(call.arguments)}, deltas))
    return blocks


def _event(kind: Kind, name: str, **members: Any) -> Event:
    return Event(f"event: {name}\ndata: ".encode() + dump({"type": name, **members}) + b"\n\n", kind)

"""Anthropic's messages protocol, as bytes."""

from __future__ import annotations

from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote

from .answer import Answer, pieces
from .claude_checks import check_body, signed
from .dialect import Dialect, Event, HttpReply, Kind, Problem, Rules, bearer, dump, halves, phrase
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
        # When both arrive, the API goes by x-api-key.
        key = seen.headers.get("x-api-key", bearer(seen))
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
        thought = {"thinking_tokens": answer.reasoning_tokens}
        usage = {"output_tokens": answer.output_tokens, "output_tokens_details": thought}
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
            asked = {name: values[-1] for name, values in parse_qs(seen.query).items()}
            limit = asked.get("limit", "20")
            if not limit.isdecimal() or not 1 <= int(limit) <= 1000:
                text = "limit: Input should be a valid integer from 1 to 1000"
                return self.problem_reply(Problem(400, text, _BAD), seen.number)
            return self.json_reply(200, _page(names, int(limit), asked), seen.number)
        name = unquote(path.removeprefix("/v1/models/"))
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

    def error_event(self, problem: Problem, seen: Seen) -> bytes:
        return b"event: error\ndata: " + self.error_body(problem, seen.number) + b"\n\n"


def _model(name: str) -> dict[str, Any]:
    limits = {"max_input_tokens": 200_000, "max_tokens": 64_000, "lifecycle": "active"}
    return {"type": "model", "id": name, "display_name": name, "created_at": "2026-01-01T00:00:00Z", **limits}


def _page(names: list[str], size: int, asked: dict[str, str]) -> dict[str, Any]:
    """One page of the list of models, after or before the one that is named."""
    after, before = asked.get("after_id"), asked.get("before_id")
    if after in names:
        names = names[names.index(after) + 1 :]
    if before in names:
        names = names[: names.index(before)]
    page = names[-size:] if before else names[:size]
    ends = {"first_id": page[0] if page else None, "last_id": page[-1] if page else None}
    return {"data": [_model(name) for name in page], "has_more": len(page) < len(names), **ends}


def _stop_reason(answer: Answer) -> str:
    if answer.refusal and answer.finish is None:
        return "refusal"
    return _STOP_REASONS.get(answer.finish_reason, answer.finish_reason)


def _usage(seen: Seen, answer: Answer, output: int) -> dict[str, Any]:
    prompt = seen.prompt_words if answer.prompt_tokens is None else answer.prompt_tokens
    return {
        "input_tokens": max(0, prompt - answer.cached_tokens),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": answer.cached_tokens,
        "output_tokens": output,
        "output_tokens_details": {"thinking_tokens": answer.reasoning_tokens},
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
        signature = signed(answer.reasoning)
        deltas = [{"type": "thinking_delta", "thinking": part} for part in pieces(answer.reasoning)]
        deltas.append({"type": "signature_delta", "signature": signature})
        whole = {"type": "thinking", "thinking": answer.reasoning, "signature": signature}
        blocks.append(({"type": "thinking", "thinking": "", "signature": ""}, whole, deltas))
    if answer.encrypted_reasoning and not off:  # it comes whole
        whole = {"type": "redacted_thinking", "data": answer.encrypted_reasoning}
        blocks.append((whole, whole, []))
    said = answer.in_words
    if said.text:
        deltas = [{"type": "text_delta", "text": part} for part in said.parts]
        blocks.append(({"type": "text", "text": ""}, {"type": "text", "text": said.text}, deltas))
    for place, call in enumerate(answer.tool_calls):
        call_id = call.id or f"toolu_{seen.number:010d}{place:02d}"
        block = {"type": "tool_use", "id": call_id, "name": call.name, "input": {}}
        fragments = ("", *halves(dump(dict(call.arguments)).decode())) if call.arguments else ("",)
        deltas = [{"type": "input_json_delta", "partial_json": part} for part in fragments]
        blocks.append((block, {**block, "input": dict(call.arguments)}, deltas))
    return blocks


def _event(kind: Kind, name: str, **members: Any) -> Event:
    return Event(f"event: {name}\ndata: ".encode() + dump({"type": name, **members}) + b"\n\n", kind)

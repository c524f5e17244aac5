"""Ollama's own chat protocol, as bytes."""

from __future__ import annotations

from typing import Any, ClassVar

from .answer import Answer, pieces
from .dialect import Dialect, Event, HttpReply, Problem, Rules, dump, is_number, phrase, words
from .logprobs import logprobs
from .seen import Seen, objects

VERSION = "0.30.0"
_TEXT = (("content-type", "text/plain"),)

_OPTIONS: dict[str, str] = {
    **dict.fromkeys(
        words("num_predict num_ctx num_keep seed top_k repeat_last_n num_batch num_gpu main_gpu num_thread"), "integer"
    ),
    **dict.fromkeys(
        words("temperature top_p min_p typical_p repeat_penalty presence_penalty frequency_penalty"), "float32"
    ),
    "stop": "array",
    "use_mmap": "boolean",
}
_THINK = ("low", "medium", "high", "max")
_USUAL: dict[int, str] = {
    400: "invalid request",
    401: "unauthorized",
    403: "this model requires a subscription, upgrade for access: https://ollama.com/upgrade",
    404: "model 'unknown' not found",
    429: "too many concurrent requests",
    499: "request canceled",
    500: "model runner has unexpectedly stopped, this may be due to resource limitations or an internal error, "
    "check ollama server logs for details",
    502: "upstream error",
    503: "server busy, please try again.  maximum pending requests exceeded",
}


# Go's JSON package writes these as escapes; clients that split a stream with `splitlines` rely on it.
_GO_ESCAPES = {ord(char): f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"}


class Ollama(Dialect):
    """`POST /api/chat`, and the paths by which one asks whether it is there."""

    name = "ollama"
    base_path = ""
    chat_path = "/api/chat"
    ping = b"\n"
    json_type = "application/json; charset=utf-8"
    stream_type = "application/x-ndjson"
    stream_default = True
    sample_models: ClassVar[tuple[str, ...]] = ("llama3.2:latest",)

    def check(self, seen: Seen, rules: Rules) -> Problem | None:
        if rules.key is not None and seen.headers.get("authorization", "") != f"Bearer {rules.key}":
            return self.problem(401)
        if not seen.raw:
            return Problem(400, "missing request body")
        body = seen.body
        if isinstance(body, bytes):
            return Problem(400, f"invalid character '{chr(body[0])}' looking for beginning of value")
        if not isinstance(body, dict):
            return Problem(400, "json: cannot unmarshal into Go value of type api.ChatRequest")
        wrong = _check_messages(body.get("messages")) or _check_fields(body)
        if wrong is not None:
            return Problem(400, wrong)
        if rules.models is not None and _tagged(body["model"]) not in {_tagged(name) for name in rules.models}:
            return self.named("model_not_found", body["model"])
        # A wrong type in the options is found only when the model is loaded; hence the wrong status.
        wrong = _check_options(body.get("options"))
        return None if wrong is None else Problem(500, wrong)

    def complete(self, seen: Seen, answer: Answer) -> bytes:
        answer = answer.in_words
        message: dict[str, Any] = {"role": "assistant", "content": answer.text}
        if _thinks(seen, answer):
            message["thinking"] = answer.reasoning
        if answer.tool_calls:
            message["tool_calls"] = _calls(seen, answer)
        if not seen.fields.get("messages"):
            return _dump(_loaded(seen))
        return _dump({**_line(seen, 1, message, *answer.parts), **_ending(seen, answer)})

    def stream(self, seen: Seen, answer: Answer) -> list[Event]:
        if not seen.fields.get("messages"):
            return [Event(_dump(_loaded(seen)) + b"\n", "end")]
        messages: list[dict[str, Any]] = []
        if _thinks(seen, answer):
            messages.extend({"content": "", "thinking": part} for part in pieces(answer.reasoning))
        messages.extend({"content": part} for part in answer.in_words.parts)
        if answer.tool_calls:
            messages.append({"content": "", "tool_calls": _calls(seen, answer)})
        events = []
        for place, message in enumerate(messages):
            said = filter(None, (message["content"],))
            line = {**_line(seen, place + 1, {"role": "assistant", **message}, *said), "done": False}
            events.append(Event(_dump(line) + b"\n", "content"))
        last = {**_line(seen, len(messages) + 1, {"role": "assistant", "content": ""}), **_ending(seen, answer)}
        return [*events, Event(_dump(last) + b"\n", "end")]

    def other(self, seen: Seen, rules: Rules) -> HttpReply:
        known = {
            "/": b"Ollama is running",
            "/api/version": _dump({"version": VERSION}),
            "/api/tags": _dump({"models": [_tag(name) for name in self._names(rules)]}),
        }
        if seen.path == self.chat_path or (seen.path in known and seen.method not in ("GET", "HEAD")):
            return HttpReply(405, _TEXT, b"405 method not allowed")
        if seen.path not in known:
            return HttpReply(404, _TEXT, b"404 page not found")
        kind = "text/plain; charset=utf-8" if seen.path == "/" else self.json_type
        return HttpReply(200, (("content-type", kind),), known[seen.path])

    def _names(self, rules: Rules) -> list[str]:
        return sorted(_tagged(name) for name in (self.sample_models if rules.models is None else rules.models))

    def problem(self, status: int, retry_after: float | str | None = None) -> Problem:
        return Problem(status, _USUAL.get(status, phrase(status).lower()))

    def named(self, name: str, model: str, retry_after: float | str | None = None) -> Problem:
        if name == "content_filter":
            raise ValueError("Ollama has no content filter: faults.content_filter() cannot be played by it")
        return {
            "quota": Problem(429, "you (sandbox) have reached your session usage limit, upgrade for higher limits"),
            "bad_key": Problem(401, "unauthorized", extra=(("signin_url", "https://ollama.com/connect"),)),
            "model_not_found": Problem(404, f"model '{model}' not found"),
            "context_length": Problem(
                400, "the prompt is longer than the context length currently available (4096 tokens)"
            ),
            "overloaded": self.problem(503),
            "rate_limit": self.problem(429),
        }[name]

    def usual_problem(self) -> Problem:
        return Problem(500, "an error was encountered while running the model: unexpected EOF")

    def error_body(self, problem: Problem, number: int) -> bytes:
        return _dump({"error": problem.message, **dict(problem.extra)})

    def error_event(self, problem: Problem, seen: Seen) -> bytes:
        return self.error_body(problem, seen.number) + b"\n"


def _dump(value: object) -> bytes:
    return dump(value).decode().translate(_GO_ESCAPES).encode()


def _tagged(name: str) -> str:
    """A model's full name: without a tag, `:latest` is meant."""
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def _tag(name: str) -> dict[str, Any]:
    details = {
        "parent_model": "",
        "format": "gguf",
        "family": "llama",
        "families": ["llama"],
        "parameter_size": "3.2B",
        "quantization_level": "Q4_K_M",
    }
    return {
        "name": name,
        "model": name,
        "modified_at": "2026-01-01T00:00:00.000000001Z",
        "size": 2019393189,
        "digest": "0" * 64,
        "details": details,
    }


_GO_NAMES = {str: "string", bool: "bool", int: "number", float: "number", list: "array", dict: "object"}


def _go(value: object) -> str:
    """What Go's JSON package calls this kind of value."""
    return _GO_NAMES.get(type(value), "null")


def _check_messages(messages: object) -> str | None:
    place = "Go struct field ChatRequest.messages"
    if messages is None:
        return None
    if not isinstance(messages, list):
        return f"json: cannot unmarshal {_go(messages)} into {place} of type []api.Message"
    for message in messages:
        if not isinstance(message, dict):
            return f"json: cannot unmarshal {_go(message)} into {place} of type api.Message"
        content = message.get("content")
        if content is not None and not isinstance(content, str):
            return f"json: cannot unmarshal {_go(content)} into {place}.content of type string"
        for call in objects(message.get("tool_calls")):
            function = call.get("function")
            arguments = function.get("arguments") if isinstance(function, dict) else None
            if arguments is not None and not isinstance(arguments, dict):
                where = f"{place}.tool_calls.function.arguments"
                return f"json: cannot unmarshal {_go(arguments)} into {where} of type api.ToolCallFunctionArguments"
    return None


def _check_fields(body: dict[str, Any]) -> str | None:
    model, think, form = body.get("model"), body.get("think"), body.get("format")
    if not isinstance(model, str) or not model:
        return "model is required"
    if isinstance(think, str) and think not in _THINK:
        return f'invalid think value: "{think}" (must be "high", "medium", "low", "max", true, or false)'
    top = body.get("top_logprobs")
    if is_number(top) and not 0 <= top <= 20:
        return "top_logprobs must be between 0 and 20"
    if form not in (None, "", "json") and not isinstance(form, dict):
        return f'invalid format: {_dump(form).decode()}; expected "json" or a valid JSON Schema object'
    return None


def _check_options(options: object) -> str | None:
    if not isinstance(options, dict):
        return None
    for name, kind in _OPTIONS.items():
        value = options.get(name)
        if value is None:
            continue
        if kind == "array":
            if not isinstance(value, list):
                return f'option "{name}" must be of type array'
            if not all(isinstance(item, str) for item in value):
                return f'option "{name}" must be of an array of strings'
        elif not (isinstance(value, bool) if kind == "boolean" else is_number(value)):
            return f'option "{name}" must be of type {kind}'
    return None


def _thinks(seen: Seen, answer: Answer) -> bool:
    return bool(answer.reasoning) and seen.fields.get("think") is not False


def _line(seen: Seen, place: int, message: dict[str, Any], *tokens: str) -> dict[str, Any]:
    created = f"2026-01-01T00:00:00.{place:09d}Z"  # fixed, and in order; Go writes nanoseconds
    found = logprobs(seen, tokens)
    line = {"model": seen.fields.get("model"), "created_at": created, "message": message}
    return {**line, "logprobs": found} if found else line


def _ending(seen: Seen, answer: Answer) -> dict[str, Any]:
    """How the last line reports its end: Ollama calls a tool call `stop` too, and leaves out counts of zero."""
    reason = "stop" if answer.finish_reason == "tool_calls" else answer.finish_reason
    prompt = seen.prompt_words if answer.prompt_tokens is None else answer.prompt_tokens
    counts = {
        "total_duration": 900_000_000,
        "load_duration": 100_000_000,
        "prompt_eval_count": prompt,
        "prompt_eval_duration": 50_000_000,
        "eval_count": answer.output_tokens,
        "eval_duration": 90_000_000,
    }
    return {"done": True, "done_reason": reason, **{name: count for name, count in counts.items() if count}}


def _loaded(seen: Seen) -> dict[str, Any]:
    """The answer to a request without messages, which only loads the model, or with keep_alive 0 unloads it."""
    reason = "unload" if seen.fields.get("keep_alive") in (0, "0", "0s") else "load"
    return {**_line(seen, 1, {"role": "assistant", "content": ""}), "done": True, "done_reason": reason}


def _calls(seen: Seen, answer: Answer) -> list[dict[str, Any]]:
    return [
        {
            "id": call.id or f"call_{seen.number:06d}{place:02d}",
            "function": {"index": place, "name": call.name, "arguments": dict(call.arguments)},
        }
        for place, call in enumerate(answer.tool_calls)
    ]

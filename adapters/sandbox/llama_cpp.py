"""llama.cpp's server: chat completions, and a server that is there before its model is."""

from __future__ import annotations

from typing import Any, ClassVar

from .answer import Answer, pieces
from .chat_completions import CREATED, ChatCompletions, Delta
from .dialect import Event, Headers, HttpReply, Kind, Problem, Rules, bearer, dump, is_number, phrase
from .logprobs import logprobs
from .seen import Seen

_BAD = "invalid_request_error"
_SLOTS = 4  # what the server has by default; the most choices of one request
_CONTEXT = 4096
_USUAL: dict[int, tuple[str, str]] = {
    400: (_BAD, "Expected 'messages' to be an array"),
    401: ("authentication_error", "Invalid API Key"),
    403: ("permission_error", "This feature is disabled"),
    404: ("not_found_error", "File Not Found"),
    500: ("server_error", "Compute error."),
    501: ("not_supported_error", "This server does not support embeddings. Start it with `--embeddings`"),
    503: ("unavailable_error", "no slot available"),
}
# The lowest and the highest value; None is no limit that is not clamped.
_LIMITS: dict[str, tuple[int, int] | None] = {
    "n_predict": (-1, 2**31 - 1),
    "max_completion_tokens": (-1, 2**31 - 1),
    "max_tokens": (-1, 2**31 - 1),
    "n": (1, _SLOTS),
    "repeat_last_n": (0, 2**31 - 1),
    **dict.fromkeys(("temperature", "top_p", "top_k", "min_p", "seed", "presence_penalty", "frequency_penalty")),
}
_JSON_TYPES = {str: "string", bool: "boolean", list: "array", dict: "object"}


class LlamaCpp(ChatCompletions):
    """`POST /v1/chat/completions`, and the paths by which one asks whether it is there.

    It needs a key only if it was given one. With `models` it is a router, which knows these and no others; by itself
    it takes any name for the one model that it has.
    """

    name = "llama_cpp"
    base_path = ""
    chat_path = "/v1/chat/completions"
    ping = b":\n\n"
    json_type = "application/json; charset=utf-8"
    stream_type = "text/event-stream"
    can_load = True
    opening: ClassVar[dict[str, Any]] = {"role": "assistant", "content": None}
    most_choices = _SLOTS
    sample_models: ClassVar[tuple[str, ...]] = ("model.gguf",)

    def check(self, seen: Seen, rules: Rules) -> Problem | None:
        refused = self._check_access(seen, rules)
        if refused is not None:
            return refused
        body = seen.body
        if isinstance(body, bytes):  # the client's fault, reported as the server's
            text = "[json.exception.parse_error.101] parse error at line 1, column 1: syntax error while parsing value"
            return Problem(500, text, "server_error", 500)
        wrong = _check_body(body)
        if wrong is not None:
            return Problem(400, wrong, _BAD, 400)
        model = str(body.get("model"))
        return self.named("model_not_found", model) if rules.models is not None and model not in rules.models else None

    def _check_access(self, seen: Seen, rules: Rules) -> Problem | None:
        if rules.loading:
            return Problem(503, "Loading model", "unavailable_error", 503)
        keys = (bearer(seen), seen.headers.get("x-api-key"))
        return self.problem(401) if rules.key is not None and rules.key not in keys else None

    def headers(self, number: int) -> Headers:
        return (("server", "llama.cpp"),)

    def whole(self, seen: Seen, answer: Answer) -> dict[str, Any]:
        return {**super().whole(seen, answer.in_words), "timings": self._timings(seen, answer)}

    def stream(self, seen: Seen, answer: Answer) -> list[Event]:
        return super().stream(seen, answer.in_words)

    def envelope(self, seen: Seen, kind: str) -> dict[str, Any]:
        envelope = super().envelope(seen, kind)
        model = envelope["model"] or self.sample_models[0]
        return {**envelope, "model": model, "system_fingerprint": "b1-sandbox"}

    def choice(self, answer: Answer, *args: Any) -> dict[str, Any]:
        choice = super().choice(answer, *args)
        if choice["logprobs"] is None:
            del choice["logprobs"]
        return choice

    def message(self, seen: Seen, answer: Answer) -> dict[str, Any]:
        message = super().message(seen, answer)
        return {**message, "reasoning_content": answer.reasoning} if _thinks(seen, answer) else message

    def thinking(self, seen: Seen, answer: Answer) -> list[Delta]:
        parts = pieces(answer.reasoning) if _thinks(seen, answer) else ()
        return [Delta("content", {"reasoning_content": part}) for part in parts]

    def probabilities(self, seen: Seen, name: str, parts: tuple[str, ...]) -> dict[str, Any] | None:
        found = logprobs(seen, parts)
        if found is None:
            return None
        for entry in found:  # each token has its number here
            entry["id"] = 0
            for rank, other in enumerate(entry["top_logprobs"]):
                other["id"] = rank
        return {name: found}

    def usage(self, seen: Seen, answer: Answer) -> dict[str, Any]:
        usage = super().usage(seen, answer)
        one = answer.output_tokens  # of several choices, the server counts one
        return {**usage, "completion_tokens": one, "total_tokens": usage["prompt_tokens"] + one}

    def chunk(self, seen: Seen, answer: Answer, kind: Kind, choices: list[dict[str, Any]]) -> dict[str, Any]:
        chunk = super().chunk(seen, answer, kind, choices)
        last = "usage" if self.tells_usage(seen) else "finish"
        return {**chunk, "timings": self._timings(seen, answer)} if kind == last else chunk

    def _timings(self, seen: Seen, answer: Answer) -> dict[str, Any]:
        usage = self.usage(seen, answer)
        prompt, completion = usage["prompt_tokens"] - answer.cached_tokens, usage["completion_tokens"]
        return {
            "cache_n": answer.cached_tokens,
            **_speed("prompt", prompt, 1.0),
            **_speed("predicted", completion, 10.0),
        }

    def other(self, seen: Seen, rules: Rules) -> HttpReply:
        path = seen.path.removeprefix("/v1")
        refused = self._check_access(seen, rules)
        if refused is not None and (rules.loading or path != "/health"):
            return self.problem_reply(refused, seen.number)
        found = self._found(path, rules) if seen.method in ("GET", "HEAD") else None
        if found is None:  # what a wrong method is told, too
            return self.problem_reply(self.problem(404), seen.number)
        return self.json_reply(200, found, seen.number)

    def _found(self, path: str, rules: Rules) -> dict[str, Any] | None:
        names = self.sample_models if rules.models is None else sorted(rules.models)
        if path == "/health":
            return {"status": "ok"}
        if path == "/models":
            return {
                "models": [_tag(name) for name in names],
                "object": "list",
                "data": [_model(name) for name in names],
            }
        if path == "/props":
            settings = {"params": {"n_predict": -1, "temperature": 0.8}, "n_ctx": _CONTEXT}
            about = {"model_alias": names[0] if names else "", "model_path": self.sample_models[0]}
            return {"default_generation_settings": settings, "total_slots": _SLOTS, **about, "build_info": "b1-sandbox"}
        return None

    def problem(self, status: int, retry_after: float | str | None = None) -> Problem:
        kind, message = _USUAL.get(status, (_BAD if status < 500 else "server_error", phrase(status)))
        return Problem(status, message, kind, status)

    def named(self, name: str, model: str, retry_after: float | str | None = None) -> Problem:
        if name in ("quota", "content_filter"):
            raise ValueError(f"llama.cpp's server has neither quota nor filter: faults.{name}() cannot be played by it")
        length = f"request (5191 tokens) exceeds the available context size ({_CONTEXT} tokens), try increasing it"
        counts = (("n_prompt_tokens", 5191), ("n_ctx", _CONTEXT))
        return {
            "bad_key": self.problem(401),
            "overloaded": self.problem(503),
            "rate_limit": self.problem(429),  # of a proxy before it: by itself it queues
            "model_not_found": Problem(400, f"model '{model}' not found", _BAD, 400),
            "context_length": Problem(400, length, "exceed_context_size_error", 400, extra=counts),
        }[name]

    def usual_problem(self) -> Problem:
        return self.problem(500)

    def error_body(self, problem: Problem, number: int) -> bytes:
        error = {"code": problem.code, "message": problem.message, "type": problem.type, **dict(problem.extra)}
        return dump({"error": error})


def _thinks(seen: Seen, answer: Answer) -> bool:
    return bool(answer.reasoning) and seen.fields.get("reasoning_effort") != "none"


def _speed(name: str, tokens: int, each: float) -> dict[str, Any]:
    """How long so many tokens took, at that many milliseconds each."""
    return {
        f"{name}_n": tokens,
        f"{name}_ms": tokens * each,
        f"{name}_per_token_ms": each,
        f"{name}_per_second": 1000 / each,
    }


def _tag(name: str) -> dict[str, Any]:
    """An entry as Ollama's clients know it."""
    about = dict.fromkeys(("modified_at", "size", "digest", "description", "parameters"), "")
    details = {"parent_model": "", "format": "gguf", "family": "", "families": [""]}
    sizes = {"parameter_size": "", "quantization_level": ""}
    rest = {"type": "model", "tags": [""], "capabilities": ["completion"], "details": {**details, **sizes}}
    return {"name": name, "model": name, **about, **rest}


def _model(name: str) -> dict[str, Any]:
    sizes = {"n_vocab": 32000, "n_ctx": _CONTEXT, "n_ctx_train": 131072, "n_embd": 64, "n_params": 138944}
    return {
        "id": name,
        "aliases": [name],
        "tags": [],
        "object": "model",
        "architecture": {"input_modalities": ["text"], "output_modalities": ["text"]},
        "created": CREATED,
        "owned_by": "llamacpp",
        "meta": {"vocab_type": 1, **sizes, "size": 555776, "ftype": "all F32"},
    }


def _check_body(body: object) -> str | None:
    if not isinstance(body, dict) or body.get("messages") is None:
        return "'messages' is required"
    messages = body["messages"]
    if not isinstance(messages, list):
        return "Expected 'messages' to be an array"
    if not all(isinstance(message, dict) and "role" in message for message in messages):
        return "Failed to parse messages: Missing 'role' in message"
    for name, limits in _LIMITS.items():
        wrong = _check_number(name, body.get(name), limits)
        if wrong is not None:
            return wrong
    if body.get("top_logprobs") is not None and body.get("logprobs") is not True:
        return "top_logprobs requires logprobs to be set to true"
    form = body.get("response_format")
    if isinstance(form, dict) and form.get("type") not in (None, "text", "json_object", "json_schema"):
        return 'response_format type must be one of "text" or "json_object", but got: ' + str(form["type"])
    return None


def _check_number(name: str, value: object, limits: tuple[int, int] | None) -> str | None:
    """What is out of range is clamped in silence, except where the server has a limit that it tells."""
    if value is None:
        return None
    if not is_number(value):
        found = _JSON_TYPES[type(value)]
        return f"Field '{name}': [json.exception.type_error.302] type must be number, but is {found}"
    if limits is None or limits[0] <= value <= limits[1]:
        return None
    return f"Field '{name}': Value must be between {limits[0]} <= value <= {limits[1]}, but got {value}"

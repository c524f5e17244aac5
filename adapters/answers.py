"""Finds the error in an answer: its message, its codes and its status, whatever shape a provider gave it.

Shapes that are known: OpenAI's and Anthropic's `{"error": {...}}`, OpenRouter's with `metadata` and
`availability`, Ollama's `{"error": "text"}` (the text may be JSON again), the Responses API's `status: "failed"`,
an error in the first choice, gateways' `detail`, `errors` and bare `message`, HTML pages, plain text, and the
Python or Go notation of an object in which programs print the errors they pass on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from .redact import clipped, title_of

__all__ = ["Found", "decoded", "find_error", "from_object", "from_text", "lacks_content"]

_DEEPEST = 6  # errors inside errors that are followed: a gateway in front of a gateway in front of a provider

# Where a message begins to quote the request or the model; behind it any word may occur, and means nothing.
_ECHO = re.compile(
    r"""[;,.] ?messages ?= ?\[|['"]?\binput(?:_value)?['"]?\s?[:=]\s|['"]messages['"]\s?:|\binput_value="""
    r"""|\braw='|\bparse input at pos \d+:|['"](?:role|content|prompt)['"]\s?:"""
    r"""|(?<=[Ii]nvalid value at )'[^']*' \([^)]*\), \""""
)
# Addresses and paths say nothing: the documents they lead to are named after every error.
_ADDRESS = re.compile(r"""https?://[^\s"'<>)\]}]+|(?<=get )/[^\s"'<>)\]}]+|(?<=post[ :])/[^\s"'<>)\]}]+""")
_STATUS = re.compile(
    r"""(?:^|\bstatus(?: code)?:? ?|\bhttp(?:/[\d.]+)? ?|error(?: code)?:? |['"](?:code|status)['"]\s?:\s?['"]?|\[|"""
    r"""\bprovider\()([1-5]\d\d)\b(?! ?(?:ms|tokens|seconds))""",
    re.I,
)
_PAIR = re.compile(r"""\b(?:code|type|error_type|status|Code)['"]?\s?[:=]\s?b?['"]?([A-Za-z_][\w.-]{2,60})(?![\w.-])""")
_NAME = re.compile(r"\b([A-Z][A-Za-z]{2,50}(?:Error|Exception))\b")
_WORD = re.compile(r"[A-Z][a-z]*")
_MESSAGE = re.compile(
    r"""['"]message['"]\s?:\s?"((?:[^"\\]|\\.){1,4000})|['"]message['"]\s?:\s?'((?:[^'\\]|\\.){1,4000})""", re.I
)
# What a caller called a tool: a "Tool 'model' not found" is not about the model.
_TOOL = re.compile(r"""\b(tools?|functions?)(?:[ _]choice| named| called)?:? ?(['"`])[^'"`\n]{1,100}\2""")
_ERROR_KEYS = ("error", "Error", "err")
_MESSAGE_KEYS = ("message", "Message", "msg", "detail", "error_description", "description", "error_msg", "errorMessage",
                 "status_msg", "title", "raw")  # fmt: skip
_CODE_KEYS = ("code", "type", "error_type", "error_code", "status", "Code", "errorCode", "reason", "__type", "error")


@dataclass(slots=True)
class Found:
    """What an answer says about its error.

    Attributes:
        message: the provider's own words, "" if there are none.
        codes: its codes and types, the most specific first.
        signs: what the shape of the answer says, in words that rules know as codes: "input_flagged".
        status: the status that the body or the text states, 0 if none.
        more: further words of the provider: the upstream's message, behind OpenRouter or a gateway.
        request_id: the id in the body, or None.
        body: the error object, for waits.
        html: True if the answer was a page for people.
    """

    message: str = ""
    codes: list[str] = field(default_factory=list)
    signs: list[str] = field(default_factory=list)
    status: int = 0
    more: str = ""
    request_id: str | None = None
    body: Mapping[str, Any] = field(default_factory=dict)
    html: bool = False

    @property
    def words(self) -> str:
        """The text in which markers are looked for: lower case, without what the request may be quoted in."""
        text = "\n".join(_own_words(text) for text in (self.message, self.more) if text)
        text = text.lower().replace("\u2019", "'")  # Azure's typographic apostrophe
        return _ADDRESS.sub("", _TOOL.sub(r"\1", text))

    @property
    def shown(self) -> str:
        """The message for people: the provider's words, with the upstream's where its own say nothing."""
        own = _own_words(self.message)
        if self.more and own.strip().rstrip(".").lower() in ("provider returned error", ""):
            return f"{own.strip().rstrip('.')}: {_own_words(self.more)}".removeprefix(": ")
        return own


def _own_words(message: str) -> str:
    message = clipped(message)
    echo = _ECHO.search(message)
    return message[: echo.start()] if echo else message


def decoded(body: bytes | str) -> Any:
    """The body as JSON, or as stripped text if it is none."""
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body
    text = text.lstrip("\ufeff").strip()
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return text


def find_error(data: Any) -> Found | None:
    """The error inside decoded JSON that may as well be a good answer; None if there is no sign of one."""
    if isinstance(data, list):
        return next((found for item in data[:3] if isinstance(item, dict) and (found := find_error(item))), None)
    if not isinstance(data, dict):
        return None
    for holder in _holders(data):
        for key in _ERROR_KEYS:
            error = holder.get(key)
            if error and isinstance(error, (dict, str, list)):
                return from_object({**data, **holder, "error": error} if holder is not data else data)
    if data.get("status") == "failed" or data.get("type") in ("error", "response.failed", "response.error"):
        return from_object(data)
    if data.get("object") == "error" or data.get("errors"):
        return from_object(data)
    state = data.get("base_resp")  # MiniMax, in good answers too: their status_code is 0
    if isinstance(state, dict) and state.get("status_code"):
        return from_object(state)
    choices = data.get("choices")
    if isinstance(choices, list) and any(
        isinstance(item, dict) and item.get("finish_reason") == "error" for item in choices
    ):
        return Found()
    return None


def _holders(data: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield data
    response = data.get("response")
    if isinstance(response, dict):
        yield response
    choices = data.get("choices")
    if isinstance(choices, list):
        yield from (choice for choice in choices[:8] if isinstance(choice, dict))


def lacks_content(provider: str, data: Any) -> bool:
    """Whether a good answer of this provider would have to hold something that is not there."""
    if not isinstance(data, dict):
        # llama.cpp's /completion answers a list of prompts with a list.
        return not (isinstance(data, list) and data and provider in ("llama_cpp", ""))
    match provider:
        case "claude":
            return not isinstance(data.get("content"), list)
        case "ollama":
            return not any(
                key in data for key in ("message", "response", "choices", "embeddings", "embedding", "models")
            )
        case "openai" | "openrouter":
            return not (data.get("choices") or data.get("object") in ("response", "list") or "output" in data)
    keys = ("choices", "content", "message", "response", "output", "candidates", "data", "results", "embeddings")
    return not any(data.get(key) is not None for key in keys) or data.get("choices") == []


def from_object(data: Any, depth: int = 0) -> Found:
    """Reads an error body that is known to be one."""
    if isinstance(data, str):
        return from_text(data, depth)
    if isinstance(data, list):
        first = next((item for item in data if isinstance(item, (dict, str)) and item), None)
        return from_object(first, depth + 1) if first is not None and depth < _DEEPEST else Found()
    if not isinstance(data, dict):
        return Found()
    error = next((data[key] for key in _ERROR_KEYS if data.get(key) and not isinstance(data[key], bool)), None)
    if error is None and isinstance(data.get("response"), dict):
        error = data["response"].get("error")
    if error is None and data.get("errors"):
        error = data["errors"]
    if error is not None and depth < _DEEPEST:
        found = from_object(error, depth + 1)
        _merge(found, data, depth, outer=True)
        return found
    found = Found(body=data)
    _merge(found, data, depth, outer=False)
    return found


def _merge(found: Found, data: dict[str, Any], depth: int, *, outer: bool) -> None:
    """Adds what an object says of itself; an outer one only adds what its inner error did not say."""
    if not found.message:
        found.message = next((text for key in _MESSAGE_KEYS if (text := _text(data.get(key)))), "")
        if not found.message and " " in (status := _text(data.get("status"))):
            found.message = status  # llama.cpp's older /health: {"status": "loading model"}
        if found.message.startswith(("{", "b'{", 'b"{')):
            inner = from_text(found.message, 5)
            found.message, found.status = inner.message or found.message, found.status or inner.status
            found.codes.extend(inner.codes)
    elif outer:
        found.more = "\n".join(filter(None, (found.more, _text(data.get("message")))))
    if not found.body:
        found.body = data
    for key in ("code", "http_status", "status_code", "status", "statusCode"):
        number = _number(data.get(key))
        if number and not found.status:
            found.status = number
    for place in (data, data.get("details"), data.get("metadata"), data.get("availability"), data.get("innererror")):
        if isinstance(place, dict):
            found.codes.extend(
                value.rsplit("/", 1)[-1].rsplit("#", 1)[-1]
                for key in (*_CODE_KEYS, "error_code")
                if isinstance(value := place.get(key), str) and 0 < len(value) <= 80 and " " not in value.strip()
            )
    for item in _objects(data.get("details")):
        _google(found, item)
    metadata = data.get("metadata")
    if isinstance(metadata, dict):
        if any(key in metadata for key in ("flagged_input", "reasons", "patterns")):
            found.signs.append("input_flagged")
        raw = metadata.get("raw")
        if isinstance(raw, (str, dict)) and depth < _DEEPEST:
            upstream = from_object(raw, depth + 3)
            found.more = "\n".join(filter(None, (found.more, upstream.message)))
            found.codes.extend(upstream.codes)
    if found.request_id is None and isinstance(data.get("request_id"), str):
        found.request_id = data["request_id"]


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value[:20] if isinstance(item, dict)] if isinstance(value, list) else []


def _google(found: Found, detail: dict[str, Any]) -> None:
    """Reads one of the details of a google.rpc.Status, which Google's OpenAI-compatible endpoint sends too."""
    if isinstance(detail.get("reason"), str):
        found.codes.append(detail["reason"])
    if "retryDelay" in detail:
        found.signs.append("retryinfo")
    if any("perday" in str(item.get("quotaId", "")).lower() for item in _objects(detail.get("violations"))):
        found.signs.append("quota_per_day")


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):  # FastAPI's list of what is wrong, each with the input that it quotes
        parts = [
            item if isinstance(item, str) else item.get("msg") for item in value[:5] if isinstance(item, (str, dict))
        ]
        return "; ".join(part for part in parts if isinstance(part, str))
    if isinstance(value, dict):
        return next((text for key in ("message", "msg", "error") if isinstance(text := value.get(key), str)), "")
    return ""


def _number(value: Any) -> int:
    if isinstance(value, str) and len(value) == 3 and value.isdecimal():
        value = int(value)
    return value if type(value) is int and 300 <= value <= 599 else 0


def from_text(text: str, depth: int = 0) -> Found:
    """Reads an error that is plain text, HTML, or an object in another notation than JSON."""
    text = text.strip()
    start = text[:200].lower()
    if start.startswith(("<!doctype", "<html", "<head", "<?xml", "<!--")) or "<html" in start:
        title = title_of(text)
        return Found(title, status=_stated(title), html=True)
    if depth < _DEEPEST and text[:1] in "{[" and (data := decoded(text)) != text:
        found = from_object(data, depth + 1)
        return found if found.message or found.codes else Found(clipped(text))
    found = Found(clipped(text), status=_stated(text))
    if any(sign in text for sign in ("{", "map[", "Error", "Exception")):
        own = _own_words(found.message)
        found.codes = [*_PAIR.findall(own), *(part for name in _NAME.findall(own) for part in _endings(name))]
        inner = _MESSAGE.search(own) if "{" in own else None
        if inner and depth >= 5:
            found.message = inner[1] or inner[2]
    return found


def _endings(name: str) -> Iterator[str]:
    """The name of an exception, and those it is one of: GatewayRateLimitError is a RateLimitError."""
    words = _WORD.findall(name)
    yield name
    yield from ("".join(words[-count:]) for count in (3, 2) if count < len(words))


def _stated(text: str) -> int:
    found = _STATUS.search(text[:300])
    return _number(found[1]) if found else 0

"""What of a provider's message may be shown: no key, no HTML, no prompt, and not more than a few lines.

Providers quote what they were sent: OpenAI repeats a wrong key, llama.cpp a whole conversation. What an error says
ends up in logs and tickets, so all of it goes through here first.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from ..pipeline import Secret

__all__ = [
    "TELLING",
    "Shortened",
    "clipped",
    "hide_keys",
    "repeats",
    "safe_detail",
    "shorten",
    "spelled",
    "texts_of",
    "title_of",
]

_LONGEST = 300  # characters of a message that are kept
_LOOKED_AT = 4000  # characters of a message that are looked at
_WINDOW = 16  # characters in a row that make a repetition of the prompt
_GRAM = _WINDOW // 2
_SHORTEST = 4  # characters of a secret
_CODED = 8  # characters of base64 that are not found by chance
_SHORTEST_PROMPT = 4  # shorter prompts occur in ordinary sentences

TELLING = re.compile(r"auth|key|token|secret|cookie|password", re.I)
"""The names of headers and variables that hold a secret."""

_KEYS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\b(Bearer|Basic)\s+[^\s'\",;]+", re.I), r"\1 ***"),
    (re.compile(r"\b((?:x-)?api[-_ ]?key|x-goog-api-key|authorization|access[-_]token)"
                r"(['\"]?\s*[:=]\s*b?['\"]?)[^\s'\",;&]+", re.I), r"\1\2***"),
    (re.compile(r"\b(sk|pk|rk|gsk|xai|hf|pplx|r8|nvapi|fw|tgp)([-_])[\w*.-]{4,}"), r"\1\2***"),
    (re.compile(r"\bAIza[\w-]{6,}"), "AIza***"),
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{8,}"), "AKIA***"),
    (re.compile(r"\beyJ[\w-]{8,}(?:\.[\w-]+){0,2}"), "eyJ***"),
    (re.compile(r"\b(keys?(?: provided| is)?\s?[:=]\s?['\"`(]?)[\w*+/=-]{6,}", re.I), r"\1***"),
    (re.compile(r"\b(key\b[^\w\n]{1,3}(?:\w{1,10}[^\w\n]{1,3}){0,2})(?=[A-Za-z0-9+/_=-]*\d)[A-Za-z0-9+/_=-]{20,}",
                re.I),
     r"\1***"),
)  # fmt: skip
_HEX = re.compile(r"%[0-9A-F]{2}")
_TITLE = re.compile(r"<title[^>]{0,200}>([^<]{0,300})", re.I)
_ESCAPED = re.compile(r'\\(?:u([0-9a-fA-F]{4})|(["\\/bfnrt]))')
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}

# Words of the protocol and ids: they mean nothing, and occur in ordinary errors.
_NO_PROMPT = frozenset({"role", "type", "id", "tool_call_id", "tool_use_id", "call_id", "file_id", "media_type",
                        "mime_type", "format", "detail", "ttl", "signature"})  # fmt: skip
_ENCODED = frozenset({"data", "file_data", "images", "b64_json"})
# A value of a parameter counts only if somebody wrote it: "auto" and "required" occur in every other error.
_WRITTEN = 16


class Shortened(str):
    """A message for people, which still knows the longer one that it comes from.

    Whoever knows the exact keys must look for them in that one: in the short one a key may have lost its end. It
    does not travel: a copy and a pickle are plain text.
    """

    __slots__ = ("whole",)

    whole: str

    def __reduce__(self) -> tuple[Any, ...]:
        return str, (str(self),)


def hide_keys(text: str) -> str:
    """The text with everything that looks like a key replaced by stars: `sk-...`, `Bearer ...`, `AIza...`."""
    for pattern, stars in _KEYS:
        text = pattern.sub(stars, text)
    return text


def spelled(secrets: Iterable[Secret]) -> tuple[Secret, ...]:
    """The secrets, each in every way in which a server may write it: in a URL, in JSON, in base64.

    What is shorter than 4 characters is left out: it is a placeholder, and starring it out would only make a riddle
    of every message.
    """
    known = [secret.reveal() for secret in secrets]
    found = [spelling for secret in known if len(secret) >= _SHORTEST for spelling in _spellings(secret)]
    return tuple(dict.fromkeys(map(Secret, found)))


def _spellings(secret: str) -> Iterator[str]:
    yield secret
    url = quote(secret, safe="")
    yield from (url, _HEX.sub(lambda found: found[0].lower(), url))
    for escaped in (json.dumps(secret)[1:-1], secret.replace("/", "\\/")):
        yield from (escaped, json.dumps(escaped)[1:-1])
    data = secret.encode()
    for before, first in enumerate((0, 2, 3)):  # bytes before it, and the first character that only it decides
        coded = base64.b64encode(bytes(before) + data)[first : (before + len(data)) // 3 * 4].decode()
        if len(coded) >= _CODED:
            yield from (coded, coded.replace("+", "-").replace("/", "_"))


def clipped(text: str) -> str:
    """As much of the text as is looked at; a word at the cut goes, since nobody could tell what it was."""
    if len(text) <= _LOOKED_AT:
        return text
    kept = text[:_LOOKED_AT]
    cut = kept.rsplit(None, 1)[-1:] if not text[_LOOKED_AT].isspace() else []
    # A word longer than what is shown has its cut where nobody sees it.
    return kept[: -len(cut[0])] if cut and len(cut[0]) <= _LONGEST else kept


def shorten(text: str, secrets: Iterable[Secret] = ()) -> Shortened:
    """The text on one line, at most 300 characters long, without keys, and first of all without those secrets."""
    whole = clipped(text)
    for secret in secrets:
        whole = secret.hide_in(whole)
    line = hide_keys(" ".join(whole.split()))
    short = Shortened(line if len(line) <= _LONGEST else line[: _LONGEST - 3].rstrip() + "...")
    short.whole = whole
    return short


def title_of(html: str) -> str:
    """The title of an HTML page, or ""."""
    found = _TITLE.search(html[:20_000])
    return " ".join(found[1].split()) if found else ""


def safe_detail(detail: str, secrets: Iterable[Secret], prompt_texts: Iterable[str]) -> str:
    """A message that may be shown, or "" if it repeats the prompt.

    Args:
        detail: the provider's message; where `shorten` made it, the secrets are looked for in what it was made from.
        secrets: keys that were sent with the request.
        prompt_texts: every text of the request.

    Returns:
        The message with the secrets starred out, or "".
    """
    short = shorten(getattr(detail, "whole", detail), secrets)
    return "" if repeats((short, " ".join(short.whole.split())[:_LONGEST]), prompt_texts) else str(short)


def repeats(texts: Iterable[str], prompt_texts: Iterable[str]) -> bool:
    """Whether one of the texts repeats the prompt, as it is or as JSON, however its blanks and lines were changed.

    It does if any 16 characters in a row of it occur in a prompt text, or if a whole prompt text of 4 characters or
    more occurs in it. Takes time in proportion to the length of the prompts.
    """
    forms = {form for text in texts for form in _forms(text)}
    windows = {form[at : at + _WINDOW] for form in forms for at in range(len(form) - _WINDOW + 1)}
    grams = {form[at : at + _GRAM] for form in forms for at in range(len(form) - _GRAM + 1)}
    for text in prompt_texts:
        # The prompt may hold JSON itself, such as a tool's arguments, which the provider then shows decoded.
        for prompt in _forms(text, times=1):
            if len(prompt) >= _SHORTEST_PROMPT and any(prompt in form for form in forms):
                return True
            if windows and _shares_window(prompt, windows, grams):
                return True
    return False


def _forms(text: str, times: int = 4) -> Iterator[str]:
    """The text with single blanks, as it is and with its JSON escapes undone, up to so many times."""
    yield " ".join(text.split())
    for _ in range(times):
        plain = _ESCAPED.sub(_unescape, text) if "\\" in text else text
        if plain == text:
            return
        # Beyond U+FFFF an escape is half a character.
        text = plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        yield " ".join(text.split())


def _unescape(found: re.Match[str]) -> str:
    return chr(int(found[1], 16)) if found[1] else _ESCAPES.get(found[2], found[2])


def _shares_window(prompt: str, windows: set[str], grams: set[str]) -> bool:
    """Whether any 16 characters of the prompt are among the windows.

    Any 16 characters in a row hold 8 that begin at a multiple of 8, so only every eighth place has to be looked at;
    the neighbourhood is searched where those 8 are known.
    """
    for at in range(0, len(prompt) - _GRAM + 1, _GRAM):
        if prompt[at : at + _GRAM] in grams and any(
            prompt[start : start + _WINDOW] in windows for start in range(max(0, at - _GRAM), at + 1)
        ):
            return True
    return False


def texts_of(messages: Iterable[Mapping[str, Any]], params: Mapping[str, Any] | None = None) -> Iterator[str]:
    """Every text that the caller wrote, in the messages and in the parameters: what no error may repeat.

    Left out are roles, types and ids, images and files in base64, and of the parameters what the protocol names:
    single words, and the names of functions.
    """
    for message in messages:
        yield from _texts(message, _NO_PROMPT)
    for value in (params or {}).values():
        for text in _texts(value, _NO_PROMPT | {"name"}):
            if len(text) >= _WRITTEN or any(map(str.isspace, text)):
                yield text


def _texts(value: Any, left_out: frozenset[str]) -> Iterator[str]:
    waiting: list[tuple[str, Any]] = [("", value)]
    seen: set[int] = set()  # nothing has been sent yet where messages hold themselves
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, str):
            if not _is_encoded(key, value):
                yield value
        elif isinstance(value, (Mapping, list, tuple)) and id(value) not in seen:
            seen.add(id(value))
            if isinstance(value, Mapping):
                waiting.extend((name, item) for name, item in value.items() if name not in left_out)
            else:
                waiting.extend((key, item) for item in value)


def _is_encoded(key: str, text: str) -> bool:
    if text[:5].lower() == "data:" and ";base64," in text[:200]:
        return True
    return key in _ENCODED and len(text) > 64 and not any(map(str.isspace, text[:400]))

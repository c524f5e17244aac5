"""What of a provider's message may be shown: no key, no HTML, no prompt, and not more than a few lines.

Providers quote what they were sent: OpenAI repeats a wrong key, llama.cpp a whole conversation. An error's
`detail` ends up in logs and tickets, so it goes through here first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..pipeline import Secret

__all__ = ["hide_keys", "safe_detail", "shorten", "title_of"]

_LONGEST = 300  # characters of a message that are kept
_WINDOW = 16  # characters in a row that make a repetition of the prompt
_GRAM = _WINDOW // 2
_SHORTEST_PROMPT = 4  # shorter prompts occur in ordinary sentences

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
_TITLE = re.compile(r"<title[^>]{0,200}>([^<]{0,300})", re.I)


def hide_keys(text: str) -> str:
    """The text with everything that looks like a key replaced by stars: `sk-...`, `Bearer ...`, `AIza...`."""
    for pattern, stars in _KEYS:
        text = pattern.sub(stars, text)
    return text


def shorten(text: str) -> str:
    """The text on one line, at most 300 characters long, without keys."""
    # Cut before the patterns run: a message may be a megabyte. A key at the cut is longer than what is kept of it.
    line = hide_keys(" ".join(text[: 4 * _LONGEST].split()))
    return line if len(line) <= _LONGEST else line[: _LONGEST - 3].rstrip() + "..."


def title_of(html: str) -> str:
    """The title of an HTML page, or ""."""
    found = _TITLE.search(html[:20_000])
    return " ".join(found[1].split()) if found else ""


def safe_detail(detail: str, secrets: Iterable[Secret], prompt_texts: Iterable[str]) -> str:
    """A message that may be shown, or "" if it repeats the prompt.

    It repeats the prompt if any 16 characters in a row of it occur in a prompt text, or if a whole prompt text of
    4 characters or more occurs in it. Takes time in proportion to the length of the prompts.

    Args:
        detail: the provider's message.
        secrets: keys that were sent with the request.
        prompt_texts: every text of the request's messages.

    Returns:
        The message with the secrets starred out, or "".
    """
    # Providers quote the prompt as it is, or as the JSON that they were sent.
    plain = detail.replace('\\"', '"').replace("\\n", "\n").replace("\\t", "\t").replace("\\\\", "\\")
    forms = {detail, plain}
    windows = {form[at : at + _WINDOW] for form in forms for at in range(len(form) - _WINDOW + 1)}
    grams = {form[at : at + _GRAM] for form in forms for at in range(len(form) - _GRAM + 1)}
    for prompt in prompt_texts:
        whole = prompt.strip()
        if len(whole) >= _SHORTEST_PROMPT and any(whole in form for form in forms):
            return ""
        if windows and _shares_window(prompt, windows, grams):
            return ""
    for secret in secrets:
        detail = secret.hide_in(detail)
    return hide_keys(detail)


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

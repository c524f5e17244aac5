"""Cleans an error of everything that its provider may have quoted: keys, and what the caller wrote."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ..pipeline import ProviderError, Request, Secret
from .hints import with_model
from .links import quoted
from .provider_rules import PROVIDER_RULES
from .redact import hide_keys, repeats, shorten, texts_of
from .rules import GENERIC
from .verdict import REQUEST_IDS

__all__ = ["clean", "clean_id", "request_id_in"]

_PART = 6  # characters of a secret that are too many to be shown
_REQUEST_ID = re.compile(r"[\w.:-]{1,100}", re.ASCII)


def clean(error: ProviderError, secrets: Sequence[Secret], request: Request) -> None:
    """Takes out of an error what it must not show: in its detail, code, hint and request id, and in its cause.

    Takes time in proportion to the length of the request, once.
    """
    error.hint = with_model(error.hint, request.model)
    if error.detail:
        error.detail = shorten(getattr(error.detail, "whole", error.detail), secrets)
    if error.code and (_holds(error.code, secrets) or hide_keys(error.code) != error.code):
        error.code = None
    error.request_id = clean_id(error.request_id, secrets)
    error.hint = _hidden(error.hint, secrets)

    texts = {
        "detail": error.detail,
        "code": "" if _is_known(error.code) else error.code,
        "hint": error.hint,
        "request_id": error.request_id,
        "cause": quoted(error.__cause__),
    }
    suspects = {name: text for name, text in texts.items() if text}
    if suspects and repeats(suspects.values(), texts_of(request.messages, request.params)):
        for name, text in suspects.items():
            if repeats([text], texts_of(request.messages, request.params)):
                _drop(error, name)
    error.detail = str(error.detail)


def clean_id(request_id: str | None, secrets: Sequence[Secret]) -> str | None:
    """The provider's id of a request, if it looks like one and holds no secret; None otherwise."""
    if not request_id or not _REQUEST_ID.fullmatch(request_id) or _holds(request_id, secrets):
        return None
    return request_id


def request_id_in(headers: Mapping[str, str], secrets: Sequence[Secret] = ()) -> str | None:
    """The provider's id of a request as the headers of its answer (lower case) tell it; see `clean_id`."""
    return clean_id(next((headers[name] for name in REQUEST_IDS if headers.get(name)), None), secrets)


def _drop(error: ProviderError, name: str) -> None:
    if name == "cause":
        error.__cause__ = error.__context__ = None
    else:
        setattr(error, name, "" if name in ("detail", "hint") else None)


def _holds(word: str, secrets: Sequence[Secret]) -> bool:
    """Whether the word has a secret in it, or a part of one: of a code only what follows a slash is kept."""
    return any(
        text in word or any(text[at : at + _PART] in word for at in range(len(text) - _PART + 1))
        for text in (secret.reveal() for secret in secrets if secret)
    )


def _hidden(text: str, secrets: Sequence[Secret]) -> str:
    for secret in secrets:
        text = secret.hide_in(text)
    return text


def _is_known(code: str | None) -> bool:
    """Whether the code is one of those that providers are known to have: then it quotes nobody."""
    return code is not None and code.lower() in _KNOWN


_KNOWN = frozenset(
    code
    for rules in (GENERIC, *PROVIDER_RULES.values())
    for rule in rules
    for code in (*rule.codes, *rule.kinds)
    if not code.isspace()
)

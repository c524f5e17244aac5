"""Says what an answer, a stream event, an exception or a dead process means: body and status -> ProviderError.

Pure functions, no I/O. `answers.py` takes the body apart first, whatever its shape.

Codes beat words, words beat the status (`verdict.py`); what they mean is data (`rules.py`, `failures.py`). Words are
looked for in the provider's message only, and only as far as it does not quote the request.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from ..pipeline import ErrorClass, ProviderError
from .answers import Found, decoded, find_error, from_object, from_text, lacks_content
from .failures import CONNECTION, EXITS, PROCESS_RULES, TRANSPORT
from .links import asked, chain, kinds, said
from .provider_rules import status_rule
from .redact import safe_detail
from .rules import Rule
from .verdict import canonical, holds, judged, made, matching

__all__ = [
    "Rule",
    "classify_event",
    "classify_exception",
    "classify_exception_text",
    "classify_payload",
    "classify_process",
    "classify_response",
    "safe_detail",
]

_SPENT = re.compile(r"too many (\d{3}) error responses")
_LOUD = re.compile(
    r"error|fail|could ?n.t|cannot|can't|unable|invalid|unknown|too long|terminate|what\(\):|of memory|is required"
    r"|corrupt|empty|built without|not (?:found|responding|supported)|library not loaded|only supports|exiting"
    r"|does not|no such|permission|assert",
    re.I,
)
# A line that calls itself a warning, or less: "0.00.073.107 W srv ...", "warning: failed to mlock ...".
_HARMLESS = re.compile(r"\s*(?:\d+\.)+\d+ [DIW] |(?:[\w.-]+: )?warning: |\s*\[?(?:warn|info|debug)\b", re.I)
# What a program quotes: names of files and tensors, the prompt. Not the C++ name of what it died of ('vk::...').
_QUOTED = re.compile(r"(?<!\w)'(?!\w+::)[^'\n]*'(?!\w)|\"[^\"\n]*\"")
# The class that a logged exception begins with.
_RAISED = re.compile(r"\s*(?:[a-z_]\w*\.)*([A-Z]\w{3,60})\b")


def classify_response(
    provider: str,
    status: int | None,
    headers: Mapping[str, str],
    body: bytes | str,
    *,
    rules: Sequence[Rule] = (),
    now: float | None = None,
) -> ProviderError | None:
    """Classifies a whole answer.

    Args:
        provider: "openai", "claude", "openrouter", "ollama", "llama_cpp", "openai-compatible", or a name of your
            own, for which the rules of all hold. It becomes `error.provider` as it is.
        status: the HTTP status; None if it is not known.
        headers: the answer's headers, in any case.
        body: the answer's body.
        rules: rules of your own; one that fits goes before everything else.
        now: seconds since the epoch, for dates in answers without a Date header; None asks the clock.

    Returns:
        The error, or None if the body is a good answer. A good status does not make one: an error object, no
        JSON, an empty body and a body without an answer in it are errors inside a 200.
    """
    return classify_payload(provider, status, headers, decoded(body), rules=rules, now=now)


def classify_payload(
    provider: str,
    status: int | None,
    headers: Mapping[str, str],
    data: Any,
    *,
    rules: Sequence[Rule] = (),
    now: float | None = None,
) -> ProviderError | None:
    """The same as `classify_response`, for a body that has been decoded: JSON, or text if it was none."""
    number = status if isinstance(status, int) else 0
    names = {str(name).lower(): str(value) for name, value in headers.items()}
    if 200 <= number < 300:
        found = find_error(data)
        if found is None:
            return _good_status(provider, number, names, data, rules, now)
    else:
        found = from_object(data)
    return judged(provider, number, names, found, rules, now)


def _good_status(
    provider: str, status: int, headers: Mapping[str, str], data: Any, rules: Sequence[Rule], now: float | None
) -> ProviderError | None:
    if isinstance(data, str):
        found = from_text(data)
    elif not lacks_content(canonical(provider), data):
        return None
    else:
        found = from_object(data)
        if found.message and (found.status or len(found.codes) > 1):
            return judged(provider, status, headers, found, rules, now)
    return made(provider, ErrorClass.UNAVAILABLE, "malformed_response", "", found, status, headers, now)


def classify_event(
    provider: str, data: Any, *, rules: Sequence[Rule] = (), now: float | None = None
) -> ProviderError | None:
    """Classifies one event of a stream whose status was good.

    Args:
        provider: as for `classify_response`.
        data: the decoded event; text, if it could not be decoded.
        rules, now: as for `classify_response`.

    Returns:
        The error that the provider reports in the event, or None: most events are none.
    """
    if isinstance(data, dict):
        # The way of every good token: nothing is called here.
        if (
            not data.get("error")
            and data.get("type") not in ("error", "response.failed", "response.error")
            and data.get("object") != "error"
            and not ((choices := data.get("choices")) and _choice_failed(choices))
            and not ("code" in data and "message" in data)
        ):
            return None
        found = find_error(data)
        if found is None:
            # llama.cpp's /v1/messages sends the bare error object.
            if not (isinstance(data.get("message"), str) and isinstance(data.get("code"), (int, str))):
                return None
            found = from_object(data)
    elif isinstance(data, (str, bytes)):
        parsed = decoded(data)
        if isinstance(parsed, dict):
            return classify_event(provider, parsed, rules=rules, now=now)
        if not isinstance(parsed, str) or parsed in ("", "[DONE]"):
            return None
        found = from_text(parsed)
        return made(provider, ErrorClass.UNAVAILABLE, "malformed_response", "", found, None, {}, now)
    else:
        return None
    return judged(provider, 0, {}, found, rules, now)


def _choice_failed(choices: Any) -> bool:
    return isinstance(choices, list) and any(
        isinstance(choice, dict) and (choice.get("finish_reason") == "error" or choice.get("error"))
        for choice in choices
    )


def classify_exception(
    provider: str, error: BaseException, *, rules: Sequence[Rule] = (), now: float | None = None
) -> ProviderError:
    """Classifies what a transport or a provider's client raised; never shows its text, which may hold the key.

    Args:
        provider: as for `classify_response`.
        error: the exception. A ProviderError is returned as it is. One that carries an answer (`status_code` or
            `status`, `body`, `response`), as HTTP clients and those of the providers raise, is classified by it.
        rules, now: as for `classify_response`.

    Returns:
        The error. Raise it `from error`, except where its reason is "bad_key": then `from None`, because the
        exception of an invalid header quotes the header.
    """
    if isinstance(error, ProviderError):
        return error
    names: set[str] = set()
    texts: list[str] = []
    for link in chain(error):
        names.update(kinds(link))
        texts.append(said(link))
    status, headers, body = _answer_of(error)
    if status:
        found = from_object(body) if body else from_text(texts[0])
        return judged(provider, status, headers, found, rules, now)
    return _transport(provider, type(error).__name__, names, "\n".join(texts), rules, now)


def classify_exception_text(
    provider: str, text: str, status: int | None = None, *, rules: Sequence[Rule] = (), now: float | None = None
) -> ProviderError:
    """Classifies an exception of which only the text is left, as in a log: "requests.exceptions.ReadTimeout: ..."."""
    text = text[:20_000]
    names = set(re.findall(r"\b[A-Za-z]\w{3,60}\b", text))
    if status:
        return judged(provider, status, {}, from_text(text), rules, now)
    raised = _RAISED.match(text)
    return _transport(provider, raised[1] if raised else "", names, text, rules, now)


def _transport(
    provider: str, raised: str, names: set[str], text: str, rules: Sequence[Rule], now: float | None
) -> ProviderError:
    lowered = text[:20_000].lower()
    spent = _SPENT.search(lowered)
    if spent:  # urllib3's own retries gave up on this status
        error_class, reason = status_rule(int(spent[1]), mentions_model=False)
        return made(provider, error_class, reason, "", Found(), int(spent[1]), {}, now)
    found = from_text(text)
    unanswered = any(raised in row.names for row in TRANSPORT)  # a number in its text is the transport's own
    if not unanswered and (found.status or (found.codes and "{" in text)):  # a client's, which quotes the answer
        match = matching(provider, found, found.status, rules)
        if match is not None or found.status:
            return judged(provider, found.status, {}, found, rules, now)
    for row in TRANSPORT:
        if not row.names.isdisjoint(names) or any(word in lowered for word in row.words):
            return made(provider, row.error_class, row.reason, "", Found(), None, {}, now)
    if matching(provider, found, 0, rules) is not None:
        return judged(provider, 0, {}, found, rules, now)
    connection = not CONNECTION.names.isdisjoint(names) or any(word in lowered for word in CONNECTION.words)
    return made(provider, ErrorClass.UNAVAILABLE, "connection" if connection else "unknown", "", Found(), None, {}, now)


def _answer_of(error: BaseException) -> tuple[int, Mapping[str, str], Any]:
    response = asked(error, "response")
    # The providers' clients and requests, then aiohttp, then urllib.
    places = ((error, "status_code"), (response, "status_code"), (error, "status"), (error, "code"))
    status = next((int(found) for place, name in places if _is_failure(found := asked(place, name))), 0)
    if not status:
        return 0, {}, None
    headers = asked(response, "headers") or asked(error, "headers")
    names: dict[str, str] = {}
    with suppress(Exception):  # a foreign mapping may fail in any way
        names = {str(name).lower(): str(value) for name, value in headers.items()}
    # What requests and httpx have read; to ask for their `content` might read from the network.
    bodies = (asked(error, "body"), asked(error, "error"), asked(response, "_content"))
    body = next((found for found in bodies if found and isinstance(found, (dict, list, str, bytes))), None)
    return status, names, decoded(body) if isinstance(body, bytes) else body


def _is_failure(status: object) -> bool:
    return isinstance(status, int) and not isinstance(status, bool) and 300 <= status <= 599


def classify_process(
    provider: str, exit_code: int | None, stderr: str, *, rules: Sequence[Rule] = ()
) -> ProviderError | None:
    """Classifies the end of a process, such as llama.cpp's command line.

    Args:
        provider: as for `classify_response`.
        exit_code: as `subprocess` has it, negative for a signal; None if it is not known.
        stderr: what it wrote there; only lines that complain are looked at, and not what they quote.
        rules: as for `classify_response`.

    Returns:
        The error, or None if it ended well. A grammar that could not be parsed is an error in spite of exit code
        0: llama.cpp goes on without it.
    """
    lines = [(line, _QUOTED.sub("''", line)) for line in (raw.strip()[:500] for raw in stderr[-200_000:].splitlines())]
    lines = [(line, own) for line, own in lines if _LOUD.search(own) and not _HARMLESS.match(own)][-200:]
    words = [own.lower() for _, own in lines]
    if exit_code == 0:
        for i, text in enumerate(words):
            if "parsing grammar" in text or "parse grammar" in text:
                return _ended(provider, ErrorClass.INVALID_REQUEST, "bad_parameter", lines[i][0], "")
        return None
    for rule in (*rules, *PROCESS_RULES):
        for marker in rule.markers:
            for i, text in enumerate(words):
                if holds(text, marker):
                    return _ended(provider, rule.error_class, rule.reason, lines[i][0], rule.hint)
    if exit_code not in EXITS:  # a client of a server, such as Ollama's: it prints what the server said
        for line, own in lines:
            found = from_text(own)
            if (match := matching(provider, found, found.status, rules)) is not None:
                return _ended(provider, match.error_class, match.reason, line, match.hint)
        if exit_code is None and not lines:
            return None
    number = exit_code or 0
    error_class, reason = EXITS.get(number, (ErrorClass.UNAVAILABLE, "crashed" if not 0 <= number <= 128 else "exit"))
    return _ended(provider, error_class, reason, lines[-1][0] if lines else f"exit code {exit_code}", "")


def _ended(provider: str, error_class: ErrorClass, reason: str, line: str, hint: str) -> ProviderError:
    return made(provider, error_class, reason, hint, Found(line), None, {}, None)

"""One table of faults: every one that the sandbox knows, and the class of error that each means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from mainstay.adapters.sandbox import Answer, Fault, faults
from mainstay.pipeline import ErrorClass, Timeouts

__all__ = ["CASES", "DIALECTS", "FAST", "GOOD", "INVALID", "SLOW", "TIMEOUT", "TRIES", "UNAVAILABLE", "Case"]

DIALECTS = ("openai", "claude", "openrouter", "ollama", "llama_cpp")
FAST = Timeouts(connect=0.3, first_event=0.25, gap=0.15, total=0.35)  # where silence is what must be seen
SLOW = Timeouts()
GOOD = Answer("All of it arrived, word for word.")

TIMEOUT, UNAVAILABLE = ErrorClass.TIMEOUT, ErrorClass.UNAVAILABLE
RATE, QUOTA, KEY = ErrorClass.RATE_LIMIT, ErrorClass.QUOTA, ErrorClass.AUTHENTICATION
MODEL, INVALID = ErrorClass.MODEL_NOT_FOUND, ErrorClass.INVALID_REQUEST

# Requests that the guidance table allows: (on a route with another one behind it, on the only route).
TRIES = {TIMEOUT: (2, 2), UNAVAILABLE: (2, 3), RATE: (2, 3), QUOTA: (1, 1), KEY: (1, 1), MODEL: (1, 1), INVALID: (1, 1)}


@dataclass(frozen=True)
class Case:
    """What a fault means. `cut`: a stream that breaks after its first token; None: the answer is whole all the same.

    `patient`: what the Retry-After is longer than while another route is there.
    """

    fault: Callable[[], Fault | Answer]
    complete: ErrorClass | None
    stream: ErrorClass | str | None = "same"
    but: tuple[str, ...] = ()
    patient: bool = False

    def meaning(self, stream: bool) -> ErrorClass | str | None:
        return self.complete if not stream or self.stream == "same" else self.stream


CASES: dict[str, Case] = {
    "400": Case(lambda: faults.status(400), INVALID),
    "401": Case(lambda: faults.status(401), KEY),
    "408": Case(lambda: faults.status(408), TIMEOUT),
    "409": Case(lambda: faults.status(409), UNAVAILABLE),
    "413": Case(lambda: faults.status(413), INVALID),
    "422": Case(lambda: faults.status(422), INVALID),
    "429": Case(lambda: faults.status(429), RATE),
    "429 and come back soon": Case(lambda: faults.status(429, retry_after=1), RATE),
    "429 and come back late": Case(lambda: faults.rate_limit(retry_after=60), RATE, patient=True),
    "500": Case(lambda: faults.status(500), UNAVAILABLE),
    "502": Case(lambda: faults.status(502), UNAVAILABLE),
    "503": Case(lambda: faults.status(503), UNAVAILABLE),
    "503 and come back late": Case(lambda: faults.status(503, retry_after=30), UNAVAILABLE, patient=True),
    "504": Case(lambda: faults.status(504), TIMEOUT),
    "529": Case(lambda: faults.status(529), UNAVAILABLE),
    "an HTML page from the edge": Case(
        lambda: faults.status(502, body="<html><title>Bad gateway</title>"), UNAVAILABLE
    ),
    "bad key": Case(faults.bad_key, KEY),
    "no credit": Case(faults.quota, QUOTA, but=("llama_cpp",)),
    "no such model": Case(faults.model_not_found, MODEL),
    "prompt too long": Case(faults.context_length, INVALID),
    "content filter": Case(faults.content_filter, INVALID, but=("ollama", "llama_cpp")),
    "overloaded": Case(faults.overloaded, UNAVAILABLE),
    "slow first byte": Case(lambda: faults.slow_first_byte(0.05, GOOD), None),
    "drip": Case(lambda: faults.drip(0, then=Answer(chunks=(GOOD.text,))), None),  # in one piece: fewer bytes
    "stall": Case(lambda: faults.stall(2, answer=GOOD), TIMEOUT, "cut"),
    "stall before the first token": Case(lambda: faults.stall(0, answer=GOOD), TIMEOUT),
    "pings only": Case(lambda: faults.pings(0.05), TIMEOUT),
    "cut": Case(lambda: faults.cut(2, answer=GOOD), UNAVAILABLE, "cut"),
    "cut by a reset": Case(lambda: faults.cut(2, "reset", answer=GOOD), UNAVAILABLE, "cut"),
    "cut, with a proper end of the body": Case(lambda: faults.cut(2, "clean", answer=GOOD), UNAVAILABLE, "cut"),
    "cut before the first token": Case(lambda: faults.cut(0, answer=GOOD), UNAVAILABLE),
    "malformed": Case(lambda: faults.malformed(1, answer=GOOD), UNAVAILABLE, "cut"),
    "malformed at once": Case(lambda: faults.malformed(0, answer=GOOD), UNAVAILABLE),
    "error in a 200": Case(faults.error_in_200, UNAVAILABLE),
    "no credit, in a 200": Case(lambda: faults.error_in_200(faults.quota()), QUOTA, but=("llama_cpp",)),
    "error event": Case(lambda: faults.error_event(2, answer=GOOD), UNAVAILABLE, "cut"),
    "error as the first event": Case(lambda: faults.error_event(0, answer=GOOD), UNAVAILABLE),
    "a login page": Case(faults.html, UNAVAILABLE),
    "nothing in a 200": Case(faults.empty, UNAVAILABLE),
    "reset": Case(faults.reset, UNAVAILABLE),
    "disconnect": Case(faults.disconnect, UNAVAILABLE),
    "hang": Case(faults.hang, TIMEOUT),
}
# A finish reason without [DONE] is whole; a missing message_stop or done line is not.
ENDS = {"openai": None, "claude": "cut", "openrouter": None, "ollama": "cut", "llama_cpp": None}
CASES |= {
    f"no terminator at {d}": Case(
        lambda: faults.no_terminator(answer=GOOD), None, ENDS[d], tuple(other for other in DIALECTS if other != d)
    )
    for d in DIALECTS
}

# What OpenRouter has besides.
CASES |= {
    "an upstream's error in a choice": Case(
        lambda: replace(GOOD, finish="error"), UNAVAILABLE, "cut", tuple(d for d in DIALECTS if d != "openrouter")
    ),
    "error event with a word for a code": Case(
        lambda: faults.error_event(2, error=faults.status(502, code_="server_error"), answer=GOOD),
        UNAVAILABLE,
        "cut",
        tuple(d for d in DIALECTS if d != "openrouter"),
    ),
}

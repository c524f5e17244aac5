"""Log: one line per attempt and per decision, through structlog.

At home in the application's own logging: its structlog configuration is used if there is one, otherwise lines
go to the standard logger "mainstay" and nothing is configured here. No line carries a prompt, an answer or a
key, because no event does. Where OpenTelemetry records, each line has the ids of its trace and span.

Loggers take locks, and a reply that nobody held any more may end in a garbage collection, in the thread that holds one
of them: such a line waits for the next one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from functools import lru_cache
from queue import Empty, SimpleQueue
from typing import Any, ClassVar, NamedTuple

import structlog
from opentelemetry.trace import SpanContext, format_span_id, format_trace_id

from ..pipeline import (
    AttemptEnded,
    AttemptStarted,
    BreakerChanged,
    Call,
    Event,
    FellBack,
    Layer,
    ParametersDoubted,
    ProviderError,
    Request,
    RetryScheduled,
    RouteDoubted,
    RouteRests,
    RouteSkipped,
    Scope,
    StreamResumed,
)
from ..pipeline.around import Around
from ..pipeline.complaints import logger
from ..pipeline.dropping import is_dropping
from . import options
from .traced import span_of

__all__ = ["Log", "bound"]

_SLOT = "mainstay.log"


@dataclass(frozen=True)
class Log(Around, Layer):
    """Writes down each attempt (info, or warning if it failed) and each decision (warning).

    Args:
        logger: what to write to: a structlog or standard logger, or anything with `info` and `warning` methods that
            take fields. Unless given, structlog's if the application has configured it, else the standard logger
            "mainstay".
    """

    logger: Any = None
    name: str = "log"
    scope: Scope = "call"
    kind: ClassVar[str] = "log"

    def __post_init__(self) -> None:
        options.identity(self)

    def before(self, request: Request) -> None:
        """Listens to one call, and steps aside."""
        call = request.call
        slot = (_SLOT, id(self.logger))  # a stack inside a stack writes to the same logger once
        if slot not in call.slots:
            call.slots[slot] = True
            logger = bound(self.logger)
            if _writes(logger, logging.WARNING):
                call.observe(_Lines(logger, call, _writes(logger, logging.INFO)))


def bound(given: Any) -> Any:
    """The logger that is meant, ready to write: a structlog one, whatever was given, or what takes fields like one."""
    if given is None:
        # structlog's own default prints, which a library must not do.
        given = structlog.get_logger("mainstay") if structlog.is_configured() else _MAINSTAY
    if isinstance(given, logging.Logger):
        given = _standard(given)
    # What structlog hands out finds its configuration anew with each line, until it is bound.
    return given.bind() if callable(getattr(type(given), "bind", None)) else given


_MAINSTAY = logger()


@lru_cache(maxsize=32)
def _standard(logger: logging.Logger) -> Any:
    return structlog.wrap_logger(
        logger,
        processors=[structlog.stdlib.filter_by_level, _in_full, structlog.stdlib.render_to_log_kwargs],
        wrapper_class=structlog.stdlib.BoundLogger,
    ).bind()


def _in_full(logger: Any, method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Puts the fields into the message as well: most formatters show nothing else of a record."""
    fields = [f"{name}={value}" for name, value in line.items() if name != "event" and value not in ("", None)]
    line["event"] = " ".join([line["event"], *fields])
    return line


def _writes(logger: Any, level: int) -> bool:
    """Whether the logger writes lines of that level; one that does not know is taken to."""
    for name in ("is_enabled_for", "isEnabledFor"):
        # Of the class: loggers that make up a method for any name have one of these names as well.
        if callable(getattr(type(logger), name, None)):
            return bool(getattr(logger, name)(level))
    return True


class _Line(NamedTuple):
    warning: bool
    word: str
    fields: dict[str, Any]


class _Lines:
    """Writes the lines of one call."""

    def __init__(self, logger: Any, call: Call, all_: bool) -> None:
        self._logger = logger
        self._call = call
        self._all = all_  # whether what went well is written as well
        self._spans: dict[int, SpanContext | None] = {}

    def __call__(self, event: Event) -> None:
        if isinstance(event, AttemptStarted):
            self._spans[event.attempt.number] = span_of(self._call)
            return
        tell = _TOLD.get(type(event))
        line = tell(event, self._call) if tell is not None else None
        if line is None or not (line.warning or self._all):
            return
        number = event.attempt.number if isinstance(event, AttemptEnded) else None
        span = self._spans.get(number) if number is not None else span_of(self._call)
        if span is not None:
            line.fields["trace_id"] = format_trace_id(span.trace_id)
            line.fields["span_id"] = format_span_id(span.span_id)
        if is_dropping():
            _late.put((self._logger, line))
            return
        _catch_up()
        _write(self._logger, line)


_late: SimpleQueue[tuple[Any, _Line]] = SimpleQueue()


def _catch_up() -> None:
    while not _late.empty():
        try:
            _write(*_late.get_nowait())
        except Empty:  # another thread was quicker
            return


def _write(logger: Any, line: _Line) -> None:
    (logger.warning if line.warning else logger.info)(line.word, **line.fields)


# -- what each happening is told as ----------------------------------------------------------------------------


def _attempt(event: AttemptEnded, call: Call) -> _Line:
    attempt = event.attempt
    fields = {
        "number": attempt.number,
        "route": attempt.route,
        "provider": attempt.provider,
        "model": attempt.model,
        "outcome": attempt.outcome,
        "error": str(attempt.error_class or ""),
        "reason": attempt.reason,
        "status": attempt.status,
        "seconds": round(attempt.duration or 0.0, 4),
    }
    usage = attempt.usage
    known = {
        "first_chunk": attempt.first_event - attempt.started if attempt.events and attempt.first_event else None,
        "retry_after": attempt.retry_after,
        "input_tokens": usage.prompt_tokens if usage is not None else None,
        "output_tokens": usage.completion_tokens if usage is not None else None,
        "cost": usage.cost if usage is not None else None,
    }
    for name, value in known.items():
        if value is not None:
            fields[name] = round(value, 6)
    return _Line(attempt.outcome == "error", "attempt", fields)


def _retry(event: RetryScheduled, call: Call) -> _Line:
    return _Line(True, "retry", {"delay": round(event.delay, 3), **_told(event.route, event.error)})


def _skip(event: RouteSkipped, call: Call) -> _Line:
    return _Line(True, "skip", {"retry_after": _short(event.error.retry_after), **_told(event.route, event.error)})


def _doubt(event: RouteDoubted, call: Call) -> _Line:
    return _Line(True, "doubt", {"retry_after": _short(event.error.retry_after), **_told(event.route, event.error)})


def _fallback(event: FellBack, call: Call) -> _Line:
    return _Line(True, "fallback", {"target": event.target, **_told(event.origin, event.error)})


def _breaker(event: BreakerChanged, call: Call) -> _Line:
    fields = {"before": event.before, "after": event.after, **_told(event.route, event.error)}
    if event.until is not None:
        fields["reopens_in"] = round(event.until - call.clock.now(), 3)
    return _Line(True, "breaker", fields)


def _rest(event: RouteRests, call: Call) -> _Line:
    seconds = round(event.until - call.clock.now(), 3)
    return _Line(True, "rest", {"seconds": seconds, **_told(event.route, event.error)})


def _resume(event: StreamResumed, call: Call) -> _Line:
    return _Line(True, "resume", {"route": event.origin, "target": event.target, "mode": event.mode})


def _parameters(event: ParametersDoubted, call: Call) -> _Line:
    doubted = sorted({f"{one.route}: {one.parameter}" if one.route else one.parameter for one in event.problems})
    return _Line(True, "parameters", {"doubted": doubted})


_TOLD: dict[type, Callable[[Any, Call], _Line]] = {
    AttemptEnded: _attempt,
    BreakerChanged: _breaker,
    FellBack: _fallback,
    ParametersDoubted: _parameters,
    RetryScheduled: _retry,
    RouteDoubted: _doubt,
    RouteRests: _rest,
    RouteSkipped: _skip,
    StreamResumed: _resume,
}


def _short(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def _told(route: str, error: ProviderError | None) -> dict[str, Any]:
    if error is None:
        return {"route": route, "error": "", "reason": ""}
    return {"route": route, "error": str(error.error_class), "reason": error.reason}

"""Log: one line per attempt and per decision, through structlog.

At home in the application's own logging: its structlog configuration is used if there is one, otherwise lines
go to the standard logger "mainstay" and nothing is configured here. No line carries a prompt, an answer or a
key, because no event does.
"""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, ClassVar

import structlog

from ..pipeline import (
    AttemptEnded,
    BreakerChanged,
    Event,
    FellBack,
    Layer,
    ProviderError,
    Reply,
    Request,
    RetryScheduled,
    RouteDoubted,
    RouteSkipped,
    Scope,
    Steps,
)
from . import options

__all__ = ["Log"]

_SLOT = "mainstay.log"


@dataclass(frozen=True)
class Log(Layer):
    """Writes down each attempt (info, or warning if it failed) and each decision (warning).

    Args:
        logger: what to write to; structlog's if the application has configured it, else the standard logger
            "mainstay".
    """

    logger: Any = None
    name: str = "log"
    scope: Scope = "call"
    kind: ClassVar[str] = "log"

    def __post_init__(self) -> None:
        options.identity(self)

    def handle(self, request: Request) -> Steps:
        """Listens to one call."""
        call = request.call
        slot = (_SLOT, id(self.logger))  # a stack inside a stack writes to the same logger once
        if slot not in call.slots:
            call.slots[slot] = True
            call.observe(partial(_write, self.logger if self.logger is not None else _logger()))
        reply: Reply = yield request
        return reply


def _logger() -> Any:
    # structlog's own default prints, which a library must not do.
    return structlog.get_logger("mainstay") if structlog.is_configured() else _standard()


@lru_cache(maxsize=1)
def _standard() -> Any:
    return structlog.wrap_logger(
        logging.getLogger("mainstay"),
        processors=[structlog.stdlib.filter_by_level, _in_full, structlog.stdlib.render_to_log_kwargs],
        wrapper_class=structlog.stdlib.BoundLogger,
    ).bind()


def _in_full(logger: Any, method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Puts the fields into the message as well: most formatters show nothing else of a record."""
    fields = [f"{name}={value}" for name, value in line.items() if name != "event" and value not in ("", None)]
    line["event"] = " ".join([line["event"], *fields])
    return line


def _write(logger: Any, event: Event) -> None:
    if isinstance(event, AttemptEnded):
        attempt = event.attempt
        write = logger.warning if attempt.outcome == "error" else logger.info
        write(
            "attempt",
            number=attempt.number,
            route=attempt.route,
            provider=attempt.provider,
            model=attempt.model,
            outcome=attempt.outcome,
            error=str(attempt.error_class or ""),
            reason=attempt.reason,
            status=attempt.status,
            seconds=round(attempt.duration or 0.0, 4),
        )
    elif isinstance(event, RetryScheduled):
        logger.warning("retry", delay=round(event.delay, 3), **_told(event.route, event.error))
    elif isinstance(event, RouteSkipped):
        logger.warning("skip", retry_after=event.error.retry_after, **_told(event.route, event.error))
    elif isinstance(event, RouteDoubted):
        logger.warning("doubt", retry_after=event.error.retry_after, **_told(event.route, event.error))
    elif isinstance(event, FellBack):
        logger.warning("fallback", target=event.target, **_told(event.origin, event.error))
    elif isinstance(event, BreakerChanged):
        reason = event.error.reason if event.error is not None else ""
        logger.warning("breaker", route=event.route, before=event.before, after=event.after, reason=reason)


def _told(route: str, error: ProviderError) -> dict[str, Any]:
    return {"route": route, "error": str(error.error_class), "reason": error.reason}

"""Validate: a wrong parameter is an error before anything is sent, not a surprise afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from ..pipeline import (
    InvalidParameters,
    Layer,
    ParametersDoubted,
    Problem,
    Request,
    Running,
    Scope,
)
from ..pipeline.around import Around
from ..pipeline.complaints import logger
from . import options

__all__ = ["Validate"]

_log = logger()
_ONCE_IS_ENOUGH = "a request that is wrong must be refused before anything is spent on it, and once"


@dataclass(frozen=True)
class Validate(Layer):
    """Asks every route whether it would take the request, and refuses it with all problems at once.

    What is right belongs to the adapters (`handler.check`): each knows its provider's parameters. Nothing is
    dropped or clamped here. A route that cannot take a parameter says what to do with it
    (`Route(..., drop={"seed"})`).

    Args:
        mode: "raise" refuses; "warn" logs a warning, tells observers, and lets the request pass.

    Raises:
        ValueError: if the mode is neither.
    """

    mode: Literal["raise", "warn"] = "raise"
    name: str = "validate"
    scope: Scope = "call"
    kind: ClassVar[str] = "validate"
    not_inside: ClassVar[dict[str, str]] = {
        "retry": _ONCE_IS_ENOUGH,
        "breaker": _ONCE_IS_ENOUGH,
        "trace": _ONCE_IS_ENOUGH,
    }

    def __post_init__(self) -> None:
        options.identity(self)
        if self.mode not in ("raise", "warn"):
            raise ValueError(f"Validate(mode=...) must be 'raise' or 'warn', not {self.mode!r}")

    def bind(self, handler: Any) -> Running:
        """Makes the running half, which asks this handler."""
        return _Validating(self.mode, getattr(handler, "check", None))


class _Validating(Around):
    def __init__(self, mode: str, check: Callable[[Request], tuple[Problem, ...]] | None) -> None:
        self._mode = mode
        self._check = check

    def before(self, request: Request) -> None:
        problems = self._check(request) if self._check is not None else ()
        if problems:
            if self._mode == "raise":
                raise InvalidParameters(problems, model=request.model)
            _log.warning("sent as it is, although: %s", "; ".join(map(str, problems)))
            request.call.emit(ParametersDoubted(problems))

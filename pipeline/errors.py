"""What can go wrong, in seven classes, and what each class means for a retry, a router and a breaker.

The guidance is data: one table, read by every layer. No layer contains a status code, and no adapter
decides whether to retry. An adapter says *what* happened (class, reason, status, how long to wait); the
table says what that means.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from .call import Attempt
    from .chunk import Partial, Usage

__all__ = [
    "GUIDANCE",
    "Again",
    "AllRoutesFailed",
    "AttemptsSpent",
    "AuthenticationFailed",
    "CircuitOpen",
    "DeadlineExceeded",
    "ErrorClass",
    "Guidance",
    "InvalidParameters",
    "InvalidRequest",
    "ModelNotFound",
    "Problem",
    "ProviderError",
    "QuotaExceeded",
    "RateLimited",
    "RouteRefused",
    "RouteResting",
    "TimedOut",
    "Trip",
    "TruncatedStream",
    "Unavailable",
]


class ErrorClass(StrEnum):
    """The seven classes, in order of hope: what is most likely to go away by itself comes first."""

    TIMEOUT = "timeout"
    UNAVAILABLE = "unavailable"
    RATE_LIMIT = "rate_limit"
    QUOTA = "quota"
    AUTHENTICATION = "authentication"
    MODEL_NOT_FOUND = "model_not_found"
    INVALID_REQUEST = "invalid_request"


class Again(Enum):
    """May the same route be tried again?"""

    NO = "no"
    ONCE = "at once, once"
    BACKOFF = "after Retry-After, else backoff with full jitter"


class Trip(Enum):
    """What the route's breaker makes of it."""

    IGNORE = "not a failure"
    REST = "not a failure; rests until Retry-After, if one was given"
    FAILURE = "failure"
    OPEN = "opens at once, long, or until the date given"


@dataclass(frozen=True, slots=True)
class Guidance:
    """One row of the table: what a class means for retry, router and breaker."""

    label: str
    again: Again
    elsewhere: bool
    trip: Trip


GUIDANCE: Mapping[ErrorClass, Guidance] = {
    ErrorClass.AUTHENTICATION: Guidance("authentication failed", Again.NO, True, Trip.OPEN),
    ErrorClass.QUOTA: Guidance("quota used up", Again.NO, True, Trip.OPEN),
    ErrorClass.RATE_LIMIT: Guidance("rate limited", Again.BACKOFF, True, Trip.REST),
    ErrorClass.TIMEOUT: Guidance("timed out", Again.ONCE, True, Trip.FAILURE),
    ErrorClass.UNAVAILABLE: Guidance("unavailable", Again.BACKOFF, True, Trip.FAILURE),
    ErrorClass.MODEL_NOT_FOUND: Guidance("model not found", Again.NO, True, Trip.IGNORE),
    # context_length may go to a larger window and content_filter where that is asked for: see Fallback.
    ErrorClass.INVALID_REQUEST: Guidance("invalid request", Again.NO, False, Trip.IGNORE),
}
_HOPE = tuple(ErrorClass)
# Classes whose cure is in the provider's own words; elsewhere they would only make the line longer.
_TELLS_DETAIL = frozenset({ErrorClass.INVALID_REQUEST, ErrorClass.MODEL_NOT_FOUND})


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a request, found before anything was sent.

    `parameter` is the name as the caller wrote it, `message` a whole sentence, `route` the route that would
    refuse it ("" when there is only one).
    """

    parameter: str
    message: str
    route: str = ""

    def __str__(self) -> str:
        return f"{self.route}: {self.message}" if self.route else self.message


class ProviderError(RuntimeError):
    """A provider could not answer. The base of every error that a handler raises on purpose.

    Any other exception that comes out of a handler is a bug: nothing retries it, nothing moves on from it.

    Attributes:
        error_class: one of the seven classes; it alone decides what layers do.
        reason: a finer word, such as "context_length", "connection_refused" or "truncated_stream".
        provider, model, route: who refused; "" if unknown.
        status: the HTTP status, or None if there was none.
        code: the provider's own error code or type, or None.
        retry_after: seconds until it is worth trying again, as the provider said, or None.
        request_id: the provider's id of the request, or None.
        retry: True or False if the provider said whether to retry (`x-should-retry`); it overrides the table.
        hint: what a person should do about it; "" if nothing is known.
        detail: the provider's own message, without keys and without the prompt; "" if none is safe to show.
        attempts: every attempt of the call, this one included.
        partial: what had arrived of a stream before it broke, or None.
    """

    error_class: ErrorClass = ErrorClass.UNAVAILABLE
    default_reason: ClassVar[str] = ""

    def __init__(
        self,
        message: str = "",
        *,
        reason: str = "",
        provider: str = "",
        model: str = "",
        route: str = "",
        status: int | None = None,
        code: str | None = None,
        retry_after: float | None = None,
        request_id: str | None = None,
        retry: bool | None = None,
        hint: str = "",
        detail: str = "",
        partial: Partial | None = None,
        attempts: Sequence[Attempt] = (),
    ) -> None:
        """Builds the error; every argument is the attribute of that name.

        Args:
            message: replaces the class's own label ("rate limited") in `str()`; "" keeps it.
        """
        super().__init__(message)
        self.message = message
        self.reason = reason or self.default_reason
        self.provider = provider
        self.model = model
        self.route = route
        self.status = status
        self.code = code
        self.retry_after = retry_after
        self.request_id = request_id
        self.retry = retry
        self.hint = hint
        self.detail = detail
        self.partial = partial
        self.attempts = attempts

    @staticmethod
    def of(error_class: ErrorClass, message: str = "", **fields: Any) -> ProviderError:
        """Builds the error of the subclass that belongs to `error_class`; the fields are those of ProviderError."""
        return _FAMILY[error_class](message, **fields)

    @property
    def guidance(self) -> Guidance:
        """What this error's class means for retry, router and breaker."""
        return GUIDANCE[self.error_class]

    @property
    def spent(self) -> Usage:
        """Tokens and cost of all attempts of the call, which were in vain; what is not known is None."""
        from .spending import spent

        return spent(self.attempts)

    def detached(self) -> ProviderError:
        """A copy without traceback, to be kept: a kept traceback would keep every frame, and the prompt, alive.

        What had arrived is left out, and of its causes only those of our own family are kept, detached as well.
        """
        error = copy.copy(self)
        error.partial = None
        if error.__cause__ is not None:
            error.__cause__ = self.__cause__.detached()  # type: ignore[union-attr]  # see __reduce__
        return error

    def __str__(self) -> str:
        return f"{self.provider or self.route or 'mainstay'}: {self._sentence()}{self._facts()}{self._advice()}"

    def _sentence(self) -> str:
        words = self.message or self.guidance.label
        if not self.message and self.reason and self.error_class is not ErrorClass.RATE_LIMIT:
            words += f": {self.reason.replace('_', ' ')}"
        if self.detail and self.error_class in _TELLS_DETAIL:
            words += f": {self.detail}"
        if self.retry_after is not None:
            words += f", retry in {_seconds(self.retry_after)}"
        return words

    def _facts(self) -> str:
        facts = [str(self.status)] if self.status is not None else []
        if self.request_id:
            facts.append(f"request {self.request_id}")
        return f" ({', '.join(facts)})" if facts else ""

    def _advice(self) -> str:
        return f"; {self.hint}" if self.hint else ""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self}>"

    # The cause is kept through a pickle only if it is ours: a foreign one may hold a socket, a key or a prompt.
    def __reduce__(self) -> tuple[Any, ...]:
        state = {**self.__dict__, "attempts": tuple(self.attempts)}
        cause = self.__cause__ if isinstance(self.__cause__, ProviderError) else None
        return _restore, (type(self), self.args, state, cause)


def _restore(
    cls: type[ProviderError], args: tuple[Any, ...], state: dict[str, Any], cause: ProviderError | None
) -> ProviderError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    if cause is not None:
        error.__cause__ = cause
    return error


def _on_route(error: ProviderError) -> str:
    text = str(error)
    return text if not error.route or text.startswith(f"{error.route}: ") else f"{error.route}: {text}"


def _seconds(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds >= 100 else f"{seconds:.3g} s"


class AuthenticationFailed(ProviderError):
    """A bad key, or a key without the permission."""

    error_class = ErrorClass.AUTHENTICATION


class QuotaExceeded(ProviderError):
    """No credit left, or the plan is used up. Waiting a moment does not help, whatever the status says."""

    error_class = ErrorClass.QUOTA


class RateLimited(ProviderError):
    """Too many requests or tokens for now; `retry_after` says for how long, if the provider did."""

    error_class = ErrorClass.RATE_LIMIT


class TimedOut(ProviderError):
    """No answer, or no next part of it, in the time allowed."""

    error_class = ErrorClass.TIMEOUT


class Unavailable(ProviderError):
    """The provider is down, overloaded, unreachable, or answers garbage."""

    error_class = ErrorClass.UNAVAILABLE


class ModelNotFound(ProviderError):
    """The provider does not have this model, or does not let this key use it."""

    error_class = ErrorClass.MODEL_NOT_FOUND


class InvalidRequest(ProviderError):
    """The request itself is wrong: no other try of it can succeed."""

    error_class = ErrorClass.INVALID_REQUEST


_FAMILY: Mapping[ErrorClass, type[ProviderError]] = {
    kind.error_class: kind
    for kind in (
        AuthenticationFailed,
        QuotaExceeded,
        RateLimited,
        TimedOut,
        Unavailable,
        ModelNotFound,
        InvalidRequest,
    )
}


class TruncatedStream(Unavailable):
    """The connection ended without the protocol's proof that the answer is whole; `partial` has what came."""

    default_reason = "truncated_stream"


class DeadlineExceeded(TimedOut):
    """The call's own deadline has passed, or would pass before the next step could. Nobody retries after it.

    `deadline` is the moment on the call's clock that it is about, so that an outer layer can tell its own
    deadline from a shorter one further in.
    """

    default_reason = "deadline"
    deadline: float | None = None


class InvalidParameters(InvalidRequest):
    """The request was refused before anything was sent; `problems` lists everything that is wrong with it."""

    default_reason = "bad_parameter"

    def __init__(self, problems: Iterable[Problem] = (), **fields: Any) -> None:
        """Builds the error from its problems; the fields are those of ProviderError."""
        self.problems = tuple(problems)
        lines = [f"{len(self.problems)} problem{'s' * (len(self.problems) != 1)} with the request"]
        super().__init__("\n  - ".join([*lines, *map(str, self.problems)]), **fields)


class RouteRefused(ProviderError):
    """A route was not even tried, so no attempt was spent.

    It speaks for the error that closed the route: the same class, reason and provider, that error as
    `__cause__`, and `retry_after` until the route admits again.
    """

    def __init__(self, message: str = "", *, because: ProviderError | None = None, **fields: Any) -> None:
        """Builds a refusal.

        Args:
            message: why the route was not tried.
            because: the error that closed the route, detached; None if a person closed it.
            fields: as for ProviderError; they go before what `because` says.
        """
        if because is not None:
            for name in ("reason", "provider", "model", "route", "hint"):
                fields.setdefault(name, getattr(because, name))
        super().__init__(message, **fields)
        if because is not None:
            self.error_class = because.error_class
            self.__cause__ = because


class CircuitOpen(RouteRefused):
    """The route's breaker is open: it failed too often, and is left alone until `retry_after` has passed."""


class RouteResting(RouteRefused, RateLimited):
    """The route asked to be left alone for a while (a rate limit with Retry-After) and that time is not over."""

    error_class = ErrorClass.RATE_LIMIT


class AttemptsSpent(RouteRefused):
    """The call's cap on attempts is reached. Routers and retries raise the last original error in its place."""


class AllRoutesFailed(ProviderError):
    """Every route that a router could choose has failed or refused.

    Its class is that of the route with most hope, its `retry_after` the smallest among the routes of that
    class.

    Attributes:
        errors: one error per route, in the order tried.
        untried: names of routes that were not tried, because the attempts or the time ran out.
    """

    def __init__(self, errors: Sequence[ProviderError] = (), untried: Sequence[str] = (), **fields: Any) -> None:
        """Builds the error from one error per route, at least one, and the names of untried routes."""
        if not errors:
            raise ValueError("AllRoutesFailed needs the error of at least one route")
        best = min(errors, key=lambda error: _HOPE.index(error.error_class))
        waits = [
            error.retry_after
            for error in errors
            if error.error_class is best.error_class and error.retry_after is not None
        ]
        fields.setdefault("retry_after", min(waits, default=None))
        fields.setdefault("reason", best.reason)
        super().__init__("all routes failed", **fields)
        self.error_class = best.error_class
        self.errors = list(errors)
        self.untried = tuple(untried)

    def detached(self) -> ProviderError:
        """As of any error; the errors of the routes are detached as well."""
        copied = super().detached()
        assert isinstance(copied, AllRoutesFailed)
        copied.errors = [error.detached() for error in self.errors]
        return copied

    def __str__(self) -> str:
        lines = [_on_route(error) for error in self.errors]
        lines += [f"{name}: not tried" for name in self.untried]
        wait = f", retry in {_seconds(self.retry_after)}" if self.retry_after is not None else ""
        return f"all {len(lines)} routes failed{wait}\n  - " + "\n  - ".join(lines)

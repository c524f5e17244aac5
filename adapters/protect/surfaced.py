"""What the caller of a protected client sees of an error: one of the client's own types, with the ProviderError on it.

If the client itself has raised it, it is that error. An error without one (a breaker that is open, a deadline, a
stream that ended without its end) becomes one that is both: of the type that the client has for such a case, and of
ours, so that `except openai.RateLimitError` and `except ProviderError` both catch it. Either way it has
`provider_error`.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

from ...pipeline import AllRoutesFailed, ErrorClass, ProviderError
from .call import NativeCall

__all__ = ["Surfaced", "surfaced"]

# What OpenAI's and Anthropic's clients call the classes, and the status that they belong to.
_STATUS = {
    ErrorClass.AUTHENTICATION: ("AuthenticationError", 401),
    ErrorClass.QUOTA: ("RateLimitError", 429),
    ErrorClass.RATE_LIMIT: ("RateLimitError", 429),
    ErrorClass.MODEL_NOT_FOUND: ("NotFoundError", 404),
    ErrorClass.INVALID_REQUEST: ("BadRequestError", 400),
}
_FAMILY_ERRORS = {"openai": "OpenAIError", "anthropic": "AnthropicError", "ollama": "ResponseError"}


class Surfaced:
    """What errors of both kinds have in common.

    Attributes:
        provider_error: the error as the library knows it.
    """

    provider_error: ProviderError

    def __str__(self) -> str:
        return str(self.provider_error)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.provider_error}>"

    # The client's errors hold a request and a response, which do not pickle: ours does.
    def __reduce__(self) -> Any:
        return self.provider_error.__reduce__()


def surfaced(error: ProviderError, native: NativeCall) -> BaseException:
    """What to raise in place of `error`, outside of the handler that caught it.

    Args:
        error: what came out of the stack.
        native: the call that it ends.
    """
    first = error.errors[0] if isinstance(error, AllRoutesFailed) else error
    cause = None if isinstance(first.__cause__, ProviderError) else first.__cause__
    if first is error and cause is not None and _is_own(cause, native.family):
        carried = error.detached()  # which does not hold what holds it
        carried.partial = error.partial
        error.__cause__ = None  # a stream's reply has it, and the client's error, through its traceback, the stream
        cause.provider_error = carried  # type: ignore[attr-defined]
        return cause
    return _both(error, first, cause, native)


def _is_own(cause: BaseException, family: str) -> bool:
    own = getattr(sys.modules[family], _FAMILY_ERRORS[family])
    return isinstance(cause, own) or (family == "ollama" and type(cause) is ConnectionError)


def _both(error: ProviderError, first: ProviderError, cause: BaseException | None, native: NativeCall) -> BaseException:
    if cause is not None and _is_own(cause, native.family):  # the first route's, where all have failed
        twin: BaseException = cause
        kinds: tuple[type, ...] = (type(cause),)
    else:
        twin = _twin(first, str(error), native)
        kinds = (type(twin),) if cause is None else (type(twin), type(cause))
    made: Any = _empty(kinds, type(error))
    made.__dict__.update(vars(error))
    for name, value in vars(twin).items():
        if value is not None or name not in made.__dict__:
            made.__dict__[name] = value
    if native.family != "ollama":
        made.request = getattr(twin, "request", None) or native.request_sent()
    made.message = str(error)
    made.args = (str(error),)
    made.provider_error = error.with_traceback(None)
    made.__cause__ = error.__cause__
    return made  # type: ignore[no-any-return]


def _empty(kinds: tuple[type, ...], ours: type) -> BaseException:
    for some in (kinds, kinds[:1]):
        try:
            cls = _type(some, ours)
            return cls.__new__(cls)  # type: ignore[no-any-return]
        except TypeError:  # two of them cannot be one, or one cannot be made like this
            continue
    raise TypeError(f"{kinds[0].__name__} and {ours.__name__} cannot be one error")


@cache
def _type(kinds: tuple[type, ...], ours: type) -> Any:
    several = [kind for kind in kinds if not any(kind is not other and issubclass(other, kind) for other in kinds)]
    return type(ours.__name__, (Surfaced, *several, ours), {"__module__": ours.__module__})


def _twin(error: ProviderError, words: str, native: Any) -> BaseException:
    """The error that the client would have raised about the same thing."""
    family = sys.modules[native.family]
    if native.family == "ollama":
        return _ollama_twin(error, words, native, family)
    if error.error_class is ErrorClass.TIMEOUT:
        return family.APITimeoutError(request=native.request_sent())  # type: ignore[no-any-return]
    name, status = _STATUS.get(error.error_class, ("InternalServerError", _status(error)))
    if status < 500 and name == "InternalServerError":
        return family.APIConnectionError(message=words, request=native.request_sent())  # type: ignore[no-any-return]
    headers = {} if error.retry_after is None else {"retry-after": f"{error.retry_after:.0f}"}
    response = native.response(status, headers)
    return getattr(family, name)(words, response=response, body=None)  # type: ignore[no-any-return]


def _ollama_twin(error: ProviderError, words: str, native: Any, family: Any) -> BaseException:
    if error.error_class is ErrorClass.TIMEOUT:
        return native.http.ReadTimeout(words, request=native.request_sent())  # type: ignore[no-any-return]
    status = _STATUS.get(error.error_class, ("", _status(error)))[1]
    return family.ResponseError(words, status)  # type: ignore[no-any-return]


def _status(error: BaseException | None) -> int:
    """The HTTP status of an error, or of the one that closed the route that it speaks for; -1 if there was none."""
    while isinstance(error, ProviderError):
        if error.status is not None:
            return error.status
        error = error.__cause__
    return -1

from __future__ import annotations

import dataclasses
import pickle
from typing import Any

import pytest

from mainstay.pipeline import (
    GUIDANCE,
    Again,
    AllRoutesFailed,
    Attempt,
    AttemptsSpent,
    AuthenticationFailed,
    CircuitOpen,
    DeadlineExceeded,
    ErrorClass,
    InvalidParameters,
    InvalidRequest,
    ModelNotFound,
    Partial,
    Problem,
    ProviderError,
    QuotaExceeded,
    RateLimited,
    RouteRefused,
    RouteResting,
    TimedOut,
    Trip,
    TruncatedStream,
    Unavailable,
    Usage,
)

FAMILY = {
    AuthenticationFailed: "authentication",
    QuotaExceeded: "quota",
    RateLimited: "rate_limit",
    TimedOut: "timeout",
    Unavailable: "unavailable",
    ModelNotFound: "model_not_found",
    InvalidRequest: "invalid_request",
}
ATTEMPT = Attempt(1, "openai", "openai", "gpt-4o", 0, 1.0)
FIELDS: dict[str, Any] = {
    "reason": "because",
    "provider": "openai",
    "model": "gpt-4o",
    "route": "first",
    "status": 429,
    "code": "rate_limit_exceeded",
    "retry_after": 60.0,
    "request_id": "req_1",
    "retry": True,
    "hint": "wait",
    "detail": "slow down",
    "partial": Partial("so far", usage=Usage(1, 2)),
    "attempts": (ATTEMPT,),
}


def every_error() -> list[ProviderError]:
    closed = Unavailable("down", provider="claude")
    errors = [kind("said", **FIELDS) for kind in FAMILY]
    errors += [kind("said", **FIELDS) for kind in (ProviderError, TruncatedStream, DeadlineExceeded, AttemptsSpent)]
    errors += [kind("said", because=closed, **FIELDS) for kind in (RouteRefused, CircuitOpen, RouteResting)]
    errors.append(InvalidParameters([Problem("seed", "no seed", "claude")], **FIELDS))
    errors.append(AllRoutesFailed([RateLimited(provider="a"), closed], untried=["c"], **FIELDS))
    return errors


# -- the table -------------------------------------------------------------------------------------------------


def test_the_guidance_is_the_table_of_the_design() -> None:
    again, trip = Again, Trip
    table = {
        "authentication": (again.NO, True, trip.OPEN),
        "quota": (again.NO, True, trip.OPEN),
        "rate_limit": (again.BACKOFF, True, trip.REST),
        "timeout": (again.ONCE, True, trip.FAILURE),
        "unavailable": (again.BACKOFF, True, trip.FAILURE),
        "model_not_found": (again.NO, True, trip.IGNORE),
        "invalid_request": (again.NO, False, trip.IGNORE),
    }
    assert {str(kind): (row.again, row.elsewhere, row.trip) for kind, row in GUIDANCE.items()} == table


def test_the_classes_stand_in_order_of_hope() -> None:
    assert [str(kind) for kind in ErrorClass] == [
        "timeout",
        "unavailable",
        "rate_limit",
        "quota",
        "authentication",
        "model_not_found",
        "invalid_request",
    ]


@pytest.mark.parametrize(("kind", "name"), FAMILY.items())
def test_each_subclass_has_its_class_and_is_what_of_builds(kind: type[ProviderError], name: str) -> None:
    error = ProviderError.of(ErrorClass(name), "said", status=400)
    assert type(error) is kind
    assert error.error_class is ErrorClass(name)
    assert error.guidance is GUIDANCE[ErrorClass(name)]
    assert (error.message, error.status) == ("said", 400)


@pytest.mark.parametrize(
    ("error", "name", "reason"),
    [
        (TruncatedStream(), "unavailable", "truncated_stream"),
        (DeadlineExceeded(), "timeout", "deadline"),
        (InvalidParameters(), "invalid_request", "bad_parameter"),
        (RouteResting(), "rate_limit", ""),
        (CircuitOpen(), "unavailable", ""),
        (ProviderError(), "unavailable", ""),
        (TruncatedStream(reason="finer"), "unavailable", "finer"),
    ],
)
def test_special_errors_have_a_class_and_a_reason_by_themselves(error: ProviderError, name: str, reason: str) -> None:
    assert (str(error.error_class), error.reason) == (name, reason)


def test_every_error_is_a_runtime_error() -> None:
    assert all(isinstance(error, RuntimeError) for error in every_error())


# -- in words --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            RateLimited(provider="openai", retry_after=60, status=429, request_id="req_1", reason="tokens"),
            "openai: rate limited, retry in 60 s (429, request req_1)",
        ),
        (Unavailable(provider="openai", reason="connection_refused"), "openai: unavailable: connection refused"),
        (ModelNotFound(provider="ollama", hint="run `ollama pull x`"), "ollama: model not found; run `ollama pull x`"),
        (InvalidRequest(provider="a", reason="context_length", detail="8192 is the limit"), None),
        (TimedOut(route="first"), "first: timed out"),
        (Unavailable("the socket is gone", reason="reset"), "mainstay: the socket is gone"),
        (AuthenticationFailed(provider="a", detail="sk-…"), "a: authentication failed"),
        (RateLimited(provider="a", retry_after=0.25), "a: rate limited, retry in 0.25 s"),
        (QuotaExceeded(provider="a", retry_after=86400.0), "a: quota used up, retry in 86400 s"),
        (RateLimited(provider="a", retry_after=1234.5), "a: rate limited, retry in 1234 s"),
    ],
)
def test_an_error_reads_as_one_line(error: ProviderError, words: str | None) -> None:
    assert str(error) == (words or "a: invalid request: context length: 8192 is the limit")
    assert repr(error) == f"<{type(error).__name__} {error}>"


def test_invalid_parameters_lists_every_problem() -> None:
    error = InvalidParameters([Problem("seed", "no seed here", "claude"), Problem("n", "n is 1")], model="m")
    assert str(error) == "mainstay: 2 problems with the request\n  - claude: no seed here\n  - n is 1"
    assert str(InvalidParameters([Problem("n", "n is 1")])).startswith("mainstay: 1 problem with")
    assert error.problems[0].parameter == "seed"


def test_all_routes_failed_names_each_route_once() -> None:
    error = AllRoutesFailed(
        [
            RateLimited(provider="openai", route="main", retry_after=3),
            Unavailable(provider="claude", route="claude"),
            TimedOut(provider="ollama"),
            AllRoutesFailed([ModelNotFound(provider="x", route="x")], route="inner"),
        ],
        untried=["last"],
    )
    assert str(error).splitlines() == [
        "all 5 routes failed",
        "  - main: openai: rate limited, retry in 3 s",
        "  - claude: unavailable",
        "  - ollama: timed out",
        "  - inner: all 1 routes failed",
        "  - x: model not found",
        "  - last: not tried",
    ]


# -- travel ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", every_error(), ids=lambda error: type(error).__name__)
def test_every_error_pickles_with_all_it_has(error: ProviderError) -> None:
    try:
        raise error from (error.__cause__ or Unavailable("the cause", status=503))
    except ProviderError as caught:
        back = pickle.loads(pickle.dumps(caught))
    assert type(back) is type(error)
    assert (str(back), back.args, back.error_class) == (str(error), error.args, error.error_class)
    for name in FIELDS:
        assert getattr(back, name) == getattr(error, name), name
    assert isinstance(back.__cause__, ProviderError)
    assert str(back.__cause__) == str(error.__cause__)
    assert back.__traceback__ is None


def test_a_pickle_keeps_problems_route_errors_and_the_deadline() -> None:
    late = DeadlineExceeded()
    late.deadline = 12.5
    assert pickle.loads(pickle.dumps(late)).deadline == 12.5
    problems = (Problem("seed", "no", "a"),)
    assert pickle.loads(pickle.dumps(InvalidParameters(problems))).problems == problems
    back = pickle.loads(pickle.dumps(AllRoutesFailed([QuotaExceeded(provider="a")], untried=["b"])))
    assert [str(error) for error in back.errors] == ["a: quota used up"]
    assert back.untried == ("b",)


def test_a_foreign_cause_stays_behind_for_it_may_hold_a_key() -> None:
    pickled = pickle.dumps(raised(Unavailable("down"), OSError("Authorization: Bearer sk-1")))
    assert b"sk-1" not in pickled
    back = pickle.loads(pickled)
    assert back.__cause__ is None
    assert not back.__suppress_context__


def raised(error: ProviderError, cause: BaseException | None = None) -> ProviderError:
    try:
        raise error from cause
    except ProviderError as caught:
        return caught


def test_a_detached_error_has_no_traceback_and_neither_has_anything_it_holds() -> None:
    cause = raised(TimedOut("first"), OSError("socket"))
    error = raised(AllRoutesFailed([cause, raised(RateLimited(status=429))], model="m"), cause)
    copied = error.detached()
    assert isinstance(copied, AllRoutesFailed)
    held = [copied, copied.__cause__, *copied.errors]
    assert all(isinstance(one, ProviderError) and one.__traceback__ is None for one in held)
    assert all(one.__context__ is None for one in held if one is not None)
    assert str(copied) == str(error)
    assert copied.model == "m"
    assert error.__traceback__ is not None
    assert cause.__traceback__ is not None
    assert copied.__cause__ is not None
    assert copied.__cause__.__cause__ is None


@pytest.mark.parametrize("error", every_error(), ids=lambda error: type(error).__name__)
def test_a_detached_error_is_equal_in_every_field_but_what_had_arrived(error: ProviderError) -> None:
    copied = error.detached()
    assert type(copied) is type(error)
    assert str(copied) == str(error)
    assert all(getattr(copied, name) == getattr(error, name) for name in FIELDS if name != "partial")
    assert copied.partial is None


# -- refusals --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [RouteRefused, CircuitOpen, RouteResting])
def test_a_refusal_speaks_for_the_error_that_closed_the_route(kind: type[RouteRefused]) -> None:
    closed = AuthenticationFailed("bad key", reason="bad_key", provider="openai", model="m", route="first", status=401)
    refusal = kind("circuit open", because=closed, retry_after=30)
    assert refusal.error_class is ErrorClass.AUTHENTICATION
    assert (refusal.reason, refusal.provider, refusal.model, refusal.route) == ("bad_key", "openai", "m", "first")
    assert refusal.__cause__ is closed
    assert (refusal.retry_after, refusal.status) == (30, None)
    assert str(refusal) == "openai: circuit open, retry in 30 s"


def test_what_a_refusal_is_told_goes_before_what_the_error_says() -> None:
    refusal = CircuitOpen(because=Unavailable(provider="a", route="x"), route="y", reason="mine")
    assert (refusal.provider, refusal.route, refusal.reason) == ("a", "y", "mine")


def test_a_resting_route_is_a_rate_limit() -> None:
    assert issubclass(RouteResting, RateLimited)
    assert RouteResting(retry_after=3).error_class is ErrorClass.RATE_LIMIT


# -- all routes failed -----------------------------------------------------------------------------------------


def test_all_routes_failed_takes_the_class_with_most_hope_and_its_smallest_wait() -> None:
    error = AllRoutesFailed(
        [
            QuotaExceeded(retry_after=1),
            RateLimited(retry_after=30, reason="tokens"),
            RateLimited(retry_after=20),
            RateLimited(),
            ModelNotFound(retry_after=2),
        ]
    )
    assert error.error_class is ErrorClass.RATE_LIMIT
    assert error.retry_after == 20
    assert error.reason == "tokens"
    assert str(error).startswith("all 5 routes failed, retry in 20 s\n")


@pytest.mark.parametrize("position", range(6))
def test_each_class_has_more_hope_than_the_next(position: int) -> None:
    kinds = list(ErrorClass)
    worse, better = ProviderError.of(kinds[position + 1]), ProviderError.of(kinds[position])
    assert AllRoutesFailed([worse, better]).error_class is kinds[position]


def test_all_routes_failed_is_a_direct_child_of_provider_error_without_a_class_of_its_own() -> None:
    assert AllRoutesFailed.__bases__ == (ProviderError,)
    assert AllRoutesFailed([TimedOut()]).error_class is ErrorClass.TIMEOUT
    assert AllRoutesFailed([InvalidRequest()]).error_class is ErrorClass.INVALID_REQUEST
    assert AllRoutesFailed([TimedOut()]).retry_after is None


def test_all_routes_failed_needs_an_error() -> None:
    with pytest.raises(ValueError, match="at least one route"):
        AllRoutesFailed([])


def test_the_rows_and_problems_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        GUIDANCE[ErrorClass.QUOTA].elsewhere = False  # type: ignore[misc]
    assert str(Problem("a", "said")) == "said"

from __future__ import annotations

import logging
import pickle
from typing import Any

import pytest

from mainstay.middleware import Fallback, Log, Retry, Validate
from mainstay.pipeline import (
    InvalidParameters,
    InvalidRequest,
    ParametersDoubted,
    Problem,
    Request,
    Route,
    Stack,
    Unavailable,
    middleware,
)


def picky(leaf_type: type[Any], *unknown: str, name: str = "leaf") -> Any:
    """A leaf that knows no parameter of these names."""

    class Picky(leaf_type):  # type: ignore[misc]
        def check(self, request: Request) -> tuple[Problem, ...]:
            return tuple(Problem(param, f"{param} is unknown") for param in request.params if param in unknown)

    return Picky(name=name)


ASK = Request("gpt-4o", "Hi", {"seed": 1, "temprature": 2, "top_p": 0.5})


def test_every_problem_of_every_route_is_listed_before_anything_is_sent(either_world: Any) -> None:
    a, b = picky(either_world.leaf, "seed", "temprature"), picky(either_world.leaf, "temprature")
    heard: list[Any] = []
    stack = either_world.stack([Validate()], Fallback(Route("a", a), Route("b", b)), observers=[heard.append])
    with pytest.raises(InvalidParameters) as raised:
        either_world.run(stack, ASK)
    assert [(problem.route, problem.parameter) for problem in raised.value.problems] == [
        ("a", "seed"),
        ("a", "temprature"),
        ("b", "temprature"),
    ]
    assert raised.value.model == "gpt-4o"
    assert isinstance(raised.value, InvalidRequest)
    assert "3 problems" in str(raised.value)
    assert "b: temprature is unknown" in str(raised.value)
    assert a.calls == b.calls == 0
    assert heard == []
    assert list(raised.value.attempts) == []


def test_problems_of_nested_routers_and_stacks_name_the_whole_path(kit: Any) -> None:
    inner = Fallback(Route("x", picky(kit.Leaf, "seed")), Route("y", Stack([], picky(kit.Leaf, "top_p"))))
    with pytest.raises(InvalidParameters) as raised:
        Stack([Validate()], Fallback(Route("a", kit.Leaf()), Route("b", inner)))(ASK)
    assert [problem.route for problem in raised.value.problems] == ["b/x", "b/y"]


def test_layers_in_between_let_the_question_through(either_world: Any) -> None:
    @middleware
    def through(request: Request) -> Any:
        return (yield request)

    leaf = picky(either_world.leaf, "seed")
    stack = either_world.stack([Validate(), through, Log(), Retry()], Fallback(Route("a", leaf)))
    with pytest.raises(InvalidParameters):
        either_world.run(stack, ASK)
    assert leaf.calls == 0


def test_a_single_handler_is_checked_too(kit: Any) -> None:
    leaf = picky(kit.Leaf, "seed")
    with pytest.raises(InvalidParameters, match="1 problem with"):
        Stack([Validate()], leaf)(ASK)
    assert leaf.calls == 0


def test_a_request_that_is_right_goes_through(either_world: Any, ask: Request) -> None:
    leaf = picky(either_world.leaf, "seed")
    assert either_world.run(either_world.stack([Validate()], leaf), ask).text == "answer"
    assert leaf.calls == 1


def test_a_handler_without_check_accepts_everything(either_world: Any) -> None:
    assert either_world.run(either_world.stack([Validate()], either_world.leaf()), ASK).text == "answer"


def test_the_layer_alone_over_a_bare_function_accepts_everything(kit: Any) -> None:
    assert Validate()(kit.Leaf())(ASK).text == "answer"


def test_a_route_that_says_what_to_do_with_a_parameter_has_no_problem(kit: Any) -> None:
    dropped, renamed, replaced = (picky(kit.Leaf, "seed") for _ in range(3))
    routes = (
        Route("a", dropped, drop=frozenset({"seed"})),
        Route("b", renamed, rename={"seed": "random_seed"}),
        Route("c", replaced, drop=frozenset({"seed"}), params={"top_p": 1.0}),
    )
    reply = Stack([Validate()], Fallback(*routes))(ASK)
    assert reply.changes == {"seed": "left out by route 'a'"}
    assert "seed" not in dropped.seen[0].params


def test_a_parameter_that_a_route_adds_is_checked_like_the_caller_s(kit: Any, ask: Request) -> None:
    leaf = picky(kit.Leaf, "mirostat")
    with pytest.raises(InvalidParameters, match="a: mirostat is unknown"):
        Stack([Validate()], Fallback(Route("a", leaf, params={"mirostat": 1})))(ask)


def test_warning_only_logs_and_tells_and_goes_on(either_world: Any, caplog: pytest.LogCaptureFixture) -> None:
    heard: list[Any] = []
    leaf = picky(either_world.leaf, "seed", "temprature")
    stack = either_world.stack([Validate("warn")], Fallback(Route("a", leaf)), observers=[heard.append])
    assert either_world.run(stack, ASK).text == "answer"
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("mainstay", logging.WARNING)
    assert "a: seed is unknown; a: temprature is unknown" in record.getMessage()
    (doubt,) = [event for event in heard if isinstance(event, ParametersDoubted)]
    assert [problem.parameter for problem in doubt.problems] == ["seed", "temprature"]
    assert heard[0] is doubt
    assert dict(leaf.seen[0].params) == dict(ASK.params)


def test_warning_only_says_nothing_where_nothing_is_wrong(kit: Any, ask: Request, caplog: Any) -> None:
    Stack([Validate("warn")], picky(kit.Leaf, "seed"))(ask)
    assert caplog.records == []


def test_it_is_asked_once_however_often_a_route_is_tried(kit: Any, ask: Request) -> None:
    asked: list[Request] = []

    class Asked(kit.Leaf):  # type: ignore[misc, name-defined]
        def check(self, request: Request) -> tuple[Problem, ...]:
            asked.append(request)
            return ()

    from mainstay.pipeline import VirtualClock

    Stack([Validate(), Retry()], Asked(Unavailable(), Unavailable(), "fine"), clock=VirtualClock())(ask)
    assert len(asked) == 1


def test_switched_off_it_lets_everything_through(either_world: Any) -> None:
    stack = either_world.stack([Validate()], picky(either_world.leaf, "seed"))
    stack.disable("validate")
    assert either_world.run(stack, ASK).text == "answer"


@pytest.mark.parametrize("mode", ["ignore", "", None, 1, ["raise"]])
def test_a_mode_that_is_none_is_refused(mode: Any) -> None:
    with pytest.raises(ValueError, match=r"Validate\(mode=\.\.\.\) must be 'raise' or 'warn'"):
        Validate(mode)


def test_it_pickles() -> None:
    assert pickle.loads(pickle.dumps(Validate("warn"))) == Validate("warn")

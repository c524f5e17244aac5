from __future__ import annotations

import asyncio
from typing import Any

import pytest

from mainstay.pipeline import Call, Problem, Reply, Request, Route, Router, Unavailable
from mainstay.pipeline.router import AsyncRouter, label


class Picky:
    """A leaf that knows only `temperature`."""

    provider = "picky"
    model = "own"

    def __call__(self, request: Request) -> Reply:
        return Reply(request.model)

    def check(self, request: Request) -> tuple[Problem, ...]:
        return tuple(Problem(name, f"no {name}") for name in request.params if name != "temperature")


def leaf(request: Request) -> Reply:
    return Reply(request.model)


# -- a route ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "model"),
    [
        ({}, "gpt-4o"),
        ({"model": "mine"}, "mine"),
        ({"models": {"gpt-4o": "mapped"}}, "mapped"),
        ({"model": "mine", "models": {"gpt-4o": "mapped"}}, "mapped"),
        ({"model": "mine", "models": {"other": "mapped"}}, "mine"),
        ({"models": {"other": "mapped"}}, "gpt-4o"),
    ],
)
def test_the_model_is_the_mapped_one_else_the_route_s_else_the_requested(
    fields: dict[str, Any], model: str, ask: Request
) -> None:
    assert Route("r", leaf, **fields).adapt(ask).model == model


def test_a_route_takes_the_model_of_its_handler_unless_it_has_its_own(ask: Request) -> None:
    assert Route("r", Picky()).adapt(ask).model == "own"
    assert Route("r", Picky(), model="mine").adapt(ask).model == "mine"


def test_a_route_that_changes_nothing_sends_the_very_request(ask: Request) -> None:
    assert Route("r", leaf).adapt(ask) is ask
    assert Route("r", leaf, model="gpt-4o").adapt(ask) is ask


def test_drop_rename_and_params_apply_and_everything_is_told() -> None:
    request = Request("m", "p", {"seed": 1, "max_tokens": 9, "temperature": 1.0, "top_p": 0.5, "n": 1})
    route = Route(
        "r",
        leaf,
        drop={"seed"},  # type: ignore[arg-type]
        rename={"max_tokens": "max_completion_tokens"},
        params={"temperature": 0.2, "n": 1, "think": True},
    )
    sent = route.adapt(request)
    assert sent.params == {
        "max_completion_tokens": 9,
        "temperature": 0.2,
        "top_p": 0.5,
        "n": 1,
        "think": True,
    }
    assert sent.changes == {
        "seed": "left out by route 'r'",
        "max_tokens": "sent as 'max_completion_tokens' by route 'r'",
        "temperature": "set to 0.2 by route 'r'",
    }
    assert request.params["seed"] == 1
    assert not request.changes


@pytest.mark.parametrize("params", [{"old": 1, "new": 2}, {"new": 2, "old": 1}])
def test_a_parameter_given_under_both_names_is_not_overwritten_in_silence(params: dict[str, int]) -> None:
    sent = Route("r", leaf, rename={"old": "new"}).adapt(Request("m", "p", params))
    assert sent.params == {"new": 2}
    assert sent.changes == {"old": "left out by route 'r', for 'new' is given as well"}


def test_changes_of_outer_routes_are_kept() -> None:
    request = Request("m", "p", {"a": 1, "b": 2}, changes={"c": "before"})
    assert set(Route("r", leaf, drop=frozenset({"a"})).adapt(request).changes) == {"a", "c"}


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Route("", leaf), ValueError, "non-empty string, not ''"),
        (lambda: Route(3, leaf), ValueError, "non-empty string, not 3"),  # type: ignore[arg-type]
        (lambda: Route("r", "text"), TypeError, "must be callable, not str"),
        (lambda: Route("r", leaf, drop="seed"), TypeError, "write drop={'seed'}"),  # type: ignore[arg-type]
        (
            lambda: Route("r", leaf, drop={"b", "a"}, rename={"a": "x", "b": "y"}),  # type: ignore[arg-type]
            ValueError,
            "drops and renames a, b",
        ),
        (lambda: Route("r", leaf, rename={"a": "b", "c": "b"}), ValueError, "renames several to b"),
        (lambda: Route("r", leaf, params=3), TypeError, "params=...\\) must be a mapping, not 3"),
        (lambda: Route("r", leaf, models=["a"]), TypeError, "models=...\\) must be a mapping"),
        (lambda: Route("r", leaf, model=3), TypeError, "model=...\\) must be a string, not 3"),
        (lambda: Route("r", leaf, window=1.5), ValueError, "must be a positive whole number, not 1.5"),
        (lambda: Route("r", leaf, window=0), ValueError, "must be a positive whole number, not 0"),
    ],
)
def test_a_wrong_route_is_refused_with_its_name(make: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        make()


def test_check_sees_the_request_as_the_route_sends_it() -> None:
    request = Request("m", "p", {"seed": 1, "temp": 1})
    assert Route("r", Picky()).check(request) == (Problem("seed", "no seed", "r"), Problem("temp", "no temp", "r"))
    assert Route("r", Picky(), drop=frozenset({"seed"}), rename={"temp": "temperature"}).check(request) == ()
    assert Route("r", leaf).check(request) == ()


# -- a router --------------------------------------------------------------------------------------------------


def test_a_router_names_its_routes_after_their_handlers(in_order: Any) -> None:
    router = in_order(Picky(), leaf, Route("named", leaf))
    assert [route.name for route in router.routes] == ["picky", "leaf", "named"]
    assert repr(router) == "InOrder(picky, leaf, named)"


def test_a_handler_is_called_by_its_provider_its_name_or_its_type() -> None:
    class Bare:
        name = 3

        def __call__(self, request: Request) -> Reply:
            return Reply()

    assert [label(handler) for handler in (Picky(), leaf, Bare(), lambda request: Reply())] == [
        "picky",
        "leaf",
        "bare",
        "function",
    ]


def test_two_routes_of_one_name_are_refused(in_order: Any) -> None:
    with pytest.raises(ValueError, match="two routes of one InOrder are called a, b"):
        in_order(Route("b", leaf), Route("a", leaf), Route("b", leaf), Route("a", leaf))


def test_a_router_needs_a_route_and_a_way_to_choose(in_order: Any, ask: Request) -> None:
    with pytest.raises(ValueError, match="at least one route"):
        in_order()
    with pytest.raises(TypeError, match=r"Router needs a handle\(\)"):
        Router(leaf)(ask)
    assert Router(leaf).manner == ""


def test_the_same_name_in_two_routers_is_fine_for_the_paths_differ(in_order: Any) -> None:
    router = in_order(Route("x", in_order(Route("a", leaf))), Route("y", in_order(Route("a", leaf))))
    assert [path for path, _ in router.leaves()] == ["x/a", "y/a"]


def test_leaves_and_leaf_count_go_all_the_way_down(in_order: Any) -> None:
    deep = in_order(Route("c", leaf), Route("d", leaf))
    router = in_order(Route("a", leaf), Route("b", in_order(Route("deep", deep), Route("e", leaf))))
    assert [path for path, _ in router.leaves()] == ["a", "b/deep/c", "b/deep/d", "b/e"]
    assert (router.leaf_count, router.routes[1].leaf_count, router.routes[0].leaf_count) == (4, 3, 1)


def test_check_joins_all_routes_and_names_each(in_order: Any) -> None:
    router = in_order(Route("a", Picky()), Route("outer", in_order(Route("inner", Picky()), Route("free", leaf))))
    problems = router.check(Request("m", "p", {"seed": 1}))
    assert [problem.route for problem in problems] == ["a", "outer/inner"]


def test_map_changes_every_leaf_and_gives_a_new_router(in_order: Any) -> None:
    router = in_order(Route("a", leaf, model="m"), Route("b", in_order(Route("c", leaf), Route("d", leaf))))
    seen: list[str] = []

    def change(route: Route) -> Any:
        seen.append(route.name)
        return lambda request: Reply(f"{route.name} changed")

    changed = router.map(change)
    assert seen == ["a", "c", "d"]
    assert type(changed) is type(router)
    assert changed is not router
    assert changed.routes[1].handler is not router.routes[1].handler
    assert [route.handler for _, route in router.leaves()] == [leaf] * 3
    assert (changed.routes[0].name, changed.routes[0].model) == ("a", "m")
    assert [path for path, _ in changed.leaves()] == ["a", "b/c", "b/d"]


def test_a_router_works_without_a_stack(in_order: Any, script: Any, ask: Request) -> None:
    second = script()
    router = in_order(Route("a", script(Unavailable())), Route("b", second, model="mapped"))
    assert router(ask).text == "answer"
    assert second.seen[0].model == "mapped"
    assert router(ask.under(Call())).text == "answer"


def test_an_async_router_drives_the_routers_below_it_and_leaves_the_original_alone(
    in_order: Any, script: Any, ask: Request
) -> None:
    inner = in_order(Route("b", script(Unavailable())), Route("c", script(), model="mapped"))
    router = in_order(Route("a", script(Unavailable())), Route("inner", inner))
    driven = AsyncRouter(router)
    assert asyncio.run(driven(ask.under(Call()))).text == "answer"
    assert (driven.leaf_count, driven.driven) == (3, True)
    assert driven.check(ask) == ()
    assert router.routes[1].handler is inner


class Refusing(Route):
    """A route with a check, and a number of leaves, of its own."""

    def check(self, request: Request) -> tuple[Problem, ...]:
        return (Problem("model", "not here", route=self.name),)

    @property
    def leaf_count(self) -> int:
        return 7


def test_a_subclass_of_route_is_asked_itself(ask: Request) -> None:
    router = Router(Refusing("a", lambda request: Reply("x")), Route("b", lambda request: Reply("y")))
    assert [problem.route for problem in router.check(ask)] == ["a"]
    assert router.leaf_count == 8

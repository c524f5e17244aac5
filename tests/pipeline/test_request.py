from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from mainstay.pipeline import Call, Request

PROMPT = "the prompt nobody may see"


def test_a_prompt_becomes_one_user_message() -> None:
    assert Request("m", PROMPT).messages == ({"role": "user", "content": PROMPT},)


def test_messages_are_taken_in_order_from_any_iterable() -> None:
    messages = [{"role": "system", "content": "a"}, {"role": "user", "content": "b"}]
    assert Request("m", iter(messages)).messages == tuple(messages)


def test_a_request_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        Request("m", "p").model = "other"  # type: ignore[misc]


def test_the_caller_s_own_dict_of_params_is_not_shared() -> None:
    params = {"temperature": 0.1}
    request = Request("m", "p", params)
    params["seed"] = 1
    assert request.params == {"temperature": 0.1}


@pytest.mark.parametrize(
    ("model", "error", "words"),
    [
        (None, TypeError, "must be a string such as 'gpt-4o', not NoneType"),
        (7, TypeError, "int"),
        ("", ValueError, "empty"),
    ],
)
def test_a_wrong_model_is_refused(model: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        Request(model, "p")
    with pytest.raises(error, match=words) if model is not None else pytest.raises(TypeError):
        Request(model, "p").replace(model=model)


@pytest.mark.parametrize(
    ("messages", "error", "words"),
    [
        (None, TypeError, "not NoneType"),
        (7, TypeError, "not int"),
        (b"p", TypeError, "not bytes"),
        ({"role": "user"}, TypeError, "not dict"),
        ([], ValueError, "at least one message"),
        (["p"], TypeError, r"messages\[0\] must be a mapping with a role, not str"),
        ([{"role": "user"}, {"content": "p"}], TypeError, r"messages\[1\] has no role"),
        ([{"role": 1}], TypeError, r"messages\[0\] has no role"),
    ],
)
def test_wrong_messages_are_refused_with_the_place(messages: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        Request("m", messages)
    with pytest.raises(error, match=words) if messages is not None else pytest.raises(TypeError):
        Request("m", messages if messages is None else "p").replace(messages=messages)


def test_params_that_are_no_mapping_are_refused() -> None:
    with pytest.raises(TypeError, match=r"params must be a mapping.*not list"):
        Request("m", "p", [("temperature", 1)])  # type: ignore[arg-type]


def test_a_request_has_no_call_until_it_is_under_way() -> None:
    request = Request("m", "p")
    assert not request.under_way
    with pytest.raises(RuntimeError, match="not under way"):
        _ = request.call
    call = Call()
    under = request.under(call, frozenset({"retry"}))
    assert under.under_way
    assert under.call is call
    assert under.off == {"retry"}
    assert under.under(call, frozenset({"breaker"})).off == {"retry", "breaker"}
    assert (under.model, under.messages, under.params) == (request.model, request.messages, request.params)


def test_replace_changes_what_is_given_and_keeps_the_rest_and_the_call() -> None:
    call = Call()
    request = Request("m", "p", {"seed": 1}, stream=True).under(call, frozenset({"x"}))
    same = request.replace()
    assert (same.model, same.params, same.stream, same.off, same.call) == ("m", {"seed": 1}, True, {"x"}, call)
    other = request.replace(model="n", messages="q", params={}, stream=False, changes={"seed": "left out"})
    assert (other.model, other.messages[0]["content"], other.params, other.stream) == ("n", "q", {}, False)
    assert (other.changes, other.off, other.call) == ({"seed": "left out"}, {"x"}, call)
    assert request.model == "m"


def test_no_repr_shows_the_prompt_or_the_value_of_a_parameter() -> None:
    request = Request("m", PROMPT, {"temperature": 0.123, "user": "somebody"})
    assert repr(request) == "Request(model='m', messages=<1>, params=['temperature', 'user'], stream=False)"
    assert PROMPT not in f"{request.under(Call())!r}{request}"


def test_what_a_protected_client_was_called_with_travels_and_is_never_shown() -> None:
    class Native:
        alone = False

        def __repr__(self) -> str:
            return PROMPT

    native = Native()
    request = Request("m", "p", native=native)
    under = request.under(Call()).on("a").replace(model="n", messages="q")
    assert request.native is under.native is native
    assert Request("m", "p").native is None
    assert PROMPT not in repr(under)


def test_a_request_that_is_not_under_way_pickles() -> None:
    request = Request("m", "p", {"seed": 1}, stream=True)
    assert pickle.loads(pickle.dumps(request)) == request

"""What Validate has a codec write is sent, and written only once, as long as it is the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from mainstay.adapters import Adapter, OpenAI
from mainstay.adapters.openai import OpenAICodec
from mainstay.adapters.sandbox import Sandbox, faults
from mainstay.middleware import Fallback, Retry, Validate
from mainstay.pipeline import Call, Request, Route, Stack, VirtualClock


class Counting(OpenAICodec):
    """Counts how often it writes, all of its kind together."""

    written: list[str]

    def body(self, request: Request) -> tuple[dict[str, Any], Mapping[str, str]]:
        Counting.written.append(request.model)
        return super().body(request)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    Counting.written = []
    with Sandbox("openai") as running:
        yield running


def adapter(sandbox: Sandbox, codec: OpenAICodec | None = None) -> Adapter:
    made = OpenAI("sk-test", base_url=sandbox.url)
    made.codec = codec or Counting()
    return made


def test_what_was_checked_is_sent_as_it_was_written(sandbox: Sandbox) -> None:
    with Stack([Validate()], adapter(sandbox)) as stack:
        assert stack(Request("gpt-4o", "hi", {"temperature": 0.5})).text
    assert len(Counting.written) == 1


def test_routes_of_one_kind_are_written_for_once(sandbox: Sandbox) -> None:
    routes = [Route(name, adapter(sandbox)) for name in "abc"]
    with Stack([Validate()], Fallback(*routes)) as stack:
        assert stack(Request("gpt-4o", "hi")).text
    assert len(Counting.written) == 1


def test_of_routes_that_differ_the_first_is_kept(sandbox: Sandbox) -> None:
    routes = [
        Route("a", adapter(sandbox)),
        Route("b", adapter(sandbox), model="gpt-4o-mini"),
        Route("c", adapter(sandbox, Counting(provider="other"))),
        Route("d", adapter(sandbox), params={"seed": 1}),
    ]
    with Stack([Validate()], Fallback(*routes)) as stack:
        assert stack(Request("gpt-4o", "hi")).text
    assert Counting.written == ["gpt-4o", "gpt-4o-mini", "gpt-4o", "gpt-4o"]


def test_what_differs_is_written_anew(sandbox: Sandbox) -> None:
    route = Route("a", adapter(sandbox), models={"small": "gpt-4o-mini"})
    with Stack([Validate()], Fallback(route, Route("b", adapter(sandbox)))) as stack:
        assert stack(Request("small", "hi")).text
    assert Counting.written == ["gpt-4o-mini", "small"]


def test_a_second_try_writes_again(sandbox: Sandbox) -> None:
    sandbox.script(faults.status(503))
    with Stack([Validate(), Retry()], adapter(sandbox), clock=VirtualClock()) as stack:
        assert stack(Request("gpt-4o", "hi")).text
    assert len(Counting.written) == 2


def test_a_wrong_request_leaves_nothing_behind(sandbox: Sandbox) -> None:
    request = Request("gpt-4o", "hi", {"temperature": 9.0}).under(Call())
    assert adapter(sandbox).check(request)
    assert request.call.slots == {}


def test_what_is_sent_is_not_kept(sandbox: Sandbox) -> None:
    request = Request("gpt-4o", "hi").under(Call())
    with adapter(sandbox) as provider:
        assert provider.check(request) == ()
        assert request.call.slots
        assert provider(request).text
    assert request.call.slots == {}


def test_the_same_request_twice_is_two_calls(sandbox: Sandbox) -> None:
    request = Request("gpt-4o", "hi")
    with Stack([Validate()], adapter(sandbox)) as stack:
        assert stack(request).text
        assert stack(request).text
    assert len(Counting.written) == 2

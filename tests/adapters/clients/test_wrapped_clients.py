"""Wrapped clients hear what our own adapters hear: every good answer, and every fault, over real sockets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from mainstay.adapters.sandbox import Sandbox
from mainstay.pipeline import Request
from support import asked, fault_table, good_answers
from support.wrapped import DIALECTS, heard_by_adapter, heard_by_client

WORLDS = pytest.mark.parametrize("is_async", [False, True], ids=["thread", "loop"])

# What Ollama's client hides: it breaks on blank lines, and tells neither the status nor the words of a page.
HIDDEN = {("pings only", "ollama", True), ("a login page", "ollama", True)}


def table(cases: Any) -> list[Any]:
    return [
        pytest.param(name, dialect, stream, id=f"{name}, {dialect}, {'stream' if stream else 'complete'}")
        for name, case in cases.items()
        for dialect in DIALECTS
        for stream in (False, True)
        if dialect not in getattr(case, "but", ())
    ]


@pytest.fixture
def server(dialect: str) -> Iterator[Sandbox]:
    with Sandbox(dialect) as sandbox:
        yield sandbox
        assert sandbox.wait_until(lambda box: box.open_connections == 0)


@WORLDS
@pytest.mark.parametrize(("name", "dialect", "stream"), table(good_answers.CASES))
def test_good_answers(name: str, dialect: str, stream: bool, is_async: bool, server: Sandbox) -> None:
    case = good_answers.CASES[name]
    server.default = case.answer
    request = Request("m", good_answers.MESSAGES, case.params, stream)
    ours = heard_by_adapter(server, request)
    server.reset_counts()  # ids follow the number of the request
    theirs = heard_by_client(server, request, is_async)
    assert ours.error is None
    assert theirs == ours
    assert server.count == 1
    if not stream:
        assert type(theirs.raw).__module__.partition(".")[0] in ("openai", "anthropic", "ollama")


@WORLDS
@pytest.mark.parametrize(("name", "dialect", "stream"), table(fault_table.CASES))
def test_faults(name: str, dialect: str, stream: bool, is_async: bool, server: Sandbox) -> None:
    case = fault_table.CASES[name]
    server.always(case.fault())
    timeouts = fault_table.SLOW if case.complete is None else fault_table.FAST
    request = Request("m", "Is all of it there?", stream=stream)
    ours = heard_by_adapter(server, request, timeouts)
    server.reset_counts()
    theirs = heard_by_client(server, request, is_async, timeouts)
    assert server.count == 1  # whatever the client would have done by itself
    meaning = case.meaning(stream)
    assert (theirs.error is None) == (meaning is None)
    if (name, dialect, stream) in HIDDEN:
        assert theirs.raised is not None
        assert theirs.raised.reason == "malformed_response"
        return
    assert theirs == ours


@WORLDS
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_refused_connection(dialect: str, stream: bool, is_async: bool) -> None:
    with Sandbox(dialect, refusing=True) as server:
        request = Request("m", "Is anybody there?", stream=stream)
        ours, theirs = heard_by_adapter(server, request), heard_by_client(server, request, is_async)
    assert theirs == ours
    assert theirs.raised is not None
    assert theirs.raised.reason == "connection_refused"
    assert theirs.raised.__cause__ is not None


@WORLDS
@pytest.mark.parametrize(("name", "dialect", "stream"), table(asked.REQUESTS))
def test_what_is_sent(name: str, dialect: str, stream: bool, is_async: bool, server: Sandbox) -> None:
    sent = asked.REQUESTS[name]
    request = Request("m", sent.messages, sent.params, stream)
    ours, theirs = heard_by_adapter(server, request), heard_by_client(server, request, is_async)
    assert theirs.changes == ours.changes
    if ours.raised is not None:  # the protocol has no words for it
        assert theirs == ours
    first, second = (seen.body for seen in server.seen) if server.seen else (None, None)
    assert second == first

"""Wrapped clients hear what our own adapters hear: every good answer, and every fault, over real sockets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from mainstay.adapters.sandbox import Sandbox
from mainstay.pipeline import ErrorClass, Request
from support import asked, fault_table, good_answers
from support.wrapped import DIALECTS, heard_by_adapter, heard_by_client

# Each has a client of its own; OpenAI's is also the one for OpenRouter, and for llama.cpp's server.
OWN_CLIENT = ("openai", "claude", "ollama")

# What Ollama's client hides: it breaks on blank lines, and tells neither the status nor the words of a page.
HIDDEN = {("pings only", "ollama", True), ("a login page", "ollama", True)}


def table(cases: Any, dialects: Sequence[str] = DIALECTS) -> list[Any]:
    return [
        pytest.param(name, dialect, stream, id=f"{name}, {dialect}, {'stream' if stream else 'complete'}")
        for name, case in cases.items()
        for dialect in dialects
        for stream in (False, True)
        if dialect not in getattr(case, "but", ())
    ]


@pytest.fixture
def server(dialect: str) -> Iterator[Sandbox]:
    with Sandbox(dialect) as sandbox:
        yield sandbox
        assert sandbox.wait_until(lambda box: box.open_connections == 0)


@pytest.mark.parametrize(("name", "dialect", "stream"), table(good_answers.CASES))
def test_good_answers(name: str, dialect: str, stream: bool, server: Sandbox) -> None:
    case = good_answers.CASES[name]
    server.default = case.answer
    request = Request("m", good_answers.MESSAGES, case.params, stream)
    ours = heard_by_adapter(server, request)
    assert ours.error is None
    for is_async in (False, True):
        server.reset_counts()  # ids follow the number of the request
        theirs = heard_by_client(server, request, is_async)
        assert theirs == ours
        assert server.count == 1
        if not stream:
            assert type(theirs.raw).__module__.partition(".")[0] in ("openai", "anthropic", "ollama")


@pytest.mark.parametrize(("name", "dialect", "stream"), table(fault_table.CASES, OWN_CLIENT))
def test_faults(name: str, dialect: str, stream: bool, server: Sandbox) -> None:
    case = fault_table.CASES[name]
    server.always(case.fault())
    timeouts = fault_table.FAST if case.complete is ErrorClass.TIMEOUT else fault_table.SLOW
    request = Request("m", "Is all of it there?", stream=stream)
    ours = heard_by_adapter(server, request, timeouts)
    assert (ours.error is None) == (case.meaning(stream) is None)
    for is_async in (False, True):
        server.reset_counts()
        theirs = heard_by_client(server, request, is_async, timeouts)
        assert server.count == 1  # whatever the client would have done by itself
        if (name, dialect, stream) in HIDDEN:
            assert theirs.raised is not None
            assert theirs.raised.reason == "malformed_response"
        else:
            assert theirs == ours
        if theirs.raised is not None and theirs.raised.status not in (None, 200):
            assert type(theirs.raised.__cause__).__module__.partition(".")[0] in ("openai", "anthropic", "ollama")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_refused_connection(dialect: str, stream: bool) -> None:
    with Sandbox(dialect, refusing=True) as server:
        request = Request("m", "Is anybody there?", stream=stream)
        ours = heard_by_adapter(server, request)
        for is_async in (False, True):
            theirs = heard_by_client(server, request, is_async)
            assert theirs == ours
            assert theirs.raised is not None
            assert theirs.raised.reason == "connection_refused"
            assert theirs.raised.__cause__ is not None


@pytest.mark.parametrize(("name", "dialect", "stream"), table(asked.REQUESTS))
def test_what_is_sent(name: str, dialect: str, stream: bool, server: Sandbox) -> None:
    sent = asked.REQUESTS[name]
    request = Request("m", sent.messages, sent.params, stream)
    ours = heard_by_adapter(server, request)
    first = [seen.body for seen in server.seen]
    for is_async in (False, True):
        server.reset_counts()
        theirs = heard_by_client(server, request, is_async)
        assert theirs == ours
        assert [seen.body for seen in server.seen] == first

"""What a call leaves behind when it is over: nothing that only the garbage collection could free."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from mainstay.adapters import Adapter
from mainstay.adapters.sandbox import Answer, Fault, Sandbox, faults
from mainstay.pipeline import ProviderError, Reply, Request
from support.raw_server import READY

LONG = Answer(chunks=("one ",) * 5)


@pytest.fixture
def no_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def fail(adapter: Adapter, stream: bool) -> tuple[ProviderError, weakref.ref[Reply] | None]:
    held: list[weakref.ref[Reply]] = []
    try:
        reply = adapter(Request("m", "Hi there", stream=stream))
        held.append(weakref.ref(reply))
        try:
            reply.read()
        finally:
            del reply  # this frame is part of the traceback too
    except ProviderError as error:
        return error, held[0] if held else None
    raise AssertionError("it did not fail")


@pytest.mark.usefixtures("no_collection")
@pytest.mark.parametrize("stream", [False, True], ids=["complete", "stream"])
@pytest.mark.parametrize(
    "fault",
    [
        faults.cut(2, answer=LONG),
        faults.status(500),
        faults.disconnect(),
        faults.error_event(2, answer=LONG),
        faults.malformed(2, answer=LONG),
        faults.error_in_200(),
    ],
)
@pytest.mark.parametrize("dialect", ["openai", "claude", "openrouter", "ollama", "llama_cpp"])
def test_an_error_frees_what_it_can(dialect: str, fault: Fault, stream: bool) -> None:
    with Sandbox(dialect) as server, READY[dialect](server.url) as adapter:
        server.always(fault)
        for _ in range(3):  # what is made once is made now
            fail(adapter, stream)
        gc.collect()
        error, reply = fail(adapter, stream)
        del error
        assert reply is None or reply() is None
        gc.collect()
        for _ in range(20):
            fail(adapter, stream)
        assert server.wait_until(lambda s: s.open_connections <= 1)
        assert gc.collect() < 20


@pytest.mark.usefixtures("no_collection")
@pytest.mark.parametrize("end", ["read", "close", "leave", "drop"])
@pytest.mark.parametrize("dialect", ["openai", "claude", "openrouter", "ollama", "llama_cpp"])
def test_so_does_a_stream_however_it_ends(dialect: str, end: str) -> None:
    with Sandbox(dialect) as server, READY[dialect](server.url) as adapter:
        server.always(LONG)

        def ask() -> weakref.ref[Reply]:
            reply = adapter(Request("m", "Hi there", stream=True))
            next(reply)
            if end == "leave":
                with reply:
                    pass
            elif end != "drop":
                getattr(reply, end)()
            return weakref.ref(reply)

        for _ in range(3):
            ask()
        gc.collect()
        assert [ask()() for _ in range(20)] == [None] * 20
        assert server.wait_until(lambda s: s.open_connections <= 1)
        assert gc.collect() < 20

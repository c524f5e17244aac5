"""What a call keeps alive: a stream that is still arriving needs its ledger, but not what was asked."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

from mainstay.middleware import Fallback, standard
from mainstay.pipeline import Chunk, Reply, Request, Route, Stack


class Message(dict[str, str]):
    """A message that can be watched."""


def streams(request: Request) -> Reply:
    return Reply.stream(Chunk(text=word, finish_reason="stop" if word == "c" else None) for word in "abc")


@pytest.mark.parametrize("strategy", ["in_order", "fastest", "healthiest", "sticky"])
@pytest.mark.parametrize("mid_stream", ["raise", "restart"])
@pytest.mark.parametrize("recorded", [False, True])
def test_an_open_stream_does_not_keep_the_prompt_alive(recorded: bool, mid_stream: Any, strategy: str) -> None:
    provider = TracerProvider(shutdown_on_exit=False) if recorded else None
    routes = Fallback(Route("a", streams), Route("b", streams), mid_stream=mid_stream, strategy=strategy)
    stack = Stack(standard(tracer_provider=provider), routes)
    message = Message(role="user", content="a long prompt")
    seen = weakref.ref(message)
    reply = stack(Request("m", [message], stream=True))
    del message
    gc.collect()
    assert (seen() is None) == (mid_stream == "raise")  # what may begin anew must be asked again
    assert reply.read().text == "abc"
    gc.collect()
    assert seen() is None

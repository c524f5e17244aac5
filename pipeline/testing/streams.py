"""What a layer owes to streams: to stay out of their way."""

from __future__ import annotations

from ..errors import Unavailable
from .bench import Bench, claim
from .leaves import Flow
from .worlds import Script

__all__ = ["CLAUSES"]


def streams_are_passed_on_as_they_come(bench: Bench) -> Script:
    """Somebody is reading along: a layer that takes chunks ahead of its caller shows nothing, and then all at once."""
    world, flow = bench.world, Flow(("one", "two", "three"))
    reply = yield world.call(bench.stack(world.leaf(flow)), bench.ask(stream=True))
    claim(flow.seen == ["one"], f"the reply was handed out when the source had given {flow.seen}, not its first chunk")
    for texts in (["one"], ["one", "two"]):
        chunk = yield world.next(reply)
        claim(chunk.text == texts[-1], f"chunk {texts[-1]!r} was to come, and {chunk.text!r} came")
        claim(flow.seen == texts, f"for chunk {len(texts)} the source was asked for {len(flow.seen)}")
    yield world.close(reply)


def closing_reaches_the_source_once(bench: Bench) -> Script:
    """A stream that is not closed holds a connection, and a provider that goes on writing, and is paid for it."""
    for end in ("read", "close", "leave", "drop"):
        flow = Flow()
        yield from bench.settled(bench.stack(bench.world.leaf(flow)), end)
        freed = flow.seen.count("freed")
        claim(freed == 1, f"the source of a stream ({end}) was freed {freed} times")


def nothing_is_tried_again_after_the_first_token(bench: Bench) -> Script:
    """What was shown cannot be taken back: a second answer behind half of a first one is worse than an error."""
    errors = Unavailable(), Unavailable()
    leaves = [bench.world.leaf(Flow(("one",), error=error)) for error in errors]
    got = yield from bench.result(bench.stack(*leaves), "read")
    calls = sum(leaf.calls for leaf in leaves)
    claim(calls == 1, f"the stream broke after its first token, and handlers were called {calls} times")
    claim(got in errors, f"the stream broke with {errors[0]!r} after its first token, and the caller got {got!r}")
    claim(got.partial is not None and got.partial.text == "one", f"what had arrived is not in it: {got.partial}")


CLAUSES = (
    streams_are_passed_on_as_they_come,
    closing_reaches_the_source_once,
    nothing_is_tried_again_after_the_first_token,
)

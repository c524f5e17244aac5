"""The demo's play: three sandboxed providers whose faults follow a script, and a load of prompts.

The same prompts go, at the same moments, through the standard stack and to a twin of the first provider that is
called directly, with no stack, so that both see the same faults. What is shown of it is in `demo_view.py`.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider

from ..adapters import Claude, Ollama, OpenAI
from ..adapters.sandbox import Answer, Sandbox, Seen, faults
from ..middleware import standard
from ..pipeline import Attempt, BreakerChanged, Event, ProviderError, Reply, Request, Timeouts
from .chain import ProviderChain
from .provider import Provider

__all__ = ["Play", "Played", "Score"]

PROMPTS = 60
_PACE = 0.15  # seconds between prompts: slow enough to watch, fast enough to end in time
_LIMIT = 4.0  # seconds for which OpenAI's rate limit lasts: more than a retry waits while others are there
_SLOW = 0.2  # seconds that the small local model takes to begin

# What happens before which prompt, in the words that the view shows.
ACTS = {
    1: "all providers are well",
    10: f"OpenAI limits the rate: Retry-After {_LIMIT:g} s",
    29: "OpenAI goes down: connections are refused",
    33: "Claude is overloaded",
    35: "Claude cuts a stream after the first tokens",
    # Sooner than the first break (2.5 s at least) can be over, so that the first probe finds it well.
    36: "OpenAI is back",
    37: "Claude is well again",
}
_CUT = 35


@dataclass(slots=True)
class Score:
    """How one side fared: prompts answered whole, cut and said so, or lost; who answered; what was tried."""

    whole: int = 0
    cut: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    by: Counter[str] = field(default_factory=Counter)
    attempts: int = 0

    @property
    def asked(self) -> int:
        """How many prompts there were."""
        return self.whole + self.cut + sum(self.lost.values())


@dataclass(frozen=True, slots=True)
class Played:
    """One prompt, played: what to show of it. `act` is what happened just before, or ""."""

    number: int
    act: str
    outcome: str
    attempts: tuple[Attempt, ...]
    changes: tuple[BreakerChanged, ...]


class Play:
    """Sets the stage, plays it prompt by prompt, and strikes it. Use it in a `with` block.

    Args:
        pace: seconds between prompts, 0 or more.

    Attributes:
        chain: the stack at work.
        stacked, direct: the score with the stack and without.
        spans: the finished spans of the call with the most attempts, in the order in which they ended.
    """

    def __init__(self, pace: float = _PACE) -> None:
        self._pace = pace
        self._limited_until = 0.0
        self._servers = {name: Sandbox(name) for name in ("openai", "claude", "ollama")}
        self._twin = Sandbox("openai")
        self._collector = _Collector()
        tracing = TracerProvider()
        tracing.add_span_processor(self._collector)
        timeouts = Timeouts(connect=1.0, first_event=5.0, gap=5.0, total=10.0)
        url = {name: server.url for name, server in self._servers.items()}
        self.chain = ProviderChain(
            [
                ("openai", Provider("openai", OpenAI("demo", base_url=url["openai"], timeouts=timeouts))),
                (
                    "claude",
                    Provider("claude", Claude("demo", base_url=url["claude"], timeouts=timeouts), model="claude-haiku"),
                ),
                (
                    "ollama",
                    Provider("ollama", Ollama(base_url=url["ollama"], timeouts=timeouts), model="llama3.2"),
                ),
            ],
            layers=standard(deadline=30.0, tracer_provider=tracing),
            observers=[self._hear],
        )
        self._direct = OpenAI("demo", base_url=self._twin.url, timeouts=timeouts)
        self.stacked, self.direct = Score(), Score()
        self._changes: list[BreakerChanged] = []
        self._most = 0
        self.spans: list[ReadableSpan] = []

    def run(self, after: Callable[[Played], None]) -> None:
        """Plays all prompts; `after` is called with each."""
        for number in range(1, PROMPTS + 1):
            act = ACTS.get(number, "")
            self._set(number)
            self._changes.clear()
            self._collector.spans.clear()
            outcome, attempts = _ask(self.chain.stack, number, self.stacked)
            _ask(self._direct, number, self.direct)
            if len(attempts) > self._most:
                self._most, self.spans = len(attempts), list(self._collector.spans)
            after(Played(number, act, outcome, tuple(attempts), tuple(self._changes)))
            time.sleep(self._pace)

    def _hear(self, event: Event) -> None:
        if isinstance(event, BreakerChanged):
            self._changes.append(event)

    def _set(self, number: int) -> None:
        """Sets the stage for one prompt."""
        openai, claude, ollama = self._servers.values()
        both = (openai, self._twin)
        if number == 1:
            for server in (openai, claude, self._twin):
                server.always(_answer)
            ollama.always(lambda seen: faults.slow_first_byte(_SLOW, _answer(seen)))
        elif number == 10:
            self._limited_until = time.monotonic() + _LIMIT
            for server in both:
                server.always(self._limited)
        elif number == 29:
            for server in both:
                server.refuse()
        elif number == 33:
            claude.always(faults.overloaded())
        elif number == _CUT:
            claude.always(lambda seen: faults.cut(after=3, answer=_answer(seen)))
        elif number == 37:
            claude.always(_answer)
        elif number == 36:
            for server in both:
                server.accept()

    def _limited(self, seen: Seen) -> Any:
        left = self._limited_until - time.monotonic()
        return faults.rate_limit(retry_after=round(left, 2)) if left > 0 else _answer(seen)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.chain.close()
        self._direct.close()
        for server in (*self._servers.values(), self._twin):
            server.close()


class _Collector(SpanProcessor):
    """Keeps the spans that ended."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self.spans.append(span)


def _words(number: int) -> str:
    return f"prompt number {number} of the demo, word for word"


def _answer(seen: Seen) -> Answer:
    """The prompt's own words, so that an answer can be told from a part of it."""
    return Answer(f"This answers {seen.body['messages'][-1]['content']}")


def _ask(handler: Callable[[Request], Reply], number: int, score: Score) -> tuple[str, list[Attempt]]:
    """Asks one prompt, every other one as a stream, and keeps the score."""
    expected = f"This answers {_words(number)}"
    request = Request("gpt-4o", _words(number), stream=number % 2 == 1)
    try:
        with handler(request) as reply:
            whole = reply.read().text == expected
    except ProviderError as error:
        attempts = list(error.attempts)
        score.attempts += len(attempts)
        text = error.partial.text if error.partial is not None else ""
        if text and expected.startswith(text):
            score.cut += 1
            return f"cut, and said so, after {text!r}", attempts
        score.lost[str(error.error_class)] += 1
        return f"lost: {error}", attempts
    score.attempts += len(reply.attempts)
    if not whole:
        score.lost["wrong answer"] += 1
        return "wrong answer", list(reply.attempts)
    score.whole += 1
    score.by[reply.provider] += 1
    return f"answered by {reply.provider}", list(reply.attempts)

"""The trace of a call as a tree, for people at a terminal: drawn from the spans that were really recorded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from ..middleware import semconv as names

__all__ = ["draw", "recorded", "show"]

Facts = Mapping[str, Any]
_STYLES = {"ok": "green", "error": "red", "closed": "yellow"}


@contextmanager
def recorded() -> Iterator[tuple[TracerProvider, InMemorySpanExporter]]:
    """A TracerProvider, and what it recorded: the global one where the command has set it up, else one of its own."""
    spans = InMemorySpanExporter()
    known = trace.get_tracer_provider()
    provider = known if isinstance(known, TracerProvider) else TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(spans))
    try:
        yield provider, spans
    finally:
        if provider is not known:
            provider.shutdown()


def show(spans: Sequence[ReadableSpan], console: Console | None = None) -> None:
    """Draws every call among the spans; on standard error, where it is in nobody's way, unless a console is given."""
    console = console or Console(stderr=True, highlight=False)
    for call in spans:
        if call.parent is None:
            console.print(draw(call, [span for span in spans if _under(span, call)]), soft_wrap=True)


def draw(call: ReadableSpan, attempts: Sequence[ReadableSpan]) -> Tree:
    """The tree of one call: its attempts and what was decided between them, in the order in which it happened."""
    start = call.start_time or 0
    facts: Facts = call.attributes or {}
    made = facts.get(names.ATTEMPTS, 0)
    head = Text.assemble(
        (f"{call.name} {facts.get(names.REQUEST_MODEL, '')}", "bold"),
        f"  {_length(call)}  {made} attempt{'' if made == 1 else 's'}  ",
    )
    tree = Tree(head.append_text(_outcome(facts)), guide_style="dim")
    lines = [(event.timestamp, _event(event)) for event in call.events]
    lines += [(span.start_time or 0, _attempt(span)) for span in attempts]
    for moment, line in sorted(lines, key=lambda each: each[0]):
        tree.add(Text(f"+{_seconds((moment - start) / 1e9):>7}  ", "dim").append_text(line))
    return tree


def _under(span: ReadableSpan, call: ReadableSpan) -> bool:
    return span.parent is not None and call.context is not None and span.parent.span_id == call.context.span_id


def _attempt(span: ReadableSpan) -> Text:
    facts: Facts = span.attributes or {}
    line = Text.assemble((span.name, "bold"), f"  {facts.get(names.ROUTE, '')}  {_length(span)}  ")
    line.append_text(_outcome(facts, route=False))
    first = facts.get(names.TIME_TO_FIRST_CHUNK)
    told = [
        "" if first is None else f"first chunk after {_seconds(first)}",
        _tokens(facts),
        f"${facts[names.COST]:.6f}" if names.COST in facts else "",
        f"request {facts[names.REQUEST_ID]}" if names.REQUEST_ID in facts else "",
    ]
    return line.append("".join(f"  {each}" for each in told if each), "dim")


def _outcome(facts: Facts, route: bool = True) -> Text:
    outcome = str(facts.get(names.OUTCOME, ""))
    where = f" from {facts[names.ROUTE]}" if route and outcome == "ok" and facts.get(names.ROUTE) else ""
    words = " ".join(filter(None, (_status(facts), _why(facts)))) if names.ERROR_TYPE in facts else f"{outcome}{where}"
    return Text(words, _STYLES.get(outcome, ""))


def _status(facts: Facts) -> str:
    return str(facts.get(names.STATUS_CODE, ""))


def _tokens(facts: Facts) -> str:
    sent, answered = facts.get(names.INPUT_TOKENS), facts.get(names.OUTPUT_TOKENS)
    if sent is None and answered is None:
        return ""
    cached = f" ({facts[names.CACHED_TOKENS]} cached)" if facts.get(names.CACHED_TOKENS) else ""
    return f"{'?' if sent is None else sent}{cached} → {'?' if answered is None else answered} tokens"


def _event(event: Event) -> Text:
    facts: Facts = event.attributes or {}
    route, target = facts.get(names.ROUTE, ""), facts.get(names.TARGET, "")
    said = {
        names.RETRY_EVENT: f"{route} again in {_seconds(facts.get(names.DELAY, 0.0))}",
        names.FALLBACK_EVENT: f"{route} → {target}",
        names.RESUMED_EVENT: f"{route} → {target}, {facts.get(names.MODE, '')}",
        names.BREAKER_EVENT: f"{route} {facts.get(names.BEFORE, '')} → {facts.get(names.AFTER, '')}",
        names.PARAMETERS_EVENT: ", ".join(facts.get(names.PARAMETERS, ())),
    }.get(event.name, str(route))
    wait = facts.get(names.RETRY_AFTER)
    why = ", ".join(filter(None, (_why(facts), "" if wait is None else f"for {_seconds(wait)}")))
    word = event.name.removeprefix("mainstay.").replace(".", " ")
    return Text.assemble((f"{word}  ", "yellow"), said, (f": {why}" if why else "", "dim"))


def _why(facts: Facts) -> str:
    kind, reason = str(facts.get(names.ERROR_TYPE, "")), str(facts.get(names.REASON, ""))
    return f"{kind} ({reason})" if kind and reason and reason != kind else kind or reason


def _length(span: ReadableSpan) -> str:
    return _seconds(((span.end_time or 0) - (span.start_time or 0)) / 1e9)


def _seconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"
